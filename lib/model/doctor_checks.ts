/** What doctor looks at, in English: part of doctor_english.ts. */

const SPAN_FIX = "Install the same QEMU on both nodes.";
const FIRMWARE_FIX =
  "Switch virtualization (VT-x, AMD-V) on in the machine's firmware; in a virtual machine, nested virtualization.";
const LOSS_WHY =
  "A line that loses frames counts as down sooner or later; each checkpoint waits for one round trip at least.";

/** What is looked at: its name, why it matters, and what to do unless the finding says something else. */
export const DOCTOR_CHECKS = {
  kvm: {
    title: "Hardware virtualization (KVM)",
    why:
      "Without it QEMU translates the guest's code itself: the guest is many times slower. Both nodes must have it, or neither.",
    fix: FIRMWARE_FIX,
  },
  kernel: {
    title: "Kernel",
    why:
      "Each checkpoint sends the pages that the guest wrote to; how they are found decides how long it pauses.",
    fix: "Use Linux 6.7 or newer (Debian 12: apt install -t bookworm-backports linux-image-amd64).",
  },
  qemu: {
    title: "QEMU",
    why: "It runs the VMs. 7.2 is the oldest that works.",
    fix: "Install it on both nodes (Debian, Ubuntu: apt install qemu-system-x86 qemu-utils).",
  },
  qemu_img: {
    title: "qemu-img",
    why: "It converts images of other hypervisors when they are imported.",
    fix: "Install it (Debian, Ubuntu: apt install qemu-utils).",
  },
  memory: {
    title: "Memory",
    why:
      "A protected VM takes its whole memory on both nodes, and about a quarter more for the versions that the other node has.",
    fix: "End programs that are not needed, or give the machine more memory.",
  },
  hugepages: {
    title: "Huge pages",
    why:
      "The guest's memory is tracked in pages of 4 KiB: huge ones are split first, which costs time at each checkpoint.",
    fix: "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
  },
  root: {
    title: "Privileges",
    why:
      "Running VMs needs root: network interfaces are made and QEMU's memory is watched. Without it the node can only be looked at.",
    fix: "Install it as a service: sudo iservft-edge install.",
  },
  limits: {
    title: "Limit of open files",
    why: "Each console, connection and VM needs some.",
    fix: "Raise it: LimitNOFILE in the service's unit, or ulimit -n 65536.",
  },
  user: {
    title: "QEMU's user",
    why: "A guest that breaks out of QEMU is then nobody on this machine, instead of its administrator.",
    fix:
      'Run sudo iservft-edge install, or write qemu_user = "iservft-qemu" in the node\'s file and make that user.',
  },
  systemd: {
    title: "systemd",
    why:
      "It starts the node's service and the VMs after a power cut, and keeps VMs running while the service is upgraded.",
    fix:
      "Without it start `iservft-edge serve` by other means at each boot; VMs then are ordinary processes.",
  },
  tun: {
    title: "TAP devices",
    why: "A VM's network is a TAP device on this machine's bridge.",
    fix: "Load its module: modprobe tun",
  },
  nftables: {
    title: "Kernel's lease (nftables)",
    why:
      "The kernel itself silences a VM whose host was frozen and has been taken over, even if nothing of this program runs.",
    fix: "Install it (Debian, Ubuntu: apt install nftables).",
  },
  watchdog: {
    title: "Hardware watchdog",
    why:
      "It resets this machine when the engine stands still while a VM is here: the last line of defence against two copies that both speak.",
    fix:
      "Load the driver of the machine's own (modprobe iTCO_wdt or sp5100_tco, as the board needs); softdog is better than nothing.",
  },
  space: {
    title: "Free space",
    why:
      "Disks grow as guests write, and journals must always have room: a VM on a full disk gets write errors.",
    fix: "Remove what is not needed, or put the data directory on a larger disk.",
  },
  sync: {
    title: "Disk's sync",
    why:
      "What a guest has flushed must be on stable storage on one node before an answer leaves: a slow disk is a slow guest.",
    fix: "Use an SSD with power-loss protection; put nothing else that writes much on it.",
  },
  clock: {
    title: "Clock",
    why:
      "VMs and takeovers do not depend on it, but times of events, certificates and one-time codes of accounts do.",
    fix:
      "Set up a time server that both nodes use (timedatectl set-ntp true, or chrony with the plant's own).",
  },
  offset: {
    title: "Clocks of the two nodes",
    why: "Events of the two nodes can only be put in order when their clocks agree.",
    fix: "Let both follow the same time server.",
  },
  interface: {
    title: "{line}: interface",
    why: "The line is bound to this address.",
    fix: "Give an interface this address, or change the pair's settings.",
  },
  rate: {
    title: "{line}: rate",
    why:
      "The guest's written pages and disk blocks go over this line: below 1,000 Mbit/s a busy VM is slowed.",
    fix: "Use a gigabit port and a cable of category 5e or better, with autonegotiation on.",
  },
  rtt: {
    title: "{line}: round trip",
    why: LOSS_WHY,
    fix: "Connect the nodes directly, or by one switch.",
  },
  loss: {
    title: "{line}: loss",
    why: LOSS_WHY,
    fix: "Change the cable; look at the port's error counters (ip -s link).",
  },
  mtu: {
    title: "{line}: MTU",
    why: "Frames that are as large as this node says must reach the other, or the data stalls.",
    fix: "Set the same MTU on both nodes and on what is between: ip link set {device} mtu 1500",
  },
  lines: {
    title: "Lines",
    why: "VMs are protected over two lines between the nodes.",
    fix: "Pair this node, and say which addresses the two nodes reach each other by.",
  },
  independent: {
    title: "Independent lines",
    why:
      "One cable, port or switch that fails must not take both: a VM would be unprotected, and the nodes could lose sight of each other.",
    fix: "Give each line an interface and a cable of its own.",
  },
  bridge: {
    title: "Bridge {bridge}",
    why: "VMs reach the LAN by this bridge; after a takeover the other node's must lead to the same LAN.",
    fix:
      "Make it, and put the LAN's port into it: ip link add {bridge} type bridge; ip link set PORT master {bridge}. Keep it over a reboot in /etc/network/interfaces, netplan or NetworkManager.",
  },
  stp: {
    title: "Bridge {bridge}: spanning tree",
    why: "A VM that was taken over is not heard on the LAN until then.",
    fix: "ip link set {bridge} type bridge stp_state 0",
  },
  port: {
    title: "Port {port}",
    why: "Browsers and the other node reach this node by it.",
    fix:
      "Look at the service's messages (journalctl -u iservft-edge): another program may have had the port.",
  },
  vm_ports: {
    title: "Ports of VMs",
    why: "Each VM's lines use four ports of this range.",
    fix: "Let that program use other ports (ss -ltnp shows which it is).",
  },
  manual: {
    title: "Arbiter",
    why:
      "It decides who goes on when the nodes do not hear each other. Without it nobody takes over by itself.",
    fix: "Set up a witness on a third machine.",
  },
  gateway: {
    title: "Arbiter: gateway {address}",
    why:
      "It decides who goes on when the nodes do not hear each other. Without it nobody takes over by itself.",
    fix: "Look whether the gateway is on, and answers pings.",
  },
  arbiter: {
    title: "Arbiter: {arbiter} {address}",
    why:
      "It decides who goes on when the nodes do not hear each other. Without it nobody takes over by itself.",
    fix: "Look whether it is on, and `iservft-edge witness` runs there.",
  },
  unlooked: {
    title: "{title}",
    why: "What is not known may be wrong.",
    fix: "Try again; if it stays, look at the machine's own logs.",
  },
  peer: {
    title: "The other node",
    why: "Whether the two go together can only be said when both were looked at.",
    fix: "Look whether it has power and its network cables, and that both nodes have the same version.",
  },
  pair_program: {
    title: "Version on both nodes",
    why:
      "Versions that speak a common protocol work together, so that one node can be upgraded after the other.",
    fix: "Upgrade the other node too.",
  },
  pair_qemu: {
    title: "QEMU on both nodes",
    why: "A running VM moves to the same QEMU or a newer one, not to an older.",
    fix: SPAN_FIX,
  },
  pair_machines: {
    title: "Machine types on both nodes",
    why: "A VM is the same hardware on both nodes.",
    fix: SPAN_FIX,
  },
  pair_accel: {
    title: "Accelerator on both nodes",
    why: "What one saves of a guest the other cannot load.",
    fix: 'Make KVM work on both nodes, or set accel = "tcg" in the VMs\' files.',
  },
  pair_cpu: {
    title: "Processors of both nodes",
    why: "The guest is given a processor that both have; what only one has it must not use.",
    fix: "Choose a CPU model for VMs that both have: the usual one (Nehalem) is.",
  },
  pair_kernel: {
    title: "Kernel on both nodes",
    why: "VMs run with either; after a takeover the pauses may be longer on the node whose kernel is older.",
    fix: "Install the same kernel on both nodes.",
  },
  pair_memory: {
    title: "Memory of both nodes",
    why: "All protected VMs must fit into the smaller one.",
    fix: "Give both nodes as much memory.",
  },
  pair_disk: {
    title: "Storage of both nodes",
    why: "All disks of protected VMs must fit onto the smaller one.",
    fix: "Give both nodes as much storage.",
  },
  pair_firmware: {
    title: "UEFI firmware on both nodes",
    why: "A VM with UEFI needs the same firmware at the same place on both nodes.",
    fix: "Install the same version on both (Debian, Ubuntu: apt install ovmf); VMs with BIOS do not need it.",
  },
} as const;
export type DoctorCheck = keyof typeof DOCTOR_CHECKS;
