/** Archives of small files: POSIX ustar, packed by gzip. Reading is strict and bounded, since an archive may come from anywhere. */

import { EdgeError } from "../../errors.ts";

const BLOCK = 512;
/** Files that an archive may have, and bytes of all of them. */
const FILES_MAX = 5000;
const BYTES_MAX = 512 * 2 ** 20;
/** A name that stays where it is unpacked. */
const SAFE = /^[A-Za-z0-9_.@+-]+(\/[A-Za-z0-9_.@+-]+)*$/;

/** A file of an archive. */
export interface Entry {
  /** Relative, of plain names. */
  path: string;
  bytes: Uint8Array<ArrayBuffer>;
}

function damaged(what: string): EdgeError {
  return new EdgeError(`The archive ${what}`, {
    op: "read an archive",
    hint: "Copy it again from where it was made, and compare its checksum.",
  });
}

/** True of names that cannot lead out of a directory. */
export function isSafe(path: string): boolean {
  return path.length <= 200 && SAFE.test(path) &&
    !path.split("/").some((part) => part === "." || part === "..");
}

function octal(value: number, digits: number): string {
  return `${value.toString(8).padStart(digits, "0")}\0`;
}

/** Splits a name into ustar's prefix and name. */
function split(path: string): [string, string] {
  if (path.length <= 100) return ["", path];
  const at = path.lastIndexOf("/", path.length - 2);
  const cut = path.indexOf("/", path.length - 101);
  const place = cut < 0 ? at : cut;
  return [path.slice(0, place), path.slice(place + 1)];
}

function header(entry: Entry, seconds: number): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(new TextEncoder().encode(text), at);
  const [prefix, name] = split(entry.path);
  put(0, name);
  put(100, octal(0o600, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(entry.bytes.length, 11));
  put(136, octal(seconds, 11));
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\x0000");
  put(345, prefix);
  put(148, `${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** The blocks of one file. Throws when its name is not plain. */
export function tarBlocks(entry: Entry, seconds: number): Uint8Array<ArrayBuffer>[] {
  if (!isSafe(entry.path)) throw damaged(`may not have the name ${JSON.stringify(entry.path.slice(0, 100))}`);
  const rest = (BLOCK - entry.bytes.length % BLOCK) % BLOCK;
  return [header(entry, seconds), entry.bytes, new Uint8Array(rest)];
}

/** What an archive ends with. */
export function tarEnd(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(2 * BLOCK);
}

/** An archive as a stream, packed; `entries` are asked for as they are wanted. */
export function tarGzip(
  entries: AsyncIterable<Entry>,
  seconds: number,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  async function* blocks(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for await (const entry of entries) yield* tarBlocks(entry, seconds);
    yield tarEnd();
  }
  return ReadableStream.from(blocks()).pipeThrough(new CompressionStream("gzip"));
}

/** Collects a stream, of at most `most` bytes. */
export async function collect(
  stream: ReadableStream<Uint8Array>,
  most = BYTES_MAX,
): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of stream) {
    size += piece.length;
    if (size > most) throw damaged(`has more than ${most} bytes`);
    pieces.push(piece);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Unpacks gzip. Throws EdgeError when it is damaged or too large. */
export async function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  most = BYTES_MAX,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await collect(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")), most);
  } catch (error) {
    if (error instanceof EdgeError) throw error;
    throw damaged("is not packed by gzip, or damaged");
  }
}

function text(block: Uint8Array, from: number, length: number): string {
  const field = block.subarray(from, from + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function number(block: Uint8Array, from: number, length: number): number {
  const digits = text(block, from, length).trim();
  if (!/^[0-7]{1,11}$/.test(digits)) throw damaged("is no tar archive, or damaged");
  return Number.parseInt(digits, 8);
}

/** The files of an archive. Anything but plain files with plain names, each once, is refused. */
export function readTar(bytes: Uint8Array<ArrayBuffer>): Entry[] {
  const entries = new Map<string, Entry>();
  for (let at = 0;;) {
    const block = bytes.subarray(at, at + BLOCK);
    if (block.length < BLOCK) throw damaged("is cut off");
    if (block.every((byte) => byte === 0)) return [...entries.values()];
    const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    if (text(block, 257, 5) !== "ustar" || number(block, 148, 8) !== sum) {
      throw damaged("is no tar archive, or damaged");
    }
    const prefix = text(block, 345, 155);
    const path = `${prefix === "" ? "" : `${prefix}/`}${text(block, 0, 100)}`;
    const kind = text(block, 156, 1);
    if (kind !== "0" || !isSafe(path) || entries.has(path)) {
      throw damaged(`holds ${JSON.stringify(path.slice(0, 100))}, which is no plain file of its own`);
    }
    const size = number(block, 124, 12);
    at += BLOCK;
    if (size > bytes.length - at) throw damaged("is cut off");
    if (entries.size >= FILES_MAX) throw damaged(`has more than ${FILES_MAX} files`);
    entries.set(path, { path, bytes: bytes.slice(at, at + size) });
    at += Math.ceil(size / BLOCK) * BLOCK;
  }
}
