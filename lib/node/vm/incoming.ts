/** What the other node says of the VMs' settings, done here: VMs that are new or changed, and VMs that are deleted. What runs here goes on,
 * whatever somebody wanted on the other node while the two were apart. */

import { errorText } from "../../errors.ts";
import { ProblemError } from "../../model/problem.ts";
import { checkFiles, type FileRules } from "../disks/allowed.ts";
import { explained } from "../../model/problem_english.ts";
import { clearAway } from "./images.ts";
import type { Members } from "./members.ts";
import { type Tombstone, type VmRecord, VMS_MAX } from "./records.ts";
import type { VmStore } from "./store.ts";
import { readFile, specOf } from "./vm_file.ts";

/** How long a deleted VM's runner may take to end. */
const GONE_MS = 20_000;

export interface IncomingOptions {
  store: VmStore;
  members: Members;
  /** The run directory. */
  run: string;
  /** What VMs may have of this machine. */
  rules: FileRules;
  /** This node's settings are others now. */
  changed(): void;
}

export class Incoming {
  readonly #options: IncomingOptions;
  #removing: Promise<void> = Promise.resolve();
  /** Settings that were refused last, by VM. */
  readonly #refused = new Map<string, string>();

  constructor(options: IncomingOptions) {
    this.#options = options;
  }

  /** Settings that count from now on; false: they name what this node does not give. Whoever has the other node has not this one. */
  take(theirs: VmRecord): boolean {
    const { store, members, changed } = this.#options;
    const { wanted, name } = theirs;
    const why = this.#refusal(theirs);
    if (why !== null) {
      this.#refuse(theirs, why);
      return false;
    }
    this.#refused.delete(name);
    // A VM is stopped where it runs, by an order that reached it there.
    const keeps = !wanted.running && store.get(name)?.record.wanted.running === true &&
      members.runsHere(name);
    const record = keeps
      ? { ...theirs, wanted: { ...wanted, running: true }, revision: theirs.revision + 1 }
      : theirs;
    store.put(record);
    if (keeps) {
      members.warn(name, "On the other node it was not wanted to run, but it runs here, and goes on.");
      changed();
    }
    members.add(name).then(() => members.furnish(record)).catch((error) =>
      members.tell(name, "critical", {
        code: "vm.alarm",
        params: { text: `This node cannot take the VM: ${errorText(error).slice(0, 800)}` },
      })
    );
    return true;
  }

  /** Why settings of the other node are not taken; null: they are. */
  #refusal({ name, uuid, file, active }: VmRecord): string | null {
    const { store, rules } = this.#options;
    const kept = store.get(name)?.record;
    const before = kept?.uuid === uuid ? [specOf(kept.file), specOf(kept.active)] : [];
    try {
      for (const text of [file, active]) {
        const spec = readFile(text);
        if (spec.name !== name) return `its file is of a VM ${spec.name}`;
        checkFiles(spec, { name, rules, before });
      }
      return null;
    } catch (error) {
      return error instanceof ProblemError ? `${error.message}. ${error.hint}` : errorText(error);
    }
  }

  /** Says it once: the other node goes on offering them. */
  #refuse({ name, uuid, revision }: VmRecord, why: string): void {
    const which = `${uuid} ${revision}`;
    if (this.#refused.get(name) === which) return;
    this.#refused.delete(name);
    if (this.#refused.size >= VMS_MAX) this.#refused.delete(this.#refused.keys().next().value!);
    this.#refused.set(name, which);
    this.#options.members.tell(name, "critical", {
      code: "vm.alarm",
      params: { text: `This node does not take the VM's settings from the other one: ${why.slice(0, 900)}` },
    });
  }

  /** A VM that the other node has deleted. */
  remove(stone: Tombstone): void {
    const { store, members, changed } = this.#options;
    const kept = store.get(stone.name);
    if (kept?.record.uuid === stone.uuid && kept.record.wanted.running && members.runsHere(stone.name)) {
      // Another VM from now on, which the other node has not deleted.
      const { record } = kept;
      store.put({ ...record, uuid: crypto.randomUUID(), revision: record.revision + 1 });
      store.forget(stone);
      members.warn(stone.name, "It was deleted on the other node, but it runs here, and is kept.");
      return changed();
    }
    this.#removing = this.#removing.then(() => this.forget(stone)).then(() => {}).catch((error) =>
      members.warn(stone.name, errorText(error))
    );
  }

  /** Ends with a VM; returns where its images are, null: they are gone. Its runner ends first: it may wait here for the other node. */
  async forget(stone: Tombstone): Promise<string | null> {
    const { store, members, changed, run } = this.#options;
    const kept = store.get(stone.name);
    if (kept?.record.uuid !== stone.uuid) {
      store.forget(stone);
      return null;
    }
    if (kept.record.wanted.running) {
      store.put({ ...kept.record, wanted: { ...kept.record.wanted, running: false } });
    }
    const supervisor = members.get(stone.name);
    supervisor.look();
    if (!await supervisor.gone(GONE_MS)) {
      throw new ProblemError("failed", explained("vm.runner_lives", { name: stone.name }));
    }
    await members.drop(stone.name);
    store.forget(stone);
    const where = clearAway(store.place(stone.name), stone);
    await Deno.remove(`${run}/${stone.name}`, { recursive: true }).catch(() => {});
    changed();
    return where;
  }

  /** Resolves when what was to be removed is removed. */
  async settled(): Promise<void> {
    await this.#removing;
  }
}
