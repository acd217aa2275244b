import assert from "node:assert/strict";
import type { Setting } from "../../lib/bench/bed.ts";
import type { Figure } from "../../lib/bench/figures.ts";
import { choose, type Part, PARTS, runParts } from "../../lib/bench/parts.ts";
import { faultOf, type PowerOff } from "../../lib/bench/power_off.ts";
import { codecPart, trackerPart } from "../../lib/bench/programs.ts";
import { run } from "../../lib/cli/bench.ts";

function settingOf(changes: Partial<Setting> = {}) {
  const figures: Figure[] = [];
  const said: string[] = [];
  const setting: Setting = {
    self: [],
    kernel: { vmlinuz: "", modules: [] },
    guestInit: "",
    library: "",
    sources: undefined,
    quick: true,
    times: undefined,
    seed: 1,
    memory: 512,
    interrupted: new AbortController().signal,
    say: (text) => said.push(text),
    report: (figure) => figures.push(figure),
    ...changes,
  };
  return { setting, figures, said };
}

Deno.test("parts are run once, in the bench's order, however they are named", () => {
  assert.deepEqual(choose(["disk", "pause", "disk"]).map(({ name }) => name), ["pause", "disk"]);
  assert.equal(choose([]), PARTS);
  assert.equal(choose(["disk", "all"]), PARTS);
});

Deno.test("an unknown part, a bad number and an unknown option end with code 2 and the usage", async () => {
  for (
    const [args, what] of [
      [["diks"], /there is no part "diks"; parts: all, pause, /],
      [["disk", "--times", "0"], /--times is "0"; allowed: 1 to 10000/],
      [["disk", "--memory", "lots"], /--memory is "lots"/],
      [["--fast"], /--fast/],
    ] as const
  ) {
    const err: string[] = [];
    const io = { out: () => assert.fail("nothing was measured"), err: (line: string) => err.push(line) };
    assert.equal(await run([...args], io), 2);
    assert.match(err[0] ?? "", what);
    assert.match(err[1] ?? "", /^usage: iservft-edge bench/);
  }
});

Deno.test("a part that fails is named as not measured, and the next one still runs", async () => {
  const { setting, figures, said } = settingOf();
  const part = (name: string, work: () => Promise<void>): Part => ({ name, what: "", run: work });
  const failed = await runParts([
    part("first", () => Promise.reject(new Error("no bridge"))),
    part("second", () => {
      setting.report({ part: "second", what: "it", measured: 1, unit: "", samples: 1 });
      return Promise.resolve();
    }),
  ], setting);
  assert.equal(failed, 1);
  assert.deepEqual(figures.map(({ part, measured, note }) => [part, measured, note]), [
    ["first", null, "no bridge"],
    ["second", 1, undefined],
  ]);
  assert.deepEqual(said, ["first: no bridge"]);
});

Deno.test("an interrupt ends the run instead of counting as a failed part", async () => {
  const stop = new AbortController();
  const { setting, figures } = settingOf({ interrupted: stop.signal });
  const interrupted: Part = {
    name: "first",
    what: "",
    run: () => {
      stop.abort(new Error("interrupted"));
      return Promise.reject(new Error("the lab is gone"));
    },
  };
  await assert.rejects(runParts([interrupted, ...PARTS], setting), /^Error: interrupted$/);
  assert.deepEqual(figures, []);
});

Deno.test("without the source tree the parts that need a compiler say so and measure nothing", async () => {
  const { setting, figures } = settingOf();
  await trackerPart(setting);
  await codecPart(setting);
  assert.deepEqual(figures.map(({ part, measured }) => [part, measured]), [["tracker", null], [
    "codec",
    null,
  ]]);
  for (const { note } of figures) assert.match(note ?? "", /source tree and a compiler/);
});

Deno.test("each thing that a power-off may break is told; one that broke nothing is not", () => {
  const well: PowerOff = {
    host: "a",
    after_ms: 500,
    waiting_ms: 1,
    acknowledged: 100,
    lost: 0,
    connection: "survived",
    detection_ms: 100,
    decision_ms: 5,
    takeover_ms: 20,
    first_reply_ms: 200,
    memory_ok: true,
    disk_ok: true,
    fsck_clean: true,
    fsck: "",
  };
  assert.equal(faultOf(well), undefined);
  assert.equal(faultOf({ ...well, disk_ok: null, fsck_clean: null }), undefined);
  assert.equal(faultOf({ ...well, lost: 2 }), "2 acknowledged counts lost");
  assert.equal(faultOf({ ...well, connection: "broken" }), "connection broken");
  assert.equal(faultOf({ ...well, memory_ok: false }), "memory damaged");
  assert.equal(faultOf({ ...well, disk_ok: false }), "disk damaged");
  assert.equal(faultOf({ ...well, fsck_clean: false, fsck: "bad inode\nmore" }), "fsck: bad inode");
});
