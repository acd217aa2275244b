/** What the page's own scripts do, in a real browser: what changes is shown by itself, a lost node is said, actions ask and tell. */

import assert from "node:assert/strict";
import { chromium, type Page } from "playwright-core";
import { ProblemError } from "../../lib/model/problem.ts";
import { fakeSample } from "./fake_data.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";

const WAIT_MS = 30_000;

/** A browser and the app, both ended at the end. */
async function rig(
  work: (page: Page, web: FakeWeb) => Promise<void>,
  options: { scripts: boolean },
): Promise<void> {
  await using web = await fakeWeb();
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: WAIT_MS,
  });
  try {
    const context = await browser.newContext({ ignoreHTTPSErrors: true, javaScriptEnabled: options.scripts });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(error.message));
    await work(page, web);
    assert.deepEqual(wrong, []);
  } finally {
    await browser.close();
  }
}

/** Playwright's own pipes and timers outlive a browser that was closed. */
const unsanitized = { sanitizeOps: false, sanitizeResources: false };

async function isThere(page: Page, selector: string, text: string): Promise<void> {
  await page.locator(selector, { hasText: text }).first().waitFor();
}

async function shown(page: Page, web: FakeWeb): Promise<void> {
  await page.goto(`${web.url}/`);
  await isThere(page, "h1", "Not protected yet");
  await page.click("#picture-table summary");
  await page.focus("#vm-press-1 h3 a");
  await page.evaluate("document.body.dataset.same = 'yes'");
  web.backend.losePeer();
  await isThere(page, "h1", "press-b is not heard");
  await isThere(page, "#vms", "What is shown of press-b is what was last known");
  assert.equal(await page.evaluate("document.body.dataset.same"), "yes", "the page was not loaded again");
  assert.equal(await page.evaluate("document.activeElement.textContent"), "press-1", "the focus stays");
  assert.equal(
    await page.evaluate("document.querySelector('#picture-table').open"),
    true,
    "what is open stays open",
  );
}

async function lost(page: Page, web: FakeWeb): Promise<void> {
  await page.goto(`${web.url}/`);
  await isThere(page, "h1", "Not protected yet");
  assert.equal(await page.textContent("#connection"), "");
  await page.context().setOffline(true);
  await isThere(page, "#connection", "has lost its connection to press-a. Shown is what was known at");
  web.backend.allGood();
  await page.context().setOffline(false);
  await isThere(page, "h1", "Protected: safe to lose either machine");
  await page.waitForFunction("document.querySelector('#connection').textContent === ''");
}

async function ended(page: Page, web: FakeWeb): Promise<void> {
  // The page asks for itself twice when it begins, by the stream's opening and by its first snapshot; then only when it is told to.
  let asked = 0;
  const settled = page.waitForResponse((answer) =>
    answer.url() === `${web.url}/` && answer.request().resourceType() === "fetch" && ++asked === 2
  );
  await page.goto(`${web.url}/`);
  await settled;
  await web.access.sessions.endAll("ann", "local");
  await isThere(page, "#connection", "You are not logged in any more");
}

async function dialogs(page: Page, web: FakeWeb): Promise<void> {
  await page.goto(`${web.url}/vms/press-1`);
  const open = "#switchover a[data-dialog]";
  const hint = "Wait a moment.";
  web.backend.failures.set("vm.switchover", new ProblemError("refused", { detail: "line a is down", hint }));
  await page.click(open);
  await isThere(page, "dialog[open]", "The VM moves to press-b while it runs");
  await page.keyboard.press("Escape");
  await page.waitForSelector("dialog:not([open])", { state: "attached" });
  assert.equal(
    web.backend.calls.some(({ method }) => method === "vm.switchover"),
    false,
    "Escape does nothing",
  );
  await page.click(open);
  await page.click("dialog button[type=submit]");
  await isThere(page, "dialog .problem", "It would not be safe now");
  await isThere(page, "dialog .problem", hint);
  web.backend.failures.clear();
  await page.click("dialog button[type=submit]");
  await isThere(page, "dialog [role=status]", "The VM stood still for 41 ms");
  await page.click("dialog .actions button");
  await isThere(page, "#switchover", "The VM stood still for 41 ms");
}

async function graphs(page: Page, web: FakeWeb): Promise<void> {
  await page.goto(`${web.url}/vms/press-1?range=5m`);
  await page.waitForSelector("#graphs[data-drawn]");
  const before = Number(await page.getAttribute("#graphs", "data-drawn"));
  assert.ok(before > 100, `${before} samples`);
  assert.equal(await page.locator("#graphs canvas").count(), 5);
  const sample = { ...fakeSample(web.backend.clock_ms + 1000), out_mbit: 777.5 };
  web.backend.pushSample("press-1", sample);
  await isThere(page, "[data-value=out_mbit]", "777.5");
  assert.equal(await page.textContent("tr[data-metric=out_mbit] [data-stat=now]"), "777.5");
  web.backend.pushSample("historian", { ...sample, out_mbit: 1 });
  web.backend.pushSample("press-1", { ...sample, t_ms: sample.t_ms + 1000, out_mbit: 778.5 });
  await isThere(page, "[data-value=out_mbit]", "778.5");
}

async function keyboard(page: Page, web: FakeWeb): Promise<void> {
  await page.goto(`${web.url}/`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.className"), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate("document.activeElement.id"), "main");
  await page.focus("#preferences summary");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate("document.querySelector('#preferences').open"), true);
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate("document.querySelector('#preferences').open"), false);
}

Deno.test({
  name:
    "what changes is shown by itself, without losing the reader's place; a lost connection is said, and mended; so is a session that ended",
  ...unsanitized,
  async fn() {
    await rig(async (page, web) => {
      await shown(page, web);
      web.backend.reset();
      await lost(page, web);
      web.backend.reset();
      await ended(page, web);
    }, { scripts: true });
  },
});

Deno.test({
  name: "actions ask first and tell what came of it; graphs go on with each sample; the keyboard is enough",
  ...unsanitized,
  async fn() {
    await rig(async (page, web) => {
      await dialogs(page, web);
      web.backend.reset();
      await graphs(page, web);
      await keyboard(page, web);
    }, { scripts: true });
  },
});

Deno.test({
  name: "without scripts everything can be read, and language and actions work",
  ...unsanitized,
  async fn() {
    await rig(async (page, web) => {
      await page.goto(`${web.url}/`);
      await page.click("#preferences summary");
      await page.selectOption("#preferences select[name=language]", "zh-TW");
      await page.click("#preferences button");
      await isThere(page, "h1", "尚未受保護");
      await page.click("#vm-press-1 h3 a");
      await page.click("#graph-numbers summary");
      await isThere(page, "#graph-numbers table", "每秒檢查點數");
      await page.click("#actions a[href$='/do/stop']");
      await page.click("main form button[type=submit]");
      await isThere(page, "main", "停止：已完成。");
      assert.deepEqual(
        web.backend.calls.filter(({ method }) => method === "vm.act").map(({ args }) => args),
        [
          ["press-1", "stop"],
        ],
      );
    }, { scripts: false });
  },
});
