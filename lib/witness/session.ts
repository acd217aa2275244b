/** One connection to a witness, from the moment that its certificate is known: who it is, what it may ask, and its questions, one after
 * the other. Whatever it sends, it costs a line of bounded length and a bounded time. */

import type { TLSSocket } from "node:tls";
import { boundedLines } from "../../ffi/events.ts";
import { EdgeError } from "../errors.ts";
import { nodeIdOf, shortId } from "../node_id.ts";
import { Allowance } from "../admission.ts";
import type { Members } from "./members.ts";
import {
  chooseProtocol,
  helloSchema,
  line,
  LINE_MAX,
  NO_VM,
  offerSchema,
  PROTOCOLS,
  protocolText,
  read,
  type Refusal,
  type Reply,
  type Request,
  requestSchema,
} from "./protocol.ts";
import type { GrantStore, GroupName } from "./store.ts";

/** Questions from one connection: as many at once, as many a second; then each waits for its turn. */
const QUESTIONS = { burst: 200, perSecond: 100 };
/** Bytes of answers that nobody reads. */
const UNREAD_MAX = 64 * 1024;
/** Time that the last line has to leave, ms. */
const LAST_LINE_MS = 1000;

/** What every session of a server has. */
export interface SessionContext {
  store: GrantStore;
  members: Members;
  version: string;
  nowMs(): number;
  /** A connection says nothing for this long: it is dead, ms. */
  idleMs: number;
  report(event: Record<string, unknown>): void;
}

/** Who a session turned out to be. */
export interface Member extends GroupName {
  node: string;
}

/** A refusal on its way to the other end. */
export class Refused extends Error {
  readonly refusal: Refusal;

  constructor(code: Refusal["code"], text: { error: string; hint: string }) {
    super(text.error);
    const { error, hint } = text;
    this.refusal = { code, error: error.slice(0, 400), hint: hint.slice(0, 400) };
  }
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  const { message, hint } = error instanceof EdgeError
    ? error
    : { message: "the witness failed at this", hint: "Look at its messages." };
  return new Refused("storage", { error: message, hint }).refusal;
}

const MALFORMED = new Refused("malformed", {
  error: "what came is not a line that a host sends",
  hint: "Look at what connects to the witness's port.",
});

export class Session {
  readonly #socket: TLSSocket;
  readonly #context: SessionContext;
  readonly #allowance: Allowance;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #ending = false;
  #protocol: number = PROTOCOLS.oldest;
  /** Who this is; null until it has said hello, and was let in. */
  member: Member | null = null;

  constructor(socket: TLSSocket, context: SessionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#allowance = new Allowance({ ...QUESTIONS, nowMs: context.nowMs });
  }

  /** Serves it to its end. `admitted`: called once it is known and may ask; throws Refused when there is no room. */
  async run(admitted: (member: Member) => void): Promise<void> {
    const lines = boundedLines(this.#socket, LINE_MAX.host);
    try {
      const member = await this.#hello(await this.#next(lines));
      admitted(member);
      this.member = member;
      this.#send({ protocol: this.#protocol, version: this.#context.version });
      for (let text = await this.#next(lines); text !== null; text = await this.#next(lines)) {
        const wait = this.#allowance.take();
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
        if (this.#ending) return;
        await this.#answer(text);
      }
    } catch (error) {
      if (!this.#ending && !this.#socket.destroyed) await this.bye(refusalOf(error));
    } finally {
      clearTimeout(this.#idle);
      this.#socket.destroy();
    }
  }

  /** Says why, and ends. */
  async bye(refused: Refusal): Promise<void> {
    this.#ending = true;
    if (this.member === null) this.#context.report({ event: "refused", ...this.#from(), ...refused });
    const late = setTimeout(() => this.#socket.destroy(), LAST_LINE_MS);
    await new Promise<void>((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.end(line({ refused }), () => resolve());
    });
    clearTimeout(late);
    this.#socket.destroy();
  }

  #from(): Record<string, unknown> {
    const certificate = this.#socket.getPeerCertificate()?.raw;
    return {
      address: this.#socket.remoteAddress ?? "?",
      node: certificate === undefined ? null : nodeIdOf(certificate),
    };
  }

  /** The next line; null at the end. A line that is too long is the end, without a word: the rest of it is not waited for. */
  async #next(lines: AsyncGenerator<string>): Promise<string | null> {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#socket.destroy(), this.#context.idleMs);
    try {
      const { value, done } = await lines.next();
      return done ? null : value;
    } catch {
      return null; // the connection broke, or a line was too long
    }
  }

  async #hello(text: string | null): Promise<Member> {
    const { members, version, store } = this.#context;
    const certificate = this.#socket.getPeerCertificate()?.raw;
    if (text === null || certificate === undefined) throw MALFORMED;
    const theirs = read(offerSchema, text);
    if (theirs === undefined) throw MALFORMED;
    const protocol = chooseProtocol(theirs);
    if (protocol === undefined) {
      const own = protocolText(PROTOCOLS.oldest, PROTOCOLS.newest);
      const behind = theirs.protocol > PROTOCOLS.newest ? "the witness" : "this host";
      throw new Refused("version", {
        error: `the witness is iservft-edge ${version} (${own}), this host is iservft-edge ` +
          `${theirs.version} (${protocolText(theirs.protocol, theirs.newest)})`,
        hint: `Upgrade iservft-edge on ${behind}.`,
      });
    }
    this.#protocol = protocol;
    const hello = read(helloSchema, text);
    if (hello === undefined) throw MALFORMED;
    const node = nodeIdOf(certificate);
    const refusal = await members.refusal(node, hello.pair);
    if (refusal !== null) throw notMember(refusal, { node, pair: hello.pair });
    const member = { node, pair: hello.pair, vm: hello.vm };
    if (hello.vm !== NO_VM) await store.check(member);
    return member;
  }

  async #answer(text: string): Promise<void> {
    const request = read(requestSchema, text);
    if (request === undefined) throw MALFORMED;
    const { node, pair, vm } = this.member!;
    const refusal = await this.#context.members.refusal(node, pair);
    if (refusal !== null) throw notMember(refusal, { node, pair });
    try {
      await this.#decide(request, { node, pair, vm });
    } catch (error) {
      const refused = refusalOf(error);
      this.#context.report({ event: "problem", pair, vm, node, error: refused.error, hint: refused.hint });
      this.#send({ id: request.id, refused });
    }
  }

  async #decide(request: Request, member: Member): Promise<void> {
    const { store, report } = this.#context;
    const { node, ...group } = member;
    if (request.op === "ping") {
      await store.check(group);
      return this.#send({ id: request.id, answer: { kind: "pong" } });
    }
    const { id, op, ...terms } = request;
    // Whoever has connected anew asks anew: what is left of the old connection is no question any more.
    const wanted = () => !this.#ending && !this.#socket.destroyed;
    const asked = op === "ask"
      ? { kind: op, node, known: request.known, term: request.term }
      : { kind: op, node, term: request.term };
    const answer = await store.decide(group, asked, wanted);
    if (answer === null) return;
    this.#send({ id, answer });
    report({ event: "answered", ...member, op, ...terms, answer });
  }

  #send(reply: Reply): void {
    if (this.#ending || this.#socket.destroyed) return;
    this.#socket.write(line(reply));
    if (this.#socket.writableLength > UNREAD_MAX) this.#socket.destroy();
  }
}

function notMember(why: "unknown" | "pair", { node, pair }: { node: string; pair: string }): Refused {
  const what = why === "pair"
    ? `this host (${shortId(node)}...) is not one of the pair ${JSON.stringify(pair)}`
    : `this host (${shortId(node)}...) is in no pair of this witness`;
  return new Refused(why, {
    error: what,
    hint:
      `On the witness: iservft-edge witness pair add ${pair} with the IDs of both hosts. This host's is ${node}.`,
  });
}
