/** Passwords: kept as scrypt (RFC 7914) of the password and a salt, checked a few at a time, so that many who sign in at once use up
 * neither memory nor processors. */

import { Buffer } from "node:buffer";
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";

/** What one check costs: 128 * n * r bytes, and time by n * r * p. */
export interface Cost {
  n: number;
  r: number;
  p: number;
}

/** 32 MiB; one of the equal choices of OWASP's Password Storage Cheat Sheet for scrypt. */
export const COST: Cost = { n: 1 << 15, r: 8, p: 3 };
/** Checks at the same time, and how many more may wait. */
const AT_ONCE = 2;
const WAITING = 32;
const MEMORY_MAX = 256 << 20;
const KEPT = /^scrypt\$(\d+)\$(\d+)\$(\d+)\$([A-Za-z0-9_-]{22})\$([A-Za-z0-9_-]{43})$/;

/** Often tried first; shorter ones are refused for their length. */
const COMMON = new Set([
  ..."1234567890 0123456789 0987654321 12345678910 1q2w3e4r5t 1qaz2wsx3edc qwertyuiop qwerty12345 qwerty123456 passw0rd123"
    .split(" "),
  ..."password12 password123 password1234 administrator administrator1 changeme123 letmein123 welcome123 iloveyou123"
    .split(" "),
  ..."iservft-edge iservftedge p@ssw0rd123 asdfghjkl1 abcdefghij abcd123456 a123456789 aa12345678 admin12345 admin123456"
    .split(" "),
]);

/** Why a new password will not do; null: it will. */
export function passwordProblem(password: string, name: string): string | null {
  const plain = password.toLowerCase();
  if (new Set(plain).size < 4) return "has fewer than four different characters";
  if (COMMON.has(plain)) return "is one of those that are tried first";
  if (name.length >= 3 && plain.includes(name) && plain.length < name.length + 8) {
    return "is little more than the account's name";
  }
  return null;
}

/** Throws unless a new password will do. */
export function checkNewPassword(password: string, name: string): void {
  const problem = passwordProblem(password, name);
  if (problem === null) return;
  throw new ProblemError("invalid", {
    ...explained("access.password", { problem }),
    fields: [{ key: "password", problem }],
  });
}

export class Passwords {
  readonly #cost: Cost;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(cost: Cost = COST) {
    this.#cost = cost;
  }

  /** What is kept of a password. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(16);
    const { n, r, p } = this.#cost;
    const key = await this.#derive(password, { salt, cost: this.#cost });
    return `scrypt$${n}$${r}$${p}$${salt.toString("base64url")}$${key.toString("base64url")}`;
  }

  /** Is it the one? `kept` null (no such account): as much work, and false. */
  async verify(password: string, kept: string | null): Promise<boolean> {
    const parts = kept === null ? null : KEPT.exec(kept);
    const cost = parts === null
      ? this.#cost
      : { n: Number(parts[1]), r: Number(parts[2]), p: Number(parts[3]) };
    const salt = parts === null ? randomBytes(16) : Buffer.from(parts[4]!, "base64url");
    const key = await this.#derive(password, { salt, cost });
    return parts !== null && timingSafeEqual(key, Buffer.from(parts[5]!, "base64url"));
  }

  /** Was it kept at another cost than now? */
  outdated(kept: string): boolean {
    const { n, r, p } = this.#cost;
    return !kept.startsWith(`scrypt$${n}$${r}$${p}$`);
  }

  async #derive(password: string, options: { salt: Buffer; cost: Cost }): Promise<Buffer> {
    await this.#turn();
    const { n, r, p } = options.cost;
    // One character in two spellings (composed or not) is one: keyboards differ.
    const secret = password.normalize("NFKC");
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        scrypt(
          secret,
          options.salt,
          32,
          { N: n, r, p, maxmem: MEMORY_MAX },
          (error, key) => error === null ? resolve(key) : reject(error),
        );
      });
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    if (this.#running >= AT_ONCE) {
      if (this.#waiting.length >= WAITING) {
        throw new ProblemError("too_many", explained("access.busy"));
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
  }
}
