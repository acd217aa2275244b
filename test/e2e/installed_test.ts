/** The service as systemd runs it: installed, restarted, killed, hung, upgraded, stopped, booted anew, uninstalled. FAULTS 1, 2, 23. */

import assert from "node:assert/strict";
import { TRACKERS } from "../../ffi/status.ts";
import { type Host, HOSTS } from "../../lib/lab/places.ts";
import { brokenPromises, type CountingClient } from "../../lib/lab/scene.ts";
import { READY_MS } from "./nodes_kit.ts";
import { InstalledNodes, RUNNER, SERVICE, VM } from "./installed_kit.ts";

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
    const told = ["ISERVFT_EVENT=vm.protected", `ISERVFT_NAME=${VM}`, `_SYSTEMD_UNIT=${SERVICE}`];
    assert.match(await machine.must(["journalctl", "--output=cat", ...told]), /^Protected/);
    const said = await machine.must(["journalctl", "--output=cat", `_SYSTEMD_UNIT=${RUNNER}`]);
    assert.doesNotMatch(said, /error|gate only|not permitted|denied/i);
    const status = JSON.parse(
      await machine.must(["iservft-edge", "ctl", `/run/iservft-edge/${VM}/runner.sock`, "status", "--json"]),
    );
    assert.equal(status.fencing, "kernel lease");
    if (host === "a") assert.equal(status.engine.tracker, TRACKERS.PAGESCAN);
  }
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
  assert.deepEqual(brokenPromises(await client.stop()), []);

  // The control: a runner in the service's own cgroup, under systemd's own default, ends with it.
  const { hosts } = nodes;
  await hosts.b.must(["mkdir", "-p", `/run/systemd/system/${SERVICE}.d`]);
  await hosts.b.must([
    "sh",
    "-c",
    `printf '[Service]\nKillMode=control-group\n' >/run/systemd/system/${SERVICE}.d/control.conf`,
  ]);
  await hosts.b.must(["systemctl", "daemon-reload"]);
  const { runner, qemu } = await nodes.processes("b");
  for (const pid of [runner, qemu]) {
    await hosts.b.must(["sh", "-c", `echo ${pid} >/sys/fs/cgroup/system.slice/${SERVICE}/cgroup.procs`]);
  }
  const control = harmless(nodes, { hosts: ["b"], client, to: systemctl(nodes, "restart", SERVICE) });
  await assert.rejects(control, /no process of the VM ended/);
});
