/** A VM that ends on purpose: by an operator, or by itself. */

import assert from "node:assert/strict";
import { ADDRESSES } from "../../lib/lab/places.ts";
import { reached, Scene } from "./kit.ts";

/** Tells the guest to power off, as an orderly shutdown: it unmounts its disk first. */
async function powerOffGuest(scene: Scene): Promise<void> {
  const talk = `exec 3<>/dev/tcp/${ADDRESSES.guest}/7777; echo poweroff >&3; cat <&3`;
  const child = scene.lab.exec("client", ["timeout", "10", "bash", "-c", talk], {
    stdout: "null",
    stderr: "null",
  });
  await child.status;
}

/** Whether the file system on an image was unmounted in order, and is whole: it has no journal to replay. */
async function unmounted(image: string): Promise<boolean> {
  const [check, superblock] = await Promise.all(
    [["e2fsck", "-f", "-n"], ["dumpe2fs", "-h"]].map(([program = "", ...args]) =>
      new Deno.Command(program, { args: [...args, image], stdout: "piped", stderr: "null" }).output()
    ),
  );
  const text = new TextDecoder().decode(superblock?.stdout);
  return check?.code === 0 && text.includes("features:") && !text.includes("needs_recovery");
}

Deno.test("a protected guest that powers off leaves both hosts' images equal and unmounted", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  assert.ok(await client.answered(20));
  assert.ok(
    !await unmounted(scene.pair.image("a")),
    "control: while it is mounted it does not look unmounted",
  );
  await powerOffGuest(scene);
  await scene.pair.runner("a").ended;
  await scene.pair.runner("b").event(reached("stale"));
  scene.pair.runner("b").child.kill("SIGTERM");
  await scene.pair.runner("b").ended;
  assert.ok(await unmounted(scene.pair.image("a")));
  const [a, b] = await Promise.all(
    (["a", "b"] as const).map((host) => Deno.readFile(scene.pair.image(host))),
  );
  assert.ok(
    a && b && a.length === b.length && a.every((byte, index) => byte === b[index]),
    "the images are equal",
  );
});

Deno.test("a guest that powers off while it runs alone is noticed", async () => {
  await using scene = await Scene.open();
  const runner = await scene.pair.start("a", { begin: true });
  await runner.event(reached("solo"));
  const client = await scene.client();
  assert.ok(await client.answered(5));
  await powerOffGuest(scene);
  await runner.event(reached("stopped"));
  assert.equal((await runner.ended).success, true);
  assert.ok(await unmounted(scene.pair.image("a")));
});

Deno.test("a VM that the operator stopped is not taken over: its runner stays until the backup knows", async () => {
  await using scene = await Scene.open();
  await scene.protect();
  const backup = scene.pair.runner("b");
  await scene.pair.runner("a").call("stop");
  await scene.pair.runner("a").ended;
  await backup.event((event) => event.event === "peer" && event["silent"] === true);
  await backup.event(reached("stale"));
  await new Promise((resolve) => setTimeout(resolve, 1000)); // several times the takeover time
  assert.equal((await scene.status("b")).phase, "stale");
  assert.ok(!backup.events.some((event) => event.event === "promoted"));
});
