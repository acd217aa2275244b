import assert from "node:assert/strict";
import { hostTuning } from "../../../lib/vm/host_config.ts";
import { vmCreate } from "../../../lib/model/vm.ts";
import { checkNewVm } from "../../../lib/node/vm/new_vm.ts";
import { freeNumber, hostFile } from "../../../lib/node/vm/host_file.ts";
import { rotate, tail, unitWords } from "../../../lib/node/vm/launcher.ts";
import type { VmRecord } from "../../../lib/node/vm/records.ts";
import { VmStore } from "../../../lib/node/vm/store.ts";
import { makeFile, patchFile } from "../../../lib/node/vm/vm_file.ts";
import { clearAway } from "../../../lib/node/vm/images.ts";
import { SETTINGS } from "./runners_kit.ts";

const PLACES = { data: "/var/lib/x", run: "/run/x" };

Deno.test("a VM's host file has its own ports, the pair's lines and arbiter, and of the service's file only what is a runner's", () => {
  const tuning = { ...hostTuning.parse({ sync: { rate_mbit: 500 } }), listen: "0.0.0.0:8443" };
  const witness = { address: "10.0.0.9", port: 7810, id: "", pair: "plant-1" };
  const lan = { local: "10.1.0.1", peer: "10.1.0.2", bridge: "br0", reference: "10.1.0.254" };
  const made = (settings: typeof SETTINGS) =>
    hostFile({ places: PLACES, node: "a", number: 3, settings, tuning });
  const { config } = made({ ...SETTINGS, lan, arbiter: "lan", witness });
  assert.equal(config.port, 7832);
  assert.equal(config.data_dir, "/var/lib/x/vms");
  assert.equal(config.key_file, "/var/lib/x/pair.key");
  assert.equal(config.lan?.reference, "10.1.0.254");
  assert.equal(config.heartbeat.takeover_ms, 150);
  assert.equal(config.sync.rate_mbit, 500);
  assert.equal(config.witness, undefined, "another arbiter decides");
  assert.throws(() => made({ ...SETTINGS, arbiter: "lan" }), { code: "invalid" });
});

Deno.test("two nodes that cannot ask each other never give a VM the same ports", () => {
  assert.deepEqual([freeNumber([0, 2, null], false), freeNumber([0, 2, null], true)], [4, 1]);
});

Deno.test("a VM's file is what the runner reads: disks in boot order, a serial line with a socket, fields named as the page has them", () => {
  const vm = vmCreate.parse({
    name: "vm",
    memory_mib: 256,
    disks: [{ kind: "new", size_mib: 1 }],
    nics: [{}],
    spec: { accel: "tcg" },
  });
  const { spec, text } = makeFile(vm, { disks: ["vm/disk0.img"], firmware: "bios" });
  assert.deepEqual(spec.disk.map(({ path, boot }) => [path, boot]), [["vm/disk0.img", 0]]);
  assert.deepEqual([spec.serial, spec.vga, spec.memory], ["socket", true, 256]);
  assert.match(spec.nic[0]?.mac ?? "", /^52:54:00:/);
  const patched = patchFile(text, { memory: 512, accel: null });
  assert.deepEqual([patched.spec.memory, patched.spec.accel, patched.keys], [512, "auto", [
    "memory",
    "accel",
  ]]);
  assert.throws(() => patchFile(text, { name: "other" }), { code: "invalid" });
  assert.throws(() => patchFile(text, { disk: [{ path: "../x" }] }), /go up by/);
  assert.throws(() => makeFile({ ...vm, spec: { disk: [] } }, { disks: [], firmware: "bios" }), {
    code: "invalid",
  });
});

const RECORD: VmRecord = {
  uuid: "7b1e0a52-0000-4000-8000-000000000001",
  name: "vm",
  revision: 1,
  by: "A",
  at: "2026-01-01T00:00:00.000Z",
  file: "new",
  active: "old",
  disks: [1024],
  number: 2,
  starts: 1,
  wanted: { running: true, protected: true },
};

Deno.test("settings survive a restart, private; the runner's file is the one that it was started with; damage is said and left alone", () => {
  const directory = Deno.makeTempDirSync();
  const store = new VmStore(directory);
  store.put(RECORD);
  store.note("vm", { begin: true });
  assert.equal(Deno.readTextFileSync(`${directory}/vm/vm.toml`), "old");
  Deno.writeTextFileSync(`${directory}/vm/vm.toml`, "torn");
  const again = new VmStore(directory);
  assert.deepEqual([again.get("vm")?.record, again.get("vm")?.local.begin], [RECORD, true]);
  assert.equal(Deno.readTextFileSync(`${directory}/vm/vm.toml`), "old");
  for (const file of ["state.json", "vm.toml"]) {
    assert.equal((Deno.statSync(`${directory}/vm/${file}`).mode ?? 0) & 0o777, 0o600);
  }
  again.forget({ uuid: RECORD.uuid, name: "vm", at: RECORD.at, disks: false });
  const kept = clearAway(`${directory}/vm`, { disks: false, at: RECORD.at });
  assert.equal(kept, `${directory}/vm.deleted-20260101000000`);
  const third = new VmStore(directory);
  assert.deepEqual([third.all().length, third.tombstones().length], [0, 1]);
  Deno.mkdirSync(`${directory}/bad`);
  Deno.writeTextFileSync(`${directory}/bad/state.json`, "{");
  assert.deepEqual(new VmStore(directory).problems.map(({ name }) => name), ["bad"]);
  assert.equal(Deno.readTextFileSync(`${directory}/bad/state.json`), "{");
  Deno.removeSync(directory, { recursive: true });
});

Deno.test("under systemd a runner is a unit of its own that holds its lock and knows which program it is", () => {
  const launch = { vm: "vm", words: ["edge", "runner"], log: "", lock: "/run/x/vm/runner.lock", pidFile: "" };
  const words = unitWords(launch, { ISERVFT_ASSETS: "/a", PATH: "/bin", SECRET: "s" });
  assert.deepEqual(words.slice(0, 4), ["systemd-run", "--quiet", "--collect", "--unit=iservft-edge-vm-vm"]);
  assert.ok(words.includes("--property=KillMode=mixed"));
  assert.ok(words.includes("--setenv=ISERVFT_ASSETS=/a") && !words.some((word) => word.includes("SECRET")));
  assert.deepEqual(words.slice(-4), ["98", "/run/x/vm/runner.lock", "edge", "runner"]);
  const command = words.slice(words.findIndex((word) => word === "flock"));
  assert.deepEqual(
    command.slice(0, 5),
    ["flock", "--no-fork", "--nonblock", "--shared", "/a/in-use"],
    "an upgrade does not remove the unpacked program under it",
  );
  assert.ok(
    !unitWords(launch, {}).some((word) => word.endsWith("in-use")),
    "what was not unpacked is not removed",
  );
});

Deno.test("a log is kept within its bound, and its newest lines are read", () => {
  const log = Deno.makeTempFileSync();
  Deno.writeTextFileSync(log, "one\ntwo\nthree\n");
  assert.deepEqual(tail(log, 2), ["two", "three"]);
  rotate(log, 100);
  assert.equal(Deno.statSync(log).size, 14);
  rotate(log, 10);
  assert.deepEqual([Deno.statSync(log).size, tail(`${log}.1`, 1)], [0, ["three"]]);
  assert.deepEqual(tail("/nowhere", 5), []);
  for (const file of [log, `${log}.1`]) Deno.removeSync(file);
});

Deno.test("a VM on a bridge that this node does not have is refused before its disks are made; one that is there is taken", () => {
  const vm = vmCreate.parse({ name: "x", memory_mib: 64, disks: [], nics: [{ bridge: "br9" }, {}] });
  const check = (isBridge: (name: string) => boolean) =>
    checkNewVm(vm, { views: [], elsewhere: [], isBridge });
  assert.throws(() => check((name) => name === "br0"), /This node has no bridge br9/);
  check((name) => name === "br9");
});
