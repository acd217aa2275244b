/** What a figure is measured on: a lab with a pair of its own, removed afterwards whatever happens. */

import type { Status } from "../../ffi/status.ts";
import { EdgeError } from "../errors.ts";
import { ClientProcess } from "../lab/client_process.ts";
import { runCommand } from "../lab/command.ts";
import type { ClientEvent, ClientOptions, ClientSummary } from "../lab/counting_client.ts";
import { Lab } from "../lab/lab.ts";
import { LabPair, type PairOptions } from "../lab/pair.ts";
import { ADDRESSES, type Host, LINKS } from "../lab/places.ts";
import { vmPaths } from "../vm/command_line.ts";
import { QmpClient } from "../vm/qmp.ts";
import type { Figure } from "./figures.ts";

/** What all parts of a run are given. */
export interface Setting {
  /** The command that runs this program. */
  self: readonly string[];
  kernel: { vmlinuz: string; modules: readonly string[] };
  guestInit: string;
  /** Path of libiservft.so. */
  library: string;
  /** The source tree; undefined in a built binary, which has no compiler to measure the C parts with. */
  sources: string | undefined;
  /** Fewer samples, for a first look. */
  quick: boolean;
  /** Power-offs; undefined: as many as the part is meant to have. */
  times: number | undefined;
  seed: number;
  /** MiB of the guest. */
  memory: number;
  interrupted: AbortSignal;
  /** What is being done, for people who wait. */
  say(text: string): void;
  report(figure: Figure): void;
}

/** How a bed differs from the usual one. */
export type BedOptions = Pick<PairOptions, "disk" | "hostToml">;

const READY_MS = 120_000;

let beds = 0;

/** Runs `body` on a new bed. Nothing runs on it yet. */
export async function withBed<T>(
  setting: Setting & { bed?: BedOptions },
  body: (bed: Bed) => Promise<T>,
): Promise<T> {
  setting.interrupted.throwIfAborted();
  const directory = await Deno.makeTempDir({ prefix: "iservft-bench-" });
  try {
    const id = `b${Deno.pid.toString(36).slice(-5)}${(beds++ % 36).toString(36)}`;
    await using lab = await Lab.up({ id });
    const { self, kernel, guestInit, memory } = setting;
    await using pair = await LabPair.create({
      ...{ lab, directory, self, kernel, guestInit, memory },
      ...setting.bed,
    });
    const work = body(new Bed(setting, { lab, pair, directory }));
    work.catch(() => {}); // after an interrupt nobody waits for it
    return await Promise.race([work, interruption(setting.interrupted)]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function interruption(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Bytes that went over both replication lines, both ways, as their interfaces count. */
export interface LineBytes {
  bytes: number;
  at_ms: number;
}

/** A lab with a pair in it. */
export class Bed {
  readonly lab: Lab;
  readonly pair: LabPair;
  readonly directory: string;
  readonly #setting: Setting;

  constructor(setting: Setting, parts: { lab: Lab; pair: LabPair; directory: string }) {
    this.#setting = setting;
    this.lab = parts.lab;
    this.pair = parts.pair;
    this.directory = parts.directory;
  }

  /** The VM begins on host A, alone. */
  async alone(): Promise<void> {
    const runner = await this.pair.start("a", { begin: true });
    await runner.event((event) => event.event === "state" && event["to"] === "solo", READY_MS);
  }

  /** Host B joins, and the VM is protected. */
  async protect(): Promise<void> {
    await this.pair.start("b");
    await this.pair.runner("a").event((event) => event.event === "protected", READY_MS);
  }

  /** The engine's counters on a host. */
  async status(host: Host = "a"): Promise<Status> {
    return (await this.pair.runner(host).call("status") as { engine: Status }).engine;
  }

  /** A client that is connected. It counts until it is stopped. */
  async client(
    options: Partial<ClientOptions>,
    onEvent: (event: ClientEvent) => void = () => {},
  ): Promise<ClientProcess> {
    const client = new ClientProcess(this.lab, {
      self: this.#setting.self,
      options: { hostname: ADDRESSES.guest, connect_ms: READY_MS, progress_ms: 0, ...options },
      onEvent,
    });
    try {
      await client.connected;
      return client;
    } catch (error) {
      await client[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Waits until the guest's service answers, and has come to rest. */
  async guestReady(): Promise<void> {
    await using client = await this.client({ dirty: 0, requests: 1 });
    await client.summary;
    await sleep(1000);
  }

  /** Has a client count for some time. Throws when its connection breaks. */
  async load(options: Partial<ClientOptions>, seconds: number): Promise<ClientSummary> {
    await using client = await this.client(options);
    await sleep(seconds * 1000);
    const summary = await client.stop();
    if (summary.connection === "survived" && summary.lost === 0) return summary;
    throw new EdgeError(`the client's connection ${summary.connection}, ${summary.lost} counts were lost`, {
      op: "load the guest",
      hint: "See the runners' events: run the demo with --json.",
    });
  }

  /** A monitor of the QEMU on a host, beside the engine's. */
  async monitor(host: Host = "a"): Promise<QmpClient> {
    return await QmpClient.connect(vmPaths(this.pair.runDirectory(host)).qmp, { timeoutMs: 5000 });
  }

  /** What the interfaces of both lines counted so far, both ways, Ethernet headers included. */
  async lineBytes(): Promise<LineBytes> {
    const text = await runCommand(["ip", "-n", this.lab.namespace("a"), "-s", "-j", "link"], {
      op: "read the lines' counters",
    });
    const at_ms = performance.now();
    const names = LINKS.map((link) => `link-${link}`);
    const interfaces = JSON.parse(text) as InterfaceCounters[];
    const bytes = interfaces.filter(({ ifname }) => names.includes(ifname))
      .reduce((sum, { stats64 }) => sum + stats64.rx.bytes + stats64.tx.bytes, 0);
    return { bytes, at_ms };
  }
}

interface InterfaceCounters {
  ifname: string;
  stats64: { rx: { bytes: number }; tx: { bytes: number } };
}

/** Mbit/s between two readings. */
export function rateOf(before: LineBytes, after: LineBytes): number {
  return (after.bytes - before.bytes) * 8 / 1000 / (after.at_ms - before.at_ms);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
