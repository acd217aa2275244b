import assert from "node:assert/strict";
import {
  assets,
  type AssetsWorld,
  guestKernel,
  guestKernelPlaces,
  PACKED_FLAGS,
  selfCommand,
} from "../../lib/cli/assets.ts";
import { ROOT } from "../../build/run.ts";

function world(
  change: { env?: Record<string, string>; standalone?: boolean; files?: string[] },
): AssetsWorld {
  return {
    env: (name) => change.env?.[name],
    standalone: change.standalone ?? false,
    here: "/src/lib/cli",
    exists: (path) => change.files?.includes(path) ?? false,
  };
}

Deno.test("in a source tree the assets are where the build leaves them", () => {
  assert.deepEqual(assets(world({})), {
    mode: "source",
    library: "/src/.cache/native/libiservft.so",
    shim: "/src/.cache/native/libiservft-shim.so",
    guestInit: "/src/.cache/guest/init",
    ui: "/src/.cache/ui",
  });
});

Deno.test("the launcher's directory wins, and an empty variable counts as none", () => {
  const found = assets(world({ env: { ISERVFT_ASSETS: "/u" } }));
  assert.equal(found.mode, "packed");
  assert.equal(found.library, "/u/libiservft.so");
  assert.equal(assets(world({ env: { ISERVFT_ASSETS: "" } })).mode, "source");
  assert.equal(assets(world({ standalone: true })).mode, "deno compile");
});

Deno.test("the guest's kernel is looked for where the variable says and nowhere else", () => {
  assert.deepEqual(guestKernelPlaces(world({ env: { ISERVFT_GUEST_KERNEL: "/k" } })), ["/k"]);
});

Deno.test("the packed program finds the kernel of the tree that it was built in, then an installed one", () => {
  const env = { ISERVFT_ASSETS: "/u", ISERVFT_BINARY: "/src/dist/iservft-edge" };
  assert.deepEqual(guestKernelPlaces(world({ env })), ["/src/.cache/guest", "/usr/lib/iservft-edge/guest"]);
  const installed = world({ env, files: ["/usr/lib/iservft-edge/guest/vmlinuz"] });
  assert.equal(guestKernel(installed).vmlinuz, "/usr/lib/iservft-edge/guest/vmlinuz");
});

Deno.test("without a kernel the error says where it was looked for and what to do", () => {
  assert.throws(() => guestKernel(world({})), (error: Error & { hint?: string }) => {
    assert.match(error.message, /\/src\/\.cache\/guest or \/usr\/lib\/iservft-edge\/guest/);
    assert.match(error.hint ?? "", /build\/setup\.sh/);
    return true;
  });
});

Deno.test("the modules come in the order in which they must be loaded, and their files are there", () => {
  const { modules } = guestKernel();
  const names = modules.map((path) => path.slice(path.lastIndexOf("/") + 1));
  for (const path of modules) assert.ok(Deno.statSync(path).isFile, path);
  const order = names.filter((name) => ["virtio_ring.ko", "virtio_pci.ko"].includes(name));
  assert.ok(order.length < 2 || order[0] === "virtio_ring.ko", names.join(" "));
});

Deno.test("the program can start itself again, in each way in which it was built", () => {
  assert.deepEqual(selfCommand(world({})).slice(1), ["run", "--no-prompt", "--allow-all", "/src/main.ts"]);
  assert.deepEqual(selfCommand(world({ standalone: true })), [Deno.execPath()]);
  const packed = selfCommand(world({ env: { ISERVFT_ASSETS: "/u" } }));
  assert.equal(packed.at(-1), "/u/app/main.js");
});

Deno.test("the launcher starts Deno with the same flags as the program starts itself", async () => {
  const source = await Deno.readTextFile(`${ROOT}/build/launcher/main.c`);
  const table = /FLAGS\[\] = \{([^}]*)\}/.exec(source)?.[1] ?? "";
  const flags = [...table.matchAll(/"([^"]*)"/g)].map((match) => match[1]);
  assert.deepEqual(flags, ["deno", "run", ...PACKED_FLAGS]);
});
