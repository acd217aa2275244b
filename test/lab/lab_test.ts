import { deepEqual, equal, notEqual, ok, rejects, throws } from "node:assert/strict";
import { EdgeError } from "../../lib/errors.ts";
import { Lab } from "../../lib/lab/lab.ts";
import { ADDRESSES, labIds, PLACES } from "../../lib/lab/places.ts";
import { cgroupRoot, type Containment } from "../../lib/lab/processes.ts";
import { datagrams, pause, pings, script, soon, Spy, testLab } from "./support.ts";

const LINK_A = ADDRESSES.links.a;
const LINK_B = ADDRESSES.links.b;
const containments: Containment[] = cgroupRoot() === undefined ? ["namespace"] : ["cgroup", "namespace"];

Deno.test("a lab joins its hosts by two links, and hosts, client and reference address by a LAN", async () => {
  await using lab = await testLab();
  ok(await pings(lab, "a", LINK_A.b));
  ok(await pings(lab, "b", LINK_B.a));
  ok(await pings(lab, "client", ADDRESSES.lan.a));
  ok(await pings(lab, "client", ADDRESSES.lan.b));
  ok(await pings(lab, "a", ADDRESSES.reference));
  equal(await pings(lab, "client", LINK_A.a), false, "the links are no part of the LAN");
});

Deno.test("two labs are up side by side and do not touch each other", async () => {
  await using one = await testLab();
  await using two = await testLab();
  await one.powerOff("a");
  ok(await pings(two, "b", LINK_A.a));
  equal(await pings(one, "b", LINK_A.a), false);
});

Deno.test("taking a lab down removes every trace, twice is no error, and works on what a crash left", async () => {
  const lab = await testLab();
  const stray = lab.exec("a", ["sh", "-c", "setsid sleep 1000 & setsid sleep 1000"], { stdin: "null" });
  await soon(() => lab.processes("a").length >= 3);
  const pids = lab.processes("a").map((member) => member.pid);
  Deno.removeSync(`/run/iservft-lab/${lab.id}`, { recursive: true });
  ok(labIds().includes(lab.id), "what a crash left is found by its namespaces");
  await Lab.down(lab.id);
  await Lab.down(lab.id);
  await stray.status;
  ok(!labIds().includes(lab.id));
  for (const pid of pids) ok(await soon(() => gone(pid)));
  for (const place of PLACES) {
    throws(() => Deno.statSync(`/run/netns/isf${lab.id}-${place}`), Deno.errors.NotFound);
  }
  const root = cgroupRoot();
  if (root !== undefined) throws(() => Deno.statSync(`${root}/isf${lab.id}`), Deno.errors.NotFound);
});

Deno.test("an id is used once, and must be one", async () => {
  await using lab = await testLab();
  await rejects(Lab.up({ id: lab.id }), EdgeError);
  ok(await pings(lab, "a", LINK_A.b), "the lab that was there goes on");
  await rejects(Lab.up({ id: "A/.." }), EdgeError);
});

Deno.test("a cut link loses everything both ways, the other goes on, and mending brings it back", async () => {
  await using lab = await testLab();
  ok(await pings(lab, "a", LINK_A.b));
  await lab.cutLink("a");
  equal(await pings(lab, "a", LINK_A.b), false);
  ok(await pings(lab, "a", LINK_B.b));
  equal((await lab.status()).links.a.cut, "both");
  await lab.mendLink("a");
  ok(await pings(lab, "a", LINK_A.b));
});

Deno.test("a link cut one way still carries the other way", async () => {
  await using lab = await testLab();
  ok(await pings(lab, "a", LINK_A.b));
  const toB = { from: "a", to: "b", address: LINK_A.b, count: 20 } as const;
  const toA = { from: "b", to: "a", address: LINK_A.a, count: 20 } as const;
  await lab.cutLink("a", "a-to-b");
  equal(await datagrams(lab, toB), 0);
  equal(await datagrams(lab, toA), 20);
  equal((await lab.status()).links.a.cut, "a-to-b");
  await lab.mendLink("a");
  equal(await datagrams(lab, toB), 20);
});

Deno.test("a host cut off the LAN keeps its links, and one way is one way", async () => {
  await using lab = await testLab();
  ok(await pings(lab, "client", ADDRESSES.lan.a));
  await lab.cutLan("a", "out");
  equal((await lab.status()).hosts.a.lan_cut, "out");
  const out = { from: "a", to: "client", address: ADDRESSES.client, count: 10 } as const;
  const into = { from: "client", to: "a", address: ADDRESSES.lan.a, count: 10 } as const;
  equal(await datagrams(lab, out), 0);
  equal(await datagrams(lab, into), 10);
  await lab.cutLan("a");
  equal(await pings(lab, "a", ADDRESSES.reference), false);
  ok(await pings(lab, "a", LINK_A.b));
  ok(await pings(lab, "b", ADDRESSES.reference));
  await lab.mendLan("a");
  ok(await pings(lab, "a", ADDRESSES.reference));
});

Deno.test("an unplugged link has no carrier until it is plugged in", async () => {
  await using lab = await testLab();
  await lab.unplugLink("b");
  equal((await lab.status()).links.b.plugged, false);
  equal(await pings(lab, "a", LINK_B.b), false);
  await lab.plugLink("b");
  equal((await lab.status()).links.b.plugged, true);
  ok(await pings(lab, "a", LINK_B.b));
});

Deno.test("loss loses some and not all, and none once it is taken back", async () => {
  await using lab = await testLab();
  ok(await pings(lab, "a", LINK_A.b));
  const way = { from: "a", to: "b", address: LINK_A.b, count: 200 } as const;
  await lab.shapeLink("a", { loss_percent: 50 });
  const arrived = await datagrams(lab, way);
  ok(arrived > 50 && arrived < 150, `${arrived} of 200 arrived`);
  await lab.restore();
  equal(await datagrams(lab, way), 200);
});

Deno.test("a link's rate is what it is shaped to, at both ends, and restore gives back the first", async () => {
  await using lab = await testLab({ rate_mbit: 100 });
  const rates = async () => {
    const found: string[] = [];
    for (const host of ["a", "b"] as const) {
      await using spy = new Spy(lab, { place: host, command: ["tc", "qdisc", "show", "dev", "link-a"] });
      await spy.child.status;
      await soon(() => spy.lines.length > 0);
      found.push(/rate (\S+)/.exec(spy.lines.join())?.[1] ?? "none");
    }
    return found;
  };
  deepEqual(await rates(), ["100Mbit", "100Mbit"]);
  await lab.shapeLink("a", { rate_mbit: 10 });
  deepEqual(await rates(), ["10Mbit", "10Mbit"]);
  await lab.shapeLink("a", { rate_mbit: 0 });
  deepEqual(await rates(), ["none", "none"]);
  await lab.restore();
  deepEqual(await rates(), ["100Mbit", "100Mbit"]);
  await rejects(lab.shapeLink("a", { loss_percent: 101 }), EdgeError);
});

for (const containment of containments) {
  const by = `(by ${containment})`;

  Deno.test(`power off kills every process of the host, grandchildren included, and none of the other's ${by}`, async () => {
    await using lab = await testLab({ containment });
    const nested = "setsid sh -c 'sleep 1000 & setsid sleep 1000 & wait' & sleep 1000";
    const onA = lab.exec("a", ["sh", "-c", nested], { stdin: "null" });
    const onB = lab.exec("b", ["sleep", "1000"], { stdin: "null" });
    ok(await soon(() => lab.processes("a").filter(({ name }) => name === "sleep").length === 3));
    const pids = lab.processes("a").map(({ pid }) => pid);
    // The control: killing the first process alone leaves the others.
    Deno.kill(onA.pid, "SIGKILL");
    await onA.status;
    ok(lab.processes("a").length >= 4);
    await lab.powerOff("a");
    deepEqual(lab.processes("a"), []);
    for (const pid of pids) equal(await soon(() => gone(pid)), true);
    equal(lab.processes("b").length, 1);
    equal((await lab.status()).hosts.a.power, "off");
    throws(() => lab.exec("a", ["true"]), EdgeError);
    onB.kill("SIGKILL");
    await onB.status;
  });

  Deno.test(`a peer is not told of a power cut, as it is of a killed process ${by}`, async () => {
    await using lab = await testLab({ containment });
    const connect = async () => {
      const listener = new Spy(lab, { place: "a", command: script("tcp.ts", "listen", LINK_A.a) });
      ok(await listener.says("ready"));
      const peer = new Spy(lab, { place: "b", command: script("tcp.ts", "connect", LINK_A.a) });
      ok(await peer.says("ready"));
      return { listener, peer };
    };
    {
      const { listener, peer } = await connect();
      await using _one = listener;
      await using _two = peer;
      notEqual(lab.killProcess("a", "listen").length, 0);
      ok(await peer.says("closed"), "the control: the end of a process closes its connections");
    }
    const { listener, peer } = await connect();
    await using _one = listener;
    await using _two = peer;
    await lab.powerOff("a");
    await pause(500);
    deepEqual(peer.lines, ["ready"]);
  });

  Deno.test(`a frozen host does nothing, and goes on where it was when thawed ${by}`, async () => {
    await using lab = await testLab({ containment });
    await using ticker = new Spy(lab, {
      place: "a",
      command: ["sh", "-c", "while :; do echo x; sleep 0.01; done"],
    });
    ok(await soon(() => ticker.lines.length > 5));
    await lab.freeze("a");
    await pause(50); // what was already in the pipe
    const at = ticker.lines.length;
    await pause(300);
    equal(ticker.lines.length, at);
    equal((await lab.status()).hosts.a.frozen, true);
    equal((await lab.status()).hosts.b.frozen, false);
    await lab.thaw("a");
    ok(await soon(() => ticker.lines.length > at + 5));
    equal((await lab.status()).hosts.a.frozen, false);
  });
}

Deno.test("a host that was powered on again has its lines, and none of its processes", async () => {
  await using lab = await testLab();
  const child = lab.exec("a", ["sleep", "1000"], { stdin: "null" });
  await lab.powerOff("a");
  equal((await child.status).signal, "SIGKILL");
  equal(await pings(lab, "b", LINK_A.a), false);
  await lab.powerOn("a");
  ok(await pings(lab, "b", LINK_A.a));
  ok(await pings(lab, "client", ADDRESSES.lan.a));
  deepEqual(lab.processes("a"), []);
});

Deno.test("a named process is killed on the host that was meant, and naming none says what runs", async () => {
  await using lab = await testLab();
  const children = (["a", "b"] as const).map((host) => lab.exec(host, ["sleep", "1000"], { stdin: "null" }));
  ok(await soon(() => lab.processes("a")[0]?.name === "sleep" && lab.processes("b")[0]?.name === "sleep"));
  throws(() => lab.killProcess("a", "qemu"), /host a runs no qemu/);
  deepEqual(lab.killProcess("a", "sleep"), [children[0]?.pid]);
  equal((await children[0]?.status)?.signal, "SIGKILL");
  equal(lab.processes("b").length, 1);
  children[1]?.kill("SIGKILL");
  await children[1]?.status;
});

Deno.test("a process that was put into a host's namespace by hand is frozen and killed with it", async () => {
  await using lab = await testLab();
  const child = new Deno.Command("ip", {
    args: ["netns", "exec", lab.namespace("a"), "sleep", "1000"],
    stdin: "null",
  }).spawn();
  ok(await soon(() => lab.processes("a").some(({ name }) => name === "sleep")));
  await lab.powerOff("a");
  equal((await child.status).signal, "SIGKILL");
});

Deno.test("another process can open the lab, break it, and take it back", async () => {
  await using lab = await testLab();
  const other = Lab.open(lab.id);
  await other.cutLink("a", "b-to-a");
  await other.shapeLink("b", { loss_percent: 2 });
  const { links } = await lab.status();
  equal(links.a.cut, "b-to-a");
  equal(links.b.loss_percent, 2);
  await lab.restore();
  equal((await other.status()).links.a.cut, null);
  equal((await other.status()).links.b.loss_percent, 0);
  throws(() => Lab.open("none9"), /not up/);
});

function gone(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return false;
  } catch {
    return true;
  }
}
