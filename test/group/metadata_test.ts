import assert from "node:assert/strict";
import { metadataFile, MetadataStore } from "../../lib/group/metadata.ts";
import type { Metadata } from "../../lib/group/types.ts";

const entry = (term: number): Metadata => ({
  generation: term * 2,
  term,
  role: "primary",
  epoch: term * 100,
  copy: "whole",
  peer: "other-host",
});

/** entry(3) as the first program wrote it into slot 0. */
const GOLDEN =
  "SVNGTUVUQTEBAAAAAAAAAFkAAACybgOpeyJnZW5lcmF0aW9uIjo2LCJ0ZXJtIjozLCJyb2xlIjoicHJpbWFyeSIsImVwb2NoIjoz" +
  "MDAsImNvcHkiOiJ3aG9sZSIsInBlZXIiOiJvdGhlci1ob3N0In0=";

/** A file in memory whose writes can be torn: only the first `keep` bytes arrive. */
function memoryFile(bytes = new Uint8Array(1024)) {
  return {
    bytes,
    keep: Infinity,
    read: () => bytes.slice(),
    write(data: Uint8Array, offset: number) {
      bytes.set(data.subarray(0, Math.min(this.keep, data.length)), offset);
      return Promise.resolve();
    },
  };
}

Deno.test("what was written is what is read, the newest first", async () => {
  const file = memoryFile();
  const store = new MetadataStore(file);
  assert.equal(store.newest, null);
  for (const term of [1, 2, 3, 4, 5]) {
    await store.write(entry(term));
    assert.deepEqual(new MetadataStore(file).newest, entry(term));
  }
});

Deno.test("a write torn at any byte leaves the one before it, or is whole", async () => {
  for (let keep = 0; keep <= 512; keep++) {
    for (const before of [0, 1, 2]) {
      const file = memoryFile();
      const store = new MetadataStore(file);
      for (let term = 1; term <= before; term++) await store.write(entry(term));
      file.keep = keep;
      await store.write(entry(before + 1));
      const { newest } = new MetadataStore(file);
      const allowed = [before === 0 ? null : entry(before), entry(before + 1)];
      assert.ok(allowed.some((value) => JSON.stringify(value) === JSON.stringify(newest)), `${keep} bytes`);
      if (keep < 60) assert.deepEqual(newest, allowed[0]);
    }
  }
});

Deno.test("a flipped bit anywhere in the newest slot is noticed", async () => {
  const file = memoryFile();
  const store = new MetadataStore(file);
  await store.write(entry(1));
  await store.write(entry(2));
  const length = JSON.stringify(entry(2)).length;
  for (let bit = 0; bit < (24 + length) * 8; bit++) {
    const bytes = file.bytes.slice();
    bytes[512 + (bit >> 3)] = (bytes[512 + (bit >> 3)] ?? 0) ^ (1 << (bit & 7));
    assert.deepEqual(new MetadataStore(memoryFile(bytes)).newest, entry(1), `bit ${bit}`);
  }
});

Deno.test("two damaged slots are an error that says what to do, not an empty host", async () => {
  const file = memoryFile();
  const store = new MetadataStore(file);
  await store.write(entry(1));
  await store.write(entry(2));
  file.bytes[30] = 0;
  file.bytes[512 + 30] = 0;
  assert.throws(() => new MetadataStore(file), /no slot whose checksum is right/);
});

Deno.test("a writing after a torn one goes on with the right slot", async () => {
  const file = memoryFile();
  await new MetadataStore(file).write(entry(1));
  const store = new MetadataStore(file);
  file.keep = 100;
  await store.write(entry(2));
  file.keep = Infinity;
  const again = new MetadataStore(file);
  await again.write(entry(3));
  assert.deepEqual(new MetadataStore(file).newest, entry(3));
});

Deno.test("a real file is created private, and read back", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const file = metadataFile(`${dir}/group.meta`);
    await new MetadataStore(file).write(entry(7));
    assert.deepEqual(new MetadataStore(file).newest, entry(7));
    assert.equal((await Deno.stat(`${dir}/group.meta`)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a file of format 1 is read by every later program: these bytes were written by the first", async () => {
  const text = JSON.stringify(entry(3));
  const golden = Uint8Array.fromBase64(GOLDEN);
  const bytes = new Uint8Array(1024);
  bytes.set(golden);
  assert.deepEqual(new MetadataStore(memoryFile(bytes)).newest, JSON.parse(text));
  // The control: with one bit changed they are not.
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  assert.equal(new MetadataStore(memoryFile(bytes)).newest, null);
  // And what is written today still has that form.
  const file = memoryFile();
  await new MetadataStore(file).write(entry(3));
  assert.deepEqual(file.bytes.slice(0, golden.length), golden);
});

Deno.test("a newer format ends an older program with what to do, whatever else is in the file, and nothing is changed", async () => {
  const file = memoryFile();
  const store = new MetadataStore(file);
  await store.write(entry(1));
  await store.write(entry(2));
  for (const slot of [0, 512]) {
    const newer = file.bytes.slice();
    newer[slot + 7] = "2".charCodeAt(0);
    newer[slot + 20] = (newer[slot + 20] ?? 0) ^ 0x55; // its checksum is another one
    const before = newer.slice();
    assert.throws(
      () => new MetadataStore(memoryFile(newer)),
      (error: Error & { hint?: string }) =>
        /is of format 2; this program reads format 1/.test(error.message) &&
        /Install that version.*Nothing was changed/.test(error.hint ?? ""),
    );
    assert.deepEqual(newer, before);
  }
});
