import assert from "node:assert/strict";
import type { Snapshot } from "../../lib/model/backend.ts";
import type { VmState, VmView } from "../../lib/model/vm.ts";
import { AlertBook, type BookRules, CLEAR_MS } from "../../lib/observe/alerts/book.ts";
import { type Condition, conditionsOf, firstOfTwo } from "../../lib/observe/alerts/conditions.ts";
import type { AlertExtras } from "../../lib/observe/contracts.ts";
import { fakeSnapshot } from "../ui/fake_data.ts";

const EXTRAS: AlertExtras = { peer_telling: null, checks: [], audit: null };
const RULES: BookRules = {
  threshold: "warning",
  repeat_ms: 3_600_000,
  first: true,
  able: true,
  peer_telling: new Set(),
};

function with_(change: (snapshot: Snapshot) => void): Snapshot {
  const snapshot = fakeSnapshot();
  snapshot.vms = snapshot.vms.slice(0, 1);
  change(snapshot);
  return snapshot;
}

const keys = (snapshot: Snapshot, extras: Partial<AlertExtras> = {}, problem: string | null = null) =>
  conditionsOf(snapshot, { ...EXTRAS, ...extras }, problem)
    .map(({ key, severity, quiet }) => `${key} ${severity}${quiet ? " quiet" : ""}`);
const vmIs = (state: VmState, other: Partial<VmView> = {}) =>
  keys(with_(({ vms }) => Object.assign(vms[0]!, { state, ...other })));

Deno.test("a pair that is well has no alert", () => {
  assert.deepEqual(keys(with_(() => {})), []);
});

Deno.test("each state of a VM that is not as wanted is an alert, and no other", () => {
  assert.deepEqual(vmIs("unprotected"), ["vm/press-1/unprotected warning"]);
  assert.deepEqual(vmIs("unprotected", { wanted: { running: true, protected: false } }), []);
  assert.deepEqual(vmIs("syncing"), ["vm/press-1/unprotected warning"]);
  assert.deepEqual(vmIs("degraded"), ["vm/press-1/degraded warning"]);
  assert.deepEqual(vmIs("deciding"), ["vm/press-1/deciding critical"]);
  assert.deepEqual(vmIs("waiting"), ["vm/press-1/waiting critical"]);
  assert.deepEqual(vmIs("waiting", { wanted: { running: false, protected: true } }), []);
  assert.deepEqual(vmIs("diverged"), ["vm/press-1/diverged critical"]);
  assert.deepEqual(vmIs("failed"), ["vm/press-1/failed critical"]);
  for (const state of ["stopped", "starting", "protected", "moving", "taking_over"] as const) {
    assert.deepEqual(vmIs(state), []);
  }
  assert.ok(vmIs("unknown").every((key) => key.endsWith(" quiet")));
});

Deno.test("the pair's lines, arbiter and clocks, and the node's disk, checks, audit log and events are watched", () => {
  const lost = with_(({ nodes, pair }) => {
    nodes[1]!.reachable = false;
    for (const path of pair.paths) path.state = "down";
  });
  assert.deepEqual(keys(lost).filter((key) => !key.endsWith("quiet")), ["node/press-b/lost critical"]);
  const line = with_(({ pair }) => {
    pair.paths.find(({ name }) => name === "b")!.state = "down";
    pair.paths.find(({ name }) => name === "lan")!.state = "down";
    pair.arbiter!.state = "lost";
  });
  assert.deepEqual(keys(line), ["link/b/down warning", "link/lan/down warning", "arbiter/lost warning"]);
  const clock = with_(({ nodes }) => nodes[1]!.clock_offset_ms = -7_000);
  assert.deepEqual(keys(clock), ["clock/offset warning"]);
  const disk = (free: number) =>
    keys(with_(({ nodes }) => nodes[0]!.disk_free_bytes = nodes[0]!.disk_bytes! * free));
  assert.deepEqual(disk(0.11), []);
  assert.deepEqual(disk(0.09), ["node/press-a/disk warning"]);
  assert.deepEqual(disk(0.02), ["node/press-a/disk critical"]);
  const check = { id: "kvm", node: "press-a", title: "t", seen: "s", why: "w", fix: "f" };
  assert.deepEqual(
    keys(
      with_(() => {}),
      {
        audit: "line 7",
        checks: [{ ...check, state: "failed" }, { ...check, id: "x", state: "warning" }, {
          ...{ ...check, id: "y", state: "failed", node: "press-b" },
        }],
      },
      "disk full",
    ),
    ["check/press-a/kvm warning", "node/press-a/audit critical", "node/press-a/events warning"],
  );
  const alone = with_((snapshot) => {
    snapshot.pair.pairing = { step: "none" };
    for (const path of snapshot.pair.paths) path.state = "down";
  });
  assert.deepEqual(keys(alone), []);
});

const DOWN: Condition = {
  key: "link/a/down",
  severity: "warning",
  code: "alert.line_down",
  params: { line: "A" },
  text: "Replication line A is down.",
  hold_ms: 5_000,
  shared: true,
  quiet: false,
};

/** Plays a second-by-second story; returns what was told, with the second. */
function play(
  seconds: number,
  at: (second: number) => readonly Condition[],
  rules: Partial<BookRules> | ((second: number) => Partial<BookRules>) = {},
): string[] {
  const book = new AlertBook();
  const said: string[] = [];
  for (let second = 0; second < seconds; second++) {
    const given = typeof rules === "function" ? rules(second) : rules;
    const turn = book.step(at(second), { now_ms: second * 1000, at: "now" }, { ...RULES, ...given });
    for (const { kind, lasting } of turn.tell) said.push(`${second} ${kind} ${lasting.condition.key}`);
  }
  return said;
}

Deno.test("a condition is told once when it lasted its hold, and once when it is over", () => {
  assert.deepEqual(play(200, (s) => s >= 10 && s < 100 ? [DOWN] : []), [
    "15 raised link/a/down",
    "115 cleared link/a/down",
  ]);
});

Deno.test("a blip is not told, and without the hold it would be (control)", () => {
  assert.deepEqual(play(100, (s) => s === 10 || s === 50 ? [DOWN] : []), []);
  assert.equal(play(100, (s) => s === 10 ? [{ ...DOWN, hold_ms: 0 }] : []).length, 2);
});

Deno.test("what flaps is one alert, with one end", () => {
  const said = play(600, (s) => s < 500 && s % 4 < 2 ? [DOWN] : []);
  assert.deepEqual(said.map((line) => line.split(" ")[1]), ["raised", "cleared"]);
});

Deno.test("what comes back soon after its end must last longer before it is told again, and in the end is", () => {
  // 20 s there, 40 s away, over and over; then it stays.
  const said = play(3_000, (s) => s > 2_000 || s % 60 < 20 ? [DOWN] : []);
  assert.deepEqual(said.slice(0, 2), ["5 raised link/a/down", "35 cleared link/a/down"]);
  assert.equal(said.length, 3);
  assert.match(said[2]!, /raised/);
});

Deno.test("what lasts is told again after the set time, and not before", () => {
  const said = play(400, () => [DOWN], { repeat_ms: 120_000 });
  assert.deepEqual(said.map((line) => line.split(" ").slice(0, 2).join(" ")), [
    "5 raised",
    "125 repeated",
    "245 repeated",
    "365 repeated",
  ]);
});

Deno.test("what gets worse is told at once", () => {
  const said = play(60, (s) => [{ ...DOWN, severity: s < 20 ? "warning" : "critical" }]);
  assert.deepEqual(said, ["5 raised link/a/down", "20 raised link/a/down"]);
});

Deno.test("below the threshold nothing is told, its end neither", () => {
  assert.deepEqual(play(200, (s) => s < 50 ? [DOWN] : [], { threshold: "critical" }), []);
});

Deno.test("what began before there was a channel is told when there is one", () => {
  const rules = (s: number) => ({ able: s >= 50 });
  assert.deepEqual(play(100, () => [DOWN], rules), ["50 raised link/a/down"]);
  assert.deepEqual(play(100, (s) => s < 20 ? [DOWN] : [], rules), [], "its end alone is no news");
});

Deno.test("while it cannot be known whether it holds, what was raised stays raised and nothing is raised", () => {
  const quiet = { ...DOWN, quiet: true };
  assert.deepEqual(play(300, (s) => s < 20 ? [DOWN] : s < 200 ? [quiet] : []), [
    "5 raised link/a/down",
    "215 cleared link/a/down",
  ]);
  assert.deepEqual(play(300, () => [quiet]), []);
});

Deno.test("of two nodes that are well one tells; if that one does not, the other one does", () => {
  const second = { first: false };
  const tells = { ...second, peer_telling: new Set(["link/a/down"]) };
  assert.deepEqual(play(100, () => [DOWN], tells), []);
  assert.deepEqual(play(100, () => [DOWN], { ...second, peer_telling: new Set() }), [
    "15 raised link/a/down",
  ]);
  assert.deepEqual(play(100, () => [DOWN], { ...second, peer_telling: null }), ["5 raised link/a/down"]);
  // The first one dies in the middle of it.
  assert.deepEqual(play(100, () => [DOWN], (s) => s < 50 ? tells : { first: true }), [
    "50 raised link/a/down",
  ]);
  // What is this node's own it tells in any case.
  assert.equal(play(100, () => [{ ...DOWN, shared: false }], tells).length, 1);
});

Deno.test("whatever the two think of each other, at least one tells of what both see", () => {
  const view = (self: string, other: string, reachable: boolean) =>
    with_(({ nodes }) => {
      Object.assign(nodes[0]!, { id: self });
      Object.assign(nodes[1]!, { id: other, reachable });
    });
  for (const a of [true, false]) {
    for (const b of [true, false]) {
      const told = [view("A", "B", a), view("B", "A", b)].map(firstOfTwo);
      assert.ok(told.includes(true), `${a} ${b}`);
      assert.equal(told.filter(Boolean).length, b ? 1 : 2);
    }
  }
});

Deno.test("the end is told also after a restart, and what was told is not told again", () => {
  const before = new AlertBook();
  for (let s = 0; s < 10; s++) before.step([DOWN], { now_ms: s * 1000, at: "then" }, RULES);
  const after = new AlertBook();
  after.restore(JSON.parse(JSON.stringify(before.dump())), 0);
  assert.deepEqual(after.step([DOWN], { now_ms: 1000, at: "now" }, RULES).tell, []);
  assert.deepEqual(after.active().map(({ since }) => since), ["then"]);
  after.step([], { now_ms: 2000, at: "now" }, RULES);
  const { tell } = after.step([], { now_ms: 2000 + CLEAR_MS, at: "now" }, RULES);
  assert.deepEqual(tell.map(({ kind }) => kind), ["cleared"]);
  assert.throws(() => new AlertBook().restore([{ condition: {} }], 0));
});
