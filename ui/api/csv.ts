/** Comma-separated values (RFC 4180) that a spreadsheet may open. */

/** One row. A cell that a spreadsheet would take for a formula is shown as text. */
export function csvRow(cells: readonly (string | number)[]): string {
  return `${cells.map(cellText).join(",")}\r\n`;
}

function cellText(cell: string | number): string {
  const text = typeof cell === "string" && /^[=+\-@\t\r\n＝＋－＠]/.test(cell) ? `'${cell}` : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
