/** Tells systemd how this service does: that it is ready, a line of status, and signs of life. Without systemd nothing is told. See sd_notify(3). */

import { EdgeError } from "../errors.ts";

/** A message may have this many bytes. */
const MESSAGE_MAX = 4096;
/** A sign of life is sent this often within the time after which systemd takes the service for dead. */
const PER_PERIOD = 2;

/** What this uses of Deno's sockets, which its stable types do not have. */
interface DatagramSocket {
  send(bytes: Uint8Array, to: { transport: "unixpacket"; path: string }): Promise<number>;
  close(): void;
}
type Listen = (options: { transport: "unixpacket"; path: string }) => DatagramSocket;

/** The service manager's wishes, from the environment. */
export interface NotifyEnvironment {
  get(name: string): string | undefined;
  delete?(name: string): unknown;
}

/** A socket's address as NOTIFY_SOCKET names it: a path, or "@name" of an abstract one. */
export function socketAddress(text: string): string {
  if (/^[/@][^\0]{1,106}$/.test(text)) return text.startsWith("@") ? `\0${text.slice(1)}` : text;
  throw new EdgeError(`NOTIFY_SOCKET is ${JSON.stringify(text.slice(0, 120))}`, {
    op: "tell systemd",
    hint: "It is set by systemd: unset it when the program is started by something else.",
  });
}

/** How often a sign of life is due, ms; null: none is wanted of this process. */
export function watchdogPeriodMs(environment: NotifyEnvironment, pid: number): number | null {
  const us = Number(environment.get("WATCHDOG_USEC") ?? NaN);
  const of = environment.get("WATCHDOG_PID");
  if (!Number.isSafeInteger(us) || us <= 0 || (of !== undefined && of !== String(pid))) return null;
  return Math.max(1, Math.floor(us / 1000 / PER_PERIOD));
}

/** The line to systemd. Nothing here throws: a service does not fail because of it. */
export class Notifier implements AsyncDisposable {
  readonly #to: string | null;
  readonly #periodMs: number | null;
  readonly #alive: () => boolean;
  #socket: DatagramSocket | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #sending: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  /** `alive`: asked before each sign of life; when it says no, none is sent, and systemd starts the service anew. */
  constructor(options: { environment?: NotifyEnvironment; pid?: number; alive?: () => boolean } = {}) {
    const environment = options.environment ?? Deno.env;
    const pid = options.pid ?? Deno.pid;
    const path = environment.get("NOTIFY_SOCKET");
    this.#alive = options.alive ?? (() => true);
    this.#periodMs = path === undefined ? null : watchdogPeriodMs(environment, pid);
    this.#to = path === undefined || path === "" ? null : socketAddress(path);
    // Programs that this one starts are not the service, and some of them would speak for it.
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) environment.delete?.(name);
    if (this.#to === null) return;
    try {
      const listen = (Deno as unknown as { listenDatagram: Listen }).listenDatagram;
      // A name of its own that is nowhere in the file system.
      this.#socket = listen({
        transport: "unixpacket",
        path: `\0iservft-edge-notify-${pid}-${crypto.randomUUID()}`,
      });
    } catch (error) {
      this.#problem = `No socket to systemd: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Why systemd could not be told; null: it could, or there is none. */
  get problem(): string | null {
    return this.#problem;
  }

  /** The service is up. From here on signs of life are sent, if they are wanted. */
  ready(status = ""): Promise<void> {
    if (this.#periodMs !== null) {
      this.#timer ??= setInterval(() => {
        if (this.#alive()) void this.#send("WATCHDOG=1");
      }, this.#periodMs);
    }
    return this.#send(status === "" ? "READY=1" : `READY=1\nSTATUS=${line(status)}`);
  }

  /** A line for `systemctl status`. */
  status(text: string): Promise<void> {
    return this.#send(`STATUS=${line(text)}`);
  }

  /** Settings are being read anew; ready() follows. */
  reloading(): Promise<void> {
    return this.#send("RELOADING=1");
  }

  /** Says that the service ends, and closes the line. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#send("STOPPING=1");
    this.#socket?.close();
    this.#socket = null;
  }

  #send(text: string): Promise<void> {
    const [socket, path] = [this.#socket, this.#to];
    if (socket === null || path === null) return Promise.resolve();
    const bytes = new TextEncoder().encode(text).subarray(0, MESSAGE_MAX);
    this.#sending = this.#sending.then(async () => {
      try {
        await socket.send(bytes, { transport: "unixpacket", path });
        this.#problem = null;
      } catch (error) {
        this.#problem = `systemd was not told: ${error instanceof Error ? error.message : error}`;
      }
    });
    return this.#sending;
  }
}

/** A variable's value ends with its line. */
function line(text: string): string {
  return text.replace(/[\r\n\0]+/g, " ").slice(0, 500);
}
