/** What a person may do with a VM now, and why not. Pure. What a runner would refuse is refused in its own words. */

import { VM_ACTIONS, type VmAction } from "../../model/vm.ts";
import type { VmReport } from "./records.ts";
import type { Situation } from "./view.ts";
import { mayConfirm } from "./view_verdict.ts";

type Allowed = { ok: boolean; why: string };
const YES: Allowed = { ok: true, why: "" };

function no(why: string): Allowed {
  return { ok: false, why };
}

/** Allowed when one of these runners would do it; else what the first of them says. */
function whereTaken(reports: readonly (VmReport | null)[], command: string, otherwise: string): Allowed {
  const said = reports.filter((report) => report !== null).map((report) => report.commands[command]);
  if (said.includes(null)) return YES;
  return no(said.find((why) => why != null) ?? otherwise);
}

function start(situation: Situation): Allowed {
  const { state, peer, configured, here, there, record } = situation;
  if (peer === null) return no("Pair this node with the second one first.");
  if (!configured) return no("Say first which addresses the two nodes reach each other by.");
  if (state === "stopped" || state === "failed") return YES;
  if (state === "unknown") return no(`${peer} is not heard, and it may run there.`);
  if (state === "waiting" || state === "diverged") {
    return whereTaken([here, there], "start", "It waits for the other node.");
  }
  return no(record.wanted.running ? "It is started already." : "It runs.");
}

function stop({ state, peer }: Situation): Allowed {
  if (state === "stopped") return no("It is stopped already.");
  if (state === "unknown") return no(`${peer} is not heard, and it may run there.`);
  if (state === "taking_over" || state === "moving") return no("Wait until it runs.");
  return YES;
}

function unprotect({ record, holder }: Situation): Allowed {
  if (!record.wanted.protected) return no("Nobody wants it protected.");
  const problem = holder?.commands["unprotect"];
  return problem == null ? YES : no(problem);
}

function protectedOnly(situation: Situation, command: string): Allowed {
  const { state, holder } = situation;
  if (state !== "protected") {
    return no(holder?.commands[command] ?? "It is possible only while the VM is protected.");
  }
  const problem = holder?.commands[command];
  return problem == null ? YES : no(problem);
}

function confirmOff(situation: Situation): Allowed {
  if (mayConfirm(situation)) return YES;
  const { here } = situation;
  if (here.confirmed_off) return no("It was confirmed already.");
  return no(here.silent ? "Nothing waits for it." : "The other node is heard: it is not off.");
}

function one(action: VmAction, situation: Situation): Allowed {
  const { state, here, there, record } = situation;
  switch (action) {
    case "start":
      return start(situation);
    case "stop":
      return stop(situation);
    case "protect":
      return record.wanted.protected ? no("It is protected, or will be as soon as it can be.") : YES;
    case "unprotect":
      return unprotect(situation);
    case "switchover":
      return protectedOnly(situation, "switchover");
    case "verify":
      return state === "protected" ? YES : no("It is possible only while the VM is protected.");
    case "delete":
      return state === "stopped" ? YES : no("Stop it first.");
    case "confirm_peer_off":
      return confirmOff(situation);
    case "promote":
      return whereTaken([here, there], "promote", "There is no older copy that waits for it.");
    case "discard":
      return whereTaken([here, there], "discard", "The VM did not run on both nodes.");
    case "yield":
      return state === "diverged"
        ? whereTaken([situation.holder], "yield", "It runs on neither node.")
        : no("The VM did not run on both nodes.");
    default:
      return action satisfies never;
  }
}

export function actionsOf(situation: Situation): Record<VmAction, Allowed> {
  return Object.fromEntries(VM_ACTIONS.map((action) => [action, one(action, situation)])) as Record<
    VmAction,
    Allowed
  >;
}
