/* Opening, closing, modes, and the epoch log as the engine sees it. */
#include "disk_state.h"
#include "failpoint.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_BYTES (256ull << 20)

/* ---- open and close ---- */

struct replay {
    struct disk *d;
    uint64_t extents;
};

static int replay_extent(void *context, uint64_t epoch, const struct journal_extent *x)
{
    struct replay *replay = context;
    struct disk *d = replay->d;
    (void)epoch;
    int r = bitmap_before(&d->bitmap, x->offset, x->length); /* the other host may not have it */
    if (r == 0 && x->data)
        r = image_write(&d->image, x->offset, x->length, x->data);
    else if (r == 0)
        r = image_zero(&d->image, x->offset, x->length, (x->flags & DISK_HOLE) != 0);
    if (replay->extents++ == 0)
        failpoint(FAIL_IMAGE_HALF);
    return r;
}

/* Brings the image to the last whole epoch, then empties the journal. */
static int recover(struct disk *d, char *problem, uint32_t size)
{
    struct journal_found found;
    struct replay replay = {d, 0};
    int r = journal_replay(&d->journal, replay_extent, &replay, &found, problem, size);
    if (r)
        return r;
    d->found = found.stamp;
    if (replay.extents)
        r = image_sync(&d->image);
    if (r) {
        snprintf(problem, size, "The image cannot be synced (%s): check the storage below it.", strerror(-r));
        return r;
    }
    failpoint(FAIL_JOURNAL_TRIM);
    r = journal_reset(&d->journal);
    if (r)
        snprintf(problem, size, "The journal cannot be prepared (%s): make room for it.", strerror(-r));
    return r;
}

static void init_locks(struct disk *d)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, &monotonic);
    pthread_cond_init(&d->apply, &monotonic);
    pthread_cond_init(&d->room, &monotonic);
    pthread_condattr_destroy(&monotonic);
    d->flushes_last = &d->flushes;
}

static int open_files(struct disk *d, char *problem, uint32_t size)
{
    const struct disk_config *c = &d->config;
    int r = image_open(&d->image, c->image, c->io, problem, size);
    if (r)
        return r;
    r = journal_open(&d->journal, c->journal, c->journal_bytes, d->image.bytes, c->io, problem, size);
    if (r)
        goto image;
    r = bitmap_open(&d->bitmap, c->bitmap, d->image.bytes, c->io, problem, size);
    if (r)
        goto journal;
    r = recover(d, problem, size);
    if (r == 0)
        return 0;
    bitmap_close(&d->bitmap);
journal:
    journal_close(&d->journal);
image:
    image_close(&d->image);
    return r;
}

static void close_files(struct disk *d)
{
    bitmap_close(&d->bitmap);
    journal_close(&d->journal);
    image_close(&d->image);
}

static int serve(struct disk *d)
{
    struct nbd_export x = {
        .name = d->config.export_name ? d->config.export_name : "",
        .bytes = d->image.bytes,
        .context = d,
        .read = disk_guest_read,
        .read_cached = disk_guest_read_cached,
        .write = disk_guest_write,
        .zero = disk_guest_zero,
        .flush = disk_guest_flush,
    };
    return d->config.socket ? nbd_start(&d->nbd, d->config.socket, &x) : 0;
}

/* Ends the threads: first the journal's, which still writes what is closed, then the other. */
static void stop_threads(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->stop = 1;
    pthread_cond_broadcast(&d->work);
    pthread_cond_broadcast(&d->room);
    pthread_mutex_unlock(&d->lock);
    nbd_stop(d->nbd);
    if (d->threads > 0)
        pthread_join((pthread_t)d->journal_thread, NULL);
    pthread_mutex_lock(&d->lock);
    d->stop = 2;
    pthread_cond_broadcast(&d->apply);
    pthread_mutex_unlock(&d->lock);
    if (d->threads > 1)
        pthread_join((pthread_t)d->apply_thread, NULL);
}

static void free_disk(struct disk *d)
{
    log_free(&d->log);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->apply);
    pthread_cond_destroy(&d->room);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static int start(struct disk *d)
{
    int r = isf_thread(&d->journal_thread, "disk-journal", disk_journal_run, d);
    if (r)
        return r;
    d->threads = 1;
    r = isf_thread(&d->apply_thread, "disk-apply", disk_apply_run, d);
    if (r)
        return r;
    d->threads = 2;
    return serve(d);
}

int disk_open(struct disk **out, const struct disk_config *config, char *problem, uint32_t problem_size)
{
    struct disk *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    problem[0] = 0;
    d->config = *config;
    d->config.io = config->io ? config->io : &disk_io_real;
    d->config.journal_bytes = config->journal_bytes ? config->journal_bytes : DEFAULT_BYTES;
    d->config.log_bytes = config->log_bytes ? config->log_bytes : DEFAULT_BYTES;
    d->committed = d->durable = d->reported = d->applied = 0;
    d->first_id = UINT64_MAX;
    init_locks(d);
    int r = log_init(&d->log);
    if (r == 0)
        r = open_files(d, problem, problem_size);
    if (r) {
        free_disk(d);
        return r;
    }
    r = start(d);
    if (r) {
        snprintf(problem, problem_size, "The disk cannot be served on %s (%s): check that its folder exists and that the path is short enough.",
                 config->socket ? config->socket : "its threads", strerror(-r));
        disk_close(d);
        return r;
    }
    *out = d;
    return 0;
}

void disk_close(struct disk *d)
{
    if (!d)
        return;
    stop_threads(d);
    if (atomic_load(&d->image_dirty))
        image_sync(&d->image);
    close_files(d);
    free_disk(d);
}

uint64_t disk_bytes(const struct disk *d)
{
    return d->image.bytes;
}

/* ---- modes ---- */

/* Without the lock's help: closes the open epoch if it has anything. With the lock. */
static int close_open(struct disk *d)
{
    return d->log.open->count ? log_close(&d->log) : 0;
}

/* With the lock: what nobody but this host has is marked as changed. */
static void mark_uncommitted(struct disk *d)
{
    for (struct log_epoch *e = d->log.first; e; e = e->next)
        for (uint32_t i = 0; e->id > d->committed && i < e->count; i++)
            bitmap_mark(&d->bitmap, e->extents[i]->offset, e->extents[i]->length);
}

int disk_direct(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    int r = d->failed;
    if (d->mode == DISK_EPOCHS) {
        mark_uncommitted(d);
        if (r == 0)
            r = close_open(d);
        if (r == 0) {
            d->committed = d->log.open->id - 1;
            d->log.open->staged = 0;
            d->mode = DISK_DRAINING;
            d->drain_rounds = 0;
            d->released = 0;
            disk_advance_durable(d);
        }
        pthread_cond_broadcast(&d->work);
        pthread_cond_broadcast(&d->apply);
        pthread_cond_broadcast(&d->room);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

int disk_epochs(struct disk *d, uint64_t first, int waits)
{
    pthread_mutex_lock(&d->lock);
    int r = d->failed ? d->failed : first == 0 ? -EINVAL : 0;
    if (r == 0 && d->log.open->staged)
        log_drop_open(&d->log); /* of an earlier session, and never became whole */
    if (r == 0)
        r = close_open(d);
    if (r == 0) {
        d->committed = d->log.open->id - 1;
        d->mode = DISK_EPOCHS;
        d->hold = 0;
        while (d->direct_writes) /* new ones go to the log already */
            pthread_cond_wait(&d->room, &d->lock);
        d->delta = d->log.open->id - first;
        d->first_id = d->log.open->id;
        d->waits = waits;
        d->common_begun = 0;
        d->log_signalled = 0;
        d->released = 0;
        disk_advance_durable(d);
        disk_count_nodes(d);
        pthread_cond_broadcast(&d->work);
        pthread_cond_broadcast(&d->apply);
        pthread_cond_broadcast(&d->room);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

void disk_flush_waits(struct disk *d, int waits)
{
    pthread_mutex_lock(&d->lock);
    d->waits = waits;
    pthread_mutex_unlock(&d->lock);
}

void disk_generation(struct disk *d, uint64_t generation)
{
    pthread_mutex_lock(&d->lock);
    d->generation = generation;
    pthread_mutex_unlock(&d->lock);
}

void disk_found(struct disk *d, uint64_t *generation, uint64_t *epoch)
{
    *generation = d->found.generation; /* written before the disk's threads began */
    *epoch = d->found.epoch;
}

void disk_release(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    d->released = d->mode == DISK_EPOCHS;
    pthread_cond_broadcast(&d->room);
    pthread_mutex_unlock(&d->lock);
}

/* ---- the epoch log ---- */

int64_t disk_barrier(struct disk *d, uint64_t epoch)
{
    int64_t r = -ISF_ESTATE;
    atomic_fetch_add(&d->urgent, 1);
    pthread_mutex_lock(&d->lock);
    atomic_fetch_sub(&d->urgent, 1);
    if (d->mode == DISK_EPOCHS && epoch + d->delta == d->log.open->id) {
        r = d->log.open->count;
        int e = log_close(&d->log);
        if (e)
            r = e;
        d->released = 0;
        disk_advance_durable(d);
        pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

/* With the lock: the epoch with `id`, or NULL. */
static struct log_epoch *find_epoch(struct disk *d, uint64_t id)
{
    struct log_epoch *e = d->log.first;
    while (e && e->id != id)
        e = e->next;
    return e;
}

int disk_next(struct disk *d, struct disk_cursor *cursor, struct disk_extent *out, int *epoch_done)
{
    int r = 0;
    *epoch_done = 0;
    pthread_mutex_lock(&d->lock);
    uint64_t id = cursor->epoch + d->delta;
    if (d->mode != DISK_EPOCHS || id < d->first_id || id > d->log.open->id)
        goto out;
    /* Committed means that everyone has it; its memory may be gone. */
    struct log_epoch *e = id > d->committed ? find_epoch(d, id) : NULL;
    if (e && cursor->index < e->count) {
        const struct log_extent *x = e->extents[cursor->index++];
        if (e->taken < cursor->index)
            e->taken = (uint32_t)cursor->index;
        *out = (struct disk_extent){cursor->epoch, x->offset, x->length, x->flags, x->data};
        r = 1;
    } else if (e == d->log.open) {
        d->log_signalled = 0;
    } else {
        *epoch_done = 1;
        cursor->epoch++;
        cursor->index = 0;
    }
out:
    pthread_mutex_unlock(&d->lock);
    return r;
}

void disk_commit(struct disk *d, uint64_t epoch)
{
    pthread_mutex_lock(&d->lock);
    uint64_t id = epoch + d->delta;
    if (d->mode == DISK_EPOCHS && epoch >= d->first_id - d->delta) { /* by number: `id` of an older epoch may have wrapped */
        if (id >= d->log.open->id)
            id = d->log.open->id - 1;
        if (id > d->committed)
            d->committed = id;
        if (!d->waits && !d->common_begun) { /* both hosts are whole: what changed before is history */
            d->common_begun = 1;
            bitmap_forget(&d->bitmap);
        }
        pthread_cond_signal(&d->apply);
    }
    pthread_mutex_unlock(&d->lock);
}

/* With the lock: the caller's number of epoch `id`; 0 for one of before the last disk_epochs(). A host that joins late begins at a
 * high number with a low id, so `delta` may have wrapped below zero: only the difference means anything. */
static uint64_t number_of(const struct disk *d, uint64_t id)
{
    return id >= d->first_id ? id - d->delta : 0;
}

uint64_t disk_durable(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t epoch = number_of(d, d->durable);
    pthread_mutex_unlock(&d->lock);
    return epoch;
}

/* ---- backup ---- */

int disk_stage(struct disk *d, uint64_t epoch, uint64_t offset, uint64_t length, const uint8_t *data, uint32_t flags)
{
    if (!length || (offset | length) % IMAGE_SECTOR || offset > d->image.bytes || length > d->image.bytes - offset)
        return -EINVAL;
    if (data && length > DISK_EXTENT_MAX)
        return -EINVAL;
    struct log_extent *x = log_extent_new(offset, length, data, flags & DISK_HOLE);
    if (!x)
        return -ENOMEM;
    pthread_mutex_lock(&d->lock);
    int r = d->failed;
    if (r == 0 && (d->mode != DISK_EPOCHS || epoch + d->delta != d->log.open->id))
        r = -ISF_ESTATE;
    if (r == 0)
        r = log_add(&d->log, x);
    if (r == 0)
        x = NULL;
    if (r >= 0) {
        d->log.open->staged = 1;
        r = 0;
    }
    disk_count_nodes(d);
    pthread_mutex_unlock(&d->lock);
    free(x);
    return r;
}

void disk_discard(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    if (d->log.open->staged)
        log_drop_open(&d->log);
    disk_count_nodes(d);
    pthread_mutex_unlock(&d->lock);
}

/* ---- statistics ---- */

void disk_read_stats(struct disk *d, struct disk_stats *s)
{
    pthread_mutex_lock(&d->lock);
    *s = (struct disk_stats){
        .log_bytes = d->log.bytes,
        .applied_epoch = number_of(d, d->applied),
        .durable_epoch = number_of(d, d->durable),
    };
    pthread_mutex_unlock(&d->lock);
    s->reads = atomic_load(&d->reads);
    s->writes = atomic_load(&d->writes);
    s->flushes = atomic_load(&d->flushes_seen);
    s->read_bytes = atomic_load(&d->read_bytes);
    s->write_bytes = atomic_load(&d->write_bytes);
    s->syncs = atomic_load(&d->syncs);
    s->sync_us_last = atomic_load(&d->sync_us_last);
    s->journal_bytes = journal_bytes(&d->journal);
}
