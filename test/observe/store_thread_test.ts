import assert from "node:assert/strict";
import type { EventView } from "../../lib/model/event.ts";
import { StoreThread } from "../../lib/observe/store_thread.ts";
import { Inbox } from "./alert_kit.ts";
import { Place, takenEvent } from "./kit.ts";

Deno.test("a worker that dies is started anew: what it had is counted and said, what comes after is kept, nobody waits for ever", async () => {
  using place = new Place();
  const kept = new Inbox<EventView>();
  const warned: string[] = [];
  const thread = new StoreThread({
    path: place.file,
    node: "n",
    warn: (text) => warned.push(text),
    worker: new URL("./mortal_worker.ts", import.meta.url),
    taken: (events) => events.forEach((event) => kept.put(event)),
  });
  await thread.ready();
  thread.event(takenEvent({ text: "before" }));
  await kept.until(1);
  thread.event(takenEvent({ text: "poison" }));
  await assert.rejects(thread.ask({ kind: "query", query: { limit: 10 } }), /died/);
  await assert.rejects(thread.ask({ kind: "query", query: { limit: 10 } }), /does not run/);
  assert.equal(thread.state().problem?.includes("it died"), true);
  for (let i = 0; i < 20; i++) thread.event(takenEvent({ text: `after ${i}` }));
  await kept.until(22);
  const texts = kept.all.map(({ text }) => text);
  assert.deepEqual(texts.filter((text) => text.startsWith("after")).length, 20);
  const said = kept.all.find(({ code }) => code === "node.events_lost");
  assert.equal(said?.params.count, 1);
  assert.deepEqual([thread.state().events_lost, thread.state().problem], [1, null]);
  const found = await thread.ask({ kind: "query", query: { limit: 100 } });
  assert.equal(found.length, 22);
  assert.equal(warned.length, 1);
  await thread.close();
});
