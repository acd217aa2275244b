/** What a node keeps of the pair, each file replaced whole and durably:
 *
 *   DATA/pair.json            the other node. "pending": a person has confirmed it on both, and it is not yet known to be stored on both
 *   DATA/pair.key             the pair's secret, 64 hex digits, 0600
 *   DATA/pair_settings.json   links, LAN, arbiter; the greater revision is the newer one
 *   DATA/pair_kept.json       the other node is being replaced while VMs run: what they keep. The key is then one that nobody else has
 *
 * The key is written first and pair.json names it (key_id), so a crash in between leaves no pair with another pair's key. */

import { z } from "zod";
import { makeDurableDirectory } from "../../durable_directory.ts";
import { moveFile, readTextFile, removeFile, replaceFile } from "../../durable_file.ts";
import { EdgeError } from "../../errors.ts";
import { nodeName, pairSettings } from "../../model/node.ts";
import { type KeptSettings, keptSettings } from "./replacing.ts";
import { keyId, random } from "./secrets.ts";

/** The identity that rotate() makes, until the other node accepts it. */
export const NEXT_IDENTITY = "next";

const storedPair = z.object({
  version: z.literal(1),
  state: z.enum(["pending", "paired"]),
  peer: z.object({
    id: z.string(),
    /** The identity that it takes next; both are accepted until it was seen with this one. */
    next_id: z.string().nullable(),
    name: nodeName,
    port: z.number().int().min(1).max(65535),
    addresses: z.array(z.string().max(253)).max(32),
  }),
  key_id: z.string(),
  paired_at: z.string(),
});
export type StoredPair = z.infer<typeof storedPair>;

export const storedSettings = z.object({
  revision: z.number().int().min(0),
  /** Of the change that made it so. */
  change: z.string().max(64),
  settings: pairSettings.nullable(),
});
export type StoredSettings = z.infer<typeof storedSettings>;

/** Before anything was configured. */
export const NO_SETTINGS: StoredSettings = { revision: 0, change: "", settings: null };

export class PairStore {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
    makeDurableDirectory(directory, 0o700);
  }

  get keyFile(): string {
    return `${this.directory}/pair.key`;
  }

  get #pairFile(): string {
    return `${this.directory}/pair.json`;
  }

  get #keptFile(): string {
    return `${this.directory}/pair_kept.json`;
  }

  get #settingsFile(): string {
    return `${this.directory}/pair_settings.json`;
  }

  /** The pair and its key; null: there is none. Throws EdgeError when it is damaged. */
  read(): { pair: StoredPair; key: string } | null {
    const pair = this.#read(this.#pairFile, storedPair);
    const key = readTextFile(this.keyFile)?.trim() ?? "";
    if (pair === null) return null;
    if (keyId(key) === pair.key_id) return { pair, key };
    // A new pair's key was written, and then power was lost: the old pair was pending, or it would have been removed before.
    if (pair.state === "pending") return null;
    if (this.kept() !== null) { // the power was lost while the other node was given up
      this.#forgetPair();
      return null;
    }
    throw damaged(this.keyFile, "is not the pair's key");
  }

  /** A new pair. */
  create(pair: StoredPair, key: string): void {
    replaceFile(this.keyFile, { text: `${key}\n`, mode: 0o600 });
    this.update(pair);
  }

  update(pair: StoredPair): void {
    replaceFile(this.#pairFile, { text: `${JSON.stringify(pair, null, 2)}\n`, mode: 0o600 });
  }

  /** Forgets the other node, and all that was agreed with it. `kept`: VMs run on; they, and their runners when one is started anew, get a key that
   * nobody else has. */
  remove(kept: KeptSettings | null = null): void {
    if (kept === null) {
      this.#forgetPair();
      removeFile(this.keyFile);
      return this.replaced();
    }
    replaceFile(this.#keptFile, { text: `${JSON.stringify(kept, null, 2)}\n`, mode: 0o600 });
    replaceFile(this.keyFile, { text: `${random()}\n`, mode: 0o600 });
    this.#forgetPair();
  }

  /** What VMs keep that run on while the other node is being replaced; null: it is not. */
  kept(): KeptSettings | null {
    return this.#read(this.#keptFile, keptSettings);
  }

  /** The new pair is set up. */
  replaced(): void {
    removeFile(this.#keptFile);
  }

  /** Names the key that there is, for whatever pair, without giving it away; null: there is none. */
  keyId(): string | null {
    const key = readTextFile(this.keyFile)?.trim() ?? "";
    return key === "" ? null : keyId(key);
  }

  #forgetPair(): void {
    removeFile(this.#pairFile);
    removeFile(this.#settingsFile);
    this.unstage();
  }

  settings(): StoredSettings {
    return this.#read(this.#settingsFile, storedSettings) ?? NO_SETTINGS;
  }

  writeSettings(settings: StoredSettings): void {
    replaceFile(this.#settingsFile, { text: `${JSON.stringify(settings, null, 2)}\n`, mode: 0o600 });
  }

  /** Writes settings beside the ones that hold: what is left is a change of names, which needs no room on the disk. */
  stage(settings: StoredSettings): void {
    const text = `${JSON.stringify(settings, null, 2)}\n`;
    replaceFile(`${this.#settingsFile}.staged`, { text, mode: 0o600 });
  }

  /** The staged settings hold from now on. */
  commit(): void {
    moveFile(`${this.#settingsFile}.staged`, this.#settingsFile);
  }

  unstage(): void {
    removeFile(`${this.#settingsFile}.staged`);
  }

  #read<Schema extends z.ZodType>(path: string, schema: Schema): z.infer<Schema> | null {
    const text = readTextFile(path);
    if (text === null) return null;
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw damaged(path, "is damaged", cause);
    }
  }
}

function damaged(path: string, what: string, cause?: unknown): EdgeError {
  return new EdgeError(`${path} ${what}`, {
    op: "read the pair",
    hint: "Restore it from a backup; or remove pair.json and pair.key on both nodes, and pair them anew.",
    cause,
  });
}
