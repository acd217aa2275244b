/** The engine's NBD export beside qemu-nbd's, on images of the same kind and with the same client: runs take turns, medians count. */

import { Engine, EngineLibrary } from "../../ffi/engine.ts";
import { EdgeError } from "../errors.ts";
import { runCommand } from "../lab/command.ts";
import { type Setting, sleep } from "./bed.ts";
import { median } from "./statistics.ts";

const PART = "disk";
const MIB = 1024 * 1024;
const IMAGE_MIB = 256;
const READY_MS = 5000;

interface Case {
  what: string;
  bytes: number;
  /** Distance between requests; it shares no factor with the image's size, so that each block is visited once. */
  step: number;
  write: boolean;
  count: number;
}

function cases(quick: boolean): Case[] {
  const small = { bytes: 4096, step: 4096 * 10_007, count: quick ? 8000 : 40_000 };
  const large = { bytes: MIB, step: MIB, count: quick ? 400 : 2000 };
  return [
    { what: "4 KiB reads, scattered", write: false, ...small },
    { what: "4 KiB writes, scattered", write: true, ...small },
    { what: "1 MiB reads, in order", write: false, ...large },
    { what: "1 MiB writes, in order", write: true, ...large },
  ];
}

export async function diskPart(setting: Setting): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "iservft-nbd-" });
  try {
    await using ours = await serveOurs(setting.library, directory);
    await using theirs = await serveTheirs(directory);
    const rounds = setting.quick ? 3 : 7;
    for (const one of cases(setting.quick)) {
      setting.say(`disk: ${one.what}`);
      setting.interrupted.throwIfAborted();
      await measure(one, ours.uri);
      await measure(one, theirs.uri);
      const rates: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
      for (let round = 0; round < rounds; round++) {
        rates.ours.push(await measure(one, ours.uri));
        rates.theirs.push(await measure(one, theirs.uri));
      }
      report(setting, { one, rates });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function report(setting: Setting, run: { one: Case; rates: { ours: number[]; theirs: number[] } }): void {
  const { one, rates } = run;
  const [ours, theirs] = [median(rates.ours), median(rates.theirs)];
  const text = (rate: number) =>
    one.bytes < MIB
      ? `${Math.round(rate).toLocaleString("en-US")}/s`
      : `${Math.round(rate * one.bytes / 1e6)} MB/s`;
  setting.report({
    part: PART,
    what: `${one.what}, against qemu-nbd`,
    measured: ours / theirs,
    unit: "",
    reach: { least: 0.9 },
    samples: rates.ours.length,
    note: `${text(ours)}, qemu-nbd ${text(theirs)}; medians of runs of ${
      one.count.toLocaleString("en-US")
    } requests`,
    data: { requests_per_s: { ours: rates.ours, theirs: rates.theirs }, bytes: one.bytes },
  });
}

/** Requests per second of one run, 16 in flight. */
async function measure(one: Case, uri: string): Promise<number> {
  const words = [
    ...["qemu-img", "bench", "-f", "raw", "-t", "writeback", "-d", "16", "-c", `${one.count}`],
    ...["-s", `${one.bytes}`, "-S", `${one.step}`, ...(one.write ? ["-w", "--pattern", "90"] : []), uri],
  ];
  const text = await runCommand(words, { op: "measure a disk", hint: "Install the package qemu-utils." });
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(text)?.[1]);
  if (seconds > 0) return one.count / seconds;
  throw new EdgeError(`qemu-img bench said ${JSON.stringify(text.slice(-200))}`, {
    op: "measure a disk",
    hint: "This bench reads the output of QEMU 7.2 to 10.",
  });
}

interface Export extends AsyncDisposable {
  uri: string;
}

async function writeImage(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const block = new Uint8Array(MIB);
  for (let at = 0; at < MIB; at += 65_536) crypto.getRandomValues(block.subarray(at, at + 65_536));
  for (let i = 0; i < IMAGE_MIB; i++) await file.write(block);
  await file.syncData();
}

/** An engine that serves one disk and has no VM: writes go straight through. */
async function serveOurs(library: string, directory: string): Promise<Export> {
  const image = `${directory}/ours.img`;
  const socket = `${directory}/ours.sock`;
  await writeImage(image);
  const runDir = `${directory}/engine`;
  await Deno.mkdir(runDir);
  const engine = new Engine({
    library: EngineLibrary.open(library),
    runDir,
    secret: crypto.getRandomValues(new Uint8Array(32)),
  });
  try {
    await engine.diskAdd({ name: "disk0", image, statePrefix: `${directory}/ours`, socket });
  } catch (error) {
    await engine.close();
    throw error;
  }
  return { uri: `nbd+unix:///disk0?socket=${socket}`, [Symbol.asyncDispose]: () => engine.close() };
}

async function serveTheirs(directory: string): Promise<Export> {
  const image = `${directory}/theirs.img`;
  const socket = `${directory}/theirs.sock`;
  await writeImage(image);
  const args = [...["-f", "raw", "-x", "disk0", "-k", socket, "--persistent", "-e", "8"], image];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("qemu-nbd", { args, stdin: "null", stdout: "null", stderr: "inherit" }).spawn();
  } catch (cause) {
    throw new EdgeError("qemu-nbd is not installed", {
      op: "measure a disk",
      hint: "Install the package qemu-utils.",
      cause,
    });
  }
  const end = async () => {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await child.status;
  };
  const until = performance.now() + READY_MS;
  while (!await Deno.stat(socket).then(() => true, () => false)) {
    if (performance.now() > until) {
      await end();
      throw new EdgeError("qemu-nbd does not serve", { op: "measure a disk", hint: "See what it says." });
    }
    await sleep(10);
  }
  return { uri: `nbd+unix:///disk0?socket=${socket}`, [Symbol.asyncDispose]: end };
}
