/* A backup's disk that failed is used again when the storage below it is well. What it held is worth nothing by then: the copy is made anew. */
#include "disk_state.h"

#include <fcntl.h>

#define IDLE_US 5000000 /* a thread may still wait for storage that answers late */

/* With the lock: both threads have noticed the failure and wait. 0 or -EBUSY. */
static int wait_idle(struct disk *d)
{
    uint64_t until = isf_now_us() + IDLE_US;
    struct timespec t = {(time_t)(until / 1000000), (long)(until % 1000000) * 1000};
    while (d->idle != (DISK_JOURNAL_IDLE | DISK_APPLY_IDLE)) {
        pthread_cond_signal(&d->work);
        pthread_cond_signal(&d->apply);
        if (pthread_cond_timedwait(&d->room, &d->lock, &t))
            return -EBUSY;
    }
    return 0;
}

/* With the lock. */
static void forget_log(struct disk *d)
{
    while (d->log.first != d->log.open) {
        struct log_epoch *e = d->log.first;
        for (uint32_t i = 0; i < e->count; i++)
            log_unindex(&d->log, e->extents[i]);
        log_epoch_free(log_pop(&d->log));
    }
    log_drop_open(&d->log);
    disk_count_nodes(d);
    d->committed = d->durable = d->applied = d->reported = d->log.open->id - 1;
}

/* A sync that failed may have left pages in memory that look written and are not: they are read from the storage again. */
static int mend_image(struct image *m)
{
    pthread_mutex_lock(&m->sync_lock);
    int failed = m->sync_failed, r = disk_io_sync(m->io, m->fd);
    if (r == 0 && failed)
        r = -posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (r == 0)
        m->sync_failed = 0;
    pthread_mutex_unlock(&m->sync_lock);
    return r;
}

static int mend_journal(struct journal *j)
{
    pthread_mutex_lock(&j->sync_lock);
    int r = journal_reset(j);
    if (r == 0)
        j->sync_failed = 0;
    pthread_mutex_unlock(&j->sync_lock);
    return r;
}

int disk_mend(struct disk *d)
{
    int r = 0;
    pthread_mutex_lock(&d->lock);
    if (d->failed && !d->stop) {
        r = wait_idle(d);
        if (r == 0)
            r = mend_journal(&d->journal);
        if (r == 0)
            r = mend_image(&d->image);
        if (r == 0) {
            forget_log(d);
            d->failed = d->hold = d->need_room = 0;
            atomic_store(&d->image_dirty, 0);
            d->mode = DISK_DIRECT;
            pthread_cond_broadcast(&d->room);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}
