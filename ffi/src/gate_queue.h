/* The outgoing queue of a gate: what QEMU wrote, in order, cut into epochs. No locks and no clock: gate.c holds the locks.
 *
 *        head            released        closed        tail      fill
 *   -------+----------------+---------------+------------+---------+------
 *    gone  | committed: may | epochs closed | the open   | a frame | free
 *          | leave          | by barriers   | epoch      | in part |
 *
 * marks[] says where each closed epoch that is not yet committed ends. */
#ifndef ISF_GATE_QUEUE_H
#define ISF_GATE_QUEUE_H

#include "announce.h"
#include "gate_ring.h"

#define OUT_MARKS 64u

struct out_queue {
    struct ring ring;
    uint64_t limit;     /* bytes held at most */
    uint32_t frame_max; /* longest frame, bytes */
    uint64_t head, released, closed, tail, fill;
    struct { uint64_t epoch, end; } mark[OUT_MARKS]; /* oldest first, from first_mark, as a ring */
    uint32_t first_mark, marks;
    uint64_t held_frames; /* between head and tail */
    uint64_t open_frames; /* that came since the last barrier, held or not */
    uint64_t dropped;     /* frames dropped by a reset */
    int skip_partial;     /* the frame at tail was begun before a reset: it is dropped when it is whole */
};

/* What out_take found. */
enum out_took { OUT_EMPTY, OUT_MORE, OUT_FULL, OUT_END, OUT_WRONG_LENGTH };

/* 0 or -ENOMEM. */
int out_open(struct out_queue *q, uint64_t limit, uint32_t frame_max);
void out_close(struct out_queue *q);
/* Reads once from `fd` (nonblocking), at most 256 KiB; learns addresses from whole frames. OUT_EMPTY: nothing more to read now. OUT_END: the
 * other side closed, or an error. After OUT_WRONG_LENGTH the rest of the stream makes no sense. */
enum out_took out_take(struct out_queue *q, int fd, struct addresses *addresses);
/* Closes the open epoch. Returns its frames. */
uint64_t out_barrier(struct out_queue *q, uint64_t epoch);
/* Frames of epochs <= epoch may leave. */
void out_commit(struct out_queue *q, uint64_t epoch);
/* Forgets where epochs end: all that is held is of the open epoch (for a new generation, which counts from 1). */
void out_forget_epochs(struct out_queue *q);
/* Drops the begun frame: its sender is gone. */
void out_drop_partial(struct out_queue *q);
/* Drops all that is held. The sender may live: the rest of a begun frame will be skipped. */
void out_reset(struct out_queue *q);
/* The frames up to `position` are gone: `frames` of them. Positions start anew when nothing is held, so as to stay in cache. */
void out_advance(struct out_queue *q, uint64_t position, uint64_t frames);

#endif
