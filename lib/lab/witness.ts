/** A witness in the lab: on the switch, where both hosts reach it over the LAN. Everything by the program's own commands. */

import { EdgeError } from "../errors.ts";
import { runCommand } from "./command.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES, type Host, HOSTS } from "./places.ts";

const PAIR = "lab";
const PORT = 7810;

/** What a witness is made of. */
export interface LabWitnessOptions {
  lab: Lab;
  /** Directory for its files and the hosts' identities; made, not removed. */
  directory: string;
  /** The command that runs this program. */
  self: readonly string[];
}

export class LabWitness implements AsyncDisposable {
  readonly #options: LabWitnessOptions;
  readonly #id: string;
  readonly #ids: Record<Host, string>;
  #child: Deno.ChildProcess | undefined;
  #reading: Promise<void> | undefined;

  private constructor(options: LabWitnessOptions, ids: { id: string; hosts: Record<Host, string> }) {
    this.#options = options;
    this.#id = ids.id;
    this.#ids = ids.hosts;
  }

  /** Makes the identities and the pair, and starts it. */
  static async start(options: LabWitnessOptions): Promise<LabWitness> {
    const { directory, self } = options;
    const say = async (...words: string[]) =>
      (await runCommand([...self, ...words], { op: "make a witness" })).trim();
    const data = `${directory}/witness`;
    const [id = "", a = "", b = ""] = await Promise.all([
      say("witness", "id", "--data", data),
      ...HOSTS.map((host) => say("identity", "--data", identityOf(directory, host))),
    ]);
    await say("witness", "pair", "add", PAIR, a, b, "--data", data);
    const witness = new LabWitness(options, { id, hosts: { a, b } });
    await witness.begin();
    return witness;
  }

  /** The table of a host's file. */
  table(host: Host): string {
    const identity = identityOf(this.#options.directory, host);
    return `[witness]\naddress = "${ADDRESSES.reference}"\nport = ${PORT}\nid = "${this.#id}"\n` +
      `pair = "${PAIR}"\nidentity = "${identity}"\n`;
  }

  /** Starts it (again); resolves when it listens. */
  async begin(): Promise<void> {
    const { lab, directory, self } = this.#options;
    const words = ["witness", "serve", "--data", `${directory}/witness`, "--listen", `0.0.0.0:${PORT}`];
    const child = lab.exec("lan", [...self, ...words], { stdin: "null", stdout: "piped", stderr: "inherit" });
    const said = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("listens on")) {
      const { value, done } = await said.read();
      if (done) {
        throw new EdgeError("the witness ended", { op: "start a witness", hint: "See what it says." });
      }
      text += value;
    }
    said.releaseLock();
    this.#child = child;
  }

  /** Reads to the end, so that it never waits for whoever reads. */
  async #read(child: Deno.ChildProcess, listens: () => void): Promise<void> {
    let text = "";
    for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
      text = (text + part).slice(-1000);
      if (text.includes("listens on")) listens();
    }
  }

  /** Kills it. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await this.#reading;
    await child.status;
  }

  /** What it granted: the term, and to which host. */
  async granted(): Promise<{ term: number; holder: Host | null }> {
    const { directory, self } = this.#options;
    const words = [...self, "witness", "show", "--json", "--data", `${directory}/witness`];
    const { groups } = JSON.parse(await runCommand(words, { op: "look at a witness" }));
    const { term = 0, holder = null } = groups[0] ?? {};
    return { term, holder: HOSTS.find((host) => this.#ids[host] === holder) ?? null };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

function identityOf(directory: string, host: Host): string {
  return `${directory}/identity-${host}`;
}
