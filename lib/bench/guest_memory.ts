/** The guest's memory as the runner holds it, seen from outside. */

import { Buffer } from "node:buffer";
import { EdgeError } from "../errors.ts";
import type { Bed } from "./bed.ts";

const PAGE = 4096;
const CHUNK = 4 << 20;

/** Path of the guest's memory on host A: a file of the guest's size, as long as the runner lives. */
export function guestMemory(bed: Bed): string {
  for (const { pid } of bed.lab.processes("a")) {
    for (const entry of descriptorsOf(pid)) {
      const path = `/proc/${pid}/fd/${entry}`;
      if (linkOf(path).startsWith("/memfd:isf-guest")) return path;
    }
  }
  throw new EdgeError("no process of host A holds the guest's memory", {
    op: "find the guest's memory",
    hint: "Report this: the runner was expected to hold a memfd named isf-guest.",
  });
}

/** Bytes of the pages that are not all zero. */
export async function nonZeroBytes(path: string): Promise<number> {
  using file = await Deno.open(path);
  const chunk = Buffer.alloc(CHUNK);
  const zero = Buffer.alloc(PAGE);
  let bytes = 0;
  for (let got = await file.read(chunk); got !== null; got = await file.read(chunk)) {
    for (let at = 0; at < got; at += PAGE) {
      const page = chunk.subarray(at, Math.min(got, at + PAGE));
      if (!page.equals(zero.subarray(0, page.length))) bytes += page.length;
    }
  }
  return bytes;
}

function descriptorsOf(pid: number): string[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].map(({ name }) => name);
  } catch {
    return []; // it has ended meanwhile
  }
}

function linkOf(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return ""; // it was closed meanwhile
  }
}
