/** One repetition of a row, judged from outside: by a client that counts, by what was heard on the LAN, by both runners' states and
 * terms, and by a comparison of everything at the end. */

import type { ClientSummary } from "../counting_client.ts";
import type { RunnerEvent } from "../pair.ts";
import type { Host } from "../places.ts";
import { brokenPromises, differences } from "../scene.ts";
import { type Outcome, type Row, RowFailure, type Struck } from "./row.ts";
import type { Stage, Standing } from "./stage.ts";

/** What the client does while a fault is played. */
const LOAD = { dirty: 20, write: 256, progress_ms: 20 } as const;
const WARM = 20;

/** Plays a row once, with a client of its own. A row whose guest starts anew puts another one into its place. */
export async function repetition(stage: Stage, row: Row): Promise<Outcome> {
  await using client = await stage.scene.client(row.control ? { ...LOAD, patience_ms: 3000 } : LOAD);
  stage.client = client;
  const outcome = await play(stage, row);
  // What was lost is asked for also when the pair did not become whole.
  return withClient(outcome, await stage.client.stop());
}

/** Adds what the client saw. */
export function withClient(outcome: Outcome, summary: ClientSummary): Outcome {
  return { ...outcome, lost: summary.lost, broken: [...outcome.broken, ...brokenPromises(summary)] };
}

/** Plays a row once, while the stage's client counts, and makes the pair whole again. Everything but what the client saw. */
export async function play(stage: Stage, row: Row): Promise<Outcome> {
  const before = stage.standing;
  const outcome: Outcome = {
    broken: [],
    lost: 0,
    gap_ms: 0,
    term: { before: before.term, after: before.term },
    detection_ms: null,
    takeover_ms: null,
    note: "",
  };
  try {
    await stage.answers(WARM);
    const struck = await row.strike(stage);
    if (row.control !== true) await becomesWhole(stage, { before, struck, outcome });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    outcome.broken.push(error instanceof RowFailure ? error.message : `${error.name}: ${error.message}`);
  }
  outcome.broken.push(...secondVoices(stage));
  return outcome;
}

interface Played {
  before: Standing;
  struck: Struck;
  outcome: Outcome;
}

/** The guest answers, the pair is made whole by itself, and both hosts are found equal. */
async function becomesWhole(stage: Stage, { before, struck, outcome }: Played): Promise<void> {
  await stage.answers(WARM);
  const gaps = stage.client.gaps.filter(({ to_us }) => to_us > struck.fault.at_us);
  outcome.gap_ms = Math.max(0, ...gaps.map(({ ms }) => ms));
  const after = await stage.heal();
  await stage.answers(WARM);
  outcome.term.after = after.term;
  outcome.note = struck.note ?? "";
  Object.assign(outcome, timesOf(stage, struck));
  outcome.broken.push(...termProblems(before, after));
  outcome.broken.push(
    ...differences(await stage.scene.verify(after.primary)).map((part) => `${part} differs`),
  );
}

/** A VM that moved, or went on alone, is in a newer term; terms never go back. */
function termProblems(before: Standing, after: Standing): string[] {
  if (after.term < before.term) return [`the term went back from ${before.term} to ${after.term}`];
  if (after.primary !== before.primary && after.term === before.term) {
    return [`the VM moved to host ${after.primary} within term ${after.term}`];
  }
  return [];
}

/** What was heard on the LAN beside the one who had the voice. */
function secondVoices(stage: Stage): string[] {
  const { heard, second } = stage.listen();
  if (second.length === 0) return heard === 0 ? ["nothing of the guest was heard on the LAN"] : [];
  const hosts = [...new Set(second.map(({ host }) => host))].join(" and ");
  return [`${second.length} frames were heard from host ${hosts} while the other host had the voice`];
}

/** The state in which a host has noticed, and decides. */
const DECIDES = new Set(["asking", "deciding", "promoting", "going_solo"]);

/** How long the survivor took to notice, and from there until the guest's output went on. */
function timesOf(stage: Stage, struck: Struck): Pick<Outcome, "detection_ms" | "takeover_ms"> {
  const none = { detection_ms: null, takeover_ms: null };
  if (struck.survivor === null) return none;
  const { at_us } = struck.fault;
  const events = eventsOf(stage, struck.survivor).filter((event) => Number(event["t_us"]) > at_us);
  const noticed = events.find((event) => event.event === "state" && DECIDES.has(String(event["to"])));
  if (noticed === undefined) return none;
  const noticed_us = Number(noticed["t_us"]);
  const detection_ms = (noticed_us - at_us) / 1000;
  const promoted = events.find((event) => event.event === "promoted");
  const frame = events.find((event) => event.event === "first_frame");
  const solo = events.find((event) => event.event === "state" && event["to"] === "solo");
  const on_us = promoted !== undefined && frame !== undefined
    ? Number(promoted["begun_us"]) + Number(frame["takeover_us"])
    : Number(solo?.["t_us"]);
  return { detection_ms, takeover_ms: Number.isNaN(on_us) ? null : (on_us - noticed_us) / 1000 };
}

/** Everything that a host's runners said, the first one first. */
function eventsOf(stage: Stage, host: Host): RunnerEvent[] {
  return stage.pair.started.filter((runner) => runner.host === host).flatMap((runner) => runner.events);
}
