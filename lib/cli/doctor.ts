/** `iservft-edge doctor`: what is not as it should be, why it matters, and the fix. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { flag } from "@optique/core/primitives";
import { type CheckView, type DoctorView, doctorView } from "../model/doctor.ts";
import type { Severity } from "../model/sentence.ts";
import type { CommandIo } from "./command.ts";
import { type Cli, type Connection, type Noun, runNoun, verb } from "./noun.ts";
import { UnreachableError } from "./pinned.ts";
import { painted } from "./terminal.ts";
import { plain } from "./text.ts";

const SEVERITIES: Readonly<Record<CheckView["state"], Severity>> = {
  ok: "ok",
  info: "info",
  warning: "warning",
  failed: "critical",
  unknown: "warning",
};

/** Longest that all checks take: the disk's and the lines' are measured. */
const DOCTOR_MS = 120_000;

/** Checks as lines: what is right in one line, what is not with the reason and the fix. */
export function checkLines(io: CommandIo, checks: readonly CheckView[]): string[] {
  const nodes = [...new Set(checks.map(({ node }) => node))];
  return nodes.flatMap((node) => [
    plain(node),
    ...checks.filter((check) => check.node === node).flatMap((check) => [
      `  ${painted(io, SEVERITIES[check.state], check.state.toUpperCase().padEnd(7))}  ${
        plain(check.title)
      }: ${plain(check.seen)}`,
      ...(check.state === "ok" || check.state === "info" ? [] : [`           why: ${plain(check.why)}`]),
      ...(check.state === "ok" || check.fix === "" ? [] : [`           fix: ${plain(check.fix)}`]),
    ]),
  ]);
}

/** What is found. Before the service runs there is no node to ask: then this program looks at the machine itself. */
async function look(given: Connection & { peer: boolean }, cli: Cli): Promise<DoctorView> {
  const named = given.socket ?? given.url ?? cli.io.terminal?.env("ISERVFT_SOCKET");
  try {
    const client = await cli.client();
    return await client.ask("GET", "/doctor", {
      schema: doctorView,
      query: { peer: given.peer },
      timeout_ms: DOCTOR_MS,
    });
  } catch (error) {
    if (!(error instanceof UnreachableError) || given.peer || named !== undefined) throw error;
    cli.io.err(`${error.message}: this is the machine alone, without pair and lines.`);
    const { doctorAlone } = await import("./doctor_alone.ts");
    return await doctorAlone((name) => cli.io.terminal?.env(name) ?? Deno.env.get(name));
  }
}

export const noun: Noun = {
  name: "doctor",
  brief: "checks this machine (--peer: both): what was seen, why it matters, what to do",
  verbs: [verb({
    name: "",
    brief: "Checks KVM, QEMU, memory, disks, both lines, clock, watchdog, ports, witness, bridge.",
    detail: "Ends with 3 when a check failed. Without a running service it looks at this machine alone.",
    takes: object({
      peer: withDefault(
        flag("--peer", { description: message`the other node too, and what must be the same on both` }),
        false,
      ),
    }),
    async run(given, cli) {
      const found = await look(given, cli);
      cli.answer(found, () => checkLines(cli.io, found.checks));
      return found.checks.some(({ state }) => state === "failed") ? 3 : 0;
    },
  })],
};

export const run = runNoun(noun);
