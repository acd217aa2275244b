/** What the engine reports, as the decision knows it. */

import { EngineError } from "../../ffi/engine.ts";
import type { EngineEvent } from "../../ffi/events.ts";
import { errorText } from "../errors.ts";
import type { GroupEvent } from "./types.ts";

/** The decision's event; null for what it does not go by (progress, counters, messages). */
export function groupEvent(event: EngineEvent): GroupEvent | null {
  switch (event.event) {
    case "peer":
      return { kind: "peer", silent: event.silent, lanAnswers: event.lan_answers, checked: false };
    case "own_stall":
      return { kind: "own_stall" };
    case "path":
      return { kind: "path", path: event.path, alive: event.alive };
    case "word":
      return { kind: "word", word: event };
    case "link":
      return { kind: "link", link: event.link === 0 ? 0 : 1, up: event.up };
    case "protected":
      return { kind: "protected" };
    case "whole":
      return { kind: "whole", epoch: event.epoch };
    case "stalled":
      return { kind: "stalled" };
    case "synchronous":
      return { kind: "synchronous" };
    case "handed":
      return { kind: "handed" };
    case "qemu_lost":
      return { kind: "qemu_lost", why: event.reason };
    case "qemu":
      return event.name === "SHUTDOWN" ? { kind: "guest_off" } : null;
    case "sync_failed":
      return { kind: "sync_failed", why: event.text, resumable: event.resumable };
    case "protection_failed":
      return { kind: "protection_failed", why: event.text };
    case "failed":
      return { kind: "engine_failed", why: event.text };
    case "disk":
      return { kind: "disk_failed", why: event.what };
    default:
      return null;
  }
}

/** A sync that the engine did not begin. Between the other host's word and this one the last line may have gone: then the VM runs on alone as before. */
export function syncRefused(error: unknown): GroupEvent {
  const why = errorText(error);
  const lineLost = error instanceof EngineError && error.is("ELINK");
  return lineLost ? { kind: "sync_failed", why, resumable: false } : { kind: "engine_failed", why };
}
