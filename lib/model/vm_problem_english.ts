/** Why something of a VM, its disks or a job was refused or failed, in English: part of problem_english.ts. */

const ONE_FILE =
  "Export the disk as one file (in VMware: as OVA or OVF, whose .vmdk is one file), and import that.";
const MERGE =
  "Merge it with what it is based on where it comes from (delete its snapshots), and import the result.";
const UNUSED_DEVICE = "Give a device that nothing on this node uses; whatever is on it becomes the VM's.";
const SIZES = "A disk has 512 bytes to {most}, in whole sectors of 512 bytes.";

const DISKS = {
  "disk.not_allowed": {
    detail: "{problems}",
    hint:
      "Put it into the VM's own directory, or have root name it, or its directory, in `images` of this node's serve.toml and restart the service. On the node itself root may name any file: iservft-edge vm.",
  },
  "disk.size": { detail: "{what} has {bytes} bytes", hint: SIZES },
  "disk.sectors": {
    detail: "{what} has {bytes} bytes, which is no whole number of sectors",
    hint:
      "A disk has 512 bytes to {most}, in whole sectors of 512 bytes. For an image: truncate -s {next} FILE.",
  },
  "disk.space": {
    detail: "{bytes} do not fit in {directory}: {free} are free, and {spare} must be left",
    hint: "Free some space there, or give the VM a smaller disk. It must fit on both nodes.",
  },
  "disk.there": {
    detail: "{path} is there already",
    hint: "Remove or rename it, or use it as an existing disk. Nothing is ever written over.",
  },
  "disk.path": {
    detail: 'The disk\'s path {path} is empty or goes up by ".."',
    hint: "Write where the image is.",
  },
  "disk.device_absent": {
    detail: "{path} is not on this node",
    hint: "Make a device of the same name and size on both nodes.",
  },
  "disk.sizes_differ": {
    detail: "{path} has {found} bytes on this node, and {bytes} on the other",
    hint: "Make them equally large, or remove the one that is not needed.",
  },
  "disk.absent": {
    detail: "{path} is not there",
    hint: "Give the path of an image or device of this node, or let a new disk be made.",
  },
  "disk.kind": {
    detail: "{path} is neither a file nor a block device",
    hint: "Give a raw image, or a device such as /dev/vg0/press-1.",
  },
  "disk.not_writable": {
    detail: "{path} may not be written by the node's service",
    hint: "Let it write the image (chown, chmod), or copy it elsewhere.",
  },
  "disk.not_raw": {
    detail: "{path} is no raw image: it begins as {is} does",
    hint: "Import it instead, with the format that it has.",
  },
  "disk.of_vm": { detail: "{path} is a disk of {vm} already", hint: "Give each VM disks of its own." },
  "disk.mounted": { detail: "{path} is mounted at {place}", hint: UNUSED_DEVICE },
  "disk.swap": { detail: "{path} is used as swap", hint: UNUSED_DEVICE },
  "disk.held": { detail: "{path} is part of {holders} (LVM, RAID or encryption)", hint: UNUSED_DEVICE },
  "disk.part_mounted": {
    detail: "{path} has a partition, {part}, that is mounted at {place}",
    hint: UNUSED_DEVICE,
  },
  "disk.part_swap": { detail: "{path} has a partition, {part}, that is used as swap", hint: UNUSED_DEVICE },
  "disk.part_held": {
    detail: "{path} has a partition, {part}, that is part of {holders} (LVM, RAID or encryption)",
    hint: UNUSED_DEVICE,
  },
  "disk.read_only": { detail: "{path} is read-only", hint: "Give a device that can be written." },
  "disk.loop": {
    detail: "{path} is in use: /dev/{name} shows it",
    hint: "Detach it first: losetup -d /dev/{name}",
  },
  "disk.locked": {
    detail: "{path} is in use: process {pid} has a lock on it",
    hint: "Shut down the VM or program that uses it.",
  },
  "disk.locked_unknown": {
    detail: "{path} is in use: another program has a lock on it",
    hint: "Shut down the VM or program that uses it.",
  },
  "firmware.absent": {
    detail: "UEFI firmware for VMs is not installed on this node",
    hint: 'Install it on both nodes (Debian, Ubuntu: apt install ovmf), or choose firmware "bios".',
  },
  "firmware.size": {
    detail: "{path} has {bytes} bytes, which UEFI variables do not have",
    hint: "Install the firmware anew (Debian, Ubuntu: apt install --reinstall ovmf).",
  },
} as const;

const IMPORTS = {
  "import.path": { detail: "{path} is no absolute path", hint: "Give the whole path of the image." },
  "import.no_file": { detail: "{path} is no file", hint: "Give the path of the image file itself." },
  "import.absent": {
    detail: "{path} is not there",
    hint: "Copy the image to this node, and give its path there.",
  },
  "import.denied": {
    detail: "{path} may not be read",
    hint: "Let the node's service read it (chmod, chown).",
  },
  "import.format": {
    detail: "{path} is no {format} image: it does not begin as one does",
    hint: "Say the format that it has, or copy it again if it is damaged.",
  },
  "import.other_format": {
    detail: "{path} is no {format} image, but {is}",
    hint: "Say format {found}, if you trust where it is from.",
  },
  "import.vmdk_description": { detail: "{path} is no {format} image, but {is}", hint: ONE_FILE },
  "import.packed": {
    detail: "{path} is no {format} image, but {is}",
    hint: "Unpack it, and import the disk image that is in it.",
  },
  "import.foreign": {
    detail: "{path} is no {format} image, but {is}",
    hint: "Convert it to qcow2 or raw where it comes from, and import that.",
  },
  "import.not_understood": {
    detail: "{path} could not be understood",
    hint: "Convert it to raw where it comes from, and import that.",
  },
  "import.backing": {
    detail: "{path} has only what differs from another image, {file}, which is not followed",
    hint: MERGE,
  },
  "import.parent": {
    detail: "{path} has only what differs from another image, which is not followed",
    hint: MERGE,
  },
  "import.data_file": {
    detail: "{path} has its data in another file, {file}, which is not followed",
    hint: "Import that file, as raw.",
  },
  "import.encrypted": {
    detail: "{path} is encrypted",
    hint: "Decrypt it where it comes from (qemu-img convert), and import the result.",
  },
  "import.marked": {
    detail: "{path} is marked as damaged",
    hint: "Repair it where it comes from (qemu-img check -r all), and import the result.",
  },
  "import.vmdk_kind": {
    detail: "{path} is a VMDK of kind {kind}, whose data is in other files, which are not followed",
    hint: ONE_FILE,
  },
  "import.unreadable": { detail: "{path} cannot be read: {said}", hint: "{hint}" },
  "import.damaged": {
    detail: "{path} is damaged or cut off: {said}",
    hint: "Copy it again, and compare its checksum.",
  },
  "import.not_converted": { detail: "{path} could not be converted: {said}", hint: "{hint}" },
  "import.wrong_size": {
    detail: "{path} became a disk of {found} bytes instead of {bytes}",
    hint: "Import it again; if that does not help, convert it to raw where it comes from.",
  },
  "import.limits": {
    detail:
      "qemu-img was ended: it took more than {seconds} s of processor time, or more memory or time than it may",
    hint: "The image is damaged, or made to do harm. Convert it to raw where it comes from, and import that.",
  },
  "import.no_jail": {
    detail: "Images are read in a jail, and none can be made here: {said}",
    hint:
      "Run the node's service on the machine itself, as root: a container that it is in takes these rights away.",
  },
  "import.no_qemu_img": {
    detail: "qemu-img cannot be run: {said}",
    hint: "Install it with util-linux (Debian, Ubuntu: apt install qemu-utils util-linux).",
  },
} as const;

const JOBS = {
  "job.ending": {
    detail: "The node's service is ending",
    hint: "Wait until one of them is done, or cancel one.",
  },
  "job.too_many": {
    detail: "{count} jobs are running already",
    hint: "Wait until one of them is done, or cancel one.",
  },
  "job.absent": {
    detail: "There is no job {id}",
    hint: "Look at the list: what is over is forgotten after an hour.",
  },
  "job.over": { detail: "The job is over already: it is {state}", hint: "There is nothing to cancel." },
  "job.of_vm": {
    detail: "There is work going on for {vm} already",
    hint: "Wait until it is done, or cancel it.",
  },
} as const;

const VM = {
  "vm.absent": { detail: "There is no VM {name}", hint: "See the list of VMs." },
  "vm.exists": { detail: "There is a VM {name} already", hint: "Use another name." },
  "vm.too_many": { detail: "There are {count} VMs", hint: "Delete one first." },
  "vm.mac": { detail: "{vm} has a NIC with the address {mac}", hint: "Leave it out: one is made." },
  "vm.no_bridge": {
    detail: "This node has no bridge {bridge}",
    hint: "Make it on both nodes, or name one that is there: iservft-edge pair suggest shows them.",
  },
  "vm.not_paired": {
    detail: "A VM runs on a pair of nodes, and this one is not paired, or its lines are not set up",
    hint: "Pair it with the second node first, and say which addresses the two reach each other by.",
  },
  "vm.not_now": {
    detail: "{name}: {action} is not possible now. {why}",
    hint: "See the VM's state and what it says to do next.",
  },
  "vm.unprivileged": {
    detail:
      "This node's service does not run as root, and a VM needs that: network interfaces, QEMU's memory",
    hint: "Install it as a service: iservft-edge install.",
  },
  "vm.waits": {
    detail: "{name} is not started yet. {why}",
    hint: "It starts by itself as soon as it may; see what it says to do next.",
  },
  "vm.not_running_yet": {
    detail: "{name} does not run yet: {why}",
    hint: "It is tried further. Read the VM's log; stop it if it is not wanted.",
  },
  "vm.not_stopped": {
    detail: "{name} was told to stop, and has not ended within {seconds} s",
    hint: "It is ended by force soon. Read the VM's log.",
  },
  "vm.not_compared": {
    detail: "The two copies were not compared in time",
    hint: "Try again while the VM is protected.",
  },
  "vm.delete_command": { detail: "delete is not told like this", hint: "Remove the VM." },
  "vm.no_switchover_word": {
    detail: "The other node did not say how the switchover went",
    hint: "Look at the VM's state.",
  },
  "vm.switchover": { detail: "{why}", hint: "Read the VM's log." },
  "vm.not_deleted": { detail: "{name} cannot be deleted: {why}", hint: "Stop it." },
  "vm.revision": {
    detail: "{name} was changed meanwhile: it is at revision {found}, not {wanted}",
    hint: "Look at it again, and change what is to be changed then.",
  },
  "vm.runner_lives": { detail: "The runner of {name} has not ended", hint: "Try again in a minute." },
  "vm.host_file": {
    detail: "The pair's settings do not make a host file: {why}",
    hint: "Change them in Settings, Pair.",
  },
  "vm.no_ports": { detail: "No ports are left for a further VM", hint: "Delete a VM." },
  "vm.image": {
    detail: "The image {path} cannot be read: {said}",
    hint: "Make it first, on this node.",
  },
  "vm.file_unreadable": { detail: "{name}: its file cannot be read", hint: "Look at its log." },
  "vm.file_long": { detail: "The VM's file is longer than {count} bytes", hint: "Shorten it." },
  "vm.settings_wrong": { detail: "The VM's settings are wrong: {problems}", hint: "Correct these keys." },
  "vm.own_keys": {
    detail: "These keys have a place of their own and cannot be in spec: {keys}",
    hint: "Give them as memory_mib, vcpus, disks, nics, screen and firmware.",
  },
  "vm.renamed": {
    detail: "A VM's name cannot be changed",
    hint: "Make another VM with this one's disks.",
  },
  "vm.toml": {
    detail: "The settings cannot be written as TOML: {said}",
    hint: "Use text, numbers, true and false, lists and tables.",
  },
  "console.stopped": { detail: "{name} does not run, so it has no console", hint: "Start it first." },
  "console.serial": {
    detail: "The serial console of {name} cannot be reached now",
    hint: 'Has its file serial = "socket"? Close other viewers, or try again in a moment.',
  },
  "console.screen": {
    detail: "The screen console of {name} cannot be reached now",
    hint: "Has it a screen (vga = true)? Try again in a moment.",
  },
} as const;

/** All of them. */
export const VM_PROBLEMS = { ...DISKS, ...IMPORTS, ...JOBS, ...VM } as const;
