/** Makes a failing schedule as short as it can be: fewer faults, shorter and rounder ones, as long as it still breaks the same invariant. */

import type { Fault, Schedule } from "./schedule.ts";
import { simulate, type SimulateOptions } from "./simulate.ts";

/** Runs that shrinking may take. */
const RUNS_MAX = 600;

/** What a violation is about, without its numbers and names. */
export function kindOf(violation: string): string {
  if (violation.startsWith("not protected")) return "not protected";
  return violation.replace(/\d+/g, "#").replace(/\b[AB]\b/g, "host").replace(/ (of parts|which|with) .*/, "");
}

/** Faults that end by themselves. */
const ALWAYS_END: ReadonlySet<Fault["kind"]> = new Set(["freeze", "slow_disk", "failing_writes", "timers"]);

/** Simpler forms of one fault, the simplest first. */
function simpler(fault: Fault): Fault[] {
  const forms: Fault[] = [];
  const change = (fields: object) => forms.push({ ...fault, ...fields } as Fault);
  const round = (value: number) => Math.round(value / 50) * 50;
  if (round(fault.at) !== fault.at) change({ at: round(fault.at) });
  for (const key of ["for", "back", "backPeer", "gap", "ms"] as const) {
    const value = (fault as unknown as Record<string, unknown>)[key];
    if (value === null || value === undefined) continue;
    const endless = key !== "ms" && key !== "gap" && !ALWAYS_END.has(fault.kind);
    if (endless) change({ [key]: null });
    const number = value as number;
    if (key === "gap" && number > 0) change({ gap: 0 });
    if (number > 50 && round(number) !== number) change({ [key]: round(number) });
    if (number > 100) change({ [key]: Math.round(number / 2) });
  }
  if (fault.kind === "die_at_action") {
    if (fault.power) change({ power: false });
    if (fault.action > 1) change({ action: 1 });
    if (fault.when !== "before") change({ when: "before" });
  }
  if (fault.kind === "power_off_both" && fault.gap > 0) change({ gap: 0 });
  if (fault.kind === "cut_lan" && fault.way !== "both") change({ way: "both" });
  if (fault.kind === "cut_link" && fault.from !== "both") change({ from: "both" });
  return forms;
}

/** The shortest schedule found that breaks the same thing. */
export async function shrink(failing: Schedule, options: SimulateOptions = {}): Promise<Schedule> {
  let best = failing;
  const first = (await simulate(failing, options)).violation;
  if (first === null) return failing;
  const kind = kindOf(first);
  let runs = 0;
  const stillFails = async (schedule: Schedule) => {
    if (++runs > RUNS_MAX) return false;
    const { violation } = await simulate(schedule, options);
    return violation !== null && kindOf(violation) === kind;
  };
  for (let progress = true; progress && runs < RUNS_MAX;) {
    progress = false;
    for (let i = best.faults.length - 1; i >= 0; i--) {
      const fewer = { ...best, faults: best.faults.filter((_, at) => at !== i) };
      if (!(await stillFails(fewer))) continue;
      best = fewer;
      progress = true;
    }
    for (let i = 0; i < best.faults.length; i++) {
      for (const form of simpler(best.faults[i] as Fault)) {
        const changed = { ...best, faults: best.faults.map((fault, at) => at === i ? form : fault) };
        if (!(await stillFails(changed))) continue;
        best = changed;
        progress = true;
        break;
      }
    }
    if (best.onStall !== "wait" && await stillFails({ ...best, onStall: "wait" })) {
      best = { ...best, onStall: "wait" };
      progress = true;
    }
  }
  return { ...best, why: first };
}
