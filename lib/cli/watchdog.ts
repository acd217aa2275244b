/** A runner's hardware watchdog: used by its host's file, and what is to be said of it. */

import type { Engine } from "../../ffi/engine.ts";
import type { HostConfig } from "../vm/host_config.ts";

/** How often it is looked whether something has changed. */
const LOOK_MS = 1000;

/** Uses it, unless it is off. */
export function openWatchdog(engine: Engine, { watchdog, watchdog_s }: HostConfig["fencing"]): void {
  if (watchdog === "off") return;
  engine.watchdog({ path: watchdog === "auto" ? "" : watchdog, timeoutS: watchdog_s });
}

/** Its state, for people: `armed` while a VM is here, `ready` else. */
export function watchdogState(
  engine: Engine,
  { watchdog }: HostConfig["fencing"],
): { state: string; why: string } {
  return watchdog === "off"
    ? { state: "off", why: "watchdog is off in the host's file" }
    : engine.watchdogState();
}

/** Reports its state at the start, and each change of it. */
export function watchWatchdog(
  engine: Engine,
  options: { fencing: HostConfig["fencing"]; report: (event: Record<string, unknown>) => void },
): Disposable {
  const { fencing, report } = options;
  let said = "";
  const look = () => {
    const state = watchdogState(engine, fencing);
    const text = JSON.stringify(state);
    if (text !== said) report({ event: "watchdog", t_us: engine.clockUs(), ...state });
    said = text;
  };
  look();
  const timer = setInterval(look, LOOK_MS);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
