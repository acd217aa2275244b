import assert from "node:assert/strict";
import { parseSpec } from "../../lib/vm/spec.ts";
import { defaultOf, differentKey, specKeys } from "../../lib/vm/spec_keys.ts";

const keys = (text: string) => specKeys(parseSpec({ file: "vm.toml", text }));
const BASE = 'name = "press"\nmemory = 512\n';
const DISK = '[[disk]]\npath = "disk.img"\n';

Deno.test("defaults are left out, so that a key that only a newer program knows does not divide equal files", async () => {
  assert.deepEqual(await keys(BASE + DISK), { name: "press", memory: "512", "disk[0].path": "disk.img" });
  assert.deepEqual(await keys(`${BASE}vcpus = 1\nmachine = "q35"\n`), await keys(BASE));
  assert.equal(differentKey(await keys(BASE), await keys(`${BASE}vcpus = 1\n`)), undefined);
  assert.equal(defaultOf("disk[3].format"), "raw");
  assert.equal(defaultOf("memory"), undefined, "what each file has must always be compared");
  assert.equal((await keys(BASE.replace("512", "64")))["memory"], "64");
});

Deno.test("the first key that differs is named with both values", async () => {
  const cases: [string, string, RegExp][] = [
    [BASE, `${BASE}vcpus = 2\n`, /differ in vcpus: on the backup "2", on the primary "1" \(the default\)/],
    [BASE + DISK, BASE, /differ in disk\[0\]\.path: on the backup nothing, on the primary "disk\.img"/],
    [BASE, BASE.replace("512", "256"), /differ in memory: on the backup "256", on the primary "512"/],
    [
      BASE,
      `${BASE}[degradation]\norder = []\n`,
      /differ in degradation\.order: on the backup "", on the primary "longer, slower" \(the default\)/,
    ],
  ];
  for (const [primary, backup, expected] of cases) {
    assert.match(differentKey(await keys(primary), await keys(backup)) ?? "nothing", expected);
  }
});

Deno.test("a kernel's command line may hold a password: two that differ are told apart, and neither is shown", async () => {
  const line = (secret: string) => keys(`${BASE}kernel = "k"\ncmdline = "quiet secret=${secret}"\n`);
  const text = differentKey(await line("abc"), await line("xyz")) ?? "";
  assert.match(text, /differ in cmdline: on the backup ".*SHA-256 [0-9a-f]{16}/);
  assert.ok(!text.includes("abc") && !text.includes("xyz") && !text.includes("quiet"));
});
