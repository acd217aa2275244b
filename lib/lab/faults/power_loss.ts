/** Both hosts lose their power under load, a host comes back alone, and what may not be lost is counted. */

import type { ClientSummary } from "../counting_client.ts";
import { type GuestLog, readGuestLog } from "../guest_log.ts";
import { type Host, HOSTS } from "../places.ts";
import { type CountingClient, pause, reached, type Scene } from "../scene.ts";
import { expect } from "./row.ts";

/** Each count is flushed to disk before it is answered; the client gives up soon when nobody answers. */
const LOAD = { patience_ms: 1500, write: 256 };

const START_MS = 30_000;

/** What the images of both hosts hold, and what must be on one of them. */
export interface Found {
  /** Records that were answered before the cut, since the disk was made. */
  promised: number;
  logs: Record<Host, GuestLog>;
}

/** A protected scene whose hosts' storage forgets what was not synced, with a load, and the count of what was answered. */
export class PowerLoss {
  readonly scene: Scene;
  #client: CountingClient | undefined;
  #begun = 0;

  private constructor(scene: Scene) {
    this.scene = scene;
  }

  /** Asks the guest what it has, and starts the load. */
  static async begin(scene: Scene): Promise<PowerLoss> {
    const power = new PowerLoss(scene);
    await power.askGuest();
    return power;
  }

  /** Records of the guest's log when the client began. */
  get begun(): number {
    return this.#begun;
  }

  get client(): CountingClient {
    if (this.#client === undefined) throw new Error("no client counts now");
    return this.#client;
  }

  /** Cuts the power of both hosts at once, under load. With a seed a part of what was not synced is left. Both have power again. */
  async cutBoth(seed?: number): Promise<ClientSummary> {
    const { pair, lab } = this.scene;
    expect(await this.client.answered(60), "the guest answers before the cut");
    await pair.cutPower(HOSTS, seed);
    const summary = await this.client.stop();
    expect(summary.connection === "broken", "a connection ends with its guest");
    for (const host of HOSTS) await pair.runner(host).ended;
    for (const host of HOSTS) await lab.powerOn(host);
    return summary;
  }

  /** A host comes back alone: its journal is replayed, it waits and says that its copy may be behind. Its runner goes on. */
  async comesBackAlone(host: Host): Promise<GuestLog> {
    const runner = await this.scene.pair.start(host);
    const said = await runner.event((event) => event.event === "alarm" && event["code"] === "held");
    const asks = /may be behind.*confirm that it is off/.test(String(said["text"]));
    expect(asks, `it says that its copy may be behind: ${said["text"]}`);
    const { phase } = await this.scene.status(host);
    expect(phase === "waiting", `a host that comes back alone waits: ${phase}`);
    return await readGuestLog(this.scene.pair.image(host));
  }

  /** Cuts both, and looks what each host has by itself; both are off again then, in order. */
  async cutAndLook(seed?: number): Promise<Found> {
    const { replies } = await this.cutBoth(seed);
    return { promised: this.#begun + replies, logs: await this.logs() };
  }

  /** What each host has by itself. Both have power, and nothing runs before and after. */
  async logs(): Promise<Record<Host, GuestLog>> {
    const logs = {} as Record<Host, GuestLog>;
    for (const host of HOSTS) {
      logs[host] = await this.comesBackAlone(host);
      await this.scene.killRunner(host);
    }
    return logs;
  }

  /** Resolves with the host that starts the VM. */
  async starts(): Promise<Host> {
    const { pair } = this.scene;
    const began = () => HOSTS.find((host) => pair.runners.get(host)?.events.some(reached("solo")));
    const end_ms = performance.now() + START_MS;
    for (let host = began();; host = began()) {
      if (host !== undefined) return host;
      expect(performance.now() < end_ms, `one host starts the VM within ${START_MS} ms`);
      await pause(20);
    }
  }

  /** Both come back, in this order; the VM starts on one and is protected again. What the guest that was started finds on its disk. */
  async comeBack(order: readonly Host[]): Promise<{ host: Host; last: number }> {
    const { pair } = this.scene;
    for (const host of order) await pair.start(host);
    const host = await this.starts();
    await pair.runner(host).event((event) => event.event === "protected", 90_000);
    return { host, last: await this.askGuest() };
  }

  /** A new client: how many records the guest has now, after it checked its disk. The load goes on from there. */
  async askGuest(): Promise<number> {
    const asked = await this.scene.client({ ...LOAD, requests: 1, patience_ms: 10_000 });
    const { disk, connection } = await asked.stop();
    expect(connection === "survived", "the guest answers a new client");
    expect(disk?.ok === true && disk.contiguous, "the guest finds its disk whole");
    this.#begun = disk?.last ?? 0;
    this.#client = await this.scene.client(LOAD);
    return this.#begun - 1;
  }
}

/** What is wrong with what both hosts have after a power cut; empty when all that was answered is there, and no image is damaged. */
export function losses({ promised, logs }: Found): string[] {
  const wrong: string[] = [];
  const newest = Math.max(logs.a.last, logs.b.last);
  if (newest < promised) {
    wrong.push(`${promised - newest} of ${promised} answered flushes are on neither host`);
  }
  for (const host of HOSTS) {
    const { contiguous, clean } = logs[host];
    if (!contiguous) wrong.push(`records are missing in the log on host ${host}`);
    if (!clean) wrong.push(`the file system on host ${host} is damaged`);
  }
  return wrong;
}
