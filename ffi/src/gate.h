/* The network gate of one NIC: holds the guest's outgoing frames until their epoch commits.
 *
 *   QEMU -netdev stream (unix socket, we listen) <-> gate <-> TAP on the host's bridge
 *
 * Outgoing frames wait in the queue of the open epoch; gate_barrier() closes it; gate_commit() releases. Incoming
 * frames go to QEMU as it reads, through a bounded queue. Shut (the first state): nothing leaves. A frame that a stream socket
 * has only in part at the barrier belongs to the next epoch, and so does what no longer fits into the queue.
 *
 * Incoming frames are discarded while no QEMU is connected, and until the gate is first on HOLD or OPEN (again: after a gate_reset
 * while shut): the standby's guest does not run, and would find stale frames when it starts.
 *
 * One thread per gate. No call blocks on QEMU or on the LAN; gate_barrier waits for no TAP write. */
#ifndef ISF_GATE_H
#define ISF_GATE_H

#include "base.h"

struct gate;

struct gate_config {
    const char *tap;       /* interface to create, at most 15 characters; NULL with tap_fd >= 0 */
    const char *bridge;    /* an existing bridge to join, or NULL */
    int tap_fd;            /* for tests: a descriptor with one frame per read/write, e.g. a seqpacket socket; else -1 */
    const char *socket;    /* path of the unix stream socket that QEMU connects to */
    uint32_t frame_max;    /* largest frame, bytes; 9,216 covers jumbo frames; at most 65,553; 0 = 9,216 */
    uint64_t queue_bytes;  /* bound of the held output; when it is full we stop reading from QEMU (back-pressure). At least two frames,
                            * at most 1 GiB; 0 = 8 MiB */
    void *context;
    void (*on_output)(void *context); /* the first frame of an epoch came: a checkpoint is wanted. On the gate's thread, without
                                       * its locks: may call the gate, except gate_close. In every mode */
    uint64_t (*lease_until_us)(void *context); /* frames of committed epochs leave only before this time (isf_now_us); NULL = no
                                                * lease. Called before each frame, on any thread, under a lock: only reads a number */
    void (*on_qemu)(void *context, int connected); /* on the gate's thread, without its locks */
};

/* Creates TAP and socket (mode 0666: whoever may enter its directory may connect; what stood there as a socket is replaced) and
 * starts the thread. Strings are copied. -ENODEV: no such bridge. -EPERM: needs root. -EBUSY: TAP name taken. -EINVAL,
 * -ENAMETOOLONG, -ENOMEM, -ISF_EUNSUPPORTED (no /dev/net/tun), -errno. */
int gate_open(struct gate **out, const struct gate_config *config);
/* Ends the thread; TAP and socket are gone. No other call may be on its way. NULL is fine. */
void gate_close(struct gate *g);

enum gate_mode {
    GATE_SHUT, /* output is held, nothing is released */
    GATE_HOLD, /* protected: released by gate_commit(), under the lease */
    GATE_OPEN, /* solo, under a grant: released at once, without lease */
};
/* To OPEN releases all that is held. What then is not yet gone, because the TAP took no more, is of the open epoch when OPEN ends (a
 * new generation counts from 1). To SHUT keeps what is held (a later OPEN or commit releases it); when the call returns, no frame leaves any more. What was committed while SHUT leaves once on HOLD. */
void gate_mode(struct gate *g, enum gate_mode mode);
/* Drops held output, what QEMU has written, and what has been read in part, e.g. before another QEMU connects. */
void gate_reset(struct gate *g);

/* Called by the checkpointer while QEMU is stopped and blocked: takes all that QEMU has written and closes the open
 * epoch's queue as `epoch` (growing). Returns the number of frames in it. Bounded: at most queue_bytes are read. */
int64_t gate_barrier(struct gate *g, uint64_t epoch);
/* Releases the frames of all epochs <= epoch. Writes to the TAP on the caller's thread while the lease holds; what the
 * lease stops is kept, and leaves when the lease is renewed. */
void gate_commit(struct gate *g, uint64_t epoch);
/* True when frames came since the last barrier. */
int gate_waiting(struct gate *g);

/* Tells the LAN where the guest is now: gratuitous ARP for each IPv4 address it was seen to use, unsolicited neighbour
 * advertisements for IPv6 (RFC 826, RFC 5227, RFC 4861 4.4), RARP for each MAC. Sends at once and again `times`-1 times with
 * growing intervals (50 ms, 150 ms, 350 ms ... at most 1 s) from the gate's thread. Needs mode OPEN or HOLD (and then the lease):
 * else nothing is sent. At most 20 times; 0 ends what is under way. */
void gate_announce(struct gate *g, uint32_t times);
/* The addresses seen, to give to the backup with each change (gate_stats.addresses_version): encoded, at most `size` bytes (820
 * always do); returns the length, or -ENOSPC. */
int32_t gate_addresses(struct gate *g, uint8_t *out, uint32_t size);
/* The same, taken over by the backup's gate in place of what it knew. 0, or -ISF_ECORRUPT, -ISF_EVERSION: nothing changed. */
int gate_learn(struct gate *g, const uint8_t *in, uint32_t length);

/* The kernel's own lease on this gate's TAP. An nftables chain on the TAP's ingress (lib/vm/nft_lease.ts) drops what we write there,
 * unless a lease frame that carries `secret` came within the last lease_us: so a process that stands still between the look at its
 * lease and the write is silent by the kernel's clock. Whoever writes frames refreshes first, when an eighth of lease_us has passed; a
 * wedged writer holds up all others, and so nobody refreshes for it. The kernel's lease never outlasts lease_until_us: it is
 * refreshed only when that has more than lease_us left, and no frame is written in GATE_HOLD while the kernel's could be the longer one.
 * From now on frames of the guest with the lease frame's EtherType are refused. lease_us = 0: no table, no lease frames (the first
 * state); at most 60 s. -EINVAL. */
#define GATE_LEASE_SECRET 8u
int gate_kernel_lease(struct gate *g, const uint8_t secret[GATE_LEASE_SECRET], uint32_t lease_us);

struct gate_stats {
    uint64_t out_frames, out_bytes;   /* written to the TAP */
    uint64_t in_frames, in_bytes;     /* written to QEMU */
    uint64_t in_dropped, out_dropped; /* discarded: no guest to take them, too long / reset, or the TAP is down */
    uint64_t held_frames, held_bytes; /* now */
    uint64_t lease_waits;             /* times that a missing lease stopped committed frames */
    uint64_t refused;                 /* connections closed because of a frame length that cannot be */
    uint64_t announced;               /* frames of gate_announce */
    uint64_t addresses_version;       /* grows with each change of gate_addresses */
    uint64_t tap_lost;                /* 1: the TAP was deleted under us; frames in and out are dropped */
    uint64_t late;                    /* frames that were written when their lease had run out: the kernel's, if there is one, may have dropped them */
    uint64_t forged;                  /* frames of the guest that looked like a lease frame: refused */
    uint64_t lease_frames;            /* times that the kernel's lease was refreshed */
};
void gate_read_stats(struct gate *g, struct gate_stats *s);

#endif
