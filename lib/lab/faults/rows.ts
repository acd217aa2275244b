/** All rows, in the order of the list of faults. */

import type { MissingRow, Row } from "./row.ts";
import { CLOCK_ROWS } from "./rows_clock.ts";
import { COPY_ROWS } from "./rows_copies.ts";
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
]
  .toSorted((x, y) => x.number - y.number);

function testedIn(file: string): string {
  return `not played by this command; test/e2e/${file} has it`;
}

/** What cannot, said as what it is. */
export const MISSING: readonly MissingRow[] = [
  { number: 13, fault: "backup's disk full or failing", missing: testedIn("disk_faults_test.ts") },
  { number: 14, fault: "primary's disk full or failing", missing: testedIn("disk_faults_test.ts") },
  { number: 15, fault: "bytes of the stream damaged", missing: testedIn("links_test.ts") },
  { number: 21, fault: "both hosts lose power", missing: testedIn("power_loss_test.ts") },
  { number: 27, fault: "different versions on the two hosts", missing: "not played with real processes yet" },
  {
    number: 29,
    fault: "guest reboots or crashes",
    missing: "only its power-off is: test/e2e/stopped_test.ts",
  },
  { number: 30, fault: "guest under full load", missing: "not played with real processes yet" },
];

/** The rows of these numbers; of all, when none is given. */
export function rowsOf<T extends { number: number }>(rows: readonly T[], numbers: readonly number[]): T[] {
  return rows.filter(({ number }) => numbers.length === 0 || numbers.includes(number));
}
