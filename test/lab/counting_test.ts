import { deepEqual, equal, ok } from "node:assert/strict";
import { CountTracker } from "../../lib/lab/counting.ts";
import { Histogram } from "../../lib/lab/histogram.ts";
import { monotonicClock } from "../../lib/lab/monotonic.ts";
import { readOptions } from "../../lib/cli/lab_client.ts";
import { clientArguments } from "../../lib/lab/client_process.ts";

/** A tracker that was given these replies, one each millisecond. */
function counted(...replies: number[]): CountTracker {
  const tracker = new CountTracker(0);
  replies.forEach((number, i) => tracker.reply(number, { sent_us: i * 1000 + 500, at_us: (i + 1) * 1000 }));
  return tracker;
}

const END = { at_us: 10_000, waiting: false };

Deno.test("replies that follow each other lose nothing, wherever they begin", () => {
  const { lost, skipped, acknowledged, replies } = counted(41, 42, 43).summary(END);
  deepEqual({ lost, skipped, acknowledged, replies }, { lost: 0, skipped: 0, acknowledged: 43, replies: 3 });
});

Deno.test("a reply that repeats an acknowledged number is a loss of all numbers since", () => {
  const { lost, acknowledged } = counted(1, 2, 3, 4, 3).summary(END);
  equal(lost, 2);
  equal(acknowledged, 4);
});

Deno.test("a number that never came is skipped, not lost", () => {
  const { lost, skipped } = counted(1, 2, 5).summary(END);
  deepEqual({ lost, skipped }, { lost: 0, skipped: 2 });
});

Deno.test("a guest that stands below what it acknowledged has lost it, above it has not", () => {
  const tracker = counted(1, 2, 3, 4, 5);
  tracker.verify(6);
  equal(tracker.summary(END).lost, 0);
  tracker.verify(2);
  equal(tracker.summary(END).lost, 3);
});

Deno.test("gaps are counted from reply to reply, apart since the mark, and one under way counts", () => {
  const tracker = counted(1, 2);
  tracker.reply(3, { sent_us: 2000, at_us: 302_000 });
  equal(tracker.summary(END).gap_since_mark_ms, null);
  tracker.mark();
  tracker.reply(4, { sent_us: 302_000, at_us: 312_000 });
  equal(tracker.summary({ at_us: 313_000, waiting: false }).gap_since_mark_ms, 10);
  equal(tracker.summary({ at_us: 313_000, waiting: false }).longest_gap_ms, 300);
  equal(tracker.summary({ at_us: 812_000, waiting: true }).gap_since_mark_ms, 500);
});

Deno.test("progress is of its window, and tells how long the newest reply is ago", () => {
  const tracker = counted(1, 2, 3);
  const first = tracker.progress(53_000);
  equal(first.gap_ms, 50);
  ok(Math.abs(first.p50_us - 500) <= 16);
  equal(tracker.progress(60_000).p50_us, 0);
});

Deno.test("percentiles are right to 3 % from 1 µs to 1,000 s", () => {
  for (const scale of [1, 10, 1000, 100_000, 10_000_000]) {
    const histogram = new Histogram();
    for (let i = 1; i <= 100; i++) histogram.add(i * scale);
    for (const share of [0.01, 0.5, 0.9, 0.99]) {
      const wanted = share * 100 * scale;
      const got = histogram.percentile(share);
      ok(Math.abs(got - wanted) <= wanted * 0.032 + 1, `${share} of ${scale}: ${got}, not ${wanted}`);
    }
    equal(histogram.max, 100 * scale);
    histogram.clear();
    equal(histogram.percentile(0.5), 0);
  }
});

Deno.test("the clock is the kernel's: readings of it lie between those of the kernel's own list", () => {
  const kernel_us = () => Number(/now at (\d+)/.exec(Deno.readTextFileSync("/proc/timer_list"))?.[1]) / 1000;
  const clock = monotonicClock();
  for (let i = 0; i < 20; i++) {
    const before_us = kernel_us();
    const now_us = clock();
    ok(now_us >= before_us - 100 && now_us <= kernel_us() + 100, `${now_us} is not after ${before_us}`);
  }
});

Deno.test("the client's options survive its command line, and wrong ones are named", () => {
  const options = {
    hostname: "10.77.0.10",
    port: 7777,
    dirty: 20,
    write: 512,
    fill: "random",
    think_ms: 3,
    requests: 100,
    patience_ms: 2000,
    connect_ms: 5000,
    progress_ms: 50,
    verify: true,
  } as const;
  deepEqual(readOptions(clientArguments(options)), options);
  const wrong = readOptions(["--dirty", "-1", "--fill", "all"]);
  ok(typeof wrong === "string");
  ok(/--dirty|dirty/.test(wrong));
  equal(readOptions(["--write", "70000", "--fill", "all"]).toString().split("; ").length, 3);
});
