/** What the runners of the other node say, each second and at each change; old words are not passed on. */

import type { PeerChannel } from "../contracts.ts";
import { type NodeReport, nodeReport, type VmReport } from "./records.ts";

const METHOD = "vm.report";
const EACH_MS = 1000;
const SOON_MS = 50;
/** Older than this, it is not known any more. */
export const FRESH_MS = 5000;
const BOUND_MS = 3000;
const MOMENT_MS = 500;

export interface ReportsOptions {
  peer: PeerChannel;
  mine(): NodeReport;
  /** A new word of the other node, or that it is too old now (null). */
  onTheirs(vms: readonly VmReport[] | null): void;
}

export class Reports implements AsyncDisposable {
  readonly #options: ReportsOptions;
  #theirs: { vms: VmReport[]; at_ms: number } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #old: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> | null = null;
  #due_ms = 0;
  #closed = false;

  constructor(options: ReportsOptions) {
    this.#options = options;
    options.peer.answer(METHOD, (params) => {
      this.#take(nodeReport.parse(params));
      return Promise.resolve(options.mine());
    });
    this.#next(EACH_MS);
  }

  /** What the other node says of a VM; null: it does not say, or not lately. */
  theirs(uuid: string): VmReport | null {
    return this.all()?.find((report) => report.uuid === uuid) ?? null;
  }

  /** The other node says now what it has, and this VM is not among it: it was not asked yet, or does not take it. */
  absent(uuid: string): boolean {
    return this.all()?.every((report) => report.uuid !== uuid) ?? false;
  }

  all(): VmReport[] | null {
    return this.#theirs !== null && performance.now() - this.#theirs.at_ms < FRESH_MS
      ? this.#theirs.vms
      : null;
  }

  /** What this node says has changed. */
  changed(): void {
    if (this.#asking === null) this.#next(SOON_MS);
  }

  /** Tells the other node now; resolves when it has answered, or does not within a moment. */
  async exchange(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, MOMENT_MS));
    const told = (this.#asking ?? Promise.resolve()).then(() => this.#ask());
    await Promise.race([told, late]).finally(() => clearTimeout(timer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#old);
    await this.#asking;
  }

  #next(ms: number): void {
    if (this.#closed) return;
    const due_ms = performance.now() + ms;
    if (this.#due_ms > performance.now() && this.#due_ms <= due_ms) return; // it is due sooner
    clearTimeout(this.#timer);
    this.#due_ms = due_ms;
    this.#timer = setTimeout(() => {
      this.#asking = this.#ask().finally(() => {
        this.#asking = null;
        this.#next(EACH_MS);
      });
    }, ms);
  }

  async #ask(): Promise<void> {
    const { peer } = this.#options;
    if (peer.peer === null || !peer.reachable || this.#closed) return;
    try {
      const answer = await peer.call(METHOD, this.#options.mine(), { timeout_ms: BOUND_MS });
      this.#take(nodeReport.parse(answer));
    } catch {
      // It grows old.
    }
  }

  #take({ vms }: NodeReport): void {
    if (this.#closed) return;
    this.#theirs = { vms, at_ms: performance.now() };
    clearTimeout(this.#old);
    this.#old = setTimeout(() => this.#options.onTheirs(null), FRESH_MS + 10);
    this.#options.onTheirs(vms);
  }
}
