import { deepEqual, equal, match, ok } from "node:assert/strict";
import { changeView } from "../../../lib/model/snapshot.ts";
import { STREAM_LIMITS } from "../../../ui/api/stream.ts";
import { fakeSample } from "../fake_data.ts";
import { IDLE_MS } from "../../../lib/access/changes.ts";
import { user } from "../../access/kit.ts";
import { type ApiRig, apiRig, type As } from "./kit.ts";

/** Reads a stream record by record; comments are records without data. */
class Records implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #stop: AbortController;
  readonly status: number;
  #text = "";

  private constructor(response: Response, stop: AbortController) {
    this.status = response.status;
    this.#stop = stop;
    this.#reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(rig: ApiRig, said: { as?: As; path?: string; headers?: Record<string, string> } = {}) {
    const stop = new AbortController();
    const { as = "viewer", path = "/stream", headers = {} } = said;
    return new Records(await rig.ask(as, "GET", path, { headers, signal: stop.signal }), stop);
  }

  /** The next record; null: the stream ended. */
  async next(): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const record = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return record;
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += value;
    }
  }

  /** The next record that has data. */
  async change() {
    for (;;) {
      const record = await this.next();
      if (record === null) return null;
      const data = /^data: (.*)$/m.exec(record)?.[1];
      if (data !== undefined) {
        return { id: /^id: (.*)$/m.exec(record)?.[1], ...changeView.parse(JSON.parse(data)) };
      }
    }
  }

  async [Symbol.asyncDispose]() {
    this.#stop.abort();
    await this.#reader.cancel().catch(() => {});
  }
}

function event(rig: ApiRig, text: string) {
  return rig.backend.pushEvent({
    severity: "info",
    subject: "vm",
    name: "press-1",
    code: "vm.alarm",
    params: { text },
    actor: null,
  });
}

Deno.test("a stream begins with a snapshot, then has each change, event and sample", async () => {
  await using rig = await apiRig();
  await using records = await Records.open(rig);
  const first = await records.change();
  equal(first?.kind, "snapshot");
  rig.backend.push();
  rig.backend.pushSample("press-1", fakeSample(0));
  const made = event(rig, "hello");
  equal((await records.change())?.kind, "snapshot");
  equal((await records.change())?.kind, "sample");
  const last = await records.change();
  deepEqual([last?.kind, last?.id], ["event", String(made.id)]);
});

Deno.test("a reader of events goes on where it stopped, and misses and repeats none", async () => {
  await using rig = await apiRig();
  const ids = ["a", "b", "c"].map((text) => event(rig, text).id);
  for (
    const said of [
      { path: "/events/stream", headers: { "last-event-id": String(ids[0]) } },
      { path: `/events/stream?after=${ids[0]}` },
    ]
  ) {
    await using records = await Records.open(rig, said);
    rig.backend.push();
    const next = event(rig, "d").id;
    const seen = [await records.change(), await records.change(), await records.change()].map((it) =>
      Number(it?.id)
    );
    deepEqual(seen.slice(0, 2), ids.slice(1));
    ok(seen[2] === next || seen[2]! > ids[2]!);
  }
});

Deno.test("without Last-Event-ID a reader is told of nothing old", async () => {
  await using rig = await apiRig();
  event(rig, "old");
  await using records = await Records.open(rig, { path: "/events/stream" });
  const made = event(rig, "new");
  equal((await records.change())?.id, String(made.id));
});

Deno.test("streams are bounded in number, of all and of one; an ended one makes room", async () => {
  await using rig = await apiRig({ limits: { ...STREAM_LIMITS, total: 3, each: 2 } });
  const open: Records[] = [];
  for (const as of ["viewer", "viewer", "operator"] as const) open.push(await Records.open(rig, { as }));
  for (const as of ["viewer", "administrator"] as const) {
    const refused = await rig.ask(as, "GET", "/stream");
    equal(refused.status, 429, as);
    match(await refused.text(), /too_many/);
  }
  await open[0]![Symbol.asyncDispose]();
  const again = await Records.open(rig, { as: "administrator" });
  equal(again.status, 200);
  for (const records of [...open.slice(1), again]) await records[Symbol.asyncDispose]();
  equal(rig.backend.listening, 0);
});

Deno.test("a reader that does not read is cut off; of snapshots it waits for the newest alone", async () => {
  await using rig = await apiRig({ limits: { ...STREAM_LIMITS, backlog: 200_000 } });
  await using slow = await Records.open(rig);
  for (let i = 0; i < 100; i++) rig.backend.push();
  equal(rig.backend.listening, 1, "snapshots do not pile up");
  for (let i = 0; i < 2000 && rig.backend.listening > 0; i++) event(rig, "x".repeat(400));
  equal(rig.backend.listening, 0);
  let records = 0;
  while (await slow.next() !== null) records++;
  ok(records < 1000, `${records} records`);
});

Deno.test("a slow reader that reads again gets the newest snapshot", async () => {
  await using rig = await apiRig();
  await using slow = await Records.open(rig);
  for (let i = 0; i < 100; i++) rig.backend.push();
  const newest = rig.backend.state.revision;
  for (;;) {
    const change = await slow.change();
    ok(change !== null);
    if (change.kind === "snapshot" && change.snapshot.revision === newest) break;
  }
});

Deno.test("heartbeats keep a stream open, and it ends after its life so that who may read is asked anew", async () => {
  await using rig = await apiRig({ limits: { ...STREAM_LIMITS, heartbeat_ms: 5, life_ms: 200 } });
  await using records = await Records.open(rig, { path: "/events/stream" });
  match(await records.next() ?? "", /^: connected/);
  equal(await records.next(), ": still here");
  while (await records.next() !== null);
  equal(rig.backend.listening, 0);
});

/** Streams that no heartbeat comes to within the test: only what the accounts tell can end them. */
const UNASKED = { limits: { ...STREAM_LIMITS, heartbeat_ms: 3600_000 } };

Deno.test("a stream ends at once when its session is signed out, and when its token is removed", async () => {
  await using rig = await apiRig(UNASKED);
  const session = await rig.signIn("ann");
  await using mine = await Records.open(rig, { as: session });
  await using theirs = await Records.open(rig, { as: "viewer" });
  match(await mine.next() ?? "", /^: connected/);
  await (await rig.ask(session, "DELETE", "/session")).body?.cancel();
  while (await mine.next() !== null);
  equal(rig.backend.listening, 1, "the other one goes on");
  const { id } = rig.access.tokens.list().find(({ name }) => name === "viewer")!;
  await rig.access.tokens.remove(id, "local");
  while (await theirs.next() !== null);
  equal(rig.backend.listening, 0);
});

Deno.test("a stream ends at once when its account has another role or password, or is removed", async () => {
  await using rig = await apiRig(UNASKED);
  const { users, sessions } = rig.access;
  for (const name of ["bob", "cat", "dan", "eve"]) await user(rig.access, name);
  const ends: Readonly<Record<string, () => Promise<unknown>>> = {
    bob: () => users.change("bob", { role: "viewer" }, "local"),
    cat: () => users.change("cat", { password: "another long secret" }, "local"),
    dan: () => users.remove("dan", "local"),
    eve: () => sessions.endAll("eve", "local"),
  };
  for (const [name, end] of Object.entries(ends)) {
    await using records = await Records.open(rig, { as: await rig.signIn(name) });
    await users.change(name, { language: "zh-TW" }, "local");
    equal(rig.backend.listening, 1, "what changes no rights ends nothing");
    await end();
    while (await records.next() !== null);
    equal(rig.backend.listening, 0, name);
  }
});

Deno.test("a stream ends when its session or its token expires", async () => {
  await using rig = await apiRig(UNASKED);
  const { secret } = await rig.access.tokens.create({ name: "day", role: "viewer", days: 1 }, "local");
  const as = await rig.signIn("ann");
  rig.clock.ms += IDLE_MS - 5;
  await using idle = await Records.open(rig, { as });
  equal(rig.access.sessions.find(as.cookie.split("=")[1]!) === null, false, "it was used just now");
  rig.clock.ms += IDLE_MS - 5;
  await using _another = await Records.open(rig);
  rig.clock.ms += 5;
  while (await idle.next() !== null);
  rig.clock.ms += 86_400_000 - 2 * IDLE_MS;
  await using short = await Records.open(rig, {
    as: "nobody",
    headers: { authorization: `Bearer ${secret}` },
  });
  equal(rig.backend.listening, 2);
  rig.clock.ms += 5;
  while (await short.next() !== null);
  equal(rig.backend.listening, 1, "the token without an end goes on");
});

Deno.test("events are exported whole, page by page; a cell that a spreadsheet would run is text", async () => {
  await using rig = await apiRig();
  rig.backend.eventList = [];
  for (let i = 0; i < 2300; i++) event(rig, i === 7 ? '=cmd("a"),\n1' : `event ${i}`);
  const json = await (await rig.ask("viewer", "GET", "/events/export?format=json")).json();
  equal(json.length, 2300);
  equal(new Set(json.map(({ id }: { id: number }) => id)).size, 2300);
  const response = await rig.ask("viewer", "GET", "/events/export?format=csv&subject=vm");
  match(response.headers.get("content-disposition") ?? "", /events\.csv/);
  const csv = await response.text();
  equal(csv.split("\r\n").length, 2302);
  ok(csv.includes(`"'=cmd(""a""),\n1"`), "quoted, and a text");
  rig.backend.eventList = [];
  equal((await (await rig.ask("viewer", "GET", "/events/export?format=json")).text()).trim(), "[]");
});
