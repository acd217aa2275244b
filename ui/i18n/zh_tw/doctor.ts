/** 正體中文（台灣）：健康檢查的說明（lib/model/doctor_english.ts 的每個代碼）。 */
import type { DoctorCheck } from "../../../lib/model/doctor_checks.ts";
import type { DoctorCatalogue, DoctorCode, DoctorFixCode } from "../../../lib/model/doctor_english.ts";

const SAME_QEMU = "請在兩台主機上安裝相同的 QEMU。";
const AS_ROOT = "請以 root 身分執行，才能得知結果。";
const AS_OWNER = "請以該目錄的擁有者身分執行。";
const LOSS_WHY = "會遺失訊框的線路遲早會被視為中斷；每個檢查點至少要等待一次往返。";
const ARBITER_WHY = "兩台主機互相收不到訊號時，由它決定哪一台繼續執行。沒有它就無法自動接手。";

const CHECKS: Readonly<Record<DoctorCheck, { title: string; why: string; fix: string }>> = {
  kvm: {
    title: "硬體虛擬化（KVM）",
    why:
      "沒有硬體虛擬化時，QEMU 必須自行轉譯虛擬機的程式碼，速度會慢上許多倍。兩台主機必須都有，或都沒有。",
    fix: "請在主機的韌體設定（BIOS/UEFI）中啟用虛擬化（VT-x、AMD-V）；若主機本身是虛擬機，請啟用巢狀虛擬化。",
  },
  kernel: {
    title: "核心",
    why: "每個檢查點都要傳送虛擬機寫入過的記憶體分頁；找出這些分頁的方式決定停頓時間的長短。",
    fix: "請使用 Linux 6.7 或更新的核心（Debian 12：apt install -t bookworm-backports linux-image-amd64）。",
  },
  qemu: {
    title: "QEMU",
    why: "虛擬機由它執行。最低版本為 7.2。",
    fix: "請在兩台主機上安裝（Debian、Ubuntu：apt install qemu-system-x86 qemu-utils）。",
  },
  qemu_img: {
    title: "qemu-img",
    why: "匯入其他虛擬化平台的磁碟映像檔時，由它負責轉換。",
    fix: "請安裝（Debian、Ubuntu：apt install qemu-utils）。",
  },
  memory: {
    title: "記憶體",
    why: "受保護的虛擬機在兩台主機上都會占用全部的記憶體，另需約四分之一，用來保存另一台主機已有的版本。",
    fix: "請結束不需要的程式，或為主機增加記憶體。",
  },
  hugepages: {
    title: "大型分頁",
    why: "虛擬機的記憶體以 4 KiB 分頁追蹤：大型分頁必須先分割，每個檢查點都要多花時間。",
    fix: "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
  },
  root: {
    title: "權限",
    why: "執行虛擬機需要 root 權限：要建立網路介面，並追蹤 QEMU 的記憶體。沒有此權限時，這台主機只能檢視。",
    fix: "請安裝為系統服務：sudo iservft-edge install。",
  },
  limits: {
    title: "開啟檔案數上限",
    why: "每個主控台、連線與虛擬機都需要開啟檔案。",
    fix: "請提高上限：在服務的 unit 檔設定 LimitNOFILE，或執行 ulimit -n 65536。",
  },
  user: {
    title: "執行 QEMU 的使用者",
    why: "這樣一來，即使有人從虛擬機突破 QEMU，在這台主機上也沒有任何權限，而不會成為系統管理者。",
    fix:
      '請執行 sudo iservft-edge install，或在主機設定檔中寫入 qemu_user = "iservft-qemu" 並建立該使用者。',
  },
  systemd: {
    title: "systemd",
    why: "斷電恢復後，由它啟動主機服務與虛擬機；升級服務時，虛擬機仍可繼續執行。",
    fix: "沒有 systemd 時，請以其他方式在每次開機時啟動 `iservft-edge serve`；虛擬機會是一般的行程。",
  },
  tun: {
    title: "TAP 裝置",
    why: "虛擬機的網路是這台主機橋接器上的 TAP 裝置。",
    fix: "請載入模組：modprobe tun",
  },
  nftables: {
    title: "核心租約（nftables）",
    why: "若主機曾凍結，且虛擬機已由另一台接手，核心會自行讓舊的虛擬機靜默，即使本程式完全沒有執行。",
    fix: "請安裝（Debian、Ubuntu：apt install nftables）。",
  },
  watchdog: {
    title: "硬體看門狗",
    why: "這台主機上有虛擬機而保護引擎停擺時，由它重置主機：這是防止兩份虛擬機同時對外通訊的最後一道防線。",
    fix:
      "請載入主機板本身的驅動程式（依主機板執行 modprobe iTCO_wdt 或 sp5100_tco）；若沒有，softdog 也比完全沒有好。",
  },
  space: {
    title: "可用空間",
    why: "磁碟會隨虛擬機寫入而變大，日誌也必須隨時有空間：磁碟空間用盡時，虛擬機會發生寫入錯誤。",
    fix: "請移除不需要的檔案，或將資料目錄移到較大的磁碟。",
  },
  sync: {
    title: "磁碟同步寫入",
    why: "虛擬機要求寫入磁碟的資料，必須先存入其中一台主機的永久儲存裝置，才能送出回應：磁碟慢，虛擬機就慢。",
    fix: "請使用具備斷電保護的 SSD，並避免在同一顆磁碟上放置其他大量寫入的資料。",
  },
  clock: {
    title: "時鐘",
    why: "虛擬機與接手都不依賴時鐘，但事件的時間、憑證與帳號的一次性驗證碼都需要正確的時間。",
    fix: "請設定兩台主機共用的時間伺服器（timedatectl set-ntp true，或以 chrony 使用廠內的時間伺服器）。",
  },
  offset: {
    title: "兩台主機的時鐘",
    why: "兩台主機的時鐘一致，事件才能依先後順序排列。",
    fix: "請讓兩台主機使用同一台時間伺服器。",
  },
  interface: {
    title: "{line}：網路介面",
    why: "線路固定使用此位址。",
    fix: "請為網路介面設定此位址，或變更配對設定。",
  },
  rate: {
    title: "{line}：速率",
    why: "虛擬機寫入的記憶體分頁與磁碟區塊都經由這條線路傳送：低於 1,000 Mbit/s 時，忙碌的虛擬機會變慢。",
    fix: "請使用 Gigabit 連接埠與 Cat 5e 以上的網路線，並開啟自動協商。",
  },
  rtt: { title: "{line}：往返時間", why: LOSS_WHY, fix: "請將兩台主機直接對接，或只經過一台交換器。" },
  loss: {
    title: "{line}：封包遺失",
    why: LOSS_WHY,
    fix: "請更換網路線，並查看連接埠的錯誤計數（ip -s link）。",
  },
  mtu: {
    title: "{line}：MTU",
    why: "這台主機宣告的訊框大小必須能送達另一台，否則資料會卡住。",
    fix: "請在兩台主機與中間的設備上設定相同的 MTU：ip link set {device} mtu 1500",
  },
  lines: {
    title: "線路",
    why: "虛擬機經由兩台主機之間的兩條線路受到保護。",
    fix: "請將這台主機配對，並設定兩台主機互相連線的位址。",
  },
  independent: {
    title: "獨立的線路",
    why:
      "單一網路線、連接埠或交換器故障時，不應同時中斷兩條線路：否則虛擬機會失去保護，兩台主機也可能互相失聯。",
    fix: "請讓每條線路使用各自的網路介面與網路線。",
  },
  bridge: {
    title: "橋接器 {bridge}",
    why: "虛擬機經由此橋接器連到區域網路；接手之後，另一台主機的橋接器必須連到同一個區域網路。",
    fix:
      "請建立橋接器，並將區域網路的連接埠加入：ip link add {bridge} type bridge; ip link set PORT master {bridge}。請將設定寫入 /etc/network/interfaces、netplan 或 NetworkManager，重新開機後才會保留。",
  },
  stp: {
    title: "橋接器 {bridge}：生成樹（STP）",
    why: "在這段時間內，區域網路收不到剛被接手的虛擬機。",
    fix: "ip link set {bridge} type bridge stp_state 0",
  },
  port: {
    title: "連接埠 {port}",
    why: "瀏覽器與另一台主機經由此連接埠連到這台主機。",
    fix: "請查看服務的訊息（journalctl -u iservft-edge）：連接埠可能已被其他程式占用。",
  },
  vm_ports: {
    title: "虛擬機的連接埠",
    why: "每台虛擬機的線路使用此範圍內的四個連接埠。",
    fix: "請讓該程式改用其他連接埠（ss -ltnp 可查出是哪個程式）。",
  },
  manual: { title: "仲裁者", why: ARBITER_WHY, fix: "請在第三台機器上設定見證機。" },
  gateway: {
    title: "仲裁者：閘道 {address}",
    why: ARBITER_WHY,
    fix: "請檢查閘道是否開機，並會回應 ping。",
  },
  arbiter: {
    title: "仲裁者：{arbiter} {address}",
    why: ARBITER_WHY,
    fix: "請檢查它是否開機，且其上執行著 `iservft-edge witness`。",
  },
  unlooked: {
    title: "{title}",
    why: "無法確認的項目可能有問題。",
    fix: "請再試一次；若仍無法檢查，請查看主機本身的記錄檔。",
  },
  peer: {
    title: "另一台主機",
    why: "必須兩台都檢查過，才能判斷兩者是否相配。",
    fix: "請檢查它的電源與網路線，以及兩台主機的版本是否相同。",
  },
  pair_program: {
    title: "兩台主機的版本",
    why: "使用共同通訊協定的版本可以一起運作，因此可以先升級一台，再升級另一台。",
    fix: "請將另一台主機也升級。",
  },
  pair_qemu: {
    title: "兩台主機的 QEMU",
    why: "執行中的虛擬機只能移到相同或更新版本的 QEMU，不能移到較舊的版本。",
    fix: SAME_QEMU,
  },
  pair_machines: {
    title: "兩台主機的機器類型",
    why: "虛擬機在兩台主機上必須是相同的硬體。",
    fix: SAME_QEMU,
  },
  pair_accel: {
    title: "兩台主機的加速方式",
    why: "兩者不同時，一台儲存的虛擬機狀態，另一台無法載入。",
    fix: '請讓兩台主機都能使用 KVM，或在虛擬機的檔案中設定 accel = "tcg"。',
  },
  pair_cpu: {
    title: "兩台主機的處理器",
    why: "虛擬機得到的是兩台主機都具備的處理器功能；只有其中一台具備的功能不得使用。",
    fix: "請為虛擬機選擇兩台主機都具備的 CPU 型號：預設的 Nehalem 即可。",
  },
  pair_kernel: {
    title: "兩台主機的核心",
    why: "兩種核心都能執行虛擬機；但接手之後，在核心較舊的主機上停頓可能較長。",
    fix: "請在兩台主機上安裝相同的核心。",
  },
  pair_memory: {
    title: "兩台主機的記憶體",
    why: "所有受保護的虛擬機都必須能放進記憶體較小的那一台。",
    fix: "請讓兩台主機的記憶體一樣大。",
  },
  pair_disk: {
    title: "兩台主機的儲存空間",
    why: "受保護虛擬機的所有磁碟都必須能放進儲存空間較小的那一台。",
    fix: "請讓兩台主機的儲存空間一樣大。",
  },
  pair_firmware: {
    title: "兩台主機的 UEFI 韌體",
    why: "使用 UEFI 的虛擬機，兩台主機必須在相同位置有相同的韌體。",
    fix: "請在兩台主機上安裝相同版本（Debian、Ubuntu：apt install ovmf）；使用 BIOS 的虛擬機不需要。",
  },
};

const SEEN: Readonly<Record<DoctorCode, string>> = {
  "kvm.works": "CPU 型號為 {cpu} 的虛擬機可以在 KVM 上執行",
  "kvm.no_guest": "有 /dev/kvm，但虛擬機無法執行：{said}",
  "kvm.denied": "有 /dev/kvm，但目前的使用者無權開啟",
  "kvm.no_device": "處理器支援，但沒有 /dev/kvm",
  "kvm.no_processor": "處理器未提供此功能（沒有 vmx 或 svm）",
  "kernel.userfaultfd": "Linux {release}：以 userfaultfd 與 PAGEMAP_SCAN 找出寫入過的分頁",
  "kernel.soft_dirty": "Linux {release}：以 soft-dirty 位元找出寫入過的分頁",
  "kernel.comparing": "Linux {release}：必須比對整個記憶體，才能找出寫入過的分頁",
  "qemu.found": "QEMU {version}，提供 {count} 個 q35 機器版本",
  "qemu.missing": "{said}",
  "qemu_img.found": "{version}",
  "qemu_img.missing": "無法執行 qemu-img",
  "memory.free": "共 {total} MiB，可用 {free} MiB",
  "hugepages.on": "共用記憶體使用大型分頁（shmem_enabled 為 {value}）",
  "root.yes": "主機服務以 root 身分執行",
  "root.no": "主機服務不是以 root 身分執行",
  "limits.low": "最多只能開啟 {count} 個檔案",
  "user.root": "QEMU 以 root 身分執行",
  "user.known": "QEMU 以 {user} 身分執行",
  "user.missing": "沒有使用者 {user}",
  "systemd.yes": "由 systemd 管理這台主機",
  "systemd.no": "這台主機不是由 systemd 管理",
  "tun.yes": "可以開啟 /dev/net/tun",
  "tun.absent": "沒有 /dev/net/tun",
  "tun.denied": "無權開啟 /dev/net/tun",
  "tun.denied_user": "無權開啟 /dev/net/tun",
  "tun.busy": "/dev/net/tun 忙碌中",
  "nftables.unknown": "只有 root 可以查詢",
  "nftables.missing": "無法執行 nft",
  "nftables.answers": "nft 可以使用",
  "nftables.failed": "{said}",
  "watchdog.off": "已在主機設定檔中停用",
  "watchdog.none": "沒有硬體看門狗",
  "watchdog.found": "{device}：{identity}",
  "space.free": "{data} 共 {total}，可用 {free}",
  "space.unknown": "無法查看 {data}",
  "sync.measured": "以 fdatasync 寫入 4 KiB 共 {count} 次：半數在 {half} 內完成，99% 在 {most} 內完成",
  "sync.unknown": "無法寫入 {data}",
  "clock.follows": "與時間伺服器同步",
  "clock.free": "未與時間伺服器同步",
  "clock.unknown": "無法得知是否與時間伺服器同步",
  "offset.ahead": "另一台主機的時鐘快 {seconds} 秒",
  "offset.behind": "另一台主機的時鐘慢 {seconds} 秒",
  "interface.missing": "這台主機沒有任何網路介面使用位址 {address}",
  "rate.no_carrier": "{device} 未偵測到網路連線（no carrier）",
  "rate.full": "{device}：{mbit} Mbit/s",
  "rate.half": "{device}：{mbit} Mbit/s，半雙工",
  "rate.unknown": "{device} 未回報速率",
  "rtt.no_ping": "無法執行 ping",
  "rtt.lost": "{peer} 沒有回應 {local}",
  "rtt.measured": "平均 {ms} 毫秒",
  "loss.measured": "{count} 次 ping 有 {percent}% 遺失",
  "mtu.unknown": "{device} 未回報 MTU",
  "mtu.passes": "{bytes} 位元組的訊框可以不分割通過",
  "mtu.stuck": "{bytes} 位元組（這台主機的 MTU）的訊框無法不分割通過",
  "lines.unset": "尚未設定線路",
  "independent.one": "只有一條複寫線路",
  "independent.shared": "有兩條線路共用 {device}",
  "bridge.missing": "沒有網路介面 {bridge}",
  "bridge.no_bridge": "{bridge} 是網路介面，但不是橋接器",
  "bridge.ports": "包含連接埠 {ports}",
  "bridge.no_ports": "沒有包含主機的任何連接埠：虛擬機無法連到區域網路",
  "stp.on": "新的連接埠要等待 {seconds} 秒才會開始轉送",
  "port.open": "正在接受連線：{what}",
  "port.closed": "沒有程式接受連線：{what}無法使用",
  "vm_ports.free": "{first} 到 {last} 可供使用，或由虛擬機使用中",
  "vm_ports.taken": "其他程式占用了 {ports}",
  "manual.none": "沒有仲裁者：每次接手都由人員確認",
  "gateway.reachable": "有回應",
  "gateway.lost": "沒有回應",
  "gateway.lost_why": "{why}",
  "gateway.unknown": "尚未詢問",
  "gateway.none": "尚未設定",
  "arbiter.reachable": "有回應",
  "arbiter.lost": "沒有回應",
  "arbiter.lost_why": "{why}",
  "arbiter.unknown": "尚未詢問",
  "arbiter.none": "尚未設定",
  "unlooked.failed": "無法檢查：{why}",
  "peer.unpaired": "這台主機尚未配對",
  "peer.failed": "無法詢問：{why}",
  "pair_program.compared": "{both}",
  "pair_qemu.compared": "{both}",
  "pair_qemu.older": "{both}",
  "pair_machines.none": "沒有共同支援的機器類型",
  "pair_machines.usual": "兩台都支援的有 {count} 種",
  "pair_machines.other": "兩台都支援的有 {count} 種，但不包含 pc-q35-7.2",
  "pair_accel.compared": "{both}",
  "pair_cpu.makers": "{both}：製造商不同",
  "pair_cpu.same": "{both}，功能相同",
  "pair_cpu.features": "{both}；{only}",
  "pair_kernel.compared": "{both}",
  "pair_memory.compared": "{both}",
  "pair_disk.compared": "{both}",
  "pair_firmware.compared": "{both}",
};

const FIXES: Readonly<Record<DoctorFixCode, string>> = {
  "kvm.denied": AS_ROOT,
  "kvm.no_device":
    "請載入模組：modprobe kvm_intel 或 kvm_amd；若被拒絕，請在主機的韌體設定（BIOS/UEFI）中啟用虛擬化。",
  "kvm.no_processor":
    "請在主機的韌體設定（BIOS/UEFI）中啟用虛擬化（VT-x、AMD-V），或改用支援虛擬化的主機。",
  "user.missing": "請建立：useradd --system --no-create-home --shell /usr/sbin/nologin {user}",
  "tun.denied_user": AS_ROOT,
  "nftables.unknown": AS_ROOT,
  "watchdog.off": '請在 [fencing] 中設定 watchdog = "auto"。',
  "space.unknown": AS_OWNER,
  "sync.unknown": AS_OWNER,
  "rate.no_carrier": "請在兩台主機上插好網路線。",
  "rate.unknown": "若是虛擬網路介面，不需處理。",
  "rtt.no_ping": "請安裝 ping（Debian、Ubuntu：apt install iputils-ping）。",
  "rtt.lost": "請檢查網路線、兩台主機的位址設定與防火牆。",
  "mtu.unknown": "若資料傳輸正常，不需處理。",
  "bridge.no_ports": "請將區域網路的連接埠加入：ip link set PORT master {bridge}",
  "peer.unpaired": "請與第二台主機配對。",
  "pair_qemu.older": "請升級 {node} 上的 QEMU。",
  "pair_cpu.makers":
    "請使用同一家製造商處理器的主機，或在虛擬機的檔案中使用 qemu64 等通用 CPU 型號。",
};

/** Doctor in Chinese. */
export const ZH_DOCTOR: DoctorCatalogue = { checks: CHECKS, seen: SEEN, fixes: FIXES };
