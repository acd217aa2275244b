/** All rows, in the order of the list of faults. */

import type { MissingRow, Row } from "./row.ts";
import { HOST_ROWS } from "./rows_hosts.ts";
import { LINK_ROWS } from "./rows_links.ts";
import { MIDWAY_ROWS } from "./rows_midway.ts";

/** What can be run. */
export const ROWS: readonly Row[] = [...HOST_ROWS, ...LINK_ROWS, ...MIDWAY_ROWS]
  .toSorted((x, y) => x.number - y.number);

/** What cannot, said as what it is. */
export const MISSING: readonly MissingRow[] = [
  { number: 19, fault: "witness lost, pair healthy", missing: "there is no witness yet" },
  { number: 20, fault: "witness lost, then a host", missing: "there is no witness yet" },
];

/** The rows of these numbers; of all, when none is given. */
export function rowsOf<T extends { number: number }>(rows: readonly T[], numbers: readonly number[]): T[] {
  return rows.filter(({ number }) => numbers.length === 0 || numbers.includes(number));
}
