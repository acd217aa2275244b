/** Pairing as it is seen: each step with what a person does next. */

import type { PairingView } from "../../lib/model/node.ts";
import { ButtonLink, Card, Facts, Problem, When } from "../components.tsx";
import type { PageContext } from "../context.ts";
import { type FormState, TextField } from "../forms.tsx";
import { Icon } from "../icons.tsx";

type Of<Step extends PairingView["step"]> = Extract<PairingView, { step: Step }>;

/** What a step needs to know. */
interface StepProps<Step extends PairingView["step"]> {
  context: PageContext;
  pairing: Of<Step>;
}

/** A button that is a form of its own. */
export function PostButton(
  { action, label, kind, icon }: {
    action: string;
    label: string;
    kind: "primary" | "danger" | "plain";
    icon?: Parameters<typeof Icon>[0]["name"];
  },
) {
  return (
    <form method="post" action={action}>
      <button class={`button ${kind}`} type="submit">
        {icon !== undefined && <Icon name={icon} size={18} />}
        <span>{label}</span>
      </button>
    </form>
  );
}

/** Until when, and how long still: the client counts down. */
function Expiry({ context, at }: { context: PageContext; at: string }) {
  const { t, nowMs } = context;
  const left = Math.max(0, (Date.parse(at) - nowMs) / 1000);
  return (
    <p class="expiry" data-expires={at}>
      <Icon name="clock" size={18} />{" "}
      <span>
        {t("pair.expires", { left: t.duration(left), at: t.time(at) })}
      </span>
    </p>
  );
}

/** Nothing is under way: show a code, or type the other's. */
export function NoneStep({ context, form }: { context: PageContext; form: FormState }) {
  const { t, snapshot } = context;
  const self = snapshot?.nodes[0]?.name ?? "";
  return (
    <div class="pair-choices">
      <Card id="pair-invite" title={t("pair.invite.title")}>
        <p>{t("pair.invite.text", { node: self })}</p>
        <PostButton action="/pair/invite" label={t("pair.invite.go")} kind="primary" icon="screen" />
      </Card>
      <Card id="pair-join" title={t("pair.join.title")}>
        <p>{t("pair.join.text", { node: self })}</p>
        <form method="post" action="/pair/join" class="fields">
          <TextField
            {...{
              t,
              form,
              name: "address",
              label: t("pair.join.address"),
              hint: t("pair.join.address.hint"),
            }}
            placeholder="10.0.1.1"
            required
            plain
          />
          <TextField
            {...{ t, form, name: "code", label: t("pair.join.code"), hint: t("pair.join.code.hint") }}
            required
            plain
          />
          <button class="button primary" type="submit">{t("pair.join.go")}</button>
        </form>
      </Card>
    </div>
  );
}

function InvitingStep({ context, pairing }: StepProps<"inviting">) {
  const { t } = context;
  return (
    <>
      <p>{t("pair.inviting.text")}</p>
      {pairing.code !== "" && <p class="big-code">{pairing.code}</p>}
      <Expiry context={context} at={pairing.expires} />
      <p>{t("pair.inviting.addresses")}</p>
      <ul class="addresses">{pairing.addresses.map((address) => <li class="code">{address}</li>)}</ul>
      <div class="actions">
        <PostButton action="/pair/cancel" label={t("cancel")} kind="plain" />
      </div>
    </>
  );
}

function JoiningStep({ context, pairing }: StepProps<"joining">) {
  const { t } = context;
  return (
    <>
      <p role="status">{t("pair.joining.text", { address: pairing.address })}</p>
      <div class="actions">
        <PostButton action="/pair/cancel" label={t("cancel")} kind="plain" />
      </div>
    </>
  );
}

function ComparingStep({ context, pairing }: StepProps<"comparing">) {
  const { t } = context;
  const { digits, peer_name, peer_id, confirmed, expires } = pairing;
  return (
    <>
      <p class="pair-question">{t("pair.compare.question")}</p>
      <p class="visually-hidden">{t("pair.digits")}{t("colon")}{[...digits].join(" ")}</p>
      <p class="big-digits" aria-hidden="true">
        {[...digits].filter((digit) => /\d/.test(digit)).map((digit) => <span>{digit}</span>)}
      </p>
      <Expiry context={context} at={expires} />
      {confirmed
        ? <p role="status" class="note">{t("pair.compare.confirmed", { node: peer_name })}</p>
        : <p>{t("pair.compare.text")}</p>}
      <div class="actions">
        {!confirmed && (
          <PostButton action="/pair/confirm" label={t("pair.compare.same")} kind="primary" icon="check" />
        )}
        <PostButton action="/pair/cancel" label={t("pair.compare.different")} kind="danger" icon="cross" />
      </div>
      <Facts
        rows={[[t("pair.peer"), peer_name], [t("pair.peer.id"), <span class="code">{peer_id}</span>]]}
      />
    </>
  );
}

function FailedStep({ context, pairing }: StepProps<"failed">) {
  const { t } = context;
  return (
    <>
      <Problem t={t} {...pairing} />
      <div class="actions">
        <PostButton action="/pair/cancel" label={t("retry")} kind="primary" />
      </div>
      <p>
        <a href="/docs/troubleshooting#pairing-fails">{t("pair.failed.more")}</a>
      </p>
    </>
  );
}

function PairedStep({ context, pairing }: StepProps<"paired">) {
  const { t } = context;
  const { peer_name, peer_id, since } = pairing;
  return (
    <>
      <Facts
        rows={[
          [t("pair.peer"), peer_name],
          [t("pair.peer.id"), <span class="code">{peer_id}</span>],
          [t("pair.since"), <When context={context} at={since} />],
        ]}
      />
      {context.may("administer") && (
        <p class="actions">
          <ButtonLink href="/pair/remove?replace=1" icon="node">{t("pair.replace")}</ButtonLink>
          <ButtonLink href="/pair/rotate" icon="shield">{t("pair.rotate")}</ButtonLink>
          <ButtonLink href="/pair/remove" icon="cross">{t("pair.remove")}</ButtonLink>
        </p>
      )}
    </>
  );
}

/** Whatever is under way now. It changes when the other node does something, so it is live. */
export function PairingCard({ context, pairing }: { context: PageContext; pairing: PairingView }) {
  const { t } = context;
  const title = t(`pair.step.${pairing.step}`);
  const step = () => {
    switch (pairing.step) {
      case "inviting":
        return <InvitingStep context={context} pairing={pairing} />;
      case "joining":
        return <JoiningStep context={context} pairing={pairing} />;
      case "comparing":
        return <ComparingStep context={context} pairing={pairing} />;
      case "failed":
        return <FailedStep context={context} pairing={pairing} />;
      case "paired":
        return <PairedStep context={context} pairing={pairing} />;
      case "none":
        return <p>{t("pair.none.text")}</p>;
    }
  };
  return (
    <Card id="pairing" title={title} live>
      <span id="pairing-step" data-step={pairing.step} hidden />
      {step()}
    </Card>
  );
}
