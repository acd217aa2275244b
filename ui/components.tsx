/** Small parts that many pages use. */

import type { Child, PropsWithChildren } from "hono/jsx";
import { type Explained, type ProblemCode, type ProblemError, PROBLEMS } from "../lib/model/problem.ts";
import type { Severity, Verdict } from "../lib/model/sentence.ts";
import type { PageContext } from "./context.ts";
import { Icon, type IconName, SEVERITY_ICONS } from "./icons.tsx";
import type { Translator } from "./i18n/translator.ts";

/** A moment: how long ago, the date on pointing at it. The client keeps it true. */
export function Ago({ context, at }: { context: PageContext; at: string }) {
  const { t, nowMs } = context;
  return <time datetime={at} data-ago="" title={t.instant(at)}>{t.relative(at, nowMs)}</time>;
}

/** A moment, as a date. The client puts it into the reader's time zone. */
export function When({ context, at }: { context: PageContext; at: string }) {
  return <time datetime={at} data-instant="">{context.t.instant(at)}</time>;
}

/** A severity as icon, colour and word. */
export function Badge(
  { t, severity, icon, children }: PropsWithChildren<
    { t: Translator; severity: Severity; icon?: IconName }
  >,
) {
  return (
    <span class={`badge ${severity}`}>
      <Icon name={icon ?? SEVERITY_ICONS[severity]} size={16} />
      <span>{children ?? t(`severity.${severity}`)}</span>
    </span>
  );
}

/** A verdict: sentence, since when, what to do. */
export function Said({ context, verdict }: { context: PageContext; verdict: Verdict }) {
  const { t } = context;
  return (
    <div class={`said ${verdict.severity}`}>
      <p class="sentence">
        <Icon name={SEVERITY_ICONS[verdict.severity]} size={22} />
        <span>
          <span class="visually-hidden">{t(`severity.${verdict.severity}`)}{t("colon")}</span>
          {t.say(verdict.said)}
          {verdict.since !== null && (
            <span class="since">
              <Ago context={context} at={verdict.since} />
            </span>
          )}
        </span>
      </p>
      {verdict.next !== null && <p class="next">{t.say(verdict.next)}</p>}
    </div>
  );
}

/** A box with a heading. `live`: the client keeps it up to date; then it needs an id. */
export function Card(
  { id, title, live, aside, children }: PropsWithChildren<
    { id: string; title: string; live?: boolean; aside?: Child }
  >,
) {
  return (
    <section class="card" id={id} data-live={live ? "" : undefined} aria-labelledby={`${id}-title`}>
      <div class="card-head">
        <h2 id={`${id}-title`}>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** How far something is: a bar with words. */
export function Bar(
  { label, done, total, children }: PropsWithChildren<{ label: string; done: number; total: number }>,
) {
  const share = total > 0 ? Math.min(100, Math.max(0, done / total * 100)) : 0;
  return (
    <div class="bar">
      <progress max="100" value={share.toFixed(1)} aria-label={label}></progress>
      <span class="bar-text">{children}</span>
    </div>
  );
}

/** What went wrong, and what to do. */
export function Problem({ t, code, ...said }: { t: Translator; code: string } & Explained) {
  const known = code in PROBLEMS ? `problem.${code as ProblemCode}` as const : "problem.failed";
  return (
    <div class="problem" role="alert">
      <p class="problem-title">
        <Icon name="critical" /> <span>{t(known)}</span>
      </p>
      <Why t={t} said={said} />
    </div>
  );
}

/** What was wrong and what to do, in the reader's language where it is known, else as it came. */
export function Why({ t, said }: { t: Translator; said: Explained }) {
  const { detail, hint, english } = t.explain(said);
  const lang = (foreign: boolean) => foreign ? { lang: "en" } : {};
  return (
    <>
      {detail !== "" && <p {...lang(english.detail)} class="said-by-node">{detail}</p>}
      {hint !== "" && (
        <p>
          {t("error.hint")}
          {t("colon")}
          <span {...lang(english.hint)} class="said-by-node">{hint}</span>
        </p>
      )}
    </>
  );
}

/** An error as what `Problem` shows. */
export function told(problem: ProblemError): { code: string } & Explained {
  const { code, message, hint, reason } = problem;
  return { code, detail: message, hint, ...(reason === null ? {} : { reason }) };
}

/** Facts: terms and values, side by side. */
export function Facts({ rows }: { rows: readonly (readonly [term: string, value: Child])[] }) {
  return (
    <dl class="facts">
      {rows.map(([term, value]) => (
        <div>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A link that looks like a button. `dialog`: with scripts its page opens in a dialog. */
export function ButtonLink(
  { href, icon, kind, dialog, children }: PropsWithChildren<
    { href: string; icon?: IconName; kind?: "primary" | "danger" | "plain"; dialog?: boolean }
  >,
) {
  return (
    <a class={`button ${kind ?? "plain"}`} href={href} data-dialog={dialog ? "" : undefined}>
      {icon !== undefined && <Icon name={icon} size={18} />}
      <span>{children}</span>
    </a>
  );
}

/** A reason that the node gave: in the reader's language where it is known, else as it was said. */
export function Reason({ t, text }: { t: Translator; text: string }) {
  const known = t.reason(text);
  return known === null ? <span lang="en">{text}</span> : <span>{known}</span>;
}

/** Who did something, as people call them. */
export function actorText(t: Translator, actor: string): string {
  return actor === "local" ? t("events.actor.local") : actor.replace(/^user:/, "");
}
