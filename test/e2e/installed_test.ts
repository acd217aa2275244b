/** The service as systemd runs it: installed, restarted, killed, hung, upgraded, stopped, booted anew, uninstalled. FAULTS 1, 2, 23. */

import assert from "node:assert/strict";
import { TRACKERS } from "../../ffi/status.ts";
import { NODE_NAMES } from "../../lib/lab/nodes.ts";
import { type Host, HOSTS } from "../../lib/lab/places.ts";
import { brokenPromises, type CountingClient } from "../../lib/lab/scene.ts";
import { READY_MS } from "./nodes_kit.ts";
import { InstalledNodes, RUNNER, SERVICE, VM } from "./installed_kit.ts";

/** ISERVFT_INSTALLED=all: what takes longer as well: a service that hangs, a runner's unit stopped, a machine switched off and on, the end. */
const EVERYTHING = Deno.env.get("ISERVFT_INSTALLED") === "all";

/** Waits until systemd has started the service again after process `pid`; ready, as it says itself. */
async function startedAfter(nodes: InstalledNodes, [host, pid]: [host: Host, pid: string]): Promise<void> {
  const end = performance.now() + READY_MS;
  for (;;) {
    const [state, main] = [
      await nodes.property(host, [SERVICE, "ActiveState"]),
      await nodes.property(host, [SERVICE, "MainPID"]),
    ];
    if (state === "active" && main !== pid) return;
    assert.ok(performance.now() < end, `the service on host ${host} is ${state} as process ${main}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Does something to the service on some hosts while a client counts; the VM's processes and its role must be what they were. */
async function harmless(
  nodes: InstalledNodes,
  act: { hosts: readonly Host[]; client: CountingClient; to(host: Host): Promise<unknown> },
): Promise<void> {
  const vm = await nodes.hosts.a.api.vm(VM, ["protected"], READY_MS);
  const before = await Promise.all(HOSTS.map((host) => nodes.processes(host)));
  for (const { runner, qemu } of before) assert.ok(runner > 1 && qemu > 1, JSON.stringify(before));
  await Promise.all(act.hosts.map(async (host) => {
    const pid = await nodes.property(host, [SERVICE, "MainPID"]);
    await act.to(host);
    await startedAfter(nodes, [host, pid]);
  }));
  const views = await Promise.all(HOSTS.map((host) => nodes.hosts[host].api.vm(VM, ["protected"], READY_MS)));
  const after = await Promise.all(HOSTS.map((host) => nodes.processes(host)));
  assert.deepEqual(after, before, "no process of the VM ended");
  for (const view of views) {
    assert.deepEqual([view.runs_on, view.term], [vm.runs_on, vm.term], "no role changed");
  }
  assert.ok(await act.client.answered(20), "the VM answers");
}

const systemctl = (nodes: InstalledNodes, ...words: string[]) => (host: Host) =>
  nodes.hosts[host].must(["systemctl", ...words]);

/** The event is in the journal with its fields. What is shown comes first; the event and journald's own writing follow. */
async function toldInJournal(machine: InstalledNodes["hosts"][Host]): Promise<void> {
  const told = ["ISERVFT_EVENT=vm.protected", `ISERVFT_NAME=${VM}`, `_SYSTEMD_UNIT=${SERVICE}`];
  for (const end = performance.now() + READY_MS;;) {
    const said = await machine.must(["journalctl", "--output=cat", ...told]);
    if (said !== "" || performance.now() > end) return assert.match(said, /^Protected/);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What the runner's unit is: a cgroup of its own, QEMU as its own user, dirty pages by the kernel, the kernel's lease. */
async function inOrder(nodes: InstalledNodes): Promise<void> {
  for (const host of HOSTS) {
    const machine = nodes.hosts[host];
    const { qemu } = await nodes.processes(host);
    assert.match(
      await machine.must(["cat", `/proc/${qemu}/cgroup`]),
      new RegExp(`/system.slice/${RUNNER}$`, "m"),
    );
    assert.equal(await machine.must(["stat", "--format=%U", `/proc/${qemu}`]), "iservft-qemu\n");
    await toldInJournal(machine);
    const said = await machine.must(["journalctl", "--output=cat", `_SYSTEMD_UNIT=${RUNNER}`]);
    assert.doesNotMatch(said, /error|gate only|not permitted|denied/i);
    const status = JSON.parse(
      await machine.must(["iservft-edge", "ctl", `/run/iservft-edge/${VM}/runner.sock`, "status", "--json"]),
    );
    assert.equal(status.fencing, "kernel lease");
    if (host === "a") assert.equal(status.engine.tracker, TRACKERS.PAGESCAN);
  }
}

/** A drop-in of the service's unit. */
async function dropIn(nodes: InstalledNodes, host: Host, text: string): Promise<void> {
  const directory = `/run/systemd/system/${SERVICE}.d`;
  const script = `mkdir -p ${directory} && printf '[Service]\n${text}\n' >${directory}/test.conf`;
  await nodes.hosts[host].must(["sh", "-c", script]);
  await nodes.hosts[host].must(["systemctl", "daemon-reload"]);
}

/** What else a machine goes through, with the client counting. */
async function wholeLife(nodes: InstalledNodes, client: CountingClient): Promise<void> {
  for (const host of HOSTS) await dropIn(nodes, host, "WatchdogSec=5");
  await harmless(nodes, { hosts: HOSTS, client, to: systemctl(nodes, "restart", SERVICE) });
  await harmless(nodes, { hosts: HOSTS, client, to: systemctl(nodes, "kill", "--signal=STOP", SERVICE) });
  for (const host of HOSTS) {
    assert.match(await nodes.hosts[host].must(["journalctl", "--unit", SERVICE]), /Watchdog timeout/);
  }
  // The runner's unit is stopped: as FAULTS 2, and it is started again.
  await nodes.hosts.a.must(["systemctl", "stop", RUNNER]);
  assert.ok(await client.answered(50), "the VM goes on");
  const moved = await nodes.hosts.b.api.vm(VM, ["protected"], READY_MS);
  assert.equal(moved.runs_on, NODE_NAMES.b);
  // The machine that has it is switched off in order, and on again: service and runner start with it.
  await nodes.hosts.b.poweroff();
  assert.ok(await client.answered(50), "the VM goes on");
  await nodes.hosts.b.boot();
  const back = await nodes.hosts.a.api.vm(VM, ["protected"], READY_MS);
  assert.equal(back.runs_on, NODE_NAMES.a);
  const { runner, qemu } = await nodes.processes("b");
  assert.ok(runner > 1 && qemu > 1, "its runner was started with the machine");
}

/** The end of an installation: refused while a VM is here, says what it would remove, keeps the data, and begins where it was. */
async function uninstalled(nodes: InstalledNodes, host: Host): Promise<void> {
  const machine = nodes.hosts[host];
  const refused = await machine.run(["iservft-edge", "uninstall", "--keep-data"]);
  assert.deepEqual([refused.code, /kept as copies: demo/.test(refused.err)], [5, true], refused.err);
  await machine.must(["iservft-edge", "vm", "stop", VM]);
  const end = performance.now() + READY_MS;
  let asked = await machine.run(["iservft-edge", "uninstall"]);
  while (/kept as copies/.test(asked.err) && performance.now() < end) {
    asked = await machine.run(["iservft-edge", "uninstall"]);
  }
  assert.match(asked.err, /identity, pair, accounts, events, settings, and the disks of demo/);
  assert.equal(asked.code, 5);
  await machine.must(["iservft-edge", "uninstall", "--keep-data"]);
  assert.notEqual((await machine.run(["id", "iservft-qemu"])).code, 0, "QEMU's user is gone");
  assert.notEqual((await machine.run(["systemctl", "cat", SERVICE])).code, 0, "the unit is gone");
  await machine.must(["/srv/newer", "install"]);
  assert.deepEqual((await machine.api.status()).vms.map(({ name, state }) => [name, state]), [[
    VM,
    "stopped",
  ]]);
  await machine.must(["iservft-edge", "vm", "start", VM]);
  for (const each of HOSTS) await nodes.hosts[each].api.vm(VM, ["protected"], READY_MS);
}

Deno.test("installed under systemd: the service restarted, killed, hung or upgraded ends no process of a VM; without units of their own they end", async () => {
  await using nodes = await InstalledNodes.open();
  await nodes.pair();
  await nodes.create();
  await inOrder(nodes);
  const client = await nodes.client();
  const both = { hosts: HOSTS, client };
  await harmless(nodes, { ...both, to: systemctl(nodes, "restart", SERVICE) });
  await harmless(nodes, { ...both, to: systemctl(nodes, "kill", "--signal=KILL", SERVICE) });
  // The upgrade unpacks itself while nobody but the runners has the older program, as after a stop.
  await harmless(nodes, {
    ...both,
    async to(host) {
      await nodes.hosts[host].must(["systemctl", "stop", SERVICE]);
      await nodes.hosts[host].must(["/srv/newer", "install"]);
    },
  });
  for (const host of HOSTS) {
    const { runner } = await nodes.processes(host);
    const program = (await nodes.hosts[host].must(["readlink", `/proc/${runner}/exe`])).trim();
    assert.doesNotMatch(program, /deleted/, "what a runner runs from is not removed under it");
  }
  if (EVERYTHING) await wholeLife(nodes, client);
  assert.deepEqual(brokenPromises(await client.stop()), []);
  if (EVERYTHING) await uninstalled(nodes, "a");

  // The control: a runner in the service's own cgroup, under systemd's own default, ends with it.
  const { hosts } = nodes;
  await dropIn(nodes, "b", "KillMode=control-group");
  const { runner, qemu } = await nodes.processes("b");
  for (const pid of [runner, qemu]) {
    await hosts.b.must(["sh", "-c", `echo ${pid} >/sys/fs/cgroup/system.slice/${SERVICE}/cgroup.procs`]);
  }
  const control = harmless(nodes, { hosts: ["b"], client, to: systemctl(nodes, "restart", SERVICE) });
  await assert.rejects(control, /no process of the VM ended/);
});
