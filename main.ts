/** The program: a table of its commands. */

import { type Command, processIo, runCommand } from "./lib/cli/command.ts";

/** The command table. */
export const commands: readonly Command[] = [
  {
    name: "serve",
    summary: "runs this machine as a node: its VMs, its pair, the page and the API",
    load: () => import("./lib/cli/serve.ts"),
  },
  {
    name: "demo",
    summary: "shows it: two hosts on this machine, a protected VM, a fault of your choice",
    load: () => import("./lib/cli/demo.ts"),
  },
  {
    name: "status",
    summary: "the one sentence, nodes, lines, VMs, and what happens if something dies now",
    load: () => import("./lib/cli/status.ts"),
  },
  {
    name: "vm",
    summary: "VMs: create, import, start, protect, switchover, show, console, ...",
    load: () => import("./lib/cli/vm.ts"),
  },
  {
    name: "pair",
    summary: "two nodes become a pair; its lines, and who decides",
    load: () => import("./lib/cli/pair.ts"),
  },
  {
    name: "events",
    summary: "what happened; --follow goes on",
    load: () => import("./lib/cli/events.ts"),
  },
  {
    name: "alert",
    summary: "what is wrong now; who is told of it",
    load: () => import("./lib/cli/alert.ts"),
  },
  {
    name: "job",
    summary: "imports and other work that takes a while",
    load: () => import("./lib/cli/job.ts"),
  },
  {
    name: "user",
    summary: "accounts of people",
    load: () => import("./lib/cli/user.ts"),
  },
  {
    name: "token",
    summary: "tokens that programs sign in by",
    load: () => import("./lib/cli/token.ts"),
  },
  {
    name: "audit",
    summary: "who did what; whether the log of it is whole",
    load: () => import("./lib/cli/audit.ts"),
  },
  {
    name: "config",
    summary: "settings files: checked, or shown",
    load: () => import("./lib/cli/config.ts"),
  },
  {
    name: "doctor",
    summary: "checks this machine, or both: what was seen, why it matters, the fix",
    load: () => import("./lib/cli/doctor.ts"),
  },
  {
    name: "support-bundle",
    summary: "everything that helps to find a fault, without secrets",
    load: () => import("./lib/cli/support_bundle.ts"),
  },
  {
    name: "backup",
    summary: "identity, pair, settings and accounts in one file; and back",
    load: () => import("./lib/cli/backup.ts"),
  },
  {
    name: "install",
    summary: "makes this machine a node, started at each boot; or upgrades it",
    load: () => import("./lib/cli/install.ts"),
  },
  {
    name: "uninstall",
    summary: "removes what install made; refused while a VM runs here",
    load: () => import("./lib/cli/uninstall.ts"),
  },
  {
    name: "completions",
    summary: "what Tab completes in bash, zsh or fish",
    load: () => import("./lib/cli/completions.ts"),
  },
  {
    name: "runner",
    summary: "runs this host's part of one protected VM",
    load: () => import("./lib/cli/runner.ts"),
  },
  {
    name: "ctl",
    summary: "asks or tells a running runner: status, switchover, stop, ...",
    load: () => import("./lib/cli/ctl.ts"),
  },
  {
    name: "witness",
    summary: "a third machine that decides which host may go on; and the pairs that it serves",
    load: () => import("./lib/cli/witness.ts"),
  },
  {
    name: "identity",
    summary: "shows this host's ID, which a witness and other hosts know it by",
    load: () => import("./lib/cli/identity.ts"),
  },
  {
    name: "bench",
    summary: "measures it on this machine, beside the figures that it should reach",
    load: () => import("./lib/cli/bench.ts"),
  },
  {
    name: "faults",
    summary: "everything that a pair must survive, with real processes, as a table",
    load: () => import("./lib/cli/faults.ts"),
  },
  {
    name: "lab",
    summary: "two hosts on one machine, by hand: up, down, status, fault, exec",
    load: () => import("./lib/cli/lab.ts"),
  },
  {
    name: "lab-client",
    summary: "counts over one TCP connection to the demo's guest",
    load: () => import("./lib/cli/lab_client.ts"),
  },
  {
    name: "lab-kv",
    summary: "several clients of the demo's guest that record what they saw of its keys",
    load: () => import("./lib/cli/lab_kv.ts"),
  },
  {
    name: "lab-proxy",
    summary: "damages what passes over a replication line of the lab",
    load: () => import("./lib/cli/lab_proxy.ts"),
  },
  {
    name: "lab-door",
    summary: "a way to the page of a node in the lab",
    load: () => import("./lib/cli/lab_door.ts"),
  },
  {
    name: "version",
    summary: "says the version, how it was built, and the engine's ABI",
    load: () => import("./lib/cli/version.ts"),
  },
];

if (import.meta.main) Deno.exit(await runCommand(commands, { args: Deno.args, io: processIo }));
