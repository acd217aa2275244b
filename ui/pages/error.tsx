/** What is shown when a page cannot be: why, and what to do. */

import type { Context } from "hono";
import { ProblemError, PROBLEMS } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { ButtonLink, Problem, told } from "../components.tsx";
import { pageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Page } from "../layout.tsx";

/** Makes the function that turns a problem into a page. Anything but a ProblemError is not shown, since it may hold secrets; the caller logs
 * it. */
export function errorPage(deps: WebDeps): (c: Context<Env>, error: unknown) => Response | Promise<Response> {
  return function errorPage(c, error) {
    const problem = error instanceof ProblemError
      ? error
      : new ProblemError("failed", explained("page.broken"));
    const context = pageContext(c, deps);
    const { t } = context;
    c.status(PROBLEMS[problem.code].status);
    return c.html(
      <Page context={context} title={t("error.title")}>
        <h1>{t("error.title")}</h1>
        <Problem t={t} {...told(problem)} />
        <p class="actions">
          <ButtonLink href="/" icon="home">{t("error.home")}</ButtonLink>
        </p>
      </Page>,
    );
  };
}
