/** A real etcd for tests: Debian's, as a process of its own on loopback, with its files in a directory of its own. */

import { createServer } from "node:net";
import { EtcdArbiter, type EtcdArbiterOptions } from "../../lib/witness/etcd.ts";
import { findEtcd } from "../etcd_program.ts";
import { HOST, PATIENCE_MS, soon } from "./kit.ts";

export const KEY = "iservft/press/scada";

/** Ports that nobody listens on now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map((server) =>
      new Promise<number>((resolve) =>
        server.listen(0, HOST, () => resolve((server.address() as { port: number }).port))
      )
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Files of an authority, and of what it certified. */
export interface Certificates {
  ca: string;
  certificate: string;
  key: string;
}

async function openssl(...words: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args: words, stdin: "null" }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** An authority, and a certificate for 127.0.0.1 by it, for servers and clients. */
export async function makeCertificates(directory: string): Promise<Certificates> {
  const of = (name: string) => `${directory}/${name}`;
  const made = { ca: of("ca.pem"), certificate: of("host.pem"), key: of("host.key") };
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl("req", "-x509", ...kind, "-subj", "/CN=test", "-keyout", of("ca.key"), "-out", made.ca);
  await openssl("req", ...kind, "-subj", "/CN=etcd", "-keyout", made.key, "-out", of("host.csr"));
  await Deno.writeTextFile(of("extensions"), `subjectAltName=IP:${HOST}\nbasicConstraints=CA:FALSE\n`);
  const by = ["-CA", made.ca, "-CAkey", of("ca.key"), "-CAcreateserial", "-extfile", of("extensions")];
  await openssl("x509", "-req", "-in", of("host.csr"), ...by, "-out", made.certificate);
  return made;
}

/** One member, its cluster by itself. */
export class Etcd implements AsyncDisposable {
  readonly directory: string;
  readonly #ports: readonly number[];
  readonly #tls: Certificates | undefined;
  #child: Deno.ChildProcess | undefined;
  #said: Promise<string> | undefined;

  private constructor(directory: string, ports: readonly number[], tls: Certificates | undefined) {
    this.directory = directory;
    this.#ports = ports;
    this.#tls = tls;
  }

  /** With `tls` hosts must show a certificate of the authority too. */
  static async start(options: { tls?: Certificates } = {}): Promise<Etcd> {
    const directory = await Deno.makeTempDir({ prefix: "etcd-" });
    const etcd = new Etcd(directory, await freePorts(2), options.tls);
    await etcd.begin();
    return etcd;
  }

  get port(): number {
    return this.#ports[0] ?? 0;
  }

  get endpoint(): string {
    return `${this.#tls === undefined ? "http" : "https"}://${HOST}:${this.port}`;
  }

  /** Starts it (again); resolves when it answers. */
  async begin(): Promise<void> {
    const peer = `http://${HOST}:${this.#ports[1]}`;
    const tls = this.#tls;
    findEtcd();
    const child = new Deno.Command("etcd", {
      args: [
        ...["--name", "one", "--data-dir", `${this.directory}/data`],
        ...["--listen-client-urls", this.endpoint, "--advertise-client-urls", this.endpoint],
        ...[
          "--listen-peer-urls",
          peer,
          "--initial-advertise-peer-urls",
          peer,
          "--initial-cluster",
          `one=${peer}`,
        ],
        ...(tls === undefined ? [] : [
          ...["--cert-file", tls.certificate, "--key-file", tls.key],
          ...["--client-cert-auth", "--trusted-ca-file", tls.ca],
        ]),
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    this.#said = this.#read(child, () => ready.resolve());
    const ended = child.status.then(async ({ code }) => {
      throw new Error(`etcd ended with ${code}: ${(await this.#said)?.slice(-500)}`);
    });
    ended.catch(() => {});
    await soon(Promise.race([ready.promise, ended]), "etcd answers");
  }

  async #read(child: Deno.ChildProcess, ready: () => void): Promise<string> {
    let text = "";
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text = (text + part).slice(-20_000);
      if (/serving (insecure )?client requests|serving client/.test(text)) ready();
    }
    return text;
  }

  signal(signal: Deno.Signal): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await this.#said;
    await child.status;
  }

  /** The gateway by hand: for what an operator does with etcdctl. */
  async do(path: string, body: unknown, token?: string): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.endpoint}/v3/${path}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: token === undefined ? {} : { authorization: token },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** What the key holds, and how often it was written since it is there. */
  async held(): Promise<{ value: string; version: number } | undefined> {
    const { kvs = [] } = await this.do("kv/range", { key: btoa(KEY) }) as {
      kvs?: { value?: string; version: string }[];
    };
    return kvs[0] && { value: atob(kvs[0].value ?? ""), version: Number(kvs[0].version) };
  }

  async put(value: string): Promise<void> {
    await this.do("kv/put", { key: btoa(KEY), value: btoa(value) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A host's arbiter. */
export function arbiterAt(
  etcd: { endpoint: string },
  options: Partial<EtcdArbiterOptions> & { node: string },
): EtcdArbiter {
  return new EtcdArbiter({ endpoints: [etcd.endpoint], key: KEY, ...options });
}

/** What an arbiter's watch was told last. */
export function watching(arbiter: EtcdArbiter): { reachable: boolean | null; why: string } {
  const told: { reachable: boolean | null; why: string } = { reachable: null, why: "" };
  arbiter.watch((reachable, why) => Object.assign(told, { reachable, why }));
  return told;
}
