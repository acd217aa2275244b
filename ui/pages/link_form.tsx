/** The form of lines, LAN and who decides: its fields, what they mean, and how they look. */

import type { Backend } from "../../lib/model/backend.ts";
import { type PairSettings, pairSettings } from "../../lib/model/node.ts";
import type { PageContext } from "../context.ts";
import { FormProblem, type FormState, issueText, RadioField, TextField } from "../forms.tsx";
import type { MessageKey } from "../i18n/en.ts";
import type { Translator } from "../i18n/translator.ts";

/** What this node could use. */
export type Suggestion = Awaited<ReturnType<Backend["pair"]["suggest"]>>;
type Values = Record<string, string>;

const PATHS = ["link_a", "link_b", "lan"] as const;

/** Settings as the form's fields. */
export function linkValues(settings: PairSettings | null): Values {
  const values: Values = {
    arbiter: settings?.arbiter ?? "lan",
    takeover_ms: String(settings?.takeover_ms ?? 150),
  };
  for (const name of PATHS) {
    values[`${name}.local`] = settings?.[name]?.local ?? "";
    values[`${name}.peer`] = settings?.[name]?.peer ?? "";
  }
  values["lan.bridge"] = settings?.lan?.bridge ?? "";
  values["lan.reference"] = settings?.lan?.reference ?? "";
  const { witness } = settings ?? {};
  values["witness.address"] = witness?.address ?? "";
  values["witness.port"] = String(witness?.port ?? 7810);
  values["witness.id"] = witness?.id ?? "";
  values["witness.pair"] = witness?.pair ?? "";
  return values;
}

/** The form's fields as settings: a part of which nothing is given is not there. */
function settingsOf(values: Values): Record<string, unknown> {
  const field = (name: string) => values[name] ?? "";
  const path = (name: string) => ({ local: field(`${name}.local`), peer: field(`${name}.peer`) });
  const given = (...names: string[]) => names.some((name) => field(name) !== "");
  const lan = { ...path("lan"), bridge: field("lan.bridge"), reference: field("lan.reference") || null };
  const witness = {
    address: field("witness.address"),
    port: Number(field("witness.port")),
    id: field("witness.id"),
    pair: field("witness.pair"),
  };
  return {
    link_a: path("link_a"),
    link_b: given("link_b.local", "link_b.peer") ? path("link_b") : null,
    lan: given("lan.local", "lan.peer", "lan.bridge", "lan.reference") ? lan : null,
    arbiter: field("arbiter"),
    witness: field("arbiter") === "witness" || given("witness.address", "witness.id", "witness.pair")
      ? witness
      : null,
    takeover_ms: Number(field("takeover_ms")),
  };
}

const PATTERNS: Readonly<Record<string, MessageKey>> = {
  "lan.bridge": "create.nic.bridge.pattern",
  "witness.pair": "links.witness.pair.pattern",
};

/** Checked settings, or what is wrong by field. */
export function checkedLinks(
  values: Values,
  t: Translator,
): { settings: PairSettings; errors: null } | { settings: null; errors: Record<string, string> } {
  const checked = pairSettings.safeParse(settingsOf(values));
  const errors: Record<string, string> = {};
  for (const issue of checked.error?.issues ?? []) {
    const field = issue.path.join(".");
    errors[field] = values[field] === "" ? t("form.required") : issueText(t, issue, PATTERNS[field]);
  }
  if (values.arbiter === "witness" && (values["witness.id"] ?? "") === "") {
    errors["witness.id"] = t("form.required");
  }
  if (values.arbiter === "lan" && (values["lan.reference"] ?? "") === "") {
    errors["lan.reference"] = t("links.lan.reference.needed");
  }
  return checked.success && Object.keys(errors).length === 0
    ? { settings: checked.data, errors: null }
    : { settings: null, errors };
}

interface FormProps {
  context: PageContext;
  form: FormState;
  suggestion: Suggestion;
}

/** "enp3s0: 10.0.1.1/24, 1,000 Mbit/s, no cable". */
function Interfaces({ context, suggestion }: Omit<FormProps, "form">) {
  const { t } = context;
  if (suggestion.interfaces.length === 0) return null;
  return (
    <details>
      <summary>{t("links.interfaces", { node: context.snapshot?.nodes[0]?.name ?? "" })}</summary>
      <ul>
        {suggestion.interfaces.map(({ name, address, prefix, speed_mbit, bridge, carrier }) => (
          <li>
            <span class="code">{name} {address}/{prefix}</span>
            {speed_mbit === null ? "" : `, ${t("unit.mbit", { value: speed_mbit })}`}
            {bridge ? `, ${t("links.bridge")}` : ""}
            {carrier ? "" : `, ${t("links.no_carrier")}`}
          </li>
        ))}
      </ul>
    </details>
  );
}

function PathFields({ context, form, suggestion, name }: FormProps & { name: typeof PATHS[number] }) {
  const { t, snapshot } = context;
  const [self, peer] = snapshot?.nodes ?? [];
  const own = suggestion.interfaces.map(({ address }) => address);
  const required = name === "link_a";
  return (
    <fieldset class="part">
      <legend>{t(`links.${name}`)}</legend>
      <p class="hint">{t(`links.${name}.hint`)}</p>
      <div class="fields columns">
        <TextField
          {...{
            t,
            form,
            name: `${name}.local`,
            label: t("links.address", { node: self?.name ?? "" }),
            required,
          }}
          suggestions={own}
          plain
        />
        <TextField
          {...{
            t,
            form,
            name: `${name}.peer`,
            label: t("links.address", { node: peer?.name ?? t("links.peer") }),
          }}
          required={required}
          plain
        />
        {name === "lan" && (
          <>
            <TextField
              {...{
                t,
                form,
                name: "lan.bridge",
                label: t("links.lan.bridge"),
                hint: t("links.lan.bridge.hint"),
              }}
              suggestions={suggestion.interfaces.filter(({ bridge }) => bridge).map(({ name }) => name)}
              plain
            />
            <TextField
              {...{ t, form, name: "lan.reference", label: t("links.lan.reference") }}
              hint={t("links.lan.reference.hint")}
              plain
            />
          </>
        )}
      </div>
    </fieldset>
  );
}

function WitnessFields({ context, form }: Omit<FormProps, "suggestion">) {
  const { t } = context;
  return (
    <div class="fields columns witness-fields">
      <TextField {...{ t, form, name: "witness.address", label: t("links.witness.address") }} plain />
      <TextField {...{ t, form, name: "witness.port", label: t("links.witness.port") }} type="number" />
      <TextField
        {...{ t, form, name: "witness.id", label: t("links.witness.id"), hint: t("links.witness.id.hint") }}
        plain
      />
      <TextField
        {...{
          t,
          form,
          name: "witness.pair",
          label: t("links.witness.pair"),
          hint: t("links.witness.pair.hint"),
        }}
        plain
      />
    </div>
  );
}

/** The form. */
export function LinkForm(props: FormProps) {
  const { context, form } = props;
  const { t } = context;
  const arbiters = ["witness", "lan", "manual"] as const;
  return (
    <form method="post" action="/pair/links#links" class="card" id="links" aria-labelledby="links-title">
      <h2 id="links-title">{t("links.title")}</h2>
      <FormProblem t={t} form={form} />
      <p>{t("links.text")}</p>
      <Interfaces {...props} />
      {PATHS.map((name) => <PathFields {...props} name={name} />)}
      <RadioField
        {...{ t, form, name: "arbiter", label: t("links.arbiter") }}
        options={arbiters.map((value) => ({
          value,
          label: t(`links.arbiter.${value}`),
          hint: t(`links.arbiter.${value}.hint`),
          ...(value === "witness" ? { more: <WitnessFields {...props} /> } : {}),
        }))}
      />
      <p>
        <a href="/docs/witness">{t("links.arbiter.more")}</a>
      </p>
      <details open={form.errors.takeover_ms !== undefined}>
        <summary>{t("links.advanced")}</summary>
        <TextField
          {...{
            t,
            form,
            name: "takeover_ms",
            label: t("links.takeover"),
            hint: t("links.takeover.hint"),
            unit: "ms",
          }}
          type="number"
          min={50}
          max={60000}
        />
      </details>
      <p class="actions">
        <button class="button primary" type="submit">{t("links.go")}</button>
        <a class="button plain" href="/pair?propose=1#links">{t("links.propose")}</a>
      </p>
    </form>
  );
}
