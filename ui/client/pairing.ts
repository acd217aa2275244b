/** Counts down how long a code or the six digits hold, and goes on to the next step when it has come: what stands around it is another then. */

import { nodeNow, word } from "./shared/words.ts";

function tick(): void {
  for (const place of document.querySelectorAll<HTMLElement>("[data-expires]")) {
    const left_s = Math.max(0, Math.round((Date.parse(place.dataset.expires!) - nodeNow()) / 1000));
    const text = left_s === 0
      ? word("pair.expired")
      : `${Math.floor(left_s / 60)}:${String(left_s % 60).padStart(2, "0")}`;
    const shown = place.querySelector("span");
    if (shown !== null && shown.textContent !== text) shown.textContent = text;
  }
}

const step = () => document.getElementById("pairing-step")?.dataset.step;
const begun = step();

tick();
setInterval(tick, 1000);
document.addEventListener("iservft:refreshed", () => {
  tick();
  if (step() !== begun) location.replace("/pair");
});
