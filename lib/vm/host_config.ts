/** What a host is: the TOML file of its own, for one pair. */

import { z } from "zod";
import { InputError } from "../errors.ts";
import { readNodeId } from "../node_id.ts";
import { KERNEL_LEASE_LEAST_MS, kernelLeaseMs } from "./nft_lease.ts";
import { parseToml, readInput } from "./toml.ts";

const IPV4 = { error: "it must be an IPv4 address such as 10.0.0.1" };
const ipv4 = z.ipv4(IPV4);
const interfaceName = z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/, {
  error: "it must be an interface name of 1 to 15 characters",
});
/** An absolute path without "..". */
export const absolute = z.string().regex(/^\/[^\0]*[^/\0]$/, {
  error: "it must be an absolute path, such as /var/lib/iservft",
})
  .refine((path) => !path.split("/").includes(".."), { error: "it must not go up by '..'" });
/** Where sockets live: a unix socket's path has at most 107 bytes. */
export const runDir = absolute.max(80, { error: "allowed: at most 80 characters, since sockets live there" });

function within(unit: string, low: number, high: number) {
  const error = { error: `allowed: ${low} to ${high}${unit === "" ? "" : ` (${unit})`}` };
  return z.number(error).min(low, error).max(high, error);
}

const pathSchema = z.strictObject({ local: ipv4, peer: ipv4 }).refine((path) => path.local !== path.peer, {
  path: ["peer"],
  error: "it must not be this host's own address",
});

const nodeId = z.string().transform((text, context) => {
  const read = readNodeId(text);
  if ("id" in read) return read.id;
  context.addIssue({ code: "custom", message: read.problem });
  return z.NEVER;
});

/** Who decides when the hosts do not hear each other, for arbiter = "witness". */
const witnessSchema = z.strictObject({
  address: ipv4,
  port: within("", 1, 65535).int().default(7810),
  /** The witness's ID (`iservft-edge witness id`, there). */
  id: nodeId,
  /** The name that the witness knows this pair by (`witness pair add`). */
  pair: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
    error: "it must be 1 to 32 small letters, digits or hyphens",
  }),
  /** Directory of this host's identity (`iservft-edge identity`). */
  identity: absolute,
});

/** What a pair is called where another program keeps its grants. */
const keyPart = z.string().regex(
  /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}){0,7}$/,
  {
    error: "it must be letters, digits, '.', '_' or '-', in parts of at most 64 with '/' between them",
  },
);

const endpoint = z.string().refine((text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url !== undefined && /^https?:$/.test(url.protocol) && url.pathname === "/" && url.username === "" &&
    url.search === "" && url.hash === "";
}, { error: "it must be a client URL of etcd such as https://10.0.0.9:2379" });

/** The site's etcd, for arbiter = "etcd". The same on both hosts but for the order of the endpoints. */
const etcdSchema = z.strictObject({
  /** Client URLs of the members of one cluster, tried in this order. */
  endpoints: z.array(endpoint).min(1, { error: "allowed: 1 to 9 URLs" }).max(9, {
    error: "allowed: 1 to 9 URLs",
  }),
  prefix: keyPart.default("iservft"),
  /** The pair's name: the key is prefix/pair/VM. */
  pair: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
    error: "it must be 1 to 32 small letters, digits or hyphens",
  }),
  /** File (PEM) of the authority that etcd's certificates are from; none: the machine's own authorities. */
  ca: absolute.optional(),
  /** Files (PEM) of this host's own certificate and key, where etcd asks for one. */
  certificate: absolute.optional(),
  private_key: absolute.optional(),
  user: z.string().min(1, { error: "it must be a user's name" }).max(100, {
    error: "it must be a user's name",
  })
    .optional(),
  password_file: absolute.optional(),
  /** Allows http: whoever is on that network can then grant terms. */
  plaintext: z.boolean().default(false),
}).superRefine((etcd, context) => {
  const refuse = (key: string, message: string) => context.addIssue({ code: "custom", path: [key], message });
  const both = (one: "certificate" | "user", other: "private_key" | "password_file") => {
    if ((etcd[one] === undefined) !== (etcd[other] === undefined)) {
      refuse(one, `${one} and ${other} belong together: give both or none`);
    }
  };
  both("certificate", "private_key");
  both("user", "password_file");
  if (!etcd.endpoints.some((url) => url.startsWith("http:"))) return;
  if (!etcd.plaintext) {
    refuse(
      "endpoints",
      "http is not encrypted, and whoever is on that network can grant terms: use https, or plaintext = true",
    );
  } else if (etcd.user !== undefined) refuse("user", "its password would be sent in the clear: use https");
});

const rhythmSchema = z.strictObject({
  min_epoch_ms: within("ms", 0.1, 1000).default(1),
  max_epoch_ms: within("ms", 1, 10000).default(100),
  /** Dirty pages that end an epoch. */
  dirty_pages: within("", 16, 1000000).int().default(4000),
  inflight: within("", 1, 16).int().default(3),
  /** Time without a commit after which the backup counts as not keeping up. */
  stall_ms: within("ms", 50, 60000).default(2000),
}).prefault({});

const fencingSchema = z.strictObject({
  /** The kernel itself drops the guest's frames when the engine has not renewed its lease (nftables). */
  kernel_lease: z.boolean().default(true),
  /** A hardware watchdog resets this machine when the engine stands still while a VM is here: "auto": the machine's own, where
   * there is one. */
  watchdog: z.string().regex(/^(auto|off|\/dev\/[A-Za-z0-9_/-]{1,90})$/, {
    error: 'allowed: "auto", "off" or a device such as "/dev/watchdog0"',
  }).default("auto"),
  /** Time for which the engine stands still before the machine is reset. */
  watchdog_s: within("s", 3, 600).int().default(10),
}).prefault({});

const syncSchema = z.strictObject({
  /** The most that a first sync or resync may send; none: as fast as the line and the backup take it. */
  rate_mbit: within("Mbit/s", 1, 100000).optional(),
}).prefault({});

/** What of a host's file is the same for each of its VMs, whatever the pair is: `serve` writes it into each. */
export const hostTuning = z.strictObject({
  qemu: z.string().min(1, { error: "it must be the path or name of qemu-system-x86_64" }).default(
    "qemu-system-x86_64",
  ),
  qemu_user: z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, { error: "it must be a user's name" }).optional(),
  fencing: fencingSchema,
  rhythm: rhythmSchema,
  sync: syncSchema,
});
export type HostTuning = z.infer<typeof hostTuning>;

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
  qemu: hostTuning.shape.qemu,
  qemu_user: hostTuning.shape.qemu_user,
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
  arbiter: z.enum(["lan", "manual", "witness", "etcd"]).default("lan"),
  witness: witnessSchema.optional(),
  etcd: etcdSchema.optional(),
  heartbeat: z.strictObject({
    interval_ms: within("ms", 1, 1000).default(10),
    /** Silence on every path for this long is a lost peer. */
    takeover_ms: within("ms", 30, 60000).default(100),
  }).prefault({}),
  rhythm: rhythmSchema,
  fencing: fencingSchema,
  sync: syncSchema,
}).superRefine((config, context) => {
  const refuse = (path: PropertyKey[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  const lease = leaseProblem(config.heartbeat, config.heartbeat);
  if (lease !== undefined) refuse(["heartbeat", "takeover_ms"], lease);
  const { kernel_lease } = config.fencing;
  if (
    kernel_lease && lease === undefined && kernelLeaseMs(config.heartbeat.takeover_ms) < KERNEL_LEASE_LEAST_MS
  ) {
    refuse(
      ["heartbeat", "takeover_ms"],
      `the kernel's lease is 40 % of it and must have ${KERNEL_LEASE_LEAST_MS} ms: ` +
        "allowed: 50 or more, or kernel_lease = false in [fencing]",
    );
  }
  if (config.rhythm.max_epoch_ms < config.rhythm.min_epoch_ms) {
    refuse(["rhythm", "max_epoch_ms"], `it must not be below min_epoch_ms (${config.rhythm.min_epoch_ms})`);
  }
  if (config.arbiter === "lan" && config.lan?.reference === undefined) {
    refuse(["arbiter"], 'it needs `reference` in [lan] (the gateway); add it, or choose arbiter = "manual"');
  }
  if (config.arbiter === "witness" && config.witness === undefined) {
    refuse(["arbiter"], "it needs a table [witness] with address, id, pair and identity");
  }
  if (config.arbiter === "etcd" && config.etcd === undefined) {
    refuse(["arbiter"], "it needs a table [etcd] with endpoints and pair");
  }
  const locals = [...config.link.map((link) => link.local), ...(config.lan ? [config.lan.local] : [])];
  if (new Set(locals).size < locals.length) {
    refuse(["link"], "two paths have the same local address; a path of its own needs a line of its own");
  }
});

/** How a host listens for the other, ms. */
export interface Heartbeat {
  interval_ms: number;
  takeover_ms: number;
}

/** How long output may leave after a heartbeat that the other host has confirmed, ms: engine_lease() in ffi/src/callbacks.c. */
export function leaseMs({ takeover_ms }: Heartbeat): number {
  return takeover_ms - takeover_ms / 10;
}

/** What is wrong with a primary's lease, given how long the other host waits before it takes over; undefined: nothing. The lease counts
 * from when the confirmed heartbeat was SENT, the other's waiting from when it CAME, which is later: so it is over in time if it is the
 * shorter one, and the tenth between them is for clocks that differ and for the frame that is on its way. And it must outlast three
 * heartbeats, or one that is lost would stop the guest's output. */
export function leaseProblem(primary: Heartbeat, other: Heartbeat): string | undefined {
  const lease = leaseMs(primary);
  const least = Math.ceil(3 * primary.interval_ms / 0.9);
  if (lease < 3 * primary.interval_ms) {
    return `it must be at least ${least} with interval_ms = ${primary.interval_ms}: output leaves under a lease of 90 % of ` +
      "takeover_ms, which must outlast three heartbeats";
  }
  if (lease >= other.takeover_ms) {
    return `output here leaves for up to ${lease} ms after the last heartbeat (90 % of takeover_ms = ` +
      `${primary.takeover_ms}), but the other host waits only its takeover_ms = ${other.takeover_ms} before it takes over`;
  }
  return undefined;
}

/** A checked host file, defaults filled in. */
export type HostConfig = z.infer<typeof configSchema>;

/** The rhythm of checkpoints, as the engine takes it. */
export function rhythmOf({ rhythm }: HostConfig) {
  return {
    minUs: Math.round(rhythm.min_epoch_ms * 1000),
    maxUs: Math.round(rhythm.max_epoch_ms * 1000),
    dirtyPages: rhythm.dirty_pages,
    inflight: rhythm.inflight,
    stallUs: rhythm.stall_ms * 1000,
  };
}

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

/** Reads a file that root alone may read. Throws InputError when others may; `then`: what to do about it but to close it. */
export function readSecret(file: string, then: string): string {
  const { text } = readInput(file);
  const mode = Deno.statSync(file).mode;
  if (mode === null || (mode & 0o077) === 0) return text;
  const seen = (mode & 0o777).toString(8);
  throw new InputError(file, [{
    key: "",
    line: 1,
    problem: `may be read by others (mode ${seen}); chmod 600 it, and ${then}`,
  }]);
}

/** Reads the pair's secret. Throws InputError when it is no 32 bytes of hex or others may read it. */
export function readKey(file: string): Uint8Array<ArrayBuffer> {
  const problem = (what: string) => new InputError(file, [{ key: "", line: 1, problem: what }]);
  const text = readSecret(file, "make a new key on both hosts");
  const hex = text.trim();
  if (!/^[0-9a-fA-F]{64}$/.test(hex)) {
    throw problem(
      `holds ${hex.length} characters that are not 64 hex digits; make a key: openssl rand -hex 32`,
    );
  }
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
