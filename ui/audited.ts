/** A backend whose commands are written to the audit log before they are done: pages, API and command line all go through it. */

import type { Audit } from "../lib/access/types.ts";
import type { Backend } from "../lib/model/backend.ts";
import { ProblemError } from "../lib/model/problem.ts";

/** What is done, to what, by whom. */
interface Deed {
  actor: string;
  action: string;
  subject: string;
  detail?: string;
}

/** Runs what was written down. One that cannot be written down is not done; one that fails is written down once more, with why. */
function recorder(audit: Pick<Audit, "append">) {
  return async function recorded<T>(deed: Deed, act: () => Promise<T>): Promise<T> {
    await audit.append(deed);
    try {
      return await act();
    } catch (error) {
      const why = error instanceof ProblemError ? `${error.code}: ${error.message}` : "it did not work";
      await audit.append({ ...deed, action: `${deed.action}.failed`, detail: why });
      throw error;
    }
  };
}
type Recorded = ReturnType<typeof recorder>;

/** What an action is called: "vm.confirm-peer-off". */
function actionName(action: string): string {
  return `vm.${action.replaceAll("_", "-")}`;
}

function auditedVm(vm: Backend["vm"], recorded: Recorded): Backend["vm"] {
  return {
    file: (name) => vm.file(name),
    logs: (name, options) => vm.logs(name, options),
    switchovers: (name) => vm.switchovers(name),
    history: (name, options) => vm.history(name, options),
    openConsole: (name, kind, actor = "unknown") =>
      recorded(
        { actor, action: "vm.console", subject: name, detail: kind },
        () => vm.openConsole(name, kind, actor),
      ),
    create: (body, actor) => {
      const disks = body.disks.map((disk) => disk.kind === "new" ? "new" : `${disk.kind} ${disk.path}`).join(
        ", ",
      );
      return recorded(
        { actor, action: "vm.create", subject: body.name, detail: `disks: ${disks || "none"}` },
        () => vm.create(body, actor),
      );
    },
    act: (name, action, actor) =>
      recorded({ actor, action: actionName(action), subject: name }, () => vm.act(name, action, actor)),
    switchover: (name, actor) =>
      recorded({ actor, action: "vm.switchover", subject: name }, () => vm.switchover(name, actor)),
    remove: (name, options, actor) => {
      const detail = options.disks ? "with its disks" : "its disks are kept";
      return recorded(
        { actor, action: "vm.delete", subject: name, detail },
        () => vm.remove(name, options, actor),
      );
    },
    update: (name, patch, actor) => {
      const detail = `keys: ${Object.keys(patch.spec).join(", ")}`;
      return recorded(
        { actor, action: "vm.change", subject: name, detail },
        () => vm.update(name, patch, actor),
      );
    },
  };
}

function auditedPair(pair: Backend["pair"], recorded: Recorded): Backend["pair"] {
  const step = (action: string, detail?: string) => (actor: string) => ({
    actor,
    action: `pair.${action}`,
    subject: "",
    ...(detail === undefined ? {} : { detail }),
  });
  return {
    suggest: () => pair.suggest(),
    invite: (actor) => recorded(step("invite")(actor), () => pair.invite(actor)),
    // The code is a secret for as long as it holds.
    join: (options, actor) => recorded(step("join", options.address)(actor), () => pair.join(options, actor)),
    confirm: (actor) => recorded(step("confirm")(actor), () => pair.confirm(actor)),
    cancel: (actor) => recorded(step("cancel")(actor), () => pair.cancel(actor)),
    remove: (actor) => recorded(step("remove")(actor), () => pair.remove(actor)),
    replace: (actor) => recorded(step("replace")(actor), () => pair.replace(actor)),
    rotate: (actor) => recorded(step("rotate")(actor), () => pair.rotate(actor)),
    configure: (settings, actor) =>
      recorded(step("configure", JSON.stringify(settings))(actor), () => pair.configure(settings, actor)),
  };
}

/** The same backend, with each command in the audit log. What only looks is not written down. */
export function auditedBackend(backend: Backend, audit: Pick<Audit, "append">): Backend {
  const recorded = recorder(audit);
  const { jobs, alerts } = backend;
  return {
    snapshot: () => backend.snapshot(),
    subscribe: (listener) => backend.subscribe(listener),
    vm: auditedVm(backend.vm, recorded),
    pair: auditedPair(backend.pair, recorded),
    jobs: {
      list: () => jobs.list(),
      cancel: (id, actor) =>
        recorded({ actor, action: "job.cancel", subject: id }, () => jobs.cancel(id, actor)),
    },
    events: { query: (query) => backend.events.query(query) },
    alerts: {
      settings: () => alerts.settings(),
      configure: (settings, actor) => {
        const names = settings.channels.map(({ name, kind }) => `${kind} ${name}`).join(", ");
        const deed = {
          actor,
          action: "alert.configure",
          subject: "",
          detail: `channels: ${names || "none"}`,
        };
        return recorded(deed, () => alerts.configure(settings, actor));
      },
      test: (channel, actor) =>
        recorded({ actor, action: "alert.test", subject: channel }, () => alerts.test(channel, actor)),
    },
    doctor: (options) => backend.doctor(options),
    supportBundle: (actor) =>
      recorded({ actor, action: "support-bundle", subject: "" }, () => backend.supportBundle(actor)),
    metrics: () => backend.metrics(),
    config: () => backend.config(),
  };
}
