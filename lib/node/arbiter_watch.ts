/** Whether who decides can be reached from this node, when no runner says so: the gateway by a ping, the witness by a connection, at first
 * one that says who is there: another machine may answer at the address, or the witness may not know this pair. */

import { errorText } from "../errors.ts";
import type { ArbiterView, PairSettings } from "../model/node.ts";
import type { Recorder } from "./contracts.ts";

const EVERY_MS = 5000;
const BOUND_MS = 2000;
/** So often in a row it did not answer before it counts as lost. */
const MISSES = 2;

/** What is asked, so that tests can answer. */
export interface ArbiterProbes {
  ping(address: string): Promise<boolean>;
  connect(address: string, port: number): Promise<boolean>;
  /** Asks whether it is the witness that is meant, and knows this node. Left out: whoever listens there is it. */
  witness?(witness: NonNullable<PairSettings["witness"]>): Promise<WitnessAnswer>;
}

/** `refused`: it answered, and it is not the witness or does not know this host: that does not pass by itself. */
export type WitnessAnswer = { ok: true } | { ok: false; why: string; refused: boolean };

/** The real ones, each within two seconds. */
export const realProbes: ArbiterProbes = {
  async ping(address) {
    const command = new Deno.Command("ping", {
      args: ["-n", "-c", "1", "-W", "1", address],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(BOUND_MS),
    });
    return await command.output().then(({ success }) => success, () => false);
  },
  async connect(hostname, port) {
    let late = false;
    const connecting = Deno.connect({ hostname, port }).then((connection) => {
      connection.close();
      return !late;
    }, () => false);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const bound = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        late = true;
        resolve(false);
      }, BOUND_MS);
    });
    return await Promise.race([connecting, bound]).finally(() => clearTimeout(timer));
  },
};

/** What is asked of `settings`, and what it is called. */
function target(settings: PairSettings): Pick<ArbiterView, "kind" | "address" | "id"> {
  const { arbiter, witness, lan } = settings;
  if (arbiter === "witness") {
    return {
      kind: "witness",
      address: witness === null ? null : `${witness.address}:${witness.port}`,
      id: witness?.id ?? null,
    };
  }
  return { kind: arbiter, address: arbiter === "lan" ? lan?.reference ?? null : null, id: null };
}

export class ArbiterWatch implements AsyncDisposable {
  readonly #settings: () => PairSettings | null;
  readonly #recorder: Recorder;
  readonly #probes: ArbiterProbes;
  readonly #now: () => number;
  readonly #timer: ReturnType<typeof setInterval>;
  #looking: Promise<void> | null = null;
  #key = "";
  #misses = 0;
  #state: ArbiterView["state"] = "unknown";
  #since: string | null = null;
  #why: string | undefined;

  constructor(
    options: {
      settings: () => PairSettings | null;
      recorder: Recorder;
      probes?: Partial<ArbiterProbes>;
      now?: () => number;
    },
  ) {
    this.#settings = options.settings;
    this.#recorder = options.recorder;
    this.#probes = { ...realProbes, ...options.probes };
    this.#now = options.now ?? Date.now;
    this.#timer = setInterval(() => void this.look(), EVERY_MS);
  }

  /** Asks now; one question at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => this.#looking = null);
    return this.#looking;
  }

  /** Who decides. `runners`: what this node's runners say of it, which outranks what this watch saw. Null: nothing is set. */
  view(runners: readonly string[]): ArbiterView | null {
    const settings = this.#settings();
    if (settings === null) return null;
    const asked = target(settings);
    if (asked.kind === "manual") return { ...asked, state: "none", since: null };
    const said = runners.includes("lost") ? "lost" : runners.includes("reachable") ? "reachable" : undefined;
    const why = said === undefined && this.#state === "lost" ? this.#why : undefined;
    return {
      ...asked,
      state: said ?? this.#state,
      since: this.#since,
      ...(why === undefined ? {} : { why }),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const settings = this.#settings();
    if (settings === null) return;
    const { kind, address } = target(settings);
    if (kind === "manual" || address === null) return;
    const { id = "", pair = "" } = settings.witness ?? {};
    const key = kind === "witness" ? `${kind} ${address} ${id} ${pair}` : `${kind} ${address}`;
    if (this.#key !== key) {
      this.#key = key;
      this.#misses = 0;
      this.#state = "unknown";
      this.#since = null;
    }
    const answer = await this.#ask(settings, address);
    if (this.#key !== key) return;
    this.#misses = answer.ok ? 0 : answer.refused ? MISSES : this.#misses + 1;
    this.#why = answer.ok ? undefined : answer.why;
    const state = answer.ok ? "reachable" : this.#misses >= MISSES ? "lost" : this.#state;
    if (state === this.#state) return;
    const first = this.#state === "unknown" && state === "reachable";
    this.#state = state;
    this.#since = new Date(this.#now()).toISOString();
    if (first) return;
    const arbiter = kind === "lan" ? "gateway" : "witness";
    this.#recorder.event({
      severity: state === "lost" ? "warning" : "ok",
      subject: "arbiter",
      name: "",
      actor: null,
      ...(state === "lost"
        ? { code: "arbiter.lost", params: { arbiter, why: this.#why ?? "" } }
        : { code: "arbiter.reachable", params: { arbiter } }),
    });
  }

  async #ask({ arbiter, witness }: PairSettings, address: string): Promise<WitnessAnswer> {
    if (arbiter === "witness" && witness !== null && this.#state !== "reachable") {
      if (this.#probes.witness !== undefined) return await this.#introduced(this.#probes.witness, witness);
    }
    const answers = arbiter === "lan"
      ? await this.#probes.ping(address)
      : await this.#probes.connect(witness?.address ?? "", witness?.port ?? 0);
    return answers ? { ok: true } : { ok: false, why: `${address} does not answer`, refused: false };
  }

  /** Never throws: without this node's own identity, say, it is not known whether the witness is there. */
  async #introduced(
    ask: NonNullable<ArbiterProbes["witness"]>,
    witness: NonNullable<PairSettings["witness"]>,
  ): Promise<WitnessAnswer> {
    try {
      return await ask(witness);
    } catch (error) {
      return { ok: false, why: errorText(error), refused: false };
    }
  }
}
