/** Small packed programs for the packer's tests: a shell script stands where Deno would. */

import { pack } from "../../build/pack.ts";

/** What a start said. */
export interface Start {
  code: number;
  out: string;
  err: string;
}

/** A packed program in a directory of its own, with a cache of its own. */
export class Program implements AsyncDisposable {
  readonly directory: string;
  readonly path: string;
  readonly cache: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.path = `${directory}/program`;
    this.cache = `${directory}/cache`;
  }

  /** Packs a program whose "Deno" is this shell script. `build` makes its content, and so its name, another. */
  static async make(options: { script?: string; build?: string; cache?: string } = {}): Promise<Program> {
    const program = new Program(await Deno.makeTempDir());
    await Deno.mkdir(program.cache, { mode: 0o755 });
    const script = options.script ??
      `echo "assets=$ISERVFT_ASSETS"; echo "deno_dir=$DENO_DIR"; for a; do echo "[$a]"; done`;
    const files = {
      deno: `#!/bin/sh\n${script}\n`,
      main: `// ${options.build ?? "one"}\n`,
      chunk: "c".repeat(5000),
    };
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${program.directory}/${name}`, text);
    }
    await pack([
      { from: `${program.directory}/deno`, path: "deno", mode: 0o500 },
      { from: `${program.directory}/main`, path: "app/main.js", mode: 0o400 },
      { from: `${program.directory}/chunk`, path: "app/chunk.js", mode: 0o400 },
    ], program.path);
    return program;
  }

  /** The command that starts it, with nothing in its environment but where its cache is. */
  command(args: string[] = [], env: Record<string, string> = {}): Deno.Command {
    return new Deno.Command(this.path, {
      args,
      clearEnv: true,
      env: { XDG_CACHE_HOME: this.cache, ...env },
      cwd: this.directory,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }

  async start(args: string[] = [], env: Record<string, string> = {}): Promise<Start> {
    return said(await this.command(args, env).output());
  }

  /** Names in the directory where it unpacks itself, but for the lock. */
  unpacked(): string[] {
    try {
      return [...Deno.readDirSync(`${this.cache}/iservft-edge`)].map((entry) => entry.name).filter((n) =>
        n !== "lock"
      );
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** The one directory into which it unpacked itself. */
  home(): string {
    const names = this.unpacked();
    if (names.length !== 1) throw new Error(`expected one directory, found ${names.join(", ") || "none"}`);
    return `${this.cache}/iservft-edge/${names[0]}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

export function said(output: Deno.CommandOutput): Start {
  const text = new TextDecoder();
  return { code: output.code, out: text.decode(output.stdout), err: text.decode(output.stderr) };
}
