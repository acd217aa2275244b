/** One core's part of many schedules. */

import { Coverage } from "./coverage.ts";
import { brokenBy, kindsOf } from "./mutations.ts";
import type { Result, Task } from "./pool.ts";
import { generate } from "./schedule.ts";
import { simulate } from "./simulate.ts";

interface WorkerScope {
  onmessage: (event: MessageEvent<Task>) => void;
  postMessage(result: Result): void;
}

const scope = self as unknown as WorkerScope;

scope.onmessage = async ({ data }) => {
  const coverage = new Coverage();
  const broken = data.mutation === undefined ? {} : brokenBy(data.mutation);
  const failed: Result["failed"] = [];
  const options = { arbiter: data.arbiter, kinds: kindsOf(data.mutation) };
  let releases = 0;
  for (let seed = data.from; seed < data.from + data.count; seed++) {
    const outcome = await simulate(generate(seed, options), { broken, coverage });
    releases += outcome.releases;
    if (outcome.violation !== null) failed.push({ seed, violation: outcome.violation });
  }
  scope.postMessage({ counts: coverage.counts(), releases, failed });
};
