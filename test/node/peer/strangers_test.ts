/** What others may do to the nodes' port: nothing. And what the other node itself cannot do, should it be broken or taken over. */

import { Buffer } from "node:buffer";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import assert from "node:assert/strict";
import type { Identity } from "../../../lib/node/identity.ts";
import { openTls } from "../../../lib/node/peer/dialler.ts";
import { encodeFrame, FRAME_MAX } from "../../../lib/node/peer/frames.ts";
import { greet, offerOf } from "../../../lib/node/peer/greeting.ts";
import { Link } from "../../../lib/node/peer/link.ts";
import { toBody, TYPE } from "../../../lib/node/peer/messages.ts";
import { WINDOW } from "../../../lib/node/peer/streams.ts";
import { type End, endOf, HOST, knowing, newIdentity, soon, twoEnds, until } from "./kit.ts";
import { Line } from "./proxy.ts";

const WIDE = { perSecond: 10_000, burst: 10_000, perAddress: 10_000 };

async function secured(end: End, identity: Identity): Promise<TLSSocket> {
  const signal = new AbortController().signal;
  const socket = await openTls({ host: HOST, port: end.node.port }, { credentials: identity, signal });
  socket.on("error", () => {});
  return socket;
}

function gone(socket: Socket | TLSSocket): Promise<void> {
  socket.on("error", () => {});
  socket.resume();
  return soon(new Promise((resolve) => socket.once("close", () => resolve())), "the end of a connection");
}

/** The pair goes on as if nothing were going on. */
async function serves({ a, b }: { a: End; b: End }): Promise<void> {
  b.node.answer("echo", (params) => Promise.resolve(params));
  assert.equal(await a.node.call("echo", 1), 1);
}

Deno.test("a machine with another certificate is refused, told nothing of the pair, and reported", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  const foreign = newIdentity();
  const link = new Link(await secured(a, foreign));
  const introduction = { name: "b", port: b.node.port, addresses: [] };
  // It even has the pair's key, from wherever.
  const known = knowing(a);
  const ids = { own: foreign.id, theirs: a.identity.id };
  await assert.rejects(
    greet(link, { ids, address: HOST, offer: offerOf("6.6.6"), introduction, known }),
    /not paired with this one/,
  );
  link.end("seen");
  assert.deepEqual(a.strangers, [foreign.id]);
  assert.equal(a.met.length, 1);
  await serves(ends);
});

Deno.test("a node does not speak to a machine that shows another certificate than the other node's", async () => {
  await using a = await endOf({ name: "a" });
  await using impostor = await endOf({ name: "b" });
  const wanted = newIdentity();
  a.node.know({ ...knowing(impostor), ids: [wanted.id] });
  impostor.node.know(knowing(a));
  await until("it was seen", () => a.node.why.includes("another machine"));
  assert.ok(a.node.why.includes(impostor.identity.id));
  assert.equal(a.node.reachable, false);
  assert.deepEqual(a.met, []);
  a.node.know(knowing(impostor)); // control
  await until("both are reachable", () => a.node.reachable && impostor.node.reachable);
});

Deno.test("who shows no certificate, speaks older TLS, or no TLS at all, gets nothing", async () => {
  await using ends = await twoEnds({ a: { admission: WIDE } });
  const { a } = ends;
  const port = a.node.port;
  const hello = encodeFrame(TYPE.HELLO, toBody({ kind: "peer" }));
  const bare = connectTls({ host: HOST, port, rejectUnauthorized: false });
  bare.write(hello);
  await gone(bare);
  const older = connectTls({ host: HOST, port, rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  await gone(older);
  for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", "\0".repeat(1000)]) {
    const plain = connectTcp({ host: HOST, port });
    plain.end(bytes);
    await gone(plain);
  }
  assert.equal(a.met.length, 1);
  await serves(ends);
});

Deno.test("garbage, long frames and wrong first words end that connection and nothing else", async () => {
  await using ends = await twoEnds({ a: { admission: WIDE } });
  const { a } = ends;
  const frames = [
    Buffer.from("\0\0\0\0"),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 1]),
    encodeFrame(TYPE.HELLO, new Uint8Array(FRAME_MAX.stranger)),
    encodeFrame(TYPE.HELLO, new Uint8Array(100)),
    encodeFrame(TYPE.HELLO, toBody(null)),
    encodeFrame(TYPE.HELLO, toBody({ kind: "peer", oldest: 1, newest: 1, version: 5 })),
    encodeFrame(TYPE.HELLO, Buffer.from("[".repeat(4000))),
    encodeFrame(TYPE.CALL, toBody({ id: 1, method: "echo", params: 1 })),
    encodeFrame(TYPE.CHOSEN, toBody({})),
    encodeFrame(255, new Uint8Array(0)),
  ];
  for (const identity of [newIdentity(), ends.b.identity]) {
    for (const [i, frame] of frames.entries()) {
      const socket = await secured(a, identity);
      socket.write(frame);
      await gone(socket).catch((error) => assert.fail(`frame ${i}: ${error}`));
    }
  }
  assert.equal(a.met.length, 1);
  await serves(ends);
});

Deno.test("who connects and says nothing, or says it byte by byte for ever, is sent away in time", async () => {
  await using ends = await twoEnds({ a: { admission: { ...WIDE, proofMs: 200 } } });
  const { a } = ends;
  const plain = connectTcp({ host: HOST, port: a.node.port });
  const silent = await secured(a, newIdentity());
  const slow = await secured(a, ends.b.identity);
  const head = encodeFrame(TYPE.HELLO, new Uint8Array(4000));
  let sent = 0;
  const drip = setInterval(() => slow.write(head.subarray(sent, ++sent)), 10);
  await Promise.all([gone(plain), gone(silent), gone(slow)]);
  clearInterval(drip);
  await until("nobody is left", () => a.node.unproven === 0);
  await serves(ends);
});

Deno.test("hundreds of connections of strangers are kept few, while the pair goes on and can connect anew", async () => {
  await using ends = await twoEnds({ a: { admission: { unproven: 32, perAddress: 16 }, silentMs: 20_000 } });
  const { a, b } = ends;
  const sockets: Socket[] = [];
  let most = 0;
  try {
    for (let part = 0; part < 5; part++) {
      for (let i = 0; i < 60; i++) {
        const socket = connectTcp({ host: HOST, port: a.node.port, localAddress: `127.0.1.${1 + part}` });
        socket.on("error", () => {});
        sockets.push(socket);
      }
      await serves(ends);
      most = Math.max(most, a.node.unproven);
    }
    assert.ok(most > 0 && most <= 32, `${most} were let in at once`);
    b.node.use(b.identity); // its connections end, and it dials while the crowd is there
    await until("they are connected again", () => a.met.length >= 2);
    await serves(ends);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await until("the crowd is gone", () => a.node.unproven === 0);
});

Deno.test("what was recorded on the network is worth nothing when it is played again", async () => {
  await using a = await endOf({ name: "a" });
  await using b = await endOf({ name: "b" });
  await using line = await Line.to(b.node.port);
  let calls = 0;
  b.node.answer("count", () => Promise.resolve(++calls));
  a.node.know(knowing(b, { targets: [{ host: HOST, port: line.port }] }));
  b.node.know(knowing(a, { targets: [] }));
  await until("both are reachable", () => a.node.reachable && b.node.reachable);
  await a.node.call("count", {});
  const recorded = Buffer.concat(line.recorded);
  a.node.know(null);
  await until("b has missed it", () => b.node.session === null);
  const again = connectTcp({ host: HOST, port: b.node.port });
  again.write(recorded);
  await gone(again);
  assert.equal(calls, 1);
  assert.equal(b.met.length, 1);
});

/** A connection of the other node itself, that a test writes to by hand. */
async function taken(a: End, identity: Identity): Promise<{ link: Link; socket: TLSSocket }> {
  const socket = await secured(a, identity);
  const link = new Link(socket);
  const introduction = { name: "b", port: 1, addresses: [] };
  const ids = { own: identity.id, theirs: a.identity.id };
  await greet(link, { ids, address: HOST, offer: offerOf("1.0.0"), introduction, known: knowing(a) });
  link.serve(() => {});
  link.say(TYPE.CHOSEN, {}); // heeded or not, by whose ID is the smaller one
  return { link, socket };
}

Deno.test("a newer connection takes the place of one that works: what was asked on the older one is answered there, then it ends", async () => {
  await using a = await endOf({ name: "a" });
  let b = newIdentity();
  while (b.id > a.identity.id) b = newIdentity(); // the smaller one decides
  a.node.know({ ids: [b.id], name: "b", key: knowing(a).key, targets: [], settled: true });
  const gate = Promise.withResolvers<string>();
  a.node.answer("slow", () => gate.promise);
  const older = await taken(a, b);
  const answers: number[] = [];
  older.link.serve(({ type }) => {
    if (type === TYPE.RESULT) answers.push(type);
  });
  older.link.say(TYPE.CALL, { id: 1, method: "slow", params: {} });
  await until("it is kept", () => a.node.session !== null);
  const first = a.node.session;
  const newer = await taken(a, b);
  await until("the newer one is kept", () => a.node.session !== first);
  gate.resolve("done");
  await soon(older.link.ended, "the end of the older one");
  assert.deepEqual(answers, [TYPE.RESULT]);
  assert.equal(newer.link.over, null);
  assert.deepEqual(a.reached, [[true, ""]]);
});

Deno.test("a broken other node cannot make this one hold more than it granted: its connection ends", async () => {
  await using a = await endOf({ name: "a" });
  const b = newIdentity();
  a.node.know({ ids: [b.id], name: "b", key: knowing(a).key, targets: [], settled: true });
  const closed = Promise.withResolvers<void>();
  a.node.answerStream("sink", () =>
    Promise.resolve({
      readable: new ReadableStream(),
      writable: new WritableStream({ write: () => new Promise(() => {}) }), // never reads
      async [Symbol.asyncDispose]() {
        await Promise.resolve(closed.resolve());
      },
    }));
  const u32 = (...values: number[]) => new Uint8Array(new Uint32Array(values).buffer);
  const bad: [string, (link: Link) => void][] = [
    ["a type that no node sends", (link) => link.send(200, new Uint8Array(3))],
    ["a call that is none", (link) => link.say(TYPE.CALL, { id: "x" })],
    ["a method that is none", (link) => link.say(TYPE.CALL, { id: 1, method: "../x", params: {} })],
    ["credit out of nothing", (link) => {
      link.say(TYPE.OPEN, { id: 1, method: "sink", params: {} });
      setTimeout(() => link.send(TYPE.CREDIT, u32(1, WINDOW)), 20);
    }],
    ["more bytes than granted", (link) => {
      link.say(TYPE.OPEN, { id: 1, method: "sink", params: {} });
      const bytes = new Uint8Array(4 + 65536);
      bytes.set(u32(1));
      setTimeout(() => {
        for (let i = 0; i < 10; i++) link.send(TYPE.DATA, bytes);
      }, 20);
    }],
    [
      "a stream with this side's number",
      (link) => link.say(TYPE.OPEN, { id: 2, method: "sink", params: {} }),
    ],
    ["a frame without end", (link) => link.send(TYPE.PING, new Uint8Array(FRAME_MAX.peer))],
  ];
  for (const [what, send] of bad) {
    const { link } = await taken(a, b);
    await until("it is kept", () => a.node.session !== null);
    send(link);
    await soon(link.ended, `the end after ${what}`);
    await until("it is gone", () => a.node.session === null);
  }
  await soon(closed.promise, "the end of a stream");
  const { link } = await taken(a, b); // control: without misbehaviour it stays
  await until("it is kept", () => a.node.session !== null);
  link.say(TYPE.PING, { seq: 1 });
  assert.equal(link.over, null);
  link.end("seen");
});
