/** A metadata write that was cut short in its middle: shared by the row and the test. */

const SLOT_BYTES = 512;
const SEQUENCE_AT = 8;

/** Leaves a metadata file as a host does that loses its power while it writes the next record: the older slot begins like a newer
 * one, and ends in nothing. The record before it, which was finished, is whole. */
export async function tearNext(path: string): Promise<void> {
  const bytes = new Uint8Array(2 * SLOT_BYTES);
  bytes.set((await Deno.readFile(path)).subarray(0, bytes.length));
  const view = new DataView(bytes.buffer);
  const sequence = (slot: number) => view.getBigUint64(slot * SLOT_BYTES + SEQUENCE_AT, true);
  const newest = sequence(1) > sequence(0) ? 1 : 0;
  const torn = 1 - newest;
  bytes.copyWithin(torn * SLOT_BYTES, newest * SLOT_BYTES, (newest + 1) * SLOT_BYTES);
  view.setBigUint64(torn * SLOT_BYTES + SEQUENCE_AT, sequence(newest) + 1n, true);
  bytes.fill(0xee, torn * SLOT_BYTES + 60, (torn + 1) * SLOT_BYTES);
  await Deno.writeFile(path, bytes);
}
