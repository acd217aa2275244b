/** Takes what happens: the node's parts tell it, lib/observe keeps it. */

import type { NewEvent } from "./event.ts";
import type { VmSample } from "./vm.ts";

/** Takes what happens; never throws, never waits. */
export interface Recorder {
  event(event: NewEvent): void;
  sample(vm: string, sample: VmSample): void;
}
