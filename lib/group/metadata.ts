/** The small file that says what this host was: two slots of 512 bytes, written in turn, each checksummed and synced.
 * A torn or half-written slot is ignored: the other one is then the newest. */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { EdgeError } from "../errors.ts";
import type { Metadata } from "./types.ts";

const SLOT_BYTES = 512;
/** The last character is the format: another one is a newer program's, which this one does not touch. A newer format's checksum covers the
 * magic too: so a slot of this one whose magic was damaged is not taken for it. */
const MAGIC = "ISFMETA1";
const HEADER_BYTES = 8 + 8 + 4 + 4; // magic, sequence, length, CRC-32 of sequence, length and text

/** The file as this module needs it: real, or a test's. */
export interface MetadataFile {
  read(): Uint8Array;
  /** Writes at `offset` and returns when it is on stable storage. */
  write(bytes: Uint8Array, offset: number): Promise<void>;
}

/** A metadata file on disk, created when it is not there (its directory is synced too). */
export function metadataFile(path: string): MetadataFile {
  return {
    read() {
      try {
        // What a predecessor wrote and died before syncing must not be lost after it was read: the other slot is written next.
        using file = Deno.openSync(path, { read: true, write: true });
        file.syncSync();
        return Deno.readFileSync(path);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return new Uint8Array();
        throw error;
      }
    },
    async write(bytes, offset) {
      const file = await Deno.open(path, { read: true, write: true, create: true, mode: 0o600 });
      try {
        await file.seek(offset, Deno.SeekMode.Start);
        for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
        await file.sync();
      } finally {
        file.close();
      }
      const directory = await Deno.open(path.replace(/\/[^/]*$/, "") || "/");
      try {
        await directory.sync();
      } finally {
        directory.close();
      }
    },
  };
}

function encode(metadata: Metadata, sequence: bigint): Uint8Array {
  const slot = Buffer.alloc(SLOT_BYTES);
  const text = Buffer.from(JSON.stringify(metadata));
  if (text.length > SLOT_BYTES - HEADER_BYTES) {
    throw new RangeError(`Metadata of ${text.length} bytes do not fit`);
  }
  slot.write(MAGIC, 0, "latin1");
  slot.writeBigUInt64LE(sequence, 8);
  slot.writeUInt32LE(text.length, 16);
  text.copy(slot, HEADER_BYTES);
  slot.writeUInt32LE(checksum(slot, text.length), 20);
  return slot;
}

function checksum(slot: Buffer, length: number): number {
  return crc32(slot.subarray(HEADER_BYTES, HEADER_BYTES + length), crc32(slot.subarray(8, 20)));
}

function decode(slot: Buffer): { metadata: Metadata; sequence: bigint } | undefined {
  return slot.toString("latin1", 0, 8) === MAGIC ? decodeBody(slot) : undefined;
}

function decodeBody(slot: Buffer): { metadata: Metadata; sequence: bigint } | undefined {
  if (slot.length < SLOT_BYTES) return undefined;
  const length = slot.readUInt32LE(16);
  if (length > SLOT_BYTES - HEADER_BYTES || slot.readUInt32LE(20) !== checksum(slot, length)) {
    return undefined;
  }
  const metadata = JSON.parse(slot.toString("utf8", HEADER_BYTES, HEADER_BYTES + length));
  return { metadata, sequence: slot.readBigUInt64LE(8) };
}

/** One newer slot is enough: it may say more than an older one that is whole. */
function refuseNewer(bytes: Buffer, name: string): void {
  for (const at of [0, SLOT_BYTES]) {
    const slot = bytes.subarray(at, at + SLOT_BYTES);
    const magic = slot.toString("latin1", 0, MAGIC.length);
    if (!/^ISFMETA[2-9A-Z]$/.test(magic) || decodeBody(slot) !== undefined) continue;
    throw new EdgeError(
      `${name} is of format ${magic.slice(-1)}; this program reads format ${
        MAGIC.slice(-1)
      }: a newer iservft-edge wrote it`,
      {
        op: "read what this host was",
        hint: "Install that version, or a newer one, on this host again. Nothing was changed.",
      },
    );
  }
}

/** Reads and writes what this host was. */
export class MetadataStore {
  readonly #file: MetadataFile;
  #sequence: bigint;
  #newest: Metadata | null;

  /** Reads both slots. Throws EdgeError when the file holds something, but no whole slot, or one of a newer format. */
  constructor(file: MetadataFile, name = "the metadata file") {
    this.#file = file;
    const bytes = Buffer.from(file.read());
    refuseNewer(bytes, name);
    const slots = [0, 1].map((index) => decode(bytes.subarray(index * SLOT_BYTES, (index + 1) * SLOT_BYTES)))
      .filter((slot) => slot !== undefined)
      .sort((a, b) => (a.sequence < b.sequence ? 1 : -1));
    // The very first write may have been torn: then only the first slot has bytes, and nothing was ever run by it.
    if (slots.length === 0 && bytes.subarray(SLOT_BYTES).some((byte) => byte !== 0)) {
      throw new EdgeError(`${name} holds no slot whose checksum is right`, {
        op: "read what this host was",
        hint:
          "Its disk is damaged. Remove the file to make this host an empty one: it will then copy from the other.",
      });
    }
    this.#sequence = slots[0]?.sequence ?? 0n;
    this.#newest = slots[0]?.metadata ?? null;
  }

  get newest(): Metadata | null {
    return this.#newest;
  }

  /** Writes into the older slot. When this returns it is on stable storage. One at a time. */
  async write(metadata: Metadata): Promise<void> {
    const sequence = this.#sequence + 1n;
    await this.#file.write(encode(metadata, sequence), Number(sequence % 2n === 1n ? 0n : 1n) * SLOT_BYTES);
    this.#sequence = sequence;
    this.#newest = metadata;
  }
}
