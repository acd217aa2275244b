import assert from "node:assert/strict";
import { run } from "../../lib/cli/bench.ts";
import { labIds } from "../../lib/lab/places.ts";

interface Line {
  event: string;
  part: string;
  what: string;
  measured: number | null;
  samples: number;
  reached: boolean | null;
  data: { problems: string[]; faults: string[] };
}

Deno.test("bench takeover measures a power-off from end to end, in lines of JSON, and leaves no lab behind", async () => {
  const own = `b${Deno.pid.toString(36).slice(-5)}`;
  const out: string[] = [];
  const err: string[] = [];
  const io = { out: (line: string) => out.push(line), err: (line: string) => err.push(line) };
  const code = await run(
    ["takeover", "--quick", "--times", "1", "--memory", "256", "--seed", "3", "--json"],
    io,
  );
  const lines: Line[] = out.map((line) => JSON.parse(line));
  assert.equal(code, 0, err.join("\n"));
  assert.equal(lines[0]?.event, "machine");
  const figures = lines.filter(({ event }) => event === "figure");
  assert.ok(figures.every(({ part }) => part === "takeover"));
  const kept = figures.find(({ what }) => what === "power-offs that did not go as promised");
  assert.equal(
    kept?.measured,
    0,
    `${kept?.data.problems.join()} ${kept?.data.faults.join()}\n${err.join("\n")}`,
  );
  for (const what of ["decision to the guest's first frame, p50", "power off to the first reply, p50"]) {
    const figure = figures.find((candidate) => candidate.what === what);
    assert.equal(figure?.samples, 1, what);
    assert.ok((figure?.measured ?? 0) > 0, what);
    assert.notEqual(figure?.reached, null, what);
  }
  assert.ok(err.some((line) => line.includes("seed 3")), "the seed is said");
  assert.deepEqual(labIds().filter((id) => id.startsWith(own)), []);
});
