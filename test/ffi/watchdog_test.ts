/** The watchdog through the engine. What it does to a device: ffi/test/watchdog_test.c. */

import assert from "node:assert/strict";
import { Engine, EngineLibrary } from "../../ffi/engine.ts";
import { assets } from "../../lib/cli/assets.ts";
import { soon } from "../lab/support.ts";

const LIBRARY = Deno.env.get("ISERVFT_LIBRARY") ?? assets().library;
/** In isf_say: ISF_VM_HERE, and what a backup says. */
const [HERE, BACKUP] = [2, 3];

Deno.test("an engine opens a watchdog only once it says that a VM is here, in a term; one that is none is given back and said", async () => {
  const runDir = await Deno.makeTempDir({ prefix: "isf" });
  const library = EngineLibrary.open(LIBRARY);
  const engine = new Engine({ library, runDir, secret: new Uint8Array(32).fill(7) });
  try {
    assert.equal(engine.watchdogState().state, "off");
    assert.throws(() => engine.watchdog({ path: "/dev/null", timeoutS: 1 }), /./);
    // It can be opened and written like a watchdog, but knows none of its commands.
    engine.watchdog({ path: "/dev/null", timeoutS: 10 });
    assert.equal(engine.watchdogState().state, "ready");
    engine.heartbeatPath({ index: 0, local: "127.0.0.1", peer: "127.0.0.2", port: 17900 });
    engine.heartbeatStart({ intervalUs: 10_000, silenceUs: 100_000, reference: "", lan: "" });
    const say = (role: number, term: number) => engine.say({ generation: 1, term, epoch: 0, role, flags: 0 });
    for (const [role, term] of [[BACKUP, 5], [HERE, 0]] as const) {
      say(role, term);
      assert.equal(
        await soon(() => engine.watchdogState().state !== "ready", 1000),
        false,
        `role ${role}, term ${term}`,
      );
    }
    say(HERE, 5);
    assert.ok(await soon(() => engine.watchdogState().state === "unfit", 10_000));
    assert.match(engine.watchdogState().why, /^\/dev\/null .*does not say when/);
    await assert.rejects(Deno.stat(`${runDir}/watchdog`), Deno.errors.NotFound);
  } finally {
    await engine.close();
    library[Symbol.dispose]();
    await Deno.remove(runDir, { recursive: true });
  }
});
