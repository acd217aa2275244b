/** A node as the page, the API and the command line see it: its parts put together (model/backend.ts). It decides nothing about VMs. */

import { z } from "zod";
import type { AlerterContract, ObserverContract } from "../observe/contracts.ts";
import type { Actor, Backend, Change, PairBackend, Snapshot, VmBackend } from "../model/backend.ts";
import type { CheckView, DoctorView } from "../model/doctor.ts";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { JobView, VmCreate } from "../model/vm.ts";
import { type ArbiterView, arbiterView } from "../model/node.ts";
import type { ArbiterWatch } from "./arbiter_watch.ts";
import type { Jobs } from "./contracts.ts";
import { type NodeFacts, nodeFacts } from "./facts.ts";
import type { PairControl } from "./pairing/types.ts";
import { ofBoth, picture } from "./picture.ts";
import type { FinishedDisk, VmManager } from "./vm/manager.ts";

/** A snapshot is made at most this often, and at least once a second. */
const TELL_MS = 250;
const LOOK_MS = 1000;
/** What is asked for is not older than this. */
const FRESH_MS = 50;
const PEER_MS = 3000;
const FACTS = "node.facts";

/** What a node tells the other one of itself. */
const peerAnswer = z.object({
  facts: nodeFacts,
  telling: z.array(z.string().max(300)).max(500),
  /** How it reaches who decides: it may have to take over. Left out by an older version. */
  arbiter: arbiterView.shape.state.nullable().optional(),
});
type PeerAnswer = z.infer<typeof peerAnswer>;

/** What prepares the disks of a new VM (disks/prepare.ts). */
export interface DiskWork {
  /** Bytes that are to be written, as far as is known before. */
  size(vm: VmCreate): Promise<number>;
  prepare(
    vm: VmCreate,
    directory: string,
    job: { progress(done: number, total?: number): void; signal: AbortSignal },
  ): Promise<FinishedDisk[]>;
  /** Removes what `prepare` made: nothing becomes of the VM. */
  discard(disks: readonly FinishedDisk[]): void;
}

/** The parts. The controller does not close them: who made them does. */
export interface ControllerParts {
  facts(): NodeFacts;
  pairing: PairControl;
  vms: VmManager;
  jobs: Jobs;
  disks: DiskWork;
  observer: ObserverContract;
  alerter: AlerterContract;
  arbiter: ArbiterWatch;
  doctor(options: { peer: boolean }): Promise<DoctorView>;
  supportBundle(backend: Backend): Promise<ReadableStream<Uint8Array>>;
  metrics(snapshot: Snapshot): string;
  config(): { file: string; text: string };
  /** Why the audit log is not whole; null: it is. */
  auditProblem(): string | null;
  now(): number;
}

export class Controller implements Backend, Disposable {
  readonly vm: VmBackend;
  readonly pair: PairBackend;
  readonly #parts: ControllerParts;
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #watches: Disposable[];
  readonly #timers: ReturnType<typeof setInterval>[];
  #snapshot: Snapshot;
  #said = "";
  #told_at = -Infinity;
  #peer: PeerAnswer | null = null;
  #checks: CheckView[] = [];
  #soon: ReturnType<typeof setTimeout> | null = null;
  #asking = false;

  constructor(parts: ControllerParts) {
    this.#parts = parts;
    this.vm = this.#vmBackend();
    this.pair = parts.pairing;
    const { pairing, vms, jobs, observer } = parts;
    pairing.channel.answer(FACTS, () => Promise.resolve(this.#answer()));
    this.#snapshot = { ...this.#picture(), revision: 1, at: this.#at() };
    const soon = () => this.#tellSoon();
    this.#watches = [
      pairing.onChange(soon),
      pairing.channel.onChange(() => {
        void this.#askPeer();
        soon();
      }),
      vms.onChange(soon),
      jobs.onChange(soon),
      observer.subscribe((seen) => this.#push(seen)),
    ];
    this.#timers = [
      setInterval(() => this.#tell(), LOOK_MS),
      setInterval(() => void this.#askPeer(), PEER_MS),
    ];
    void this.#askPeer();
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#soon !== null) clearTimeout(this.#soon);
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#listeners.clear();
  }

  snapshot(): Snapshot {
    // Who has just changed something sees it: a job that was begun is in the list, whatever was told a moment ago.
    if (this.#soon !== null || performance.now() - this.#told_at > FRESH_MS) {
      if (this.#soon !== null) clearTimeout(this.#soon);
      this.#soon = null;
      this.#tell();
    }
    return this.#snapshot;
  }

  subscribe(listener: (change: Change) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  get jobs(): Backend["jobs"] {
    const { jobs } = this.#parts;
    return { list: () => jobs.list(), cancel: (id) => Promise.resolve(jobs.cancel(id)) };
  }

  get events(): Backend["events"] {
    return { query: (query) => this.#parts.observer.query(query) };
  }

  get alerts(): Backend["alerts"] {
    const { alerter, observer } = this.#parts;
    return {
      settings: () => alerter.settings(),
      configure: async (settings, actor) => {
        const set = await alerter.configure(settings);
        observer.event({
          severity: "info",
          subject: "config",
          name: "",
          code: "config.changed",
          params: { keys: "alerts" },
          actor,
        });
        return set;
      },
      test: (channel) => alerter.test(channel),
    };
  }

  async doctor(options: { peer: boolean }): Promise<DoctorView> {
    const found = await this.#parts.doctor(options);
    this.#checks = found.checks;
    return found;
  }

  supportBundle(_actor: Actor): Promise<ReadableStream<Uint8Array>> {
    return this.#parts.supportBundle(this);
  }

  metrics(): Promise<string> {
    return Promise.resolve(this.#parts.metrics(this.#snapshot));
  }

  config(): Promise<{ file: string; text: string }> {
    return Promise.resolve(this.#parts.config());
  }

  #vmBackend(): VmBackend {
    const { vms } = this.#parts;
    return {
      create: (vm, actor) => this.#create(vm, actor),
      act: (name, action, actor) => vms.act(name, action, actor),
      switchover: (name, actor) => vms.switchover(name, actor),
      remove: (name, options, actor) => vms.remove(name, options, actor),
      update: (name, patch, actor) => vms.update(name, patch, actor),
      file: (name) => vms.file(name),
      logs: (name, options) => vms.logs(name, options),
      switchovers: (name) => vms.switchovers(name),
      history: (name, options) => vms.history(name, options),
      openConsole: (name, kind) => vms.openConsole(name, kind),
    };
  }

  async #create(vm: VmCreate, actor: Actor): Promise<JobView> {
    const { vms, jobs, disks, observer } = this.#parts;
    if (jobs.list().some((job) => job.subject === vm.name && job.state === "running")) {
      throw new ProblemError("conflict", explained("job.of_vm", { vm: vm.name }));
    }
    vms.checkNew(vm, actor);
    const kind = vm.disks.some((disk) => disk.kind === "import") ? "import" : "create";
    const total = await disks.size(vm);
    const { view, done } = jobs.start({ kind, subject: vm.name, unit: "bytes", total }, async (job) => {
      const made = await disks.prepare(vm, vms.directoryOf(vm.name), job);
      try {
        await vms.add(vm, made, actor);
      } catch (error) {
        disks.discard(made);
        throw error;
      }
    });
    const ended = (code: "job.done" | "job.failed", params: Record<string, string>) =>
      observer.event({
        severity: code === "job.done" ? "info" : "warning",
        subject: "job",
        name: vm.name,
        code,
        params: { kind, subject: vm.name, ...params },
        actor,
      });
    done.then(
      () => ended("job.done", {}),
      (error) => ended("job.failed", { why: String(error?.message ?? error) }),
    );
    return view;
  }

  #at(): string {
    return new Date(this.#parts.now()).toISOString();
  }

  #picture(): Omit<Snapshot, "revision" | "at"> {
    const { facts, pairing, vms, jobs, alerter } = this.#parts;
    const { channel } = pairing;
    const { here } = vms.reports();
    const peer = channel.peer === null ? null : {
      ...channel.peer,
      reachable: channel.reachable,
      since_ms: channel.since_ms,
      facts: this.#peer?.facts ?? null,
      clock_offset_ms: pairing.clockOffsetMs(),
    };
    return picture({
      facts: facts(),
      peer,
      pair: pairing.view(),
      arbiter: ofBoth(this.#arbiter(), {
        node: channel.peer?.name ?? "",
        state: channel.reachable ? this.#peer?.arbiter : null,
      }),
      vms: vms.views(),
      reports: here,
      jobs: jobs.list(),
      alerts: alerter.active(),
    });
  }

  /** Who decides, as this node reaches it. */
  #arbiter(): ArbiterView | null {
    const { arbiter, vms } = this.#parts;
    return arbiter.view(vms.reports().here.map((report) => report.arbiter));
  }

  #answer(): PeerAnswer {
    const { facts, alerter } = this.#parts;
    return {
      facts: facts(),
      telling: alerter.telling().slice(0, 500),
      arbiter: this.#arbiter()?.state ?? null,
    };
  }

  async #askPeer(): Promise<void> {
    const { channel } = this.#parts.pairing;
    if (channel.peer === null) {
      this.#peer = null;
      return;
    }
    if (this.#asking || !channel.reachable) return;
    this.#asking = true;
    try {
      this.#peer = peerAnswer.parse(await channel.call(FACTS, {}));
    } catch {
      // It is not heard, or of a version that says it otherwise: what it said before still stands.
    } finally {
      this.#asking = false;
    }
  }

  #tellSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      this.#tell();
    }, TELL_MS);
  }

  #tell(): void {
    const { alerter, auditProblem, pairing } = this.#parts;
    const made = this.#picture();
    this.#told_at = performance.now();
    // What changes by itself each second is no reason to tell everybody.
    const said = JSON.stringify({
      ...made,
      nodes: made.nodes.map((node) => ({ ...node, memory_free_mib: 0, disk_free_bytes: 0 })),
    });
    const changed = said !== this.#said;
    this.#said = said;
    this.#snapshot = { ...made, revision: this.#snapshot.revision + (changed ? 1 : 0), at: this.#at() };
    alerter.evaluate(this.#snapshot, {
      peer_telling: pairing.channel.reachable ? this.#peer?.telling ?? null : null,
      checks: this.#checks,
      audit: auditProblem(),
    });
    if (changed) this.#push({ kind: "snapshot", snapshot: this.#snapshot });
  }

  #push(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }
}
