import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { listens, parseHostConfig, readKey } from "../../lib/vm/host_config.ts";

const GOOD = `node = "a"
run_dir = "/run/iservft"
data_dir = "/var/lib/iservft"
key_file = "/etc/iservft/key"
[[link]]
local = "10.0.1.1"
peer = "10.0.1.2"
[[link]]
local = "10.0.2.1"
peer = "10.0.2.2"
[lan]
local = "192.168.0.1"
peer = "192.168.0.2"
bridge = "br0"
reference = "192.168.0.254"
`;

function problems(text: string): string[] {
  try {
    parseHostConfig({ file: "host.toml", text });
  } catch (error) {
    assert.ok(error instanceof InputError, String(error));
    return error.problems.map((p) => `${p.line} ${p.key}: ${p.problem}`);
  }
  return [];
}

Deno.test("a short host file is filled with defaults", () => {
  const config = parseHostConfig({ file: "host.toml", text: GOOD });
  assert.deepEqual(config.heartbeat, { interval_ms: 10, takeover_ms: 100 });
  assert.equal(config.rhythm.max_epoch_ms, 100);
  assert.equal(config.arbiter, "lan");
});

Deno.test("each mistake is named by key and line", () => {
  const cases: [string, string, RegExp][] = [
    [
      'peer = "10.0.1.2"',
      'peer = "10.0.1.300"',
      /^7 link\[0\].peer: is "10.0.1.300"; it must be an IPv4 address/,
    ],
    ['peer = "10.0.1.2"', 'peer = "10.0.1.1"', /^7 link\[0\].peer: .*this host's own address/],
    ['run_dir = "/run/iservft"', 'run_dir = "run"', /^2 run_dir: is "run"; it must be an absolute path/],
    ['bridge = "br0"', 'bridge = "a-name-that-is-too-long"', /^14 lan.bridge: /],
    ['reference = "192.168.0.254"\n', "", /arbiter: .*it needs `reference` in \[lan\]/],
    ['local = "10.0.2.1"', 'local = "10.0.1.1"', /^5 link: .*same local address/],
  ];
  for (const [from, to, expected] of cases) {
    const found = problems(GOOD.replace(from, to));
    assert.equal(found.length, 1, `${to}: ${found}`);
    assert.match(found[0] ?? "", expected);
  }
  const beat = problems(`${GOOD}[heartbeat]\ninterval_ms = 50\ntakeover_ms = 100\n`);
  assert.match(
    beat[0] ?? "",
    /^18 heartbeat.takeover_ms: is 100; it must be at least three times interval_ms/,
  );
});

Deno.test("exactly one host of a link listens", () => {
  for (
    const [a, b] of [["10.0.1.1", "10.0.1.2"], ["9.255.255.255", "10.0.0.1"], [
      "200.1.1.1",
      "10.1.1.1",
    ]] as const
  ) {
    assert.notEqual(listens({ local: a, peer: b }), listens({ local: b, peer: a }));
  }
});

Deno.test("a key is 32 bytes of hex that nobody else may read", async () => {
  const file = await Deno.makeTempFile();
  try {
    Deno.writeTextFileSync(file, `${"0f".repeat(32)}\n`);
    Deno.chmodSync(file, 0o600);
    assert.deepEqual(readKey(file), new Uint8Array(32).fill(15));
    Deno.chmodSync(file, 0o640);
    assert.throws(() => readKey(file), /may be read by others \(mode 640\)/);
    Deno.chmodSync(file, 0o600);
    Deno.writeTextFileSync(file, "0f0f");
    assert.throws(() => readKey(file), /holds 4 characters that are not 64 hex digits/);
  } finally {
    await Deno.remove(file);
  }
  assert.throws(() => readKey(file), /does not exist/);
});
