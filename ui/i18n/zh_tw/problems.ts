/** 正體中文（台灣）：拒絕與失敗的原因（lib/model/problem_english.ts 的每個代碼）。 */
import type { ReasonCode } from "../../../lib/model/problem_english.ts";

const ONE_FILE = "請將磁碟匯出成單一檔案（VMware：匯出為 OVA 或 OVF，其中的 .vmdk 是單一檔案），再匯入該檔案。";
const MERGE = "請在原來的平台上與其基礎映像檔合併（刪除快照），再匯入結果。";
const AGAIN = "請產生新的配對碼，重新開始。";
const PEER_HINT = "請檢查另一台主機的電源、網路線，以及 iservft-edge 服務。";
const LIST = "請查看清單。";
const UNUSED = "請移除沒有人使用的項目。";
const MOMENT = "請稍候再試。";
const DEVICE = "請指定這台主機上沒有其他用途的裝置；裝置上的內容將歸虛擬機所有。";
const SIZES = "磁碟大小為 512 位元組到 {most}，且必須是 512 位元組磁區的整數倍。";
const OLDER = "請升級兩台主機中版本較舊的一台。";

/** What was wrong, and what to do. */
export const ZH_PROBLEMS: Readonly<Record<ReasonCode, { detail: string; hint: string }>> = {
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
    detail: "密碼{problem}。",
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
  "disk.not_allowed": {
    detail: "{problems}",
    hint:
      "請將檔案放到虛擬機自己的目錄，或由 root 將檔案或其目錄加入這台主機 serve.toml 的 `images`，再重新啟動服務。在主機本身，root 可以指定任何檔案：iservft-edge vm。",
  },
  "disk.size": { detail: "{what} 的大小為 {bytes} 位元組", hint: SIZES },
  "disk.sectors": {
    detail: "{what} 的大小為 {bytes} 位元組，不是磁區的整數倍",
    hint:
      "磁碟大小為 512 位元組到 {most}，且必須是 512 位元組磁區的整數倍。映像檔請執行：truncate -s {next} FILE。",
  },
  "disk.space": {
    detail: "{directory} 放不下 {bytes}：可用 {free}，且必須保留 {spare}",
    hint: "請清出空間，或縮小虛擬機的磁碟。兩台主機都必須放得下。",
  },
  "disk.there": {
    detail: "{path} 已經存在",
    hint: "請移除或重新命名，或選擇作為現有磁碟使用。系統不會覆寫任何檔案。",
  },
  "disk.path": { detail: "磁碟路徑 {path} 是空的，或含有「..」", hint: "請填寫映像檔的位置。" },
  "disk.device_absent": {
    detail: "這台主機上沒有 {path}",
    hint: "請在兩台主機上建立名稱與大小相同的裝置。",
  },
  "disk.sizes_differ": {
    detail: "{path} 在這台主機上為 {found} 位元組，在另一台為 {bytes} 位元組",
    hint: "請讓兩者大小相同，或移除不需要的一份。",
  },
  "disk.absent": {
    detail: "找不到 {path}",
    hint: "請填寫這台主機上映像檔或裝置的路徑，或改為建立新磁碟。",
  },
  "disk.kind": {
    detail: "{path} 既不是檔案，也不是區塊裝置",
    hint: "請指定 raw 映像檔，或 /dev/vg0/press-1 之類的裝置。",
  },
  "disk.not_writable": {
    detail: "主機服務無法寫入 {path}",
    hint: "請開放寫入權限（chown、chmod），或將映像檔複製到其他位置。",
  },
  "disk.not_raw": {
    detail: "{path} 不是 raw 映像檔：其開頭是{is}",
    hint: "請改用匯入，並指定它實際的格式。",
  },
  "disk.of_vm": { detail: "{path} 已經是 {vm} 的磁碟", hint: "請讓每台虛擬機使用各自的磁碟。" },
  "disk.mounted": { detail: "{path} 已掛載於 {place}", hint: DEVICE },
  "disk.swap": { detail: "{path} 正作為置換空間（swap）使用", hint: DEVICE },
  "disk.held": { detail: "{path} 屬於 {holders}（LVM、RAID 或加密）", hint: DEVICE },
  "disk.part_mounted": { detail: "{path} 的分割區 {part} 已掛載於 {place}", hint: DEVICE },
  "disk.part_swap": { detail: "{path} 的分割區 {part} 正作為置換空間（swap）使用", hint: DEVICE },
  "disk.part_held": { detail: "{path} 的分割區 {part} 屬於 {holders}（LVM、RAID 或加密）", hint: DEVICE },
  "disk.read_only": { detail: "{path} 是唯讀的", hint: "請指定可以寫入的裝置。" },
  "disk.loop": { detail: "{path} 使用中：/dev/{name} 正在使用它", hint: "請先卸離：losetup -d /dev/{name}" },
  "disk.locked": {
    detail: "{path} 使用中：已被行程 {pid} 鎖定",
    hint: "請關閉使用它的虛擬機或程式。",
  },
  "disk.locked_unknown": {
    detail: "{path} 使用中：已被其他程式鎖定",
    hint: "請關閉使用它的虛擬機或程式。",
  },
  "firmware.absent": {
    detail: "這台主機未安裝虛擬機用的 UEFI 韌體",
    hint: "請在兩台主機上安裝（Debian、Ubuntu：apt install ovmf），或將韌體改為 BIOS。",
  },
  "firmware.size": {
    detail: "{path} 為 {bytes} 位元組，不是 UEFI 變數檔應有的大小",
    hint: "請重新安裝韌體（Debian、Ubuntu：apt install --reinstall ovmf）。",
  },
  "import.path": { detail: "{path} 不是完整的路徑", hint: "請填寫映像檔的完整路徑。" },
  "import.no_file": { detail: "{path} 不是檔案", hint: "請填寫映像檔本身的路徑。" },
  "import.absent": { detail: "找不到 {path}", hint: "請將映像檔複製到這台主機，並填寫它在這裡的路徑。" },
  "import.denied": { detail: "無法讀取 {path}", hint: "請開放主機服務的讀取權限（chmod、chown）。" },
  "import.format": {
    detail: "{path} 不是 {format} 映像檔：檔案開頭不符合該格式",
    hint: "請選擇它實際的格式；若檔案已損壞，請重新複製。",
  },
  "import.other_format": {
    detail: "{path} 不是 {format} 映像檔，而是{is}",
    hint: "若您信任其來源，請將格式改為 {found}。",
  },
  "import.vmdk_description": { detail: "{path} 不是 {format} 映像檔，而是{is}", hint: ONE_FILE },
  "import.packed": {
    detail: "{path} 不是 {format} 映像檔，而是{is}",
    hint: "請先解壓縮，再匯入其中的磁碟映像檔。",
  },
  "import.foreign": {
    detail: "{path} 不是 {format} 映像檔，而是{is}",
    hint: "請在原來的平台上轉換為 qcow2 或 raw，再匯入。",
  },
  "import.not_understood": {
    detail: "無法解讀 {path}",
    hint: "請在原來的平台上轉換為 raw，再匯入。",
  },
  "import.backing": { detail: "{path} 只包含與另一個映像檔 {file} 的差異，系統不會讀取該檔案", hint: MERGE },
  "import.parent": { detail: "{path} 只包含與另一個映像檔的差異，系統不會讀取該檔案", hint: MERGE },
  "import.data_file": {
    detail: "{path} 的資料在另一個檔案 {file}，系統不會讀取該檔案",
    hint: "請以 raw 格式匯入該檔案。",
  },
  "import.encrypted": {
    detail: "{path} 已加密",
    hint: "請在原來的平台上解密（qemu-img convert），再匯入結果。",
  },
  "import.marked": {
    detail: "{path} 已標示為損壞",
    hint: "請在原來的平台上修復（qemu-img check -r all），再匯入結果。",
  },
  "import.vmdk_kind": {
    detail: "{path} 是 {kind} 類型的 VMDK，資料在其他檔案中，系統不會讀取那些檔案",
    hint: ONE_FILE,
  },
  "import.unreadable": { detail: "無法讀取 {path}：{said}", hint: "{hint}" },
  "import.damaged": { detail: "{path} 已損壞或不完整：{said}", hint: "請重新複製，並比對檢查碼。" },
  "import.not_converted": { detail: "無法轉換 {path}：{said}", hint: "{hint}" },
  "import.wrong_size": {
    detail: "{path} 轉換後的磁碟為 {found} 位元組，應為 {bytes} 位元組",
    hint: "請重新匯入；若仍無效，請在原來的平台上轉換為 raw。",
  },
  "import.limits": {
    detail: "已終止 qemu-img：使用的處理器時間超過 {seconds} 秒，或記憶體或時間超過上限",
    hint: "映像檔已損壞，或被刻意造假。請在原來的平台上轉換為 raw，再匯入。",
  },
  "import.no_jail": {
    detail: "映像檔必須在隔離環境中讀取，但這裡無法建立隔離環境：{said}",
    hint: "請直接在主機上以 root 執行主機服務：若在容器中執行，容器會取消這些權限。",
  },
  "import.no_qemu_img": {
    detail: "無法執行 qemu-img：{said}",
    hint: "請與 util-linux 一起安裝（Debian、Ubuntu：apt install qemu-utils util-linux）。",
  },
  "job.ending": { detail: "主機服務正在結束", hint: "請等待其中一項作業完成，或取消一項。" },
  "job.too_many": { detail: "已有 {count} 項作業執行中", hint: "請等待其中一項作業完成，或取消一項。" },
  "job.absent": { detail: "沒有作業 {id}", hint: "請查看清單：結束的作業一小時後就會移除。" },
  "job.over": { detail: "作業已經結束：{state}", hint: "沒有可取消的作業。" },
  "job.of_vm": { detail: "{vm} 已有進行中的作業", hint: "請等待完成，或取消它。" },
  "pair.unpaired": { detail: "這台主機尚未配對", hint: "請先配對。" },
  "pair.paired": {
    detail: "這台主機已與 {node} 配對",
    hint: "若要更換另一台主機，請先解除該配對。",
  },
  "pair.in_use": {
    detail: "{names} 正在此配對下執行或等待：請先停止。",
    hint: "請先停用每台虛擬機的保護。",
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
    detail: "一台主機執行 iservft-edge {own}（{own_range}），另一台執行 {other}（{other_range}）：沒有共同的通訊協定",
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
  "vm.absent": { detail: "沒有虛擬機 {name}", hint: "請查看虛擬機清單。" },
  "vm.exists": { detail: "已有虛擬機 {name}", hint: "請使用其他名稱。" },
  "vm.too_many": { detail: "已有 {count} 台虛擬機", hint: "請先刪除一台。" },
  "vm.mac": { detail: "{vm} 已有位址為 {mac} 的網路介面卡", hint: "請留空：系統會自動產生。" },
  "vm.not_paired": {
    detail: "虛擬機在一對主機上執行，但這台主機尚未配對，或尚未設定線路",
    hint: "請先與第二台主機配對，並設定兩台主機互相連線的位址。",
  },
  "vm.not_now": { detail: "{name} 目前無法{action}。{why}", hint: "請查看虛擬機的狀態與建議的下一步。" },
  "vm.unprivileged": {
    detail: "這台主機的服務不是以 root 身分執行，而虛擬機需要 root 權限：網路介面、QEMU 的記憶體",
    hint: "請安裝為系統服務：iservft-edge install。",
  },
  "vm.waits": {
    detail: "{name} 尚未啟動。{why}",
    hint: "條件允許時會自動啟動；請查看建議的下一步。",
  },
  "vm.not_running_yet": {
    detail: "{name} 尚未執行：{why}",
    hint: "系統會繼續嘗試。請查看虛擬機的記錄檔；若不需要，請停止它。",
  },
  "vm.not_stopped": {
    detail: "已要求 {name} 停止，但未在 {seconds} 秒內結束",
    hint: "即將強制結束。請查看虛擬機的記錄檔。",
  },
  "vm.not_compared": { detail: "未能及時比對兩份副本", hint: "請在虛擬機受保護時再試。" },
  "vm.delete_command": { detail: "不能以這種方式刪除", hint: "請移除虛擬機。" },
  "vm.no_switchover_word": { detail: "另一台主機未回報切換結果", hint: "請查看虛擬機的狀態。" },
  "vm.switchover": { detail: "{why}", hint: "請查看虛擬機的記錄檔。" },
  "vm.not_deleted": { detail: "無法刪除 {name}：{why}", hint: "請停止它。" },
  "vm.revision": {
    detail: "{name} 在此期間已被變更：目前為第 {found} 版，不是第 {wanted} 版",
    hint: "請重新查看，再進行需要的變更。",
  },
  "vm.runner_lives": { detail: "{name} 的執行程式尚未結束", hint: "請在一分鐘後再試。" },
  "vm.host_file": { detail: "無法由配對設定產生主機檔案：{why}", hint: "請在「設定」的「配對」中變更。" },
  "vm.no_ports": { detail: "已沒有連接埠可供新的虛擬機使用", hint: "請刪除一台虛擬機。" },
  "vm.image": { detail: "無法讀取映像檔 {path}：{said}", hint: "請先在這台主機上建立。" },
  "vm.file_unreadable": { detail: "無法讀取 {name} 的檔案", hint: "請查看它的記錄檔。" },
  "vm.file_long": { detail: "虛擬機的檔案超過 {count} 位元組", hint: "請縮短。" },
  "vm.settings_wrong": { detail: "虛擬機的設定有誤：{problems}", hint: "請修正這些項目。" },
  "vm.own_keys": {
    detail: "這些項目有專屬的位置，不能放在 spec 中：{keys}",
    hint: "請以 memory_mib、vcpus、disks、nics、screen 與 firmware 指定。",
  },
  "vm.renamed": { detail: "虛擬機的名稱不能變更", hint: "請以這台虛擬機的磁碟建立另一台虛擬機。" },
  "vm.toml": {
    detail: "設定無法寫成 TOML：{said}",
    hint: "請使用文字、數字、true 與 false、清單與表格。",
  },
  "console.stopped": { detail: "{name} 沒有執行，因此沒有主控台", hint: "請先啟動它。" },
  "console.serial": {
    detail: "目前無法連到 {name} 的序列主控台",
    hint: '它的檔案是否設定了 serial = "socket"？請關閉其他檢視視窗，或稍候再試。',
  },
  "console.screen": {
    detail: "目前無法連到 {name} 的螢幕主控台",
    hint: "它是否有螢幕（vga = true）？請稍候再試。",
  },
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
