/** Messages to and from the other runner, and what both must have alike before one becomes the other's backup. */

import { EdgeError } from "../errors.ts";
import { type Compatibility, compatibility, incompatible } from "../replication/compatibility.ts";
import type { Machine } from "../vm/machine.ts";
import type { GroupEvent, Message } from "./types.ts";

/** What it is made of. */
export interface CorrespondenceOptions {
  machine: Machine;
  /** This host's name; the other has another one. */
  node: string;
  /** What the other host's must agree with: the VM's spec, versions. */
  identity: Record<string, string>;
  /** Number of disks that the engine serves. */
  disks: number;
  report(event: string, fields: Record<string, unknown>): void;
  dispatch(event: GroupEvent): void;
}

export class Correspondence {
  readonly #options: CorrespondenceOptions;
  #invited: Compatibility | undefined;
  /** Since when the VM that was handed over stands still, by this host's clock; 0: none was. */
  #stopped_us = 0;

  constructor(options: CorrespondenceOptions) {
    this.#options = options;
  }

  /** The VM stands still here for the other host to go on. */
  handed(stopped_us: number): void {
    this.#stopped_us = stopped_us;
  }

  /** Tells the other host that the VM which it handed over runs here. */
  resumed(term: number): void {
    this.#tell({ kind: "resumed", term });
  }

  /** What does not fit the invitation that was accepted, now that QEMU runs; undefined: all does. */
  mismatch(): string | undefined {
    return this.#invited && incompatible(this.#invited, this.#own());
  }

  send(message: Message): void {
    this.#tell({ ...message, hello: message.kind === "invite" ? this.#own() : undefined });
  }

  #tell(message: { kind: string; [field: string]: unknown }): void {
    const { machine, report } = this.#options;
    try {
      machine.engine.control(message);
    } catch (error) {
      report("unsent", { kind: message.kind, why: error instanceof EdgeError ? error.hint : String(error) });
    }
  }

  receive(raw: unknown): void {
    const { report, dispatch } = this.#options;
    const { hello, ...message } = raw as Message & { hello?: Compatibility };
    if ((message.kind as string) === "resumed") return this.#moved();
    if (!["invite", "accept", "refuse"].includes(message.kind)) {
      return report("refused", { link: -1, what: `a message of kind ${JSON.stringify(message.kind)}` });
    }
    const why = message.kind === "invite" ? incompatible(hello, this.#own()) : undefined;
    if (message.kind === "invite") this.#invited = hello;
    if (why !== undefined && message.kind === "invite") {
      report("alarm", { code: "incompatible", text: why });
      return this.send({ kind: "refuse", term: message.term, generation: message.generation, why });
    }
    dispatch({ kind: "message", message: message as Message });
  }

  /** The whole pause of a switchover by one clock: at most the way of one message too long. */
  #moved(): void {
    const { machine, report } = this.#options;
    if (this.#stopped_us === 0) return;
    report("switchover", { pause_us: machine.engine.clockUs() - this.#stopped_us });
    this.#stopped_us = 0;
  }

  #own(): Compatibility {
    const { machine, ...own } = this.#options;
    return compatibility(machine, own);
  }
}
