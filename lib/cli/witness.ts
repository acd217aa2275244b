/** `iservft-edge witness`: the third machine, which grants terms; and the pairs that it serves. */

import { parseArgs } from "node:util";
import { EdgeError } from "../errors.ts";
import { ControlClient } from "../group/control_socket.ts";
import { openIdentity, readIdentity } from "../node/identity.ts";
import { readNodeId } from "../node_id.ts";
import { realDisk } from "../witness/disk.ts";
import { changePairs, NAME, readPairs } from "../witness/members.ts";
import { DEFAULT_PORT } from "../witness/protocol.ts";
import { type GroupView, openStore } from "../witness/store.ts";
import type { CommandIo } from "./command.ts";
import { serve, witnessSocket, type WitnessStatus } from "./witness_serve.ts";

const USAGE = `usage: iservft-edge witness serve --data DIR [--listen ADDRESS:PORT] [--json]
       iservft-edge witness id --data DIR
       iservft-edge witness pair add NAME ID-A ID-B --data DIR
       iservft-edge witness pair list --data DIR [--json]
       iservft-edge witness pair remove NAME --data DIR
       iservft-edge witness show --data DIR [--json]

A third machine that decides which of two hosts may go on when they do not hear each other. It needs no root, and one
serves many pairs. DIR is its own directory: its identity, its pairs, and what it granted. Never put an older copy of DIR back.

  serve          answers the hosts, in the foreground, until SIGTERM or Ctrl-C
  id             this witness's ID, for [witness] in the hosts' files; made at first use
  pair add       lets two hosts ask, each named by its ID (iservft-edge identity, on each host)
  show           each VM's term, who holds it, since when, and which hosts are connected

  --data DIR     the witness's directory
  --listen       where the hosts reach it; default 0.0.0.0:${DEFAULT_PORT}
  --json         for programs`;

interface Given {
  words: string[];
  data: string;
  listen: { host: string; port: number };
  json: boolean;
}

/** "ADDRESS:PORT" or "[ADDRESS]:PORT". */
function readListen(text: string): { host: string; port: number } {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65535) {
    throw new Error(
      `--listen is ${JSON.stringify(text)}; it must be ADDRESS:PORT, such as 0.0.0.0:${DEFAULT_PORT}`,
    );
  }
  return { host, port: Number(port) };
}

/** How many words follow each command. */
const WORDS: Readonly<Record<string, number>> = {
  serve: 0,
  id: 0,
  show: 0,
  "pair add": 3,
  "pair list": 0,
  "pair remove": 1,
};

function readArguments(args: string[]): Given | "help" {
  const { values, positionals } = parseArgs({
    args,
    options: {
      data: { type: "string" },
      listen: { type: "string", default: `0.0.0.0:${DEFAULT_PORT}` },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  if (values.help) return "help";
  const name = positionals.slice(0, positionals[0] === "pair" ? 2 : 1).join(" ");
  const rest = positionals.slice(name.split(" ").length);
  const wanted = Object.hasOwn(WORDS, name) ? WORDS[name] : undefined;
  if (wanted === undefined) {
    const commands = Object.keys(WORDS).join(", ");
    throw new Error(
      name === "" ? `say what to do: ${commands}` : `there is no "witness ${name}"; use ${commands}`,
    );
  }
  if (rest.length !== wanted) throw new Error(`"witness ${name}" takes ${wanted} words, not ${rest.length}`);
  if (values.data === undefined || values.data === "") throw new Error("--data DIR is needed");
  return { words: [name, ...rest], data: values.data, listen: readListen(values.listen), json: values.json };
}

function asHostId(text: string, which: string): string {
  const read = readNodeId(text);
  if ("id" in read) return read.id;
  throw new UsageError(`ID-${which} ${read.problem}`);
}

/** What was asked for cannot be meant: exit code 2. */
class UsageError extends EdgeError {
  override readonly exitCode = 2;

  constructor(message: string) {
    super(message, { op: "read the command", hint: "Correct it and say it again." });
  }
}

/** What another user writes there the witness could not read. */
function needOwner(data: string): void {
  let uid: number | null;
  try {
    uid = Deno.statSync(data).uid;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // it is made then
    throw error;
  }
  if (uid === null || uid === Deno.uid()) return;
  throw new EdgeError(`${data} belongs to the user with number ${uid}, this is ${Deno.uid()}`, {
    op: "use the witness's directory",
    hint: `Run this as its owner: sudo -u '#${uid}' iservft-edge witness ...`,
  });
}

async function addPair(given: Given): Promise<string> {
  const [, name = "", a = "", b = ""] = given.words;
  if (!NAME.test(name)) {
    throw new UsageError(
      `the pair's name is ${JSON.stringify(name)}; it must be 1 to 32 small letters, digits or hyphens`,
    );
  }
  const hosts: [string, string] = [asHostId(a, "A"), asHostId(b, "B")];
  if (hosts[0] === hosts[1]) throw new UsageError("ID-A and ID-B are the same; a pair has two hosts");
  openIdentity(given.data); // makes the directory
  await changePairs(realDisk, {
    directory: given.data,
    change(pairs) {
      const there = pairs.find((pair) => pair.name === name);
      if (there === undefined) return [...pairs, { name, hosts }];
      if (there.hosts.every((id) => hosts.includes(id))) return pairs;
      throw new EdgeError(`There is a pair ${name} already, of other hosts`, {
        op: "add a pair",
        hint: `If a host was replaced: iservft-edge witness pair remove ${name}, then add it anew.`,
      });
    },
  });
  return `the pair ${name} may ask this witness; it takes effect at once`;
}

async function removePair(given: Given): Promise<string> {
  const [, name = ""] = given.words;
  needWitness(given.data);
  await changePairs(realDisk, {
    directory: given.data,
    change(pairs) {
      if (pairs.some((pair) => pair.name === name)) return pairs.filter((pair) => pair.name !== name);
      throw new EdgeError(`There is no pair ${JSON.stringify(name)}`, {
        op: "remove a pair",
        hint: "See which there are: iservft-edge witness pair list.",
      });
    },
  });
  return `the pair ${name} may not ask any more; what was granted to it is kept`;
}

function needWitness(data: string): string {
  const identity = readIdentity(data);
  if (identity !== null) return identity.id;
  throw new EdgeError(`${data} is not a witness's directory`, {
    op: "look at the witness",
    hint: "Give the directory that `witness serve` has.",
  });
}

async function listPairs(given: Given, io: CommandIo): Promise<void> {
  needWitness(given.data);
  const pairs = await readPairs(realDisk, given.data);
  if (given.json) return io.out(JSON.stringify(pairs));
  if (pairs.length === 0) io.out("no pairs yet: iservft-edge witness pair add NAME ID-A ID-B");
  for (const { name, hosts } of pairs) io.out(`${name}\n  ${hosts.join("\n  ")}`);
}

/** What the running server says; null when none runs. */
async function askServer(data: string): Promise<WitnessStatus | null> {
  try {
    await Deno.stat(witnessSocket(data));
    using client = await ControlClient.connect(witnessSocket(data));
    return await client.call("status") as WitnessStatus;
  } catch {
    return null;
  }
}

function groupText(group: GroupView, status: WitnessStatus | null): string {
  const { pair, vm, term, holder, since, problem } = group;
  const lines = [`${pair}/${vm}`];
  if (problem !== null) lines.push(`  REFUSED: ${problem}`);
  else if (term === 0) lines.push("  nothing was granted yet");
  else {lines.push(
      `  term ${term}, ${holder === null ? "given back" : `held by ${holder}`}, since ${since ?? "?"}`,
    );}
  const here = status?.connected.filter((member) => member.pair === pair && member.vm === vm) ?? [];
  for (const { node, address } of here) lines.push(`  connected: ${node} from ${address}`);
  if (status !== null && here.length === 0) lines.push("  no host is connected");
  return lines.join("\n");
}

async function show(given: Given, io: CommandIo): Promise<void> {
  const id = needWitness(given.data);
  const status = await askServer(given.data);
  const groups = status?.groups ?? await (await openStore(given.data, realDisk)).views();
  const { connected = [], listen = null } = status ?? {};
  if (given.json) {
    return io.out(JSON.stringify({ id, running: status !== null, listen, groups, connected }));
  }
  io.out(`witness ${id}`);
  io.out(status === null ? "it does not run" : `it runs, and listens on ${listen}`);
  if (groups.length === 0) io.out("no VM has asked yet");
  for (const group of groups) io.out(groupText(group, status));
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  let given: Given | "help";
  try {
    given = readArguments(args);
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
  if (given === "help") {
    io.out(USAGE);
    return 0;
  }
  if (!["show", "pair list"].includes(given.words[0] ?? "")) needOwner(given.data);
  switch (given.words[0]) {
    case "serve":
      return await serve(given, io);
    case "id":
      io.out(openIdentity(given.data).id);
      return 0;
    case "pair add":
      io.out(await addPair(given));
      return 0;
    case "pair remove":
      io.out(await removePair(given));
      return 0;
    case "pair list":
      await listPairs(given, io);
      return 0;
  }
  await show(given, io);
  return 0;
}
