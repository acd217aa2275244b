/** GET /vms/NAME/console/serial and .../screen: a VM's consoles. Their scripts are loaded here only. */

import { type Context, Hono } from "hono";
import { allowedContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import type { MessageKey } from "../i18n/en.ts";
import type { Translator } from "../i18n/translator.ts";
import { Page } from "../layout.tsx";
import { vmOf } from "./vm.tsx";

type Kind = "serial" | "screen";

/** What scripts say. */
const WORDS: readonly MessageKey[] = [
  "console.connecting",
  "console.connected",
  "console.lost",
  "console.moved",
  "console.ended",
  "console.session",
  "console.login",
  "console.reconnect",
  "console.keys",
];

const BUTTONS = {
  serial: ["smaller", "larger", "copy", "paste", "clear", "full"],
  screen: ["cad", "fit", "full"],
} as const;

function Bar({ t, kind }: { t: Translator; kind: Kind }) {
  return (
    <div class="console-bar" role="toolbar" aria-label={t(`console.${kind}`)}>
      {BUTTONS[kind].map((button) => (
        <button
          type="button"
          class="button plain"
          id={`console-${button}`}
          aria-pressed={button === "fit" ? "true" : undefined}
        >
          {t(`console.${button}`)}
        </button>
      ))}
    </div>
  );
}

function TypeForm({ t }: { t: Translator }) {
  return (
    <form id="console-type" class="console-type">
      <label for="console-text">{t("console.type")}</label>
      <input
        id="console-text"
        type="text"
        autocomplete="off"
        autocapitalize="none"
        spellcheck={false}
        maxlength={1000}
      />
      <button type="submit" class="button plain">{t("console.type.go")}</button>
      <button type="submit" class="button plain" data-enter="">{t("console.type.enter")}</button>
    </form>
  );
}

function consolePage(c: Context<Env>, deps: WebDeps, { name, kind }: { name: string; kind: Kind }) {
  const context = allowedContext(c, deps, "operate");
  const { t, snapshot } = context;
  const vm = vmOf(snapshot, name);
  const title = t("console.title", { vm: name, kind: t(`console.${kind}`) });
  const missing = vm[kind] ? vm.runs_on === null ? "console.stopped" : null : `console.no_${kind}` as const;
  return c.html(
    <Page
      context={context}
      title={title}
      wide
      {...(missing === null ? { scripts: [`console_${kind}.js`], words: WORDS } : {})}
      styles={["console.css"]}
    >
      <p class="crumbs">
        <a href={`/vms/${name}`}>{t("console.back", { vm: name })}</a>
      </p>
      <h1>{title}</h1>
      {missing !== null ? <p class="notice">{t(missing, { vm: name })}</p> : (
        <>
          <Bar t={t} kind={kind} />
          <p id="console-status" role="status" class="console-status">
            <noscript>{t("console.noscript")}</noscript>
          </p>
          <div
            id="console"
            class={`console ${kind}`}
            data-path={`/api/v1/vms/${name}/console/${kind}`}
          >
          </div>
          {kind === "screen" && <TypeForm t={t} />}
          <p class="hint">{t(kind === "screen" ? "console.keyboard" : "console.keys")}</p>
        </>
      )}
    </Page>,
  );
}

/** See above. */
export function consolePageRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  for (const kind of ["serial", "screen"] as const) {
    app.get(`/vms/:name/console/${kind}`, (c) => consolePage(c, deps, { name: c.req.param("name"), kind }));
  }
  return app;
}
