/** /vms/NAME/settings and /vms/NAME/logs. */

import { Hono } from "hono";
import type { Principal } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { NIC_MODELS, type VmSettings, type VmView } from "../../lib/model/vm.ts";
import { ButtonLink, Card } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import {
  CheckField,
  FormProblem,
  type FormState,
  freshForm,
  refused,
  SelectField,
  TextField,
  textFields,
} from "../forms.tsx";
import { Page } from "../layout.tsx";
import { bridgesOf } from "./bridges.ts";
import { vmOf } from "./vm.tsx";
import { CPUS, fieldOf, ORDERS, ordersOf, readForm, type Values, valuesOf } from "./vm_settings_form.ts";

const LOG_LINES = 300;

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

interface Shown {
  context: PageContext;
  vm: VmView;
  settings: VmSettings;
  form: FormState;
  bridges: { bridges: string[]; lan: string };
}

function MachineFields({ context: { t }, form }: Shown) {
  const memory = t("vm.settings.memory.hint");
  return (
    <fieldset class="part">
      <legend>{t("vm.settings.machine")}</legend>
      <TextField
        {...{ t, form, name: "memory", label: t("vm.memory"), hint: memory, unit: "MiB" }}
        type="number"
        min={64}
        max={65536}
        required
      />
      <TextField
        {...{ t, form, name: "vcpus", label: t("vm.vcpus") }}
        type="number"
        min={1}
        max={8}
        required
      />
      <TextField
        {...{ t, form, name: "cpu", label: t("vm.settings.cpu"), hint: t("vm.settings.cpu.hint") }}
        suggestions={CPUS}
        required
        plain
      />
      <CheckField {...{ t, form, name: "vga", label: t("create.screen"), hint: t("create.screen.hint") }} />
      <TextField
        {...{ t, form, name: "stop_s", label: t("vm.settings.stop"), hint: t("vm.settings.stop.hint") }}
        unit="s"
        type="number"
        min={0}
        max={600}
        required
      />
    </fieldset>
  );
}

function NicFields({ context: { t }, form, settings, bridges, index }: Shown & { index: number }) {
  const at = `nic.${index}`;
  const known = [...new Set([...bridges.bridges, form.values[`${at}.bridge`] ?? ""])].filter((name) =>
    name !== ""
  );
  const label = (name: string) => name === bridges.lan ? t("create.nic.bridge.lan", { bridge: name }) : name;
  return (
    <fieldset class="part">
      <legend>{t("create.nic", { number: index + 1 })}{t("colon")}{settings.nics[index]!.mac}</legend>
      <SelectField
        {...{ t, form, name: `${at}.bridge`, label: t("create.nic.bridge") }}
        hint={t("create.nic.bridge.hint")}
        options={[
          ...known.map((name) => [name, label(name)] as const),
          ["", t("create.nic.bridge.none")] as const,
        ]}
      />
      <SelectField
        {...{ t, form, name: `${at}.model`, label: t("create.nic.model"), hint: t("create.nic.model.hint") }}
        options={NIC_MODELS.map((model) => [model, model] as const)}
      />
    </fieldset>
  );
}

function DegradationFields({ context: { t }, form }: Shown) {
  const name = (order: string) => {
    const known = ORDERS.find((one) => one === order);
    return known === undefined ? order : t(ORDER_WORDS[known]);
  };
  return (
    <fieldset class="part">
      <legend>{t("vm.settings.behind")}</legend>
      <SelectField
        {...{ t, form, name: "order", label: t("vm.settings.order"), hint: t("vm.settings.order.hint") }}
        options={ordersOf(form.values.order ?? "").map((order) => [order, name(order)] as const)}
      />
      <TextField
        {...{
          t,
          form,
          name: "max_added_ms",
          label: t("vm.settings.added"),
          hint: t("vm.settings.added.hint"),
        }}
        unit="ms"
        type="number"
        min={20}
        max={10000}
        required
      />
    </fieldset>
  );
}

const ORDER_WORDS = {
  "": "vm.settings.order.none",
  "longer": "vm.settings.order.longer",
  "longer,slower": "vm.settings.order.slower",
  "longer,slower,asynchronous": "vm.settings.order.asynchronous",
} as const;

function SettingsForm(shown: Shown) {
  const { context: { t }, vm, settings, form } = shown;
  const running = vm.wanted.running;
  return (
    <form class="form" method="post" action={`${vmHref(vm.name)}/settings`}>
      <FormProblem t={t} form={form} />
      <p class="notice info">
        {t(running ? "vm.settings.when.running" : "vm.settings.when.stopped", { name: vm.name })}
      </p>
      <input type="hidden" name="revision" value={form.values.revision ?? String(vm.revision)} />
      <div class="fields">
        <MachineFields {...shown} />
        {settings.nics.map((_, index) => <NicFields {...shown} index={index} />)}
        <DegradationFields {...shown} />
      </div>
      <p class="muted">{t("vm.settings.what")}</p>
      <div class="actions">
        <button class="button primary" type="submit">{t("vm.settings.save")}</button>
        <ButtonLink href={vmHref(vm.name)}>{t("cancel")}</ButtonLink>
      </div>
    </form>
  );
}

async function settingsPage(
  deps: WebDeps,
  { context, vm, form }: Pick<Shown, "context" | "vm" | "form">,
) {
  const { t } = context;
  const { settings } = vm;
  const file = await deps.backend.vm.file(vm.name);
  const bridges = await bridgesOf(deps);
  return (
    <Page context={context} title={`${t("vm.settings")}${t("colon")}${vm.name}`} current="home">
      <Crumbs context={context} name={vm.name} />
      <h1>{t("vm.settings")}{t("colon")}{vm.name}</h1>
      {settings != null && (
        <Card id="settings" title={t("vm.settings.edit")}>
          <SettingsForm {...{ context, vm, settings, form, bridges }} />
        </Card>
      )}
      <Card id="file" title={t("vm.settings.file")}>
        <pre tabindex={0} lang="en" role="region" aria-label={t("vm.settings.file")}>{file}</pre>
      </Card>
    </Page>
  );
}

/** Changes what was changed in the form; the form again when something is wrong with it. */
async function change(
  deps: WebDeps,
  { context, vm, values }: { context: PageContext & { principal: Principal }; vm: VmView; values: Values },
): Promise<FormState | null> {
  const { settings } = vm;
  if (settings == null) {
    throw new ProblemError("invalid", explained("vm.file_unreadable", { name: vm.name }));
  }
  const { spec, errors } = readForm(values, { vm, settings, t: context.t });
  if (Object.keys(errors).length > 0) return { values, errors, problem: null };
  if (Object.keys(spec).length === 0) return null;
  const revision = Number(values.revision);
  try {
    await deps.backend.vm.update(vm.name, {
      revision: Number.isSafeInteger(revision) ? revision : -1,
      spec,
    }, context.principal.name);
    return null;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return refused(context.t, error, { values, rename: fieldOf });
  }
}

/** See above. */
export function vmSettingsRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/vms/:name/settings", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const vm = vmOf(context.snapshot, c.req.param("name"));
    const values = vm.settings == null ? {} : valuesOf(vm, vm.settings);
    return c.html(await settingsPage(deps, { context, vm, form: freshForm(values) }));
  });
  app.post("/vms/:name/settings", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const vm = vmOf(context.snapshot, c.req.param("name"));
    const form = await change(deps, { context, vm, values: textFields(await c.req.parseBody()) });
    if (form === null) return c.redirect(vmHref(vm.name), 303);
    return c.html(await settingsPage(deps, { context, vm, form }), form.problem === null ? 400 : 409);
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
