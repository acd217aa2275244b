/** The wizard's steps as they are seen. */

import { NIC_MODELS } from "../../lib/model/vm.ts";
import { Bar, ButtonLink, Card, Facts, Why } from "../components.tsx";
import type { PageContext } from "../context.ts";
import { CheckField, type FormState, SelectField, TextField } from "../forms.tsx";
import type { Translator } from "../i18n/translator.ts";
import { Icon } from "../icons.tsx";
import { countOf, MAX_DISKS, MAX_NICS, type Step, STEPS, type Values } from "./create_form.ts";

/** What a step needs to know. */
export interface StepProps {
  context: PageContext;
  form: FormState;
  /** Bridges of this node. */
  bridges: readonly string[];
  /** The bridge that is the LAN's; "" without one. */
  lan: string;
}

/** Where one is, with links to what was done: each is a button of the form. */
export function StepList({ t, step }: { t: Translator; step: Step }) {
  const at = STEPS.indexOf(step);
  return (
    <ol class="steps" aria-label={t("create.steps")}>
      {STEPS.map((known, index) => (
        <li aria-current={known === step ? "step" : undefined} class={index < at ? "passed" : undefined}>
          <span class="step-number" aria-hidden="true">{index + 1}</span>
          <span>{t(`create.step.${known}`)}</span>
        </li>
      ))}
    </ol>
  );
}

function freeMemory({ t, snapshot }: PageContext): string {
  const nodes = snapshot?.nodes.filter(({ memory_free_mib }) => memory_free_mib !== null) ?? [];
  return t.list(nodes.map(({ name, memory_free_mib }) => `${name} ${t.memory(memory_free_mib!)}`));
}

export function MachineStep({ context, form }: StepProps) {
  const { t } = context;
  const free = freeMemory(context);
  const memory = free === "" ? t("create.memory.hint.plain") : t("create.memory.hint", { free });
  const firmware = ["bios", "uefi"] as const;
  return (
    <div class="fields">
      <TextField
        {...{ t, form, name: "name", label: t("create.name"), hint: t("create.name.hint") }}
        required
        plain
        autofocus
      />
      <TextField
        {...{ t, form, name: "memory_mib", label: t("create.memory"), hint: memory, unit: "MiB" }}
        type="number"
        min={64}
        max={65536}
        suggestions={["1024", "2048", "4096", "8192"]}
        required
      />
      <TextField
        {...{ t, form, name: "vcpus", label: t("create.vcpus"), hint: t("create.vcpus.hint") }}
        type="number"
        min={1}
        max={8}
        required
      />
      <SelectField
        {...{ t, form, name: "firmware", label: t("create.firmware"), hint: t("create.firmware.hint") }}
        options={firmware.map((kind) => [kind, t(`create.firmware.${kind}`)] as const)}
      />
      <CheckField
        {...{ t, form, name: "screen", label: t("create.screen"), hint: t("create.screen.hint") }}
      />
    </div>
  );
}

function DiskFields({ context, form, index }: StepProps & { index: number }) {
  const { t, snapshot } = context;
  const at = `disk.${index}`;
  const kinds = ["new", "import", "existing"] as const;
  const formats = ["qcow2", "vmdk", "vhdx", "raw"] as const;
  const path = {
    t,
    form,
    name: `${at}.path`,
    label: t("create.disk.path", { node: snapshot?.nodes[0]?.name ?? "" }),
  };
  return (
    <fieldset class="part disk-fields">
      <legend>{t("create.disk", { number: index + 1 })}</legend>
      <div class="disk-kind">
        <SelectField
          {...{ t, form, name: `${at}.kind`, label: t("create.disk.kind") }}
          options={kinds.map((kind) => [kind, t(`create.disk.kind.${kind}`)] as const)}
        />
      </div>
      <div class="for-new">
        <TextField
          {...{ t, form, name: `${at}.size_gib`, label: t("create.disk.size"), unit: "GiB" }}
          type="number"
          min={1}
        />
      </div>
      <div class="for-file">
        <TextField {...path} plain placeholder="/srv/iservft-edge/old-machine.vmdk" />
        <p class="hint for-import">{t("create.disk.path.import.hint")}</p>
        <p class="hint for-existing">{t("create.disk.path.existing.hint")}</p>
      </div>
      <div class="for-import">
        <SelectField
          {...{
            t,
            form,
            name: `${at}.format`,
            label: t("create.disk.format"),
            hint: t("create.disk.format.hint"),
          }}
          options={[
            ["", t("create.disk.format.choose")] as const,
            ...formats.map((format) => [format, t(`create.disk.format.${format}`)] as const),
          ]}
        />
      </div>
      <button class="button plain" type="submit" name="go" value={`remove.disk.${index}`} formnovalidate>
        <Icon name="trash" size={18} />
        <span>{t("create.disk.remove", { number: index + 1 })}</span>
      </button>
    </fieldset>
  );
}

export function DisksStep(props: StepProps) {
  const { t } = props.context;
  const count = countOf(props.form.values as Values, "disks");
  return (
    <>
      {count === 0 && <p>{t("create.disk.none")}</p>}
      {Array.from({ length: count }, (_, index) => <DiskFields {...props} index={index} />)}
      {count < MAX_DISKS && (
        <button class="button plain" type="submit" name="go" value="add.disk" formnovalidate>
          <Icon name="plus" size={18} />
          <span>{t("create.disk.add")}</span>
        </button>
      )}
    </>
  );
}

function NicFields({ context, form, bridges, lan, index }: StepProps & { index: number }) {
  const { t } = context;
  const at = `nic.${index}`;
  const known = [...new Set([...bridges, form.values[`${at}.bridge`] ?? ""])].filter((name) => name !== "");
  const label = (name: string) => name === lan ? t("create.nic.bridge.lan", { bridge: name }) : name;
  return (
    <fieldset class="part">
      <legend>{t("create.nic", { number: index + 1 })}</legend>
      <SelectField
        {...{
          t,
          form,
          name: `${at}.bridge`,
          label: t("create.nic.bridge"),
          hint: t("create.nic.bridge.hint"),
        }}
        options={[
          ...known.map((name) => [name, label(name)] as const),
          ["", t("create.nic.bridge.none")] as const,
        ]}
      />
      <SelectField
        {...{ t, form, name: `${at}.model`, label: t("create.nic.model"), hint: t("create.nic.model.hint") }}
        options={NIC_MODELS.map((model) => [model, model] as const)}
      />
      <TextField
        {...{ t, form, name: `${at}.mac`, label: `${t("create.nic.mac")} (${t("form.optional")})` }}
        hint={t("create.nic.mac.hint")}
        plain
      />
      <button class="button plain" type="submit" name="go" value={`remove.nic.${index}`} formnovalidate>
        <Icon name="trash" size={18} />
        <span>{t("create.nic.remove", { number: index + 1 })}</span>
      </button>
    </fieldset>
  );
}

export function NetworkStep(props: StepProps) {
  const { t } = props.context;
  const count = countOf(props.form.values as Values, "nics");
  return (
    <>
      {count === 0 && <p>{t("create.nic.none")}</p>}
      {Array.from({ length: count }, (_, index) => <NicFields {...props} index={index} />)}
      {count < MAX_NICS && (
        <button class="button plain" type="submit" name="go" value="add.nic" formnovalidate>
          <Icon name="plus" size={18} />
          <span>{t("create.nic.add")}</span>
        </button>
      )}
    </>
  );
}

function diskText(t: Translator, values: FormState["values"], index: number): string {
  const field = (name: string) => values[`disk.${index}.${name}`] ?? "";
  const kind = field("kind") as "new" | "import" | "existing";
  const what = kind === "new"
    ? `${field("size_gib")} GiB`
    : kind === "import"
    ? `${field("path")} (${field("format")})`
    : field("path");
  return `${t(`create.disk.kind.${kind}`)}${t("colon")}${what}`;
}

export function ReviewStep({ context, form }: StepProps) {
  const { t, snapshot } = context;
  const { values } = form;
  const disks = Array.from({ length: countOf(values as Values, "disks") }, (_, index) => index);
  const nics = Array.from({ length: countOf(values as Values, "nics") }, (_, index) => index);
  const nicText = (index: number) => {
    const [bridge, model, mac] = ["bridge", "model", "mac"].map((name) =>
      values[`nic.${index}.${name}`] ?? ""
    );
    return `${bridge === "" ? t("create.nic.bridge.none") : bridge}, ${model}${mac === "" ? "" : `, ${mac}`}`;
  };
  const memory = Number(values.memory_mib);
  const short = snapshot?.nodes.filter(({ memory_free_mib }) =>
    memory_free_mib !== null && memory_free_mib < memory
  );
  const firmware = values.firmware === "uefi" ? "create.firmware.uefi" : "create.firmware.bios";
  return (
    <>
      <Facts
        rows={[
          [t("create.name"), values.name],
          [t("create.memory"), t.memory(memory)],
          [t("create.vcpus"), values.vcpus],
          [t("create.firmware"), t(firmware)],
          [t("create.screen"), values.screen === "1" ? t("yes") : t("no")],
          ...disks.map((index) =>
            [t("create.disk", { number: index + 1 }), diskText(t, values, index)] as const
          ),
          ...nics.map((index) => [t("create.nic", { number: index + 1 }), nicText(index)] as const),
        ]}
      />
      {short?.map(({ name, memory_free_mib }) => (
        <p class="note warning">
          <Icon name="warning" size={18} />{" "}
          <span>{t("create.memory.short", { node: name, free: t.memory(memory_free_mib!) })}</span>
        </p>
      ))}
      <CheckField {...{ t, form, name: "start", label: t("create.start") }} />
      <CheckField
        {...{ t, form, name: "protect", label: t("create.protect"), hint: t("create.protect.hint") }}
      />
    </>
  );
}

/** How far the making is; kept up to date by the page. */
export function JobCard({ context, id }: { context: PageContext; id: string }) {
  const { t, snapshot } = context;
  const job = snapshot?.jobs.find((job) => job.id === id);
  if (job === undefined) {
    return (
      <Card id="job" title={t("job.progress")} live>
        <p>{t("job.gone")}</p>
      </Card>
    );
  }
  const { subject, state, done, total, unit, rate_per_s: rate, eta_s: eta, error } = job;
  const amount = unit === "bytes"
    ? t("job.of.bytes", { done: t.bytes(done), total: t.bytes(total) })
    : t("job.of.steps", { done, total });
  const speed = rate === null || unit !== "bytes" ? [] : [t("job.rate", { rate: t.bytes(rate) })];
  const left = eta === null ? [] : [t("job.eta", { eta: t.duration(eta) })];
  const severity =
    ({ running: "info", done: "ok", failed: "critical", cancelled: "warning" } as const)[state];
  return (
    <Card id="job" title={t(`job.state.${state}`)} live>
      <div class={`job-state ${severity}`}>
        <Bar
          label={t("job.progress")}
          done={state === "done" ? 1 : done}
          total={state === "done" ? 1 : total}
        >
          {state === "running" ? [amount, ...speed, ...left].join(" · ") : t(`job.state.${state}`)}
        </Bar>
      </div>
      {error !== null && (
        <div class="problem" role="alert">
          <Why t={t} said={error} />
        </div>
      )}
      {state === "running" && <p class="hint">{t("job.leave")}</p>}
      <p class="actions">
        {state === "done" && (
          <ButtonLink href={`/vms/${subject}`} icon="vm" kind="primary">
            {t("job.open", { subject })}
          </ButtonLink>
        )}
        {(state === "failed" || state === "cancelled") && (
          <ButtonLink
            href={`/vms/${job.kind === "import" ? "import" : "new"}?name=${subject}`}
            kind="primary"
          >
            {t("job.again")}
          </ButtonLink>
        )}
      </p>
      {state === "running" && context.may("operate") && (
        <form method="post" action={`/jobs/${id}/cancel`}>
          <button class="button danger" type="submit">
            <Icon name="cross" size={18} />
            <span>{t("job.cancel")}</span>
          </button>
        </form>
      )}
    </Card>
  );
}
