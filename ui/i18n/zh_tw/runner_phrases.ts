/** 正體中文（台灣）：虛擬機執行程式以英文說的話（lib/group）。大括號內是名稱或數值。 */

/** What a runner says of a command that it does not take now (lib/group/commands.ts): "problem. hint". */
const COMMANDS: readonly (readonly [problem: string, zh: string, hint: string, zhHint: string])[] = [
  [
    "The other host is heard: it is not off",
    "收得到另一台主機的訊號：它並未關機",
    "Switch it off first, or use switchover.",
    "請先將它關機，或改用計畫性切換。",
  ],
  [
    "This host does not run the VM ({phase})",
    "這台主機沒有執行虛擬機（{phase}）",
    "Ask the other host's runner.",
    "請在另一台主機上執行。",
  ],
  [
    "There is no copy here that waits for an operator ({phase})",
    "這裡沒有等待人員處理的副本（{phase}）",
    "A whole copy takes over by itself; one that is out of date is started with start.",
    "完整的副本會自動接手；過期的副本請使用「啟動」。",
  ],
  [
    "The other host may still run the VM",
    "另一台主機可能仍在執行虛擬機",
    "Make sure that it is off, then confirm_peer_off.",
    "請先確定它已關機，再執行「確認另一台主機已關機」。",
  ],
  [
    "This host has no VM state to give up",
    "這台主機沒有可放棄的虛擬機內容",
    "Look at status.",
    "請查看狀態。",
  ],
  ["A switchover is under way", "切換正在進行中", "Wait for its end.", "請等待切換結束。"],
  [
    "The backup is behind: output leaves before it is committed",
    "備援落後：資料在備援確認之前就已送出",
    "Wait until it is protected again.",
    "請等待恢復保護。",
  ],
  [
    "The copy on the other host is not whole yet: {part} are there, about {seconds} s left",
    "另一台主機上的副本尚未完整：已完成 {part}，大約還需 {seconds} 秒",
    "Try again when the sync has ended.",
    "請在同步完成後再試。",
  ],
  [
    "The copy on the other host is not whole yet: {part} are there",
    "另一台主機上的副本尚未完整：已完成 {part}",
    "Try again when the sync has ended.",
    "請在同步完成後再試。",
  ],
  [
    "The copy on the other host is behind: output leaves before it is committed",
    "另一台主機上的副本落後：資料在備援確認之前就已送出",
    "Wait until it is protected again, or give the link more room.",
    "請等待恢復保護，或改用較快的線路。",
  ],
  [
    "The VM runs on the other host",
    "虛擬機在另一台主機上執行",
    "Ask the other host's runner for the switchover.",
    "請在另一台主機上執行切換。",
  ],
  [
    "There is no whole copy of the VM to move to ({phase})",
    "沒有可切換過去的完整副本（{phase}）",
    "Wait until the VM is protected; status says what it waits for.",
    "請等待虛擬機受到保護；狀態會顯示正在等待什麼。",
  ],
  ["The VM is here already", "虛擬機已在這台主機上", "See status.", "請查看狀態。"],
  [
    "The other host has a newer state of the VM",
    "另一台主機有較新的虛擬機內容",
    "Start it there.",
    "請在那裡啟動。",
  ],
  [
    "The copy on this host is out of date",
    "這台主機上的副本已過期",
    "If the other host will not come back: confirm_peer_off, then start. What it did since is lost.",
    "若另一台主機無法恢復：請執行「確認另一台主機已關機」，再啟動。它之後所做的變更會遺失。",
  ],
  [
    "The copy on this host is out of date",
    "這台主機上的副本已過期",
    "The other host has the newer state: start the VM there.",
    "另一台主機有較新的內容：請在那裡啟動虛擬機。",
  ],
  [
    "The copy on this host may be behind, and the other host is not heard",
    "這台主機上的副本可能較舊，而且收不到另一台主機的訊號",
    "Make sure that it is off, then confirm_peer_off, then start.",
    "請先確定它已關機，執行「確認另一台主機已關機」，再啟動。",
  ],
  [
    "The other host ran the VM too, and is not heard",
    "另一台主機也執行過虛擬機，而且收不到它的訊號",
    "Make sure that it is off, then confirm_peer_off, then start.",
    "請先確定它已關機，執行「確認另一台主機已關機」，再啟動。",
  ],
  [
    "The other host has not given way yet",
    "另一台主機尚未讓出",
    "Let it yield first, then start here.",
    "請先讓它讓出，再於這台主機啟動。",
  ],
];

/** Why a VM stands, stopped or is not protected (lib/group, lib/node/vm). */
const REASONS: Readonly<Record<string, string>> = {
  "the other node is not heard": "收不到另一台主機的訊號",
  "both replication lines are down": "兩條複寫線路都已中斷",
  "the other node gave its copy up": "另一台主機已放棄其副本",
  "the other node has lost its copy": "另一台主機的副本已遺失",
  "the backup does not keep up": "備援跟不上",
  "the engine could not go on protecting it": "保護引擎無法繼續保護它",
  "the VM ended on the other node": "虛擬機已在另一台主機上結束",
  "somebody wanted it": "依人員要求",
  "its copy is behind": "副本較舊",
  "the other node has not taken this VM: its events say why":
    "另一台主機尚未接受這台虛擬機：原因請見它的事件",
  "its copy is out of date": "副本已過期",
  "the other host has the VM": "虛擬機在另一台主機上",
  "the other host cannot take over": "另一台主機無法接手",
  "its own VM was given up": "自己的虛擬機內容已放棄",
  "it has just started": "剛剛啟動",
  "its disks hold more than the other host's": "它的磁碟內容比另一台主機新",
  "the other host is heard, and has not given way": "收得到另一台主機的訊號，而且它尚未讓出",
  "neither the other host nor the LAN answers: this host may be the isolated one":
    "另一台主機與區域網路都沒有回應：被隔離的可能是這台主機",
  "the operator must confirm that the other host is off": "必須由人員確認另一台主機已關機",
  "the VM was handed over: confirm that the other host is off": "虛擬機已移交：請確認另一台主機已關機",
  "the engine has seen a newer term": "保護引擎已得知較新的任期",
  "the VM is not protected now": "虛擬機目前未受保護",
  "the other host went on in term {term} without what was done here":
    "另一台主機在任期 {term} 繼續執行，沒有包含這裡的內容",
  "the VM ran on that host too, and has what this one lacks: discard one of the two":
    "虛擬機也在那台主機上執行過，而且有這裡沒有的內容：請捨棄其中一份",
  "it asks the other host to give up a copy that is not whole": "正在要求另一台主機放棄不完整的副本",
  "the other host has the VM, or a newer copy of it": "另一台主機上有虛擬機，或較新的副本",
  "the other host's copy takes over": "由另一台主機的副本接手",
  "the other host was lost": "已失去另一台主機",
  "it was stopped here: start it when it is wanted": "已在這台主機停止：需要時請啟動",
  "it is empty, and the other host is not heard": "這裡沒有內容，而且收不到另一台主機的訊號",
  "its copy may be behind, and the other host is not heard: confirm that it is off, then start":
    "副本可能較舊，而且收不到另一台主機的訊號：請確認它已關機，再啟動",
  "so it was when this host ended": "這台主機上次結束時就是如此",
  "the guest powered off": "虛擬機已自行關機",
  "the last epoch was not committed in time": "最後一個週期未及時獲得確認",
  "the operator starts an older copy": "由人員啟動較舊的副本",
  "the operator stopped it": "由人員停止",
  "no arbiter elsewhere is configured": "未設定外部仲裁者",
  "term {term} was granted to the other host": "任期 {term} 已授予另一台主機",
  "term {term} was granted to the other host, which may have gone on: to start this older copy all the same, say promote":
    "任期 {term} 已授予另一台主機，它可能已繼續執行：若仍要啟動這份較舊的副本，請選擇「啟動較舊的副本」",
  "asked": "已詢問",
  "It stood still for {ms} ms.": "停頓了 {ms} 毫秒。",
  "it was not measured within {seconds} s": "未在 {seconds} 秒內完成測量",
  "QEMU ended ({code}): {said}": "QEMU 已結束（{code}）：{said}",
  "byte for byte the same": "逐位元組完全相同",
  "different in {parts}": "{parts} 不相同",
  "byte for byte the primary": "與主要逐位元組完全相同",
  "At epoch {epoch} the backup is {result}.": "在第 {epoch} 個週期，備援的比對結果：{result}。",
};

/** Alarms of a runner, which it keeps as events. */
const ALARMS: Readonly<Record<string, string>> = {
  "The other host is silent, and the copy here is behind what it did: an operator decides":
    "收不到另一台主機的訊號，而且這裡的副本比它舊：由人員決定",
  "The VM is not started here: let the other host yield first, or confirm that it is off":
    "虛擬機不在這裡啟動：請先讓另一台主機讓出，或確認它已關機",
  "The backup does not keep up: no epoch was committed for longer than the bound":
    "備援跟不上：超過時限仍沒有任何週期獲得確認",
  "The arbiter is reachable again": "仲裁者已恢復連線",
  "No automatic takeover while the arbiter is not reachable: {why}": "仲裁者無法連線期間不會自動接手：{why}",
  "The VM's output waits: {why}": "虛擬機的輸出等待中：{why}",
  "The switchover did not take place: {why}": "切換未能進行：{why}",
  "The metadata cannot be written: {why}": "無法寫入中繼資料：{why}",
  "This host's VM is not given up, since it could not be kept: {why}":
    "無法保留這台主機的虛擬機內容，因此沒有放棄：{why}",
  "The disks of this host's VM are kept in {where}": "這台主機上的虛擬機磁碟保留在 {where}",
  "Both hosts ran the VM: {why}. Compare the two, then discard one":
    "兩台主機都執行過虛擬機：{why}。請比較兩份內容，再捨棄其中一份",
  "Both hosts run the VM in term {term}; choose one, and let the other yield":
    "兩台主機都在任期 {term} 執行虛擬機；請選擇其中一台，並讓另一台讓出",
  "Protection ended, the VM runs on: {why}": "保護已結束，虛擬機繼續執行：{why}",
  "The VM ended here ({why}); the other host takes over": "虛擬機在這裡結束（{why}）；由另一台主機接手",
  "The VM ended here ({why}), and there is no backup that could go on":
    "虛擬機在這裡結束（{why}），而且沒有可以繼續執行的備援",
  "This host's VM is stopped: {why}": "這台主機的虛擬機已停止：{why}",
  "A disk of this host failed: {why}": "這台主機的磁碟故障：{why}",
  "The sync was broken off and begins again: {why}": "同步中斷，將重新開始：{why}",
  "This host cannot be the backup: {why}": "這台主機無法擔任備援：{why}",
  "The copy is given up: {why}": "副本已放棄：{why}",
  "The copy could not be resumed ({why}); the VM starts from its disks":
    "無法從副本恢復執行（{why}）；虛擬機從磁碟啟動",
  "The copy is not started: {why}": "副本尚未啟動：{why}",
  "The other host refused to be the backup: {why}": "另一台主機拒絕擔任備援：{why}",
  "Output leaves before the backup has it: {why}": "資料在備援取得之前就已送出：{why}",
  "The backup does not keep up. {pace}: {why}": "備援跟不上。{pace}：{why}",
  "Full pace": "全速",
  "Epochs are at least {ms} ms long": "每個週期至少 {ms} 毫秒",
  "The guest is slowed by {percent} %": "虛擬機速度降低 {percent}%",
  "Output does not wait for the backup": "輸出不等待備援",
  "a commit takes {latency} ms, the bound is {bound} ms; the guest makes {rate}":
    "每次確認需 {latency} 毫秒，上限為 {bound} 毫秒；虛擬機產生 {rate}",
  "{rate}, the backup takes {taken}": "{rate}，備援可接收 {taken}",
  "{rate}, nothing is committed": "{rate}，沒有任何資料獲得確認",
};

/** What a runner says of its VM (lib/group/sentence.ts). */
const SENTENCES: Readonly<Record<string, string>> = {
  "Starting.": "啟動中。",
  "Waiting: {why}.": "等待中：{why}。",
  "The VM is being started on this host.": "正在這台主機上啟動虛擬機。",
  "Syncing: the VM runs on this host and is not protected yet.":
    "同步中：虛擬機在這台主機上執行，尚未受保護。",
  "Protected: safe to lose either machine.": "備援保護中：任一台主機故障都不影響運作。",
  "Protected: safe to lose either machine, but nobody takes over by itself: the arbiter is not reachable.":
    "備援保護中，但無法自動接手：仲裁者無法連線。",
  "Protected: safe to lose either machine; {slowed}.": "備援保護中：任一台主機故障都不影響運作；{slowed}。",
  "Protected: safe to lose either machine, but nobody takes over by itself: the arbiter is not reachable; {slowed}.":
    "備援保護中，但無法自動接手：仲裁者無法連線；{slowed}。",
  "{slowed} because the backup does not keep up ({why})": "{slowed}，因為備援跟不上（{why}）",
  "replies take up to {ms} ms longer": "回應最多延後 {ms} 毫秒",
  "the guest is slowed by {percent} %": "虛擬機速度降低 {percent}%",
  "replies take long": "回應變慢",
  "Not protected without loss ({why}): the backup is behind; if this host dies, the newest seconds are lost.":
    "無法保證零遺失（{why}）：備援落後；若這台主機故障，最後幾秒的資料會遺失。",
  "The backup is lost ({cause}): output is held until it is decided who goes on.":
    "已失去備援（{cause}）：在決定由哪一台主機繼續之前，暫不送出資料。",
  "The backup is lost: this host goes on alone.": "已失去備援：這台主機單獨繼續執行。",
  "The VM is being moved to the other host.": "正在將虛擬機移到另一台主機。",
  "The VM has left this host.": "虛擬機已離開這台主機。",
  "This host becomes the backup.": "這台主機即將成為備援。",
  "Receiving a copy: this host cannot take over yet.": "正在接收副本：這台主機還不能接手。",
  "Protected: this host holds a whole copy, but does not take over by itself: the arbiter is not reachable.":
    "備援保護中：這台主機有完整的副本，但無法自動接手：仲裁者無法連線。",
  "Protected: this host holds a whole copy and takes over if the other one dies.":
    "備援保護中：這台主機有完整的副本，另一台故障時由它接手。",
  "The copy on this host is behind what the VM did: it starts only when an operator says so (promote).":
    "這台主機上的副本比虛擬機的內容舊：只有人員要求時才會啟動（啟動較舊的副本）。",
  "The other host is lost ({cause}): waiting for leave to take over.":
    "已失去另一台主機（{cause}）：正在等待接手許可。",
  "Taking over: the VM is being started from its copy on this host.":
    "接手中：正在從這台主機上的副本啟動虛擬機。",
  "The copy on this host is out of date; it waits for the other host.":
    "這台主機上的副本已過期；正在等待另一台主機。",
  "Both hosts ran the VM ({why}): compare the two, then discard here, or yield there and start here.":
    "兩台主機都執行過虛擬機（{why}）：請比較兩份內容，再捨棄這裡的一份，或在另一台讓出並在這裡啟動。",
  "This host's VM is given up: its disks are being kept as a restore point.":
    "已放棄這台主機的虛擬機內容：正在將磁碟保留為還原點。",
  "This host was overtaken ({why}): its VM is ended.": "這台主機已被取代（{why}）：它的虛擬機已結束。",
  "The VM is stopped: {why}.": "虛擬機已停止：{why}。",
  "Unprotected: the VM runs on this host alone; if this host dies, the VM dies.":
    "未受保護：虛擬機只在這台主機上執行；若這台主機故障，虛擬機也會停止。",
  "Both hosts run the VM: compare the two, then yield on the one that is to be given up.":
    "兩台主機都在執行虛擬機：請比較兩份內容，再於要放棄的那一台讓出。",
  "silence": "收不到訊號",
  "links": "線路中斷",
  "stall": "備援跟不上",
  "engine": "保護引擎失敗",
  "operator": "依人員要求",
};

/** English to Chinese. */
export const RUNNER_PHRASES: Readonly<Record<string, string>> = {
  ...REASONS,
  ...ALARMS,
  ...SENTENCES,
  ...Object.fromEntries(COMMANDS.flatMap(([problem, zh, hint, zhHint]) => [
    [problem, zh],
    [hint, zhHint],
    [`${problem}. ${hint}`, `${zh}。${zhHint}`],
  ])),
};

/** Each English text by itself. */
export const SAID_BY_RUNNERS: readonly string[] = [
  ...[REASONS, ALARMS, SENTENCES].flatMap((phrases) => Object.keys(phrases)),
  ...COMMANDS.flatMap(([problem, , hint]) => [problem, hint]),
];
