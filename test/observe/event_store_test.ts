import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openDatabase } from "../../lib/observe/database.ts";
import { MIGRATIONS } from "../../lib/observe/database.ts";
import { EventStore } from "../../lib/observe/event_store.ts";
import { Keeper, matching, type Taken } from "../../lib/observe/keeper.ts";
import type { EventQuery, EventView } from "../../lib/model/event.ts";
import { Place, takenEvent } from "./kit.ts";

const BYTES = 64 << 20;
const at = (ms: number) => new Date(ms).toISOString();
const NOW = Date.parse("2026-03-01T12:00:00Z");

function many(number: number, event: (i: number) => Partial<Taken> = () => ({})): EventView[] {
  return Array.from({ length: number }, (_, i) => ({ id: i + 1, ...takenEvent(event(i)) }));
}

const MIXED = many(
  30,
  (i) => ({
    at: at(NOW + i * 1000),
    severity: (["ok", "info", "warning", "critical"] as const)[i % 4]!,
    subject: i % 3 === 0 ? "link" : "vm",
    name: i % 3 === 0 ? "a" : `press-${i % 2}`,
    text: i % 5 === 0 ? `100 % of it_${i}` : `Runs on Node-${i}\\x.`,
  }),
);

Deno.test("events come newest first, by each thing that may be asked; in memory and in SQLite the answer is the same", () => {
  const { db } = openDatabase(":memory:", { nowMs: NOW, bytes: BYTES });
  const store = new EventStore(db);
  store.insert(MIXED);
  const ids = (query: Partial<EventQuery>) => {
    const found = store.query({ limit: 100, ...query });
    assert.deepEqual(found, matching(MIXED, { limit: 100, ...query }), JSON.stringify(query));
    return found.map(({ id }) => id);
  };
  assert.deepEqual(ids({ limit: 3 }), [30, 29, 28]);
  assert.deepEqual(ids({ before: 4 }), [3, 2, 1]);
  assert.deepEqual(ids({ after: 28 }), [30, 29]);
  assert.deepEqual(ids({ severity: "critical", limit: 2 }), [28, 24]);
  assert.deepEqual(ids({ severity: "warning", after: 24 }), [28, 27]);
  assert.equal(ids({ subject: "link", name: "a" }).length, 10);
  assert.deepEqual(ids({ since: at(NOW + 28_000) }), [30, 29]);
  assert.deepEqual(ids({ until: at(NOW + 1_000) }), [2, 1]);
  assert.deepEqual(ids({ since: "not a time", limit: 1 }), [30]);
  assert.deepEqual(ids({ search: "node-29" }), [30]);
  // Taken as they are written, not as LIKE would read them.
  assert.equal(ids({ search: "100 % of it_" }).length, 6);
  assert.deepEqual(ids({ search: "%" }).length, 6);
  assert.deepEqual(ids({ search: "1_0" }), []);
  assert.equal(ids({ search: "\\x" }).length, 24);
  assert.deepEqual(ids({ search: "'; DROP TABLE events; --" }), []);
  assert.deepEqual(ids({ name: "' OR 1=1 --" }), []);
  assert.equal(ids({}).length, 30);
  db.close();
});

Deno.test("the number of events is bounded, and the oldest go", () => {
  const { db } = openDatabase(":memory:", { nowMs: NOW, bytes: BYTES });
  const store = new EventStore(db, { events: 1000, age_ms: 1e12, always: 10 });
  for (let i = 0; i < 5; i++) store.insert(many(400).map((event) => ({ ...event, id: i * 400 + event.id })));
  assert.ok(store.count <= 1010, `${store.count} are kept`);
  assert.equal(store.query({ limit: 1 })[0]?.id, 2000);
  assert.equal(store.query({ limit: 1000, before: 950 }).length, 0);
  db.close();
});

Deno.test("old events go, but a clock that jumped ahead does not take the newest", () => {
  const { db } = openDatabase(":memory:", { nowMs: NOW, bytes: BYTES });
  const store = new EventStore(db, { events: 1000, age_ms: 86_400_000, always: 5 });
  store.insert(many(20, (i) => ({ at: at(NOW + i) })));
  store.expire(NOW + 86_000_000);
  assert.equal(store.count, 20);
  store.expire(Date.parse("2099-01-01"));
  assert.equal(store.count, 5);
  assert.deepEqual(store.query({ limit: 9 }).map(({ id }) => id), [20, 19, 18, 17, 16]);
  db.close();
});

Deno.test("a file that has reached its size makes room by its oldest events", () => {
  const { db } = openDatabase(":memory:", { nowMs: NOW, bytes: 256 << 10 });
  const store = new EventStore(db);
  for (let i = 0; i < 100; i++) {
    store.insert([{ id: i + 1, ...takenEvent({ text: "x".repeat(8000) }) }]);
  }
  assert.equal(store.lastId(), 100);
  assert.ok(store.count < 40, `${store.count} events of 8000 bytes in 256 KiB`);
  db.close();
});

Deno.test("a file of an older version is brought forward, with what is in it", () => {
  using place = new Place();
  const old = openDatabase(place.file, { nowMs: NOW, bytes: BYTES, migrations: MIGRATIONS.slice(0, 1) }).db;
  old.prepare(
    "INSERT INTO events VALUES (7, 1, 'n', 1, 'vm', 'press-1', 'vm.runs', '{}', 'Runs.', NULL)",
  ).run();
  old.close();
  using keeper = new Keeper({ path: place.file, node: "n" });
  assert.equal(keeper.problem, null);
  assert.equal(keeper.query({ limit: 1 })[0]?.id, 7);
  assert.equal(keeper.events([takenEvent()])[0]?.id, 8);
  assert.equal(keeper.sample("press-1", { t_ms: NOW } as never), true);
});

for (
  const [what, damage] of [
    ["that is none of SQLite's", (path: string) => Deno.writeTextFileSync(path, "no database ".repeat(1000))],
    ["of another program", (path: string) => {
      Deno.removeSync(path);
      const db = new DatabaseSync(path);
      db.exec("CREATE TABLE theirs (x)");
      db.close();
    }],
    ["of a newer version", (path: string) => {
      const db = new DatabaseSync(path);
      db.exec("PRAGMA user_version = 99");
      db.close();
    }],
    ["whose middle was overwritten", (path: string) => {
      using file = Deno.openSync(path, { write: true });
      const page = new Uint8Array(4096).fill(0x5a);
      for (let offset = 4096; offset < Deno.statSync(path).size; offset += 4096) {
        file.seekSync(offset, Deno.SeekMode.Start);
        file.writeSync(page);
      }
    }],
    ["that was cut short", (path: string) => Deno.truncateSync(path, 5000)],
  ] as const
) {
  Deno.test(`a file ${what} is put aside and said, and a new one begun`, () => {
    using place = new Place();
    {
      using keeper = new Keeper({ path: place.file, node: "n", nowMs: () => NOW });
      keeper.events(many(100));
    }
    damage(place.file);
    using keeper = new Keeper({ path: place.file, node: "n", nowMs: () => NOW });
    const [mine, said] = keeper.events([takenEvent()]);
    assert.equal(keeper.problem, null);
    assert.equal(said?.code, "node.events_begun_anew");
    assert.ok(Deno.statSync(String(said?.params.file)).isFile);
    assert.ok(mine!.id > 100, "numbers still grow");
    assert.equal(keeper.query({ limit: 10 }).length, 2);
  });
}

Deno.test("nobody else may read what is kept", () => {
  using place = new Place();
  using keeper = new Keeper({ path: place.file, node: "n" });
  keeper.events(many(3));
  for (const end of ["", "-wal", "-shm"]) assert.equal(Deno.statSync(place.file + end).mode! & 0o077, 0, end);
});

Deno.test("an undamaged file is left as it is (control)", () => {
  using place = new Place();
  {
    using keeper = new Keeper({ path: place.file, node: "n" });
    keeper.events(many(100));
  }
  using keeper = new Keeper({ path: place.file, node: "n" });
  assert.equal(keeper.query({ limit: 1000 }).length, 100);
  assert.deepEqual([...Deno.readDirSync(place.path)].filter(({ name }) => name.includes("damaged")), []);
});

Deno.test("a file that is damaged while it is open is put aside as well", () => {
  using place = new Place();
  using keeper = new Keeper({ path: place.file, node: "n", nowMs: () => NOW });
  keeper.events(many(3000));
  {
    using checkpoint = new DatabaseSync(place.file) as DatabaseSync & Disposable;
    checkpoint.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    using file = Deno.openSync(place.file, { write: true });
    for (let offset = 4096; offset < Deno.statSync(place.file).size; offset += 4096) {
      file.seekSync(offset, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(4096).fill(0x5a));
    }
    // A new change counter in the first page: what is cached is not believed any more.
    checkpoint.close();
  }
  let said = false;
  for (let i = 0; i < 50 && !said; i++) {
    keeper.query({ limit: 1000 });
    said = keeper.events(many(100)).some(({ code }) => code === "node.events_begun_anew");
  }
  assert.equal(
    said || keeper.query({ limit: 1000 }).some(({ code }) => code === "node.events_begun_anew"),
    true,
  );
  assert.equal(keeper.problem, null);
});

Deno.test("while nothing can be written the newest events stay readable; later they are written, and what was lost is counted", () => {
  using place = new Place();
  const path = `${place.path}/not_yet/events.db`;
  let now = NOW;
  using keeper = new Keeper({ path, node: "n", nowMs: () => now });
  assert.match(keeper.problem ?? "", /No such file/);
  const first = keeper.events([takenEvent()])[0]!;
  assert.deepEqual(keeper.query({ limit: 10 }), [first]);
  keeper.events(many(2500));
  Deno.mkdirSync(`${place.path}/not_yet`);
  now += 10_000;
  const [mine, said] = keeper.events([takenEvent({ text: "at last" })]);
  assert.equal(keeper.problem, null);
  assert.equal(said?.code, "node.events_lost");
  assert.equal(said?.params.count, 501);
  assert.ok(mine!.id > first.id);
  assert.equal(keeper.kept, 2000 + 2);
  assert.equal(keeper.query({ limit: 10, search: "at last" }).length, 1);
});
