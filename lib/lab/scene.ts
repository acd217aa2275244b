/** A lab with a protected guest in it and a client that counts: what the fault tests and `faults` are made of, and the checks that
 * every outcome goes through. The negative controls go through the very same checks. */

import type { Status } from "../../ffi/status.ts";
import { ClientProcess } from "./client_process.ts";
import type { ClientOptions, ClientSummary } from "./counting_client.ts";
import { Lab } from "./lab.ts";
import { LabPair, type LabRunner, type PairOptions, type RunnerEvent } from "./pair.ts";
import { ADDRESSES, type Host } from "./places.ts";

/** MiB of the guest. */
export const MEMORY = 192;
const READY_MS = 90_000;

/** The program that the runners and the client are, and the guest's files. */
export type Program = Pick<PairOptions, "self" | "kernel" | "guestInit">;

/** How a scene differs from the usual one: 192 MiB, a disk of 32 MiB, takeover after 150 ms of silence. */
export interface SceneOptions extends Partial<Omit<PairOptions, "lab" | "directory" | keyof Program>> {
  rate_mbit?: number;
}

/** Wanted of an event. */
export type Wanted = (event: RunnerEvent) => boolean;

/** A lab of its own, the files of both hosts, and what runs there. Leaves nothing behind. */
export class Scene implements AsyncDisposable {
  readonly lab: Lab;
  readonly pair: LabPair;
  readonly directory: string;
  readonly #clients: CountingClient[] = [];
  /** The command that runs the program. */
  readonly self: readonly string[];

  private constructor(parts: { lab: Lab; pair: LabPair; directory: string; self: readonly string[] }) {
    this.self = parts.self;
    this.lab = parts.lab;
    this.pair = parts.pair;
    this.directory = parts.directory;
  }

  /** Builds it. Nothing runs yet. */
  static async open(program: Program, options: SceneOptions = {}): Promise<Scene> {
    const { rate_mbit, ...pairOptions } = options;
    const directory = await Deno.makeTempDir({ prefix: "iservft-scene-" });
    const id = `e${crypto.randomUUID().slice(0, 6)}`;
    try {
      const lab = await Lab.up({ id, ...(rate_mbit === undefined ? {} : { rate_mbit }) });
      const pair = await LabPair.create({
        ...program,
        memory: MEMORY,
        disk: 32,
        takeover: 150,
        ...pairOptions,
        lab,
        directory,
      });
      return new Scene({ lab, pair, directory, self: program.self });
    } catch (error) {
      await Lab.down(id);
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
  }

  /** Makes it protected, with a client that counts over one connection. Disposes of it when that fails. */
  async counting(load: Partial<ClientOptions> = {}): Promise<Counting> {
    try {
      await this.protect();
      return { scene: this, client: await this.client(load) };
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Both runners; resolves when both know that the guest is protected. */
  async protect(): Promise<void> {
    await this.pair.protect(READY_MS);
    await this.pair.runner("b").event(reached("ready"), READY_MS);
  }

  /** A client that counts; resolves when the guest has answered it. */
  async client(load: Partial<ClientOptions> = {}): Promise<CountingClient> {
    const client = new CountingClient(this.lab, { self: this.self, load });
    this.#clients.push(client);
    await client.connected;
    return client;
  }

  /** Starts a host's runner again; resolves when the VM is protected again. */
  async restart(host: Host): Promise<LabRunner> {
    const other = this.pair.runner(host === "a" ? "b" : "a");
    const protectedAgain = next(other, (event) => event.event === "protected");
    const runner = await this.pair.start(host);
    await protectedAgain(READY_MS);
    await runner.event(reached("ready"));
    return runner;
  }

  /** Kills a host's runner with SIGKILL, or only waits for its end when something else kills it. */
  async killRunner(host: Host): Promise<void> {
    const runner = this.pair.runner(host);
    if (!runner.over) runner.child.kill("SIGKILL");
    await runner.ended;
  }

  /** Lets the runner kill itself at this failpoint; resolves when it has. */
  async dieAt(host: Host, failpoint: string): Promise<void> {
    const runner = this.pair.runner(host);
    await runner.call("failpoint", { name: failpoint, action: 1 });
    const bound = setTimeout(() => runner.child.kill("SIGKILL"), 20_000);
    const { signal } = await runner.ended;
    clearTimeout(bound);
    if (signal !== "SIGKILL") throw new Error(`the runner ended by ${signal}, not at ${failpoint}`);
  }

  async status(host: Host): Promise<{ phase: string; term: number; sentence: string; engine: Status }> {
    return await this.pair.runner(host).call("status") as never;
  }

  /** Compares both hosts' memory, RAM blocks, device state and disks at a commit. */
  async verify(primary: Host): Promise<RunnerEvent> {
    const runner = this.pair.runner(primary);
    const verified = next(runner, (event) => event.event === "verified");
    await runner.call("verify");
    return await verified(30_000);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client[Symbol.asyncDispose]();
    await this.lab.restore().catch(() => {});
    await this.pair[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A scene with its client. */
export interface Counting {
  scene: Scene;
  client: CountingClient;
}

/** The client's process, and how far it is. */
export class CountingClient implements AsyncDisposable {
  /** Times of 50 ms or more without a reply, by CLOCK_MONOTONIC. */
  readonly gaps: { from_us: number; to_us: number; ms: number }[] = [];
  readonly #process: ClientProcess;
  readonly #waiting = new Set<() => void>();
  #replies = 0;

  constructor(lab: Lab, start: { self: readonly string[]; load: Partial<ClientOptions> }) {
    const { self, load } = start;
    this.#process = new ClientProcess(lab, {
      self,
      options: {
        hostname: ADDRESSES.guest,
        dirty: 20,
        write: 256,
        connect_ms: READY_MS,
        patience_ms: 20_000,
        progress_ms: 50,
        verify: true,
        ...load,
      },
      onEvent: (event) => {
        if (event.event === "gap") this.gaps.push(event);
        if (event.event !== "progress") return;
        this.#replies = event.replies;
        for (const look of [...this.#waiting]) look();
      },
    });
  }

  get connected(): Promise<void> {
    return this.#process.connected;
  }

  /** Replies so far, as it said last. */
  get replies(): number {
    return this.#replies;
  }

  /** Resolves with true when the guest has answered `count` more requests, with false when it does not within the bound, or can no
   * longer because the client has ended. */
  async answered(count: number, bound_ms = 30_000): Promise<boolean> {
    const goal = this.#replies + count;
    return await new Promise((resolve) => {
      const end = (met: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(met);
      };
      const look = () => this.#replies >= goal && end(true);
      const timer = setTimeout(() => end(false), bound_ms);
      this.#waiting.add(look);
      this.summary.catch(() => {}).finally(() => end(false));
    });
  }

  /** Its last word, once it ended by itself: when the guest answers what it cannot count, or nothing for too long. */
  get summary(): Promise<ClientSummary> {
    return this.#process.summary;
  }

  /** From now on gaps without a reply are counted apart. */
  async mark(): Promise<void> {
    await this.#process.mark();
  }

  /** Ends it, after the guest has checked its memory and its disk. */
  async stop(): Promise<ClientSummary> {
    return await this.#process.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

/** Looks from now on: events that came before do not count. Ask for it before what is to cause the event. */
export function next(runner: LabRunner, wanted: Wanted): (bound_ms?: number) => Promise<RunnerEvent> {
  const seen = new Set(runner.events);
  return (bound_ms = 30_000) => runner.event((event) => !seen.has(event) && wanted(event), bound_ms);
}

/** A change to this phase. */
export function reached(phase: string, step?: string): Wanted {
  return (event) =>
    event.event === "state" && event["to"] === phase &&
    (step === undefined || (event["phase"] as { step?: string }).step === step);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** What a client saw that it should not have; empty when every promise was kept. */
export function brokenPromises(summary: ClientSummary): string[] {
  const broken: string[] = [];
  if (summary.lost > 0) {
    broken.push(`${summary.lost} of ${summary.acknowledged} acknowledged counts were lost`);
  }
  if (summary.connection !== "survived") broken.push(`the connection broke: ${summary.reason}`);
  if (summary.memory?.ok !== true) broken.push("the guest found its memory damaged, or could not be asked");
  if (summary.disk?.ok !== true) broken.push("the guest found its disk damaged, or could not be asked");
  if (summary.disk?.contiguous === false) broken.push("records are missing in the guest's log");
  return broken;
}

/** What differs between the hosts, by a verifying checkpoint. */
export function differences(verified: RunnerEvent): string[] {
  return ["memory", "blocks", "device", "disk"].filter((part) => verified[part] !== true);
}
