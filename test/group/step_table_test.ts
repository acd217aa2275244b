import assert from "node:assert/strict";
import { lanArbiter, manualArbiter, witnessArbiter } from "../../lib/group/arbiter.ts";
import { hostProblem } from "../../lib/group/invariants.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { wordOf } from "../../lib/group/turn.ts";
import {
  type Action,
  FLAGS,
  type GroupEvent,
  type GroupState,
  type Metadata,
  type Phase,
  ROLES,
  type Settings,
} from "../../lib/group/types.ts";
import { EVENTS, metadata, PHASES, word } from "./step_tables.ts";

const settings: Settings = { arbiter: lanArbiter, peerName: "b", onStall: "wait", autoProtect: true };

/** What a host in this phase has written. */
function diskIn(phase: Phase): Metadata {
  switch (phase.kind) {
    case "joining":
    case "receiving":
      return metadata({ role: "backup", copy: "partial" });
    case "ready":
    case "asking":
      return metadata({ role: "backup", copy: "whole" });
    case "behind":
      return metadata({ role: "backup", copy: phase.step === "writing" ? "whole" : "behind" });
    case "abandoning":
    case "stale":
    case "fencing":
      return metadata({ role: "backup", copy: "stale" });
    case "diverged":
      return metadata({ role: "backup", copy: "diverged" });
    case "promoting":
      return phase.step === "writing"
        ? metadata({ role: "backup", copy: "whole" })
        : metadata({ term: phase.next });
    case "going_solo":
      return metadata({ term: phase.step === "writing" ? phase.term : phase.next });
    case "asynchronous":
      return metadata({ copy: phase.step === "on" || phase.step === "closing" ? "none" : "whole" });
    case "stopped":
      return metadata({ role: "stopped", copy: "none" });
    default:
      return metadata();
  }
}

function stateIn(phase: Phase, facts: Partial<GroupState>): GroupState {
  const state: GroupState = { ...beginState(settings), disk: diskIn(phase), lanTrust: "ok", phase, ...facts };
  return { ...state, said: wordOf(state) };
}

/** Facts beside the phase, in which a step is tried. */
const FACTS: Partial<GroupState>[] = [
  {},
  { silent: true, silenceChecked: true, lanAnswers: true },
  { silent: true, silenceChecked: true, lanAnswers: false, lanTrust: "isolated" },
  { silent: true, silenceChecked: true, confirmedOff: true },
  { links: [true, true], peer: word(), heard: 5 },
  { links: [true, false], peer: word({ role: ROLES.PRIMARY, term: 6, flags: 0 }), heard: 6 },
  { peer: word({ flags: FLAGS.PROMISED }), settings: { ...settings, arbiter: manualArbiter } },
  { silent: true, silenceChecked: true, settings: { ...settings, arbiter: witnessArbiter, onStall: "solo" } },
  { disk: null, qemu: "standby", common: 3 },
];

/** The phases from which each action that can do harm may come; all others may come from anywhere. */
const FROM: { [Kind in Action["kind"]]?: readonly Phase["kind"][] } = {
  launch: ["starting"],
  open: ["starting", "going_solo", "syncing", "solo", "protected"],
  sync: ["solo"],
  handover: ["protected"],
  stand_by: ["joining"],
  promote: ["promoting"],
  keep_disks: ["diverged"],
  asynchronous: ["asynchronous"],
  flushes_wait: ["asynchronous"],
  ask: [
    "waiting",
    "deciding",
    "asking",
    "protected",
    "syncing",
    "handing",
    "asynchronous",
    "ready",
    "receiving",
    "yielded",
    "behind",
    "solo",
  ],
};

/** Slow actions that start a VM, or a copy: never two in one step. */
const BEGINS: readonly Action["kind"][] = ["launch", "stand_by", "promote", "open"];

/** What is wrong with these actions, or null. */
function illegal(before: GroupState, event: GroupEvent, actions: readonly Action[]): string | null {
  const { phase, disk } = before;
  const written = event.kind === "written" ? event.metadata : disk;
  for (const action of actions) {
    const from = FROM[action.kind];
    if (from !== undefined && !from.includes(phase.kind)) return `${action.kind} from ${phase.kind}`;
    if (action.kind === "sync" && event.kind !== "written") return "sync unwritten";
    if (action.kind === "open" && phase.kind === "going_solo" && event.kind !== "written") {
      return "open unwritten";
    }
    const begins = action.kind === "open" || action.kind === "promote";
    const term = begins && phase.kind !== "starting" ? action.term : 0;
    const lacks = term > Math.max(written?.term ?? 0, disk?.term ?? 0);
    if (lacks && disk !== null) return `${action.kind} in term ${term}, which is not written`;
    if (action.kind === "write" && action.metadata.term < (disk?.term ?? 0)) {
      const repeats = phase.kind === "solo" || phase.kind === "starting";
      // A copy is of the term in which it was made, whatever was written for a promotion that did not take place.
      const copy = action.metadata.role === "backup" && "term" in phase &&
        action.metadata.term === phase.term;
      if (!repeats && !copy) return `a term goes back from ${disk?.term} to ${action.metadata.term}`;
    }
  }
  const begun = actions.filter(({ kind }) => BEGINS.includes(kind));
  if (begun.length > 1) return `two at once: ${begun.map(({ kind }) => kind)}`;
  return null;
}

/** What an event may change without a decision: facts that are learned in every phase. */
const FACT_FIELDS = {
  // The operator's protect and unprotect.
  settings: true,
  phase: false,
  disk: true,
  silent: true,
  lanAnswers: true,
  lanTrust: true,
  lanHeard: true,
  silenceChecked: true,
  links: true,
  peer: true,
  heard: true,
  confirmedOff: true,
  qemu: true,
  common: true,
  said: false,
  durable: true,
  refused: true,
  refusedWhy: true,
  refusal: true,
  trouble: true,
  witness: true,
} as const satisfies Record<keyof GroupState, boolean>;

/** Fields that changed though nothing was decided. */
function changedBeside(before: GroupState, after: GroupState): string[] {
  return Object.keys(FACT_FIELDS).filter((field) => {
    const key = field as keyof GroupState;
    return !FACT_FIELDS[key] && JSON.stringify(before[key]) !== JSON.stringify(after[key]);
  });
}

/** Calls `run` for each phase, with each of its steps and several sets of facts, at each event. */
function eachStep(run: (before: GroupState, event: GroupEvent) => void): number {
  let tried = 0;
  for (const phase of PHASES) {
    for (const facts of FACTS) {
      const before = stateIn(phase, facts);
      for (const event of EVENTS) {
        run(before, event);
        tried++;
      }
    }
  }
  return tried;
}

function name(before: GroupState, event: GroupEvent): string {
  return `${JSON.stringify(before.phase)} at ${JSON.stringify(event)}`;
}

Deno.test("every state takes every event: it never throws, changes no earlier state, and does only what is its to do", () => {
  const tried = eachStep((before, event) => {
    const text = JSON.stringify(before);
    const { state, actions } = step(before, event);
    const problem = illegal(before, event, actions);
    if (problem !== null) assert.fail(`${problem}: ${name(before, event)}`);
    if (JSON.stringify(before) !== text) assert.fail(`the old state was changed: ${name(before, event)}`);
    assert.ok(PHASES.some(({ kind }) => kind === state.phase.kind));
  });
  assert.ok(tried > 100_000, `${tried}`);
});

Deno.test("what a host does and says fits what it has written, after every event", () => {
  eachStep((before, event) => {
    // An answer to a write that this phase did not ask for cannot come.
    if (hostProblem(before) !== null || event.kind === "written" || before.disk === null) return;
    const { state } = step(before, event);
    const problem = hostProblem(state);
    if (problem !== null) assert.fail(`${problem}: ${name(before, event)} -> ${JSON.stringify(state.phase)}`);
  });
});

Deno.test("an event that is not for a phase leaves it as it was", () => {
  let ignored = 0;
  eachStep((before, event) => {
    const { state, actions } = step(before, event);
    if (actions.length > 0 || JSON.stringify(state.phase) !== JSON.stringify(before.phase)) return;
    const changed = changedBeside(before, state);
    if (changed.length > 0) assert.fail(`${changed} changed: ${name(before, event)}`);
    ignored++;
  });
  assert.ok(ignored > 10_000);
});

Deno.test("what is said is what the state says, and is said when it changes, never otherwise", () => {
  eachStep((before, event) => {
    const { state, actions } = step(before, event);
    const said = actions.filter((action) => action.kind === "say");
    assert.deepEqual(state.said, { ...wordOf(state) });
    const same = JSON.stringify(state.said) === JSON.stringify(before.said);
    if (said.length !== (same ? 0 : 1)) assert.fail(name(before, event));
  });
});

Deno.test("the same state and event give the same step", () => {
  eachStep((before, event) => {
    const [one, other] = [step(before, event), step(before, event)];
    if (JSON.stringify(one) !== JSON.stringify(other)) assert.fail(name(before, event));
  });
});
