/** The errors that this product throws. Each says what was wrong (`message`), in which operation (`op`), what to do
 * about it (`hint`) and, where one is known, what caused it (`cause`). A leaf: anything may import it. */

/** What an error says beside its message. */
export interface ErrorDetails {
  /** What was being done, e.g. "start QEMU". */
  op: string;
  /** What the operator can do. One active sentence. */
  hint: string;
  cause?: unknown;
}

/** Something in the world did not work: exit code 1. */
export class EdgeError extends Error {
  readonly op: string;
  readonly hint: string;
  /** Process exit code when this error ends a command. */
  readonly exitCode: number = 1;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.op = details.op;
    this.hint = details.hint;
  }
}

/** What was asked for would not be safe now, and was not done: exit code 5. */
export class RefusedError extends EdgeError {
  override readonly exitCode: number = 5;
}

/** One thing that is wrong in a file that a person wrote. */
export interface InputProblem {
  /** Dotted key, e.g. "disks[0].path"; "" for the file as a whole. */
  key: string;
  /** Line in the file, from 1; 0 when it is not known. */
  line: number;
  /** What is wrong, with the value seen and the values allowed. */
  problem: string;
}

/** The user's input is wrong (a file, an argument): exit code 2. */
export class InputError extends EdgeError {
  readonly problems: readonly InputProblem[];
  override readonly exitCode: number = 2;

  constructor(file: string, problems: readonly InputProblem[]) {
    const at = ({ line }: InputProblem) => line === 0 ? file : `${file}:${line}`;
    const lines = problems.map((p) => `${at(p)}: ${p.key === "" ? "" : `${p.key}: `}${p.problem}`);
    super(lines.join("\n"), {
      op: `read ${file}`,
      hint: problems.every(({ line }) => line === 0)
        ? "Say another file, or make this one readable."
        : `Correct ${problems.length === 1 ? "this line" : "these lines"} in ${file}.`,
    });
    this.problems = problems;
  }
}

/** An error as text for a person: what, where, why, and what to do. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = [error instanceof EdgeError ? `${error.op}: ${error.message}` : error.message];
  for (
    let cause = error.cause, depth = 0;
    cause instanceof Error && depth < 5;
    cause = cause.cause, depth++
  ) {
    text.push(`  because: ${cause.message}`);
  }
  if (error instanceof EdgeError && error.hint !== "") text.push(`  what to do: ${error.hint}`);
  return text.join("\n");
}
