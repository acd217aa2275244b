import assert from "node:assert/strict";
import { lanArbiter, manualArbiter } from "../../lib/group/arbiter.ts";
import { ROLES } from "../../lib/group/types.ts";
import { simulate } from "./sim.ts";
import type { Mutation } from "./sim_host.ts";

const SCHEDULES = 1500;
/** Seeds that once broke something: what broke once is a case for ever. */
const CORPUS = [
  ...[15, 27, 40, 56, 154, 191, 258, 310, 484, 622, 902, 907, 930, 1736, 1836, 3006, 3161, 3196, 3394, 3610],
  ...[
    3683,
    3786,
    4256,
    5490,
    6185,
    6934,
    7948,
    101782,
    101902,
    103640,
    105596,
    106485,
    107492,
    111388,
    115015,
  ],
  ...[117460, 200714, 201471, 202223, 203113, 206128, 212981, 221849, 222294],
];

function report(outcome: ReturnType<typeof simulate>): string {
  return `seed ${outcome.seed}: ${outcome.violation}\n${outcome.log.slice(-60).join("\n")}`;
}

Deno.test("no schedule of faults breaks an invariant, and mended it ends protected", () => {
  const first = Number(Deno.env.get("ISERVFT_SEED") ?? 1);
  const seen = new Set<string>();
  for (let seed = first; seed < first + SCHEDULES; seed++) {
    const outcome = simulate(seed);
    assert.equal(outcome.violation, null, report(outcome));
    for (const what of outcome.seen) seen.add(what.replace(/ \(.*/, ""));
  }
  // The schedules reach what they are for.
  for (
    const what of [
      "asking -> promoting",
      "deciding -> going_solo",
      "handing -> fencing",
      "ready -> abandoning",
      "protected -> yielded",
      "syncing -> solo",
      "protected -> fencing",
    ]
  ) assert.ok(seen.has(what), `no schedule reached "${what}"`);
});

Deno.test("seeds that once broke an invariant hold", () => {
  for (const seed of CORPUS) {
    const outcome = simulate(seed);
    assert.equal(outcome.violation, null, report(outcome));
  }
});

Deno.test("a run is the same each time: its seed is all there is", () => {
  assert.deepEqual(simulate(4711).log, simulate(4711).log);
});

Deno.test("with the manual arbiter nobody is granted anything by silence", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const outcome = simulate(seed, { settings: { arbiter: manualArbiter } });
    // It may wait for the operator for ever, but what it does is safe.
    const safe = outcome.violation === null || outcome.violation.startsWith("not protected");
    assert.ok(safe, report(outcome));
  }
});

/** The first seed at which a broken product is found out, and how. */
function foundBy(mutation: Mutation, wanted: RegExp): string | null {
  for (let seed = 1; seed <= 3000; seed++) {
    const { violation } = simulate(seed, { mutation });
    if (violation !== null && wanted.test(violation)) return violation;
  }
  return null;
}

Deno.test("found out: a product that does not look at terms", () => {
  const violation = foundBy({
    careless: true,
    event(event, host) {
      if (event.kind !== "word" || event.word.role !== ROLES.PRIMARY) return event;
      return { kind: "word", word: { ...event.word, term: Math.min(event.word.term, host.term) } };
    },
  }, /voices|released/);
  assert.notEqual(violation, null);
});

Deno.test("found out: a backup that promotes when one link is silent", () => {
  const violation = foundBy({
    event(event, host) {
      const lone = event.kind === "path" && !event.alive && host.mode === "standby";
      return lone ? { kind: "peer", silent: true, lanAnswers: true, checked: true } : event;
    },
    action(action, host) {
      if (action.kind === "check_silence") {
        host.dispatch({ kind: "peer", silent: true, lanAnswers: true, checked: true });
        return null;
      }
      return action.kind === "promote" ? { ...action, unless: "unheard" } : action;
    },
  }, /voices|released|output of/);
  assert.notEqual(violation, null);
});

Deno.test("found out: a primary that goes solo without a grant", () => {
  const violation = foundBy({
    settings: {
      arbiter: {
        name: "lax",
        remote: false,
        judge: (question) =>
          question.purpose === "solo"
            ? { kind: "grant", because: "peer gave way" }
            : lanArbiter.judge(question),
      },
    },
  }, /voices|released|output of/);
  assert.notEqual(violation, null);
});

Deno.test("found out: a backup that promotes a partial copy", () => {
  const violation = foundBy({
    careless: true,
    action(action, host) {
      if (action.kind === "send" && action.message.kind === "accept") {
        host.later(1, () => host.dispatch({ kind: "whole", epoch: 0 }));
      }
      return action;
    },
  }, /output of/);
  assert.notEqual(violation, null);
});

Deno.test("found out: a primary that ignores the isolated host's rule", () => {
  const violation = foundBy({
    event(event) {
      return event.kind === "peer" ? { ...event, lanAnswers: true } : event;
    },
  }, /voices|released|output of/);
  assert.notEqual(violation, null);
});
