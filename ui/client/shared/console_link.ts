/** A console's connection: opened, opened again when it is lost (the VM may have moved to the other node), and what is said meanwhile. */

import { make, word } from "./words.ts";

/** As in ui/console/bridge.ts. */
const SESSION = 4401;
const PROBLEM = 4500;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
/** After this many attempts in a row a person has to ask for the next. */
const ATTEMPTS = 200;

const box = document.getElementById("console")!;
const status = document.getElementById("console-status")!;

/** What is said above the console. */
export function say(...inside: (Node | string)[]): void {
  status.replaceChildren(...inside);
}

/** A button of the bar above the console. */
export function onButton(id: string, act: () => void): void {
  document.getElementById(id)?.addEventListener("click", act);
}

function address(): string {
  const url = new URL(box.dataset.path!, location.href);
  url.protocol = "wss:";
  return url.href;
}

/** Keeps a console connected. `attach` is given each new socket as soon as it is made. */
export function keepConnected(attach: (socket: WebSocket) => void): void {
  let attempts = 0;
  let before = false;

  function again(): void {
    const button = make("button", { type: "button", class: "button plain" }, word("console.reconnect"));
    button.addEventListener("click", () => {
      attempts = 0;
      open();
    });
    status.append(" ", button);
  }

  function closed(event: CloseEvent): void {
    box.dataset.state = "closed";
    if (event.code === SESSION) {
      const here = encodeURIComponent(location.pathname);
      say(`${word("console.session")} `, make("a", { href: `/login?next=${here}` }, word("console.login")));
      return;
    }
    say(event.code === PROBLEM ? word("console.ended", { why: event.reason }) : word("console.lost"));
    if (attempts >= ATTEMPTS) return again();
    setTimeout(open, Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempts++, 10)));
  }

  function open(): void {
    if (!before) say(word("console.connecting"));
    const socket = new WebSocket(address());
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", () => {
      if (box.dataset.state === "open") return;
      // The VM's side has spoken: only now it is surely there.
      box.dataset.state = "open";
      attempts = 0;
      say(word(before ? "console.moved" : "console.connected"));
      before = true;
    });
    socket.addEventListener("close", closed);
    attach(socket);
  }

  open();
}
