/** How often somebody may: for each key (an address, an account) a bucket that fills again, in a table that does not grow. */

/** Bounds of a rate. */
export interface Rate {
  /** At once, after a quiet time. */
  burst: number;
  perSecond: number;
  /** Keys that are remembered; the one that was quiet longest is forgotten. */
  keys: number;
}

export class RateLimiter {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, { left: number; at: number }>();

  constructor(rate: Rate, nowMs: () => number) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one: 0, or after how many ms there will be one. */
  take(key: string): number {
    const { burst, perSecond, keys } = this.#rate;
    const now = this.#nowMs();
    const before = this.#buckets.get(key) ?? { left: burst, at: now };
    const left = Math.min(burst, before.left + Math.max(0, now - before.at) * perSecond / 1000);
    this.#buckets.delete(key); // and in again, at the end: the first is the oldest
    if (this.#buckets.size >= keys) this.#buckets.delete(this.#buckets.keys().next().value!);
    this.#buckets.set(key, { left: Math.max(0, left - 1), at: now });
    return left >= 1 ? 0 : Math.ceil((1 - left) * 1000 / perSecond);
  }
}

/** The key of an address: an IPv6 customer has a whole /64. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address);
  if (mapped !== null) return mapped[1]!;
  if (!address.includes(":")) return address;
  const full = URL.parse(`http://[${address.split("%")[0]}]/`)?.hostname.slice(1, -1) ?? address;
  const [head, tail] = full.split("::");
  const groups = head!.split(":").filter((group) => group !== "");
  if (tail !== undefined) {
    const end = tail.split(":").filter((group) => group !== "");
    while (groups.length + end.length < 8) groups.push("0");
    groups.push(...end);
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}
