/** The wizard's values and what they mean: from the fields of a form to a VmCreate, checked by its schema, step by step. */

import type { Snapshot } from "../../lib/model/backend.ts";
import { type VmCreate, vmCreate } from "../../lib/model/vm.ts";
import { issueText } from "../forms.tsx";
import type { MessageKey } from "../i18n/en.ts";
import type { Translator } from "../i18n/translator.ts";

/** In this order. */
export const STEPS = ["machine", "disks", "network", "review"] as const;
export type Step = typeof STEPS[number];

/** As in the form. */
export type Values = Record<string, string>;

export const MAX_DISKS = 7;
export const MAX_NICS = 8;
const GIB_MIB = 1024;
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i;

/** What a form begins with. */
export function firstValues(options: { mode: "create" | "import"; bridge: string }): Values {
  return {
    name: "",
    memory_mib: "2048",
    vcpus: "1",
    firmware: "bios",
    screen: "1",
    disks: "1",
    ...diskValues(0, options.mode === "import" ? "import" : "new"),
    nics: "1",
    ...nicValues(0, options.bridge),
    protect: "1",
    start: "1",
  };
}

/** Fields of a disk that was just added. */
export function diskValues(index: number, kind: "new" | "import" | "existing"): Values {
  const at = `disk.${index}`;
  return { [`${at}.kind`]: kind, [`${at}.size_gib`]: "20", [`${at}.path`]: "", [`${at}.format`]: "" };
}

/** Fields of a network card that was just added. */
export function nicValues(index: number, bridge: string): Values {
  const at = `nic.${index}`;
  return { [`${at}.bridge`]: bridge, [`${at}.model`]: "virtio-net", [`${at}.mac`]: "" };
}

/** How many of something a form has, within what there may be. */
export function countOf(values: Values, what: "disks" | "nics"): number {
  const count = Number(values[what] ?? "0");
  const most = what === "disks" ? MAX_DISKS : MAX_NICS;
  return Number.isInteger(count) ? Math.min(most, Math.max(0, count)) : 0;
}

/** The same form without its nth disk or card. */
export function without(values: Values, options: { what: "disk" | "nic"; index: number }): Values {
  const { what, index } = options;
  const list = what === "disk" ? "disks" : "nics";
  const count = countOf(values, list);
  if (index >= count) return values;
  const left: Values = {};
  for (const [key, value] of Object.entries(values)) {
    const [kind, number, field] = key.split(".");
    const at = Number(number);
    if (kind !== what || field === undefined) left[key] = value;
    else if (at !== index) left[`${what}.${at > index ? at - 1 : at}.${field}`] = value;
  }
  return { ...left, [list]: String(count - 1) };
}

/** NaN where none was typed: left out, the schema's default would stand in for what somebody meant otherwise. */
function number(text: string | undefined): number {
  return text === undefined || !/^\d{1,9}$/.test(text) ? NaN : Number(text);
}

function diskOf(values: Values, index: number) {
  const field = (name: string) => values[`disk.${index}.${name}`];
  switch (field("kind")) {
    case "import":
      return { kind: "import", path: field("path") ?? "", format: field("format") };
    case "existing":
      return { kind: "existing", path: field("path") ?? "" };
    default:
      return { kind: "new", size_mib: number(field("size_gib")) * GIB_MIB };
  }
}

function nicOf(values: Values, index: number) {
  const field = (name: string) => values[`nic.${index}.${name}`] ?? "";
  return {
    model: field("model"),
    ...(field("bridge") === "" ? {} : { bridge: field("bridge") }),
    ...(field("mac") === "" ? {} : { mac: field("mac").toLowerCase() }),
  };
}

/** What is sent to the node. */
export function requestOf(values: Values): Record<string, unknown> {
  const range = (what: "disks" | "nics") =>
    Array.from({ length: countOf(values, what) }, (_, index) => index);
  return {
    name: values.name ?? "",
    memory_mib: number(values.memory_mib),
    vcpus: number(values.vcpus),
    firmware: values.firmware,
    screen: values.screen === "1",
    disks: range("disks").map((index) => diskOf(values, index)),
    nics: range("nics").map((index) => nicOf(values, index)),
    start: values.start === "1",
    protect: values.protect === "1",
  };
}

/** A key of the request as the form's field: disks[0].size_mib is disk.0.size_gib. */
export function fieldOf(key: string): string {
  return key.replace(/^(disk|nic)s?[.[](\d+)\]?\.?/, "$1.$2.").replace(/size_mib$/, "size_gib");
}

/** The step in which a field is. */
export function stepOf(field: string): Step {
  return field.startsWith("disk") ? "disks" : field.startsWith("nic") ? "network" : "machine";
}

const PATTERNS: Readonly<Record<string, MessageKey>> = {
  name: "create.name.pattern",
  bridge: "create.nic.bridge.pattern",
};

function schemaErrors(values: Values, t: Translator): Record<string, string> {
  const checked = vmCreate.safeParse(requestOf(values));
  const errors: Record<string, string> = {};
  for (const issue of checked.error?.issues ?? []) {
    const field = fieldOf(issue.path.join("."));
    const text = issue.code === "too_big" && field.endsWith("size_gib")
      ? t("form.too_big", { maximum: Number(issue.maximum) / GIB_MIB })
      : issue.code === "too_small" && field.endsWith("size_gib")
      ? t("form.too_small", { minimum: 1 })
      : issueText(t, issue, PATTERNS[String(issue.path.at(-1))]);
    errors[field] ??= text;
  }
  return errors;
}

/** What is wrong, by field: what the schema says, and what it cannot know. */
export function errorsOf(
  values: Values,
  options: { t: Translator; snapshot: Snapshot },
): Record<string, string> {
  const { t, snapshot } = options;
  const errors = schemaErrors(values, t);
  if (values.name === "") errors.name = t("form.required");
  if (snapshot.vms.some(({ name }) => name === values.name)) errors.name = t("create.name.taken");
  for (let index = 0; index < countOf(values, "disks"); index++) {
    const at = `disk.${index}`;
    if (values[`${at}.kind`] === "new" || values[`${at}.kind`] === undefined) continue;
    const path = values[`${at}.path`] ?? "";
    if (path === "") errors[`${at}.path`] = t("form.required");
    else if (!path.startsWith("/")) errors[`${at}.path`] = t("create.disk.path.absolute");
  }
  for (let index = 0; index < countOf(values, "nics"); index++) {
    const mac = values[`nic.${index}.mac`] ?? "";
    if (mac !== "" && !MAC.test(mac)) errors[`nic.${index}.mac`] = t("create.nic.mac.pattern");
  }
  return errors;
}

/** The checked request. Only after errorsOf found nothing. */
export function checkedRequest(values: Values): VmCreate {
  return vmCreate.parse(requestOf(values));
}
