/* The epoch log of a disk, in memory: for each epoch its writes in order, and an index that finds the newest data of a block.
 *
 *   log ─► epoch 7 ─► epoch 8 ─► epoch 9 (open)          index: block 4711 ─► 9 ─► 7        newest first, each with the sectors
 *            │ extents in order                                  region 12   ─► 8 (zero)     that it holds (512 bytes each)
 *
 * A block is 4 KiB; whole MiBs that were zeroed or trimmed have one node each, not 256. Nothing here locks: the caller does. */
#ifndef ISF_DISK_LOG_H
#define ISF_DISK_LOG_H

#include "journal.h"

#define LOG_BLOCK_SHIFT 12
#define LOG_REGION_SHIFT 20
#define LOG_SECTORS 8u /* in a block */

struct log_extent;
struct log_node {
    struct log_node *bucket_next; /* another key; only of the newest version */
    struct log_node *older, *newer;
    struct log_extent *extent;
    uint64_t key;
    uint8_t sectors; /* which of the block's it holds */
};

/* One write. A single allocation: nodes and data follow. */
struct log_extent {
    uint64_t offset, length, sequence, epoch;
    uint32_t flags, index, nodes;
    uint8_t *data; /* NULL: zeroes */
    size_t cost;   /* bytes that count against the log's bound */
    struct log_node node[];
};

struct log_epoch {
    struct log_epoch *next;
    uint64_t id; /* counts for ever in this process; the caller's number is id - delta */
    struct log_extent **extents;
    uint32_t count, capacity;
    uint32_t taken;     /* extents below are in others' hands: not changed any more */
    uint32_t journalled; /* extents below are durable in the journal */
    uint64_t bytes;
    int staged, durable;
    struct journal_mark mark; /* in the journal, after its last record */
};

struct disk_log {
    struct log_node **buckets;
    struct log_epoch *first, *open;
    uint64_t sequence, bytes, block_nodes, region_nodes;
};

int log_init(struct disk_log *l);
void log_free(struct disk_log *l);
/* A new extent, not yet in the log; its data is copied (NULL: zeroes). NULL: no memory. */
struct log_extent *log_extent_new(uint64_t offset, uint64_t length, const uint8_t *data, uint32_t flags);
/* Adds it to the open epoch, or writes it over an earlier one there that nobody has seen (1: then the caller frees it). 0, 1 or -ENOMEM. */
int log_add(struct disk_log *l, struct log_extent *x);
/* Copies what the log has of [offset, offset+length) (512-aligned) to `out` and sets a bit in missing[] for each sector that it has not:
 * one byte per block, beginning with the block of `offset`. Returns the number of missing sectors. */
uint32_t log_read(const struct disk_log *l, uint64_t offset, uint32_t length, uint8_t *out, uint8_t *missing);
/* Is anything of the range in the log? */
int log_touches(const struct disk_log *l, uint64_t offset, uint64_t length);
/* Closes the open epoch and opens the next. 0 or -ENOMEM (nothing changed). */
int log_close(struct disk_log *l);
/* Takes nodes of `x` out of the index. */
void log_unindex(struct disk_log *l, struct log_extent *x);
/* Drops all of the open epoch. */
void log_drop_open(struct disk_log *l);
/* Takes the first epoch (not the open one, all unindexed) off the list; the caller frees it. */
struct log_epoch *log_pop(struct disk_log *l);
void log_epoch_free(struct log_epoch *e);

#endif
