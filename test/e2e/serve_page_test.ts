/** The product as its user meets it: two machines, a browser, and a host that loses its power. */

import assert from "node:assert/strict";
import type { BrowserContext, Page } from "playwright-core";
import { BRIDGE, type Host, HOSTS } from "../../lib/lab/places.ts";
import { brokenPromises } from "../../lib/lab/scene.ts";
import { browserIn, Complaints, contextOf, shot } from "./browser_kit.ts";
import { NodesScene, READY_MS, VM } from "./nodes_kit.ts";

const USER = "anna";
const PASSWORD = "four-plain-words-9";

/** A page that is open, and where it is. */
interface Seat {
  context: BrowserContext;
  page: Page;
  url: string;
}

/** Waits until a text stands on the page; scripts keep pages up to date by themselves. */
async function reads(page: Page, text: string | RegExp, bound_ms = READY_MS): Promise<void> {
  await page.getByText(text).first().waitFor({ timeout: bound_ms });
}

async function press(page: Page, form: string): Promise<void> {
  await page.locator(`form[action="${form}"] button[type="submit"]`).first().click();
}

/** The engineer at the machine opens the link from the terminal and becomes its administrator. */
async function becomeAdministrator(
  scene: NodesScene,
  options: { host: Host; complaints: Complaints },
): Promise<void> {
  const { host, complaints } = options;
  const link = scene.nodes.node(host).lines.join("\n").match(/https:\/\/\S+\/setup\?token=\S+/)?.[0];
  assert.ok(link, "the terminal shows a link");
  const browser = await browserIn(scene.lab, { place: host, directory: `${scene.directory}/browser` });
  try {
    const page = await (await contextOf(browser)).newPage();
    complaints.watch(page);
    await page.goto(link);
    await page.fill('input[name="name"]', USER);
    await page.fill('input[name="new"]', PASSWORD);
    await page.fill('input[name="again"]', PASSWORD);
    await shot(page, `setup-${host}`);
    await press(page, "/setup");
    await page.waitForURL((url) => url.pathname === "/");
    const stranger = await (await contextOf(browser)).newPage();
    await stranger.goto(link);
    assert.equal(new URL(stranger.url()).pathname, "/login", "the link works once");
  } finally {
    await browser.close();
  }
}

async function signIn(seat: Seat): Promise<void> {
  await seat.page.goto(`${seat.url}/login`);
  await seat.page.fill('input[name="name"]', USER);
  await seat.page.fill('input[name="password"]', PASSWORD);
  await press(seat.page, "/login");
  await seat.page.waitForURL((url) => url.pathname === "/");
}

/** The six digits that a page shows. */
async function digits(page: Page): Promise<string> {
  await page.locator(".big-digits").waitFor();
  return (await page.locator(".big-digits span").allTextContents()).join("");
}

/** A code on one, typed on the other; the same digits on both; lines as they are proposed. */
async function pairUp(a: Seat, b: Seat): Promise<void> {
  await a.page.goto(`${a.url}/pair`);
  await press(a.page, "/pair/invite");
  const code = (await a.page.locator(".big-code").textContent())?.trim() ?? "";
  await shot(a.page, "pair-code");
  await b.page.goto(`${b.url}/pair`);
  await b.page.fill('input[name="address"]', "10.77.1.1");
  await b.page.fill('input[name="code"]', code);
  await press(b.page, "/pair/join");
  const seen = [await digits(a.page), await digits(b.page)];
  assert.match(seen[0]!, /^\d{6}$/);
  assert.equal(seen[0], seen[1]);
  await shot(a.page, "pair-digits");
  await press(a.page, "/pair/confirm");
  await press(b.page, "/pair/confirm");
  const lines = a.page.locator("form#links");
  await lines.waitFor();
  await shot(a.page, "pair-lines");
  const field = (name: string) => lines.locator(`[name="${name}"]`);
  assert.equal(
    await field("link_a.local").inputValue(),
    "10.77.1.1",
    "the page proposes the lines that there are",
  );
  assert.equal(await field("link_a.peer").inputValue(), "10.77.1.2");
  assert.equal(await field("link_b.local").inputValue(), "10.77.2.1");
  assert.equal(await field("lan.bridge").inputValue(), BRIDGE);
  await field("lan.reference").fill("10.77.0.1");
  await lines.locator('input[name="arbiter"][value="lan"]').check();
  await lines.locator('button[type="submit"]').first().click();
  await reads(a.page, "press-b");
}

/** The wizard: a VM from an image that is on the machine. */
async function importVm(scene: NodesScene, { page, url }: Seat): Promise<void> {
  await page.goto(`${url}/vms/import`);
  await page.fill('input[name="name"]', VM);
  await page.fill('input[name="memory_mib"]', "192");
  const next = () => page.locator('button.primary[name="go"][value="next"]').click();
  await next();
  await page.fill('input[name="disk.0.path"]', `${scene.directory}/disk.img`);
  await page.selectOption('select[name="disk.0.format"]', "raw");
  await shot(page, "import-disk");
  await next();
  await page.fill('input[name="nic.0.mac"]', "52:54:00:12:34:56");
  await next();
  // The demo's guest boots a kernel from outside of its disk: that is set before it starts.
  await page.uncheck('input[name="start"]');
  await shot(page, "import-review");
  await next();
  await page.locator(`a[href="/vms/${VM}"].primary`).click({ timeout: READY_MS });
  const api = scene.nodes.api("a");
  const { revision } = (await api.status()).vms[0]!;
  const { spec } = scene.nodes.guest(VM);
  await api.call("PATCH", `/vms/${VM}`, { revision, spec: { ...spec, disk: [{ path: `${VM}/disk0.img` }] } });
}

/** Presses an action of the VM's page, and says yes. */
async function act(page: Page, action: string): Promise<void> {
  await page.locator(`a[href="/vms/${VM}/do/${action}"]`).first().click();
  await page.locator(`form[action="/vms/${VM}/do/${action}"] button[type="submit"]`).click();
}

async function useConsoles(seat: Seat): Promise<void> {
  const page = await seat.context.newPage();
  await page.goto(`${seat.url}/vms/${VM}/console/serial`);
  await reads(page, "iservft-guest ready");
  await page.locator("#console .xterm").click();
  await page.keyboard.type("hello from the page\n");
  await reads(page, "you said: hello from the page");
  await shot(page, "console-serial");
  await page.goto(`${seat.url}/vms/${VM}/console/screen`);
  await page.locator("#console canvas").waitFor();
  await reads(page, /connected/i);
  await shot(page, "console-screen");
  await page.close();
}

Deno.test({
  name: "from two empty machines to a VM that outlives one of them, by nothing but the page",
  // Playwright's own pipes and timers outlive a browser that was closed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    await using scene = await NodesScene.open();
    const complaints = new Complaints();
    for (const host of HOSTS) await becomeAdministrator(scene, { host, complaints });
    const browser = await browserIn(scene.lab, { place: "client", directory: `${scene.directory}/browser` });
    try {
      const seat = async (host: Host): Promise<Seat> => {
        const context = await contextOf(browser);
        const page = await context.newPage();
        complaints.watch(page);
        return { context, page, url: scene.nodes.url(host) };
      };
      const [a, b] = [await seat("a"), await seat("b")];
      for (const one of [a, b]) await signIn(one);
      await pairUp(a, b);
      await importVm(scene, a);
      await a.page.goto(`${a.url}/vms/${VM}`);
      await act(a.page, "start");
      await reads(a.page, "Protected: safe to lose either machine.");
      await shot(a.page, "vm-protected");
      await a.page.goto(a.url);
      await reads(a.page, "Protected: safe to lose either machine.");
      await shot(a.page, "home-protected");
      await useConsoles(a);

      await using client = await scene.client();
      assert.ok(await client.answered(50));
      await a.page.goto(`${a.url}/vms/${VM}`);
      await act(a.page, "switchover");
      await reads(a.page, /press-a → press-b/);
      await reads(a.page, /stood still for [\d.]*[1-9][\d.]* ms/);
      await shot(a.page, "vm-switchover");
      await scene.nodes.api("a").vm(VM, ["protected"], READY_MS);

      // It runs on B now: B loses its power, and A's page says so without being asked.
      await a.page.goto(a.url);
      await reads(a.page, "Protected: safe to lose either machine.");
      await scene.lab.powerOff("b");
      await reads(a.page, /press-b is not heard; demo runs here without protection/);
      await shot(a.page, "home-alone");
      assert.equal(
        await a.page.getByText("safe to lose either machine").count(),
        0,
        "nothing on the page says otherwise",
      );
      assert.ok(await client.answered(50), "the VM goes on");
      assert.deepEqual(brokenPromises(await client.stop()), []);
    } catch (error) {
      const pages = browser.contexts().flatMap((context) => context.pages());
      for (const [index, page] of pages.entries()) await shot(page, `failed-${index}`);
      throw error;
    } finally {
      await browser.close();
    }
    assert.deepEqual(complaints.all, [], "no page had an error");
  },
});
