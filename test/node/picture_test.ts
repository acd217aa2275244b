import assert from "node:assert/strict";
import type { NodeFacts } from "../../lib/node/facts.ts";
import { ofBoth, picture, type PictureParts } from "../../lib/node/picture.ts";
import type { VmReport } from "../../lib/node/vm/records.ts";
import { AT, node, pair, vm } from "../model/views.ts";

const facts = (name: string): NodeFacts => {
  const { self: _self, reachable: _reachable, since: _since, clock_offset_ms: _offset, ...rest } = node(name);
  return { ...rest, version: "0.1.0", privileged: true, started: AT };
};
const report = (active: number, out_mbit: number | null): VmReport => ({
  active,
  paths: [{ alive: true, rtt_us: 80 + (out_mbit ?? 0) }, { alive: true, rtt_us: null }, {
    alive: false,
    rtt_us: null,
  }],
  lines: [{ up: true, out_mbit, in_mbit: 1 }, { up: true, out_mbit: 0, in_mbit: null }],
} as VmReport);

function parts(more: Partial<PictureParts> = {}): PictureParts {
  return {
    facts: facts("a"),
    peer: {
      id: "b",
      name: "b",
      reachable: true,
      since_ms: Date.parse(AT),
      facts: facts("b"),
      clock_offset_ms: 3,
    },
    pair: pair({ arbiter: null }),
    arbiter: pair().arbiter,
    vms: [vm("press", "protected")],
    reports: [report(0, 12), report(0, 30)],
    jobs: [],
    alerts: [],
    ...more,
  };
}

Deno.test("the picture has this node first, then the other one, with what it said of itself", () => {
  const made = picture(parts());
  assert.deepEqual(made.nodes.map((one) => [one.name, one.self, one.clock_offset_ms]), [["a", true, 0], [
    "b",
    false,
    3,
  ]]);
  assert.equal(made.home.said.code, "home.protected");
});

Deno.test("of a node that is away nothing that passes is shown as if it were known", () => {
  const away = { ...parts().peer!, reachable: false };
  const [, other] = picture(parts({ peer: away })).nodes;
  assert.deepEqual(
    [other?.reachable, other?.memory_free_mib, other?.disk_free_bytes, other?.clock_offset_ms],
    [false, null, null, null],
  );
  assert.equal(other?.memory_mib, 16384);
  const [, stranger] = picture(parts({ peer: { ...away, facts: null } })).nodes;
  assert.equal(stranger?.version, null);
});

Deno.test("a line shows what all VMs send over it, and which one carries the data; what nobody measured is not zero", () => {
  const [a, b, lan] = picture(parts()).pair.paths;
  assert.deepEqual([a?.active, a?.out_mbit, a?.in_mbit], [true, 42, 2]);
  assert.deepEqual([b?.active, b?.out_mbit, b?.in_mbit], [false, 0, null]);
  assert.deepEqual([a?.rtt_us, b?.rtt_us], [92, 200], "the engine's round trip, where it has one");
  assert.equal(lan?.active, false);
  assert.deepEqual(picture(parts({ reports: [] })).pair.paths.map((path) => path.out_mbit), [null, null, 0]);
});

Deno.test("a node alone has no second node, and says so", () => {
  const made = picture(parts({ peer: null, arbiter: null, vms: [], reports: [] }));
  assert.equal(made.nodes.length, 1);
  assert.equal(made.home.said.code, "home.no_pair");
});

Deno.test("who decides is reachable when both nodes reach it: either may be the one that is left", () => {
  const here = { kind: "lan", state: "reachable", address: "10.0.0.254", id: null, since: null } as const;
  const seen = (state: "reachable" | "lost" | null | undefined) => ofBoth(here, { node: "press-b", state });
  for (const state of ["reachable", null, undefined] as const) assert.deepEqual(seen(state), here);
  assert.deepEqual(seen("lost"), { ...here, state: "lost", why: "press-b does not reach it" });
  const lost = { ...here, state: "lost", why: "10.0.0.254 does not answer" } as const;
  assert.deepEqual(ofBoth(lost, { node: "press-b", state: "reachable" }), lost);
  assert.equal(ofBoth(null, { node: "press-b", state: "lost" }), null);
});
