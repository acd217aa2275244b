/** The API, as commands ask it: over serve's unix socket, or over TLS to a node whose certificate's fingerprint is known. */

import type { z } from "zod";
import { EdgeError } from "../errors.ts";
import { ProblemError, PROBLEMS, problemView } from "../model/problem.ts";
import { PinnedWay, readFingerprint, UnreachableError } from "./pinned.ts";
import { UsageError } from "./terminal.ts";
import { plain } from "./text.ts";

const BASE = "/api/v1";
/** Longest wait for an answer, ms, unless told otherwise. */
const ANSWER_MS = 30_000;
/** Longest record of a live stream. */
const RECORD = 16 << 20;

/** Where the API is. */
export type Target =
  | { kind: "socket"; path: string }
  | { kind: "remote"; url: string; tokenFile: string; fingerprint: string };

/** What is sent. */
export interface Sent {
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  timeout_ms?: number;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** A record of server-sent events. */
export interface StreamRecord {
  event: string;
  data: unknown;
}

/** What the API refused, as an error that ends a command with the right exit code. The node's own words need nothing before them. */
export class ApiProblem extends Error {
  readonly exitCode: number;
  readonly code: string;

  constructor(problem: z.infer<typeof problemView>) {
    const fields = (problem.fields ?? []).map(({ key, problem }) =>
      `  ${key === "" ? "all" : key}: ${problem}`
    );
    super(
      [
        problem.detail,
        ...(fields.length > 1 ? fields : []),
        ...(problem.hint === "" ? [] : [`  what to do: ${problem.hint}`]),
      ].map(plain).join("\n"),
    );
    this.name = "ApiProblem";
    this.code = problem.code;
    this.exitCode = Object.hasOwn(PROBLEMS, problem.code)
      ? PROBLEMS[problem.code as keyof typeof PROBLEMS].exit
      : 1;
  }
}

function readToken(file: string): string {
  let info: Deno.FileInfo;
  let text: string;
  try {
    info = Deno.statSync(file);
    text = Deno.readTextFileSync(file).trim();
  } catch (error) {
    throw new UsageError(
      `--token-file ${file} cannot be read: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (info.mode !== null && (info.mode & 0o077) !== 0) {
    throw new UsageError(`Others may read ${file}, and a token is a password`, `Say: chmod 600 ${file}`);
  }
  if (!/^[\x21-\x7e]{8,500}$/.test(text)) throw new UsageError(`${file} does not hold one token`);
  return text;
}

/** host and port of an https URL. */
function readUrl(text: string): { host: string; port: number } {
  const url = URL.parse(text);
  if (url === null || url.protocol !== "https:" || !/^\/?$/.test(url.pathname) || url.username !== "") {
    throw new UsageError(`--url is ${JSON.stringify(text)}; it must be like https://192.168.1.10:8443`);
  }
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 443 : Number(url.port) };
}

/** See above. */
export class ApiClient implements AsyncDisposable {
  readonly #http: Deno.HttpClient;
  readonly #origin: string;
  readonly #headers: Record<string, string>;
  readonly #where: string;
  readonly #way: PinnedWay | null;

  private constructor(
    given: {
      http: Deno.HttpClient;
      origin: string;
      headers: Record<string, string>;
      where: string;
      way: PinnedWay | null;
    },
  ) {
    this.#http = given.http;
    this.#origin = given.origin;
    this.#headers = given.headers;
    this.#where = given.where;
    this.#way = given.way;
  }

  static async open(target: Target): Promise<ApiClient> {
    if (target.kind === "socket") {
      const http = Deno.createHttpClient({ proxy: { transport: "unix", path: target.path } });
      return new ApiClient({ http, origin: "http://localhost", headers: {}, where: target.path, way: null });
    }
    const { host, port } = readUrl(target.url);
    const fingerprint = readFingerprint(target.fingerprint);
    if (fingerprint === null) {
      throw new UsageError(
        `--fingerprint is ${JSON.stringify(target.fingerprint)}; it must be 64 hex digits`,
      );
    }
    const headers = { authorization: `Bearer ${readToken(target.tokenFile)}` };
    const way = await PinnedWay.open({ host, port, fingerprint });
    const http = Deno.createHttpClient({ proxy: { transport: "unix", path: way.path } });
    const named = host.includes(":") ? `[${host}]` : host;
    return new ApiClient({ http, origin: `http://${named}:${port}`, headers, where: target.url, way });
  }

  /** Where it asks, for messages. */
  get where(): string {
    return this.#where;
  }

  #url(path: string, query: Sent["query"] = {}): string {
    const url = new URL(`${this.#origin}${BASE}${path}`);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    return url.href;
  }

  #unreachable(error: unknown): EdgeError {
    if (this.#way?.problem) return this.#way.problem;
    const text = error instanceof Error
      ? `${error.message} ${(error.cause as Error | undefined)?.message ?? ""}`
      : "";
    if (/timed out|timeout/i.test(text) && !/connect/i.test(text)) {
      return new UnreachableError(`${this.#where} did not answer in time`, {
        op: "wait",
        hint: "Look whether serve is busy or stands still: journalctl -u iservft-edge.",
      });
    }
    if (/permission denied/i.test(text)) {
      return new UnreachableError(`${this.#where} may not be opened by this user`, {
        op: "connect",
        hint: "Say it as root (sudo), or use --url with a token.",
      });
    }
    return new UnreachableError(`No node answers at ${this.#where}`, {
      op: "connect",
      hint:
        "Start it (iservft-edge serve, or systemctl start iservft-edge), or say where it is: --socket PATH, or --url URL.",
    });
  }

  async #fetch(method: string, path: string, sent: Sent): Promise<Response> {
    const timeout = AbortSignal.timeout(sent.timeout_ms ?? ANSWER_MS);
    let response: Response;
    try {
      response = await fetch(this.#url(path, sent.query), {
        method,
        client: this.#http,
        redirect: "error",
        signal: sent.signal === undefined ? timeout : AbortSignal.any([timeout, sent.signal]),
        headers: {
          ...this.#headers,
          ...sent.headers,
          ...(sent.body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: sent.body === undefined ? null : JSON.stringify(sent.body),
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (response.ok) return response;
    const body = problemView.safeParse(await response.json().catch(() => null));
    if (body.success) throw new ApiProblem(body.data);
    throw new EdgeError(`${this.#where} answered ${response.status}`, {
      op: "ask the node",
      hint: "Check that this is an iservft-edge node of the same version.",
    });
  }

  /** Asks; the answer must fit `schema`. */
  async ask<T>(method: string, path: string, options: Sent & { schema: z.ZodType<T> }): Promise<T> {
    const response = await this.#fetch(method, path, options);
    const read = options.schema.safeParse(await response.json().catch(() => undefined));
    if (read.success) return read.data;
    const issue = read.error.issues[0];
    throw new EdgeError(`The node's answer does not fit: ${issue?.path.join(".")}: ${issue?.message}`, {
      op: "ask the node",
      hint: "Use the program of the node's own version: iservft-edge version.",
    });
  }

  /** Asks for nothing but that it is done. */
  async tell(method: string, path: string, sent: Sent = {}): Promise<void> {
    await (await this.#fetch(method, path, sent)).body?.cancel();
  }

  async text(path: string, sent: Sent = {}): Promise<string> {
    return await (await this.#fetch("GET", path, sent)).text();
  }

  /** What comes as it is. */
  async bytes(method: string, path: string, sent: Sent = {}): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.#fetch(method, path, { timeout_ms: 600_000, ...sent });
    return body ?? new ReadableStream({ start: (controller) => controller.close() });
  }

  /** Records of a live stream, until it ends or `signal` says so. */
  async *records(path: string, sent: Sent & { signal: AbortSignal }): AsyncGenerator<StreamRecord> {
    const { signal } = sent;
    let response: Response;
    try {
      response = await this.#streaming(path, sent);
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    let text = "";
    try {
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        const parts = text.split("\n\n");
        text = parts.pop()!;
        if (text.length > RECORD) {
          throw new EdgeError("A record is too long", { op: "follow the node", hint: "" });
        }
        for (const part of parts) {
          const record = readRecord(part);
          if (record !== null) yield record;
        }
      }
    } catch (error) {
      if (error instanceof EdgeError || signal.aborted) {
        if (signal.aborted) return;
        throw error;
      }
      throw this.#unreachable(error);
    }
  }

  async #streaming(path: string, sent: Sent & { signal: AbortSignal }): Promise<Response> {
    const headers = { ...this.#headers, accept: "text/event-stream" };
    let response: Response;
    try {
      response = await fetch(this.#url(path, sent.query), {
        client: this.#http,
        signal: sent.signal,
        headers,
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
    if (response.ok && response.body !== null) return response;
    const body = problemView.safeParse(await response.json().catch(() => null));
    throw body.success ? new ApiProblem(body.data) : this.#unreachable(null);
  }

  /** A WebSocket of the API. */
  webSocket(path: string): WebSocket {
    const url = this.#url(path).replace(/^http/, "ws");
    return new WebSocket(url, { client: this.#http, headers: this.#headers });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
    await this.#way?.close();
  }
}

/** A record's lines; null: a comment. */
function readRecord(text: string): StreamRecord | null {
  let event = "message";
  const data: string[] = [];
  for (const line of text.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length === 0) return null;
  try {
    return { event, data: JSON.parse(data.join("\n")) };
  } catch {
    throw new ProblemError("failed", {
      detail: "The stream is not readable",
      hint: "Check the node's version.",
    });
  }
}
