/** The whole web of a node as one Hono app: what stands before every request, then the API, the pages and the files. */

import { type Context, Hono, type Schema } from "hono";
import type { Access } from "../lib/access/types.ts";
import { ProblemError } from "../lib/model/problem.ts";
import { explained } from "../lib/model/problem_english.ts";
import { problemOf } from "./api/problem.ts";
import { languageOf } from "./context.ts";
import type { Env, WebDeps } from "./deps.ts";
import { translator } from "./i18n/translator.ts";
import { accountRoutes } from "./pages/account.tsx";
import { errorPage } from "./pages/error.tsx";
import { loginRoutes } from "./pages/login.tsx";
import { setupRoutes } from "./pages/setup.tsx";
import { authenticate } from "./security/authenticate.ts";
import { BODY_LIMITS, type BodyLimits, boundedBody } from "./security/body.ts";
import { checkRequest, keepStrangersOut } from "./security/gate.ts";
import { responseHeaders } from "./security/headers.ts";
import { HostList, type HostNames, ownNames } from "./security/hosts.ts";
import { problemResponse } from "./security/problem.ts";
import { returnPath } from "./security/return_path.ts";
import { sessionRoutes } from "./security/session_routes.ts";

/** A part of the app, whatever types its own routes have. */
export type Part = Hono<Env, Schema, string>;

/** What the app is made of. */
export interface AppDeps extends WebDeps {
  access: Access;
  /** Mounted at /api/v1. */
  api: Part;
  /** Mounted at /. Everything but signing in and the account's own pages. */
  pages: Part;
  /** Mounted at /static: for anybody, so nothing there may be anybody's. */
  statics: Part;
  /** Names that clients may call this node by, besides its own. Default: none. */
  names?: () => readonly string[];
  /** This machine's names and addresses; default: as the system says. */
  ownNames?: HostNames["own"];
  bodyLimits?: BodyLimits;
  /** SHA-256 of the certificate, as browsers show it (WebServer.certificate().fingerprint); default: not shown. */
  fingerprint?: () => string;
  /** Errors that nobody expected; default: console.error. */
  log?: (error: unknown) => void;
}

/** Where somebody is sent whom a page asks to sign in, or to give the password again; null: nowhere. */
function sentTo(c: Context<Env>, options: { problem: ProblemError; access: Access }): string | null {
  const { problem, access } = options;
  const url = URL.parse(c.req.url);
  const here = c.req.method === "GET"
    ? `${url?.pathname}${url?.search}`
    : URL.parse(c.req.header("referer") ?? "")?.pathname;
  const next = `?next=${encodeURIComponent(returnPath(here))}`;
  if (problem.code === "unauthenticated") return access.setup.needed() ? "/setup" : `/login${next}`;
  return problem.code === "reauthenticate" ? `/reauthenticate${next}` : null;
}

/** Puts it together. Serve it with ui/listen.ts, or give requests to `.fetch(request, { peer })`. */
export function createApp(deps: AppDeps): Hono<Env> {
  const { access, nowMs } = deps;
  const app = new Hono<Env>();
  const hosts = new HostList({ configured: deps.names ?? (() => []), own: deps.ownNames ?? ownNames, nowMs });
  app.use(responseHeaders());
  app.use(checkRequest({ hosts, nowMs }));
  app.use((c, next) => access.audit.from(c.get("remote"), next));
  app.use(authenticate(access));
  app.use(keepStrangersOut(access));
  app.use(boundedBody(deps.bodyLimits ?? BODY_LIMITS));
  app.get("/healthz", (c) => c.text("ok\n"));
  app.route("/static", deps.statics);
  app.route("/api/v1/session", sessionRoutes(access));
  app.route("/api/v1", deps.api);
  const own = { ...deps, fingerprint: deps.fingerprint ?? (() => "") };
  app.route("/", loginRoutes(own));
  app.route("/", setupRoutes(own));
  app.route("/", accountRoutes(own));
  app.route("/", deps.pages);

  const showError = errorPage(deps);
  const answer = (c: Context<Env>, problem: ProblemError) => {
    if (c.req.path.startsWith("/api/")) return problemResponse(problem);
    if (!(c.req.header("accept") ?? "").includes("text/html")) {
      const { message: detail, hint, reason } = problem;
      const shown = translator(languageOf(c)).explain({ detail, hint, reason: reason ?? undefined });
      return problemResponse(problem, { shown });
    }
    const target = sentTo(c, { problem, access });
    if (target !== null) return c.redirect(target, 303);
    return showError(c, problem);
  };
  app.onError((error, c) => {
    const problem = problemOf(error);
    if (problem.code === "failed") (deps.log ?? console.error)(error);
    return answer(c, problem);
  });
  app.notFound((c) =>
    answer(
      c,
      new ProblemError(
        "not_found",
        explained("page.absent", { path: JSON.stringify(c.req.path.slice(0, 200)) }),
      ),
    )
  );
  return app;
}
