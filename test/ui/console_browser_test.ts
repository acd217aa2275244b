/** Both consoles in a real browser, under the page's own policy: what is typed comes back, and a real QEMU shows its screen. */

import assert from "node:assert/strict";
import { type Browser, chromium, type Page } from "playwright-core";
import type { Duplex } from "../../lib/model/backend.ts";
import { FakeBackend } from "./fake_backend.ts";
import { type FakeWeb, fakeWeb } from "./fake_web.ts";

const WAIT_MS = 20_000;

/** A backend whose clock goes on: bounds on requests are by its time. */
function liveBackend(): FakeBackend {
  const backend = new FakeBackend();
  const begun = backend.nowMs();
  backend.nowMs = () => Math.round(begun + performance.now());
  return backend;
}

/** A serial port that says back what it hears, until it is ended. */
function echo(): { duplex: Duplex; end(): void } {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const { promise, resolve } = Promise.withResolvers<void>();
  const ended = new ReadableStream<Uint8Array>({
    async start(controller) {
      const reader = readable.getReader();
      promise.then(() => reader.cancel());
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        controller.enqueue(value);
      }
      controller.close();
    },
  });
  const duplex = { readable: ended, writable, [Symbol.asyncDispose]: () => Promise.resolve(resolve()) };
  return { duplex, end: resolve };
}

/** A socket of QEMU's as a console. */
async function socketDuplex(path: string): Promise<Duplex> {
  const connection = await Deno.connect({ transport: "unix", path });
  return {
    readable: connection.readable,
    writable: connection.writable,
    [Symbol.asyncDispose]() {
      try {
        connection.close();
      } catch (error) {
        if (!(error instanceof Deno.errors.BadResource)) throw error;
      }
      return Promise.resolve();
    },
  };
}

/** Opens a page of ann's; what breaks the policy ends up in `wrong`. */
async function openPage(
  browser: Browser,
  web: FakeWeb,
  path: string,
): Promise<{ page: Page; wrong: string[] }> {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  await context.addCookies([{ ...web.cookie, url: web.url }]);
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const wrong: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") wrong.push(message.text());
  });
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(`${web.url}${path}`);
  return { page, wrong };
}

async function launch(): Promise<Browser> {
  return await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    timeout: 30_000,
  });
}

// Playwright's own pipes and timers outlive a browser that was closed.
const browserTest = { sanitizeOps: false, sanitizeResources: false };

Deno.test({
  name:
    "what is typed into the serial console goes to the VM, and its answer is seen; a lost console comes back; one of somebody signed out ends",
  ...browserTest,
  async fn() {
    const backend = liveBackend();
    const open: { duplex: Duplex; end(): void }[] = [];
    backend.vm.openConsole = () => {
      const made = echo();
      open.push(made);
      return Promise.resolve(made.duplex);
    };
    await using web = await fakeWeb({ backend });
    const browser = await launch();
    try {
      const { page, wrong } = await openPage(browser, web, "/vms/press-1/console/serial");
      await page.locator("#console[data-state=open]").waitFor();
      await page.locator(".xterm-helper-textarea:focus").waitFor({ state: "attached" });
      await page.keyboard.type("uname -a");
      await page.locator(".xterm-rows", { hasText: "uname -a" }).waitFor();
      open[0]!.end();
      await page.locator("#console-status", { hasText: "connected again" }).waitFor();
      await page.keyboard.type("still here");
      await page.locator(".xterm-rows", { hasText: "still here" }).waitFor();
      assert.equal(open.length, 2);
      assert.deepEqual(wrong, []);
      // Signed out, here by an administrator: it ends within seconds, and says so.
      await web.access.sessions.endAll("ann", "test");
      await page.locator("#console-status", { hasText: "not logged in" }).waitFor();
    } finally {
      await browser.close();
    }
  },
});

/** Colours that a canvas shows. */
const COLOURS = `(() => {
  const canvas = document.querySelector("#console canvas");
  if (canvas === null || canvas.width < 640) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return colours.size;
})()`;

Deno.test({
  name: "the screen shows what a real QEMU draws, and Ctrl-Alt-Del reaches its guest",
  ...browserTest,
  async fn() {
    const directory = await Deno.makeTempDir();
    const [vnc, qmp] = [`${directory}/vnc`, `${directory}/qmp`];
    const qemu = new Deno.Command("qemu-system-x86_64", {
      args: [
        ...[
          "-nodefaults",
          "-no-user-config",
          "-machine",
          "q35",
          "-accel",
          "tcg",
          "-m",
          "32",
          "-display",
          "none",
        ],
        ...["-device", "VGA", "-vnc", `unix:${vnc}`, "-qmp", `unix:${qmp},server=on,wait=off`],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const backend = liveBackend();
    backend.vm.openConsole = () => socketDuplex(vnc);
    await using web = await fakeWeb({ backend });
    const browser = await launch();
    try {
      const { page, wrong } = await openPage(browser, web, "/vms/press-1/console/screen");
      await page.locator("#console[data-state=open] canvas").waitFor();
      // SeaBIOS writes: there is more than one colour.
      while (await page.evaluate(COLOURS) as number < 2) await page.waitForTimeout(100);
      using monitor = await Deno.connect({ transport: "unix", path: qmp });
      await monitor.write(new TextEncoder().encode('{"execute":"qmp_capabilities"}'));
      await page.click("#console-cad");
      let said = "";
      const decoder = new TextDecoder();
      for await (const chunk of monitor.readable) {
        said += decoder.decode(chunk, { stream: true });
        if (said.includes('"RESET"')) break;
      }
      assert.match(said, /"RESET"/);
      assert.deepEqual(wrong, []);
    } finally {
      await browser.close();
      qemu.kill();
      await qemu.status;
      await Deno.remove(directory, { recursive: true });
    }
  },
});
