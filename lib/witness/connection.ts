/** One connection from a host to the witness, from its beginning to its end; client.ts makes the next one. */

import { connect, type TLSSocket } from "node:tls";
import { boundedLines } from "../../ffi/events.ts";
import type { Identity } from "../node/identity.ts";
import { nodeIdOf, shortId } from "../node_id.ts";
import {
  type Answer,
  chooseProtocol,
  line,
  LINE_MAX,
  PROTOCOLS,
  type Question,
  read,
  type Refusal,
  type Reply,
  replySchema,
} from "./protocol.ts";

/** TCP, TLS and the hello, together, ms. */
const OPEN_MS = 2000;
/** A ping without an answer for this long: the other end is not there, ms. */
const PONG_MS = 1500;

/** Why a connection ended. `silent`: nobody closed it, there was just no answer. */
export interface ConnectionEnd {
  why: string;
  refused: Refusal | null;
  silent: boolean;
}

/** Whom it connects, about what. */
export interface ConnectionOptions {
  address: string;
  port: number;
  id: string;
  identity: Identity;
  pair: string;
  vm: string;
  version: string;
}

/** What it tells. After `ended`, which comes once, nothing more. */
export interface ConnectionEvents {
  opened(): void;
  answered(id: number, answer: Answer | { refused: Refusal }): void;
  ended(end: ConnectionEnd): void;
}

const PLAIN: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  EHOSTUNREACH: "no machine answers at this address",
  ENETUNREACH: "there is no way to this address",
  ECONNRESET: "it broke the connection off",
  ETIMEDOUT: "no answer",
};

function plain(error: Error & { code?: string }): string {
  return PLAIN[error.code ?? ""] ?? error.message;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #events: ConnectionEvents;
  readonly #socket: TLSSocket;
  #open = false;
  #over = false;
  #late: ReturnType<typeof setTimeout> | undefined;
  #pinged: number | null = null;

  constructor(options: ConnectionOptions, events: ConnectionEvents) {
    this.#options = options;
    this.#events = events;
    const { address, port, identity } = options;
    this.#expect("no answer", OPEN_MS);
    // Who the other end is, is checked by its ID as soon as TLS has proved that it has the key of its certificate.
    this.#socket = connect({
      host: address,
      port,
      key: identity.key,
      cert: identity.certificate,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    }, () => this.#secured());
    this.#socket.setNoDelay(true);
    this.#socket.on("error", (error) => this.#end({ why: plain(error), refused: null, silent: false }));
    this.#socket.on(
      "close",
      () => this.#end({ why: "it closed the connection", refused: null, silent: false }),
    );
  }

  send(request: Question & { id: number }): void {
    if (!this.#over) this.#socket.write(line(request));
  }

  /** Asks for a sign of life. One at a time. */
  ping(id: number): void {
    if (this.#pinged !== null || this.#over) return;
    this.#pinged = id;
    this.#expect("it does not answer", PONG_MS);
    this.send({ id, op: "ping" });
  }

  /** Ends it, for it is of no use. */
  end(why: string): void {
    this.#end({ why, refused: null, silent: true });
  }

  /** Ends it without a word. */
  close(): void {
    this.#over = true;
    clearTimeout(this.#late);
    this.#socket.destroy();
  }

  #expect(why: string, ms: number): void {
    clearTimeout(this.#late);
    this.#late = setTimeout(() => this.end(`${why} within ${ms / 1000} s`), ms);
  }

  #end(end: ConnectionEnd): void {
    if (this.#over) return;
    this.close();
    this.#events.ended(end);
  }

  #secured(): void {
    const certificate = this.#socket.getPeerCertificate()?.raw;
    const seen = certificate === undefined ? "none" : nodeIdOf(certificate);
    const { id, pair, vm, version } = this.#options;
    if (seen !== id) {
      const error = `what answers there is not the witness ${shortId(id)}...: its ID is ${seen}`;
      const hint =
        "Compare the ID in [witness] of the host's file with `iservft-edge witness id` on the witness.";
      return this.#end({ why: error, refused: { code: "unknown", error, hint }, silent: false });
    }
    this.#socket.write(line({ protocol: PROTOCOLS.oldest, newest: PROTOCOLS.newest, version, pair, vm }));
    this.#read();
  }

  async #read(): Promise<void> {
    try {
      for await (const text of boundedLines(this.#socket, LINE_MAX.witness)) {
        const reply = read(replySchema, text);
        if (reply === undefined) return this.end("it says what no witness says");
        this.#take(reply);
      }
    } catch {
      // Its end, and why, come as events of the socket.
    }
  }

  #take(reply: Reply): void {
    if (this.#over) return;
    if ("protocol" in reply) {
      const spoken = chooseProtocol(reply);
      if (this.#open || spoken === undefined) return this.end("it says what no witness says");
      clearTimeout(this.#late);
      this.#open = true;
      return this.#events.opened();
    }
    if (reply.id === undefined) {
      if (!("refused" in reply)) return;
      return this.#end({ why: reply.refused.error, refused: reply.refused, silent: false });
    }
    if (reply.id === this.#pinged) {
      clearTimeout(this.#late);
      this.#pinged = null;
    }
    this.#events.answered(reply.id, "answer" in reply ? reply.answer : { refused: reply.refused });
  }
}
