/* QEMU's RAM blocks, and the one numbering of pages that checkpoints use.
 *
 *   page 0 ............ main memory ...... | block 1 | block 2 | ... | device state (BLOCKS_DEVICE_PAGES)
 *
 * Main memory is a memfd that the engine maps too. The others (video RAM, UEFI variables, option ROMs, ACPI tables) are private
 * memory of QEMU: read and written with process_vm_readv(2). The device state is a stream, treated as pages at the end. */
#ifndef ISF_BLOCKS_H
#define ISF_BLOCKS_H

#include "base.h"
#include "qmp.h"
#include "tracker.h"

#define BLOCKS_MAX 64
#define BLOCKS_DEVICE_PAGES 1024u /* 4 MiB of device state at the most */

struct block {
    char name[80];
    uint64_t bytes;   /* a multiple of ISF_PAGE: what is mapped */
    uint64_t offset;  /* QEMU's ram_addr_t: the order in which blocks were made */
    uint64_t address; /* in QEMU */
    uint64_t page;    /* number of its first page */
};

struct blocks {
    pid_t pid;
    uint32_t count;   /* block[0] is the main memory */
    struct block block[BLOCKS_MAX];
    uint64_t pages;   /* of all blocks, without the device state */
    uint8_t *ram;     /* the engine's mapping of the main memory; borrowed */
    uint64_t ram_pages;
};

/* Learns the blocks of QEMU `pid`. `memfd` is the main memory, `ram` its mapping, `shim_table` the descriptor of the preload shim's table
 * (or -1: then QEMU must show addresses itself, 10.0 and later). `problem` gets a sentence. 0, -ISF_EQEMU, -ISF_EUNSUPPORTED, -errno. */
int blocks_learn(struct blocks *b, struct qmp *q, pid_t pid, int memfd, uint8_t *ram, int shim_table, char *problem, size_t size);
/* Parses one line of `info ramblock`. 1 = a block, 0 = something else (the heading). */
int blocks_parse_line(const char *line, struct block *out);
/* Copies `count` pages from number `page` on (within one block) to `out`. 0 or -errno. */
int blocks_read(const struct blocks *b, uint64_t page, uint64_t count, uint8_t *out);
/* The other way, into QEMU. */
int blocks_write(const struct blocks *b, uint64_t page, uint64_t count, const uint8_t *data);
/* The next run of main memory pages at or after `from` that were ever used: reading one that was not would allocate it. 1, or 0 at
 * the end. Whoever shares the descriptor must not seek meanwhile. */
int blocks_next_data(const struct blocks *b, int memfd, uint64_t from, uint64_t *page, uint64_t *count);
/* The block that holds a page number, or NULL for the device state and beyond. */
const struct block *blocks_find(const struct blocks *b, uint64_t page);

#endif
