/** English: all that the pages say. Each part of the pages has a file below en/, and the same one below zh_tw/. */

import { ACCESS } from "./en/access.ts";
import { HOME } from "./en/home.ts";
import { SHELL } from "./en/shell.ts";
import { VM } from "./en/vm.ts";
import { EVENT_PAGES } from "./en/events.ts";
import { FORMS } from "./en/forms.ts";
import { PAIRING } from "./en/pairing.ts";
import { SETTINGS } from "./en/settings.ts";

/** A pattern for each key. */
export const EN = {
  ...SHELL,
  ...HOME,
  ...VM,
  ...ACCESS,
  ...EVENT_PAGES,
  ...FORMS,
  ...PAIRING,
  ...SETTINGS,
} as const;

/** A text of the pages. */
export type MessageKey = keyof typeof EN;
