/* The inside of a gate, shared by gate.c (calls), gate_loop.c (its thread) and gate_in.c (incoming frames).
 *
 * Two locks, always taken in this order:
 *   tap_lock    one writer to the TAP at a time, and the right to move the queue's head. Held while a run of frames is written
 *   queue_lock  everything else that threads share. Held for reads from QEMU's socket, never for writes: the barrier needs only
 *               this one, and it is in the VM's pause */
#ifndef ISF_GATE_STATE_H
#define ISF_GATE_STATE_H

#include "gate.h"
#include "gate_queue.h"

#include <pthread.h>
#include <stdatomic.h>

#define IN_BYTES (4u << 20) /* bounds of the incoming queue */
#define IN_FRAMES 4096u

/* Frames on their way to QEMU, as its stream has them. Only the gate's thread uses it. */
struct in_queue {
    struct ring ring;
    uint64_t head; /* sent up to here */
    uint64_t whole; /* the frame at or around head begins here */
    uint64_t tail;
    uint32_t frames; /* between whole and tail */
    int blocked;     /* QEMU's socket is full: wait for EPOLLOUT */
    int full;        /* the TAP is not read */
};

#define LEASE_FRAME 22u /* an Ethernet header and the secret */

/* The kernel's lease (gate_lease.c). Times in us, by isf_now_us. Guarded by tap_lock. */
struct kernel_lease {
    uint32_t lease_us;   /* 0: none */
    uint32_t tick_us;    /* the kernel counts its timeouts in these */
    uint64_t refresh_at; /* the next frame after this refreshes first */
    uint64_t sure_until; /* what is written before this passes */
    uint64_t gone_at;    /* what is written after this is dropped */
    uint64_t late, forged, frames;
    uint8_t frame[LEASE_FRAME];
};

struct gate {
    struct gate_config config;
    char path[108]; /* of the socket, "" until bound */
    int tap, listener, epoll, wake;
    unsigned long thread;
    int started;
    _Atomic int stopping, mode;
    _Atomic int live; /* incoming frames are wanted */

    pthread_mutex_t tap_lock;
    int waiting_for_lease; /* tap_lock: counted once */
    struct kernel_lease kernel;

    pthread_mutex_t queue_lock;
    struct out_queue out;
    struct addresses addresses;
    int qemu;          /* its connection or -1; only the thread changes it */
    int qemu_broken;   /* a reader found it so: the thread closes it */
    int notify;        /* on_output is due */
    int input_paused;  /* the queue was full: QEMU's socket is not polled */
    uint64_t retry_at; /* us; 0 = nothing waits for the lease or for the TAP */
    uint32_t announce_left, announce_gap_ms;
    uint64_t announce_at;
    struct gate_stats stats; /* out_…, lease_waits, refused, announced; the rest is filled in by gate_read_stats */

    struct in_queue in;
    int tap_closed, tap_watched; /* closed: the thread found that the TAP is gone */
    uint32_t qemu_events, tap_events; /* what epoll watches now */
    _Atomic uint64_t in_frames, in_bytes, in_dropped, tap_lost;
};

/* gate.c */
/* Writes to the TAP what may leave now. Any thread, no lock held. */
void gate_flush(struct gate *g);
/* Reads from QEMU: once, or until its socket is empty or the queue is full. queue_lock held. */
void gate_take(struct gate *g, int until_empty);
/* Sends one round of announcements. No lock held. */
void gate_announce_now(struct gate *g);
/* Makes the thread look. */
void gate_wake(struct gate *g);

/* gate_lease.c, with tap_lock */
/* True when a frame may be written to the TAP now; the kernel's lease is refreshed for it. */
int gate_leased(struct gate *g, int mode);
/* A frame was written under a true gate_leased: notes whether that was in time. */
void gate_lease_wrote(struct gate *g, int mode);
/* True for a frame of the guest that must not reach the TAP; it is counted. `head`: its first bytes. */
int gate_lease_forged(struct gate *g, const uint8_t *head, uint32_t length);

/* gate_loop.c */
/* Gives epoll what it watches from the start. 0 or -errno. */
int gate_watch_first(struct gate *g);
void *gate_run(void *gate);

/* gate_in.c, on the gate's thread only */
/* 0 or -ENOMEM. */
int gate_in_open(struct gate *g);
/* True when the TAP is to be read. */
int gate_in_polled(const struct gate *g);
/* The TAP is gone: it is not looked at any more. */
void gate_in_lost(struct gate *g);
/* Reads frames from the TAP, at most 64 at a time, and passes them on. */
void gate_in_receive(struct gate *g);
/* Writes to QEMU what it takes. */
void gate_in_send(struct gate *g);
/* Forgets what waits: QEMU is gone, and another would not find the beginning of a frame. */
void gate_in_clear(struct gate *g);

#endif
