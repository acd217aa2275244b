/** A wall clock of its own for a host's programs, which jumps when it is told to. The machine's clock stays as it is: a preloaded
 * library (build/lab/clock) answers for it. */

import type { Lab } from "./lab.ts";
import { type Host, stateDirectory } from "./places.ts";

const LIBRARY = new URL("../../.cache/native/lab-clock.so", import.meta.url).pathname;
const QEMU = "qemu-system-x86_64";
const NS_PER_S = 1_000_000_000n;
/** Of the library's struct lab_clock. */
const BYTES = 24;

/** How many answers were off so far, and who got them. */
export interface Told {
  qemu: bigint;
  others: bigint;
}

/** One host's clock. */
export class HostClock {
  readonly #file: string;
  readonly #programs: string;

  private constructor(file: string, programs: string) {
    this.#file = file;
    this.#programs = programs;
  }

  /** Makes it, not off yet. `directory` is for files of its own. */
  static async make(options: { lab: Lab; host: Host; directory: string }): Promise<HostClock> {
    const { lab, host, directory } = options;
    const file = `${stateDirectory(lab.id)}/clock-${host}`;
    const programs = `${directory}/clock-${host}`;
    await Deno.writeFile(file, new Uint8Array(BYTES));
    await Deno.mkdir(programs, { recursive: true });
    // A runner gives its QEMU an environment of its own, with the path by which it is found. What is preloaded into this shell already
    // takes itself out of the shell's environment, and is wanted in QEMU: the environment is read as it was.
    const script = `#!/bin/sh
given() { tr '\\0' '\\n' <"/proc/$$/environ" | sed -n "s/^$1=//p"; }
export LD_PRELOAD="$(given LD_PRELOAD) ${LIBRARY}" ISERVFT_RUNNER_PID="$(given ISERVFT_RUNNER_PID)"
export PATH="\${PATH#*:}" ISERVFT_LAB_CLOCK="${file}"
exec ${QEMU} "$@"
`;
    await Deno.writeTextFile(`${programs}/${QEMU}`, script, { mode: 0o755 });
    return new HostClock(file, programs);
  }

  /** The words before a command that make this its clock, and that of the QEMU that it starts. */
  get words(): string[] {
    return [
      "sh",
      "-c",
      `export PATH="$0:$PATH" LD_PRELOAD="$1" ISERVFT_LAB_CLOCK="$2" && shift 2 && exec "$@"`,
      ...[this.#programs, LIBRARY, this.#file],
    ];
  }

  /** Lets the clock jump, forward or back, from where it is. */
  jump(seconds: number): void {
    const at = this.#read();
    const shift = new DataView(new ArrayBuffer(8));
    shift.setBigInt64(0, at.getBigInt64(0, true) + BigInt(seconds) * NS_PER_S, true);
    using file = Deno.openSync(this.#file, { write: true });
    file.writeSync(new Uint8Array(shift.buffer));
  }

  /** How far it is off, s. */
  get shift_s(): number {
    return Number(this.#read().getBigInt64(0, true) / NS_PER_S);
  }

  get told(): Told {
    const at = this.#read();
    return { qemu: at.getBigUint64(8, true), others: at.getBigUint64(16, true) };
  }

  #read(): DataView {
    return new DataView(Deno.readFileSync(this.#file).buffer);
  }
}
