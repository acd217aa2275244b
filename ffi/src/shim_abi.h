/* Between the preload shim in QEMU (../shim.c) and the engine. */
#ifndef ISF_SHIM_ABI_H
#define ISF_SHIM_ABI_H

#include <stdint.h>

#define ISF_SHIM_UFFD 900   /* the userfaultfd's descriptor in QEMU, if it could be made */
#define ISF_SHIM_TABLE 901  /* the table's: a memfd of sizeof(struct isf_shim_table) */
#define ISF_SHIM_RUNNER_ENV "ISERVFT_RUNNER_PID" /* with this process QEMU ends */

#define ISF_SHIM_MAGIC 0x53465349u /* "ISFS" */
#define ISF_SHIM_VERSION 1u
#define ISF_SHIM_ENTRIES 256u

/* Host byte order: both sides are on one machine. */
struct isf_shim_table {
    uint32_t magic, version;
    uint32_t count;        /* mappings seen; above ISF_SHIM_ENTRIES the rest is not recorded */
    uint32_t uffd_errno;   /* why there is no userfaultfd; 0: there is one */
    struct { uint64_t address, bytes; } entry[ISF_SHIM_ENTRIES];
};

/* How entries match `info ramblock`. An entry is a writable anonymous private mapping at a fixed address: what QEMU makes for
 * every RAM block that no descriptor backs, after reserving its addresses. So main memory (a memfd) is not here, and
 * everything else is: sorted by offset, the n-th block after main memory is the n-th entry, and the entry's bytes are
 * the block's total (not used) size, rounded up to a page. Seen so with QEMU 7.2 (q35, SeaBIOS):
 *
 *   info ramblock               offset     total     entry  contents, by /proc/PID/mem
 *   ram                                0  10000000   none
 *   pc.bios                     10000000     40000   0      the same as `pmemsave 0xfffc0000`
 *   pc.rom                      10040000     20000   1
 *   0000:00:01.0/vga.vram       10080000   1000000   2      the same as `pmemsave` of the VGA's BAR
 *   0000:00:01.0/vga.rom        11080000     10000   3      55 aa, PCIR 1234:1111
 *   0000:00:02.0/virtio-net-..  110c0000     40000   4      55 aa, PCIR 1af4:1000
 *   0000:00:03.0/e1000e.rom     11100000     40000   5      55 aa, PCIR 8086:10d3
 *   /rom@etc/acpi/tables        11140000    200000   6      FACS
 *   /rom@etc/table-loader       11340000     10000   7
 *   /rom@etc/acpi/rsdp          11380000      1000   8      RSD PTR
 *
 * also with pflash, xHCI, AHCI and virtio devices. Blocks of one size are told apart by that order; it is the order of
 * making, since QEMU gives the lowest offset that is free. A device that was unplugged leaves an entry with bytes 0 and a
 * gap of offsets that a later block may get: so match only a machine whose devices are those that it started with, and
 * only if the entries that are not 0 are as many as the blocks, and each of its block's size. */

#endif
