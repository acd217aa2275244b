import assert from "node:assert/strict";
import { ENGLISH, english, EVENTS, NEXTS, VERDICTS } from "../../lib/model/english.ts";
import { homeVerdict, type Situation, whatIf } from "../../lib/model/verdicts.ts";
import { VM_STATES } from "../../lib/model/vm.ts";
import { node, pair, vm } from "./views.ts";

function situation(more: Partial<Situation> = {}): Situation {
  return { nodes: [node("a"), node("b")], pair: pair(), vms: [vm("press", "protected")], ...more };
}

const home = (more: Partial<Situation> = {}) => homeVerdict(situation(more));
const lost = [node("a"), node("b", { reachable: false })];
const path = (name: "a" | "b" | "lan", state: "up" | "down" | "unset") =>
  pair().paths.map((one) => one.name === name ? { ...one, state } : one);

Deno.test("home says 'safe to lose either machine' of a pair that is well, and in no other case", () => {
  assert.equal(english(home().said), "Protected: safe to lose either machine.");
  assert.equal(home().severity, "ok");
  for (const state of VM_STATES.filter((state) => state !== "protected")) {
    const verdict = home({ vms: [vm("press", state), vm("other", "protected")] });
    // One that does not run exposes nobody; one that should is told as undecided.
    const safe = state === "stopped";
    if (!safe) assert.notEqual(verdict.severity, "ok", state);
    if (!safe) assert.doesNotMatch(english(verdict.said), /safe to lose either/, state);
  }
});

Deno.test("each situation has its own sentence, and says what to do next where there is something to do", () => {
  const unset = pair({ settings: null });
  const cases: [string, Partial<Situation>, string, string | null][] = [
    ["a node alone", { nodes: [node("a")], vms: [] }, "home.no_pair", "next.pair"],
    ["paired, no addresses", { pair: unset, vms: [] }, "home.no_vms", "next.set_up_links"],
    ["no VM", { vms: [] }, "home.no_vms", "next.create_vm"],
    [
      "all stopped",
      { vms: [vm("x", "stopped", { wanted: { running: false, protected: true } })] },
      "home.stopped",
      "next.start_vm",
    ],
    ["unprotected", { vms: [vm("x", "unprotected")] }, "home.some_unprotected", "next.wait"],
    ["diverged", { vms: [vm("x", "diverged")] }, "home.diverged", "next.pick"],
    ["failed", { vms: [vm("x", "failed")] }, "home.vm_down", "next.read_logs"],
    ["deciding", { vms: [vm("x", "deciding")] }, "home.undecided", "next.check_peer"],
    ["waiting", { vms: [vm("x", "waiting")] }, "home.undecided", "next.check_peer"],
    ["degraded", { vms: [vm("x", "degraded")] }, "home.degraded", "next.faster_link"],
    ["moving", { vms: [vm("x", "moving")] }, "home.moving", "next.wait"],
    ["taking over", { vms: [vm("x", "taking_over")] }, "home.moving", "next.wait"],
    ["peer lost", { nodes: lost, vms: [vm("x", "unprotected")] }, "home.peer_lost", "next.check_peer"],
    [
      "peer lost, unknown",
      { nodes: lost, vms: [vm("x", "unknown")] },
      "home.peer_lost_unknown",
      "next.check_peer",
    ],
    ["peer lost, idle", { nodes: lost, vms: [] }, "home.peer_lost_idle", "next.check_peer"],
    ["the other service is down", { nodes: lost }, "home.peer_service_lost", "next.check_peer"],
    [
      "arbiter lost",
      { pair: pair({ arbiter: { ...pair().arbiter!, state: "lost" } }) },
      "home.protected_no_arbiter",
      "next.check_arbiter",
    ],
    ["no LAN", { pair: pair({ paths: path("lan", "down") }) }, "home.protected_no_lan", "next.check_line"],
    ["not known", { vms: [vm("x", "unknown"), vm("y", "protected")] }, "home.unknown", "next.wait"],
    ["one line", { pair: pair({ paths: path("b", "down") }) }, "home.protected_one_line", "next.check_line"],
    [
      "manual",
      { pair: pair({ arbiter: { ...pair().arbiter!, kind: "manual", state: "none" } }) },
      "home.protected_manual",
      null,
    ],
  ];
  for (const [name, given, code, next] of cases) {
    const verdict = home(given);
    assert.equal(verdict.said.code, code, name);
    assert.equal(verdict.next?.code ?? null, next, name);
    assert.ok(english(verdict.said).length > 5 && !english(verdict.said).includes("{"), name);
    if (verdict.next !== null) assert.doesNotMatch(english(verdict.next), /\{/, name);
  }
});

Deno.test("a sync is told with its percent and what is left, never as done before it is", () => {
  const sync = { done_bytes: 1000, total_bytes: 1000, rate_bytes_per_s: 10, eta_s: 3.2 };
  const verdict = home({ vms: [vm("x", "syncing", { sync })] });
  assert.equal(english(verdict.said), "Not protected yet: x is being copied to b (99 %).");
  assert.deepEqual(verdict.next, { code: "next.wait_sync", params: { seconds: 4 } });
});

Deno.test("what if: a protected VM goes on, an unprotected one dies with its host, whatever the other one does", () => {
  const vms = [
    vm("safe", "protected"),
    vm("bare", "unprotected"),
    vm("far", "protected", { runs_on: "b", backup_on: "a" }),
  ];
  const said = (what: string, more: Partial<Situation> = {}) =>
    whatIf(situation({ vms, ...more })).filter((one) => one.what === what).map((one) =>
      one.verdict.said.code
    );
  assert.deepEqual(said("node:a"), ["if.node_goes_on", "if.node_dies_too", "if.node_backup"]);
  assert.deepEqual(said("node:b"), ["if.node_goes_on", "if.node_backup"]);
  assert.deepEqual(said("link:a"), ["if.line_moves"]);
  assert.deepEqual(said("link:b"), ["if.line_spare"]);
  assert.deepEqual(said("link:a", { pair: pair({ paths: path("b", "down") }) }), ["if.line_last"]);
  assert.deepEqual(said("link:b", { pair: pair({ paths: path("b", "unset") }) }), ["if.unset"]);
  assert.deepEqual(said("lan"), ["if.lan"]);
  assert.deepEqual(said("arbiter"), ["if.witness"]);
  assert.deepEqual(said("arbiter", { vms: [vm("bare", "unprotected")] }), ["if.arbiter_idle"]);
  const alone = { nodes: lost, vms: [vm("x", "unprotected")] };
  assert.deepEqual(said("node:b", alone), ["if.node_gone"]);
  assert.deepEqual(said("node:a", alone), ["if.node_dies_too"]);
  const dead = pair({ arbiter: { ...pair().arbiter!, state: "lost" } });
  assert.deepEqual(said("node:b", { pair: dead }), ["if.node_waits", "if.node_backup"]);
  const manual = pair({ arbiter: { ...pair().arbiter!, kind: "manual", state: "none" } });
  assert.deepEqual(said("node:b", { pair: manual }), ["if.node_waits_person", "if.node_backup"]);
  for (
    const one of [
      ...whatIf(situation({ vms })),
      ...whatIf(situation({ vms, pair: dead })),
      ...whatIf(situation({ vms, pair: manual })),
    ]
  ) {
    assert.doesNotMatch(english(one.verdict.said), /\{/);
  }
});

Deno.test("a sentence that lacks a value is an error, not a hole", () => {
  assert.throws(() => english({ code: "state.unprotected", params: {} }), /lacks \{node\}/);
  const codes = [VERDICTS, NEXTS, EVENTS].flatMap((part) => Object.keys(part));
  assert.equal(new Set(codes).size, codes.length, "a code has one meaning");
  assert.ok(Object.values(ENGLISH).every((text) => /[.}]$/.test(text)));
});
