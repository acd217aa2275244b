/** Random faults in a row on one protected pair while clients use the guest's key-value store, and the verdict on what they saw.
 *
 * @example
 * ```ts
 * const { ok, operations, ambiguous, violation, log } = await runKvTrial(program, { seed, faults: 100, bothHosts: true });
 * ```
 */

import { EdgeError } from "../errors.ts";
import type { KvOptions, KvSummary } from "./kv_client.ts";
import type { Recorded } from "./kv_history.ts";
import { KvLoad, type KvOutcome } from "./kv_load.ts";
import { type Host, HOSTS } from "./places.ts";
import { seeded } from "./random.ts";
import { next, pause, type Program, reached, Scene, type SceneOptions } from "./scene.ts";

/** How a trial is made. */
export interface KvTrialOptions {
  /** The command that runs this program. */
  self: readonly string[];
  seed: number;
  load?: Partial<KvOptions>;
  /** The hosts' storage forgets what was not synced (SceneOptions.volatileStorage): a part of it, when both lose their power. */
  forgets?: boolean;
  /** Told what is about to happen. */
  say?: (line: string) => void;
}

/** A trial from the beginning to the end. */
export interface KvTrialRun extends Omit<KvTrialOptions, "self" | "forgets"> {
  /** So many in a row. */
  faults: number;
  /** At the end both hosts lose their power. */
  bothHosts: boolean;
  scene?: SceneOptions;
}

/** Builds a pair of its own, plays a trial on it, and judges it. */
export async function runKvTrial(program: Program, run: KvTrialRun): Promise<KvOutcome> {
  await using scene = await Scene.open(program, { takeover: TAKEOVER_MS, ...run.scene });
  await scene.protect();
  const forgets = run.scene?.volatileStorage ?? false;
  await using trial = new KvTrial(scene, { ...run, self: program.self, forgets });
  await trial.begin();
  for (const fault of trial.faults(run.faults)) await trial.play(fault);
  if (run.bothHosts) await trial.losePowerOfBoth();
  return await trial.end();
}

/** Who has what. */
interface Standing {
  primary: Host;
  backup: Host;
}

/** Strikes, and resolves when one host alone has the VM, or when no more is to come of it. */
type Strike = (scene: Scene, standing: Standing) => Promise<void>;

/** What may happen, by name. */
export const KV_FAULTS = {
  "power off of the primary": takeover(({ lab }, { primary }) => lab.powerOff(primary)),
  "the primary stands still": takeover(({ lab }, { primary }) => lab.freeze(primary)),
  "the primary's runner killed": takeover((scene, { primary }) => scene.killRunner(primary)),
  "the primary's QEMU killed": takeover(killQemu),
  "the backup's runner killed": alone((scene, { backup }) => scene.killRunner(backup)),
  "power off of the backup": alone(({ lab }, { backup }) => lab.powerOff(backup)),
  "both links cut": alone(async ({ lab }) => {
    await Promise.all([lab.cutLink("a"), lab.cutLink("b")]);
  }),
  "link A cut": async ({ lab, pair }, { primary }) => {
    const moved = next(pair.runner(primary), (event) => event.event === "active" && event["link"] === 1);
    await lab.cutLink("a");
    await moved();
  },
} satisfies Record<string, Strike>;

/** A fault's name. */
export type KvFault = keyof typeof KV_FAULTS;

/** Longer than elsewhere: a runner that itself stood still for as long as a takeover takes no longer trusts its silence, and on a
 * machine that does other work too that happens. */
export const TAKEOVER_MS = 500;
const WHOLE_MS = 90_000;
const LOOK_MS = 50;
/** Answers before a fault and after it: all clients are at work then. */
const ANSWERS = 40;

/** The backup goes on. */
function takeover(strike: (scene: Scene, standing: Standing) => unknown): Strike {
  return async (scene, standing) => {
    const promoted = next(scene.pair.runner(standing.backup), reached("solo"));
    await strike(scene, standing);
    await promoted();
  };
}

/** The primary goes on without the backup. */
function alone(strike: (scene: Scene, standing: Standing) => unknown): Strike {
  return async (scene, standing) => {
    const solo = next(scene.pair.runner(standing.primary), reached("solo"));
    await strike(scene, standing);
    await solo();
  };
}

function killQemu({ lab }: Scene, { primary }: Standing): void {
  const qemu = lab.processes(primary).find(({ words }) => words[0]?.includes("qemu-system"));
  if (qemu === undefined) throw trouble(`host ${primary} runs no QEMU`);
  Deno.kill(qemu.pid, "SIGKILL");
}

function trouble(what: string): EdgeError {
  return new EdgeError(what, { op: "play faults on a pair", hint: "See the runners' events." });
}

/** One pair's trial. */
export class KvTrial implements AsyncDisposable {
  readonly #scene: Scene;
  readonly #options: KvTrialOptions;
  readonly #random: () => number;
  readonly #say: (line: string) => void;
  /** What earlier clients of this trial saw, and how they ended. */
  readonly #before: Recorded[] = [];
  readonly #summaries: KvSummary[] = [];
  #load: KvLoad | undefined;
  #loads = 0;

  /** The scene is protected. */
  constructor(scene: Scene, options: KvTrialOptions) {
    this.#scene = scene;
    this.#options = options;
    this.#random = seeded(options.seed);
    this.#say = options.say ?? (() => {});
  }

  /** Starts the clients. */
  async begin(load: Partial<KvOptions> = {}): Promise<void> {
    const { self, seed } = this.#options;
    this.#load = await KvLoad.start(this.#scene.lab, {
      self,
      directory: this.#scene.directory,
      // No two runs write the same values.
      options: { clients: 4, ...this.#options.load, ...load, seed: (seed + this.#loads++) >>> 0 },
    });
  }

  /** So many faults, each kind once before any comes again. */
  faults(count: number): KvFault[] {
    const faults: KvFault[] = [];
    // Where the storage's server stands still with its host, whoever waits for it cannot be made to: the kernel does not freeze it.
    const playable = (Object.keys(KV_FAULTS) as KvFault[]).filter((kind) =>
      !this.#options.forgets || kind !== "the primary stands still"
    );
    while (faults.length < count) {
      const kinds = [...playable];
      while (kinds.length > 0) faults.push(...kinds.splice(Math.floor(this.#random() * kinds.length), 1));
    }
    return faults.slice(0, count);
  }

  /** Plays one, and waits until the clients are answered and the pair is protected again by itself. */
  async play(fault: KvFault): Promise<void> {
    const standing = await this.whole();
    this.#say(`${fault} (primary: host ${standing.primary})`);
    await this.answered(1 + Math.floor(this.#random() * ANSWERS));
    await KV_FAULTS[fault](this.#scene, standing);
    await this.answered(ANSWERS);
    await this.heal();
  }

  /** Takes all faults back, starts again what died, as a host's supervisor does, and waits until the pair is whole. */
  async heal(): Promise<void> {
    await this.#scene.lab.restore();
    for (const host of HOSTS) {
      if (this.#scene.pair.runner(host).over) await this.#scene.pair.start(host);
    }
    await this.whole();
  }

  /** Both hosts lose their power under load, and get it back; the guest boots from disk, and the clients come back. From here on what
   * was in memory only is no longer looked at. */
  async losePowerOfBoth(): Promise<void> {
    const { lab, pair } = this.#scene;
    const { summary, history } = await this.#current.stop();
    this.#summaries.push(summary);
    this.#before.push(...history.filter(({ durable }) => durable));
    await this.begin({ memory_keys: 0, patience_ms: 3000 });
    await this.answered(ANSWERS);
    this.#say("power off of both hosts");
    if (this.#options.forgets) await pair.cutPower(HOSTS, Math.floor(this.#random() * 1e6));
    else await Promise.all(HOSTS.map((host) => lab.powerOff(host)));
    await Promise.all(HOSTS.map((host) => pair.runner(host).ended));
    await lab.restore();
    await Promise.all(HOSTS.map((host) => pair.start(host)));
    await this.answered(ANSWERS, WHOLE_MS);
    await this.whole();
  }

  /** Ends the clients and judges all that this trial's clients saw, and the guest's log. */
  async end(): Promise<KvOutcome> {
    const outcome = await this.#current.finish(this.#before);
    const [first] = this.#summaries;
    if (first === undefined) return outcome;
    // The last clients mostly waited for the guest to boot: the first ones' pace says more.
    const { operations_per_s, p50_us } = first;
    const seconds = first.seconds + outcome.seconds;
    const reconnects = first.reconnects + outcome.reconnects;
    const longest_us = Math.max(first.longest_us, outcome.longest_us);
    const errors = [...first.errors, ...outcome.errors];
    return { ...outcome, seconds, operations_per_s, p50_us, reconnects, longest_us, errors };
  }

  /** Waits until one host says that it is protected, and the other that it holds the whole copy. */
  async whole(): Promise<Standing> {
    let seen = "";
    for (const end_ms = performance.now() + WHOLE_MS; performance.now() < end_ms; await pause(LOOK_MS)) {
      const [a, b] = await Promise.all(HOSTS.map((host) => this.#scene.status(host)));
      seen = `host a: ${a?.sentence} host b: ${b?.sentence}`;
      if (a?.term !== b?.term) continue;
      if (a?.phase === "protected" && b?.phase === "ready") return { primary: "a", backup: "b" };
      if (b?.phase === "protected" && a?.phase === "ready") return { primary: "b", backup: "a" };
    }
    throw trouble(`it is not protected again within ${WHOLE_MS} ms; ${seen}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load?.[Symbol.asyncDispose]();
  }

  get #current(): KvLoad {
    if (this.#load === undefined) throw trouble("the trial has no clients yet: begin() it");
    return this.#load;
  }

  /** The guest answers so many more operations. */
  async answered(count: number, bound_ms = 30_000): Promise<void> {
    if (await this.#current.answered(count, bound_ms)) return;
    throw trouble(`the guest did not answer ${count} operations within ${bound_ms} ms`);
  }
}
