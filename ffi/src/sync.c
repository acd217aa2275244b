/* First sync and resync: brings the backup up to date in rounds while the guest runs (pre-copy), then leaves so little that a
 * checkpoint takes it along.
 *
 *   memory   all pages that are not zero; then what was written meanwhile, until that is little or stops shrinking
 *   disks    chunks that are marked changed, those that the backup has already (by hash) left out; then the disk stands still
 *            (EPOCHS), and the rest goes over
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS_MAX 30
#define LITTLE_PAGES 2000u        /* so few that one checkpoint takes them along */
#define LITTLE_DISK (4u << 20)
#define HASH_WAIT_US 10000000u
#define REPORT_US 200000u

struct sync {
    struct isf_engine *e;
    uint8_t *pages;               /* CODEC_BATCH_PAGES of them, copied: the guest goes on writing */
    uint64_t numbers[CODEC_BATCH_PAGES];
    uint32_t count, round;
    int skip_zero;
    uint64_t started_us, reported_us, sent;
    uint64_t done, total;
};

static int unwanted(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int stop = e->want != WORKER_SYNC;
    pthread_mutex_unlock(&e->lock);
    return stop;
}

static void progress(struct sync *s, int now)
{
    uint64_t t = isf_now_us();
    if (!now && t - s->reported_us < REPORT_US)
        return;
    s->reported_us = t;
    uint64_t rate = t > s->started_us ? s->sent * 1000000u / (t - s->started_us) : 0;
    status_set(&s->e->status->sync_bytes_done, s->done);
    status_set(&s->e->status->sync_bytes_total, s->total);
    events_send(&s->e->events, "sync", "\"round\":%u,\"bytes_done\":%llu,\"bytes_total\":%llu,\"rate_bytes_s\":%llu", s->round,
                (unsigned long long)s->done, (unsigned long long)s->total, (unsigned long long)rate);
}

static uint64_t losses_of(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    uint64_t losses = e->line_losses;
    pthread_mutex_unlock(&e->lock);
    return losses;
}

/* All of a sync goes over one line, and one connection: what was on its way on a line that is lost would be missing, and nobody would
 * notice. A loss is counted before anything can be sent on another. */
static int sync_send(struct isf_engine *e, uint32_t flags, uint64_t epoch, const struct iovec *parts, int count)
{
    int r = engine_send(e, FRAME_SYNC, flags, epoch, parts, count);
    return r || losses_of(e) != e->sync_losses ? -ISF_ELINK : 0;
}

static int send_pages(struct sync *s)
{
    struct codec_page page[CODEC_BATCH_PAGES];
    struct buffer *out = &s->e->sync_wire;
    if (!s->count)
        return 0;
    for (uint32_t i = 0; i < s->count; i++)
        page[i] = (struct codec_page){ s->numbers[i], s->pages + (size_t)i * ISF_PAGE };
    out->length = 0;
    int64_t n = encoder_batch(s->e->encoder, page, s->count, 0, out, NULL);
    s->count = 0;
    if (n <= 0)
        return (int)n;
    struct iovec part = { out->data, out->length };
    s->sent += out->length;
    return sync_send(s->e, SYNC_PAGES, 0, &part, 1);
}

/* Takes `count` pages from number `page` on into batches. */
static int add_pages(struct sync *s, uint64_t page, uint64_t count)
{
    while (count) {
        uint64_t n = CODEC_BATCH_PAGES - s->count;
        if (n > count)
            n = count;
        uint8_t *at = s->pages + (size_t)s->count * ISF_PAGE;
        int r = blocks_read(&s->e->blocks, page, n, at);
        if (r)
            return r;
        uint32_t kept = s->count;
        for (uint64_t i = 0; i < n; i++) {
            const uint8_t *from = at + i * ISF_PAGE;
            if (s->skip_zero && page_is_zero(from))
                continue;
            uint8_t *to = s->pages + (size_t)kept * ISF_PAGE;
            if (to != from)
                memcpy(to, from, ISF_PAGE);
            s->numbers[kept++] = page + i;
        }
        s->count = kept;
        s->done += n * ISF_PAGE;
        page += n;
        count -= n;
        if (s->count == CODEC_BATCH_PAGES) {
            r = send_pages(s);
            if (r)
                return r;
        }
        progress(s, 0);
        if (unwanted(s->e))
            return -ECANCELED;
    }
    return 0;
}

static int first_round(struct sync *s)
{
    struct isf_engine *e = s->e;
    int r = 0;
    s->skip_zero = 1; /* the backup begins with zeroes */
    for (uint64_t page = 0, count; r == 0 && blocks_next_data(&e->blocks, e->memfd, page, &page, &count); page += count)
        r = add_pages(s, page, count);
    s->done = e->blocks.ram_pages * ISF_PAGE;
    for (uint32_t i = 1; r == 0 && i < e->blocks.count; i++)
        r = add_pages(s, e->blocks.block[i].page, e->blocks.block[i].bytes / ISF_PAGE);
    if (r == 0)
        r = send_pages(s);
    s->skip_zero = 0;
    return r;
}

static int lost_round(struct sync *s)
{
    struct isf_engine *e = s->e;
    for (uint64_t page = 0; page < e->blocks.pages; page++) {
        if (!(page & 7) && !e->lost[page >> 3]) {
            page += 7;
            continue;
        }
        if (e->lost[page >> 3] & 1u << (page & 7)) {
            int r = add_pages(s, page, 1);
            if (r)
                return r;
        }
    }
    return send_pages(s);
}

static void mark_lost(struct isf_engine *e, const struct tracker_run *run)
{
    for (uint64_t page = run->page; page < run->page + run->count; page++)
        e->lost[page >> 3] |= (uint8_t)(1u << (page & 7));
}

/* Rounds of what the guest wrote meanwhile. Pages taken here are not dirty any more: if the sync fails they must be remembered. */
static int more_rounds(struct sync *s)
{
    struct isf_engine *e = s->e;
    uint64_t before = UINT64_MAX;
    for (s->round++; s->round < ROUNDS_MAX; s->round++) {
        uint64_t dirty;
        int r = tracker_peek(e->tracker, &dirty);
        if (r || dirty <= LITTLE_PAGES || dirty > before - before / 8)
            return r; /* little, or it does not shrink any more: the guest writes as fast as we send */
        before = dirty;
        const struct tracker_run *runs;
        uint32_t count;
        r = tracker_collect(e->tracker, &runs, &count);
        s->total += dirty * ISF_PAGE;
        for (uint32_t i = 0; r == 0 && i < count; i++) /* all of them first: they are not dirty any more */
            mark_lost(e, &runs[i]);
        for (uint32_t i = 0; r == 0 && i < count; i++)
            r = add_pages(s, runs[i].page, runs[i].count);
        if (r == 0)
            r = send_pages(s);
        if (r)
            return r;
    }
    return 0;
}

/* ---- disks ---- */

/* Has the backup's hashes of the region that holds `chunk`, or waits for them. */
static int need_hashes(struct sync *s, int disk, uint64_t chunk)
{
    struct isf_engine *e = s->e;
    uint64_t chunks = (disk_bytes(e->disk[disk]) + DISK_CHUNK - 1) / DISK_CHUNK;
    uint64_t first = chunk - chunk % HASH_REGION;
    uint32_t count = (uint32_t)(chunks - first < HASH_REGION ? chunks - first : HASH_REGION);
    if (e->hash_disk == disk && e->hash_first == first && e->hash_ready)
        return 0;
    uint8_t ask[HASH_HEADER];
    put_le32(ask, (uint32_t)disk);
    put_le64(ask + 4, first);
    put_le32(ask + 12, count);
    pthread_mutex_lock(&e->lock);
    e->hash_disk = disk;
    e->hash_first = first;
    e->hash_count = count;
    e->hash_ready = 0;
    pthread_mutex_unlock(&e->lock);
    struct iovec part = { ask, sizeof ask };
    int r = sync_send(e, SYNC_HASH_ASK, 0, &part, 1);
    uint64_t deadline = isf_now_us() + HASH_WAIT_US;
    while (r == 0) {
        pthread_mutex_lock(&e->lock);
        int ready = e->hash_ready;
        pthread_mutex_unlock(&e->lock);
        if (ready)
            return 0;
        if (unwanted(e))
            return -ECANCELED;
        if (losses_of(e) != e->sync_losses)
            return -ISF_ELINK;
        if (isf_now_us() > deadline)
            return engine_problem(e, -ISF_ELIMIT, "the backup did not answer for its disk within 10 s");
        usleep(500);
    }
    return r;
}

static int send_disk(struct sync *s, int disk, uint64_t offset, uint64_t length, const uint8_t *data)
{
    uint8_t head[DISK_HEADER];
    put_le32(head, (uint32_t)disk);
    put_le32(head + 4, data ? 0 : PAYLOAD_ZERO);
    put_le64(head + 8, offset);
    put_le64(head + 16, length);
    struct iovec parts[2] = { { head, sizeof head }, { (void *)(uintptr_t)data, data ? length : 0 } };
    s->sent += sizeof head + (data ? length : 0);
    return sync_send(s->e, SYNC_DISK, 0, parts, data ? 2 : 1);
}

/* One changed run: each chunk whose hash differs from the backup's. `compare` = 0: all of it. */
static int copy_run(struct sync *s, int disk, uint64_t offset, uint64_t length, uint8_t *data, int compare)
{
    struct isf_engine *e = s->e;
    while (length) {
        uint32_t n = (uint32_t)(length < DISK_CHUNK ? length : DISK_CHUNK);
        int zero = 0, r = compare ? need_hashes(s, disk, offset / DISK_CHUNK) : 0;
        uint64_t hash = 0;
        if (r == 0)
            r = disk_read(e->disk[disk], offset, n, data, &zero);
        if (r == 0 && compare)
            r = disk_hashes(e->disk[disk], offset / DISK_CHUNK, 1, &hash);
        if (r == 0 && !(compare && hash == e->hashes[offset / DISK_CHUNK - e->hash_first]))
            r = send_disk(s, disk, offset, n, zero ? NULL : data);
        if (r)
            return r;
        s->done += n;
        offset += n;
        length -= n;
        progress(s, 0);
    }
    return unwanted(e) ? -ECANCELED : 0;
}

static int copy_changed(struct sync *s, int disk, int compare)
{
    struct isf_engine *e = s->e;
    uint8_t *data = malloc(DISK_EXTENT_MAX);
    uint64_t offset = 0, length;
    int r = data ? 0 : -ENOMEM;
    e->hash_ready = 0;
    while (r == 0 && disk_changed_take(e->disk[disk], &offset, &length)) {
        r = copy_run(s, disk, offset, length, data, compare);
        offset += length;
    }
    free(data);
    return r;
}

/* All that changed, in passes, while the guest goes on writing. */
static int copy_disks(struct sync *s, int changed_only)
{
    struct isf_engine *e = s->e;
    for (int i = 0; i < e->disks; i++) {
        int trusted = changed_only && disk_changed_trusted(e->disk[i]);
        int r = trusted ? 0 : disk_changed_begin(e->disk[i], 1);
        for (int pass = 0; r == 0 && pass < 8; pass++) {
            if (pass && disk_changed_bytes(e->disk[i]) <= LITTLE_DISK)
                break;
            r = copy_changed(s, i, pass == 0 && !trusted);
        }
        if (r)
            return r;
    }
    return 0;
}

/* The disks stand still from here on: the rest goes over while writes collect in the log of the first epoch. */
static int freeze_disks(struct sync *s)
{
    struct isf_engine *e = s->e;
    int r = 0;
    for (int i = 0; r == 0 && i < e->disks; i++)
        r = disk_epochs(e->disk[i], e->open_epoch, 1);
    for (int i = 0; r == 0 && i < e->disks; i++)
        r = copy_changed(s, i, 0);
    return r;
}

static int rounds(struct sync *s, int changed_only)
{
    struct isf_engine *e = s->e;
    int r = changed_only ? 0 : tracker_begin(e->tracker);
    if (r)
        return engine_problem(e, r, "dirty-page tracking did not start");
    /* A comparison does not see a page that changed, was sent, and changed back. */
    e->copy_all = tracker_kind_of(e->tracker) == TRACKER_COMPARE;
    s->total = changed_only ? 0 : e->blocks.pages * ISF_PAGE;
    for (int i = 0; i < e->disks; i++)
        s->total += changed_only ? disk_changed_bytes(e->disk[i]) : disk_bytes(e->disk[i]);
    r = changed_only ? lost_round(s) : first_round(s);
    if (r == 0)
        r = copy_disks(s, changed_only);
    if (r == 0)
        r = more_rounds(s);
    if (r == 0)
        r = freeze_disks(s);
    return r ? r : more_rounds(s);
}

static int begin_epochs(struct isf_engine *e, struct sync *s)
{
    progress(s, 1);
    pthread_mutex_lock(&e->release_lock);
    e->committed = e->released = e->remote_durable = e->open_epoch - 1;
    e->disk_mark = 0;
    atomic_store(&e->reaped, e->committed);
    pthread_mutex_unlock(&e->release_lock);
    int r = sync_send(e, SYNC_EPOCHS, e->open_epoch, NULL, 0);
    if (r)
        return r;
    e->resumed_us = isf_now_us();
    pthread_mutex_lock(&e->lock);
    e->send_epoch = e->open_epoch;
    e->send_reset = 1;
    e->sending = e->work = 1;
    e->stalled = 0;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    return 0;
}

int sync_run(struct isf_engine *e, int changed_only)
{
    struct sync s = { .e = e, .started_us = isf_now_us(), .pages = malloc((size_t)CODEC_BATCH_PAGES * ISF_PAGE) };
    if (!s.pages)
        return -ENOMEM;
    pthread_mutex_lock(&e->lock);
    e->sync_losses = e->line_losses;
    e->sync_void = e->sent_any = e->broken = e->encoder_broke = 0;
    pthread_mutex_unlock(&e->lock);
    encoder_reset(e->encoder);
    int r = rounds(&s, changed_only);
    if (r == 0)
        r = begin_epochs(e, &s);
    for (int i = 0; r && i < e->disks; i++)
        disk_direct(e->disk[i]);
    free(s.pages);
    if (r == -ECANCELED)
        return 0; /* something else is wanted now */
    return r == -ISF_ELINK ? engine_problem(e, r, "the line to the backup was lost during the sync: it starts again by itself") : r;
}

void sync_remember_lost(struct isf_engine *e)
{
    while (e->first) {
        struct epoch *epoch = e->first;
        for (uint32_t i = 0; e->lost && i < epoch->run_count; i++)
            mark_lost(e, &epoch->runs[i]);
        e->first = epoch->next;
        epoch_free(e, epoch);
    }
    e->last = NULL;
    e->inflight = 0;
    e->inflight_bytes = 0;
}
