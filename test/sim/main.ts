/** `deno task sim`: runs schedules for as long as wanted, on all cores; the first one that breaks something is shortened and printed.
 *
 *   deno task sim [--seeds N] [--from S] [--hours H] [--arbiter lan|witness|manual] [--mutation NAME] [--schedule FILE] [--coverage]
 */

import { parseArgs } from "node:util";
import { brokenBy, kindsOf, MUTATIONS } from "./mutations.ts";
import { runSeeds } from "./pool.ts";
import { type ArbiterName, generate, type Schedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import { simulate } from "./simulate.ts";

const ARBITERS: readonly string[] = ["lan", "witness", "manual"];
const SAY_MS = 10_000;

function wrong(text: string): never {
  console.error(text);
  Deno.exit(2);
}

function number(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) wrong(`--${name} must be a number, not ${JSON.stringify(text)}`);
  return value;
}

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string" },
    from: { type: "string" },
    hours: { type: "string" },
    arbiter: { type: "string" },
    mutation: { type: "string" },
    schedule: { type: "string" },
    coverage: { type: "boolean" },
  },
});
if (values.arbiter !== undefined && !ARBITERS.includes(values.arbiter)) {
  wrong(`--arbiter must be one of ${ARBITERS.join(", ")}, not ${values.arbiter}`);
}
if (values.mutation !== undefined && !(values.mutation in MUTATIONS)) {
  wrong(`--mutation must be one of ${Object.keys(MUTATIONS).join(", ")}`);
}
const { mutation } = values;
const arbiter = values.arbiter as ArbiterName | undefined;
const broken = mutation === undefined ? {} : brokenBy(mutation);

/** What happened, and the schedule as it is kept in the corpus. */
async function show(schedule: Schedule): Promise<boolean> {
  const { violation, log } = await simulate(schedule, { broken, record: true });
  console.log(log.join("\n"));
  console.log(JSON.stringify(schedule, null, 1));
  console.log(violation === null ? "all held" : `BROKEN: ${violation}`);
  return violation === null;
}

async function many(): Promise<boolean> {
  const hours = number("hours", values.hours, 0);
  const from = number("from", values.from, 1);
  const began = performance.now();
  let said = began;
  const summary = await runSeeds({
    from,
    count: hours > 0 ? Infinity : number("seeds", values.seeds, 100_000),
    ...(hours > 0 && { untilMs: began + hours * 3_600_000 }),
    arbiter,
    mutation,
    onProgress(done) {
      const now = performance.now();
      if (now - said < SAY_MS) return;
      said = now;
      console.log(`${done} schedules, ${(done / (now - began) * 1000).toFixed(0)} a second`);
    },
  });
  const { schedules, seconds, releases, failed, counts } = summary;
  if (values.coverage) {
    for (const [name, count] of Object.entries({ ...counts.pairs, ...counts.changes }).sort()) {
      console.log(`${String(count).padStart(10)}  ${name}`);
    }
  }
  console.log(
    `seeds ${from} to ${from + schedules - 1}: ${
      (schedules / seconds).toFixed(0)
    } schedules a second, ${releases} times a client was told`,
  );
  const [first] = failed;
  if (first === undefined) return true;
  console.log(`${failed.length} failed; the first is seed ${first.seed}: ${first.violation}\nshortened:`);
  await show(await shrink(generate(first.seed, { arbiter, kinds: kindsOf(mutation) }), { broken }));
  return false;
}

const held = values.schedule === undefined
  ? await many()
  : await show(JSON.parse(await Deno.readTextFile(values.schedule)));
Deno.exit(held ? 0 : 1);
