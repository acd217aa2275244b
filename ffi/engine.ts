/** The engine of one VM as a class over libiservft. The only `Deno.dlopen` of the product is here. */

import { EdgeError } from "../lib/errors.ts";
import { EngineError } from "./engine_error.ts";
import type { NewLines } from "./new_lines.ts";
import { ABI, STATUS_BYTES, StatusPage } from "./status.ts";
import { type EngineCalls, symbols } from "./symbols.ts";

export { ENGINE_ERRORS, EngineError } from "./engine_error.ts";

const TEXT_BYTES = 1024;
const JSON_BYTES = 64 * 1024;

function text(value: string): Uint8Array<ArrayBuffer> {
  if (value.includes("\0")) {
    throw new TypeError(`A string for the engine holds a NUL: ${JSON.stringify(value)}`);
  }
  return new TextEncoder().encode(`${value}\0`);
}

function loaded(calls: EngineCalls, path: string): EngineCalls {
  const abi = calls.isf_abi();
  const size = calls.isf_status_size();
  if (abi !== ABI || size !== STATUS_BYTES) {
    throw new EdgeError(
      `${path} has ABI ${abi} with a status page of ${size} bytes; this program needs ABI ${ABI} with ${STATUS_BYTES}`,
      { op: "load the engine", hint: "Install the library and the program of the same build." },
    );
  }
  return calls;
}

/** libiservft, loaded. Open it once for a process: closing it while a call is under way would crash, so nobody does. */
export class EngineLibrary implements Disposable {
  readonly calls: EngineCalls;
  #close: () => void;
  #engines = 0;

  /** `calls`: the functions, real or a test's. */
  constructor(calls: EngineCalls, options: { path: string; close?: () => void }) {
    this.calls = loaded(calls, options.path);
    this.#close = options.close ?? (() => {});
  }

  static open(path: string): EngineLibrary {
    let library: Deno.DynamicLibrary<typeof symbols>;
    try {
      library = Deno.dlopen(path, symbols);
    } catch (cause) {
      throw new EdgeError(`The engine's library ${path} cannot be loaded`, {
        op: "load the engine",
        hint: "Build it (sh build/build.sh), or set `library` in the host's file to where it is.",
        cause,
      });
    }
    return new EngineLibrary(library.symbols, { path, close: () => library.close() });
  }

  /** Counts an engine in (1) or out (-1). */
  track(change: 1 | -1): void {
    this.#engines += change;
  }

  /** For tests that watch for leaks. Refuses while an engine lives. */
  [Symbol.dispose](): void {
    if (this.#engines > 0) throw new Error(`${this.#engines} engine(s) still use the library`);
    this.#close();
  }
}

/** What a new engine is given. */
export interface EngineOptions {
  library: EngineLibrary;
  /** Directory for its sockets; exists. */
  runDir: string;
  /** The pair's secret: 32 bytes. */
  secret: Uint8Array<ArrayBuffer>;
}

/** One engine. Methods are named as in iservft.h, where each is documented; they throw EngineError. */
export class Engine implements Disposable, AsyncDisposable {
  readonly #library: EngineLibrary;
  readonly #calls: EngineCalls;
  #handle: Deno.PointerValue;
  #status: StatusPage;
  /** Slow calls under way, with what C reads meanwhile kept alive. */
  readonly #inFlight = new Map<Promise<unknown>, readonly unknown[]>();
  #closing: Promise<void> | undefined;

  constructor(options: EngineOptions) {
    if (options.secret.length !== 32) {
      throw new RangeError(`The pair's secret has ${options.secret.length} bytes, not 32`);
    }
    this.#library = options.library;
    this.#calls = options.library.calls;
    const out = new BigUint64Array(1);
    const code = this.#calls.isf_engine_new(text(options.runDir), options.secret, out);
    if (code < 0) throw this.#error(code, { op: `create the engine in ${options.runDir}`, handle: null });
    this.#handle = Deno.UnsafePointer.create(out[0] ?? 0n);
    const page = this.#calls.isf_status_page(this.#handle);
    if (page === null) throw new Error("The engine has no status page");
    this.#status = new StatusPage(Deno.UnsafePointerView.getArrayBuffer(page, STATUS_BYTES));
    this.#library.track(1);
  }

  /** The counters, read without a call. After the engine has ended: its last values. */
  get status(): StatusPage {
    return this.#status;
  }

  /** CLOCK_MONOTONIC in microseconds, as in events. */
  clockUs(): number {
    return Number(this.#calls.isf_clock_us());
  }

  memoryNew(bytes: number): number {
    return this.#check("make the guest's memory", this.#calls.isf_memory_new(this.#live(), BigInt(bytes)));
  }

  diskAdd(disk: { name: string; image: string; statePrefix: string; socket: string }): Promise<number> {
    const kept = [text(disk.name), text(disk.image), text(disk.statePrefix), text(disk.socket)] as const;
    return this.#slow(`open disk ${disk.name}`, kept, (handle) => this.#calls.isf_disk_add(handle, ...kept));
  }

  diskBytes(index: number): number {
    return this.#check("read a disk's size", Number(this.#calls.isf_disk_bytes(this.#live(), index)));
  }

  nicAdd(nic: { tap: string; bridge: string; socket: string }): number {
    const code = this.#calls.isf_nic_add(this.#live(), text(nic.tap), text(nic.bridge), text(nic.socket));
    return this.#check(`add NIC ${nic.tap} on ${nic.bridge}`, code);
  }

  /** The kernel's own lease on a NIC's TAP (lib/vm/nft_lease.ts): `secret` has 8 bytes; 0 us: none. */
  nicLease(lease: { nic: number; secret: Uint8Array<ArrayBuffer>; leaseUs: number }): void {
    const code = this.#calls.isf_nic_lease(this.#live(), lease.nic, lease.secret, lease.leaseUs);
    this.#check(`lease NIC ${lease.nic} to the kernel's clock`, code);
  }

  linkAdd(link: { index: number; local: string; peer: string; port: number; listen: boolean }): void {
    const [local, peer] = [text(link.local), text(link.peer)];
    const listen = link.listen ? 1 : 0;
    const code = this.#calls.isf_link_add(this.#live(), link.index, local, peer, link.port, listen);
    this.#check(`open link ${link.index} from ${link.local} to ${link.peer}`, code);
  }

  heartbeatPath(path: { index: number; local: string; peer: string; port: number }): void {
    const [local, peer] = [text(path.local), text(path.peer)];
    const code = this.#calls.isf_heartbeat_path(this.#live(), path.index, local, peer, path.port);
    this.#check(`set heartbeat path ${path.index} from ${path.local} to ${path.peer}`, code);
  }

  heartbeatStart(beat: { intervalUs: number; silenceUs: number; reference: string; lan: string }): void {
    const [reference, lan] = [text(beat.reference), text(beat.lan)];
    const { intervalUs, silenceUs } = beat;
    const code = this.#calls.isf_heartbeat_start(this.#live(), intervalUs, silenceUs, reference, lan);
    this.#check("start heartbeats", code);
  }

  /** Other lines, another peer; `since`: up to when events are of the old one, 0 while nothing was changed. Waits for three threads, some ms. */
  relink({ secret, lines, port, listen, since }: NewLines & { since: BigUint64Array<ArrayBuffer> }): void {
    if (secret.length !== 32) throw new RangeError(`The pair's secret has ${secret.length} bytes, not 32`);
    const code = this.#calls.isf_relink(this.#live(), secret, text(lines), port, listen, since);
    this.#check("take other lines", code);
  }

  /** Resolves when all that was written is in this host's journals. `waits`: the guest's flushes wait for them from here on. Throws EngineError
   * (ELIMIT, or a disk's own error). */
  flush({ waits }: { waits: boolean }): Promise<void> {
    return this.#slow("sync the journals", [], (handle) => this.#calls.isf_flush(handle, waits ? 1 : 0)).then(
      () => {},
    );
  }

  /** What the disks had when they were added: the newest epoch of which one of them has all; null: none is known. */
  found(): { generation: number; epoch: number } | null {
    const found = new BigUint64Array(2);
    const any = this.#check("ask what the disks have", this.#calls.isf_found(this.#live(), found));
    return any === 0 ? null : { generation: Number(found[0]), epoch: Number(found[1]) };
  }

  say(word: { generation: number; term: number; epoch: number; role: number; flags: number }): void {
    const [generation, term, epoch] = [BigInt(word.generation), BigInt(word.term), BigInt(word.epoch)];
    this.#check("say", this.#calls.isf_say(this.#live(), generation, term, epoch, word.role, word.flags));
  }

  /** Sends JSON to the other runner. */
  control(message: unknown): void {
    const bytes = new TextEncoder().encode(JSON.stringify(message));
    this.#check("send to the other runner", this.#calls.isf_control(this.#live(), bytes, bytes.length));
  }

  /** Uses a hardware watchdog; `path` "": the machine's first. */
  watchdog(device: { path: string; timeoutS: number }): void {
    const code = this.#calls.isf_watchdog(this.#live(), text(device.path), device.timeoutS);
    this.#check("use the watchdog", code);
  }

  watchdogState(): { state: "off" | "absent" | "unfit" | "ready" | "armed" | "busy"; why: string } {
    return this.#json(
      "ask for the watchdog",
      (buffer) => this.#calls.isf_watchdog_state(this.#live(), buffer, buffer.length),
    );
  }

  qemuAttach(qemu: { pid: number; qmp: string; fifo: string; uid: number; tracker: number }): Promise<void> {
    const kept = [text(qemu.qmp), text(qemu.fifo)] as const;
    return this.#slow(
      "attach to QEMU",
      kept,
      (handle) => this.#calls.isf_qemu_attach(handle, qemu.pid, ...kept, qemu.uid, qemu.tracker),
    ).then(() => {});
  }

  qemuDetach(): Promise<void> {
    return this.#slow("detach from QEMU", [], (handle) => this.#calls.isf_qemu_detach(handle)).then(() => {});
  }

  /** QEMU's RAM blocks; both hosts must have the same. */
  blocks(): { name: string; bytes: number }[] {
    return this.#json(
      "list RAM blocks",
      (buffer) => this.#calls.isf_blocks(this.#live(), buffer, buffer.length),
    );
  }

  rhythm(
    bounds: { minUs: number; maxUs: number; dirtyPages: number; inflight: number; stallUs: number },
  ): void {
    const { minUs, maxUs, dirtyPages, inflight, stallUs } = bounds;
    const code = this.#calls.isf_rhythm(this.#live(), minUs, maxUs, dirtyPages, inflight, stallUs);
    this.#check("set the checkpoint rhythm", code);
  }

  throttle(percent: number): void {
    this.#check(`slow the guest by ${percent} %`, this.#calls.isf_throttle(this.#live(), percent));
  }

  /** The guest's flushes wait for this host's journals, or are answered at once, as under protection. */
  flushesWait(on: boolean): void {
    this.#check("let flushes wait", this.#calls.isf_flushes_wait(this.#live(), on ? 1 : 0));
  }

  asynchronous(output: { on: boolean; term: number }): Promise<void> {
    const { on, term } = output;
    return this.#slow(
      on ? `go on asynchronously in term ${term}` : "let output wait again",
      [],
      (handle) => this.#calls.isf_asynchronous(handle, on ? 1 : 0, BigInt(term)),
    ).then(() => {});
  }

  solo(term: number): void {
    this.#check(`go solo in term ${term}`, this.#calls.isf_solo(this.#live(), BigInt(term)));
  }

  sync(copy: { generation: number; term: number; changedOnly: boolean }): void {
    const [generation, term, changed] = [
      BigInt(copy.generation),
      BigInt(copy.term),
      copy.changedOnly ? 1 : 0,
    ];
    this.#check("sync the backup", this.#calls.isf_sync(this.#live(), generation, term, changed));
  }

  /** Bounds what a sync sends, in bytes per second; 0: no bound. */
  syncRate(bytesPerSecond: number): void {
    this.#check("bound the sync", this.#calls.isf_sync_rate(this.#live(), BigInt(bytesPerSecond)));
  }

  hold(): void {
    this.#check("hold the output", this.#calls.isf_hold(this.#live()));
  }

  handover(): void {
    this.#check("hand the VM over", this.#calls.isf_handover(this.#live()));
  }

  handoverCancel(): void {
    this.#check("take the VM back", this.#calls.isf_handover_cancel(this.#live()));
  }

  verify(): void {
    this.#check("verify the copy", this.#calls.isf_verify(this.#live()));
  }

  standby(copy: { generation: number; term: number; keep: boolean }): void {
    const [generation, term, keep] = [BigInt(copy.generation), BigInt(copy.term), copy.keep ? 1 : 0];
    this.#check("stand by", this.#calls.isf_standby(this.#live(), generation, term, keep));
  }

  /** Backup: whether the primary is told what was committed. */
  commits(on: boolean): void {
    this.#check("tell commits", this.#calls.isf_commits(this.#live(), on ? 1 : 0));
  }

  promote(promotion: { term: number; gaveWay: boolean }): void {
    const { term, gaveWay } = promotion;
    const code = this.#calls.isf_promote(this.#live(), BigInt(term), gaveWay ? 1 : 0);
    this.#check(`promote in term ${term}`, code);
  }

  restore(socket: string): Promise<void> {
    const kept = [text(socket)] as const;
    return this.#slow("restore the device state", kept, (handle) => this.#calls.isf_restore(handle, ...kept))
      .then(() => {});
  }

  restoreBlocks(): Promise<void> {
    return this.#slow("restore RAM blocks", [], (handle) => this.#calls.isf_restore_blocks(handle))
      .then(() => {});
  }

  announce(times: number): void {
    this.#check("announce the guest", this.#calls.isf_announce(this.#live(), times));
  }

  noOutputCommit(): void {
    this.#check("switch output commit off", this.#calls.isf_no_output_commit(this.#live()));
  }

  failpoint(name: string, action: 0 | 1 | 2 | 3 | 4): void {
    this.#check(`set failpoint ${name}`, this.#calls.isf_failpoint(this.#live(), text(name), action));
  }

  /** Ends the engine: new calls throw at once, slow calls under way are waited for. Can be repeated. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Begins to end the engine; use `await close()` where the end matters. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #end(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await Promise.allSettled(this.#inFlight.keys());
    this.#status.detach();
    await this.#calls.isf_engine_free(handle);
    this.#library.track(-1);
  }

  #live(): Deno.PointerValue {
    if (this.#handle === null) {
      throw new EngineError("The engine has ended", { op: "use the engine", hint: "", code: -9 });
    }
    return this.#handle;
  }

  #check(op: string, code: number): number {
    if (code < 0) throw this.#error(code, { op, handle: this.#handle });
    return code;
  }

  #json<Value>(op: string, call: (buffer: Uint8Array<ArrayBuffer>) => number): Value {
    const buffer = new Uint8Array(JSON_BYTES);
    const length = this.#check(op, call(buffer));
    return JSON.parse(new TextDecoder().decode(buffer.subarray(0, length)));
  }

  async #slow(
    op: string,
    kept: readonly unknown[],
    call: (handle: Deno.PointerValue) => Promise<number>,
  ): Promise<number> {
    const handle = this.#live();
    const pending = call(handle);
    this.#inFlight.set(pending, kept);
    try {
      const code = await pending;
      if (code < 0) throw this.#error(code, { op, handle });
      return code;
    } finally {
      this.#inFlight.delete(pending);
    }
  }

  /** The error for `code`: its sentence, and what the engine says of its last problem. */
  #error(code: number, context: { op: string; handle: Deno.PointerValue }): EngineError {
    const buffer = new Uint8Array(TEXT_BYTES);
    const decode = (length: number) =>
      new TextDecoder().decode(buffer.subarray(0, Math.min(Math.max(length, 0), buffer.length))).replace(
        /\0.*$/s,
        "",
      );
    const sentence = decode(this.#calls.isf_error_text(code, buffer, buffer.length)) || `Error ${code}`;
    buffer.fill(0);
    const hint = context.handle === null
      ? ""
      : decode(this.#calls.isf_problem(context.handle, buffer, buffer.length));
    return new EngineError(sentence, { op: context.op, hint, code });
  }
}
