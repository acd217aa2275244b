/** WebSocket endpoints of the consoles: GET /api/v1/vms/NAME/console/serial and .../screen.
 *
 * Host, Origin and session are checked by the middleware in front, as for any request; here it is who may, and for how long. */

import { Hono } from "hono";
import type { Context } from "hono";
import type { Access } from "../../lib/access/types.ts";
import { may, type Principal } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { vmName } from "../../lib/model/vm.ts";
import type { Env, WebDeps } from "../deps.ts";
import { principalNow } from "../security/authenticate.ts";
import { bridge, type BridgeLimits, LIMITS } from "./bridge.ts";

/** What the consoles need besides the backend. */
export interface ConsoleOptions {
  /** Who the request's cookie or token stands for NOW; null: nobody any more. Asked at each change, and every 2 s, while a console is open. */
  recheck(c: Context<Env>): Promise<Principal | null> | Principal | null;
  /** Calls the listener when somebody may do less than before. */
  onChange(listener: () => void): Disposable;
  limits?: BridgeLimits;
  /** Consoles open at the same time, over all VMs. */
  maximum?: number;
}

/** Who may keep a console, as the accounts say it. */
export function consoleReaders(access: Access): Pick<ConsoleOptions, "recheck" | "onChange"> {
  return { recheck: (c) => principalNow(access, c), onChange: (listener) => access.onChange(listener) };
}

/** The endpoints, to be mounted at the root behind the security middleware. */
export function consoleEndpoints(deps: WebDeps, options: ConsoleOptions): Hono<Env> {
  const app = new Hono<Env>();
  const maximum = options.maximum ?? 16;
  let open = 0;
  app.get("/api/v1/vms/:name/console/:kind{serial|screen}", (c) => {
    check(c);
    if (open >= maximum) {
      throw new ProblemError("too_many", {
        detail: `${open} consoles are open, and no more may be`,
        hint: "Close one that is not needed.",
      });
    }
    const name = c.req.param("name");
    const kind = c.req.param("kind") as "serial" | "screen";
    const { socket, response } = Deno.upgradeWebSocket(c.req.raw, { idleTimeout: 30 });
    open++;
    const ended = bridge({
      socket,
      open: () => deps.backend.vm.openConsole(name, kind, c.get("principal")?.name),
      allowed: async () => mayOperate(await options.recheck(c)),
      onChange: options.onChange,
      acknowledge: kind === "serial",
    }, options.limits ?? LIMITS);
    ended.finally(() => open--);
    return response;
  });
  return app;
}

function mayOperate(principal: Principal | null): boolean {
  return principal !== null && may(principal.role, "operate");
}

function check(c: Context<Env>): void {
  const principal = c.get("principal") ?? null;
  if (principal === null) {
    throw new ProblemError("unauthenticated", { detail: "nobody is logged in", hint: "Log in." });
  }
  if (!mayOperate(principal)) {
    throw new ProblemError("forbidden", {
      detail: `a console needs the role operator; ${principal.name} is ${principal.role}`,
      hint: "Ask an administrator.",
    });
  }
  const name = c.req.param("name") ?? "";
  if (!vmName.safeParse(name).success) {
    throw new ProblemError("not_found", {
      detail: `no VM is named "${name.slice(0, 40)}"`,
      hint: "Look at the list of VMs.",
    });
  }
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") {
    throw new ProblemError("invalid", {
      detail: "a console is a WebSocket, and this is no upgrade",
      hint: "Open it from the VM's page, or with `iservft-edge vm console`.",
    });
  }
}
