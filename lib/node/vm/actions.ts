/** What people do with a VM, on whichever node has it. */

import { z } from "zod";
import { EdgeError, RefusedError } from "../../errors.ts";
import type { Actor } from "../../model/backend.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import {
  type SwitchoverView,
  switchoverView,
  VM_ACTIONS,
  type VmAction,
  vmName,
  type VmState,
} from "../../model/vm.ts";
import type { PeerChannel } from "../contracts.ts";
import { freeNumber } from "./host_file.ts";
import type { Members } from "./members.ts";
import { missing, notPaired } from "./relinking.ts";
import { hasVm } from "./phases.ts";
import type { MetadataWord, VmRecord, VmReport } from "./records.ts";
import type { RunnerEvent } from "./runner_link.ts";
import { mergeSwitchovers, type VmStore } from "./store.ts";
import type { Situation } from "./view.ts";
import { specOf } from "./vm_file.ts";
import { actionsOf } from "./view_actions.ts";

const METHOD = "vm.act";
const MOVED_BY = "vm.moved_by";
const START_MS = 90_000;
const STOP_MS = 60_000;
/** How long a VM that may not start yet is waited for. */
const HELD_MS = 8000;
const MOVE_MS = 30_000;
const VERIFY_MS = 60_000;
/** How long an answer of the other node may take, beside what the action takes there. */
const WAY_MS = 5000;

const question = z.strictObject({ name: vmName, action: z.enum(VM_ACTIONS), actor: z.string().max(200) });
const answer = z.object({ detail: z.string().max(4000), switchover: switchoverView.nullable() });
const moved = z.strictObject({ name: vmName, actor: z.string().max(200) });
type Done = z.infer<typeof answer>;

/** Actions that runners are told as they are. */
type Said = "confirm_peer_off" | "promote" | "discard" | "yield";

export interface ActionsOptions {
  store: VmStore;
  members: Members;
  peer: PeerChannel;
  /** This node. */
  node: () => { id: string; name: string };
  configured(): boolean;
  /** Runners can run here. */
  privileged(): boolean;
  /** Changes a VM's settings, and brings them to the other node. */
  change(name: string, change: Partial<VmRecord>): void;
  /** Brings settings and history to the other node; resolves when it has them, or cannot be told. */
  share(): Promise<void>;
  /** Resolves with what is so once `seen` holds, with what is so then after `bound_ms`. */
  until(seen: () => boolean, bound_ms: number): Promise<boolean>;
  now(): number;
}

/** How long the guest may take to power itself off. */
function stopMs(record: VmRecord | undefined): number {
  return 1000 * (specOf(record?.active ?? "")?.stop_s ?? 0);
}

function boundMs(action: VmAction, record: VmRecord): number {
  switch (action) {
    case "start":
      return START_MS;
    case "stop":
      return STOP_MS + stopMs(record);
    case "verify":
      return VERIFY_MS;
    default:
      return MOVE_MS;
  }
}

function said(detail: string): Done {
  return { detail, switchover: null };
}

/** Which copy of a VM that runs nowhere is the newest, as far as two nodes' notes tell; the runners themselves make sure. */
function rank(metadata: MetadataWord | null): number {
  if (metadata === null) return 0;
  const { role, copy, term } = metadata;
  if (role === "stopped") return term * 4 + 3;
  if (role === "primary") return term * 4 + (copy === "none" || copy === "partial" ? 3 : 2);
  return term * 4 + (copy === "whole" ? 1 : 0);
}

/** The words of a runner's refusal, as a problem. */
export function problemOf(error: unknown): unknown {
  if (!(error instanceof EdgeError)) return error;
  const code = error instanceof RefusedError ? "refused" : "failed";
  return new ProblemError(code, { detail: error.message, hint: error.hint });
}

export class Actions {
  readonly #options: ActionsOptions;

  constructor(options: ActionsOptions) {
    this.#options = options;
    options.peer.answer(METHOD, async (params) => {
      const { name, action, actor } = question.parse(params);
      return await this.#here(name, action, actor);
    });
    options.peer.answer(MOVED_BY, (params) => {
      const { name, actor } = moved.parse(params);
      if (options.store.get(name) !== undefined) {
        options.members.asked(name).comes(actor);
      }
      return Promise.resolve(null);
    });
  }

  /** Does it here or on the other node. Throws ProblemError with why not. */
  async act(name: string, action: VmAction, actor: Actor): Promise<Done> {
    const situation = this.#options.members.situation(name);
    const { ok, why } = actionsOf(situation)[action];
    if (!ok) throw this.#refusal(situation, action, why);
    if (!this.#belongsThere(situation, action)) return await this.#here(name, action, actor);
    const timeout_ms = WAY_MS + boundMs(action, situation.record);
    return answer.parse(await this.#options.peer.call(METHOD, { name, action, actor }, { timeout_ms }));
  }

  #refusal({ record, peer }: Situation, action: VmAction, why: string): ProblemError {
    if (action === "start" && (peer === null || !this.#options.configured())) return notPaired();
    return new ProblemError(
      "refused",
      explained("vm.not_now", { name: record.name, action: action.replaceAll("_", " "), why }),
    );
  }

  #belongsThere(situation: Situation, action: VmAction): boolean {
    const { here, there, holder, record } = situation;
    if (there === null) return false;
    const takes = (report: VmReport) => report.commands[action] === null;
    switch (action) {
      case "start":
        if (record.wanted.running && takes(here) !== takes(there)) return takes(there);
        return rank(there.metadata) > rank(here.metadata);
      case "stop":
      case "switchover":
      case "verify":
      case "protect":
      case "unprotect":
      case "yield":
        return holder !== null && holder === there;
      case "promote":
      case "discard":
        return !takes(here) && takes(there);
      case "confirm_peer_off":
      case "delete":
        return false;
      default:
        return action satisfies never;
    }
  }

  async #here(name: string, action: VmAction, actor: Actor): Promise<Done> {
    if (this.#options.store.get(name) === undefined) throw missing(name);
    const wish = this.#options.members.asked(name).begin(action, actor);
    try {
      const done = await this.#does(name, action, actor);
      wish.over();
      return done;
    } catch (error) {
      // What was begun may still come about.
      if (action === "start" || action === "stop") wish.over();
      else wish.refused();
      throw problemOf(error);
    }
  }

  async #does(name: string, action: VmAction, actor: Actor): Promise<Done> {
    switch (action) {
      case "start":
        return await this.#start(name, actor);
      case "stop":
        return await this.#stop(name);
      case "protect":
      case "unprotect":
        return await this.#guard(name, action === "protect");
      case "switchover":
        return await this.#switchover(name, actor);
      case "verify":
        return await this.#verify(name);
      case "confirm_peer_off":
      case "promote":
      case "discard":
      case "yield":
        return await this.#tell(name, action);
      case "delete":
        throw new ProblemError("invalid", explained("vm.delete_command"));
      default:
        return action satisfies never;
    }
  }

  #state(name: string): VmState {
    return this.#options.members.situation(name).state;
  }

  #report(name: string): VmReport {
    return this.#options.members.situation(name).here;
  }

  async #start(name: string, actor: Actor): Promise<Done> {
    const { store, members, change } = this.#options;
    const { record } = store.get(name) ?? {};
    if (record === undefined) throw missing(name);
    if (this.#options.peer.peer === null || !this.#options.configured()) throw notPaired();
    if (!this.#options.privileged()) {
      throw new ProblemError("unprivileged", explained("vm.unprivileged"));
    }
    const supervisor = members.get(name);
    if (!record.wanted.running) await supervisor.gone(STOP_MS); // of the last time
    members.tell(name, "info", { code: "vm.starting", actor });
    store.note(name, { begin: true });
    const wanted = { ...record.wanted, running: true };
    const number = record.number ?? this.#number();
    // One that waits, or has failed, is told again; what its runners agree on stays.
    const anew = supervisor.running ? {} : { active: record.file, starts: record.starts + 1 };
    change(name, { ...anew, wanted, number });
    supervisor.afresh();
    return await this.#begun(name);
  }

  async #begun(name: string): Promise<Done> {
    const { until } = this.#options;
    const begun = () => hasVm(this.#report(name).phase) && this.#report(name).phase !== "starting";
    const failed = () => this.#report(name).failed;
    const since_ms = this.#options.now();
    // It may wait a moment for the other node's runner, which is being started too.
    const held = () =>
      this.#options.now() - since_ms > HELD_MS && ["waiting", "stale"].includes(this.#report(name).phase);
    await until(() => begun() || failed() !== "" || held(), START_MS);
    const { phase, sentence } = this.#report(name);
    if (begun()) return said(sentence);
    if (phase === "waiting" || phase === "stale") {
      throw new ProblemError("refused", explained("vm.waits", { name, why: sentence }));
    }
    throw new ProblemError(
      "failed",
      explained("vm.not_running_yet", {
        name,
        why: failed() || sentence || "its runner does not answer",
      }),
    );
  }

  /** A VM's number is given where it is started first, and is the same on both nodes: one gives even ones, the other odd ones. */
  #number(): number {
    const { store, peer, node } = this.#options;
    return freeNumber(store.all().map(({ record }) => record.number), node().id > (peer.peer?.id ?? ""));
  }

  async #stop(name: string): Promise<Done> {
    const { store, members, change } = this.#options;
    const supervisor = members.get(name);
    const had = hasVm(this.#report(name).phase);
    // Refused, it is as it was.
    if (had && !await this.#poweredOff(name)) await supervisor.call("stop");
    store.note(name, { begin: false });
    const { record } = store.get(name) ?? {};
    if (record?.wanted.running === true) change(name, { wanted: { ...record.wanted, running: false } });
    if (!had) return said(`${name} is not wanted any more.`);
    if (await supervisor.gone(STOP_MS)) return said(`${name} is stopped.`);
    throw new ProblemError("failed", explained("vm.not_stopped", { name, seconds: STOP_MS / 1000 }));
  }

  /** Asks the guest to power itself off, and gives it the time that its file says. */
  async #poweredOff(name: string): Promise<boolean> {
    const { store, members } = this.#options;
    const bound_ms = stopMs(store.get(name)?.record);
    if (bound_ms === 0) return false;
    try {
      await members.get(name).call("power_button");
    } catch {
      return false; // one that cannot be asked is ended
    }
    return await members.get(name).gone(bound_ms);
  }

  async #guard(name: string, wanted: boolean): Promise<Done> {
    const { store, members, change, until } = this.#options;
    const { record } = store.get(name) ?? {};
    if (record === undefined) throw missing(name);
    change(name, { wanted: { ...record.wanted, protected: wanted } });
    const { holder, here } = members.situation(name);
    if (holder === null) return said(`${name} will ${wanted ? "" : "not "}be protected when it runs.`);
    if (holder === here) await members.get(name).call(wanted ? "protect" : "unprotect");
    const goal: readonly VmState[] = wanted ? ["syncing", "protected", "degraded"] : ["unprotected"];
    await until(() => goal.includes(this.#state(name)), 10_000);
    return said(members.situation(name).holder?.sentence ?? "");
  }

  async #tell(name: string, command: Said): Promise<Done> {
    const { members } = this.#options;
    await members.get(name).call(command);
    members.get(name).look();
    return said(`${name}: ${command.replaceAll("_", " ")} was told to its runner.`);
  }

  async #verify(name: string): Promise<Done> {
    const heard = this.#event(name, (event) => event.event === "verified" ? event : undefined);
    using _ = heard;
    await this.#options.members.get(name).call("verify");
    const event = await heard.within(VERIFY_MS);
    if (event === null) {
      throw new ProblemError("failed", explained("vm.not_compared"));
    }
    const wrong = ["memory", "blocks", "device", "disk"].filter((part) => event[part] !== true);
    const result = wrong.length === 0 ? "byte for byte the primary" : `different in ${wrong.join(", ")}`;
    return said(`At epoch ${event["epoch"]} the backup is ${result}.`);
  }

  async #switchover(name: string, by: Actor): Promise<Done> {
    const { store, members, peer, node, now } = this.#options;
    const from = node().name;
    const to = peer.peer?.name ?? "?";
    const at = new Date(now()).toISOString();
    let handing = false;
    using moved = this.#event(name, (event) => {
      if (event.event === "switchover") return { pause_us: Number(event["pause_us"]), why: "" };
      if (event.event !== "state") return undefined;
      handing ||= event["to"] === "handing";
      const back = handing && ["protected", "solo", "stopped"].includes(String(event["to"]));
      return back ? { pause_us: null, why: String(event["sentence"]) } : undefined;
    });
    // Its runner tells there that the VM has come.
    void peer.call(MOVED_BY, { name, actor: by }).catch(() => {});
    await members.get(name).call("switchover");
    const result = await moved.within(MOVE_MS) ??
      { pause_us: null, why: `it was not measured within ${MOVE_MS / 1000} s` };
    const ok = result.pause_us !== null;
    const pause_ms = result.pause_us === null ? null : Math.round(result.pause_us) / 1000;
    const detail = ok ? `It stood still for ${pause_ms} ms.` : result.why;
    const view: SwitchoverView = { at, by, from, to, pause_ms, ok, detail };
    const before = store.get(name)?.local.switchovers ?? [];
    store.note(name, { switchovers: mergeSwitchovers(before, [view]) });
    if (!ok) {
      members.tell(name, "warning", { code: "vm.switchover_failed", params: { why: result.why }, actor: by });
    }
    await this.#options.share();
    return { detail, switchover: view };
  }

  /** Waits for a runner's event, from now on. */
  #event<T>(name: string, wanted: (event: RunnerEvent) => T | undefined) {
    const found = Promise.withResolvers<T>();
    const listening = this.#options.members.listen(name, (event) => {
      const one = wanted(event);
      if (one !== undefined) found.resolve(one);
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    return {
      within: (bound_ms: number): Promise<T | null> => {
        const late = new Promise<null>((resolve) => timer = setTimeout(() => resolve(null), bound_ms));
        return Promise.race([found.promise, late]);
      },
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        listening[Symbol.dispose]();
      },
    };
  }
}
