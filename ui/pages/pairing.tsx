/** GET /pair: pairing from code to six digits, then lines, LAN and who decides; and the way out of a pair. */

import { type Context, Hono } from "hono";
import { ProblemError } from "../../lib/model/problem.ts";
import { Card, Facts, Problem, told } from "../components.tsx";
import { allowedContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { type FormState, freshForm, refused, textFields } from "../forms.tsx";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { checkFresh } from "../security/require.ts";
import { checkedLinks, LinkForm, linkValues, type Suggestion } from "./link_form.tsx";
import { NoneStep, PairingCard, PostButton } from "./pairing_steps.tsx";

const NOTHING: Suggestion = { interfaces: [], proposals: null };

/** What could be used; nothing while the other node cannot be asked. */
async function suggestion(deps: WebDeps): Promise<Suggestion> {
  try {
    return await deps.backend.pair.suggest();
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return NOTHING;
  }
}

interface Shown {
  join?: FormState;
  links?: FormState;
  problem?: ProblemError;
}

async function pairPage(c: Context<Env>, deps: WebDeps, shown: Shown = {}) {
  const context = allowedContext(c, deps, "view");
  const { t, snapshot } = context;
  const { pairing, settings, problem: refusedBy } = snapshot.pair;
  const self = snapshot.nodes[0];
  const administers = context.may("administer");
  const links = administers && pairing.step === "paired" ? await suggestion(deps) : null;
  const proposed = settings === null || c.req.query("propose") !== undefined
    ? links?.proposals ?? settings
    : settings;
  const choosing = administers && pairing.step === "none";
  return c.html(
    <Page
      context={context}
      title={t("pair.title")}
      current="settings"
      scripts={["pairing.js"]}
      words={["pair.expired"]}
    >
      <p class="crumbs">
        <a href="/settings">{t("nav.settings")}</a>
      </p>
      <h1>{t("pair.title")}</h1>
      {shown.problem !== undefined && <Problem t={t} {...told(shown.problem)} />}
      {refusedBy !== null && refusedBy !== undefined && <Problem t={t} {...refusedBy} />}
      <PairingCard context={context} pairing={pairing} />
      {choosing && <NoneStep context={context} form={shown.join ?? freshForm()} />}
      <div id="arbiter-problem" data-live="">
        {snapshot.pair.arbiter?.state === "lost" && (
          <p class="notice warning">
            <strong>
              {t(`arbiter.${snapshot.pair.arbiter.kind}`)}
              {t("colon")}
              {t("arbiter.lost")}
            </strong>
            {snapshot.pair.arbiter.why !== undefined && (
              <>
                <br />
                <span lang="en">{snapshot.pair.arbiter.why}</span>
              </>
            )}
          </p>
        )}
      </div>
      {links !== null && (
        <LinkForm
          context={context}
          suggestion={links}
          form={shown.links ?? freshForm(linkValues(proposed))}
        />
      )}
      <Card id="own-id" title={t("pair.own")}>
        <Facts
          rows={[
            [t("pair.own.name"), self?.name ?? ""],
            [t("pair.own.id"), <span class="code">{self?.id ?? ""}</span>],
          ]}
        />
      </Card>
    </Page>,
  );
}

/** One of a person's steps. */
async function step(c: Context<Env>, deps: WebDeps, act: (actor: string) => Promise<unknown>) {
  const { principal } = allowedContext(c, deps, "administer");
  try {
    await act(principal.name);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    c.status(409);
    return await pairPage(c, deps, { problem: error });
  }
  return c.redirect("/pair", 303);
}

function removal(app: Hono<Env>, deps: WebDeps): void {
  app.get("/pair/remove", (c) => {
    const context = allowedContext(c, deps, "administer");
    checkFresh(c);
    const { t, snapshot } = context;
    const replace = c.req.query("replace") !== undefined;
    const title = t(replace ? "pair.replace" : "pair.remove");
    const peer = snapshot.nodes[1]?.name ?? t("links.peer");
    return c.html(
      <Page context={context} title={title} current="settings">
        <h1>{title}</h1>
        <div class="card">
          <p>
            <Icon name="warning" /> {t(replace ? "pair.replace.sure" : "pair.remove.text", { node: peer })}
          </p>
          {replace && <p>{t("pair.replace.text")}</p>}
          <p>
            <a href="/docs/replace-node">{t("pair.replace.more")}</a>
          </p>
          <div class="actions">
            <PostButton
              action={replace ? "/pair/replace" : "/pair/remove"}
              label={t(replace ? "pair.replace.go" : "pair.remove.go", { node: peer })}
              kind="danger"
              icon="cross"
            />
            <a class="button plain" href="/pair">{t("cancel")}</a>
          </div>
        </div>
      </Page>,
    );
  });
  app.post("/pair/remove", (c) => {
    checkFresh(c);
    return step(c, deps, (actor) => deps.backend.pair.remove(actor));
  });
  app.post("/pair/replace", (c) => {
    checkFresh(c);
    return step(c, deps, (actor) => deps.backend.pair.replace(actor));
  });
}

function rotation(app: Hono<Env>, deps: WebDeps): void {
  app.get("/pair/rotate", (c) => {
    const context = allowedContext(c, deps, "administer");
    checkFresh(c);
    const { t } = context;
    return c.html(
      <Page context={context} title={t("pair.rotate")} current="settings">
        <h1>{t("pair.rotate")}</h1>
        <div class="card">
          <p>{t("pair.rotate.text")}</p>
          <p>
            <Icon name="warning" /> {t("pair.rotate.witness")}
          </p>
          <div class="actions">
            <PostButton action="/pair/rotate" label={t("pair.rotate.go")} kind="primary" />
            <a class="button plain" href="/pair">{t("cancel")}</a>
          </div>
        </div>
      </Page>,
    );
  });
  app.post("/pair/rotate", (c) => {
    checkFresh(c);
    return step(c, deps, (actor) => deps.backend.pair.rotate(actor));
  });
}

/** See above. */
export function pairingRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const { pair } = deps.backend;
  app.get("/pair", (c) => pairPage(c, deps));
  app.post("/pair/invite", (c) => step(c, deps, (actor) => pair.invite(actor)));
  app.post("/pair/confirm", (c) => {
    checkFresh(c);
    return step(c, deps, (actor) => pair.confirm(actor));
  });
  app.post("/pair/cancel", (c) => step(c, deps, (actor) => pair.cancel(actor)));
  app.post("/pair/join", async (c) => {
    const { t, principal } = allowedContext(c, deps, "administer");
    const values = textFields(await c.req.parseBody());
    const missing = ["address", "code"].filter((name) => (values[name] ?? "") === "");
    if (missing.length > 0) {
      const errors = Object.fromEntries(missing.map((name) => [name, t("form.required")]));
      c.status(400);
      return await pairPage(c, deps, { join: { values, errors, problem: null } });
    }
    try {
      await pair.join({ address: values.address!, code: values.code! }, principal.name);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      c.status(409);
      return await pairPage(c, deps, { join: refused(t, error, { values }), problem: error });
    }
    return c.redirect("/pair", 303);
  });
  app.post("/pair/links", async (c) => {
    const { t, principal } = allowedContext(c, deps, "administer");
    const values = textFields(await c.req.parseBody());
    const { settings, errors } = checkedLinks(values, t);
    if (settings === null) {
      c.status(400);
      return await pairPage(c, deps, { links: { values, errors, problem: null } });
    }
    try {
      await pair.configure(settings, principal.name);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      c.status(409);
      return await pairPage(c, deps, { links: refused(t, error, { values }) });
    }
    return c.redirect("/pair", 303);
  });
  removal(app, deps);
  rotation(app, deps);
  return app;
}
