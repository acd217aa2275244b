import assert from "node:assert/strict";
import { vmCreate } from "../../../lib/model/vm.ts";
import type { DiskWork } from "../../../lib/node/controller.ts";
import { Disks } from "../../../lib/node/disks/work.ts";
import type { DiskHooks } from "../../../lib/node/vm/options.ts";
import { problem, rawDisk, Scratch } from "./kit.ts";

const JOB = { progress: () => {}, signal: new AbortController().signal };

Deno.test("the controller's and the manager's disks: made, kept when of the same size, given up together", async () => {
  using scratch = new Scratch();
  const disks: DiskWork & DiskHooks & Disks = new Disks({ directory: scratch.path, used: () => [] });
  const vm = vmCreate.parse({ name: "press-1", memory_mib: 64, disks: [{ kind: "new", size_mib: 1 }] });
  assert.equal(await disks.size(vm), 0);
  const made = await disks.prepare(vm, scratch.at("press-1"), JOB);
  assert.deepEqual(made.map(({ path, bytes }) => ({ path, bytes })), [{
    path: "press-1/disk0.img",
    bytes: 2 ** 20,
  }]);
  const file = scratch.at("press-1/disk0.img");
  await disks.make(file, 2 ** 20);
  {
    using running = Deno.openSync(file, { read: true, write: true });
    await running.lock(true);
    await disks.make(file, 2 ** 20); // its own runner has it
  }
  await assert.rejects(() => disks.make(file, 2 ** 21), problem("conflict", /equally large/));
  await assert.rejects(() => disks.make("/dev/vg0/absent", 2 ** 21), problem("not_found", /Make a device/));
  await disks.make(scratch.at("press-1/copy.img"), 4096);
  await disks.remove(scratch.at("press-1/copy.img"));
  disks.discard(made);
  assert.deepEqual(scratch.names("press-1"), []);
});

Deno.test("what an import left that was killed is removed when the node starts, and nothing else", () => {
  using scratch = new Scratch();
  Deno.mkdirSync(scratch.at("press-1"));
  Deno.writeTextFileSync(scratch.at("press-1/.part-disk0.img-1"), "half");
  Deno.writeTextFileSync(scratch.at("press-1/disk1.img"), "whole");
  Deno.writeTextFileSync(scratch.at("tombstones.json"), "[]");
  new Disks({ directory: scratch.path, used: () => [] }).removeLeftovers();
  assert.deepEqual(scratch.names("press-1"), ["disk1.img"]);
  assert.deepEqual(scratch.names(), ["press-1", "tombstones.json"]);
});

Deno.test("what cannot be a disk is said before any work begins", async () => {
  using scratch = new Scratch();
  const disks = new Disks({ directory: scratch.path, used: () => [] });
  rawDisk(scratch.at("disk.raw"), 2 ** 20);
  const vm = (disk: unknown) => vmCreate.parse({ name: "press-1", memory_mib: 64, disks: [disk] });
  const raw = scratch.at("disk.raw");
  await assert.rejects(
    () => disks.size(vm({ kind: "import", path: raw, format: "qcow2" })),
    problem("invalid", /no qcow2/),
  );
  await assert.rejects(
    () => disks.size(vm({ kind: "existing", path: "absent" })),
    problem("not_found", /absent/),
  );
  await assert.rejects(
    () => disks.size(vm({ kind: "new", size_mib: 2 ** 24 })),
    problem("refused", /do not fit/),
  );
});
