import assert from "node:assert/strict";
import {
  type BackupVersions,
  commonProtocol,
  compareQemu,
  readVersions,
  versionNote,
  versionProblem,
  type Versions,
} from "../../lib/replication/versions.ts";

const BASE: BackupVersions = {
  program: "0.1.0",
  protocol: { oldest: 1, newest: 1 },
  qemu: "7.2.22",
  machine: "pc-q35-7.2",
  machines: ["pc-q35-7.2", "pc-q35-7.1"],
  fixedMachine: undefined,
};

/** What primary and backup have, where they differ from BASE, and what comes out. */
interface Row {
  promise: string;
  primary?: Partial<Versions>;
  backup?: Partial<BackupVersions>;
  problem?: RegExp;
  note?: RegExp;
}

const protocols = (oldest: number, newest: number) => ({ protocol: { oldest, newest } });

const TABLE: Row[] = [
  { promise: "equal versions go together, and there is nothing to say" },
  {
    promise: "another version with the same protocol goes, and both are named",
    backup: { program: "0.2.0" },
    note: /primary runs iservft-edge 0\.1\.0, the backup 0\.2\.0: they speak protocol 1\./,
  },
  {
    promise: "ranges that overlap go, by the newest that both know",
    primary: { program: "0.3.0", ...protocols(2, 4) },
    backup: { program: "0.2.0", ...protocols(1, 3) },
    note: /they speak protocol 3/,
  },
  {
    promise: "a backup that is too old is refused, and is what to upgrade",
    primary: { program: "0.9.0", ...protocols(2, 3) },
    problem:
      /iservft-edge 0\.9\.0 \(protocols 2 to 3\), the backup 0\.1\.0 \(protocol 1\).*Upgrade iservft-edge on the backup/,
  },
  {
    promise: "a backup that is too new is refused, and what to do does not begin with stopping the VM",
    backup: { program: "0.9.0", ...protocols(2, 3) },
    problem:
      /iservft-edge 0\.1\.0 \(protocol 1\), the backup 0\.9\.0 \(protocols 2 to 3\).*version in between/,
  },
  {
    promise: "a backup with a newer QEMU goes, and what follows is said",
    backup: { qemu: "8.0.0" },
    note: /QEMU 7\.2\.22, the backup 8\.0\.0\. Once the VM has moved to the newer one, it is unprotected/,
  },
  {
    promise: "a backup with an older QEMU is refused with both and what to do",
    primary: { qemu: "8.1.5" },
    problem: /QEMU 8\.1\.5, the backup the older QEMU 7\.2\.22.*Upgrade QEMU on the backup to 8\.1 or newer/,
  },
  {
    promise: "numbers are compared, not text",
    primary: { qemu: "9.2.0" },
    backup: { qemu: "10.0.1" },
    note: /10\.0\.1/,
  },
  {
    promise: "QEMUs that differ in their third number go both ways",
    primary: { qemu: "7.2.22" },
    backup: { qemu: "7.2.9" },
    note: /QEMU 7\.2\.22, the backup 7\.2\.9\.$/,
  },
  {
    promise: "a machine type that the backup's QEMU does not know is refused",
    primary: { machine: "pc-q35-6.0" },
    problem: /pc-q35-6\.0, which the primary's QEMU 7\.2\.22 knows and the backup's QEMU 7\.2\.22 does not/,
  },
  {
    promise: "the VM keeps the primary's machine type, whatever the backup would give a new one",
    primary: { machine: "pc-q35-7.1" },
  },
  {
    promise: "a machine type without a version is refused: it is other hardware on each QEMU",
    primary: { machine: "q35" },
    problem: /machine type is "q35": a versioned one is needed/,
  },
  {
    promise: "a machine type that the file sets is not put aside for another",
    primary: { machine: "pc-q35-7.1" },
    backup: { fixedMachine: "pc-q35-7.2" },
    problem: /pc-q35-7\.1 on the primary, and pc-q35-7\.2 in the backup's file/,
  },
];

for (const { promise, primary, backup, problem, note } of TABLE) {
  Deno.test(promise, () => {
    const pair = { primary: { ...BASE, ...primary }, backup: { ...BASE, ...backup } };
    const said = versionProblem(pair);
    if (problem !== undefined) return assert.match(said ?? "nothing", problem);
    assert.equal(said, undefined);
    if (note === undefined) assert.equal(versionNote(pair), undefined);
    else assert.match(versionNote(pair) ?? "nothing", note);
  });
}

Deno.test("two programs find the same protocol, whichever of them looks", () => {
  for (let bits = 0; bits < 256; bits++) {
    const [a, b, c, d] = [bits & 3, bits >> 2 & 3, bits >> 4 & 3, bits >> 6 & 3] as const;
    if (a > b || c > d) continue;
    const [one, other] = [{ oldest: a, newest: b }, { oldest: c, newest: d }];
    const common = commonProtocol(one, other);
    assert.equal(common, commonProtocol(other, one));
    const both = [0, 1, 2, 3].filter((p) => p >= a && p <= b && p >= c && p <= d);
    assert.equal(common, both.at(-1));
  }
});

Deno.test("what a host says of its versions is checked before it is believed", () => {
  const good = {
    program: "0.1.0",
    protocol: { oldest: 1, newest: 2 },
    qemu: "7.2.22",
    machine: "pc-q35-7.2",
  };
  assert.deepEqual(readVersions(good), good);
  assert.deepEqual(readVersions({ ...good, added: "later" }), { ...good, added: "later" });
  const bad = [
    null,
    "7",
    { ...good, program: 7 },
    { ...good, qemu: "new" },
    { ...good, machine: "x".repeat(101) },
    { ...good, protocol: { oldest: 2, newest: 1 } },
    { ...good, protocol: { oldest: 1 } },
    { ...good, protocol: "1" },
  ];
  for (const raw of bad) assert.equal(readVersions(raw), undefined, JSON.stringify(raw));
});

Deno.test("QEMU's versions have an order", () => {
  const order = ["7.2.0", "8.0.0", "8.2.1", "9.1.0", "10.0.0"];
  for (const [i, a] of order.entries()) {
    for (const [j, b] of order.entries()) assert.equal(Math.sign(compareQemu(a, b)), Math.sign(i - j));
  }
  assert.equal(compareQemu("7.2.22", "7.2.1"), 0);
});
