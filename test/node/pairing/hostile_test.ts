/** Somebody in between, and what two persons see of it. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect as connectTcp } from "node:net";
import type { Identity } from "../../../lib/node/identity.ts";
import { type Compared, inviteAs, joinAs, readOpener } from "../../../lib/node/pairing/handshake.ts";
import { codeKey, codeProof, commitment, makeCode, random } from "../../../lib/node/pairing/secrets.ts";
import { openTls } from "../../../lib/node/peer/dialler.ts";
import { idOf, offerOf } from "../../../lib/node/peer/greeting.ts";
import { Link } from "../../../lib/node/peer/link.ts";
import { toBody, TYPE } from "../../../lib/node/peer/messages.ts";
import { PinnedServer } from "../../../lib/pinned_server.ts";
import { HOST, newIdentity, soon, until } from "../peer/kit.ts";
import { Line } from "../peer/proxy.ts";
import { codeOf, digitsOf, TestNode } from "./kit.ts";

const OFFER = offerOf("1.0.0");
const introduction = { name: "alpha", port: 7811, addresses: [] };

async function linkTo(node: TestNode, identity: Identity): Promise<Link> {
  const signal = new AbortController().signal;
  return new Link(await openTls({ host: HOST, port: node.port }, { credentials: identity, signal }));
}

/** A machine between two nodes that has overheard the code: it plays the inviter to one and the joiner to the other. */
async function between(inviter: TestNode, code: string): Promise<
  { port: number; toJoiner: Promise<Compared>; toInviter: Promise<Compared> } & AsyncDisposable
> {
  const identity = newIdentity();
  const toJoiner = Promise.withResolvers<Compared>();
  const toInviter = Promise.withResolvers<Compared>();
  const links: Link[] = [];
  const play = async (link: Link, theirs: string) => {
    const salt = random();
    const invitation = { salt, key: codeKey(code, salt), judge: (right: boolean) => assert.ok(right) };
    const opener = readOpener((await link.next())!.body, OFFER);
    const party = { own: identity.id, theirs, offer: OFFER, introduction };
    toJoiner.resolve(await inviteAs(link, { party, opener, invitation }));
    const onward = await linkTo(inviter, identity);
    links.push(onward);
    toInviter.resolve(
      await joinAs(onward, {
        party: { own: identity.id, theirs: inviter.control.id, offer: OFFER, introduction },
        code,
      }),
    );
  };
  const server = new PinnedServer({
    credentials: identity,
    visited: ({ socket, certificate }) => {
      const link = new Link(socket);
      links.push(link);
      play(link, idOf(certificate)).catch(toInviter.reject);
    },
    failed: () => {},
  });
  await server.listen({ host: HOST, port: 0 });
  return {
    port: server.port,
    toJoiner: toJoiner.promise,
    toInviter: toInviter.promise,
    async [Symbol.asyncDispose]() {
      for (const link of links) link.end("over");
      await server[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a machine in between that even knows the code makes the two nodes show different digits", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await a.control.invite("test");
  await using middle = await between(a, codeOf(a));
  await b.control.join({ address: `${HOST}:${middle.port}`, code: codeOf(a) }, "test");
  const [left, right] = await soon(Promise.all([middle.toJoiner, middle.toInviter]), "both halves");
  await until("both nodes show digits", () => [a, b].every(({ pairing }) => pairing.step === "comparing"));
  assert.notEqual(digitsOf(a), digitsOf(b));
  // Each half is what the machine in between sees, too: it could not choose either.
  assert.deepEqual([digitsOf(b), digitsOf(a)].map((digits) => digits.replace(" ", "")), [
    left.digits,
    right.digits,
  ]);
  // The person at beta sees it and says so: nothing is stored anywhere.
  await b.control.cancel("test");
  await a.control.cancel("test");
  for (const node of [a, b]) assert.equal(node.read("pair.json"), null);
});

Deno.test("a machine in between that does not know the code is found out before any digits", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await a.control.invite("test");
  // Playing the inviter, it accepts any code, and then has to show that it knows it.
  const identity = newIdentity();
  const server = new PinnedServer({
    credentials: identity,
    visited: async ({ socket, certificate }) => {
      const link = new Link(socket);
      const opener = readOpener((await link.next())!.body, OFFER);
      const salt = random();
      const party = { own: identity.id, theirs: idOf(certificate), offer: OFFER, introduction };
      const invitation = { salt, key: codeKey(makeCode(), salt), judge: () => {} };
      await inviteAs(link, { party, opener, invitation }).catch(() => {});
      link.end("over");
    },
    failed: () => {},
  });
  await server.listen({ host: HOST, port: 0 });
  await assert.rejects(
    b.control.join({ address: `${HOST}:${server.port}`, code: codeOf(a) }, "test"),
    /does not know the code/,
  );
  assert.equal(b.pairing.step === "failed" && b.pairing.code, "wrong_code");
  await server[Symbol.asyncDispose]();
});

Deno.test("who shows another nonce than the one it had committed itself to is refused", async () => {
  await using a = await TestNode.start("alpha");
  await a.control.invite("test");
  const identity = newIdentity();
  const link = await linkTo(a, identity);
  const ids = { inviter: a.control.id, joiner: identity.id };
  const mine = commitment(random(), { side: "joiner", own: ids.joiner, theirs: ids.inviter });
  link.say(TYPE.HELLO, { kind: "pair", ...OFFER, introduction, commitment: mine });
  const hello = JSON.parse(new TextDecoder().decode((await link.next())!.body));
  const exchanged = { ids, commitments: { inviter: hello.commitment, joiner: mine } };
  const key = await codeKey(codeOf(a), hello.salt);
  link.say(TYPE.PAIRING, { step: "code", proof: codeProof(key, { side: "joiner", exchanged }) });
  assert.equal((await link.next())!.type, TYPE.PAIRING);
  link.say(TYPE.PAIRING, { step: "reveal", nonce: random() });
  const refused = (await soon(link.next(), "a refusal"))!;
  assert.equal(refused.type, TYPE.REFUSED);
  assert.match(new TextDecoder().decode(refused.body), /"mismatch"/);
  link.end("seen");
  assert.equal(a.pairing.step, "inviting");
  assert.match(String(a.records.of("pair.attempt_refused")[0]?.params["why"]), /committed/);
});

Deno.test("a pairing that was recorded, or parts of one, are worth nothing when they are played again", async () => {
  await using a = await TestNode.start("alpha");
  await using b = await TestNode.start("beta");
  await using line = await Line.to(a.port);
  await a.control.invite("test");
  const code = codeOf(a);
  await b.control.join({ address: `${HOST}:${line.port}`, code }, "test");
  await until("a shows digits", () => a.pairing.step === "comparing");
  await a.control.cancel("test");
  await a.control.invite("test");
  // The bytes of TLS, as they were.
  const again = connectTcp({ host: HOST, port: a.port });
  const gone = new Promise<void>((resolve) => again.once("close", () => resolve()));
  again.on("error", () => {});
  again.on("data", () => {});
  again.end(Buffer.concat(line.recorded));
  await soon(gone, "the end");
  assert.equal(a.pairing.step, "inviting");
  // A proof from one conversation, in another one with the same code: it is for the first one's commitments.
  const identity = newIdentity();
  const first = await linkTo(a, identity);
  const ids = { inviter: a.control.id, joiner: identity.id };
  const mine = commitment(random(), { side: "joiner", own: ids.joiner, theirs: ids.inviter });
  const opening = toBody({ kind: "pair", ...OFFER, introduction, commitment: mine });
  first.send(TYPE.HELLO, opening);
  const hello = JSON.parse(new TextDecoder().decode((await first.next())!.body));
  const exchanged = { ids, commitments: { inviter: hello.commitment, joiner: mine } };
  const key = await codeKey(codeOf(a), hello.salt);
  const proof = toBody({ step: "code", proof: codeProof(key, { side: "joiner", exchanged }) });
  first.end("overheard enough");
  await until("its place is free", () => a.records.of("pair.attempt_refused").length > 0);
  const second = await linkTo(a, identity);
  second.send(TYPE.HELLO, opening);
  await second.next();
  second.send(TYPE.PAIRING, proof);
  assert.match(new TextDecoder().decode((await soon(second.next(), "a refusal"))!.body), /wrong_code/);
  second.end("seen");
});

Deno.test("who only connects and holds the place of a joiner loses it in time, and events of refusals are few", async () => {
  await using a = await TestNode.start("alpha", {
    limits: { admission: { perSecond: 10_000, burst: 10_000, proofMs: 2000 } },
  });
  await using b = await TestNode.start("beta");
  await a.control.invite("test");
  const hog = await linkTo(a, newIdentity());
  hog.say(TYPE.HELLO, { kind: "pair", ...OFFER, introduction, commitment: "0".repeat(64) });
  await hog.next();
  await assert.rejects(b.control.join({ address: a.address, code: codeOf(a) }, "test"), /at this moment/);
  await soon(hog.ended, "the end of who holds the place");
  await b.control.join({ address: a.address, code: codeOf(a) }, "test");
  assert.equal(b.pairing.step, "comparing");
  await a.control.cancel("test");
  for (let i = 0; i < 30; i++) {
    const link = await linkTo(a, newIdentity());
    link.say(TYPE.HELLO, { kind: "pair", ...OFFER, introduction, commitment: "0".repeat(64) });
    await soon(link.ended, "the end");
  }
  assert.ok(a.records.of("pair.attempt_refused").length <= 12, "told each time");
});
