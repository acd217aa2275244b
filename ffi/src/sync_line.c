/* What a sync puts on the line, and what the backup has said that it took in. A page or chunk is on the list of what is missing (`lost`, the
 * disk's bitmap) until it is sent; from there until its acknowledgement it is in a piece; a sync that ends before that puts it back. */
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failpoint.h"

#define WINDOW (2u << 20)         /* bytes on their way: the line's queues, the heartbeats beside them, and what is sent again after a cut */
#define NAP_US 300u
#define REPORT_US 200000u

int sync_broken(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int r = e->want != WORKER_SYNC ? -ECANCELED : e->line_losses != e->sync_losses ? -ISF_ELINK : 0;
    pthread_mutex_unlock(&e->lock);
    return r;
}

static uint64_t blend(uint64_t old, uint64_t now)
{
    return old ? old - old / 4 + now / 4 : now;
}

void sync_progress(struct sync *s, int now)
{
    uint64_t t = isf_now_us(), age = t - s->reported_us;
    struct isf_status *status = s->e->status;
    if ((!now && age < REPORT_US) || !age)
        return;
    s->done_rate = blend(s->done_rate, (s->done - s->reported_done) * 1000000u / age);
    s->sent_rate = blend(s->sent_rate, (s->sent - s->reported_sent) * 1000000u / age);
    s->reported_us = t;
    s->reported_done = s->done;
    s->reported_sent = s->sent;
    uint64_t left = s->total > s->done ? s->total - s->done : 0, eta = s->done_rate ? left / s->done_rate : 0;
    status_set(&status->sync_bytes_done, s->done);
    status_set(&status->sync_bytes_total, s->total);
    status_set(&status->sync_bytes_sent, s->sent);
    status_set(&status->sync_bytes_skipped, s->skipped);
    status_set(&status->sync_rate, s->sent_rate);
    status_set(&status->sync_eta_s, eta);
    status_set(&status->sync_phase, s->phase);
    events_send(&s->e->events, "sync",
                "\"phase\":\"%s\",\"round\":%u,\"bytes_done\":%llu,\"bytes_total\":%llu,\"bytes_sent\":%llu,\"bytes_skipped\":%llu,"
                "\"rate_bytes_s\":%llu,\"eta_s\":%llu",
                s->phase == PHASE_DISK ? "disk" : "memory", s->round, (unsigned long long)s->done, (unsigned long long)s->total,
                (unsigned long long)s->sent, (unsigned long long)s->skipped, (unsigned long long)s->sent_rate, (unsigned long long)eta);
}

/* All of a sync goes over one line, and one connection: what was on its way on a line that is lost would be missing, and nobody would
 * notice. A loss is counted before anything can be sent on another. */
int sync_send(struct isf_engine *e, uint32_t flags, uint64_t epoch, const struct iovec *parts, int count)
{
    int r = engine_send(e, FRAME_SYNC, flags, epoch, parts, count);
    int broken = sync_broken(e);
    return broken == -ISF_ELINK || r ? -ISF_ELINK : 0;
}

/* Until the backup has taken in enough of what is on its way. */
static int await_room(struct sync *s, size_t bytes)
{
    struct isf_engine *e = s->e;
    uint64_t acked = UINT64_MAX, deadline = 0;
    for (;;) {
        pthread_mutex_lock(&e->lock);
        struct sync_record *k = &e->record;
        int room = k->sent == k->acked || (k->sent - k->acked < SYNC_PIECES && k->bytes + bytes <= WINDOW);
        uint64_t now_acked = k->acked;
        pthread_mutex_unlock(&e->lock);
        int r = room ? 0 : sync_broken(e);
        if (room || r)
            return r;
        uint64_t now = isf_now_us();
        if (now_acked != acked)
            deadline = now + HASH_WAIT_US;
        acked = now_acked;
        if (now > deadline)
            return engine_problem(e, -ISF_ELIMIT, "the backup took in nothing of the sync for 10 s");
        sync_progress(s, 0);
        usleep(NAP_US);
    }
}

/* Until the rate that was set allows it. */
static int await_turn(struct sync *s, size_t bytes)
{
    uint64_t rate = atomic_load(&s->e->sync_rate), now = isf_now_us();
    while (rate && now < s->allowed_us) {
        int r = sync_broken(s->e);
        if (r)
            return r;
        uint64_t wait = s->allowed_us - now;
        usleep((useconds_t)(wait < 20000 ? wait : 20000));
        sync_progress(s, 0);
        now = isf_now_us();
        rate = atomic_load(&s->e->sync_rate);
    }
    if (rate)
        s->allowed_us = (s->allowed_us + 100000 > now ? s->allowed_us : now) + bytes * 1000000u / rate;
    return 0;
}

int sync_send_piece(struct sync *s, uint32_t flags, const struct iovec *parts, int count, struct sync_piece *piece)
{
    struct isf_engine *e = s->e;
    piece->bytes = WIRE_HEADER + WIRE_TAG;
    for (int i = 0; i < count; i++)
        piece->bytes += parts[i].iov_len;
    int r = await_turn(s, piece->bytes);
    if (r == 0)
        r = await_room(s, piece->bytes);
    if (r) { /* it stays missing */
        free(piece->numbers);
        return r;
    }
    pthread_mutex_lock(&e->lock);
    struct sync_record *k = &e->record;
    for (uint32_t i = 0; i < piece->count; i++)
        page_clear(e->lost, piece->numbers[i]);
    k->piece[k->sent++ % SYNC_PIECES] = *piece;
    k->bytes += piece->bytes;
    pthread_mutex_unlock(&e->lock);
    s->sent += piece->bytes;
    return sync_send(e, flags, 0, parts, count);
}

/* With `lock`: the oldest piece is not on its way any more. */
static struct sync_piece *take_piece(struct sync_record *k)
{
    struct sync_piece *piece = &k->piece[k->acked++ % SYNC_PIECES];
    k->bytes -= piece->bytes;
    return piece;
}

int sync_acknowledged(struct isf_engine *e, uint64_t count)
{
    pthread_mutex_lock(&e->lock);
    struct sync_record *k = &e->record;
    int r = count > k->sent ? -ISF_ECORRUPT : 0;
    while (r == 0 && k->acked < count)
        free(take_piece(k)->numbers);
    pthread_mutex_unlock(&e->lock);
    return r;
}

void sync_forget_pieces(struct isf_engine *e)
{
    struct sync_record *k = &e->record;
    while (k->acked < k->sent)
        free(take_piece(k)->numbers);
    k->sent = k->acked = k->bytes = 0;
}

/* A piece that the backup may not have is missing again. */
static void put_back(struct isf_engine *e, const struct sync_piece *piece)
{
    for (uint32_t i = 0; i < piece->count; i++)
        page_set(e->lost, piece->numbers[i]);
    if (!piece->count)
        disk_changed_again(e->disk[piece->disk], piece->offset, piece->length);
}

void sync_mark_lost(struct isf_engine *e, const struct tracker_run *run)
{
    for (uint64_t page = run->page; page < run->page + run->count; page++)
        page_set(e->lost, page);
}

void sync_remember_lost(struct isf_engine *e)
{
    struct sync_record *k = &e->record;
    while (k->acked < k->sent) {
        struct sync_piece *piece = take_piece(k);
        if (e->lost && !failpoint_breaks(FAIL_SYNC_RECORD))
            put_back(e, piece);
        free(piece->numbers);
    }
    while (e->first) {
        struct epoch *epoch = e->first;
        for (uint32_t i = 0; e->lost && i < epoch->run_count; i++)
            sync_mark_lost(e, &epoch->runs[i]);
        e->first = epoch->next;
        epoch_free(e, epoch);
    }
    e->last = NULL;
    e->inflight = 0;
    e->inflight_bytes = 0;
}
