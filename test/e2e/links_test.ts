/** The replication lines are cut, damaged or slow: FAULTS.md rows 5, 15 and 28. */

import assert from "node:assert/strict";
import { DamagingProxy } from "../../lib/lab/damaging_proxy.ts";
import { BLOWS, damageLine, refusals } from "../../lib/lab/faults/damage.ts";
import type { RunnerEvent } from "../../lib/lab/pair.ts";
import { brokenPromises, differences, next, pause, reached, Scene } from "./kit.ts";

/** Every change of either host's part since a moment. */
function watchRoles(scene: Scene): () => RunnerEvent[] {
  const before = new Set([...scene.pair.runners.values()].flatMap((runner) => runner.events));
  return () =>
    [...scene.pair.runners.values()].flatMap((runner) => runner.events)
      .filter((event) => !before.has(event) && event.event === "state");
}

function active(link: number) {
  return (event: RunnerEvent) => event.event === "active" && event["link"] === link;
}

Deno.test("link A is cut and mended: the data moves to B and back, and nobody's part changes", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const primary = scene.pair.runner("a");
  const roles = watchRoles(scene);
  const toB = next(primary, active(1));
  const alarm = next(primary, (event) => event.event === "alarm" && event["code"] === "link");
  await scene.lab.cutLink("a");
  await toB();
  await alarm();
  assert.ok(await client.answered(100), "the guest does not answer over link B");
  assert.deepEqual(differences(await scene.verify("a")), []);
  const back = next(primary, active(0));
  await scene.lab.mendLink("a");
  await back();
  assert.ok(await client.answered(100), "the guest does not answer over link A");
  assert.deepEqual(differences(await scene.verify("a")), []);
  assert.deepEqual(roles(), []);
  // The control: with both lines cut the same watch sees that protection ends.
  const deciding = next(primary, reached("deciding"));
  await scene.lab.cutLink("a");
  await scene.lab.cutLink("b");
  await deciding();
  assert.notDeepEqual(roles(), []);
  const again = next(primary, reached("protected"));
  await scene.lab.mendLink("a");
  await again();
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

Deno.test("bytes flipped, truncated, duplicated, reordered are refused; the line is made again, and nothing is applied", async (t) => {
  await using scene = await Scene.open();
  await using proxy = await DamagingProxy.start(scene.lab, scene.self);
  await scene.protect();
  const client = await scene.client();
  const roles = watchRoles(scene);
  assert.ok(await client.answered(100));
  await scene.pair.runner("a").event(active(0)); // at first whichever was up first
  assert.deepEqual(differences(await scene.verify("a")), []);
  // The control: through a proxy that does no damage nothing is refused.
  for (const host of ["a", "b"] as const) assert.deepEqual(refusals(scene.pair.runner(host).events), []);
  for (const blow of BLOWS) {
    const went = await t.step(
      `${blow.damage}, to host ${blow.direction === "down" ? "b" : "a"}`,
      async () => {
        await damageLine({ scene, proxy, primary: "a" }, blow);
        assert.ok(await client.answered(50), "the guest does not answer afterwards");
      },
    );
    if (!went) return;
  }
  assert.deepEqual(differences(await scene.verify("a")), []);
  assert.deepEqual(roles(), []);
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

/** Epochs on their way and both runners' own memory, looked at again and again. */
interface Pressure {
  inflight: number;
  anonymous_mib: Record<"a" | "b", number[]>;
}

async function watchPressure(scene: Scene, looks: number): Promise<Pressure> {
  const seen: Pressure = { inflight: 0, anonymous_mib: { a: [], b: [] } };
  for (let i = 0; i < looks; i++) {
    await pause(60);
    seen.inflight = Math.max(seen.inflight, (await scene.status("a")).engine.inflight);
    for (const host of ["a", "b"] as const) {
      const status = Deno.readTextFileSync(`/proc/${scene.pair.runner(host).child.pid}/status`);
      seen.anonymous_mib[host].push(Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
    }
  }
  return seen;
}

/** A guest that dirties more than its lines take. */
const HEAVY = { dirty: 1500, fill: "random", write: 0 } as const;
/** Many epochs of each request: whoever looks finds as many on their way as are allowed. With one of each it is luck. */
const PRESSED = "stall_ms = 20000\ndirty_pages = 200\nmax_epoch_ms = 5\n";

async function slowLines(scene: Scene): Promise<void> {
  for (const link of ["a", "b"] as const) await scene.lab.shapeLink(link, { rate_mbit: 20 });
}

Deno.test("lines far too slow for what the guest dirties push it back: queues and memory stay bounded, nothing is lost", async () => {
  const hostToml = "[rhythm]\ninflight = 3\n" + PRESSED;
  const { scene, client } = await Scene.counting({ hostToml }, HEAVY);
  await using _ = scene;
  assert.ok(await client.answered(5));
  await slowLines(scene);
  const early = await watchPressure(scene, 60);
  const late = await watchPressure(scene, 60);
  assert.equal((await scene.status("a")).phase, "protected");
  const inflight = Math.max(early.inflight, late.inflight);
  assert.ok(inflight >= 2 && inflight <= 3, `${inflight} epochs were on their way; the bound is 3`);
  // Three epochs and two stages of all of the pool's 32 MiB are the bound; what comes later adds nothing.
  for (const host of ["a", "b"] as const) {
    const most = (pressure: Pressure) => Math.max(...pressure.anonymous_mib[host]);
    const grew = `memory on host ${host} grew from ${most(early)} to ${most(late)} MiB`;
    assert.ok(most(late) < most(early) + 64, grew);
  }
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.powerOff("a");
  await promoted();
  assert.ok(await client.answered(5), "the guest does not answer after the takeover");
  const summary = await client.stop();
  assert.equal(summary.lost, 0);
  assert.equal(summary.connection, "survived");
  assert.equal(summary.memory?.ok, true);
});

Deno.test("control: with a bound of 12 epochs the same pressure puts more than 3 on their way", async () => {
  const { scene, client } = await Scene.counting(
    { hostToml: "[rhythm]\ninflight = 12\n" + PRESSED },
    HEAVY,
  );
  await using _ = scene;
  assert.ok(await client.answered(5));
  await slowLines(scene);
  assert.ok((await watchPressure(scene, 60)).inflight > 3);
});
