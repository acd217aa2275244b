/** One simulated host: the real step() and the real metadata store in a model of the runner: its queue of slow work, its timers, its
 * death at any action, its freezing, its loss of power. */

import { hostProblem } from "../../lib/group/invariants.ts";
import { MetadataStore } from "../../lib/group/metadata.ts";
import { beginState, step } from "../../lib/group/step.ts";
import type { Action, GroupEvent, GroupState, Metadata, Settings, Step } from "../../lib/group/types.ts";
import { Chance } from "./clock.ts";
import { SimDesk } from "./desk.ts";
import { SimDisk, SimFile } from "./disk.ts";
import { SimEngine } from "./engine.ts";
import { SILENCE_MS, SimHeartbeats } from "./heartbeats.ts";
import type { World } from "./world.ts";

/** How the real decision is changed to a broken one. */
export interface Defect {
  /** Changes an event before the decision sees it; null: it is lost. */
  event?: (event: GroupEvent, host: SimHost) => GroupEvent | null;
  /** Changes an action before it is done; null: it is not done. */
  action?: (action: Action, host: SimHost) => Action | null;
  /** In place of step(). */
  step?: (state: GroupState, event: GroupEvent, real: typeof step) => Step;
  settings?: Partial<Settings>;
}

/** Where a process is to die: at its n-th action from now. */
export interface Deadline {
  action: number;
  when: "before" | "after" | "answer";
  power: boolean;
  /** ms until it comes back; null: when all is mended. */
  back: number | null;
}

const AFTER_MS = { takeover: SILENCE_MS, second: 1000, bound: 3000, minute: 60_000 } as const;

export class SimHost {
  readonly name: string;
  readonly chance: Chance;
  powered = true;
  running = false;
  frozen = false;
  state: GroupState;
  readonly file = new SimFile();
  readonly disk = new SimDisk();
  store: MetadataStore;
  heartbeats: SimHeartbeats;
  engine: SimEngine;
  desk: SimDesk;
  deadline: Deadline | null = null;
  /** How late timers fire: 1 is right. */
  timerFactor = 1;
  /** Milliseconds more for each write to this host's disks. */
  slowDisk = 0;
  /** The ladder wants output to leave before its commit. */
  wantsEarly = false;
  /** Metadata cannot be written. */
  writesFail = false;
  #life = 0;
  #backlog: (() => void)[] = [];
  #queue: GroupEvent[] = [];
  #stepping = false;
  #tasks: { falls: Action | null; work: (done: (answer: GroupEvent) => void) => void }[] = [];
  readonly #timers = new Map<string, number>();

  constructor(
    readonly world: World,
    readonly index: 0 | 1,
    readonly settings: Settings,
    readonly defect: Defect,
    seed: number,
  ) {
    this.name = index === 0 ? "A" : "B";
    this.chance = new Chance(seed, 2 + index);
    this.state = beginState(settings);
    this.store = new MetadataStore(this.file);
    this.engine = new SimEngine(this);
    this.heartbeats = new SimHeartbeats(this);
    this.desk = new SimDesk(this);
  }

  get peer(): SimHost {
    return this.world.hosts[1 - this.index] as SimHost;
  }

  get life(): number {
    return this.#life;
  }

  /** Output can leave now. */
  get voice(): boolean {
    return this.running && !this.frozen && this.engine.open;
  }

  /** Runs `run` in `ms` if this process still lives; when frozen, after it thaws. */
  later(ms: number, run: () => void): void {
    const life = this.#life;
    const guarded = () => {
      if (life !== this.#life) return;
      if (this.frozen) this.#backlog.push(guarded);
      else run();
    };
    this.world.clock.after(ms, guarded);
  }

  /** Something that was sent comes here, if the process that it was sent to still lives. */
  arrive(ms: number, take: (host: SimHost) => void): void {
    if (this.running) this.later(ms, () => take(this));
  }

  boot(start: boolean): void {
    this.#life++;
    this.running = true;
    this.frozen = false;
    this.#backlog = [];
    this.#queue = [];
    this.#stepping = false;
    this.#tasks = [];
    this.state = beginState({ ...this.settings, ...this.defect.settings });
    this.engine = new SimEngine(this);
    this.heartbeats = new SimHeartbeats(this);
    this.desk = new SimDesk(this);
    this.store = this.#readMetadata();
    // The journal is replayed and the image synced before the decision begins.
    this.later(this.chance.between(0.5, 3), () => {
      this.disk.synced(this.disk.pending);
      const { generation, epoch } = this.disk.content;
      this.dispatch({ kind: "begin", metadata: this.store.newest, start, durable: { generation, epoch } });
      this.heartbeats.begin();
      this.engine.begin();
      this.desk.begin();
    });
  }

  #readMetadata(): MetadataStore {
    try {
      return new MetadataStore(this.file, `${this.name}'s metadata`);
    } catch (error) {
      this.world.fail((error as Error).message);
      throw error;
    }
  }

  /** The process ends, and with it QEMU and all that is in memory. */
  die(why: string): void {
    this.world.note(`${this.name} ${why}`);
    this.#life++;
    this.running = false;
    this.frozen = false;
    this.deadline = null;
    this.file.processDied();
    this.engine.die();
  }

  powerOff(): void {
    const { world } = this;
    if (this.running) this.die("loses its power");
    this.file.powerLost(this.chance);
    if (!world.rules.twoSlots) this.file.sync();
    this.disk.powerLost(this.chance, world.rules.journalInOrder);
  }

  freeze(ms: number): void {
    if (!this.running || this.frozen) return;
    this.world.note(`${this.name} frozen for ${ms.toFixed(0)}`);
    this.frozen = true;
    const life = this.#life;
    this.world.clock.after(ms, () => {
      if (life !== this.#life) return;
      this.world.note(`${this.name} thawed`);
      this.frozen = false;
      this.world.checkVoices();
      const backlog = this.#backlog;
      this.#backlog = [];
      for (const run of backlog) run();
    });
  }

  /** An operator's command. */
  told(command: Extract<GroupEvent, { kind: "command" }>["command"]): void {
    if (this.running && !this.frozen) this.dispatch({ kind: "command", command });
  }

  dispatch(event: GroupEvent): void {
    const changed = this.defect.event ? this.defect.event(event, this) : event;
    if (changed === null || !this.running) return;
    this.#queue.push(changed);
    if (this.#stepping) return;
    this.#stepping = true;
    const life = this.#life;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#step(next);
      if (life !== this.#life) return;
    }
    this.#stepping = false;
  }

  #step(event: GroupEvent): void {
    const before = this.state.phase.kind;
    const { state, actions } = this.defect.step
      ? this.defect.step(this.state, event, step)
      : step(this.state, event);
    this.state = state;
    const { world } = this;
    const after = state.phase.kind;
    world.coverage?.step(before, event.kind, after);
    if (before !== after) {
      if (world.recording) world.note(`${this.name} ${before} -> ${after} (${event.kind})`);
      const problem = hostProblem(state);
      if (problem !== null) world.fail(`${this.name}: ${problem}`);
    }
    const life = this.#life;
    for (const action of actions) {
      this.#perform(action);
      if (life !== this.#life) return;
    }
  }

  #perform(original: Action): void {
    const action = this.defect.action ? this.defect.action(original, this) : original;
    if (action === null) return;
    const when = this.#dieAt();
    if (when === "before") return this.#fall(action);
    this.#do(action, when === "answer");
    if (when === "after") this.#fall(action);
  }

  /** Counts down to where this process is to die. */
  #dieAt(): Deadline["when"] | null {
    if (this.deadline === null || --this.deadline.action > 0) return null;
    return this.deadline.when;
  }

  #fall(action: Action): void {
    const { deadline } = this;
    if (deadline === null) return;
    const { power, when, back } = deadline;
    this.die(`dies ${when} ${action.kind}${power ? ", and the power is lost" : ""}`);
    if (power) this.powerOff();
    if (back === null) return;
    this.world.clock.after(back, () => {
      if (!this.running && this.powered) this.boot(false);
    });
  }

  #do(action: Action, thenFalls: boolean): void {
    const { engine } = this;
    const falls = thenFalls ? action : null;
    switch (action.kind) {
      case "write":
        return this.#write(action.metadata, falls);
      case "launch":
        return this.#after(this.chance.between(10, 60), falls, () => engine.launch());
      case "stand_by":
        return this.#after(this.chance.between(5, 40), falls, () => engine.standBy(action));
      case "kill_qemu":
        return this.#after(this.chance.between(0.5, 5), falls, () => engine.killed());
      case "open":
        return this.#awake(falls, (done) => engine.solo(action, done));
      case "promote":
        return this.#awake(falls, (done) => engine.promote(action, done));
      case "check_silence":
        return this.dispatch({ kind: "peer", ...this.heartbeats.silenceNow(), checked: true });
      case "set_timer":
        return this.#setTimer(action);
      case "ask":
        return this.desk.ask(action);
      case "note_term":
        return this.desk.note(action.term);
      case "commits":
        return this.engine.standby.commits(action.on);
      case "release_term":
        return this.desk.release(action.term);
      case "keep_disks":
        return this.#after(this.chance.between(1, 20), falls, () => ({ kind: "kept", where: action.label }));
      case "say":
        return;
      case "alarm":
        return this.world.note(`${this.name} alarm ${action.code}: ${action.text}`);
      default:
        return engine.perform(action);
    }
  }

  #setTimer(action: Extract<Action, { kind: "set_timer" }>): void {
    const setting = (this.#timers.get(action.timer) ?? 0) + 1;
    this.#timers.set(action.timer, setting);
    // Early only where a timer is a bound or a repetition; a takeover time is never shorter than it is.
    const early = action.after === "takeover" || action.timer === "lan";
    const factor = early ? Math.max(1, this.timerFactor) : this.timerFactor;
    this.later(AFTER_MS[action.after] * factor, () => {
      if (this.#timers.get(action.timer) === setting) this.dispatch({ kind: "timer", timer: action.timer });
    });
  }

  /** Slow work: one after the other, in order. What ends it is an event, or, at a deadline, this process. */
  #slow(falls: Action | null, work: (done: (answer: GroupEvent) => void) => void): void {
    this.#tasks.push({ falls, work });
    if (this.#tasks.length === 1) this.#next();
  }

  #next(): void {
    const [task] = this.#tasks;
    if (task === undefined) return;
    task.work((answer) => {
      if (task.falls && this.deadline !== null) return this.#fall(task.falls);
      this.#tasks.shift();
      this.#next();
      this.dispatch(answer);
    });
  }

  #after(ms: number, falls: Action | null, work: () => GroupEvent): void {
    this.#slow(falls, (done) => this.later(ms, () => done(work())));
  }

  /** After a stall of its own a runner first waits until it has heard what there is to hear. */
  #awake(falls: Action | null, work: (done: (answer: GroupEvent) => void) => void): void {
    const attempt = (done: (answer: GroupEvent) => void) => {
      const wait = this.heartbeats.graceUntil - this.world.clock.now;
      if (wait > 0 && this.world.rules.settles) this.later(wait, () => attempt(done));
      else work(done);
    };
    this.#slow(falls, (done) => this.later(0.2, () => attempt(done)));
  }

  #write(metadata: Metadata, falls: Action | null): void {
    const { world, file } = this;
    const write = (done: (answer: GroupEvent) => void) => {
      const written = this.store.write(metadata).then(
        (): GroupEvent => ({ kind: "written", metadata }),
        (error): GroupEvent => ({ kind: "write_failed", why: error.message }),
      );
      this.later(this.chance.between(0.5, 12) + this.slowDisk, () => {
        if (this.writesFail) file.fail();
        else file.complete(world.rules.writtenIsDurable);
        const life = this.#life;
        world.settling.push(written.then((answer) => {
          if (life === this.#life) done(answer);
        }));
      });
    };
    // What a primary, or one that ended, writes down makes its disks count: so they have all by then.
    const first = metadata.role !== "backup" && !this.disk.clean && world.rules.ownJournalFirst;
    this.#slow(falls, (done) => first ? this.engine.flusher.afterNext(() => write(done)) : write(done));
  }
}
