/** Which connections there may be, and for how long: bounded in all and for each address, with a deadline for all that a client can be slow
 * at. Deno.serve has none of this: a connection that never finishes its request is kept for ever.
 *
 *   waiting ──a whole request head──► active ──answered──► waiting …
 *   first request, TLS included: firstMs     idle (no byte either way): activeIdleMs
 *   later ones: waitingMs
 *
 * One who is new is never turned away because others of the same address are slow: the oldest of those goes. */

import { addressKey, type Rate, RateLimiter } from "../../lib/access/rate.ts";

/** Bounds on connections. */
export interface ConnectionLimits {
  /** In all, and of one address. */
  total: number;
  perAddress: number;
  /** Of these, without a request yet. */
  unproven: number;
  unprovenPerAddress: number;
  firstMs: number;
  waitingMs: number;
  /** Without a byte either way while a request is being answered, or a channel is open. */
  activeIdleMs: number;
  /** A client that takes no bytes. */
  writeMs: number;
  /** New ones of one address. */
  rate: Rate;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  total: 768,
  perAddress: 160,
  unproven: 256,
  unprovenPerAddress: 64,
  firstMs: 10_000,
  waitingMs: 60_000,
  activeIdleMs: 15 * 60_000,
  writeMs: 60_000,
  rate: { burst: 300, perSecond: 100, keys: 4096 },
};

/** A connection as it is counted. */
export interface Tracked {
  readonly address: string;
  /** Bytes passed, either way. */
  moved(): void;
  /** A write to the client begins, ends. */
  writing(on: boolean): void;
  /** A request's head was there whole; it was answered. */
  began(): void;
  ended(): void;
  /** It is gone. */
  left(): void;
}

interface Entry {
  key: string;
  proven: boolean;
  active: number;
  /** When it began, or its last request's end. */
  since: number;
  movedAt: number;
  writingSince: number | null;
  close(why: string): void;
}

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #nowMs: () => number;
  readonly #rate: RateLimiter;
  /** Oldest first. */
  readonly #entries = new Set<Entry>();

  constructor(limits: ConnectionLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
    this.#rate = new RateLimiter(limits.rate, nowMs);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Lets one in, perhaps in the place of another, which is closed; null: not now. */
  admit(address: string, close: (why: string) => void): Tracked | null {
    const key = addressKey(address);
    if (this.#rate.take(key) > 0 || !this.#makeRoom(key)) return null;
    const now = this.#nowMs();
    const entry: Entry = {
      key,
      proven: false,
      active: 0,
      since: now,
      movedAt: now,
      writingSince: null,
      close,
    };
    this.#entries.add(entry);
    return this.#tracked(entry, address);
  }

  #tracked(entry: Entry, address: string): Tracked {
    const at = this.#nowMs;
    return {
      address,
      moved: () => void (entry.movedAt = at()),
      writing: (on) => void (entry.writingSince = on ? at() : null),
      began() {
        entry.proven = true;
        entry.active++;
      },
      ended() {
        entry.active--;
        entry.since = at();
      },
      left: () => void this.#entries.delete(entry),
    };
  }

  /** Closes those whose time is up. To be called about once a second. */
  sweep(): void {
    const now = this.#nowMs();
    for (const entry of [...this.#entries]) {
      const why = this.#overdue(entry, now);
      if (why !== null) this.#close(entry, why);
    }
  }

  #overdue(entry: Entry, now: number): string | null {
    const limits = this.#limits;
    if (entry.writingSince !== null && now - entry.writingSince >= limits.writeMs) return "takes nothing";
    if (entry.active > 0) return now - entry.movedAt >= limits.activeIdleMs ? "idle" : null;
    return now - entry.since >= (entry.proven ? limits.waitingMs : limits.firstMs) ? "no request" : null;
  }

  #close(entry: Entry, why: string): void {
    this.#entries.delete(entry);
    entry.close(why);
  }

  #makeRoom(key: string): boolean {
    const { total, perAddress, unproven, unprovenPerAddress } = this.#limits;
    const all = [...this.#entries];
    const ofAddress = all.filter((entry) => entry.key === key);
    const isUnproven = (entry: Entry) => !entry.proven;
    const own = ofAddress.filter(isUnproven);
    if (own.length >= unprovenPerAddress) this.#close(own[0]!, "others of its address came");
    else if (ofAddress.length >= perAddress && !this.#closeOne(ofAddress)) return false;
    const strangers = [...this.#entries].filter(isUnproven);
    if (strangers.length >= unproven) this.#close(ofBusiest(strangers), "too many without a request");
    if (this.#entries.size >= total && !this.#closeOne([...this.#entries])) return false;
    return true;
  }

  /** One that did not ask yet, else the one that has been waiting longest. */
  #closeOne(entries: Entry[]): boolean {
    const waiting = entries.filter(({ active }) => active === 0);
    const victim = waiting.find(({ proven }) => !proven) ?? waiting.sort((a, b) => a.since - b.since)[0];
    if (victim === undefined) return false;
    this.#close(victim, "too many connections");
    return true;
  }
}

/** The oldest one of the address that has most. */
function ofBusiest(entries: Entry[]): Entry {
  const counts = new Map<string, number>();
  for (const { key } of entries) counts.set(key, (counts.get(key) ?? 0) + 1);
  const [busiest] = [...counts].reduce((a, b) => b[1] > a[1] ? b : a);
  return entries.find(({ key }) => key === busiest)!;
}
