import { deepEqual, equal, ok } from "node:assert/strict";
import { Capture, voices } from "../../lib/lab/capture.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import { monotonicClock } from "../../lib/lab/monotonic.ts";
import { ADDRESSES, type Host } from "../../lib/lab/places.ts";
import { testLab } from "./support.ts";

/** The address of a host's own bridge stands in for a guest's, on both. */
const MAC = "02:77:00:00:00:aa";

/** Only what is asked of it: IPv6 would repeat, after a random time, which groups it belongs to. */
async function speak(lab: Lab, host: Host, times: number): Promise<void> {
  const quiet = "echo 1 >/proc/sys/net/ipv6/conf/br0/disable_ipv6";
  const words =
    `${quiet} && ip link set br0 address ${MAC} && ping -n -q -c ${times} -i 0.05 -W 1 ${ADDRESSES.reference}`;
  await lab.exec(host, ["sh", "-c", words], { stdin: "null", stdout: "null", stderr: "null" }).status;
}

Deno.test("a capture hears each host's frames, with their times, also when they are cut off behind its port", async () => {
  await using lab = await testLab();
  const clock = monotonicClock();
  const from_us = clock();
  await using capture = await Capture.start(lab, { mac: MAC });
  await speak(lab, "a", 3);
  await lab.cutLan("a");
  await speak(lab, "b", 3);
  const late_us = clock();
  await speak(lab, "a", 2);
  const frames = await capture.stop();
  const to_us = clock();
  ok(frames.filter(({ host }) => host === "b").length >= 3);
  ok(frames.every(({ at_us }) => at_us > from_us && at_us < to_us), "times are by CLOCK_MONOTONIC");
  const second = voices(frames);
  ok(second.length > 0, "what was said behind the cut is heard");
  const expected = second.every(({ host, at_us }) => host === "a" && at_us > late_us);
  ok(expected, JSON.stringify({ late_us, second }));
});

Deno.test("a capture that hears nothing says so, and leaves no process", async () => {
  await using lab = await testLab();
  {
    await using capture = await Capture.start(lab, { mac: MAC });
    deepEqual(capture.frames, []);
    ok(lab.processes("lan").length > 0);
  }
  equal(lab.processes("lan").length, 0);
});
