/** Light probes of the paths between the nodes: one small UDP packet a second on each, from this node's address on it to the other's, and its
 * answer. They carry nothing but their number, and are authenticated with the pair's key, so nobody else can keep a dead line alive.
 *
 *   magic u32 · kind u8 (1 asks, 2 answers) · path u8 · number u64 · run 8 bytes (random of this start of the asking side) · HMAC-SHA256, 16 bytes
 */

import { Buffer } from "node:buffer";
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { Allowance } from "../../admission.ts";

/** The paths, in the order of their numbers on the wire. */
export const PATHS = ["a", "b", "lan"] as const;
export type PathName = (typeof PATHS)[number];

const MAGIC = 0x69736670;
const ASKS = 1;
const ANSWERS = 2;
const BODY = 22;
const MAC = 16;
/** Questions whose answer would still count. */
const OUTSTANDING = 3;
/** Questions that are answered on a path, a second: ten times as many as a node asks. */
const ANSWERED = { burst: 20, perSecond: 10 };

/** A path as it is probed. */
export interface ProbedPath {
  local: string;
  peer: string;
  /** The other node's UDP port. */
  port: number;
}

/** What a path's probes came to. */
export interface Probed {
  /** When an answer came last, by performance.now(); null: never. */
  answeredMs: number | null;
  rttUs: number | null;
  /** When it was first asked. */
  beganMs: number;
  /** Why it cannot be asked; null: it can. */
  problem: string | null;
}

/** A probe's bytes. */
export function encodeProbe(
  probe: { kind: number; path: number; number: bigint; run: Uint8Array },
  { key, from }: { key: Uint8Array; from: string },
): Buffer {
  const body = Buffer.alloc(BODY);
  body.writeUInt32BE(MAGIC, 0);
  body.writeUInt8(probe.kind, 4);
  body.writeUInt8(probe.path, 5);
  body.writeBigUInt64BE(probe.number, 6);
  body.set(probe.run.subarray(0, 8), 14);
  return Buffer.concat([body, macOf(body, { key, from })]);
}

/** Who sends it is part of what is authenticated: a probe that comes back is not its own answer. */
function macOf(body: Uint8Array, { key, from }: { key: Uint8Array; from: string }): Buffer {
  const mac = createHmac("sha256", key).update("iservft-edge probe ").update(from).update(body).digest();
  return mac.subarray(0, MAC);
}

/** A probe that came; null: it is none, or not the other node's. */
export function decodeProbe(
  bytes: Uint8Array,
  { key, from }: { key: Uint8Array; from: string },
): { kind: number; path: number; number: bigint; run: Buffer } | null {
  if (bytes.length !== BODY + MAC) return null;
  const body = Buffer.from(bytes.subarray(0, BODY));
  if (!timingSafeEqual(macOf(body, { key, from }), bytes.subarray(BODY))) return null;
  const [kind, path] = [body.readUInt8(4), body.readUInt8(5)];
  if (body.readUInt32BE(0) !== MAGIC || path >= PATHS.length) return null;
  return { kind, path, number: body.readBigUInt64BE(6), run: Buffer.from(body.subarray(14, 22)) };
}

/** What probes are made with. */
export interface ProbeOptions {
  key: Uint8Array;
  ids: { own(): string; theirs(): readonly string[] };
  /** This node's UDP port. */
  port: number;
  everyMs: number;
}

/** One path's socket and its probes. */
class PathProbe implements Disposable {
  readonly at: ProbedPath;
  readonly result: Probed = { answeredMs: null, rttUs: null, beganMs: performance.now(), problem: null };
  readonly #options: ProbeOptions;
  readonly #path: number;
  readonly #run = randomBytes(8);
  readonly #asked = new Map<bigint, number>();
  readonly #allowance = new Allowance({ ...ANSWERED, nowMs: () => performance.now() });
  #number = 0n;
  #socket: Socket | null = null;
  #bound = false;

  constructor(at: ProbedPath, { path, options }: { path: number; options: ProbeOptions }) {
    this.at = at;
    this.#path = path;
    this.#options = options;
    this.#bind();
  }

  /** Asks, once. */
  ask(): void {
    if (this.#socket === null) return this.#bind();
    if (!this.#bound) return;
    const number = this.#number++;
    if (this.#asked.size >= OUTSTANDING) this.#asked.delete(this.#asked.keys().next().value!);
    this.#asked.set(number, performance.now());
    this.#send({ kind: ASKS, path: this.#path, number, run: this.#run }, this.at.port);
  }

  [Symbol.dispose](): void {
    this.#socket?.close();
    this.#socket = null;
  }

  #bind(): void {
    const socket = createSocket({ type: "udp4" });
    this.#socket = socket;
    this.#bound = false;
    socket.on("error", (error: Error) => {
      this.result.problem = error.message;
      if (socket !== this.#socket) return;
      this.#socket = null; // the next question tries anew: the address may have come back
      socket.close();
    });
    socket.on("message", (bytes, from) => this.#came(bytes, from));
    socket.bind({ address: this.at.local, port: this.#options.port }, () => {
      this.#bound = true;
      this.result.problem = null;
      if (socket === this.#socket) this.ask();
    });
  }

  #send(probe: Parameters<typeof encodeProbe>[0], port: number): void {
    const { key, ids } = this.#options;
    this.#socket?.send(encodeProbe(probe, { key, from: ids.own() }), port, this.at.peer, (error) => {
      if (error !== null) this.result.problem = error.message;
    });
  }

  #came(bytes: Uint8Array, { address, port }: { address: string; port: number }): void {
    if (address !== this.at.peer || this.#socket === null) return;
    const { key, ids } = this.#options;
    const probe = ids.theirs().map((from) => decodeProbe(bytes, { key, from })).find((read) => read !== null);
    if (probe === undefined || probe.path !== this.#path) return;
    if (probe.kind === ASKS) {
      if (this.#allowance.take() === 0) this.#send({ ...probe, kind: ANSWERS }, port);
      return;
    }
    const asked = this.#asked.get(probe.number);
    if (probe.kind !== ANSWERS || asked === undefined || !this.#run.equals(probe.run)) return;
    this.#asked.delete(probe.number);
    const now = performance.now();
    Object.assign(this.result, { answeredMs: now, rttUs: Math.round((now - asked) * 1000), problem: null });
  }
}

/** Probes of all paths that are configured. */
export class Probes implements Disposable {
  readonly #options: ProbeOptions;
  readonly #paths = new Map<PathName, PathProbe>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      for (const path of this.#paths.values()) path.ask();
    }, options.everyMs);
  }

  /** What is probed from now on; what is the same as before goes on. */
  set(paths: Partial<Record<PathName, ProbedPath | null>>): void {
    for (const [index, name] of PATHS.entries()) {
      const wanted = paths[name] ?? null;
      const have = this.#paths.get(name);
      if (JSON.stringify(have?.at ?? null) === JSON.stringify(wanted)) continue;
      have?.[Symbol.dispose]();
      this.#paths.delete(name);
      if (wanted !== null) {
        this.#paths.set(name, new PathProbe(wanted, { path: index, options: this.#options }));
      }
    }
  }

  /** What a path's probes came to; null: it is not probed. */
  result(name: PathName): Probed | null {
    return this.#paths.get(name)?.result ?? null;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    for (const path of this.#paths.values()) path[Symbol.dispose]();
    this.#paths.clear();
  }
}
