/** Different versions of iservft-edge and of QEMU on the two hosts: FAULTS.md row 27. The program's versions are pretended by the test
 * variables of lib/cli/version.ts, QEMU's by a script before the real one: what is decided by them is real, what a newer one
 * would do otherwise is not. */

import assert from "node:assert/strict";
import { assets } from "../../lib/cli/assets.ts";
import type { Host } from "../../lib/lab/places.ts";
import type { LabRunner } from "../../lib/lab/pair.ts";
import { brokenPromises, differences, next, reached, Scene } from "./kit.ts";

const versions = (runner: LabRunner) =>
  runner.event((event) => event.event === "versions").then((event) => String(event["text"]));

/** Ends a host's runner as a service manager does before an upgrade. */
async function stopRunner(scene: Scene, host: Host): Promise<void> {
  const runner = scene.pair.runner(host);
  runner.child.kill("SIGTERM");
  await runner.ended;
}

/** Moves the VM to the other host; resolves when it is protected there. */
async function move(scene: Scene, from: Host, to: Host): Promise<void> {
  const again = next(scene.pair.runner(to), (event) => event.event === "protected");
  const whole = next(scene.pair.runner(from), reached("ready"));
  await scene.pair.runner(from).call("switchover");
  await again();
  await whole();
}

async function machineType(scene: Scene, host: Host): Promise<string> {
  return (await Deno.readTextFile(`${scene.pair.dataDirectory(host)}/demo/machine-type`)).trim();
}

Deno.test("a rolling upgrade, one host after the other, keeps the clients' connection and loses nothing", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const newer = { ISERVFT_TEST_VERSION: "0.2.0-next", ISERVFT_TEST_PROTOCOL: "1-2" };
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await stopRunner(scene, "b");
  await alone();
  scene.pair.environment.set("b", newer);
  const upgraded = await scene.restart("b");
  const text = await versions(scene.pair.runner("a"));
  assert.match(text, /The primary runs iservft-edge \S+, the backup 0\.2\.0-next: they speak protocol 1\./);
  assert.equal(await versions(upgraded), text, "both hosts say the same");
  assert.ok(await client.answered(30));
  await move(scene, "a", "b");
  assert.match(
    await scene.pair.runner("a").event((event) =>
      event.event === "versions" && String(event["text"]).includes("primary runs iservft-edge 0.2.0-next")
    ).then((event) => String(event["text"])),
    /they speak protocol 1/,
  );
  const alone2 = next(upgraded, reached("solo"));
  await stopRunner(scene, "a");
  await alone2();
  scene.pair.environment.set("a", newer);
  const second = await scene.restart("a");
  assert.ok(!second.events.some((event) => event.event === "versions"), "equal versions are no news");
  assert.ok(await client.answered(30));
  assert.deepEqual(differences(await scene.verify("b")), []);
  // And a takeover, unplanned, between the upgraded hosts.
  const promoted = next(second, reached("solo"));
  await scene.killRunner("b");
  await promoted();
  assert.ok(await client.answered(30), "the guest does not answer after the takeover");
  assert.deepEqual(brokenPromises(await client.stop()), []);
  assert.equal(await machineType(scene, "a"), await machineType(scene, "b"));
});

Deno.test("without a protocol in common the backup is refused with both versions, the VM runs on, and the right version joins", async () => {
  const { scene, client } = await Scene.counting();
  await using _ = scene;
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await stopRunner(scene, "b");
  await alone();
  scene.pair.environment.set("b", { ISERVFT_TEST_VERSION: "9.0.0", ISERVFT_TEST_PROTOCOL: "8-9" });
  const refused = next(
    scene.pair.runner("a"),
    (event) => event.event === "alarm" && event["code"] === "refused",
  );
  const backup = await scene.pair.start("b");
  const text = String((await refused())["text"]);
  assert.match(
    text,
    /iservft-edge \S+ \(protocol 1\), the backup 9\.0\.0 \(protocols 8 to 9\): they have none in common\./,
  );
  const own = await backup.event((event) => event.event === "alarm" && event["code"] === "incompatible");
  assert.ok(text.endsWith(String(own["text"])), "both hosts say the same");
  assert.equal((await scene.status("a")).phase, "solo");
  assert.equal((await scene.status("b")).phase, "waiting");
  assert.ok(await client.answered(20), "the VM does not run on");
  await stopRunner(scene, "b");
  // The control: what kept it out was its version.
  scene.pair.environment.delete("b");
  await scene.restart("b");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});

/** Puts a QEMU before a host's that says another version, and is the same otherwise. The preload shim leaves the environment of the
 * first program that it is in, which is the script's shell: it is set anew for QEMU. */
async function pretendQemu(scene: Scene, host: Host, version: string): Promise<void> {
  const directory = scene.pair.dataDirectory(host);
  const script = `#!/bin/sh
[ "$1" = --version ] && exec echo "QEMU emulator version ${version} (pretended)"
[ "$1" = -name ] && export LD_PRELOAD="${assets().shim}" ISERVFT_RUNNER_PID=$PPID
exec qemu-system-x86_64 "$@"
`;
  await Deno.writeTextFile(`${directory}/qemu`, script, { mode: 0o755 });
  const file = `${directory}/host.toml`;
  const text = await Deno.readTextFile(file);
  const line = `qemu = "${directory}/qemu"\n`;
  if (!text.includes(line)) await Deno.writeTextFile(file, line + text);
}

Deno.test("a newer QEMU on the backup is protected, an older one is refused with both versions and what to do", async () => {
  await using scene = await Scene.open();
  // A VM that began with an older QEMU than this one: what a new VM would get is another machine.
  await Deno.mkdir(`${scene.pair.dataDirectory("a")}/demo`, { mode: 0o700 });
  await Deno.writeTextFile(`${scene.pair.dataDirectory("a")}/demo/machine-type`, "pc-q35-7.1\n");
  const { client } = await scene.counting();
  const alone = next(scene.pair.runner("a"), reached("solo"));
  await stopRunner(scene, "b");
  await alone();
  await pretendQemu(scene, "b", "8.2.1");
  const backup = await scene.restart("b");
  assert.match(
    await versions(scene.pair.runner("a")),
    /The primary runs QEMU 7\.\S+, the backup 8\.2\.1\. Once the VM has moved to the newer one, it is unprotected/,
  );
  // Moved there, its state cannot come back to the older one: as announced.
  const refused = next(backup, (event) => event.event === "alarm" && event["code"] === "refused");
  await scene.pair.runner("a").call("switchover");
  assert.match(
    String((await refused())["text"]),
    /primary runs QEMU 8\.2\.1, the backup the older QEMU 7\.\S+: .* Upgrade QEMU on the backup to 8\.2 or newer\./,
  );
  assert.equal((await scene.status("b")).phase, "solo");
  assert.ok(await client.answered(20), "the VM does not run on");
  // The control: with QEMU upgraded there too the same host is the backup, and the VM has the machine type that it began with.
  await stopRunner(scene, "a");
  await pretendQemu(scene, "a", "8.2.1");
  await scene.restart("a");
  assert.equal(await machineType(scene, "a"), "pc-q35-7.1");
  assert.equal(await machineType(scene, "b"), "pc-q35-7.1");
  assert.deepEqual(brokenPromises(await client.stop()), []);
});
