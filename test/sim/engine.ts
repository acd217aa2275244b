/** A model of the engine and of QEMU on one host: modes, epochs and their commits, the gate, the journal. The guest is one counter: it
 * writes it to its disk and flushes, and only then tells its clients. */

import { type Action, type GroupEvent, ROLES } from "../../lib/group/types.ts";
import { type Content, whole } from "./disk.ts";
import { SILENCE_MS } from "./heartbeats.ts";
import { Flusher } from "./flusher.ts";
import type { SimHost } from "./host.ts";
import { type Commit, type Epoch, Standby } from "./standby.ts";

const TICK_MS = 10;
const SYNC_TICKS = 5;
const IN_FLIGHT = 3;
const PACE_MS = 250;

type Mode = "idle" | "solo" | "syncing" | "protected" | "held" | "handing" | "standby" | "promoting";

export class SimEngine {
  mode: Mode = "idle";
  term = 0;
  generation = 0;
  vmRuns = false;
  /** The guest's counter, as its memory has it. */
  value = 0;
  standby = new Standby(this);
  readonly flusher: Flusher;
  /** Newest epoch begun, committed, released. */
  epoch = 0;
  committed = 0;
  #released = 0;
  #remoteDurable = 0;
  /** Epochs whose output waits, oldest first. */
  #held: Epoch[] = [];
  /** The last epoch that ended. */
  #newest: Epoch | null = null;
  #syncLeft = 0;
  #syncFirst = false;
  #everCommitted = false;
  #stalledAt = 0;
  /** Asynchronous: output leaves before its commit; and on the way back from there. */
  #early = false;
  #catchingUp = false;
  #pacedAt = 0;
  /** Epochs after this one rest on this host's journal alone: flushes of their guest waited for it. */
  #ownFrom = Infinity;
  readonly #linkUp = [false, false];

  constructor(readonly host: SimHost) {
    this.flusher = new Flusher(host, () => this.mode === "standby" ? this.standby.tell() : this.#letOut());
  }

  /** Output leaves whatever the backup has. */
  get open(): boolean {
    const early = this.#early && this.mode === "protected";
    return this.vmRuns && (this.mode === "solo" || this.mode === "syncing" || early);
  }

  begin(): void {
    this.host.later(this.host.chance.between(0, TICK_MS), () => this.#tick());
  }

  die(): void {
    this.vmRuns = false;
    this.mode = "idle";
    this.#held = [];
  }

  // ---- what the runner asks for ----

  perform(action: Action): void {
    switch (action.kind) {
      case "send":
        return this.send((peer) => peer.dispatch({ kind: "message", message: action.message }));
      case "sync":
        return this.#sync(action);
      case "hold":
        if (this.mode !== "idle") this.mode = "held";
        this.standby.whole = false;
        return;
      case "handover":
        if (this.mode === "protected") this.mode = "handing";
        return;
      case "cancel_handover":
        if (this.mode === "handing") this.mode = "protected";
        return;
      case "flushes_wait":
        this.#ownFrom = action.on ? this.epoch : Infinity;
        return;
      case "asynchronous":
        this.#early = action.on && action.term === this.term && this.mode === "protected";
        this.#catchingUp = !action.on;
        return;
      default:
        return;
    }
  }

  launch(): GroupEvent {
    this.#start(this.host.disk.content);
    return { kind: "launched" };
  }

  killed(): GroupEvent {
    this.vmRuns = false;
    this.#held = [];
    return { kind: "qemu_gone" };
  }

  standBy(action: Extract<Action, { kind: "stand_by" }>): GroupEvent {
    this.mode = "standby";
    this.generation = action.generation;
    this.term = action.term;
    this.standby = new Standby(this);
    this.vmRuns = false;
    this.#held = [];
    return { kind: "standing" };
  }

  solo(action: Extract<Action, { kind: "open" }>, answer: (event: GroupEvent) => void): void {
    const { host } = this;
    const { term } = action;
    if (!host.disk.clean && host.world.rules.ownJournalFirst) {
      return this.flusher.afterNext(() => this.solo(action, answer));
    }
    const heard = !host.heartbeats.silenceNow().silent;
    if (action.unless === "heard" && heard && host.world.rules.looksAgain) {
      return answer({ kind: "solo_refused", term, why: "overtaken" });
    }
    // Epochs of this very term were sent: the backup may hold a whole copy of it.
    const sent = term === this.term && this.mode !== "syncing" && this.mode !== "idle";
    if (this.#peerHas(term) || sent) return answer({ kind: "solo_refused", term, why: "not_this_term" });
    this.mode = "solo";
    this.term = term;
    host.world.checkVoices();
    for (const { value } of this.#held.splice(0)) this.#tell(value);
    answer({ kind: "solo_open", term });
  }

  promote(action: Extract<Action, { kind: "promote" }>, answer: (event: GroupEvent) => void): void {
    const { host } = this;
    const { rules, clock } = host.world;
    const { silent } = host.heartbeats.silenceNow();
    const unheard = clock.now - host.heartbeats.heardAt >= SILENCE_MS;
    const refused = host.state.phase.kind !== "promoting" ||
      (rules.looksAgain && (action.unless === "heard" ? !silent : unheard));
    if (refused || this.#peerHas(action.term)) return answer({ kind: "promote_refused" });
    if (!this.standby.whole && rules.wholeEpochs) {
      return answer({ kind: "promote_failed", why: "the copy is not whole" });
    }
    const lease = action.unless === "heard" && rules.outlastsLease ? host.heartbeats.withhold() : 0;
    this.mode = "promoting";
    const wait = Math.max(0, lease - clock.now) + host.chance.between(5, 40);
    host.later(wait, () => this.flusher.whenClean(() => answer(this.#resume(action.term))));
  }

  #resume(term: number): GroupEvent {
    this.host.heartbeats.withheld = null;
    const dropped = this.mode !== "promoting" || this.host.state.phase.kind !== "promoting";
    if (dropped || this.#peerHas(term)) return { kind: "promote_failed", why: "overtaken" };
    const { memory, devices } = this.standby;
    const { content } = this.host.disk;
    this.host.world.fail(
      memory === devices && memory === content.value
        ? null
        : `${this.host.name} resumes memory of ${memory}, devices of ${devices} and disks of ${content.value}`,
    );
    this.mode = "solo";
    this.term = term;
    this.#start(content);
    this.host.world.checkVoices();
    return { kind: "promoted" };
  }

  /** The VM runs here from what the disks hold (in a promotion memory is of the same moment). */
  #start(content: Content): void {
    const { world, name } = this.host;
    if (!whole(content)) {
      world.fail(`${name} starts the VM from disks of which parts are older: ${JSON.stringify(content)}`);
    }
    world.started(name, content.value);
    this.value = content.value;
    this.vmRuns = true;
  }

  #tell(value: number): void {
    this.host.world.release({ host: this.host.name, term: this.term, value });
  }

  #sync(action: Extract<Action, { kind: "sync" }>): void {
    this.mode = "syncing";
    this.generation = action.generation;
    this.#syncLeft = action.changedOnly ? 2 : SYNC_TICKS;
    this.#syncFirst = true;
    this.#everCommitted = false;
    this.epoch =
      this.committed =
      this.#released =
      this.#remoteDurable =
        0;
    this.#held = [];
    this.#newest = null;
    this.#early = this.#catchingUp = false;
    this.#ownFrom = Infinity;
  }

  /** The engine's own guard: the peer says that it has the VM in this term, or a newer one. */
  #peerHas(term: number): boolean {
    const word = this.host.heartbeats.peerWord;
    return this.host.world.rules.terms && word !== null && word.role === ROLES.PRIMARY && word.term >= term;
  }

  // ---- the lines ----

  send(deliver: (peer: SimHost) => void): void {
    const { world, peer } = this.host;
    const link = world.activeLink();
    if (link < 0) return;
    const { life } = peer;
    world.clock.after(world.between(0.1, 3) + (world.linkDelay[link] ?? 0), () => {
      if (life === peer.life && world.linkUp(link)) peer.arrive(0, deliver);
    });
  }

  #watchLinks(): void {
    for (const link of [0, 1] as const) {
      const up = this.host.world.linkUp(link);
      if (up === this.#linkUp[link]) continue;
      this.#linkUp[link] = up;
      this.host.dispatch({ kind: "link", link, up });
    }
  }

  // ---- the guest, its epochs and their commits ----

  #tick(): void {
    const { host } = this;
    host.later(TICK_MS, () => this.#tick());
    this.#watchLinks();
    if (!this.vmRuns) return;
    if (this.mode === "solo" || this.mode === "syncing") {
      this.#work();
      if (this.mode === "syncing" && host.world.activeLink() >= 0) this.#syncOn();
    } else if (this.mode === "protected" || this.mode === "handing") {
      if (this.mode === "protected" && this.epoch < this.committed + IN_FLIGHT) this.#endEpoch();
      this.#sendEpoch();
      this.#letOut();
      this.#watchStall();
      this.#pace();
    }
  }

  /** Alone: the guest writes and flushes, and tells its clients when the flush was answered. */
  #work(): void {
    const { host } = this;
    if (host.chance.chance(0.7)) {
      this.value++;
      const { generation, epoch } = host.disk.content;
      host.disk.write({ generation, epoch, value: this.value });
    }
    const { value, term } = this;
    const tell = () => {
      if (this.open && this.term === term) this.#tell(value);
    };
    const answered = host.disk.clean && this.flusher.idle; // else behind those that wait
    if (answered || !host.world.rules.journalFirst) tell();
    else this.flusher.afterNext(tell);
  }

  #syncOn(): void {
    if (this.#syncLeft > 0) {
      const { generation, term } = this;
      if (this.#syncFirst) this.send((peer) => peer.engine.standby.overwritten({ generation, term }));
      this.#syncFirst = false;
      this.#syncLeft--;
      return;
    }
    this.mode = "protected";
    this.#stalledAt = this.host.world.clock.now;
    this.#endEpoch();
  }

  /** The guest goes on by one; what it did is an epoch. */
  #endEpoch(): void {
    const { disk, chance } = this.host;
    this.epoch++;
    if (chance.chance(0.7)) {
      this.value++;
      disk.write({ generation: this.generation, epoch: this.epoch, value: this.value });
      this.flusher.flush();
    }
    const { term, generation, epoch, value } = this;
    this.#newest = { term, generation, number: epoch, value };
    this.#held.push(this.#newest);
  }

  #sendEpoch(): void {
    const { chance } = this.host;
    const newest = this.#newest;
    if (newest === null || newest.number <= this.committed) return;
    const content = this.host.disk.content;
    if (chance.chance(0.9)) return this.send((peer) => peer.engine.standby.stage(newest, content));
    // Its parts come one after the other; the second may not come at all.
    this.send((peer) => peer.engine.standby.stagePart(newest));
    this.host.later(
      chance.between(3, 12),
      () => this.send((peer) => peer.engine.standby.stage(newest, content)),
    );
  }

  commit(of: Commit): void {
    const { host } = this;
    if (of.generation !== this.generation || (of.term !== this.term && host.world.rules.terms)) return;
    if (this.mode !== "protected" && this.mode !== "handing") return;
    this.#remoteDurable = Math.max(this.#remoteDurable, of.durable);
    if (of.epoch > this.committed) {
      this.committed = of.epoch;
      this.#stalledAt = host.world.clock.now;
    }
    this.#letOut();
    if (!this.#everCommitted) {
      this.#everCommitted = true;
      host.dispatch({ kind: "protected" });
    }
    if (this.mode === "handing" && this.committed === this.epoch) host.dispatch({ kind: "handed" });
  }

  /** Output of epochs that are committed, and that one journal has, leaves: while the lease holds. */
  #letOut(): void {
    if (this.mode !== "protected" && this.mode !== "handing") return;
    const { host } = this;
    const { rules, clock } = host.world;
    if (this.#early) return this.#release(rules.journalFirst ? this.#ownDurable() : this.epoch);
    // The lease: the peer cannot have found us silent yet. Without it the output stays.
    if (rules.lease && clock.now >= host.heartbeats.echoed + SILENCE_MS) return;
    this.#release(Math.min(this.committed, rules.journalFirst ? this.#anyDurable() : this.epoch));
    if (!this.#catchingUp || this.committed < this.#released) return;
    this.#catchingUp = false;
    host.dispatch({ kind: "synchronous" });
  }

  #anyDurable(): number {
    const own = this.#ownDurable();
    return Math.min(Math.max(own, this.#remoteDurable), Math.max(own, this.#ownFrom));
  }

  #ownDurable(): number {
    const { stable, clean } = this.host.disk;
    return clean ? this.epoch : stable.generation === this.generation ? stable.epoch : 0;
  }

  #release(upto: number): void {
    if (upto <= this.#released) return;
    this.#released = upto;
    while (this.#held.length > 0 && (this.#held[0] as Epoch).number <= upto) {
      this.#tell((this.#held.shift() as Epoch).value);
    }
  }

  #watchStall(): void {
    const { host } = this;
    if (this.epoch === this.committed || host.world.clock.now - this.#stalledAt < 400) return;
    this.#stalledAt = host.world.clock.now;
    host.dispatch({ kind: "stalled" });
  }

  /** The ladder asks until it is as it wants it. */
  #pace(): void {
    const { host } = this;
    if (host.wantsEarly === this.#early || host.world.clock.now < this.#pacedAt + PACE_MS) return;
    this.#pacedAt = host.world.clock.now;
    host.dispatch({ kind: "pace", wants: host.wantsEarly ? "asynchronous" : "synchronous", why: "the load" });
  }

  killQemu(): void {
    if (!this.vmRuns || this.host.frozen) return;
    this.host.world.note(`${this.host.name} QEMU killed`);
    this.vmRuns = false;
    this.#held = [];
    this.host.dispatch({ kind: "qemu_lost", why: "killed" });
  }

  /** The guest powers itself off: its last writes are committed first. */
  guestOff(): void {
    const { host } = this;
    if (!this.vmRuns || host.frozen) return;
    host.world.note(`${host.name} the guest powers off`);
    const last = this.epoch;
    const look = (left: number) => {
      const waits = this.mode === "protected" && this.committed < last && left > 0;
      if (waits) host.later(TICK_MS, () => look(left - 1));
      else if (this.vmRuns) host.dispatch({ kind: "guest_off" });
    };
    look(20);
  }
}
