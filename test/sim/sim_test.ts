import assert from "node:assert/strict";
import { runSeeds } from "./pool.ts";
import { generate, type Schedule } from "./schedule.ts";
import { kindOf, shrink } from "./shrink.ts";
import { type Outcome, simulate } from "./simulate.ts";
import { brokenBy } from "./mutations.ts";

/** Schedules of each run of the tests; more by the environment, or by `deno task sim --hours 8`. */
const SCHEDULES = Number(Deno.env.get("ISERVFT_SCHEDULES") ?? 100_000);

/** Other delays and chances with which each kept schedule is played. */
const REPEATS = 8;

/** What the diagram in step.ts shows, and what happens on its edges. */
const CHANGES = [
  "waiting -> starting",
  "starting -> solo",
  "solo -> syncing",
  "syncing -> protected",
  "syncing -> solo",
  "protected -> deciding",
  "protected -> handing",
  "protected -> yielded",
  "protected -> fencing",
  "protected -> asynchronous",
  "asynchronous -> protected",
  "deciding -> going_solo",
  "deciding -> protected",
  "deciding -> fencing",
  "going_solo -> solo",
  "handing -> fencing",
  "handing -> deciding",
  "yielded -> waiting",
  "fencing -> waiting",
  "waiting -> joining",
  "joining -> receiving",
  "receiving -> ready",
  "receiving -> abandoning",
  "ready -> asking",
  "ready -> promoting",
  "ready -> abandoning",
  "ready -> behind",
  "behind -> ready",
  "asking -> promoting",
  "promoting -> solo",
  "promoting -> receiving",
  "abandoning -> stale",
  "stale -> joining",
  "protected -> stopping",
  "stopping -> stopped",
  "stopped -> starting",
] as const;

function told(outcome: Outcome): string {
  return `${outcome.violation}\n${outcome.log.slice(-80).join("\n")}\n${JSON.stringify(outcome.schedule)}`;
}

/** Runs it, and once more with a log if it breaks something. */
async function assertHolds(schedule: Schedule): Promise<void> {
  if ((await simulate(schedule)).violation === null) return;
  assert.fail(told(await simulate(schedule, { record: true })));
}

Deno.test("no schedule of faults breaks an invariant, and mended it ends protected", async () => {
  const { failed, counts, schedules, seconds, releases } = await runSeeds({ from: 1, count: SCHEDULES });
  const [first] = failed;
  if (first !== undefined) {
    const schedule = await shrink(generate(first.seed));
    assert.fail(`seed ${first.seed}, shortened: ${told(await simulate(schedule, { record: true }))}`);
  }
  assert.equal(schedules, SCHEDULES);
  const pairs = Object.keys(counts.pairs).length;
  console.log(
    `${schedules} schedules, ${
      (schedules / seconds).toFixed(0)
    } a second; clients were told ${releases} times; ` +
      `${pairs} pairs of phase and event, ${Object.keys(counts.changes).length} changes of phase`,
  );
  // The schedules reach what they are for.
  for (const change of CHANGES) assert.ok((counts.changes[change] ?? 0) > 0, `no schedule reached ${change}`);
});

Deno.test("schedules that once broke an invariant hold, whatever the delays", async () => {
  const folder = new URL("./corpus/", import.meta.url);
  let played = 0;
  for await (const { name } of Deno.readDir(folder)) {
    const kept: Schedule[] = JSON.parse(await Deno.readTextFile(new URL(name, folder)));
    for (const schedule of kept) {
      for (let repeat = 0; repeat < REPEATS; repeat++) {
        await assertHolds({ ...schedule, seed: schedule.seed + repeat * 1_000_003 });
      }
      played++;
    }
  }
  assert.ok(played > 50);
});

Deno.test("a run is the same each time: its schedule is all there is", async () => {
  const once = await simulate(generate(4711), { record: true });
  const again = await simulate(generate(4711), { record: true });
  assert.deepEqual(once, again);
  assert.notDeepEqual(once.log, (await simulate(generate(4712), { record: true })).log);
});

Deno.test("a failing schedule is shortened to one that breaks the same thing", async () => {
  const broken = brokenBy("output-before-journal");
  for (let seed = 1; seed <= 400; seed++) {
    const schedule = generate(seed);
    const { violation } = await simulate(schedule, { broken });
    if (violation === null || schedule.faults.length < 4) continue;
    const short = await shrink(schedule, { broken });
    const after = (await simulate(short, { broken })).violation;
    assert.ok(after !== null && kindOf(after) === kindOf(violation));
    assert.ok(short.faults.length < schedule.faults.length, JSON.stringify(short));
    return;
  }
  assert.fail("no schedule of many faults failed");
});
