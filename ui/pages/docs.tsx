/** The documentation: GET /docs, /docs/NAME, /docs/search. Comes with the program, so it is there without any network. */

import { Hono } from "hono";
import { raw } from "hono/html";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { DOC_NAMES, DocLibrary, docName, type DocPage } from "../docs/library.ts";
import { DocSearch } from "../docs/search.ts";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";

function SearchForm({ context, query }: { context: PageContext; query: string }) {
  const { t } = context;
  return (
    <form class="doc-search" role="search" method="get" action="/docs/search">
      <label for="doc-query" class="visually-hidden">{t("docs.search")}</label>
      <input
        id="doc-query"
        type="search"
        name="q"
        value={query}
        placeholder={t("docs.search")}
        maxlength={200}
      />
      <button class="button primary" type="submit">{t("docs.search.go")}</button>
    </form>
  );
}

function Contents({ context, pages, current }: { context: PageContext; pages: DocPage[]; current?: string }) {
  return (
    <nav class="doc-contents" aria-label={context.t("docs.contents")}>
      <ol>
        {pages.map(({ name, title }) => (
          <li>
            <a href={`/docs/${name}`} aria-current={name === current ? "page" : undefined}>{title}</a>
          </li>
        ))}
      </ol>
      <p>
        <a href="/api/v1/reference">
          <Icon name="console" size={18} /> {context.t("docs.api")}
        </a>
      </p>
    </nav>
  );
}

function Neighbours(
  { context, pages, current }: { context: PageContext; pages: DocPage[]; current: DocPage },
) {
  const { t } = context;
  const at = pages.indexOf(current);
  const [before, after] = [pages[at - 1], pages[at + 1]];
  return (
    <p class="doc-neighbours">
      {before !== undefined && <a rel="prev" href={`/docs/${before.name}`}>← {before.title}</a>}
      {after !== undefined && (
        <a rel="next" href={`/docs/${after.name}`}>
          {t("docs.next")}
          {t("colon")}
          {after.title} →
        </a>
      )}
    </p>
  );
}

/** See above. */
export function docRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const library = new DocLibrary();
  const search = new DocSearch(library);
  const open = (context: PageContext, name: string) => {
    const known = docName(name);
    if (known === undefined) {
      throw new ProblemError(
        "not_found",
        explained("page.no_document", { name: JSON.stringify(name.slice(0, 60)) }),
      );
    }
    const pages = library.all(context.t);
    const page = library.page(known, context.t);
    return (
      <Page context={context} title={page.title} current="docs" wide>
        <div class="doc-layout">
          <aside>
            <SearchForm context={context} query="" />
            <Contents context={context} pages={pages} current={known} />
          </aside>
          <article class="doc card">
            {raw(page.html)}
            <Neighbours context={context} pages={pages} current={page} />
          </article>
        </div>
      </Page>
    );
  };
  app.get("/docs", (c) => c.html(open(allowedContext(c, deps, "view"), DOC_NAMES[0])));
  app.get("/docs/search", (c) => {
    const context = allowedContext(c, deps, "view");
    const { t } = context;
    const query = (c.req.query("q") ?? "").slice(0, 200);
    const hits = query.trim() === "" ? [] : search.find(query, t);
    return c.html(
      <Page context={context} title={t("docs.search")} current="docs" wide>
        <div class="doc-layout">
          <aside>
            <Contents context={context} pages={library.all(t)} />
          </aside>
          <section>
            <h1>{t("docs.search")}</h1>
            <SearchForm context={context} query={query} />
            {query.trim() !== "" && <p role="status">{t("docs.found", { count: hits.length })}</p>}
            <ul class="doc-hits">
              {hits.map(({ page, id, pageTitle, title, excerpt }) => (
                <li class="card">
                  <a href={`/docs/${page}#${id}`}>{title === pageTitle ? title : `${pageTitle}: ${title}`}</a>
                  <p>{excerpt}</p>
                </li>
              ))}
            </ul>
          </section>
        </div>
      </Page>,
    );
  });
  app.get("/docs/:name", (c) => c.html(open(allowedContext(c, deps, "view"), c.req.param("name"))));
  return app;
}
