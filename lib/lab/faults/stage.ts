/** A protected pair on which one fault after the other is played: a client counts, the LAN is listened to, and after each fault the pair
 * must have become whole again by itself. */

import { Capture, type GuestFrame, type SecondVoice, type Turn, voices } from "../capture.ts";
import type { Fault, Lab } from "../lab.ts";
import { type MonotonicClock, monotonicClock } from "../monotonic.ts";
import type { LabPair, LabRunner, RunnerEvent } from "../pair.ts";
import { type Host, HOSTS } from "../places.ts";
import { type CountingClient, next, pause, type Program, Scene, type Wanted } from "../scene.ts";
import { expect, type PairKind, RowFailure } from "./row.ts";

const WHOLE_MS = 60_000;
const LOOK_MS = 30;

/** Who has what, while the pair is protected. */
export interface Standing {
  primary: Host;
  backup: Host;
  term: number;
}

/** The other host. */
export function other(host: Host): Host {
  return host === "a" ? "b" : "a";
}

/** One pair at work. */
export class Stage implements AsyncDisposable {
  readonly scene: Scene;
  readonly kind: PairKind;
  readonly capture: Capture;
  readonly clock: MonotonicClock;
  /** For choices that a row makes; the same seed chooses the same. */
  readonly random: () => number;
  readonly #prepared: AsyncDisposable | undefined;
  #standing: Standing = { primary: "a", backup: "b", term: 0 };
  #client: CountingClient | undefined;
  /** The newest frame of the one who has the voice. */
  #voice: GuestFrame[] = [];

  private constructor(parts: {
    scene: Scene;
    kind: PairKind;
    capture: Capture;
    prepared: AsyncDisposable | undefined;
    random: () => number;
  }) {
    this.scene = parts.scene;
    this.kind = parts.kind;
    this.capture = parts.capture;
    this.#prepared = parts.prepared;
    this.random = parts.random;
    this.clock = monotonicClock();
  }

  /** Builds it, protected. */
  static async open(
    program: Program,
    options: { kind: PairKind; random: () => number },
  ): Promise<Stage> {
    const { kind, random } = options;
    const scene = await Scene.open(program, kind.options);
    let prepared: AsyncDisposable | undefined;
    let capture: Capture | undefined;
    try {
      prepared = await kind.prepare?.(scene);
      capture = await Capture.start(scene.lab);
      const stage = new Stage({ scene, kind, capture, prepared, random });
      await scene.protect();
      await stage.whole();
      return stage;
    } catch (error) {
      await capture?.[Symbol.asyncDispose]();
      await prepared?.[Symbol.asyncDispose]();
      await scene[Symbol.asyncDispose]();
      throw error;
    }
  }

  get lab(): Lab {
    return this.scene.lab;
  }

  get pair(): LabPair {
    return this.scene.pair;
  }

  /** Who has the VM: as it was when the pair was whole last. */
  get primary(): Host {
    return this.#standing.primary;
  }

  get backup(): Host {
    return this.#standing.backup;
  }

  get standing(): Standing {
    return this.#standing;
  }

  /** What the kind of pair was prepared with. */
  get prepared(): AsyncDisposable | undefined {
    return this.#prepared;
  }

  /** The client that counts while a fault is played. */
  get client(): CountingClient {
    if (this.#client === undefined) throw new Error("no client counts now");
    return this.#client;
  }

  set client(client: CountingClient) {
    this.#client = client;
  }

  runner(host: Host): LabRunner {
    return this.pair.runner(host);
  }

  /** Waits for an event of a host that comes from now on. Ask before what is to cause it. */
  next(host: Host, wanted: Wanted): (bound_ms?: number) => Promise<RunnerEvent> {
    return next(this.runner(host), wanted);
  }

  /** The guest answers `count` more requests. */
  async answers(count: number, bound_ms = 30_000): Promise<void> {
    if (await this.client.answered(count, bound_ms)) return;
    throw new RowFailure(`the guest did not answer ${count} requests within ${bound_ms} ms`);
  }

  /** Does something, and says when. */
  async timed(act: () => Promise<unknown>): Promise<Fault> {
    const at_us = this.clock();
    await act();
    return { at_us, done_us: this.clock() };
  }

  /** Waits for what no event tells. */
  async until(what: string, done: () => boolean | Promise<boolean>, bound_ms = 10_000): Promise<void> {
    for (const end_ms = performance.now() + bound_ms; !(await done());) {
      if (performance.now() > end_ms) {
        throw new RowFailure(`within ${bound_ms} ms it did not happen that ${what}`);
      }
      await pause(LOOK_MS);
    }
  }

  expect(held: boolean, promise: string): void {
    expect(held, promise);
  }

  /** Both hosts' changes of state from now on. */
  watchRoles(): () => RunnerEvent[] {
    const seen = new Set(HOSTS.flatMap((host) => this.runner(host).events));
    return () =>
      HOSTS.flatMap((host) => this.runner(host).events)
        .filter((event) => !seen.has(event) && event.event === "state");
  }

  /** The processes of QEMU on a host. */
  qemus(host: Host): number[] {
    return this.lab.processes(host).filter(({ words }) => words[0]?.includes("qemu-system")).map(({ pid }) =>
      pid
    );
  }

  /** Takes all faults back, starts anew what has died (as a host's supervisor does), and waits until the pair is whole. */
  async heal(): Promise<Standing> {
    await this.lab.restore();
    for (const host of HOSTS) {
      if (this.runner(host).over) await this.pair.start(host);
    }
    return await this.whole();
  }

  /** Waits until one host says that it is protected, and the other that it holds the whole copy. */
  async whole(): Promise<Standing> {
    let found: Standing | undefined;
    let seen = "";
    const look = async () => {
      const [a, b] = await Promise.all(HOSTS.map(async (host) => {
        if (this.runner(host).over) {
          throw new RowFailure(`the runner on host ${host} ended: ${await this.#lastWords(host)}`);
        }
        return await this.scene.status(host);
      }));
      seen = `a: ${a?.sentence} b: ${b?.sentence}`;
      for (const [primary, mine, theirs] of [["a", a, b], ["b", b, a]] as const) {
        if (mine?.phase !== "protected" || theirs?.phase !== "ready" || mine.term !== theirs.term) continue;
        found = { primary, backup: other(primary), term: mine.term };
      }
      return found !== undefined;
    };
    try {
      await this.until("the pair is protected again", look, WHOLE_MS);
    } catch (error) {
      throw error instanceof RowFailure ? new RowFailure(`${error.message}; ${seen}`) : error;
    }
    return this.#standing = found!;
  }

  /** What was heard on the LAN since this was asked last: how many frames, and those of a host while the other one had the voice. */
  listen(): { heard: number; second: SecondVoice[] } {
    const frames = this.capture.take();
    const turns = this.#turns();
    // The one who had the voice has it still, also when the first frame is the other one's.
    const second = voices([...this.#voice, ...frames], turns);
    const key = ({ host, at_us }: GuestFrame) => `${host} ${at_us}`;
    const wrong = new Set(second.map(key));
    const last = frames.findLast((frame) => !wrong.has(key(frame)));
    if (last !== undefined) this.#voice = [last];
    return { heard: frames.length, second };
  }

  /** When each host's turn to speak began: where the VM was started, and each time that a copy was resumed, or the other host gave
   * way. */
  #turns(): Turn[] {
    const taken = this.pair.started.flatMap(({ host, events }) =>
      events.flatMap((event) => {
        if (event.event === "promoted") return [{ host, at_us: Number(event["begun_us"]) }];
        if (event.event === "state" && event["to"] === "starting") {
          return [{ host, at_us: Number(event["t_us"]) }];
        }
        if (event.event === "alarm" && event["code"] === "fenced") {
          return [{ host: other(host), at_us: Number(event["t_us"]) }];
        }
        return [];
      })
    );
    return taken;
  }

  /** Ends the capture in order. Throws when it has missed something, and so has proved nothing. */
  async finish(): Promise<void> {
    await this.capture.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.capture[Symbol.asyncDispose]();
    await this.scene[Symbol.asyncDispose]();
    await this.#prepared?.[Symbol.asyncDispose]();
  }

  async #lastWords(host: Host): Promise<string> {
    const { code, signal } = await this.runner(host).ended;
    return `${signal ?? code} ${(await this.runner(host).stderr()).trim()}`;
  }
}
