import assert from "node:assert/strict";
import type { EventView } from "../../lib/model/event.ts";
import { searchEvents } from "../../ui/event_search.ts";
import { translator } from "../../ui/i18n/translator.ts";
import { FakeBackend } from "./fake_backend.ts";
import { fakeWeb } from "./fake_web.ts";

const [en, zh] = [translator("en"), translator("zh-TW")];
const query = { limit: 100 };

async function codes(t: typeof en, search: string): Promise<string[]> {
  const { events } = await searchEvents(t, { ...query, search }, { backend: new FakeBackend() });
  return events.map(({ code }) => code);
}

Deno.test("events are found by the words that the page shows, and by the English ones", async () => {
  assert.deepEqual(await codes(zh, "停頓 38"), ["vm.switchover"]);
  assert.deepEqual(await codes(zh, "stood still"), ["vm.switchover"]);
  assert.deepEqual(await codes(zh, "未插好"), ["link.down"], "a reason within a sentence");
  assert.deepEqual(await codes(zh, "見證機"), ["arbiter.reachable", "arbiter.lost"], "a value of ours");
  assert.deepEqual(await codes(zh, "CHEN"), ["user.created"]);
  assert.deepEqual(await codes(zh, "沒有這種字"), []);
  assert.deepEqual(await codes(en, "停頓"), [], "who reads English sees no Chinese");
});

Deno.test("a search looks at a bounded number of events, and says where to go on", async () => {
  const backend = new FakeBackend();
  const [one] = backend.eventList.filter(({ code }) => code === "vm.switchover") as [EventView];
  const other = backend.eventList.find(({ code }) => code === "vm.protected")!;
  backend.eventList = Array.from(
    { length: 2600 },
    (_, i) => ({ ...(i === 2599 ? one : other), id: 2600 - i }),
  );
  const asked = { ...query, search: "停頓" };
  const first = await searchEvents(zh, asked, { backend, most: 1000 });
  assert.deepEqual([first.events.length, first.next], [0, 1601]);
  assert.equal(backend.calls.filter(({ method }) => method === "events.query").length, 2);
  const rest = await searchEvents(zh, { ...asked, before: 1601 }, { backend });
  assert.deepEqual([rest.events.map(({ id }) => id), rest.next], [[1], null]);
});

Deno.test("the page of events and its export search in the reader's language", async () => {
  await using web = await fakeWeb();
  const headers = { cookie: "iservft_language=zh-TW", accept: "text/html" };
  const search = encodeURIComponent("停頓");
  const page = await (await web.request(`/events?search=${search}`, { headers })).text();
  assert.match(page, /已從 press-b 切換到 press-a，停頓 38 毫秒/);
  assert.equal(page.match(/data-event=/g)?.length, 1);
  const link = /href="(\/api\/v1\/events\/export[^"]*format=csv[^"]*)"/.exec(page)![1]!.replaceAll(
    "&amp;",
    "&",
  );
  const file = await (await web.request(link, { headers })).text();
  assert.equal(file.trim().split("\n").length, 2, file);
  const plain = await (await web.request(`/api/v1/events?search=${search}`)).json();
  assert.deepEqual(plain, []);
  assert.equal(
    (await (await web.request(`/api/v1/events?search=${search}&language=zh-TW`)).json()).length,
    1,
  );
});

Deno.test("a page of events that is not full is not the end: the answer names the address to go on at", async () => {
  await using web = await fakeWeb();
  const { eventList } = web.backend;
  const ask = async (address: string) => {
    const answer = await web.request(address);
    const events: EventView[] = await answer.json();
    return { ids: events.map(({ id }) => id), link: answer.headers.get("link") };
  };
  const all: number[] = [];
  let at: string | undefined = "/api/v1/events?limit=2&language=zh-TW";
  while (at !== undefined) {
    const { ids, link } = await ask(at);
    all.push(...ids);
    at = link === null ? undefined : /^<(.*)>; rel="next"$/.exec(link)![1]!;
    if (at !== undefined) assert.match(at, /language=zh-TW/, "the rest of the question stays");
  }
  assert.deepEqual(all, eventList.map(({ id }) => id).sort((a, b) => b - a));
});
