/** The files that systemd has of us. */

/** The service. */
export const SERVICE = "iservft-edge.service";
/** QEMU's own user. */
export const QEMU_USER = "iservft-qemu";

/** Signs of life are due within this time, s. The first start may unpack the program. */
const WATCHDOG_S = 30;
const START_S = 90;
const STOP_S = 20;

/** What `serve` needs as root beyond its own files: it looks at QEMU images in a jail (user, mount and network namespaces), reads images wherever
 * they are, sees who has a lock, pings, and opens ports. VMs' interfaces and memory are their runners', which are units of their own. */
const CAPABILITIES = [
  "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_KILL CAP_SETUID CAP_SETGID CAP_SETPCAP",
  "CAP_SYS_ADMIN CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_RESOURCE CAP_NET_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_IPC_LOCK",
].join(" ");

/** The unit of the node's service, which is at `binary`. */
export function serviceUnit(binary: string): string {
  return `# Written by "iservft-edge install", which writes it anew at each upgrade: put changes into a drop-in
# (systemctl edit ${SERVICE}).
[Unit]
Description=iservft-edge: fault tolerance for virtual machines (this node's service and its page)
Documentation=https://localhost:8443/docs
Wants=network-online.target
After=network-online.target nftables.service
# It is started again for ever: a plant has nobody to press a button.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=${binary} serve
# Reads its file anew by starting anew; VMs do not notice.
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=2
WatchdogSec=${WATCHDOG_S}
TimeoutStartSec=${START_S}
TimeoutStopSec=${STOP_S}
# VMs' runners are units of their own, and nothing of them ends with this one.
KillMode=process
OOMScoreAdjust=-500
LimitNOFILE=65536
UMask=0077

StateDirectory=iservft-edge
StateDirectoryMode=0700
CacheDirectory=iservft-edge
CacheDirectoryMode=0700
ConfigurationDirectory=iservft-edge
ConfigurationDirectoryMode=0755
# Runners' sockets are below it: they outlive this service. QEMU's user passes through it.
RuntimeDirectory=iservft-edge
RuntimeDirectoryMode=0711
RuntimeDirectoryPreserve=yes

CapabilityBoundingSet=${CAPABILITIES}
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=mnt net ipc pid
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
`;
}

/** QEMU's user, as systemd-sysusers makes it. */
export function sysusers(): string {
  return `# Written by "iservft-edge install". QEMU runs as this user: it owns no file of this machine.
u ${QEMU_USER} - "QEMU of iservft-edge" - -
`;
}

/** The node's file, at the first installation. */
export function firstConfig(): string {
  return `# This machine as a node of iservft-edge. What is not here has its default: see "Settings of a node" in the page's documentation.
# Check it with: iservft-edge config check

# The user that VMs' QEMU runs as.
qemu_user = "${QEMU_USER}"

# The page: loopback only until there is an administrator.
# listen = "0.0.0.0:8443"
# The other node.
# peer_listen = "0.0.0.0:7811"
# Directories and devices outside of the data directory that VMs may have. The page and the other node can name no others.
# images = ["/srv/iservft-edge"]
`;
}
