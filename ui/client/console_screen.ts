/** A VM's screen in the page. */

// @ts-types="./shared/novnc.d.ts"
import RFB from "@novnc/novnc";
import { keepConnected, onButton } from "./shared/console_link.ts";

const RETURN_KEYSYM = 0xff0d;
const TAB_KEYSYM = 0xff09;
/** X11's keysyms of characters outside Latin-1. */
const UNICODE_KEYSYM = 0x01000000;

const place = document.getElementById("console")!;
let rfb: RFB | null = null;
let fitted = true;

function keysym(character: string): number {
  if (character === "\n") return RETURN_KEYSYM;
  if (character === "\t") return TAB_KEYSYM;
  const code = character.codePointAt(0)!;
  return code < 0x100 ? code : UNICODE_KEYSYM + code;
}

/** Types a text: also for phones, whose keyboards send no keys. */
function type(text: string): void {
  for (const character of text) rfb?.sendKey(keysym(character), null);
}

document.getElementById("console-type")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("console-text") as HTMLInputElement;
  type(field.value);
  if ((event as SubmitEvent).submitter?.dataset.enter !== undefined) type("\n");
  field.value = "";
});
onButton("console-cad", () => {
  rfb?.sendCtrlAltDel();
  rfb?.focus();
});
onButton("console-fit", () => {
  fitted = !fitted;
  document.getElementById("console-fit")?.setAttribute("aria-pressed", String(fitted));
  if (rfb !== null) rfb.scaleViewport = fitted;
});
onButton("console-full", () => {
  void place.requestFullscreen().catch(() => {});
  rfb?.focus();
});

keepConnected((socket) => {
  // What was seen last stays until the next picture comes.
  const old = [...place.children];
  rfb = new RFB(place, socket, { shared: true });
  rfb.scaleViewport = fitted;
  rfb.background = "#101418";
  rfb.focusOnClick = true;
  rfb.addEventListener("connect", () => {
    for (const element of old) element.remove();
    rfb?.focus();
  });
});
