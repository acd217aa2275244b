/** A VM's serial line on this node: one connection to QEMU, which is always read so that the guest never waits, many viewers, and what it
 * said last. */

import type { Duplex } from "../../model/backend.ts";
import { rotate } from "./launcher.ts";

/** What a new viewer is shown first. */
export const SCROLLBACK_BYTES = 64 * 1024;
/** A viewer that does not read this much is cut off. */
const BEHIND_BYTES = 256 * 1024;
const VIEWERS_MAX = 16;
const LOG_BYTES = 1024 * 1024;
const RETRY_MS = 500;

export interface SerialHubOptions {
  /** QEMU's socket. */
  socket: string;
  /** A file that keeps what the guest said, bounded. */
  log: string;
}

interface Viewer {
  controller: ReadableStreamDefaultController<Uint8Array>;
  ended: boolean;
}

export class SerialHub implements AsyncDisposable {
  readonly #options: SerialHubOptions;
  readonly #viewers = new Set<Viewer>();
  #said: Uint8Array = new Uint8Array();
  #line: Deno.UnixConn | null = null;
  #writing: Promise<void> = Promise.resolve();
  #logging: Promise<void> = Promise.resolve();
  #unlogged: Uint8Array[] = [];
  #ended = false;
  #wake: () => void = () => {};
  readonly #running: Promise<void>;

  constructor(options: SerialHubOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** There is a QEMU to speak with. */
  get connected(): boolean {
    return this.#line !== null;
  }

  /** A further viewer; undefined: there are too many, or there is no QEMU. It ends with the QEMU. */
  attach(options: { scrollback: boolean }): Duplex | undefined {
    if (this.#line === null || this.#viewers.size >= VIEWERS_MAX) return undefined;
    let viewer: Viewer | undefined;
    const end = () => {
      if (viewer === undefined || viewer.ended) return;
      viewer.ended = true;
      this.#viewers.delete(viewer);
      viewer.controller.close();
    };
    const readable = new ReadableStream<Uint8Array>({
      start: (controller) => {
        viewer = { controller, ended: false };
        this.#viewers.add(viewer);
        if (options.scrollback && this.#said.length > 0) controller.enqueue(this.#said);
      },
      cancel: () => {
        if (viewer === undefined) return;
        viewer.ended = true;
        this.#viewers.delete(viewer);
      },
    }, { highWaterMark: BEHIND_BYTES, size: (chunk) => chunk.length });
    const writable = new WritableStream<Uint8Array>({
      write: (chunk) => this.#type(chunk),
      close: end,
      abort: end,
    });
    return { readable, writable, [Symbol.asyncDispose]: () => Promise.resolve(end()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#hangUp();
    this.#wake();
    await this.#running;
    await this.#logging;
  }

  /** Keys, in the order in which they were typed. */
  #type(chunk: Uint8Array): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      try {
        for (let rest = chunk; rest.length > 0 && this.#line !== null;) {
          rest = rest.subarray(await this.#line.write(rest));
        }
      } catch {
        // QEMU is gone: so are the keys
      }
    });
    return this.#writing;
  }

  #hangUp(): void {
    const line = this.#line;
    this.#line = null;
    try {
      line?.close();
    } catch {
      // closed by the other side
    }
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      try {
        this.#line = await Deno.connect({ transport: "unix", path: this.#options.socket });
        await this.#read(this.#line);
      } catch {
        // No QEMU now.
      }
      this.#hangUp();
      for (const viewer of this.#viewers) {
        viewer.ended = true;
        viewer.controller.close();
      }
      this.#viewers.clear();
      if (!this.#ended) await this.#pause();
    }
  }

  async #read(line: Deno.UnixConn): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    while (!this.#ended) {
      const got = await line.read(buffer);
      if (got === null) return;
      this.#heard(buffer.slice(0, got));
    }
  }

  #heard(chunk: Uint8Array): void {
    const all = new Uint8Array(this.#said.length + chunk.length);
    all.set(this.#said);
    all.set(chunk, this.#said.length);
    this.#said = all.slice(-SCROLLBACK_BYTES);
    for (const viewer of [...this.#viewers]) {
      if ((viewer.controller.desiredSize ?? 0) < -BEHIND_BYTES) {
        viewer.ended = true;
        this.#viewers.delete(viewer);
        viewer.controller.error(new Error("the viewer does not keep up"));
      } else viewer.controller.enqueue(chunk);
    }
    this.#log(chunk);
  }

  /** Never waited for: storage may hang. Then what is too much is not kept. */
  #log(chunk: Uint8Array): void {
    if (this.#unlogged.length > 64) return;
    this.#unlogged.push(chunk);
    if (this.#unlogged.length > 1) return;
    this.#logging = this.#logging.then(async () => {
      const { log } = this.#options;
      try {
        using file = await Deno.open(log, { append: true, create: true, mode: 0o600 });
        let written = 0;
        for (let next = this.#unlogged[0]; next !== undefined; next = this.#unlogged[0]) {
          for (let rest = next; rest.length > 0;) rest = rest.subarray(await file.write(rest));
          this.#unlogged.shift();
          written += next.length;
          // A guest that never stops talking must not fill the disk: this loop may not end before it does.
          if (written < LOG_BYTES) continue;
          rotate(log, LOG_BYTES);
          written = 0;
        }
        rotate(log, LOG_BYTES);
      } catch {
        this.#unlogged = []; // no room: the viewers have it all the same
      }
    });
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), RETRY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
