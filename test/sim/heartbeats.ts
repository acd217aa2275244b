/** The heartbeats of a simulated host: what the engine's heartbeat thread does, in virtual time. */

import type { Word } from "../../lib/group/types.ts";
import type { SimHost } from "./host.ts";

export const SILENCE_MS = 100;
const BEAT_MS = 20;
const NEVER = -1e9;

/** One datagram. */
interface Beat {
  word: Word;
  sent: number;
  /** Newest `sent` of the receiver's own beats that the sender has. */
  echo: number;
  /** The sender hears the receiver on this path. */
  hears: boolean;
}

export class SimHeartbeats {
  peerWord: Word | null = null;
  /** Newest of this host's own beats that the peer is known to have: what the lease is made of. */
  echoed = NEVER;
  /** After a stall of its own this host judges nothing before. */
  graceUntil = 0;
  /** Our beats acknowledge nothing newer than this while a copy is promoted: no lease is renewed by us. */
  withheld: number | null = null;
  readonly #host: SimHost;
  readonly #heard: number[];
  readonly #confirmed: number[];
  readonly #hears = [true, true, true];
  readonly #alive = [false, false, false];
  #turnAt: number;
  #peerSent = -1;
  #silent = false;
  #lan = false;

  /** Silence is counted from now. */
  constructor(host: SimHost) {
    this.#host = host;
    this.#turnAt = host.world.clock.now;
    this.#heard = Array(3).fill(this.#turnAt);
    this.#confirmed = Array(3).fill(this.#turnAt);
  }

  /** When the peer was heard last. */
  get heardAt(): number {
    return Math.max(...this.#heard);
  }

  begin(): void {
    this.#host.later(this.#host.chance.between(0, BEAT_MS), () => this.#beat());
  }

  silenceNow(): { silent: boolean; lanAnswers: boolean } {
    this.#refresh();
    return { silent: this.#silent, lanAnswers: this.#lan };
  }

  hear(path: number, beat: Beat): void {
    const { now } = this.#host.world.clock;
    this.#heard[path] = now;
    this.#hears[path] = beat.hears;
    if (beat.hears) this.#confirmed[path] = now;
    this.echoed = Math.max(this.echoed, beat.echo);
    if (beat.sent >= this.#peerSent) {
      this.#peerSent = beat.sent;
      const before = this.peerWord;
      const { word } = beat;
      this.peerWord = word;
      const same = before !== null && before.role === word.role && before.flags === word.flags &&
        before.term === word.term && before.generation === word.generation && before.epoch === word.epoch;
      if (!same) this.#host.dispatch({ kind: "word", word });
    }
    this.#refresh();
  }

  #beat(): void {
    const host = this.#host;
    const { world } = host;
    host.later(BEAT_MS, () => this.#beat());
    const { now } = world.clock;
    const word = host.state.said;
    const echo = this.withheld ?? this.#peerSent;
    for (let path = 0; path < 3; path++) {
      if (!world.carries(path, host.index) || (world.loss > 0 && world.chance.chance(world.loss))) continue;
      const hears = now - (this.#heard[path] ?? NEVER) < SILENCE_MS;
      const delay = world.between(0.1, 4) + (world.linkDelay[path] ?? 0);
      const beat = { word, sent: now, echo, hears };
      host.peer.arrive(delay, (peer) => peer.heartbeats.hear(path, beat));
    }
    this.#refresh();
  }

  /** Tells the decision when silence, a path, or the LAN's answer has changed. */
  #refresh(): void {
    const host = this.#host;
    const { world } = host;
    const { now } = world.clock;
    this.#ownStall(now);
    let silent = now >= this.graceUntil || this.#silent;
    for (let path = 0; path < 3; path++) {
      const fresh = now - (this.#confirmed[path] ?? NEVER) < SILENCE_MS;
      if (fresh) silent = false;
      // Until it was heard a path is not alive, but not silent for long enough either.
      const alive = fresh && this.#hears[path] === true && this.peerWord !== null;
      if (alive === this.#alive[path]) continue;
      this.#alive[path] = alive;
      host.later(host.chance.between(0.1, 1), () => host.dispatch({ kind: "path", path, alive }));
    }
    // An answer counts when those before it came too: a LAN that is just back may still owe the peer's heartbeats.
    const lan = world.onLan(host.index) && now - (world.lanSince[host.index] ?? 0) > 2.5 * BEAT_MS;
    if (silent === this.#silent && lan === this.#lan) return;
    this.#silent = silent;
    this.#lan = lan;
    host.later(host.chance.between(0.1, 1), () => {
      host.dispatch({ kind: "peer", silent: this.#silent, lanAnswers: this.#lan, checked: false });
    });
  }

  /** A gap between two looks means that this host was not watching: what it did not see meanwhile is no silence. */
  #ownStall(now: number): void {
    const gap = now - this.#turnAt;
    this.#turnAt = now;
    if (gap > 3 * BEAT_MS && this.#host.world.rules.settles) {
      this.graceUntil = now + Math.min(gap, SILENCE_MS);
    }
    if (gap >= SILENCE_MS - BEAT_MS) this.#host.dispatch({ kind: "own_stall" });
  }

  /** Acknowledges nothing more; returns when no lease of the peer can be left. */
  withhold(): number {
    this.withheld ??= this.#peerSent;
    // A lease counts from when the heartbeat that we acknowledged was sent.
    return this.#peerSent + SILENCE_MS;
  }
}
