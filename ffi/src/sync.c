/* First sync and resync: brings the backup up to date in rounds while the guest runs (pre-copy), then leaves so little that a
 * checkpoint takes it along.
 *
 *   memory   all pages that are missing on the backup (at first those that are not zero); then what was written meanwhile, until that is
 *            little or stops shrinking
 *   disks    sync_disk.c
 *
 * A sync that is broken off leaves a record of what is missing: the next one with the same backup sends only that. */
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS_MAX 30
#define LITTLE_PAGES 2000u        /* so few that one checkpoint takes them along */

static int send_pages(struct sync *s)
{
    struct codec_page page[SYNC_BATCH];
    struct buffer *out = &s->e->sync_wire;
    struct sync_piece piece = { .count = s->count };
    if (!s->count)
        return 0;
    for (uint32_t i = 0; i < s->count; i++)
        page[i] = (struct codec_page){ s->numbers[i], s->pages + (size_t)i * ISF_PAGE };
    out->length = 0;
    int64_t n = encoder_batch(s->e->encoder, page, s->count, 0, out, NULL);
    if (n <= 0)
        return (int)n;
    piece.numbers = malloc(s->count * sizeof *piece.numbers);
    if (!piece.numbers)
        return -ENOMEM;
    memcpy(piece.numbers, s->numbers, s->count * sizeof *piece.numbers);
    s->count = 0;
    struct iovec part = { out->data, out->length };
    return sync_send_piece(s, SYNC_PAGES, &part, 1, &piece);
}

/* Makes room for at least one page. */
static int room(struct sync *s)
{
    return s->count == SYNC_BATCH ? send_pages(s) : 0;
}

/* Takes the page at s->pages[at] into the batch, unless the backup has it: it begins with zeroes. */
static void keep_page(struct sync *s, uint64_t page, uint32_t at)
{
    struct isf_engine *e = s->e;
    uint8_t *from = s->pages + (size_t)at * ISF_PAGE, *to = s->pages + (size_t)s->count * ISF_PAGE;
    if (!page_test(e->there, page)) {
        if (page_is_zero(from)) {
            page_clear(e->lost, page);
            return;
        }
        page_set(e->there, page);
    }
    if (to != from)
        memcpy(to, from, ISF_PAGE);
    s->numbers[s->count++] = page;
}

/* Takes `count` pages from number `page` on (of one block) into batches. */
static int add_pages(struct sync *s, uint64_t page, uint64_t count)
{
    while (count) {
        int r = room(s);
        uint32_t n = SYNC_BATCH - s->count, first = s->count;
        n = n > count ? (uint32_t)count : n;
        if (r == 0)
            r = blocks_read(&s->e->blocks, page, n, s->pages + (size_t)first * ISF_PAGE);
        if (r)
            return r;
        for (uint32_t i = 0; i < n; i++)
            keep_page(s, page + i, first + i);
        s->done += (uint64_t)n * ISF_PAGE;
        page += n;
        count -= n;
        sync_progress(s, 0);
        r = sync_broken(s->e);
        if (r)
            return r;
    }
    return 0;
}

/* Pages of main memory that nobody ever used are zero; reading them would allocate them. */
static int add_holes(struct sync *s, uint64_t page, uint64_t end)
{
    struct isf_engine *e = s->e;
    for (; page < end; page++) {
        int r = page_test(e->lost, page) ? room(s) : 0;
        if (r)
            return r;
        if (!page_test(e->lost, page))
            continue;
        memset(s->pages + (size_t)s->count * ISF_PAGE, 0, ISF_PAGE);
        keep_page(s, page, s->count);
        s->done += ISF_PAGE;
    }
    return 0;
}

/* What is missing in [page, end), which lies in one block and has data. */
static int add_missing(struct sync *s, uint64_t page, uint64_t end)
{
    struct isf_engine *e = s->e;
    int r = 0;
    while (r == 0 && page < end) {
        if (!(page & 7) && !e->lost[page >> 3]) {
            page += 8;
            continue;
        }
        uint64_t n = 0;
        while (page + n < end && page_test(e->lost, page + n))
            n++;
        r = n ? add_pages(s, page, n) : 0;
        page += n + 1; /* the one after it is not missing */
    }
    return r;
}

static int missing_round(struct sync *s)
{
    struct isf_engine *e = s->e;
    uint64_t ram = e->blocks.ram_pages, page = 0, data, count;
    int r = 0;
    while (r == 0 && blocks_next_data(&e->blocks, e->memfd, page, &data, &count)) {
        r = add_holes(s, page, data);
        if (r == 0)
            r = add_missing(s, data, data + count);
        page = data + count;
    }
    if (r == 0)
        r = add_holes(s, page, ram);
    for (uint32_t i = 1; r == 0 && i < e->blocks.count; i++)
        r = add_missing(s, e->blocks.block[i].page, e->blocks.block[i].page + e->blocks.block[i].bytes / ISF_PAGE);
    return r ? r : send_pages(s);
}

/* Rounds of what the guest wrote meanwhile. Pages taken here are not dirty any more: if the sync fails they are missing. */
static int more_rounds(struct sync *s)
{
    struct isf_engine *e = s->e;
    uint64_t before = UINT64_MAX;
    s->phase = PHASE_MEMORY;
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
            sync_mark_lost(e, &runs[i]);
        for (uint32_t i = 0; r == 0 && i < count; i++)
            r = add_pages(s, runs[i].page, runs[i].count);
        if (r == 0)
            r = send_pages(s);
        if (r)
            return r;
    }
    return 0;
}

/* The backup begins with zeroes: everything is missing, and what is zero here is there already. */
static int begin_all(struct isf_engine *e)
{
    int r = tracker_begin(e->tracker);
    if (r)
        return engine_problem(e, r, "dirty-page tracking did not start");
    memset(e->there, 0, e->blocks.pages / 8 + 1);
    memset(e->lost, 0xff, e->blocks.pages / 8 + 1);
    for (uint64_t page = e->blocks.pages; page < (e->blocks.pages / 8 + 1) * 8; page++)
        page_clear(e->lost, page);
    pthread_mutex_lock(&e->lock);
    e->common = 1;
    pthread_mutex_unlock(&e->lock);
    return 0;
}

static uint64_t missing_pages(const struct isf_engine *e)
{
    uint64_t pages = 0;
    for (uint64_t i = 0; i < e->blocks.pages / 8 + 1; i++)
        pages += (uint64_t)__builtin_popcount(e->lost[i]);
    return pages;
}

static int rounds(struct sync *s, int changed_only)
{
    struct isf_engine *e = s->e;
    int r = changed_only ? 0 : begin_all(e);
    if (r)
        return r;
    /* A comparison does not see a page that changed, was sent, and changed back. */
    e->copy_all = tracker_kind_of(e->tracker) == TRACKER_COMPARE;
    s->total = missing_pages(e) * ISF_PAGE + sync_disks_bytes(e, changed_only);
    r = missing_round(s);
    if (r == 0)
        r = sync_disks(s, changed_only);
    if (r == 0)
        r = more_rounds(s);
    if (r == 0)
        r = sync_freeze_disks(s);
    return r ? r : more_rounds(s);
}

static int begin_epochs(struct isf_engine *e, struct sync *s)
{
    sync_progress(s, 1);
    memset(e->there, 0xff, e->blocks.pages / 8 + 1); /* epochs do not say what they bring */
    pthread_mutex_lock(&e->release_lock);
    e->committed = e->released = e->remote_durable = e->open_epoch - 1;
    e->release_generation = atomic_load(&e->generation);
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
    struct sync s = { .e = e, .phase = PHASE_MEMORY, .reported_us = isf_now_us(), .pages = malloc((size_t)SYNC_BATCH * ISF_PAGE) };
    if (!s.pages)
        return -ENOMEM;
    pthread_mutex_lock(&e->lock);
    e->sync_losses = e->line_losses;
    e->sync_void = e->sent_any = e->broken = e->encoder_broke = 0;
    sync_forget_pieces(e);
    pthread_mutex_unlock(&e->lock);
    encoder_reset(e->encoder);
    int r = rounds(&s, changed_only);
    if (r == 0)
        r = begin_epochs(e, &s);
    for (int i = 0; r && i < e->disks; i++)
        disk_direct(e->disk[i]);
    if (r) {
        sync_progress(&s, 1);
        pthread_mutex_lock(&e->lock);
        sync_remember_lost(e);
        pthread_mutex_unlock(&e->lock);
    }
    free(s.pages);
    if (r == -ECANCELED)
        return 0; /* something else is wanted now */
    return r == -ISF_ELINK ? engine_problem(e, r, "the line to the backup was lost during the sync: it starts again by itself") : r;
}
