/** `iservft-edge pair`: two nodes become a pair, and what is between them. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { type PairingView, pairSettings, type PairView, pairView } from "../model/node.ts";
import { pairSuggestion } from "../model/snapshot.ts";
import { EdgeError } from "../errors.ts";
import { until } from "./follow.ts";
import { type Cli, type Noun, runNoun, verb } from "./noun.ts";
import { confirmed, UsageError } from "./terminal.ts";
import { orDash, plain, table } from "./text.ts";
import { path } from "./values.ts";

const wait = withDefault(
  flag("--wait", { description: message`goes on to the digits, and asks whether they are the same` }),
  false,
);

function pairingText(pairing: PairingView): string[] {
  switch (pairing.step) {
    case "none":
      return ["not paired: iservft-edge pair invite here, then pair join ADDRESS on the other node"];
    case "inviting":
      return [
        `code  ${plain(pairing.code)}  (until ${plain(pairing.expires)})`,
        `on the other node: iservft-edge pair join ADDRESS, with ADDRESS one of`,
        ...pairing.addresses.map((address) => `  ${plain(address)}`),
      ];
    case "joining":
      return [`asking ${plain(pairing.address)}`];
    case "comparing":
      return [
        `digits  ${plain(pairing.digits)}`,
        `The other node, ${
          plain(pairing.peer_name)
        }, must show the same: then iservft-edge pair confirm on both; else pair cancel.`,
        ...(pairing.confirmed ? ["Confirmed here; the other node has not yet."] : []),
      ];
    case "failed":
      return [`pairing failed: ${plain(pairing.detail)}`, `  what to do: ${plain(pairing.hint)}`];
    case "paired":
      return [
        `paired with ${plain(pairing.peer_name)} since ${plain(pairing.since)}`,
        `  ID ${plain(pairing.peer_id)}`,
      ];
  }
}

/** The other node refuses this one, though they are a pair here. */
function problemText({ problem }: PairView): string[] {
  if (problem === null || problem === undefined) return [];
  return [`but ${plain(problem.detail)}`, `  what to do: ${plain(problem.hint)}`];
}

function pairLines(pair: PairView): string[] {
  const { settings } = pair;
  const rows = pair.paths.map((it) => [
    `  ${it.name === "lan" ? "LAN" : `line ${it.name.toUpperCase()}`}`,
    it.state,
    `${orDash(it.local)} - ${orDash(it.peer)}`,
    orDash(it.interface),
    it.active ? "carries the data" : "",
  ]);
  return [
    ...pairingText(pair.pairing),
    ...problemText(pair),
    ...(settings === null ? ["lines are not set: iservft-edge pair configure --help"] : table(rows)),
    ...(pair.arbiter === null ? [] : [`arbiter ${pair.arbiter.kind}, ${pair.arbiter.state}`]),
    ...(settings === null ? [] : [`takeover after ${settings.takeover_ms} ms of silence`]),
  ];
}

/** Goes on to the digits, asks, and says which it was. */
async function compare(cli: Cli): Promise<number> {
  const client = await cli.client();
  const reached = await until(
    cli,
    ({ pair }) =>
      pair.pairing.step === "comparing" || pair.pairing.step === "failed" || pair.pairing.step === "none" ||
        pair.pairing.step === "paired"
        ? pair
        : undefined,
  );
  if (reached.pairing.step !== "comparing") return outcome(reached, cli);
  cli.io.err(`digits  ${reached.pairing.digits}`);
  const same = await confirmed(
    cli.io,
    `Does ${plain(reached.pairing.peer_name)} show the same digits?`,
    "pair confirm",
  );
  await client.ask("POST", same ? "/pair/confirm" : "/pair/cancel", { schema: pairView });
  if (!same) {
    cli.io.err("pairing was cancelled: somebody may be in between; look at the cables and try again");
    return 5;
  }
  cli.io.err("confirmed here; waiting for the other node");
  const ended = await until(cli, ({ pair }) => pair.pairing.step === "comparing" ? undefined : pair);
  return outcome(ended, cli);
}

function outcome(pair: PairView, cli: Cli): number {
  cli.answer(pair, () => pairLines(pair));
  return pair.pairing.step === "paired" ? 0 : 1;
}

const invite = verb({
  name: "invite",
  brief: "Shows a one-time code, to be typed on the other node.",
  takes: object({ wait }),
  async run({ wait }, cli) {
    const pair = await (await cli.client()).ask("POST", "/pair/invite", { schema: pairView });
    if (!wait) return cli.answer(pair, () => pairingText(pair.pairing));
    for (const line of pairingText(pair.pairing)) cli.io.err(line);
    return await compare(cli);
  },
});

async function typedCode(given: { code?: string | undefined }, cli: Cli): Promise<string> {
  if (given.code !== undefined) return given.code;
  const answer = await cli.io.terminal?.ask("Code that the other node shows: ");
  if (answer === null || answer === undefined || answer.trim() === "") {
    throw new UsageError("The other node's code is needed: give it after the address");
  }
  return answer.trim();
}

const join = verb({
  name: "join",
  brief: "Types the other node's code here.",
  examples: ["iservft-edge pair join 192.168.40.11:7811 K7QD-M3XR --wait"],
  takes: object({
    address: argument(string({ metavar: "ADDRESS" }), {
      description: message`the other node's, as it shows it`,
    }),
    code: optional(
      argument(string({ metavar: "CODE" }), { description: message`it is asked for when left out` }),
    ),
    wait,
  }),
  async run(given, cli) {
    const body = { address: given.address, code: await typedCode(given, cli) };
    const pair = await (await cli.client()).ask("POST", "/pair/join", {
      schema: pairView,
      body,
      timeout_ms: 60_000,
    });
    if (given.wait) return await compare(cli);
    cli.answer(pair, () => pairingText(pair.pairing));
    return pair.pairing.step === "failed" ? 1 : 0;
  },
});

/** A verb that is one call. */
function step(name: "confirm" | "cancel", brief: string) {
  return verb({
    name,
    brief,
    takes: object({}),
    async run(_, cli) {
      const pair = await (await cli.client()).ask("POST", `/pair/${name}`, { schema: pairView });
      cli.answer(pair, () => pairingText(pair.pairing));
    },
  });
}

const show = verb({
  name: "show",
  brief: "How far pairing is, the lines, the LAN, who decides.",
  takes: object({}),
  async run(_, cli) {
    const pair = await (await cli.client()).ask("GET", "/pair", { schema: pairView });
    cli.answer(pair, () => pairLines(pair));
  },
});

const suggest = verb({
  name: "suggest",
  brief: "Which interfaces and addresses this node could use, and what it would propose.",
  takes: object({}),
  async run(_, cli) {
    const found = await (await cli.client()).ask("GET", "/pair/suggest", { schema: pairSuggestion });
    cli.answer(found, () => [
      ...table(found.interfaces.map((it) => [
        plain(it.name),
        `${plain(it.address)}/${it.prefix}`,
        it.speed_mbit === null ? "-" : `${it.speed_mbit} Mbit/s`,
        it.carrier ? "carrier" : "NO CARRIER",
        it.bridge ? "bridge" : "",
      ])),
      ...(found.proposals === null
        ? ["no proposal: the two nodes have no network in common, or are not paired"]
        : ["proposed (iservft-edge pair configure --suggested):", JSON.stringify(found.proposals, null, 2)]),
    ]);
  },
});

const ipv4 = string({ metavar: "ADDRESS" });
const configure = verb({
  name: "configure",
  brief: "Sets lines, LAN and arbiter; what is left out stays as it is.",
  examples: [
    "iservft-edge pair configure --suggested",
    "iservft-edge pair configure --link-a 10.77.1.1/10.77.1.2 --lan 192.168.40.11/192.168.40.12 --bridge br0 --reference 192.168.40.1",
    "iservft-edge pair configure --arbiter witness --witness 192.168.40.9 --witness-id ID --witness-pair plant-1",
  ],
  takes: object({
    suggested: withDefault(
      flag("--suggested", { description: message`begins with what the node proposes` }),
      false,
    ),
    linkA: optional(
      option("--link-a", path, { description: message`line A: this node's and the other's address` }),
    ),
    linkB: optional(option("--link-b", path, { description: message`line B` })),
    noLinkB: withDefault(flag("--no-link-b", { description: message`there is no line B` }), false),
    lan: optional(
      option("--lan", path, { description: message`both nodes' addresses on the LAN of the clients` }),
    ),
    bridge: optional(option("--bridge", string({ metavar: "NAME" }), { description: message`of the LAN` })),
    reference: optional(
      option("--reference", ipv4, { description: message`on the LAN, usually its gateway` }),
    ),
    arbiter: optional(option("--arbiter", choice(["lan", "manual", "witness"], { metavar: "KIND" }))),
    witness: optional(option("--witness", string({ metavar: "ADDRESS[:PORT]" }))),
    witnessId: optional(option("--witness-id", string({ metavar: "ID" }))),
    witnessPair: optional(option("--witness-pair", string({ metavar: "NAME" }))),
    takeover: optional(option("--takeover-ms", integer({ min: 50, max: 60_000, metavar: "MS" }))),
  }),
  run: (given, cli) => applySettings(given, cli),
});

interface Settings {
  suggested: boolean;
  linkA?: unknown;
  linkB?: unknown;
  noLinkB: boolean;
  lan?: Record<string, unknown> | undefined;
  bridge?: string | undefined;
  reference?: string | undefined;
  arbiter?: string | undefined;
  witness?: string | undefined;
  witnessId?: string | undefined;
  witnessPair?: string | undefined;
  takeover?: number | undefined;
}

/** Parts that were said, over those that are there. */
function over(base: Record<string, unknown> | null | undefined, parts: Record<string, unknown>) {
  const said = Object.entries(parts).filter(([, value]) => value !== undefined);
  if (said.length === 0) return base ?? null;
  return { ...base, ...Object.fromEntries(said) };
}

async function applySettings(given: Settings, cli: Cli): Promise<void> {
  const client = await cli.client();
  const now = (await client.ask("GET", "/pair", { schema: pairView })).settings;
  const base = given.suggested
    ? (await client.ask("GET", "/pair/suggest", { schema: pairSuggestion })).proposals
    : now;
  if (given.suggested && base === null) {
    throw new EdgeError("The node proposes nothing", {
      op: "configure the pair",
      hint: "See iservft-edge pair suggest.",
    });
  }
  const [, address, port] = /^(.+?)(?::(\d+))?$/.exec(given.witness ?? "") ?? [];
  const lan = over(base?.lan, { ...given.lan, bridge: given.bridge, reference: given.reference });
  const body = pairSettings.safeParse({
    link_a: given.linkA ?? base?.link_a,
    link_b: given.noLinkB ? null : given.linkB ?? base?.link_b ?? null,
    lan: lan === null ? null : { reference: null, ...lan },
    arbiter: given.arbiter ?? base?.arbiter ?? "lan",
    witness: over(base?.witness, {
      address,
      port: port === undefined ? undefined : Number(port),
      id: given.witnessId,
      pair: given.witnessPair,
    }),
    takeover_ms: given.takeover ?? base?.takeover_ms,
  });
  if (!body.success) {
    const problems = body.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    throw new UsageError(
      problems.join("\n  "),
      "Give what is missing; iservft-edge pair suggest shows addresses.",
    );
  }
  const pair = await client.ask("PUT", "/pair/settings", {
    schema: pairView,
    body: body.data,
    timeout_ms: 60_000,
  });
  cli.answer(pair, () => pairLines(pair));
}

const remove = verb({
  name: "remove",
  brief: "Dissolves the pair; refused while a VM runs under it, unless the other node is replaced.",
  takes: object({
    replace: withDefault(
      flag("--replace", {
        description:
          message`the other node is off for good; VMs that run here alone run on until a new one is paired`,
      }),
      false,
    ),
    yes: withDefault(flag("--yes", "-y", { description: message`do not ask` }), false),
  }),
  async run({ replace, yes }, cli) {
    const question = replace
      ? "Is the other node off for good, and will it never come back with its disks as they are?"
      : "Dissolve the pair? No VM is protected afterwards.";
    if (!yes && !await confirmed(cli.io, question, "--yes")) return cli.io.err("nothing was done"), 1;
    const client = await cli.client();
    const ask = { schema: pairView, timeout_ms: 60_000 };
    const pair = replace
      ? await client.ask("POST", "/pair/replace", ask)
      : await client.ask("DELETE", "/pair", ask);
    cli.answer(pair, () => pairingText(pair.pairing));
  },
});

const rotate = verb({
  name: "rotate",
  brief: "Makes a new key and certificate for this node, without pairing anew.",
  takes: object({ yes: withDefault(flag("--yes", "-y", { description: message`do not ask` }), false) }),
  async run({ yes }, cli) {
    const question = "Give this node a new identity? A witness has to be told its new ID afterwards.";
    if (!yes && !await confirmed(cli.io, question, "--yes")) return cli.io.err("nothing was done"), 1;
    const client = await cli.client();
    const pair = await client.ask("POST", "/pair/rotate", { schema: pairView, timeout_ms: 60_000 });
    cli.answer(pair, () => ["this node has a new identity: iservft-edge identity says its ID"]);
  },
});

export const noun: Noun = {
  name: "pair",
  brief: "two nodes become a pair; the lines between them, and who decides",
  verbs: [
    invite,
    join,
    step("confirm", "The digits are the same on both nodes."),
    step("cancel", "They are not, or nobody wants it any more."),
    show,
    suggest,
    configure,
    rotate,
    remove,
  ],
};

export const run = runNoun(noun);
