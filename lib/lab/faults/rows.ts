/** All rows, in the order of the list of faults. */

import type { MissingRow, Row } from "./row.ts";
import { CLOCK_ROWS } from "./rows_clock.ts";
import { COPY_ROWS } from "./rows_copies.ts";
import { DISK_ROWS } from "./rows_disk.ts";
import { GUEST_ROWS } from "./rows_guest.ts";
import { HOST_ROWS } from "./rows_hosts.ts";
import { LINK_ROWS } from "./rows_links.ts";
import { LOAD_ROWS } from "./rows_load.ts";
import { MIDWAY_ROWS } from "./rows_midway.ts";
import { WITNESS_ROWS } from "./rows_witness.ts";

/** What can be played. */
export const ROWS: readonly Row[] = [
  ...HOST_ROWS,
  ...LINK_ROWS,
  ...MIDWAY_ROWS,
  ...WITNESS_ROWS,
  ...LOAD_ROWS,
  ...CLOCK_ROWS,
  ...COPY_ROWS,
  ...DISK_ROWS,
  ...GUEST_ROWS,
]
  .toSorted((x, y) => x.number - y.number);

/** What cannot, said as what it is. */
export const MISSING: readonly MissingRow[] = [
  {
    number: 27,
    fault: "different versions on the two hosts",
    missing: "not played by this command; test/e2e/skew_test.ts has it",
  },
];

/** The rows of these numbers; of all, when none is given. */
export function rowsOf<T extends { number: number }>(rows: readonly T[], numbers: readonly number[]): T[] {
  return rows.filter(({ number }) => numbers.length === 0 || numbers.includes(number));
}
