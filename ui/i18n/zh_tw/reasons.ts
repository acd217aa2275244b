/** 正體中文（台灣）：主機以英文說明的常見原因。此處沒有的原因以英文原文顯示。`*` 代表一個名稱或數值。 */

const REASONS: Readonly<Record<string, string>> = {
  "Pair this node with the second one first.": "請先將這台主機與第二台主機配對。",
  "Say first which addresses the two nodes reach each other by.": "請先設定兩台主機互相連線的位址。",
  "* is not heard, and it may run there.": "收不到 * 的訊號，虛擬機可能在那裡執行。",
  "It waits for the other node.": "正在等待另一台主機。",
  "It is started already.": "已經啟動。",
  "It runs.": "正在執行。",
  "It is stopped already.": "已經停止。",
  "Wait until it runs.": "請等待它開始執行。",
  "Nobody wants it protected.": "未要求保護。",
  "It is possible only while the VM is protected.": "只有在虛擬機受保護時才能執行。",
  "It was confirmed already.": "已經確認過。",
  "Nothing waits for it.": "目前不需要這項確認。",
  "The other node is heard: it is not off.": "收得到另一台主機的訊號：它並未關機。",
  "It is protected, or will be as soon as it can be.": "已受保護，或一旦可行就會受保護。",
  "Stop it first.": "請先停止它。",
  "There is no older copy that waits for it.": "沒有等待啟動的較舊副本。",
  "The VM did not run on both nodes.": "虛擬機沒有同時在兩台主機上執行過。",
  "It runs on neither node.": "兩台主機都沒有在執行它。",
  "The other host is heard: it is not off": "收得到另一台主機的訊號：它並未關機",
  "This host does not run the VM (*)": "這台主機沒有執行虛擬機（*）",
  "There is no copy here that waits for an operator (*)": "這裡沒有等待人員處理的副本（*）",
  "The other host may still run the VM": "另一台主機可能仍在執行虛擬機",
  "This host has no VM state to give up": "這台主機沒有可放棄的虛擬機內容",
  "the other node is not heard": "收不到另一台主機的訊號",
  "both replication lines are down": "兩條複寫線路都已中斷",
  "the other node gave its copy up": "另一台主機已放棄其副本",
  "the other node has lost its copy": "另一台主機的副本已遺失",
  "the backup does not keep up": "備援跟不上",
  "the engine could not go on protecting it": "保護引擎無法繼續保護它",
  "the VM ended on the other node": "虛擬機已在另一台主機上結束",
  "somebody wanted it": "依人員要求",
  "its copy is behind": "副本較舊",
  "its copy is out of date": "副本已過期",
  "the other host has the VM": "虛擬機在另一台主機上",
  "the other host cannot take over": "另一台主機無法接手",
  "its own VM was given up": "自己的虛擬機內容已放棄",
  "it has just started": "剛剛啟動",
  "its disks hold more than the other host's": "它的磁碟內容比另一台主機新",
};

const PATTERNS = Object.entries(REASONS).filter(([english]) => english.includes("*")).map((
  [english, chinese],
) => ({
  pattern: new RegExp(
    `^${english.split("*").map((part) => part.replace(/[.()]/g, "\\$&")).join("(.{1,64})")}$`,
  ),
  chinese,
}));

/** A reason in Chinese; null: it is not known here. */
export function zhReason(english: string): string | null {
  const known = REASONS[english];
  if (known !== undefined) return known;
  for (const { pattern, chinese } of PATTERNS) {
    const value = pattern.exec(english)?.[1];
    if (value !== undefined) return chinese.replace("*", () => value);
  }
  return null;
}

/** The English of them: a test looks whether the nodes still say so. */
export const KNOWN_REASONS: readonly string[] = Object.keys(REASONS);
