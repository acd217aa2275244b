/* The journal thread: one group commit after the other. Whatever waits when a round begins shares its sync. */
#include "disk_state.h"
#include "failpoint.h"

#include <stdlib.h>

/* What one round writes. */
struct round {
    struct log_epoch *first; /* closed, not yet durable; NULL: none */
    uint64_t last;           /* id of the last one */
    struct log_epoch *open;  /* part of the open epoch for the flushes that wait; NULL: none */
    struct log_extent **part;
    uint32_t parts;
    struct nbd_wait *flushes;
    uint64_t asked;          /* of disk_flush_now() */
    int image; /* direct writes to be synced first */
    uint64_t generation, first_id, delta; /* of the session */
};

void disk_fail(struct disk *d, int error, const char *what)
{
    int first = d->failed == 0;
    if (first)
        d->failed = error;
    d->need_room = 0;
    pthread_cond_broadcast(&d->work);
    pthread_cond_broadcast(&d->apply);
    pthread_cond_broadcast(&d->room);
    if (first && d->config.on_error) {
        pthread_mutex_unlock(&d->lock);
        d->config.on_error(d->config.context, -error, what);
        pthread_mutex_lock(&d->lock);
    }
}

int disk_image_sync(struct disk *d)
{
    uint64_t start = isf_now_us();
    int r = image_sync(&d->image);
    atomic_fetch_add(&d->syncs, 1);
    atomic_store(&d->sync_us_last, isf_now_us() - start);
    return r;
}

void disk_advance_durable(struct disk *d)
{
    if (atomic_load(&d->image_dirty) || d->syncing || d->failed)
        return;
    for (struct log_epoch *e = d->log.first; e != d->log.open; e = e->next) {
        if (!e->durable && e->count != e->journalled)
            return;
        e->durable = 1;
        if (e->id > d->durable)
            d->durable = e->id;
    }
}

/* ---- writing ---- */

static int sync_journal(struct disk *d)
{
    failpoint(FAIL_JOURNAL_WRITTEN);
    uint64_t start = isf_now_us();
    int r = journal_sync(&d->journal);
    atomic_fetch_add(&d->syncs, 1);
    atomic_store(&d->sync_us_last, isf_now_us() - start);
    failpoint(FAIL_JOURNAL_SYNCED);
    return r;
}

/* With the lock: epochs of the round before `end` are in the journal, synced. */
static void settle(struct disk *d, struct round *round, const struct log_epoch *end)
{
    struct log_epoch *e = round->first;
    for (; e && e != end && e->id <= round->last; e = e->next) {
        e->journalled = e->count;
        e->durable = 1;
    }
    round->first = e;
    disk_advance_durable(d);
    pthread_cond_signal(&d->apply);
}

/* With the lock; lets go of it for the call. */
static void report_durable(struct disk *d)
{
    if (d->mode != DISK_EPOCHS || d->durable <= d->reported || d->durable < d->first_id)
        return;
    uint64_t epoch = d->durable - d->delta;
    d->reported = d->durable;
    if (d->config.on_durable) {
        pthread_mutex_unlock(&d->lock);
        d->config.on_durable(d->config.context, epoch);
        pthread_mutex_lock(&d->lock);
    }
}

/* The journal is full. What the round wrote before `e` becomes durable, so that it can be committed and applied; then the apply thread
 * frees what can be freed. 0 or -errno. */
static int make_room(struct disk *d, struct round *round, const struct log_epoch *e)
{
    int r = round->first != e ? sync_journal(d) : 0;
    if (r)
        return r;
    pthread_mutex_lock(&d->lock);
    d->syncing = 0; /* the image was synced before the first record */
    settle(d, round, e);
    report_durable(d);
    d->need_room = 1;
    pthread_cond_signal(&d->apply);
    while (d->need_room && !d->failed)
        pthread_cond_wait(&d->room, &d->lock);
    r = d->failed;
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int append(struct disk *d, struct round *round, const struct log_epoch *e, enum journal_kind kind, const struct journal_extent *table,
                  uint32_t count)
{
    struct journal_stamp stamp = {round->generation, e->id - round->delta};
    int ends = kind == JOURNAL_END && round->generation && e->id >= round->first_id;
    int r = journal_append(&d->journal, kind, e->id, table, count, 0, ends ? &stamp : NULL);
    if (r != -EAGAIN)
        return r;
    r = make_room(d, round, e);
    /* What still fills the journal is not committed. It may not wait for that: a flush of QEMU can hang on this, and with it the
     * checkpoint that commits. So the file grows; the bound of the log in memory bounds it too. */
    return r ? r : journal_append(&d->journal, kind, e->id, table, count, 1, ends ? &stamp : NULL);
}

/* Writes extents as records; the last one of `kind`, the others as parts (or solo, which stand by themselves). */
static int write_extents(struct disk *d, struct round *round, const struct log_epoch *e, struct log_extent **extents, uint32_t count,
                         enum journal_kind kind)
{
    struct journal_extent table[JOURNAL_EXTENTS_MAX];
    uint32_t n = 0;
    uint64_t payload = 0;
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < count; i++) {
        const struct log_extent *x = extents[i];
        uint64_t bytes = x->data ? x->length : 0;
        if (n == JOURNAL_EXTENTS_MAX || payload + bytes > JOURNAL_PAYLOAD_MAX) {
            r = append(d, round, e, kind == JOURNAL_SOLO ? JOURNAL_SOLO : JOURNAL_PART, table, n);
            n = 0;
            payload = 0;
        }
        table[n++] = (struct journal_extent){x->offset, x->length, x->flags, x->data};
        payload += bytes;
    }
    return r ? r : append(d, round, e, kind, table, n);
}

/* All of the round, without the lock. */
static int write_round(struct disk *d, struct round *round, const char **what)
{
    int wrote = 0, r = 0;
    *what = "the image cannot be synced";
    if (round->image)
        r = disk_image_sync(d); /* what was written before the epochs began comes before them */
    if (r)
        return r;
    *what = "the journal cannot be written";
    for (struct log_epoch *e = round->first; r == 0 && e && e->id <= round->last; e = e->next) {
        if (e->count == e->journalled)
            continue;
        r = write_extents(d, round, e, e->extents + e->journalled, e->count - e->journalled, JOURNAL_END);
        journal_here(&d->journal, &e->mark);
        wrote = 1;
    }
    if (r == 0 && round->open) {
        r = write_extents(d, round, round->open, round->part, round->parts, JOURNAL_SOLO);
        journal_here(&d->journal, &round->open->mark);
        wrote = 1;
    }
    return r || !wrote ? r : sync_journal(d);
}

/* ---- rounds ---- */

/* While draining nobody closes epochs: what there is becomes one, and is committed. */
static int close_drained(struct disk *d)
{
    if (d->mode != DISK_DRAINING || d->log.open->count == 0)
        return 0;
    int r = log_close(&d->log);
    if (r == 0)
        d->committed = d->log.open->id - 1;
    return r;
}

/* With the lock: what the round will write. */
static int plan(struct disk *d, struct round *round)
{
    int r = close_drained(d);
    struct log_epoch *open = d->log.open;
    if (r)
        return r;
    round->last = open->id - 1;
    for (struct log_epoch *e = d->log.first; e != open && !round->first; e = e->next)
        if (!e->durable)
            round->first = e;
    uint32_t parts = open->count - open->journalled;
    if (d->mode == DISK_EPOCHS && (round->flushes || round->asked > d->flush_done) && !open->staged && parts) {
        round->part = malloc(parts * sizeof *round->part); /* the epoch's own array moves as it grows */
        if (!round->part)
            return -ENOMEM;
        memcpy(round->part, open->extents + open->journalled, parts * sizeof *round->part);
        round->parts = parts;
        round->open = open;
        open->taken = open->count;
    }
    round->generation = d->generation;
    round->first_id = d->first_id;
    round->delta = d->delta;
    round->image = atomic_exchange(&d->image_dirty, 0);
    d->syncing = round->image;
    return 0;
}

static void finish(struct disk *d, struct round *round, int r, const char *what)
{
    d->syncing = 0;
    if (d->flush_done < round->asked) {
        d->flush_done = round->asked;
        pthread_cond_broadcast(&d->room);
    }
    if (r) {
        if (round->image)
            atomic_store(&d->image_dirty, 1);
        disk_fail(d, r, what);
        return;
    }
    if (round->open)
        round->open->journalled += round->parts;
    settle(d, round, NULL);
}

static void answer(struct nbd_wait *w, int r)
{
    while (w) {
        struct nbd_wait *next = w->next;
        nbd_complete(w, r);
        w = next;
    }
}

/* With the lock. */
static void one_round(struct disk *d)
{
    struct round round = {.flushes = d->flushes, .asked = d->flush_asked};
    const char *what = "no memory for the journal";
    d->flushes = NULL;
    d->flushes_last = &d->flushes;
    int r = d->failed;
    if (r == 0) {
        r = plan(d, &round);
        if (r == 0) {
            pthread_mutex_unlock(&d->lock);
            r = write_round(d, &round, &what);
            pthread_mutex_lock(&d->lock);
        }
        finish(d, &round, r, what);
    }
    pthread_mutex_unlock(&d->lock);
    free(round.part);
    answer(round.flushes, r);
    pthread_mutex_lock(&d->lock);
}

static int has_work(const struct disk *d)
{
    if (d->flushes || d->flush_asked > d->flush_done)
        return 1;
    if (d->failed || d->mode == DISK_DIRECT)
        return 0;
    return atomic_load(&d->image_dirty) || d->durable + 1 < d->log.open->id || (d->mode == DISK_DRAINING && d->log.open->count);
}

static void wait_work(struct disk *d)
{
    d->idle |= DISK_JOURNAL_IDLE;
    if (d->failed) /* disk_mend() waits for it */
        pthread_cond_broadcast(&d->room);
    pthread_cond_wait(&d->work, &d->lock);
    d->idle &= ~DISK_JOURNAL_IDLE;
}

void *disk_journal_run(void *disk)
{
    struct disk *d = disk;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        report_durable(d);
        if (has_work(d))
            one_round(d);
        else if (d->stop)
            break;
        else if (d->mode != DISK_EPOCHS || d->durable <= d->reported || d->durable < d->first_id)
            wait_work(d);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}
