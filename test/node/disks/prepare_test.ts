import assert from "node:assert/strict";
import { prepareDisks, type PrepareOptions, removePrepared } from "../../../lib/node/disks/prepare.ts";
import { PLACE, problem, rawDisk, Scratch, tool } from "./kit.ts";

const MIB = 2 ** 20;

/** A node's VMs' directory with an empty one for "press-1". */
function node(scratch: Scratch, name: string): PrepareOptions & { reports: number[] } {
  Deno.mkdirSync(scratch.at(`${name}/press-1`), { recursive: true });
  const reports: number[] = [];
  const job = { progress: (done: number) => void reports.push(done), signal: new AbortController().signal };
  return { directory: scratch.at(name), used: [], place: PLACE, job, reports };
}

Deno.test("a VM's disks and UEFI variables are made, and what a person brought stays", async () => {
  using scratch = new Scratch();
  const here = node(scratch, "a");
  const data = rawDisk(scratch.at("from.raw"));
  tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", scratch.at("from.raw"), scratch.at("from.qcow2"));
  rawDisk(scratch.at("a/press-1/mine.raw"), MIB);
  const made = await prepareDisks({
    name: "press-1",
    disks: [
      { kind: "new", size_mib: 2 },
      { kind: "import", path: scratch.at("from.qcow2"), format: "qcow2" },
      { kind: "existing", path: "mine.raw" },
    ],
    firmware: "uefi",
  }, here);
  const vars = made.disks[3]!;
  assert.deepEqual(made.disks.map((disk) => [disk.role, disk.path, disk.bytes, disk.made]), [
    ["disk", "press-1/disk0.img", 2 * MIB, true],
    ["disk", "press-1/disk1.img", 4 * MIB, true],
    ["disk", "press-1/mine.raw", MIB, false],
    ["uefi-vars", "press-1/vars.fd", vars.bytes, true],
  ]);
  assert.ok(made.firmware !== "bios" && made.firmware.vars === "press-1/vars.fd");
  assert.ok(Deno.statSync(made.firmware.code).isFile);
  assert.deepEqual(Deno.readFileSync(vars.file).length, vars.bytes);
  assert.ok(Deno.readFileSync(made.disks[1]!.file).every((byte, i) => byte === data[i]));
  assert.equal(here.reports[0], 0);
  assert.equal(here.reports.at(-1), 4 * MIB);
  removePrepared(made.disks);
  assert.deepEqual(scratch.names("a/press-1"), ["mine.raw"], "what a person brought stays");
});

Deno.test("when one disk of a VM cannot be made, none is left", async () => {
  using scratch = new Scratch();
  const here = node(scratch, "a");
  Deno.writeTextFileSync(scratch.at("bad.qcow2"), "no image");
  const disks = [{ kind: "new", size_mib: 2 }] as const;
  const vm = { name: "press-1", firmware: "bios" } as const;
  const bad = { kind: "import", path: scratch.at("bad.qcow2"), format: "qcow2" } as const;
  await assert.rejects(prepareDisks({ ...vm, disks: [...disks, bad] }, here), problem("invalid", /no qcow2/));
  assert.deepEqual(scratch.names("a/press-1"), []);
  const abort = new AbortController();
  rawDisk(scratch.at("from.raw"));
  const from = { kind: "import", path: scratch.at("from.raw"), format: "raw" } as const;
  const job = { progress: () => abort.abort(new Error("cancelled")), signal: abort.signal };
  await assert.rejects(prepareDisks({ ...vm, disks: [...disks, from] }, { ...here, job }), /cancelled/);
  assert.deepEqual(scratch.names("a/press-1"), []);
});

Deno.test("no disk is used twice, and no path leads out of the VM's directory", async () => {
  using scratch = new Scratch();
  const here = node(scratch, "a");
  rawDisk(scratch.at("a/press-1/mine.raw"), MIB);
  const mine = { kind: "existing", path: "mine.raw" } as const;
  const vm = { name: "press-1", firmware: "bios" } as const;
  await prepareDisks({ ...vm, disks: [mine] }, here);
  await assert.rejects(
    prepareDisks({ ...vm, disks: [mine, mine] }, here),
    problem("conflict", /disk 1\) already/),
  );
  const up = { kind: "existing", path: "../../etc/shadow" } as const;
  await assert.rejects(prepareDisks({ ...vm, disks: [up] }, here), problem("invalid", /goes up/));
});

Deno.test("UEFI without firmware for it is refused before anything is made", async () => {
  using scratch = new Scratch();
  const here = node(scratch, "a");
  const absent = "/usr/share/iservft-no-such-firmware.fd";
  const ovmf = { code: absent, vars: absent };
  const vm = { name: "press-1", firmware: "uefi", disks: [{ kind: "new", size_mib: 1 }] } as const;
  await assert.rejects(prepareDisks({ ...vm, disks: [...vm.disks] }, { ...here, ovmf }));
  assert.deepEqual(scratch.names("a/press-1"), []);
});
