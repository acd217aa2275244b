/** What is around each page: head, navigation, the node's sentence, the place for dialogs. */

import type { PropsWithChildren } from "hono/jsx";
import { raw } from "hono/html";
import { type ProblemCode, PROBLEMS } from "../lib/model/problem.ts";
import { type PageContext, THEMES } from "./context.ts";
import { Icon, type IconName, SEVERITY_ICONS } from "./icons.tsx";
import type { MessageKey } from "./i18n/en.ts";
import { LANGUAGE_NAMES, LANGUAGES } from "./i18n/translator.ts";

/** Places in the navigation. */
export type NavKey = "home" | "create" | "events" | "settings" | "docs" | "account";

const NAV: readonly { key: NavKey; href: string; icon: IconName; needs: "view" | "administer" }[] = [
  { key: "home", href: "/", icon: "home", needs: "view" },
  { key: "create", href: "/vms/new", icon: "plus", needs: "administer" },
  { key: "events", href: "/events", icon: "events", needs: "view" },
  { key: "settings", href: "/settings", icon: "settings", needs: "view" },
  { key: "docs", href: "/docs", icon: "docs", needs: "view" },
];

/** Texts that the client's scripts need on each page. */
const WORDS: readonly MessageKey[] = [
  "connection.lost",
  "connection.back",
  "connection.expired",
  "connection.login",
  "close",
  "working",
  "error.hint",
  "colon",
  "error.network",
  "error.network.hint",
  ...(Object.keys(PROBLEMS) as ProblemCode[]).map((code) => `problem.${code}` as const),
];

/** Texts with their values left open, for scripts: they fill them in. */
function wordsOf(context: PageContext, keys: readonly MessageKey[]): string {
  return JSON.stringify(Object.fromEntries(keys.map((key) => [key, context.t.pattern(key)])));
}

/** What a page says of itself. */
export interface PageProps {
  context: PageContext;
  title: string;
  current?: NavKey;
  /** Scripts besides app.js, by plain name, e.g. "chart.js". */
  scripts?: readonly string[];
  /** Style sheets besides app.css. */
  styles?: readonly string[];
  /** Texts that those scripts need. */
  words?: readonly MessageKey[];
  /** The home page shows the sentence itself. */
  bare?: boolean;
  /** Uses the window's whole width. */
  wide?: boolean;
}

function Navigation({ context, current }: { context: PageContext; current: NavKey | undefined }) {
  const { t, principal } = context;
  return (
    <nav class="nav" aria-label={t("nav")}>
      <ul>
        {principal !== null && NAV.filter(({ needs }) => context.may(needs)).map(({ key, href, icon }) => (
          <li>
            <a href={href} aria-current={key === current ? "page" : undefined}>
              <Icon name={icon} />
              <span>{t(`nav.${key}`)}</span>
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Preferences({ context }: { context: PageContext }) {
  const { t, theme } = context;
  return (
    <details class="menu" id="preferences">
      <summary aria-label={t("prefs.title") + t("colon") + LANGUAGE_NAMES[t.language]}>
        <Icon name="sun" />
        <span class="menu-label">{LANGUAGE_NAMES[t.language]}</span>
        <Icon name="down" size={14} />
      </summary>
      <form class="menu-body" method="post" action="/preferences">
        <input type="hidden" name="back" value={context.here} />
        <label>
          <span>{t("prefs.language")}</span>
          <select name="language">
            {LANGUAGES.map((language) => (
              <option value={language} lang={language} selected={language === t.language}>
                {LANGUAGE_NAMES[language]}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>{t("prefs.theme")}</span>
          <select name="theme">
            {THEMES.map((known) => (
              <option value={known} selected={known === theme}>{t(`prefs.theme.${known}`)}</option>
            ))}
          </select>
        </label>
        <button class="button primary" type="submit">{t("prefs.apply")}</button>
      </form>
    </details>
  );
}

function Account({ context, current }: { context: PageContext; current: NavKey | undefined }) {
  const { t, principal } = context;
  if (principal === null) return null;
  return (
    <details class="menu" id="account-menu">
      <summary aria-label={t("nav.account") + t("colon") + principal.name}>
        <Icon name="user" />
        <span class="menu-label">{principal.name.replace(/^user:/, "")}</span>
        <Icon name="down" size={14} />
      </summary>
      <div class="menu-body">
        <a class="button plain" href="/account" aria-current={current === "account" ? "page" : undefined}>
          <Icon name="user" size={18} />
          <span>{t("nav.account")}</span>
        </a>
        <form method="post" action="/logout">
          <button class="button plain" type="submit">
            <Icon name="out" size={18} />
            <span>{t("nav.logout")}</span>
          </button>
        </form>
      </div>
    </details>
  );
}

/** The pair's sentence on pages other than home. */
function Strip({ context }: { context: PageContext }) {
  const { t, snapshot } = context;
  if (snapshot === null) return null;
  const { home } = snapshot;
  return (
    <div id="strip" data-live="" role="status">
      <a class={`strip ${home.severity}`} href="/">
        <Icon name={SEVERITY_ICONS[home.severity]} />
        <span>
          <span class="visually-hidden">{t(`severity.${home.severity}`)}{t("colon")}</span>
          {t.say(home.said)}
        </span>
      </a>
    </div>
  );
}

function Head({ context, title, scripts, styles, words }: PageProps) {
  const { t, assets } = context;
  const pairName = context.snapshot?.nodes.map(({ name }) => name).join(" + ");
  return (
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <meta name="referrer" content="same-origin" />
      <title>{`${title} · ${pairName ?? t("product")}`}</title>
      <link rel="icon" type="image/svg+xml" href={assets.url("icon.svg")} />
      <link rel="stylesheet" href={assets.url("app.css")} />
      {(styles ?? []).map((name) => <link rel="stylesheet" href={assets.url(name)} />)}
      <script type="module" src={assets.url("app.js")}></script>
      {(scripts ?? []).map((name) => <script type="module" src={assets.url(name)}></script>)}
      <meta name="iservft-words" content={wordsOf(context, [...WORDS, ...(words ?? [])])} />
    </head>
  );
}

/** A whole page. */
export function Page(props: PropsWithChildren<PageProps>) {
  const { context, current, children } = props;
  const { t, snapshot } = context;
  const self = snapshot?.nodes[0]?.name ?? "";
  return (
    <>
      {raw("<!doctype html>")}
      <html
        lang={t.language === "zh-TW" ? "zh-Hant-TW" : "en"}
        data-theme={context.theme}
        data-node={self}
        data-now={String(context.nowMs)}
        data-stream={snapshot === null ? undefined : "/api/v1/stream"}
      >
        <Head {...props} />
        <body>
          <a class="skip" href="#main">{t("skip")}</a>
          <header class="top">
            <a class="brand" href="/">
              <Icon name="shield" size={26} />
              <span>{t("product")}</span>
            </a>
            <Navigation context={context} current={current} />
            <div class="menus">
              <Preferences context={context} />
              <Account context={context} current={current} />
            </div>
          </header>
          <div id="connection" class="connection" role="status" aria-live="polite"></div>
          {props.bare !== true && <Strip context={context} />}
          <main id="main" tabindex={-1} class={props.wide === true ? "wide" : undefined}>{children}</main>
          <footer class="foot">
            {self !== "" && <p>{t("footer.node", { node: self, version: context.version })}</p>}
          </footer>
          <dialog id="dialog" aria-labelledby="dialog-title"></dialog>
        </body>
      </html>
    </>
  );
}
