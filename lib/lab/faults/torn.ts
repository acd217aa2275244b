/** A metadata write that was torn in its middle: shared by the row and the test. */

const SLOT_BYTES = 512;

/** Overwrites the second half of the slot of a metadata file that was written last. */
export async function tearNewest(path: string): Promise<void> {
  const bytes = await Deno.readFile(path);
  const sequence = (slot: number) => new DataView(bytes.buffer).getBigUint64(slot * SLOT_BYTES + 8, true);
  const newest = bytes.length >= 2 * SLOT_BYTES && sequence(1) > sequence(0) ? 1 : 0;
  bytes.fill(0xee, newest * SLOT_BYTES + 60, (newest + 1) * SLOT_BYTES);
  await Deno.writeFile(path, bytes);
}
