import assert from "node:assert/strict";
import { AUDIT_LIMITS, AuditLog } from "../../lib/access/audit.ts";
import { openStore, type Store } from "../../lib/access/store.ts";

interface AuditRig extends AsyncDisposable {
  store: Store;
  directory: string;
  log: AuditLog;
  reopen(): Promise<void>;
  lines(): string[];
  put(lines: string[]): void;
}

async function rig(limits = AUDIT_LIMITS): Promise<AuditRig> {
  const directory = await Deno.makeTempDir();
  const store = openStore(directory);
  const open = () => AuditLog.open({ directory, store, nowMs: () => 0, limits });
  const made = { store, directory, log: await open() };
  const file = `${directory}/audit.log`;
  return Object.assign(made, {
    async reopen() {
      made.log = await open();
    },
    lines: () => Deno.readTextFileSync(file).split("\n").filter((text) => text !== ""),
    put: (lines: string[]) => Deno.writeTextFileSync(file, lines.map((text) => `${text}\n`).join("")),
    async [Symbol.asyncDispose]() {
      await made.log[Symbol.asyncDispose]();
      store[Symbol.dispose]();
      await Deno.remove(directory, { recursive: true });
    },
  });
}

async function write(log: AuditLog, count: number): Promise<void> {
  await Promise.all(
    Array.from(
      { length: count },
      (_, i) => log.append({ actor: "user:ann", action: "vm.stop", subject: `vm${i}` }),
    ),
  );
}

Deno.test("what is asked from somewhere is written down with the address, the local socket's as local", async () => {
  await using r = await rig();
  await r.log.from("192.0.2.9", async () => {
    await r.log.append({ actor: "user:ann", action: "vm.stop", subject: "press-1" });
    await r.log.append({ actor: "user:ann", action: "vm.start", subject: "press-1" });
    await r.log.append({ actor: "user:ann", action: "session.begin", subject: "ann", address: "192.0.2.1" });
  });
  await r.log.from("unix", () => r.log.append({ actor: "local", action: "vm.stop", subject: "press-1" }));
  await r.log.append({ actor: "node", action: "audit.torn", subject: "audit.log" });
  const entries = await r.log.query({ limit: 5 });
  const addresses = entries.map(({ address }) => address);
  assert.deepEqual(addresses, ["", "local", "192.0.2.1", "192.0.2.9", "192.0.2.9"]);
});

Deno.test("a log that nobody touched is whole, over restarts too", async () => {
  await using r = await rig();
  await write(r.log, 5);
  await r.reopen();
  await write(r.log, 3);
  assert.deepEqual(await r.log.verify(), { ok: true, entries: 8, from: "1970-01-01T00:00:00.000Z" });
  assert.equal(Deno.statSync(`${r.directory}/audit.log`).mode! & 0o777, 0o600);
});

const edit = (text: string) => text.replace("user:ann", "user:bob");
const forgeries: [string, (lines: string[]) => string[]][] = [
  ["edited in the middle", (lines) => lines.with(2, edit(lines[2]!))],
  ["edited at the end", (lines) => lines.with(-1, edit(lines.at(-1)!))],
  ["removed at the beginning", (lines) => lines.slice(1)],
  ["removed in the middle", (lines) => lines.toSpliced(2, 1)],
  ["removed at the end", (lines) => lines.slice(0, -1)],
  ["all removed", () => []],
  ["swapped", (lines) => lines.with(1, lines[2]!).with(2, lines[1]!)],
  ["repeated", (lines) => lines.toSpliced(2, 0, lines[2]!)],
  ["put in", (lines) => lines.toSpliced(2, 0, "{}")],
];
for (const [what, forge] of forgeries) {
  Deno.test(`a line that was ${what} is found, also when the log was written on afterwards`, async () => {
    await using r = await rig();
    await write(r.log, 6);
    assert.equal((await r.log.verify()).ok, true);
    r.put(forge(r.lines()));
    assert.equal((await r.log.verify()).ok, false);
    await r.reopen();
    await write(r.log, 2);
    assert.equal((await r.log.verify()).ok, false);
    assert.ok((await r.log.query({ limit: 10 })).some(({ action }) => action === "audit.damaged"));
  });
}

Deno.test("a line that a crash cut short is put aside and said, and the log goes on", async () => {
  await using r = await rig();
  await write(r.log, 3);
  const whole = Deno.readTextFileSync(`${r.directory}/audit.log`);
  Deno.writeTextFileSync(`${r.directory}/audit.log`, `${whole}{"seq":4,"at":"19`);
  await r.reopen();
  const [newest] = await r.log.query({ limit: 1 });
  assert.deepEqual([newest?.seq, newest?.action], [4, "audit.torn"]);
  assert.equal((await r.log.verify()).ok, true);
  assert.equal(Deno.readTextFileSync(`${r.directory}/audit.torn`), '{"seq":4,"at":"19\n');
});

Deno.test("a crash after a line was written and before the database knew of it loses nothing", async () => {
  await using r = await rig();
  await write(r.log, 3);
  const before = r.store.get<{ seq: number; hash: string }>("select seq, hash from audit")!;
  await write(r.log, 2);
  r.store.run("update audit set seq = ?, hash = ?", before.seq, before.hash);
  await r.reopen();
  await write(r.log, 1);
  assert.deepEqual((await r.log.query({ limit: 3 })).map(({ seq }) => seq), [6, 5, 4]);
  assert.equal((await r.log.verify()).ok, true);
});

Deno.test("an entry that comes at the very moment when the last one is done is written too", async () => {
  await using r = await rig();
  for (let i = 0; i < 200; i++) {
    const more: Promise<void>[] = [];
    const first = r.log.append({ actor: "a", action: "b", subject: "c" });
    // One for each of the next turns: one of them is the turn between the last look and the end.
    const chain = first.then(async () => {
      for (let turn = 0; turn < 6; turn++) {
        more.push(r.log.append({ actor: "a", action: "b", subject: `turn ${turn}` }));
        for (let wait = 0; wait < i % 4; wait++) await Promise.resolve();
      }
    });
    await chain;
    await Promise.all(more);
  }
  assert.equal((await r.log.verify()).ok, true);
});

Deno.test("files are bounded in size and number, and the chain goes through all that are kept", async () => {
  await using r = await rig({ ...AUDIT_LIMITS, fileBytes: 2000, keep: 2 });
  for (let i = 0; i < 40; i++) await write(r.log, 1);
  const names = [...Deno.readDirSync(r.directory)].map(({ name }) => name).filter((name) =>
    name.startsWith("audit")
  );
  assert.deepEqual(names.sort(), ["audit.1.log", "audit.2.log", "audit.log"]);
  const verdict = await r.log.verify();
  assert.ok(verdict.ok && verdict.entries < 40 && verdict.entries > 10);
  await r.reopen();
  assert.equal((await r.log.verify()).ok, true);
  Deno.removeSync(`${r.directory}/audit.2.log`);
  assert.equal((await r.log.verify()).ok, false);
});

Deno.test("entries that wait for the disk are bounded, and whoever asks for more is told", async () => {
  await using r = await rig({ ...AUDIT_LIMITS, waiting: 10 });
  const all = await Promise.allSettled(
    Array.from({ length: 50 }, () => r.log.append({ actor: "a", action: "b", subject: "c" })),
  );
  assert.ok(all.some(({ status }) => status === "rejected"));
  assert.ok(all.filter(({ status }) => status === "fulfilled").length >= 10);
  assert.equal((await r.log.verify()).ok, true);
});

Deno.test("a log that cannot be written says so, and nothing is lost when it can again", async () => {
  await using r = await rig();
  await write(r.log, 2);
  const file = `${r.directory}/audit.log`;
  Deno.renameSync(file, `${file}.away`);
  Deno.mkdirSync(file);
  await assert.rejects(write(r.log, 1), { message: "The audit log cannot be written" });
  Deno.removeSync(file);
  Deno.renameSync(`${file}.away`, file);
  await write(r.log, 1);
  assert.deepEqual((await r.log.query({ limit: 3 })).map(({ seq }) => seq), [3, 2, 1]);
  assert.equal((await r.log.verify()).ok, true);
});
