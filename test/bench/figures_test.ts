import assert from "node:assert/strict";
import { type Figure, jsonOf, numberText, summaryOf, tableOf, verdictOf } from "../../lib/bench/figures.ts";

function figure(changes: Partial<Figure> = {}): Figure {
  return { part: "pause", what: "idle", measured: 1.15, unit: "ms", samples: 100, ...changes };
}

Deno.test("a figure at its bound is reached, and one just beyond it is not, in both directions", () => {
  assert.equal(verdictOf(figure({ measured: 1.2, reach: { most: 1.2 } })), "reached");
  assert.equal(verdictOf(figure({ measured: 1.2001, reach: { most: 1.2 } })), "not reached");
  assert.equal(verdictOf(figure({ measured: 250, reach: { least: 250 } })), "reached");
  assert.equal(verdictOf(figure({ measured: 249.9, reach: { least: 250 } })), "not reached");
});

Deno.test("what was not measured is never reached", () => {
  for (const measured of [null, NaN, Infinity]) {
    assert.equal(verdictOf(figure({ measured, reach: { most: 1 } })), "not measured");
    const line = JSON.parse(jsonOf(figure({ measured, reach: { least: 1 } })));
    assert.equal(line.measured, null);
    assert.equal(line.reached, null);
  }
});

Deno.test("a figure for information has no verdict", () => {
  assert.equal(verdictOf(figure()), "");
  assert.equal(JSON.parse(jsonOf(figure())).reached, null);
});

Deno.test("a line of JSON holds what the table holds, and the data for programs", () => {
  const line = jsonOf(figure({ reach: { most: 1.2 }, note: "one page", data: { max_ms: 3 } }));
  assert.ok(!line.includes("\n"));
  assert.deepEqual(JSON.parse(line), {
    event: "figure",
    part: "pause",
    what: "idle",
    measured: 1.15,
    unit: "ms",
    reach: { most: 1.2 },
    reached: true,
    samples: 100,
    note: "one page",
    data: { max_ms: 3 },
  });
});

Deno.test("numbers keep three digits, and lose none before the point", () => {
  assert.equal(numberText(0.0456), "0.05");
  assert.equal(numberText(1.153), "1.15");
  assert.equal(numberText(46.34), "46.3");
  assert.equal(numberText(332.4), "332");
  assert.equal(numberText(101_525), "101,525");
  assert.equal(numberText(0), "0");
});

Deno.test("the table has a row per figure under its part, and its columns stand below each other", () => {
  const lines = tableOf([
    figure({ what: "short", reach: { most: 1.2 } }),
    figure({ what: "a longer name", measured: 3.71, reach: { most: 3 }, samples: 1329, note: "why" }),
    figure({ part: "sync", what: "rate", measured: null, unit: "MB/s" }),
  ]).split("\n");
  assert.deepEqual(lines.filter((line) => /^\w/.test(line)).map((line) => line.split(" ")[0]), [
    "what",
    "pause",
    "sync",
  ]);
  const rows = lines.filter((line) => line.startsWith("  "));
  assert.deepEqual(rows, [
    "  short          1.15 ms   ≤ 1.20 ms  reached           100",
    "  a longer name  3.71 ms   ≤ 3 ms     not reached     1,329  why",
    "  rate           -                    not measured      100",
  ]);
});

Deno.test("the summary counts what was reached and names what was not", () => {
  const text = summaryOf([
    figure({ reach: { most: 2 } }),
    figure({ what: "busy", reach: { most: 1 } }),
    figure({ what: "for information" }),
    figure({ part: "codec", what: "cost", measured: null, note: "no compiler" }),
  ]);
  assert.equal(
    text,
    "1 of 2 figures reached.\n  not reached: pause: busy\n  not measured: codec: cost (no compiler)",
  );
});
