import assert from "node:assert/strict";
import { isSealed, seal, unseal } from "../../../lib/node/archive/sealed.ts";
import {
  collect,
  type Entry,
  gunzip,
  readTar,
  tarBlocks,
  tarEnd,
  tarGzip,
} from "../../../lib/node/archive/tar.ts";

const COST = { n: 4, r: 8, p: 1 };
const text = (value: string) => new TextEncoder().encode(value);
const ENTRIES: Entry[] = [
  { path: "manifest.json", bytes: text("{}") },
  { path: "data/empty", bytes: text("") },
  { path: `data/${"long-".repeat(18)}/${"name".repeat(20)}.toml`, bytes: text("x".repeat(1000)) },
];

async function* stream(entries: readonly Entry[]): AsyncGenerator<Entry> {
  yield* entries;
}

function tar(entries: readonly Entry[]): Uint8Array<ArrayBuffer> {
  const blocks = [...entries.flatMap((entry) => tarBlocks(entry, 1_700_000_000)), tarEnd()];
  const all = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
  }
  return all;
}

Deno.test("what is put into an archive comes out of it, here and by the system's tar", async () => {
  const packed = await collect(tarGzip(stream(ENTRIES), 1_700_000_000));
  assert.deepEqual(readTar(await gunzip(packed)), ENTRIES);
  const directory = Deno.makeTempDirSync({ prefix: "iservft-tar-" });
  try {
    Deno.writeFileSync(`${directory}/a.tgz`, packed);
    const { code } = await new Deno.Command("tar", { args: ["-xzf", "a.tgz"], cwd: directory }).output();
    assert.equal(code, 0);
    for (const { path, bytes } of ENTRIES) assert.deepEqual(Deno.readFileSync(`${directory}/${path}`), bytes);
    assert.equal(Deno.statSync(`${directory}/manifest.json`).mode! & 0o777, 0o600);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("an archive that would write elsewhere, or is not what it seems, is refused", async () => {
  const good = tar(ENTRIES);
  const renamed = (name: string, kind = "0") => {
    const bytes = tar([{ path: "x".repeat(name.length), bytes: text("evil") }]);
    bytes.set(text(name), 0);
    bytes.set(text(kind), 156);
    bytes.set(text("        "), 148);
    const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    bytes.set(text(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
    return bytes;
  };
  assert.equal(readTar(renamed("plain")).length, 1, "the control");
  for (const name of ["../escape", "/etc/passwd", "a/../../b", "a//b", "a b", "./a"]) {
    assert.throws(() => readTar(renamed(name)), /no plain file/, name);
  }
  for (const kind of ["1", "2", "5", "L", "x"]) {
    assert.throws(() => readTar(renamed("link", kind)), /no plain file/);
  }
  assert.throws(() => readTar(tar([ENTRIES[0]!, ENTRIES[0]!])), /of its own/);
  assert.throws(() => readTar(good.slice(0, good.length - 1100)), /cut off/);
  assert.throws(() => readTar(good.map((byte, i) => i === 3 ? byte ^ 1 : byte)), /damaged/);
  assert.throws(() => tarBlocks({ path: "../up", bytes: text("") }, 0), /may not have the name/);
  await assert.rejects(gunzip(text("no gzip")), /gzip/);
  const bomb = await collect(
    new Blob([new Uint8Array(2 ** 20)]).stream().pipeThrough(new CompressionStream("gzip")),
  );
  await assert.rejects(gunzip(bomb, 2 ** 16), /more than 65536/);
});

Deno.test("a sealed file opens with its passphrase alone, and not when a byte was changed", async () => {
  const secret = text("the pair's key");
  const sealed = await seal(secret, "correct horse", COST);
  assert.ok(isSealed(sealed) && !isSealed(secret));
  assert.ok(!new TextDecoder("latin1").decode(sealed).includes("pair"));
  assert.deepEqual(await unseal(sealed, "correct horse"), secret);
  await assert.rejects(unseal(sealed, "wrong horse!"), /passphrase is wrong/);
  for (const at of [17, 25, 40, 50, sealed.length - 1]) {
    const changed = sealed.map((byte, i) => i === at ? byte ^ 1 : byte);
    await assert.rejects(unseal(changed, "correct horse"), /wrong|asks for/, `byte ${at}`);
  }
  await assert.rejects(unseal(sealed.slice(0, 40), "correct horse"), /cut off/);
  await assert.rejects(unseal(sealed.map((byte, i) => i === 16 ? 30 : byte), "correct horse"), /N = 2\^30/);
  await assert.rejects(seal(secret, "short", COST), /5 characters/);
});
