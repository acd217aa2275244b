/** Making and importing a VM: GET and POST /vms/new and /vms/import, and the job that follows, /jobs/ID.
 *
 * All values travel in the form; each step is a POST that is checked here, so it works without scripts. */

import { type Context, Hono } from "hono";
import { ProblemError } from "../../lib/model/problem.ts";
import { allowedContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { FormProblem, type FormState, freshForm, refused, textFields } from "../forms.tsx";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { bridgesOf } from "./bridges.ts";
import {
  checkedRequest,
  countOf,
  diskValues,
  errorsOf,
  fieldOf,
  firstValues,
  MAX_DISKS,
  MAX_NICS,
  nicValues,
  type Step,
  stepOf,
  STEPS,
  type Values,
  without,
} from "./create_form.ts";
import {
  DisksStep,
  JobCard,
  MachineStep,
  NetworkStep,
  ReviewStep,
  StepList,
  type StepProps,
} from "./create_steps.tsx";

type Mode = "create" | "import";
const PATHS = { create: "/vms/new", import: "/vms/import" } as const;
const VIEWS = { machine: MachineStep, disks: DisksStep, network: NetworkStep, review: ReviewStep } as const;
/** Which fields each step shows: the others are carried along. */
const SHOWN: Readonly<Record<Step, RegExp>> = {
  machine: /^(name|memory_mib|vcpus|firmware|screen)$/,
  disks: /^disk\./,
  network: /^nic\./,
  review: /^(start|protect)$/,
};

/** What happens to the form by the button that was pressed. */
function pressed(values: Values, go: string, bridge: string): Values {
  const [verb, what, index] = go.split(".");
  if (verb === "remove" && (what === "disk" || what === "nic")) {
    return without(values, { what, index: Number(index) });
  }
  const disks = countOf(values, "disks");
  const nics = countOf(values, "nics");
  if (go === "add.disk" && disks < MAX_DISKS) {
    return { ...values, disks: String(disks + 1), ...diskValues(disks, "new") };
  }
  if (go === "add.nic" && nics < MAX_NICS) {
    return { ...values, nics: String(nics + 1), ...nicValues(nics, bridge) };
  }
  return values;
}

interface Shown {
  mode: Mode;
  step: Step;
  form: FormState;
  place: { bridges: string[]; lan: string };
}

function wizard(c: Context<Env>, deps: WebDeps, { mode, step, form, place }: Shown) {
  const context = allowedContext(c, deps, "administer");
  const { t, snapshot } = context;
  const title = t(mode === "create" ? "create.title" : "create.import.title");
  const View = VIEWS[step];
  const props: StepProps = { context, form, ...place };
  const carried = Object.entries(form.values).filter(([name]) => !SHOWN[step].test(name) && name !== "step");
  const last = step === "review";
  if (form.problem !== null || Object.keys(form.errors).length > 0) {
    c.status(form.problem === null ? 400 : 409);
  }
  return c.html(
    <Page context={context} title={title} current="create">
      <h1>{title}</h1>
      <StepList t={t} step={step} />
      {(snapshot.pair.pairing.step !== "paired" || snapshot.pair.settings === null) && (
        <p class="note warning">
          <Icon name="warning" size={18} /> <a href="/pair">{t("create.unpaired")}</a>
        </p>
      )}
      <form method="post" action={PATHS[mode]} class="card wizard">
        <h2>{t(`create.step.${step}`)}</h2>
        <FormProblem t={t} form={form} />
        <input type="hidden" name="step" value={step} />
        {carried.map(([name, value]) => <input type="hidden" name={name} value={value} />)}
        {/* The first button is what the Enter key presses. */}
        <button class="visually-hidden" type="submit" name="go" value="next" tabindex={-1} aria-hidden="true">
        </button>
        <View {...props} />
        <p class="actions">
          {step !== "machine" && (
            <button class="button plain" type="submit" name="go" value="back" formnovalidate>
              {t("form.back")}
            </button>
          )}
          <button class="button primary" type="submit" name="go" value="next">
            {last ? t(mode === "create" ? "create.go" : "create.import.go") : t("form.next")}
          </button>
        </p>
      </form>
      {step === "machine" && (
        <p>
          {mode === "create"
            ? <a href="/vms/import">{t("create.instead.import")}</a>
            : <a href="/vms/new">{t("create.instead.create")}</a>}
        </p>
      )}
    </Page>,
  );
}

/** Where the next page is: the first step up to this one with something wrong, else the one that was asked for. */
async function advance(c: Context<Env>, deps: WebDeps, mode: Mode) {
  const { t, snapshot, principal } = allowedContext(c, deps, "administer");
  const { go = "next", ...sent } = textFields(await c.req.parseBody());
  const place = await bridgesOf(deps);
  const step = STEPS.find((known) => known === sent.step) ?? "machine";
  const values = pressed(sent, go, place.lan);
  const show = (step: Step, form: FormState) => wizard(c, deps, { mode, step, form, place });
  const at = STEPS.indexOf(step);
  if (go === "back") return show(STEPS[Math.max(0, at - 1)]!, freshForm(values));
  if (go !== "next") return show(step, freshForm(values));
  const errors = errorsOf(values, { t, snapshot });
  const wrong = STEPS.find((known, index) =>
    index <= at && Object.keys(errors).some((field) => stepOf(field) === known)
  );
  if (wrong !== undefined) {
    const here = Object.entries(errors).filter(([field]) => stepOf(field) === wrong);
    return show(wrong, { values, errors: Object.fromEntries(here), problem: null });
  }
  if (step !== "review") return show(STEPS[at + 1]!, freshForm(values));
  try {
    const job = await deps.backend.vm.create(checkedRequest(values), principal.name);
    return c.redirect(`/jobs/${job.id}`, 303);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const form = refused(t, error, { values, rename: fieldOf });
    const first = Object.keys(form.errors)[0];
    return show(first === undefined ? "review" : stepOf(first), form);
  }
}

function jobRoutes(app: Hono<Env>, deps: WebDeps): void {
  app.get("/jobs/:id", (c) => {
    const context = allowedContext(c, deps, "view");
    const { t, snapshot } = context;
    const id = c.req.param("id");
    const job = snapshot.jobs.find((job) => job.id === id);
    const title = job === undefined
      ? t("job.progress")
      : job.kind === "create" || job.kind === "import"
      ? t(`job.title.${job.kind}`, { subject: job.subject })
      : t("job.title", { subject: job.subject });
    return c.html(
      <Page context={context} title={title} current="create">
        <h1>{title}</h1>
        <JobCard context={context} id={id} />
      </Page>,
    );
  });
  app.post("/jobs/:id/cancel", async (c) => {
    const { principal } = allowedContext(c, deps, "operate");
    const id = c.req.param("id");
    await deps.backend.jobs.cancel(id, principal.name);
    return c.redirect(`/jobs/${encodeURIComponent(id)}`, 303);
  });
}

/** See above. */
export function createRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  for (const mode of ["create", "import"] as const) {
    app.get(PATHS[mode], async (c) => {
      allowedContext(c, deps, "administer");
      const place = await bridgesOf(deps);
      const bridge = place.lan !== "" ? place.lan : place.bridges[0] ?? "";
      const name = (c.req.query("name") ?? "").slice(0, 32);
      const form = freshForm({ ...firstValues({ mode, bridge }), name });
      return wizard(c, deps, { mode, step: "machine", form, place });
    });
    app.post(PATHS[mode], (c) => advance(c, deps, mode));
  }
  jobRoutes(app, deps);
  return app;
}
