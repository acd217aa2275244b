/** One of the two machines is dead for good: another one takes its place beside the VM that runs, and no client notices. */

import assert from "node:assert/strict";
import { brokenPromises } from "../../lib/lab/scene.ts";
import type { PairView } from "../../lib/model/node.ts";
import { NodesScene, READY_MS, VM } from "./nodes_kit.ts";

/** The process of the VM's QEMU on host A. */
function qemuOf(scene: NodesScene): number[] {
  return scene.lab.processes("a").filter(({ words }) =>
    words.some((word) => word.endsWith("qemu-system-x86_64"))
  )
    .map(({ pid }) => pid);
}

Deno.test("a node that is dead for good is replaced while the VM runs: protected again, and then the other one dies", async () => {
  await using scene = await NodesScene.open();
  const { lab, nodes } = scene;
  await scene.protect();
  await using client = await scene.client();
  const a = nodes.api("a");
  const replace = () => a.call<PairView>("POST", "/pair/replace");
  await assert.rejects(replace, /it is not off/, "a node that is heard is not replaced");
  const qemu = qemuOf(scene);
  assert.equal(qemu.length, 1);

  await lab.powerOff("b");
  await a.vm(VM, ["unprotected"], READY_MS);
  await a.until(({ nodes }) => nodes[1]?.reachable === false, READY_MS);
  assert.equal((await replace()).pairing.step, "none");
  await assert.rejects(() => a.call("DELETE", "/pair"), /not paired/);
  const key = await Deno.readTextFile(`${nodes.dataDirectory("a")}/pair.key`);

  // The negative control: the old machine comes back with all that it had.
  assert.notEqual(await Deno.readTextFile(`${nodes.dataDirectory("b")}/pair.key`), key);
  await lab.powerOn("b");
  await nodes.start("b");
  const b = nodes.api("b");
  const refused = await b.until(({ pair }) => pair.problem?.code === "not_paired", READY_MS);
  assert.equal(refused.pair.pairing.step, "paired", "it takes itself for the pair's");
  const old = await b.vm(VM, ["waiting"], READY_MS);
  assert.equal(old.runs_on, null, "its copy does not start");
  assert.ok(await client.answered(50));
  const alone = await a.vm(VM, ["unprotected"], READY_MS);
  assert.equal(alone.runs_on, "press-a", "and it is nobody's backup any more");
  await lab.powerOff("b");
  await lab.powerOn("b");

  // Another machine: an identity of its own, and nothing on its disks.
  await Deno.rename(nodes.dataDirectory("b"), `${nodes.dataDirectory("b")}-old`);
  await nodes.start("b");
  await nodes.pair();
  const protectedAgain = await a.vm(VM, ["protected"], READY_MS);
  assert.equal(protectedAgain.runs_on, "press-a");
  await b.vm(VM, ["protected"], READY_MS);
  assert.deepEqual(qemuOf(scene), qemu, "the VM's QEMU is the one that it was");
  assert.notEqual(await Deno.readTextFile(`${nodes.dataDirectory("a")}/pair.key`), key);
  assert.ok(await client.answered(50));

  await lab.powerOff("a");
  const taken = await b.vm(VM, ["unprotected"], READY_MS);
  assert.equal(taken.runs_on, "press-b");
  assert.ok(await client.answered(50), "the VM goes on, on the new machine");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
