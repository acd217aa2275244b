/** Which files of this machine a VM may have. QEMU reads a kernel as root, and the engine writes a disk as root: whoever may name any file
 * may read this machine's secrets and write its programs. So what comes from the page, and from the other node, is bound to
 *
 *   the VM's own directory, DATA/vms/NAME          disks end in .img, .raw, .fd or .iso: the node's own files do not
 *   what `images` of serve.toml names              set by root, on each node for itself
 *   UEFI code as distributions install it
 *   for what is only read: files that everybody on this machine may read
 *   what the VM had already
 *
 * Root, by the local socket, names what it likes. */

import { dirname, normalize } from "node:path/posix";
import { LOCAL_ACTOR } from "../../model/access.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { VmCreate } from "../../model/vm.ts";
import { onHost, type VmSpec } from "../../vm/spec.ts";
import { isOvmfCode } from "./firmware.ts";

/** What is done with a file. */
type Use = "written" | "read" | "firmware";

/** What holds on this node. */
export interface FileRules {
  /** DATA/vms. */
  directory: string;
  /** Directories, files and devices outside of it. */
  images: readonly string[];
}

/** A file that a VM names. */
interface Named {
  /** Of the VM's settings, for the message. */
  key: string;
  path: string;
  use: Use;
}

const DISK = /^[A-Za-z0-9][A-Za-z0-9._-]*\.(?:img|raw|fd|iso)$/;

function below(path: string, directory: string): boolean {
  return path.startsWith(`${directory.replace(/\/+$/, "")}/`);
}

/** A file that every user of this machine may read, and so no secret. */
function isPublic(path: string): boolean {
  try {
    const real = Deno.realPathSync(path);
    const found = Deno.statSync(real);
    if (!found.isFile || /^\/(?:proc|sys|dev|run)\//.test(real) || ((found.mode ?? 0) & 0o004) === 0) {
      return false;
    }
    for (let place = dirname(real);; place = dirname(place)) {
      if (((Deno.statSync(place).mode ?? 0) & 0o001) === 0) return false;
      if (place === "/") return true;
    }
  } catch {
    return false;
  }
}

function isAllowed({ path, use }: Named, { name, rules }: { name: string; rules: FileRules }): boolean {
  if (path.includes("\0") || path.split("/").includes("..")) return false;
  const whole = normalize(onHost(path, rules.directory));
  const own = `${rules.directory}/${name}`;
  if (below(whole, own)) return use !== "written" || DISK.test(whole.slice(whole.lastIndexOf("/") + 1));
  if (below(whole, rules.directory)) return false; // another VM's
  if (rules.images.some((image) => whole === normalize(image) || below(whole, normalize(image)))) return true;
  if (use === "firmware" && isOvmfCode(whole)) return true;
  return use !== "written" && isPublic(whole);
}

function namedBy(spec: VmSpec): Named[] {
  const { kernel, initrd, firmware } = spec;
  return [
    ...spec.disk.map(({ path }, index) => ({ key: `disk[${index}].path`, path, use: "written" as const })),
    ...(kernel === undefined ? [] : [{ key: "kernel", path: kernel, use: "read" as const }]),
    ...(initrd === undefined ? [] : [{ key: "initrd", path: initrd, use: "read" as const }]),
    ...(firmware === "bios" ? [] : [
      { key: "firmware.code", path: firmware.code, use: "firmware" as const },
      { key: "firmware.vars", path: firmware.vars, use: "written" as const },
    ]),
  ];
}

function refuse(named: readonly Named[]): void {
  if (named.length === 0) return;
  const problem = ({ use }: Named) =>
    use === "written"
      ? "VMs may not have this file of this node"
      : "it is not for everybody on this node to read";
  const problems = named.map((one) =>
    `${one.key}: ${JSON.stringify(one.path.slice(0, 200))}: ${problem(one)}`
  );
  throw new ProblemError("refused", {
    ...explained("disk.not_allowed", { problems: problems.join("; ") }),
    fields: named.map((one) => ({ key: one.key, problem: problem(one) })),
  });
}

/** Files that a VM has, by what is done with them: what it had stays allowed. */
function had(specs: readonly (VmSpec | null)[]): Set<string> {
  return new Set(
    specs.flatMap((spec) => spec === null ? [] : namedBy(spec).map(({ use, path }) => `${use} ${path}`)),
  );
}

/** Throws ProblemError refused unless VM `name` may have all the files that `spec` names on this node. `before`: what counted so far. */
export function checkFiles(
  spec: VmSpec,
  options: { name: string; rules: FileRules; before: readonly (VmSpec | null)[] },
): void {
  const known = had(options.before);
  refuse(namedBy(spec).filter((one) => !known.has(`${one.use} ${one.path}`) && !isAllowed(one, options)));
}

/** The same of a VM that is to be made. An image that is imported is read, and only as a raw one it may be any file. */
export function checkNewFiles(vm: VmCreate, { rules, actor }: { rules: FileRules; actor: string }): void {
  if (actor === LOCAL_ACTOR) return;
  const named = vm.disks.flatMap((disk, index): Named[] => {
    const key = `disks[${index}].path`;
    if (disk.kind === "existing") {
      const path = disk.path.startsWith("/") ? disk.path : `${vm.name}/${disk.path}`;
      return [{ key, path, use: "written" }];
    }
    return disk.kind === "import" && disk.format === "raw" ? [{ key, path: disk.path, use: "read" }] : [];
  });
  for (const key of ["kernel", "initrd"]) {
    const path = vm.spec[key];
    if (typeof path === "string") named.push({ key: `spec.${key}`, path, use: "read" });
  }
  refuse(named.filter((one) => !isAllowed(one, { name: vm.name, rules })));
}
