/** Values of options, as people write them. */

import { message } from "@optique/core/message";
import type { Message } from "@optique/core/message";
import type { ValueParser } from "@optique/core/valueparser";
import type { DiskCreate } from "../model/vm.ts";

/** A value parser of a function that throws what is wrong. */
function valueOf<T>(
  metavar: string,
  said: { placeholder: T; read(text: string): T },
): ValueParser<"sync", T> {
  return {
    mode: "sync",
    metavar: metavar as "VALUE",
    placeholder: said.placeholder,
    parse(text) {
      try {
        return { success: true, value: said.read(text) };
      } catch (error) {
        const problem: Message = message`${text} ${
          error instanceof Error ? wordsOf(error.message) : wordsOf("cannot be read")
        }`;
        return { success: false, error: problem };
      }
    },
    format: (value) => typeof value === "string" ? value : JSON.stringify(value),
  };
}

function wordsOf(text: string): Message {
  return [{ type: "text", text }];
}

/** Bytes per unit letter. */
const UNITS: Readonly<Record<string, number>> = { M: 1, G: 1024, T: 1024 * 1024 };

/** "2G", "512M", "2048" (MiB) as MiB. */
export function readMib(text: string): number {
  const [, digits, unit = "M"] = /^(\d{1,9})([MGT])?(?:iB)?$/i.exec(text) ?? [];
  const mib = Number(digits) * (UNITS[unit.toUpperCase()] ?? NaN);
  if (!Number.isSafeInteger(mib) || mib < 1) throw new Error("is not a size; write 512M, 20G or 1T");
  return mib;
}

export const mib = valueOf("SIZE", { placeholder: 1, read: readMib });

/** "new:20G", "existing:/dev/vg/a", "import:qcow2:/path". */
export const disk = valueOf<DiskCreate>("DISK", {
  placeholder: { kind: "new", size_mib: 1 },
  read(text) {
    const [kind, ...rest] = text.split(":");
    if (kind === "new") return { kind, size_mib: readMib(rest.join(":")) };
    if (kind === "existing" && rest.join(":") !== "") return { kind, path: rest.join(":") };
    const [format, ...path] = rest;
    const known = (["qcow2", "vmdk", "vhdx", "raw"] as const).find((candidate) => candidate === format);
    if (kind === "import" && known !== undefined && path.join(":") !== "") {
      return { kind, format: known, path: path.join(":") };
    }
    throw new Error(
      "is not a disk; write new:SIZE, existing:PATH, or import:FORMAT:PATH with qcow2, vmdk, vhdx or raw as FORMAT",
    );
  },
});

/** What nicCreate takes, as "bridge=br0,model=e1000e,mac=52:54:…"; "" for all defaults. */
export const nic = valueOf<Record<string, string>>("NIC", {
  placeholder: {},
  read(text) {
    const given: Record<string, string> = {};
    for (const part of text.split(",").filter((part) => part !== "" && part !== "default")) {
      const [key = "", value = ""] = part.split("=");
      if (!["bridge", "model", "mac"].includes(key) || value === "") {
        throw new Error(
          "is not a NIC; write bridge=br0,model=virtio-net,mac=52:54:00:00:00:01, each of them optional",
        );
      }
      given[key] = value;
    }
    return given;
  },
});

/** "key=value" as in the VM's file: a value that reads as JSON is that, anything else is text. */
export const setting = valueOf<[string, unknown]>("KEY=VALUE", {
  placeholder: ["key", ""],
  read(text) {
    const at = text.indexOf("=");
    if (at < 1) throw new Error("is not KEY=VALUE");
    const value = text.slice(at + 1);
    try {
      return [text.slice(0, at), JSON.parse(value)];
    } catch {
      return [text.slice(0, at), value];
    }
  },
});

/** "LOCAL/PEER", two IPv4 addresses. */
export const path = valueOf<{ local: string; peer: string }>("LOCAL/PEER", {
  placeholder: { local: "10.0.0.1", peer: "10.0.0.2" },
  read(text) {
    const [, local, peer] = /^(\d+\.\d+\.\d+\.\d+)\/(\d+\.\d+\.\d+\.\d+)$/.exec(text) ?? [];
    if (local === undefined || peer === undefined) {
      throw new Error("is not LOCAL/PEER; write this node's address and the other one's: 10.0.0.1/10.0.0.2");
    }
    return { local, peer };
  },
});

/** An instant: ISO 8601, or how long ago as "30m", "2h", "7d". */
export function readSince(text: string, nowMs: number): string {
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) {
    const seconds = Number(count) * ({ s: 1, m: 60, h: 3600, d: 86400 } as Record<string, number>)[unit]!;
    return new Date(nowMs - seconds * 1000).toISOString();
  }
  const at = Date.parse(text);
  if (Number.isNaN(at)) {
    throw new Error("is not a time; write 2026-11-22T08:00Z, or how long ago: 30m, 2h, 7d");
  }
  return new Date(at).toISOString();
}

export const since = valueOf("TIME", { placeholder: "", read: (text) => readSince(text, Date.now()) });
