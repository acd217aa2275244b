/** Streams between two nodes: consoles. */

import assert from "node:assert/strict";
import type { Duplex } from "../../../lib/model/backend.ts";
import { ProblemError } from "../../../lib/model/problem.ts";
import type { Link } from "../../../lib/node/peer/link.ts";
import { toBody, TYPE } from "../../../lib/node/peer/messages.ts";
import { Streams, STREAMS_MAX, WINDOW } from "../../../lib/node/peer/streams.ts";
import { type End, soon, twoEnds, until } from "./kit.ts";

/** What a stream is connected to here: a test reads what arrives, and writes what is to leave. */
function local(): {
  duplex: Duplex;
  arrived: ReadableStream<Uint8Array>;
  leaves: WritableStream<Uint8Array>;
  closed: Promise<void>;
} {
  const there = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 1 }, { highWaterMark: 0 });
  const back = new TransformStream<Uint8Array, Uint8Array>({}, { highWaterMark: 1 }, { highWaterMark: 0 });
  const { promise, resolve } = Promise.withResolvers<void>();
  const duplex: Duplex = {
    readable: back.readable,
    writable: there.writable,
    async [Symbol.asyncDispose]() {
      resolve();
      await there.writable.abort("closed").catch(() => {});
      await back.readable.cancel("closed").catch(() => {});
    },
  };
  return { duplex, arrived: there.readable, leaves: back.writable, closed: promise };
}

/** Answers "echo" with what comes. */
function echoes({ node }: End): void {
  node.answerStream("echo", () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    return Promise.resolve({ readable, writable, [Symbol.asyncDispose]: () => Promise.resolve() });
  });
}

async function collect(readable: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const parts: number[] = [];
  for await (const part of readable) parts.push(...part);
  return Uint8Array.from(parts);
}

Deno.test("bytes go both ways, whole and in order, on several streams at once, and the end is an end", async () => {
  await using ends = await twoEnds();
  echoes(ends.a);
  echoes(ends.b);
  const one = async (node: End["node"], seed: number) => {
    await using stream = await node.open("echo", {});
    const bytes = Uint8Array.from({ length: 300_000 + seed }, (_, i) => (i * seed) >> 3);
    const writer = stream.writable.getWriter();
    const written = writer.write(bytes).then(() => writer.close());
    const back = await collect(stream.readable);
    await written;
    assert.deepEqual(back.length, bytes.length);
    assert.ok(back.every((byte, i) => byte === bytes[i]));
  };
  await soon(Promise.all([one(ends.a.node, 3), one(ends.a.node, 5), one(ends.b.node, 7)]), "all bytes");
});

Deno.test("a reader that stands still holds its writer up and nobody else, and takes a bounded number of bytes", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  const side = local();
  b.node.answerStream("slow", () => Promise.resolve(side.duplex));
  echoes(b);
  b.node.answer("ping", () => Promise.resolve("pong"));
  await using stream = await a.node.open("slow", {});
  const writer = stream.writable.getWriter();
  let written = 0;
  const piece = new Uint8Array(8192);
  const writing = (async () => {
    for (let i = 0; i < 4 * WINDOW / piece.length; i++) {
      await writer.write(piece);
      written += piece.length;
    }
    await writer.close();
  })();
  await until("the writer stands still", async () => {
    const before = written;
    for (let i = 0; i < 20; i++) await a.node.call("ping", {});
    return written === before && written > 0;
  });
  // What has left is what the other side gave credit for, and a piece or two that are on their way inside.
  assert.ok(written <= WINDOW + 3 * piece.length, `${written} bytes were taken`);
  await using other = await a.node.open("echo", {});
  const quick = other.writable.getWriter();
  await quick.write(new Uint8Array([1, 2, 3]));
  assert.deepEqual((await other.readable.getReader().read()).value, new Uint8Array([1, 2, 3]));
  const all = await soon(collect(side.arrived), "all bytes");
  await writing;
  assert.equal(all.length, 4 * WINDOW);
});

Deno.test("closing either side ends both, and a connection that breaks ends all of its streams", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  let side = local();
  b.node.answerStream("console", () => Promise.resolve(side.duplex));
  {
    await using _stream = await a.node.open("console", {});
  }
  await soon(side.closed, "the other side's end");

  side = local();
  const stream = await a.node.open("console", {});
  const reading = collect(stream.readable);
  const leaves = side.leaves.getWriter();
  await leaves.write(new Uint8Array([104, 105]));
  await leaves.close();
  assert.deepEqual(await soon(reading, "the end"), new Uint8Array([104, 105]));
  await soon(side.closed, "the other side's end");
  await stream[Symbol.asyncDispose]();

  side = local();
  const broken = await a.node.open("console", {});
  const failing = collect(broken.readable).catch((error) => error);
  const writer = broken.writable.getWriter();
  b.node.know(null);
  assert.ok(await soon(failing, "the failure") instanceof ProblemError);
  await soon(side.closed, "the other side's end");
  await assert.rejects(writer.write(new Uint8Array(1)));
});

Deno.test("streams that cannot be opened say why; as many as may are open at a time", async () => {
  await using ends = await twoEnds();
  const { a, b } = ends;
  const code = (wanted: string) => (error: unknown) => error instanceof ProblemError && error.code === wanted;
  await assert.rejects(a.node.open("nothing", {}), code("not_found"));
  b.node.answerStream(
    "refused",
    () => Promise.reject(new ProblemError("conflict", { detail: "the VM is stopped", hint: "Start it." })),
  );
  await assert.rejects(a.node.open("refused", {}), code("conflict"));
  b.node.answerStream("many", () => Promise.resolve(local().duplex));
  const open = await Promise.all(Array.from({ length: STREAMS_MAX }, () => a.node.open("many", {})));
  await assert.rejects(a.node.open("many", {}), code("too_many"));
  await open[0]![Symbol.asyncDispose]();
  await until("there is room again", () =>
    a.node.open("many", {}).then((stream) => {
      open.push(stream);
      return true;
    }, () => false));
  for (const stream of open) await stream[Symbol.asyncDispose]();
});

Deno.test("a number that is being opened is taken: the other node cannot open more streams than there may be by using one twice", async () => {
  const answered = Promise.withResolvers<Duplex>();
  let asked = 0;
  const link = { say() {}, send() {}, room: () => Promise.resolve() } as unknown as Link;
  const streams = new Streams(link, {
    dialled: true,
    handlers: new Map([["console", () => {
      asked++;
      return answered.promise;
    }]]),
    starting: () => false,
  });
  const open = (id: number) => streams.take(TYPE.OPEN, toBody({ id, method: "console", params: {} }));
  assert.equal(open(2), true);
  assert.equal(open(2), false);
  assert.equal(open(3), false, "a number of this side's");
  assert.equal(open(4), true);
  assert.equal(asked, 2);
  streams.end("it is over");
  answered.resolve(local().duplex);
  await answered.promise;
});
