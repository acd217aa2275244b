/** `iservft-edge vm create` and `vm import`. */

import { resolve } from "node:path";
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { type DiskCreate, jobView, vmCreate, vmView } from "../model/vm.ts";
import { jobEnd, protectedEnd } from "./follow.ts";
import { type Cli, type Connection, type Verb, verb } from "./noun.ts";
import { vmTable } from "./says.ts";
import { UsageError } from "./terminal.ts";
import { disk, mib, nic, setting } from "./values.ts";

/** What both take. */
const common = object("What it is made of", {
  memory: option("--memory", "-m", mib, { description: message`such as 2G; a number alone is MiB` }),
  vcpus: withDefault(
    option("--vcpus", integer({ min: 1, max: 8, metavar: "COUNT" }), {
      description: message`virtual processors, 1 to 8; 1 or 2 are protected at the least cost`,
    }),
    1,
  ),
  nics: multiple(
    option("--nic", nic, {
      description:
        message`a network card, such as bridge=br0,model=e1000e,mac=52:54:00:12:34:56; left out: the LAN's bridge, virtio-net, an address that is made; again for more`,
    }),
    {
      max: 8,
    },
  ),
  noScreen: withDefault(
    flag("--no-screen", { description: message`no VGA screen, the serial console only` }),
    false,
  ),
  uefi: withDefault(flag("--uefi", { description: message`UEFI instead of BIOS` }), false),
  settings: multiple(
    option("--set", setting, {
      description:
        message`a further key of the VM's file and its value, such as boot_menu=true; again for more`,
    }),
    {
      max: 50,
    },
  ),
  start: withDefault(flag("--start", { description: message`starts it as soon as it is made` }), false),
  noProtect: withDefault(
    flag("--no-protect", { description: message`does not protect it when it runs` }),
    false,
  ),
  wait: withDefault(
    flag("--wait", { description: message`until it is made (with --start: protected), with progress` }),
    false,
  ),
});
const nameArgument = argument(string({ metavar: "NAME" }), {
  description: message`1 to 32 small letters, digits or hyphens`,
});

interface Given extends Connection {
  name: string;
  memory: number;
  vcpus: number;
  nics: readonly Record<string, string>[];
  noScreen: boolean;
  uefi: boolean;
  settings: readonly (readonly [string, unknown])[];
  start: boolean;
  noProtect: boolean;
  wait: boolean;
}

/** A path of this machine, from where one stands; another node's must be absolute, since it is there. */
function pathOf(path: string, given: Given): string {
  if (path.startsWith("/")) return path;
  if (given.url !== undefined) throw new UsageError(`${path} is on the other node: write its whole path`);
  return resolve(path);
}

async function make(given: Given, said: { disks: readonly DiskCreate[]; cli: Cli }): Promise<number> {
  const { cli, disks } = said;
  const body = vmCreate.safeParse({
    name: given.name,
    memory_mib: given.memory,
    vcpus: given.vcpus,
    disks: disks.map((disk) => disk.kind === "import" ? { ...disk, path: pathOf(disk.path, given) } : disk),
    nics: given.nics,
    screen: !given.noScreen,
    firmware: given.uefi ? "uefi" : "bios",
    spec: Object.fromEntries(given.settings),
    start: given.start,
    protect: !given.noProtect,
  });
  if (!body.success) {
    const issue = body.error.issues[0];
    throw new UsageError(`${issue?.path.join(".")}: ${issue?.message}`);
  }
  const client = await cli.client();
  const job = await client.ask("POST", "/vms", { schema: jobView, body: body.data });
  if (!given.wait) {
    cli.answer(job, () => [`${given.name} is being made; iservft-edge job list says how far it is`]);
    return 0;
  }
  await jobEnd(cli, job);
  const now = await client.ask("GET", `/vms/${given.name}`, { schema: vmView });
  if (given.start && now.state === "stopped" && now.actions.start?.ok === false) {
    cli.answer(now, () => vmTable(cli.io, [now]));
    cli.io.err(`${given.name} is made, and not started: ${now.actions.start.why}`);
    return 3;
  }
  const vm = given.start && !given.noProtect && await hasPeer(cli)
    ? await protectedEnd(cli, given.name)
    : now;
  cli.answer(vm, () => vmTable(cli.io, [vm]));
  return 0;
}

/** Without a second node nothing is ever protected: there is nothing to wait for. */
async function hasPeer(cli: Cli): Promise<boolean> {
  const { pairView } = await import("../model/node.ts");
  const pair = await (await cli.client()).ask("GET", "/pair", { schema: pairView });
  return pair.pairing.step === "paired";
}

export const createVerb: Verb = verb({
  name: "create",
  brief: "Makes a VM on both nodes.",
  detail:
    "DISK is new:SIZE, existing:PATH (a raw image or block device), or import:FORMAT:PATH. The format is said, never guessed.",
  examples: [
    "iservft-edge vm create press-1 --memory 2G --disk new:20G --nic bridge=br0 --start --wait",
    "iservft-edge vm create db --memory 4096 --vcpus 2 --disk existing:/dev/vg0/db --nic bridge=br0,model=e1000e",
  ],
  takes: merge(
    object({
      name: nameArgument,
      disks: multiple(
        option("--disk", disk, {
          description:
            message`a disk, in the order of booting: new:20G, existing:PATH or import:FORMAT:PATH; again for more`,
        }),
        { max: 7 },
      ),
    }),
    common,
  ),
  run: (given, cli) => make(given, { disks: given.disks, cli }),
});

export const importVerb: Verb = verb({
  name: "import",
  brief: "Makes a VM of a disk image of another product: qcow2, vmdk, vhdx or raw.",
  detail:
    "FILE is read and converted into a new raw image; it is not changed, and no backing file that it names is followed.",
  examples: [
    "iservft-edge vm import press-1 press.vmdk --format vmdk --memory 2G --nic bridge=br0 --start --wait",
  ],
  takes: merge(
    object({
      name: nameArgument,
      file: argument(string({ metavar: "FILE" }), { description: message`the image, on the node's machine` }),
      format: option("--format", choice(["qcow2", "vmdk", "vhdx", "raw"], { metavar: "FORMAT" }), {
        description: message`what it is; it is never guessed`,
      }),
    }),
    common,
  ),
  run: (given, cli) =>
    make(given, { disks: [{ kind: "import", format: given.format, path: given.file }], cli }),
});
