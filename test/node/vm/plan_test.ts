import assert from "node:assert/strict";
import { backOffMs, type Facts, plan } from "../../../lib/node/vm/plan.ts";

const FACTS: Facts = {
  runs: true,
  wanted: { running: true, protected: true },
  begin: false,
  outdated: false,
  status: null,
  now_ms: 100_000,
  start_at_ms: 0,
  unwanted_since_ms: null,
};
const unwanted = (phase: string | null, for_ms: number): Partial<Facts> => ({
  wanted: { running: false, protected: true },
  unwanted_since_ms: 100_000 - for_ms,
  status: phase === null ? null : { phase },
});

const TABLE: [Partial<Facts>, ReturnType<typeof plan>][] = [
  [{ runs: false }, "start"],
  [{ runs: false, start_at_ms: 100_001 }, null],
  [{ runs: false, wanted: { running: false, protected: true } }, null],
  [{}, null],
  [{ begin: true, status: { phase: "waiting", commands: { start: null } } }, "begin"],
  [{ begin: true, status: { phase: "waiting", commands: { start: { problem: "", hint: "" } } } }, null],
  [{ begin: true, status: { phase: "ready", commands: { start: null } } }, null],
  [{ begin: true, status: { phase: "solo" } }, "begun"],
  [{ wanted: { running: true, protected: false }, status: { phase: "stale" } }, "end"],
  [{ status: { phase: "stale" } }, null],
  [{ outdated: true, status: { phase: "waiting" } }, "end"],
  [{ outdated: true, status: { phase: "ready" } }, null],
  [{ status: { phase: "solo", auto_protect: false } }, "protect"],
  [{ status: { phase: "waiting", auto_protect: false } }, null],
  [{ wanted: { running: true, protected: false }, status: { phase: "protected", auto_protect: true } }, null],
  [{
    wanted: { running: true, protected: false },
    status: { phase: "protected", auto_protect: true, commands: { unprotect: null } },
  }, "unprotect"],
  [unwanted("solo", 0), "stop"],
  [unwanted("stopping", 0), null],
  [unwanted("stale", 0), "end"],
  // A copy that could take over waits until it has heard that the VM was stopped.
  [unwanted("ready", 9_000), null],
  [unwanted("ready", 11_000), "end"],
  [unwanted(null, 1_000), null],
  [unwanted(null, 31_000), "end"],
  [unwanted("stopping", 61_000), "kill"],
];

Deno.test("a supervisor does what is wanted, one thing at a time, and no runner is ended that may still take over", () => {
  for (const [facts, step] of TABLE) {
    assert.equal(plan({ ...FACTS, ...facts }), step, JSON.stringify(facts));
  }
});

Deno.test("a runner that ended is started again well before an armed watchdog resets the machine, and later less often", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7, 50].map(backOffMs), [
    500,
    1000,
    2000,
    4000,
    8000,
    16000,
    30000,
    30000,
  ]);
});
