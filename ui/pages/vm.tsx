/** GET /vms/NAME: a VM: its state, what was measured, what happened, what can be done. */

import { Hono } from "hono";
import type { Snapshot } from "../../lib/model/backend.ts";
import type { EventView } from "../../lib/model/event.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { SwitchoverView, VmAction, VmView } from "../../lib/model/vm.ts";
import { actorText, ButtonLink, Card, Facts, Reason, Said, When } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Icon, SEVERITY_ICONS } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { GRAPH_WORDS, Graphs, rangeQuery, RANGES } from "./vm_graphs.tsx";
import { ACTION_ICONS, ActionButtons, actionHref, StateBadge, SyncBar } from "./vm_parts.tsx";

const EVENTS_SHOWN = 20;
const POINTS = 300;

/** The VM of that name. Throws ProblemError. */
export function vmOf(snapshot: Snapshot, name: string): VmView {
  const vm = snapshot.vms.find((vm) => vm.name === name);
  if (vm !== undefined) return vm;
  throw new ProblemError("not_found", explained("page.no_vm", { name: JSON.stringify(name.slice(0, 64)) }));
}

interface Shown {
  context: PageContext;
  vm: VmView;
}

function Status({ context, vm }: Shown) {
  const { t } = context;
  return (
    <Card id="status" title={t("vm.status")} live aside={<StateBadge context={context} vm={vm} />}>
      <Said context={context} verdict={vm.verdict} />
      <SyncBar context={context} vm={vm} />
      {vm.pending === true && <p class="notice">{t("vm.pending")}</p>}
      {vm.detail !== null && (
        <details id="status-detail">
          <summary>{t("vm.detail")}</summary>
          <p class="said-by-node muted">
            <Reason t={t} text={vm.detail} />
          </p>
        </details>
      )}
    </Card>
  );
}

function VmFacts({ context, vm }: Shown) {
  const { t } = context;
  const number = (value: number | null) => value === null ? t("unknown") : t.number(value, 0);
  return (
    <Card id="facts" title={t("vm.facts")} live>
      <Facts
        rows={[
          [t("vm.runs_on"), vm.runs_on ?? t("none")],
          [t("vm.backup_on"), vm.backup_on ?? t("none")],
          [t("vm.memory"), t.memory(vm.memory_mib)],
          [t("vm.vcpus"), String(vm.vcpus)],
          [
            t("vm.disks"),
            vm.disks.length === 0 ? t("none") : vm.disks.map(({ path, bytes }) => (
              <div>
                {path}
                {bytes === null ? "" : ` (${t.memory(Math.round(bytes / 1048576))})`}
              </div>
            )),
          ],
          [
            t("vm.nics"),
            vm.nics.length === 0
              ? t("none")
              : vm.nics.map(({ mac, bridge, model }) => (
                <div>{[model, mac, bridge].filter((part) => part !== null).join(", ")}</div>
              )),
          ],
          [t("vm.firmware"), vm.firmware.toUpperCase()],
          [t("vm.replicated"), t(vm.replicated ? "yes" : "no")],
          [t("vm.term"), number(vm.term)],
          [t("vm.epoch"), number(vm.epoch)],
        ]}
      />
    </Card>
  );
}

function Actions({ context, vm }: Shown) {
  const { t } = context;
  // The switchover has a box of its own.
  const here = (Object.keys(ACTION_ICONS) as VmAction[]).filter((action) => action !== "switchover");
  const blocked = here.filter((action) => vm.actions[action]?.ok === false);
  const none = blocked.length === here.length;
  return (
    <Card id="actions" title={t("vm.actions")} live>
      {none && <p class="empty">{t("vm.actions.none")}</p>}
      <ActionButtons context={context} vm={vm} only={here} />
      {blocked.length > 0 && (
        <details id="actions-blocked">
          <summary>{t("vm.actions.blocked")}</summary>
          <dl class="facts blocked">
            {blocked.map((action) => (
              <div>
                <dt>{t(`act.${action}`)}</dt>
                <dd>
                  <Reason t={t} text={vm.actions[action].why} />
                </dd>
              </div>
            ))}
          </dl>
        </details>
      )}
    </Card>
  );
}

function Consoles({ context, vm }: Shown) {
  const { t } = context;
  const base = `/vms/${encodeURIComponent(vm.name)}/console`;
  return (
    <Card id="consoles" title={t("vm.consoles")} live>
      {vm.runs_on === null ? <p class="empty">{t("vm.console.stopped")}</p> : (
        <div class="actions">
          {vm.screen && (
            <ButtonLink href={`${base}/screen`} icon="screen">{t("vm.console.screen")}</ButtonLink>
          )}
          {vm.serial && (
            <ButtonLink href={`${base}/serial`} icon="console">{t("vm.console.serial")}</ButtonLink>
          )}
        </div>
      )}
      <div class="actions">
        <ButtonLink href={`/vms/${encodeURIComponent(vm.name)}/logs`} icon="docs">
          {t("vm.logs.show")}
        </ButtonLink>
        {context.may("administer") && (
          <ButtonLink href={`/vms/${encodeURIComponent(vm.name)}/settings`} icon="settings">
            {t("vm.settings.edit")}
          </ButtonLink>
        )}
      </div>
    </Card>
  );
}

function Past({ context, done }: { context: PageContext; done: readonly SwitchoverView[] }) {
  const { t } = context;
  return (
    <details id="switchover-history">
      <summary>{t("vm.switchover.history")} ({done.length})</summary>
      <div class="table-box" tabindex={0} role="region" aria-label={t("vm.switchover.history")}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("vm.switchover.at")}</th>
              <th scope="col">{t("vm.switchover.way")}</th>
              <th scope="col" class="num">{t("vm.switchover.result")}</th>
              <th scope="col">{t("vm.switchover.who")}</th>
            </tr>
          </thead>
          <tbody>
            {done.map(({ at, from, to, pause_ms, ok, detail, by }) => (
              <tr>
                <td>
                  <When context={context} at={at} />
                </td>
                <td>{from} → {to}</td>
                <td class="num">
                  {pause_ms === null ? "" : t("unit.ms", { value: pause_ms })}
                  {!ok && (
                    <span class="warning">
                      <Icon name="warning" size={16} /> {t("vm.switchover.failed")}
                    </span>
                  )}
                  {detail !== "" && (
                    <details class="why">
                      <summary>{t("vm.detail")}</summary>
                      <p>
                        <Reason t={t} text={detail} />
                      </p>
                    </details>
                  )}
                </td>
                <td>{by}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

function Switchover({ context, vm, done }: Shown & { done: readonly SwitchoverView[] }) {
  const { t } = context;
  const last = vm.last_switchover;
  const allowed = vm.actions.switchover;
  return (
    <Card id="switchover" title={t("vm.switchover")} live>
      <p>{t("vm.switchover.test.what")}</p>
      {last === null
        ? <p class="empty">{t("vm.switchover.none")}</p>
        : (
          <p class={`notice ${last.ok ? "ok" : "warning"}`}>
            {t("vm.switchover.last")}
            {t("colon")}
            {last.ok && last.pause_ms !== null
              ? <strong>{t("vm.switchover.pause", { value: last.pause_ms })}</strong>
              : <strong>{t("vm.switchover.failed")}</strong>} ({last.from} → {last.to},{" "}
            <When context={context} at={last.at} />)
          </p>
        )}
      {context.may("operate") && (allowed?.ok === true
        ? (
          <p class="actions">
            <ButtonLink href={actionHref(vm.name, "switchover")} icon="switchover" kind="primary" dialog>
              {t("vm.switchover.test")}
            </ButtonLink>
          </p>
        )
        : (
          <p class="muted">
            {t("vm.actions.blocked")}
            {t("colon")}
            <Reason t={t} text={allowed?.why ?? ""} />
          </p>
        ))}
      {done.length > 0 && <Past context={context} done={done} />}
    </Card>
  );
}

function Timeline({ context, vm, events }: Shown & { events: readonly EventView[] }) {
  const { t } = context;
  return (
    <Card
      id="timeline"
      title={t("vm.events")}
      live
      aside={<a href={`/events?subject=vm&name=${encodeURIComponent(vm.name)}`}>{t("vm.events.all")}</a>}
    >
      {events.length === 0 ? <p class="empty">{t("vm.events.none")}</p> : (
        <ol class="timeline">
          {events.map((event) => (
            <li id={`event-${event.id}`}>
              <span class={event.severity}>
                <Icon name={SEVERITY_ICONS[event.severity]} size={18} />
                <span class="visually-hidden">{t(`severity.${event.severity}`)}{t("colon")}</span>
              </span>
              <span>{t.say(event, event.text)}</span>
              <span class="meta">
                <When context={context} at={event.at} /> · {event.node}
                {event.actor !== null && <>{" · "}{t("vm.by", { who: actorText(t, event.actor) })}</>}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Card>
  );
}

/** See above. */
export function vmRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/vms/:name{[a-z0-9][a-z0-9-]*}", async (c, next) => {
    const name = c.req.param("name");
    // Pages of UI for making one; a VM may not have these names' pages.
    if (name === "new" || name === "import") return await next();
    const context = allowedContext(c, deps, "view");
    const { t, snapshot, nowMs } = context;
    const vm = vmOf(snapshot, name);
    const range = rangeQuery.parse(c.req.query("range"));
    const [events, done, samples] = await Promise.all([
      deps.backend.events.query({ subject: "vm", name, limit: EVENTS_SHOWN }),
      deps.backend.vm.switchovers(name),
      deps.backend.vm.history(name, { from_ms: nowMs - RANGES[range] * 1000, to_ms: nowMs, points: POINTS }),
    ]);
    const gone = snapshot.nodes.find((node) => !node.reachable);
    return c.html(
      <Page
        context={context}
        title={name}
        current="home"
        scripts={["chart.js"]}
        styles={["chart.css"]}
        words={GRAPH_WORDS}
      >
        <div class="vm-title">
          <h1>{name}</h1>
        </div>
        <div id="old" data-live="">
          {gone !== undefined && (
            <p class="old">
              <Icon name="warning" size={18} /> {t("home.old", { node: gone.name })}
            </p>
          )}
        </div>
        <div class="grid vm-grid">
          <div class="stack">
            <Status context={context} vm={vm} />
          </div>
          <div class="stack vm-side">
            <Actions context={context} vm={vm} />
            <Switchover context={context} vm={vm} done={done} />
            <Consoles context={context} vm={vm} />
            <VmFacts context={context} vm={vm} />
          </div>
          <div class="stack">
            <Graphs context={context} vm={name} range={range} samples={samples} />
            <Timeline context={context} vm={vm} events={events} />
          </div>
        </div>
      </Page>,
    );
  });
  return app;
}
