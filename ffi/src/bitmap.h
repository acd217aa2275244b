/* The persistent changed-bitmap: which 64 KiB chunks of the image may differ from what both hosts last had in common.
 *
 * On disk: a header, one bit per region of 16 MiB, one bit per chunk. A region's bit is durable before anything in it changes (one sync
 * per region, ever); a chunk's bit is written at once and reaches storage when it does. After an orderly end, or a crash of the
 * program alone (same boot of the kernel), the chunk bits count; after a power loss every chunk of a marked region counts as changed.
 * So a trusted bitmap never misses a change.
 *
 * A file that fails is declared void and the guest goes on: memory is still exact, and after a restart nothing is trusted.
 *
 * In memory two sets: `kept` is what the file says, `pending` what a sync still has to take. All calls from any thread. */
#ifndef ISF_BITMAP_H
#define ISF_BITMAP_H

#include "disk_io.h"

#include <pthread.h>
#include <stdatomic.h>

#define BITMAP_CHUNK_SHIFT 16  /* 64 KiB */
#define BITMAP_REGION_SHIFT 24 /* 16 MiB */

struct bitmap {
    int fd;
    const struct disk_io *io;
    pthread_mutex_t lock; /* the file, and slow paths */
    uint64_t bytes, chunks, chunk_words, region_words;
    _Atomic uint64_t *kept, *pending;
    uint64_t *regions;
    _Atomic int active; /* it remembers */
    int trusted;        /* it has, without a gap, since its begin */
    int unsynced;       /* region bits set, not yet durable */
    int rewrite;        /* the file holds more than `kept`: to be written anew */
    int broken;         /* the file failed and says that it is void; memory goes on */
    int error;          /* a small write to the file failed: to be dealt with by the next sync */
};

/* Opens or creates the file. A file that is damaged, or of another image size, is simply not trusted. */
int bitmap_open(struct bitmap *b, const char *path, uint64_t image_bytes, const struct disk_io *io, char *problem, uint32_t problem_size);
/* Writes all and says that it ended in order. */
void bitmap_close(struct bitmap *b);
/* Starts anew, none or all changed. Durable when it returns. */
int bitmap_begin(struct bitmap *b, int all);
/* As begin(0) in memory only, at once; the file follows at the next bitmap_sync (until then it says too much, never too little). */
void bitmap_forget(struct bitmap *b);
/* Before a write straight to the image: marks it, durable enough when it returns. A chunk already marked costs nothing. */
int bitmap_before(struct bitmap *b, uint64_t offset, uint64_t length);
/* After it: what was taken while the write was under way is to be taken again. */
void bitmap_after(struct bitmap *b, uint64_t offset, uint64_t length);
/* Marks both sets now; durable by the next bitmap_sync, which must come before the image changes. No sync, but small writes. */
void bitmap_mark(struct bitmap *b, uint64_t offset, uint64_t length);
/* 0, or -errno when the file failed and could not even be declared void: then the image must not change. */
int bitmap_sync(struct bitmap *b);
/* Everything that is kept is to be taken (again). Returns whether the bitmap is trusted. */
int bitmap_restart(struct bitmap *b);
int bitmap_trusted(struct bitmap *b);
/* Takes the next run at or after *offset, at most 1 MiB. 1, or 0 at the end. */
int bitmap_take(struct bitmap *b, uint64_t *offset, uint64_t *length);
/* Bytes still to be taken. */
uint64_t bitmap_bytes(struct bitmap *b);

#endif
