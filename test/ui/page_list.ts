/** Every page there is, for tests that look at each (language, accessibility, width). Whoever makes a page adds it here. */

import type { Page } from "playwright-core";
import type { FakeBackend } from "./fake_backend.ts";

/** A page, and how it is brought into the state that is looked at. */
export interface ListedPage {
  /** Name of its screenshots. */
  name: string;
  path: string;
  /** Nobody is signed in. */
  stranger?: boolean;
  /** The backend before the page is asked for. Each page begins with a new one's state. */
  before?(backend: FakeBackend): unknown;
  /** What is done in the page first, e.g. a dialog that is opened. */
  then?(page: Page): Promise<void>;
  /** Answered with this status; 200 unless said. */
  status?: number;
}

/** See above. */
export const PAGES: readonly ListedPage[] = [
  { name: "home", path: "/" },
  { name: "home-alone", path: "/", before: (backend) => backend.losePeer() },
  { name: "home-good", path: "/", before: (backend) => backend.allGood() },
  { name: "home-new", path: "/", before: (backend) => backend.unpaired() },
  {
    name: "vm",
    path: "/vms/press-1",
    then: async (page) => {
      await page.waitForSelector("#graphs[data-drawn]");
    },
  },
  { name: "vm-syncing", path: "/vms/historian?range=7d" },
  { name: "vm-stopped", path: "/vms/spare-hmi" },
  { name: "vm-settings", path: "/vms/press-1/settings" },
  { name: "vm-logs", path: "/vms/press-1/logs" },
  { name: "vm-action", path: "/vms/press-1/do/switchover" },
  {
    name: "vm-dialog",
    path: "/vms/spare-hmi",
    then: async (page) => {
      await page.click("a[href$='/do/delete']");
      await page.waitForSelector("dialog[open]");
    },
  },
  { name: "login", path: "/login", stranger: true },
  { name: "account", path: "/account" },
  { name: "reauthenticate", path: "/reauthenticate", before: (backend) => backend.clock_ms += 600_000 },
  { name: "create", path: "/vms/new" },
  { name: "import", path: "/vms/import" },
  { name: "job", path: "/jobs/job-7" },
  { name: "console-screen", path: "/vms/press-1/console/screen" },
  { name: "console-serial", path: "/vms/press-1/console/serial" },
  { name: "events", path: "/events" },
  { name: "docs", path: "/docs" },
  { name: "docs-search", path: "/docs/search?q=witness" },
  { name: "pair", path: "/pair" },
  { name: "pair-new", path: "/pair", before: (backend) => backend.unpaired() },
  {
    name: "pair-compare",
    path: "/pair",
    before: (backend) => {
      backend.unpaired();
      const expires = new Date(backend.nowMs() + 90_000).toISOString();
      const peer = { peer_name: "press-b", peer_id: "M2RB-9VKC-44TN-J7QE-XH6P-18" };
      const pairing = { step: "comparing", digits: "482913", ...peer, confirmed: false, expires } as const;
      backend.push({ pair: { ...backend.state.pair, pairing } });
    },
  },
  { name: "settings", path: "/settings" },
  { name: "settings-config", path: "/settings/config" },
  { name: "settings-audit", path: "/settings/audit" },
  { name: "settings-alerts", path: "/settings/alerts" },
  { name: "settings-alert-new", path: "/settings/alerts/new?kind=email" },
  { name: "settings-doctor", path: "/settings/doctor" },
  { name: "settings-users", path: "/settings/users" },
  { name: "settings-user-new", path: "/settings/users/new" },
  { name: "settings-user", path: "/settings/users/ann" },
  { name: "settings-token-new", path: "/settings/tokens/new" },
  { name: "not-found", path: "/vms/nothing", status: 404 },
];
