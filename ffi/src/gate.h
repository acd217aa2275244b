/* The network gate of one NIC: holds the guest's outgoing frames until their epoch commits.
 *
 *   QEMU -netdev stream (unix socket, we listen) <-> gate <-> TAP on the host's bridge
 *
 * Outgoing frames wait in the queue of the open epoch; gate_barrier() closes it; gate_commit() releases. Incoming
 * frames go to QEMU as it reads, through a bounded queue. Shut (the first state, and for ever after gate_shut): nothing
 * leaves. A frame that a stream socket has only in part at the barrier belongs to the next epoch. */
#ifndef ISF_GATE_H
#define ISF_GATE_H

#include "base.h"

struct gate;

struct gate_config {
    const char *tap;       /* interface to create, at most 15 characters; NULL with tap_fd >= 0 */
    const char *bridge;    /* an existing bridge to join, or NULL */
    int tap_fd;            /* for tests: a descriptor with one frame per read/write, e.g. a seqpacket socket; else -1 */
    const char *socket;    /* path of the unix stream socket that QEMU connects to */
    uint32_t frame_max;    /* largest frame, bytes; 9,216 covers jumbo frames */
    uint64_t queue_bytes;  /* bound of the held output; when it is full we stop reading from QEMU (back-pressure) */
    void *context;
    void (*on_output)(void *context); /* the first frame of an epoch came: a checkpoint is wanted. On the gate's thread */
    uint64_t (*lease_until_us)(void *context); /* frames of committed epochs leave only before this time; NULL = no lease */
    void (*on_qemu)(void *context, int connected);
};

/* Creates TAP and socket and starts the thread. -ENODEV: no such bridge. -EPERM: needs root. -EBUSY: TAP name taken. */
int gate_open(struct gate **out, const struct gate_config *config);
void gate_close(struct gate *g);

enum gate_mode {
    GATE_SHUT, /* output is held, nothing is released */
    GATE_HOLD, /* protected: released by gate_commit(), under the lease */
    GATE_OPEN, /* solo, under a grant: released at once, without lease */
};
/* To OPEN releases all that is held. To SHUT keeps it (a later OPEN or commit releases it). */
void gate_mode(struct gate *g, enum gate_mode mode);
/* Drops held output and what has been read in part, e.g. before another QEMU connects. */
void gate_reset(struct gate *g);

/* Called by the checkpointer while QEMU is stopped and blocked: takes all that QEMU has written and closes the open
 * epoch's queue as `epoch`. Returns the number of frames in it. Bounded: at most queue_bytes are read. */
int64_t gate_barrier(struct gate *g, uint64_t epoch);
/* Releases the frames of all epochs <= epoch. Writes to the TAP on the caller's thread while the lease holds; what the
 * lease stops is kept, and leaves when the lease is renewed. */
void gate_commit(struct gate *g, uint64_t epoch);
/* True when frames wait in the open epoch. */
int gate_waiting(struct gate *g);

/* Tells the LAN where the guest is now: gratuitous ARP for each IPv4 address it was seen to use, unsolicited neighbour
 * advertisements for IPv6 (RFC 826, RFC 5227, RFC 4861 4.4), RARP for each MAC. Sends at once and again `times`-1 times with
 * growing intervals (50 ms, 150 ms, 350 ms ...) from the gate's thread. Needs mode OPEN or HOLD. */
void gate_announce(struct gate *g, uint32_t times);
/* The addresses seen, to give to the backup with each change: encoded, at most `size` bytes; returns the length. */
int32_t gate_addresses(struct gate *g, uint8_t *out, uint32_t size);
/* The same, taken over by the backup's gate. 0, or -ISF_ECORRUPT. */
int gate_learn(struct gate *g, const uint8_t *in, uint32_t length);

struct gate_stats { uint64_t out_frames, out_bytes, in_frames, in_bytes, in_dropped, out_dropped, held_frames, held_bytes, lease_waits; };
void gate_read_stats(struct gate *g, struct gate_stats *s);

#endif
