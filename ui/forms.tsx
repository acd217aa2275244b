/** Fields of forms, with what is wrong beside them: the server checks, fills them in again, and says it in the reader's language. */

import type { Child, PropsWithChildren } from "hono/jsx";
import type { z } from "zod";
import type { ProblemError } from "../lib/model/problem.ts";
import { Problem, told } from "./components.tsx";
import type { MessageKey } from "./i18n/en.ts";
import type { Translator } from "./i18n/translator.ts";

/** A form as it was sent, or as it begins. */
export interface FormState {
  values: Readonly<Record<string, string>>;
  /** By field: what is wrong. */
  errors: Readonly<Record<string, string>>;
  /** What the node said of the whole. */
  problem: ProblemError | null;
}

/** A form that nobody filled in yet. */
export function freshForm(values: Readonly<Record<string, string>> = {}): FormState {
  return { values, errors: {}, problem: null };
}

/** The text fields of a body: whatever else came is left out. */
export function textFields(body: Readonly<Record<string, unknown>>): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [key, value] of Object.entries(body)) {
    if (typeof value === "string") fields[key] = value.trim();
  }
  return fields;
}

/** What a schema found, in the reader's language. `pattern`: what to say of a text of the wrong shape. */
export function issueText(
  t: Translator,
  issue: z.core.$ZodIssue,
  pattern: MessageKey = "form.pattern",
): string {
  switch (issue.code) {
    case "too_small":
      return issue.origin === "number"
        ? t("form.too_small", { minimum: Number(issue.minimum) })
        : t(Number(issue.minimum) === 1 ? "form.required" : "form.too_short", {
          minimum: Number(issue.minimum),
        });
    case "too_big":
      return t(issue.origin === "number" ? "form.too_big" : "form.too_long", {
        maximum: Number(issue.maximum),
      });
    case "invalid_type":
      return t(issue.expected === "number" || issue.expected === "int" ? "form.number" : "form.required");
    case "invalid_value":
      return t("form.choice");
    case "invalid_format":
      return t(issue.format === "ipv4" ? "form.ipv4" : issue.format === "url" ? "form.url" : pattern);
    default:
      return t(pattern);
  }
}

interface FieldProps {
  t: Translator;
  form: FormState;
  name: string;
  label: string;
  hint?: string;
}

function Around({ form, name, label, hint, children }: PropsWithChildren<FieldProps>) {
  const error = form.errors[name];
  return (
    <div class={error === undefined ? "field" : "field wrong"}>
      <label for={`f-${name}`}>{label}</label>
      {children}
      {hint !== undefined && <p class="hint" id={`h-${name}`}>{hint}</p>}
      {error !== undefined && <p class="field-error" id={`e-${name}`}>{error}</p>}
    </div>
  );
}

/** What screen readers are told beside the label. */
function described({ form, name, hint }: FieldProps) {
  const ids = [hint === undefined ? "" : `h-${name}`, form.errors[name] === undefined ? "" : `e-${name}`];
  const text = ids.filter((id) => id !== "").join(" ");
  return {
    id: `f-${name}`,
    name,
    "aria-describedby": text === "" ? undefined : text,
    "aria-invalid": form.errors[name] === undefined ? undefined : "true" as const,
  };
}

/** One line of text, or a number. */
export function TextField(
  props: FieldProps & {
    type?: "text" | "number" | "password" | "url" | "search" | "datetime-local";
    required?: boolean;
    placeholder?: string;
    suggestions?: readonly string[];
    unit?: string;
    min?: number;
    max?: number;
    /** Of what may be typed by machines only: codes, addresses. */
    plain?: boolean;
    autofocus?: boolean;
    autocomplete?: string;
  },
) {
  const { form, name, type, suggestions, unit, plain } = props;
  const list = suggestions === undefined || suggestions.length === 0 ? undefined : `l-${name}`;
  return (
    <Around {...props}>
      <span class="input-row">
        <input
          {...described(props)}
          type={type ?? "text"}
          value={type === "password" ? "" : form.values[name] ?? ""}
          required={props.required}
          placeholder={props.placeholder}
          min={props.min}
          max={props.max}
          list={list}
          autofocus={props.autofocus}
          autocomplete={props.autocomplete ?? "off"}
          inputmode={type === "number" ? "numeric" : undefined}
          spellcheck={plain ? false : undefined}
          autocapitalize={plain ? "none" : undefined}
        />
        {unit !== undefined && <span class="unit">{unit}</span>}
      </span>
      {list !== undefined && (
        <datalist id={list}>{suggestions!.map((value) => <option value={value}></option>)}</datalist>
      )}
    </Around>
  );
}

/** Several lines. */
export function AreaField(props: FieldProps & { rows: number }) {
  return (
    <Around {...props}>
      <textarea {...described(props)} rows={props.rows}>{props.form.values[props.name] ?? ""}</textarea>
    </Around>
  );
}

/** One of some. */
export function SelectField(
  props: FieldProps & { options: readonly (readonly [value: string, label: string])[] },
) {
  const { form, name, options } = props;
  return (
    <Around {...props}>
      <select {...described(props)}>
        {options.map(([value, label]) => (
          <option value={value} selected={(form.values[name] ?? options[0]?.[0]) === value}>{label}</option>
        ))}
      </select>
    </Around>
  );
}

/** Yes or no. What is not sent is no: "1" is yes. */
export function CheckField({ form, name, label, hint }: FieldProps) {
  return (
    <div class="field check">
      <label>
        <input
          type="checkbox"
          name={name}
          value="1"
          checked={form.values[name] === "1"}
          aria-describedby={hint === undefined ? undefined : `h-${name}`}
        />
        <span>{label}</span>
      </label>
      {hint !== undefined && <p class="hint" id={`h-${name}`}>{hint}</p>}
    </div>
  );
}

/** One of some, each with an explanation that is always seen. */
export function RadioField(
  { form, name, label, options }: FieldProps & {
    options: readonly { value: string; label: string; hint: string; more?: Child }[];
  },
) {
  const error = form.errors[name];
  return (
    <fieldset class="field radios">
      <legend>{label}</legend>
      {options.map(({ value, label, hint, more }) => (
        <div class="radio">
          <label>
            <input
              type="radio"
              name={name}
              value={value}
              checked={form.values[name] === value}
              aria-describedby={`h-${name}-${value}`}
            />
            <span>{label}</span>
          </label>
          <p class="hint" id={`h-${name}-${value}`}>{hint}</p>
          {more}
        </div>
      ))}
      {error !== undefined && <p class="field-error">{error}</p>}
    </fieldset>
  );
}

/** What is wrong with the form as a whole: what the node said, or that fields below are marked. */
export function FormProblem({ t, form }: { t: Translator; form: FormState }) {
  const { problem, errors } = form;
  if (problem !== null) {
    return <Problem t={t} {...told(problem)} />;
  }
  const count = Object.keys(errors).length;
  return count === 0 ? null : <p class="form-problem" role="alert">{t("form.wrong", { count })}</p>;
}

/** A form sent again with what a ProblemError said of its fields, in the reader's language. `rename`: the form's own names. */
export function refused(
  t: Translator,
  problem: ProblemError,
  { values, rename = (key) => key }: {
    values: Readonly<Record<string, string>>;
    rename?: (key: string) => string;
  },
): FormState {
  const errors: Record<string, string> = {};
  for (const field of problem.fields) errors[rename(field.key)] = t.reason(field.problem) ?? field.problem;
  return { values, errors, problem };
}
