/** What a node keeps of its VMs, on disk: DATA/vms/NAME/vm.toml (the file that the runner reads), state.json (all of it) and, beside them,
 * tombstones.json. Each file is whole and there after a power cut. */

import { z } from "zod";
import { makeDurableDirectory } from "../../durable_directory.ts";
import { writeDurableFile } from "../../durable_file.ts";
import { errorText } from "../../errors.ts";
import { type SwitchoverView, switchoverView, vmName } from "../../model/vm.ts";
import {
  SWITCHOVERS_MAX,
  type Tombstone,
  tombstone,
  TOMBSTONES_MAX,
  type VmRecord,
  vmRecord,
} from "./records.ts";

/** What this node alone knows of a VM. */
const localState = z.object({
  /** It is to begin here, and has not yet. */
  begin: z.boolean().default(false),
  /** The VM was here when this node looked last. */
  held: z.boolean().default(false),
  /** The newest revision that the other node is known to have. */
  peer_has: z.number().int().default(0),
  /** ID of that node. */
  peer_id: z.string().default(""),
  /** The start for which this node's host.toml was written. */
  host_of: z.number().int().default(0),
  /** The lines and the key that this node's runner has; "": not known. */
  lines: z.string().max(200).default(""),
  /** Images that are here, by their paths: one that is missing later is not made anew. */
  images: z.array(z.string().max(1100)).max(64).default([]),
  switchovers: z.array(switchoverView).max(SWITCHOVERS_MAX).default([]),
});
export type LocalState = z.infer<typeof localState>;

const stateFile = z.object({ settings: vmRecord, local: localState.prefault({}) });

/** A VM as it is kept. */
export interface KeptVm {
  record: VmRecord;
  local: LocalState;
}

export class VmStore {
  /** DATA/vms. */
  readonly directory: string;
  readonly #vms = new Map<string, KeptVm>();
  #tombstones: Tombstone[];
  /** Directories whose files cannot be read, with why. They are left as they are. */
  readonly problems: { name: string; why: string }[] = [];

  constructor(directory: string) {
    this.directory = directory;
    makeDurableDirectory(directory, 0o700);
    this.#tombstones = this.#readTombstones();
    for (const entry of Deno.readDirSync(directory)) {
      if (!entry.isDirectory || !vmName.safeParse(entry.name).success) continue;
      try {
        const kept = this.#read(entry.name);
        if (kept !== null) this.#vms.set(entry.name, kept);
      } catch (error) {
        this.problems.push({ name: entry.name, why: errorText(error).slice(0, 1000) });
      }
    }
  }

  /** All, by name. */
  all(): KeptVm[] {
    return [...this.#vms.values()].sort((a, b) => a.record.name < b.record.name ? -1 : 1);
  }

  get(name: string): KeptVm | undefined {
    return this.#vms.get(name);
  }

  /** The directory of a VM. */
  place(name: string): string {
    return `${this.directory}/${name}`;
  }

  /** Keeps settings; when it returns they are on stable storage. */
  put(record: VmRecord): KeptVm {
    const { name } = record;
    const local = this.#vms.get(name)?.local ?? localState.parse({});
    makeDurableDirectory(this.place(name), 0o700);
    if (this.#vms.get(name)?.record.active !== record.active) {
      writeDurableFile(`${this.place(name)}/vm.toml`, record.active, 0o600);
    }
    return this.#keep({ record, local });
  }

  /** Changes what this node alone knows of a VM. */
  note(name: string, change: Partial<LocalState>): void {
    const kept = this.#vms.get(name);
    if (kept === undefined) return;
    this.#keep({ record: kept.record, local: { ...kept.local, ...change } });
  }

  /** Forgets a VM, for good: its directory goes but for images that are to stay. */
  forget(stone: Tombstone): void {
    this.#tombstones = [...this.#tombstones.filter(({ uuid }) => uuid !== stone.uuid), stone]
      .slice(-TOMBSTONES_MAX);
    writeDurableFile(this.#tombstonesFile, `${JSON.stringify(this.#tombstones)}\n`, 0o600);
    if (this.#vms.get(stone.name)?.record.uuid !== stone.uuid) return;
    this.#vms.delete(stone.name);
    Deno.removeSync(`${this.place(stone.name)}/state.json`);
  }

  tombstones(): readonly Tombstone[] {
    return this.#tombstones;
  }

  #keep(kept: KeptVm): KeptVm {
    const text = JSON.stringify({ settings: kept.record, local: kept.local }, null, 1);
    writeDurableFile(`${this.place(kept.record.name)}/state.json`, `${text}\n`, 0o600);
    this.#vms.set(kept.record.name, kept);
    return kept;
  }

  /** Null: a directory that a VM which is not kept left behind, or whose disks are being made. */
  #read(name: string): KeptVm | null {
    const text = readIfThere(`${this.place(name)}/state.json`);
    if (text === null) return null;
    const { settings, local } = stateFile.parse(JSON.parse(text));
    if (settings.name !== name) throw new Error(`state.json is of another VM, ${settings.name}`);
    // A power cut between the two: state.json is the one that counts.
    if (readIfThere(`${this.place(name)}/vm.toml`) !== settings.active) {
      writeDurableFile(`${this.place(name)}/vm.toml`, settings.active, 0o600);
    }
    return { record: settings, local };
  }

  get #tombstonesFile(): string {
    return `${this.directory}/tombstones.json`;
  }

  #readTombstones(): Tombstone[] {
    const text = readIfThere(this.#tombstonesFile);
    return text === null ? [] : z.array(tombstone).parse(JSON.parse(text)).slice(-TOMBSTONES_MAX);
  }
}

function readIfThere(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The history of switchovers of two nodes, in one: newest last. */
export function mergeSwitchovers(
  one: readonly SwitchoverView[],
  other: readonly SwitchoverView[],
): SwitchoverView[] {
  const key = (view: SwitchoverView) => `${view.at} ${view.from} ${view.to}`;
  const all = new Map([...one, ...other].map((view) => [key(view), view]));
  return [...all.values()].sort((a, b) => a.at < b.at ? -1 : 1).slice(-SWITCHOVERS_MAX);
}
