import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { z } from "zod";
import { fakeSnapshot } from "../fake_data.ts";
import { may, PERMISSIONS, ROLES } from "../../../lib/model/access.ts";
import { PROBLEMS, problemView } from "../../../lib/model/problem.ts";
import { openApiDocument } from "../../../ui/api/document.ts";
import { type ApiRig, apiRig, type As, pathOf, type RouteCase, ROUTES } from "./kit.ts";

type Declared = Record<string, { "x-permission"?: string; "x-fresh"?: boolean | "person" }>;

/** Every route of the document: "get /status". */
function declared(rig: ApiRig): Map<string, Declared[string]> {
  const { paths } = openApiDocument(rig.api, "1");
  return new Map(
    Object.entries(paths ?? {}).flatMap(([path, item]) =>
      Object.entries(item as Declared).map(([method, operation]) => [`${method} ${path}`, operation] as const)
    ),
  );
}

/** What a success of a route looks like, as the route itself declares it. */
function answers(
  rig: ApiRig,
  route: RouteCase,
): { status: string; media: string | undefined; schema: z.ZodType | undefined } {
  for (const definition of rig.api.openAPIRegistry.definitions) {
    if (definition.type !== "route") continue;
    if (definition.route.method !== route.method || definition.route.path !== route.path) continue;
    const [status, response] = Object.entries(definition.route.responses).find(([code]) =>
      code !== "default"
    )!;
    const content = (response as { content?: Record<string, { schema: unknown }> }).content;
    const [media, entry] = Object.entries(content ?? {})[0] ?? [];
    const schema = entry?.schema as z.ZodType | undefined;
    return { status, media, schema: typeof schema?.safeParse === "function" ? schema : undefined };
  }
  throw new Error(`${route.method} ${route.path} is not declared`);
}

async function asked(rig: ApiRig, as: As, route: RouteCase): Promise<Response> {
  const stop = new AbortController();
  const response = await rig.ask(as, route.method.toUpperCase(), pathOf(route, rig), {
    body: route.body,
    signal: stop.signal,
  });
  if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
    await response.body?.cancel();
    stop.abort();
  }
  return response;
}

async function problemOf(response: Response) {
  equal(response.headers.get("content-type"), "application/problem+json");
  return problemView.parse(await response.json());
}

Deno.test("every route says who may use it, and the table of these tests has all of them", async () => {
  await using rig = await apiRig();
  const routes = declared(rig);
  const table = new Map(ROUTES.map((route) => [`${route.method} ${route.path}`, route]));
  deepEqual([...routes.keys()].sort(), [...table.keys()].sort());
  for (const [name, operation] of routes) {
    const { permission, fresh } = table.get(name)!;
    equal(operation["x-permission"], permission, name);
    equal(operation["x-fresh"], fresh ?? false, name);
  }
});

Deno.test("each route's answer fits the schema that the route declares", async () => {
  await using rig = await apiRig();
  // The table's order makes an account, then a token, and removes each.
  for (const route of ROUTES) {
    rig.backend.state = fakeSnapshot();
    allowAll(rig);
    const as = route.path === "/account/password" ? await rig.signIn("ann") : "local";
    const response = await asked(rig, as, route);
    const { status, media, schema } = answers(rig, route);
    const name = `${route.method} ${route.path}`;
    if (media === undefined) {
      equal(
        `${name} ${response.status}`,
        `${name} ${status}`,
        response.bodyUsed ? "" : await response.text(),
      );
      continue;
    }
    if (schema === undefined) {
      equal(`${name} ${response.status}`, `${name} ${status}`);
      const type = response.headers.get("content-type") ?? "";
      ok(type.startsWith(media) || route.path === "/events/export", `${name}: ${type}`);
      if (!response.bodyUsed) await response.body?.cancel();
      continue;
    }
    const body = await response.json();
    equal(`${name} ${response.status}`, `${name} ${status}`, JSON.stringify(body));
    const read = schema.safeParse(body);
    ok(read.success, `${name}: ${read.error?.message}`);
  }
});

/** The fake plant allows each action. */
function allowAll(rig: ApiRig): void {
  rig.backend.state = {
    ...rig.backend.state,
    vms: rig.backend.state.vms.map((vm) => ({
      ...vm,
      actions: Object.fromEntries(
        Object.keys(vm.actions).map((action) => [action, { ok: true, why: "" }]),
      ) as typeof vm.actions,
    })),
  };
}

Deno.test("an answer that lacks a key does not fit the schema that its route declares", async () => {
  await using rig = await apiRig();
  const { schema } = answers(rig, ROUTES.find(({ path }) => path === "/vms")!);
  const { verdict: _, ...rest } = rig.backend.snapshot().vms[0]!;
  equal(schema!.safeParse([rest]).success, false);
});

Deno.test("nobody unknown gets anything of the API but the way to sign in", async () => {
  await using rig = await apiRig();
  for (const route of ROUTES) {
    const response = await asked(rig, "nobody", route);
    // What acts is already refused for not saying where it comes from.
    const name = `${route.method} ${route.path}`;
    ok([401, 403].includes(response.status), `${name}: ${response.status}`);
    if (route.method === "get") equal(response.status, 401, name);
    await response.body?.cancel();
  }
  const own = { origin: "https://node-a:8443", "sec-fetch-site": "same-origin" };
  for (const route of ROUTES.filter(({ method }) => method !== "get")) {
    const said = { headers: own, ...(route.body === undefined ? {} : { body: route.body }) };
    const response = await rig.ask("nobody", route.method.toUpperCase(), pathOf(route, rig), said);
    equal(`${route.path} ${(await problemOf(response)).code}`, `${route.path} unauthenticated`);
  }
  equal(rig.backend.calls.length, 0);
});

Deno.test("each role gets what it may and nothing else", async () => {
  for (const role of ROLES) {
    await using rig = await apiRig();
    allowAll(rig);
    for (const route of ROUTES) {
      const name = `${role}: ${route.method} ${route.path}`;
      const before = rig.backend.calls.length;
      const response = await asked(rig, role, route);
      const allowed = may(role, route.permission) && route.fresh !== "person";
      if (!allowed) {
        const { code } = await problemOf(response);
        equal(`${name} ${code}`, `${name} forbidden`);
        equal(rig.backend.calls.length, before, name);
        continue;
      }
      // A token has no account of its own, so it has no password either.
      if (route.path === "/account/password") equal(response.status, 403);
      else if (response.status >= 400) {
        equal((await problemOf(response)).code, "not_found", name);
      } else if (!response.bodyUsed) await response.body?.cancel();
    }
  }
  deepEqual(Object.keys(PERMISSIONS), ["view", "operate", "administer"]);
});

Deno.test("what is not undone easily asks a session for the password again", async () => {
  await using rig = await apiRig();
  allowAll(rig);
  const session = await rig.signIn("ann");
  rig.clock.ms += 6 * 60_000;
  const dangerous = ROUTES.filter(({ fresh }) => fresh !== undefined);
  ok(dangerous.length >= 10);
  for (const route of dangerous) {
    const { code } = await problemOf(await asked(rig, session, route));
    equal(`${route.path} ${code}`, `${route.path} reauthenticate`);
  }
  deepEqual(rig.backend.calls, []);
  const again = await rig.ask(session, "POST", "/session/reauthenticate", {
    body: { password: "a long enough secret" },
  });
  equal(again.status, 204, await again.text());
  const done = await rig.ask(session, "POST", "/vms/press-1/actions/promote");
  equal(done.status, 200, await done.text());
});

Deno.test("keys that nobody knows, wrong types and what is not JSON are refused with the key's name", async () => {
  await using rig = await apiRig();
  const cases: [string, string, unknown, RegExp][] = [
    ["POST", "/vms", { name: "a", memory_mib: 512, memmory: 3 }, /^memmory$/],
    [
      "POST",
      "/vms",
      { name: "a", memory_mib: 512, disks: [{ kind: "new", size_mib: 1, format: "raw" }] },
      /^disks\[0\]\.format$/,
    ],
    ["POST", "/vms", { name: "A B", memory_mib: 512 }, /^name$/],
    ["POST", "/vms", { name: "a", memory_mib: "512" }, /^memory_mib$/],
    ["PUT", "/pair/settings", { ...settingsWith({}), extra: 1 }, /^extra$/],
    [
      "PUT",
      "/pair/settings",
      settingsWith({ link_a: { local: "10.0.0.1", peer: "10.0.0.2", mtu: 9000 } }),
      /^link_a\.mtu$/,
    ],
    ["PATCH", "/vms/press-1", { revision: 1, spec: {}, force: true }, /^force$/],
    ["GET", "/events?limit=5000", undefined, /^limit$/],
    ["GET", "/events?sevrity=ok", undefined, /^sevrity$/],
    ["DELETE", "/vms/press-1?disks=maybe", undefined, /^disks$/],
    ["GET", "/vms/UPPER", undefined, /^name$/],
    ["POST", "/vms/press-1/actions/explode", undefined, /^action$/],
  ];
  for (const [method, path, body, key] of cases) {
    const response = await rig.ask("local", method, path, { body });
    const problem = await problemOf(response);
    equal(`${path} ${problem.code} ${response.status}`, `${path} invalid 400`);
    match(problem.fields?.[0]?.key ?? "", key, JSON.stringify(problem));
    ok(problem.hint !== "");
  }
  const broken = await problemOf(await rig.ask("local", "POST", "/vms", { body: "{" }));
  equal(broken.code, "invalid");
  const form = await rig.ask("local", "POST", "/vms", {
    body: "a=b",
    headers: { "content-type": "text/plain" },
  });
  equal((await problemOf(form)).code, "invalid");
  deepEqual(rig.backend.calls, []);
});

function settingsWith(change: Record<string, unknown>) {
  const link = { local: "10.0.0.1", peer: "10.0.0.2" };
  return { link_a: link, link_b: null, lan: null, arbiter: "manual", witness: null, ...change };
}

Deno.test("every problem code has its status and a URN of its own; a mistake of the node says nothing of its inside", async () => {
  await using rig = await apiRig();
  const { ProblemError } = await import("../../../lib/model/problem.ts");
  for (const [code, { status }] of Object.entries(PROBLEMS)) {
    rig.backend.failures.set(
      "vm.act",
      new ProblemError(code as keyof typeof PROBLEMS, { detail: "d", hint: "h" }),
    );
    const response = await rig.ask("local", "POST", "/vms/press-1/actions/stop");
    equal(response.status, status, code);
    const problem = await problemOf(response);
    equal(problem.code, code);
    equal(problem.type, `urn:iservft:problem:${code}`);
  }
  rig.backend.vm.act = () => Promise.reject(new TypeError("secret inside"));
  const problem = await problemOf(await rig.ask("local", "POST", "/vms/press-1/actions/stop"));
  equal(problem.code, "failed");
  equal(JSON.stringify(problem).includes("secret inside"), false);
  equal(rig.errors.length, 1);
});

Deno.test("the actor of each command is who asked", async () => {
  await using rig = await apiRig();
  allowAll(rig);
  for (
    const [as, actor] of [["local", "local"], ["operator", "token:operator"], [
      await rig.signIn("ann"),
      "user:ann",
    ]] as const
  ) {
    await (await rig.ask(as, "POST", "/vms/press-1/actions/verify")).body?.cancel();
    equal(rig.backend.calls.at(-1)?.actor, actor);
  }
});

Deno.test("the one-time code of pairing is shown to administrators alone", async () => {
  await using rig = await apiRig();
  await (await rig.ask("local", "POST", "/pair/invite")).body?.cancel();
  for (const path of ["/pair", "/status"]) {
    for (const as of ["viewer", "operator"] as const) {
      equal((await (await rig.ask(as, "GET", path)).text()).includes("K7QD"), false, `${as} ${path}`);
    }
    equal((await (await rig.ask("administrator", "GET", path)).text()).includes("K7QD"), true, path);
  }
});

Deno.test("/metrics is there for a token at the top as well, and for nobody else", async () => {
  await using rig = await apiRig();
  const text = await (await rig.ask("viewer", "GET", "/metrics")).text();
  match(text, /^# TYPE iservft_up gauge/);
  const top = await rig.ask("viewer", "GET", "/api/v1/metrics");
  equal(await top.text(), text);
  const stranger = await rig.ask("nobody", "GET", "/api/v1/metrics");
  equal(stranger.status, 401);
  await stranger.body?.cancel();
});

Deno.test("the document refers to schemas by name, and the reference page names every route and loads nothing", async () => {
  await using rig = await apiRig();
  const document = await (await rig.ask("viewer", "GET", "/openapi.json")).json();
  equal(document.openapi, "3.1.0");
  equal(
    document.paths["/vms/{name}"].get.responses["200"].content["application/json"].schema.$ref,
    "#/components/schemas/Vm",
  );
  const names = new Set(Object.keys(document.components.schemas));
  for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    ok(names.has(name!), name);
  }
  const page = await (await rig.ask("viewer", "GET", "/reference")).text();
  for (const route of ROUTES) ok(page.includes(`<code>/api/v1${route.path}</code>`), route.path);
  equal(/<script|https?:\/\/(?!192\.168)|src=/.test(page.replaceAll(/<pre>[^]*?<\/pre>/g, "")), false);
});
