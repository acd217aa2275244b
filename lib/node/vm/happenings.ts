/** What a runner says, as events of the node. Each node tells of its own runner; that two runners are protected is the primary's to tell. */

import type { Actor } from "../../model/backend.ts";
import type { EventCode } from "../../model/english.ts";
import type { NewEvent } from "../../model/event.ts";
import type { Params, Severity } from "../../model/sentence.ts";
import type { RunnerEvent } from "./runner_link.ts";

/** Who is who. */
export interface Who {
  vm: string;
  node: string;
  peer: string;
}

/** The same alarm is told again only after this. */
const REPEAT_MS = 60_000;
/** Alarms that are remembered. */
const ALARMS_MAX = 100;

export function vmEvent(
  vm: string,
  severity: Severity,
  said: { code: EventCode; params?: Params; actor?: string | null },
): NewEvent {
  const { code, params = {}, actor = null } = said;
  return { severity, subject: "vm", name: vm, code, params, actor };
}

/** Follows one runner's events. */
export class Happenings {
  readonly #who: () => Who;
  readonly #whose: (code: EventCode) => Actor | null;
  /** Why output was held last. */
  #cause = "";
  /** It was handed over, or is being. */
  #moves = false;
  readonly #alarms = new Map<string, number>();

  /** `whose`: who wanted what happened (asked.ts). */
  constructor(who: () => Who, whose: (code: EventCode) => Actor | null = () => null) {
    this.#who = who;
    this.#whose = whose;
  }

  /** The events that one of a runner's is; `handed`: the other node says that it handed the VM over. */
  of(event: RunnerEvent, now_ms: number, handed = false): NewEvent[] {
    switch (event.event) {
      case "state":
        return this.#state(event, handed);
      case "alarm":
        // A VM that was handed over is ended where it was: that is no news.
        // So it is when somebody wants the VM unprotected, for a moment.
        if (event["code"] === "held" && this.#cause === "operator") return [];
        if (this.#moves && event["code"] === "fenced") return [];
        return this.#alarm(String(event["text"]), now_ms);
      case "problem":
        return this.#alarm(String(event["text"]), now_ms);
      case "switchover": {
        const { node, peer } = this.#who();
        const pause_ms = Math.round(Number(event["pause_us"])) / 1000;
        return [this.#done("info", "vm.switchover", { from: node, to: peer, pause_ms })];
      }
      case "verified":
        return [this.#verified(event)];
      default:
        return [];
    }
  }

  #say(severity: Severity, code: EventCode, params: Params = {}): NewEvent {
    return vmEvent(this.#who().vm, severity, { code, params });
  }

  /** Somebody may have wanted it. */
  #done(severity: Severity, code: EventCode, params: Params = {}): NewEvent {
    return vmEvent(this.#who().vm, severity, { code, params, actor: this.#whose(code) });
  }

  #verified(event: RunnerEvent): NewEvent {
    const wrong = ["memory", "blocks", "device", "disk"].filter((part) => event[part] !== true);
    return wrong.length === 0
      ? this.#done("ok", "vm.verified", { result: "byte for byte the same" })
      : this.#done("critical", "vm.verified", { result: `different in ${wrong.join(", ")}` });
  }

  #alarm(text: string, now_ms: number): NewEvent[] {
    const last = this.#alarms.get(text);
    if (last !== undefined && now_ms - last < REPEAT_MS) return [];
    this.#alarms.delete(text);
    this.#alarms.set(text, now_ms);
    for (const [oldest] of this.#alarms) if (this.#alarms.size > ALARMS_MAX) this.#alarms.delete(oldest);
    const why = /^The (?:VM|copy) is not started: (.*)$/s.exec(text)?.[1];
    return [
      why === undefined
        ? this.#say("warning", "vm.alarm", { text: text.slice(0, 1000) })
        : this.#say("warning", "vm.waiting", { why: why.slice(0, 1000) }),
    ];
  }

  #state(event: RunnerEvent, handed: boolean): NewEvent[] {
    const from = String(event["from"]);
    const to = String(event["to"]);
    const phase = (event["phase"] ?? {}) as Record<string, unknown>;
    const why = String(phase["why"] ?? "");
    if (from === to && to !== "asynchronous") return [];
    if (["protected", "receiving", "solo", "deciding"].includes(to)) this.#moves = false;
    switch (to) {
      case "handing":
        this.#moves = true;
        return [];
      case "solo":
        return this.#solo(from, handed);
      case "syncing":
        return [this.#done("info", "vm.syncing")];
      case "protected":
        return [this.#say("ok", "vm.protected")];
      case "asynchronous":
        return phase["step"] === "on" ? [this.#say("warning", "vm.degraded", { why })] : [];
      case "deciding":
      case "asking":
        this.#cause = String(phase["cause"] ?? "");
        if (this.#cause === "operator" || this.#cause === "handed") return [];
        return [this.#say("warning", "vm.deciding", { why: CAUSES[this.#cause] ?? this.#cause })];
      case "diverged":
        return phase["step"] === "shown" ? [this.#say("critical", "vm.diverged", { why })] : [];
      case "stopped":
        return from === "stopping"
          ? [this.#done("info", "vm.stopped", { why })]
          : [this.#say("critical", "vm.failed", { why })];
      default:
        return [];
    }
  }

  #solo(from: string, handed: boolean): NewEvent[] {
    const { node } = this.#who();
    if (from === "starting") return [this.#done("info", "vm.runs", { node })];
    if (from === "promoting") {
      // Who asked for the move is known before the other runner says that it handed the VM over.
      const mover = this.#whose("vm.switchover");
      if (!handed && mover === null) return [this.#done("warning", "vm.taken_over", { node })];
      return [vmEvent(this.#who().vm, "info", { code: "vm.runs", params: { node }, actor: mover })];
    }
    if (from !== "going_solo") return [];
    return this.#cause === "operator"
      ? [this.#done("warning", "vm.unprotected", { why: "somebody wanted it" })]
      : [this.#say("critical", "vm.unprotected", { why: CAUSES[this.#cause] ?? this.#cause })];
  }
}

/** Cause of lib/group/types.ts, for people. */
const CAUSES: Readonly<Record<string, string>> = {
  silence: "the other node is not heard",
  links: "both replication lines are down",
  promised: "the other node gave its copy up",
  "copy-lost": "the other node has lost its copy",
  stall: "the backup does not keep up",
  engine: "the engine could not go on protecting it",
  yielded: "the VM ended on the other node",
};
