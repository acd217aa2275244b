/** Actions ask in a dialog: the page of the action is loaded into it. Without scripts the same page is shown as it is. */

import { wantRefresh } from "./live.ts";
import { refreshTimes } from "./times.ts";
import { make, word } from "./words.ts";

interface Problem {
  code?: string;
  /** In the reader's language, or English: what is not known in it. */
  shown?: { detail: string; hint: string; english: { detail: boolean; hint: boolean } };
}

function dialogElement(): HTMLDialogElement {
  return document.getElementById("dialog") as HTMLDialogElement;
}

function problemBox({ code, shown }: Problem): HTMLElement {
  const title = code === undefined ? word("error.network") : word(`problem.${code}`);
  const box = make("div", { class: "problem", role: "alert" }, make("p", { class: "problem-title" }, title));
  const lang = (english: boolean | undefined): Record<string, string> =>
    english === true ? { lang: "en" } : {};
  const detail = shown?.detail ?? "";
  if (detail !== "") box.append(make("p", lang(shown?.english.detail), detail));
  const next = code === undefined ? word("error.network.hint") : shown?.hint ?? "";
  if (next !== "") {
    box.append(
      make("p", {}, word("error.hint") + word("colon"), make("span", lang(shown?.english.hint), next)),
    );
  }
  return box;
}

function closeButton(): HTMLElement {
  const button = make("button", { type: "button", class: "button plain" }, word("close"));
  button.addEventListener("click", () => dialogElement().close());
  return make("p", { class: "actions" }, button);
}

/** Sends the form; resolves with what was said, or throws a Problem. */
async function send(form: HTMLFormElement): Promise<{ detail: string; go: string | null }> {
  const fields = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields.append(name, value);
  let answer: Response;
  try {
    answer = await fetch(form.action, {
      method: "POST",
      headers: { accept: "application/json" },
      body: fields,
    });
  } catch {
    throw {} satisfies Problem;
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw (typeof body.code === "string" ? body : { code: "failed" }) as Problem;
}

async function submitted(form: HTMLFormElement): Promise<void> {
  const button = form.querySelector<HTMLButtonElement>("button[type=submit]");
  const label = button?.querySelector("span") ?? button;
  const before = label?.textContent ?? "";
  if (button !== null) button.disabled = true;
  if (label !== null) label.textContent = word("working");
  for (const old of form.querySelectorAll(".problem")) old.remove();
  try {
    const { detail, go } = await send(form);
    wantRefresh();
    if (go !== null) {
      location.assign(go);
      return;
    }
    const said = make("p", { role: "status", class: "notice ok" }, detail);
    form.replaceWith(said, closeButton());
    dialogElement().querySelector<HTMLElement>(".actions button")?.focus();
  } catch (problem) {
    const { code } = problem as Problem;
    if (code === "reauthenticate" || code === "unauthenticated") {
      const page = code === "reauthenticate" ? "reauthenticate" : "login";
      location.assign(`/${page}?next=${encodeURIComponent(new URL(form.action).pathname)}`);
      return;
    }
    form.prepend(problemBox(problem as Problem));
    if (button !== null) button.disabled = false;
    if (label !== null) label.textContent = before;
  }
}

async function show(href: string): Promise<void> {
  const answer = await fetch(href, { headers: { accept: "text/html" }, cache: "no-store" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const body = page.querySelector("[data-dialog-body]");
  // Another page came: to log in, or that it cannot be done. It is shown as it is.
  if (!answer.ok || body === null) {
    location.assign(answer.redirected ? answer.url : href);
    return;
  }
  const dialog = dialogElement();
  dialog.replaceChildren(document.importNode(body, true));
  dialog.querySelector("h1, h2")?.setAttribute("id", "dialog-title");
  refreshTimes();
  dialog.showModal();
}

/** Begins. */
export function startDialogs(): void {
  const dialog = dialogElement();
  document.addEventListener("click", (event) => {
    if (
      !(event.target instanceof Element) || event.button !== 0 || event.ctrlKey || event.metaKey ||
      event.shiftKey
    ) {
      return;
    }
    const close = event.target.closest("[data-close]");
    if (close !== null && dialog.open) {
      event.preventDefault();
      dialog.close();
      return;
    }
    const link = event.target.closest<HTMLAnchorElement>("a[data-dialog]");
    if (link === null) return;
    event.preventDefault();
    show(link.href).catch(() => location.assign(link.href));
  });
  dialog.addEventListener("submit", (event) => {
    if (!(event.target instanceof HTMLFormElement)) return;
    event.preventDefault();
    void submitted(event.target);
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());
}
