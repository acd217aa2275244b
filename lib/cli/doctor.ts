/** `iservft-edge doctor`: what is not as it should be, why it matters, and the fix. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { flag } from "@optique/core/primitives";
import { type CheckView, doctorView } from "../model/doctor.ts";
import type { Severity } from "../model/sentence.ts";
import type { CommandIo } from "./command.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
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

export const noun: Noun = {
  name: "doctor",
  brief: "checks this machine (--peer: both): what was seen, why it matters, what to do",
  verbs: [verb({
    name: "",
    brief: "Checks KVM, QEMU, memory, disks, both lines, clock, watchdog, ports, witness, bridge.",
    detail: "Ends with 3 when a check failed.",
    takes: object({
      peer: withDefault(
        flag("--peer", { description: message`the other node too, and what must be the same on both` }),
        false,
      ),
    }),
    async run({ peer }, cli) {
      const found = await (await cli.client()).ask("GET", "/doctor", {
        schema: doctorView,
        query: { peer },
        timeout_ms: DOCTOR_MS,
      });
      cli.answer(found, () => checkLines(cli.io, found.checks));
      return found.checks.some(({ state }) => state === "failed") ? 3 : 0;
    },
  })],
};

export const run = runNoun(noun);
