/** A browser in a place of the lab: on a host, as the engineer at the machine, or on the LAN. */

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { CACHE } from "../../build/run.ts";
import type { Lab } from "../../lib/lab/lab.ts";
import type { Place } from "../../lib/lab/places.ts";

const CHROMIUM = "/usr/bin/chromium";
const WAIT_MS = 30_000;
const SHOTS = `${CACHE}/screenshots/e2e`;

/** Chromium in the namespace of `place`. `directory`: for its starter; made. */
export async function browserIn(lab: Lab, options: { place: Place; directory: string }): Promise<Browser> {
  const { place, directory } = options;
  await Deno.mkdir(directory, { recursive: true });
  const starter = `${directory}/chromium-${place}`;
  const namespace = lab.namespace(place);
  await Deno.writeTextFile(starter, `#!/bin/sh\nexec ip netns exec ${namespace} ${CHROMIUM} "$@"\n`, {
    mode: 0o755,
  });
  return await chromium.launch({
    executablePath: starter,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: WAIT_MS,
  });
}

/** What is wrong with pages that were open: errors that scripts or the policy against foreign content made. */
export class Complaints {
  readonly all: string[] = [];

  watch(page: Page): void {
    page.on("pageerror", (error) => this.all.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      const text = message.text();
      // What the server refused, or was away for, is told by the browser as well; the page says it to its reader.
      if (message.type() === "error" && !/Failed to load resource|net::ERR_/.test(text)) {
        this.all.push(`${page.url()}: ${text}`);
      }
    });
  }
}

/** A context as a plant's PC has it: the nodes' own certificates were accepted. */
export async function contextOf(browser: Browser, more: { phone?: boolean } = {}): Promise<BrowserContext> {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: more.phone === true ? { width: 390, height: 844 } : { width: 1360, height: 850 },
  });
  context.setDefaultTimeout(WAIT_MS);
  return context;
}

/** Keeps a picture of the page for looking at. */
export async function shot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
}
