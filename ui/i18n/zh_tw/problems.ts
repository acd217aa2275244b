/** 正體中文（台灣）：拒絕與失敗的原因（lib/model/problem_english.ts 的每個代碼）。 */
import type { ReasonCode } from "../../../lib/model/problem_english.ts";
import { ZH_VM_PROBLEMS } from "./vm_problems.ts";

const AGAIN = "請產生新的配對碼，重新開始。";
const PEER_HINT = "請檢查另一台主機的電源、網路線，以及 iservft-edge 服務。";
const LIST = "請查看清單。";
const UNUSED = "請移除沒有人使用的項目。";
const MOMENT = "請稍候再試。";
const OLDER = "請升級兩台主機中版本較舊的一台。";

/** What was wrong, and what to do. */
export const ZH_PROBLEMS: Readonly<Record<ReasonCode, { detail: string; hint: string }>> = {
  ...ZH_VM_PROBLEMS,
  "access.session": { detail: "沒有這個工作階段。", hint: "它可能已自行結束。" },
  "access.backoff": { detail: "密碼錯誤次數過多。", hint: "請在 {seconds} 秒後再試。" },
  "access.busy": { detail: "目前同時登入的人數過多。", hint: "請在幾秒後再試。" },
  "access.wrong": {
    detail: "名稱、密碼或驗證碼錯誤。",
    hint: "請再試一次；使用驗證器時，請輸入最新的驗證碼或一組復原碼。",
  },
  "access.user_exists": { detail: "已有帳號 {name}。", hint: "請使用其他名稱。" },
  "access.users_max": { detail: "已有 {count} 個帳號。", hint: UNUSED },
  "access.no_user": { detail: "沒有帳號 {name}。", hint: LIST },
  "access.last_administrator": {
    detail: "{name} 是最後一位管理員：{what}之後，就沒有人能管理這台主機。",
    hint: "請先將另一個帳號設為管理員。",
  },
  "access.link": { detail: "此連結無效，或已失效。", hint: "請登入。" },
  "access.link_newest": { detail: "此連結無效，或已失效。", hint: "請使用主機終端機顯示的最新連結。" },
  "access.token_exists": {
    detail: "已有權杖 {name}。",
    hint: "請使用其他名稱，或先移除原有的權杖。",
  },
  "access.tokens_max": { detail: "已有 {count} 個權杖。", hint: UNUSED },
  "access.no_token": { detail: "沒有這個權杖。", hint: LIST },
  "access.no_totp": { detail: "目前沒有正在設定的驗證器。", hint: "請重新開始。" },
  "access.totp_wrong": {
    detail: "這不是此金鑰目前對應的驗證碼。",
    hint: "請檢查這台主機與手機的時間，並輸入最新的驗證碼。",
  },
  "access.password": {
    detail: "密碼不能使用：{problem}。",
    hint: "請使用較長的密碼：四個彼此無關的單字就很好。",
  },
  "access.stranger": { detail: "尚未登入。", hint: "請登入，或使用 API 權杖。" },
  "access.role": {
    detail: "{name} 的角色是{role}，無權執行此操作。",
    hint: "請向管理員申請其他角色。",
  },
  "access.page": { detail: "此頁面需要登入", hint: "請登入。" },
  "access.page_role": { detail: "{role}無權{permission}", hint: "請洽管理員。" },
  "access.no_account": { detail: "{name} 不是帳號。", hint: "請以名稱與密碼登入。" },
  "access.token_may_not": {
    detail: "API 權杖不能變更帳號或權杖。",
    hint: "請以管理員身分登入，或在主機上使用命令列。",
  },
  "access.again": { detail: "此操作需要再次輸入密碼。", hint: "請輸入目前登入帳號的密碼，再重新操作。" },
  "access.unset": {
    detail: "這台主機還沒有管理員，只能從本機進行設定。",
    hint: "請在本機開啟終端機顯示的連結。",
  },
  "access.too_often": {
    detail: "來自此位址的請求過多。",
    hint: "請降低頻率；有變更時，事件串流會主動通知。",
  },
  "pair.unpaired": { detail: "這台主機尚未配對", hint: "請先配對。" },
  "pair.paired": {
    detail: "這台主機已與 {node} 配對",
    hint: "若要更換另一台主機，請先解除該配對。",
  },
  "pair.in_use": {
    detail: "{names} 正在此配對下執行或等待：請先停止。",
    hint: "請先停用每台虛擬機的保護。",
  },
  "pair.not_off": {
    detail: "收得到另一台主機的訊號：它並未關機",
    hint: "請先永久關閉它；或停止虛擬機並解除配對。",
  },
  "pair.not_replaced": {
    detail: "{why}",
    hint: "更換主機時，每台虛擬機都必須只在這台主機上執行，或已停止。",
  },
  "pair.address": {
    detail: "{text} 不是位址；請輸入另一台主機的 IP 位址或名稱，例如 192.168.1.12",
    hint: "另一台主機會在配對碼旁顯示它的位址。",
  },
  "pair.code": {
    detail: "配對碼 {text} 輸入錯誤：九個字元的檢查不符",
    hint: "請依另一台主機顯示的內容輸入。",
  },
  "pair.no_digits": {
    detail: "目前沒有需要確認的數字",
    hint: "請從配對碼開始：在一台主機上產生，在另一台輸入。",
  },
  "pair.no_invite": {
    detail: "另一台主機目前沒有在等待配對碼",
    hint: "請在那裡產生配對碼，並在十分鐘內於這裡輸入。",
  },
  "pair.busy": {
    detail: "另一台機器正在那裡輸入配對碼",
    hint: "請在幾秒後再試。若不是您本人，請查明是誰。",
  },
  "pair.being_paired": { detail: "兩台主機正在配對", hint: "請稍候。" },
  "pair.void": {
    detail: "已輸入 {count} 次錯誤的配對碼，配對碼已失效",
    hint: "請產生新的配對碼，重新開始。若不是您自己輸入錯誤，請查明網路上還有誰。",
  },
  "pair.code_late": { detail: "配對碼未在時限內使用", hint: AGAIN },
  "pair.digits_late": { detail: "未在時限內於兩台主機上確認數字", hint: AGAIN },
  "pair.self": { detail: "這是這台主機自己的位址", hint: "請輸入另一台主機的位址。" },
  "pair.not_reached": {
    detail: "{why}",
    hint: "位址是否為另一台主機的位址，且 iservft-edge 是否在那裡執行？",
  },
  "pair.gone": { detail: "已與另一台主機失去聯絡：{why}", hint: AGAIN },
  "pair.not_stored": {
    detail: "無法儲存配對：{why}",
    hint: "請檢查資料目錄所在的磁碟，再重新開始。",
  },
  "pair.malformed": { detail: "收到的內容不屬於配對程序", hint: "請確認位址是另一台主機的位址。" },
  "pair.wrong_code": {
    detail: "配對碼與另一台主機顯示的不同",
    hint: "請依另一台主機顯示的內容重新輸入。",
  },
  "pair.not_inviter": {
    detail: "回應的機器不知道配對碼",
    hint: "請檢查位址。若位址正確，可能有其他機器冒充另一台主機回應。",
  },
  "pair.mismatch": {
    detail: "對方出示的內容與先前承諾的不符：可能有人在兩台主機之間攔截",
    hint: "再試之前，請先查明兩台主機之間的網路上有什麼。",
  },
  "pair.cancelled": { detail: "有人在另一台主機上取消了配對", hint: "兩台都準備好之後，請重新開始。" },
  "pair.interrupted": {
    detail: "與 {node} 的配對在確認之後中斷；無法得知 {node} 是否已儲存",
    hint: "兩台主機恢復聯絡後會自動完成。您也可以重新配對。",
  },
  "pair.not_kept": { detail: "另一台主機在儲存配對之前斷電或停止", hint: "請重新配對兩台主機。" },
  "pair.not_known_there": {
    detail: "另一台主機並未與這台主機配對",
    hint: "請也在這裡解除配對，再重新配對兩台主機。",
  },
  "pair.key": {
    detail: "兩台主機持有不同的配對金鑰",
    hint: "其中一台由較舊的備份還原：請在兩台主機上解除配對，再重新配對。",
  },
  "pair.version": {
    detail:
      "一台主機執行 iservft-edge {own}（{own_range}），另一台執行 {other}（{other_range}）：沒有共同的通訊協定",
    hint: "請升級執行 {behind} 的主機。",
  },
  "pair.settings_unknown": { detail: "另一台主機傳來這台主機無法理解的設定", hint: OLDER },
  "pair.settings_newer": {
    detail: "另一台主機的設定比您變更前的設定新",
    hint: "請重新查看設定，再次變更。",
  },
  "pair.settings_between": { detail: "期間有其他變更", hint: "請重新查看設定。" },
  "pair.settings_busy": {
    detail: "設定正在變更中",
    hint: "請稍候重新查看設定，再次變更。",
  },
  "pair.settings_wrong": { detail: "{problems}", hint: "請修正後再試。" },
  "pair.rotating": { detail: "正在建立新的身分", hint: "請稍候。" },
  "pair.identity_refused": {
    detail: "已拒絕另一台主機的新身分：{why}",
    hint: "請再試一次；在此之前，原有身分繼續有效。",
  },
  "peer.unpaired": { detail: "這台主機尚未配對", hint: PEER_HINT },
  "peer.silent": { detail: "收不到 {node} 的訊號：{why}", hint: PEER_HINT },
  "peer.over": { detail: "{why}", hint: PEER_HINT },
  "peer.starting": { detail: "另一台主機仍在啟動中", hint: PEER_HINT },
  "peer.no_answer": { detail: "另一台主機未在 {seconds} 秒內回應 {method}", hint: PEER_HINT },
  "peer.not_opened": { detail: "另一台主機未在 {seconds} 秒內開啟 {method}", hint: PEER_HINT },
  "peer.identity": { detail: "收不到另一台主機的訊號，無法通知它新的身分", hint: PEER_HINT },
  "peer.method": { detail: "另一台主機不支援 {method}", hint: OLDER },
  "peer.too_large": {
    detail: "無法一次將 {bytes} 位元組傳給另一台主機；上限為 {most}",
    hint: "請分次要求較少的資料。",
  },
  "peer.calls_max": { detail: "已有 {count} 個送往另一台主機的呼叫在等待回應", hint: MOMENT },
  "peer.answers_max": { detail: "另一台主機同時最多處理 {count} 個呼叫", hint: MOMENT },
  "peer.streams_max": {
    detail: "兩台主機之間已開啟 {count} 個串流",
    hint: "請關閉不需要的主控台。",
  },
  "peer.beginning": { detail: "服務正在啟動", hint: "請再試一次。" },
  "page.absent": { detail: "{path} 沒有任何內容。", hint: "請回到首頁。" },
  "page.host": {
    detail: "{name} 不是這台主機的名稱或位址。",
    hint: "請使用它的其中一個位址，或將該名稱加入設定的 `names`。",
  },
  "page.too_large": { detail: "傳送的內容超過 {bytes} 位元組。", hint: "請減少傳送的內容。" },
  "page.no_vm": { detail: "沒有虛擬機 {name}。", hint: "請查看首頁的清單；它可能已被刪除。" },
  "page.no_action": { detail: "沒有動作 {name}。", hint: "請開啟虛擬機的頁面，在那裡選擇動作。" },
  "page.no_document": { detail: "說明文件沒有 {name} 這一頁", hint: "請查看目錄：/docs" },
  "page.no_account": { detail: "沒有帳號 {name}", hint: "請查看帳號清單。" },
  "page.broken": {
    detail: "這台主機內部發生錯誤。",
    hint: "請查看主機的記錄檔（journalctl -u iservft-edge），再試一次。",
  },
  "page.unexpected": { detail: "這台主機發生未預期的錯誤。", hint: "請查看服務的記錄檔，再試一次。" },
  "alert.settings_wrong": { detail: "警示設定：{problems}", hint: "請修正後再儲存。" },
  "alert.no_channel": { detail: "沒有通道 {name}", hint: "請查看警示設定中的通道名稱。" },
  "alert.tests_max": { detail: "已有 {count} 個測試進行中", hint: "請等待測試完成。" },
  "observe.unreadable": {
    detail: "無法讀取保存的資料：{why}",
    hint: "請檢查 {directory} 所在的磁碟，再試一次。",
  },
};
