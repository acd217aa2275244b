/** Which names a request may call this node by. A page of another site that lets its own name point here (DNS rebinding) sends that name:
 * it is not one of ours, and nothing is answered. */

import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";

/** Names and addresses of this machine are looked up again after this time. */
const STALE_MS = 10_000;
const HOST = /^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?$/;

/** A Host header in parts; null when it is not one. The name is in small letters, IPv6 without brackets. */
export function parseHost(header: string): { name: string; port: number | null } | null {
  const match = HOST.exec(header);
  if (match === null) return null;
  const port = match[2] === undefined ? null : Number(match[2]);
  if (port !== null && (port < 1 || port > 65535)) return null;
  let name = match[1]!.toLowerCase();
  if (name.startsWith("[")) {
    const canonical = URL.parse(`http://${name}/`)?.hostname;
    if (canonical === undefined) return null;
    name = canonical.slice(1, -1);
  }
  return { name, port };
}

/** What this machine answers to. */
export interface HostNames {
  /** From the settings: a DNS name that points here. */
  configured(): readonly string[];
  /** Of this machine: its name, its interfaces' addresses. */
  own(): readonly string[];
  nowMs(): number;
}

/** This machine's name and addresses, as the system says now. */
export function ownNames(): string[] {
  const names: string[] = [];
  try {
    const name = Deno.hostname().toLowerCase();
    if (name !== "") names.push(name, `${name}.local`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
  }
  for (const { address } of Deno.networkInterfaces()) {
    names.push(parseHost(address.includes(":") ? `[${address.split("%")[0]}]` : address)?.name ?? address);
  }
  return names;
}

/** Says whether a host name is one of this node's. */
export class HostList {
  readonly #names: HostNames;
  #known = new Set<string>();
  #at = -Infinity;

  constructor(names: HostNames) {
    this.#names = names;
  }

  allows(header: string | null): boolean {
    const host = header === null ? null : parseHost(header);
    if (host === null) return false;
    if (this.#names.nowMs() - this.#at >= STALE_MS) {
      this.#at = this.#names.nowMs();
      const configured = this.#names.configured().map((name) => name.toLowerCase());
      this.#known = new Set(["localhost", "127.0.0.1", "::1", ...this.#names.own(), ...configured]);
    }
    return this.#known.has(host.name);
  }

  /** Throws unless the host that a request names, in its Host header or its URL (HTTP/2 has it only there), is this node's. */
  check(request: Request): void {
    // A Host of "10.0.0.1:99999" makes a URL that is none: that is the stranger's fault, and no fault of this node to be logged.
    const url = URL.parse(request.url);
    const header = request.headers.get("host") ?? url?.host ?? "";
    // GET http://other/ HTTP/1.1 with a good Host header: RFC 9112 3.2.2 says the line counts. We say neither.
    if (url !== null && this.allows(header) && URL.parse(`${url.protocol}//${header}`)?.host === url.host) {
      return;
    }
    throw new ProblemError("host", explained("page.host", { name: JSON.stringify(header.slice(0, 100)) }));
  }
}
