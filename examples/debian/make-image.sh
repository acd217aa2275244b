#!/bin/sh
# Makes a Debian 12 guest as anyone would have it: Debian's own packages, kernel, initramfs, systemd, GRUB and sshd; nothing of ours
# in it. One raw disk with a boot sector and one ext4 partition, made from a directory: no loop device, no mount, and nothing of
# this machine changes. Needs root, and: apt-get install mmdebstrap fdisk e2fsprogs openssh-client
#
#     sh make-image.sh [DIRECTORY]        default: /var/tmp/iservft-example
#
# Leaves there: disk.img, vmlinuz and initrd.img (copies from its /boot), id (the key that logs in as root).
set -eu

directory=${1:-/var/tmp/iservft-example}
size_mib=1536
root=$directory/root
mkdir -p "$directory"
[ -f "$directory/id" ] || ssh-keygen -q -t ed25519 -N '' -C iservft-example -f "$directory/id"

echo "packages of Debian 12 ..."
rm -rf "$root"
mmdebstrap --quiet --mode=root --variant=minbase \
  --include=systemd-sysv,linux-image-cloud-amd64,openssh-server,grub-pc-bin,iproute2,procps \
  bookworm "$root"

echo "its name, address and key ..."
echo iservft-guest >"$root/etc/hostname"
echo '/dev/vda1 / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
cat >"$root/etc/systemd/network/lan.network" <<'FILE'
[Match]
Type=ether
[Network]
Address=10.77.0.50/24
Gateway=10.77.0.1
FILE
systemctl --quiet --root="$root" enable systemd-networkd.service
mkdir -p -m 700 "$root/root/.ssh"
cp "$directory/id.pub" "$root/root/.ssh/authorized_keys"

echo "its boot loader ..."
kernel=$(basename "$root"/boot/vmlinuz-*)
initrd=$(basename "$root"/boot/initrd.img-*)
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<FILE
serial --unit=0
terminal_output serial
linux /boot/$kernel root=/dev/vda1 ro console=ttyS0 quiet
initrd /boot/$initrd
boot
FILE
chroot "$root" grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o /boot/grub/core.img \
  biosdisk part_msdos ext2 linux normal serial terminal configfile
cp "$root/boot/$kernel" "$directory/vmlinuz"
cp "$root/boot/$initrd" "$directory/initrd.img"

echo "the disk ..."
# The boot sector finds GRUB's core in the sectors behind it; the partition begins at 1 MiB.
image=$directory/disk.img
rm -f "$image"
truncate -s "${size_mib}M" "$image"
echo 'start=2048, type=83, bootable' | sfdisk -q "$image"
dd if="$root/usr/lib/grub/i386-pc/boot.img" of="$image" bs=440 count=1 conv=notrunc status=none
dd if="$root/boot/grub/core.img" of="$image" bs=512 seek=1 conv=notrunc status=none
mke2fs -q -t ext4 -d "$root" -E offset=1048576,root_owner=0:0 "$image" "$((size_mib - 1))M"
rm -rf "$root"
echo "made $image"
