/** `iservft-edge backup`: a node's identity, pair, settings and accounts in one file, and back. */

import { resolve } from "node:path/posix";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { createBackup, isEncrypted, readBackup, restoreBackup } from "../node/backup.ts";
import { nameOfMachine, readServeConfig, usualPlaces } from "../node/config.ts";
import type { CommandIo } from "./command.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { UsageError } from "./terminal.ts";
import { VERSION } from "./version.ts";

const common = {
  file: argument(string({ metavar: "FILE" }), { description: message`the backup` }),
  data: optional(
    option("--data", string({ metavar: "DIR" }), { description: message`the node's data directory` }),
  ),
  config: optional(
    option("--config", string({ metavar: "FILE" }), { description: message`the node's file` }),
  ),
  passphraseFile: optional(option("--passphrase-file", string({ metavar: "FILE" }), {
    description: message`its first line is the passphrase`,
  })),
};

interface Node {
  data: string;
  node: string;
  /** The file's path and text; null: there is none. */
  config: { file: string; text: string } | null;
}

function nodeOf(given: { data?: string | undefined; config?: string | undefined }): Node {
  const { config, file, text } = readServeConfig(given.config);
  const usual = usualPlaces({ root: Deno.uid() === 0, get: (name) => Deno.env.get(name) });
  const data = resolve(Deno.cwd(), given.data ?? config.data ?? usual.data);
  return {
    data,
    node: config.node ?? nameOfMachine(Deno.hostname()),
    config: file === null ? null : { file, text },
  };
}

function fromFile(file: string): string {
  try {
    return Deno.readTextFileSync(file).split("\n")[0]!.replace(/\r$/, "");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

async function typed(io: CommandIo, twice: boolean): Promise<string> {
  const { terminal } = io;
  if (terminal === undefined || !terminal.input) {
    throw new UsageError("Nobody is there to type the passphrase: give --passphrase-file FILE");
  }
  const first = await terminal.ask("Passphrase: ", { secret: true });
  const second = twice ? await terminal.ask("Once more: ", { secret: true }) : first;
  if (first === null || first !== second) throw new UsageError("The two are not the same", "Type it again.");
  return first;
}

/** What has to be said after a restore. */
function afterwards(node: Node, restored: { movedTo: string | null; config: string | null }): string[] {
  const differs = restored.config !== null && restored.config !== node.config?.text;
  return [
    ...(restored.movedTo === null ? [] : [
      `What was there is now ${restored.movedTo}, disks of VMs included: remove it when it is not needed any more.`,
    ]),
    ...(differs
      ? [
        "The node's file in the backup is another than this machine's; it was:",
        ...restored.config!.trimEnd().split("\n").map((line) => `  ${line}`),
      ]
      : []),
    "Start the service (systemctl start iservft-edge). This node is then the one that was backed up: make sure that the old machine",
    "never starts again with the same identity. The other node needs nothing; it sends VMs' newest settings, and fills their disks anew.",
  ];
}

export const noun: Noun = {
  name: "backup",
  brief: "identity, pair, settings, accounts and VMs' settings, in one file; not their disks",
  verbs: [
    verb({
      name: "create",
      brief: "Writes a backup that only you may read. The service may run meanwhile.",
      detail:
        "It holds the node's private key and the pair's secret: encrypt it, or keep it where nobody else gets at it. " +
        "VMs' disks are not in it: the other node has them.",
      examples: ["iservft-edge backup create --encrypt node-1.backup"],
      local: true,
      takes: object({
        ...common,
        encrypt: withDefault(
          flag("--encrypt", { description: message`under a passphrase that is asked for` }),
          false,
        ),
      }),
      async run(given, cli) {
        const { passphraseFile, encrypt, file } = given;
        const node = nodeOf(given);
        const passphrase = passphraseFile !== undefined
          ? fromFile(passphraseFile)
          : encrypt
          ? await typed(cli.io, true)
          : undefined;
        const manifest = await createBackup(file, {
          data: node.data,
          program: VERSION,
          node: node.node,
          config: node.config?.text ?? null,
          passphrase,
        });
        const encrypted = passphrase !== undefined;
        cli.answer({ file, encrypted, ...manifest }, () => [
          `${file}: ${manifest.files.length} files of ${manifest.node}, ${
            encrypted ? "encrypted" : "NOT encrypted: it holds secrets"
          }`,
        ]);
      },
    }),
    verb({
      name: "show",
      brief: "Says whose backup it is and whether it is whole.",
      local: true,
      takes: object({ file: common.file, passphraseFile: common.passphraseFile }),
      async run({ file, passphraseFile }, cli) {
        const passphrase = await passphraseFor(file, { passphraseFile, io: cli.io });
        const { manifest } = await readBackup(file, { passphrase });
        cli.answer(manifest, () => [
          `${file}: ${manifest.node}, ${manifest.created}, by iservft-edge ${manifest.program}, whole`,
          `ID ${manifest.id}`,
          ...manifest.files.map(({ path, bytes }) => `  ${path}  ${bytes} bytes`),
        ]);
      },
    }),
    verb({
      name: "restore",
      brief: "Makes this machine the node that was backed up. The service must not run.",
      detail:
        "For a machine that replaces a broken one, with the other node still there. Refused when the data directory is in use.",
      examples: ["iservft-edge install --no-start", "iservft-edge backup restore node-1.backup"],
      local: true,
      takes: object({
        ...common,
        force: withDefault(
          flag("--force", { description: message`moves aside what is there; nothing is removed` }),
          false,
        ),
      }),
      async run(given, cli) {
        const { file, passphraseFile, force } = given;
        const node = nodeOf(given);
        const passphrase = await passphraseFor(file, { passphraseFile, io: cli.io });
        const backup = await readBackup(file, { passphrase });
        const restored = restoreBackup(backup, { data: node.data, force });
        const { id } = backup.manifest;
        cli.answer({ data: node.data, id, node: backup.manifest.node, moved_to: restored.movedTo }, () => [
          `${node.data} is now that of ${backup.manifest.node} (${id}), as it was at ${backup.manifest.created}.`,
          ...afterwards(node, restored),
        ]);
      },
    }),
  ],
};

async function passphraseFor(
  file: string,
  { passphraseFile, io }: { passphraseFile: string | undefined; io: CommandIo },
): Promise<string | undefined> {
  if (passphraseFile !== undefined) return fromFile(passphraseFile);
  let encrypted: boolean;
  try {
    encrypted = isEncrypted(file);
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  return encrypted ? await typed(io, false) : undefined;
}

export const run = runNoun(noun);
