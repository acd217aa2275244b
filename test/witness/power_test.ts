import assert from "node:assert/strict";
import { type GrantStore, openStore } from "../../lib/witness/store.ts";
import { type Omissions, PowerDisk, PowerLost } from "./power_disk.ts";

const NAME = { pair: "press", vm: "scada" };
const QUESTIONS = ["a", "a", "b", "a", "b"];

interface Answered {
  term: number;
  holder: string;
}

/** Asks until the power goes; what was answered last, and by how much the disk may be ahead of it. */
async function askUntilPowerLoss(disk: PowerDisk): Promise<Answered> {
  const answered: Answered = { term: 0, holder: "" };
  try {
    const store = await openStore("/data", disk);
    for (const node of QUESTIONS) {
      const answer = await store.decide(NAME, { kind: "ask", node, known: answered.term, term: 1 });
      assert.equal(answer?.kind, "granted");
      Object.assign(answered, { term: answered.term + 1, holder: node });
    }
  } catch (error) {
    if (!(error instanceof PowerLost) && !((error as Error).cause instanceof PowerLost)) throw error;
  }
  return answered;
}

/** What is wrong with a store after the power is back; null: nothing. */
async function problemOf(store: GrantStore, answered: Answered): Promise<string | null> {
  const [view] = await store.views();
  const { term = 0, holder = null, problem = null } = view ?? {};
  if (problem !== null) return `refused: ${problem}`;
  if (term < answered.term) return `term ${answered.term} was answered, ${term} is remembered`;
  if (term === answered.term && term > 0 && holder !== answered.holder) {
    return `term ${term} is now ${holder}'s`;
  }
  if (term > answered.term + 1) return `term ${term} was never asked for`;
  const other = await store.decide(NAME, {
    kind: "ask",
    node: "c",
    known: Math.max(0, answered.term - 1),
    term: 1,
  });
  if (answered.term > 0 && other?.kind === "granted") {
    return `what ${answered.holder} has was granted to another`;
  }
  return null;
}

/** Loses power at every step, with every part of what was not synced; the first problem, and how many were looked at. */
async function lossesEverywhere(omit: Omissions = {}): Promise<{ problem: string | null; cases: number }> {
  let cases = 0;
  for (let step = 0;; step++) {
    const disk = new PowerDisk();
    disk.left = step;
    disk.omit = omit;
    const answered = await askUntilPowerLoss(disk);
    for (const after of disk.after()) {
      cases++;
      const problem = await problemOf(await openStore("/data", after), answered);
      if (problem !== null) return { problem: `power lost at step ${step}: ${problem}`, cases };
    }
    if (disk.steps <= step) return { problem: null, cases };
  }
}

Deno.test("a power loss at any step, with any part of what was not synced lost, forgets no grant that was answered", async () => {
  const { problem, cases } = await lossesEverywhere();
  assert.equal(problem, null);
  assert.ok(cases > 200, `only ${cases} cases`);
});

for (
  const [what, omit] of [
    ["a grant's contents are not synced", { contents: true }],
    ["its directory is not synced", { directory: (path: string) => path.endsWith("/press") }],
    ["a new pair's directory is not synced", { directory: (path: string) => path.endsWith("/groups") }],
  ] as const
) {
  Deno.test(`negative control: when ${what}, a power loss is found to forget a grant`, async () => {
    const { problem } = await lossesEverywhere(omit);
    assert.match(
      problem ?? "",
      /^power lost at step \d+: (refused: .* damaged|term \d+ was answered, \d+ is remembered)/,
    );
  });
}
