/** A Backend that tests steer: what it shows is data (fake_data.ts), each call is written down, and any can be made to fail. */

import type { AlertSettings } from "../../lib/model/alerts.ts";
import type { Actor, Backend, Change, Duplex, Snapshot } from "../../lib/model/backend.ts";
import type { DoctorView } from "../../lib/model/doctor.ts";
import { english } from "../../lib/model/english.ts";
import type { EventQuery, EventView, NewEvent } from "../../lib/model/event.ts";
import type { PairSettings, PairView } from "../../lib/model/node.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { homeVerdict, whatIf } from "../../lib/model/verdicts.ts";
import type { JobView, SwitchoverView, VmAction, VmCreate, VmSample, VmView } from "../../lib/model/vm.ts";
import { fakeInterfaces, fakeSample, fakeSnapshot, fakeSwitchovers, NOW_MS } from "./fake_data.ts";
import { fakeFile, fakePatch } from "./fake_file.ts";
import { fakeAlertSettings, fakeDoctor, fakeEvents } from "./fake_story.ts";

/** A call that was made: "vm.act", "pair.invite", ... */
export interface Call {
  method: string;
  args: unknown[];
  actor: Actor | null;
}

/** A console that answers each byte with itself. */
function echo(): Duplex {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  return {
    readable,
    writable,
    async [Symbol.asyncDispose]() {
      await readable.cancel().catch(() => {});
    },
  };
}

/** See above. `state` may be changed at will, then `push()` tells those who listen. */
export class FakeBackend implements Backend {
  state: Snapshot = fakeSnapshot();
  eventList: EventView[] = fakeEvents();
  switchoverList: SwitchoverView[] = fakeSwitchovers();
  alertSettings: AlertSettings = fakeAlertSettings();
  doctorView: DoctorView = fakeDoctor();
  /** What was called, oldest first. */
  readonly calls: Call[] = [];
  /** A method named here throws instead. "vm.act" etc. */
  readonly failures: Map<string, ProblemError> = new Map();
  readonly #listeners = new Set<(change: Change) => void>();

  /** What time it is. Stands still unless it is moved. */
  clock_ms = NOW_MS;

  nowMs(): number {
    return this.clock_ms;
  }

  snapshot(): Snapshot {
    return structuredClone(this.state);
  }

  subscribe(listener: (change: Change) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** How many listen now. */
  get listening(): number {
    return this.#listeners.size;
  }

  /** Changes the snapshot, and tells it. The sentences follow, unless they are given. */
  push(change: Partial<Snapshot> = {}): void {
    const next = { ...this.state, ...change, revision: this.state.revision + 1 };
    this.state = { ...next, home: change.home ?? homeVerdict(next), what_if: change.what_if ?? whatIf(next) };
    this.#tell({ kind: "snapshot", snapshot: this.snapshot() });
  }

  /** Something happens. */
  pushEvent(event: NewEvent): EventView {
    const made: EventView = {
      ...event,
      text: event.text ?? english(event),
      id: (this.eventList[0]?.id ?? 0) + 1,
      at: new Date(this.nowMs()).toISOString(),
      node: this.state.nodes[0]!.name,
    };
    this.eventList.unshift(made);
    this.#tell({ kind: "event", event: made });
    return made;
  }

  pushSample(vm: string, sample: VmSample): void {
    this.#tell({ kind: "sample", vm, sample });
  }

  /** Changes one VM, and tells it. */
  pushVm(name: string, change: Partial<VmView>): void {
    this.push({ vms: this.state.vms.map((vm) => vm.name === name ? { ...vm, ...change } : vm) });
  }

  /** As it was made. */
  reset(): void {
    this.eventList = fakeEvents();
    this.switchoverList = fakeSwitchovers();
    this.alertSettings = fakeAlertSettings();
    this.doctorView = fakeDoctor();
    this.clock_ms = NOW_MS;
    this.failures.clear();
    this.push(fakeSnapshot());
  }

  /** All that runs is protected. */
  allGood(): void {
    const vms = this.state.vms.map((vm): VmView =>
      vm.state !== "syncing"
        ? vm
        : { ...vm, state: "protected", sync: null, verdict: this.state.vms[0]!.verdict }
    );
    this.push({ vms, jobs: [], alerts: [] });
  }

  /** A node that was just installed. */
  unpaired(): void {
    const [self] = this.state.nodes;
    const pair: PairView = { pairing: { step: "none" }, settings: null, paths: [], arbiter: null };
    this.eventList = [];
    this.push({ nodes: [self!], vms: [], jobs: [], alerts: [], pair });
  }

  /** The other node is gone: paths are down, and what it said is not known any more. */
  losePeer(): void {
    const at = new Date(this.nowMs() - 45_000).toISOString();
    const [self, peer] = this.state.nodes;
    const name = peer!.name;
    this.push({
      nodes: [self!, { ...peer!, reachable: false, since: at, memory_free_mib: null, clock_offset_ms: null }],
      pair: {
        ...this.state.pair,
        paths: this.state.pair.paths.map((path) => ({
          ...path,
          state: "down",
          since: at,
          rtt_us: null,
          active: false,
        })),
      },
      vms: this.state.vms.map((vm) =>
        vm.runs_on === null ? vm : {
          ...vm,
          state: "unprotected",
          backup_on: null,
          sync: null,
          verdict: {
            severity: "warning",
            said: { code: "state.unprotected", params: { node: self!.name } },
            since: at,
            next: { code: "next.check_peer", params: { node: name } },
          },
        }
      ),
    });
  }

  #tell(change: Change): void {
    for (const listener of [...this.#listeners]) listener(change);
  }

  #called(method: string, args: unknown[], actor: Actor | null = null): void {
    this.calls.push({ method, args, actor });
    const failure = this.failures.get(method);
    if (failure !== undefined) throw failure;
  }

  #vm(name: string): VmView {
    const vm = this.state.vms.find((vm) => vm.name === name);
    if (vm === undefined) {
      throw new ProblemError("not_found", {
        detail: `there is no VM "${name}"`,
        hint: "Look at the list of VMs.",
      });
    }
    return vm;
  }

  #may(name: string, action: VmAction): VmView {
    const vm = this.#vm(name);
    if (!vm.actions[action].ok) {
      throw new ProblemError("refused", {
        detail: `${name} cannot ${action}: ${vm.actions[action].why}`,
        hint: "Do that first.",
      });
    }
    return vm;
  }

  #pair(method: string, pairing: PairView["pairing"], actor: Actor): Promise<PairView> {
    this.#called(method, [], actor);
    this.push({ pair: { ...this.state.pair, pairing } });
    return Promise.resolve(structuredClone(this.state.pair));
  }

  readonly vm: Backend["vm"] = {
    create: (vm: VmCreate, actor) => {
      this.#called("vm.create", [vm], actor);
      if (this.state.vms.some(({ name }) => name === vm.name)) {
        throw new ProblemError("exists", {
          detail: `there is a VM "${vm.name}" already`,
          hint: "Choose another name.",
          fields: [{ key: "name", problem: "it is taken" }],
        });
      }
      const job: JobView = {
        id: `job-${8 + this.state.jobs.length}`,
        kind: vm.disks.some((disk) => disk.kind === "import") ? "import" : "create",
        subject: vm.name,
        state: "running",
        done: 0,
        total: 100,
        unit: "steps",
        rate_per_s: null,
        eta_s: null,
        started: new Date(this.nowMs()).toISOString(),
        ended: null,
        error: null,
      };
      this.push({ jobs: [job, ...this.state.jobs] });
      return Promise.resolve(job);
    },
    act: (name, action, actor) => {
      this.#called("vm.act", [name, action], actor);
      this.#may(name, action);
      return Promise.resolve({ detail: `${action} of ${name} is done` });
    },
    switchover: (name, actor) => {
      this.#called("vm.switchover", [name], actor);
      const vm = this.#may(name, "switchover");
      const done: SwitchoverView = {
        at: new Date(this.nowMs()).toISOString(),
        by: actor,
        from: vm.runs_on!,
        to: vm.backup_on!,
        pause_ms: 41,
        ok: true,
        detail: "",
      };
      this.switchoverList.unshift(done);
      this.pushVm(name, { runs_on: done.to, backup_on: done.from, here: "backup", last_switchover: done });
      return Promise.resolve(done);
    },
    remove: (name, options, actor) => {
      this.#called("vm.remove", [name, options], actor);
      this.#may(name, "delete");
      this.push({ vms: this.state.vms.filter((vm) => vm.name !== name) });
      return Promise.resolve();
    },
    update: (name, patch, actor) => {
      this.#called("vm.update", [name, patch], actor);
      const vm = this.#vm(name);
      if (patch.revision !== vm.revision) {
        throw new ProblemError("conflict", {
          detail: `revision ${patch.revision} was changed; the settings are at revision ${vm.revision}`,
          hint: "Load the page again, and look at what was changed.",
        });
      }
      this.pushVm(name, { ...fakePatch(vm, patch.spec), revision: vm.revision + 1 });
      return Promise.resolve(this.#vm(name));
    },
    file: (name) => {
      this.#called("vm.file", [name]);
      return Promise.resolve(fakeFile(this.#vm(name)));
    },
    logs: (name, { lines }) => {
      this.#called("vm.logs", [name, { lines }]);
      this.#vm(name);
      const text = ["runner: primary of term 12", "runner: line a is up", "qemu: -netdev stream: connected"];
      return Promise.resolve(text.slice(-lines));
    },
    switchovers: (name) => {
      this.#called("vm.switchovers", [name]);
      this.#vm(name);
      return Promise.resolve(name === "press-1" ? structuredClone(this.switchoverList) : []);
    },
    history: (name, { from_ms, to_ms, points }) => {
      this.#called("vm.history", [name, { from_ms, to_ms, points }]);
      if (this.#vm(name).runs_on === null) return Promise.resolve([]);
      const end = Math.min(to_ms, this.nowMs());
      const start = Math.max(from_ms, this.nowMs() - 7 * 86_400_000);
      const step = Math.max(1000, Math.ceil((end - start) / Math.max(1, points) / 1000) * 1000);
      const samples: VmSample[] = [];
      for (let t = start; t <= end && samples.length < points; t += step) samples.push(fakeSample(t));
      return Promise.resolve(samples);
    },
    openConsole: (name, kind) => {
      this.#called("vm.openConsole", [name, kind]);
      this.#vm(name);
      return Promise.resolve(echo());
    },
  };

  readonly pair: Backend["pair"] = {
    invite: (actor) =>
      this.#pair("pair.invite", {
        step: "inviting",
        code: "K7QD-M3XR",
        expires: new Date(this.nowMs() + 600_000).toISOString(),
        addresses: ["192.168.40.11:7811", "10.77.1.1:7811"],
      }, actor),
    join: ({ address }, actor) => this.#pair("pair.join", { step: "joining", address }, actor),
    confirm: (actor) =>
      this.#pair("pair.confirm", {
        step: "paired",
        peer_name: "press-b",
        peer_id: this.state.nodes[1]?.id ?? "M2RB-9VKC-44TN-J7QE-XH6P-18",
        since: new Date(this.nowMs()).toISOString(),
      }, actor),
    cancel: (actor) => this.#pair("pair.cancel", { step: "none" }, actor),
    remove: (actor) => this.#pair("pair.remove", { step: "none" }, actor),
    replace: (actor) => this.#pair("pair.replace", { step: "none" }, actor),
    rotate: (actor) => this.#pair("pair.rotate", this.state.pair.pairing, actor),
    configure: (settings: PairSettings, actor) => {
      this.#called("pair.configure", [settings], actor);
      this.push({ pair: { ...this.state.pair, settings } });
      return Promise.resolve(structuredClone(this.state.pair));
    },
    suggest: () => {
      this.#called("pair.suggest", []);
      const proposals = structuredClone(this.state.pair.settings);
      return Promise.resolve({ interfaces: fakeInterfaces(), proposals });
    },
  };

  readonly jobs: Backend["jobs"] = {
    list: () => structuredClone(this.state.jobs),
    cancel: (id, actor) => {
      this.#called("jobs.cancel", [id], actor);
      if (!this.state.jobs.some((job) => job.id === id)) {
        throw new ProblemError("not_found", { detail: `there is no job "${id}"`, hint: "It may be over." });
      }
      this.push({ jobs: this.state.jobs.map((job) => job.id === id ? { ...job, state: "cancelled" } : job) });
      return Promise.resolve();
    },
  };

  readonly events: Backend["events"] = {
    query: (query: EventQuery) => {
      this.#called("events.query", [query]);
      const wanted = this.eventList.filter((event) =>
        (query.before === undefined || event.id < query.before) &&
        (query.after === undefined || event.id > query.after) &&
        (query.severity === undefined || event.severity === query.severity) &&
        (query.subject === undefined || event.subject === query.subject) &&
        (query.name === undefined || event.name === query.name) &&
        (query.search === undefined || event.text.toLowerCase().includes(query.search.toLowerCase())) &&
        (query.since === undefined || event.at >= query.since) &&
        (query.until === undefined || event.at <= query.until)
      );
      return Promise.resolve(structuredClone(wanted.slice(0, query.limit)));
    },
  };

  readonly alerts: Backend["alerts"] = {
    settings: () => structuredClone(this.alertSettings),
    configure: (settings, actor) => {
      this.#called("alerts.configure", [settings], actor);
      this.alertSettings = structuredClone(settings);
      return Promise.resolve(this.alerts.settings());
    },
    test: (channel, actor) => {
      this.#called("alerts.test", [channel], actor);
      const known = this.alertSettings.channels.some(({ name }) => name === channel);
      return Promise.resolve(
        known
          ? { ok: true, detail: "250 accepted" }
          : { ok: false, detail: `there is no channel "${channel}"` },
      );
    },
  };

  doctor(options: { peer: boolean }): Promise<DoctorView> {
    this.#called("doctor", [options]);
    const [self] = this.state.nodes;
    const checks = this.doctorView.checks.filter(({ node }) => options.peer || node === self!.name);
    return Promise.resolve(structuredClone({ ...this.doctorView, checks }));
  }

  supportBundle(actor: Actor): Promise<ReadableStream<Uint8Array>> {
    this.#called("supportBundle", [], actor);
    return Promise.resolve(new Blob([new Uint8Array([0x1f, 0x8b, 8, 0])]).stream());
  }

  metrics(): Promise<string> {
    this.#called("metrics", []);
    return Promise.resolve("# TYPE iservft_up gauge\niservft_up 1\n");
  }

  config(): Promise<{ file: string; text: string }> {
    this.#called("config", []);
    return Promise.resolve({ file: "/etc/iservft-edge/serve.toml", text: 'listen = "0.0.0.0:8443"\n' });
  }
}
