/** The worker: an own thread for SQLite, which waits for the disk. A bundle of its own in the packed program (build/pack.ts). */

import { Keeper } from "./keeper.ts";
import type { FromWorker, ToWorker } from "./store_messages.ts";

/** What of a worker's global object is used. */
interface WorkerGlobal {
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
  postMessage(message: FromWorker): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerGlobal;
let keeper: Keeper | null = null;

function asked(call: number, ask: (from: Keeper) => (FromWorker & { kind: "answer" })["value"]): FromWorker {
  try {
    if (keeper === null) throw new Error("it is not open");
    return { kind: "answer", call, value: ask(keeper) };
  } catch (error) {
    return { kind: "failed", call, why: error instanceof Error ? error.message : String(error) };
  }
}

function taken(message: ToWorker & { kind: "take" }, from: Keeper): FromWorker {
  from.lost(message.lost);
  const events = from.events(message.events);
  const samples_lost = message.samples.filter(({ vm, sample }) => !from.sample(vm, sample)).length;
  return { kind: "taken", events, kept: from.kept, samples_lost, problem: from.problem };
}

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "open":
      keeper = new Keeper({ path: data.path, node: data.node });
      // What opening had to say goes with the first answer.
      return scope.postMessage(taken({ kind: "take", events: [], samples: [], lost: 0 }, keeper));
    case "take":
      if (keeper !== null) scope.postMessage(taken(data, keeper));
      return;
    case "query":
      return scope.postMessage(asked(data.call, (from) => from.query(data.query)));
    case "history":
      return scope.postMessage(asked(data.call, (from) => from.history(data.vm, data.range)));
    case "close":
      keeper?.[Symbol.dispose]();
      keeper = null;
      scope.postMessage({ kind: "closed" });
      return scope.close();
    default:
      data satisfies never;
  }
};
