/* Inside of a disk; shared by disk*.c.
 *
 *            disk_epochs()                        Modes. DRAINING: disk_direct() was called, but the log is not in the image yet;
 *   DIRECT ───────────────► EPOCHS                writes still go to the log, in epochs that the journal thread closes and commits
 *     ▲                       │ disk_direct()     by itself, until nothing is left: image and journal are synced, then writes go
 *     └───── DRAINING ◄───────┘                   straight through. (A stale journal must never be replayed over direct writes.)
 *
 * Two threads: `journal` appends what is closed, syncs, answers waiting flushes; `apply` brings committed and durable epochs into the
 * image, syncs it and trims the journal.
 *
 * A read looks into the log first and fills what is missing from the image afterwards: what was not in the log then is in the image,
 * and the image only gets newer. */
#ifndef ISF_DISK_STATE_H
#define ISF_DISK_STATE_H

#include "bitmap.h"
#include "disk.h"
#include "disk_log.h"
#include "image.h"
#include "journal.h"
#include "nbd.h"

#include <pthread.h>
#include <stdatomic.h>

enum { DISK_JOURNAL_IDLE = 1, DISK_APPLY_IDLE = 2 };
enum disk_mode { DISK_DIRECT, DISK_EPOCHS, DISK_DRAINING };

struct disk {
    struct disk_config config; /* strings are not kept */
    struct image image;
    struct journal journal;
    struct bitmap bitmap;
    struct nbd_server *nbd;
    unsigned long journal_thread, apply_thread;
    int threads;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, apply, room; /* journal thread; apply thread; whoever waits for space, drain or mode */
    struct disk_log log;
    enum disk_mode mode;
    int waits;             /* FLUSH waits, in EPOCHS */
    int hold;              /* writers wait: the drain is about to end */
    int released;          /* writers do not wait, until the next barrier */
    int stop;              /* 1: the journal thread ends when it has nothing left; 2: the apply thread too */
    int failed;            /* sticky -errno of journal or image */
    int idle;              /* threads that wait: DISK_JOURNAL_IDLE, DISK_APPLY_IDLE (that one only while `failed`) */
    int common_begun;      /* this EPOCHS session has begun a new bitmap */
    int log_signalled;     /* on_log was called, disk_next has not yet said "nothing" */
    uint64_t flush_asked, flush_done; /* of disk_flush_now(), counted */
    int need_room;         /* the journal is full: apply, sync and trim whatever can be */
    uint64_t retired;      /* epochs that have begun to leave the log */
    unsigned direct_writes, drain_rounds;
    uint64_t delta;        /* id of an epoch - the caller's number */
    uint64_t generation;   /* of this EPOCHS session, as the caller numbers them; 0: not said */
    struct journal_stamp found; /* what the disk had when it was opened */
    uint64_t first_id;     /* of this EPOCHS session */
    uint64_t committed, durable, reported, applied; /* ids */
    uint64_t full_since_us; /* when the log reached its bound; 0: it is below */
    struct nbd_wait *flushes, **flushes_last;

    _Atomic int urgent;      /* disk_barrier() waits for the lock */
    _Atomic int image_dirty; /* written since the last sync, by direct writes */
    int syncing;             /* the journal thread is at a direct flush */
    _Atomic uint64_t log_nodes; /* 0: reads need not look into the log */
    _Atomic uint64_t reads, writes, flushes_seen, read_bytes, write_bytes, syncs, sync_us_last;
};

/* ---- disk_rw.c: what NBD calls ---- */
int disk_guest_read(void *disk, uint64_t offset, uint32_t length, uint8_t *out);
int disk_guest_read_cached(void *disk, uint64_t offset, uint32_t length, uint8_t *out);
int disk_guest_write(void *disk, uint64_t offset, uint32_t length, const uint8_t *data);
int disk_guest_zero(void *disk, uint64_t offset, uint32_t length, int hole);
int disk_guest_flush(void *disk, struct nbd_wait *wait);
/* Present content; any length. */
int disk_present(struct disk *d, uint64_t offset, uint64_t length, uint8_t *out);

/* ---- disk_journal.c ---- */
void *disk_journal_run(void *disk);
/* With the lock: durable moves over epochs that have nothing (more) to write. */
void disk_advance_durable(struct disk *d);
/* fdatasync of the image, timed. */
int disk_image_sync(struct disk *d);
/* With the lock: remembers the failure, wakes all, tells the owner (without the lock meanwhile). */
void disk_fail(struct disk *d, int error, const char *what);

/* ---- disk_apply.c ---- */
void *disk_apply_run(void *disk);

/* With the lock: log_nodes follows the log. */
static inline void disk_count_nodes(struct disk *d)
{
    atomic_store(&d->log_nodes, d->log.block_nodes + d->log.region_nodes);
}

#endif
