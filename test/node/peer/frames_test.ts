/** Frames, whatever comes. */

import assert from "node:assert/strict";
import { encodeFrame, type Frame, FrameDecoder, FrameError } from "../../../lib/node/peer/frames.ts";

/** A generator of numbers that a seed repeats: mulberry32. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}

/** Bytes in pieces of any length. */
function* pieces(bytes: Uint8Array, random: () => number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const length = 1 + below(random, random() < 0.5 ? 3 : 200);
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

Deno.test("frames come out as they went in, however they were cut on their way", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const sent: Frame[] = Array.from({ length: 1 + below(random, 8) }, () => ({
      type: below(random, 256),
      body: Uint8Array.from({ length: below(random, 100) }, () => below(random, 256)),
    }));
    const bytes = joined(sent.map(({ type, body }) => encodeFrame(type, body)));
    const decoder = new FrameDecoder(101);
    const got: Frame[] = [];
    for (const piece of pieces(bytes, random)) decoder.push(piece, (frame) => got.push(frame));
    assert.deepEqual(
      got.map(({ type, body }) => ({ type, body: [...body] })),
      sent.map(({ type, body }) => ({
        type,
        body: [...body],
      })),
      `seed ${seed}`,
    );
  }
});

Deno.test("no bytes make the decoder hold more than one frame, or fail in a way of their own", () => {
  let refused = 0, taken = 0;
  for (let seed = 1; seed <= 2000; seed++) {
    const random = seeded(seed);
    const decoder = new FrameDecoder(64);
    // Noise as it is, and noise with lengths that are nearly right.
    const bytes = random() < 0.3
      ? Uint8Array.from({ length: 200 }, () => below(random, 256))
      : joined(Array.from({ length: 6 }, () => {
        const frame = encodeFrame(below(random, 256), new Uint8Array(below(random, 63)));
        if (random() < 0.2) frame[below(random, 4)] = below(random, 256);
        return frame;
      }));
    try {
      for (const piece of pieces(bytes, random)) {
        decoder.push(piece, ({ body }) => {
          assert.ok(body.length < 64, `seed ${seed}: a frame of ${body.length}`);
          taken++;
        });
      }
    } catch (error) {
      assert.ok(error instanceof FrameError, `seed ${seed}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > 100 && taken > 100, `${refused} refused, ${taken} taken: the bytes try too little`);
});

Deno.test("a length of zero, or above what is allowed, is refused before anything is allocated for it", () => {
  const head = (length: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length, true);
    return bytes;
  };
  for (const length of [0, 4097, 0xffffffff]) {
    assert.throws(() => new FrameDecoder(4096).push(head(length), () => {}), FrameError, `${length}`);
  }
  const decoder = new FrameDecoder(4096);
  decoder.push(head(4096), () => assert.fail("it is not whole")); // control
  const later = new FrameDecoder(4);
  later.allow(8192);
  later.push(head(8192), () => assert.fail("it is not whole"));
});
