import assert from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { JobRunner } from "../../lib/node/jobs.ts";

const BEGUN = { kind: "import", subject: "press-1", unit: "bytes", total: 1000 } as const;

/** Ends with the signal, as work that heeds it does. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

function coded(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ProblemError && error.code === code;
}

Deno.test("a job shows how far it is, how fast it goes and how long it takes", async () => {
  let nowMs = 1_000_000;
  await using jobs = new JobRunner({ nowMs: () => nowMs });
  let report: (done: number, total?: number) => void = () => {};
  const finish = Promise.withResolvers<void>();
  const { view, done } = jobs.start(BEGUN, async ({ progress }) => {
    report = progress;
    await finish.promise;
  });
  assert.equal(view.state, "running");
  assert.equal(view.eta_s, null);
  await Promise.resolve();
  nowMs += 1000;
  report(100);
  nowMs += 1000;
  report(200);
  const [running] = jobs.list();
  assert.deepEqual([running!.done, running!.rate_per_s, running!.eta_s], [200, 100, 8]);
  nowMs += 1000;
  report(900);
  const faster = jobs.list()[0]!.rate_per_s!;
  assert.ok(faster > 100 && faster < 400, `${faster}: one fast second does not make it seven times as fast`);
  finish.resolve();
  await done;
  const [ended] = jobs.list();
  assert.deepEqual([ended!.state, ended!.done, ended!.eta_s], ["done", 1000, null]);
  assert.equal(ended!.ended, new Date(nowMs).toISOString());
});

Deno.test("a job that fails says what was wrong and what to do", async () => {
  await using jobs = new JobRunner();
  const error = new EdgeError("the image is damaged", { op: "import", hint: "Copy it again." });
  const { done } = jobs.start(BEGUN, () => Promise.reject(error));
  await assert.rejects(done, error);
  assert.equal(jobs.list()[0]!.state, "failed");
  assert.deepEqual(jobs.list()[0]!.error, { detail: "the image is damaged", hint: "Copy it again." });
});

Deno.test("a cancelled job is cancelled, not failed, and cannot be cancelled twice", async () => {
  await using jobs = new JobRunner();
  const { view, done } = jobs.start(BEGUN, ({ signal }) => untilAborted(signal));
  await Promise.resolve();
  jobs.cancel(view.id);
  await assert.rejects(done);
  assert.deepEqual([jobs.list()[0]!.state, jobs.list()[0]!.error], ["cancelled", null]);
  assert.throws(() => jobs.cancel(view.id), coded("conflict"));
  assert.throws(() => jobs.cancel("nothing"), coded("not_found"));
});

Deno.test("what is over is forgotten after an hour, what runs is not", async () => {
  let nowMs = 0;
  await using jobs = new JobRunner({ nowMs: () => nowMs });
  await jobs.start(BEGUN, () => Promise.resolve()).done;
  jobs.start(BEGUN, ({ signal }) => untilAborted(signal));
  nowMs = 3_599_999;
  assert.equal(jobs.list().length, 2);
  nowMs = 3_600_000;
  assert.deepEqual(jobs.list().map((job) => job.state), ["running"]);
});

Deno.test("there are never more jobs than allowed, running or over", async () => {
  await using jobs = new JobRunner();
  for (let i = 0; i < 150; i++) await jobs.start(BEGUN, () => Promise.resolve()).done;
  assert.ok(jobs.list().length <= 101);
  for (let i = 0; i < 4; i++) jobs.start(BEGUN, ({ signal }) => untilAborted(signal));
  assert.throws(() => jobs.start(BEGUN, () => Promise.resolve()), coded("too_many"));
});

Deno.test("listeners hear of the end at once, and of progress not at each byte", async () => {
  let nowMs = 0;
  await using jobs = new JobRunner({ nowMs: () => nowMs });
  let heard = 0;
  using _listener = jobs.onChange(() => heard++);
  const { done } = jobs.start(BEGUN, ({ progress }) => {
    for (let i = 0; i < 1000; i++, nowMs++) progress(i);
    return Promise.resolve();
  });
  await done;
  assert.equal(heard, 1 + 3 + 1, "the start, one each 250 ms, the end");
});

Deno.test("closing cancels what runs and waits for it", async () => {
  const jobs = new JobRunner();
  let cleaned = false;
  jobs.start(BEGUN, async ({ signal }) => {
    await untilAborted(signal).catch(() => {});
    await Promise.resolve();
    cleaned = true;
    signal.throwIfAborted();
  });
  await Promise.resolve();
  await jobs[Symbol.asyncDispose]();
  assert.ok(cleaned);
  assert.equal(jobs.list()[0]!.state, "cancelled");
});
