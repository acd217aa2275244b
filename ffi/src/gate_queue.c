#include "gate_queue.h"

#define TAKE_BYTES (256u << 10)

int out_open(struct out_queue *q, uint64_t limit, uint32_t frame_max)
{
    memset(q, 0, sizeof *q);
    q->limit = limit;
    q->frame_max = frame_max;
    return ring_open(&q->ring, limit);
}

void out_close(struct out_queue *q) { ring_close(&q->ring); }

static void whole_frame(struct out_queue *q, uint32_t length, struct addresses *addresses)
{
    uint8_t scratch[ADDRESSES_PEEK];
    uint32_t head = length < ADDRESSES_PEEK ? length : ADDRESSES_PEEK;
    uint64_t end = q->tail + FRAME_PREFIX + length;
    if (q->skip_partial) {
        /* A reset left nothing before it, so the queue can begin behind it. */
        q->skip_partial = 0;
        q->head = q->released = q->closed = q->tail = end;
        q->dropped++;
        return;
    }
    addresses_see(addresses, ring_view(&q->ring, q->tail + FRAME_PREFIX, head, scratch), length);
    q->tail = end;
    q->held_frames++;
    q->open_frames++;
}

/* Finds the whole frames in what was read. 0, or -1 at a length that no frame has. */
static int cut_frames(struct out_queue *q, struct addresses *addresses)
{
    while (q->fill - q->tail >= FRAME_PREFIX) {
        uint32_t length = ring_prefix(&q->ring, q->tail);
        if (length < FRAME_MIN_BYTES || length > q->frame_max)
            return -1;
        if (q->fill - q->tail < FRAME_PREFIX + length)
            break;
        whole_frame(q, length, addresses);
    }
    return 0;
}

enum out_took out_take(struct out_queue *q, int fd, struct addresses *addresses)
{
    struct iovec piece[2];
    uint64_t room = q->limit - (q->fill - q->head);
    ssize_t n;
    if (!room)
        return OUT_FULL;
    if (room > TAKE_BYTES)
        room = TAKE_BYTES;
    int pieces = ring_pieces(&q->ring, q->fill, room, piece);
    do
        n = readv(fd, piece, pieces);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? OUT_EMPTY : OUT_END;
    if (n == 0)
        return OUT_END;
    q->fill += (uint64_t)n;
    return cut_frames(q, addresses) ? OUT_WRONG_LENGTH : OUT_MORE;
}

uint64_t out_barrier(struct out_queue *q, uint64_t epoch)
{
    uint64_t frames = q->open_frames;
    q->open_frames = 0;
    if (q->tail == q->closed)
        return frames;
    q->closed = q->tail;
    /* Without room for another mark the newest epoch takes these frames, and those of the epoch before it, along: they leave
     * later than they could, never sooner. */
    if (q->marks < OUT_MARKS)
        q->marks++;
    uint32_t last = (q->first_mark + q->marks - 1) % OUT_MARKS;
    q->mark[last].epoch = epoch;
    q->mark[last].end = q->tail;
    return frames;
}

void out_commit(struct out_queue *q, uint64_t epoch)
{
    while (q->marks && q->mark[q->first_mark].epoch <= epoch) {
        q->released = q->mark[q->first_mark].end;
        q->first_mark = (q->first_mark + 1) % OUT_MARKS;
        q->marks--;
    }
    /* Open mode may have let frames out that a barrier closed later. */
    if (q->released < q->head)
        q->released = q->head;
}

void out_forget_epochs(struct out_queue *q)
{
    q->marks = 0;
    q->released = q->closed = q->head;
}

void out_drop_partial(struct out_queue *q)
{
    q->fill = q->tail;
    q->skip_partial = 0;
}

void out_reset(struct out_queue *q)
{
    q->dropped += q->held_frames;
    q->held_frames = q->open_frames = 0;
    q->head = q->tail;
    q->skip_partial = q->fill > q->tail;
    out_forget_epochs(q);
    out_advance(q, q->head, 0);
}

void out_advance(struct out_queue *q, uint64_t position, uint64_t frames)
{
    q->head = position;
    q->held_frames -= frames;
    if (q->released < position)
        q->released = position;
    if (q->closed < position)
        q->closed = position;
    if (q->head == q->fill) {
        q->head = q->released = q->closed = q->tail = q->fill = 0;
        q->marks = 0;
    }
}
