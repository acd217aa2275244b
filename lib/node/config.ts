/** The file of `serve`: what is this machine's own. What pairs and VMs are is set in the page, and kept in the data directory. */

import { z } from "zod";
import { EdgeError } from "../errors.ts";
import { nodeName } from "../model/node.ts";
import { absolute, hostTuning, runDir } from "../vm/host_config.ts";
import { parseToml, readInput } from "../vm/toml.ts";

/** Where the file is looked for when none is named. It need not be there. */
export const CONFIG_FILE = "/etc/iservft-edge/serve.toml";
export const WEB_PORT = 8443;
export const PEER_PORT = 7811;
/** Where images are put that VMs are to have as they are, such as an installation's ISO. */
export const IMAGES_DIRECTORY = "/srv/iservft-edge";

const endpoint = (port: number) =>
  z.string().transform((text, context) => {
    const read = readEndpoint(text, port);
    if (read !== undefined) return read;
    context.addIssue({ code: "custom", message: `it must be ADDRESS:PORT, such as 0.0.0.0:${port}` });
    return z.NEVER;
  });

/** An address and a port. */
export interface Endpoint {
  host: string;
  port: number;
}

/** "ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT"; undefined when it is none. */
export function readEndpoint(text: string, port: number): Endpoint | undefined {
  const [, six, four, given] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|localhost))(?::(\d{1,5}))?$/.exec(text) ??
    [];
  const host = six ?? four;
  const number = given === undefined ? port : Number(given);
  if (host === undefined || number > 65535) return undefined;
  if (four !== undefined && four !== "localhost" && !z.ipv4().safeParse(four).success) return undefined;
  if (six !== undefined && !z.ipv6().safeParse(six).success) return undefined;
  return { host: host === "localhost" ? "127.0.0.1" : host, port: number };
}

/** A name or address by which browsers may ask for the page. */
const hostName = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, {
  error: "it must be a host name or an address, without a port",
}).transform((text) => text.toLowerCase());

const serveSchema = hostTuning.extend({
  /** This node's name in the pair; the machine's own name when left out. */
  node: nodeName.optional(),
  /** The page and the API. Loopback only until there is an administrator. */
  listen: endpoint(WEB_PORT).prefault(`0.0.0.0:${WEB_PORT}`),
  /** Further names by which browsers reach the page; this machine's addresses and name are always allowed. */
  names: z.array(hostName).max(32, { error: "allowed: at most 32 names" }).default([]),
  /** The other node. */
  peer_listen: endpoint(PEER_PORT).prefault(`0.0.0.0:${PEER_PORT}`),
  /** Directories, files and devices outside of the data directory that VMs may have. The other node, and whoever uses the page, can name
   * no others; root, on the command line, can. */
  images: z.array(absolute).max(64, { error: "allowed: at most 64 paths" }).default([IMAGES_DIRECTORY]),
  data: absolute.optional(),
  run: runDir.optional(),
});

/** A checked file, defaults filled in. */
export type ServeConfig = z.infer<typeof serveSchema>;

/** Checks the text of a file. Throws InputError with every problem. */
export function parseServeConfig(source: { file: string; text: string }): ServeConfig {
  return parseToml(serveSchema, source);
}

/** Reads and checks `file`; without one that of /etc, if it is there. Throws InputError. */
export function readServeConfig(file?: string): { config: ServeConfig; file: string | null; text: string } {
  try {
    if (file === undefined) Deno.statSync(CONFIG_FILE);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { config: parseServeConfig({ file: CONFIG_FILE, text: "" }), file: null, text: "" };
  }
  const source = readInput(file ?? CONFIG_FILE);
  return { config: parseServeConfig(source), file: source.file, text: source.text };
}

/** A node's name from the machine's: its first label, what cannot be in a name replaced. */
export function nameOfMachine(hostname: string): string {
  const label = hostname.split(".")[0]?.replace(/[^A-Za-z0-9-]/g, "-").replace(/^-+/, "").slice(0, 32) ?? "";
  return nodeName.safeParse(label).success ? label : "node";
}

/** Where data and sockets are when nothing says so: the system's places for root, else the user's. */
export function usualPlaces(
  env: { root: boolean; get(name: string): string | undefined },
): { data: string; run: string } {
  if (env.root) return { data: "/var/lib/iservft-edge", run: "/run/iservft-edge" };
  const home = env.get("HOME");
  const data = env.get("XDG_DATA_HOME") ?? (home === undefined ? undefined : `${home}/.local/share`);
  if (data === undefined) {
    throw new EdgeError("It is not known where data may be kept: HOME is not set", {
      op: "find the data directory",
      hint: "Give --data DIR.",
    });
  }
  const run = env.get("XDG_RUNTIME_DIR");
  return {
    data: `${data}/iservft-edge`,
    run: run === undefined ? `${data}/iservft-edge/run` : `${run}/iservft-edge`,
  };
}
