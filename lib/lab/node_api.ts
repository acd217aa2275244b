/** A node's HTTP API, over its unix socket: how tests and the demo speak with `serve` as its administrator "local". */

import { EdgeError } from "../errors.ts";
import type { Snapshot } from "../model/backend.ts";
import type { JobView, VmView } from "../model/vm.ts";

const CALL_MS = 60_000;
/** Between two looks, ms. */
const LOOK_MS = 200;

/** What the API said instead. */
export class ApiProblem extends EdgeError {
  readonly status: number;
  readonly code: string;

  constructor(said: { status: number; code: string; detail: string; hint: string }) {
    super(`${said.detail} (${said.code})`, { op: "call the API", hint: said.hint });
    this.status = said.status;
    this.code = said.code;
  }
}

export class NodeApi implements Disposable {
  readonly #client: Deno.HttpClient;

  constructor(socket: string) {
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  /** Calls /api/v1`path`. Throws ApiProblem for what is not a success. */
  async call<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`http://localhost/api/v1${path}`, {
      method,
      client: this.#client,
      signal: AbortSignal.timeout(CALL_MS),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    const type = response.headers.get("content-type") ?? "";
    const value = type.includes("json") && text !== "" ? JSON.parse(text) : text;
    if (response.ok) return value as T;
    const { code = "?", detail = text, hint = "" } = typeof value === "object" ? value : {};
    throw new ApiProblem({ status: response.status, code, detail, hint });
  }

  status(): Promise<Snapshot> {
    return this.call<Snapshot>("GET", "/status");
  }

  /** The first snapshot that `wanted` accepts. A node that does not answer for the moment is asked again. */
  async until(wanted: (snapshot: Snapshot) => boolean, bound_ms: number): Promise<Snapshot> {
    const end = performance.now() + bound_ms;
    for (let last: unknown = "nothing";;) {
      try {
        const snapshot = await this.status();
        if (wanted(snapshot)) return snapshot;
        last = snapshot;
      } catch (error) {
        last = String(error);
      }
      if (performance.now() > end) {
        throw new EdgeError(
          `the node did not get there in ${bound_ms} ms: ${JSON.stringify(last).slice(0, 3000)}`,
          {
            op: "wait for a node",
            hint: "See what it says.",
          },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** The VM when it is in one of these states. */
  async vm(name: string, states: readonly VmView["state"][], bound_ms: number): Promise<VmView> {
    const has = (snapshot: Snapshot) =>
      snapshot.vms.find((vm) => vm.name === name && states.includes(vm.state));
    return has(await this.until((snapshot) => has(snapshot) !== undefined, bound_ms))!;
  }

  /** Waits for a job's end. Throws when it failed. */
  async job(view: JobView, bound_ms: number): Promise<JobView> {
    const end = performance.now() + bound_ms;
    const look = async () =>
      (await this.call<JobView[]>("GET", "/jobs")).find((job) => job.id === view.id) ?? view;
    let ended = await look();
    while (ended.state === "running" && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      ended = await look();
    }
    if (ended.state === "done") return ended;
    throw new EdgeError(`${ended.kind} of ${ended.subject} ${ended.state}: ${ended.error?.detail}`, {
      op: "wait for a job",
      hint: ended.error?.hint ?? "",
    });
  }
}
