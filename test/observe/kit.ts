/** Events, samples and directories for the tests of what is kept. */

import type { NewEvent } from "../../lib/model/event.ts";
import type { VmSample } from "../../lib/model/vm.ts";
import type { Taken } from "../../lib/observe/keeper.ts";

/** A directory that goes with the test. */
export class Place implements Disposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "observe-" });

  get file(): string {
    return `${this.path}/events.db`;
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** A sample at a time, with one value in all places unless told otherwise. */
export function sampleAt(t_ms: number, value: number | null = 1, other: Partial<VmSample> = {}): VmSample {
  return {
    t_ms,
    checkpoints_per_s: value,
    pause_us: value,
    pause_p99_us: value,
    latency_us: value,
    latency_p99_us: value,
    out_mbit: value,
    dirty_pages: value,
    page_bytes: value,
    ...other,
  };
}

/** An event before it is taken. */
export function newEvent(other: Partial<NewEvent> = {}): NewEvent {
  return {
    severity: "info",
    subject: "vm",
    name: "press-1",
    code: "vm.runs",
    params: { node: "line-1-a" },
    actor: null,
    ...other,
  };
}

/** An event as the keeper is given it. */
export function takenEvent(other: Partial<Taken> = {}): Taken {
  return {
    ...{ at: "2026-03-01T12:00:00.000Z", node: "line-1-a", severity: "info", subject: "vm", name: "press-1" },
    ...{ code: "vm.runs", params: { node: "line-1-a" }, text: "Runs on line-1-a.", actor: null },
    ...other,
  } as Taken;
}
