/** One simulated host: the real step() with a model of the runner, the engine, QEMU, the disks and the heartbeats. */

import { hostProblem } from "../../lib/group/invariants.ts";
import { beginState, step } from "../../lib/group/step.ts";
import {
  type Action,
  type GroupEvent,
  type GroupState,
  type Message,
  type Metadata,
  ROLES,
  type Settings,
} from "../../lib/group/types.ts";
import { type Beat, SILENCE_MS, SimBeats } from "./sim_beats.ts";
import type { World } from "./sim_world.ts";

const TICK_MS = 10;
const SYNC_TICKS = 6;

/** Changes that turn the product into a broken one: the negative controls. */
export interface Mutation {
  /** Changes an event before the decision sees it; null: it is lost. */
  event?: (event: GroupEvent, host: SimHost) => GroupEvent | null;
  /** Changes an action before it is done; null: it is not done. */
  action?: (action: Action, host: SimHost) => Action | null;
  /** The engine's own guards (terms, lease) are off too. */
  careless?: boolean;
  settings?: Partial<Settings>;
}

type Mode = "idle" | "solo" | "syncing" | "protected" | "held" | "handing" | "standby" | "promoting";

export class SimHost {
  readonly name: string;
  powered = true;
  running = false;
  frozen = false;
  state: GroupState;
  /** Durable: metadata, and the VM's state that the disks have. */
  metadata: Metadata | null = null;
  diskValue = 0;
  mode: Mode = "idle";
  term = 0;
  generation = 0;
  value = 0;
  vmRuns = false;
  committed = 0;
  copy = { generation: 0, value: 0, whole: false };
  #syncLeft = 0;
  #everCommitted = false;
  #life = 0;
  #backlog: (() => void)[] = [];
  #queue: GroupEvent[] = [];
  #stepping = false;
  #work = 0;
  readonly #timers = new Map<string, number>();
  #linkUp = [false, false];
  #beats = new SimBeats(this);

  constructor(
    readonly world: World,
    readonly index: number,
    readonly mutation: Mutation,
    readonly settings: Settings,
  ) {
    this.name = index === 0 ? "A" : "B";
    this.state = beginState(settings);
  }

  get peer(): SimHost {
    return this.world.hosts[1 - this.index] as SimHost;
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

  boot(start: boolean): void {
    this.#life++;
    this.running = true;
    this.frozen = false;
    this.state = beginState({ ...this.settings, ...this.mutation.settings });
    this.mode = "idle";
    this.vmRuns = false;
    this.term = this.generation = 0;
    this.#work = 0;
    this.copy = { generation: 0, value: 0, whole: false };
    this.#backlog = [];
    this.#queue = [];
    this.#linkUp = [false, false];
    this.#beats = new SimBeats(this);
    this.dispatch({ kind: "begin", metadata: this.metadata, start, durable: null });
    this.#beats.begin();
    this.later(this.world.between(0, TICK_MS), () => this.#tick());
  }

  /** The process ends, and with it QEMU and all that is in memory. */
  die(why: string): void {
    this.world.note(`${this.name} ${why}`);
    this.#life++;
    this.running = false;
    this.frozen = false;
    this.vmRuns = false;
    this.mode = "idle";
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
      const backlog = this.#backlog;
      this.#backlog = [];
      for (const run of backlog) run();
    });
  }

  killQemu(): void {
    if (!this.vmRuns || this.frozen) return;
    this.world.note(`${this.name} QEMU killed`);
    this.vmRuns = false;
    this.dispatch({ kind: "qemu_lost", why: "killed" });
  }

  dispatch(event: GroupEvent): void {
    const changed = this.mutation.event ? this.mutation.event(event, this) : event;
    if (changed === null) return;
    this.#queue.push(changed);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const before = this.state.phase.kind;
      const { state, actions } = step(this.state, next);
      this.state = state;
      if (before !== state.phase.kind) {
        this.world.note(`${this.name} ${before} -> ${state.phase.kind} (${next.kind})`);
        this.world.fail(withName(this.name, hostProblem(state)));
      }
      for (const action of actions) this.#perform(action);
    }
    this.#stepping = false;
  }

  /** Slow work, one after the other, as the runner does it. */
  #slow(ms: number, work: () => GroupEvent): void {
    const now = this.world.clock.now;
    this.#work = Math.max(this.#work, now) + ms;
    this.later(this.#work - now, () => this.dispatch(work()));
  }

  /** As slow, but after a stall of its own it first waits until it has heard what there is to hear. */
  #awake(ms: number, work: () => GroupEvent | null): void {
    const now = this.world.clock.now;
    this.#work = Math.max(this.#work, now) + ms;
    this.later(this.#work - now, () => {
      const wait = this.#beats.graceUntil - this.world.clock.now;
      if (wait > 0 && !this.mutation.careless) return this.#awake(wait, work);
      const answer = work();
      if (answer !== null) this.dispatch(answer);
    });
  }

  #perform(original: Action): void {
    const action = this.mutation.action ? this.mutation.action(original, this) : original;
    if (action === null) return;
    const { world } = this;
    switch (action.kind) {
      case "write":
        return this.#slow(world.between(0.5, 15), () => {
          this.metadata = action.metadata;
          return { kind: "written", metadata: action.metadata };
        });
      case "send":
        return this.#send(() => this.peer.receive(action.message));
      case "launch":
        return this.#slow(world.between(10, 60), () => {
          this.value = this.diskValue;
          this.vmRuns = true;
          world.started(this.name, this.value);
          return { kind: "launched" };
        });
      case "open":
        return this.#awake(0.2, () => this.#open(action));
      case "sync":
        this.mode = "syncing";
        this.generation = action.generation;
        this.#syncLeft = action.changedOnly ? 2 : SYNC_TICKS;
        this.#everCommitted = false;
        return;
      case "hold":
        if (this.mode !== "idle") this.mode = "held";
        this.copy.whole = false;
        return;
      case "handover":
        if (this.mode === "protected") this.mode = "handing";
        return;
      case "cancel_handover":
        if (this.mode === "handing") this.mode = "protected";
        return;
      case "stand_by":
        return this.#slow(world.between(5, 40), () => {
          this.mode = "standby";
          this.generation = action.generation;
          this.term = action.term;
          this.copy = { generation: action.generation, value: 0, whole: false };
          return { kind: "standing" };
        });
      case "promote":
        return this.#awake(0.1, () => this.#promote(action));
      case "kill_qemu":
        return this.#slow(world.between(0.5, 5), () => {
          this.vmRuns = false;
          return { kind: "qemu_gone" };
        });
      case "check_silence":
        return this.dispatch({ kind: "peer", ...this.#beats.silenceNow(), checked: true });
      case "set_timer": {
        const ms = action.after === "takeover"
          ? SILENCE_MS
          : action.after === "second"
          ? 1000
          : action.after === "minute"
          ? 60_000
          : 3000;
        const setting = (this.#timers.get(action.timer) ?? 0) + 1;
        this.#timers.set(action.timer, setting);
        return this.later(ms, () => {
          if (this.#timers.get(action.timer) === setting) {
            this.dispatch({ kind: "timer", timer: action.timer });
          }
        });
      }
      case "alarm":
        return world.note(`${this.name} alarm ${action.code}: ${action.text}`);
      case "say":
      case "ask":
      case "note_term":
      case "release_term":
      case "asynchronous":
      case "keep_disks":
        return;
      default:
        action satisfies never;
    }
  }

  #open(action: Extract<Action, { kind: "open" }>): GroupEvent {
    if (action.unless === "heard" && !this.#beats.silenceNow().silent) {
      return { kind: "solo_refused", why: "overtaken" };
    }
    if (this.#peerHas(action.term)) return { kind: "solo_refused", why: "not_this_term" };
    const same = action.term === this.term && this.mode !== "syncing" && this.mode !== "idle";
    if (same) return { kind: "solo_refused", why: "not_this_term" };
    this.mode = "solo";
    this.term = action.term;
    return { kind: "solo_open" };
  }

  /** Answers at once when it is refused, else when the device state is restored. */
  #promote(action: Extract<Action, { kind: "promote" }>): GroupEvent | null {
    const unheard = this.world.clock.now - this.#beats.heardAt >= SILENCE_MS;
    if (this.#peerHas(action.term)) return { kind: "promote_refused" };
    if (action.unless === "unheard" && unheard) return { kind: "promote_refused" };
    if (action.unless === "heard" && !this.#beats.silenceNow().silent) return { kind: "promote_refused" };
    if (!this.copy.whole && !this.mutation.careless) {
      return { kind: "promote_failed", why: "the copy is not whole" };
    }
    this.mode = "promoting";
    this.#awake(this.world.between(5, 40), () => this.#resume(action.term));
    return null;
  }

  #resume(term: number): GroupEvent {
    if (this.mode !== "promoting" || this.#peerHas(term)) return { kind: "promote_failed", why: "overtaken" };
    this.value = this.copy.value;
    this.world.started(this.name, this.value);
    this.vmRuns = true;
    this.mode = "solo";
    this.term = term;
    return { kind: "promoted" };
  }

  /** The engine's own guard: the peer says that it has the VM in this term, or a newer one. */
  #peerHas(term: number): boolean {
    const word = this.#beats.peerWord;
    return !this.mutation.careless && word !== null && word.role === ROLES.PRIMARY && word.term >= term;
  }

  #send(deliver: () => void): void {
    const link = [0, 1].find((candidate) => this.world.linkUp(candidate));
    if (link === undefined) return;
    const peer = this.peer;
    const life = peer.#life;
    this.world.clock.after(this.world.between(0.1, 3), () => {
      if (life === peer.#life && this.world.linkUp(link)) peer.later(0, deliver);
    });
  }

  /** Puts a heartbeat on its way to this host. */
  beatComes(afterMs: number, path: number, beat: Beat): void {
    const life = this.#life;
    this.world.clock.after(afterMs, () => {
      if (life === this.#life && this.running) this.later(0, () => this.#beats.hear(path, beat));
    });
  }

  receive(message: Message): void {
    this.dispatch({ kind: "message", message });
  }

  // ---- the VM, its epochs and their commits ----

  #tick(): void {
    this.later(TICK_MS, () => this.#tick());
    this.#watchLinks();
    if (this.vmRuns && (this.mode === "solo" || this.mode === "syncing")) {
      this.value++;
      this.diskValue = this.value;
      this.world.release({ host: this.name, term: this.term, value: this.value });
      if (this.world.linkUp(0) || this.world.linkUp(1)) this.#syncOn();
    } else if (this.vmRuns && (this.mode === "protected" || this.mode === "handing")) {
      // A bounded number of epochs may be in flight.
      if (this.mode === "protected" && this.value < this.committed + 3) this.value++;
      const epoch = { term: this.term, generation: this.generation, value: this.value };
      this.#send(() => this.peer.#stage(epoch));
    }
  }

  #syncOn(): void {
    if (this.mode !== "syncing" || --this.#syncLeft > 0) return;
    this.mode = "protected";
    this.committed = this.value;
  }

  #stage(epoch: { term: number; generation: number; value: number }): void {
    const mine = epoch.generation === this.generation && this.mode === "standby";
    if (!mine || (epoch.term !== this.term && !this.mutation.careless)) return;
    const first = !this.copy.whole;
    this.copy = { generation: epoch.generation, value: epoch.value, whole: true };
    this.diskValue = epoch.value;
    if (first) this.dispatch({ kind: "whole", epoch: epoch.value });
    this.#send(() => this.peer.#commit(epoch));
  }

  #commit(epoch: { term: number; generation: number; value: number }): void {
    const mine = epoch.generation === this.generation && epoch.term === this.term;
    if (!mine || (this.mode !== "protected" && this.mode !== "handing")) return;
    // The lease: the peer cannot have found us silent yet. Without it the output stays.
    if (this.world.clock.now >= this.#beats.echoed + SILENCE_MS && !this.mutation.careless) return;
    if (epoch.value > this.committed) {
      this.world.release({ host: this.name, term: this.term, value: epoch.value });
      this.committed = epoch.value;
    }
    this.diskValue = Math.max(this.diskValue, epoch.value);
    if (!this.#everCommitted) {
      this.#everCommitted = true;
      this.dispatch({ kind: "protected" });
    }
    if (this.mode === "handing" && epoch.value === this.value) this.dispatch({ kind: "handed" });
  }

  #watchLinks(): void {
    for (const link of [0, 1] as const) {
      const up = this.world.linkUp(link);
      if (up === this.#linkUp[link]) continue;
      this.#linkUp[link] = up;
      this.dispatch({ kind: "link", link, up });
    }
  }
}

function withName(name: string, problem: string | null): string | null {
  return problem === null ? null : `${name}: ${problem}`;
}
