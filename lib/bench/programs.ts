/** The engine's own small programs (ffi/tools), which measure its parts without a VM around them. They are compiled on the spot, so they
 * need the source tree and a compiler: a built binary says that it cannot. */

import { EdgeError } from "../errors.ts";
import { type Bed, type Setting, sleep, withBed } from "./bed.ts";
import type { Figure } from "./figures.ts";
import { guestMemory } from "./guest_memory.ts";

const BOUND_MS = 300_000;

type Line = Record<string, string | number | boolean>;

// ---- tracker ----

export async function trackerPart(setting: Setting): Promise<void> {
  const tree = sourcesOf(setting, "tracker");
  if (tree === undefined) return;
  await inDirectory(async (directory) => {
    setting.say("tracker: compiling");
    const program = await compile(tree, { name: "bench_tracker", parts: /^tracker.*\.c$/, directory });
    setting.say("tracker: measuring");
    for (const line of await jsonLines([program, ...(setting.quick ? ["512"] : [])])) {
      trackerFigure(setting, line);
    }
  });
}

/** One row per kind and size for the clean scan, one for many scattered dirty pages. */
function trackerFigure(setting: Setting, line: Line): void {
  const passes = line["passes"] === 1 ? " in one pass" : "";
  const on = `${line["kind"]}${passes}, ${line["gib"]} GiB`;
  const figure = (what: string, measured: unknown, unit: string): Figure => ({
    part: "tracker",
    what,
    measured: Number(measured),
    unit,
    samples: line["kind"] === "pagescan" ? 21 : 3,
    data: line,
  });
  if (line["supported"] === false) {
    setting.report({
      ...figure(`${line["kind"]}`, NaN, ""),
      measured: null,
      samples: 0,
      note: "this kernel lacks it",
    });
  } else if (line["dirty_pages"] === 0) {
    setting.report(figure(`${on}, nothing dirty, per GiB`, line["us_per_clean_gib"], "µs"));
  } else if (line["dirty_pages"] === 10_000 && line["adjacent"] === false) {
    const note = `${line["ns_per_first_write"]} ns more for the guest's first write to each`;
    setting.report({ ...figure(`${on}, per scattered dirty page`, line["ns_per_dirty_page"], "ns"), note });
  }
}

// ---- codec ----

export async function codecPart(setting: Setting): Promise<void> {
  const tree = sourcesOf(setting, "codec");
  if (tree === undefined) return;
  await inDirectory(async (directory) => {
    setting.say("codec: compiling");
    const program = await compile(tree, { name: "bench_codec", parts: /^codec_.*\.c$/, directory });
    setting.say("codec: taking dumps of a guest's memory, in its boot and under load");
    const dumps = await withBed({ ...setting, bed: {} }, (bed) => takeDumps(bed, directory));
    for (const { load, before, after } of dumps) {
      setting.say(`codec: measuring, ${load}`);
      for (const line of await jsonLines([program, before, after])) codecFigure(setting, { load, line });
    }
  });
}

function codecFigure(setting: Setting, { load, line }: { load: string; line: Line }): void {
  if (line["pages"] !== "changed" || line["algorithm"] === "store") return;
  setting.report({
    part: "codec",
    what: `${load}, ${line["algorithm"]}, bytes per changed page`,
    measured: Number(line["bytes_per_page"]),
    unit: "bytes",
    samples: Number(line["count"]),
    note: `encodes ${line["encode_gb_s"]} GB/s (${line["encode_us_per_page"]} µs a page), decodes ${
      line["decode_gb_s"]
    } GB/s`,
    data: line,
  });
}

interface Dumps {
  load: string;
  before: string;
  after: string;
}

/** Dumps of an unprotected guest, each of one moment: the guest is stopped meanwhile. */
async function takeDumps(bed: Bed, directory: string): Promise<Dumps[]> {
  await bed.alone();
  const dump = async (name: string) => {
    await using monitor = await bed.monitor();
    await monitor.execute("stop");
    await Deno.copyFile(guestMemory(bed), `${directory}/${name}`);
    await monitor.execute("cont");
    return `${directory}/${name}`;
  };
  await sleep(1000);
  const early = await dump("boot-before");
  await sleep(200);
  const booting = { load: "booting, 200 ms", before: early, after: await dump("boot-after") };
  await bed.guestReady();
  await using _client = await bed.client({ dirty: 10, write: 64, patience_ms: 60_000 });
  await sleep(1000);
  const before = await dump("load-before");
  await sleep(100);
  return [booting, { load: "demo load, 100 ms", before, after: await dump("load-after") }];
}

// ---- compiling and running ----

function sourcesOf(setting: Setting, part: string): string | undefined {
  if (setting.sources !== undefined) return setting.sources;
  setting.report({
    ...{ part, what: "cost of its parts", measured: null, unit: "", samples: 0 },
    note: "needs the source tree and a compiler: deno task bench in a source tree",
  });
  return undefined;
}

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "iservft-program-" });
  try {
    await work(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

interface Program {
  name: string;
  /** Files of ffi/src that it is made of, beside base.c. */
  parts: RegExp;
  directory: string;
}

/** Compiles as the library is compiled, with the same static libraries. */
async function compile(tree: string, { name, parts, directory }: Program): Promise<string> {
  const sources = [...Deno.readDirSync(`${tree}/ffi/src`)].map((entry) => entry.name)
    .filter((file) => parts.test(file) || file === "base.c").map((file) => `${tree}/ffi/src/${file}`);
  const output = `${directory}/${name}`;
  await jsonLines([
    ...[
      "gcc",
      "-std=c11",
      "-D_GNU_SOURCE",
      "-O2",
      "-pthread",
      `-I${tree}/.cache/include`,
      `-I${tree}/ffi/src`,
    ],
    ...[`${tree}/ffi/tools/${name}.c`, ...sources, `-L${tree}/.cache/lib`, "-llz4", "-lzstd", "-o", output],
  ]);
  return output;
}

/** Runs a program to its end and returns the lines of JSON that it printed. */
async function jsonLines([program = "", ...args]: readonly string[]): Promise<Line[]> {
  const fail = (what: string, cause?: unknown) =>
    new EdgeError(`${program}: ${what}`, {
      op: "measure a part of the engine",
      hint: "Run build/setup.sh, which installs the compiler and builds the libraries.",
      cause,
    });
  let output: Deno.CommandOutput;
  try {
    const signal = AbortSignal.timeout(BOUND_MS);
    output = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal,
    })
      .output();
  } catch (cause) {
    throw fail("did not run", cause);
  }
  const text = new TextDecoder();
  if (!output.success) {
    throw fail(text.decode(output.stderr).trim().slice(-500) || `ended with ${output.code}`);
  }
  return text.decode(output.stdout).split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
}
