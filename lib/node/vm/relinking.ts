/** The host's file of each VM's runner: written when the VM is started anew, and changed while it runs alone when the pair has other lines or
 * another key, which the runner then takes. */

import { createHash } from "node:crypto";
import { writeDurableFile } from "../../durable_file.ts";
import { errorText, RefusedError } from "../../errors.ts";
import { checkRelink } from "../../group/relink.ts";
import type { EventCode } from "../../model/english.ts";
import type { PairSettings } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { Params, Severity } from "../../model/sentence.ts";
import { type HostConfig, readHostConfig } from "../../vm/host_config.ts";
import { hostFile } from "./host_file.ts";
import type { VmManagerOptions } from "./options.ts";
import type { VmRecord } from "./records.ts";
import type { KeptVm, VmStore } from "./store.ts";

export interface RelinkingOptions {
  manager: VmManagerOptions;
  store: VmStore;
  change(name: string, change: Partial<VmRecord>): void;
  /** Says a command to a VM's runner. */
  call(name: string, command: string): Promise<unknown>;
  tell(name: string, severity: Severity, said: { code: EventCode; params?: Params }): void;
}

/** What of a host's file may change while the VM runs. */
function linesOf({ link, lan }: HostConfig): string {
  const all = [link, lan?.local, lan?.peer, lan?.reference];
  return createHash("sha256").update(JSON.stringify(all)).digest("hex");
}

export class Relinking {
  readonly #options: RelinkingOptions;
  /** What was said last of a VM that cannot take the new lines. */
  readonly #said = new Map<string, string>();

  constructor(options: RelinkingOptions) {
    this.#options = options;
  }

  /** Before a runner starts: writes the host's file if the VM was started anew. What the two runners of a VM agree on stays while it runs: one
   * that is started again must fit the other one. Throws ProblemError. */
  prepare(name: string): void {
    const { manager, store } = this.#options;
    const kept = this.#known(name);
    const { record, local } = kept;
    const settings = manager.pairSettings();
    // While the other node is being replaced there is no pair, but a key: the VM goes on with the file that it has.
    const goesOn = settings === null && this.#key !== null && local.host_of === record.starts;
    if (record.number === null || (settings === null && !goesOn)) throw notPaired();
    if (settings !== null && local.host_of !== record.starts) {
      writeDurableFile(this.#file(name), this.#made(kept, settings).text, 0o600);
      store.note(name, { host_of: record.starts });
    }
    store.note(name, { lines: this.#id(readHostConfig(this.#file(name))) });
  }

  /** The runner of a VM that runs alone has other lines, or another key, than the pair. */
  due(name: string): boolean {
    const { manager, store } = this.#options;
    const kept = store.get(name);
    if (kept === undefined) return false;
    try {
      if (this.#key === null) return false;
      if (kept.local.lines === "") { // started by a version that did not note it: with what there is now
        store.note(name, { lines: this.#id(readHostConfig(this.#file(name))) });
        return false;
      }
      const settings = manager.pairSettings();
      const config = settings === null ? readHostConfig(this.#file(name)) : this.#made(kept, settings).config;
      return kept.local.lines !== this.#id(config);
    } catch {
      return false; // the settings make no file: whoever starts the VM is told why
    }
  }

  /** Lets the runner take them; the VM runs on. Never throws: what is wrong is told once, and tried again. */
  async apply(name: string): Promise<void> {
    const { manager, store, call, change, tell } = this.#options;
    try {
      const kept = this.#known(name);
      const settings = manager.pairSettings();
      const now = readHostConfig(this.#file(name));
      const made = settings === null ? null : this.#made(kept, settings);
      const next = made?.config ?? now;
      checkRelink(now, next);
      if (made !== null && linesOf(now) !== linesOf(next)) {
        writeDurableFile(this.#file(name), made.text, 0o600);
        // The other node's runner, which cannot have the VM now, starts anew with the lines of its side.
        const starts = kept.record.starts + 1;
        store.note(name, { host_of: starts });
        change(name, { starts });
      }
      const id = this.#id(next);
      await call(name, "relink");
      store.note(name, { lines: id });
      this.#said.delete(name);
      tell(name, "info", { code: "vm.relinked" });
    } catch (error) {
      const text = error instanceof RefusedError ? `${error.message}. ${error.hint}` : errorText(error);
      if (this.#said.get(name) === text) return;
      this.#said.set(name, text);
      const params = { text: `It does not take the pair's lines: ${text.slice(0, 800)}` };
      tell(name, "warning", { code: "vm.alarm", params });
    }
  }

  /** Why settings do not go together with the VMs that run here alone: with all of them, or those that would take other lines; null: they do. */
  unfit(settings: PairSettings, { all, alone }: { all: boolean; alone: readonly string[] }): string | null {
    for (const name of alone) {
      const kept = this.#known(name);
      const now = readHostConfig(this.#file(name));
      const next = this.#made(kept, settings).config;
      if (!all && linesOf(now) === linesOf(next)) continue;
      try {
        checkRelink(now, next);
      } catch (error) {
        if (!(error instanceof RefusedError)) throw error;
        return `${name} runs here: ${error.message}. ${error.hint}`;
      }
    }
    return null;
  }

  get #key(): string | null {
    const { pairKeyId } = this.#options.manager;
    return pairKeyId === undefined ? "" : pairKeyId();
  }

  #id(config: HostConfig): string {
    return `${this.#key} ${linesOf(config)}`;
  }

  #file(name: string): string {
    return `${this.#options.store.place(name)}/host.toml`;
  }

  #made({ record }: KeptVm, settings: PairSettings): { text: string; config: HostConfig } {
    const { places, tuning, node } = this.#options.manager;
    if (record.number === null) throw notPaired();
    return hostFile({ places, node: node().name, number: record.number, settings, tuning });
  }

  #known(name: string): KeptVm {
    const kept = this.#options.store.get(name);
    if (kept !== undefined) return kept;
    throw missing(name);
  }
}

export function missing(name: string): ProblemError {
  return new ProblemError("not_found", explained("vm.absent", { name }));
}

export function notPaired(): ProblemError {
  return new ProblemError("not_paired", explained("vm.not_paired"));
}
