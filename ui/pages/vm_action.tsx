/** /vms/NAME/do/ACTION: says what will happen, and does it. Opened in a dialog where there are scripts, as a page where there are none. */

import { type Context, Hono } from "hono";
import { z } from "zod";
import type { Permission } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { VM_ACTIONS, type VmAction, type VmView } from "../../lib/model/vm.ts";
import { ButtonLink, Reason } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { vmOf } from "./vm.tsx";
import { ACTION_ICONS, actionHref, GRAVE } from "./vm_parts.tsx";

const actionParam = z.enum(VM_ACTIONS);

function actionOf(text: string): VmAction {
  const action = actionParam.safeParse(text);
  if (action.success) return action.data;
  throw new ProblemError(
    "not_found",
    explained("page.no_action", { name: JSON.stringify(text.slice(0, 40)) }),
  );
}

function needs(action: VmAction): Permission {
  return action === "delete" ? "administer" : "operate";
}

/** The node that a sentence about the action is about: where it goes, or who is not heard. */
function otherNode(vm: VmView, nodes: readonly { name: string; self: boolean }[]): string {
  return vm.backup_on ?? nodes.find((node) => !node.self)?.name ?? "?";
}

function Question(
  { context, vm, action, other }: { context: PageContext; vm: VmView; action: VmAction; other: string },
) {
  const { t } = context;
  const grave = GRAVE.has(action);
  const allowed = vm.actions[action];
  return (
    <section data-dialog-body="" class="question">
      <h1>{t("act.title", { action: t(`act.${action}`), name: vm.name })}</h1>
      <h2>{t("act.what")}</h2>
      <p>{t(`act.${action}.what`, { node: other })}</p>
      {allowed?.ok !== true && (
        <p class="notice warning">
          {t("vm.actions.blocked")}
          {t("colon")}
          <Reason t={t} text={allowed?.why ?? ""} />
        </p>
      )}
      <form method="post" action={actionHref(vm.name, action)}>
        {action === "delete" && (
          <p>
            <label>
              <input type="checkbox" name="disks" value="yes" />
              {t("act.delete.disks")}
            </label>
          </p>
        )}
        <div class="actions">
          <button
            class={`button ${grave ? "danger" : "primary"}`}
            type="submit"
            disabled={allowed?.ok !== true}
          >
            <Icon name={ACTION_ICONS[action]} size={18} />
            <span>{t(`act.${action}`)}</span>
          </button>
          <a class="button plain" href={`/vms/${encodeURIComponent(vm.name)}`} data-close="">{t("cancel")}</a>
        </div>
      </form>
    </section>
  );
}

/** Does it; returns what to say, and where to go afterwards. */
async function perform(
  deps: WebDeps,
  wish: { name: string; action: VmAction; disks: boolean; actor: string; context: PageContext },
): Promise<{ detail: string; go: string | null }> {
  const { name, action, disks, actor, context: { t } } = wish;
  if (action === "delete") {
    await deps.backend.vm.remove(name, { disks }, actor);
    return { detail: t("act.done", { action: t("act.delete") }), go: "/" };
  }
  if (action === "switchover") {
    const done = await deps.backend.vm.switchover(name, actor);
    if (!done.ok) throw new ProblemError("failed", explained("vm.switchover", { why: done.detail }));
    const detail = done.pause_ms === null
      ? t("act.done", { action: t("act.switchover") })
      : `${t("vm.switchover.pause", { value: done.pause_ms })} (${done.from} → ${done.to})`;
    return { detail, go: null };
  }
  await deps.backend.vm.act(name, action, actor);
  return { detail: t("act.done", { action: t(`act.${action}`) }), go: null };
}

function wantsJson(c: Context<Env>): boolean {
  return (c.req.header("accept") ?? "").startsWith("application/json");
}

/** See above. */
export function vmActionRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const path = "/vms/:name/do/:action";
  app.get(path, (c) => {
    const action = actionOf(c.req.param("action"));
    const context = allowedContext(c, deps, needs(action));
    const vm = vmOf(context.snapshot, c.req.param("name"));
    return c.html(
      <Page
        context={context}
        title={`${context.t(`act.${action}`)}${context.t("colon")}${vm.name}`}
        current="home"
      >
        <Question context={context} vm={vm} action={action} other={otherNode(vm, context.snapshot.nodes)} />
      </Page>,
    );
  });
  app.post(path, async (c) => {
    const action = actionOf(c.req.param("action"));
    const context = allowedContext(c, deps, needs(action));
    const { principal, t } = context;
    const { name } = vmOf(context.snapshot, c.req.param("name"));
    if (GRAVE.has(action) && !principal.fresh) {
      throw new ProblemError("reauthenticate", explained("access.again"));
    }
    const form = await c.req.parseBody();
    const disks = form.disks === "yes";
    const said = await perform(deps, { name, action, disks, actor: principal.name, context });
    if (wantsJson(c)) return c.json(said);
    const back = said.go ?? `/vms/${encodeURIComponent(name)}`;
    return c.html(
      <Page context={context} title={t(`act.${action}`)} current="home">
        <p class="notice ok" role="status">{said.detail}</p>
        <p class="actions">
          <ButtonLink href={back} icon="right">{t("back")}</ButtonLink>
        </p>
      </Page>,
    );
  });
  return app;
}
