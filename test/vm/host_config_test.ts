import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { leaseMs, leaseProblem, listens, parseHostConfig, readKey } from "../../lib/vm/host_config.ts";

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
    /^18 heartbeat.takeover_ms: is 100; it must be at least 167 with interval_ms = 50: .* three heartbeats/,
  );
});

const ID = "BC6VX-B5GK7-PAACY-ODZQP-N7Q53-DTFTT-4VFQE-N2XHD-N3ML6-YDV5J-O65OI-COSQ4-7ZZAL";
const WITNESS = `${GOOD.replace("[[link]]", 'arbiter = "witness"\n[[link]]')}[witness]
address = "10.0.9.9"
id = "${ID}"
pair = "press"
identity = "/etc/iservft"
`;

Deno.test("a witness is named by address, ID and pair; its port has a default", () => {
  const text = WITNESS.replace(ID, ID.toLowerCase().replaceAll("-", " "));
  const config = parseHostConfig({ file: "host.toml", text });
  const expected = { address: "10.0.9.9", port: 7810, id: ID, pair: "press", identity: "/etc/iservft" };
  assert.deepEqual(config.witness, expected);
});

Deno.test("a witness that is missing, unknown or mistyped is named by key and line", () => {
  const cases: [string, string, RegExp][] = [
    [
      WITNESS.slice(WITNESS.indexOf("[witness]")),
      "",
      /^5 arbiter: is "witness"; it needs a table \[witness\]/,
    ],
    ['arbiter = "witness"', 'arbiter = "wittness"', /^5 arbiter: is "wittness"; allowed: "lan", .*"witness"/],
    ["PAACY-ODZQP", "PAACY-ODZPQ", /^\d+ witness\.id: .*; group 4 \("ODZPQ"\) is mistyped/],
    ['"10.0.9.9"', '"witness.local"', /^\d+ witness\.address: .*IPv4/],
    ['pair = "press"', 'pair = "Press 1"', /^\d+ witness\.pair: is "Press 1"; /],
    ['pair = "press"\n', "", /^\d+ witness\.pair: is missing/],
    ['pair = "press"', 'pear = "press"\npair = "press"', /^\d+ witness\.pear: unknown key/],
    ['identity = "/etc/iservft"', 'identity = "id"', /^\d+ witness\.identity: .*absolute path/],
  ];
  for (const [from, to, expected] of cases) {
    const found = problems(WITNESS.replace(from, to));
    assert.equal(found.length, 1, `${to}: ${found}`);
    assert.match(found[0] ?? "", expected);
  }
});

const ETCD = `${GOOD.replace("[[link]]", 'arbiter = "etcd"\n[[link]]')}[etcd]
endpoints = ["https://10.0.9.9:2379", "https://etcd-2.plant:2379"]
pair = "press"
ca = "/etc/iservft/etcd-ca.pem"
certificate = "/etc/iservft/etcd.pem"
private_key = "/etc/iservft/etcd.key"
user = "edge"
password_file = "/etc/iservft/etcd.password"
`;

Deno.test("a site's etcd is named by its endpoints and the pair; http only where that is said, and never with a password", () => {
  const config = parseHostConfig({ file: "host.toml", text: ETCD });
  assert.deepEqual([config.etcd?.prefix, config.etcd?.plaintext], ["iservft", false]);
  const cases: [string, string, RegExp][] = [
    [ETCD.slice(ETCD.indexOf("[etcd]")), "", /^5 arbiter: is "etcd"; it needs a table \[etcd\]/],
    [
      "https://10.0.9.9",
      "http://10.0.9.9",
      /^\d+ etcd\.endpoints: .*http is not encrypted.*plaintext = true/,
    ],
    ["https://10.0.9.9:2379", "10.0.9.9:2379", /^\d+ etcd\.endpoints\[0\]: .*a client URL of etcd/],
    [
      "https://10.0.9.9:2379",
      "https://10.0.9.9:2379/v3",
      /^\d+ etcd\.endpoints\[0\]: .*a client URL of etcd/,
    ],
    ["pair =", 'prefix = "/iservft"\npair =', /^\d+ etcd\.prefix: .*parts of at most 64/],
    ['private_key = "/etc/iservft/etcd.key"\n', "", /^\d+ etcd\.certificate: .*belong together/],
    ['user = "edge"\n', "", /^\d+ etcd\.user: user and password_file belong together/],
    ['pair = "press"\n', "", /^\d+ etcd\.pair: is missing/],
  ];
  for (const [from, to, expected] of cases) {
    const found = problems(ETCD.replace(from, to));
    assert.equal(found.length, 1, `${to}: ${found}`);
    assert.match(found[0] ?? "", expected);
  }
  const plain = ETCD.replace("https:", "http:").replace("pair =", "plaintext = true\npair =");
  assert.match(problems(plain)[0] ?? "", /etcd\.user: .*in the clear/);
  assert.deepEqual(problems(plain.replace(/user = .*\npassword_file = .*\n/, "")), []);
});

Deno.test("a lease is over before the other host takes over, and outlasts three heartbeats; else both values are named", () => {
  const host = (takeover_ms: number, interval_ms = 10) => ({ takeover_ms, interval_ms });
  assert.equal(leaseMs(host(100)), 90);
  assert.equal(leaseProblem(host(100), host(100)), undefined);
  assert.equal(leaseProblem(host(100), host(91)), undefined);
  assert.match(leaseProblem(host(100), host(90)) ?? "", /90 ms .*takeover_ms = 100\).* takeover_ms = 90 /);
  assert.match(leaseProblem(host(300), host(100)) ?? "", /270 ms .*takeover_ms = 300\).* takeover_ms = 100 /);
  assert.match(leaseProblem(host(33), host(33)) ?? "", /at least 34 with interval_ms = 10/);
  assert.equal(leaseProblem(host(34), host(34)), undefined);
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

Deno.test("the kernel's lease is on, and a takeover time that leaves it no room is refused", () => {
  assert.equal(parseHostConfig({ file: "host.toml", text: GOOD }).fencing.kernel_lease, true);
  const short = `${GOOD}[heartbeat]\ninterval_ms = 5\ntakeover_ms = 40\n`;
  assert.match(
    problems(short)[0] ?? "",
    /heartbeat.takeover_ms: is 40; the kernel's lease is 40 % of it and must have 20 ms: allowed: 50 or more/,
  );
  assert.deepEqual(problems(`${short}[fencing]\nkernel_lease = false\n`), []);
});

Deno.test("a watchdog is used where there is one, unless it is off; a device may be named; what is neither is refused", () => {
  const of = (line: string) =>
    parseHostConfig({ file: "host.toml", text: `${GOOD}[fencing]\n${line}\n` }).fencing;
  assert.deepEqual([of("").watchdog, of("").watchdog_s], ["auto", 10]);
  assert.equal(of('watchdog = "off"').watchdog, "off");
  assert.equal(of('watchdog = "/dev/watchdog1"\nwatchdog_s = 30').watchdog_s, 30);
  for (const line of ['watchdog = "on"', 'watchdog = "watchdog0"']) {
    assert.match(
      problems(`${GOOD}[fencing]\n${line}\n`)[0] ?? "",
      /fencing\.watchdog: .*allowed: "auto", "off" or a device/,
    );
  }
  assert.match(
    problems(`${GOOD}[fencing]\nwatchdog_s = 2\n`)[0] ?? "",
    /fencing\.watchdog_s: is 2; allowed: 3 to 600/,
  );
});
