/** A viewer of a serial line that stays when the line moves to the other node: it is connected again, as long as somebody looks. */

import type { Duplex } from "../../model/backend.ts";

const RETRY_MS = 300;
/** A VM that is nowhere for so long is not waited for. */
const PATIENCE_MS = 60_000;

interface End {
  duplex: Duplex;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  writer: WritableStreamDefaultWriter<Uint8Array>;
}

export interface RoamingLineOptions {
  first: Duplex;
  /** Where the line is now. Throws when it is nowhere. */
  again(): Promise<Duplex>;
  /** Nobody looks any more, or the line is nowhere. */
  onEnd(): void;
}

export class RoamingLine implements Duplex {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #options: RoamingLineOptions;
  readonly #abort = new AbortController();
  #end: End | null;

  constructor(options: RoamingLineOptions) {
    this.#options = options;
    this.#end = endOf(options.first);
    this.readable = new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: () => this.#finish(),
    }, { highWaterMark: 0 });
    this.writable = new WritableStream<Uint8Array>({
      // While the VM moves there is nobody to type to.
      write: (chunk) => this.#end?.writer.write(chunk).catch(() => {}),
      close: () => this.#finish(),
      abort: () => this.#finish(),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#finish();
  }

  async #finish(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    await this.#drop();
    this.#options.onEnd();
  }

  async #drop(): Promise<void> {
    const end = this.#end;
    this.#end = null;
    if (end === null) return;
    await end.reader.cancel().catch(() => {});
    await end.writer.abort().catch(() => {});
    try {
      await end.duplex[Symbol.asyncDispose]();
    } catch {
      // it broke off before
    }
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (!this.#abort.signal.aborted) {
      this.#end ??= await this.#again();
      if (this.#end === null) break;
      try {
        const { value, done } = await this.#end.reader.read();
        if (!done) return controller.enqueue(value);
      } catch {
        // it broke off: perhaps the VM moved
      }
      await this.#drop();
    }
    await this.#finish();
    try {
      controller.close();
    } catch {
      // whoever looked has cancelled it
    }
  }

  async #again(): Promise<End | null> {
    const { signal } = this.#abort;
    const until = performance.now() + PATIENCE_MS;
    while (performance.now() < until) {
      await wait(RETRY_MS, signal);
      if (signal.aborted) return null;
      try {
        return endOf(await this.#options.again());
      } catch {
        // It is not there yet.
      }
    }
    return null;
  }
}

function endOf(duplex: Duplex): End {
  return { duplex, reader: duplex.readable.getReader(), writer: duplex.writable.getWriter() };
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
