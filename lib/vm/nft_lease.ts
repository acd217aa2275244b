/** The kernel's lease on a guest's TAP: what this process writes there reaches the bridge only for a short while after each lease
 * frame (ffi/src/gate_lease.c), by the kernel's clock. So a process that was frozen, or is stuck, is silent whatever it does next.
 *
 * The table is made once; the lease is renewed by frames, not by netlink. */

import { EdgeError, errorText } from "../errors.ts";

/** The least time that a kernel's lease can usefully have: a few of the kernel's own ticks. */
export const KERNEL_LEASE_LEAST_MS = 20;
/** The kernel's share of the takeover time, in percent: the engine's own lease is 90, and the kernel's must fit into what is left of it. */
const SHARE = 40;
/** 8 bytes. */
const SECRET_BYTES = 8;
const NFT_MS = 5_000;

/** How long the kernel lets frames pass after a lease frame; below KERNEL_LEASE_LEAST_MS the takeover time is too short for one. */
export function kernelLeaseMs(takeover_ms: number): number {
  return Math.floor((takeover_ms * SHARE) / 100);
}

/** What keeps a host silent that has been taken over: its gate, and the kernel's lease if it has one. */
export type Fencing =
  | { fencing: "kernel lease" }
  | { fencing: "gate only"; why: string; hint: string };

/** One TAP under a lease. */
export interface LeasedTap {
  tap: string;
  /** Its number in the engine. */
  nic: number;
}

/** What the engine is told of each TAP. */
export interface TapLease extends LeasedTap {
  secret: Uint8Array<ArrayBuffer>;
  lease_ms: number;
}

/** How a lease is set up. */
export interface NftLeaseOptions {
  taps: readonly LeasedTap[];
  lease_ms: number;
  /** Called for each TAP when its table is there. May throw: then there is no lease. */
  leased: (lease: TapLease) => void;
  /** The program; for tests. */
  nft?: string;
}

/** The tables of one VM's TAPs. Made by `NftLease.install`. */
export class NftLease implements AsyncDisposable {
  readonly #options: NftLeaseOptions;
  readonly #secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  #state: Fencing = { fencing: "kernel lease" };
  #work: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(options: NftLeaseOptions) {
    this.#options = options;
  }

  /** Makes the tables, in place of what a crash left behind. Where the kernel or nft cannot, `state` says what is missing. */
  static async install(options: NftLeaseOptions): Promise<NftLease> {
    const lease = new NftLease(options);
    await lease.#make();
    return lease;
  }

  get state(): Fencing {
    return this.#state;
  }

  /** Looks whether the tables are still there: whoever reloads a firewall may flush everything. Puts them back. Returns what there is
   * to say, or undefined. */
  check(): Promise<string | undefined> {
    const looked = this.#work.then(() => this.#look());
    this.#work = looked.catch(() => {});
    return looked;
  }

  /** Removes the tables; after the engine has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#work;
    if (this.#state.fencing === "kernel lease") await this.#remove();
  }

  async #look(): Promise<string | undefined> {
    if (this.#closed) return undefined;
    const before = this.#state;
    if (before.fencing === "kernel lease" && await this.#present()) return undefined;
    await this.#make();
    const now = this.#state;
    if (now.fencing === "gate only") return before.fencing === "gate only" ? undefined : sayState(now);
    return before.fencing === "gate only"
      ? "The kernel's lease on the guest's output is in force"
      : "The kernel's lease on the guest's output was removed by somebody, and is in force again";
  }

  async #make(): Promise<void> {
    const { taps, lease_ms, leased } = this.#options;
    const lines = taps.flatMap(({ tap }) => tableLines({ tap, lease_ms, secret: this.#secret }));
    try {
      await this.#nft(["-f", "-"], lines);
      for (const tap of taps) leased({ ...tap, lease_ms, secret: this.#secret });
      this.#state = { fencing: "kernel lease" };
    } catch (error) {
      await this.#remove(); // a table without lease frames would let nothing pass
      this.#state = {
        fencing: "gate only",
        why: errorText(error).split("\n")[0] ?? "",
        hint: error instanceof EdgeError ? error.hint : "",
      };
    }
  }

  /** What is left does nothing without its TAP. */
  async #remove(): Promise<void> {
    const lines = this.#options.taps.flatMap(({ tap }) => removeLines(tap));
    await this.#nft(["-f", "-"], lines).catch(() => {});
  }

  async #present(): Promise<boolean> {
    try {
      const text = await this.#nft(["list", "tables", "netdev"], []);
      const tables = text.split("\n");
      if (!this.#options.taps.every(({ tap }) => tables.includes(`table netdev ${tableOf(tap)}`))) {
        return false;
      }
      for (const { tap } of this.#options.taps) {
        const rules = await this.#nft(["list", "table", "netdev", tableOf(tap)], []);
        if (!rules.includes("update @alive") || !rules.includes("policy drop")) return false;
      }
      return true;
    } catch {
      return false;
    }
  }

  async #nft(args: string[], lines: readonly string[]): Promise<string> {
    const op = "lease the guest's output";
    let output: Deno.CommandOutput;
    try {
      const child = new Deno.Command(this.#options.nft ?? "nft", {
        args,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        signal: AbortSignal.timeout(NFT_MS),
      }).spawn();
      const writer = child.stdin.getWriter();
      const written = writer.write(new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")))
        .then(() => writer.close()).catch(() => {}); // it ended early: its output says why
      output = await child.output();
      await written;
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
      throw new EdgeError("nft is not installed", { op, hint: "Install nftables.", cause });
    }
    if (output.success) return new TextDecoder().decode(output.stdout);
    const text = new TextDecoder().decode(output.stderr).trim().split("\n")[0] || `code ${output.code}`;
    throw new EdgeError(`nft failed: ${text}`, {
      op,
      hint: "The kernel needs nf_tables with the netdev family and dynamic sets (Linux 5.7 or later).",
    });
  }
}

/** A sentence for people: what is missing, and what to do. */
export function sayState(state: Fencing): string {
  if (state.fencing === "kernel lease") return "The guest's output is under the kernel's lease";
  return `The guest's output is fenced by the gate alone, without the kernel's lease: ${state.why}. ${state.hint}`;
}

function tableOf(tap: string): string {
  return `isf_lease_${tap.replaceAll(/[^A-Za-z0-9_]/g, "_")}`;
}

/** Adding first makes deleting work whether it is there or not. */
function removeLines(tap: string): string[] {
  return [`add table netdev ${tableOf(tap)}`, `delete table netdev ${tableOf(tap)}`];
}

/** One transaction: never half a table. A lease frame is EtherType 0x88b5 with the secret behind the Ethernet header (bit 112). */
export function tableLines(lease: { tap: string; lease_ms: number; secret: Uint8Array }): string[] {
  const table = tableOf(lease.tap);
  const renew = `update @alive { iif timeout ${lease.lease_ms}ms }`;
  return [
    ...removeLines(lease.tap),
    `add table netdev ${table}`,
    `add set netdev ${table} alive { type iface_index; flags dynamic,timeout; }`,
    `add chain netdev ${table} out { type filter hook ingress device "${lease.tap}" priority 0; policy drop; }`,
    `add rule netdev ${table} out ether type 0x88b5 @ll,112,64 0x${lease.secret.toHex()} ${renew} drop`,
    `add rule netdev ${table} out iif @alive accept`,
  ];
}
