import { Buffer } from "node:buffer";
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { assets, guestKernel } from "../../lib/cli/assets.ts";
import { ClientProcess, type ClientStart } from "../../lib/lab/client_process.ts";
import type { ClientEvent } from "../../lib/lab/counting_client.ts";
import type { DiskReport, MemoryReport } from "../../lib/lab/guest_connection.ts";
import { checkDisk, createDisk, writeInitramfs } from "../../lib/lab/guest_image.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import { ADDRESSES, type Host } from "../../lib/lab/places.ts";
import { PlainGuest } from "../../lib/lab/plain_guest.ts";
import { script, Spy, testLab } from "./support.ts";

const GUEST = ADDRESSES.guest;

/** The files of a guest, in a directory that goes with them. */
class Files implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "iservft-test-" });
  readonly initramfs = `${this.directory}/initrd`;
  readonly disk = `${this.directory}/disk.raw`;
  readonly memory = `${this.directory}/memory`;

  async make(): Promise<this> {
    const { modules } = guestKernel();
    await writeInitramfs({ init: assets().guestInit, modules, output: this.initramfs });
    await createDisk({ path: this.disk, megabytes: 64 });
    return this;
  }

  async start(lab: Lab, host: Host, memoryFile?: string): Promise<PlainGuest> {
    return await PlainGuest.start(lab, {
      host,
      vmlinuz: guestKernel().vmlinuz,
      initramfs: this.initramfs,
      disk: this.disk,
      memory_mb: 256,
      poolMegabytes: 8,
      ...(memoryFile === undefined ? {} : { memoryFile }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

function client(
  lab: Lab,
  options: ClientStart["options"],
  onEvent?: (event: ClientEvent) => void,
): ClientProcess {
  return new ClientProcess(lab, { self: script("client_main.ts"), options, ...(onEvent ? { onEvent } : {}) });
}

/** What a script of guest_talk.ts prints. */
async function talk(lab: Lab, ...words: string[]): Promise<string[]> {
  await using spy = new Spy(lab, { place: "client", command: script("guest_talk.ts", ...words) });
  await spy.child.status;
  await spy.finished;
  return spy.lines;
}

Deno.test("the guest counts over one connection, and its memory and disk are what it says", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using _guest = await files.start(lab, "a");
  const events: ClientEvent[] = [];
  await using counting = client(
    lab,
    { hostname: GUEST, dirty: 20, write: 300, requests: 300, verify: true },
    (event) => {
      events.push(event);
    },
  );
  const summary = await counting.summary;
  equal(summary.connection, "survived");
  deepEqual([summary.acknowledged, summary.lost, summary.skipped, summary.counter], [300, 0, 0, 300]);
  equal(summary.memory?.ok, true);
  deepEqual([summary.disk?.ok, summary.disk?.first, summary.disk?.last], [true, 1, 300]);
  ok(events.some(({ event }) => event === "progress"));

  deepEqual(await talk(lab, "echo", GUEST, "3000000"), ["same"]);
  deepEqual(await talk(lab, "crowd", GUEST, "40"), ["40"]);
  const [huge, unknown, option, spin, random, memory, disk] = await talk(
    ...[lab, "ask", GUEST, "echo 999999999999", "fly", "count dirty=x", "spin 2"] as const,
    ...["count dirty=99999999 fill=random write=65536", "memsum", "disksum"],
  );
  ok(huge?.startsWith("error echo: at most"));
  ok(unknown?.startsWith("error unknown command: fly"));
  ok(option?.startsWith("error count does not know: dirty=x"));
  equal(spin, "ok");
  equal(random, "341");
  equal((JSON.parse(memory ?? "{}") as MemoryReport).ok, true);
  equal((JSON.parse(disk ?? "{}") as DiskReport).records, 301);
});

Deno.test("an unprotected guest's connection breaks with its host, what it flushed is on the disk, what is spoilt is not", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using _guest = await files.start(lab, "a");
  const counting = client(lab, { hostname: GUEST, dirty: 5, write: 200, patience_ms: 1000 });
  await using _client = counting;
  await counting.connected;
  await new Promise((resolve) => setTimeout(resolve, 700));
  await counting.mark();
  await lab.powerOff("a");
  const summary = await counting.summary;
  equal(summary.connection, "broken");
  equal(summary.counter, null);
  ok(summary.acknowledged > 10);
  ok((summary.gap_since_mark_ms ?? 0) >= 1000);
  const check = await checkDisk(files.disk);
  ok(check.clean, check.text);

  const records = async () => {
    await using _again = await files.start(lab, "b");
    const [line] = await talk(lab, "ask", GUEST, "disksum");
    await lab.powerOff("b");
    await lab.powerOn("b");
    return JSON.parse(line ?? "{}") as DiskReport;
  };
  const kept = await records();
  ok(kept.ok && kept.last >= summary.acknowledged, `${kept.last} records of ${summary.acknowledged}`);

  // The control: one byte of a record in the middle.
  const image = Buffer.from(await Deno.readFile(files.disk));
  const middle = Math.floor(summary.acknowledged / 2);
  const at = image.indexOf(`record ${middle} counter`);
  ok(at > 0);
  const file = await Deno.open(files.disk, { write: true });
  await file.seek(at + 40, Deno.SeekMode.Start);
  await file.write(new Uint8Array([0]));
  file.close();
  const spoilt = await records();
  ok(spoilt.last < summary.acknowledged, `${spoilt.last} records are taken for whole`);
});

Deno.test("the guest notices a single page of its memory that is not as it left it", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using guest = await files.start(lab, "a", files.memory);
  const sum = async () => JSON.parse((await talk(lab, "ask", GUEST, "count dirty=50", "memsum"))[1] ?? "{}");
  equal((await sum()).ok, true);
  // A page of the pool: its second half is zero, its first has this text, the page's own number added to it.
  await lab.freeze("a");
  const memory = Buffer.from(await Deno.readFile(files.memory));
  let page = 0;
  for (let at = 0; at < memory.length && page === 0; at += 4096) {
    const words = [3, 5, 6, 7].map((word) => memory.readBigUInt64LE(at + word * 8));
    if (words.every((word) => word >> 16n === 0x2064726f63657220n >> 16n)) page = at;
  }
  ok(page > 0, "the pool is found");
  const file = await Deno.open(files.memory, { write: true });
  await file.seek(page + 3000, Deno.SeekMode.Start);
  await file.write(new Uint8Array([1]));
  file.close();
  await lab.thaw("a");
  ok(guest.pid > 0);
  equal((await sum()).ok, false);
});

Deno.test("a client says that it cannot reach a guest, and a guest that cannot boot says why", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using counting = client(lab, { hostname: GUEST, connect_ms: 300 });
  await rejects(counting.summary, /does not answer within 300 ms/);
  await rejects(counting.connected, /does not answer/);
  await Deno.remove(files.disk);
  await rejects(files.start(lab, "a"), /disk\.raw/);
});
