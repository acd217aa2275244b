/** What is known of the paths between the nodes: each is probed, and a change of its state is told as an event. Which line carries the data, and
 * how much, the runners know. */

import type { PairSettings, PathView } from "../../model/node.ts";
import type { Recorder } from "../contracts.ts";
import {
  type PathName,
  PATHS,
  type Probed,
  type ProbedPath,
  type ProbeOptions,
  Probes,
} from "../peer/probes.ts";
import { carrierOf } from "./interfaces.ts";
import type { NodeInterface } from "./types.ts";

/** A path is down after so many probes without an answer. */
const MISSED = 3;
const LABEL: Record<PathName, string> = { a: "A", b: "B", lan: "LAN" };

/** What it works with. */
export interface PathsOptions {
  probes: ProbeOptions;
  /** The other node's UDP port. */
  peerPort(): number;
  reachable(): boolean;
  interfaces(): NodeInterface[];
  now(): number;
  recorder: Recorder;
  changed(): void;
}

interface Known {
  state: PathView["state"];
  since: string;
}

export class Paths implements Disposable {
  readonly #options: PathsOptions;
  readonly #probes: Probes;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #known = new Map<PathName, Known>();
  #settings: PairSettings | null = null;
  /** Read once per look. */
  #interfaces: NodeInterface[] = [];

  constructor(options: PathsOptions) {
    this.#options = options;
    this.#probes = new Probes(options.probes);
    this.#timer = setInterval(() => this.#look(), options.probes.everyMs);
  }

  set(settings: PairSettings | null): void {
    this.#settings = settings;
    const port = this.#options.peerPort();
    const probed = (path: { local: string; peer: string } | null | undefined): ProbedPath | null =>
      path === null || path === undefined ? null : { local: path.local, peer: path.peer, port };
    this.#probes.set({
      a: probed(settings?.link_a),
      b: probed(settings?.link_b),
      lan: probed(settings?.lan),
    });
    this.#look();
  }

  views(): PathView[] {
    return PATHS.map((name) => this.#view(name));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#probes[Symbol.dispose]();
  }

  #path(name: PathName): { local: string; peer: string } | null {
    const { link_a, link_b, lan } = this.#settings ?? { link_a: null, link_b: null, lan: null };
    return { a: link_a, b: link_b, lan }[name];
  }

  #card(name: PathName): NodeInterface | undefined {
    const path = this.#path(name);
    return path === null ? undefined : this.#interfaces.find(({ address }) => address === path.local);
  }

  #view(name: PathName): PathView {
    const path = this.#path(name);
    const known = this.#known.get(name);
    const card = this.#card(name);
    return {
      name,
      state: path === null ? "unset" : known?.state ?? "unknown",
      since: path === null ? null : known?.since ?? null,
      local: path?.local ?? null,
      peer: path?.peer ?? null,
      interface: card?.name ?? null,
      speed_mbit: card?.speed_mbit ?? null,
      rtt_us: known?.state === "up" ? this.#probes.result(name)?.rttUs ?? null : null,
      active: false,
      out_mbit: null,
      in_mbit: null,
    };
  }

  #look(): void {
    let changed = false;
    this.#interfaces = this.#options.interfaces();
    const heard = this.#options.reachable() ||
      PATHS.some((name) => this.#answers(this.#probes.result(name)));
    for (const name of PATHS) {
      const probed = this.#probes.result(name);
      const before = this.#known.get(name);
      if (probed === null) {
        changed = this.#known.delete(name) || changed;
        continue;
      }
      const { state, why } = this.#judge(name, { probed, heard });
      if (state === before?.state) continue;
      this.#known.set(name, { state, since: new Date(this.#options.now()).toISOString() });
      this.#tell(name, { before: before?.state, state, why });
      changed = true;
    }
    if (changed) this.#options.changed();
  }

  #answers(probed: Probed | null): boolean {
    const last = probed?.answeredMs ?? null;
    return last !== null && performance.now() - last < MISSED * this.#options.probes.everyMs;
  }

  #judge(
    name: PathName,
    { probed, heard }: { probed: Probed; heard: boolean },
  ): { state: PathView["state"]; why: string } {
    if (this.#answers(probed)) return { state: "up", why: "" };
    const card = this.#card(name);
    if (card !== undefined && carrierOf(card.name) === false) {
      return { state: "down", why: `${card.name} has no carrier: its cable is out, or the other end is off` };
    }
    if (probed.problem !== null) return { state: "down", why: probed.problem };
    const young = performance.now() - probed.beganMs < MISSED * this.#options.probes.everyMs;
    if (young || !heard) return { state: "unknown", why: "" };
    return { state: "down", why: "the other node is heard, but not on it" };
  }

  #tell(
    name: PathName,
    { before, state, why }: { before: string | undefined; state: string; why: string },
  ): void {
    const line = LABEL[name];
    const event = { subject: "link", name, actor: null } as const;
    if (state === "down") {
      this.#options.recorder.event({
        ...event,
        severity: "warning",
        code: "link.down",
        params: { line, why },
      });
    } else if (state === "up" && before === "down") {
      this.#options.recorder.event({ ...event, severity: "ok", code: "link.up", params: { line } });
    }
  }
}
