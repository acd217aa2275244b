import assert from "node:assert/strict";
import { usualSocket } from "../../lib/cli/noun.ts";
import { pageAddresses } from "../../lib/cli/serve.ts";

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
