/** What a page knows of who reads it: language, theme, rights. */

import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { may, type Permission, type Principal } from "../lib/model/access.ts";
import type { Snapshot } from "../lib/model/backend.ts";
import { ProblemError } from "../lib/model/problem.ts";
import { snapshotFor } from "./api/redact.ts";
import { explained } from "../lib/model/problem_english.ts";
import type { Env, WebDeps } from "./deps.ts";
import {
  acceptedLanguage,
  type Language,
  LANGUAGES,
  type Translator,
  translator,
} from "./i18n/translator.ts";
import { NO_ASSETS, type StaticAssets } from "./static.ts";

/** "auto": as the reader's system is set. */
export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = typeof THEMES[number];

/** Cookies of ours that hold no secret. */
export const LANGUAGE_COOKIE = "iservft_language";
export const THEME_COOKIE = "iservft_theme";

/** What every page is given. */
export interface PageContext {
  t: Translator;
  theme: Theme;
  principal: Principal | null;
  /** What the node knows now; null where nobody is logged in. */
  snapshot: Snapshot | null;
  assets: StaticAssets;
  version: string;
  nowMs: number;
  /** Path and query of the page, for coming back to it. */
  here: string;
  /** May the reader do this? */
  may(permission: Permission): boolean;
}

/** The reader's language: what they chose here, else their account's, else their browser's. */
export function languageOf(c: Context<Env>): Language {
  const chosen = getCookie(c, LANGUAGE_COOKIE);
  return LANGUAGES.find((language) => language === chosen) ?? c.var.principal?.language ??
    acceptedLanguage(c.req.header("accept-language"));
}

/** Collects what a page needs to know. */
export function pageContext(c: Context<Env>, deps: WebDeps): PageContext {
  const principal = c.var.principal ?? null;
  const theme = getCookie(c, THEME_COOKIE);
  const url = new URL(c.req.url);
  return {
    t: translator(languageOf(c)),
    theme: THEMES.find((known) => known === theme) ?? "auto",
    principal,
    snapshot: principal === null ? null : snapshotFor(deps.backend.snapshot(), principal),
    assets: deps.assets ?? NO_ASSETS,
    version: deps.version,
    nowMs: deps.nowMs(),
    here: url.pathname + url.search,
    may: (permission) => principal !== null && may(principal.role, permission),
  };
}

/** The context of a page that needs a right. Throws ProblemError. */
export function allowedContext(
  c: Context<Env>,
  deps: WebDeps,
  permission: Permission,
): PageContext & { principal: Principal; snapshot: Snapshot } {
  const context = pageContext(c, deps);
  const { principal, snapshot } = context;
  if (principal === null || snapshot === null) {
    throw new ProblemError("unauthenticated", explained("access.page"));
  }
  if (!context.may(permission)) {
    throw new ProblemError("forbidden", explained("access.page_role", { role: principal.role, permission }));
  }
  return { ...context, principal, snapshot };
}
