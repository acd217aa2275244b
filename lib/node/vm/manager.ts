/** The VMs of a node: their settings, their runners, what is shown of them and what is done with them. */

import { errorText } from "../../errors.ts";
import type { Actor, Duplex, VmBackend } from "../../model/backend.ts";
import { LOCAL_ACTOR } from "../../model/access.ts";
import type { PairSettings } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { SwitchoverView, VmAction, VmCreate, VmSample, VmView } from "../../model/vm.ts";
import { vmName } from "../../model/vm.ts";
import { servedDisks } from "../../vm/spec.ts";
import { checkFiles, checkNewFiles, type FileRules } from "../disks/allowed.ts";
import { Actions } from "./actions.ts";
import { Consoles } from "./consoles.ts";
import { logLines, LOGS } from "./logs.ts";
import { imageBytes } from "./images.ts";
import { Incoming } from "./incoming.ts";
import { Members } from "./members.ts";
import { portOf } from "./host_file.ts";
import { checkNewVm, type FinishedDisk, newRecord } from "./new_vm.ts";
import type { VmManagerOptions } from "./options.ts";
import { hasVm } from "./phases.ts";
import type { VmRecord, VmReport } from "./records.ts";
import { missing } from "./relinking.ts";

import { Reports } from "./reports.ts";
import { SettingsSync } from "./settings_sync.ts";
import { untilSeen } from "./until_seen.ts";
import { VmStore } from "./store.ts";
import { patchFile, specOf } from "./vm_file.ts";

export type { FinishedDisk };

/** How often listeners hear of changes at most. */
const TELL_MS = 100;

export class VmManager implements Omit<VmBackend, "create">, AsyncDisposable {
  readonly #options: VmManagerOptions;
  readonly #store: VmStore;
  readonly #members: Members;
  readonly #reports: Reports;
  readonly #sync: SettingsSync;
  readonly #incoming: Incoming;
  readonly #actions: Actions;
  readonly #consoles: Consoles;
  readonly #watch: Disposable;
  readonly #listeners = new Set<() => void>();
  /** Of the other node's measurements the time of the last one that was kept. */
  readonly #sampled = new Map<string, number>();
  #lines = "";
  #telling: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  private constructor(options: VmManagerOptions) {
    const { peer, places } = options;
    this.#options = options;
    this.#store = new VmStore(`${places.data}/vms`);
    this.#members = new Members({
      manager: options,
      store: this.#store,
      theirs: (uuid) => this.#reports.theirs(uuid),
      absent: (uuid) => this.#reports.absent(uuid),
      onChange: () => this.#changed(),
      change: (name, change) => this.#change(name, change),
    });
    this.#reports = new Reports({
      peer,
      mine: () => ({ node: options.node().name, vms: this.#members.reports() }),
      onTheirs: (vms) => {
        for (const report of vms ?? []) this.#heard(report);
        this.#tellSoon();
      },
    });
    this.#incoming = new Incoming({
      store: this.#store,
      members: this.#members,
      run: places.run,
      rules: this.#rules(),
      changed: () => {
        this.#sync.changed();
        this.#changed();
      },
    });
    this.#sync = new SettingsSync({
      store: this.#store,
      peer,
      id: () => options.node().id,
      runsHere: (name) => this.#members.runsHere(name),
      take: (record) => this.#incoming.take(record),
      remove: (stone) => this.#incoming.remove(stone),
      warn: (name, text) => this.#members.warn(name, text),
      onChange: () => this.#changed(),
    });
    this.#actions = new Actions({
      store: this.#store,
      members: this.#members,
      peer,
      node: options.node,
      configured: () => options.pairSettings() !== null,
      privileged: options.privileged ?? (() => Deno.uid() === 0),
      change: (name, change) => this.#change(name, change),
      share: () => this.#sync.share(),
      until: (seen, bound_ms) =>
        untilSeen(seen, { bound_ms, watch: (look) => this.onChange(look), over: () => this.#closed }),
      now: () => this.#now(),
    });
    this.#consoles = new Consoles({
      peer,
      runDir: (name) => `${places.run}/${name}`,
      dataDir: (name) => this.directoryOf(name),
      place: (name) => {
        const { holder, here } = this.#members.situation(name);
        return holder === null ? null : holder === here ? "here" : "there";
      },
    });
    peer.answer(LOGS.method, (params) => {
      const { name, lines } = LOGS.question.parse(params);
      return this.#logsHere(name, lines);
    });
    this.#watch = peer.onChange(() => this.pairChanged());
  }

  /** Reads the settings, adopts the runners that run, starts those that should. */
  static async open(options: VmManagerOptions): Promise<VmManager> {
    const manager = new VmManager(options);
    for (const { name, why } of manager.#store.problems) {
      manager.#members.tell(name, "critical", {
        code: "vm.alarm",
        params: { text: `The settings of this VM cannot be read, it is left alone: ${why}` },
      });
    }
    await manager.#members.open();
    manager.#sync.begin();
    return manager;
  }

  /** All VMs, by name. Costs nothing. */
  views(): VmView[] {
    return this.#store.all().map(({ record }) => this.#members.view(record.name));
  }

  /** What the runners of both nodes say; the other node's: null when it is not heard. For the picture of lines and arbiter. */
  reports(): { here: VmReport[]; there: VmReport[] | null } {
    return { here: this.#members.reports(), there: this.#reports.all() };
  }

  /** First ports of the VMs: each has four. */
  ports(): number[] {
    return this.#store.all().flatMap(({ record }) => record.number === null ? [] : [portOf(record.number)]);
  }

  /** Why the other node may not be replaced now; null: it may. */
  whyNotReplace(): string | null {
    return this.#members.whyNotReplace();
  }

  /** Why the pair's settings do not go together with VMs that run here; null: they do. */
  unfit(settings: PairSettings, options: { all: boolean }): string | null {
    return this.#members.relinking.unfit(settings, {
      ...options,
      alone: this.#members.reports().filter(({ phase }) => phase === "solo").map(({ name }) => name),
    });
  }

  /** Called when a view may have changed, at most a few times a second. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** The directory for a VM's images. Absolute. */
  directoryOf(name: string): string {
    return this.#store.place(vmName.parse(name));
  }

  /** Checks a VM before its disks are made: name, settings. Throws ProblemError with every field that is wrong. */
  checkNew(vm: VmCreate, actor: Actor): void {
    const elsewhere = this.#reports.all()?.map(({ name }) => name) ?? [];
    checkNewVm(vm, { views: this.views(), elsewhere, isBridge: this.#options.isBridge });
    checkNewFiles(vm, { rules: this.#rules(), actor });
  }

  /** Adds a VM whose disks are there, and makes empty ones of the same size on the other node; starts it if that is wanted. */
  async add(vm: VmCreate, made: readonly FinishedDisk[], actor: Actor): Promise<VmView> {
    this.checkNew(vm, actor);
    const { name } = vm;
    const { record, spec } = newRecord(vm, made, { by: this.#options.node().id, at: this.#at() });
    this.#store.put(record);
    this.#store.note(name, { images: servedDisks(spec, this.#store.directory).map(({ image }) => image) });
    await this.#members.add(name);
    this.#members.tell(name, "info", { code: "vm.created", actor });
    await this.#sync.share();
    if (vm.start) await this.#startMade(name, actor);
    return this.#members.view(name);
  }

  /** That it does not start is no reason to unmake it. */
  async #startMade(name: string, actor: Actor): Promise<void> {
    try {
      await this.act(name, "start", actor);
    } catch (error) {
      this.#members.warn(name, `It was made, and is not started: ${errorText(error).slice(0, 800)}`);
    }
  }

  async act(
    name: string,
    action: Exclude<VmAction, "delete" | "switchover">,
    actor: Actor,
  ): Promise<{ detail: string }> {
    this.#known(name);
    const { detail } = await this.#actions.act(name, action, actor);
    await this.#reports.exchange();
    return { detail };
  }

  async switchover(name: string, actor: Actor): Promise<SwitchoverView> {
    this.#known(name);
    const { switchover } = await this.#actions.act(name, "switchover", actor);
    await this.#reports.exchange();
    if (switchover !== null) return switchover;
    throw new ProblemError("failed", explained("vm.no_switchover_word"));
  }

  async remove(name: string, options: { disks: boolean }, actor: Actor): Promise<void> {
    const { record } = this.#known(name);
    const { ok, why } = this.#members.view(name).actions.delete ?? { ok: false, why: "" };
    if (!ok) {
      throw new ProblemError("refused", explained("vm.not_deleted", { name, why }));
    }
    const kept = await this.#incoming.forget({
      uuid: record.uuid,
      name,
      at: this.#at(),
      disks: options.disks,
    });
    const params = { disks: kept === null ? "deleted" : `kept, in ${kept}` };
    this.#members.tell(name, "warning", { code: "vm.deleted", params, actor });
    await this.#sync.share();
  }

  async update(
    name: string,
    patch: { revision: number; spec: Record<string, unknown> },
    actor: Actor,
  ): Promise<VmView> {
    const { record } = this.#known(name);
    if (patch.revision !== record.revision) {
      throw new ProblemError(
        "conflict",
        explained("vm.revision", {
          name,
          found: `${record.revision}`,
          wanted: `${patch.revision}`,
        }),
      );
    }
    const { text, spec, keys } = patchFile(record.file, patch.spec);
    if (keys.length === 0) return this.#members.view(name);
    const before = [specOf(record.file), specOf(record.active)];
    if (actor !== LOCAL_ACTOR) checkFiles(spec, { name, rules: this.#rules(), before });
    const served = servedDisks(spec, this.#store.directory);
    const had = before.flatMap((one) => one === null ? [] : servedDisks(one, this.#store.directory));
    for (const { image } of served) {
      if (!had.some((disk) => disk.image === image)) this.#options.disks.check?.(image);
    }
    const disks = served.map(({ image }) => imageBytes(image));
    this.#store.note(name, { images: served.map(({ image }) => image) });
    // What the runners of both nodes read stays as it is while there are any.
    this.#change(name, { file: text, disks, ...(record.wanted.running ? {} : { active: text }) });
    this.#members.tell(name, "info", { code: "vm.changed", params: { keys: keys.join(", ") }, actor });
    await this.#sync.share();
    return this.#members.view(name);
  }

  file(name: string): Promise<string> {
    return Promise.resolve(this.#known(name).record.file);
  }

  async logs(name: string, { lines }: { lines: number }): Promise<string[]> {
    this.#known(name);
    const here = await this.#logsHere(name, lines);
    return await logLines({ here, name, lines, peer: this.#options.peer, node: this.#options.node().name });
  }

  switchovers(name: string): Promise<SwitchoverView[]> {
    return Promise.resolve(this.#known(name).local.switchovers.toReversed());
  }

  history(
    name: string,
    options: { from_ms: number; to_ms: number; points: number },
  ): Promise<VmSample[]> {
    this.#known(name);
    return this.#options.history?.(name, options) ?? Promise.resolve([]);
  }

  async openConsole(name: string, kind: "serial" | "screen"): Promise<Duplex> {
    this.#known(name);
    return await this.#consoles.open(name, kind);
  }

  /** The pair's settings or the other node changed. */
  pairChanged(): void {
    this.#sync.changed();
    const lines = JSON.stringify(this.#options.pairSettings());
    this.#members.lookAll({ afresh: lines !== this.#lines });
    this.#lines = lines;
    this.#changed();
  }

  /** Lets go of the runners, which go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    clearTimeout(this.#telling);
    await this.#sync[Symbol.asyncDispose]();
    await this.#reports[Symbol.asyncDispose]();
    await this.#consoles[Symbol.asyncDispose]();
    await this.#incoming.settled();
    await this.#members[Symbol.asyncDispose]();
    this.#listeners.clear();
  }

  /** The other node has a VM: it need not begin here any more, and its measurements are kept on both. */
  #heard({ name, uuid, sample, phase }: VmReport): void {
    const kept = this.#store.get(name);
    if (kept?.record.uuid !== uuid || !hasVm(phase)) return;
    if (kept.local.begin && phase !== "starting") this.#store.note(name, { begin: false });
    if (sample === null || sample.t_ms === this.#sampled.get(name)) return;
    this.#sampled.set(name, sample.t_ms);
    this.#options.recorder.sample(name, sample);
  }

  #rules(): FileRules {
    return { directory: this.#store.directory, images: this.#options.images ?? [] };
  }

  #known(name: string) {
    const kept = this.#store.get(name);
    if (kept === undefined) throw missing(name);
    return kept;
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  #at(): string {
    return new Date(this.#now()).toISOString();
  }

  #logsHere(name: string, lines: number): Promise<string[]> {
    return this.#members.launcher.log({ vm: name, log: `${this.directoryOf(name)}/runner.log` }, lines);
  }

  /** A change of settings by this node. */
  #change(name: string, change: Partial<VmRecord>): void {
    const { record } = this.#known(name);
    const by = this.#options.node().id;
    this.#store.put({ ...record, ...change, revision: record.revision + 1, by, at: this.#at() });
    this.#members.get(name).look();
    this.#sync.changed();
    this.#changed();
  }

  #changed(): void {
    if (this.#closed) return;
    this.#reports.changed();
    this.#tellSoon();
  }

  #tellSoon(): void {
    if (this.#closed) return;
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      void this.#consoles.follow(this.#members.running());
      for (const listener of [...this.#listeners]) listener();
    }, TELL_MS);
  }
}
