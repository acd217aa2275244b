/* Incoming frames: TAP -> bounded queue -> QEMU. When the queue is full the TAP is not read, and the kernel's own queue takes over. */
#include "gate_state.h"

#include <sys/socket.h>

#define RECEIVE_BATCH 64

int gate_in_open(struct gate *g)
{
    /* Beyond the bound there is place for one more frame: one that is read only to be discarded. */
    return ring_open(&g->in.ring, IN_BYTES + FRAME_PREFIX + (uint64_t)g->config.frame_max + 1);
}

int gate_in_polled(const struct gate *g)
{
    return !g->tap_closed && !(g->in.full && g->qemu >= 0 && atomic_load(&g->live));
}

/* Reads one frame to the queue's tail. Its length, 0 for none, or -errno. A frame longer than frame_max comes back as such. */
static ssize_t receive_one(struct gate *g)
{
    struct iovec piece[2];
    ssize_t n;
    int pieces = ring_pieces(&g->in.ring, g->in.tail + FRAME_PREFIX, (uint64_t)g->config.frame_max + 1, piece);
    do
        n = readv(g->tap, piece, pieces);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return n ? n : -ENODEV; /* a TAP has no end of file; the socket of a test has */
}

static int room(const struct gate *g)
{
    const struct in_queue *in = &g->in;
    uint64_t used = in->tail - in->whole;
    return in->frames < IN_FRAMES && IN_BYTES - used >= FRAME_PREFIX + (uint64_t)g->config.frame_max + 1;
}

void gate_in_lost(struct gate *g)
{
    g->tap_closed = 1;
    atomic_store(&g->tap_lost, 1);
}

void gate_in_receive(struct gate *g)
{
    struct in_queue *in = &g->in;
    int wanted = g->qemu >= 0 && atomic_load(&g->live);
    for (int i = 0; i < RECEIVE_BATCH; i++) {
        in->full = !room(g);
        if (in->full && wanted)
            break;
        ssize_t n = receive_one(g);
        if (n == 0)
            break;
        if (n < 0) {
            gate_in_lost(g);
            break;
        }
        if (!wanted || n < FRAME_MIN_BYTES || n > g->config.frame_max) {
            atomic_fetch_add(&g->in_dropped, 1);
            continue;
        }
        ring_put_prefix(&in->ring, in->tail, (uint32_t)n);
        in->tail += FRAME_PREFIX + (uint64_t)n;
        in->frames++;
    }
    if (in->tail != in->head && !in->blocked)
        gate_in_send(g);
}

/* Counts the frames that QEMU now has whole. */
static void count_whole(struct gate *g)
{
    struct in_queue *in = &g->in;
    while (in->whole < in->head) {
        uint32_t length = ring_prefix(&in->ring, in->whole);
        if (in->whole + FRAME_PREFIX + length > in->head)
            break;
        in->whole += FRAME_PREFIX + length;
        in->frames--;
        atomic_fetch_add(&g->in_frames, 1);
        atomic_fetch_add(&g->in_bytes, length);
    }
}

/* QEMU takes no more: the thread will close the connection. */
static void give_up(struct gate *g)
{
    pthread_mutex_lock(&g->queue_lock);
    g->qemu_broken = 1;
    pthread_mutex_unlock(&g->queue_lock);
}

void gate_in_send(struct gate *g)
{
    struct in_queue *in = &g->in;
    in->blocked = 0;
    while (in->head != in->tail) {
        struct iovec piece[2];
        struct msghdr m = {.msg_iov = piece};
        m.msg_iovlen = (size_t)ring_pieces(&in->ring, in->head, in->tail - in->head, piece);
        ssize_t n = sendmsg(g->qemu, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            in->blocked = 1;
            if (errno != EAGAIN)
                give_up(g);
            break;
        }
        in->head += (uint64_t)n;
    }
    count_whole(g);
    if (in->whole == in->tail)
        in->head = in->whole = in->tail = 0;
    in->full = !room(g);
}

void gate_in_clear(struct gate *g)
{
    struct in_queue *in = &g->in;
    atomic_fetch_add(&g->in_dropped, in->frames);
    in->head = in->whole = in->tail = 0;
    in->frames = 0;
    in->blocked = in->full = 0;
}
