/** 正體中文（台灣）：頁面的所有文字。缺少任何一個鍵值就無法編譯。 */

import type { MessageKey } from "./en.ts";
import { ZH_ACCESS } from "./zh_tw/access.ts";
import { ZH_HOME } from "./zh_tw/home.ts";
import { ZH_SHELL } from "./zh_tw/shell.ts";
import { ZH_VM } from "./zh_tw/vm.ts";
import { ZH_EVENT_PAGES } from "./zh_tw/events.ts";
import { ZH_FORMS } from "./zh_tw/forms.ts";
import { ZH_PAIRING } from "./zh_tw/pairing.ts";
import { ZH_SETTINGS } from "./zh_tw/settings.ts";

/** A pattern for each key. */
export const ZH_TW: Readonly<Record<MessageKey, string>> = {
  ...ZH_SHELL,
  ...ZH_HOME,
  ...ZH_VM,
  ...ZH_ACCESS,
  ...ZH_EVENT_PAGES,
  ...ZH_FORMS,
  ...ZH_PAIRING,
  ...ZH_SETTINGS,
};
