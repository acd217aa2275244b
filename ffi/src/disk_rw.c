/* Reads, writes and flushes of the guest. */
#include "disk_state.h"

#include <stdlib.h>

#define READ_PIECE (256u << 10) /* so long the lock is held at the most for copying */
#define FULL_WAIT_US 250000     /* a full log holds writes so long, before they use its reserve */
#define FLUSH_BOUND_US 5000000u /* of disk_flush_now() */
#define WAIT_STEP_NS 20000000

/* ---- reading ---- */

/* The sectors that the log does not have come from the image, in runs. */
static int fill_missing(struct disk *d, uint64_t offset, uint32_t length, uint8_t *out, const uint8_t *missing)
{
    uint64_t end = offset + length, base = offset >> LOG_BLOCK_SHIFT;
    for (uint64_t at = offset; at < end;) {
        if (!(missing[(at >> LOG_BLOCK_SHIFT) - base] >> (at / 512 % LOG_SECTORS) & 1)) {
            at += 512;
            continue;
        }
        uint64_t from = at;
        while (at < end && missing[(at >> LOG_BLOCK_SHIFT) - base] >> (at / 512 % LOG_SECTORS) & 1)
            at += 512;
        int r = image_read(&d->image, from, at - from, out + (from - offset));
        if (r)
            return r;
    }
    return 0;
}

int disk_present(struct disk *d, uint64_t offset, uint64_t length, uint8_t *out)
{
    uint8_t missing[READ_PIECE / 4096 + 1];
    if (atomic_load(&d->log_nodes) == 0)
        return image_read(&d->image, offset, length, out);
    while (length) {
        uint32_t piece = length < READ_PIECE ? (uint32_t)length : READ_PIECE;
        pthread_mutex_lock(&d->lock);
        uint32_t lacking = log_read(&d->log, offset, piece, out, missing);
        pthread_mutex_unlock(&d->lock);
        int r = lacking ? fill_missing(d, offset, piece, out, missing) : 0;
        if (r)
            return r;
        offset += piece;
        out += piece;
        length -= piece;
    }
    return 0;
}

static void count_read(struct disk *d, uint32_t length)
{
    atomic_fetch_add_explicit(&d->reads, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->read_bytes, length, memory_order_relaxed);
}

static int report_read(struct disk *d, int r)
{
    if (r && d->config.on_error)
        d->config.on_error(d->config.context, -r, "the image cannot be read");
    return r;
}

int disk_guest_read(void *disk, uint64_t offset, uint32_t length, uint8_t *out)
{
    struct disk *d = disk;
    count_read(d, length);
    return report_read(d, disk_present(d, offset, length, out));
}

int disk_guest_read_cached(void *disk, uint64_t offset, uint32_t length, uint8_t *out)
{
    struct disk *d = disk;
    if (atomic_load(&d->log_nodes))
        return disk_guest_read(d, offset, length, out);
    int r = image_read_cached(&d->image, offset, length, out);
    if (r != -EAGAIN)
        count_read(d, length);
    return r == -EAGAIN ? r : report_read(d, r);
}

/* ---- writing straight to the image ---- */

/* One write or zeroing, in place. Called without the lock, counted in direct_writes. */
static int direct(struct disk *d, uint64_t offset, uint32_t length, const uint8_t *data, int hole)
{
    int r = bitmap_before(&d->bitmap, offset, length);
    if (r == 0) {
        r = data ? image_write(&d->image, offset, length, data) : image_zero(&d->image, offset, length, hole);
        atomic_store(&d->image_dirty, 1); /* not before: a sync that ran meanwhile may have missed it */
        bitmap_after(&d->bitmap, offset, length);
    }
    if (r && d->config.on_error)
        d->config.on_error(d->config.context, -r, "the image cannot be written");
    return r;
}

/* ---- writing into the log ---- */

static void wait_step(struct disk *d)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_STEP_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&d->room, &d->lock, &until);
}

/* With the lock. Waits until `cost` more bytes may go into the log, or the mode is no longer one with a log. 0, or -errno. A barrier can
 * come only when QEMU has no write under way, so a full log may hold a write for a while, not for ever: see disk_release(). */
static int wait_for_room(struct disk *d, size_t cost)
{
    uint64_t bound = d->config.log_bytes;
    for (;;) {
        if (d->stop)
            return -ESHUTDOWN;
        if (d->mode == DISK_DIRECT)
            return 0;
        int full = d->log.bytes > 0 && d->log.bytes + cost > bound;
        if (!full)
            d->full_since_us = 0;
        else if (!d->full_since_us)
            d->full_since_us = isf_now_us();
        if (d->failed && (full || d->mode == DISK_DRAINING))
            return d->failed;
        int patience = full && isf_now_us() - d->full_since_us < FULL_WAIT_US;
        int wall = full && d->log.bytes + cost > 2 * bound;
        if (!d->hold && (!full || d->released || (!patience && !wall)))
            return 0;
        wait_step(d);
    }
}

/* With the lock, in a mode with a log. Takes `x` over. */
static int add(struct disk *d, struct log_extent *x)
{
    uint64_t offset = x->offset, length = x->length;
    int r = log_add(&d->log, x);
    disk_count_nodes(d);
    if (r)
        free(x);
    if (r < 0)
        return r;
    if (d->mode == DISK_DRAINING) {
        bitmap_mark(&d->bitmap, offset, length); /* nobody else has it; durable before it is journalled */
        if (d->log.open->count == 1)
            pthread_cond_signal(&d->work);
    }
    return 0;
}

static void tell_log(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    int tell = d->mode == DISK_EPOCHS && !d->log_signalled;
    d->log_signalled |= tell;
    pthread_mutex_unlock(&d->lock);
    if (tell && d->config.on_log)
        d->config.on_log(d->config.context);
}

/* One piece (data: at most DISK_EXTENT_MAX), to where the mode says. */
static int put(struct disk *d, uint64_t offset, uint32_t length, const uint8_t *data, int hole)
{
    struct log_extent *x = NULL;
    int r = 0;
    pthread_mutex_lock(&d->lock);
    if (d->mode != DISK_DIRECT) {
        pthread_mutex_unlock(&d->lock);
        x = log_extent_new(offset, length, data, hole ? DISK_HOLE : 0);
        if (!x)
            return -ENOMEM;
        pthread_mutex_lock(&d->lock);
        r = wait_for_room(d, x->cost);
        if (r == 0 && d->mode != DISK_DIRECT) {
            r = add(d, x);
            pthread_mutex_unlock(&d->lock);
            if (r == 0)
                tell_log(d);
            return r;
        }
    }
    if (r == 0) {
        d->direct_writes++;
        pthread_mutex_unlock(&d->lock);
        r = direct(d, offset, length, data, hole);
        pthread_mutex_lock(&d->lock);
        if (--d->direct_writes == 0 && d->mode != DISK_DIRECT)
            pthread_cond_broadcast(&d->room);
    }
    pthread_mutex_unlock(&d->lock);
    free(x);
    return r;
}

int disk_guest_write(void *disk, uint64_t offset, uint32_t length, const uint8_t *data)
{
    struct disk *d = disk;
    atomic_fetch_add_explicit(&d->writes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&d->write_bytes, length, memory_order_relaxed);
    for (uint32_t done = 0; done < length;) {
        uint32_t piece = length - done < DISK_EXTENT_MAX ? length - done : DISK_EXTENT_MAX;
        int r = put(d, offset + done, piece, data + done, 0);
        if (r)
            return r;
        done += piece;
    }
    return 0;
}

int disk_guest_zero(void *disk, uint64_t offset, uint32_t length, int hole)
{
    struct disk *d = disk;
    atomic_fetch_add_explicit(&d->writes, 1, memory_order_relaxed);
    return put(d, offset, length, NULL, hole);
}

/* ---- flush ---- */

/* With the lock: nothing that was written before now could be lost. */
static int all_safe(struct disk *d)
{
    if (atomic_load(&d->image_dirty) || d->syncing || d->direct_writes)
        return 0;
    if (d->mode == DISK_DIRECT)
        return 1;
    return d->log.open->journalled == d->log.open->count && d->durable + 1 == d->log.open->id;
}

int disk_flush_now(struct disk *d)
{
    pthread_mutex_lock(&d->lock);
    uint64_t mine = ++d->flush_asked, deadline = isf_now_us() + FLUSH_BOUND_US;
    pthread_cond_signal(&d->work);
    while (d->flush_done < mine && !d->failed && !d->stop && isf_now_us() < deadline)
        wait_step(d);
    int r = d->failed ? d->failed : d->flush_done >= mine ? 0 : d->stop ? -ESHUTDOWN : -ETIMEDOUT;
    pthread_mutex_unlock(&d->lock);
    return r;
}

int disk_guest_flush(void *disk, struct nbd_wait *wait)
{
    struct disk *d = disk;
    int r = 1;
    pthread_mutex_lock(&d->lock);
    atomic_fetch_add_explicit(&d->flushes_seen, 1, memory_order_relaxed);
    if (d->mode == DISK_EPOCHS && (!d->waits || d->log.open->staged))
        r = 0; /* the epoch's output waits for the journal, not the flush */
    else if (d->failed)
        r = d->failed;
    else if (d->stop)
        r = -ESHUTDOWN;
    else if (all_safe(d))
        r = 0;
    if (r == 1) {
        wait->next = NULL;
        *d->flushes_last = wait;
        d->flushes_last = &wait->next;
        pthread_cond_signal(&d->work);
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}
