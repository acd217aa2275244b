/** `iservft-edge witness serve`: the witness at work. */

import { EdgeError, errorText } from "../errors.ts";
import { ControlServer } from "../group/control_socket.ts";
import { openIdentity } from "../node/identity.ts";
import { shortId } from "../node_id.ts";
import { Allowance } from "../admission.ts";
import { type Disk, holdDirectory, realDisk } from "../witness/disk.ts";
import { Members } from "../witness/members.ts";
import { WitnessServer } from "../witness/server.ts";
import { type GrantStore, type GroupView, openStore } from "../witness/store.ts";
import type { CommandIo } from "./command.ts";
import { VERSION } from "./version.ts";

/** What a running witness says of itself over its socket. */
export interface WitnessStatus {
  listen: string;
  groups: GroupView[];
  connected: { pair: string; vm: string; node: string; address: string; connected_s: number }[];
}

/** Where a running witness answers commands of its own machine. */
export function witnessSocket(data: string): string {
  return `${data}/witness.sock`;
}

/** The longest path of a unix socket, in bytes. */
const SOCKET_PATH_MAX = 107;

/** Lines about strangers: so many at once, then one in ten seconds. Whoever is on the LAN must not fill the log. */
const STRANGERS = { burst: 20, perSecond: 0.1 };

/** How often it is looked whether the disk still takes what is written, ms. */
const PROBE_MS = 30_000;

type Event = Record<string, unknown>;

/** A line for a person; undefined for what only a program wants. */
function line(event: Event): string | undefined {
  const group = `${event["pair"]}/${event["vm"]}`;
  const host = `host ${shortId(String(event["node"]))}...`;
  switch (event["event"]) {
    case "connected":
      return `${group}: ${host} is connected, from ${event["address"]}`;
    case "disconnected":
      return `${group}: ${host} is gone`;
    case "answered": {
      const { kind, term, holder } = event["answer"] as Event;
      if (kind === "granted") return `${group}: term ${term} granted to ${host}`;
      if (kind === "refused") {
        return `${group}: ${host} refused: term ${term} is held by ${shortId(String(holder))}...`;
      }
      return `${group}: ${host} ${event["op"] === "note" ? "holds" : "gives back"} term ${event["term"]}`;
    }
    case "problem":
      return `error: ${group}: ${event["error"]}\n  what to do: ${event["hint"]}`;
    case "refused":
      return `refused a connection from ${event["address"]}: ${event["error"]}` +
        (event["unsaid"] === 0 ? "" : ` (and ${event["unsaid"]} more)`);
  }
  return undefined;
}

/** Passes events on, but those about strangers only now and then. */
function quieter(say: (event: Event) => void): (event: Event) => void {
  const allowance = new Allowance({ ...STRANGERS, nowMs: () => performance.now() });
  let unsaid = 0;
  return (event) => {
    if (event["event"] !== "refused") return say(event);
    if (allowance.take() > 0) return void unsaid++;
    say({ ...event, unsaid });
    unsaid = 0;
  };
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => resolve());
  });
}

/** Looks after the disk, at once and then every half minute; says what is wrong once. */
function probing(store: GrantStore, say: (text: string) => void): Disposable {
  let said = false;
  const probe = async () => {
    const problem = await store.probe();
    if (problem !== null && !said) say(errorText(problem));
    said = problem !== null;
  };
  probe();
  const timer = setInterval(probe, PROBE_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Serves until SIGTERM or Ctrl-C. */
export async function serve(
  given: { data: string; listen: { host: string; port: number }; json: boolean; disk?: Disk },
  io: CommandIo,
): Promise<number> {
  const { data, listen, json, disk = realDisk } = given;
  if (new TextEncoder().encode(witnessSocket(data)).length > SOCKET_PATH_MAX) {
    throw new EdgeError(`The path of ${data} is too long`, {
      op: "start the witness",
      hint: "Give a directory with a shorter path.",
    });
  }
  const identity = openIdentity(data);
  using _held = holdDirectory(data);
  const say = (event: Event) => {
    const text = json ? JSON.stringify(event) : line(event);
    if (text !== undefined) io.out(text);
  };
  const store = await openStore(data, disk);
  await using server = await WitnessServer.start({
    identity,
    store,
    members: new Members(disk, data),
    version: VERSION,
    listen,
    report: quieter(say),
  });
  const where = `${listen.host}:${server.port}`;
  const status = async (): Promise<WitnessStatus> => ({
    listen: where,
    groups: await store.views(),
    connected: server.connected.map(({ sinceMs, ...member }) => ({
      ...member,
      connected_s: Math.round((performance.now() - sinceMs) / 1000),
    })),
  });
  await using _control = new ControlServer(witnessSocket(data), (command) => {
    if (command === "status") return status();
    throw new EdgeError(`There is no command ${JSON.stringify(command)}`, {
      op: "ask the witness",
      hint: "Commands: status.",
    });
  });
  const signalled = untilSignal();
  using _probing = probing(store, (text) => io.err(`error: ${text}`));
  if (json) say({ event: "listening", id: identity.id, listen: where });
  else io.out(`witness ${identity.id}\nlistens on ${where}`);
  for (const { pair, vm, problem } of await store.views()) {
    if (problem !== null) io.err(`error: ${pair}/${vm} is refused: ${problem}`);
  }
  await signalled;
  return 0;
}
