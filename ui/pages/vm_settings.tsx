/** /vms/NAME/settings and /vms/NAME/logs. */

import { Hono } from "hono";
import { z } from "zod";
import type { VmView } from "../../lib/model/vm.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { ButtonLink, Card, Problem } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Page } from "../layout.tsx";
import { vmOf } from "./vm.tsx";

const LOG_LINES = 300;

/** What may be changed here; the API can change each key of the VM's file. */
const settingsForm = z.object({
  revision: z.coerce.number().int().min(0),
  memory_mib: z.coerce.number().int().min(64).max(65536),
  vcpus: z.coerce.number().int().min(1).max(8),
});

function vmHref(name: string): string {
  return `/vms/${encodeURIComponent(name)}`;
}

function Crumbs({ context, name }: { context: PageContext; name: string }) {
  return (
    <p class="crumbs">
      <a href={vmHref(name)}>{name}</a> / <span class="visually-hidden">{context.t("vm.settings")}</span>
    </p>
  );
}

interface Filled {
  memory_mib: string;
  vcpus: string;
}

function SettingsForm(
  { context, vm, filled, problem }: {
    context: PageContext;
    vm: VmView;
    filled: Filled;
    problem: ProblemError | null;
  },
) {
  const { t } = context;
  return (
    <form class="form" method="post" action={`${vmHref(vm.name)}/settings`}>
      {problem !== null && <Problem t={t} code={problem.code} detail={problem.message} hint={problem.hint} />}
      <p>{t("vm.settings.what")}</p>
      <input type="hidden" name="revision" value={String(vm.revision)} />
      <label>
        <span>{t("vm.settings.memory")}</span>
        <input type="number" name="memory_mib" min="64" max="65536" required value={filled.memory_mib} />
      </label>
      <label>
        <span>{t("vm.settings.vcpus")}</span>
        <input type="number" name="vcpus" min="1" max="8" required value={filled.vcpus} />
      </label>
      <div class="actions">
        <button class="button primary" type="submit">{t("vm.settings.save")}</button>
        <ButtonLink href={vmHref(vm.name)}>{t("cancel")}</ButtonLink>
      </div>
    </form>
  );
}

function settingsPage(shown: {
  context: PageContext;
  vm: VmView;
  file: string;
  filled: Filled;
  problem: ProblemError | null;
}) {
  const { context, vm, file, filled, problem } = shown;
  const { t } = context;
  return (
    <Page context={context} title={`${t("vm.settings")}: ${vm.name}`} current="home">
      <Crumbs context={context} name={vm.name} />
      <h1>{t("vm.settings")}: {vm.name}</h1>
      <Card id="settings" title={t("vm.settings.edit")}>
        <SettingsForm context={context} vm={vm} filled={filled} problem={problem} />
      </Card>
      <Card id="file" title={t("vm.settings.file")}>
        <pre tabindex={0} lang="en" role="region" aria-label={t("vm.settings.file")}>{file}</pre>
      </Card>
    </Page>
  );
}

/** The form as numbers. Throws ProblemError that names what is wrong. */
function settingsOf(form: Record<string, unknown>): z.infer<typeof settingsForm> {
  const read = settingsForm.safeParse(form);
  if (read.success) return read.data;
  const fields = read.error.issues.map(({ path, message }) => ({ key: path.join("."), problem: message }));
  throw new ProblemError("invalid", {
    detail: fields.map(({ key, problem }) => `${key}: ${problem}`).join("; "),
    hint: "Memory is 64 to 65536 MiB, processors are 1 to 8.",
    fields,
  });
}

/** See above. */
export function vmSettingsRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/vms/:name/settings", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const vm = vmOf(context.snapshot, c.req.param("name"));
    const file = await deps.backend.vm.file(vm.name);
    const filled = { memory_mib: String(vm.memory_mib), vcpus: String(vm.vcpus) };
    return c.html(settingsPage({ context, vm, file, filled, problem: null }));
  });
  app.post("/vms/:name/settings", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const vm = vmOf(context.snapshot, c.req.param("name"));
    const form = await c.req.parseBody();
    try {
      const { revision, ...wished } = settingsOf(form);
      const spec = Object.fromEntries(
        Object.entries(wished).filter(([key, value]) => vm[key as keyof typeof wished] !== value),
      );
      if (Object.keys(spec).length > 0) {
        await deps.backend.vm.update(vm.name, { revision, spec }, context.principal.name);
      }
      return c.redirect(vmHref(vm.name), 303);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      const file = await deps.backend.vm.file(vm.name);
      const filled = { memory_mib: String(form.memory_mib ?? ""), vcpus: String(form.vcpus ?? "") };
      return c.html(settingsPage({ context, vm, file, filled, problem: error }), 400);
    }
  });
  app.get("/vms/:name/logs", async (c) => {
    const context = allowedContext(c, deps, "view");
    const { t } = context;
    const { name } = vmOf(context.snapshot, c.req.param("name"));
    const lines = await deps.backend.vm.logs(name, { lines: LOG_LINES });
    return c.html(
      <Page context={context} title={t("vm.logs.title", { name })} current="home" wide>
        <Crumbs context={context} name={name} />
        <h1>{t("vm.logs.title", { name })}</h1>
        <p class="muted">{t("vm.logs.what")}</p>
        <div id="log" data-live="">
          {lines.length === 0 ? <p class="empty">{t("vm.logs.none")}</p> : (
            <pre
              class="log"
              tabindex={0}
              lang="en"
              role="region"
              aria-label={t("vm.logs")}
            >{lines.join("\n")}</pre>
          )}
        </div>
      </Page>,
    );
  });
  return app;
}
