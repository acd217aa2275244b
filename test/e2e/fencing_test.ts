/** A primary that stands still at the worst place: the frame's lease was looked at, the frame is not yet written (FAULTS.md row 17). */

import assert from "node:assert/strict";
import { Capture, type SecondVoice, voices } from "../../lib/lab/capture.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, next, reached, Scene } from "./kit.ts";

const NO_KERNEL_LEASE = "[fencing]\nkernel_lease = false\n";

interface Outcome {
  /** Frames of the guest from host A after the first of host B. */
  second: SecondVoice[];
  /** Frames that host A's gate wrote when their lease had run out. */
  late: number;
  fencing: unknown;
  broken: string[];
}

/** Host A's gate stops between the look at its lease and the write, while the host is cut off; host B takes over; the gate goes on. */
async function writeLate(hostToml: string): Promise<Outcome> {
  const { scene, client } = await Scene.counting({ hostToml }, { patience_ms: 8000 });
  await using _ = scene;
  await using capture = await Capture.start(scene.lab);
  const { fencing } = await scene.status("a") as unknown as { fencing: unknown };
  assert.ok(await client.answered(100));
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.pair.runner("a").call("failpoint", { name: "gate-leased", action: 4 });
  // Only a gate that has a frame to write stands still: it has once no reply comes any more.
  while (await client.answered(1, 200));
  await Promise.all([scene.lab.cutLink("a"), scene.lab.cutLink("b"), scene.lab.cutLan("a")]);
  await promoted();
  const late = async () => (await scene.status("a")).engine.late_frames;
  assert.ok(await soon(async () => await late() > 0, 15_000), "no frame was written late");
  assert.ok(await client.answered(20), "the guest does not answer after the takeover");
  const outcome = { late: await late(), fencing, broken: brokenPromises(await client.stop()) };
  const frames = await capture.stop();
  for (const host of ["a", "b"]) {
    assert.ok(frames.some((frame) => frame.host === host), `nothing was heard from host ${host}`);
  }
  return { ...outcome, second: voices(frames) };
}

Deno.test("a frame that the old primary writes after it was overtaken does not reach the LAN", async () => {
  const { second, late, fencing, broken } = await writeLate("");
  assert.equal(fencing, "kernel lease");
  assert.equal(late, 1);
  assert.deepEqual(second, []);
  assert.deepEqual(broken, []);
});

Deno.test("control: without the kernel's lease that frame is a second voice, and is heard", async () => {
  const { second, late, fencing } = await writeLate(NO_KERNEL_LEASE);
  assert.equal(fencing, "gate only");
  assert.equal(late, 1);
  assert.equal(second.length, 1, JSON.stringify(second));
});

Deno.test("a primary that was frozen under load past the takeover, and is thawed, is never a second voice", async () => {
  const { scene, client } = await Scene.counting({}, { patience_ms: 8000 });
  await using _ = scene;
  await using capture = await Capture.start(scene.lab);
  assert.ok(await client.answered(100));
  const promoted = next(scene.pair.runner("b"), reached("solo"));
  await scene.lab.freeze("a");
  await promoted();
  assert.ok(await client.answered(20), "the guest does not answer after the takeover");
  const fenced = next(scene.pair.runner("a"), reached("waiting"));
  await scene.lab.thaw("a");
  await fenced();
  assert.ok(await client.answered(20));
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.deepEqual(voices(await capture.stop()), []);
});
