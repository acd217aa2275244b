/** Keeps the settings of alerts the same on both nodes: when one dies, it is the other one that has to tell. What was set last counts.
 * They go with their secrets, over the channel between the two, and only when one of them has other ones. */

import { z } from "zod";
import type { AlertReplicas } from "../observe/contracts.ts";
import { type PeerChannel, REVISION_MAX } from "./contracts.ts";

const METHOD = "alerts.settings";
const EVERY_MS = 60_000;

const revision = z.number().int().min(0).max(REVISION_MAX);
/** `settings` is there when the sender's are newer. */
const message = z.strictObject({ revision, settings: z.unknown().optional() });

/** See above. */
export class AlertExchange implements AsyncDisposable {
  readonly #channel: PeerChannel;
  readonly #alerts: AlertReplicas;
  readonly #watches: Disposable[];
  readonly #timer: ReturnType<typeof setInterval>;
  #asking: Promise<void> | null = null;
  #again = false;

  constructor({ channel, alerts }: { channel: PeerChannel; alerts: AlertReplicas }) {
    this.#channel = channel;
    this.#alerts = alerts;
    channel.answer(METHOD, (params) => this.#answer(params));
    this.#watches = [
      channel.onChange(() => void this.exchange()),
      alerts.onConfigured(() => void this.exchange()),
    ];
    this.#timer = setInterval(() => void this.exchange(), EVERY_MS);
  }

  /** Compares with the other node now; one comparison at a time. What fails is done again later. */
  exchange(): Promise<void> {
    this.#again = this.#asking !== null;
    this.#asking ??= this.#exchange().catch(() => {}).finally(() => {
      this.#asking = null;
      if (this.#again) void this.exchange();
    });
    return this.#asking;
  }

  async #exchange(): Promise<void> {
    if (this.#channel.peer === null || !this.#channel.reachable) return;
    const mine = this.#alerts.replica().revision;
    const theirs = message.parse(await this.#channel.call(METHOD, { revision: mine }));
    if (theirs.settings !== undefined) await this.#alerts.adopt({ settings: undefined, ...theirs });
    else if (theirs.revision < mine) await this.#channel.call(METHOD, this.#alerts.replica());
  }

  async #answer(params: unknown): Promise<unknown> {
    const theirs = message.parse(params);
    if (theirs.settings !== undefined) await this.#alerts.adopt({ settings: undefined, ...theirs });
    const mine = this.#alerts.replica();
    return mine.revision > theirs.revision ? mine : { revision: mine.revision };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#again = false;
    await this.#asking;
  }
}
