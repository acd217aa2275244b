/* The apply thread: brings epochs that are committed and durable into the image, syncs it now and then, and trims the journal. */
#include "disk_state.h"
#include "failpoint.h"

#include <sched.h>

#define BATCH_BYTES (32ull << 20)
#define SYNC_BYTES (32ull << 20) /* so much is applied at the most before the image is synced */
#define SYNC_US 100000           /* and so long it waits for more */
#define RUN_PARTS 256
#define RUN_BYTES (8u << 20)
#define SLICE 256                /* nodes taken out of the index under one lock */
#define DRAIN_ROUNDS 4           /* then the drain makes writers wait, so that it ends */

/* What is in the image but perhaps not on storage. The thread's own. */
struct unsynced {
    struct journal_mark mark;
    uint64_t bytes, since_us;
};

/* ---- into the image ---- */

/* Adjacent data extents that follow each other in the epoch go by one call. Returns how many were written, or -errno. */
static int64_t write_run(struct disk *d, struct log_extent **x, uint32_t count)
{
    struct iovec parts[RUN_PARTS];
    uint32_t n = 0;
    uint64_t bytes = 0, end = x[0]->offset;
    if (!x[0]->data) {
        int r = image_zero(&d->image, x[0]->offset, x[0]->length, (x[0]->flags & DISK_HOLE) != 0);
        return r ? r : 1;
    }
    while (n < count && n < RUN_PARTS && x[n]->data && x[n]->offset == end && bytes < RUN_BYTES) {
        parts[n] = (struct iovec){x[n]->data, x[n]->length};
        bytes += x[n]->length;
        end += x[n++]->length;
    }
    int r = image_writev(&d->image, parts, (int)n, x[0]->offset);
    return r ? r : (int64_t)n;
}

static uint64_t extents_of(const struct log_epoch *first, uint64_t last)
{
    uint64_t n = 0;
    for (; first && first->id <= last; first = first->next)
        n += first->count;
    return n;
}

static int write_batch(struct disk *d, struct log_epoch *first, uint64_t last)
{
    uint64_t done = 0, half = extents_of(first, last) / 2;
    int r = bitmap_sync(&d->bitmap);
    for (struct log_epoch *e = first; r == 0 && e && e->id <= last; e = e->next) {
        for (uint32_t i = 0; i < e->count;) {
            int64_t n = write_run(d, e->extents + i, e->count - i);
            if (n < 0)
                return (int)n;
            i += (uint32_t)n;
            if (done <= half && done + (uint64_t)n > half)
                failpoint(FAIL_IMAGE_HALF);
            done += (uint64_t)n;
        }
    }
    return r;
}

/* Lets others at the log; disk_barrier() first, since the VM stands still for it (a mutex alone would not). */
static void breathe(struct disk *d)
{
    disk_count_nodes(d);
    pthread_mutex_unlock(&d->lock);
    while (atomic_load(&d->urgent))
        sched_yield();
    pthread_mutex_lock(&d->lock);
}

/* With the lock. Takes the epoch, which is in the image, out of the log. */
static void retire(struct disk *d)
{
    struct log_epoch *e = d->log.first;
    uint32_t nodes = 0;
    d->retired++;
    for (uint32_t i = 0; i < e->count; i++) { /* in order: an older version must never show again */
        nodes += e->extents[i]->nodes;
        log_unindex(&d->log, e->extents[i]);
        if (nodes >= SLICE) {
            breathe(d);
            nodes = 0;
        }
    }
    disk_count_nodes(d);
    log_pop(&d->log);
    pthread_cond_broadcast(&d->room);
    pthread_mutex_unlock(&d->lock);
    log_epoch_free(e);
    pthread_mutex_lock(&d->lock);
}

/* With the lock: the last epoch that may go now, or 0. */
static uint64_t ready(const struct disk *d, uint64_t *bytes)
{
    uint64_t last = 0;
    *bytes = 0;
    for (const struct log_epoch *e = d->log.first; e != d->log.open && e->durable && e->id <= d->committed && *bytes < BATCH_BYTES; e = e->next) {
        last = e->id;
        *bytes += e->bytes;
    }
    return last;
}

/* With the lock. */
static void apply_batch(struct disk *d, uint64_t last, uint64_t bytes, struct unsynced *u)
{
    struct log_epoch *first = d->log.first;
    pthread_mutex_unlock(&d->lock);
    int r = write_batch(d, first, last);
    pthread_mutex_lock(&d->lock);
    if (r) {
        disk_fail(d, r, "the image cannot be written");
        return;
    }
    while (d->log.first != d->log.open && d->log.first->id <= last) {
        if (d->log.first->mark.seq)
            u->mark = d->log.first->mark;
        retire(d);
    }
    d->applied = last;
    if (bytes && !u->since_us)
        u->since_us = isf_now_us();
    u->bytes += bytes;
    if (d->mode == DISK_DRAINING && ++d->drain_rounds > DRAIN_ROUNDS)
        d->hold = 1;
}

/* ---- sync and trim ---- */

/* With the lock. `now`: the trim is durable when it returns. */
static void sync_and_trim(struct disk *d, struct unsynced *u, int now)
{
    const char *what = "the image cannot be synced";
    int r = 0;
    pthread_mutex_unlock(&d->lock);
    if (u->since_us)
        r = disk_image_sync(d);
    if (r == 0) {
        failpoint(FAIL_JOURNAL_TRIM);
        what = "the journal cannot be written";
        r = journal_trim(&d->journal, &u->mark, now);
    }
    pthread_mutex_lock(&d->lock);
    u->bytes = u->since_us = 0;
    if (r)
        disk_fail(d, r, what);
}

/* With the lock; the log is empty. */
static void end_drain(struct disk *d, struct unsynced *u)
{
    d->hold = 1;
    if (u->mark.seq == 0)
        journal_here(&d->journal, &u->mark); /* nothing was applied: nothing is in it */
    sync_and_trim(d, u, 1);
    if (d->mode == DISK_DRAINING && !d->failed && d->log.first == d->log.open && d->log.open->count == 0)
        d->mode = DISK_DIRECT;
    d->hold = 0;
    pthread_cond_broadcast(&d->room);
}

static void wait_more(struct disk *d, const struct unsynced *u)
{
    if (!u->since_us) {
        pthread_cond_wait(&d->apply, &d->lock);
        return;
    }
    uint64_t until = u->since_us + SYNC_US;
    struct timespec t = {(time_t)(until / 1000000), (long)(until % 1000000) * 1000};
    pthread_cond_timedwait(&d->apply, &d->lock, &t);
}

static void wait_failed(struct disk *d)
{
    d->need_room = 0;
    d->idle |= DISK_APPLY_IDLE;
    pthread_cond_broadcast(&d->room); /* disk_mend() waits for it */
    pthread_cond_wait(&d->apply, &d->lock);
    d->idle &= ~DISK_APPLY_IDLE;
}

void *disk_apply_run(void *disk)
{
    struct disk *d = disk;
    struct unsynced u = {0};
    uint64_t bytes = 0;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        uint64_t last = d->failed ? 0 : ready(d, &bytes);
        int due = u.since_us && (u.bytes >= SYNC_BYTES || isf_now_us() - u.since_us >= SYNC_US);
        if (d->failed && d->stop < 2) {
            u = (struct unsynced){0}; /* its mark is of a journal that may be reset */
            wait_failed(d);
        } else if (d->failed) {
            break;
        } else if (last && !due) {
            apply_batch(d, last, bytes, &u);
        } else if (due || d->need_room) {
            int asked = d->need_room && !last; /* else there is more to be freed first */
            sync_and_trim(d, &u, asked);
            d->need_room &= !asked;
            pthread_cond_broadcast(&d->room);
        } else if (d->mode == DISK_DRAINING && d->log.first == d->log.open && d->log.open->count == 0) {
            end_drain(d, &u);
        } else if (d->stop == 2) {
            if (u.since_us)
                sync_and_trim(d, &u, 1);
            break;
        } else {
            wait_more(d, &u);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
