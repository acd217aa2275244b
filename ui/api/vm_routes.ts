/** VMs and the jobs that making one takes. */

import { z } from "zod";
import { ProblemError } from "../../lib/model/problem.ts";
import {
  jobView,
  switchoverView,
  type VmAction,
  vmCreate,
  vmName,
  vmSample,
  vmView,
} from "../../lib/model/vm.ts";
import type { WebDeps } from "../deps.ts";
import type { Define } from "./define.ts";

const tag = "VMs";
const byName = z.strictObject({ name: vmName });

/** Actions that need nothing else, and those of them after which there may be no way back. */
const SIMPLE = ["start", "stop", "protect", "unprotect", "verify"] as const;
const DANGEROUS = ["confirm_peer_off", "promote", "discard", "yield"] as const;
const acted = z.object({ detail: z.string() });

/** 7 days, the longest that history is kept. */
const LONGEST_MS = 7 * 86400 * 1000;

function vmOf(deps: WebDeps, name: string) {
  const { vms } = deps.backend.snapshot();
  const found = vms.find((vm) => vm.name === name);
  if (found !== undefined) return found;
  const there = vms.map((vm) => vm.name).join(", ");
  throw new ProblemError("not_found", {
    detail: `There is no VM ${JSON.stringify(name)}`,
    hint: there === "" ? "There is none yet." : `There are: ${there}.`,
  });
}

function lifeRoutes(define: Define, deps: WebDeps): void {
  const { vm } = deps.backend;
  define({
    method: "get",
    path: "/vms",
    tag,
    summary: "All VMs of the pair",
    permission: "view",
    answer: z.array(vmView),
  }, () => deps.backend.snapshot().vms);
  define({
    method: "post",
    path: "/vms",
    tag,
    summary: "Makes a VM on both nodes; its disks are made by a job",
    permission: "administer",
    body: vmCreate,
    status: 202,
    answer: jobView,
  }, ({ body, actor }) => vm.create(body, actor));
  define({
    method: "get",
    path: "/vms/{name}",
    tag,
    summary: "One VM",
    permission: "view",
    params: byName,
    answer: vmView,
  }, ({ params }) => vmOf(deps, params.name));
  define({
    method: "patch",
    path: "/vms/{name}",
    tag,
    summary: "Changes settings, keys as in the VM's file; `revision` is the one that was seen",
    permission: "administer",
    params: byName,
    body: z.strictObject({ revision: z.number().int(), spec: z.record(z.string().max(100), z.unknown()) }),
    answer: vmView,
  }, ({ params, body, actor }) => vm.update(params.name, body, actor));
  define({
    method: "delete",
    path: "/vms/{name}",
    tag,
    summary: "Deletes a VM; its disks are kept unless disks=true",
    permission: "administer",
    fresh: true,
    params: byName,
    query: z.strictObject({ disks: z.enum(["true", "false"]).default("false") }),
  }, ({ params, query, actor }) => vm.remove(params.name, { disks: query.disks === "true" }, actor));
}

function actionRoutes(define: Define, deps: WebDeps): void {
  const { vm } = deps.backend;
  // Each with a path of its own, and before the others: these need the password again.
  for (const action of DANGEROUS) {
    define({
      method: "post",
      path: `/vms/{name}/actions/${action}`,
      tag,
      summary: `Decides by hand, with no way back: ${action}`,
      permission: "operate",
      fresh: true,
      params: byName,
      answer: acted,
    }, ({ params, actor }) => vm.act(params.name, action, actor));
  }
  define({
    method: "post",
    path: "/vms/{name}/actions/{action}",
    tag,
    summary: "Starts, stops, protects, ... a VM; answers when it is done",
    permission: "operate",
    params: z.strictObject({ name: vmName, action: z.enum(SIMPLE) }),
    answer: acted,
  }, ({ params, actor }) => vm.act(params.name, params.action, actor));
  define({
    method: "post",
    path: "/vms/{name}/switchover",
    tag,
    summary: "Moves a VM to the other node; answers with what was measured",
    permission: "operate",
    params: byName,
    answer: switchoverView,
  }, ({ params, actor }) => vm.switchover(params.name, actor));
  define({
    method: "get",
    path: "/vms/{name}/switchover",
    tag,
    summary: "Switchovers so far, with what was measured",
    permission: "view",
    params: byName,
    answer: z.array(switchoverView),
  }, ({ params }) => vm.switchovers(params.name));
}

function insightRoutes(define: Define, deps: WebDeps): void {
  const { vm } = deps.backend;
  define({
    method: "get",
    path: "/vms/{name}/history",
    tag,
    summary: "Measurements over time, thinned to at most `points`",
    permission: "view",
    params: byName,
    query: z.strictObject({
      from_ms: z.coerce.number().int().min(0).optional(),
      to_ms: z.coerce.number().int().min(0).optional(),
      points: z.coerce.number().int().min(2).max(2000).default(600),
    }),
    answer: z.array(vmSample),
  }, ({ params, query }) => {
    const to_ms = query.to_ms ?? deps.nowMs();
    const from_ms = Math.max(query.from_ms ?? to_ms - 300_000, to_ms - LONGEST_MS);
    return vm.history(params.name, { from_ms, to_ms, points: query.points });
  });
  define({
    method: "get",
    path: "/vms/{name}/logs",
    tag,
    summary: "The newest lines that the VM's runner and QEMU wrote",
    permission: "view",
    params: byName,
    query: z.strictObject({ lines: z.coerce.number().int().min(1).max(5000).default(200) }),
    answer: z.object({ lines: z.array(z.string()) }),
  }, async ({ params, query }) => ({ lines: await vm.logs(params.name, query) }));
  define(
    {
      method: "get",
      path: "/vms/{name}/file",
      tag,
      summary: "The VM's file",
      permission: "view",
      params: byName,
      answer: { media: "application/toml", description: "TOML" },
    },
    async ({ params, context }) =>
      context.body(await vm.file(params.name), 200, { "Content-Type": "application/toml; charset=utf-8" }),
  );
}

function jobRoutes(define: Define, deps: WebDeps): void {
  define({
    method: "get",
    path: "/jobs",
    tag: "Jobs",
    summary: "What takes a while, and what has just ended",
    permission: "view",
    answer: z.array(jobView),
  }, () => deps.backend.jobs.list());
  define({
    method: "get",
    path: "/jobs/{id}",
    tag: "Jobs",
    summary: "One job",
    permission: "view",
    params: z.strictObject({ id: z.string().max(100) }),
    answer: jobView,
  }, ({ params }) => {
    const job = deps.backend.jobs.list().find(({ id }) => id === params.id);
    if (job !== undefined) return job;
    throw new ProblemError("not_found", {
      detail: `There is no job ${JSON.stringify(params.id)}`,
      hint: "What ended is forgotten after an hour.",
    });
  });
  define({
    method: "post",
    path: "/jobs/{id}/cancel",
    tag: "Jobs",
    summary: "Stops a job",
    permission: "operate",
    params: z.strictObject({ id: z.string().max(100) }),
  }, ({ params, actor }) => deps.backend.jobs.cancel(params.id, actor));
}

/** Declares the routes of VMs and jobs. */
export function vmRoutes(define: Define, deps: WebDeps): void {
  lifeRoutes(define, deps);
  actionRoutes(define, deps);
  insightRoutes(define, deps);
  jobRoutes(define, deps);
}

/** Every action of the model has a route: this does not compile when one is missing. */
type Routed = typeof SIMPLE[number] | typeof DANGEROUS[number] | "switchover" | "delete";
const _complete: (action: VmAction) => Routed = (action) => action;
