/** The two nodes and what is between them. */

import { z } from "zod";
import { nodeView, pairSettings, pairView } from "../../lib/model/node.ts";
import { pairSuggestion, snapshotView } from "../../lib/model/snapshot.ts";
import type { WebDeps } from "../deps.ts";
import type { Define } from "./define.ts";
import { pairFor, snapshotFor } from "./redact.ts";

const tag = "Pair";
const joinBody = z.strictObject({ address: z.string().min(1).max(300), code: z.string().min(1).max(100) });

function stepRoutes(define: Define, deps: WebDeps): void {
  const { pair } = deps.backend;
  const steps = [
    ["invite", "Shows a one-time code, to be typed on the other node", false],
    ["confirm", "A person has seen that the six digits are the same on both", true],
    ["cancel", "They are not, or nobody wants it any more", false],
  ] as const;
  for (const [step, summary, fresh] of steps) {
    define({
      method: "post",
      path: `/pair/${step}`,
      tag,
      summary,
      permission: "administer",
      // With it another machine becomes the other node: not by a browser that somebody left open.
      ...(fresh ? { fresh } : {}),
      answer: pairView,
    }, ({ actor }) => pair[step](actor));
  }
  define({
    method: "post",
    path: "/pair/join",
    tag,
    summary: "Types the other node's code here",
    permission: "administer",
    body: joinBody,
    answer: pairView,
  }, ({ body, actor }) => pair.join(body, actor));
}

/** Declares the routes of the snapshot, the nodes and the pair. */
export function pairRoutes(define: Define, deps: WebDeps): void {
  const { backend } = deps;
  define({
    method: "get",
    path: "/status",
    tag: "Status",
    summary:
      "Everything at a glance: the one sentence, nodes, lines, VMs, what happens if something dies now",
    permission: "view",
    answer: snapshotView,
  }, ({ principal }) => snapshotFor(backend.snapshot(), principal));
  define({
    method: "get",
    path: "/nodes",
    tag: "Status",
    summary: "The nodes; the one that answers first",
    permission: "view",
    answer: z.array(nodeView),
  }, () => backend.snapshot().nodes);
  define({
    method: "get",
    path: "/pair",
    tag,
    summary: "How far pairing is, and the pair's settings; its code only for administrators",
    permission: "view",
    answer: pairView,
  }, ({ principal }) => pairFor(backend.snapshot().pair, principal));
  stepRoutes(define, deps);
  define({
    method: "put",
    path: "/pair/settings",
    tag,
    summary: "Sets lines, LAN and arbiter; checked on both nodes before it takes effect",
    permission: "administer",
    body: pairSettings,
    answer: pairView,
  }, ({ body, actor }) => backend.pair.configure(body, actor));
  define({
    method: "get",
    path: "/pair/suggest",
    tag,
    summary: "Which interfaces and addresses this node could use",
    permission: "administer",
    answer: pairSuggestion,
  }, () => backend.pair.suggest());
  define({
    method: "post",
    path: "/pair/rotate",
    tag,
    summary: "Makes a new key and certificate for this node; the other one is told, and keeps the pair",
    permission: "administer",
    fresh: true,
    answer: pairView,
  }, ({ actor }) => backend.pair.rotate(actor));
  define({
    method: "post",
    path: "/pair/replace",
    tag,
    summary: "The other node is off for good, and will never come back with its disks as they are: " +
      "it is refused from now on, and VMs that run here alone run on until there is a new pair",
    permission: "administer",
    fresh: true,
    answer: pairView,
  }, ({ actor }) => backend.pair.replace(actor));
  define({
    method: "delete",
    path: "/pair",
    tag,
    summary: "Dissolves the pair; refused while a VM is protected by it",
    permission: "administer",
    fresh: true,
    answer: pairView,
  }, ({ actor }) => backend.pair.remove(actor));
}
