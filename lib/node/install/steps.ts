/** What is done to a machine, one thing at a time: shown before it is done, and done again without harm. */

import { dirname } from "node:path/posix";
import { makeDurableDirectory } from "../../durable_directory.ts";
import { EdgeError } from "../../errors.ts";

/** One step. Paths are of the machine, before `--root` goes before them. */
export type Step =
  | { kind: "directory"; path: string; mode: number }
  /** `keep`: left as it is when it is there. */
  | { kind: "file"; path: string; mode: number; text: string; keep?: boolean }
  /** A program, replaced in one go, so that those that run keep theirs. */
  | { kind: "program"; path: string; from: string }
  | { kind: "remove"; path: string; tree?: boolean }
  /** `root`: also for another tree, whose path takes the place of the word "ROOT". */
  | { kind: "run"; words: readonly string[]; why: string; root?: boolean; optional?: boolean };

export interface StepOptions {
  /** Another tree; "": this machine. */
  root: string;
  dryRun: boolean;
  say(line: string): void;
  /** Runs a program; for tests. */
  run?: (words: readonly string[]) => Promise<{ code: number; said: string }>;
}

const RUN_MS = 60_000;

/** Runs a program of this machine. */
export async function runProgram(
  [program = "", ...args]: readonly string[],
): Promise<{ code: number; said: string }> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      stdin: "null",
      signal: AbortSignal.timeout(RUN_MS),
    }).output();
    return { code, said: [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("").trim() };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { code: 127, said: `there is no program ${program}` };
    throw error;
  }
}

function there(path: string): Deno.FileInfo | null {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function sameBytes(a: string, b: string): boolean {
  const [first, second] = [there(a), there(b)];
  if (first === null || second === null || first.size !== second.size || !second.isFile) return false;
  using left = Deno.openSync(a);
  using right = Deno.openSync(b);
  const [x, y] = [new Uint8Array(1 << 20), new Uint8Array(1 << 20)];
  for (;;) {
    const [m, n] = [fill(left, x), fill(right, y)];
    if (m !== n || !x.subarray(0, m).every((byte, i) => byte === y[i])) return false;
    if (m === 0) return true;
  }
}

function fill(file: Deno.FsFile, buffer: Uint8Array): number {
  let got = 0;
  while (got < buffer.length) {
    const read = file.readSync(buffer.subarray(got));
    if (read === null) break;
    got += read;
  }
  return got;
}

function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

/** Puts a file in its place in one go. */
function place(path: string, mode: number, write: (part: string) => void): void {
  makeDurableDirectory(dirname(path), 0o755);
  const part = `${path}.new`;
  if (there(part) !== null) Deno.removeSync(part);
  try {
    write(part);
    Deno.chmodSync(part, mode);
    {
      using file = Deno.openSync(part);
      file.syncSync();
    }
    Deno.renameSync(part, path);
  } catch (error) {
    if (there(part) !== null) Deno.removeSync(part);
    throw error;
  }
  syncDirectory(dirname(path));
}

const octal = (mode: number) => mode.toString(8).padStart(4, "0");

/** What a step would do, and how; null: nothing is left to do. */
function work(step: Exclude<Step, { kind: "run" }>, root: string): { what: string; act: () => void } | null {
  const path = `${root}${step.path}`;
  const found = there(path);
  switch (step.kind) {
    case "directory": {
      const right = found?.isDirectory && ((found.mode ?? 0) & 0o7777) === step.mode;
      if (right) return null;
      const act = () => {
        makeDurableDirectory(path, step.mode);
        Deno.chmodSync(path, step.mode);
      };
      return { what: `make the directory ${step.path} (${octal(step.mode)})`, act };
    }
    case "file": {
      const right = found !== null && (step.keep ||
        (found.isFile && Deno.readTextFileSync(path) === step.text &&
          ((found.mode ?? 0) & 0o7777) === step.mode));
      if (right) return null;
      const act = () =>
        place(path, step.mode, (part) => Deno.writeTextFileSync(part, step.text, { createNew: true }));
      return { what: `${found === null ? "write" : "replace"} ${step.path} (${octal(step.mode)})`, act };
    }
    case "program": {
      if (sameBytes(step.from, path) && ((found?.mode ?? 0) & 0o7777) === 0o755) return null;
      const act = () => place(path, 0o755, (part) => Deno.copyFileSync(step.from, part));
      return { what: `${found === null ? "copy" : "replace"} ${step.path}, from ${step.from}`, act };
    }
    case "remove": {
      if (found === null) return null;
      const act = () => Deno.removeSync(path, { recursive: step.tree === true });
      return { what: `remove ${step.path}${step.tree ? " with all that is in it" : ""}`, act };
    }
  }
}

async function perform(step: Step, options: StepOptions): Promise<void> {
  const { root, dryRun, say } = options;
  if (step.kind !== "run") {
    const todo = work(step, root);
    if (todo === null) {
      if (step.kind !== "remove") say(`is there: ${step.path}`);
      return;
    }
    say(`${dryRun ? "would " : ""}${todo.what}`);
    if (!dryRun) todo.act();
    return;
  }
  if (root !== "" && step.root !== true) return;
  const words = step.words.map((word) => word.replace("ROOT", root === "" ? "/" : root));
  say(`${dryRun ? "would run" : "run"}: ${words.join(" ")}`);
  if (dryRun) return;
  const { code, said } = await (options.run ?? runProgram)(words);
  if (code === 0) return;
  if (step.optional) return say(`  it did not work: ${said.split("\n")[0] ?? ""}`);
  throw new EdgeError(`${words.join(" ")} ended with code ${code}: ${said}`, {
    op: step.why,
    hint: "Mend what it says, and run this again: what is done already is left as it is.",
  });
}

/** Does them, in order. Throws EdgeError at the first one that does not work. */
export async function performSteps(steps: readonly Step[], options: StepOptions): Promise<void> {
  for (const step of steps) await perform(step, options);
}
