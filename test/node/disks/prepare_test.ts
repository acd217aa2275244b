import assert from "node:assert/strict";
import {
  prepareCopies,
  prepareDisks,
  type PrepareOptions,
  removePrepared,
} from "../../../lib/node/disks/prepare.ts";
import { PLACE, problem, rawDisk, Scratch, tool } from "./kit.ts";

const MIB = 2 ** 20;

/** A node's VMs' directory with an empty one for "press-1". */
function node(scratch: Scratch, name: string): PrepareOptions & { reports: number[] } {
  Deno.mkdirSync(scratch.at(`${name}/press-1`), { recursive: true });
  const reports: number[] = [];
  const job = { progress: (done: number) => void reports.push(done), signal: new AbortController().signal };
  return { directory: scratch.at(name), used: [], place: PLACE, job, reports };
}

Deno.test("a VM's disks and UEFI variables are made here, and their counterparts on the other node", async () => {
  using scratch = new Scratch();
  const [here, there] = [node(scratch, "a"), node(scratch, "b")];
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
  const copies = prepareCopies({ name: "press-1", ...made }, there);
  assert.deepEqual(
    copies.map((disk) => [disk.file, Deno.statSync(disk.file).size, disk.made]),
    made.disks.map((disk) => [`${there.directory}/${disk.path}`, disk.bytes, true]),
  );
  removePrepared(made.disks);
  assert.deepEqual(scratch.names("a/press-1"), ["mine.raw"], "what a person brought stays");
});

Deno.test("when one disk of a VM cannot be made, none is left, on either node", async () => {
  using scratch = new Scratch();
  const [here, there] = [node(scratch, "a"), node(scratch, "b")];
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

  const made = await prepareDisks({ ...vm, disks: [...disks, ...disks] }, here);
  Deno.writeTextFileSync(scratch.at("b/press-1/disk1.img"), "somebody's");
  assert.throws(() => prepareCopies({ name: "press-1", ...made }, there), problem("exists", /disk1\.img/));
  assert.deepEqual(scratch.names("b/press-1"), ["disk1.img"]);
});

Deno.test("what a person brought must be equally large on both nodes, and no disk is used twice", async () => {
  using scratch = new Scratch();
  const [here, there] = [node(scratch, "a"), node(scratch, "b")];
  rawDisk(scratch.at("a/press-1/mine.raw"), MIB);
  rawDisk(scratch.at("b/press-1/mine.raw"), 2 * MIB);
  const mine = { kind: "existing", path: "mine.raw" } as const;
  const vm = { name: "press-1", firmware: "bios" } as const;
  const made = await prepareDisks({ ...vm, disks: [mine] }, here);
  assert.throws(
    () => prepareCopies({ name: "press-1", ...made }, there),
    problem("conflict", /2097152 bytes on this node, and 1048576/),
  );
  await assert.rejects(
    prepareDisks({ ...vm, disks: [mine, mine] }, here),
    problem("conflict", /disk 1\) already/),
  );
  const up = { kind: "existing", path: "../../etc/shadow" } as const;
  await assert.rejects(prepareDisks({ ...vm, disks: [up] }, here), problem("invalid", /goes up/));
  const device = {
    role: "disk",
    path: "/dev/vg0/absent",
    file: "/dev/vg0/absent",
    bytes: MIB,
    made: false,
  } as const;
  assert.throws(
    () => prepareCopies({ name: "press-1", disks: [device], firmware: "bios" }, there),
    problem("not_found", /Make a device/),
  );
});

Deno.test("UEFI without firmware for it is refused before anything is made", async () => {
  using scratch = new Scratch();
  const here = node(scratch, "a");
  const absent = "/usr/share/iservft-no-such-firmware.fd";
  const ovmf = { code: absent, vars: absent };
  const vm = { name: "press-1", firmware: "uefi", disks: [{ kind: "new", size_mib: 1 }] } as const;
  await assert.rejects(prepareDisks({ ...vm, disks: [...vm.disks] }, { ...here, ovmf }));
  assert.deepEqual(scratch.names("a/press-1"), []);
  assert.throws(
    () =>
      prepareCopies(
        { name: "press-1", disks: [], firmware: { code: absent, vars: "press-1/vars.fd" } },
        here,
      ),
    problem("refused", /not on this node.*same system on both nodes/),
  );
});
