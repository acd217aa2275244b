/** etcd by its HTTP gateway (/v3, etcd 3.4 or newer): one request at a time to whichever endpoint answers, over TLS that is checked. */

import { Agent as PlainAgent, type ClientRequest, request as plainRequest } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";

/** The longest answer, bytes. A key that another program filled with more is none of ours. */
const ANSWER_MAX = 64 * 1024;
/** Pause before the endpoints are asked anew when none of them answered, ms. */
const ROUND_PAUSE_MS = 100;
/** The least time that an endpoint gets to answer, ms. */
const ATTEMPT_LEAST_MS = 300;

/** How etcd is reached. */
export interface EtcdAccess {
  /** Base URLs, in the order in which they are tried. */
  endpoints: readonly string[];
  /** PEM. Without it the machine's own authorities count. */
  ca?: string | undefined;
  /** PEM: this host's own, where etcd asks for one. */
  certificate?: string | undefined;
  privateKey?: string | undefined;
  user?: { name: string; password: string } | undefined;
}

/** No answer that could be used. `final`: asking again is of no use until somebody changes something. Otherwise it is not known
 * whether what was asked for has been done. */
export class EtcdFailure extends Error {
  constructor(readonly why: string, readonly options: { final: boolean; hint?: string }) {
    super(why);
  }
}

/** What the gateway says of an error: its text, and the number of gRPC. */
interface Refusal {
  status: number;
  code: number;
  text: string;
}

const GRPC = { deadline: 4, exhausted: 8, unavailable: 14, unauthenticated: 16, denied: 7 };
const MAYBE_DONE = new Set<number>([GRPC.deadline, GRPC.unavailable]);

const PLAIN: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  EHOSTUNREACH: "no machine answers at this address",
  ENETUNREACH: "there is no way to this address",
  ECONNRESET: "it broke the connection off",
  ENOTFOUND: "its name is not known",
};

export class EtcdGateway implements Disposable {
  readonly #access: EtcdAccess;
  readonly #agents: { plain: PlainAgent; tls: TlsAgent };
  readonly #running = new Set<() => void>();
  readonly #attemptMs: number;
  #current = 0;
  #token: string | null = null;
  #closed = false;

  /** `boundMs`: of a question as a whole; each endpoint gets its part. */
  constructor(access: EtcdAccess, boundMs: number) {
    this.#access = access;
    this.#attemptMs = Math.max(ATTEMPT_LEAST_MS, boundMs / (access.endpoints.length + 1));
    const { ca, certificate, privateKey } = access;
    const kept = { keepAlive: true, maxSockets: 4 };
    this.#agents = {
      plain: new PlainAgent(kept),
      tls: new TlsAgent({
        ...kept,
        minVersion: "TLSv1.2",
        ...(ca === undefined ? {} : { ca }),
        ...(certificate === undefined ? {} : { cert: certificate }),
        ...(privateKey === undefined ? {} : { key: privateKey }),
      }),
    };
  }

  /** Asks, each endpoint in turn, until `until` (performance.now) or, with `once`, until none is left. A request whose answer did not
   * come is sent again: what it asks must be the same when it is done twice. Throws EtcdFailure. */
  async post(path: string, body: unknown, bound: { until: number; once?: boolean }): Promise<unknown> {
    const { endpoints } = this.#access;
    for (let tried = 0, seen: EtcdFailure | undefined;;) {
      const left = bound.until - performance.now();
      if (this.#closed) throw new EtcdFailure("this host is ending", { final: true });
      if (left <= 0 || (bound.once && tried >= endpoints.length)) {
        throw seen ?? new EtcdFailure("no time was left to ask it", { final: false });
      }
      try {
        return await this.#ask(path, body, performance.now() + Math.min(left, this.#attemptMs));
      } catch (failure) {
        if (!(failure instanceof EtcdFailure) || failure.options.final) throw failure;
        seen = failure;
        this.#current = (this.#current + 1) % endpoints.length;
        if (++tried % endpoints.length === 0 && !bound.once) await this.#pause(ROUND_PAUSE_MS);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const end of [...this.#running]) end();
    this.#agents.plain.destroy();
    this.#agents.tls.destroy();
  }

  /** One endpoint, with a new token when the old one is not taken any more. */
  async #ask(path: string, body: unknown, until: number): Promise<unknown> {
    const user = this.#access.user;
    for (let again = false;; again = true) {
      if (user !== undefined && this.#token === null) this.#token = await this.#authenticate(user, until);
      const answer = await this.#send(path, body, until);
      if (!("code" in answer)) return answer.value;
      const old = user !== undefined && !again &&
        (answer.code === GRPC.unauthenticated || /auth token|auth: revision/.test(answer.text));
      if (!old) throw this.#refused(answer);
      this.#token = null;
    }
  }

  async #authenticate(user: { name: string; password: string }, until: number): Promise<string> {
    const answer = await this.#send("/v3/auth/authenticate", user, until);
    if ("code" in answer) {
      if (MAYBE_DONE.has(answer.code)) throw this.#refused(answer);
      throw new EtcdFailure(`it does not let the user ${JSON.stringify(user.name)} in: ${answer.text}`, {
        final: true,
        hint: "Correct user and password_file in [etcd], or give etcd this user.",
      });
    }
    const token = (answer.value as { token?: unknown } | null)?.token;
    if (typeof token !== "string") throw new EtcdFailure("it says what no etcd says", { final: true });
    return token;
  }

  #refused({ code, status, text }: Refusal): EtcdFailure {
    const why = `it says: ${text}`;
    if (code === GRPC.denied) {
      const hint = "Give the user of [etcd] the right to read and to write the keys below prefix.";
      return new EtcdFailure(why, { final: true, hint });
    }
    if (code === GRPC.exhausted) {
      const hint =
        "etcd's storage is full: compact and defragment it, then disarm its alarm (etcdctl alarm).";
      return new EtcdFailure(why, { final: true, hint });
    }
    if (status === 404) {
      const hint = "Use etcd 3.4 or newer, and its client URL as endpoint.";
      return new EtcdFailure("there is no /v3 of an etcd there", { final: false, hint });
    }
    return new EtcdFailure(why, { final: !MAYBE_DONE.has(code) && status < 500 });
  }

  /** Sends one request and reads its answer. Throws EtcdFailure when there is none. */
  #send(path: string, body: unknown, until: number): Promise<{ value: unknown } | Refusal> {
    const endpoint = this.#access.endpoints[this.#current] ?? "";
    const url = new URL(path, endpoint);
    const bytes = new TextEncoder().encode(JSON.stringify(body));
    const headers = {
      "content-type": "application/json",
      "content-length": bytes.length,
      ...(this.#token === null ? {} : { authorization: this.#token }),
    };
    const options = { method: "POST", headers };
    const request = url.protocol === "https:"
      ? tlsRequest(url, { ...options, agent: this.#agents.tls })
      : plainRequest(url, { ...options, agent: this.#agents.plain });
    const answer = this.#answer(request, until);
    request.end(bytes);
    return answer;
  }

  #answer(request: ClientRequest, until: number): Promise<{ value: unknown } | Refusal> {
    const { promise, resolve, reject } = Promise.withResolvers<{ value: unknown } | Refusal>();
    const fail = (why: string, final = false) => {
      reject(new EtcdFailure(why, { final }));
      request.destroy();
    };
    const bound = Math.max(1, until - performance.now());
    const timer = setTimeout(() => fail(`no answer within ${Math.round(bound)} ms`), bound);
    const end = () => fail("this host is ending", true);
    this.#running.add(end);
    request.on("error", (error: Error & { code?: string }) => {
      const why = PLAIN[error.code ?? ""] ?? error.message;
      reject(new EtcdFailure(why, { final: false }));
    });
    request.on("response", (response) => {
      const parts: Uint8Array[] = [];
      let length = 0;
      response.on("data", (part: Uint8Array) => {
        length += part.length;
        if (length > ANSWER_MAX) return fail("its answer is too long", true);
        parts.push(part);
      });
      response.on("error", (error: Error) => fail(error.message));
      response.on("close", () => fail("its answer broke off"));
      response.on("end", () => {
        const text = new TextDecoder().decode(join(parts, length));
        const read = readAnswer(response.statusCode ?? 0, text);
        if (read === undefined) fail("it says what no etcd says");
        else resolve(read);
      });
    });
    return promise.finally(() => {
      clearTimeout(timer);
      this.#running.delete(end);
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#running.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#running.add(end);
    });
  }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Undefined when it is no answer of etcd's. */
function readAnswer(status: number, text: string): { value: unknown } | Refusal | undefined {
  if (status === 404) return { status, code: 0, text: "not found" };
  try {
    const value = JSON.parse(text);
    if (status === 200) return { value };
    const { code = 0, message, error } = value as { code?: number; message?: string; error?: string };
    return { status, code: Number(code), text: String(message ?? error ?? status).slice(0, 300) };
  } catch {
    return undefined;
  }
}
