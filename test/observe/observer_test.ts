import assert from "node:assert/strict";
import { ROOT, run } from "../../build/run.ts";
import { bundleWorkers } from "../../build/pack.ts";
import { PACKED_FLAGS } from "../../lib/cli/assets.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Observation } from "../../lib/observe/contracts.ts";
import { Observer } from "../../lib/observe/observer.ts";
import { workerUrl } from "../../lib/observe/store_thread.ts";
import { newEvent, Place, sampleAt } from "./kit.ts";

Deno.test("what is told is kept, asked for, and told on as it happens", async () => {
  using place = new Place();
  const seen: Observation[] = [];
  {
    await using observer = await Observer.open({ directory: place.path, node: "line-1-a" });
    using _ = observer.subscribe((what) => seen.push(what));
    observer.event(newEvent());
    observer.event(newEvent({ code: "vm.of_the_future", params: { x: 1 }, actor: "user:ann" }));
    // A value is missing, one is far too long: it is taken all the same.
    observer.event(newEvent({ code: "vm.failed", params: {} }));
    observer.event(newEvent({ text: "y".repeat(100_000), params: { why: "z".repeat(100_000) } }));
    observer.sample("press-1", sampleAt(Date.now(), Number.NaN));
    observer.sample("press-1", sampleAt(0, 3));
    const kept = await observer.query({ limit: 10 });
    assert.deepEqual(kept.map(({ text }) => text.slice(0, 40)), [
      "y".repeat(40),
      "vm.failed {}",
      'vm.of_the_future {"x":1}',
      "Runs on line-1-a.",
    ]);
    assert.deepEqual(kept.map(({ node, actor }) => [node, actor])[2], ["line-1-a", "user:ann"]);
    assert.ok(JSON.stringify(kept[0]).length < 3000);
    const history = await observer.history("press-1", {
      from_ms: Date.now() - 60_000,
      to_ms: Date.now() + 1000,
      points: 10,
    });
    assert.deepEqual(history.map(({ pause_us }) => pause_us), [3], "a stamp of long ago is not believed");
    await assert.rejects(
      observer.history("press-1", { from_ms: 2, to_ms: 1, points: 10 }),
      (error) => error instanceof ProblemError && error.code === "invalid",
    );
    assert.deepEqual(observer.state(), { events_kept: 4, events_lost: 0, samples_lost: 0, problem: null });
    assert.deepEqual(seen.map(({ kind }) => kind).sort(), [
      "event",
      "event",
      "event",
      "event",
      "sample",
      "sample",
    ]);
  }
  await using again = await Observer.open({ directory: place.path, node: "line-1-a" });
  assert.equal((await again.query({ limit: 10 })).length, 4);
});

Deno.test("a listener that throws harms neither the others nor the caller", async () => {
  using place = new Place();
  const warned: string[] = [], seen: string[] = [];
  await using observer = await Observer.open({
    directory: place.path,
    node: "n",
    warn: (text) => warned.push(text),
  });
  using _bad = observer.subscribe(() => {
    throw new Error("no");
  });
  using _good = observer.subscribe(({ kind }) => seen.push(kind));
  observer.sample("press-1", sampleAt(Date.now()));
  assert.deepEqual(seen, ["sample"]);
  assert.deepEqual(warned, ["a listener failed: no"]);
});

Deno.test("a flood is bounded: what finds no room is counted and said, and the caller never waits", async () => {
  using place = new Place();
  await using observer = await Observer.open({ directory: place.path, node: "n" });
  for (let i = 0; i < 12_000; i++) observer.event(newEvent());
  const { events_lost } = observer.state();
  assert.ok(events_lost > 5_000, `${events_lost}`);
  let lost = await observer.query({ limit: 10, search: "were not kept" });
  while (lost.length === 0) {
    observer.event(newEvent());
    lost = await observer.query({ limit: 10, search: "were not kept" });
  }
  assert.equal(lost.reduce((sum, { params }) => sum + Number(params.count), 0), events_lost);
});

Deno.test("a directory that is not there costs the events their place on the disk, and nothing else", async () => {
  using place = new Place();
  await using observer = await Observer.open({ directory: `${place.path}/none`, node: "n" });
  observer.event(newEvent());
  assert.equal((await observer.query({ limit: 1 }))[0]?.text, "Runs on line-1-a.");
  assert.match(observer.state().problem ?? "", /No such file/);
});

Deno.test("events that were told of are there after SIGKILL", async () => {
  using place = new Place();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `${ROOT}/test/observe/writer_main.ts`, place.path],
    stdout: "piped",
  }).spawn();
  let heard = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    heard += text;
    if (heard.split("\n").length > 300) break;
  }
  child.kill("SIGKILL");
  await child.status;
  await using observer = await Observer.open({ directory: place.path, node: "n" });
  const ids = new Set((await observer.query({ limit: 1000 })).map(({ id }) => id));
  const told = heard.split("\n").slice(0, -1).map(Number);
  assert.ok(told.length >= 299);
  assert.deepEqual(told.filter((id) => !ids.has(id)), []);
  assert.equal(observer.state().problem, null);
});

Deno.test("in a bundle the worker is found beside the code that starts it", async () => {
  using place = new Place();
  const main = `${place.path}/app/main.js`;
  await run([
    ...[Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "-o", main],
    `${ROOT}/test/observe/writer_main.ts`,
  ], { cwd: ROOT });
  const start = async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", ...PACKED_FLAGS, main, place.path, "3"],
      stdout: "piped",
      stderr: "piped",
    });
    const { stdout } = await child.output();
    return new TextDecoder().decode(stdout);
  };
  assert.equal(await start(), "", "without it nothing is kept (control)");
  await bundleWorkers(`${place.path}/app`);
  assert.equal(await start(), "1\n2\n3\n");
});

Deno.test("where the worker is follows from what the code is", () => {
  assert.equal(
    workerUrl("file:///s/lib/observe/store_thread.ts").href,
    "file:///s/lib/observe/store_worker.ts",
  );
  assert.equal(workerUrl("file:///app/serve-ABC.js").href, "file:///app/store_worker.js");
});

Deno.test("an event of the other node is cut to size, and its time is one that can have been", async () => {
  using place = new Place();
  await using observer = await Observer.open({ directory: place.path, node: "line-1-a" });
  const long = "x".repeat(500_000);
  const from = { ...newEvent(), node: "line-1-b", text: "t" };
  for (const at of ["no time", "9999-01-01T00:00:00Z", long]) {
    observer.taken({ ...from, at, node: long, actor: long, text: long });
  }
  observer.taken({ ...from, at: "2026-01-02T03:04:05Z" });
  const kept = await observer.query({ limit: 10 });
  assert.equal(kept.length, 4);
  assert.ok(JSON.stringify(kept).length < 12_000);
  assert.ok(kept.every(({ at }) => Date.parse(at) <= Date.now()), kept.map(({ at }) => at).join());
  assert.ok(kept.some(({ at }) => at === "2026-01-02T03:04:05.000Z"));
});
