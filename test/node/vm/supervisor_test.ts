import assert from "node:assert/strict";
import { until, view } from "./kit.ts";
import { Nodes, VM } from "./runners_kit.ts";

Deno.test("a runner that is killed is started again, and does not begin the VM a second time", async () => {
  await using nodes = await Nodes.make();
  const a = await nodes.open("a");
  await nodes.add(a);
  await a.act(VM, "start", "local");
  assert.equal(view(a).state, "unprotected");
  const first = nodes.pid("a");
  Deno.kill(first, "SIGKILL");
  await until(
    a,
    () => nodes.pid("a") !== first && nodes.pid("a") !== 0 && a.reports().here[0]?.phase === "waiting",
  );
  assert.deepEqual(nodes.starts("a"), ["--start --no-protect", "--no-protect"]);
  assert.ok(nodes.heard.a.codes().includes("vm.runner_restarted"));
});

Deno.test("a service that ends leaves the runner alone, and the next one adopts it, also without its pid file", async () => {
  await using nodes = await Nodes.make();
  let a = await nodes.open("a");
  await nodes.add(a);
  await a.act(VM, "start", "local");
  const first = nodes.pid("a");
  for (const lost of ["", "runner.pid"]) {
    await nodes.close(a);
    assert.equal(nodes.pid("a"), first);
    if (lost !== "") await Deno.remove(`${nodes.run("a")}/${lost}`);
    a = await nodes.open("a");
    await until(a, () => view(a).state === "unprotected");
    assert.equal(nodes.pid("a"), first);
  }
  assert.equal(nodes.starts("a").length, 1);
  assert.equal(nodes.heard.a.codes().filter((code) => code === "vm.runner_adopted").length, 2);
});

Deno.test("a takeover while no service looked is told by the next one, and only then", async () => {
  await using nodes = await Nodes.make();
  let a = await nodes.open("a");
  await nodes.add(a);
  await a.act(VM, "start", "local");
  await nodes.tell("a", "go", { to: "ready" });
  await until(a, () => a.reports().here[0]?.phase === "ready");
  for (const [phase, told] of [["ready", 0], ["solo", 1], ["solo", 1]] as const) {
    await nodes.close(a);
    if (phase === "solo") await nodes.tell("a", "go", { to: phase });
    a = await nodes.open("a");
    await until(a, () => a.reports().here[0]?.phase === phase);
    assert.equal(nodes.heard.a.codes().filter((code) => code === "vm.taken_over").length, told, phase);
  }
});

Deno.test("two services at once come to one runner: the lock is the runner's own", async () => {
  await using nodes = await Nodes.make();
  const a = await nodes.open("a");
  await nodes.add(a);
  const [one, other] = [await nodes.open("a"), a];
  await Promise.allSettled([one, other].map((manager) => manager.act(VM, "start", "local")));
  await until(one, () => view(one).state === "unprotected");
  await until(other, () => view(other).state === "unprotected");
  assert.equal(nodes.starts("a").length, 1);
});

Deno.test("a VM that ended in order is not started again; one whose runner cannot start is tried less and less often, and says why", async () => {
  await using nodes = await Nodes.make();
  await nodes.open("b");
  const a = await nodes.open("a");
  await nodes.add(a);
  await a.act(VM, "start", "local");
  await nodes.tell("a", "stop"); // as a guest that powers off
  await until(a, () => view(a).state === "stopped" && a.reports().here[0]?.runner === "none");
  assert.equal(view(a).wanted.running, false);
  assert.ok(nodes.heard.a.codes().includes("vm.stopped"));
  await a.update(VM, { revision: view(a).revision, spec: { kernel: "/broken" } }, "local");
  await assert.rejects(a.act(VM, "start", "local"), /the VM is broken/);
  await until(a, () => view(a).state === "failed");
  assert.equal(view(a).verdict.said.params["why"], "error: the VM is broken");
  await a.act(VM, "stop", "local");
  assert.equal(view(a).state, "stopped");
});

Deno.test("what a runner says becomes events: protected, output held, alone, taken over", async () => {
  await using nodes = await Nodes.make();
  const a = await nodes.open("a");
  await nodes.add(a, { protect: true });
  await a.act(VM, "start", "local");
  nodes.heard.a.events.length = 0;
  await nodes.tell("a", "go", { to: "protected" });
  await nodes.tell("a", "go", { to: "deciding", cause: "silence" });
  await nodes.tell("a", "go", { to: "going_solo" });
  await nodes.tell("a", "go", { to: "solo" });
  await nodes.tell("a", "go", { to: "promoting" });
  await nodes.tell("a", "go", { to: "solo" });
  await until(a, () => nodes.heard.a.events.length >= 4);
  assert.deepEqual(nodes.heard.a.events.map(({ code, severity, params }) => [code, severity, params]), [
    ["vm.protected", "ok", {}],
    ["vm.deciding", "warning", { why: "the other node is not heard" }],
    ["vm.unprotected", "critical", { why: "the other node is not heard" }],
    ["vm.taken_over", "warning", { node: "node-a" }],
  ]);
});
