/** POST /preferences: language and theme, kept in cookies. Needs no account: the login page has the same menu. */

import { Hono } from "hono";
import { setCookie } from "hono/cookie";
import { LANGUAGE_COOKIE, THEME_COOKIE, THEMES } from "../context.ts";
import type { Env } from "../deps.ts";
import { LANGUAGES } from "../i18n/translator.ts";

/** Only a path of this node: never another site's address. */
export function safeBack(back: unknown): string {
  return typeof back === "string" && back.length < 2000 && /^\/(?![/\\])[\x21-\x7e]*$/.test(back)
    ? back
    : "/";
}

/** See above. */
export function preferenceRoutes(): Hono<Env> {
  const app = new Hono<Env>();
  app.post("/preferences", async (c) => {
    const form = await c.req.parseBody();
    const options = {
      path: "/",
      sameSite: "Strict",
      httpOnly: true,
      maxAge: 365 * 86400,
      secure: new URL(c.req.url).protocol === "https:",
    } as const;
    const language = LANGUAGES.find((known) => known === form.language);
    if (language !== undefined) setCookie(c, LANGUAGE_COOKIE, language, options);
    const theme = THEMES.find((known) => known === form.theme);
    if (theme !== undefined) setCookie(c, THEME_COOKIE, theme, options);
    return c.redirect(safeBack(form.back), 303);
  });
  return app;
}
