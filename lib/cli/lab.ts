/** `iservft-edge lab`: two hosts on one machine, by hand. */

import { parseArgs } from "node:util";
import { type Fault, Lab } from "../lab/lab.ts";
import {
  type Host,
  HOSTS,
  labIds,
  LAN_DIRECTIONS,
  LINK_DIRECTIONS,
  LINKS,
  type Place,
  PLACES,
} from "../lab/places.ts";
import { statusText } from "../lab/status.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge lab [--lab ID] up [--rate MBIT] [--mtu BYTES]
       iservft-edge lab [--lab ID] down | status [--json] | restore
       iservft-edge lab [--lab ID] exec a|b|client|lan COMMAND...
       iservft-edge lab [--lab ID] fault KIND...
       iservft-edge lab list | down --all

Two hosts on one machine: network namespaces isfID-a and isfID-b, joined by link A (10.77.1.1 and .2) and link B
(10.77.2.1 and .2), each with a bridge br0 on a LAN (10.77.0.2 and .3), where a client (10.77.0.20) and the reference
address (10.77.0.1) are. ID is 1 unless given; several labs may be up.

faults:
  power-off a|b                        kills every process of the host at once, its lines dead
  power-on a|b
  freeze a|b, thaw a|b                 stops every process of the host where it is
  kill a|b NAME                        kills the processes of this name
  cut-link a|b [both|a-to-b|b-to-a]    loses every frame of a replication line
  mend-link a|b
  unplug a|b, plug a|b                 takes a replication line's carrier away
  cut-lan a|b [both|in|out]            loses every frame between the host and the LAN
  mend-lan a|b
  shape a|b [--rate MBIT] [--loss PERCENT]

restore takes all faults back; killed processes stay dead.`;

/** The user asked for something that cannot be: exit code 2. */
class UsageProblem extends Error {}

interface Values {
  lab: string;
  json: boolean;
  all: boolean;
  rate?: number;
  mtu?: number;
  loss?: number;
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  try {
    // What follows `exec PLACE` belongs to the command that is run.
    const at = args.indexOf("exec");
    const own = at < 0 ? args : args.slice(0, at + 2);
    const { values, positionals } = readArguments(own);
    if (values === undefined) {
      io.out(USAGE);
      return 0;
    }
    return await obey({ values, words: positionals, rest: at < 0 ? [] : args.slice(at + 2) }, io);
  } catch (error) {
    if (!(error instanceof UsageProblem)) throw error;
    io.err(`error: ${error.message}`);
    io.err(USAGE);
    return 2;
  }
}

function readArguments(args: string[]): { values: Values | undefined; positionals: string[] } {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  let parsed;
  try {
    parsed = parseArgs({
      args,
      options: { lab: text, rate: text, mtu: text, loss: text, json: flag, all: flag, help: flag },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageProblem(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  if (values.help === true) return { values: undefined, positionals };
  if (values.lab !== undefined && !/^[a-z0-9]{1,8}$/.test(values.lab)) {
    throw new UsageProblem(`--lab is "${values.lab}": use 1 to 8 of a-z and 0-9`);
  }
  const number = (name: "rate" | "mtu" | "loss", least: number, most: number) => {
    const value = values[name];
    if (value === undefined) return {};
    const amount = value === "" ? NaN : Number(value);
    if (amount >= least && amount <= most) return { [name]: amount };
    throw new UsageProblem(`--${name} is "${value}", not a number of ${least} to ${most}`);
  };
  return {
    values: {
      lab: values.lab ?? "1",
      json: values.json === true,
      all: values.all === true,
      ...number("rate", 0, 1_000_000),
      ...number("mtu", 1280, 65_521),
      ...number("loss", 0, 100),
    },
    positionals,
  };
}

interface Request {
  values: Values;
  words: string[];
  /** The command for `exec`. */
  rest: string[];
}

async function obey(request: Request, io: CommandIo): Promise<number> {
  const { values, words: [verb, ...words], rest } = request;
  switch (verb) {
    case "up":
      expectNoMore(words);
      return await up(values, io);
    case "down":
      expectNoMore(words);
      for (const id of values.all ? labIds() : [values.lab]) {
        await Lab.down(id);
        io.out(`lab ${id} is down`);
      }
      return 0;
    case "list":
      expectNoMore(words);
      for (const id of labIds()) io.out(id);
      return 0;
    case "status": {
      expectNoMore(words);
      const status = await Lab.open(values.lab).status();
      io.out(values.json ? JSON.stringify(status) : statusText(status));
      return 0;
    }
    case "restore":
      expectNoMore(words);
      await Lab.open(values.lab).restore();
      io.out("all faults are taken back");
      return 0;
    case "exec":
      return await exec(values, { place: oneOf<Place>("place", words[0], PLACES), command: rest });
    case "fault":
      return await fault({ values, words, rest }, io);
    case undefined:
      throw new UsageProblem("say what to do: up, down, list, status, restore, exec or fault");
    default:
      throw new UsageProblem(`there is no "lab ${verb}"`);
  }
}

async function up(values: Values, io: CommandIo): Promise<number> {
  const lab = await Lab.up({
    id: values.lab,
    ...(values.rate === undefined ? {} : { rate_mbit: values.rate }),
    ...(values.mtu === undefined ? {} : { mtu: values.mtu }),
  });
  io.out(statusText(await lab.status()));
  return 0;
}

async function exec(values: Values, what: { place: Place; command: string[] }): Promise<number> {
  const command = what.command[0] === "--" ? what.command.slice(1) : what.command;
  if (command.length === 0) throw new UsageProblem("exec needs a command");
  const inherit = { stdin: "inherit", stdout: "inherit", stderr: "inherit" } as const;
  const child = Lab.open(values.lab).exec(what.place, command, inherit);
  return (await child.status).code;
}

async function fault(request: Request, io: CommandIo): Promise<number> {
  const { values, words: [kind, target, extra, ...more] } = request;
  expectNoMore(more);
  if (kind === undefined) throw new UsageProblem("say which fault");
  const lines = ["cut-link", "mend-link", "unplug", "plug", "shape"].includes(kind);
  const act = lines ? linkFault(kind, { target, extra, values }) : hostFault(kind, { target, extra });
  const done = await act(Lab.open(values.lab));
  io.out(
    typeof done === "object" && done !== null && "at_us" in done
      ? JSON.stringify({ fault: kind, target, ...done as Fault })
      : JSON.stringify({ fault: kind, target, ...(Array.isArray(done) ? { pids: done } : {}) }),
  );
  return 0;
}

/** What is to be done once the words are known to be right. */
type Act = (lab: Lab) => Promise<unknown> | unknown;

function linkFault(
  kind: string,
  of: { target: string | undefined; extra: string | undefined; values: Values },
): Act {
  const link = oneOf("link", of.target, LINKS);
  if (kind === "cut-link") {
    const direction = oneOf("direction", of.extra ?? "both", LINK_DIRECTIONS);
    return (lab) => lab.cutLink(link, direction);
  }
  expectNoMore(of.extra === undefined ? [] : [of.extra]);
  if (kind === "mend-link") return (lab) => lab.mendLink(link);
  if (kind === "unplug") return (lab) => lab.unplugLink(link);
  if (kind === "plug") return (lab) => lab.plugLink(link);
  const { rate, loss } = of.values;
  if (rate === undefined && loss === undefined) throw new UsageProblem("shape needs --rate or --loss");
  return (lab) =>
    lab.shapeLink(link, {
      ...(rate === undefined ? {} : { rate_mbit: rate }),
      ...(loss === undefined ? {} : { loss_percent: loss }),
    });
}

function hostFault(kind: string, of: { target: string | undefined; extra: string | undefined }): Act {
  const simple: Record<string, (lab: Lab, host: Host) => Promise<unknown>> = {
    "power-off": (lab, host) => lab.powerOff(host),
    "power-on": (lab, host) => lab.powerOn(host),
    freeze: (lab, host) => lab.freeze(host),
    thaw: (lab, host) => lab.thaw(host),
    "mend-lan": (lab, host) => lab.mendLan(host),
  };
  const act = Object.hasOwn(simple, kind) ? simple[kind] : undefined;
  if (act === undefined && kind !== "kill" && kind !== "cut-lan") {
    throw new UsageProblem(`there is no fault "${kind}"`);
  }
  const host = oneOf("host", of.target, HOSTS);
  if (kind === "cut-lan") {
    const direction = oneOf("direction", of.extra ?? "both", LAN_DIRECTIONS);
    return (lab) => lab.cutLan(host, direction);
  }
  if (act !== undefined) {
    expectNoMore(of.extra === undefined ? [] : [of.extra]);
    return (lab) => act(lab, host);
  }
  const name = of.extra;
  if (name === undefined) throw new UsageProblem("kill needs the name of a process");
  return (lab) => lab.killProcess(host, name);
}

function oneOf<T extends string>(what: string, word: string | undefined, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === word);
  if (found !== undefined) return found;
  throw new UsageProblem(
    word === undefined
      ? `say which ${what}: ${allowed.join(", ")}`
      : `"${word}" is no ${what}: use ${allowed.join(", ")}`,
  );
}

function expectNoMore(words: readonly string[]): void {
  if (words.length > 0) throw new UsageProblem(`"${words[0]}" is one word too many`);
}
