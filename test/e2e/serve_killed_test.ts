/** FAULTS 1: `serve` is killed, on either host or both. */

import assert from "node:assert/strict";
import { type Host, HOSTS } from "../../lib/lab/places.ts";
import { seeded } from "../../lib/lab/random.ts";
import { brokenPromises, pause } from "../../lib/lab/scene.ts";
import type { VmView } from "../../lib/model/vm.ts";
import { NodesScene, READY_MS, VM } from "./nodes_kit.ts";

/** Seconds for which `serve` is killed and started; ISERVFT_TEST_SECONDS for a longer trial. */
const SECONDS = Number(Deno.env.get("ISERVFT_TEST_SECONDS") ?? 20);

/** The processes of runners and QEMU on a host, by what they were started as. */
function vmProcesses(scene: NodesScene, host: Host): number[] {
  return scene.lab.processes(host)
    .filter(({ words }) =>
      words.includes("runner") || words.some((word) => /(^|\/)qemu-system-x86_64$/.test(word))
    )
    .map(({ pid }) => pid).sort((a, b) => a - b);
}

async function view(scene: NodesScene, host: Host): Promise<VmView> {
  return (await scene.nodes.api(host).status()).vms.find((vm) => vm.name === VM)!;
}

/** Kills and starts `serve` on both hosts at random moments. */
async function killAtRandom(scene: NodesScene, options: { seconds: number; seed: number }): Promise<number> {
  const random = seeded(options.seed);
  const end = performance.now() + options.seconds * 1000;
  let kills = 0;
  while (performance.now() < end) {
    await pause(200 + 1800 * random());
    const hosts = random() < 0.3 ? HOSTS : [random() < 0.5 ? "a" as const : "b" as const];
    await Promise.all(hosts.map((host) => scene.nodes.kill(host, random() < 0.8 ? "SIGKILL" : "SIGTERM")));
    kills += hosts.length;
    await pause(1000 * random());
    await Promise.all(hosts.map((host) => scene.nodes.start(host)));
  }
  return kills;
}

Deno.test("serve killed and started at random: no VM notices, and it finds its VMs again", async () => {
  await using scene = await NodesScene.open();
  await scene.protect();
  const before = { a: vmProcesses(scene, "a"), b: vmProcesses(scene, "b") };
  assert.ok(before.a.length >= 2 && before.b.length >= 2, JSON.stringify(before));
  const { term } = await view(scene, "a");
  await using client = await scene.client();
  const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  console.log(`seed ${seed}`);
  const kills = await killAtRandom(scene, { seconds: SECONDS, seed });
  assert.ok(kills >= 3);
  for (const host of HOSTS) {
    const vm = await scene.nodes.api(host).vm(VM, ["protected"], READY_MS);
    assert.deepEqual([vm.runs_on, vm.term], ["press-a", term], "no role changed");
  }
  assert.deepEqual(
    { a: vmProcesses(scene, "a"), b: vmProcesses(scene, "b") },
    before,
    "no process of a VM ended",
  );

  // Without any serve the pair still survives a host.
  await Promise.all(HOSTS.map((host) => scene.nodes.kill(host)));
  const answered = client.answered(1);
  await scene.lab.powerOff("a");
  assert.ok(await answered && await client.answered(50), "the VM goes on");
  await scene.nodes.start("b");
  const vm = await scene.nodes.api("b").vm(VM, ["unprotected"], READY_MS);
  assert.equal(vm.runs_on, "press-b");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
