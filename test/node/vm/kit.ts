/** Two nodes' VM managers without the rest of a node: their channel to each other is in memory, and can be cut. */

import type { Duplex } from "../../../lib/model/backend.ts";
import type { NewEvent } from "../../../lib/model/event.ts";
import { ProblemError } from "../../../lib/model/problem.ts";
import type { VmSample, VmView } from "../../../lib/model/vm.ts";
import type { PeerChannel, Recorder } from "../../../lib/node/contracts.ts";
import type { VmManager } from "../../../lib/node/vm/manager.ts";

/** One end of a channel in memory. */
export class FakeChannel implements PeerChannel {
  readonly answers = new Map<string, (params: unknown) => Promise<unknown>>();
  readonly streams = new Map<string, (params: unknown) => Promise<Duplex>>();
  readonly #listeners = new Set<() => void>();
  other: FakeChannel | null = null;
  peer: { id: string; name: string } | null;
  reachable = true;
  since_ms = Date.now();
  rtt_us = null;

  constructor(peer: { id: string; name: string } | null) {
    this.peer = peer;
  }

  async call(method: string, params: unknown): Promise<unknown> {
    const handler = this.reachable ? this.other?.answers.get(method) : undefined;
    if (handler === undefined) throw unreachable();
    return await handler(structuredClone(params));
  }

  answer(method: string, handler: (params: unknown) => Promise<unknown>): void {
    this.answers.set(method, handler);
  }

  async open(method: string, params: unknown): Promise<Duplex> {
    const handler = this.reachable ? this.other?.streams.get(method) : undefined;
    if (handler === undefined) throw unreachable();
    return await handler(structuredClone(params));
  }

  answerStream(method: string, handler: (params: unknown) => Promise<Duplex>): void {
    this.streams.set(method, handler);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  set(reachable: boolean): void {
    this.reachable = reachable;
    for (const listener of [...this.#listeners]) listener();
  }
}

function unreachable(): ProblemError {
  return new ProblemError("peer_unreachable", { detail: "It is not heard", hint: "Look at it." });
}

/** Both ends. */
export function channels(): { a: FakeChannel; b: FakeChannel; cut(): void; mend(): void } {
  const a = new FakeChannel({ id: "B-ID", name: "node-b" });
  const b = new FakeChannel({ id: "A-ID", name: "node-a" });
  a.other = b;
  b.other = a;
  const set = (reachable: boolean) => {
    a.set(reachable);
    b.set(reachable);
  };
  return { a, b, cut: () => set(false), mend: () => set(true) };
}

/** Keeps all that happened. */
export class Heard implements Recorder {
  readonly events: NewEvent[] = [];
  readonly samples: VmSample[] = [];

  event(event: NewEvent): void {
    this.events.push(event);
  }

  sample(_vm: string, sample: VmSample): void {
    this.samples.push(sample);
  }

  codes(): string[] {
    return this.events.map(({ code }) => code);
  }
}

/** Resolves once `seen` holds of what a manager shows; throws with what it shows when it does not within the bound. */
export async function until(manager: VmManager, seen: () => boolean, bound_ms = 20_000): Promise<void> {
  const until_ms = performance.now() + bound_ms;
  while (!seen()) {
    if (performance.now() > until_ms) {
      const views = manager.views().map(({ name, state, detail, verdict }) => ({
        name,
        state,
        detail,
        verdict,
      }));
      throw new Error(`it was not so within ${bound_ms} ms: ${seen}; ${JSON.stringify(views)}`);
    }
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        watch[Symbol.dispose]();
        resolve();
      };
      const timer = setTimeout(done, 100);
      const watch = manager.onChange(done);
    });
  }
}

/** The only VM's view. */
export function view(manager: VmManager): VmView {
  const [one] = manager.views();
  if (one === undefined) throw new Error("there is no VM");
  return one;
}

/** An empty image, as the disks' own part would make it. */
export const disks = {
  make: async (path: string, bytes: number) => {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    await file.truncate(bytes);
  },
};
