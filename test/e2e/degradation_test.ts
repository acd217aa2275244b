/** The ladder with real guests and real lines: FAULTS.md rows 9, 28 and 30. */

import assert from "node:assert/strict";
import type { RunnerEvent } from "../../lib/lab/pair.ts";
import { brokenPromises, next, pause, reached, Scene } from "./kit.ts";

/** A guest that changes nearly all of its pool with each request, a megabyte on the line: many seconds on a slow one. */
const HEAVY = { dirty: 8000, fill: "random", write: 256 } as const;
const SLOW_MBIT = 1;
const RHYTHM = "[rhythm]\nstall_ms = 20000\n";
/** Silence, ms: a busy machine must not look like a lost one, or a new sync over the slow line is all there is to see. */
const TAKEOVER = 1000;
/** Far above what a commit takes on a busy machine, far below what it takes on the slow line. */
const BOUND = "max_added_ms = 1500\n";

async function shape(scene: Scene, rate_mbit: number): Promise<void> {
  for (const link of ["a", "b"] as const) await scene.lab.shapeLink(link, { rate_mbit });
}

function steps(events: readonly RunnerEvent[], name: "degraded" | "recovered"): RunnerEvent[] {
  return events.filter((event) => event.event === name);
}

function alarm(code: string) {
  return (event: RunnerEvent) => event.event === "alarm" && event["code"] === code;
}

/** A change of the ladder to this level. */
function to(level: string) {
  return (event: RunnerEvent) =>
    (event.event === "degraded" || event.event === "recovered") && event["to"] === level;
}

/** Every step says where from, where to, and what was measured. */
function assertReasons(events: readonly RunnerEvent[]): void {
  for (const event of [...steps(events, "degraded"), ...steps(events, "recovered")]) {
    assert.match(
      String(event["why"]),
      /a commit takes \d+ ms, the bound is \d+ ms; the guest makes .*Mbit\/s/,
    );
    assert.ok(String(event["text"]).endsWith(String(event["why"])));
  }
}

interface Paced {
  sentence: string;
  pace: { level: string; percent: number; why: string };
}

Deno.test("lines too slow for the guest: longer epochs, then a slower guest; a power-off loses nothing; with the lines it recovers", async (t) => {
  const { scene, client } = await Scene.counting(
    { hostToml: RHYTHM, takeover: TAKEOVER, vmToml: `[degradation]\n${BOUND}` },
    HEAVY,
  );
  await using _ = scene;
  const primary = scene.pair.runner("a");
  assert.ok(await client.answered(5));
  await t.step("it goes down by itself, with an alarm, and stays protected", async () => {
    const [longer, slower] = [next(primary, to("longer")), next(primary, to("slower"))];
    const told = next(primary, alarm("degraded"));
    await shape(scene, SLOW_MBIT);
    await longer(60_000);
    await told();
    await slower(60_000);
    const { phase, sentence, pace, engine } = await scene.status("a") as unknown as
      & Awaited<ReturnType<Scene["status"]>>
      & Paced;
    assert.equal(phase, "protected");
    assert.equal(pace.level, "slower");
    assert.ok(pace.percent >= 20);
    assert.match(
      sentence,
      /^Protected.*the guest is slowed by \d+ % because the backup does not keep up \(a commit takes/,
    );
    const before = engine.holds;
    assert.ok(await client.answered(1, 60_000), "the guest does not answer while it is slowed");
    const later = (await scene.status("a")).engine;
    assert.ok(later.holds > before && later.throttle_wanted >= 20, "the guest is not held");
  });
  await t.step("with the lines well it goes back to full by itself", async () => {
    const full = next(primary, to("full"));
    await shape(scene, 1000);
    await full(180_000);
    assert.equal((await scene.status("a")).engine.throttle_wanted, 0);
    assert.equal((await scene.status("a")).phase, "protected");
    assertReasons(primary.events);
    assert.ok(steps(primary.events, "degraded").every((event) => event["from"] !== "asynchronous"));
  });
  await t.step("degraded again, a power-off loses nothing", async () => {
    const longer = next(primary, to("longer"));
    await shape(scene, SLOW_MBIT);
    await longer(60_000);
    const promoted = next(scene.pair.runner("b"), reached("solo"));
    await scene.lab.powerOff("a");
    await promoted();
    assert.ok(await client.answered(5, 60_000), "the guest does not answer after the takeover");
    assert.deepEqual(brokenPromises(await client.stop()), []);
  });
});

Deno.test("control: with an empty order nothing is degraded, and it says that the backup does not keep up", async () => {
  const vmToml = `[degradation]\norder = []\n${BOUND}`;
  const { scene, client } = await Scene.counting({ hostToml: RHYTHM, takeover: TAKEOVER, vmToml }, HEAVY);
  await using _ = scene;
  const primary = scene.pair.runner("a");
  assert.ok(await client.answered(5));
  const told = next(primary, alarm("cannot-keep-up"));
  await shape(scene, SLOW_MBIT);
  assert.match(String((await told(60_000))["text"]), /allows nothing that would help: a commit takes \d+ ms/);
  await pause(3000); // the ladder goes down with that alarm, or within its dwell time
  assert.deepEqual(steps(primary.events, "degraded"), []);
  const { sentence, engine } = await scene.status("a");
  assert.equal(engine.throttle_wanted, 0);
  assert.match(sentence, /^Protected.*replies take long because the backup does not keep up/);
  await shape(scene, 1000);
  assert.ok(await client.answered(5));
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
