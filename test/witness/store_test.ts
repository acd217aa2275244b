import assert from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import { TERM_MAX } from "../../lib/group/grant.ts";
import { type Disk, realDisk } from "../../lib/witness/disk.ts";
import { decodeGrant, encodeGrant, grantFile, GrantStore, openStore } from "../../lib/witness/store.ts";

const NAME = { pair: "press", vm: "scada" };
const ask = (node: string, known: number, term = known + 1) => ({ kind: "ask" as const, node, known, term });

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("what was granted is there after the store was opened anew, and nothing was for a new group", async () => {
  await inDirectory(async (directory) => {
    const before = await openStore(directory, realDisk);
    assert.deepEqual(await before.decide(NAME, ask("a", 0)), { kind: "granted", term: 1 });
    assert.deepEqual(await before.decide({ pair: "press", vm: "other" }, ask("b", 6)), {
      kind: "granted",
      term: 7,
    });
    const after = await openStore(directory, realDisk);
    assert.deepEqual(await after.decide(NAME, ask("b", 0)), { kind: "refused", term: 1, holder: "a" });
    assert.deepEqual(await after.decide({ pair: "oven", vm: "scada" }, ask("b", 0)), {
      kind: "granted",
      term: 1,
    });
    const views = await after.views();
    assert.deepEqual(views.map(({ pair, vm, term, holder }) => [pair, vm, term, holder]), [
      ["oven", "scada", 1, "b"],
      ["press", "other", 7, "b"],
      ["press", "scada", 1, "a"],
    ]);
  });
});

Deno.test("of a file cut at any byte, or with any byte changed, nothing older is ever believed", async () => {
  await inDirectory(async (directory) => {
    const store = await openStore(directory, realDisk);
    for (let known = 0; known < 3; known++) await store.decide(NAME, ask(`host ${known}`, known));
    const file = grantFile(directory, NAME);
    const whole = await Deno.readFile(file);
    const refuses = async (bytes: Uint8Array, what: string) => {
      await Deno.writeFile(file, bytes);
      const damaged = await openStore(directory, realDisk);
      await assert.rejects(damaged.decide(NAME, ask("another", 2)), (error) => {
        assert.ok(error instanceof EdgeError, what);
        assert.match(error.message, /is damaged \(.*scada\.grant\)/);
        assert.match(error.hint, /While both hosts are up .* remove this file/);
        return true;
      });
      const [view] = await damaged.views();
      assert.match(view?.problem ?? "", /is damaged/);
      assert.deepEqual(
        new Uint8Array(await Deno.readFile(file)),
        new Uint8Array(bytes),
        "what is damaged is left for a person to look at",
      );
    };
    for (let length = 0; length < whole.length; length++) {
      await refuses(whole.slice(0, length), `cut at ${length}`);
    }
    for (let place = 0; place < whole.length; place++) {
      const changed = whole.slice();
      changed[place]! ^= 1 << (place % 8);
      assert.equal(decodeGrant(NAME, changed), undefined, `byte ${place}`);
    }
    await refuses(new Uint8Array([...whole, 10]), "one byte more");
    await refuses(new Uint8Array(whole.length), "zeros");
    await refuses(
      encodeGrant({ ...NAME, vm: "other" }, { record: { term: 9, holder: "a" }, since: null }),
      "another's",
    );
    // A damaged group is nobody else's trouble; and it is served again once a person has removed the file.
    const mixed = await openStore(directory, realDisk);
    assert.equal((await mixed.decide({ pair: "press", vm: "well" }, ask("a", 0)))?.kind, "granted");
    await Deno.remove(file);
    assert.deepEqual(await mixed.decide(NAME, ask("a", 3)), { kind: "granted", term: 4 });
  });
});

Deno.test("what an interrupted write left beside a grant is no grant", async () => {
  await inDirectory(async (directory) => {
    const store = await openStore(directory, realDisk);
    await store.decide(NAME, ask("a", 0));
    const newer = encodeGrant(NAME, { record: { term: 2, holder: "b" }, since: null });
    for (const length of [0, 10, newer.length]) {
      await Deno.writeFile(`${grantFile(directory, NAME)}.new`, newer.slice(0, length));
      const after = await openStore(directory, realDisk);
      assert.equal((await after.views()).length, 1);
      assert.equal((await after.views())[0]?.term, 1);
    }
    const after = await openStore(directory, realDisk);
    assert.deepEqual(await after.decide(NAME, ask("a", 1)), { kind: "granted", term: 2 });
  });
});

Deno.test("when a grant cannot be written nobody is told that it was granted, and it works again when the disk does", async () => {
  await inDirectory(async (directory) => {
    let failing: keyof Disk | null = null;
    const step = (name: keyof Disk) => {
      if (failing === name) throw new Error("No space left on device");
    };
    const disk: Disk = {
      ...realDisk,
      writeSynced: async (path, bytes) => (step("writeSynced"), await realDisk.writeSynced(path, bytes)),
      rename: async (from, to) => (step("rename"), await realDisk.rename(from, to)),
      syncDirectory: async (path) => (step("syncDirectory"), await realDisk.syncDirectory(path)),
    };
    const store = await openStore(directory, disk);
    await store.decide(NAME, ask("a", 0));
    for (const name of ["writeSynced", "rename", "syncDirectory"] as const) {
      failing = name;
      const { term } = (await store.views())[0]!;
      await assert.rejects(store.decide(NAME, ask("b", term)), /cannot write down a grant/);
      // Neither is anything that was not written used for an answer.
      await assert.rejects(store.decide(NAME, ask("b", 0)), /cannot write down a grant/);
      await assert.rejects(store.check(NAME), /cannot write down a grant/);
      assert.match((await store.views())[0]?.problem ?? "", /cannot write/);
      failing = null;
      await store.check(NAME);
      assert.equal((await store.views())[0]?.problem, null);
      assert.deepEqual(await store.decide(NAME, ask("a", term)), { kind: "granted", term: term + 1 });
      const again = await openStore(directory, realDisk);
      assert.equal((await again.views())[0]?.term, term + 1);
    }
  });
});

Deno.test("a disk that takes no more writes is known before a grant is asked for, and forgotten when it does again", async () => {
  await inDirectory(async (directory) => {
    let full = false;
    const disk: Disk = {
      ...realDisk,
      writeSynced: async (path, bytes) => {
        if (full) throw new Error("No space left on device");
        await realDisk.writeSynced(path, bytes);
      },
    };
    const store = await openStore(directory, disk);
    assert.equal(await store.probe(), null);
    await store.check(NAME);
    full = true;
    assert.match((await store.probe())?.message ?? "", /cannot write down a grant/);
    await assert.rejects(store.check(NAME), /cannot write down a grant/);
    full = false;
    assert.equal(await store.probe(), null);
    await store.check(NAME);
  });
});

Deno.test("a question that nobody waits for any more grants nothing", async () => {
  await inDirectory(async (directory) => {
    const store = await openStore(directory, realDisk);
    assert.equal(await store.decide(NAME, ask("a", 0), () => false), null);
    assert.equal((await store.views())[0]?.term, 0);
  });
});

Deno.test("terms end before they stop being exact numbers", async () => {
  await inDirectory(async (directory) => {
    const store = await openStore(directory, realDisk);
    await store.decide(NAME, { kind: "note", node: "a", term: TERM_MAX });
    await assert.rejects(store.decide(NAME, ask("a", TERM_MAX, TERM_MAX)), /reached the greatest/);
    assert.equal((await openStore(directory, realDisk).then((s) => s.views()))[0]?.term, TERM_MAX);
  });
});

Deno.test("a pair has a bounded number of VMs", async () => {
  await inDirectory(async (directory) => {
    const store = await openStore(directory, realDisk);
    for (let i = 0; i < 256; i++) await store.check({ pair: "press", vm: `vm${i}` });
    await assert.rejects(store.check({ pair: "press", vm: "one-more" }), /has 256 VMs already/);
    await store.check({ pair: "oven", vm: "vm0" });
    await store.check({ pair: "press", vm: "vm0" });
  });
});

Deno.test("a clock that jumps changes no answer", async () => {
  await inDirectory(async (directory) => {
    const times = ["2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "garbage"];
    const store = await GrantStore.open({ directory, disk: realDisk, now: () => times.shift() ?? "" });
    for (let known = 0; known < 5; known++) {
      assert.deepEqual(await store.decide(NAME, ask("a", known)), { kind: "granted", term: known + 1 });
    }
  });
});
