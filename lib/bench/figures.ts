/** What the bench says: figures, each beside what it should reach, as a table for people or as lines of JSON. */

/** What a figure should reach: at most, or at least, a value in the figure's unit. */
export type Reach = { most: number } | { least: number };

/** One thing that was measured. */
export interface Figure {
  /** The part of the bench that it comes from. */
  part: string;
  what: string;
  /** Null: it could not be measured; `note` says why. */
  measured: number | null;
  unit: string;
  reach?: Reach;
  /** How many samples it is of. */
  samples: number;
  /** What belongs to it, for people. */
  note?: string;
  /** The same for programs. */
  data?: Record<string, unknown>;
}

export type Verdict = "reached" | "not reached" | "not measured" | "";

/** Whether a figure reached what it should; "" where nothing was set. */
export function verdictOf(figure: Figure): Verdict {
  const { measured, reach } = figure;
  if (measured === null || !Number.isFinite(measured)) return "not measured";
  if (reach === undefined) return "";
  const reached = "most" in reach ? measured <= reach.most : measured >= reach.least;
  return reached ? "reached" : "not reached";
}

/** A figure as the line that `--json` prints. */
export function jsonOf(figure: Figure): string {
  const { part, what, unit, samples, note, data, reach } = figure;
  const measured = figure.measured !== null && Number.isFinite(figure.measured) ? figure.measured : null;
  const verdict = verdictOf(figure);
  return JSON.stringify({
    event: "figure",
    ...{ part, what, measured, unit, reach: reach ?? null },
    reached: verdict === "reached" ? true : verdict === "not reached" ? false : null,
    ...{ samples, note, data },
  });
}

/** A number as people read it: three digits, more only before the point. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 10 ? 1 : 2);
}

function measuredText({ measured, unit }: Figure): string {
  if (measured === null || !Number.isFinite(measured)) return "-";
  return `${numberText(measured)} ${unit}`.trim();
}

function reachText({ reach, unit }: Figure): string {
  if (reach === undefined) return "";
  return "most" in reach ? `≤ ${numberText(reach.most)} ${unit}` : `≥ ${numberText(reach.least)} ${unit}`;
}

const HEAD = ["what", "measured", "reach", "", "samples", ""];

/** The figures as a table, part after part. */
export function tableOf(figures: readonly Figure[]): string {
  const lines: (string | string[])[] = [HEAD];
  let part = "";
  for (const figure of figures) {
    if (figure.part !== part) lines.push("", figure.part);
    part = figure.part;
    lines.push([
      `  ${figure.what}`,
      measuredText(figure),
      reachText(figure),
      verdictOf(figure),
      numberText(figure.samples),
      figure.note ?? "",
    ]);
  }
  const rows = lines.filter((line) => typeof line !== "string");
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return lines.map((line) => typeof line === "string" ? line : rowText(line, widths)).join("\n");
}

/** The column of samples is the only one that is set to the right. */
function rowText(cells: readonly string[], widths: readonly number[]): string {
  return cells.map((cell, column) => {
    const width = widths[column] ?? 0;
    return column === 4 ? cell.padStart(width) : cell.padEnd(width);
  }).join("  ").trimEnd();
}

/** How many figures reached what they should, and which did not. */
export function summaryOf(figures: readonly Figure[]): string {
  const of = (verdict: Verdict) => figures.filter((figure) => verdictOf(figure) === verdict);
  const missed = of("not reached").map((figure) => `  not reached: ${figure.part}: ${figure.what}`);
  const unknown = of("not measured").map((figure) =>
    `  not measured: ${figure.part}: ${figure.what}${figure.note ? ` (${figure.note})` : ""}`
  );
  const reached = of("reached").length;
  return [`${reached} of ${reached + missed.length} figures reached.`, ...missed, ...unknown].join("\n");
}
