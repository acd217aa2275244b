/** A VM's host.toml: made of the pair's settings, this machine's own, and the VM's number. */

import { stringify } from "smol-toml";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { PairSettings } from "../../model/node.ts";
import { type HostConfig, type HostTuning, parseHostConfig } from "../../vm/host_config.ts";
import type { NodePlaces } from "../contracts.ts";

/** The first VM's replication lines and heartbeats. */
export const FIRST_PORT = 7820;
/** Ports of one VM. */
const PORTS = 4;
/** Numbers that fit below the last port. */
export const NUMBERS = Math.floor((65533 - FIRST_PORT) / PORTS);

/** The first of the ports of the VM with this number. */
export function portOf(number: number): number {
  return FIRST_PORT + PORTS * number;
}

export interface HostFileOptions {
  places: NodePlaces;
  node: string;
  number: number;
  settings: PairSettings;
  tuning: HostTuning;
}

/** The text, checked as the runner will check it. Throws ProblemError invalid. */
export function hostFile(options: HostFileOptions): { text: string; config: HostConfig } {
  const { places, settings, tuning } = options;
  const { link_a, link_b, lan, arbiter, witness } = settings;
  const { qemu, qemu_user, fencing, rhythm, sync } = tuning;
  const path = ({ local, peer }: { local: string; peer: string }) => ({ local, peer });
  const text = stringify({
    node: options.node,
    run_dir: places.run,
    data_dir: `${places.data}/vms`,
    key_file: `${places.data}/pair.key`,
    port: portOf(options.number),
    arbiter,
    ...(qemu_user === undefined ? {} : { qemu_user }),
    link: [path(link_a), ...(link_b === null ? [] : [path(link_b)])],
    ...(lan === null ? {} : {
      lan: {
        ...path(lan),
        bridge: lan.bridge,
        ...(lan.reference === null ? {} : { reference: lan.reference }),
      },
    }),
    ...(witness === null || arbiter !== "witness"
      ? {}
      : { witness: { ...witness, identity: `${places.data}/identity` } }),
    heartbeat: { takeover_ms: settings.takeover_ms },
    qemu,
    ...JSON.parse(JSON.stringify({ fencing, rhythm, sync })), // without what is undefined
  });
  try {
    return { text: `${text}\n`, config: parseHostConfig({ file: "host.toml", text }) };
  } catch (error) {
    throw new ProblemError(
      "invalid",
      explained("vm.host_file", { why: error instanceof Error ? error.message : String(error) }),
    );
  }
}

/** The smallest number that is free. Two nodes that cannot ask each other never give the same one: `odd` is true on one of them. */
export function freeNumber(taken: readonly (number | null)[], odd: boolean): number {
  for (let number = odd ? 1 : 0; number < NUMBERS; number += 2) {
    if (!taken.includes(number)) return number;
  }
  throw new ProblemError("too_many", explained("vm.no_ports"));
}
