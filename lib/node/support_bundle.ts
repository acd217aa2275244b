/** Everything that helps to find a fault, in one tar.gz, without secrets. What cannot be had is said in its place: half a bundle helps too. */

import { existsSync } from "node:fs";
import type { Backend } from "../model/backend.ts";
import { type Entry, tarGzip } from "./archive/tar.ts";
import { type DoctorProbes, realProbes } from "./doctor/probes.ts";
import { Redactor } from "./redact.ts";

const TEXT_MAX = 4 * 2 ** 20;
const RUN_MS = 8000;
const LOG_LINES = 3000;
const EVENT_PAGES = 5;
const HISTORY_MS = 6 * 3600_000;
const VMS_MAX = 64;

/** What is asked of the system. Never what lists secrets: nftables' rules hold the kernel lease's. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "addresses": ["ip", "-d", "address"],
  "links": ["ip", "-s", "link"],
  "routes": ["ip", "route"],
  "neighbours": ["ip", "neighbour"],
  "bridge": ["bridge", "link"],
  "sockets": ["ss", "-lntup"],
  "disks": ["lsblk", "-o", "NAME,SIZE,TYPE,ROTA,RO,MOUNTPOINTS,MODEL"],
  "space": ["df", "-h"],
  "units": ["systemctl", "--no-pager", "list-units", "--all", "iservft-edge*"],
  "service": ["systemctl", "--no-pager", "--lines=0", "status", "iservft-edge"],
  "journal": [
    "journalctl",
    "--no-pager",
    "--unit=iservft-edge",
    "--unit=iservft-edge-vm-*",
    `--lines=${LOG_LINES}`,
    "--output=short-iso-precise",
  ],
  "kernel": ["journalctl", "--no-pager", "--dmesg", "--lines=1000"],
  "clock": ["timedatectl"],
  "qemu": ["qemu-system-x86_64", "--version"],
  "tables": ["nft", "list", "tables"],
};
/** Files of the system. */
const FILES = [
  "/etc/os-release",
  "/proc/cpuinfo",
  "/proc/meminfo",
  "/proc/mounts",
  "/proc/cmdline",
  "/proc/loadavg",
  "/proc/pressure/io",
  "/proc/pressure/memory",
];
/** Files of the data directory that hold secrets. */
const SECRET_FILES = ["pair.key", "identity/identity.pem"];

const README =
  `A support bundle of iservft-edge: what this node knew of itself, of its pair and of its VMs when it was made.

Passwords, keys, tokens, one-time codes and guests' kernel arguments are left out or replaced by [removed]. Names, addresses, settings and
logs are not: look through it before you give it to somebody.

snapshot.json  what the page showed       doctor.json  what doctor found        events.jsonl  newest first
metrics.txt    figures                    config.toml  this node's own file     vms/          files, logs, figures of each VM
system/        what the system says       bundle.json  versions, and what could not be had
`;

export interface BundleOptions {
  backend: Backend;
  version: string;
  /** The data directory: its secrets are looked for, and nothing of it is put in. */
  data: string;
  probes?: DoctorProbes;
  now?: () => number;
  /** For the tests' control: takes nothing out. */
  redactor?: Pick<Redactor, "text" | "json">;
}

/** Strings of alerts' settings that are secrets. */
function alertSecrets(text: string | null): string[] {
  const found: string[] = [];
  const look = (value: unknown, name: string) => {
    if (typeof value === "string" && /^(password|secret|community|url)$/.test(name) && value !== "public") {
      found.push(value);
    }
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) look(inner, key);
  };
  try {
    look(JSON.parse(text ?? "null"), "");
  } catch {
    // damaged: no channel can use it either
  }
  return found;
}

/** All secrets that this node has in files. */
export function knownSecrets(data: string, probes: DoctorProbes): string[] {
  const tls = (probes.list(`${data}/tls`) ?? []).map((name) => `tls/${name}`);
  const texts = [...SECRET_FILES, ...tls].map((path) => probes.read(`${data}/${path}`) ?? "");
  const keys = texts.map((text) =>
    text.replaceAll(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g, "")
  );
  return [...keys, ...alertSecrets(probes.read(`${data}/observe/alerts.json`))];
}

/** The makers of the bundle's files, by their names. */
function makers(
  options: BundleOptions,
  probes: DoctorProbes,
  clean: Pick<Redactor, "text" | "json">,
): [string, () => Promise<string>][] {
  const { backend } = options;
  const now = (options.now ?? Date.now)();
  const snapshot = backend.snapshot();
  const { pairing } = snapshot.pair;
  const shown = {
    ...snapshot,
    pair: {
      ...snapshot.pair,
      pairing: { ...pairing, ...(pairing.step === "inviting" ? { code: "[removed]" } : {}) },
    },
  };
  const all: [string, () => Promise<string>][] = [
    ["README.txt", () => Promise.resolve(README)],
    ["snapshot.json", () => Promise.resolve(clean.json(shown))],
    ["doctor.json", async () => clean.json(await backend.doctor({ peer: true }))],
    ["events.jsonl", () => events(backend, clean)],
    ["alerts.json", () => Promise.resolve(clean.json(channels(backend)))],
    ["metrics.txt", async () => clean.text(await backend.metrics())],
    ["config.toml", async () => clean.text((await backend.config()).text)],
  ];
  for (const vm of snapshot.vms.slice(0, VMS_MAX)) {
    const at = `vms/${vm.name}`;
    const range = { from_ms: now - HISTORY_MS, to_ms: now, points: 500 };
    all.push(
      [`${at}/vm.toml`, async () => clean.text(await backend.vm.file(vm.name))],
      [
        `${at}/log.txt`,
        async () => clean.text((await backend.vm.logs(vm.name, { lines: LOG_LINES })).join("\n")),
      ],
      [`${at}/switchovers.json`, async () => clean.json(await backend.vm.switchovers(vm.name))],
      [`${at}/figures.json`, async () => clean.json(await backend.vm.history(vm.name, range))],
    );
  }
  for (const [name, argv] of Object.entries(COMMANDS)) {
    all.push([`system/${name}.txt`, async () => {
      const ran = await probes.run(argv, RUN_MS);
      return ran === null ? `${argv[0]} could not be run\n` : clean.text(ran.said);
    }]);
  }
  for (const path of FILES) {
    all.push([
      `system${path.replaceAll("/", ".").replace(".", "/")}.txt`,
      () => Promise.resolve(clean.text(probes.read(path) ?? "not there\n")),
    ]);
  }
  return all;
}

/** Kinds and names of channels: their settings are full of secrets. */
function channels(backend: Backend): unknown {
  const { threshold, repeat_s, channels } = backend.alerts.settings();
  return {
    threshold,
    repeat_s,
    channels: channels.map(({ kind, name, enabled }) => ({ kind, name, enabled })),
  };
}

async function events(backend: Backend, clean: Pick<Redactor, "json">): Promise<string> {
  const lines: string[] = [];
  let before: number | undefined;
  for (let page = 0; page < EVENT_PAGES; page++) {
    const found = await backend.events.query({ limit: 1000, ...(before === undefined ? {} : { before }) });
    lines.push(...found.map((event) => clean.json(event).replaceAll(/\n\s*/g, " ")));
    before = found.at(-1)?.id;
    if (found.length < 1000) break;
  }
  return `${lines.join("\n")}\n`;
}

/** The bundle, made while it is read. */
export function supportBundle(options: BundleOptions): ReadableStream<Uint8Array<ArrayBuffer>> {
  const probes = options.probes ?? realProbes;
  const clean = options.redactor ?? new Redactor(knownSecrets(options.data, probes));
  const now = (options.now ?? Date.now)();
  async function* entries(): AsyncGenerator<Entry> {
    const missing: Record<string, string> = {};
    const encoder = new TextEncoder();
    const entry = (path: string, text: string) => ({ path, bytes: encoder.encode(text.slice(-TEXT_MAX)) });
    for (const [path, make] of makers(options, probes, clean)) {
      try {
        yield entry(path, await make());
      } catch (error) {
        missing[path] = clean.text(error instanceof Error ? error.message : String(error));
      }
    }
    const about = {
      program: options.version,
      deno: Deno.version.deno,
      kernel: probes.release,
      root: probes.root,
      made: new Date(now).toISOString(),
      systemd: existsSync("/run/systemd/system"),
      missing,
    };
    yield entry("bundle.json", clean.json(about));
  }
  return tarGzip(entries(), Math.floor(now / 1000));
}
