import { deepEqual, equal, match, ok } from "node:assert/strict";
import { assets, guestKernel } from "../../lib/cli/assets.ts";
import { readKvOptions } from "../../lib/cli/lab_kv.ts";
import { checkHistory } from "../../lib/lab/history_check.ts";
import { createDisk, writeInitramfs } from "../../lib/lab/guest_image.ts";
import { judge, verdictText } from "../../lib/lab/kv_history.ts";
import { dumpInLab, KvLoad } from "../../lib/lab/kv_load.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import { ADDRESSES, type Host } from "../../lib/lab/places.ts";
import { PlainGuest } from "../../lib/lab/plain_guest.ts";
import { script, Spy, testLab } from "./support.ts";

const SELF = script("kv_main.ts");

class Files implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "iservft-test-" });
  readonly disk = `${this.directory}/disk.raw`;

  async make(): Promise<this> {
    const { modules } = guestKernel();
    const output = `${this.directory}/initrd`;
    await writeInitramfs({ init: assets().guestInit, modules, output });
    await createDisk({ path: this.disk, megabytes: 32 });
    return this;
  }

  async start(lab: Lab, host: Host): Promise<PlainGuest> {
    const { vmlinuz } = guestKernel();
    const initramfs = `${this.directory}/initrd`;
    return await PlainGuest.start(lab, {
      ...{ host, vmlinuz, initramfs, disk: this.disk, memory_mb: 192, poolMegabytes: 8 },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The guest's reply to each line. */
async function ask(lab: Lab, ...lines: string[]): Promise<string[]> {
  const command = script("guest_talk.ts", "ask", ADDRESSES.guest, ...lines);
  await using spy = new Spy(lab, { place: "client", command });
  await spy.finished;
  return spy.lines;
}

Deno.test("the guest's store gets, puts, compares and sets, and refuses what does not fit", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using _guest = await files.start(lab, "a");
  const replies = await ask(
    ...[lab, "get k", "put k one durable", "get k", "cas k two three", "cas k one two durable"] as const,
    ...["cas none x y", "cas new - first", "put k three", "get k", "get k k", "put k", "cas k a", "put k -"],
    ...[`put ${"k".repeat(24)} v`, `put k ${"v".repeat(32)}`, "get new"],
  );
  deepEqual(replies.slice(0, 9), [
    ...["none", "ok 1", "value one", "value one", "ok 2", "none", "ok 0", "ok 0", "value three"],
  ]);
  for (const refused of replies.slice(9, 15)) match(refused, /^error /);
  equal(replies[15], "value first");
  const dump = await dumpInLab(lab, { self: SELF, directory: files.directory });
  deepEqual(dump, {
    records: [{ key: "k", value: "one" }, { key: "k", value: "two" }],
    keys: { k: "three", new: "first" },
    damaged: 0,
  });
});

Deno.test("a host loses its power under load: what was durable is there after the boot, what was in memory is not", async () => {
  await using files = await new Files().make();
  await using lab = await testLab();
  await using _guest = await files.start(lab, "a");
  const options = { clients: 3, durable_keys: 2, memory_keys: 8, patience_ms: 1500, seed: 11 };
  await using load = await KvLoad.start(lab, { self: SELF, directory: files.directory, options });
  ok(await load.answered(300));
  await lab.powerOff("a");
  await using _again = await files.start(lab, "b");
  ok(await load.answered(300), "the clients do not come back");
  const { summary, history } = await load.stop();
  equal(summary.reconnects, 3);
  ok(summary.ambiguous >= 1 && summary.ambiguous <= 3, `${summary.ambiguous} without an answer`);
  deepEqual(summary.errors, []);
  const dump = await dumpInLab(lab, { self: SELF, directory: files.directory });
  const durable = history.filter((operation) => operation.durable);
  const verdict = judge(durable, dump);
  ok(verdict.ok, verdictText(verdict));
  // The control: keys that were in memory only went back to nothing, and the same check says so. (But for one that is
  // first of all written anew.)
  const { violations } = checkHistory(history);
  ok(violations.length > 0 && violations.every(({ key }) => key.startsWith("m")), `${violations.length}`);
  // And a log of which the newest acknowledged record is missing.
  const newest = durable.findLast(({ number }) => number > 0);
  const cut = { ...dump, records: dump.records.slice(0, (newest?.number ?? 1) - 1) };
  match(judge(durable, cut).log.join("\n"), /which is not there/);
});

Deno.test("lab-kv says what is wrong with its words", () => {
  match(`${readKvOptions([])}`, /--hostname is missing; either --history or --dump is needed/);
  match(
    `${readKvOptions(["--hostname", "x", "--history", "h", "--clients", "99"])}`,
    /"99", not a number of 1 to 30/,
  );
  match(
    `${readKvOptions(["--hostname", "x", "--history", "h", "--durable-keys", "0", "--memory-keys", "0"])}`,
    /there is no key/,
  );
  match(`${readKvOptions(["--what"])}`, /--what/);
});
