/** What the simulated hosts share: the network, the clients, the log, and the invariants over all of it. */

import { lossProblem, type Release, releaseProblem, voiceProblem } from "../../lib/group/invariants.ts";
import { Chance, Clock } from "./clock.ts";
import type { Coverage } from "./coverage.ts";
import type { SimHost } from "./host.ts";
import { RULES, type Rules } from "./rules.ts";
import type { SimWitness } from "./witness.ts";

/** Raised when an invariant does not hold. */
export class Violation extends Error {}

export interface WorldOptions {
  seed: number;
  /** Keep what happened, to be read by a person. */
  record: boolean;
  coverage: Coverage | undefined;
  rules?: Partial<Rules>;
}

const LOG_MAX = 500;

export class World {
  readonly clock = new Clock();
  /** Of the network. */
  readonly chance: Chance;
  readonly hosts: SimHost[] = [];
  witness: SimWitness | null = null;
  readonly rules: Rules;
  readonly coverage: Coverage | undefined;
  /** linkCut[link][from]: datagrams and data from host `from` are lost on this link. */
  readonly linkCut = [[false, false], [false, false]];
  /** Milliseconds more on each link. */
  readonly linkDelay = [0, 0];
  /** This host's frames do not reach the LAN; the LAN's do not reach it. */
  readonly lanOut = [false, false];
  readonly lanIn = [false, false];
  /** The hosts do not hear each other on the LAN, though both are on it. */
  lanApart = false;
  /** Since when each host's LAN is as it is. */
  readonly lanSince = [0, 0];
  /** Share of the heartbeats that is lost. */
  loss = 0;
  readonly log: string[] = [];
  /** The newest state of which a client was told. */
  newest = 0;
  releases = 0;
  /** Work of other promises that has to end before time goes on. */
  readonly settling: Promise<void>[] = [];
  readonly #record: boolean;
  #last: Release | null = null;

  constructor(options: WorldOptions) {
    this.chance = new Chance(options.seed, 1);
    this.#record = options.record;
    this.coverage = options.coverage;
    this.rules = { ...RULES, ...options.rules };
  }

  get recording(): boolean {
    return this.#record;
  }

  between(low: number, high: number): number {
    return this.chance.between(low, high);
  }

  note(text: string): void {
    if (!this.#record) return;
    this.log.push(`${this.clock.now.toFixed(1)} ${text}`);
    if (this.log.length > LOG_MAX) this.log.shift();
  }

  fail(text: string | null): void {
    if (text === null) return;
    this.note(`VIOLATION ${text}`);
    throw new Violation(text);
  }

  /** Whether `path` (0, 1 links; 2 LAN) carries from host `from` now. */
  carries(path: number, from: number): boolean {
    if (path === 2) return !this.lanApart && !this.lanOut[from] && !this.lanIn[1 - from];
    return !this.linkCut[path]?.[from];
  }

  onLan(host: number): boolean {
    return !this.lanOut[host] && !this.lanIn[host];
  }

  /** A connection over a link needs both ways, and both machines. */
  linkUp(link: number): boolean {
    const [a, b] = this.hosts;
    if (!a?.running || !b?.running) return false;
    return !this.linkCut[link]?.[0] && !this.linkCut[link]?.[1];
  }

  /** The first line that carries data; -1: none. */
  activeLink(): number {
    return this.linkUp(0) ? 0 : this.linkUp(1) ? 1 : -1;
  }

  /** Output left for the LAN: a client was told of `value`. */
  release(release: Release): void {
    this.fail(releaseProblem(this.#last, release));
    this.fail(
      this.newest > release.value ? `${release.host} tells of ${release.value} after ${this.newest}` : null,
    );
    this.#last = release;
    this.releases++;
    this.newest = release.value;
  }

  /** A VM begins or goes on, from a copy or from disks, at `value`. */
  started(host: string, value: number): void {
    this.note(`${host} has the VM from ${value} (${this.newest} was told)`);
    this.fail(lossProblem(this.newest, { host, value }));
  }

  /** Never two voices: asked whenever one may have begun. */
  checkVoices(): void {
    const [a, b] = this.hosts as [SimHost, SimHost];
    if (!a.voice || !b.voice) return;
    this.fail(voiceProblem(
      this.hosts.map(({ name, state, voice, engine }) => ({
        name,
        state,
        voice: voice ? { term: engine.term } : null,
      })),
    ));
  }
}
