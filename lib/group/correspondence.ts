/** Messages to and from the other runner, and what must go together before one becomes the other's backup. */

import { EdgeError } from "../errors.ts";
import {
  type Compatibility,
  compatibility,
  type HostFacts,
  incompatible,
  type Own,
  readCompatibility,
  said,
} from "../replication/compatibility.ts";
import { versionNote } from "../replication/versions.ts";
import type { Machine } from "../vm/machine.ts";
import { readSide, type Side } from "./last_run.ts";
import type { GroupEvent, Message } from "./types.ts";

/** What it is made of. */
export interface CorrespondenceOptions {
  machine: Machine;
  /** What the other host's must go together with: the VM's file, versions. */
  facts: HostFacts;
  /** Number of disks that the engine serves. */
  disks: number;
  report(event: string, fields: Record<string, unknown>): void;
  dispatch(event: GroupEvent): void;
  /** What this host did with the VM: said with each message. */
  side(): Side | undefined;
}

export class Correspondence {
  readonly #options: CorrespondenceOptions;
  #invited: Compatibility | undefined;
  #noted: string | undefined;
  /** Since when the VM that was handed over stands still, by this host's clock; 0: none was. */
  #stopped_us = 0;
  /** What the other host said last of what it did with the VM. */
  other: Side | null = null;

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

  /** There is another host: nothing is known of it yet. */
  replaced(): void {
    this.#invited = undefined;
    this.#noted = undefined;
    this.#stopped_us = 0;
    this.other = null;
  }

  /** What does not fit the invitation that was accepted, now that QEMU runs; undefined: all does. */
  mismatch(): string | undefined {
    return this.#invited && incompatible(this.#invited, this.#own());
  }

  /** The machine type that the VM has on the primary that invited; undefined: none did. */
  get machineType(): string | undefined {
    return this.#invited?.versions.machine;
  }

  send(message: Message): void {
    this.#tell({
      ...message,
      hello: message.kind === "refuse" ? undefined : said(this.#own()),
      side: this.#options.side(),
    });
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
    const { hello, side, ...message } = raw as Message & { hello?: unknown; side?: unknown };
    if ((message.kind as string) === "resumed") return this.#moved();
    this.other = readSide(side) ?? this.other;
    if (!["invite", "accept", "refuse"].includes(message.kind)) {
      return report("refused", { link: -1, what: `a message of kind ${JSON.stringify(message.kind)}` });
    }
    const theirs = readCompatibility(hello);
    if (message.kind === "invite") {
      const ours = this.#own();
      const why = incompatible(theirs, ours);
      if (why !== undefined) {
        report("alarm", { code: "incompatible", text: why });
        return this.send({ kind: "refuse", term: message.term, generation: message.generation, why });
      }
      this.#invited = theirs;
      if (theirs !== undefined) this.#note({ primary: theirs, backup: ours });
    }
    if (message.kind === "accept" && theirs !== undefined) {
      this.#note({ primary: this.#own(), backup: theirs });
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

  /** Says once that the hosts' versions differ. */
  #note(pair: { primary: Compatibility; backup: Compatibility }): void {
    const versions = { primary: pair.primary.versions, backup: pair.backup.versions };
    const text = versionNote(versions);
    if (text !== undefined && text !== this.#noted) this.#options.report("versions", { text });
    this.#noted = text;
  }

  #own(): Own {
    const { machine, facts, disks } = this.#options;
    return compatibility(machine, { facts, disks });
  }
}
