/** Each node keeps the other's events too, so that what happened can be read when one of them is gone. The one asks the other for what is
 * newer than what it has, at each change of the connection, every few seconds, and whenever the other says that there is something. */

import { z } from "zod";
import { writeDurableFile } from "../durable_file.ts";
import { type EventView, eventView } from "../model/event.ts";
import { nodeName } from "../model/node.ts";
import type { ObserverContract } from "../observe/contracts.ts";
import type { PeerChannel } from "./contracts.ts";

/** Events at a time; of more than that the oldest stay with the node that saw them. */
const BATCH = 500;
const EVERY_MS = 3000;
const METHOD = "events.since";

const question = z.strictObject({ after: z.number().int().min(0) });
const answer = z.array(eventView.extend({ id: z.number().int().min(1), node: nodeName })).max(BATCH);
const place = z.object({ peer: z.string(), last: z.number().int().min(0) });

/** What it works with. */
export interface EventExchangeOptions {
  /** File that says how far it is. */
  file: string;
  /** This node's name, now. */
  node(): string;
  channel: PeerChannel;
  observer: Pick<ObserverContract, "query" | "taken">;
}

export class EventExchange implements AsyncDisposable {
  readonly #options: EventExchangeOptions;
  readonly #watch: Disposable;
  readonly #timer: ReturnType<typeof setInterval>;
  #asking: Promise<void> | null = null;
  #place: z.infer<typeof place> | null;

  constructor(options: EventExchangeOptions) {
    this.#options = options;
    this.#place = read(options.file);
    const { channel } = options;
    channel.answer(METHOD, (params) => this.#answer(params));
    this.#watch = channel.onChange(() => void this.pull());
    this.#timer = setInterval(() => void this.pull(), EVERY_MS);
  }

  /** Asks the other node now; one question at a time. */
  pull(): Promise<void> {
    this.#asking ??= this.#pull().catch(() => {}).finally(() => this.#asking = null);
    return this.#asking;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#watch[Symbol.dispose]();
    await this.#asking;
  }

  async #answer(params: unknown): Promise<EventView[]> {
    const { after } = question.parse(params);
    const events = await this.#options.observer.query({ after, limit: BATCH });
    // Those that came from the other node are its own.
    return events.filter((event) => event.node === this.#options.node());
  }

  async #pull(): Promise<void> {
    const { channel, observer, node, file } = this.#options;
    const { peer } = channel;
    if (peer === null || !channel.reachable) return;
    const last = this.#place?.peer === peer.id ? this.#place.last : 0;
    const events = answer.parse(await channel.call(METHOD, { after: last }));
    const fresh = events.filter((event) => event.id > last && event.node !== node()).sort((a, b) =>
      a.id - b.id
    );
    const newest = fresh.at(-1);
    if (newest === undefined) return;
    for (const { id: _id, ...event } of fresh) observer.taken(event);
    // Written after: a crash in between shows some events twice, and loses none.
    this.#place = { peer: peer.id, last: newest.id };
    writeDurableFile(file, JSON.stringify(this.#place), 0o600);
  }
}

function read(file: string): z.infer<typeof place> | null {
  try {
    return place.parse(JSON.parse(Deno.readTextFileSync(file)));
  } catch {
    return null; // the first time, or damaged: events come twice then
  }
}
