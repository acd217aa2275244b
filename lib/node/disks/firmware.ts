/** UEFI: OVMF as distributions install it, and a VM's own variables. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** Code with the variables that go with it, without secure boot; the first that is there is taken. */
const PAIRS: readonly (readonly [string, string])[] = [
  ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"], // Debian 12, Ubuntu
  ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"],
  ["/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"], // Fedora, RHEL
  ["/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"], // Arch
];
/** OVMF's variables are smaller by far. */
const VARS_MAX = 16 * 2 ** 20;

/** Where the code is, and variables to copy. */
export interface Ovmf {
  code: string;
  vars: string;
}

/** This host's OVMF; null: there is none. `root` is for tests. */
export function findOvmf(root = ""): Ovmf | null {
  for (const [code, vars] of PAIRS) {
    try {
      if (Deno.statSync(root + code).isFile && Deno.statSync(root + vars).isFile) {
        return { code: root + code, vars: root + vars };
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return null;
}

/** The same, or ProblemError. */
export function needOvmf(root = ""): Ovmf {
  const found = findOvmf(root);
  if (found !== null) return found;
  throw new ProblemError("refused", explained("firmware.absent"));
}

/** Is it UEFI code as a distribution installs it? */
export function isOvmfCode(path: string): boolean {
  return PAIRS.some(([code]) => code === path);
}

/** The bytes of fresh variables. */
export function freshVariables(ovmf: Ovmf): Uint8Array<ArrayBuffer> {
  const { size } = Deno.statSync(ovmf.vars);
  if (size % 512 === 0 && size > 0 && size <= VARS_MAX) return Deno.readFileSync(ovmf.vars);
  throw new ProblemError("failed", explained("firmware.size", { path: ovmf.vars, bytes: `${size}` }));
}
