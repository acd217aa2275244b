import assert from "node:assert/strict";
import type { EventView } from "../../lib/model/event.ts";
import type { PeerChannel } from "../../lib/node/contracts.ts";
import { EventExchange } from "../../lib/node/event_exchange.ts";

/** A node's events, numbered by it. */
class Events {
  readonly all: EventView[] = [];
  taken(event: Omit<EventView, "id">): void {
    this.all.push({ ...event, id: this.all.length + 1 });
  }
  see(node: string, text: string): void {
    this.taken({
      at: "2026-01-01T00:00:00Z",
      node,
      severity: "info",
      subject: "node",
      name: "",
      code: "x",
      params: {},
      text,
      actor: null,
    });
  }
  query({ after = 0, limit = 100 }: { after?: number; limit?: number }): Promise<EventView[]> {
    return Promise.resolve(this.all.filter((event) => event.id > after).reverse().slice(0, limit));
  }
}

type Handler = (params: unknown) => Promise<unknown>;

function channel(handlers: Map<string, Handler>, peer: { handlers: Map<string, Handler>; name: string }) {
  const state = { reachable: true };
  const made = {
    get peer() {
      return { id: peer.name, name: peer.name };
    },
    get reachable() {
      return state.reachable;
    },
    answer: (method: string, handler: Handler) => void handlers.set(method, handler),
    call: (method: string, params: unknown) => peer.handlers.get(method)!(structuredClone(params)),
    onChange: () => ({ [Symbol.dispose]() {} }),
  } as unknown as PeerChannel;
  return { made, state };
}

async function pair(
  body: (nodes: {
    a: Events;
    b: Events;
    pullA(): Promise<void>;
    pullB(): Promise<void>;
    restartA(): Promise<void>;
    state: { reachable: boolean };
  }) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const [a, b] = [new Events(), new Events()];
  const [ha, hb] = [new Map<string, Handler>(), new Map<string, Handler>()];
  const toB = channel(ha, { handlers: hb, name: "b" });
  const toA = channel(hb, { handlers: ha, name: "a" });
  const make = (node: string, own: Events, line: PeerChannel) =>
    new EventExchange({
      file: `${directory}/${node}.json`,
      node: () => node,
      channel: line,
      observer: own as never,
    });
  let first = make("a", a, toB.made);
  const second = make("b", b, toA.made);
  try {
    await body({
      a,
      b,
      pullA: () => first.pull(),
      pullB: () => second.pull(),
      async restartA() {
        await first[Symbol.asyncDispose]();
        first = make("a", a, toB.made);
      },
      state: toB.state,
    });
  } finally {
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  }
}

const texts = (events: Events) => events.all.map((event) => `${event.node}: ${event.text}`);

Deno.test("each node gets the other's events once, and never its own back", () =>
  pair(async ({ a, b, pullA, pullB }) => {
    a.see("a", "one");
    b.see("b", "two");
    await pullA();
    await pullB();
    await pullA();
    await pullB();
    b.see("b", "three");
    await pullA();
    assert.deepEqual(texts(a), ["a: one", "b: two", "b: three"]);
    assert.deepEqual(texts(b), ["b: two", "a: one", "b: three"]);
  }));

Deno.test("what happened while a node was away, or was started anew, comes when it is back, and only that", () =>
  pair(async ({ a, b, pullA, restartA, state }) => {
    b.see("b", "before");
    await pullA();
    state.reachable = false;
    b.see("b", "away");
    await pullA();
    assert.deepEqual(texts(a), ["b: before"]);
    state.reachable = true;
    await restartA();
    await pullA();
    assert.deepEqual(texts(a), ["b: before", "b: away"]);
  }));

Deno.test("an answer that is none changes nothing", () =>
  pair(async ({ a, b, pullA }) => {
    b.see("b", "x");
    (b.all[0] as { severity: string }).severity = "catastrophic";
    await pullA();
    assert.deepEqual(texts(a), []);
  }));
