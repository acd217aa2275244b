/* The backup's copy. An epoch is staged in parts, applied when it is whole, and never otherwise:
 *
 *   PAGES ─► decoded against the memory of epoch N-1 ─► staged ┐
 *   DISK  ─► disk_stage: the open epoch's log                  ├─ END: counts agree ─► COMMIT ─► memory, blocks, disks
 *   (device state: pages behind the memory's)                  ┘
 *
 * Page numbers below first_block_page are main memory; the rest is in `blocks` until a takeover writes it into QEMU. */
#include "engine.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failpoint.h"

#define SYNC_ACK_BYTES (256u << 10)
#define SYNC_ACK_FRAMES 32u /* of SYNC_PIECES that the primary remembers */

static uint64_t pages_of(const struct isf_engine *e)
{
    return e->blocks.pages + BLOCKS_DEVICE_PAGES;
}

static uint8_t *page_at(struct isf_engine *e, uint64_t page)
{
    struct standby *s = &e->standby;
    return page < s->first_block_page ? e->ram + page * ISF_PAGE : s->blocks + (page - s->first_block_page) * ISF_PAGE;
}

static const uint8_t *old_page(void *context, uint64_t page)
{
    return page_at(context, page);
}

static void put_page(struct isf_engine *e, uint64_t page, const uint8_t *data)
{
    memcpy(page_at(e, page), data, ISF_PAGE);
    if (page >= e->standby.first_block_page)
        e->standby.touched[page - e->standby.first_block_page] = 1;
}

static void free_batch(struct staged_batch *b)
{
    free(b->numbers);
    free(b->data);
    free(b);
}

static struct staged_batch *new_batch(struct standby *s)
{
    struct staged_batch *b = s->spare;
    if (b) {
        s->spare = b->next;
        b->next = NULL;
        return b;
    }
    b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->numbers = malloc(CODEC_BATCH_PAGES * sizeof *b->numbers);
    b->data = malloc((size_t)CODEC_BATCH_PAGES * ISF_PAGE);
    if (!b->numbers || !b->data) {
        free_batch(b);
        return NULL;
    }
    return b;
}

/* Forgets what is staged of an epoch that did not become whole. With its lock. */
void standby_discard(struct standby *s)
{
    int kept = 0;
    for (struct staged_batch *b = s->spare; b; b = b->next)
        kept++;
    while (s->first) {
        struct staged_batch *b = s->first;
        s->first = b->next;
        if (kept++ < 16) {
            b->next = s->spare;
            s->spare = b;
        } else {
            free_batch(b);
        }
    }
    s->last = NULL;
    s->staged_frames = s->staged_extents = s->staged_pages = 0;
}

static int stage_pages(struct isf_engine *e, const struct frame *f, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    if (s->staged_pages > pages_of(e))
        return -ISF_ECORRUPT;
    struct staged_batch *b = new_batch(s);
    if (!b)
        return -ENOMEM;
    b->pages = decoder_batch(s->decoder, payload, f->length, old_page, e, b->numbers, b->data);
    b->next = NULL;
    if (b->pages < 0) {
        int r = b->pages;
        free_batch(b);
        return r;
    }
    if (s->last)
        s->last->next = b;
    else
        s->first = b;
    s->last = b;
    s->staged_frames++;
    s->staged_pages += (uint64_t)b->pages;
    return 0;
}

/* disk 4, flags 4, offset 8, length 8, data: checked, and given to `take`. */
static int disk_payload(struct isf_engine *e, const struct frame *f, const uint8_t *payload, int staged)
{
    if (f->length < DISK_HEADER)
        return -ISF_ECORRUPT;
    uint32_t disk = get_le32(payload), flags = get_le32(payload + 4);
    uint64_t offset = get_le64(payload + 8), length = get_le64(payload + 16), data = f->length - DISK_HEADER;
    if (disk >= (uint32_t)e->disks || (flags & ~(PAYLOAD_ZERO | DISK_HOLE)) || length == 0)
        return -ISF_ECORRUPT;
    if (flags & PAYLOAD_ZERO ? data != 0 : data != length || length > DISK_EXTENT_MAX)
        return -ISF_ECORRUPT;
    uint64_t bytes = disk_bytes(e->disk[disk]);
    if (offset > bytes || length > bytes - offset)
        return -ISF_ECORRUPT;
    const uint8_t *from = flags & PAYLOAD_ZERO ? NULL : payload + DISK_HEADER;
    if (!staged)
        return disk_write_sync(e->disk[disk], offset, length, from);
    e->standby.staged_extents++;
    return disk_stage(e->disk[disk], f->epoch, offset, length, from, flags & DISK_HOLE);
}

static int sync_pages(struct isf_engine *e, const struct frame *f, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    struct staged_batch *b = new_batch(s);
    if (!b)
        return -ENOMEM;
    int32_t n = decoder_batch(s->decoder, payload, f->length, old_page, e, b->numbers, b->data);
    for (int32_t i = 0; i < n; i++)
        put_page(e, b->numbers[i], b->data + (size_t)i * ISF_PAGE);
    b->next = s->spare;
    s->spare = b;
    return n < 0 ? n : 0;
}

static int answer_hashes(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    if (f->length != HASH_HEADER)
        return -ISF_ECORRUPT;
    uint32_t disk = get_le32(payload), count = get_le32(payload + 12);
    uint64_t first = get_le64(payload + 4), hash[HASH_REGION];
    if (disk >= (uint32_t)e->disks || count == 0 || count > HASH_REGION)
        return -ISF_ECORRUPT;
    uint64_t chunks = (disk_bytes(e->disk[disk]) + DISK_CHUNK - 1) / DISK_CHUNK;
    if (first > chunks || count > chunks - first)
        return -ISF_ECORRUPT;
    int r = disk_hashes(e->disk[disk], first, count, hash);
    if (r)
        return r;
    uint8_t out[HASH_REGION * 8];
    for (uint32_t i = 0; i < count; i++)
        put_le64(out + 8 * (size_t)i, hash[i]);
    struct frame answer = { .type = FRAME_SYNC, .flags = SYNC_HASHES, .generation = f->generation, .term = f->term };
    struct iovec parts[2] = { { (void *)(uintptr_t)payload, HASH_HEADER }, { out, count * 8 } };
    link_send(e->link[link], &answer, parts, 2);
    return 0;
}

/* Tells the primary how much of the sync is here, now and then: what it has not heard of when the line is lost, it sends again. */
static void acknowledge_sync(struct isf_engine *e, int link, const struct frame *f)
{
    struct standby *s = &e->standby;
    s->sync_frames++;
    s->sync_bytes += f->length;
    if (s->sync_bytes < SYNC_ACK_BYTES && s->sync_frames - s->sync_told < SYNC_ACK_FRAMES)
        return;
    uint8_t payload[ACK_PAYLOAD];
    put_le64(payload, s->sync_frames);
    struct frame answer = { .type = FRAME_SYNC, .flags = SYNC_ACK, .generation = f->generation, .term = f->term };
    struct iovec part = { payload, sizeof payload };
    if (link_send(e->link[link], &answer, &part, 1) == 0) {
        s->sync_told = s->sync_frames;
        s->sync_bytes = 0;
    }
}

/* The primary's disks stand still: from here on their changes come by epochs. */
static int open_epochs(struct isf_engine *e, uint64_t first)
{
    struct standby *s = &e->standby;
    int r = first == 0 ? -ISF_ECORRUPT : 0;
    for (int i = 0; r == 0 && i < e->disks; i++) {
        r = disk_sync(e->disk[i]);
        disk_generation(e->disk[i], s->generation);
        if (r == 0)
            r = disk_epochs(e->disk[i], first, 0);
    }
    s->epochs_open = r == 0;
    s->committed = first - 1;
    return r;
}

void standby_acknowledge(struct isf_engine *e, int verified)
{
    struct standby *s = &e->standby;
    uint8_t payload[COMMIT_PAYLOAD];
    uint64_t durable = s->committed;
    if (s->withheld)
        return;
    for (int i = 0; i < e->disks; i++) {
        uint64_t d = disk_durable(e->disk[i]);
        durable = d < durable ? d : durable;
    }
    put_le64(payload, durable);
    put_le32(payload + 8, (uint32_t)verified);
    struct frame f = { .type = FRAME_COMMIT, .generation = s->generation, .term = s->term, .epoch = s->committed };
    struct iovec part = { payload, sizeof payload };
    if (s->rx_link < 0 || link_send(e->link[s->rx_link], &f, &part, 1))
        for (int i = 0; i < 2; i++)
            if (i != s->rx_link && e->link[i] && link_send(e->link[i], &f, &part, 1) == 0)
                break;
}

void standby_commits(struct isf_engine *e, int on)
{
    struct standby *s = &e->standby;
    pthread_mutex_lock(&s->lock);
    s->withheld = !on;
    if (on && s->active && s->whole)
        standby_acknowledge(e, 0);
    pthread_mutex_unlock(&s->lock);
}

void standby_tell_durable(struct isf_engine *e)
{
    struct standby *s = &e->standby;
    if (!atomic_load(&s->tell_durable) || pthread_mutex_trylock(&s->lock))
        return;
    if (atomic_exchange(&s->tell_durable, 0) && s->active && s->whole)
        standby_acknowledge(e, 0);
    pthread_mutex_unlock(&s->lock);
}

static void apply(struct isf_engine *e)
{
    struct standby *s = &e->standby;
    uint64_t applied = 0;
    for (struct staged_batch *b = s->first; b; b = b->next)
        for (int32_t i = 0; i < b->pages; i++) {
            put_page(e, b->numbers[i], b->data + (size_t)i * ISF_PAGE);
            if (++applied == s->staged_pages / 2)
                failpoint(FAIL_APPLY_HALF);
        }
    for (int i = 0; i < e->disks; i++)
        disk_commit(e->disk[i], s->committed);
}

static int check_digests(struct isf_engine *e, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    struct digests d;
    const uint8_t *device = page_at(e, e->blocks.pages);
    if (digest_all(e, device, s->device_bytes, s->blocks, &d))
        return VERIFIED_DONE;
    return VERIFIED_DONE | (d.memory == get_le64(payload + 40) ? VERIFIED_MEMORY : 0) |
           (d.blocks == get_le64(payload + 48) ? VERIFIED_BLOCKS : 0) | (d.device == get_le64(payload + 56) ? VERIFIED_DEVICE : 0) |
           (d.disk == get_le64(payload + 64) ? VERIFIED_DISK : 0);
}

static int learn_addresses(struct isf_engine *e, const uint8_t *in, uint32_t length)
{
    for (int i = 0; i < e->nics && length >= 4; i++) {
        uint32_t n = get_le32(in);
        if (n > length - 4)
            return -ISF_ECORRUPT;
        int r = n ? gate_learn(e->gate[i], in + 4, n) : 0;
        if (r)
            return r;
        in += 4 + n;
        length -= 4 + n;
    }
    return 0;
}

static int end_epoch(struct isf_engine *e, const struct frame *f, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    if (f->length < END_PAYLOAD || get_le32(payload + 36) != f->length - END_PAYLOAD)
        return -ISF_ECORRUPT;
    if (get_le64(payload) != s->staged_frames || get_le64(payload + 16) != s->staged_extents)
        return -ISF_ECORRUPT; /* something of it is missing */
    uint64_t device = get_le64(payload + 24);
    if (device == 0 || device > (uint64_t)BLOCKS_DEVICE_PAGES * ISF_PAGE)
        return -ISF_ECORRUPT;
    int r = learn_addresses(e, payload + END_PAYLOAD, f->length - END_PAYLOAD);
    if (r)
        return r;
    for (int i = 0; i < e->disks; i++)
        disk_barrier(e->disk[i], f->epoch);
    failpoint(FAIL_STAGE_WHOLE);
    int verify = get_le32(payload + 32) & END_VERIFY;
    s->committed = f->epoch;
    s->device_bytes = device;
    if (!verify)
        standby_acknowledge(e, 0);
    failpoint(FAIL_ACKNOWLEDGED);
    apply(e);
    standby_discard(s);
    if (verify)
        standby_acknowledge(e, check_digests(e, payload));
    if (!s->whole) {
        s->whole = 1;
        events_send(&e->events, "whole", "\"epoch\":%llu", (unsigned long long)f->epoch);
    }
    status_set(&e->status->epoch, f->epoch);
    status_set(&e->status->committed, f->epoch);
    return 0;
}

/* The primary believes that the sync is over, but its end was on a line that was lost. What may still come late on that line must not
 * make a copy whole that we have called void. */
static void call_void(struct isf_engine *e, int link, const struct frame *f)
{
    struct frame answer = { .type = FRAME_SYNC, .flags = SYNC_VOID, .generation = f->generation, .term = f->term };
    e->standby.is_void = 1;
    link_send(e->link[link], &answer, NULL, 0);
}

static int restart(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    if (f->length != RESTART_PAYLOAD)
        return -ISF_ECORRUPT;
    uint64_t number = get_le64(payload), first = f->epoch;
    if (number <= s->restart)
        return 0; /* it was overtaken by one on the other line */
    s->restart = number;
    if (!s->epochs_open) {
        call_void(e, link, f);
        return 0;
    }
    if (first > s->committed + 1)
        return -ISF_ECORRUPT;
    standby_discard(s);
    for (int i = 0; i < e->disks; i++)
        disk_discard(e->disk[i]);
    s->rx_link = link;
    if (s->whole)
        standby_acknowledge(e, 0);
    return 0;
}

static int sync_frame(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    switch (f->flags) {
    case SYNC_RESTART:
        return restart(e, link, f, payload);
    case SYNC_HASH_ASK:
        return answer_hashes(e, link, f, payload);
    }
    if (e->standby.is_void)
        return 0;
    if (e->standby.epochs_open)
        return -ISF_ECORRUPT; /* nothing but whole epochs changes a copy that is whole */
    int r;
    switch (f->flags) {
    case SYNC_PAGES:
        r = sync_pages(e, f, payload);
        break;
    case SYNC_DISK:
        r = disk_payload(e, f, payload, 0);
        break;
    case SYNC_EPOCHS:
        return open_epochs(e, f->epoch);
    default:
        return -ISF_ECORRUPT;
    }
    if (r == 0)
        acknowledge_sync(e, link, f);
    return r;
}

/* A frame of an epoch: of the line that epochs come from, and of the epoch after the newest whole one. */
static int epoch_frame(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    struct standby *s = &e->standby;
    if (!s->epochs_open)
        return s->is_void ? 0 : -ISF_ECORRUPT;
    if (link != s->rx_link || f->epoch <= s->committed)
        return 0; /* late on a line that was left, or sent again though it is here */
    if (f->epoch != s->committed + 1)
        return -ISF_ECORRUPT;
    switch (f->type) {
    case FRAME_PAGES:
        return stage_pages(e, f, payload);
    case FRAME_DISK:
        return disk_payload(e, f, payload, 1);
    case FRAME_END:
        return end_epoch(e, f, payload);
    }
    return -ISF_ECORRUPT;
}

int standby_frame(struct isf_engine *e, int link, const struct frame *f, uint8_t *payload)
{
    struct standby *s = &e->standby;
    pthread_mutex_lock(&s->lock);
    int r = -ISF_ESTATE;
    if (s->active && f->generation == s->generation && f->term > s->term) { /* granted to go on without waiting for us: asynchronously */
        s->term = f->term;
        if (f->term > atomic_load(&e->term))
            atomic_store(&e->term, f->term);
    }
    if (s->active && f->generation == s->generation && f->term >= s->first_term)
        r = f->type == FRAME_SYNC ? sync_frame(e, link, f, payload) : epoch_frame(e, link, f, payload);
    pthread_mutex_unlock(&s->lock);
    standby_tell_durable(e);
    return r;
}

/* Reserves the copy of the other blocks and of the device state. */
static int reserve(struct isf_engine *e)
{
    struct standby *s = &e->standby;
    uint64_t pages = pages_of(e) - e->blocks.ram_pages;
    if (s->blocks)
        return 0;
    s->first_block_page = e->blocks.ram_pages;
    s->blocks = engine_reserve(pages * ISF_PAGE);
    s->touched = calloc(pages, 1);
    return s->blocks && s->touched ? decoder_new(&s->decoder, pages_of(e)) : -ENOMEM;
}

int standby_open(struct isf_engine *e, uint64_t generation, uint64_t term, int keep)
{
    struct standby *s = &e->standby;
    pthread_mutex_lock(&s->lock);
    int r = keep && !s->whole && !s->keepable ? -ISF_ESTATE : reserve(e);
    if (r == 0 && !keep) { /* the primary leaves out pages that are zero */
        if (fallocate(e->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)e->ram_bytes))
            r = -errno;
        uint64_t pages = pages_of(e) - e->blocks.ram_pages;
        madvise(s->blocks, pages * ISF_PAGE, MADV_DONTNEED);
        memset(s->touched, 1, pages);
    }
    for (int i = 0; r == 0 && i < e->disks; i++) {
        disk_discard(e->disk[i]);
        r = keep ? 0 : disk_mend(e->disk[i]); /* all of the disk comes anew, or is compared */
        if (r == 0)
            r = disk_direct(e->disk[i]);
    }
    if (r == 0) {
        standby_discard(s);
        s->generation = generation;
        s->term = s->first_term = term;
        s->active = s->keepable = 1;
        s->sync_frames = s->sync_told = s->sync_bytes = 0;
        s->whole = s->epochs_open = s->is_void = s->withheld = 0;
        s->restart = 0;
        s->rx_link = -1;
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

void standby_close(struct isf_engine *e)
{
    struct standby *s = &e->standby;
    pthread_mutex_lock(&s->lock);
    s->active = 0;
    standby_discard(s);
    while (s->spare) {
        struct staged_batch *b = s->spare;
        s->spare = b->next;
        free_batch(b);
    }
    pthread_mutex_unlock(&s->lock);
}
