/** All pages. Each part adds its own routes here: a function that returns a Hono with whole paths. */

import { Hono } from "hono";
import type { Env } from "../deps.ts";
import { alertPageRoutes } from "./alerts.tsx";
import { consolePageRoutes } from "./console.tsx";
import { createRoutes } from "./create.tsx";
import { docRoutes } from "./docs.tsx";
import { doctorRoutes } from "./doctor.tsx";
import { eventPageRoutes } from "./events.tsx";
import { homeRoutes } from "./home.tsx";
import { pairingRoutes } from "./pairing.tsx";
import { preferenceRoutes } from "./preferences.ts";
import { type AccessDeps, settingsPageRoutes } from "./settings.tsx";
import { tokenPageRoutes } from "./tokens.tsx";
import { userPageRoutes } from "./users.tsx";
import { vmRoutes } from "./vm.tsx";
import { vmActionRoutes } from "./vm_action.tsx";
import { vmSettingsRoutes } from "./vm_settings.tsx";

/** The pages of the node. Who may see them is said by each (`allowedContext`); the security middleware comes before them. */
export function pageRoutes(deps: AccessDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.route("/", preferenceRoutes());
  app.route("/", homeRoutes(deps));
  app.route("/", createRoutes(deps));
  app.route("/", consolePageRoutes(deps));
  app.route("/", eventPageRoutes(deps));
  app.route("/", docRoutes(deps));
  app.route("/", pairingRoutes(deps));
  app.route("/", settingsPageRoutes(deps));
  app.route("/", alertPageRoutes(deps));
  app.route("/", doctorRoutes(deps));
  app.route("/", userPageRoutes(deps));
  app.route("/", tokenPageRoutes(deps));
  app.route("/", vmRoutes(deps));
  app.route("/", vmActionRoutes(deps));
  app.route("/", vmSettingsRoutes(deps));
  return app;
}
