/** Every page in a real browser: both languages, both themes, desk and phone. Screenshots are kept in .cache/screenshots for looking at. */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { CACHE } from "../../build/run.ts";
import { buildUi } from "../../build/ui.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";
import { type ListedPage, PAGES } from "./page_list.ts";

const SHOTS = `${CACHE}/screenshots`;
const SIZES = { desk: { width: 1360, height: 850 }, phone: { width: 360, height: 740 } } as const;
type Size = keyof typeof SIZES;
const LANGUAGES = ["en", "zh-TW"] as const;
const THEMES = ["light", "dark"] as const;
const WAIT_MS = 20_000;
/** ISERVFT_SCREENSHOTS=all: each page in each language, theme and size. */
const ALL = Deno.env.get("ISERVFT_SCREENSHOTS") === "all";

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
function lookedAt(language: typeof LANGUAGES[number], size: Size): boolean {
  return language === "en" ? size === "desk" : size === "phone";
}

/** Opens the page in one language and size; returns what is wrong with it in either theme. */
async function look(
  context: BrowserContext,
  { web, listed, language, size }: {
    web: FakeWeb;
    listed: ListedPage;
    language: typeof LANGUAGES[number];
    size: Size;
  },
): Promise<string[]> {
  const where = `${listed.name}-${language}-${size}`;
  const wrong: string[] = [];
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const looked = lookedAt(language, size);
  page.on("console", (message) => {
    // A page that is not there is logged by the browser itself.
    const expected = listed.status !== undefined && message.text().includes(String(listed.status));
    if (message.type() === "error" && !expected) wrong.push(`${where}: console: ${message.text()}`);
  });
  let loads = 0;
  page.on("load", () => {
    if (++loads > 1) wrong.push(`${where}: went on to ${page.url()} by itself`);
  });
  page.on("pageerror", (error) => wrong.push(`${where}: ${error.message}`));
  web.backend.reset();
  listed.before?.(web.backend);
  await context.clearCookies({ name: "stranger" });
  await context.addCookies([
    { name: "iservft_language", value: language, url: web.url },
    ...(listed.stranger === true ? [{ name: "stranger", value: "1", url: web.url }] : []),
  ]);
  const answer = await page.goto(`${web.url}${listed.path}`, { waitUntil: "load" });
  if (answer?.status() !== (listed.status ?? 200)) wrong.push(`${where}: status ${answer?.status()}`);
  await listed.then?.(page);
  for (const theme of THEMES) {
    // Unless all are asked for, one of each page in each language, size and theme is kept.
    const kept = ALL || (looked && (theme === "light") === (size === "desk"));
    if (!looked && !kept) continue;
    await page.evaluate(`document.documentElement.dataset.theme = "${theme}"`);
    if (kept) await page.screenshot({ path: `${SHOTS}/${where}-${theme}.png`, fullPage: true });
    if (!looked) continue;
    const violations = await axe(page, theme === "dark" ? ["color-contrast"] : undefined);
    wrong.push(...say(`${where}-${theme}`, violations));
  }
  const width = await page.evaluate("document.documentElement.scrollWidth") as number;
  if (width > SIZES[size].width) wrong.push(`${where}: ${width} px wide, more than ${SIZES[size].width}`);
  await page.close();
  return wrong;
}

/** A browser that ends with the test. */
async function browser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: 30_000,
  });
}

/** All pages in one size, with a backend of their own. */
async function lookAtAll(chromium: Browser, size: Size): Promise<string[]> {
  await using web = await fakeWeb();
  const wrong: string[] = [];
  for (const language of LANGUAGES) {
    // A desk is wide enough in any language; the longest words on a phone are the English ones.
    if (!ALL && size === "desk" && language === "zh-TW") continue;
    const context = await chromium.newContext({
      viewport: SIZES[size],
      ignoreHTTPSErrors: true,
      reducedMotion: "reduce",
    });
    if (lookedAt(language, size)) await context.addInitScript({ content: axeSource });
    for (const listed of PAGES.filter(({ name }) => ONLY?.includes(name) ?? true)) {
      wrong.push(...await look(context, { web, listed, language, size }));
    }
    await context.close();
  }
  return wrong;
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
      const wrong = await Promise.all(
        (Object.keys(SIZES) as Size[]).map((size) => lookAtAll(chromium, size)),
      );
      assert.deepEqual(wrong.flat(), []);
    } finally {
      await chromium.close();
    }
  },
});
