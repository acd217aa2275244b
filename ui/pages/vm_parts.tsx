/** What home and the VM's own page both show of a VM. */

import type { Severity } from "../../lib/model/sentence.ts";
import type { VmAction, VmState, VmView } from "../../lib/model/vm.ts";
import { Bar, ButtonLink } from "../components.tsx";
import type { PageContext } from "../context.ts";
import { Icon, type IconName } from "../icons.tsx";

const STATE_ICONS: Readonly<Record<VmState, IconName>> = {
  stopped: "stop",
  starting: "play",
  unprotected: "unshield",
  syncing: "copy",
  protected: "ok",
  degraded: "warning",
  moving: "switchover",
  deciding: "critical",
  taking_over: "switchover",
  waiting: "clock",
  diverged: "critical",
  failed: "critical",
  unknown: "unknown",
};

/** Icons of actions. */
export const ACTION_ICONS: Readonly<Record<VmAction, IconName>> = {
  start: "play",
  stop: "stop",
  protect: "shield",
  unprotect: "unshield",
  switchover: "switchover",
  delete: "trash",
  verify: "check",
  confirm_peer_off: "check",
  promote: "play",
  discard: "trash",
  yield: "switchover",
};

/** Actions after which something may be lost: asked for with the password, and shown as such. */
export const GRAVE: ReadonlySet<VmAction> = new Set(["delete", "confirm_peer_off", "promote", "discard"]);

/** A VM's state as icon, word and colour. */
export function StateBadge({ context, vm }: { context: PageContext; vm: VmView }) {
  const severity: Severity = vm.verdict.severity;
  return (
    <span class={`badge ${severity}`}>
      <Icon name={STATE_ICONS[vm.state]} size={16} />
      <span>{context.t(`state.${vm.state}`)}</span>
    </span>
  );
}

/** How far the copy is. */
export function SyncBar({ context, vm }: { context: PageContext; vm: VmView }) {
  const { t } = context;
  const { sync } = vm;
  if (sync === null) return null;
  return (
    <Bar label={t("sync.label", { vm: vm.name })} done={sync.done_bytes} total={sync.total_bytes}>
      <span>{t.percent(sync.total_bytes > 0 ? sync.done_bytes / sync.total_bytes : 0)}</span>
      <span>{t("sync.bytes", { done: t.bytes(sync.done_bytes), total: t.bytes(sync.total_bytes) })}</span>
      <span>{t("sync.rate", { rate: t.bytes(sync.rate_bytes_per_s) })}</span>
      {sync.eta_s !== null && <span>{t("sync.eta", { duration: t.duration(sync.eta_s) })}</span>}
    </Bar>
  );
}

/** Address of the page that asks before an action, and does it. */
export function actionHref(vm: string, action: VmAction): string {
  return `/vms/${encodeURIComponent(vm)}/do/${action}`;
}

/** A button for each action that can be done now. */
export function ActionButtons(
  { context, vm, only }: { context: PageContext; vm: VmView; only?: readonly VmAction[] },
) {
  if (!context.may("operate")) return null;
  const open = (Object.keys(ACTION_ICONS) as VmAction[]).filter((action) =>
    vm.actions[action]?.ok === true && (only === undefined || only.includes(action)) &&
    (action !== "delete" || context.may("administer"))
  );
  if (open.length === 0) return null;
  return (
    <div class="actions">
      {open.map((action) => (
        <ButtonLink
          href={actionHref(vm.name, action)}
          icon={ACTION_ICONS[action]}
          kind={GRAVE.has(action) ? "danger" : "plain"}
          dialog
        >
          {context.t(`act.${action}`)}
          <span class="visually-hidden">: {vm.name}</span>
        </ButtonLink>
      ))}
    </div>
  );
}
