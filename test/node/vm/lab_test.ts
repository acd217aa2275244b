import assert from "node:assert/strict";
import { assets, guestKernel, selfCommand } from "../../../lib/cli/assets.ts";
import { ControlClient } from "../../../lib/group/control_socket.ts";
import { createDisk, guestCommandLine, writeInitramfs } from "../../../lib/lab/guest_image.ts";
import { Lab } from "../../../lib/lab/lab.ts";
import { ADDRESSES, BRIDGE, type Host } from "../../../lib/lab/places.ts";
import type { PairSettings } from "../../../lib/model/node.ts";
import type { Duplex } from "../../../lib/model/backend.ts";
import { vmCreate } from "../../../lib/model/vm.ts";
import { VmManager } from "../../../lib/node/vm/manager.ts";
import { hostTuning } from "../../../lib/vm/host_config.ts";
import { channels, disks, Heard, until, view } from "./kit.ts";

const KEY = "5e".repeat(32);

function settings(host: Host): PairSettings {
  const other = host === "a" ? "b" : "a";
  const line = (link: "a" | "b") => ({
    local: ADDRESSES.links[link][host],
    peer: ADDRESSES.links[link][other],
  });
  const lan = { local: ADDRESSES.lan[host], peer: ADDRESSES.lan[other], bridge: BRIDGE };
  return {
    link_a: line("a"),
    link_b: line("b"),
    lan: { ...lan, reference: ADDRESSES.reference },
    arbiter: "lan",
    witness: null,
    takeover_ms: 150,
  };
}

/** Both nodes' places in a lab. */
async function furnish() {
  const umask = Deno.umask(0); // the worst that whoever starts a node may have
  const lab = await Lab.up({ id: `v${crypto.randomUUID().slice(0, 6)}` });
  const directory = await Deno.makeTempDir({ prefix: "iservft-vm-" });
  const net = channels();
  const heard = { a: new Heard(), b: new Heard() };
  const options = (host: Host) => ({
    places: { data: `${directory}/${host}`, run: `/run/isf-${lab.id}-${host}` },
    self: ["ip", "netns", "exec", lab.namespace(host), ...selfCommand()],
    node: () => ({ id: `${host.toUpperCase()}-ID`, name: `node-${host}` }),
    peer: net[host],
    recorder: heard[host],
    pairSettings: () => settings(host),
    disks,
    tuning: hostTuning.parse({ qemu_user: "nobody", fencing: { watchdog: "off" } }),
    runners: "processes" as const,
    images: [directory, guestKernel().vmlinuz],
  });
  for (const host of ["a", "b"] as const) {
    const { data } = options(host).places;
    await Deno.mkdir(data, { mode: 0o700 });
    await Deno.writeTextFile(`${data}/pair.key`, KEY, { mode: 0o600 });
  }
  const { modules, vmlinuz } = guestKernel();
  await writeInitramfs({ init: assets().guestInit, modules, output: `${directory}/initramfs` });
  const cmdline = guestCommandLine({ ip: `${ADDRESSES.guest}/24`, gateway: ADDRESSES.reference });
  const vm = vmCreate.parse({
    name: "press-1",
    memory_mib: 128,
    disks: [{ kind: "new", size_mib: 16 }],
    nics: [{}],
    screen: true,
    spec: { accel: "tcg", stop_s: 1, kernel: vmlinuz, initrd: `${directory}/initramfs`, cmdline },
  });
  return {
    ...{ lab, heard, options, vm, directory },
    async [Symbol.asyncDispose]() {
      Deno.umask(umask);
      await lab[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
      for (const host of ["a", "b"]) await Deno.remove(`/run/isf-${lab.id}-${host}`, { recursive: true });
    },
  };
}

/** Who did what, of these. */
function whose(heard: Heard, codes: readonly string[]) {
  return heard.events.filter(({ code }) => codes.includes(code)).map(({ code, actor }) => [code, actor]);
}

/** Types a line until the guest has said it back: one that boots, or moves, hears nothing. */
async function say(console: Duplex, word: string): Promise<void> {
  const writer = console.writable.getWriter();
  const reader = console.readable.getReader();
  const type = () => void writer.write(new TextEncoder().encode(`${word}\r`)).catch(() => {});
  const typing = setInterval(type, 500);
  const bound = setTimeout(() => reader.cancel(), 60_000);
  let text = "";
  while (!text.includes(`you said: ${word}`)) {
    const { value, done } = await reader.read();
    if (done) assert.fail(`the console said ${JSON.stringify(text.slice(-300))}`);
    text += new TextDecoder().decode(value);
  }
  clearTimeout(bound);
  clearInterval(typing);
  writer.releaseLock();
  reader.releaseLock();
}

Deno.test("a VM's life over two nodes: made, protected, its service restarted, moved, left alone, its runner killed, stopped, deleted", async () => {
  await using bench = await furnish();
  const { options, vm, heard, directory } = bench;
  let a = await VmManager.open(options("a"));
  await using b = await VmManager.open(options("b"));
  await Deno.mkdir(a.directoryOf(vm.name), { mode: 0o700 });
  await createDisk({ path: `${a.directoryOf(vm.name)}/disk0.img`, megabytes: 16 });
  await a.add(vm, [{ path: `${vm.name}/disk0.img`, bytes: 16 << 20 }], "local");
  assert.equal(view(b).name, vm.name);
  assert.equal(view(a).replicated, true);
  await a.act(vm.name, "start", "local");
  for (const node of [a, b]) await until(node, () => view(node).state === "protected", 60_000);
  assert.equal(Deno.statSync(`${b.directoryOf(vm.name)}/disk0.img`).size, 16 << 20);
  assert.equal(view(b).runs_on, "node-a");
  for (const host of ["a", "b"] as const) {
    const place = `${options(host).places.run}/${vm.name}`;
    const open = [...Deno.readDirSync(place)].map((
      { name },
    ) => [name, Deno.statSync(`${place}/${name}`).mode! & 0o077]);
    assert.deepEqual(
      open.filter(([, mode]) => mode !== 0),
      [],
      "another user of the machine gets at nothing",
    );
  }

  await using console = await b.openConsole(vm.name, "serial");
  await say(console, "one");
  await using screen = await b.openConsole(vm.name, "screen");
  const banner = await screen.readable.getReader().read();
  assert.match(new TextDecoder().decode(banner.value), /^RFB 003/);

  const pid = Deno.readTextFileSync(`${options("a").places.run}/${vm.name}/runner.pid`);
  await a[Symbol.asyncDispose]();
  a = await VmManager.open(options("a"));
  await using _a = a;
  await until(a, () => view(a).state === "protected");
  assert.ok(heard.a.codes().includes("vm.runner_adopted"));
  assert.equal(Deno.readTextFileSync(`${options("a").places.run}/${vm.name}/runner.pid`), pid);

  const moved = await b.switchover(vm.name, "user:ann");
  assert.equal(moved.ok, true, moved.detail);
  assert.deepEqual([moved.from, moved.to, moved.by], ["node-a", "node-b", "user:ann"]);
  assert.ok((moved.pause_ms ?? 0) > 0);
  for (const node of [a, b]) {
    await until(node, () => view(node).runs_on === "node-b" && view(node).state === "protected", 30_000);
  }
  assert.deepEqual(await b.switchovers(vm.name), await a.switchovers(vm.name));
  await say(console, "two");
  assert.deepEqual(view(a).actions.switchover, { ok: true, why: "" });

  await a.act(vm.name, "unprotect", "local");
  await until(a, () => view(a).state === "unprotected");
  assert.equal(view(a).verdict.said.code, "state.unprotected_wanted");
  await until(a, () => a.reports().here[0]?.phase === "waiting"); // the copy's memory is free again
  await b.act(vm.name, "protect", "local");
  for (const node of [a, b]) await until(node, () => view(node).state === "protected", 30_000);

  const victim = Number(
    Deno.readTextFileSync(`${options("b").places.run}/${vm.name}/runner.pid`).split(" ")[0],
  );
  Deno.kill(victim, "SIGKILL");
  await until(a, () => view(a).runs_on === "node-a" && view(a).state === "protected", 40_000);
  assert.ok(heard.a.codes().includes("vm.taken_over"), heard.a.codes().join());
  assert.ok(heard.b.codes().includes("vm.runner_restarted"));
  assert.ok(heard.a.samples.length > 0 && heard.b.samples.length > 0);

  {
    // The demo's guest does not heed it; QEMU takes it.
    using runner = await ControlClient.connect(`${options("a").places.run}/${vm.name}/runner.sock`);
    assert.equal(await runner.call("power_button"), null);
  }
  await b.act(vm.name, "stop", "user:bob");
  for (const node of [a, b]) await until(node, () => view(node).state === "stopped");
  await until(b, () => b.reports().here[0]?.runner === "none");
  assert.deepEqual(whose(heard.a, ["vm.runs", "vm.switchover", "vm.stopped"]), [
    ["vm.runs", "local"],
    ["vm.switchover", "user:ann"],
    ["vm.stopped", "user:bob"],
  ]);
  assert.deepEqual(whose(heard.b, ["vm.runs", "vm.unprotected"]), [
    ["vm.runs", "user:ann"],
    ["vm.unprotected", "local"],
  ]);
  assert.deepEqual(whose(heard.a, ["vm.taken_over"]), [["vm.taken_over", null]], "nobody asked for that");
  await b.remove(vm.name, { disks: true }, "local");
  await until(a, () => a.views().length === 0);
  for (const host of ["a", "b"]) assert.throws(() => Deno.statSync(`${directory}/${host}/vms/${vm.name}`));
});
