#include "failpoint.h"
#include "gate_state.h"

#include <unistd.h>

#define WRITE_BATCH 16
#define LEASE_PEEK 32u       /* bytes of a frame that show its EtherType, tags included */
#define LEASE_RETRY_US 5000u /* how often frames that wait for the lease are tried */
#define TAP_RETRY_US 1000u   /* the same for a TAP that took no more */
#define ANNOUNCE_MOST 20u
#define RESET_ROUNDS 64      /* queues full that a reset throws away at most: more than a socket holds */

void gate_wake(struct gate *g)
{
    uint64_t one = 1;
    ssize_t n = write(g->wake, &one, sizeof one);
    (void)n; /* EAGAIN: it is awake already */
}

/* ---- to the TAP ---- */

enum put { PUT_DONE, PUT_LATER, PUT_LOST };

static enum put put_frame(struct gate *g, const struct iovec *piece, int pieces)
{
    ssize_t n;
    do
        n = pieces == 1 ? write(g->tap, piece->iov_base, piece->iov_len) : writev(g->tap, piece, pieces);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return PUT_DONE;
    /* EIO: the interface is down; EBADFD: it was deleted. The LAN loses such frames, and so do we. */
    return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? PUT_LATER : PUT_LOST;
}

/* One batch's result, and why it ended. */
struct batch {
    uint64_t position, frames, bytes, lost; /* frames: with those lost; bytes: without */
    enum { BATCH_WHOLE, BATCH_NO_LEASE, BATCH_TAP_FULL, BATCH_MODE } end;
};

/* Writes one frame, unless it is a forged lease frame: that is dropped. */
static enum put put_guest_frame(struct gate *g, uint64_t position, uint32_t length, int mode)
{
    struct iovec piece[2];
    uint8_t scratch[LEASE_PEEK];
    uint32_t head = length < LEASE_PEEK ? length : LEASE_PEEK;
    if (gate_lease_forged(g, ring_view(&g->out.ring, position, head, scratch), head))
        return PUT_LOST;
    failpoint(FAIL_GATE_LEASED);
    enum put put = put_frame(g, piece, ring_pieces(&g->out.ring, position, length, piece));
    if (put == PUT_DONE)
        gate_lease_wrote(g, mode);
    return put;
}

/* Writes frames of [b->position, limit). tap_lock held, so that the bytes stay where they are. Mode and lease are looked at before
 * each frame. A host that was frozen between the look and the write lets out one frame, of an epoch that was committed: the kernel's
 * lease stops it. */
static void write_batch(struct gate *g, struct batch *b, uint64_t limit, int mode)
{
    for (int i = 0; i < WRITE_BATCH && b->position < limit; i++) {
        uint32_t length = ring_prefix(&g->out.ring, b->position);
        b->end = atomic_load(&g->mode) != mode ? BATCH_MODE : BATCH_WHOLE;
        if (!b->end && !gate_leased(g, mode))
            b->end = BATCH_NO_LEASE;
        if (b->end)
            return;
        enum put put = put_guest_frame(g, b->position + FRAME_PREFIX, length, mode);
        if (put == PUT_LATER) {
            b->end = BATCH_TAP_FULL;
            return;
        }
        b->position += FRAME_PREFIX + length;
        b->frames++;
        if (put == PUT_DONE)
            b->bytes += length;
        else
            b->lost++;
    }
}

/* How far frames may leave now, by the mode alone. queue_lock held. */
static uint64_t limit_of(const struct gate *g, int mode)
{
    if (mode == GATE_OPEN)
        return g->out.tail;
    return mode == GATE_HOLD ? g->out.released : g->out.head;
}

static void book_lease(struct gate *g)
{
    g->stats.late = g->kernel.late;
    g->stats.forged = g->kernel.forged;
    g->stats.lease_frames = g->kernel.frames;
}

/* Books a batch. queue_lock held. Returns true when the thread must be woken. */
static int book(struct gate *g, const struct batch *b)
{
    int wake = 0;
    g->stats.out_frames += b->frames - b->lost;
    g->stats.out_bytes += b->bytes;
    g->stats.out_dropped += b->lost;
    book_lease(g);
    if (b->frames)
        out_advance(&g->out, b->position, b->frames);
    g->retry_at = 0;
    if (b->end == BATCH_NO_LEASE || b->end == BATCH_TAP_FULL) {
        g->retry_at = isf_now_us() + (b->end == BATCH_NO_LEASE ? LEASE_RETRY_US : TAP_RETRY_US);
        wake = 1;
    }
    if (b->end == BATCH_NO_LEASE && !g->waiting_for_lease)
        g->stats.lease_waits++;
    g->waiting_for_lease = b->end == BATCH_NO_LEASE;
    if (g->input_paused && g->out.limit - (g->out.fill - g->out.head) >= g->out.limit / 4) {
        g->input_paused = 0;
        wake = 1;
    }
    return wake;
}

void gate_flush(struct gate *g)
{
    int wake = 0, more = 1;
    pthread_mutex_lock(&g->tap_lock);
    while (more) {
        pthread_mutex_lock(&g->queue_lock);
        int mode = atomic_load(&g->mode);
        uint64_t limit = limit_of(g, mode);
        struct batch b = {.position = g->out.head};
        pthread_mutex_unlock(&g->queue_lock);
        if (b.position < limit)
            write_batch(g, &b, limit, mode);
        more = b.position < limit && (b.end == BATCH_WHOLE || b.end == BATCH_MODE);
        pthread_mutex_lock(&g->queue_lock);
        wake |= book(g, &b);
        pthread_mutex_unlock(&g->queue_lock);
    }
    pthread_mutex_unlock(&g->tap_lock);
    if (wake)
        gate_wake(g);
}

/* ---- from QEMU ---- */

void gate_take(struct gate *g, int until_empty)
{
    uint64_t before = g->out.open_frames, read_from = g->out.fill;
    enum out_took took;
    if (g->qemu < 0 || g->qemu_broken)
        return;
    do
        took = out_take(&g->out, g->qemu, &g->addresses);
    while (took == OUT_MORE && until_empty && g->out.fill - read_from < g->out.limit);
    if (took == OUT_END || took == OUT_WRONG_LENGTH)
        g->qemu_broken = 1;
    if (took == OUT_WRONG_LENGTH)
        g->stats.refused++;
    if (g->out.fill - g->out.head == g->out.limit)
        g->input_paused = 1;
    if (!before && g->out.open_frames)
        g->notify = 1;
}

/* ---- calls ---- */

int64_t gate_barrier(struct gate *g, uint64_t epoch)
{
    pthread_mutex_lock(&g->queue_lock);
    gate_take(g, 1);
    g->notify = 0;
    uint64_t frames = out_barrier(&g->out, epoch);
    /* What the thread must see to: a broken connection; in open mode, the frames that were just read. */
    int wake = g->qemu_broken || (atomic_load(&g->mode) == GATE_OPEN && g->out.head != g->out.tail);
    pthread_mutex_unlock(&g->queue_lock);
    if (wake)
        gate_wake(g);
    return (int64_t)frames;
}

void gate_commit(struct gate *g, uint64_t epoch)
{
    pthread_mutex_lock(&g->queue_lock);
    out_commit(&g->out, epoch);
    pthread_mutex_unlock(&g->queue_lock);
    gate_flush(g);
}

int gate_waiting(struct gate *g)
{
    pthread_mutex_lock(&g->queue_lock);
    int waiting = g->out.open_frames != 0;
    pthread_mutex_unlock(&g->queue_lock);
    return waiting;
}

void gate_mode(struct gate *g, enum gate_mode mode)
{
    pthread_mutex_lock(&g->queue_lock);
    int before = atomic_exchange(&g->mode, mode);
    if (mode == GATE_OPEN || before == GATE_OPEN)
        out_forget_epochs(&g->out);
    if (mode == GATE_SHUT)
        g->announce_left = 0;
    else
        atomic_store(&g->live, 1);
    if (mode == GATE_HOLD && g->out.open_frames)
        g->notify = 1;
    pthread_mutex_unlock(&g->queue_lock);
    /* Also for SHUT: it waits for a write that has begun. */
    gate_flush(g);
    gate_wake(g);
}

void gate_reset(struct gate *g)
{
    pthread_mutex_lock(&g->tap_lock);
    pthread_mutex_lock(&g->queue_lock);
    out_reset(&g->out);
    for (int i = 0; i < RESET_ROUNDS; i++) {
        g->input_paused = 0;
        gate_take(g, 1);
        out_reset(&g->out);
        if (!g->input_paused)
            break;
    }
    g->notify = g->input_paused = 0;
    g->retry_at = 0;
    g->waiting_for_lease = 0;
    atomic_store(&g->live, atomic_load(&g->mode) != GATE_SHUT);
    pthread_mutex_unlock(&g->queue_lock);
    pthread_mutex_unlock(&g->tap_lock);
    gate_wake(g);
}

void gate_announce_now(struct gate *g)
{
    uint8_t frame[ANNOUNCE_FRAME_MAX];
    uint32_t length;
    uint64_t sent = 0;
    pthread_mutex_lock(&g->queue_lock);
    struct addresses known = g->addresses;
    pthread_mutex_unlock(&g->queue_lock);
    pthread_mutex_lock(&g->tap_lock);
    for (uint32_t i = 0; (length = announce_frame(&known, i, frame)); i++) {
        struct iovec piece = {frame, length};
        int mode = atomic_load(&g->mode);
        if (mode == GATE_SHUT || !gate_leased(g, mode))
            break;
        sent += put_frame(g, &piece, 1) == PUT_DONE;
    }
    pthread_mutex_lock(&g->queue_lock);
    g->stats.announced += sent;
    book_lease(g);
    pthread_mutex_unlock(&g->queue_lock);
    pthread_mutex_unlock(&g->tap_lock);
}

void gate_announce(struct gate *g, uint32_t times)
{
    if (times > ANNOUNCE_MOST)
        times = ANNOUNCE_MOST;
    pthread_mutex_lock(&g->queue_lock);
    int shut = atomic_load(&g->mode) == GATE_SHUT;
    g->announce_left = times && !shut ? times - 1 : 0;
    g->announce_gap_ms = 50;
    g->announce_at = isf_now_us() + 50000u;
    pthread_mutex_unlock(&g->queue_lock);
    if (times && !shut)
        gate_announce_now(g);
    gate_wake(g);
}

int32_t gate_addresses(struct gate *g, uint8_t *out, uint32_t size)
{
    pthread_mutex_lock(&g->queue_lock);
    int32_t length = addresses_encode(&g->addresses, out, size);
    pthread_mutex_unlock(&g->queue_lock);
    return length;
}

int gate_learn(struct gate *g, const uint8_t *in, uint32_t length)
{
    pthread_mutex_lock(&g->queue_lock);
    int result = addresses_decode(&g->addresses, in, length);
    pthread_mutex_unlock(&g->queue_lock);
    return result;
}

void gate_read_stats(struct gate *g, struct gate_stats *s)
{
    pthread_mutex_lock(&g->queue_lock);
    *s = g->stats;
    s->out_dropped += g->out.dropped;
    s->held_frames = g->out.held_frames;
    s->held_bytes = g->out.tail - g->out.head - FRAME_PREFIX * g->out.held_frames;
    s->addresses_version = g->addresses.version;
    pthread_mutex_unlock(&g->queue_lock);
    s->in_frames = atomic_load(&g->in_frames);
    s->in_bytes = atomic_load(&g->in_bytes);
    s->in_dropped = atomic_load(&g->in_dropped);
    s->tap_lost = atomic_load(&g->tap_lost);
}
