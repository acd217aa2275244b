/** 正體中文（台灣）：虛擬機、磁碟、匯入與作業被拒絕或失敗的原因（lib/model/vm_problem_english.ts 的每個代碼）。 */
import type { VM_PROBLEMS } from "../../../lib/model/vm_problem_english.ts";

const ONE_FILE =
  "請將磁碟匯出成單一檔案（VMware：匯出為 OVA 或 OVF，其中的 .vmdk 是單一檔案），再匯入該檔案。";
const MERGE = "請在原來的平台上與其基礎映像檔合併（刪除快照），再匯入結果。";
const DEVICE = "請指定這台主機上沒有其他用途的裝置；裝置上的內容將歸虛擬機所有。";
const SIZES = "磁碟大小為 512 位元組到 {most}，且必須是 512 位元組磁區的整數倍。";

/** What was wrong, and what to do. */
export const ZH_VM_PROBLEMS: Readonly<Record<keyof typeof VM_PROBLEMS, { detail: string; hint: string }>> = {
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
  "vm.absent": { detail: "沒有虛擬機 {name}", hint: "請查看虛擬機清單。" },
  "vm.exists": { detail: "已有虛擬機 {name}", hint: "請使用其他名稱。" },
  "vm.too_many": { detail: "已有 {count} 台虛擬機", hint: "請先刪除一台。" },
  "vm.mac": { detail: "{vm} 已有位址為 {mac} 的網路介面卡", hint: "請留空：系統會自動產生。" },
  "vm.no_bridge": {
    detail: "這台主機沒有橋接器 {bridge}",
    hint: "請在兩台主機上建立它，或改用現有的橋接器：iservft-edge pair suggest 會列出。",
  },
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
};
