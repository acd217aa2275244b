/** `iservft-edge ctl`: asks or tells a running runner, through its control socket. */

import { parseArgs } from "node:util";
import { ControlClient } from "../group/control_socket.ts";
import { readSide, sideText } from "../group/last_run.ts";
import { FLAGS } from "../group/types.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge ctl SOCKET COMMAND [--json]

Asks or tells a running runner. SOCKET is runner.sock in the VM's directory below the host file's run_dir.

  status            what this host does for the VM now, with counters
  start             starts the VM here
  protect           invites the other host to be the backup
  unprotect         the VM goes on alone until somebody says protect (say it to the primary)
  switchover        moves the VM to the other host (say it to the primary)
  yield             ends the VM here, for the other host has it
  power-button      asks the guest to power itself off
  stop              ends the VM and its protection
  confirm-peer-off  you have seen that the other host is off
  promote           starts the copy here although it is behind what the VM did (after confirm-peer-off)
  discard           both hosts ran the VM: gives this host's up; its disks are kept as a restore point
  relink            the VM runs alone: takes lines and key from this host's file again, for another peer
  verify            compares the backup with the primary at the next commit; the result is an event of the runner

  --json            the answer as one line of JSON

Ends with 0 when the runner has it, 1 when it failed, 2 when it was asked wrongly, 5 when the runner refused it because it would
not be safe now; the reason and what to do are on standard error.`;

/** What a person writes, and what the runner is asked. */
const COMMANDS: Readonly<Record<string, string>> = {
  status: "status",
  start: "start",
  protect: "protect",
  unprotect: "unprotect",
  switchover: "switchover",
  yield: "yield",
  "power-button": "power_button",
  stop: "stop",
  "confirm-peer-off": "confirm_peer_off",
  promote: "promote",
  discard: "discard",
  relink: "relink",
  verify: "verify",
};

interface Arguments {
  socket: string;
  command: string;
  json: boolean;
}

function readArguments(args: string[]): Arguments | "help" {
  const { values, positionals } = parseArgs({
    args,
    options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  if (values.help) return "help";
  const [socket, word, extra] = positionals;
  if (socket === undefined) throw new Error("say which runner: the path of its runner.sock");
  const allowed = Object.keys(COMMANDS).join(", ");
  if (word === undefined) throw new Error(`say what to do: ${allowed}`);
  const command = Object.hasOwn(COMMANDS, word) ? COMMANDS[word] : undefined;
  if (command === undefined) throw new Error(`there is no "ctl ${word}"; use ${allowed}`);
  if (extra !== undefined) throw new Error(`"${extra}" is one word too many`);
  return { socket, command, json: values.json };
}

/** Both hosts ran the VM, by this one's state or by what the other one says: the two, side by side. */
function bothText(status: Record<string, unknown>): string[] {
  const flags = (status["peer"] as { flags?: number } | null | undefined)?.flags ?? 0;
  if (status["phase"] !== "diverged" && (flags & FLAGS.DIVERGED) === 0) return [];
  const [here, other] = [readSide(status["here"]), readSide(status["other"])];
  return [
    ...(here === null ? [] : [`  this host:      ${sideText(here)}`]),
    ...(other === null ? [] : [`  the other host: ${sideText(other)}`]),
  ];
}

/** What the hardware watchdog does, or why there is none. */
function watchdogText(watchdog: unknown): string[] {
  const { state, why } = (watchdog ?? {}) as { state?: string; why?: string };
  return state === undefined ? [] : [`  watchdog ${state}: ${why}`];
}

/** The counters that a person asks for first, out of a status. */
function statusText(status: Record<string, unknown>): string {
  const engine = (status["engine"] ?? {}) as Record<string, number>;
  const count = (name: string) => engine[name] ?? 0;
  const ms = (name: string) => `${(count(name) / 1000).toFixed(1)} ms`;
  const perPage = count("dirty_pages") === 0 ? "0" : (count("page_bytes") / count("dirty_pages")).toFixed(0);
  return [
    String(status["sentence"]),
    ...bothText(status),
    `  state ${status["phase"]}, term ${status["term"]}, epoch ${count("epoch")}, committed ${
      count("committed")
    }`,
    `  ${count("checkpoints")} checkpoints, pause ${ms("pause_us_p50")} (99 %: ${ms("pause_us_p99")}), ` +
    `commit ${ms("commit_us_p50")} (99 %: ${ms("commit_us_p99")})`,
    `  ${count("dirty_pages")} dirty pages, ${perPage} bytes each on the link`,
    ...(status["fencing"] === undefined ? [] : [`  fenced by: ${status["fencing"]}`]),
    ...watchdogText(status["watchdog"]),
  ].join("\n");
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  let given: Arguments | "help";
  try {
    given = readArguments(args);
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
  if (given === "help") {
    io.out(USAGE);
    return 0;
  }
  using client = await ControlClient.connect(given.socket);
  const answer = await client.call(given.command);
  if (given.json) io.out(JSON.stringify(answer));
  else if (given.command === "status") io.out(statusText(answer as Record<string, unknown>));
  else io.out("the runner has it; `status` says what comes of it");
  return 0;
}
