/** Who spoke for the guest: judges a capture. Pure. */

import type { Host } from "./places.ts";

/** A frame with the guest's address as sender that a host sent to the LAN. */
export interface GuestFrame {
  /** The host that it came from. */
  host: Host;
  /** When it came out of the host, CLOCK_MONOTONIC. */
  at_us: number;
  /** Length on the wire. */
  bytes: number;
  /** EtherType: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6, 0x8035 RARP. */
  protocol: number;
}

/** A moment from which on a host may take the guest's voice over: when it was decided, by the runner's own event. */
export interface Turn {
  host: Host;
  at_us: number;
}

/** A frame that was said beside the one who had the voice. */
export interface SecondVoice extends GuestFrame {
  /** How long the other one had the voice already; microseconds. */
  late_us: number;
}

/** The frames that break "one voice". The first frame's host has the voice; once the other one has spoken in its turn, every frame of the
 * first is a second voice, until its own turn comes. Without `turns` the voice changes once, whenever the other host first speaks. */
export function voices(frames: readonly GuestFrame[], turns?: readonly Turn[]): SecondVoice[] {
  const second: SecondVoice[] = [];
  let voice: Host | undefined;
  let since_us = 0;
  let changes = 0;
  for (const frame of [...frames].sort((x, y) => x.at_us - y.at_us)) {
    if (frame.host === voice) continue;
    const its_turn = turns === undefined ? changes === 0 : turnAt(turns, frame.at_us) === frame.host;
    if (voice !== undefined && !its_turn) {
      second.push({ ...frame, late_us: frame.at_us - since_us });
      continue;
    }
    if (voice !== undefined) changes++;
    voice = frame.host;
    since_us = frame.at_us;
  }
  return second;
}

/** Whose turn it was; undefined before the first. */
function turnAt(turns: readonly Turn[], at_us: number): Host | undefined {
  let latest: Turn | undefined;
  for (const turn of turns) {
    if (turn.at_us <= at_us && (latest === undefined || turn.at_us >= latest.at_us)) latest = turn;
  }
  return latest?.host;
}
