import assert from "node:assert/strict";
import { usualSocket } from "../../lib/cli/noun.ts";
import { pageAddresses } from "../../lib/cli/serve.ts";
import { progressText } from "../../lib/cli/terminal.ts";
import { run as version, VERSION } from "../../lib/cli/version.ts";
import { errorText, InputError } from "../../lib/errors.ts";

Deno.test("a user without a service of their own is led to the machine's, if there is one", async () => {
  const directory = await Deno.makeTempDir({ prefix: "where-" });
  try {
    const [own, machine] = [`${directory}/own`, `${directory}/machine`];
    assert.equal(usualSocket([own, machine]), `${own}/serve.sock`);
    await Deno.mkdir(machine);
    using _machine = Deno.listen({ transport: "unix", path: `${machine}/serve.sock` });
    assert.equal(usualSocket([own, machine]), `${machine}/serve.sock`);
    await Deno.mkdir(own);
    using _own = Deno.listen({ transport: "unix", path: `${own}/serve.sock` });
    assert.equal(usualSocket([own, machine]), `${own}/serve.sock`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("the terminal names addresses that a browser can open, not 'all addresses'", () => {
  const interfaces = () => [
    { family: "IPv4" as const, name: "lo", address: "127.0.0.1" },
    { family: "IPv4" as const, name: "br0", address: "192.168.1.10" },
    { family: "IPv6" as const, name: "br0", address: "fe80::1" },
  ];
  const of = (...addresses: string[]) => pageAddresses({ addresses: () => addresses }, interfaces);
  assert.deepEqual(of("https://0.0.0.0:8443", "https://[::1]:8443"), [
    "https://192.168.1.10:8443",
    "https://[::1]:8443",
  ]);
  assert.deepEqual(of("https://127.0.0.1:8443"), ["https://127.0.0.1:8443"]);
});

Deno.test("the version is JSON when a program asks, and a file that is not there is not blamed for its line 0", async () => {
  const out: string[] = [];
  assert.equal(await version(["--json"], { out: (line) => out.push(line), err() {} }), 0);
  assert.equal(JSON.parse(out.join("\n")).version, VERSION);
  const missing = errorText(new InputError("/x.toml", [{ key: "", line: 0, problem: "does not exist" }]));
  assert.match(missing, /\/x\.toml: does not exist\n.*Say another file/);
  assert.match(
    errorText(new InputError("/x.toml", [{ key: "a", line: 3, problem: "p" }])),
    /\/x\.toml:3: a: p/,
  );
});

Deno.test("what has ended has no speed and no time left", () => {
  const all = { total: 2048, unit: "bytes" as const, rate_per_s: 0, eta_s: 0 };
  assert.equal(progressText({ ...all, done: 2048 }).trim(), "100 %  2.0 KiB of 2.0 KiB");
  assert.match(progressText({ ...all, done: 1024, rate_per_s: 512, eta_s: 2 }), /512 B\/s {2}2 s left/);
});
