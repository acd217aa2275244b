/** One attempt after another to pair this node, as persons drive it:
 *
 *   idle ─invite→ inviting ─the other node came with the code→ comparing ─both confirmed, both stored→ idle, paired
 *   idle ─join→ joining ─the code was right→ comparing
 *   any ─cancelled, expired, refused, gone→ failed, with a code, until the next one
 *
 * At most one at a time; a second joiner is refused. */

import { Allowance } from "../../admission.ts";
import type { PairingView } from "../../model/node.ts";
import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { Identity } from "../identity.ts";
import { openTls } from "../peer/dialler.ts";
import { idOf, Refused } from "../peer/greeting.ts";
import { Link } from "../peer/link.ts";
import {
  type Introduction,
  type Offer,
  type Refusal,
  refusalSaid,
  refusalText,
  TYPE,
} from "../peer/messages.ts";
import type { PairingVisitor } from "../peer/types.ts";
import { agree, type Compared, inviteAs, joinAs, readOpener, REFUSAL, stored } from "./handshake.ts";
import { codeKey, makeCode, mistyped, random, typedCode } from "./secrets.ts";
import type { PairingLimits } from "./types.ts";

/** Both have confirmed: they write it down within this, ms. */
const STORE_MS = 10_000;

/** What it works with. */
export interface AttemptOptions {
  identity(): Identity;
  offer: Offer;
  introduction(): Introduction;
  limits: PairingLimits;
  now(): number;
  /** Where the code may be typed as this node's address. */
  addresses(): string[];
  changed(): void;
  /** An attempt was refused: not told each time. */
  refused(why: string): void;
  /** Both persons have confirmed. Durable when it returns. */
  store(pair: { peer: Compared["peer"]; key: string; address: string }): void;
  /** It is stored on both, or at least here: the channel may be tried. */
  begin(): void;
}

interface Inviting {
  step: "inviting";
  code: string;
  salt: string;
  key: Promise<Uint8Array>;
  left: number;
  expires: number;
  /** Who is giving the code at the moment. */
  busy: Link | null;
}

interface Comparing {
  step: "comparing";
  compared: Compared;
  confirm(): void;
  confirmed: boolean;
  expires: number;
  over: Promise<void>;
}

type State =
  | { step: "idle" }
  | Inviting
  | { step: "joining"; address: string; abort: AbortController; link: Link | null }
  | Comparing
  | { step: "failed"; code: string } & Explained;

export class Attempt implements AsyncDisposable {
  readonly #options: AttemptOptions;
  readonly #told = new Allowance({ burst: 10, perSecond: 1 / 10, nowMs: () => performance.now() });
  readonly #links = new Set<Link>();
  readonly #running = new Set<Promise<unknown>>();
  #state: State = { step: "idle" };
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: AttemptOptions) {
    this.#options = options;
  }

  /** How far it is, as it is shown; null: there is none. */
  view(): PairingView | null {
    const state = this.#state;
    const at = (ms: number) => new Date(ms).toISOString();
    switch (state.step) {
      case "idle":
        return null;
      case "inviting": {
        const { step, code, expires } = state;
        return { step, code, expires: at(expires), addresses: this.#options.addresses() };
      }
      case "joining":
        return { step: state.step, address: state.address };
      case "comparing": {
        const { step, compared: { digits, peer }, confirmed, expires } = state;
        const digitsShown = `${digits.slice(0, 3)} ${digits.slice(3)}`;
        return {
          step,
          digits: digitsShown,
          peer_name: peer.introduction.name,
          peer_id: peer.id,
          confirmed,
          expires: at(expires),
        };
      }
      case "failed":
        return { ...state };
      default:
        return state satisfies never;
    }
  }

  /** The other node of a comparison that goes on; null: none. */
  get comparingWith(): string | null {
    return this.#state.step === "comparing" ? this.#state.compared.peer.id : null;
  }

  /** Shows a new code. */
  invite(): void {
    this.#end(REFUSAL.cancelled);
    const { limits, now } = this.#options;
    const [code, salt] = [makeCode(), random()];
    const key = codeKey(code, salt);
    key.catch(() => {}); // told where it is waited for
    const expires = now() + limits.inviteMs;
    this.#become({ step: "inviting", code, salt, key, left: limits.attempts, expires, busy: null });
    this.#expire(limits.inviteMs, explained("pair.code_late"));
  }

  /** Types the other node's code here; resolves when both show their digits. Throws ProblemError. */
  async join({ host, port, code }: { host: string; port: number; code: string }): Promise<void> {
    const typed = typedCode(code);
    if (typed === null) {
      const problem = mistyped(code);
      throw new ProblemError("invalid", {
        ...explained("pair.code", { text: JSON.stringify(code.slice(0, 40)) }),
        fields: [{ key: "code", problem }],
      });
    }
    this.#end(REFUSAL.cancelled);
    const abort = new AbortController();
    const state: State = { step: "joining", address: `${host}:${port}`, abort, link: null };
    this.#become(state);
    const late = setTimeout(
      () => state.link?.end("it did not answer in time"),
      this.#options.limits.handshakeMs,
    );
    try {
      await this.#join(state, { host, port, code: typed });
    } catch (error) {
      throw this.#joinFailed(state, error);
    } finally {
      clearTimeout(late);
    }
  }

  /** A person says that the digits are the same. Resolves when this node has said so, and, when the other has too, it is done. */
  async confirm(): Promise<void> {
    if (this.#state.step !== "comparing") {
      throw new ProblemError("conflict", explained("pair.no_digits"));
    }
    const { over } = this.#state;
    this.#state.confirmed = true;
    this.#state.confirm();
    this.#options.changed();
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([over, new Promise((resolve) => timer = setTimeout(resolve, 1000))]);
    clearTimeout(timer);
  }

  /** Nobody wants it any more. */
  cancel(): void {
    this.#end(REFUSAL.cancelled);
    this.#become({ step: "idle" });
  }

  /** Says that it failed, for whoever looks. */
  fail(why: { code: string } & Explained): void {
    this.#become({ step: "failed", ...why });
  }

  /** Somebody came to the port and wants to pair. */
  async visited({ link, body, visitor, theirs }: PairingVisitor): Promise<void> {
    const state = this.#state;
    try {
      const opener = readOpener(body, this.#options.offer);
      if (state.step !== "inviting") {
        throw new Refused({
          code: this.comparingWith === null ? "no_invite" : "busy",
          ...refusalText(explained("pair.no_invite")),
        });
      }
      if (state.busy !== null) {
        throw new Refused({ code: "busy", ...refusalText(explained("pair.busy")) });
      }
      state.busy = link;
      const late = setTimeout(() => link.end("it did not go on in time"), this.#options.limits.handshakeMs);
      try {
        const invitation = {
          salt: state.salt,
          key: state.key,
          judge: (right: boolean) => this.#judge(state, { right, visitor }),
        };
        const compared = await inviteAs(link, { party: this.#party(theirs), opener, invitation });
        if (this.#state === state) this.#compare(compared, visitor.address);
        else await link.bye(REFUSAL.cancelled);
      } finally {
        clearTimeout(late);
        state.busy = null;
      }
    } catch (error) {
      const refusal = error instanceof Refused ? error.refusal : null;
      this.#refuse(`${visitor.address}: ${error instanceof Error ? error.message : String(error)}`);
      if (refusal === null) link.end("pairing failed");
      else await link.bye(refusal, TYPE.REFUSED);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(REFUSAL.cancelled);
    this.#state = { step: "idle" };
    for (const link of this.#links) link.end("the service was stopped");
    await Promise.allSettled(this.#running);
  }

  /** Counts a code. Throws Refused when it was wrong. */
  #judge(state: Inviting, { right, visitor }: { right: boolean; visitor: PairingVisitor["visitor"] }): void {
    if (this.#state !== state) throw new Refused(REFUSAL.cancelled);
    if (right) return visitor.proven();
    state.left--;
    if (state.left > 0) throw new Refused(REFUSAL.wrong_code);
    clearTimeout(this.#timer);
    const said = explained("pair.void", { count: this.#options.limits.attempts });
    this.#become({ step: "failed", code: "void", ...said });
    throw new Refused({ code: "void", ...refusalText(said) });
  }

  #party(theirs: string) {
    const { identity, offer, introduction } = this.#options;
    return { own: identity().id, theirs, offer, introduction: introduction() };
  }

  async #join(
    state: Extract<State, { step: "joining" }>,
    { host, port, code }: { host: string; port: number; code: string },
  ): Promise<void> {
    const { identity } = this.#options;
    const socket = await openTls({ host, port }, { credentials: identity(), signal: state.abort.signal });
    const link = new Link(socket);
    this.#links.add(link);
    link.ended.then(() => this.#links.delete(link));
    state.link = link;
    const theirs = idOf(socket.getPeerCertificate()?.raw);
    try {
      if (theirs === identity().id) throw new Refused(SELF);
      if (theirs === "") throw new Refused(REFUSAL.malformed);
      const compared = await joinAs(link, { party: this.#party(theirs), code });
      if (this.#state !== state) throw new Refused(REFUSAL.cancelled);
      this.#compare(compared, host);
    } catch (error) {
      if (error instanceof Refused) await link.bye(error.refusal);
      link.end("pairing failed");
      throw error;
    }
  }

  #joinFailed(state: State, error: unknown): ProblemError {
    const refusal = error instanceof Refused ? error.refusal : null;
    const said = refusal === null
      ? explained("pair.not_reached", { why: error instanceof Error ? error.message : String(error) })
      : refusalSaid(refusal);
    if (this.#state === state) {
      this.#become({ step: "failed", code: refusal?.code ?? "unreachable", ...said });
    }
    if (refusal !== null) this.#refuse(said.detail);
    return new ProblemError(refusal === null ? "peer_unreachable" : "refused", said);
  }

  /** Both show their digits. */
  #compare(compared: Compared, address: string): void {
    const { limits, now } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const finished = this.#finish(compared, { confirmed: promise, address });
    this.#running.add(finished);
    const over = finished.finally(() => this.#running.delete(finished));
    const expires = now() + limits.compareMs;
    this.#become({ step: "comparing", compared, confirm: resolve, confirmed: false, expires, over });
    this.#expire(limits.compareMs, explained("pair.digits_late"));
  }

  async #finish(compared: Compared, { confirmed, address }: { confirmed: Promise<void>; address: string }) {
    const { link, peer } = compared;
    const mine = () => this.#state.step === "comparing" && this.#state.compared === compared;
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      const key = await agree(compared, confirmed);
      if (!mine()) return;
      clearTimeout(this.#timer);
      this.#store({ peer, key, address });
      late = setTimeout(() => link.end("it did not say that it has stored the pair"), STORE_MS);
      // Whether it is stored there too, the channel finds out in any case.
      await stored(compared).catch(() => {});
      if (!mine()) return;
      this.#become({ step: "idle" });
      this.#options.begin();
    } catch (error) {
      if (!mine()) return;
      clearTimeout(this.#timer);
      const refusal = error instanceof Refused ? error.refusal : null;
      const said = refusal === null
        ? explained("pair.gone", { why: error instanceof Error ? error.message : String(error) })
        : refusalSaid(refusal);
      this.#become({ step: "failed", code: refusal?.code ?? "unreachable", ...said });
    } finally {
      clearTimeout(late);
      await this.#farewell(link);
    }
  }

  #store(pair: Parameters<AttemptOptions["store"]>[0]): void {
    try {
      this.#options.store(pair);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Refused({ code: "storage", ...refusalText(explained("pair.not_stored", { why })) });
    }
  }

  /** The other side may not have read the last word yet: it closes, or is closed soon. */
  async #farewell(link: Link): Promise<void> {
    await link.bye({ code: "stopping", error: "the pairing is over", hint: "" });
  }

  #refuse(why: string): void {
    if (this.#told.take() === 0) this.#options.refused(why);
  }

  #become(state: State): void {
    this.#state = state;
    this.#options.changed();
  }

  #expire(ms: number, said: Explained): void {
    clearTimeout(this.#timer);
    const state = this.#state;
    this.#timer = setTimeout(() => {
      if (this.#state !== state) return;
      this.#end({ code: "cancelled", ...refusalText(said) });
      this.#become({ step: "failed", code: "expired", ...said });
    }, ms);
  }

  /** Ends what goes on, and tells the other node why. */
  #end(refusal: Refusal): void {
    clearTimeout(this.#timer);
    const state = this.#state;
    const link = state.step === "comparing"
      ? state.compared.link
      : state.step === "joining"
      ? state.link
      : state.step === "inviting"
      ? state.busy
      : null;
    if (state.step === "joining") state.abort.abort();
    if (link === null) return;
    const running: Promise<unknown> = link.bye(refusal).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}

const SELF: Refusal = {
  code: "mismatch",
  ...refusalText(explained("pair.self")),
};
