import assert from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import { askWitness } from "../../lib/witness/probe.ts";
import { clientOf, InProcess, newIdentity, soon, until } from "./kit.ts";

const [a, b] = [newIdentity(), newIdentity()];
const PAIR = { name: "press", hosts: [a.id, b.id] as [string, string] };

/** What a client's watch was told. */
function watching(client: ReturnType<typeof clientOf>): { reachable: boolean; why: string }[] {
  const told: { reachable: boolean; why: string }[] = [];
  client.watch((reachable, why) => told.push({ reachable, why }));
  return told;
}

Deno.test("of two hosts that know the same and ask in the same instant exactly one is granted, every time", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  await using one = clientOf(witness, { identity: a });
  await using two = clientOf(witness, { identity: b });
  for (let known = 0; known < 60;) {
    const question = { known, term: known + 1 };
    const answers = await Promise.all([one.ask(question), two.ask(question)]);
    const granted = answers.filter(({ kind }) => kind === "granted");
    assert.equal(granted.length, 1, JSON.stringify(answers));
    assert.ok(granted[0]!.term > known);
    known = granted[0]!.term;
  }
});

Deno.test("a question that is asked again gets the same answer; a term that was given back is free", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  await using one = clientOf(witness, { identity: a });
  await using two = clientOf(witness, { identity: b });
  assert.deepEqual(await one.ask({ known: 3, term: 4 }), { kind: "granted", term: 4 });
  assert.deepEqual(await one.ask({ known: 3, term: 4 }), { kind: "granted", term: 4 });
  assert.deepEqual(await two.ask({ known: 3, term: 4 }), { kind: "refused", term: 4, holder: a.id });
  await one.release(4);
  assert.deepEqual(await two.ask({ known: 3, term: 4 }), { kind: "granted", term: 5 });
  await one.note(9);
  assert.deepEqual(await two.ask({ known: 5, term: 6 }), { kind: "refused", term: 9, holder: a.id });
});

Deno.test("watch tells soon that the witness is there, and then that it is gone and why", async () => {
  const witness = await InProcess.start({ pairs: [PAIR] });
  await using client = clientOf(witness, { identity: a });
  const told = watching(client);
  await until("reachable", () => told.at(-1)?.reachable === true);
  await witness.server[Symbol.asyncDispose]();
  await until("unreachable", () => told.at(-1)?.reachable === false);
  assert.match(told.at(-1)?.why ?? "", /nothing listens there/);
  await Deno.remove(witness.directory, { recursive: true });
});

Deno.test("a question to a witness that is not there fails within its bound, and says which witness and what to do", async () => {
  await using client = clientOf({ port: 1, id: a.id }, { identity: a, answerMs: 200 });
  await assert.rejects(soon(client.ask({ known: 0, term: 1 }), "an answer"), (error) => {
    assert.ok(error instanceof EdgeError);
    assert.match(error.message, /the witness at 127\.0\.0\.1:1 is not reachable: nothing listens there/);
    assert.match(error.hint, /witness serve/);
    return true;
  });
});

Deno.test("whether it is the witness that is meant, and knows the pair, is seen before a VM asks; it is told of no VM", async () => {
  await using witness = await InProcess.start({ pairs: [PAIR] });
  const there = { address: "127.0.0.1", port: witness.port, id: witness.id, pair: "press" };
  const [host, stranger] = [a, newIdentity()].map((identity) => ({ identity, version: "1" }));
  assert.deepEqual(await askWitness(there, host!), { ok: true });
  const refused = async (answer: ReturnType<typeof askWitness>, why: RegExp) => {
    const seen = await answer;
    assert.ok(!seen.ok && seen.refused, JSON.stringify(seen));
    assert.match(seen.why, why);
  };
  await refused(askWitness({ ...there, id: b.id }, host!), /is not the witness/);
  await refused(askWitness({ ...there, pair: "oven" }, host!), /is not one of the pair "oven"/);
  await refused(askWitness(there, stranger!), /is in no pair of this witness/);
  const silent = await askWitness({ ...there, port: 1 }, host!);
  assert.ok(!silent.ok && !silent.refused);
  assert.deepEqual(await witness.store.views(), []);
});
