import { deepEqual, equal, throws } from "node:assert/strict";
import { PcapReader } from "../../lib/lab/capture.ts";
import type { Host } from "../../lib/lab/places.ts";
import { type GuestFrame, voices } from "../../lib/lab/voices.ts";

/** "a1 b5": a frame from host A at 1, one from host B at 5. */
function heard(text: string): GuestFrame[] {
  return text.split(" ").map((word) => ({
    host: word[0] as Host,
    at_us: Number(word.slice(1)),
    bytes: 60,
    protocol: 0x0800,
  }));
}

const said = (text: string, turns?: { host: Host; at_us: number }[]) =>
  voices(heard(text), turns).map(({ host, at_us, late_us }) => `${host}${at_us} late ${late_us}`);

Deno.test("one host alone, and one after the other, are one voice", () => {
  deepEqual(said("a1 a2 a3"), []);
  deepEqual(said("a1 a2 b5 b6"), []);
  deepEqual(voices([]), []);
});

Deno.test("a frame of the old host after the first of the new one is a second voice, in whatever order they are given", () => {
  deepEqual(said("a1 a2 b5 a7 b8"), ["a7 late 2"]);
  deepEqual(said("b8 a7 a2 b5 a1"), ["a7 late 2"]);
  deepEqual(said("a1 b5 a6 a7 b8"), ["a6 late 1", "a7 late 2"]);
});

Deno.test("with turns the voice goes back and forth, but only in its turn", () => {
  const turns = [{ host: "b" as const, at_us: 4 }, { host: "a" as const, at_us: 10 }];
  deepEqual(said("a1 a4 b5 b9 a12 a13", turns), []);
  deepEqual(said("a1 b3 b5", turns), ["b3 late 2"], "before its turn");
  deepEqual(said("a1 b5 a9 a12", turns), ["a9 late 4"], "the old one");
  deepEqual(said("a1 b5 a12 b13", turns), ["b13 late 1"], "the old one after the second turn");
  deepEqual(said("a1 a6 b12", turns), ["b12 late 11"], "its turn has passed unused");
});

/** A capture file of frames, each of 20 bytes, cut off after 18. */
function captureFile(times_us: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(24 + times_us.length * (16 + 18));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0xa1b23c4d, true);
  for (const [i, at_us] of times_us.entries()) {
    const at = 24 + i * 34;
    view.setUint32(at, Math.floor(at_us / 1e6), true);
    view.setUint32(at + 4, (at_us % 1e6) * 1000, true);
    view.setUint32(at + 8, 18, true);
    view.setUint32(at + 12, 20, true);
    view.setUint16(at + 16 + 12, 0x0806);
  }
  return bytes;
}

Deno.test("a capture is read whole, however it is cut into pieces", () => {
  const times_us = [1_000_001, 2_500_000, 2_500_007];
  const file = captureFile(times_us);
  for (let step = 1; step <= file.length; step++) {
    const found: number[] = [];
    const reader = new PcapReader(({ at_us, bytes, protocol }) => {
      found.push(at_us);
      equal(bytes, 20);
      equal(protocol, 0x0806);
    });
    for (let at = 0; at < file.length; at += step) reader.push(file.subarray(at, at + step));
    deepEqual(found, times_us);
  }
});

Deno.test("what is no capture is refused", () => {
  throws(() => new PcapReader(() => {}).push(new Uint8Array(24)), /no capture/);
});
