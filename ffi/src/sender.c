/* The sender: encodes epochs and sends them, in order, on the active line; disk extents of the open epoch go at once. What is sent is
 * kept until its commit, so that a lost line costs nothing but sending it again on the other. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failpoint.h"

#define STAGE_KEEP_PAGES 16384u /* 64 MiB of a stage stay resident between epochs */

/* Encodes what the epoch staged. 0 or -errno: then half of it may be in the encoder's cache, and it must not be tried again. */
static int encode(struct isf_engine *e, struct epoch *epoch)
{
    struct stage *stage = epoch->stage;
    struct codec_page page[CODEC_BATCH_PAGES];
    uint64_t t0 = isf_now_us(), rate = atomic_load(&e->link_rate);
    if (rate)
        encoder_link_rate(e->encoder, rate);
    uint32_t most = (uint32_t)(stage->pages / CODEC_BATCH_PAGES + 1);
    epoch->batches = calloc(most, sizeof *epoch->batches);
    if (!epoch->batches)
        return -ENOMEM;
    for (uint64_t i = 0; i < stage->pages; i += CODEC_BATCH_PAGES) {
        uint32_t n = (uint32_t)(stage->pages - i < CODEC_BATCH_PAGES ? stage->pages - i : CODEC_BATCH_PAGES);
        for (uint32_t k = 0; k < n; k++)
            page[k] = (struct codec_page){ stage->numbers[i + k], stage->data + (i + k) * ISF_PAGE };
        size_t offset = epoch->wire.length;
        int64_t bytes = encoder_batch(e->encoder, page, n, 1, &epoch->wire, &e->codec);
        if (bytes < 0 || (i + n > stage->pages / 2 && failpoint_breaks(FAIL_ENCODE)))
            return bytes < 0 ? (int)bytes : -ENOMEM;
        if (bytes > 0)
            epoch->batches[epoch->batch_count++] = (struct batch){ offset, (size_t)bytes };
    }
    if (stage->pages > STAGE_KEEP_PAGES) /* a large epoch must not hold memory for ever */
        madvise(stage->data + (size_t)STAGE_KEEP_PAGES * ISF_PAGE, (stage->pages - STAGE_KEEP_PAGES) * ISF_PAGE, MADV_DONTNEED);
    status_set(&e->status->encode_us_last, isf_now_us() - t0);
    return 0;
}

static void encoded(struct isf_engine *e, struct epoch *epoch)
{
    struct isf_status *s = e->status;
    pthread_mutex_lock(&e->lock);
    epoch->stage->busy = 0;
    epoch->stage = NULL;
    epoch->encoded = 1;
    e->inflight_bytes += epoch->wire.length;
    pthread_mutex_unlock(&e->lock);
    engine_kick(e); /* a stage is free */
    status_set(&s->dirty_pages_last, epoch->dirty_pages);
    status_add(&s->dirty_pages, epoch->dirty_pages);
    status_add(&s->page_bytes, epoch->wire.length);
    status_add(&s->device_bytes, epoch->device_bytes);
    status_set(&s->page_zero, e->codec.zero);
    status_set(&s->page_same, e->codec.same);
    status_set(&s->page_xor, e->codec.xored);
    status_set(&s->page_raw, e->codec.raw);
}

/* An epoch that cannot be encoded is the end of this protection: the checkpoint thread takes it from here. */
static void encoder_failed(struct isf_engine *e, int code)
{
    pthread_mutex_lock(&e->lock);
    e->broken = code;
    e->encoder_broke = 1;
    e->sending = 0;
    pthread_mutex_unlock(&e->lock);
    engine_kick(e);
}

static int send_extent(struct isf_engine *e, int disk, const struct disk_extent *x)
{
    uint8_t head[DISK_HEADER];
    put_le32(head, (uint32_t)disk);
    put_le32(head + 4, (x->data ? 0 : PAYLOAD_ZERO) | (x->flags & DISK_HOLE));
    put_le64(head + 8, x->offset);
    put_le64(head + 16, x->length);
    struct iovec parts[2] = { { head, sizeof head }, { (void *)(uintptr_t)x->data, x->data ? x->length : 0 } };
    status_add(&e->status->disk_bytes, x->length);
    return engine_send(e, FRAME_DISK, 0, x->epoch, parts, x->data ? 2 : 1);
}

/* Sends what the disks logged up to epoch `upto`; *done when all of them are past it. */
static int send_disks(struct isf_engine *e, uint64_t upto, int *done)
{
    *done = 1;
    for (int i = 0; i < e->disks; i++) {
        struct disk_extent x;
        int epoch_done = 0, r = 0;
        while (e->cursor[i].epoch <= upto) {
            int got = disk_next(e->disk[i], &e->cursor[i], &x, &epoch_done);
            if (got == 1)
                r = send_extent(e, i, &x);
            else if (got < 0)
                r = got;
            else if (!epoch_done)
                break;
            if (r)
                return r;
        }
        if (e->cursor[i].epoch <= upto)
            *done = 0;
    }
    return 0;
}

/* The addresses that each NIC's guest uses: the backup announces them after a takeover. */
static uint32_t put_addresses(struct isf_engine *e, uint8_t *out, uint32_t size)
{
    uint32_t length = 0;
    for (int i = 0; i < e->nics && length + 1024 <= size; i++) {
        int32_t n = gate_addresses(e->gate[i], out + length + 4, 1020);
        put_le32(out + length, n > 0 ? (uint32_t)n : 0);
        length += 4 + (n > 0 ? (uint32_t)n : 0);
    }
    return length;
}

static int send_end(struct isf_engine *e, const struct epoch *epoch)
{
    uint8_t end[END_PAYLOAD + ENGINE_NICS * 1024];
    uint32_t addresses = put_addresses(e, end + END_PAYLOAD, ENGINE_NICS * 1024);
    put_le64(end, epoch->batch_count);
    put_le64(end + 8, epoch->dirty_pages);
    put_le64(end + 16, epoch->disk_extents);
    put_le64(end + 24, epoch->device_bytes);
    put_le32(end + 32, (epoch->verify ? END_VERIFY : 0) | (epoch->final ? END_FINAL : 0));
    put_le32(end + 36, addresses);
    put_le64(end + 40, epoch->digests.memory);
    put_le64(end + 48, epoch->digests.blocks);
    put_le64(end + 56, epoch->digests.device);
    put_le64(end + 64, epoch->digests.disk);
    struct iovec part = { end, END_PAYLOAD + addresses };
    failpoint(FAIL_SEND_BEFORE_END);
    return engine_send(e, FRAME_END, 0, epoch->number, &part, 1);
}

static int send_epoch(struct isf_engine *e, const struct epoch *epoch)
{
    for (uint32_t i = 0; i < epoch->batch_count; i++) {
        struct iovec part = { epoch->wire.data + epoch->batches[i].offset, epoch->batches[i].length };
        if (i == epoch->batch_count / 2)
            failpoint(FAIL_SEND_HALF);
        int r = engine_send(e, FRAME_PAGES, 0, epoch->number, &part, 1);
        if (r)
            return r;
    }
    return send_end(e, epoch);
}

/* With the lock: the epoch to be sent next, if its checkpoint was taken. */
static struct epoch *find(struct isf_engine *e, uint64_t number)
{
    struct epoch *epoch = e->first;
    while (epoch && epoch->number < number)
        epoch = epoch->next;
    return epoch && epoch->number == number ? epoch : NULL;
}

/* After a line came, went or changed: begin anew with the first epoch that is not committed. */
static int restart(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->send_reset = 0;
    uint64_t first = e->first ? e->first->number : e->send_epoch;
    e->send_epoch = first;
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; i < e->disks; i++)
        e->cursor[i] = (struct disk_cursor){ first, 0 };
    uint8_t number[RESTART_PAYLOAD];
    put_le64(number, ++e->restarts);
    struct iovec part = { number, sizeof number };
    return engine_send(e, FRAME_SYNC, SYNC_RESTART, first, &part, 1);
}

/* One turn. 1: something was done; 0: nothing to do; negative: the line failed. */
static int turn(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int ready = e->sending && atomic_load(&e->active) >= 0, reset = e->send_reset;
    struct epoch *epoch = find(e, e->send_epoch);
    struct epoch *raw = e->sending ? e->first : NULL;
    while (raw && raw->encoded)
        raw = raw->next;
    uint64_t number = e->send_epoch;
    pthread_mutex_unlock(&e->lock);
    if (raw) { /* also without a line: the stage is wanted */
        int r = encode(e, raw);
        if (r)
            encoder_failed(e, r);
        else
            encoded(e, raw);
        return 1;
    }
    if (!ready)
        return 0;
    if (reset) {
        int r = restart(e);
        return r ? r : 1;
    }
    int done, r = send_disks(e, number, &done);
    if (r || !epoch || !epoch->encoded || !done)
        return r;
    r = send_epoch(e, epoch);
    if (r)
        return r;
    pthread_mutex_lock(&e->lock);
    if (!e->send_reset && e->send_epoch == number)
        e->send_epoch = number + 1;
    pthread_mutex_unlock(&e->lock);
    return 1;
}

/* With the lock: what a commit means to its epoch. Once, by whoever comes first: the line's thread, or the sender that frees the epoch. */
static void note_epoch(struct isf_engine *e, struct epoch *done)
{
    if (done->noted)
        return;
    done->noted = 1;
    uint64_t took_us = isf_now_us() - done->trigger_us;
    status_set(&e->status->commit_us_last, took_us);
    samples_add(&e->commits, took_us);
    status_add(&e->status->checkpoints, 1);
    if (pace_committed(e, done))
        events_send(&e->events, "synchronous", "\"epoch\":%llu", (unsigned long long)done->number);
    if (done->final)
        events_send(&e->events, "handed", "\"epoch\":%llu,\"stopped_us\":%llu", (unsigned long long)done->number,
                    (unsigned long long)done->trigger_us);
}

/* Frees what is committed on both hosts and lets the disks apply it. With `turn`: nobody is sending from it. */
static void reap(struct isf_engine *e)
{
    pthread_mutex_lock(&e->release_lock);
    uint64_t epoch = e->committed;
    pthread_mutex_unlock(&e->release_lock);
    if (epoch <= atomic_load(&e->reaped))
        return;
    for (int i = 0; i < e->disks; i++)
        disk_commit(e->disk[i], epoch);
    pthread_mutex_lock(&e->lock);
    while (e->first && e->first->number <= epoch && e->first->encoded) {
        struct epoch *done = e->first;
        note_epoch(e, done);
        e->first = done->next;
        if (!e->first)
            e->last = NULL;
        e->inflight--;
        e->inflight_bytes -= done->wire.length;
        if (e->send_epoch <= done->number)
            e->send_epoch = done->number + 1;
        epoch_free(e, done);
    }
    atomic_store(&e->reaped, epoch);
    pthread_mutex_unlock(&e->lock);
    engine_kick(e);
}

static int reap_waits(struct isf_engine *e)
{
    pthread_mutex_lock(&e->release_lock);
    int waits = e->committed > atomic_load(&e->reaped);
    pthread_mutex_unlock(&e->release_lock);
    return waits;
}

static void wait_for_work(struct isf_engine *e, int failed)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += failed ? 2000000 : 100000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&e->lock);
    if (!e->work && !atomic_load(&e->ending))
        pthread_cond_timedwait(&e->wake, &e->lock, &t);
    e->work = 0;
    pthread_mutex_unlock(&e->lock);
}

void *sender_run(void *engine)
{
    struct isf_engine *e = engine;
    while (!atomic_load(&e->ending)) {
        pthread_mutex_lock(&e->turn);
        int r = turn(e);
        reap(e);
        pthread_mutex_unlock(&e->turn);
        if (r < 0) { /* the link reports its loss by itself; what was sent in part is sent again */
            pthread_mutex_lock(&e->lock);
            e->send_reset = 1;
            pthread_mutex_unlock(&e->lock);
        }
        if (r <= 0 && !reap_waits(e))
            wait_for_work(e, r < 0);
    }
    return NULL;
}

void sender_stop(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->sending = 0;
    pthread_mutex_unlock(&e->lock);
    for (int i = 0; pthread_mutex_trylock(&e->turn); i++) {
        if (i == 50) { /* it hangs in a send to a peer that does not read */
            for (int k = 0; k < 2; k++)
                if (e->link[k])
                    link_drop(e->link[k], -ETIMEDOUT);
        }
        usleep(1000);
    }
    reap(e);
    pthread_mutex_lock(&e->lock);
    sync_remember_lost(e);
    pthread_mutex_unlock(&e->lock);
    pthread_mutex_unlock(&e->turn);
}

void sender_release(struct isf_engine *e)
{
    pthread_mutex_lock(&e->release_lock);
    uint64_t upto = e->committed, local = UINT64_MAX;
    if (e->disk_mark > e->released) { /* epochs that wrote wait for a journal, on whichever host is faster */
        for (int i = 0; i < e->disks; i++) {
            uint64_t d = disk_durable(e->disk[i]);
            local = d < local ? d : local;
        }
        uint64_t durable = local > e->remote_durable ? local : e->remote_durable;
        if (durable < upto)
            upto = durable;
    }
    if (upto > e->released) {
        e->released = upto;
        for (int i = 0; i < e->nics; i++)
            gate_commit(e->gate[i], upto);
    }
    pthread_mutex_unlock(&e->release_lock);
}

/* Notes times and the first commit of a generation. */
static void note_commit(struct isf_engine *e, uint64_t epoch)
{
    int first_of_generation = 0;
    pthread_mutex_lock(&e->lock);
    for (struct epoch *done = e->first; done && done->number <= epoch; done = done->next)
        note_epoch(e, done);
    if (!e->first_commit) {
        e->first_commit = e->common = first_of_generation = 1;
        if (e->lost) /* else QEMU is gone meanwhile */
            memset(e->lost, 0, e->blocks.pages / 8 + 1);
        sync_forget_pieces(e);
    }
    e->stalled = 0;
    e->work = 1;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (first_of_generation) {
        for (int i = 0; i < e->disks; i++)
            disk_flush_waits(e->disk[i], 0);
        events_send(&e->events, "protected", "\"epoch\":%llu", (unsigned long long)epoch);
    }
}

void sender_committed(struct isf_engine *e, uint64_t generation, uint64_t epoch, uint64_t durable)
{
    failpoint(FAIL_COMMIT_RECEIVED);
    pthread_mutex_lock(&e->release_lock);
    int ours = generation == e->release_generation, more = ours && epoch > e->committed;
    if (more)
        e->committed = epoch;
    if (ours && durable > e->remote_durable)
        e->remote_durable = durable;
    pthread_mutex_unlock(&e->release_lock);
    if (ours)
        sender_release(e);
    if (!more)
        return;
    note_commit(e, epoch);
    if (pthread_mutex_trylock(&e->turn) == 0) { /* else the sender does it after its turn */
        reap(e);
        pthread_mutex_unlock(&e->turn);
    }
}
