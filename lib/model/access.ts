/** Who may do what. */

import { z } from "zod";

export const ROLES = ["viewer", "operator", "administrator"] as const;
export type Role = typeof ROLES[number];

/** What a request needs. viewer: see. operator: see, and act on VMs. administrator: all. */
export const PERMISSIONS = {
  view: "viewer",
  operate: "operator",
  administer: "administrator",
} as const satisfies Record<string, Role>;
export type Permission = keyof typeof PERMISSIONS;

/** Whether a role has a permission. */
export function may(role: Role, permission: Permission): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(PERMISSIONS[permission]);
}

/** Who asks. `name` is what audit log and events call them: "user:ann", "token:grafana", "local". */
export interface Principal {
  kind: "user" | "token" | "local";
  name: string;
  role: Role;
  /** They have just given their password again (or are local): dangerous actions are allowed. */
  fresh: boolean;
  /** Language of their page. */
  language: "en" | "zh-TW" | null;
}

/** What audit log and events call whoever asks by the local socket: root on this node. No account and no token is called so. */
export const LOCAL_ACTOR = "local";

export const userView = z.object({
  name: z.string(),
  role: z.enum(ROLES),
  totp: z.boolean(),
  created: z.string(),
  last_login: z.string().nullable(),
  locked_until: z.string().nullable(),
  language: z.enum(["en", "zh-TW"]).nullable(),
});
export type UserView = z.infer<typeof userView>;

export const tokenView = z.object({
  id: z.string(),
  name: z.string(),
  role: z.enum(ROLES),
  created: z.string(),
  expires: z.string().nullable(),
  last_used: z.string().nullable(),
});
export type TokenView = z.infer<typeof tokenView>;
