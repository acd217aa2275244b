/** `iservft-edge serve`: this machine as a node: its VMs, its pair, the page, the API. In the foreground, until SIGTERM or Ctrl-C; the VMs go on
 * without it. */

import { parseArgs } from "node:util";
import { InputError } from "../errors.ts";
import { absolute, runDir } from "../vm/host_config.ts";
import {
  type Endpoint,
  nameOfMachine,
  readEndpoint,
  readServeConfig,
  type ServeConfig,
  usualPlaces,
  WEB_PORT,
} from "../node/config.ts";
import type { NodePlaces } from "../node/contracts.ts";
import type { WebServer } from "../../ui/listen.ts";
import type { CommandIo } from "./command.ts";
import type { Say } from "./serve_node.ts";
import type { Backend } from "../model/backend.ts";
import type { EventView } from "../model/event.ts";
import type { Log } from "../model/log.ts";
import { english } from "../model/english.ts";
import { Notifier } from "../node/sd_notify.ts";
import { JournalSocket } from "../observe/journal.ts";
import { type LogForm, logForm, Logger } from "../observe/log.ts";
import { plain } from "./text.ts";
import { VERSION } from "./version.ts";

const USAGE =
  `usage: iservft-edge serve [--config FILE] [--data DIR] [--run DIR] [--listen ADDRESS[:PORT]] [--log json]

Runs this machine as a node, in the foreground: its VMs, its pair, the page and the API. The VMs go on when it ends, and are
found again when it starts. Without root it can look, but not run VMs.

  --config FILE   default /etc/iservft-edge/serve.toml, which need not be there
  --data DIR      identity, pair, VMs, accounts; default /var/lib/iservft-edge
  --run DIR       sockets; default /run/iservft-edge
  --listen        where browsers reach the page; default 0.0.0.0:${WEB_PORT}. This machine only until there is an administrator:
                  the link for that is printed
  --log json      what happens as JSON, a line each; else as journald wants it, or as text on a terminal`;

/** What serve goes by, from its file and its arguments. */
export interface ServeSettings {
  config: ServeConfig;
  /** The file as it is; null: there is none. */
  file: string | null;
  text: string;
  node: string;
  places: NodePlaces;
  listen: Endpoint;
  log: LogForm;
}

function path(
  value: string | undefined,
  option: { name: string; schema: typeof absolute },
): string | undefined {
  if (value === undefined) return undefined;
  const read = option.schema.safeParse(value);
  if (read.success) return read.data;
  throw new Error(`${option.name} is ${JSON.stringify(value)}; ${read.error.issues[0]?.message}`);
}

/** Reads arguments and file; null: help was asked for. Throws Error for wrong arguments, InputError for a wrong file. */
export function readServeArguments(args: string[]): ServeSettings | null {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string" },
      data: { type: "string" },
      run: { type: "string" },
      listen: { type: "string" },
      log: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const given = {
    data: path(values.data, { name: "--data", schema: absolute }),
    run: path(values.run, { name: "--run", schema: runDir }),
    listen: values.listen === undefined ? undefined : readEndpoint(values.listen, WEB_PORT),
  };
  if (values.listen !== undefined && given.listen === undefined) {
    throw new Error(
      `--listen is ${JSON.stringify(values.listen)}; it must be ADDRESS:PORT, such as 0.0.0.0:${WEB_PORT}`,
    );
  }
  if (values.log !== undefined && values.log !== "json" && values.log !== "text") {
    throw new Error(`--log is ${JSON.stringify(values.log)}; it must be json or text`);
  }
  const { config, file, text } = readServeConfig(values.config);
  const usual = usualPlaces({ root: Deno.uid() === 0, get: (name) => Deno.env.get(name) });
  return {
    config,
    file,
    text,
    node: config.node ?? nameOfMachine(Deno.hostname()),
    places: { data: given.data ?? config.data ?? usual.data, run: given.run ?? config.run ?? usual.run },
    listen: given.listen ?? config.listen,
    log: logForm(values.log),
  };
}

/** SIGHUP too: systemd starts it anew, and it reads its file then. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => resolve());
    }
  });
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  let settings: ServeSettings | null;
  try {
    settings = readServeArguments(args);
  } catch (error) {
    if (error instanceof InputError) throw error;
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
  if (settings === null) {
    io.out(USAGE);
    return 0;
  }
  const signalled = untilSignal();
  const { openNode } = await import("./serve_node.ts");
  const { openWeb } = await import("./serve_web.ts");
  using journal = settings.log === "journal" ? new JournalSocket() : null;
  await using logger = new Logger({
    form: settings.log,
    journal: journal === null ? null : (entry) => journal.send(entry),
  });
  // On a terminal a person reads what is said to them; else it is a log, and what happens belongs in it as well.
  const say: Say = settings.log !== "text"
    ? logger.log
    : (level, text) =>
      (level === "info" ? io.out : io.err)(plain(level === "info" ? text : `${level}: ${text}`));
  if (Deno.uid() !== 0) say("warning", "without root this node can look, but not run VMs");
  await using node = await openNode(settings, say);
  const { controller: backend, access, pairing } = node;
  using _events = settings.log === "text" ? undefined : backend.subscribe((change) => {
    if (change.kind === "event") logEvent(change.event, logger.log);
  });
  await using web = await openWeb(settings, { backend, access, say });
  greet({ settings, web, id: pairing.id }, say);
  using _open = access.setup.onDone(() =>
    void web.look().then(() =>
      say("info", `There is an administrator now. The page: ${pageAddresses(web).join("  ")}`)
    )
  );
  await using notifier = new Notifier();
  using _status = tellStatus(backend, notifier);
  await notifier.ready(english(backend.snapshot().home.said));
  if (notifier.problem !== null) say("warning", notifier.problem);
  await signalled;
  return 0;
}

/** The one sentence is what `systemctl status` shows. */
function tellStatus(backend: Backend, notifier: Notifier): Disposable {
  let said = "";
  return backend.subscribe((change) => {
    if (change.kind !== "snapshot") return;
    const sentence = english(change.snapshot.home.said);
    if (sentence !== said) void notifier.status(sentence);
    said = sentence;
  });
}

/** An event as a line of the log. */
function logEvent(event: EventView, log: Log): void {
  const { severity, code, subject, name, node, actor, text } = event;
  const of = name === "" ? {} : { name };
  log(severity === "ok" ? "info" : severity, text, { event: code, subject, ...of, node, actor: actor ?? "" });
}

/** Where a browser finds the page: for "all addresses" those that this machine has. */
export function pageAddresses(
  web: Pick<WebServer, "addresses">,
  interfaces: () => Pick<Deno.NetworkInterfaceInfo, "family" | "address" | "name">[] = Deno.networkInterfaces,
): string[] {
  const own = interfaces().filter(({ family, name }) => family === "IPv4" && name !== "lo");
  const said = web.addresses().flatMap((address) => {
    const any = /^https:\/\/(?:0\.0\.0\.0|\[::\])(:\d+)$/.exec(address);
    return any === null ? [address] : own.map((one) => `https://${one.address}${any[1]}`);
  });
  return said.length === 0 ? web.addresses() : said;
}

/** What the terminal shows: who this is, where the page is, and what to do first. */
function greet(node: { settings: ServeSettings; web: WebServer; id: string }, say: Say): void {
  const { settings, web, id } = node;
  say("info", `iservft-edge ${VERSION}: ${settings.node}\n  ID           ${id}`);
  say(
    "info",
    `  page         ${pageAddresses(web).join("  ")}\n  certificate  ${web.certificate().fingerprint}`,
  );
  const setup = web.setupUrl();
  if (setup === null) return;
  say(
    "info",
    "\nThere is no administrator yet, so the page is open on this machine alone. Make one by this link, which works once:",
  );
  say("info", `  ${setup}`);
  say(
    "info",
    "The browser warns once of the certificate: compare its fingerprint (SHA-256) with the one above.\n" +
      "No browser on this machine: sudo iservft-edge user add NAME --role administrator, and open the page from another one.",
  );
}
