/** The runner: feeds the pure decision (step.ts) with what happens on this host and performs what it says. It decides nothing
 * itself. One loop: an event, a step, its actions; actions that take time run one after the other and answer with events. */

import { engineEvents } from "../../ffi/events.ts";
import { EngineError } from "../../ffi/engine.ts";
import { MODES } from "../../ffi/status.ts";
import { errorText, RefusedError } from "../errors.ts";
import { commandProblem, operatorView } from "./commands.ts";
import { Correspondence } from "./correspondence.ts";
import type { Machine } from "../vm/machine.ts";
import { groupEvent, syncRefused } from "./engine_events.ts";
import { farewell } from "./farewell.ts";
import type { Side } from "./last_run.ts";
import { beginState, step } from "./step.ts";
import { PeerLook } from "./peer_look.ts";
import { linesOf, mustBeAlone, type Relink, yieldsTies } from "./relink.ts";
import { RemoteDesk } from "./remote_desk.ts";
import { keepDisks } from "./restore_point.ts";
import type { RunnerOptions } from "./runner_options.ts";
import { sentence } from "./sentence.ts";
import { StallWatch } from "./stall_watch.ts";
import { firstFrame, lastWrites } from "./watches.ts";
import { syncJournals, writeMetadata } from "./write_metadata.ts";
import type { Action, Command, GroupEvent, GroupState, Metadata, Timer } from "./types.ts";

/** Events that a step may have to wait behind others: beyond this something loops. */
const QUEUE_MAX = 10_000;
const TIMER_MS = { second: 1000, bound: 3000, minute: 60_000 } as const;
/** How often the guest is announced on the LAN after it moved. */
const ANNOUNCEMENTS = 5;

/** One group member at work. */
export class Runner implements AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #machine: Machine;
  readonly #abort = new AbortController();
  readonly #timers = new Map<Timer, ReturnType<typeof setTimeout>>();
  #state: GroupState;
  #queue: GroupEvent[] = [];
  #stepping = false;
  #work: Promise<void> = Promise.resolve();
  #since_us: number;
  #ending = false;
  readonly #peer: PeerLook;
  readonly #letters: Correspondence;
  readonly #desk: RemoteDesk;
  #listening: Promise<void> = Promise.resolve();
  readonly #watch: StallWatch;
  /** Settles when this host's part is over: the VM was stopped, or the runner was closed. */
  readonly ended: Promise<void>;
  #end: () => void = () => {};

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#machine = options.machine;
    this.#state = beginState(options.settings);
    this.#since_us = options.machine.engine.clockUs();
    this.ended = new Promise((resolve) => this.#end = resolve);
    this.#letters = new Correspondence({
      machine: options.machine,
      facts: options.facts,
      disks: options.disks.length,
      report: (event, fields) => this.#report(event, fields),
      dispatch: (event) => this.dispatch(event),
      side: () => this.#sides().here,
    });
    this.#peer = new PeerLook(options.machine.engine.status);
    this.#desk = new RemoteDesk({ arbiter: options.remote, dispatch: (event) => this.dispatch(event) });
    this.#watch = new StallWatch({
      nowMs: () => options.machine.engine.clockUs() / 1000,
      heartbeatMs: options.heartbeatMs,
      takeoverMs: options.takeoverMs,
    });
    this.#machine.onQemuExit = (exit) =>
      this.dispatch({
        kind: "qemu_lost",
        why: `QEMU ended (${exit.signal ?? exit.code}): ${exit.lastLines.at(-1) ?? ""}`,
      });
  }

  /** Begins: reads what this host was and listens to the engine. */
  begin(): void {
    this.#listening = this.#listen();
    this.#machine.connect();
    const { store, start } = this.#options;
    this.dispatch({ kind: "begin", metadata: store.newest, start, durable: this.#machine.engine.found() });
    this.#desk.begin();
  }

  /** An operator's command. Throws RefusedError with the reason when it can do nothing now. */
  command(command: Command): void {
    const problem = commandProblem(this.#state, command, this.#machine.engine.status.read());
    if (problem !== null) throw new RefusedError(problem.problem, { op: command, hint: problem.hint });
    this.dispatch({ kind: "command", command });
  }

  /** Takes other lines, another peer: the VM runs on, alone, until that one is its backup. Throws RefusedError unless it runs alone now. */
  relink(to: Relink): void {
    mustBeAlone(this.#state.phase);
    // In one go: nothing of the old peer is looked at in between.
    this.#machine.relink({ secret: to.secret, ...linesOf(to.host) }, (since_us) => {
      this.#peer.replaced(since_us);
      this.#letters.replaced();
      this.dispatch({ kind: "peer_replaced", yieldsTies: yieldsTies(to.host) });
    });
  }

  /** What there is to know now. */
  status(): Record<string, unknown> {
    const { phase, disk, peer, links, silent } = this.#state;
    const engine = this.#machine.engine.status.read();
    return {
      phase: phase.kind,
      since_us: this.#since_us,
      sentence: sentence(this.#state, engine, this.#options.pace?.view),
      term: phase.kind === "off" || phase.kind === "waiting" ? 0 : phase.term,
      metadata: disk,
      peer,
      links,
      silent,
      arbiter: { name: this.#options.settings.arbiter.name, state: this.#state.witness },
      durable: this.#state.durable,
      pace: this.#options.pace?.view,
      ...operatorView(this.#state, engine),
      ...this.#sides(),
      engine,
    };
  }

  /** What both hosts did with the VM. */
  #sides(): { here: Side | undefined; other: Side | null } {
    const here = this.#options.lastRun?.side(this.#state, this.#machine.engine.status.read());
    return { here, other: this.#letters.other };
  }

  /** Takes an event: a step now, or after the one that runs. */
  dispatch(event: GroupEvent): void {
    if (this.#ending) return;
    this.#queue.push(event);
    if (this.#queue.length > QUEUE_MAX) throw new Error(`${QUEUE_MAX} events wait for a step: ${event.kind}`);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next);
    } finally {
      this.#stepping = false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending = true;
    this.#watch[Symbol.dispose]();
    this.#options.pace?.[Symbol.dispose]();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#machine.kill().catch(() => {});
    this.#abort.abort();
    await this.#desk[Symbol.asyncDispose]();
    await this.#work.catch(() => {});
    await this.#listening;
    await this.#machine[Symbol.asyncDispose]();
    this.#end();
  }

  #step(event: GroupEvent): void {
    const before = this.#state.phase;
    const { state, actions } = step(this.#state, event);
    this.#state = state;
    if (before.kind !== state.phase.kind || JSON.stringify(before) !== JSON.stringify(state.phase)) {
      this.#since_us = this.#machine.engine.clockUs();
      const because = event.kind === "command" ? event.command : event.kind;
      const { phase } = state;
      this.#report("state", { from: before.kind, to: phase.kind, phase, because, sentence: sentence(state) });
      this.#options.lastRun?.changed(state.phase);
    }
    for (const action of actions) this.#perform(action);
    if (state.phase.kind === "stopped" && before.kind !== "stopped") this.#leave();
  }

  async #leave(): Promise<void> {
    const gone = { role: 0, flags: 0, silent: true };
    await farewell(() => this.#ending ? gone : this.#peer.word());
    if (this.#state.phase.kind === "stopped") this.#end();
  }

  #report(event: string, fields: Record<string, unknown>): void {
    this.#options.report({ event, t_us: this.#machine.engine.clockUs(), ...fields });
  }

  #perform(action: Action): void {
    const { engine } = this.#machine;
    switch (action.kind) {
      case "say":
        return engine.say(action.word);
      case "send":
        return this.#letters.send(action.message);
      case "sync":
        return this.#attempt("sync", () => engine.sync(action));
      case "hold":
        return engine.hold();
      case "handover":
        return this.#attempt("handover", () => engine.handover());
      case "cancel_handover":
        return this.#attempt("handover", () => engine.handoverCancel());
      case "check_silence":
        return this.dispatch({ kind: "peer", ...this.#peer.silence(), checked: true });
      case "set_timer":
        return this.#setTimer(action.timer, action.after);
      case "alarm":
        return this.#report("alarm", { code: action.code, text: action.text });
      case "write":
        return this.#later(() => this.#write(action.metadata), (why) => ({ kind: "write_failed", why }));
      case "launch":
        return this.#later(() => this.#launch(), (why) => ({ kind: "launch_failed", why }));
      case "open":
        return this.#later(() => this.#open(action), (why) => ({ kind: "engine_failed", why }));
      case "stand_by":
        return this.#later(() => this.#standBy(action), (why) => ({ kind: "standby_failed", why }));
      case "promote":
        return this.#later(() => this.#promote(action), (why) => ({ kind: "promote_failed", why }));
      case "kill_qemu":
        return this.#later(() => this.#kill(), () => ({ kind: "qemu_gone" }));
      case "ask":
        return this.#desk.ask(action);
      case "note_term":
        return this.#desk.note(action.term);
      case "commits":
        return engine.commits(action.on);
      case "flushes_wait":
        return engine.flushesWait(action.on);
      case "release_term":
        return this.#desk.release(action.term);
      case "asynchronous":
        return this.#later(() => engine.asynchronous(action).then(() => null), () => null);
      case "keep_disks":
        return this.#later(() => this.#keep(action.label), (why) => ({ kind: "keep_failed", why }));
      default:
        return action satisfies never;
    }
  }

  /** An engine call that may be refused because the engine moved on by itself: its own event follows, or follows from this. */
  #attempt(what: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#report("alarm", { code: `${what}-refused`, text: errorText(error) });
      if (what === "sync") this.dispatch(syncRefused(error));
    }
  }

  /** Runs slow work behind what is under way; its result is an event. */
  #later(work: () => Promise<GroupEvent | null>, failed: (why: string) => GroupEvent | null): void {
    this.#work = this.#work.then(async () => {
      if (this.#ending) return;
      let answer: GroupEvent | null;
      try {
        answer = await work();
      } catch (error) {
        answer = failed(errorText(error));
        this.#report("problem", { text: errorText(error) });
      }
      if (answer !== null) this.dispatch(answer);
    });
  }

  #host() {
    const { engine } = this.#machine;
    return {
      store: this.#options.store,
      engine,
      problem: (text: string) => this.#report("problem", { text }),
    };
  }

  async #write(metadata: Metadata): Promise<GroupEvent> {
    await writeMetadata(metadata, this.#host());
    return { kind: "written", metadata };
  }

  async #launch(): Promise<GroupEvent> {
    await this.#machine.start("primary");
    return { kind: "launched" };
  }

  async #kill(): Promise<GroupEvent> {
    await this.#machine.kill();
    return { kind: "qemu_gone" };
  }

  async #open({ term, unless, cancelHandover }: Extract<Action, { kind: "open" }>): Promise<GroupEvent> {
    const { engine } = this.#machine;
    const mode = engine.status.get("mode");
    // Flushes were answered whose output has been held until now.
    const answered = mode === MODES.PROTECTED || mode === MODES.HELD || mode === MODES.HANDING;
    if (answered && !await syncJournals(this.#host(), { waits: true })) {
      return { kind: "solo_refused", term, why: "overtaken" }; // it is tried again
    }
    await this.#watch.settled();
    if (unless === "heard" && !this.#peer.silence().silent) {
      return { kind: "solo_refused", term, why: "overtaken" };
    }
    if (this.#peer.has(term)) return { kind: "solo_refused", term, why: "not_this_term" };
    const stood = this.#machine.stands || cancelHandover;
    try {
      engine.solo(term);
    } catch (error) {
      const refused = error instanceof EngineError && (error.is("ESTATE") || error.is("ESTALE"));
      if (refused) return { kind: "solo_refused", term, why: "not_this_term" };
      throw error;
    }
    if (stood) {
      await this.#machine.continue();
      engine.announce(ANNOUNCEMENTS);
    }
    return { kind: "solo_open", term };
  }

  async #standBy(action: Extract<Action, { kind: "stand_by" }>): Promise<GroupEvent> {
    if (!action.keep) await this.#machine.start("standby", this.#letters.machineType);
    const why = this.#letters.mismatch();
    if (why) throw new Error(why); // the RAM blocks are only known now
    this.#machine.engine.standby({ generation: action.generation, term: action.term, keep: action.keep });
    return { kind: "standing" };
  }

  async #keep(label: string): Promise<GroupEvent> {
    const { restorePoints: directory, disks } = this.#options;
    const { disk: metadata, durable } = this.#state;
    const about = { kept_at: new Date().toISOString(), metadata, durable, ...this.#sides() };
    return { kind: "kept", where: await keepDisks({ directory, label, disks, about }) };
  }

  async #promote(action: Extract<Action, { kind: "promote" }>): Promise<GroupEvent> {
    const { engine } = this.#machine;
    await this.#watch.settled();
    if (!this.#mayPromote(action)) return { kind: "promote_refused" };
    const begun_us = engine.clockUs();
    const frames = engine.status.get("out_frames");
    engine.promote({ term: action.term, gaveWay: action.unless === "unheard" });
    const epoch = engine.status.get("committed");
    await this.#machine.restore();
    await this.#watch.settled();
    const dropped = this.#state.phase.kind !== "promoting" || this.#peer.has(action.term);
    if (dropped) throw new Error(`the other host has the VM in term ${action.term}, or a newer one`);
    engine.solo(action.term);
    await this.#machine.continue();
    engine.announce(ANNOUNCEMENTS);
    this.#report("promoted", { begun_us, epoch, term: action.term });
    if (action.unless === "unheard") this.#letters.resumed(action.term);
    firstFrame(engine, { before: frames, ended: () => this.#ending })
      .then((at_us) => at_us !== null && this.#report("first_frame", { takeover_us: at_us - begun_us }));
    return { kind: "promoted" };
  }

  /** The condition of a promotion, looked at in the moment in which it matters. */
  #mayPromote(action: Extract<Action, { kind: "promote" }>): boolean {
    if (this.#state.phase.kind !== "promoting" || this.#peer.has(action.term)) return false;
    return action.unless === "heard"
      ? this.#peer.silence().silent
      : this.#peer.heardWithin(this.#options.takeoverMs);
  }

  #setTimer(timer: Timer, after: "takeover" | keyof typeof TIMER_MS): void {
    clearTimeout(this.#timers.get(timer));
    const ms = after === "takeover" ? this.#options.takeoverMs : TIMER_MS[after];
    this.#timers.set(timer, setTimeout(() => this.dispatch({ kind: "timer", timer }), ms));
  }

  // ---- from the engine ----

  async #listen(): Promise<void> {
    try {
      for await (const event of engineEvents(this.#machine.runDir, this.#abort.signal)) {
        if (!this.#peer.takes(event)) continue;
        if (event.event === "control") this.#letters.receive(event.message);
        else {
          if (event.event !== "word") this.#options.report(event);
          if (event.event === "handed") this.#letters.handed(event.stopped_us);
          // What becomes of a QEMU that we ended ourselves is known.
          const told = event.event === "qemu_lost" && !this.#machine.qemuRuns ? null : groupEvent(event);
          if (told?.kind === "guest_off") {
            lastWrites(this.#machine.engine, () => this.#ending).then(() => this.dispatch(told));
          } else if (told !== null) this.dispatch(told);
        }
      }
    } catch (error) {
      this.dispatch({ kind: "engine_failed", why: errorText(error) });
    }
  }
}
