import { deepEqual, equal, notDeepEqual, ok, rejects, throws } from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import { Lab } from "../../lib/lab/lab.ts";
import { mountPoints, mountSource } from "../../lib/lab/mounts.ts";
import { type Remains, VolatileStorage } from "../../lib/lab/volatile_storage.ts";
import { soon, testLab } from "./support.ts";

const SECTOR = 512;

/** A mounted storage on host A of a lab of its own. */
class Bench implements AsyncDisposable {
  readonly at: string;

  private constructor(readonly lab: Lab, readonly storage: VolatileStorage, readonly directory: string) {
    this.at = `${directory}/data`;
  }

  static async open(): Promise<Bench> {
    const lab = await testLab();
    const directory = await Deno.makeTempDir({ prefix: "iservft-storage-" });
    try {
      const storage = await VolatileStorage.mount({ lab, host: "a", directory: `${directory}/data` });
      return new Bench(lab, storage, directory);
    } catch (error) {
      await Lab.down(lab.id);
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
  }

  /** The end of the storage's server, as a power cut brings it, and the start after it. With a seed: of what was not synced that
   * seed picks a part. */
  async powerCycle(seed?: number): Promise<Remains | undefined> {
    const remains = seed === undefined ? undefined : await this.storage.losePower(seed);
    await this.storage.unmount();
    await this.storage.remount();
    return remains;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.storage[Symbol.asyncDispose]();
    await Lab.down(this.lab.id);
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** Writes at an offset; the file is made when it is not there. */
async function write(
  path: string,
  bytes: Uint8Array | string,
  options: { at?: number; sync?: boolean } = {},
) {
  using file = await Deno.open(path, { read: true, write: true, create: true });
  const data = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
  await file.seek(options.at ?? 0, Deno.SeekMode.Start);
  for (let sent = 0; sent < data.length;) sent += await file.write(data.subarray(sent));
  if (options.sync) await file.syncData();
}

/** Of a file or of a directory. */
async function sync(path: string): Promise<void> {
  using file = await Deno.open(path);
  await file.sync();
}

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort();
}

const read = (path: string) => Deno.readTextFile(path);

/** What the standard library of Deno does not have. */
function libc() {
  const library = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
    lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
    fallocate: { parameters: ["i32", "i32", "i64", "i64"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  });
  const O_RDWR = 2;
  return {
    ...library.symbols,
    openFile: (path: string) => {
      const fd = library.symbols.open(new TextEncoder().encode(`${path}\0`), O_RDWR, 0);
      ok(fd >= 0, `${path} cannot be opened`);
      return fd;
    },
    [Symbol.dispose]: () => library.close(),
  };
}

Deno.test("what was synced is there after a power cut, what was not is gone", async () => {
  await using bench = await Bench.open();
  await write(`${bench.at}/file`, "first", { sync: true });
  await sync(bench.at);
  await write(`${bench.at}/file`, "SECOND, and longer");
  equal(await read(`${bench.at}/file`), "SECOND, and longer", "programs see what they wrote");
  await bench.lab.powerOff("a");
  ok(await soon(() => !bench.storage.mounted), "it does not die with its host");
  await bench.lab.powerOn("a");
  await bench.storage.remount();
  equal(await read(`${bench.at}/file`), "first");
  await write(`${bench.at}/file`, "third", { sync: true });
  await bench.powerCycle();
  equal(await read(`${bench.at}/file`), "third");
});

Deno.test("control: through a plain directory what was not synced survives the host's power cut", async () => {
  await using lab = await testLab();
  const directory = await Deno.makeTempDir();
  const script = `printf unsynced > ${directory}/file; echo written; sleep 1000`;
  const child = lab.exec("a", ["sh", "-c", script], { stdin: "null", stdout: "piped" });
  const reader = child.stdout.getReader();
  await reader.read();
  await lab.powerOff("a");
  await reader.cancel();
  await child.status;
  equal(await read(`${directory}/file`), "unsynced");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a name is durable when its directory was synced, whatever was synced of the file", async () => {
  await using bench = await Bench.open();
  await write(`${bench.at}/nameless`, "synced", { sync: true });
  await write(`${bench.at}/kept`, "one", { sync: true });
  await write(`${bench.at}/removed`, "two", { sync: true });
  await Deno.mkdir(`${bench.at}/inner`);
  await sync(bench.at);
  await write(`${bench.at}/late`, "synced, but not its directory", { sync: true });
  await write(`${bench.at}/inner/file`, "three", { sync: true });
  await Deno.rename(`${bench.at}/kept`, `${bench.at}/renamed`);
  await Deno.remove(`${bench.at}/removed`);
  deepEqual(await names(bench.at), ["inner", "late", "nameless", "renamed"], "programs see the new names");
  await bench.powerCycle();
  deepEqual(await names(bench.at), ["inner", "kept", "nameless", "removed"]);
  deepEqual(await names(`${bench.at}/inner`), []);
  equal(await read(`${bench.at}/kept`), "one");
  equal(await read(`${bench.at}/removed`), "two");
  await Deno.rename(`${bench.at}/kept`, `${bench.at}/nameless`);
  await Deno.remove(`${bench.at}/removed`);
  await sync(bench.at);
  await bench.powerCycle();
  deepEqual(await names(bench.at), ["inner", "nameless"]);
  equal(await read(`${bench.at}/nameless`), "one", "a rename replaces what was there");
});

Deno.test("a directory that its parent does not hold durably is lost with all that was synced in it", async () => {
  await using bench = await Bench.open();
  await Deno.mkdir(`${bench.at}/new/deep`, { recursive: true });
  await write(`${bench.at}/new/deep/file`, "synced", { sync: true });
  await sync(`${bench.at}/new/deep`);
  await sync(`${bench.at}/new`);
  await bench.powerCycle();
  deepEqual(await names(bench.at), []);
  await Deno.mkdir(`${bench.at}/new/deep`, { recursive: true });
  await write(`${bench.at}/new/deep/file`, "synced", { sync: true });
  for (const path of ["/new/deep", "/new", ""]) await sync(`${bench.at}${path}`);
  await bench.powerCycle();
  equal(await read(`${bench.at}/new/deep/file`), "synced");
});

/** Ten writes of 2 KiB over old content, not synced; two over the same place. */
async function unsynced(path: string): Promise<void> {
  for (const [i, place] of [0, 1, 2, 3, 4, 5, 6, 7, 7, 8].entries()) {
    await write(path, new Uint8Array(4 * SECTOR).fill(i + 1), { at: place * 4 * SECTOR });
  }
}

/** Of each sector the byte that it is full of; throws when it is not of one. */
async function sectors(path: string): Promise<number[]> {
  const bytes = await Deno.readFile(path);
  return Array.from({ length: bytes.length / SECTOR }, (_, i) => {
    const sector = bytes.subarray(i * SECTOR, (i + 1) * SECTOR);
    ok(sector.every((byte) => byte === sector[0]), `sector ${i} is torn within`);
    return sector[0]!;
  });
}

async function cutWith(bench: Bench, seed: number) {
  const path = `${bench.at}/file`;
  await write(path, new Uint8Array(9 * 4 * SECTOR).fill(99), { sync: true });
  await sync(bench.at);
  await unsynced(path);
  const remains = await bench.powerCycle(seed);
  return { remains, found: await sectors(path) };
}

Deno.test("a seed picks which un-synced writes come through: any of them, and torn between sectors", async () => {
  await using bench = await Bench.open();
  const outcomes = [];
  for (const seed of [1, 2, 3, 4]) outcomes.push(await cutWith(bench, seed));
  deepEqual(await cutWith(bench, 1), outcomes[0], "the same seed, the same outcome");
  notDeepEqual(outcomes[0]?.found, outcomes[1]?.found);
  const written = (sector: number) =>
    sector < 28 ? [Math.floor(sector / 4) + 1] : sector < 32 ? [8, 9] : [10];
  for (const { found, remains } of outcomes) {
    ok(remains !== undefined && remains.kept + remains.torn + remains.dropped === 10);
    found.forEach((byte, i) => ok([99, ...written(i)].includes(byte), `sector ${i} holds ${byte}`));
  }
  const places = outcomes.flatMap(({ found }) =>
    Array.from({ length: 9 }, (_, i) => found.slice(i * 4, i * 4 + 4))
  );
  ok(places.some((place) => place.includes(99) && place.some((byte) => byte !== 99)), "none was torn");
  const later = ({ found }: { found: number[] }) =>
    found.findLastIndex((byte) => byte !== 99) > found.indexOf(99);
  ok(outcomes.some(later), "none came through without an earlier one");
});

Deno.test("with a seed some names come through, and what was replaced is there or its successor", async () => {
  await using bench = await Bench.open();
  const seen = new Set<string>();
  for (let seed = 1; seed <= 6; seed++) {
    await write(`${bench.at}/state`, "old", { sync: true });
    await sync(bench.at);
    await write(`${bench.at}/state.new`, "new", { sync: true });
    await Deno.rename(`${bench.at}/state.new`, `${bench.at}/state`);
    await bench.powerCycle(seed);
    deepEqual(await names(bench.at), ["state"]);
    seen.add(await read(`${bench.at}/state`));
  }
  deepEqual([...seen].sort(), ["new", "old"]);
});

Deno.test("sparse files stay sparse, holes can be punched, and both are un-synced until they are synced", async () => {
  await using bench = await Bench.open();
  const path = `${bench.at}/image`;
  const MiB = 1 << 20, KEEP_SIZE = 1, PUNCH_HOLE = 2, ZERO_RANGE = 16, SEEK_DATA = 3, SEEK_HOLE = 4;
  await write(path, new Uint8Array(3 * MiB).fill(7), { at: 4 * MiB });
  await Deno.truncate(path, 64 * MiB);
  await sync(path);
  await sync(bench.at);
  await bench.powerCycle();
  using c = libc();
  const { blocks, size } = await Deno.stat(path);
  deepEqual([size, blocks], [64 * MiB, 3 * MiB / 512]);
  const fd = c.openFile(path);
  equal(c.lseek(fd, 0n, SEEK_DATA), BigInt(4 * MiB));
  equal(c.lseek(fd, BigInt(4 * MiB), SEEK_HOLE), BigInt(7 * MiB));
  equal(c.lseek(fd, BigInt(7 * MiB), SEEK_DATA), -1n);
  equal(c.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, BigInt(5 * MiB), BigInt(MiB)), 0);
  equal(c.fallocate(fd, ZERO_RANGE | KEEP_SIZE, BigInt(6 * MiB), 4096n), 0);
  equal(c.lseek(fd, BigInt(4 * MiB), SEEK_HOLE), BigInt(5 * MiB));
  c.close(fd);
  const at = async (offset: number) => {
    using file = await Deno.open(path);
    await file.seek(offset, Deno.SeekMode.Start);
    const byte = new Uint8Array(1);
    await file.read(byte);
    return byte[0];
  };
  deepEqual([await at(5 * MiB), await at(6 * MiB)], [0, 0]);
  await bench.powerCycle();
  deepEqual([await at(5 * MiB), await at(6 * MiB)], [7, 7], "the holes were not synced");
  const again = c.openFile(path);
  equal(c.fallocate(again, PUNCH_HOLE | KEEP_SIZE, BigInt(5 * MiB), BigInt(MiB)), 0);
  equal(c.fallocate(again, 0, BigInt(64 * MiB), BigInt(MiB)), 0);
  c.close(again);
  await sync(path);
  await bench.powerCycle();
  deepEqual([await at(5 * MiB), (await Deno.stat(path)).size], [0, 65 * MiB]);
});

Deno.test("locks hold between programs, a file that is removed while open can still be used", async () => {
  await using bench = await Bench.open();
  const path = `${bench.at}/image`;
  await write(path, "x");
  using c = libc();
  const F_OFD_SETLK = 37, F_WRLCK = 1;
  const lock = (fd: number) => {
    const wanted = new DataView(new ArrayBuffer(32)); // struct flock: type, whence, start, length, pid
    wanted.setInt16(0, F_WRLCK, true);
    return c.fcntl(fd, F_OFD_SETLK, new Uint8Array(wanted.buffer));
  };
  const [one, two] = [c.openFile(path), c.openFile(path)];
  equal(lock(one), 0);
  equal(lock(two), -1);
  c.close(one);
  equal(lock(two), 0);
  c.close(two);
  using file = await Deno.open(path, { read: true, write: true });
  await Deno.remove(path);
  await file.write(new TextEncoder().encode("nameless"));
  await file.sync();
  await file.seek(0, Deno.SeekMode.Start);
  equal(await new Response(file.readable).text(), "nameless");
  deepEqual(await names(bench.at), []);
});

Deno.test("reads, writes and syncs of a file fail on command, and of others do not", async () => {
  await using bench = await Bench.open();
  const { storage, at } = bench;
  for (const name of ["bad", "good"]) await write(`${at}/${name}`, "first", { sync: true });
  await sync(at);
  await storage.fail({ on: "write", file: "bad", error: "EIO" });
  await rejects(write(`${at}/bad`, "x"), /os error 5/);
  await rejects(Deno.truncate(`${at}/bad`, 0), /os error 5/);
  await write(`${at}/good`, "other");
  await storage.fail({ on: "read", file: "bad", error: "EIO" });
  await rejects(read(`${at}/bad`), /os error 5/);
  equal(await read(`${at}/good`), "other");
  await storage.heal();
  equal(await read(`${at}/bad`), "first");
  await write(`${at}/bad`, "never");
  await storage.fail({ on: "sync", file: "*", error: "EIO" });
  await rejects(sync(`${at}/bad`), /os error 5/);
  await rejects(sync(at), /os error 5/);
  await storage.heal();
  await sync(`${at}/bad`);
  equal(await read(`${at}/bad`), "never");
  await bench.powerCycle();
  equal(
    await read(`${at}/bad`),
    "first",
    "what a failed sync was to make durable is lost, also after a later one",
  );
  await rejects(storage.fail({ on: "sync", file: "", error: "EIO" }), EdgeError);
});

Deno.test("a full storage refuses what would take more, and goes on with what has its place", async () => {
  await using bench = await Bench.open();
  const { storage, at } = bench;
  await write(`${at}/file`, new Uint8Array(1 << 20).fill(1));
  await storage.quota(1 << 20);
  await rejects(write(`${at}/file`, "more", { at: 1 << 20 }), /os error 28/);
  await rejects(write(`${at}/other`, "more"), /os error 28/);
  await write(`${at}/file`, "in place");
  await storage.quota(2 << 20);
  await write(`${at}/other`, "more");
  await storage.quota(1);
  await storage.heal();
  await write(`${at}/other`, new Uint8Array(4 << 20));
});

Deno.test("a slow sync is answered later, other requests meanwhile, and it is durable only then", async () => {
  await using bench = await Bench.open();
  const { storage, at } = bench;
  await write(`${at}/slow`, "first", { sync: true });
  await sync(at);
  await write(`${at}/slow`, "again");
  await storage.slowSync({ file: "slow", ms: 600_000 });
  let ended = false;
  const waiting = sync(`${at}/slow`).then(() => ended = true, () => ended = true);
  await write(`${at}/other`, "quick", { sync: true });
  await sync(at);
  equal(ended, false);
  await bench.powerCycle();
  await waiting;
  equal(await read(`${at}/slow`), "first");
  equal(await read(`${at}/other`), "quick");
  await storage.slowSync({ file: "slow", ms: 50 });
  await write(`${at}/slow`, "third", { sync: true });
  await bench.powerCycle();
  equal(await read(`${at}/slow`), "third");
});

Deno.test("a host that is shut down in order loses nothing", async () => {
  await using bench = await Bench.open();
  await Deno.mkdir(`${bench.at}/a/b`, { recursive: true });
  await write(`${bench.at}/a/b/file`, "not synced by its program");
  ok((await bench.storage.pending()).changes > 0);
  await bench.storage.sync();
  deepEqual({ ...await bench.storage.pending(), syncs: 0 }, { changes: 0, bytes: 0, names: 0, syncs: 0 });
  await bench.powerCycle();
  equal(await read(`${bench.at}/a/b/file`), "not synced by its program");
});

Deno.test("many files, made, listed and removed while they are listed", async () => {
  await using bench = await Bench.open();
  const wanted = Array.from({ length: 500 }, (_, i) => `a file with a long name, number ${i}`).sort();
  for (const name of wanted) await write(`${bench.at}/${name}`, name);
  deepEqual(await names(bench.at), wanted);
  for await (const { name } of Deno.readDir(bench.at)) await Deno.remove(`${bench.at}/${name}`);
  deepEqual(await names(bench.at), []);
});

Deno.test("after kill -9 of the server, or of the host, no stale mount is left", async () => {
  const lab = await testLab();
  const directory = await Deno.makeTempDir();
  const storages: VolatileStorage[] = [];
  for (const host of ["a", "b"] as const) {
    storages.push(await VolatileStorage.mount({ lab, host, directory: `${directory}/${host}` }));
  }
  const [a, b] = [mountSource(lab.id, "a"), mountSource(lab.id, "b")];
  deepEqual([mountPoints(a), mountPoints(b)], [[`${directory}/a`], [`${directory}/b`]]);
  lab.killProcess("a", "volatile-storage");
  ok(await soon(() => !storages[0]!.mounted));
  throws(() => Deno.statSync(`${directory}/a/x`), /os error 107/, "a dead mount answers at once");
  equal(mountPoints(a).length, 1);
  await storages[0]!.remount();
  await Deno.writeTextFile(`${directory}/a/x`, "it is there again");
  await storages[0]!.unmount();
  deepEqual(mountPoints(a), []);
  // Whoever takes the lab down knows of no storage: as after a crash of the test.
  await Lab.down(lab.id);
  deepEqual(mountPoints(b), []);
  await storages[1]!.unmount();
  await Deno.remove(directory, { recursive: true });
});
