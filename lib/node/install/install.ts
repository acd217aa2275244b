/** What installing and uninstalling is, as steps. */

import { basename } from "node:path/posix";
import { EdgeError, RefusedError } from "../../errors.ts";
import { lockHolder } from "../vm/launcher.ts";
import type { Step } from "./steps.ts";
import { firstConfig, QEMU_USER, SERVICE, serviceUnit, sysusers } from "./unit.ts";

/** Where everything goes. */
export const PLACES = {
  binary: "/usr/local/bin/iservft-edge",
  unit: `/etc/systemd/system/${SERVICE}`,
  sysusers: "/etc/sysusers.d/iservft-edge.conf",
  config: "/etc/iservft-edge",
  data: "/var/lib/iservft-edge",
  cache: "/var/cache/iservft-edge",
  run: "/run/iservft-edge",
} as const;

/** The machine that this is about. */
export interface Target {
  /** Another tree; "": this machine. */
  root: string;
  /** systemd is its init now. */
  systemd: boolean;
}

/** This machine, or the tree at `root`. */
export function findTarget(root: string): Target {
  if (root === "" && Deno.uid() !== 0) {
    throw new EdgeError("Installing a service needs root", {
      op: "install",
      hint: "Run it with sudo; or see what it would do: --dry-run.",
    });
  }
  return { root, systemd: root === "" && isThere("/run/systemd/system") };
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Steps that install, or upgrade: VMs that run are not touched by any of them. `binary`: this program as one file. */
export function installSteps(target: Target, options: { binary: string; start: boolean }): Step[] {
  const upgrade = isThere(`${target.root}${PLACES.unit}`);
  const steps: Step[] = [
    { kind: "program", path: PLACES.binary, from: options.binary },
    { kind: "directory", path: PLACES.config, mode: 0o755 },
    { kind: "file", path: `${PLACES.config}/serve.toml`, mode: 0o640, text: firstConfig(), keep: true },
    { kind: "directory", path: PLACES.data, mode: 0o700 },
    { kind: "directory", path: PLACES.cache, mode: 0o700 },
    { kind: "file", path: PLACES.sysusers, mode: 0o644, text: sysusers() },
    {
      kind: "run",
      words: ["systemd-sysusers", "--root=ROOT", basename(PLACES.sysusers)],
      why: `make the user ${QEMU_USER}`,
      root: true,
    },
    { kind: "file", path: PLACES.unit, mode: 0o644, text: serviceUnit(PLACES.binary) },
    {
      kind: "run",
      words: ["systemctl", "--root=ROOT", "--quiet", "enable", SERVICE],
      why: "start the service at each boot",
      root: true,
    },
  ];
  if (!target.systemd) return steps;
  steps.push({ kind: "run", words: ["systemctl", "daemon-reload"], why: "tell systemd of the unit" });
  if (options.start) {
    const verb = upgrade ? "restart" : "start";
    steps.push({ kind: "run", words: ["systemctl", verb, SERVICE], why: `${verb} the service` });
  }
  return steps;
}

/** Steps that uninstall. */
export function uninstallSteps(target: Target, options: { keepData: boolean }): Step[] {
  const steps: Step[] = [];
  if (target.systemd) {
    steps.push({
      kind: "run",
      words: ["systemctl", "stop", SERVICE],
      why: "stop the service",
      optional: true,
    });
  }
  steps.push(
    {
      kind: "run",
      words: ["systemctl", "--root=ROOT", "--quiet", "disable", SERVICE],
      why: "not start the service at boot",
      root: true,
      optional: true,
    },
    { kind: "remove", path: PLACES.unit },
    { kind: "remove", path: PLACES.sysusers },
  );
  if (target.systemd) steps.push({ kind: "run", words: ["systemctl", "daemon-reload"], why: "tell systemd" });
  steps.push({ kind: "remove", path: PLACES.binary }, { kind: "remove", path: PLACES.cache, tree: true });
  if (target.root === "") {
    steps.push(
      { kind: "remove", path: PLACES.run, tree: true },
      // It owns no file; installing makes it anew.
      { kind: "run", words: ["userdel", QEMU_USER], why: `remove the user ${QEMU_USER}`, optional: true },
    );
  }
  if (options.keepData) return steps;
  return [
    ...steps,
    { kind: "remove", path: PLACES.data, tree: true },
    { kind: "remove", path: PLACES.config, tree: true },
  ];
}

/** VMs whose runners run here, as the locks in `run` say. */
export function runningVms(run: string = PLACES.run): string[] {
  try {
    return [...Deno.readDirSync(run)].filter((entry) => entry.isDirectory)
      .map((entry) => entry.name)
      .filter((name) => lockHolder(`${run}/${name}/runner.lock`) !== null).toSorted();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Throws RefusedError while VMs run here. */
export function refuseRunning(vms: readonly string[]): void {
  if (vms.length === 0) return;
  throw new RefusedError(`VMs run here, or are kept as copies: ${vms.join(", ")}`, {
    op: "uninstall",
    hint: "Move them to the other node (switchover, then unprotect) or stop them, and try again.",
  });
}
