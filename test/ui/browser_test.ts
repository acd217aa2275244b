/** Every page in a real browser: both languages, both themes, desk and phone. Screenshots are kept in .cache/screenshots for looking at. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { type Browser, chromium, type Page } from "playwright-core";
import { CACHE } from "../../build/run.ts";
import { buildUi } from "../../build/ui.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";
import { type ListedPage, PAGES } from "./page_list.ts";

const SHOTS = `${CACHE}/screenshots`;
const SIZES = { desk: { width: 1360, height: 850 }, phone: { width: 360, height: 740 } } as const;
type Size = keyof typeof SIZES;
const LANGUAGES = ["en", "zh-TW"] as const;
type Language = typeof LANGUAGES[number];
const THEMES = ["light", "dark"] as const;
const WAIT_MS = 20_000;

/** ISERVFT_PAGES=home,vm: only these. */
const ONLY = Deno.env.get("ISERVFT_PAGES")?.split(",");

/** What axe says that matters. */
interface Violation {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary?: string }[];
}

const axeSource = await Deno.readTextFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"));

async function axe(page: Page, only?: string[]): Promise<Violation[]> {
  const run = only === undefined ? {} : { runOnly: only };
  const { violations } = await page.evaluate(
    `axe.run(document, ${JSON.stringify({ ...run, resultTypes: ["violations"] })})`,
  ) as { violations: Violation[] };
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical");
}

function say(where: string, violations: Violation[]): string[] {
  return violations.map(({ id, impact, nodes }) =>
    `${where}: axe ${id} (${impact}): ${nodes.slice(0, 3).map(({ html }) => html.slice(0, 160)).join(" | ")}`
  );
}

/** Where axe looks: each language and each size once; all four would take twice the time. */
const LOOKED: Readonly<Record<Language, Size>> = { "en": "desk", "zh-TW": "phone" };

/** A tab of one language, and what is wrong with the page that it shows. Loading costs more than anything else: each page is loaded once per
 * language, and changes its size and theme where it is. */
class Tab {
  readonly wrong: string[] = [];
  readonly #web: FakeWeb;
  readonly #page: Page;
  readonly #language: Language;
  #listed: ListedPage = { name: "none", path: "" };
  #loads = 0;

  constructor(web: FakeWeb, options: { page: Page; language: Language }) {
    this.#web = web;
    this.#page = options.page;
    this.#language = options.language;
    const { page } = options;
    page.setDefaultTimeout(WAIT_MS);
    page.on("console", (message) => {
      // A page that is not there is logged by the browser itself.
      const { status } = this.#listed;
      const expected = status !== undefined && message.text().includes(String(status));
      if (message.type() === "error" && !expected) this.#say(`console: ${message.text()}`);
    });
    page.on("load", () => {
      if (++this.#loads > 1) this.#say(`went on to ${page.url()} by itself`);
    });
    page.on("pageerror", (error) => this.#say(error.message));
  }

  #say(problem: string): void {
    this.wrong.push(`${this.#listed.name}-${this.#language}: ${problem}`);
  }

  /** Opens the page and looks at it in both sizes and themes. */
  async look(listed: ListedPage): Promise<void> {
    const { backend, url } = this.#web;
    const context = this.#page.context();
    backend.reset();
    listed.before?.(backend);
    await context.clearCookies({ name: "stranger" });
    await context.addCookies([
      { name: "iservft_language", value: this.#language, url },
      ...(listed.stranger === true ? [{ name: "stranger", value: "1", url }] : []),
    ]);
    await this.#show("desk", "light");
    this.#listed = listed;
    this.#loads = 0;
    const answer = await this.#page.goto(`${url}${listed.path}`, { waitUntil: "load" });
    if (answer?.status() !== (listed.status ?? 200)) this.#say(`status ${answer?.status()}`);
    await listed.then?.(this.#page);
    for (const size of ["desk", "phone"] as const) {
      for (const theme of THEMES) await this.#lookAs(size, theme);
    }
    // A page that follows the backend would go on to another one when the backend is made new.
    this.#loads = 0;
    await this.#page.goto("about:blank");
  }

  async #show(size: Size, theme: typeof THEMES[number]): Promise<void> {
    await this.#page.setViewportSize(SIZES[size]);
    await this.#page.emulateMedia({ colorScheme: theme });
  }

  async #lookAs(size: Size, theme: typeof THEMES[number]): Promise<void> {
    const where = `${this.#listed.name}-${this.#language}-${size}-${theme}`;
    await this.#show(size, theme);
    await this.#page.screenshot({ path: `${SHOTS}/${where}.png`, fullPage: true });
    const width = await this.#page.evaluate("document.documentElement.scrollWidth") as number;
    if (width > SIZES[size].width) {
      this.wrong.push(`${where}: ${width} px wide, more than ${SIZES[size].width}`);
    }
    if (LOOKED[this.#language] !== size) return;
    this.wrong.push(...say(where, await axe(this.#page, theme === "dark" ? ["color-contrast"] : undefined)));
  }
}

/** A browser that ends with the test. */
async function browser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: 30_000,
  });
}

/** All pages in one language, with a backend of their own. */
async function lookAtAll(chromium: Browser, language: Language): Promise<string[]> {
  await using web = await fakeWeb();
  const context = await chromium.newContext({ ignoreHTTPSErrors: true, reducedMotion: "reduce" });
  await context.addInitScript({ content: axeSource });
  const tab = new Tab(web, { page: await context.newPage(), language });
  for (const listed of PAGES.filter(({ name }) => ONLY?.includes(name) ?? true)) await tab.look(listed);
  await context.close();
  return tab.wrong;
}

Deno.test({
  name: "every page is accessible, fits a phone and breaks no rule of its own, in each language and theme",
  // Playwright's own pipes and timers outlive a browser that was closed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await Deno.mkdir(SHOTS, { recursive: true });
    await buildUi();
    const chromium = await browser();
    try {
      const wrong = await Promise.all(LANGUAGES.map((language) => lookAtAll(chromium, language)));
      assert.deepEqual(wrong.flat(), []);
    } finally {
      await chromium.close();
    }
  },
});
