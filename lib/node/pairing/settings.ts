/** Links, LAN and arbiter of the pair: the same on both nodes, local and peer exchanged. A change is checked by both and written beside the old
 * settings on both; then each takes it by a change of names. Should a node die in between, the two find out which revision is the newer one as
 * soon as they meet, and the other one takes it. */

import { z } from "zod";
import { type PairSettings, pairSettings } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { readNodeId } from "../../node_id.ts";
import { type PeerChannel, REVISION_MAX } from "../contracts.ts";
import { type PairStore, type StoredSettings, storedSettings } from "./store.ts";
import type { NodeInterface } from "./types.ts";

const METHOD = {
  prepare: "pair.settings.prepare",
  commit: "pair.settings.commit",
  show: "pair.settings.show",
};

/** What it works with. */
export interface SettingsOptions {
  store: PairStore;
  channel: PeerChannel;
  interfaces(): NodeInterface[];
  /** Whether a bridge is there. */
  bridge(name: string): boolean;
  /** This node's ID: of two changes with the same revision, that of the node with the smaller ID counts. */
  id(): string;
  /** Why they do not go together with VMs that run here; null: they do. */
  unfit(settings: PairSettings): string | null;
  /** They are others now. `byOther`: the other node changed them. */
  changed(byOther: boolean): void;
}

/** The settings as the other node has them. */
export function exchanged(settings: PairSettings): PairSettings {
  const swap = <Path extends { local: string; peer: string }>(path: Path): Path => ({
    ...path,
    local: path.peer,
    peer: path.local,
  });
  return {
    ...settings,
    link_a: swap(settings.link_a),
    link_b: settings.link_b === null ? null : swap(settings.link_b),
    lan: settings.lan === null ? null : swap(settings.lan),
  };
}

type Field = { key: string; problem: string };

/** What is wrong with settings wherever they hold. */
function inThemselves(settings: PairSettings): Field[] {
  const { link_a, link_b, lan, arbiter, witness } = settings;
  const fields: Field[] = [];
  const paths = Object.entries({ link_a, link_b, lan }).filter(([, path]) => path !== null);
  for (const [key, path] of paths) {
    if (path!.local === path!.peer) {
      fields.push({ key: `${key}.peer`, problem: `${path!.peer} is this node's own address on that path` });
    }
  }
  if (link_b !== null && (link_b.local === link_a.local || link_b.peer === link_a.peer)) {
    fields.push({
      key: "link_b",
      problem: "it is the same line as link A; give it addresses of its own, or leave it out",
    });
  }
  if (arbiter === "witness" && witness === null) {
    fields.push({ key: "witness", problem: "say where the witness is, and its ID" });
  }
  if (arbiter === "lan" && (lan === null || lan.reference === null)) {
    fields.push({
      key: "lan.reference",
      problem: "the LAN can only decide with an address that answers there, such as the gateway's",
    });
  }
  const read = witness === null ? { id: "" } : readNodeId(witness.id);
  if ("problem" in read) fields.push({ key: "witness.id", problem: read.problem });
  return fields;
}

/** As the other node may say them. */
const heardSettings = storedSettings.extend({ revision: storedSettings.shape.revision.max(REVISION_MAX) });

export class SettingsSync {
  readonly #options: SettingsOptions;
  #current: StoredSettings;
  #staged: StoredSettings | null = null;
  /** A change that this node has begun. */
  #changing = false;

  constructor(options: SettingsOptions) {
    this.#options = options;
    this.#current = options.store.settings();
    options.store.unstage();
    const { channel } = options;
    const stored = (raw: unknown) => {
      const read = heardSettings.safeParse(raw);
      if (read.success) return read.data;
      throw new ProblemError("invalid", explained("pair.settings_unknown"));
    };
    channel.answer(METHOD.prepare, (raw) => Promise.resolve(this.#prepare(stored(raw))));
    channel.answer(
      METHOD.commit,
      (raw) => Promise.resolve(this.#commit(z.object({ change: z.string() }).parse(raw))),
    );
    channel.answer(METHOD.show, () => Promise.resolve(this.#shown()));
  }

  get settings(): PairSettings | null {
    return this.#current.settings;
  }

  /** They are gone with the pair. */
  forget(): void {
    this.#current = this.#options.store.settings();
    this.#staged = null;
  }

  /** Sets them on both nodes, or on neither. Throws ProblemError. */
  async configure(raw: PairSettings): Promise<void> {
    const read = pairSettings.safeParse(raw);
    if (!read.success) {
      throw invalid(
        read.error.issues.map(({ path, message }) => ({ key: path.join("."), problem: message })),
      );
    }
    const { store, channel } = this.#options;
    if (this.#changing) throw busy();
    this.#changing = true;
    try {
      this.#check(read.data, "here");
      const { revision } = this.#current;
      const next = { revision: revision + 1, change: crypto.randomUUID(), settings: read.data };
      await channel.call(METHOD.prepare, { ...next, settings: exchanged(read.data) });
      store.stage(next);
      store.commit();
      this.#current = next;
      // From here on it holds: if the other one does not hear this, it takes it when the two meet again.
      const commit = () => channel.call(METHOD.commit, { change: next.change });
      await commit().catch(commit).catch(() => {});
    } finally {
      this.#changing = false;
    }
    this.#options.changed(false);
  }

  /** The two have met: whoever has the older revision takes the other's. */
  async reconcile(): Promise<void> {
    const read = heardSettings.safeParse(await this.#options.channel.call(METHOD.show, {}));
    if (!read.success || read.data.settings === null || this.#changing) return;
    const { revision, change } = read.data;
    const { channel, id, store } = this.#options;
    const newer = revision > this.#current.revision ||
      (revision === this.#current.revision && change !== this.#current.change &&
        (channel.peer?.id ?? "") < id());
    if (!newer) return;
    this.#current = { ...read.data, settings: exchanged(read.data.settings) };
    store.writeSettings(this.#current);
    this.#staged = null;
    store.unstage();
    this.#options.changed(true);
  }

  #shown(): StoredSettings {
    return this.#current;
  }

  #check(settings: PairSettings, where: "here" | "there"): void {
    const fields = inThemselves(settings);
    const own = new Set(this.#options.interfaces().map(({ address }) => address));
    const [side, name] = where === "here" ? ["local", "this node"] : ["peer", "the other node"];
    for (
      const [key, path] of Object.entries({
        link_a: settings.link_a,
        link_b: settings.link_b,
        lan: settings.lan,
      })
    ) {
      if (path !== null && !own.has(path.local)) {
        const seen = [...own].join(", ") || "none";
        fields.push({
          key: `${key}.${side}`,
          problem: `${name} does not have ${path.local}; it has ${seen}`,
        });
      }
    }
    if (settings.lan !== null && !this.#options.bridge(settings.lan.bridge)) {
      fields.push({ key: "lan.bridge", problem: `${name} has no bridge ${settings.lan.bridge}` });
    }
    const unfit = fields.length > 0 ? null : this.#options.unfit(settings);
    if (unfit !== null) fields.push({ key: "", problem: unfit });
    if (fields.length > 0) throw invalid(fields);
  }

  /** The other node wants to change them. */
  #prepare(next: StoredSettings): Record<string, never> {
    if (this.#changing) throw busy();
    if (next.settings === null || next.revision <= this.#current.revision) {
      throw new ProblemError("conflict", explained("pair.settings_newer"));
    }
    this.#check(next.settings, "there");
    this.#options.store.stage(next);
    this.#staged = next;
    return {};
  }

  #commit({ change }: { change: string }): Record<string, never> {
    if (this.#staged?.change !== change) {
      if (this.#current.change === change) return {};
      throw new ProblemError("conflict", explained("pair.settings_between"));
    }
    this.#options.store.commit();
    this.#current = this.#staged;
    this.#staged = null;
    this.#options.changed(true);
    return {};
  }
}

function invalid(fields: readonly Field[]): ProblemError {
  const problems = fields.map(({ key, problem }) => key === "" ? problem : `${key}: ${problem}`).join("; ");
  return new ProblemError("invalid", { ...explained("pair.settings_wrong", { problems }), fields });
}

function busy(): ProblemError {
  return new ProblemError("conflict", explained("pair.settings_busy"));
}
