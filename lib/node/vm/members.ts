/** This node's part of every VM: a supervisor for each, and what the other node says of it. */

import type { Params, Severity } from "../../model/sentence.ts";
import type { EventCode } from "../../model/english.ts";
import type { VmView } from "../../model/vm.ts";
import { servedDisks, type VmSpec } from "../../vm/spec.ts";
import { Asked } from "./asked.ts";
import { Happenings, vmEvent } from "./happenings.ts";
import { type Launcher, ProcessLauncher, SystemdLauncher, underSystemd } from "./launcher.ts";
import type { VmManagerOptions } from "./options.ts";
import type { VmRecord, VmReport } from "./records.ts";
import { missing, Relinking } from "./relinking.ts";
import { reportOf } from "./report_of.ts";
import type { RunnerEvent } from "./runner_link.ts";
import type { VmStore } from "./store.ts";
import { Supervisor } from "./supervisor.ts";
import { type Situation, situationOf, type ViewFacts, vmView } from "./view.ts";
import { specOf } from "./vm_file.ts";

export interface MembersOptions {
  manager: VmManagerOptions;
  store: VmStore;
  /** What the other node says of a VM now. */
  theirs(uuid: string): VmReport | null;
  /** The other node says that it does not have it. */
  absent(uuid: string): boolean;
  onChange(): void;
  /** The VM's settings are to change, by this node. */
  change(name: string, change: Partial<VmRecord>): void;
}

/** Hears a runner's events. */
export type Listener = (event: RunnerEvent) => void;

export class Members implements AsyncDisposable {
  readonly #options: MembersOptions;
  readonly #supervisors = new Map<string, Supervisor>();
  readonly #specs = new Map<string, { file: string; spec: VmSpec | null }>();
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #furnishing = new Map<string, Promise<void>>();
  readonly #asked = new Map<string, Asked>();
  readonly launcher: Launcher;
  /** The pair's lines and key, for VMs that run. */
  readonly relinking: Relinking;

  constructor(options: MembersOptions) {
    this.#options = options;
    const { runners } = options.manager;
    const systemd = runners === undefined ? underSystemd() : runners === "systemd";
    this.relinking = new Relinking({
      ...{ manager: options.manager, store: options.store, change: options.change },
      call: (name, command) => this.get(name).call(command),
      tell: (name, severity, said) => this.tell(name, severity, said),
    });
    this.launcher = systemd ? new SystemdLauncher() : new ProcessLauncher();
  }

  /** Begins with all VMs that are kept. */
  async open(): Promise<void> {
    const { places } = this.#options.manager;
    Deno.mkdirSync(places.run, { recursive: true, mode: 0o711 });
    await Promise.all(this.#options.store.all().map(({ record }) => this.add(record.name)));
  }

  /** Looks after a VM whose settings are kept; looks again at one that it looks after. */
  async add(name: string): Promise<void> {
    const known = this.#supervisors.get(name);
    if (known !== undefined) return known.look();
    const supervisor = this.#supervise(name);
    this.#supervisors.set(name, supervisor);
    await supervisor.open();
  }

  /** Ends with a VM whose runner is not there any more. */
  async drop(name: string): Promise<void> {
    const supervisor = this.#supervisors.get(name);
    this.#supervisors.delete(name);
    this.#specs.delete(name);
    this.#asked.delete(name);
    await supervisor?.[Symbol.asyncDispose]();
  }

  get(name: string): Supervisor {
    const supervisor = this.#supervisors.get(name);
    if (supervisor === undefined) throw missing(name);
    return supervisor;
  }

  /** Looks at all; `afresh`: also at those that have failed. */
  lookAll({ afresh }: { afresh: boolean }): void {
    for (const supervisor of this.#supervisors.values()) {
      if (afresh) supervisor.afresh();
      else supervisor.look();
    }
  }

  /** VMs that have a runner here. */
  running(): Set<string> {
    return new Set([...this.#supervisors.values()].filter(({ running }) => running).map(({ name }) => name));
  }

  reports(): VmReport[] {
    return [...this.#supervisors.values()].map((one) => one.report()).filter((report) => report !== null);
  }

  situation(name: string): Situation {
    return situationOf(this.#facts(name));
  }

  view(name: string): VmView {
    return vmView(this.#facts(name));
  }

  /** Hears the events of a VM's runner here. */
  listen(name: string, listener: Listener): Disposable {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener);
    return { [Symbol.dispose]: () => listeners.delete(listener) };
  }

  /** Who wants what of a VM. */
  asked(name: string): Asked {
    const asked = this.#asked.get(name) ?? new Asked(() => this.#now());
    this.#asked.set(name, asked);
    return asked;
  }

  /** A line for the list of events. */
  tell(
    name: string,
    severity: Severity,
    said: { code: EventCode; params?: Params; actor?: string | null },
  ): void {
    this.#options.manager.recorder.event(vmEvent(name, severity, said));
  }

  /** A warning about a VM. */
  warn(name: string, text: string): void {
    this.tell(name, "warning", { code: "vm.alarm", params: { text } });
  }

  /** This node's runner has the VM. */
  runsHere(name: string): boolean {
    return this.#supervisors.get(name)?.hasVm ?? false;
  }

  /** Why the other node may not be replaced now; null: each VM runs here alone, or is stopped. */
  whyNotReplace(): string | null {
    const why = this.reports().map(({ name, runner, phase, silent }) => {
      if (phase === "solo") return silent ? null : `${name}: the other node's runner is heard.`;
      const wanted = this.#options.store.get(name)?.record.wanted.running === true;
      return runner === "none" && !wanted ? null : `${name} does not run alone on this node (${phase}).`;
    });
    return why.find((one) => one !== null) ?? null;
  }

  /** Makes the images that this node lacks: empty ones, that the first sync fills. One that was here once is never made anew. */
  async furnish(record: VmRecord): Promise<void> {
    // Settings that come and a runner that is started both want it: one after the other, or both would make the same image.
    const before = this.#furnishing.get(record.name) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#furnish(record));
    this.#furnishing.set(record.name, mine);
    try {
      await mine;
    } finally {
      if (this.#furnishing.get(record.name) === mine) this.#furnishing.delete(record.name);
    }
  }

  async #furnish(record: VmRecord): Promise<void> {
    const { store, manager } = this.#options;
    const spec = specOf(record.active);
    const kept = store.get(record.name);
    if (spec === null || kept === undefined) return;
    const known = new Set(kept.local.images);
    for (const [index, { image }] of servedDisks(spec, store.directory).entries()) {
      if (known.has(image)) continue;
      await manager.disks.make(image, record.disks[index] ?? 0);
      known.add(image);
      store.note(record.name, { images: [...known] });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#supervisors.values()].map((one) => one[Symbol.asyncDispose]()));
  }

  #facts(name: string): ViewFacts {
    const { store, manager, theirs, absent } = this.#options;
    const kept = store.get(name);
    if (kept === undefined) throw missing(name);
    const { record, local } = kept;
    const { peer } = manager;
    const here = this.#supervisors.get(name)?.report();
    return {
      record,
      spec: this.#spec(record),
      node: manager.node().name,
      peer: peer.peer?.name ?? null,
      reachable: peer.reachable,
      configured: manager.pairSettings() !== null,
      here: here ?? nothing(record),
      there: theirs(record.uuid),
      absent: absent(record.uuid),
      replicated: peer.peer !== null && local.peer_id === peer.peer.id && local.peer_has === record.revision,
      last_switchover: local.switchovers.at(-1) ?? null,
    };
  }

  #spec({ name, file }: VmRecord): VmSpec | null {
    const known = this.#specs.get(name);
    if (known?.file === file) return known.spec;
    const spec = specOf(file);
    this.#specs.set(name, { file, spec });
    return spec;
  }

  #now(): number {
    return this.#options.manager.now?.() ?? Date.now();
  }

  #supervise(name: string): Supervisor {
    const { manager, store, change, onChange } = this.#options;
    const happenings = new Happenings(() => ({
      vm: name,
      node: manager.node().name,
      peer: manager.peer.peer?.name ?? "?",
    }), (code) => this.asked(name).whose(code));
    return new Supervisor(name, {
      record: () => store.get(name)?.record,
      begin: () => store.get(name)?.local.begin ?? false,
      outdated: () => store.get(name)?.local.host_of !== store.get(name)?.record.starts,
      relinkDue: () => this.relinking.due(name),
      relink: () => this.relinking.apply(name),
      launcher: this.launcher,
      runDir: `${manager.places.run}/${name}`,
      dataDir: store.place(name),
      prepare: () => this.#prepare(name),
      tell: (severity, code, params = {}) => this.tell(name, severity, { code, params }),
      onEvent: (event, handed) => {
        for (const told of happenings.of(event, this.#now(), handed)) manager.recorder.event(told);
        for (const listener of [...this.#listeners.get(name) ?? []]) listener(event);
      },
      onSample: (sample) => manager.recorder.sample(name, sample),
      onChange,
      onBegun: () => store.note(name, { begin: false }),
      held: () => store.get(name)?.local.held ?? false,
      onHeld: (held) => store.note(name, { held }),
      onTakenOver: () => {
        const params = { node: manager.node().name };
        this.tell(name, "warning", {
          ...{ code: "vm.taken_over", params },
          actor: this.asked(name).whose("vm.taken_over"),
        });
      },
      onEnded: () => {
        store.note(name, { begin: false, held: false });
        const wanted = store.get(name)?.record.wanted;
        if (wanted !== undefined) change(name, { wanted: { ...wanted, running: false } });
      },
      now: () => this.#now(),
    });
  }

  /** Writes the host's file; the command of a VM's runner. */
  async #prepare(name: string): Promise<readonly string[]> {
    const { manager, store } = this.#options;
    const kept = store.get(name);
    if (kept === undefined) throw missing(name);
    const { record, local } = kept;
    this.relinking.prepare(name);
    await this.furnish(record);
    const place = store.place(name);
    return [
      ...manager.self,
      ...["runner", "--times", "--vm", `${place}/vm.toml`, "--host", `${place}/host.toml`],
      ...(local.begin ? ["--start"] : []),
      ...(record.wanted.protected ? [] : ["--no-protect"]),
    ];
  }
}

function nothing(record: VmRecord): VmReport {
  return reportOf({
    record,
    runs: false,
    status: null,
    recent: false,
    failed: "",
    metadata: null,
    sample: null,
    lines: [],
    since_ms: 0,
  });
}
