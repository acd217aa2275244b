/** A VM's first serial port in the page. */

import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { cleanStyles } from "./shared/clean_styles.ts";
import { keepConnected, onButton, say } from "./shared/console_link.ts";
import { word } from "./shared/words.ts";

/** Bytes on their way that the VM has not taken yet. The server refuses 256 KiB. */
const AHEAD = 16 << 10;
/** Most that may wait here, e.g. a long paste. */
const WAITING = 1 << 20;
const FONT = "iservft_console_font";

cleanStyles();

const place = document.getElementById("console")!;
const terminal = new Terminal({
  cursorBlink: true,
  fontFamily: '"DejaVu Sans Mono", ui-monospace, Menlo, Consolas, monospace',
  fontSize: Number(localStorage.getItem(FONT) ?? "15") || 15,
  scrollback: 5000,
  theme: { background: "#101418", foreground: "#e8ecee" },
});
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);

/** What is typed, until the VM has taken it. */
class Sender {
  #socket: WebSocket | null = null;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #size = 0;
  #ahead = 0;

  begin(socket: WebSocket): void {
    this.#socket = socket;
    this.#waiting = [];
    this.#size = 0;
    this.#ahead = 0;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#size + bytes.length > WAITING) return;
    for (let at = 0; at < bytes.length; at += AHEAD) this.#waiting.push(bytes.slice(at, at + AHEAD));
    this.#size += bytes.length;
    this.#go();
  }

  taken(count: number): void {
    this.#ahead -= count;
    this.#go();
  }

  #go(): void {
    while (this.#socket?.readyState === WebSocket.OPEN) {
      const next = this.#waiting[0];
      if (next === undefined || (this.#ahead > 0 && this.#ahead + next.length > AHEAD)) return;
      this.#waiting.shift();
      this.#size -= next.length;
      this.#ahead += next.length;
      this.#socket.send(next);
    }
  }
}

const sender = new Sender();
const encoder = new TextEncoder();
terminal.onData((text) => sender.send(encoder.encode(text)));
terminal.onBinary((text) => sender.send(Uint8Array.from(text, (character) => character.charCodeAt(0) & 255)));

function copy(): void {
  const text = terminal.getSelection();
  if (text !== "") navigator.clipboard.writeText(text).catch(() => say(word("console.keys")));
}

function paste(): void {
  navigator.clipboard.readText().then((text) => terminal.paste(text)).catch(() => say(word("console.keys")));
  terminal.focus();
}

terminal.attachCustomKeyEventHandler((event) => {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
  if (event.code === "KeyC") copy();
  else if (event.code === "KeyV") paste();
  else return true;
  event.preventDefault();
  return false;
});

function resize(by: number): void {
  const size = Math.min(32, Math.max(8, (terminal.options.fontSize ?? 15) + by));
  terminal.options.fontSize = size;
  localStorage.setItem(FONT, String(size));
  fit.fit();
  terminal.focus();
}

onButton("console-smaller", () => resize(-1));
onButton("console-larger", () => resize(1));
onButton("console-copy", copy);
onButton("console-paste", paste);
onButton("console-clear", () => terminal.clear());
onButton("console-full", () => void place.requestFullscreen().catch(() => {}));
new ResizeObserver(() => fit.fit()).observe(place);

keepConnected((socket) => {
  sender.begin(socket);
  socket.addEventListener("open", () => terminal.focus());
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") sender.taken(Number(JSON.parse(data).taken) || 0);
    else terminal.write(new Uint8Array(data));
  });
});
