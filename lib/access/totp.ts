/** Codes of an authenticator app (TOTP, RFC 6238: SHA-1, six digits, 30 s) and recovery codes. A code counts once. */

import { Secret, TOTP } from "otpauth";
import qrcode from "qrcode-generator";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import { hashOf, type Store, type UserRow } from "./store.ts";
import type { Audit, Totp, TotpOffer } from "./types.ts";

const STEP_S = 30;
const OFFER_MS = 10 * 60_000;
const OFFERS_MAX = 64;
const RECOVERY_CODES = 8;
/** Clocks may be half a minute apart. */
const WINDOW = 1;

function totpOf(secret: string, options: { user: string; label: string }): TOTP {
  return new TOTP({
    issuer: `iservft-edge ${options.label}`.trim(),
    label: options.user,
    secret: Secret.fromBase32(secret),
    digits: 6,
    period: STEP_S,
  });
}

/** A text as QR code: an SVG without style, dark on light whatever the page's colours. */
export function qrSvg(text: string): string {
  const code = qrcode(0, "M");
  code.addData(text);
  code.make();
  const count = code.getModuleCount();
  const path: string[] = [];
  for (let y = 0; y < count; y++) {
    for (let x = 0; x < count; x++) if (code.isDark(y, x)) path.push(`M${x + 4} ${y + 4}h1v1h-1z`);
  }
  const size = count + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size} ${size}" width="240" height="240" role="img" ` +
    `aria-label="QR"><path fill="#fff" d="M0 0h${size}v${size}H0z"/><path fill="#000" d="${
      path.join("")
    }"/></svg>`;
}

/** Checks a code of somebody whose password was right, and uses it up. Without an authenticator any code will do. */
export function useCode(store: Store, options: { user: UserRow; code: string; nowMs: number }): boolean {
  const { user, nowMs } = options;
  if (user.totp === null) return true;
  const code = options.code.replace(/[\s-]/g, "").toLowerCase();
  if (/^\d{6}$/.test(code)) {
    const delta = totpOf(user.totp, { user: user.name, label: "" }).validate({
      token: code,
      timestamp: nowMs,
      window: WINDOW,
    });
    if (delta === null) return false;
    const step = Math.floor(nowMs / 1000 / STEP_S) + delta;
    // Only a step after the last one that was used: nobody who looked over the shoulder can use it again.
    return store.run(
      "update users set totp_step = ? where name = ? and totp_step < ?",
      step,
      user.name,
      step,
    ) === 1;
  }
  if (!/^[a-z2-7]{16}$/.test(code)) return false;
  return store.run("delete from recovery where user = ? and hash = ?", user.name, hashOf(code)) === 1;
}

function recoveryCodes(): string[] {
  return Array.from(
    { length: RECOVERY_CODES },
    () => new Secret({ size: 10 }).base32.toLowerCase().match(/.{4}/g)!.join("-"),
  );
}

export class TotpAccounts implements Totp {
  readonly #store: Store;
  readonly #audit: Audit;
  readonly #options: { nowMs(): number; label: string };
  readonly #offers = new Map<string, { secret: string; until_ms: number }>();

  constructor(store: Store, audit: Audit, options: { nowMs(): number; label: string }) {
    this.#store = store;
    this.#audit = audit;
    this.#options = options;
  }

  offer(user: string): TotpOffer {
    this.#known(user);
    const secret = new Secret({ size: 20 }).base32;
    this.#offers.delete(user);
    if (this.#offers.size >= OFFERS_MAX) this.#offers.delete(this.#offers.keys().next().value!);
    this.#offers.set(user, { secret, until_ms: this.#options.nowMs() + OFFER_MS });
    return this.#shown(user, secret);
  }

  open(user: string): TotpOffer | null {
    const offer = this.#offers.get(user);
    if (offer === undefined || offer.until_ms <= this.#options.nowMs()) return null;
    return this.#shown(user, offer.secret);
  }

  async confirm(user: string, code: string): Promise<string[]> {
    const offer = this.#offers.get(user);
    if (offer === undefined || offer.until_ms <= this.#options.nowMs()) {
      throw new ProblemError("invalid", explained("access.no_totp"));
    }
    const row = { ...this.#known(user), totp: offer.secret, totp_step: 0 };
    const codes = recoveryCodes();
    this.#store.transaction(() => {
      this.#store.run("update users set totp = ?, totp_step = 0 where name = ?", offer.secret, user);
      const right = /^\s*\d{3}\s*\d{3}\s*$/.test(code) &&
        useCode(this.#store, { user: row, code, nowMs: this.#options.nowMs() });
      if (!right) {
        throw new ProblemError("invalid", {
          ...explained("access.totp_wrong"),
          fields: [{ key: "code", problem: "is wrong" }],
        });
      }
      this.#store.run("delete from recovery where user = ?", user);
      for (const each of codes) {
        this.#store.run("insert into recovery values (?, ?)", user, hashOf(each.replaceAll("-", "")));
      }
    });
    this.#offers.delete(user);
    await this.#audit.append({ actor: `user:${user}`, action: "totp.on", subject: user });
    return codes;
  }

  async remove(user: string, actor: string): Promise<void> {
    this.#known(user);
    this.#store.transaction(() => {
      this.#store.run("update users set totp = null, totp_step = 0 where name = ?", user);
      this.#store.run("delete from recovery where user = ?", user);
    });
    await this.#audit.append({ actor, action: "totp.off", subject: user });
  }

  #known(user: string): UserRow {
    const row = this.#store.user(user);
    if (row !== undefined) return row;
    throw new ProblemError("not_found", explained("access.no_user", { name: user }));
  }

  #shown(user: string, secret: string): TotpOffer {
    const uri = totpOf(secret, { user, label: this.#options.label }).toString();
    return { uri, secret: secret.match(/.{1,4}/g)!.join(" "), svg: qrSvg(uri) };
  }
}
