/** An etcd in the lab: on the switch, where both hosts reach it over the LAN, as a site would run one. One member, unencrypted. */

import { EdgeError } from "../errors.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES } from "./places.ts";

const PORT = 2379;
const URL = `http://${ADDRESSES.reference}:${PORT}`;
const PEER = "http://127.0.0.1:2380";

export class LabEtcd implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;

  private constructor(child: Deno.ChildProcess, read: Promise<void>) {
    this.#child = child;
    this.#read = read;
  }

  /** Starts it; resolves when it serves. `directory`: for its files; made, not removed. */
  static async start({ lab, directory }: { lab: Lab; directory: string }): Promise<LabEtcd> {
    const words = [
      "etcd",
      ...["--name", "one", "--data-dir", `${directory}/etcd`],
      ...["--listen-client-urls", URL, "--advertise-client-urls", URL],
      ...[
        "--listen-peer-urls",
        PEER,
        "--initial-advertise-peer-urls",
        PEER,
        "--initial-cluster",
        `one=${PEER}`,
      ],
    ];
    const child = lab.exec("lan", words, { stdin: "null", stdout: "null", stderr: "piped" });
    const serves = Promise.withResolvers<void>();
    const etcd = new LabEtcd(child, follow(child, serves));
    await serves.promise;
    return etcd;
  }

  /** The table of a host's file. */
  table(): string {
    return `[etcd]\nendpoints = ["${URL}"]\npair = "lab"\nplaintext = true\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#read;
    await this.#child.status;
  }
}

/** Reads what it says to the end, so that it never waits for whoever reads. */
async function follow(child: Deno.ChildProcess, serves: PromiseWithResolvers<void>): Promise<void> {
  let text = "";
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    text = (text + part).slice(-2000);
    if (/serving .*client requests/.test(text)) serves.resolve();
  }
  const hint = "Install etcd-server (build/setup.sh does).";
  serves.reject(new EdgeError(`etcd ended: ${text.slice(-500)}`, { op: "start etcd", hint }));
}
