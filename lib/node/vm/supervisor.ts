/** Keeps one VM's runner on this node running while the VM is wanted, whoever started it, and knows what it says. */

import { ControlClient } from "../../group/control_socket.ts";
import { metadataFile, MetadataStore } from "../../group/metadata.ts";
import type { EventCode } from "../../model/english.ts";
import type { Params, Severity } from "../../model/sentence.ts";
import type { VmSample } from "../../model/vm.ts";
import {
  type Launch,
  type Launcher,
  LOCKED,
  lockHolder,
  processId,
  readPidFile,
  rotate,
  RunnerProcess,
} from "./launcher.ts";
import { linesOf, type Look, sampleOf } from "./measure.ts";
import { hasVm } from "./phases.ts";
import { backOffMs, plan, type Step } from "./plan.ts";
import type { MetadataWord, VmRecord, VmReport } from "./records.ts";
import { reportOf, unixMs } from "./report_of.ts";
import { type RunnerEvent, RunnerLink, type RunnerStatus } from "./runner_link.ts";

const TICK_MS = 500;
/** A sample is taken over at least this. */
const SAMPLE_MS = 900;
/** After this a runner that ends again is not one that keeps failing. */
const WELL_MS = 60_000;
const LOG_BYTES = 4 * 1024 * 1024;
/** What was said to a runner is said again after this. */
const AGAIN_MS = 2000;

export interface SupervisorOptions {
  /** The VM's settings, as they are now; undefined: it was deleted. */
  record(): VmRecord | undefined;
  /** The VM is to begin on this node. */
  begin(): boolean;
  /** The VM was started anew, with other files than this node's runner has read. */
  outdated(): boolean;
  /** The pair has other lines, or another key, than this node's runner. */
  relinkDue(): boolean;
  /** Gives them to the runner, whose VM runs alone; never throws. */
  relink(): Promise<void>;
  launcher: Launcher;
  /** RUN/NAME and DATA/vms/NAME. */
  runDir: string;
  dataDir: string;
  /** Writes the host's file, and returns the command. Throws when the VM cannot run now. */
  prepare(): Promise<readonly string[]>;
  tell(severity: Severity, code: EventCode, params?: Params): void;
  /** A runner's event; `handed`: the other node says that it handed the VM over. */
  onEvent(event: RunnerEvent, handed: boolean): void;
  onSample(sample: VmSample): void;
  /** What `report` gives may have changed. */
  onChange(): void;
  /** The VM runs here, having begun. */
  onBegun(): void;
  /** The VM was here when this node looked last. */
  held(): boolean;
  onHeld(held: boolean): void;
  /** The VM has come here while this node did not look. */
  onTakenOver(): void;
  /** The VM ended in order: it is not to be started again. */
  onEnded(): void;
  now(): number;
}

/** FLAGS.HANDED of lib/group/types.ts: the other host yielded by a switchover. */
const HANDED = 16;

export class Supervisor implements AsyncDisposable {
  readonly name: string;
  readonly #options: SupervisorOptions;
  #process: RunnerProcess | null = null;
  #link: RunnerLink | null = null;
  #failures = 0;
  #failed = "";
  /** The failure that was told last. */
  #told = "";
  #started_ms = 0;
  #start_at_ms = 0;
  #unwanted_since_ms: number | null = null;
  /** The runner told that the VM ended in order. */
  #stopped = false;
  #signalled = false;
  /** This runner had the VM when it said something last; one that was adopted, when the service before this one heard it. */
  #had = false;
  /** It was adopted, and has not said yet what happened while nobody looked. */
  #unseen = false;
  #said: { step: Step; at_ms: number } = { step: null, at_ms: 0 };
  #look: Look | null = null;
  #sample: VmSample | null = null;
  #lines: ReturnType<typeof linesOf> = [];
  /** When the phase began: by the runner's clock, and by ours, which is read once so that it does not waver. */
  #since = { us: -1, ms: 0 };
  #metadata: MetadataWord | null = null;
  #timer: ReturnType<typeof setInterval> | undefined;
  #ticking: Promise<void> | null = null;
  #closed = false;

  constructor(name: string, options: SupervisorOptions) {
    this.name = name;
    this.#options = options;
  }

  /** Adopts the runner that runs, if one does, and begins to look after it. */
  async open(): Promise<void> {
    this.#metadata = this.#readMetadata();
    const running = await this.#find();
    if (running !== null) {
      this.#take(running);
      this.#unseen = true;
      this.#had = this.#options.held();
      this.#options.tell("info", "vm.runner_adopted");
    } else if (this.#options.held() && this.#metadata?.role === "stopped") {
      this.#options.onEnded(); // while nobody looked
    }
    this.#timer = setInterval(() => this.look(), TICK_MS);
    this.look();
  }

  /** Looks now what is to be done. */
  look(): void {
    if (this.#closed || this.#ticking !== null) return;
    this.#ticking = this.#tick().catch((error) => this.#fail(messageOf(error)))
      .finally(() => this.#ticking = null);
  }

  get running(): boolean {
    return this.#process !== null;
  }

  /** The VM is here, as far as is known: it does not go away because its runner stands still for a moment. */
  get hasVm(): boolean {
    return this.#process !== null && this.#had;
  }

  get status(): RunnerStatus | null {
    return this.#link?.status ?? null;
  }

  /** Says a command to the runner. Throws RefusedError when it refuses, EdgeError when it does not answer. */
  async call(command: string, options: Record<string, unknown> = {}): Promise<unknown> {
    if (this.#link !== null) return await this.#link.call(command, options);
    using client = await ControlClient.connect(`${this.#options.runDir}/runner.sock`);
    return await client.call(command, options);
  }

  /** What this node has to say of the VM; null: it was deleted. */
  report(): VmReport | null {
    const record = this.#options.record();
    if (record === undefined) return null;
    return reportOf({
      record,
      runs: this.#process !== null,
      status: this.status,
      recent: this.#options.now() - this.#started_ms < 10_000,
      failed: this.#failed,
      since_ms: this.#since.ms,
      metadata: this.#metadata,
      sample: this.#sample,
      lines: this.#lines,
    });
  }

  /** Forgets earlier failures: somebody wants it to be tried now. */
  afresh(): void {
    this.#failures = 0;
    this.#failed = "";
    this.#told = "";
    this.#start_at_ms = 0;
    this.look();
  }

  /** Resolves with true once no runner runs, with false after `bound_ms`. */
  async gone(bound_ms: number): Promise<boolean> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), bound_ms));
    const gone = (this.#process?.ended ?? Promise.resolve(null)).then(() => true);
    return await Promise.race([gone, late]).finally(() => clearTimeout(timer));
  }

  /** Lets go of the runner, which goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#process?.letGo();
    await this.#ticking;
    await this.#link?.[Symbol.asyncDispose]();
  }

  async #tick(): Promise<void> {
    const record = this.#options.record();
    if (record === undefined) return;
    const { wanted } = record;
    const now_ms = this.#options.now();
    this.#unwanted_since_ms = wanted.running ? null : this.#unwanted_since_ms ?? now_ms;
    rotate(`${this.#options.dataDir}/runner.log`, LOG_BYTES);
    if (this.#process !== null && now_ms - this.#started_ms > WELL_MS) this.#failures = 0;
    const step = plan({
      runs: this.#process !== null,
      wanted,
      begin: this.#options.begin(),
      outdated: this.#options.outdated(),
      relink: this.status?.phase === "solo" && this.#options.relinkDue(),
      status: this.status,
      now_ms,
      start_at_ms: this.#start_at_ms,
      unwanted_since_ms: this.#unwanted_since_ms,
    });
    if (step === null) return;
    if (step === "begun") return this.#options.onBegun();
    if (step === "start") return await this.#start();
    if (this.#said.step === step && now_ms - this.#said.at_ms < AGAIN_MS) return;
    this.#said = { step, at_ms: now_ms };
    if (step === "end" || step === "kill") {
      this.#signalled = true;
      return this.#process?.signal(step === "end" ? "SIGTERM" : "SIGKILL");
    }
    if (step === "relink") return await this.#options.relink();
    // Refused: it is looked at again with the next status.
    await this.call(step === "begin" ? "start" : step).catch(() => {});
  }

  async #start(): Promise<void> {
    const { launcher } = this.#options;
    const again = this.#failures > 0;
    const running = await this.#find();
    if (running !== null) return this.#take(running);
    const launch = this.#launch(await this.#options.prepare());
    Deno.mkdirSync(this.#options.runDir, { recursive: true, mode: 0o711 });
    this.#take(await launcher.start(launch));
    if (again) this.#options.tell("warning", "vm.runner_restarted", { why: this.#failed || "not known" });
  }

  #launch(words: readonly string[]): Launch {
    const { runDir, dataDir } = this.#options;
    return {
      vm: this.name,
      words,
      log: `${dataDir}/runner.log`,
      lock: `${runDir}/runner.lock`,
      pidFile: `${runDir}/runner.pid`,
    };
  }

  /** The runner that runs, by its pid file, its lock or its socket. */
  async #find(): Promise<RunnerProcess | null> {
    const { pidFile, lock } = this.#launch([]);
    const known = readPidFile(pidFile) ?? lockHolder(lock) ?? await this.#ask();
    return known === null ? null : RunnerProcess.adopt(known);
  }

  async #ask() {
    try {
      using client = await ControlClient.connect(`${this.#options.runDir}/runner.sock`);
      const { pid } = await client.call("status") as RunnerStatus;
      return pid === undefined ? null : processId(pid);
    } catch {
      return null; // nobody listens
    }
  }

  #take(process: RunnerProcess): void {
    this.#process = process;
    this.#started_ms = this.#options.now();
    this.#stopped = false;
    this.#signalled = false;
    this.#had = false;
    this.#link = new RunnerLink({
      socket: `${this.#options.runDir}/runner.sock`,
      onEvent: (event) => this.#heard(event),
      onStatus: (status) => this.#learn(status),
    });
    process.ended.then((code) => this.#over(process, code));
    this.#options.onChange();
  }

  async #over(process: RunnerProcess, code: number | null): Promise<void> {
    if (this.#closed || this.#process !== process) return;
    const link = this.#link;
    this.#process = null;
    this.#link = null;
    this.#look = null;
    this.#sample = null;
    this.#lines = [];
    this.#start_at_ms = Infinity; // until it is known why
    await link?.[Symbol.asyncDispose]();
    this.#metadata = this.#readMetadata();
    const record = this.#options.record();
    if (record?.wanted.running === false && this.#options.held()) this.#options.onHeld(false);
    const inOrder = this.#stopped || (code === 0 && !this.#signalled && this.#metadata?.role === "stopped");
    this.#start_at_ms = this.#options.now() + (code === LOCKED ? 1000 : 0);
    if (record?.wanted.running === true && code !== LOCKED && !this.#signalled) {
      if (inOrder) this.#options.onEnded();
      else {
        this.#start_at_ms = Infinity;
        this.#fail(await this.#whyEnded(code));
      }
    }
    this.#options.onChange();
    this.look();
  }

  async #whyEnded(code: number | null): Promise<string> {
    const lines = await this.#options.launcher.log(this.#launch([]), 3).catch(() => []);
    const said = lines.findLast((line) => /error|refused/i.test(line))?.replace(/^\S+Z /, "");
    // What it said of its VM's end says more than that it ended.
    return said ?? (this.#failed || (code === null ? "it ended" : `it ended with code ${code}`));
  }

  #fail(why: string): void {
    this.#failures++;
    this.#start_at_ms = this.#options.now() + backOffMs(this.#failures);
    // Once it is in place again within a second there is nothing more to tell than that.
    if (this.#failures > 1 && why !== this.#told) {
      this.#told = why;
      this.#options.tell("critical", "vm.failed", { why: why.slice(0, 500) });
    }
    this.#failed = why.slice(0, 1000);
    this.#options.onChange();
  }

  #heard(event: RunnerEvent): void {
    if (event.event === "state" && event["to"] === "stopped") {
      const { why } = event["phase"] as { why?: string };
      if (event["from"] === "stopping") this.#stopped = true;
      else this.#failed = why ?? "";
    }
    const peer = this.status?.peer;
    this.#options.onEvent(event, peer != null && (peer.flags & HANDED) !== 0);
    this.#options.onChange();
  }

  #learn(status: RunnerStatus | null): void {
    if (status !== null) this.#measure(status);
    if (status !== null && status.since_us !== this.#since.us) {
      this.#since = { us: status.since_us, ms: unixMs(status.since_us, this.#options.now()) };
    }
    if (status !== null) {
      const held = hasVm(status.phase) || status.phase === "stopping";
      if (this.#unseen && held && !this.#options.held() && !this.#options.begin()) {
        this.#options.onTakenOver();
      }
      this.#unseen = false;
      this.#had = held;
      if (held !== this.#options.held()) this.#options.onHeld(held);
      if (held && status.phase !== "starting") this.#failed = "";
    }
    this.#options.onChange();
    this.look();
  }

  #measure({ engine, phase, metadata }: RunnerStatus): void {
    this.#metadata = metadata;
    const after = { at_ms: performance.now(), engine };
    const before = this.#look;
    if (before !== null && after.at_ms - before.at_ms < SAMPLE_MS) return;
    this.#look = after;
    this.#lines = linesOf(before, after);
    if (before === null || !hasVm(phase)) {
      this.#sample = null;
      return;
    }
    this.#sample = sampleOf(before, after, this.#options.now());
    this.#options.onSample(this.#sample);
  }

  #readMetadata(): MetadataWord | null {
    try {
      const newest = new MetadataStore(metadataFile(`${this.#options.dataDir}/group.meta`)).newest;
      if (newest === null) return null;
      const { role, copy, term, generation } = newest;
      return { role, copy, term, generation };
    } catch {
      return null; // the runner says what is wrong with it
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
