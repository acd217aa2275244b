/** 正體中文（台灣）：虛擬機執行程式與主機以英文說明的原因。大括號內是名稱或數值；`why` 本身也可能是其中一句。
 * 此處沒有的文字以英文原文顯示。 */

import { RUNNER_PHRASES, SAID_BY_RUNNERS } from "./runner_phrases.ts";

const ACTIONS: Readonly<Record<string, string>> = {
  "Pair this node with the second one first.": "請先將這台主機與第二台主機配對。",
  "Say first which addresses the two nodes reach each other by.": "請先設定兩台主機互相連線的位址。",
  "{node} is not heard, and it may run there.": "收不到 {node} 的訊號，虛擬機可能在那裡執行。",
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
  "{name}: the other node's runner is heard.": "{name}：收得到另一台主機執行程式的訊號。",
  "{name} does not run alone on this node ({phase}).": "{name} 並非只在這台主機上執行（{phase}）。",
  "The service is beginning.": "服務正在啟動。",
  "{name} runs here: {why}. {hint}": "{name} 正在這裡執行：{why}。{hint}",
  "It does not take the pair's lines: {why}. {hint}": "它無法採用配對的線路：{why}。{hint}",
  "The VM does not run here alone ({phase})": "虛擬機並非只在這裡執行（{phase}）",
  "Lines change while the VM runs without protection: unprotect it first, or stop it.":
    "線路只能在虛擬機未受保護時變更：請先停用保護，或停止它。",
  "Not while the VM runs: {keys} would be another than it was started with":
    "虛擬機執行中不能變更：{keys} 會與啟動時不同",
  "Set it for the new pair as it was for the old one; or stop the VM and start it, then it counts.":
    "請將新配對設定成與舊配對相同；或停止虛擬機再啟動，設定才會生效。",
  "It runs on neither node.": "兩台主機都沒有在執行它。",
};

/** Why the other node, a line or the arbiter is not reached (lib/node/peer, pairing, arbiter_watch). */
const REACH: Readonly<Record<string, string>> = {
  "it ended": "已結束",
  "it ended with code {code}": "已結束，結束代碼 {code}",
  "the witness failed at this": "見證機處理失敗",
  "this host ({id}...) is not one of the pair {pair}": "這台主機（{id}...）不屬於配對 {pair}",
  "this host ({id}...) is in no pair of this witness": "這台主機（{id}...）不屬於此見證機的任何配對",
  "what answers there is not the witness {id}...: its ID is {seen}":
    "回應的不是見證機 {id}...：其識別碼為 {seen}",
  "it says what no witness says": "對方的回應不是見證機的回應",
  "it gave an answer that is none to this question": "對方的回應與問題不符",
  "no answer within {ms} ms": "{ms} 毫秒內沒有回應",
  "this host is ending": "這台主機的程式正在結束",
  "nothing listens there": "那裡沒有程式接受連線",
  "no machine answers at this address": "這個位址沒有機器回應",
  "there is no way to this address": "沒有通往這個位址的路由",
  "it broke the connection off": "對方中斷了連線",
  "this node does not have the address that it should reach it from": "這台主機沒有應該用來連線的位址",
  "it did not answer in time": "對方未及時回應",
  "it closed the connection": "對方關閉了連線",
  "it ended the connection": "對方結束了連線",
  "it is not wanted any more": "已經不再需要",
  "the connection was closed": "連線已關閉",
  "it does not read what is sent to it": "對方沒有讀取傳送給它的資料",
  "it sends more than it was asked for": "對方傳送的資料超過要求",
  "another connection stands by now": "已有另一條連線可用",
  "it did not say hello in time": "對方未及時打招呼",
  "it did not say which connection it keeps": "對方未說明保留哪一條連線",
  "a newer connection has taken its place": "已由較新的連線取代",
  "this node shows another certificate from now on": "這台主機從現在起使用另一張憑證",
  "the pair was dissolved": "配對已解除",
  "the other node's service was stopped": "另一台主機的服務已停止",
  "the service was stopped": "服務已停止",
  "the stream was closed here": "串流已在這裡關閉",
  "the stream was closed": "串流已關閉",
  "the other node is heard, but not on it": "收得到另一台主機的訊號，但不是經由這條線路",
  "{card} has no carrier: its cable is out, or the other end is off":
    "{card} 未偵測到網路連線：網路線未插好，或對端未開機",
  "{address} does not answer": "{address} 沒有回應",
  "it did not go on in time": "對方未及時繼續",
  "it did not say that it has stored the pair": "對方未回報已儲存配對",
  "pairing failed": "配對失敗",
  "there were too many at once": "同時發生的數量過多",
  "it is being opened": "正在開啟",
  "the worker that keeps it does not run": "負責保存的程式沒有執行",
};

/** What is wrong with a value that was typed, and what a file is, beside the field or within a sentence. */
const VALUES: Readonly<Record<string, string>> = {
  "loses the role": "失去此角色",
  "is removed": "被移除",
  "has fewer than four different characters": "不同的字元少於四個",
  "is one of those that are tried first": "是最常被猜測的密碼之一",
  "is little more than the account's name": "與帳號名稱太相近",
  "is wrong": "錯誤",
  "it is mistyped: its nine characters do not fit each other": "輸入錯誤：九個字元的檢查不符",
  "it is no address; type the other node's IP address or name, such as 192.168.1.12":
    "不是位址；請輸入另一台主機的 IP 位址或名稱，例如 192.168.1.12",
  "{address} is this node's own address on that path": "{address} 是這台主機在該線路上自己的位址",
  "it is the same line as link A; give it addresses of its own, or leave it out":
    "與線路 A 相同；請使用不同的位址，或留空",
  "say where the witness is, and its ID": "請填寫見證機的位址與識別碼",
  "the LAN can only decide with an address that answers there, such as the gateway's":
    "必須有一個會回應的位址（例如閘道），才能以區域網路判定",
  "{vm} has a NIC with the address {mac}": "{vm} 已有位址為 {mac} 的網路介面卡",
  "{path} is not there": "找不到 {path}",
  "VMs may not have this file of this node": "虛擬機不能使用這台主機的這個檔案",
  "it is not for everybody on this node to read": "不是這台主機上所有人都能讀取的檔案",
  "it cannot be here": "不能放在這裡",
  "unknown key; remove it or correct its spelling": "不明的項目；請移除或更正拼字",
  "it must be typed again when it goes elsewhere than before": "傳送對象變更時，必須重新輸入",
  "it must not have a user or password in it": "不可包含使用者名稱或密碼",
  "it must not be empty": "不可空白",
  "two channels have this name": "有兩個通道使用此名稱",
  "it must be 1 to 60 characters in one line": "必須是單行 1 到 60 個字元",
  "it must begin with https:// or http://": "必須以 https:// 或 http:// 開頭",
  "{host} is neither a host's name nor an address": "{host} 既不是主機名稱，也不是位址",
  "{address} is not an e-mail address": "{address} 不是電子郵件地址",
  "a password is never sent without TLS: use starttls or tls, or no user":
    "沒有 TLS 時不會傳送密碼：請使用 STARTTLS 或 TLS，或不填使用者",
  '"set" stands for one that is kept, and there is none': "「set」代表已保存的密碼，但目前沒有",
  "the server refused {count} of the addresses": "伺服器拒絕了其中 {count} 個地址",
  "the server took it: {answer}": "伺服器已接受：{answer}",
  "it was sent; an SNMP trap is not acknowledged": "已送出；SNMP trap 沒有回覆確認",
  "it was sent; UDP does not say whether it arrived": "已送出；UDP 無法得知是否送達",
  "the receiver sends it elsewhere (status {status}), which is not followed":
    "接收端將它轉到其他位址（狀態碼 {status}），系統不會跟隨",
  "the receiver answered with status {status}": "接收端回應狀態碼 {status}",
  "has {count} characters; an ID has {groups} groups of {size} characters, copy all of it":
    "有 {count} 個字元；識別碼應有 {groups} 組、每組 {size} 個字元，請完整複製",
  "has {count} groups; an ID has {groups} groups of {size} characters, copy all of it":
    "有 {count} 組；識別碼應有 {groups} 組、每組 {size} 個字元，請完整複製",
  "group {number} ({group}) has {count} characters; each group has {size}":
    "第 {number} 組（{group}）有 {count} 個字元；每組應有 {size} 個",
  "group {number} ({group}) has a {odd}; an ID has only letters and 2 to 7":
    "第 {number} 組（{group}）含有 {odd}；識別碼只有英文字母與 2 到 7",
  "group {number} ({group}) is mistyped: its check character does not fit":
    "第 {number} 組（{group}）輸入錯誤：檢查字元不符",
  "is no ID: its group {number} holds more than a hash has": "不是識別碼：第 {number} 組的內容超出範圍",
  "was changed": "遭到修改",
  "is not an entry": "不是記錄項目",
  "has number {seq} where {expected} was to come": "編號為 {seq}，應為 {expected}",
  "does not follow from the line before it": "與前一行不連續",
  "is the last one, but {count} more were written after it": "是最後一行，但其後還寫入過 {count} 行",
  "a qcow2 image": " qcow2 映像檔",
  "a VMDK image": " VMDK 映像檔",
  "an old VMDK image of ESX": " ESX 的舊版 VMDK 映像檔",
  "the description of a VMDK whose data is in other files": "資料在其他檔案中的 VMDK 描述檔",
  "a VHDX image": " VHDX 映像檔",
  "a VHD image": " VHD 映像檔",
  "a VirtualBox VDI image": " VirtualBox VDI 映像檔",
  "a QED image": " QED 映像檔",
  "a ZIP archive": " ZIP 壓縮檔",
  "a file packed by gzip": "以 gzip 壓縮的檔案",
  "a file packed by xz": "以 xz 壓縮的檔案",
  "a file packed by zstd": "以 zstd 壓縮的檔案",
  "a tar archive (an OVA is one)": " tar 封存檔（OVA 即為此類）",
  "Free some space on this node.": "請在這台主機上清出空間。",
  "Another program has it open: shut the VM down that uses it, or copy the image.":
    "其他程式正在使用它：請關閉使用它的虛擬機，或複製映像檔。",
  "It was not closed well: start and shut down its VM where it comes from, and copy it again.":
    "檔案未正常關閉：請在原來的平台上啟動並正常關閉其虛擬機，再重新複製。",
  "It refers to other files, which are not followed: export the disk as one file.":
    "它參照其他檔案，系統不會讀取那些檔案：請將磁碟匯出成單一檔案。",
  "It is damaged or of a kind that is not known: copy it again, or convert it to raw where it comes from.":
    "檔案已損壞或種類不明：請重新複製，或在原來的平台上轉換為 raw。",
  "The disk in {path}": "{path} 中的磁碟",
  "its runner does not answer": "它的執行程式沒有回應",
  "protocol {number}": "通訊協定 {number}",
  "protocols {from} to {to}": "通訊協定 {from} 到 {to}",
  "kept, in {where}": "保留於 {where}",
  "it must be 1 to 32 letters, digits or hyphens": "必須是 1 到 32 個英文字母、數字或連字號",
  "it must be 1 to 32 small letters, digits or hyphens, and begin with a letter or digit":
    "必須是 1 到 32 個小寫英文字母、數字或連字號，以字母或數字開頭",
  "it was sent, and the connection ended well": "已送出，連線正常結束",
  "This is a test of the alerts. Nothing is wrong.": "這是警示測試，一切正常。",
};

/** Words within doctor's findings. */
const FOUND: Readonly<Record<string, string>> = {
  "Both: {value}": "兩台皆為：{value}",
  "only {node} has {list}; only {other} has {other_list}":
    "只有 {node} 有 {list}；只有 {other} 有 {other_list}",
  "only {node} has {list}": "只有 {node} 有 {list}",
  "{list} and {count} more": "{list} 及其他 {count} 項",
  "{kernel}, pages by {tracker}": "{kernel}，以 {tracker} 追蹤分頁",
  "no KVM": "沒有 KVM",
  "none": "無",
  "unknown": "不明",
  "unknown kind": "種類不明",
  "the page": "網頁",
  "the other node": "另一台主機",
  "Line A": "線路 A",
  "Line B": "線路 B",
  "LAN": "區域網路",
  "Devices": "裝置",
  "Bridge": "橋接器",
  "Ports": "連接埠",
  "Arbiter": "仲裁者",
  "it did not end within {seconds} s": "未在 {seconds} 秒內完成",
  "its answer is not understood: it may be of another version": "無法理解它的回應：可能是不同的版本",
};

/** What nodes put together from parts (lib/group/sentence.ts and pacing.ts, lib/node/pairing/settings.ts, the page of the audit log). */
const COMPOSED: Readonly<Record<string, string>> = {
  "The backup does not keep up, and [degradation] allows nothing that would help: {why}":
    "備援跟不上，而且 [degradation] 未允許任何有幫助的措施：{why}",
  "The backup does not keep up, and [degradation] allows no more than what is done ({pace}): {why}":
    "備援跟不上，而且 [degradation] 未允許更多措施（{pace}）：{why}",
  "Syncing ({percent} % of {total} MiB): the VM runs on this host and is not protected yet.":
    "同步中（共 {total} MiB，已完成 {percent}%）：虛擬機在這台主機上執行，尚未受保護。",
  "Syncing ({percent} % of {total} MiB, {rate} Mbit/s, {left} left): the VM runs on this host and is not protected yet.":
    "同步中（共 {total} MiB，已完成 {percent}%，{rate} Mbit/s，還需 {left}）：虛擬機在這台主機上執行，尚未受保護。",
  "Unprotected: the VM runs here, and it ran on the other host too: compare the two, then discard there, or yield here and start there.":
    "未受保護：虛擬機在這裡執行，也曾在另一台主機上執行：請比較兩份內容，再捨棄另一台的一份，或在這裡讓出並在另一台啟動。",
  "this node does not have {address}; it has {list}": "這台主機沒有 {address}；現有 {list}",
  "the other node does not have {address}; it has {list}": "另一台主機沒有 {address}；現有 {list}",
  "this node has no bridge {bridge}": "這台主機沒有橋接器 {bridge}",
  "the other node has no bridge {bridge}": "另一台主機沒有橋接器 {bridge}",
  "{path}: VMs may not have this file of this node": "{path}：虛擬機不能使用這台主機的這個檔案",
  "{path}: it is not for everybody on this node to read": "{path}：不是這台主機上所有人都能讀取的檔案",
  "{file}, line {line}: {problem}": "{file} 第 {line} 行：{problem}",
};

/** English to Chinese. */
export const ZH_PHRASES: Readonly<Record<string, string>> = {
  ...ACTIONS,
  ...RUNNER_PHRASES,
  ...REACH,
  ...VALUES,
  ...FOUND,
  ...COMPOSED,
};

/** Each English text by itself: a test looks whether the nodes still say so. */
export const SAID_BY_NODES: readonly string[] = [
  ...SAID_BY_RUNNERS,
  ...[ACTIONS, REACH, VALUES, FOUND].flatMap((phrases) => Object.keys(phrases)),
];
