/** English: all that the pages say. Each part of the pages has a file below en/, and the same one below zh_tw/. */

import { ACCESS } from "./en/access.ts";
import { HOME } from "./en/home.ts";
import { SHELL } from "./en/shell.ts";
import { VM } from "./en/vm.ts";

/** A pattern for each key. */
export const EN = { ...SHELL, ...HOME, ...VM, ...ACCESS } as const;

/** A text of the pages. */
export type MessageKey = keyof typeof EN;
