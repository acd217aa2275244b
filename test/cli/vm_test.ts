import { deepEqual, equal, match, ok } from "node:assert/strict";
import { english } from "../../lib/model/english.ts";
import { snapshotView } from "../../lib/model/snapshot.ts";
import { vmView } from "../../lib/model/vm.ts";
import { attach } from "../../lib/cli/vm_console.ts";
import { ApiClient } from "../../lib/cli/client.ts";
import { cliRig } from "./kit.ts";

Deno.test("page, API and command line say the same: status --json is the snapshot, its text has each sentence", async () => {
  await using rig = await cliRig();
  const snapshot = rig.api.backend.snapshot();
  const json = await rig.said(["status", "--json"]);
  deepEqual(snapshotView.parse(JSON.parse(json.text)), snapshotView.parse(snapshot));
  const api = await (await rig.api.ask("viewer", "GET", "/status")).json();
  deepEqual(JSON.parse(json.text), api);
  const { text } = await rig.said(["status"]);
  for (const { verdict } of snapshot.vms) ok(text.includes(english(verdict.said)), english(verdict.said));
  ok(text.includes(english(snapshot.home.said)));
  for (const { verdict } of snapshot.what_if) ok(text.includes(english(verdict.said)));
  for (const { name } of snapshot.nodes) ok(text.includes(name));
});

Deno.test("status ends with 0 when all is well, and with 3 when a VM that should be protected is not", async () => {
  await using rig = await cliRig();
  const vms = rig.api.backend.state.vms.map((vm) =>
    vm.wanted.running ? { ...vm, state: "protected" as const } : vm
  );
  const home = { ...rig.api.backend.state.home, severity: "ok" as const };
  rig.api.backend.push({ vms, home });
  equal((await rig.said(["status"])).code, 0);
  equal((await rig.said(["vm", "show", "press-1"])).code, 0);
  rig.api.backend.losePeer();
  equal((await rig.said(["status"])).code, 3);
  const shown = await rig.said(["vm", "show", "press-1"]);
  equal(shown.code, 3);
  match(shown.text, /WARNING {2}Unprotected: runs on press-a alone/);
});

Deno.test("vm list and show give JSON that fits the model, and nothing else on standard output", async () => {
  await using rig = await cliRig();
  const list = await rig.said(["vm", "list", "--json"]);
  deepEqual(
    JSON.parse(list.text).map((vm: unknown) => vmView.parse(vm).name),
    rig.api.backend.snapshot().vms.map((vm) => vm.name),
  );
  deepEqual(list.err, []);
  const show = await rig.said(["vm", "show", "press-1", "--json"]);
  equal(vmView.parse(JSON.parse(show.text)).name, "press-1");
  const text = await rig.said(["vm", "list"]);
  equal(text.out.length, 1 + rig.api.backend.snapshot().vms.length);
});

Deno.test("colour is for terminals alone, and NO_COLOR turns it off", async () => {
  await using rig = await cliRig();
  const env = (values: Record<string, string>) => (name: string) =>
    ({ ISERVFT_SOCKET: rig.socket, ...values })[name];
  const coloured = async (terminal: Record<string, unknown>) =>
    (await rig.said(["vm", "list"], { terminal })).text.includes("\x1b[");
  equal(await coloured({ out: true }), true);
  equal(await coloured({ out: false }), false);
  equal(await coloured({ out: true, env: env({ NO_COLOR: "1" }) }), false);
  equal(await coloured({ out: true, env: env({ TERM: "dumb" }) }), false);
});

Deno.test("each action asks the node for that action, and a refusal ends with 5, the reason and what to do", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  const allowed = { ok: true, why: "" };
  backend.state.vms = backend.state.vms.map((vm) => ({
    ...vm,
    actions: Object.fromEntries(
      Object.keys(vm.actions).map((action) => [action, allowed]),
    ) as typeof vm.actions,
  }));
  for (const word of ["start", "stop", "protect", "unprotect", "verify"]) {
    equal((await rig.said(["vm", word, "press-1"])).code, 0, word);
    deepEqual(backend.calls.at(-1), { method: "vm.act", args: ["press-1", word], actor: "local" });
  }
  for (const word of ["confirm-peer-off", "promote", "discard", "yield"]) {
    equal((await rig.said(["vm", word, "press-1", "--yes"])).code, 0, word);
    deepEqual(backend.calls.at(-1)?.args, ["press-1", word.replaceAll("-", "_")]);
  }
  backend.state.vms[0]!.actions.stop = { ok: false, why: "it is being moved" };
  const refused = await rig.said(["vm", "stop", backend.state.vms[0]!.name]);
  equal(refused.code, 5);
  match(refused.err.join("\n"), /it is being moved[^]*what to do: /);
  deepEqual(refused.out, []);
});

Deno.test("what is not undone easily asks first: no does nothing, nobody there is an error that names --yes", async () => {
  await using rig = await cliRig();
  const asked = () => rig.api.backend.calls.filter(({ method }) => method === "vm.remove").length;
  const no = await rig.said(["vm", "delete", "press-1"], { answers: ["no"] });
  equal(no.code, 1);
  const nobody = await rig.said(["vm", "delete", "press-1"]);
  equal(nobody.code, 2);
  match(nobody.err.join("\n"), /--yes/);
  equal(asked(), 0);
  rig.api.backend.state.vms.forEach((vm) => vm.actions.delete = { ok: true, why: "" });
  equal((await rig.said(["vm", "delete", "press-1"], { answers: ["yes"] })).code, 0);
  deepEqual(rig.api.backend.calls.at(-1)?.args, ["press-1", { disks: false }], "disks are kept by default");
  equal((await rig.said(["vm", "delete", "historian", "--yes", "--disks"])).code, 0);
  deepEqual(rig.api.backend.calls.at(-1)?.args, ["historian", { disks: true }]);
});

Deno.test("a switchover says how long the VM stood still", async () => {
  await using rig = await cliRig();
  const moved = await rig.said(["vm", "switchover", "press-1"]);
  equal(moved.code, 0, moved.err.join());
  match(moved.text, /stood still for 41 ms/);
  const history = await rig.said(["vm", "switchover", "press-1", "--history"]);
  ok(history.out.length >= 2 && history.out[0] === moved.out[0]);
});

Deno.test("vm create sends what was said, formats and all, and follows the job to its end with --wait", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  const words = [
    "vm",
    "create",
    "new-1",
    "-m",
    "2G",
    "--vcpus",
    "2",
    "--disk",
    "new:20G",
    "--disk",
    "import:vmdk:/tmp/a:b.vmdk",
  ];
  const more = [
    "--nic",
    "bridge=br0,model=e1000e",
    "--uefi",
    "--no-screen",
    "--set",
    "boot_menu=true",
    "--no-protect",
  ];
  equal((await rig.said([...words, ...more])).code, 0);
  deepEqual(backend.calls.at(-1)?.args[0], {
    name: "new-1",
    memory_mib: 2048,
    vcpus: 2,
    disks: [{ kind: "new", size_mib: 20480 }, { kind: "import", format: "vmdk", path: "/tmp/a:b.vmdk" }],
    nics: [{ bridge: "br0", model: "e1000e" }],
    screen: false,
    firmware: "uefi",
    spec: { boot_menu: true },
    start: false,
    protect: false,
  });
  const running = rig.said([
    "vm",
    "import",
    "new-2",
    "/tmp/x.qcow2",
    "--format",
    "qcow2",
    "-m",
    "512M",
    "--wait",
  ]);
  let turn = 0;
  const tick = setInterval(() => {
    if (backend.listening === 0) return; // nobody sees it yet
    const jobs = backend.state.jobs.map((job) =>
      job.subject !== "new-2" ? job : {
        ...job,
        unit: "bytes" as const,
        total: 1 << 30,
        done: (++turn) << 28,
        rate_per_s: 1 << 28,
        eta_s: 4 - turn,
        state: turn >= 4 ? "done" as const : "running" as const,
      }
    );
    const vms = turn >= 4
      ? [...backend.state.vms.filter(({ name }) => name !== "new-2"), {
        ...backend.state.vms[0]!,
        name: "new-2",
      }]
      : backend.state.vms;
    backend.push({ jobs, vms });
  }, 10);
  const done = await running;
  clearInterval(tick);
  equal(done.code, 0, done.err.join("\n"));
  match(done.err.join("\n"), /import new-2: 25 % {2}256 MiB of 1.0 GiB {2}256 MiB\/s {2}3 s left/);
  match(done.text, /new-2/);
});

Deno.test("a job that fails ends vm create --wait with 1, the reason and what to do", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  const running = rig.said(["vm", "create", "new-1", "-m", "1G", "--wait"]);
  const tick = setInterval(() => {
    if (backend.listening === 0) return; // nobody sees it yet
    const jobs = backend.state.jobs.map((job) =>
      job.subject === "new-1"
        ? { ...job, state: "failed" as const, error: { detail: "the disk is full", hint: "Make room." } }
        : job
    );
    backend.push({ jobs });
  }, 10);
  const failed = await running;
  clearInterval(tick);
  equal(failed.code, 1);
  match(failed.err.join("\n"), /the disk is full[^]*Make room/);
});

Deno.test("a VM that is made and cannot be started ends vm create --start --wait with 3, and why", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  const why = "Pair this node with the second one first.";
  const running = rig.said(["vm", "create", "new-1", "-m", "1G", "--start", "--wait"]);
  const tick = setInterval(() => {
    if (backend.listening === 0) return; // nobody sees it yet
    const jobs = backend.state.jobs.map((job) =>
      job.subject === "new-1" ? { ...job, state: "done" as const } : job
    );
    const vm = backend.state.vms[0]!;
    const actions = { ...vm.actions, start: { ok: false, why } };
    const others = backend.state.vms.filter(({ name }) => name !== "new-1");
    backend.push({ jobs, vms: [...others, { ...vm, name: "new-1", state: "stopped", actions }] });
  }, 10);
  const ended = await running;
  clearInterval(tick);
  equal(ended.code, 3);
  match(ended.err.join("\n"), /new-1 is made, and not started: Pair this node/);
});

Deno.test("vm protect --wait draws a bar on a terminal, with rate and time left, until the VM is protected", async () => {
  await using rig = await cliRig();
  const { backend } = rig.api;
  backend.pushVm("press-1", {
    state: "unprotected",
    actions: { ...backend.state.vms[0]!.actions, protect: { ok: true, why: "" } },
  });
  const drawn: string[] = [];
  const running = rig.said(["vm", "protect", "press-1", "--wait"], {
    terminal: { err: true, draw: (text) => void drawn.push(text) },
  });
  let done = 0;
  const tick = setInterval(() => {
    if (backend.listening === 0) return; // nobody sees it yet
    done += 1 << 28;
    const sync = { done_bytes: done, total_bytes: 1 << 30, rate_bytes_per_s: 110 << 20, eta_s: 5 };
    backend.pushVm(
      "press-1",
      done >= 1 << 30 ? { state: "protected", sync: null } : { state: "syncing", sync },
    );
  }, 10);
  const ended = await running;
  clearInterval(tick);
  equal(ended.code, 0, ended.err.join("\n"));
  ok(
    drawn.some((text) => /\r.*sync press-1 \[#+-+\] .*\d+ %.*110 MiB\/s {2}5 s left/.test(text)),
    JSON.stringify(drawn),
  );
});

Deno.test("vm set sends the revision that was seen", async () => {
  await using rig = await cliRig();
  const { revision } = rig.api.backend.state.vms[0]!;
  const { name } = rig.api.backend.state.vms[0]!;
  equal((await rig.said(["vm", "set", name, "memory=4096", "cpu=EPYC", 'devices=["i6300esb"]'])).code, 0);
  deepEqual(rig.api.backend.calls.at(-1)?.args, [name, {
    revision,
    spec: { memory: 4096, cpu: "EPYC", devices: ["i6300esb"] },
  }]);
});

Deno.test("what a VM's log writes does not steer the terminal", async () => {
  await using rig = await cliRig();
  rig.api.backend.vm.logs = () => Promise.resolve(["\x1b]0;title\x07ok"]);
  equal((await rig.said(["vm", "logs", "press-1"])).text, "\ufffd]0;title\ufffdok");
});

Deno.test("the console carries bytes both ways, more than may be in flight, and Ctrl-] ends it", async () => {
  await using rig = await cliRig();
  const sent = new Uint8Array(200_000).map((_, i) => i % 251 + 1).map((byte) => byte === 0x1d ? 1 : byte);
  const got: number[] = [];
  const raw: boolean[] = [];
  let all!: () => void;
  const echoed = new Promise<void>((resolve) => all = resolve);
  const input = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(sent);
      await echoed;
      controller.enqueue(new Uint8Array([65, 0x1d, 66]));
    },
  });
  await using client = await ApiClient.open({ kind: "socket", path: rig.socket });
  const ending = await attach(client.webSocket("/vms/press-1/console/serial"), {
    where: "here",
    ends: {
      input,
      output(bytes) {
        got.push(...bytes);
        if (got.length >= sent.length) all();
        return Promise.resolve();
      },
      setRaw: (on) => void raw.push(on),
    },
  });
  deepEqual(ending, { ok: true, why: "Detached; the VM goes on." });
  deepEqual(new Uint8Array(got.slice(0, sent.length)), sent);
  deepEqual(raw, [true, false]);
});

Deno.test("a console of a VM that is not there ends with what the node says", async () => {
  await using rig = await cliRig();
  await using client = await ApiClient.open({ kind: "socket", path: rig.socket });
  const ends = { input: new ReadableStream<Uint8Array>(), output: () => Promise.resolve(), setRaw() {} };
  const ending = await attach(client.webSocket("/vms/nobody/console/serial"), { where: "here", ends });
  equal(ending.ok, false);
  match(ending.why, /no VM "nobody"/);
});
