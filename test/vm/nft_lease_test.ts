/** The tables themselves, in a network namespace of their own: Deno cannot enter one, so `nft` does. */

import assert from "node:assert/strict";
import { runCommand } from "../../lib/lab/command.ts";
import {
  kernelLeaseMs,
  type LeasedTap,
  NftLease,
  sayState,
  tableLines,
  type TapLease,
} from "../../lib/vm/nft_lease.ts";

const OP = { op: "test the kernel's lease" };
const TAPS: LeasedTap[] = [{ tap: "isfatap0", nic: 0 }, { tap: "isfatap1", nic: 1 }];

/** A namespace with two interfaces, and an `nft` that works in it. */
class Bed implements AsyncDisposable {
  readonly namespace = `isft${crypto.randomUUID().slice(0, 6)}`;
  readonly nft: string;

  private constructor(readonly directory: string) {
    this.nft = `${directory}/nft`;
  }

  static async open(): Promise<Bed> {
    const bed = new Bed(await Deno.makeTempDir({ prefix: "iservft-lease-" }));
    await runCommand(["ip", "netns", "add", bed.namespace], OP);
    for (const { tap } of TAPS) {
      await runCommand(["ip", "-n", bed.namespace, "link", "add", tap, "type", "bridge"], OP);
    }
    await bed.program(`exec ip netns exec ${bed.namespace} nft "$@"`);
    return bed;
  }

  async program(line: string): Promise<void> {
    await Deno.writeTextFile(this.nft, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  }

  async run(...words: string[]): Promise<string> {
    return await runCommand(["ip", "netns", "exec", this.namespace, "nft", ...words], OP);
  }

  /** Makes the lease; what the engine would be told is in `told`. */
  async lease(): Promise<{ lease: NftLease; told: TapLease[] }> {
    const told: TapLease[] = [];
    const lease = await NftLease.install({
      taps: TAPS,
      lease_ms: 40,
      leased: (tap) => void told.push(tap),
      nft: this.nft,
    });
    return { lease, told };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await runCommand(["ip", "netns", "del", this.namespace], OP);
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test("each TAP has a table that drops everything but what a lease frame with the secret lets pass", async () => {
  await using bed = await Bed.open();
  const { lease, told } = await bed.lease();
  assert.deepEqual(lease.state, { fencing: "kernel lease" });
  assert.deepEqual(told.map(({ tap, nic, lease_ms }) => [tap, nic, lease_ms]), [["isfatap0", 0, 40], [
    "isfatap1",
    1,
    40,
  ]]);
  const secret = told[0]?.secret.toHex() ?? "";
  assert.match(secret, /^[0-9a-f]{16}$/);
  const table = await bed.run("list", "table", "netdev", "isf_lease_isfatap1");
  assert.match(table, /hook ingress device "isfatap1" priority (0|filter); policy drop;/);
  assert.match(table, new RegExp(`@ll,112,64 0x0*${secret.replace(/^0+/, "")} update @alive`));
  await lease[Symbol.asyncDispose]();
  assert.equal(await bed.run("list", "tables"), "", "and nothing stays behind");
});

Deno.test("two runs never have the same secret", async () => {
  await using bed = await Bed.open();
  const [first, second] = [await bed.lease(), await bed.lease()];
  assert.notDeepEqual(first.told[0]?.secret, second.told[0]?.secret);
});

Deno.test("what a crash left behind is replaced", async () => {
  await using bed = await Bed.open();
  await bed.lease();
  const { lease, told } = await bed.lease();
  const table = await bed.run("list", "table", "netdev", "isf_lease_isfatap0");
  assert.equal(table.match(/update @alive/g)?.length, 1, "one rule, not two");
  assert.ok(table.includes((told[0]?.secret.toHex() ?? "").replace(/^0+/, "")), "with the new secret");
  await lease[Symbol.asyncDispose]();
});

Deno.test("a table that somebody removed is put back, with the same secret, and that is said", async () => {
  await using bed = await Bed.open();
  const { lease, told } = await bed.lease();
  assert.equal(await lease.check(), undefined);
  await bed.run("flush", "ruleset");
  assert.match(await lease.check() ?? "", /removed by somebody, and is in force again/);
  assert.match(await bed.run("list", "tables"), /isf_lease_isfatap0\n.*isf_lease_isfatap1/);
  assert.deepEqual(told[2]?.secret, told[0]?.secret);
  await bed.run("flush", "chain", "netdev", "isf_lease_isfatap0", "out");
  assert.ok(await lease.check(), "also when only its rules are gone");
  assert.equal(await lease.check(), undefined);
  await lease[Symbol.asyncDispose]();
  assert.equal(await lease.check(), undefined);
  assert.equal(await bed.run("list", "tables"), "", "after its end nothing is put back");
});

Deno.test("without nft, or on a kernel that refuses, the gate stands alone, and says what to install", async () => {
  await using bed = await Bed.open();
  const absent = await NftLease.install({
    taps: TAPS,
    lease_ms: 40,
    leased: () => assert.fail("no lease"),
    nft: `${bed.directory}/absent`,
  });
  assert.equal(absent.state.fencing, "gate only");
  assert.match(sayState(absent.state), /gate alone.*nft is not installed\. Install nftables\./);
  await bed.program(
    `cat >/dev/null; echo "Error: Could not process rule: Operation not supported" >&2; exit 1`,
  );
  const { lease, told } = await bed.lease();
  assert.match(sayState(lease.state), /Operation not supported\. The kernel needs nf_tables/);
  assert.deepEqual(told, []);
  assert.equal(await lease.check(), undefined, "it is not said again and again");
  await bed.program(`exec ip netns exec ${bed.namespace} nft "$@"`);
  assert.match(await lease.check() ?? "", /is in force/);
  assert.equal(told.length, 2);
  await lease[Symbol.asyncDispose]();
});

Deno.test("an engine that refuses the lease is not left behind a table that lets nothing pass", async () => {
  await using bed = await Bed.open();
  const lease = await NftLease.install({
    taps: TAPS,
    lease_ms: 1,
    leased: () => {
      throw new Error("too short");
    },
    nft: bed.nft,
  });
  assert.deepEqual(lease.state, { fencing: "gate only", why: "too short", hint: "" });
  assert.equal(await bed.run("list", "tables"), "");
});

Deno.test("the kernel's lease is 40 % of the takeover time, in whole milliseconds", () => {
  assert.deepEqual([50, 100, 151, 10_000].map(kernelLeaseMs), [20, 40, 60, 4000]);
});

Deno.test("a table is made in one transaction, whatever was there, for any interface's name", () => {
  const lines = tableLines({ tap: "a-b.c", lease_ms: 40, secret: new Uint8Array(8) });
  assert.deepEqual(lines.slice(0, 3), [
    "add table netdev isf_lease_a_b_c",
    "delete table netdev isf_lease_a_b_c",
    "add table netdev isf_lease_a_b_c",
  ]);
});
