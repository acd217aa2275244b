/** Machines with more in them than the demo's: what QEMU keeps beside the main memory must come along. */

import assert from "node:assert/strict";
import { assets, guestKernel, selfCommand } from "../../lib/cli/assets.ts";
import { demonstrate, faultsOf } from "../../lib/lab/demonstration.ts";
import { Lab } from "../../lib/lab/lab.ts";
import type { PairOptions } from "../../lib/lab/pair.ts";

const OVMF = "/usr/share/OVMF";

/** Protects a machine, compares everything at a commit, takes its host's power, and has the guest check itself. */
async function survives(
  machine: Partial<PairOptions>,
  prepare: (directory: string) => Promise<void> = async () => {},
) {
  const directory = await Deno.makeTempDir({ prefix: "iservft-devices-" });
  try {
    await prepare(directory);
    await using lab = await Lab.up({ id: `v${crypto.randomUUID().slice(0, 6)}` });
    const outcome = await demonstrate(lab, {
      pair: {
        lab,
        directory,
        self: selfCommand(),
        kernel: guestKernel(),
        guestInit: assets().guestInit,
        memory: 256,
        takeover: 150,
        ...machine,
      },
      fail: "power-off-primary",
      seconds: 2,
      dirty: 10,
      write: 64,
      onEvent: () => {},
    });
    assert.deepEqual(faultsOf(outcome), []);
    assert.equal(outcome.runs_on, "b");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a machine with a screen and two processors survives its host, its video memory byte for byte", async () => {
  await survives({ vga: true, vcpus: 2 });
});

Deno.test("a machine with UEFI, its variables, USB and modern virtio survives its host", async () => {
  const vmToml = `firmware = { code = "${OVMF}/OVMF_CODE_4M.fd", vars = "vars.fd" }
devices = ["qemu-xhci", "usb-tablet"]
virtio = "modern"`;
  await survives({ vga: true, vmToml }, async (directory) => {
    for (const host of ["a", "b"]) {
      await Deno.mkdir(`${directory}/host-${host}`);
      await Deno.copyFile(`${OVMF}/OVMF_VARS_4M.fd`, `${directory}/host-${host}/vars.fd`);
    }
  });
});
