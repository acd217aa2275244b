import assert from "node:assert/strict";
import {
  beginLadder,
  type Change,
  climb,
  type DegradationPolicy,
  DOWN_DWELL_MS,
  type LadderState,
  type Rung,
  rungs,
  type Sample,
  UP_MS,
} from "../../lib/group/ladder.ts";
import { seeded } from "../../lib/lab/random.ts";

const POLICY: DegradationPolicy = {
  order: ["longer", "slower", "asynchronous"],
  max_added_ms: 500,
  throttle_max_percent: 80,
};
const LEVELS = ["full", "longer", "slower", "asynchronous"];
const SAMPLE_MS = 250;

function sample(t_ms: number, measured: Partial<Sample> = {}): Sample {
  const easy = { latency_ms: 5, inflight: 1, wanted_bytes_s: 1e5, line_bytes_s: 1e8, stalled: false };
  return { ...easy, t_ms, ...measured };
}
const STRAIN = { latency_ms: 2000, wanted_bytes_s: 2.4e6, line_bytes_s: 2.5e6 } as const;

interface Told {
  t_ms: number;
  change: Change | null;
  stuck: string | null;
}

/** A guest that makes `demand` bytes a second at full pace, a line that takes `line`: what the ladder would measure. */
class Load {
  state: LadderState = beginLadder();
  readonly told: Told[] = [];
  t_ms = 0;
  #latency_ms = 5;

  constructor(readonly policy: DegradationPolicy = POLICY) {}

  get rung(): Rung {
    return rungs(this.policy)[this.state.rung]!;
  }

  get changes(): Change[] {
    return this.told.flatMap(({ change }) => change ?? []);
  }

  /** Lets time pass; `demand` may depend on it. */
  run(ms: number, at: (t_ms: number) => { demand: number; line: number; noise?: number }): void {
    for (const end = this.t_ms + ms; this.t_ms < end;) {
      this.t_ms += SAMPLE_MS;
      const { demand, line, noise = 1 } = at(this.t_ms);
      const { percent, epoch_ms } = this.rung;
      // Longer epochs send a page that is written again and again only once.
      const made = demand * (1 - percent / 100) * noise / (1 + (epoch_ms ?? 0) / 400);
      this.#latency_ms = made > line ? Math.min(this.#latency_ms + SAMPLE_MS, 3000) : 5 + 100 * made / line;
      const measured = {
        latency_ms: this.#latency_ms,
        wanted_bytes_s: Math.min(made, line),
        line_bytes_s: line,
      };
      const { state, change, stuck } = climb(this.state, sample(this.t_ms, measured), this.policy);
      this.state = state;
      if (change !== null || stuck !== null) this.told.push({ t_ms: this.t_ms, change, stuck });
    }
  }
}

Deno.test("the ladder has what the policy allows, in its order, within its bounds", () => {
  const all = rungs(POLICY);
  assert.deepEqual(all.map(({ level }) => LEVELS.indexOf(level)), [0, 1, 1, 1, 2, 2, 2, 2, 3]);
  assert.deepEqual(all.map(({ percent }) => percent), [0, 0, 0, 0, 20, 40, 60, 80, 0]);
  assert.deepEqual(all.slice(1, 4).map(({ epoch_ms }) => epoch_ms), [25, 100, 400]);
  assert.deepEqual(rungs({ ...POLICY, order: [] }).map(({ level }) => level), ["full"]);
  const slower = rungs({ ...POLICY, order: ["slower"], throttle_max_percent: 50 });
  assert.deepEqual(slower.map(({ percent }) => percent), [0, 20, 40, 50]);
  assert.ok(slower.every(({ epoch_ms }) => epoch_ms === null));
});

Deno.test("lasting strain goes down one rung at a time, each with time to show its effect, to the last one and no further", () => {
  let state = beginLadder();
  let last = -Infinity;
  const seen: string[] = [];
  for (let t = 0; t < 60_000; t += SAMPLE_MS) {
    const step = climb(state, sample(t, STRAIN), POLICY);
    if (step.change !== null) {
      assert.equal(step.state.rung, state.rung + 1);
      assert.ok(t - last >= DOWN_DWELL_MS);
      last = t;
      seen.push(step.change.to.level);
    }
    state = step.state;
  }
  assert.deepEqual([...new Set(seen)], ["longer", "slower", "asynchronous"]);
  assert.equal(seen.length, rungs(POLICY).length - 1);
});

Deno.test("each change names what was measured and the bound", () => {
  const { change } = [0, 250, 500, 750].reduce(
    (step, t) => climb(step.state, sample(t, STRAIN), POLICY),
    climb(beginLadder(), sample(-250), POLICY),
  );
  assert.match(
    change?.why ?? "",
    /a commit takes 2000 ms, the bound is 500 ms; the guest makes 19 Mbit\/s, the backup takes 20 Mbit\/s/,
  );
});

Deno.test("one large epoch is no strain", () => {
  let state = beginLadder();
  for (let t = 0; t < 60_000; t += SAMPLE_MS) {
    const large = t % 5000 < 750 ? STRAIN : {};
    state = climb(state, sample(t, large), POLICY).state;
  }
  assert.equal(state.rung, 0);
});

Deno.test("nothing committed is strain whatever the newest commit took", () => {
  let state = beginLadder();
  for (let t = 0; t < 3000; t += SAMPLE_MS) state = climb(state, sample(t, { stalled: true }), POLICY).state;
  assert.ok(state.rung > 0);
});

Deno.test("without a rung below, it says once that the backup does not keep up, and again after it did", () => {
  const load = new Load({ ...POLICY, order: [] });
  load.run(30_000, () => ({ demand: 4e6, line: 1e6 }));
  assert.deepEqual(load.told.map(({ change, stuck }) => [change, typeof stuck]), [[null, "string"]]);
  load.run(10_000, () => ({ demand: 1e5, line: 1e6 }));
  assert.equal(load.state.stuck, false);
  load.run(10_000, () => ({ demand: 4e6, line: 1e6 }));
  assert.equal(load.told.length, 2);
  assert.equal(load.rung.level, "full");
});

Deno.test("a load that fits after some rungs stays there: it does not flap", () => {
  for (const demand of [1.1, 1.5, 2, 3, 4, 6, 9]) {
    const load = new Load();
    load.run(600_000, () => ({ demand: demand * 1e6, line: 1e6 }));
    const late = load.told.filter(({ t_ms }) => t_ms > 60_000);
    assert.ok(load.state.rung > 0, `${demand} times the line is not taken at full pace`);
    assert.ok(late.length <= 10, `${demand}: ${late.length} changes in nine minutes of the same load`);
  }
});

Deno.test("more load never ends at a higher rung", () => {
  let before = 0;
  for (const demand of [0.5, 1.5, 2.2, 3, 4, 6, 9, 20]) {
    const load = new Load();
    load.run(50_000, () => ({ demand: demand * 1e6, line: 1e6 }));
    assert.ok(load.state.rung >= before, `${demand}: rung ${load.state.rung} after ${before}`);
    before = load.state.rung;
  }
  assert.equal(before, rungs(POLICY).length - 1);
});

Deno.test("when there is room it goes back to full, one rung at a time, and not at once", () => {
  const load = new Load();
  load.run(60_000, () => ({ demand: 2e7, line: 1e6 }));
  assert.equal(load.rung.level, "asynchronous");
  const down = load.told.length;
  const from = load.t_ms;
  load.run(120_000, () => ({ demand: 2e6, line: 1.2e8 }));
  assert.equal(load.rung.level, "full");
  const up = load.told.slice(down);
  assert.ok(up.every(({ change }) => change !== null && !change.down));
  assert.equal(up.length, rungs(POLICY).length - 1);
  let last = from;
  for (const { t_ms } of up) {
    assert.ok(t_ms - last >= UP_MS);
    last = t_ms;
  }
});

Deno.test("a rise that would not fit, by what the line takes, is not tried", () => {
  const load = new Load();
  // At 80 % slower the guest makes 0.7 of what the line takes; at 60 % it would be 1.4.
  load.run(600_000, () => ({ demand: 7e6, line: 1e6 }));
  assert.ok(load.changes.every(({ down }) => down));
});

Deno.test("random loads: each step is one rung, with its reason; calm always leads back to full; changes stay rare", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = seeded(seed);
    const order = LEVELS.slice(1).filter(() => random() < 0.7) as DegradationPolicy["order"];
    const load = new Load({ ...POLICY, order, throttle_max_percent: 20 + Math.floor(random() * 70) });
    let [demand, line] = [1e6, 1e8];
    for (let i = 0; i < 20; i++) {
      demand = 10 ** (4 + 4 * random());
      line = 10 ** (6 + 2 * random());
      load.run(5000 + 40_000 * random(), () => ({ demand, line, noise: 0.5 + random() }));
    }
    const hours = load.t_ms / 3.6e6;
    assert.ok(
      load.changes.length / hours < 700,
      `seed ${seed}: ${load.changes.length} changes in ${hours} h`,
    );
    for (const { from, to, down, why } of load.changes) {
      const ladder = rungs(load.policy);
      const index = (rung: Rung) =>
        ladder.findIndex((other) => JSON.stringify(other) === JSON.stringify(rung));
      assert.equal(index(to) - index(from), down ? 1 : -1, `seed ${seed}`);
      assert.match(why, /\d+ ms.*Mbit\/s/);
    }
    load.run(15 * 60_000, () => ({ demand: 1e4, line: 1e8 }));
    assert.equal(load.rung.level, "full", `seed ${seed}`);
  }
});
