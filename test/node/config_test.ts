import assert from "node:assert/strict";
import { InputError } from "../../lib/errors.ts";
import { nameOfMachine, parseServeConfig, readEndpoint, usualPlaces } from "../../lib/node/config.ts";

function problems(text: string): string {
  try {
    parseServeConfig({ file: "serve.toml", text });
  } catch (error) {
    assert.ok(error instanceof InputError);
    assert.equal(error.exitCode, 2);
    return error.message;
  }
  return "";
}

Deno.test("an empty serve.toml is a whole configuration", () => {
  const config = parseServeConfig({ file: "serve.toml", text: "" });
  assert.deepEqual(config.listen, { host: "0.0.0.0", port: 8443 });
  assert.deepEqual(config.images, ["/srv/iservft-edge"]);
  assert.deepEqual(config.peer_listen, { host: "0.0.0.0", port: 7811 });
  assert.equal(config.qemu, "qemu-system-x86_64");
  assert.equal(config.fencing.kernel_lease, true);
});

Deno.test("each wrong key of serve.toml is named by line, key, value seen and what is allowed", () => {
  const said = problems(
    'node = "a b"\nlisten = "everywhere"\nnames = ["https://x"]\ncolour = 1\n[fencing]\nwatchdog = "yes"\n',
  );
  assert.match(said, /serve\.toml:1: node: is "a b"; it must be 1 to 32 letters, digits or hyphens/);
  assert.match(said, /serve\.toml:2: listen: is "everywhere"; it must be ADDRESS:PORT/);
  assert.match(said, /serve\.toml:3: names\[0\]: is "https:\/\/x"; it must be a host name/);
  assert.match(said, /serve\.toml:4: colour: unknown key/);
  assert.match(said, /serve\.toml:6: fencing\.watchdog: is "yes"; allowed: "auto", "off" or a device/);
});

Deno.test("an endpoint is read with and without port, in both families, and nothing else is", () => {
  assert.deepEqual(readEndpoint("127.0.0.1:9", 1), { host: "127.0.0.1", port: 9 });
  assert.deepEqual(readEndpoint("10.0.0.1", 1), { host: "10.0.0.1", port: 1 });
  assert.deepEqual(readEndpoint("[::1]:9", 1), { host: "::1", port: 9 });
  assert.deepEqual(readEndpoint("localhost:9", 1), { host: "127.0.0.1", port: 9 });
  for (
    const text of ["", ":9", "1.2.3:9", "300.1.1.1", "10.0.0.1:65536", "::1", "[10.0.0.1]:1", "a.example:1"]
  ) {
    assert.equal(readEndpoint(text, 1), undefined, text);
  }
});

Deno.test("a node's name is made of the machine's, whatever that is", () => {
  assert.equal(nameOfMachine("press-1.plant.example"), "press-1");
  assert.equal(nameOfMachine("Press_1"), "Press-1");
  assert.equal(nameOfMachine("-.x"), "node");
  assert.equal(nameOfMachine("x".repeat(40)).length, 32);
});

Deno.test("root's data are the system's, a user's are his own", () => {
  const env = (names: Record<string, string>) => ({ get: (name: string) => names[name] });
  assert.equal(usualPlaces({ root: true, ...env({}) }).data, "/var/lib/iservft-edge");
  assert.deepEqual(usualPlaces({ root: false, ...env({ HOME: "/h", XDG_RUNTIME_DIR: "/r" }) }), {
    data: "/h/.local/share/iservft-edge",
    run: "/r/iservft-edge",
  });
  assert.throws(() => usualPlaces({ root: false, ...env({}) }), /HOME is not set/);
});
