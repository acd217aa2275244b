/** The primary stands still past the takeover and goes on afterwards: FAULTS.md row 17. */

import assert from "node:assert/strict";
import { runCommand } from "../../lib/lab/command.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import { ADDRESSES, type Host } from "../../lib/lab/places.ts";
import { soon } from "../lab/support.ts";
import { brokenPromises, next, reached, Scene } from "./kit.ts";

/** The demo guest's (lib/lab/pair.ts). */
const MAC = "52:54:00:12:34:56";
const BOUNDARY = 1;

/** Counts, on the LAN's switch, the frames with the guest's address that come from a host. */
async function countGuestFrames(lab: Lab): Promise<(host: Host) => Promise<number>> {
  const inLan = ["ip", "netns", "exec", lab.namespace("lan"), "nft"];
  const table = (["a", "b"] as const).flatMap((host) => [
    `add table netdev voice_${host}`,
    `add chain netdev voice_${host} in { type filter hook ingress device "host-${host}" priority -10; policy accept; }`,
    `add rule netdev voice_${host} in ether saddr ${MAC} counter`,
  ]);
  await runCommand([...inLan, "-f", "-"], { op: "count frames", stdin: `${table.join("\n")}\n` });
  return async (host) => {
    const text = await runCommand([...inLan, "list", "table", "netdev", `voice_${host}`], {
      op: "count frames",
    });
    return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
  };
}

/** Asks the whole LAN, by ARP, who the guest is, so that each host's guest has something to answer. */
async function askForGuest(lab: Lab, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const ask = `ip neigh flush all; ping -n -q -c 1 -W 1 ${ADDRESSES.guest}`;
    const child = lab.exec("lan", ["sh", "-c", ask], { stdin: "null", stdout: "null", stderr: "null" });
    await child.status;
  }
}

interface Voices {
  /** Frames of the guest that came from host A after it was overtaken. */
  late: number;
  broken: string[];
}

/** Freezes host A past the takeover, thaws it, and listens for what it says then. */
async function freezeAndThaw(noOutputCommit: boolean): Promise<Voices> {
  const { scene, client } = await Scene.counting({ noOutputCommit }, { patience_ms: 4000 });
  await using _ = scene;
  const frames = await countGuestFrames(scene.lab);
  assert.ok(await client.answered(100));
  const backup = scene.pair.runner("b");
  const promoted = next(backup, reached("solo"));
  await scene.lab.freeze("a");
  await promoted();
  assert.ok(await soon(async () => await frames("b") > BOUNDARY), "nothing was heard from host B");
  await askForGuest(scene.lab, 3);
  const before = await frames("a");
  const fenced = next(scene.pair.runner("a"), reached("waiting"));
  await scene.lab.thaw("a");
  await fenced();
  await askForGuest(scene.lab, 3);
  const late = await frames("a") - before;
  return { late, broken: brokenPromises(await client.stop()) };
}

Deno.test("a primary that was frozen past the takeover says nothing more for the guest, and gives way", async () => {
  assert.deepEqual(await freezeAndThaw(false), { late: 0, broken: [] });
});

Deno.test("control: without its gate it speaks after the takeover, or what it said is lost", async () => {
  const { late, broken } = await freezeAndThaw(true);
  assert.ok(late > 0 || broken.length > 0, "the check noticed nothing");
});
