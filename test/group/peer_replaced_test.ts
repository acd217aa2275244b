import assert from "node:assert/strict";
import { witnessArbiter } from "../../lib/group/arbiter.ts";
import { ENGINE_ERRORS, EngineError } from "../../ffi/engine.ts";
import { syncRefused } from "../../lib/group/engine_events.ts";
import { decideGrant, NO_GRANT } from "../../lib/group/grant.ts";
import { checkRelink, linesOf, mustBeAlone, yieldsTies } from "../../lib/group/relink.ts";
import { beginState, step } from "../../lib/group/step.ts";
import { wordOf } from "../../lib/group/turn.ts";
import { FLAGS, type GroupEvent, type GroupState, type Phase, ROLES } from "../../lib/group/types.ts";
import { parseHostConfig } from "../../lib/vm/host_config.ts";
import { metadata, PHASES, word } from "./step_tables.ts";

const REPLACED: GroupEvent = { kind: "peer_replaced", yieldsTies: true };

function stateIn(phase: Phase, facts: Partial<GroupState> = {}): GroupState {
  const settings = { arbiter: witnessArbiter, peerName: "b", onStall: "wait", autoProtect: true } as const;
  const state: GroupState = {
    ...beginState(settings),
    disk: metadata({ copy: "none" }),
    links: [true, true],
    peer: word(),
    heard: 7,
    common: 3,
    refusal: "another machine type",
    trouble: { why: "x", count: 2, over: false },
    qemu: "primary",
    phase,
    ...facts,
  };
  return { ...state, said: wordOf(state) };
}

function play(state: GroupState, ...events: GroupEvent[]) {
  const actions = events.flatMap((event) => {
    const result = step(state, event);
    state = result.state;
    return result.actions;
  });
  return { state, actions };
}

Deno.test("another peer: a VM that runs alone forgets the old one, but not the terms that it said", () => {
  const { state, actions } = play(
    stateIn({ kind: "solo", term: 5, invite: { generation: 4, step: "agreed" } }),
    REPLACED,
  );
  assert.deepEqual(state.phase, { kind: "solo", term: 5, invite: null });
  const { peer, silent, links, common, refusal, trouble, heard, confirmedOff } = state;
  assert.deepEqual(
    { peer, silent, links, common, refusal, trouble, heard, confirmedOff },
    {
      peer: null,
      silent: true,
      links: [false, false],
      common: 0,
      refusal: "",
      trouble: null,
      heard: 7,
      confirmedOff: false,
    },
  );
  assert.equal(state.settings.yieldsTies, true);
  assert.deepEqual(actions, [
    { kind: "note_term", term: 5 },
    { kind: "write", metadata: metadata({ copy: "none" }) },
  ]);
});

Deno.test("another peer: a copy that was on its way to the old one is none, and is not begun any more", () => {
  const agreed = stateIn({ kind: "solo", term: 5, invite: { generation: 4, step: "agreed" } });
  const late: GroupEvent = { kind: "written", metadata: metadata({ generation: 4, copy: "whole" }) };
  assert.ok(
    play(agreed, late).actions.some(({ kind }) => kind === "sync"),
    "the negative control: it would be",
  );
  assert.deepEqual(play(agreed, REPLACED, late).actions.filter(({ kind }) => kind === "sync"), []);
});

Deno.test("another peer: it is invited as soon as it is heard, as one that has nothing", () => {
  const invited = play(
    stateIn({ kind: "solo", term: 5, invite: null }),
    REPLACED,
    { kind: "written", metadata: metadata({ copy: "none" }) },
    { kind: "link", link: 0, up: true },
    { kind: "peer", silent: false, lanAnswers: true, checked: false },
    { kind: "word", word: word({ role: ROLES.WAITING, term: 0, generation: 0, flags: 0 }) },
    { kind: "written", metadata: metadata({ generation: 4, copy: "partial" }) },
  );
  const sent = invited.actions.flatMap((action) => action.kind === "send" ? [action.message] : []);
  assert.deepEqual(sent, [{ kind: "invite", term: 5, generation: 4, keepGeneration: 0 }]);
});

Deno.test("another peer: no other phase heeds it", () => {
  for (const phase of PHASES.filter(({ kind }) => kind !== "solo")) {
    const before = stateIn(phase);
    assert.deepEqual(step(before, REPLACED), { state: before, actions: [] }, phase.kind);
    assert.throws(() => mustBeAlone(phase), /does not run here alone/);
  }
  mustBeAlone({ kind: "solo", term: 1, invite: null });
});

Deno.test("the term that the survivor notes makes the witness refuse whatever the old node could ask", () => {
  const { actions } = play(stateIn({ kind: "solo", term: 5, invite: null }), REPLACED);
  const noted = actions.find((action) => action.kind === "note_term");
  assert.ok(noted);
  // It may have taken part in every term up to the survivor's own, which it cannot have had.
  for (const known of [0, 1, 4]) {
    const ask = { kind: "ask", node: "old", known, term: known + 1 } as const;
    assert.equal(
      decideGrant(NO_GRANT, ask).answer.kind,
      "granted",
      "the negative control: nothing was noted",
    );
    const { record } = decideGrant(NO_GRANT, { kind: "note", node: "survivor", term: noted.term });
    assert.equal(decideGrant(record, ask).answer.kind, "refused");
  }
});

Deno.test("a copy that comes back beside nobody does not start by itself, unless it ran alone last", () => {
  const wakes = (disk: GroupState["disk"]) =>
    play(
      {
        ...beginState({
          ...stateIn({ kind: "off" }).settings,
          arbiter: { ...witnessArbiter, judge: () => ({ kind: "grant", because: "silence" }) },
        }),
      },
      { kind: "begin", metadata: disk, start: false, durable: null },
      { kind: "peer", silent: true, lanAnswers: true, checked: true },
      { kind: "timer", timer: "decide" },
    ).state.phase.kind;
  assert.equal(wakes(metadata({ copy: "whole" })), "waiting", "a primary that was protected");
  assert.equal(wakes(metadata({ role: "backup", copy: "whole" })), "waiting", "a backup");
  assert.equal(wakes(metadata({ role: "backup", copy: "stale" })), "waiting", "a copy that was given up");
  assert.equal(
    wakes(metadata({ copy: "none" })),
    "starting",
    "one that ran alone: only the operator's word protects from it",
  );
  assert.equal(word().flags, FLAGS.COPY_WHOLE);
});

Deno.test("a sync that finds no line any more leaves the VM running alone; any other refusal is a failure of the engine", () => {
  const refused = (name: keyof typeof ENGINE_ERRORS) =>
    syncRefused(new EngineError("no", { op: "sync the backup", hint: "", code: -ENGINE_ERRORS[name] }));
  const syncing = stateIn({ kind: "syncing", term: 5, generation: 4, leaving: false });
  const lost = play(syncing, refused("ELINK"));
  assert.deepEqual(lost.state.phase, { kind: "syncing", term: 5, generation: 4, leaving: true });
  assert.deepEqual(lost.actions.map(({ kind }) => kind), ["alarm", "open"]);
  assert.equal(play(lost.state, { kind: "solo_open", term: 5 }).state.phase.kind, "solo");
  // The negative control.
  assert.ok(play(syncing, refused("ESTALE")).actions.some(({ kind }) => kind === "kill_qemu"));
});

const HOST = `
node = "press-a"
run_dir = "/run/x"
data_dir = "/var/x"
key_file = "/var/x/key"
port = 7820
arbiter = "lan"
link = [{ local = "10.0.1.1", peer = "10.0.1.2" }, { local = "10.0.2.9", peer = "10.0.2.2" }]
lan = { local = "10.0.0.1", peer = "10.0.0.2", bridge = "br0", reference = "10.0.0.254" }
`;

const host = (change: [string, string] = ["", ""]) =>
  parseHostConfig({ file: "host.toml", text: HOST.replace(...change) });

Deno.test("lines are told to the engine as it reads them", () => {
  assert.deepEqual(linesOf(host()), {
    lines: "10.0.1.1 10.0.1.2 10.0.2.9 10.0.2.2 10.0.0.1 10.0.0.2 10.0.0.254 br0",
    port: 7820,
    listen: 1,
  });
  const one = host([', { local = "10.0.2.9", peer = "10.0.2.2" }', ""]);
  assert.equal(linesOf(one).lines, "10.0.1.1 10.0.1.2 - - 10.0.0.1 10.0.0.2 10.0.0.254 br0");
  assert.deepEqual([yieldsTies(one), yieldsTies(host(["10.0.1.2", "10.0.1.0"]))], [false, true]);
});

Deno.test("a VM that runs takes other addresses, but no other arbiter, port, bridge or takeover time", () => {
  checkRelink(host(), host(["10.0.1.2", "10.0.1.77"]));
  checkRelink(host(), host(["10.0.0.254", "10.0.0.253"]));
  for (
    const change of [
      ["br0", "br1"],
      ["7820", "7824"],
      ['"lan"', '"manual"'],
      ['arbiter = "lan"', 'arbiter = "lan"\nheartbeat = { takeover_ms = 200 }'],
    ] as [string, string][]
  ) assert.throws(() => checkRelink(host(), host(change)), /Not while the VM runs/, change[1]);
});
