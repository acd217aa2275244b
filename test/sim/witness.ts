/** The simulated third machine: the real rule of grants over a record on stable storage. Questions and answers may be lost, late, twice and
 * out of order; it may die between the record and the answer. */

import {
  decideGrant,
  type GrantAnswer,
  type GrantRecord,
  type GrantRequest,
  NO_GRANT,
} from "../../lib/group/grant.ts";
import { Chance } from "./clock.ts";
import type { SimHost } from "./host.ts";
import type { World } from "./world.ts";

/** The rule; a mutation puts a broken one in its place. */
export type GrantRule = typeof decideGrant;

export class SimWitness {
  running = true;
  /** Questions of this host, answers to it, do not come through. */
  readonly cutOut = [false, false];
  readonly cutIn = [false, false];
  /** Milliseconds more, each way. */
  delay = 0;
  /** Share of what is sent that comes a second time, much later. */
  twice = 0;
  #stable: GrantRecord = NO_GRANT;
  #record: GrantRecord = NO_GRANT;
  #life = 0;
  #busyUntil = 0;
  readonly #chance: Chance;

  constructor(readonly world: World, seed: number, readonly rule: GrantRule = decideGrant) {
    this.#chance = new Chance(seed, 9);
  }

  get record(): GrantRecord {
    return this.#record;
  }

  crash(): void {
    this.world.note("witness dies");
    this.running = false;
    this.#life++;
  }

  start(): void {
    if (this.running) return;
    this.world.note("witness starts");
    this.running = true;
    this.#record = this.#stable;
    this.#busyUntil = 0;
  }

  /** True when a question from this host would come through and back. */
  reachable(host: number): boolean {
    return this.running && this.world.onLan(host) && !this.cutOut[host] && !this.cutIn[host];
  }

  /** A host asks; `answer` is called as often as an answer comes. */
  request(host: SimHost, request: GrantRequest, answer: (answer: GrantAnswer) => void): void {
    const { life } = host;
    const reply = (given: GrantAnswer) => {
      this.#carry(() => !this.cutIn[host.index] && this.world.onLan(host.index), () => {
        if (host.life === life) host.later(0, () => answer(given));
      });
    };
    this.#carry(() => !this.cutOut[host.index] && this.world.onLan(host.index), () => {
      if (this.running) this.#take(request, reply);
    });
  }

  #carry(through: () => boolean, deliver: () => void): void {
    const chance = this.#chance;
    const once = (ms: number) => this.world.clock.after(ms, () => through() && deliver());
    once(chance.between(0.2, 4) + this.delay);
    if (this.twice > 0 && chance.chance(this.twice)) once(chance.between(5, 400));
  }

  #take(request: GrantRequest, reply: (answer: GrantAnswer) => void): void {
    const { record, answer } = this.rule(this.#record, request);
    const changed = record !== this.#record;
    if (changed && this.world.recording) {
      this.world.note(`witness: ${JSON.stringify(request)} -> ${JSON.stringify(record)}`);
    }
    this.#record = record;
    const { now } = this.world.clock;
    const write = changed ? this.#chance.between(0.5, 8) : 0;
    if (!this.world.rules.witnessDurable) reply(answer);
    // One question of a group at a time: an answer by a record that is still being written waits for it.
    this.#busyUntil = Math.max(this.#busyUntil, now) + write;
    const life = this.#life;
    this.world.clock.after(this.#busyUntil - now, () => {
      if (life !== this.#life) return;
      if (!this.world.rules.witnessDurable) return;
      this.#stable = record;
      reply(answer);
    });
  }
}
