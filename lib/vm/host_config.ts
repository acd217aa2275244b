/** What a host is: the TOML file of its own, for one pair. */

import { z } from "zod";
import { InputError } from "../errors.ts";
import { parseToml, readInput } from "./toml.ts";

const IPV4 = { error: "it must be an IPv4 address such as 10.0.0.1" };
const ipv4 = z.ipv4(IPV4);
const interfaceName = z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/, {
  error: "it must be an interface name of 1 to 15 characters",
});
const absolute = z.string().regex(/^\/[^\0]*[^/\0]$/, {
  error: "it must be an absolute path, such as /var/lib/iservft",
})
  .refine((path) => !path.split("/").includes(".."), { error: "it must not go up by '..'" });
/** Sockets live here, and a unix socket's path has at most 107 bytes. */
const runDir = absolute.max(80, { error: "allowed: at most 80 characters, since sockets live there" });

function within(unit: string, low: number, high: number) {
  const error = { error: `allowed: ${low} to ${high}${unit === "" ? "" : ` (${unit})`}` };
  return z.number(error).min(low, error).max(high, error);
}

const pathSchema = z.strictObject({ local: ipv4, peer: ipv4 }).refine((path) => path.local !== path.peer, {
  path: ["peer"],
  error: "it must not be this host's own address",
});

const configSchema = z.strictObject({
  /** This host's name, for people and in the metadata. */
  node: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/, {
    error: "it must be 1 to 32 letters, digits or hyphens",
  }),
  run_dir: runDir,
  data_dir: absolute,
  /** 32 bytes in hex, the same on both hosts, readable by root alone. */
  key_file: absolute,
  /** Link i: TCP and heartbeats (UDP) on port + i; the LAN's heartbeats on port + 2. */
  port: within("", 1024, 65533).int().default(7800),
  qemu: z.string().min(1, { error: "it must be the path or name of qemu-system-x86_64" }).default(
    "qemu-system-x86_64",
  ),
  qemu_user: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, { error: "it must be a user's name" }).optional(),
  library: absolute.optional(),
  shim: absolute.optional(),
  link: z.array(pathSchema).min(1, { error: "allowed: 1 or 2 links" }).max(2, {
    error: "allowed: 1 or 2 links",
  }),
  lan: z.strictObject({
    local: ipv4,
    peer: ipv4,
    bridge: interfaceName,
    /** Address that is asked whether the LAN answers: the gateway. */
    reference: ipv4.optional(),
  }).optional(),
  arbiter: z.enum(["lan", "manual"]).default("lan"),
  heartbeat: z.strictObject({
    interval_ms: within("ms", 1, 1000).default(10),
    /** Silence on every path for this long is a lost peer. */
    takeover_ms: within("ms", 30, 60000).default(100),
  }).prefault({}),
  rhythm: z.strictObject({
    min_epoch_ms: within("ms", 0.1, 1000).default(1),
    max_epoch_ms: within("ms", 1, 10000).default(100),
    /** Dirty pages that end an epoch. */
    dirty_pages: within("", 16, 1000000).int().default(4000),
    inflight: within("", 1, 16).int().default(3),
    /** Time without a commit after which the backup counts as not keeping up. */
    stall_ms: within("ms", 50, 60000).default(2000),
  }).prefault({}),
}).superRefine((config, context) => {
  const refuse = (path: PropertyKey[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  if (config.heartbeat.takeover_ms < 3 * config.heartbeat.interval_ms) {
    refuse(
      ["heartbeat", "takeover_ms"],
      `it must be at least three times interval_ms (${config.heartbeat.interval_ms})`,
    );
  }
  if (config.rhythm.max_epoch_ms < config.rhythm.min_epoch_ms) {
    refuse(["rhythm", "max_epoch_ms"], `it must not be below min_epoch_ms (${config.rhythm.min_epoch_ms})`);
  }
  if (config.arbiter === "lan" && config.lan?.reference === undefined) {
    refuse(["arbiter"], 'it needs `reference` in [lan] (the gateway); add it, or choose arbiter = "manual"');
  }
  const locals = [...config.link.map((link) => link.local), ...(config.lan ? [config.lan.local] : [])];
  if (new Set(locals).size < locals.length) {
    refuse(["link"], "two paths have the same local address; a path of its own needs a line of its own");
  }
});

/** A checked host file, defaults filled in. */
export type HostConfig = z.infer<typeof configSchema>;

/** Checks the text of a host file. Throws InputError with every problem. */
export function parseHostConfig(source: { file: string; text: string }): HostConfig {
  return parseToml(configSchema, source);
}

/** Reads and checks a host file. */
export function readHostConfig(file: string): HostConfig {
  return parseHostConfig(readInput(file));
}

/** True on exactly one of the hosts of a link: the one that listens. */
export function listens(link: { local: string; peer: string }): boolean {
  const number = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return number(link.local) < number(link.peer);
}

/** Reads the pair's secret. Throws InputError when it is no 32 bytes of hex or others may read it. */
export function readKey(file: string): Uint8Array<ArrayBuffer> {
  const { text } = readInput(file);
  const problem = (what: string) => new InputError(file, [{ key: "", line: 1, problem: what }]);
  const mode = Deno.statSync(file).mode;
  if (mode !== null && (mode & 0o077) !== 0) {
    throw problem(
      `may be read by others (mode ${
        (mode & 0o777).toString(8)
      }); chmod 600 it, and make a new key on both hosts`,
    );
  }
  const hex = text.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
    throw problem(
      `holds ${hex.length} characters that are not 64 hex digits; make a key: openssl rand -hex 32`,
    );
  }
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
