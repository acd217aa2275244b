import assert from "node:assert/strict";
import { ProblemError } from "../../../lib/model/problem.ts";
import { qemuImgPlace } from "../../../lib/node/disks/prepare.ts";

/** As these tests run qemu-img: as root in the jail. */
export const PLACE = qemuImgPlace(null);

/** A directory of its own, removed with what is in it. */
export class Scratch implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "iservft-disks-" });

  at(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Names in it. */
  names(below = ""): string[] {
    return [...Deno.readDirSync(this.at(below))].map((entry) => entry.name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Runs a program that must do well. */
export function tool(program: string, ...args: string[]): string {
  const { code, stdout, stderr } = new Deno.Command(program, { args, stdin: "null" }).outputSync();
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A raw disk with data at its begin and end, and nothing between. */
export function rawDisk(path: string, bytes = 4 * 2 ** 20): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(bytes);
  for (let i = 0; i < 200_000; i++) {
    data[i] = (i * 31 + (i >> 8)) & 0xff;
    data[bytes - 1 - i] = (i * 17 + (i >> 7)) & 0xff;
  }
  Deno.writeFileSync(path, data);
  return data;
}

/** A check for assert.throws: a ProblemError of this code whose texts match. */
export function problem(code: string, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof ProblemError)) throw error;
    assert.equal(error.code, code, error.message);
    assert.match(`${error.message} | ${error.hint}`, pattern);
    assert.notEqual(error.hint, "");
    return true;
  };
}
