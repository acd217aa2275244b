import assert from "node:assert/strict";
import type { WitnessClient } from "../../lib/witness/client.ts";
import { openIdentity } from "../../lib/node/identity.ts";
import { clientOf, newIdentity, OwnProcess, setPairs, until } from "./kit.ts";

/** What two hosts were told, and whether it can all be true. */
class Ledger {
  readonly #holders = new Map<number, string>();
  newest = 0;
  grants = 0;
  problem: string | null = null;

  /** `before`: the newest grant that anybody had been told of when the question was asked. */
  granted(term: number, { host, before }: { host: string; before: number }): void {
    const holder = this.#holders.get(term) ?? host;
    if (holder !== host) this.problem ??= `term ${term} was granted to ${holder} and to ${host}`;
    if (term < before) this.problem ??= `term ${term} was granted to ${host} after term ${before} was`;
    this.#holders.set(term, host);
    this.newest = Math.max(this.newest, term);
    this.grants++;
  }
}

/** A host that takes part in every term that it hears of, and asks for the next, until `over`. It leaves it to the witness to know
 * which that is. */
async function insist(client: WitnessClient, of: { ledger: Ledger; host: string; over: () => boolean }) {
  const { ledger, host, over } = of;
  for (let known = 0; !over() && ledger.problem === null;) {
    const before = ledger.newest;
    const answer = await client.ask({ known, term: 1 }).catch(() => null);
    if (answer === null) continue;
    if (answer.kind === "granted") ledger.granted(answer.term, { host, before });
    known = answer.term;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Two hosts insist while the witness is killed and started `kills` times. */
async function killings(kills: number, program?: string[]): Promise<Ledger> {
  const data = await Deno.makeTempDir({ prefix: "witness-" });
  const ledger = new Ledger();
  let over = false;
  let witness: OwnProcess | undefined;
  const hosts: Promise<void>[] = [];
  const clients: WitnessClient[] = [];
  try {
    const { id } = openIdentity(data);
    const [a, b] = [newIdentity(), newIdentity()];
    await setPairs(data, [{ name: "press", hosts: [a.id, b.id] }]);
    const start = (port: number) => OwnProcess.start({ data, port, ...(program ? { program } : {}) });
    witness = await start(0);
    const { port } = witness;
    for (const identity of [a, b]) {
      const client = clientOf({ port, id }, { identity, answerMs: 10_000, version: "any" });
      clients.push(client);
      hosts.push(insist(client, { ledger, host: identity.id, over: () => over }));
    }
    for (let kill = 0; kill < kills && ledger.problem === null; kill++) {
      const goal = ledger.grants + 3 + Math.floor(Math.random() * 20);
      await until("some grants", () => ledger.grants >= goal || ledger.problem !== null);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5)); // anywhere in a question
      await witness.kill();
      witness = await start(port);
    }
    const goal = ledger.grants + 3;
    await until("grants after the last start", () => ledger.grants >= goal || ledger.problem !== null);
  } finally {
    over = true;
    for (const client of clients) await client[Symbol.asyncDispose]();
    await Promise.all(hosts);
    await witness?.kill();
    await Deno.remove(data, { recursive: true });
  }
  return ledger;
}

Deno.test("a witness that is killed at any moment forgets no grant and grants no term twice", async () => {
  const { problem, grants } = await killings(5);
  assert.equal(problem, null);
  assert.ok(grants > 18);
});

Deno.test("negative control: a witness that answers before it has written is found out by the same killings", async () => {
  const { problem } = await killings(4, [`${import.meta.dirname}/forgetful_main.ts`]);
  assert.match(problem ?? "", /^term \d+ was granted to /);
});
