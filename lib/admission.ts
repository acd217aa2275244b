/** Which connections a server on the LAN lets begin, before it knows who they are: bounded in all, bounded and slowed for each address, and
 * none for long. What strangers can use up is so little that those who belong here do not notice. A leaf: the witness and the nodes use it. */

/** Bounds on connections whose other end is not known yet. */
export interface AdmissionLimits {
  /** In all; the oldest one goes when another comes. */
  unproven: number;
  /** From one address at a time. */
  perAddress: number;
  /** From one address: new ones per second, and how many at once after a quiet time. */
  perSecond: number;
  burst: number;
  /** Time to prove who one is, ms. */
  proofMs: number;
}

export const ADMISSION: AdmissionLimits = {
  unproven: 128,
  perAddress: 32,
  perSecond: 20,
  burst: 100,
  proofMs: 5000,
};

/** Addresses that are remembered. */
const ADDRESSES_MAX = 4096;

/** Something that can be got rid of: a socket. */
export interface Guest {
  destroy(): void;
}

/** So many at once, so many a second. */
export class Allowance {
  readonly #options: { burst: number; perSecond: number; nowMs(): number };
  #left: number;
  #at: number;

  constructor(options: { burst: number; perSecond: number; nowMs(): number }) {
    this.#options = options;
    this.#left = options.burst;
    this.#at = options.nowMs();
  }

  /** Takes one, if there is one; else returns after how many ms there will be. */
  take(): number {
    const { burst, perSecond, nowMs } = this.#options;
    const now = nowMs();
    this.#left = Math.min(burst, this.#left + (now - this.#at) * perSecond / 1000);
    this.#at = now;
    if (this.#left < 1) return (1 - this.#left) * 1000 / perSecond;
    this.#left -= 1;
    return 0;
  }
}

interface Origin {
  allowance: Allowance;
  unproven: number;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #nowMs: () => number;
  readonly #origins = new Map<string, Origin>();
  readonly #unproven = new Map<Guest, { address: string; timer: ReturnType<typeof setTimeout> }>();

  constructor(limits: AdmissionLimits, nowMs: () => number) {
    this.#limits = limits;
    this.#nowMs = nowMs;
  }

  /** Connections that have not proved who they are. */
  get unproven(): number {
    return this.#unproven.size;
  }

  /** Lets one in, for proofMs at most; false: it was sent away. */
  admit(guest: Guest, address: string): boolean {
    const origin = this.#origin(address);
    if (origin.unproven >= this.#limits.perAddress || origin.allowance.take() > 0) {
      guest.destroy();
      return false;
    }
    if (this.#unproven.size >= this.#limits.unproven) {
      const [oldest] = this.#unproven.keys();
      if (oldest !== undefined) this.#end(oldest);
    }
    origin.unproven++;
    const timer = setTimeout(() => this.#end(guest), this.#limits.proofMs);
    this.#unproven.set(guest, { address, timer });
    return true;
  }

  /** It has proved who it is, or it is gone. */
  leave(guest: Guest): void {
    const entry = this.#unproven.get(guest);
    if (entry === undefined) return;
    this.#unproven.delete(guest);
    clearTimeout(entry.timer);
    const origin = this.#origins.get(entry.address);
    if (origin !== undefined) origin.unproven--;
  }

  #end(guest: Guest): void {
    this.leave(guest);
    guest.destroy();
  }

  #origin(address: string): Origin {
    const { perSecond, burst } = this.#limits;
    const known = this.#origins.get(address);
    if (known !== undefined) return known;
    if (this.#origins.size >= ADDRESSES_MAX) {
      const [idle] = [...this.#origins].find(([, { unproven }]) => unproven === 0) ?? [];
      if (idle !== undefined) this.#origins.delete(idle);
    }
    const origin = { unproven: 0, allowance: new Allowance({ burst, perSecond, nowMs: this.#nowMs }) };
    this.#origins.set(address, origin);
    return origin;
  }
}
