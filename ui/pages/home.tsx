/** GET /: the one sentence, and all that belongs to it. */

import { Hono } from "hono";
import type { Snapshot } from "../../lib/model/backend.ts";
import type { JobView, VmAction, VmView } from "../../lib/model/vm.ts";
import { Ago, Badge, Bar, ButtonLink, Card, Problem, When, Why } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Icon, type IconName, SEVERITY_ICONS } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { Picture } from "./picture.tsx";
import { ActionButtons, StateBadge, SyncBar } from "./vm_parts.tsx";

type Seen = PageContext & { snapshot: Snapshot };

/** Actions that are offered on the home page; the rest is on the VM's own. */
const QUICK: readonly VmAction[] = ["start", "protect", "switchover", "confirm_peer_off", "promote"];

/** Where that which is to be done next is done. */
const NEXT_PLACES: Readonly<Record<string, string>> = {
  "next.pair": "/pair",
  "next.set_up_links": "/pair",
  "next.create_vm": "/vms/new",
};

/** The state of the VM that is meant, for what is done with a VM. */
const NEXT_OF_VM: Readonly<Record<string, { state: VmView["state"]; place: string }>> = {
  "next.read_logs": { state: "failed", place: "/logs" },
  "next.pick": { state: "diverged", place: "" },
  "next.confirm_off": { state: "deciding", place: "" },
  "next.protect": { state: "unprotected", place: "" },
};

function nextPlace({ home, vms }: Snapshot): string | undefined {
  const code = home.next?.code ?? "";
  const of = NEXT_OF_VM[code];
  const vm = vms.find(({ state }) => state === of?.state);
  return of === undefined || vm === undefined ? NEXT_PLACES[code] : `/vms/${vm.name}${of.place}`;
}

function Headline({ context }: { context: Seen }) {
  const { t, snapshot } = context;
  const { severity, said, since, next } = snapshot.home;
  const place = nextPlace(snapshot);
  return (
    <section id="headline" data-live="" class={`headline ${severity}`}>
      <Icon name={SEVERITY_ICONS[severity]} size={56} />
      <h1 role="status" aria-live="polite">
        <span class="visually-hidden">{t(`severity.${severity}`)}{t("colon")}</span>
        {t.say(said)}
      </h1>
      {(since !== null || next !== null) && (
        <p class="more">
          {next !== null && (
            <span>
              <strong>{t("home.next")}</strong>{" "}
              {place === undefined ? t.say(next) : <a href={place}>{t.say(next)}</a>}
            </span>
          )}
          {since !== null && (
            <span class="muted">
              {t("home.since")} <When context={context} at={since} /> (<Ago context={context} at={since} />)
            </span>
          )}
        </p>
      )}
    </section>
  );
}

/** Said wherever something of the other node is shown while it is not heard. */
function Old({ context }: { context: Seen }) {
  const gone = context.snapshot.nodes.find((node) => !node.reachable);
  if (gone === undefined) return null;
  return (
    <p class="old">
      <Icon name="warning" size={18} /> {context.t("home.old", { node: gone.name })}
    </p>
  );
}

/** "node:press-a", "link:a", "lan", "arbiter" as a person says it, with its icon. */
function whatOf(context: Seen, what: string): { text: string; icon: IconName } {
  const { t, snapshot } = context;
  const [kind, name = ""] = what.split(":");
  if (kind === "node") return { text: t("home.what_if.node", { name }), icon: "node" };
  if (kind === "link") {
    return { text: t("home.what_if.link", { name: name.toUpperCase() }), icon: "switchover" };
  }
  if (kind === "lan") return { text: t("home.what_if.lan"), icon: "lan" };
  const arbiter = snapshot.pair.arbiter?.kind;
  const key = arbiter === "lan" ? "gateway" : arbiter === "manual" ? "manual" : "witness";
  return { text: t(`home.what_if.${key}`), icon: "witness" };
}

function WhatIf({ context }: { context: Seen }) {
  const { t, snapshot } = context;
  const answers = Map.groupBy(snapshot.what_if, ({ what }) => what);
  return (
    <Card id="what-if" title={t("home.what_if")} live>
      <ul class="what-if">
        {[...answers].map(([what, verdicts]) => {
          const { text, icon } = whatOf(context, what);
          return (
            <li>
              <Icon name={icon} />
              <span class="what">{text}</span>
              {verdicts.map(({ verdict }) => (
                <p class="then">
                  <span class={verdict.severity}>
                    <Icon name={SEVERITY_ICONS[verdict.severity]} size={17} />
                    <span class="visually-hidden">{t(`severity.${verdict.severity}`)}{t("colon")}</span>
                  </span>{" "}
                  {t.say(verdict.said)}
                </p>
              ))}
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

function VmRow({ context, vm }: { context: Seen; vm: VmView }) {
  const { t } = context;
  return (
    <li class={`vm ${vm.verdict.severity}`} id={`vm-${vm.name}`}>
      <div class="vm-head">
        <h3>
          <a href={`/vms/${encodeURIComponent(vm.name)}`}>{vm.name}</a>
        </h3>
        <StateBadge context={context} vm={vm} />
      </div>
      <p class="vm-facts">
        {vm.runs_on !== null && <span>{t("vm.on", { node: vm.runs_on })}</span>}
        {vm.backup_on !== null && <span>{t("vm.backup", { node: vm.backup_on })}</span>}
        <span>{t("vm.size", { memory: t.memory(vm.memory_mib), count: vm.vcpus })}</span>
      </p>
      <p>{t.say(vm.verdict.said)}</p>
      <SyncBar context={context} vm={vm} />
      <ActionButtons context={context} vm={vm} only={QUICK} />
    </li>
  );
}

function Vms({ context }: { context: Seen }) {
  const { t, snapshot } = context;
  const add = context.may("administer")
    ? <ButtonLink href="/vms/new" icon="plus">{t("nav.create")}</ButtonLink>
    : null;
  return (
    <Card id="vms" title={t("home.vms")} live aside={add}>
      <Old context={context} />
      {snapshot.vms.length === 0 ? <p class="empty">{t("home.vms.none")}</p> : (
        <ul class="vm-list">
          {snapshot.vms.map((vm) => <VmRow context={context} vm={vm} />)}
        </ul>
      )}
    </Card>
  );
}

function Alerts({ context }: { context: Seen }) {
  const { t, snapshot } = context;
  return (
    <Card id="alerts" title={t("home.alerts")} live>
      {snapshot.alerts.length === 0 ? <p class="empty">{t("home.alerts.none")}</p> : (
        <ul class="list">
          {snapshot.alerts.map((alert) => (
            <li>
              <Badge t={t} severity={alert.severity} /> {t.say(alert, alert.text)}{" "}
              <span class="muted">
                <Ago context={context} at={alert.since} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function JobRow({ context, job }: { context: Seen; job: JobView }) {
  const { t } = context;
  const title = t(`job.${job.kind}`, { subject: job.subject });
  const severity =
    ({ running: "info", done: "ok", failed: "warning", cancelled: "info" } as const)[job.state];
  return (
    <li id={`job-${job.id}`}>
      <div class="vm-head">
        <strong>{title}</strong>
        <Badge t={t} severity={severity}>{t(`job.${job.state}`)}</Badge>
      </div>
      {job.state === "running" && (
        <>
          <Bar label={title} done={job.done} total={job.total}>
            <span>{t.percent(job.total > 0 ? job.done / job.total : 0)}</span>
            {job.unit === "bytes" && (
              <span>{t("sync.bytes", { done: t.bytes(job.done), total: t.bytes(job.total) })}</span>
            )}
            {job.unit === "bytes" && job.rate_per_s !== null && (
              <span>{t("sync.rate", { rate: t.bytes(job.rate_per_s) })}</span>
            )}
            {job.eta_s !== null && <span>{t("sync.eta", { duration: t.duration(job.eta_s) })}</span>}
          </Bar>
          {context.may("administer") && (
            <form method="post" action={`/jobs/${encodeURIComponent(job.id)}/cancel`} class="actions">
              <button class="button plain" type="submit">
                <Icon name="cross" size={18} />
                <span>
                  {t("home.jobs.cancel")}
                  <span class="visually-hidden">: {title}</span>
                </span>
              </button>
            </form>
          )}
        </>
      )}
      {job.error !== null && <Why t={t} said={job.error} />}
    </li>
  );
}

function Jobs({ context }: { context: Seen }) {
  const { jobs } = context.snapshot;
  return (
    <div id="jobs-place" data-live="">
      {jobs.length > 0 && (
        <Card id="jobs" title={context.t("home.jobs")}>
          <ul class="list">
            {jobs.map((job) => <JobRow context={context} job={job} />)}
          </ul>
        </Card>
      )}
    </div>
  );
}

/** See above; and POST /jobs/ID/cancel, for the button here. */
export function homeRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/", (c) => {
    const context = allowedContext(c, deps, "view");
    const { t, snapshot } = context;
    const scene = { ...snapshot, paths: snapshot.pair.paths, arbiter: snapshot.pair.arbiter };
    return c.html(
      <Page context={context} title={t("nav.home")} current="home" bare>
        <Headline context={context} />
        <div class="grid">
          <div class="stack">
            <Card id="picture" title={t("home.picture")} live>
              <Old context={context} />
              {snapshot.pair.problem != null && <Problem t={t} {...snapshot.pair.problem} />}
              <Picture context={context} scene={scene} />
            </Card>
            <Vms context={context} />
          </div>
          <div class="stack">
            <Alerts context={context} />
            <Jobs context={context} />
            <WhatIf context={context} />
          </div>
        </div>
      </Page>,
    );
  });
  app.post("/jobs/:id/cancel", async (c) => {
    const { principal } = allowedContext(c, deps, "administer");
    await deps.backend.jobs.cancel(c.req.param("id"), principal.name);
    return c.redirect("/", 303);
  });
  return app;
}
