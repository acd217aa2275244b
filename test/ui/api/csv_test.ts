import assert from "node:assert/strict";
import { csvRow } from "../../../ui/api/csv.ts";

Deno.test("no cell of an export is a formula, whatever a name or a text is, in full width either", () => {
  for (const sign of ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]) {
    assert.match(csvRow([`${sign}HYPERLINK("x")`]), /^"?'/);
  }
  assert.equal(csvRow(["a,b", 'say "x"', -1]), '"a,b","say ""x""",-1\r\n');
});
