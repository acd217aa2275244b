import assert from "node:assert/strict";
import { checkView } from "../../../lib/model/doctor.ts";
import { ProblemError } from "../../../lib/model/problem.ts";
import type { PeerChannel } from "../../../lib/node/contracts.ts";
import { compareNodes } from "../../../lib/node/doctor/compare.ts";
import { Doctor, examine, gatherFacts } from "../../../lib/node/doctor/doctor.ts";
import { readPing } from "../../../lib/node/doctor/network.ts";
import { type DoctorProbes, realProbes } from "../../../lib/node/doctor/probes.ts";
import type { DoctorFacts } from "../../../lib/node/doctor/types.ts";
import { FAULTS, LOST } from "./faults.ts";
import { byId, machine, PING_OK, subject } from "./kit.ts";

Deno.test("on a machine on which all is well, all is well", async () => {
  const found = await examine(subject(), { probes: machine() });
  assert.deepEqual(
    found.filter((check) => check.state !== "ok").map((check) => `${check.id}: ${check.seen}`),
    [],
  );
  assert.ok(found.length >= 25, `${found.length}`);
  for (const check of found) {
    assert.ok(
      checkView.safeParse(check).success && check.why !== "" && check.title !== "" && check.fix === "",
      check.id,
    );
    assert.equal(check.node, "left");
  }
  assert.equal(new Set(found.map((check) => check.id)).size, found.length, "each has an id of its own");
});

for (const [name, fault, id, state, pattern] of FAULTS) {
  Deno.test(`doctor sees: ${name}`, async () => {
    const found = await examine(subject(fault.subject), { probes: machine(fault) });
    const check = byId(found, id);
    assert.equal(check.state, state, check.seen);
    assert.match(`${check.seen} | ${check.fix}`, pattern);
    assert.notEqual(check.fix, "", "it says what to do");
  });
}

Deno.test("a check that hangs or fails is unknown, and the others are there", async () => {
  const never = new Promise<number[]>(() => {});
  const probes = machine({
    probes: {
      syncs: () => never,
      memory: () => {
        throw new Error("no such thing");
      },
    },
  });
  const found = await examine(subject(), { probes, groupMs: 50 });
  assert.match(byId(found, "disk.sync").seen, /did not end within/);
  assert.match(byId(found, "memory").seen, /no such thing/);
  assert.deepEqual([byId(found, "disk.sync").state, byId(found, "memory").state, byId(found, "kvm").state], [
    "unknown",
    "unknown",
    "ok",
  ]);
});

async function facts(part: Partial<DoctorFacts> = {}): Promise<DoctorFacts> {
  const checks = await examine(subject(), { probes: machine() });
  return { ...await gatherFacts(subject(), checks, machine()), firmware: null, ...part };
}

Deno.test("two nodes that differ are told apart, by what matters", async () => {
  const here = await facts();
  const same = compareNodes(here, { ...here, node: "right" });
  assert.deepEqual(same.filter((check) => check.state !== "ok"), []);
  const rows: [Partial<DoctorFacts>, string, string, RegExp][] = [
    [{ program: "0.2.0" }, "pair.program", "info", /0\.1\.0; right: iservft-edge 0\.2\.0/],
    [{ qemu: "7.0.0" }, "pair.qemu", "warning", /Upgrade QEMU on right/],
    [{ qemu: "8.2.1" }, "pair.qemu", "warning", /Upgrade QEMU on left/],
    [{ qemu: null }, "pair.qemu", "failed", /none/],
    [{ machines: ["pc-q35-9.0"] }, "pair.machines", "failed", /none in common/],
    [{ machines: ["pc-q35-7.1"] }, "pair.machines", "info", /pc-q35-7\.2 is not/],
    [{ kvm: false }, "pair.accel", "failed", /left: KVM; right: no KVM/],
    [{ cpu_vendor: "AuthenticAMD" }, "pair.cpu", "warning", /different makers/],
    [{ cpu_flags: ["fpu", "vmx", "avx2"] }, "pair.cpu", "info", /only left has sse2; only right has avx2/],
    [{ tracker: "soft-dirty" }, "pair.kernel", "info", /soft-dirty/],
    [{ memory_bytes: 2 ** 33 }, "pair.memory", "info", /16\.0 GiB; right: 8\.0 GiB/],
    [{ data_bytes: 2 ** 35 }, "pair.disk", "info", /32\.0 GiB/],
    [
      { firmware: { path: "/usr/share/OVMF/OVMF_CODE.fd", digest: "cd".repeat(32) } },
      "pair.firmware",
      "warning",
      /cdcdcdcdcdcd/,
    ],
  ];
  for (const [part, id, state, pattern] of rows) {
    const check = byId(compareNodes(here, { ...here, node: "right", ...part }), id);
    assert.equal(check.state, state, `${id}: ${check.seen}`);
    assert.match(`${check.seen} | ${check.fix}`, pattern);
  }
});

/** A channel whose other end answers so. */
function channel(
  answer: () => Promise<unknown>,
  peer: PeerChannel["peer"] = { id: "x", name: "right" },
): PeerChannel {
  const nothing = () => Promise.reject(new Error("not here"));
  return {
    peer,
    reachable: true,
    since_ms: 0,
    rtt_us: null,
    call: answer,
    answer: () => {},
    open: nothing,
    answerStream: () => {},
    onChange: () => ({ [Symbol.dispose]: () => {} }),
  };
}

function doctor(peer: PeerChannel, probes: DoctorProbes = machine()): Doctor {
  return new Doctor({ subject: () => subject(), peer, probes });
}

Deno.test("doctor asks the other node, and compares; one that is silent or odd is said so", async () => {
  const checks = await examine(subject({ node: "right" }), { probes: machine() });
  const answer = { facts: await facts({ node: "right", qemu: "8.2.0" }), checks };
  const full = await doctor(channel(() => Promise.resolve(answer))).run({ peer: true });
  assert.ok(full.checks.some((check) => check.node === "right" && check.id === "kvm"));
  assert.equal(byId(full.checks, "pair.qemu").state, "warning");
  const alone = await doctor(channel(() => Promise.resolve(answer))).run({ peer: false });
  assert.ok(alone.checks.every((check) => check.node === "left"));
  const silent = new ProblemError("peer_unreachable", { detail: "right does not answer", hint: "Look." });
  const rows: [PeerChannel, string, RegExp][] = [
    [channel(() => Promise.reject(silent)), "failed", /right does not answer/],
    [channel(() => Promise.resolve({ facts: {}, checks: "none" })), "failed", /not understood/],
    [channel(() => Promise.resolve(answer), null), "info", /not paired/],
  ];
  for (const [peer, state, pattern] of rows) {
    const check = byId((await doctor(peer).run({ peer: true })).checks, "peer");
    assert.equal(check.state, state);
    assert.match(check.seen, pattern);
  }
});

Deno.test("this machine can be examined, and ping's words are understood", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "iservft-doctor-" });
  try {
    const settings = {
      ...subject().settings!,
      link_a: { local: "127.0.0.1", peer: "127.0.0.1" },
      link_b: null,
      lan: null,
    };
    const found = await examine(subject({ data: directory, settings }), { probes: realProbes });
    assert.equal(byId(found, "qemu").state, "ok");
    assert.match(byId(found, "disk.sync").seen, /\d+ writes of 4 KiB/);
    assert.match(byId(found, "link-a.rtt").seen, /ms on average/);
    assert.deepEqual([...Deno.readDirSync(directory)], [], "it leaves nothing behind");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  assert.deepEqual(readPing(PING_OK), { loss: 0, rtt_us: 254 });
  assert.deepEqual(readPing(LOST.said), { loss: 100, rtt_us: null });
  assert.equal(readPing("ping: unknown host"), null);
});
