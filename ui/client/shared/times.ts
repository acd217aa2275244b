/** Moments on the page: how long ago, always true; dates in the reader's own time zone. */

import { locale, nodeNow } from "./words.ts";

const AGES: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const ages = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" } as const;
const instants = new Intl.DateTimeFormat(locale, {
  year: "numeric",
  month: "short",
  day: "numeric",
  ...clock,
});
const clocks = new Intl.DateTimeFormat(locale, clock);

/** Time of day. */
export function timeOfDay(ms: number): string {
  return clocks.format(ms);
}

function put(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings each moment up to date. */
export function refreshTimes(): void {
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-ago]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) continue; // what is shown stays
    const seconds = (at - nodeNow()) / 1000;
    const [unit, size] = AGES.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
    put(element, ages.format(Math.trunc(seconds / size), unit));
    element.title = instants.format(at);
  }
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-instant]")) {
    const at = Date.parse(element.dateTime);
    if (!Number.isNaN(at)) put(element, instants.format(at));
  }
}
