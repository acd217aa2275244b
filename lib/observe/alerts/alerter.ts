/** Tells people: watches what is wrong, and sends each message by each channel. */

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import type { AlertChannel, AlertSettings, AlertView } from "../../model/alerts.ts";
import type { Snapshot } from "../../model/backend.ts";
import type { EventView } from "../../model/event.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type {
  AlerterContract,
  AlertExtras,
  AlertReplica,
  AlertReplicas,
  ObserverContract,
} from "../contracts.ts";
import { AlertBook, type Lasting, type Turn } from "./book.ts";
import { attemptOnce, ChannelQueue } from "./channel_queue.ts";
import { conditionsOf, firstOfTwo } from "./conditions.ts";
import { readJson, writePrivateJson } from "./files.ts";
import type { AlertMessage } from "./message.ts";
import { send } from "./send.ts";
import { accepted, redacted, withoutSecrets } from "./settings.ts";

export interface AlerterOptions {
  /** DATA/observe; there, and 0700. Settings are in alerts.json, what was told in told.json. */
  directory: string;
  /** Name of this node. */
  node: string;
  observer: Pick<ObserverContract, "event" | "subscribe" | "state">;
  warn?: (text: string) => void;
  /** Wall clock. */
  nowMs?: () => number;
  /** A clock that is never set. */
  steadyMs?: () => number;
  retry_ms?: readonly number[];
}

/** Events that people are told of although they do not last, when they are bad enough. */
const ONCE: ReadonlySet<string> = new Set([
  ...["vm.taken_over", "vm.switchover_failed", "vm.runner_restarted", "vm.alarm"],
  ...["pair.stranger", "pair.attempt_refused", "user.locked", "job.failed"],
  ...["node.events_lost", "node.events_begun_anew"],
]);
/** What happens to a VM is told each time, but for this. */
const AGAIN_MS = 60_000;
const TEST_MS = 20_000;
const TESTS = 4;
const keptSettings = z.object({ revision: z.number().int().min(0), settings: z.unknown() });
const NOTHING: AlertSettings = { channels: [], threshold: "warning", repeat_s: 3600 };

/** See above. */
export class Alerter implements AlerterContract, AlertReplicas {
  readonly #options: Required<Omit<AlerterOptions, "retry_ms">> & Pick<AlerterOptions, "retry_ms">;
  #settings: AlertSettings = NOTHING;
  /** Of the settings: 0 until somebody sets them. */
  #revision = 0;
  readonly #configured = new Set<() => void>();
  readonly #book: AlertBook;
  readonly #queues = new Map<string, ChannelQueue>();
  readonly #events: Disposable;
  readonly #once = new Map<string, number>();
  #told = "[]";
  #tests = 0;
  /** Files are written one after the other. */
  #writing: Promise<void> = Promise.resolve();
  #keeping = false;

  /** Reads the settings; ones that cannot be read are put aside and said. */
  constructor(options: AlerterOptions) {
    this.#options = {
      warn: () => {},
      nowMs: Date.now,
      steadyMs: () => performance.now(),
      ...options,
    };
    this.#read();
    this.#book = new AlertBook();
    this.#remember();
    this.#queuesForSettings();
    this.#events = options.observer.subscribe((seen) => {
      if (seen.kind === "event") this.#heard(seen.event);
    });
  }

  #path(name: string): string {
    return join(this.#options.directory, name);
  }

  #read(): void {
    const path = this.#path("alerts.json");
    try {
      const kept = readJson(path);
      if (kept === undefined) return;
      const { revision, settings } = keptSettings.parse(kept);
      this.#settings = accepted(settings, NOTHING);
      this.#revision = revision;
    } catch (error) {
      const why = `its settings cannot be read: ${error instanceof Error ? error.message : error}`;
      try {
        Deno.renameSync(path, `${path}.damaged`);
      } catch {
        // It stays where it is, and is written over when settings are saved.
      }
      this.#failedEvent("*", why);
    }
  }

  /** What was told before the last restart is not told again, but its end is. */
  #remember(): void {
    try {
      const kept = readJson(this.#path("told.json"));
      if (kept !== undefined) this.#book.restore(kept, this.#options.steadyMs());
    } catch (error) {
      this.#options.warn(
        `what was told before is not known: ${error instanceof Error ? error.message : error}`,
      );
    }
    this.#told = JSON.stringify(this.#book.dump());
  }

  settings(): AlertSettings {
    return redacted(this.#settings);
  }

  async configure(settings: AlertSettings): Promise<AlertSettings> {
    await this.#change(() => ({
      revision: Math.max(this.#revision + 1, this.#options.nowMs()),
      settings: accepted(settings, this.#settings),
    }));
    for (const listener of [...this.#configured]) listener();
    return this.settings();
  }

  /** Changes are written one after the other; null: there is nothing to change. Returns whether there was. */
  async #change(make: () => AlertReplica | null): Promise<boolean> {
    const before = this.#writing;
    const written = (async () => {
      await before;
      const next = make();
      if (next === null) return false;
      await writePrivateJson(this.#path("alerts.json"), next);
      this.#settings = next.settings;
      this.#revision = next.revision;
      this.#queuesForSettings();
      return true;
    })();
    this.#writing = written.then(() => {}, () => {});
    return await written;
  }

  replica(): AlertReplica {
    return { revision: this.#revision, settings: this.#settings };
  }

  async adopt({ revision, settings }: { revision: number; settings: unknown }): Promise<boolean> {
    return await this.#change(() =>
      revision > this.#revision ? { revision, settings: accepted(settings, NOTHING) } : null
    );
  }

  onConfigured(listener: () => void): Disposable {
    this.#configured.add(listener);
    return { [Symbol.dispose]: () => void this.#configured.delete(listener) };
  }

  #queuesForSettings(): void {
    const wanted = new Map(this.#settings.channels.filter(({ enabled }) => enabled).map((c) => [c.name, c]));
    for (const [name, queue] of this.#queues) {
      if (wanted.has(name)) continue;
      this.#queues.delete(name);
      queue[Symbol.asyncDispose]().catch((error) => this.#options.warn(String(error)));
    }
    for (const name of wanted.keys()) {
      if (this.#queues.has(name)) continue;
      const { retry_ms } = this.#options;
      this.#queues.set(
        name,
        new ChannelQueue({
          // As it is set when it is sent, not when it was made.
          send: (message, signal) => this.#send(message, this.#channel(name), signal),
          failed: (why) => this.#failedEvent(name, why),
          ...(retry_ms === undefined ? {} : { retry_ms }),
        }),
      );
    }
  }

  #channel(name: string): AlertChannel {
    const channel = this.#settings.channels.find((known) => known.name === name);
    if (channel === undefined) {
      throw new ProblemError("not_found", explained("alert.no_channel", { name: JSON.stringify(name) }));
    }
    return channel;
  }

  async #send(message: AlertMessage, channel: AlertChannel, signal: AbortSignal): Promise<string> {
    try {
      return withoutSecrets(await send(message, channel, signal), channel);
    } catch (error) {
      throw new Error(withoutSecrets(error instanceof Error ? error.message : String(error), channel));
    }
  }

  #failedEvent(channel: string, why: string): void {
    this.#options.observer.event({
      severity: "warning",
      subject: "alert",
      name: channel,
      code: "alert.failed",
      params: { channel, why },
      actor: null,
    });
  }

  async test(name: string): Promise<{ ok: boolean; detail: string }> {
    const channel = this.#channel(name);
    if (this.#tests >= TESTS) {
      throw new ProblemError("too_many", explained("alert.tests_max", { count: TESTS }));
    }
    const text = "This is a test of the alerts. Nothing is wrong.";
    const message = this.#message("test", {
      ...{ key: "test", severity: "info", code: "alert.test", params: { channel: name }, text },
    });
    this.#tests++;
    try {
      const tried = await attemptOnce((m, signal) => this.#send(m, channel, signal), message, {
        ms: TEST_MS,
      });
      const subject = "alert" as const;
      if (!tried.ok) this.#failedEvent(name, tried.detail);
      else {
        this.#options.observer.event({
          ...{ severity: "info", subject, name, code: "alert.test", params: { channel: name }, actor: null },
        });
      }
      return tried;
    } finally {
      this.#tests--;
    }
  }

  evaluate(snapshot: Snapshot, extras: AlertExtras): void {
    try {
      const found = conditionsOf(snapshot, extras, this.#options.observer.state().problem);
      const turn = this.#book.step(found, { now_ms: this.#options.steadyMs(), at: this.#at() }, {
        threshold: this.#settings.threshold,
        repeat_ms: this.#settings.repeat_s * 1000,
        first: firstOfTwo(snapshot),
        able: this.#queues.size > 0,
        peer_telling: extras.peer_telling === null ? null : new Set(extras.peer_telling),
      });
      this.#act(turn);
    } catch (error) {
      this.#options.warn(`alerts could not be looked at: ${error instanceof Error ? error.message : error}`);
    }
  }

  #act(turn: Turn): void {
    const event = (code: "alert.raised" | "alert.cleared", { condition }: Lasting) =>
      this.#options.observer.event({
        severity: code === "alert.raised" ? condition.severity : "ok",
        subject: "alert",
        name: condition.key,
        code,
        // The page has the sentence in its reader's language by these.
        params: { ...condition.params, text: condition.text, alert: condition.code },
        actor: null,
      });
    for (const lasting of turn.raised) event("alert.raised", lasting);
    for (const lasting of turn.cleared) event("alert.cleared", lasting);
    for (const { kind, lasting } of turn.tell) {
      this.#deliver(this.#message(kind, { ...lasting.condition, since: lasting.since }));
    }
    const told = JSON.stringify(this.#book.dump());
    if (told === this.#told) return;
    this.#told = told;
    if (this.#keeping) return;
    this.#keeping = true;
    this.#writing = this.#writing.then(() => this.#keepTold());
  }

  async #keepTold(): Promise<void> {
    try {
      // What changed meanwhile is written as well.
      for (let written = ""; written !== this.#told;) {
        written = this.#told;
        await writePrivateJson(this.#path("told.json"), JSON.parse(written));
      }
    } catch (error) {
      this.#options.warn(`what was told is not kept: ${error instanceof Error ? error.message : error}`);
    }
    this.#keeping = false;
  }

  #heard(event: EventView): void {
    if (!ONCE.has(event.code) || event.node !== this.#options.node) return;
    if (event.severity !== "critical" && event.severity !== "warning") return;
    if (event.severity === "warning" && this.#settings.threshold === "critical") return;
    const key = `${event.subject}/${event.name}/${event.code}`;
    // A VM's next alarm may be another one; strangers at the door are all the same.
    const same = event.subject === "vm" ? `${key}/${event.text}` : key;
    const now = this.#options.steadyMs();
    const within = event.subject === "vm" ? AGAIN_MS : this.#settings.repeat_s * 1000;
    for (const [old, at] of this.#once) {
      if (now - at >= this.#settings.repeat_s * 1000) this.#once.delete(old);
    }
    const last = this.#once.get(same);
    if (last !== undefined && now - last < within || this.#once.size >= 1_000) return;
    this.#once.set(same, now);
    const text = event.subject === "vm" ? `VM ${event.name}: ${event.text}` : event.text;
    this.#deliver(this.#message("event", { ...event, key, text, since: event.at }));
  }

  #at(): string {
    return new Date(this.#options.nowMs()).toISOString();
  }

  #message(
    kind: AlertMessage["kind"],
    about: Pick<AlertMessage, "key" | "severity" | "code" | "params" | "text"> & { since?: string },
  ): AlertMessage {
    const at = this.#at();
    const { key, severity, code, params, text, since = at } = about;
    return { id: randomUUID(), kind, at, node: this.#options.node, key, severity, code, params, text, since };
  }

  #deliver(message: AlertMessage): void {
    for (const queue of this.#queues.values()) queue.push(message);
  }

  active(): AlertView[] {
    return this.#book.active().map(({ condition, since }) => {
      const { key, severity, code, params, text } = condition;
      return { key, severity, code, params, text, since };
    });
  }

  telling(): string[] {
    return this.#queues.size === 0 ? [] : this.#book.told();
  }

  counts(): { channel: string; kind: string; sent: number; failed: number; waiting: number }[] {
    return this.#settings.channels.flatMap(({ name, kind }) => {
      const queue = this.#queues.get(name);
      return queue === undefined ? [] : [{ channel: name, kind, ...queue.counts() }];
    });
  }

  /** What is on its way is given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#events[Symbol.dispose]();
    await Promise.all([...this.#queues.values()].map((queue) => queue[Symbol.asyncDispose]()));
    this.#queues.clear();
    await this.#writing;
  }
}
