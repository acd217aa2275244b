/** Parts of the forms of signing in and of the account. */

import type { Context } from "hono";
import { ProblemError } from "../../lib/model/problem.ts";
import { PASSWORD_MAX, PASSWORD_MIN } from "../../lib/access/types.ts";
import { Problem, told } from "../components.tsx";
import type { Env } from "../deps.ts";
import type { MessageKey } from "../i18n/en.ts";
import type { Translator } from "../i18n/translator.ts";
import { Icon } from "../icons.tsx";

/** A form's fields, as text; what is missing or sent twice is "". */
export async function formOf(c: Context<Env>): Promise<(name: string) => string> {
  const form = await c.req.parseBody();
  return (name) => typeof form[name] === "string" ? form[name] : "";
}

/** A labelled input. */
export function Field(
  props: {
    t: Translator;
    label: MessageKey;
    name: string;
    type?: "text" | "password";
    autocomplete: string;
    hint?: string;
    value?: string;
    required?: boolean;
    minlength?: number;
    maxlength?: number;
    inputmode?: "numeric" | "text";
    autofocus?: boolean;
  },
) {
  const { t, label, hint, name } = props;
  const hintId = hint === undefined ? undefined : `${name}-hint`;
  return (
    <div>
      <label for={`field-${name}`}>
        <span>{t(label)}</span>
      </label>
      <input
        id={`field-${name}`}
        name={name}
        type={props.type ?? "text"}
        autocomplete={props.autocomplete}
        autocapitalize="none"
        spellcheck={false}
        value={props.value}
        required={props.required !== false}
        minlength={props.minlength}
        maxlength={props.maxlength}
        inputmode={props.inputmode}
        autofocus={props.autofocus}
        aria-describedby={hintId}
      />
      {hint !== undefined && <p class="hint" id={hintId}>{hint}</p>}
    </div>
  );
}

/** A new password, twice. */
export function NewPassword({ t }: { t: Translator }) {
  const common = { t, type: "password", autocomplete: "new-password", maxlength: PASSWORD_MAX } as const;
  return (
    <>
      <Field
        {...common}
        label="access.password.new"
        name="new"
        minlength={PASSWORD_MIN}
        hint={t("access.password.hint", { count: PASSWORD_MIN })}
      />
      <Field {...common} label="access.password.again" name="again" />
    </>
  );
}

/** The code of an authenticator. */
export function Code({ t, required }: { t: Translator; required?: boolean }) {
  return (
    <Field
      t={t}
      label="access.code"
      name="code"
      autocomplete="one-time-code"
      maxlength={32}
      required={required === true}
      hint={t("access.code.hint")}
    />
  );
}

/** What was wrong with what was sent, in the reader's language where it is one of the usual. */
export function Wrong({ t, problem }: { t: Translator; problem: ProblemError | null }) {
  if (problem === null) return null;
  const usual = problem.code === "unauthenticated"
    ? "access.wrong"
    : problem.code === "too_many"
    ? "access.wait"
    : null;
  if (usual === null) {
    return <Problem t={t} {...told(problem)} />;
  }
  return (
    <div class="problem" role="alert">
      <p class="problem-title">
        <Icon name="critical" /> <span>{t(usual)}</span>
      </p>
      <p>{t(`${usual}.hint`)}</p>
    </div>
  );
}

/** The button that sends the form. */
export function Submit({ label, kind }: { label: string; kind?: "primary" | "danger" | "plain" }) {
  return (
    <button class={`button ${kind ?? "primary"}`} type="submit">
      <span>{label}</span>
    </button>
  );
}

/** Throws unless both are the same. */
export function checkSame(t: Translator, passwords: { new: string; again: string }): void {
  if (passwords.new === passwords.again) return;
  throw new ProblemError("invalid", {
    detail: t("access.password.differ"),
    hint: "",
    fields: [{ key: "again", problem: t("access.password.differ") }],
  });
}

/** Runs what a form asks for; a ProblemError comes back to be shown with the form. */
export async function tried<T>(
  work: () => Promise<T>,
): Promise<{ done: T; problem: null } | { done: null; problem: ProblemError }> {
  try {
    return { done: await work(), problem: null };
  } catch (error) {
    if (error instanceof ProblemError) return { done: null, problem: error };
    throw error;
  }
}
