/** The demo guest's log, read from an image: what a guest that boots from this disk would find. build/guest/record_log.h writes it. */

import { runCommand } from "./command.ts";
import { checkDisk } from "./guest_image.ts";

/** What an image's log holds. */
export interface GuestLog {
  /** Whole records, of both files. */
  records: number;
  /** Number of the newest; 0: there is none. */
  last: number;
  /** No number is missing between the first and the last. */
  contiguous: boolean;
  /** The file system has no fault after its own journal was replayed. */
  clean: boolean;
}

const MAGIC = 0x47554c31;
const HEADER_BYTES = 32;
const OP = "read the guest's log from its disk";

/** Reads it from a copy, on which the file system's journal is replayed first; the image stays as it is. */
export async function readGuestLog(image: string): Promise<GuestLog> {
  const directory = await Deno.makeTempDir({ prefix: "iservft-log-" });
  const copy = `${directory}/image`;
  try {
    const { clean } = await checkDisk(image);
    await runCommand(["cp", "--sparse=always", image, copy], { op: OP, hint: "Make room." });
    await runCommand(["e2fsck", "-p", "-E", "journal_only", copy], { op: OP });
    const numbers: number[] = [];
    for (const name of ["log.old", "log"]) {
      const file = `${directory}/${name}`;
      await runCommand(["debugfs", "-R", `dump /${name} ${file}`, copy], { op: OP });
      numbers.push(...recordNumbers(await Deno.readFile(file).catch(() => new Uint8Array())));
    }
    const contiguous = numbers.every((number, i) => i === 0 || number === numbers[i - 1]! + 1);
    return { records: numbers.length, last: numbers.at(-1) ?? 0, contiguous, clean };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The numbers of the records up to the first that is not whole. */
function recordNumbers(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers: number[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    if (view.getUint32(at, true) !== MAGIC || length < HEADER_BYTES || at + length > bytes.length) break;
    numbers.push(Number(view.getBigUint64(at + 8, true)));
    at += length;
  }
  return numbers;
}
