import assert from "node:assert/strict";
import { Engine, EngineLibrary } from "../../ffi/engine.ts";
import { engineEvents } from "../../ffi/events.ts";
import { assets } from "../../lib/cli/assets.ts";

const PORT = 17_871;

/** A HELLO of this version of the wire: docs/wire.md. */
function hello(version: number): Uint8Array {
  const bytes = new Uint8Array(88).fill(0x33, 48, 80);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("ISFE"));
  view.setUint16(4, version, true);
  view.setUint16(6, 1, true);
  view.setUint32(40, 40, true);
  view.setUint8(81, 1);
  return bytes;
}

/** The engine listens from its own thread on, at some moment after it was told of the line. */
async function reach(): Promise<Deno.TcpConn> {
  for (const until = performance.now() + 20_000;;) {
    try {
      return await Deno.connect({ hostname: "127.0.0.2", port: PORT });
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused) || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Says `bytes` to the listening engine, and returns the version in the HELLO that comes back. */
async function answered(bytes: Uint8Array): Promise<number> {
  using connection = await reach();
  await connection.write(bytes);
  const answer = new Uint8Array(88);
  for (let got = 0; got < answer.length;) {
    const count = await connection.read(answer.subarray(got));
    if (count === null) break;
    got += count;
  }
  return new DataView(answer.buffer).getUint16(4, true);
}

Deno.test("a peer of another wire version is answered, refused, and named with both numbers and who is to upgrade", async () => {
  const runDir = await Deno.makeTempDir();
  using library = EngineLibrary.open(assets().library);
  const engine = new Engine({ library, runDir, secret: new Uint8Array(32).fill(7) });
  const abort = new AbortController();
  try {
    engine.linkAdd({ index: 0, local: "127.0.0.2", peer: "127.0.0.1", port: PORT, listen: true });
    const reason = async () => {
      for await (const event of engineEvents(runDir, abort.signal)) {
        if (event.event === "link") return event.reason;
      }
      throw new Error("the engine's events ended");
    };
    const refused = reason();
    refused.catch(() => {}); // looked at below, unless something else went wrong before
    assert.equal(await answered(hello(2)), 1);
    assert.match(
      await refused,
      /the other host speaks version 2 of the wire, this one version 1: upgrade iservft-edge on this host/,
    );
  } finally {
    abort.abort();
    await engine.close();
    await Deno.remove(runDir, { recursive: true });
  }
});

Deno.test("the engine says which protocols it speaks", () => {
  using library = EngineLibrary.open(assets().library);
  const both = library.calls.isf_protocol();
  assert.ok((both & 0xffff) >= 1 && both >>> 16 >= (both & 0xffff), `${both}`);
});
