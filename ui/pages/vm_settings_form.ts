/** The form of a VM's settings: its fields, what is wrong with them, and the keys of the VM's file that are to change. */

import { z } from "zod";
import {
  bridgeName,
  DEGRADATION_STEPS,
  NIC_MODELS,
  type VmSettings,
  type VmView,
} from "../../lib/model/vm.ts";
import { issueText } from "../forms.tsx";
import type { MessageKey } from "../i18n/en.ts";
import type { Translator } from "../i18n/translator.ts";

/** As in the form. */
export type Values = Record<string, string>;

/** What may be done when the copy does not keep up, as one choice. */
export const ORDERS = ["", "longer", "longer,slower", "longer,slower,asynchronous"] as const;
/** CPU models that are offered; any that QEMU knows may be typed. */
export const CPUS = ["Nehalem", "Westmere", "SandyBridge", "Haswell", "Skylake-Server", "EPYC", "qemu64"];

const whole = (least: number, most: number) =>
  z.string().regex(/^\d{1,9}$/).transform(Number).pipe(z.number().min(least).max(most));
const nicFields = z.object({ bridge: z.union([z.literal(""), bridgeName]), model: z.enum(NIC_MODELS) });
const fields = z.object({
  memory: whole(64, 65536),
  vcpus: whole(1, 8),
  cpu: z.string().min(1).max(200).regex(/^[A-Za-z0-9._-]+(,[+-]?[A-Za-z0-9._-]+(=[A-Za-z0-9._-]+)?)*$/),
  vga: z.boolean(),
  stop_s: whole(0, 600),
  order: z.string(),
  max_added_ms: whole(20, 10_000),
  nic: z.array(nicFields),
});

const PATTERNS: Readonly<Record<string, MessageKey>> = {
  cpu: "vm.settings.cpu.pattern",
  memory: "form.number",
  vcpus: "form.number",
  stop_s: "form.number",
  max_added_ms: "form.number",
};

/** The form as it begins. */
export function valuesOf(vm: VmView, settings: VmSettings): Values {
  const values: Values = {
    memory: String(vm.memory_mib),
    vcpus: String(vm.vcpus),
    cpu: settings.cpu,
    vga: vm.screen ? "1" : "",
    stop_s: String(settings.stop_s),
    order: settings.degradation.order.join(","),
    max_added_ms: String(settings.degradation.max_added_ms),
  };
  for (const [index, { bridge, model }] of settings.nics.entries()) {
    values[`nic.${index}.bridge`] = bridge ?? "";
    values[`nic.${index}.model`] = model;
  }
  return values;
}

/** The choices of what may be done, with the one that the file has, if that is another. */
export function ordersOf(value: string): string[] {
  return [...new Set<string>([...ORDERS, value])];
}

function sameOrder(text: string): VmSettings["degradation"]["order"] {
  return DEGRADATION_STEPS.filter((step) => text.split(",").includes(step));
}

/** Keys of the file that are to change, or what is wrong, by field. */
export function readForm(
  values: Values,
  { vm, settings, t }: { vm: VmView; settings: VmSettings; t: Translator },
): { spec: Record<string, unknown>; errors: Record<string, string> } {
  const nic = settings.nics.map((_, index) => ({
    bridge: values[`nic.${index}.bridge`] ?? "",
    model: values[`nic.${index}.model`],
  }));
  const read = fields.safeParse({ ...values, order: values.order ?? "", vga: values.vga === "1", nic });
  if (!read.success) {
    const errors: Record<string, string> = {};
    for (const issue of read.error.issues) {
      const field = issue.path.join(".");
      errors[field] ??= issueText(t, issue, PATTERNS[field] ?? "create.nic.bridge.pattern");
    }
    return { spec: {}, errors };
  }
  const { memory, vcpus, cpu, vga, stop_s, order, max_added_ms } = read.data;
  const wished = { memory, vcpus, cpu, vga, stop_s };
  const now = {
    memory: vm.memory_mib,
    vcpus: vm.vcpus,
    cpu: settings.cpu,
    vga: vm.screen,
    stop_s: settings.stop_s,
  };
  const spec: Record<string, unknown> = Object.fromEntries(
    Object.entries(wished).filter(([key, value]) => now[key as keyof typeof now] !== value),
  );
  const { degradation } = settings;
  const changed = { ...degradation, order: sameOrder(order), max_added_ms };
  if (JSON.stringify(changed) !== JSON.stringify(degradation)) spec.degradation = changed;
  const cards = settings.nics.map((card, index) => ({ ...card, ...nicWish(read.data.nic[index]!) }));
  if (JSON.stringify(cards) !== JSON.stringify(settings.nics)) {
    spec.nic = cards.map(({ mac, bridge, model, boot }) => ({
      ...{ mac, model },
      ...(bridge === null ? {} : { bridge }),
      ...(boot === null ? {} : { boot }),
    }));
  }
  return { spec, errors: {} };
}

function nicWish({ bridge, model }: z.infer<typeof nicFields>) {
  return { bridge: bridge === "" ? null : bridge, model };
}

/** A key of the file as the form's field: nic[0].bridge is nic.0.bridge. */
export function fieldOf(key: string): string {
  return key.replace(/\[(\d+)\]/g, ".$1").replace(/^degradation\./, "");
}
