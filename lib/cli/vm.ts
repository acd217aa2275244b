/** `iservft-edge vm`: a VM's whole life. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { integer, string } from "@optique/core/valueparser";
import { z } from "zod";
import { switchoverView, type VmAction, vmSample, vmView } from "../model/vm.ts";
import { consoleVerb } from "./vm_console.ts";
import { createVerb, importVerb } from "./vm_create.ts";
import { protectedEnd } from "./follow.ts";
import { type Noun, runNoun, type Verb, verb } from "./noun.ts";
import { isDegraded, switchoverText, vmLines, vmTable } from "./says.ts";
import { confirmed } from "./terminal.ts";
import { orDash, plain, table } from "./text.ts";
import { setting } from "./values.ts";

/** Longest that an action takes: a stop waits for the guest. */
const ACTION_MS = 600_000;
const acted = z.object({ detail: z.string() });

/** The VM that is meant. */
export const vmArgument = argument(string({ metavar: "NAME" }), { description: message`the VM` });
const yes = withDefault(flag("--yes", "-y", { description: message`do not ask` }), false);

const list = verb({
  name: "list",
  brief: "All VMs, with state and sentence.",
  takes: object({}),
  async run(_, cli) {
    const vms = await (await cli.client()).ask("GET", "/vms", { schema: z.array(vmView) });
    cli.answer(vms, () => vmTable(cli.io, vms));
  },
});

const show = verb({
  name: "show",
  brief: "One VM: where it runs, whether it is protected, what it is made of, what may be done.",
  detail: "Ends with 3 when it should be protected and is not.",
  takes: object({ name: vmArgument }),
  async run({ name }, cli) {
    const vm = await (await cli.client()).ask("GET", `/vms/${encodeURIComponent(name)}`, { schema: vmView });
    cli.answer(vm, () => vmLines(cli.io, vm));
    return isDegraded(vm) ? 3 : 0;
  },
});

/** A verb that only says it. */
function simple(name: string, action: VmAction, brief: string): Verb {
  return verb({
    name,
    brief,
    takes: object({ name: vmArgument }),
    async run({ name: vm }, cli) {
      const answer = await (await cli.client()).ask(
        "POST",
        `/vms/${encodeURIComponent(vm)}/actions/${action}`,
        {
          schema: acted,
          timeout_ms: ACTION_MS,
        },
      );
      cli.answer(answer, () => [plain(answer.detail)]);
    },
  });
}

/** A verb after which there may be no way back. */
function decision(
  name: string,
  action: VmAction,
  said: { brief: string; question(vm: string): string },
): Verb {
  return verb({
    name,
    brief: said.brief,
    takes: object({ name: vmArgument, yes }),
    async run({ name: vm, yes }, cli) {
      if (!yes && !await confirmed(cli.io, said.question(vm), "--yes")) {
        return cli.io.err("nothing was done"), 1;
      }
      const answer = await (await cli.client()).ask(
        "POST",
        `/vms/${encodeURIComponent(vm)}/actions/${action}`,
        {
          schema: acted,
          timeout_ms: ACTION_MS,
        },
      );
      cli.answer(answer, () => [plain(answer.detail)]);
    },
  });
}

const protect = verb({
  name: "protect",
  brief: "Has a copy made and kept on the other node.",
  takes: object({
    name: vmArgument,
    wait: withDefault(flag("--wait", { description: message`until it is protected, with progress` }), false),
  }),
  async run({ name, wait }, cli) {
    const client = await cli.client();
    const answer = await client.ask("POST", `/vms/${encodeURIComponent(name)}/actions/protect`, {
      schema: acted,
      timeout_ms: ACTION_MS,
    });
    if (!wait) return cli.answer(answer, () => [plain(answer.detail)]);
    const vm = await protectedEnd(cli, name);
    cli.answer(vm, () => vmTable(cli.io, [vm]));
  },
});

const switchover = verb({
  name: "switchover",
  brief: "Moves it to the other node, and says how long it stood still.",
  detail: "With --history it moves nothing and lists the switchovers so far.",
  takes: object({
    name: vmArgument,
    history: withDefault(flag("--history", { description: message`lists those so far instead` }), false),
  }),
  async run({ name, history }, cli) {
    const client = await cli.client();
    const path = `/vms/${encodeURIComponent(name)}/switchover`;
    if (history) {
      const all = await client.ask("GET", path, { schema: z.array(switchoverView) });
      return cli.answer(all, () => all.length === 0 ? ["none so far"] : all.map(switchoverText));
    }
    const done = await client.ask("POST", path, { schema: switchoverView, timeout_ms: ACTION_MS });
    cli.answer(done, () => [switchoverText(done)]);
    return done.ok ? 0 : 1;
  },
});

const remove = verb({
  name: "delete",
  brief: "Deletes it on both nodes; its disks are kept unless --disks is given.",
  takes: object({
    name: vmArgument,
    yes,
    disks: withDefault(
      flag("--disks", { description: message`deletes its disks too, with all that is on them` }),
      false,
    ),
  }),
  async run({ name, yes, disks }, cli) {
    const what = disks
      ? `Delete ${name} AND ITS DISKS on both nodes?`
      : `Delete ${name}? Its disks are kept.`;
    if (!yes && !await confirmed(cli.io, what, "--yes")) return cli.io.err("nothing was deleted"), 1;
    const client = await cli.client();
    await client.tell("DELETE", `/vms/${encodeURIComponent(name)}`, {
      query: { disks },
      timeout_ms: ACTION_MS,
    });
    cli.answer(
      { name, deleted: true, disks },
      () => [
        `${name} is deleted; ${disks ? "so are the disks that were made for it" : "its disks are kept"}`,
      ],
    );
  },
});

const edit = verb({
  name: "set",
  brief: "Changes settings, by keys of the VM's file; most take effect at its next start.",
  examples: ["iservft-edge vm set press-1 memory=4096 vcpus=2 cpu=EPYC"],
  takes: object({
    name: vmArgument,
    settings: multiple(
      argument(setting, { description: message`a key of the file, and its value as JSON or text` }),
      { min: 1 },
    ),
  }),
  async run({ name, settings }, cli) {
    const client = await cli.client();
    const path = `/vms/${encodeURIComponent(name)}`;
    const { revision } = await client.ask("GET", path, { schema: vmView });
    const body = { revision, spec: Object.fromEntries(settings) };
    const vm = await client.ask("PATCH", path, { schema: vmView, body });
    cli.answer(vm, () => [`${vm.name} has settings of revision ${vm.revision}`]);
  },
});

const logs = verb({
  name: "logs",
  brief: "The newest lines that its runner and QEMU wrote.",
  takes: object({
    name: vmArgument,
    lines: withDefault(option("--lines", "-n", integer({ min: 1, max: 5000, metavar: "COUNT" })), 200),
  }),
  async run({ name, lines }, cli) {
    const answer = await (await cli.client()).ask("GET", `/vms/${encodeURIComponent(name)}/logs`, {
      query: { lines },
      schema: z.object({ lines: z.array(z.string()) }),
    });
    cli.answer(answer.lines, () => answer.lines.map(plain));
  },
});

const file = verb({
  name: "file",
  brief: "Its file (TOML), as the runner reads it.",
  takes: object({ name: vmArgument }),
  async run({ name }, cli) {
    const text = await (await cli.client()).text(`/vms/${encodeURIComponent(name)}/file`);
    cli.answer({ name, text }, () => text.trimEnd().split("\n").map(plain));
  },
});

const history = verb({
  name: "history",
  brief: "Measurements of the last minutes: checkpoints, pauses, added latency, Mbit/s, dirty pages.",
  takes: object({
    name: vmArgument,
    minutes: withDefault(option("--minutes", integer({ min: 1, max: 10_080, metavar: "COUNT" })), 5),
    points: withDefault(option("--points", integer({ min: 2, max: 2000, metavar: "COUNT" })), 20),
  }),
  async run({ name, minutes, points }, cli) {
    const to_ms = Date.now();
    const samples = await (await cli.client()).ask("GET", `/vms/${encodeURIComponent(name)}/history`, {
      query: { from_ms: to_ms - minutes * 60_000, to_ms, points },
      schema: z.array(vmSample),
    });
    const rows = samples.map((it) => [
      new Date(it.t_ms).toISOString(),
      ...[it.checkpoints_per_s, it.pause_us, it.latency_us, it.out_mbit, it.dirty_pages].map((value) =>
        orDash(value === null ? null : Number(value.toFixed(1)))
      ),
    ]);
    cli.answer(
      samples,
      () => table([["AT", "CHECKPOINTS/S", "PAUSE µs", "LATENCY µs", "MBIT/S", "DIRTY PAGES"], ...rows]),
    );
  },
});

export const noun: Noun = {
  name: "vm",
  brief: "VMs: made, started, protected, moved, looked at",
  verbs: [
    createVerb,
    importVerb,
    list,
    show,
    simple("start", "start", "Starts it."),
    simple("stop", "stop", "Stops it, and its protection."),
    protect,
    simple("unprotect", "unprotect", "Lets it run on one node alone."),
    switchover,
    simple("verify", "verify", "Compares the copy with the VM, byte for byte, at the next commit."),
    edit,
    remove,
    consoleVerb,
    logs,
    file,
    history,
    decision("confirm-peer-off", "confirm_peer_off", {
      brief: "You have seen that the other node is off: this one may go on.",
      question: (vm) => `Is the other node surely off? If it runs ${vm} still, two of it will answer.`,
    }),
    decision("promote", "promote", {
      brief: "Starts the older copy here: what the VM did since then is lost.",
      question: (vm) => `Start the copy of ${vm} here although it may be behind?`,
    }),
    decision("discard", "discard", {
      brief: "Both nodes ran it: gives this node's up; its disks are kept as a restore point.",
      question: (vm) => `Give up what ${vm} did on this node?`,
    }),
    decision("yield", "yield", {
      brief: "Ends it here, for the other node has it.",
      question: (vm) => `End ${vm} on this node?`,
    }),
  ],
};

export const run = runNoun(noun);
