/** What runs on each page. Everything can be read without it. */

import { startDialogs } from "./shared/dialog.ts";
import { startLive } from "./shared/live.ts";
import { refreshTimes } from "./shared/times.ts";

/** Menus close when something else is clicked or focused, and by Escape. */
function startMenus(): void {
  const menus = () => document.querySelectorAll<HTMLDetailsElement>("details.menu[open]");
  const closeOthers = (event: Event) => {
    for (const menu of menus()) if (!menu.contains(event.target as Node)) menu.open = false;
  };
  document.addEventListener("click", closeOthers);
  document.addEventListener("focusin", closeOthers);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary")?.focus();
    }
  });
}

startMenus();
startDialogs();
refreshTimes();
setInterval(refreshTimes, 10_000);
startLive();
