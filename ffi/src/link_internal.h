/* What the files of the link share: link.c (callers' side), link_thread.c (connections), link_receive.c (frames). */
#ifndef ISF_LINK_INTERNAL_H
#define ISF_LINK_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "link.h"
#include "link_handshake.h"
#include "link_socket.h"

#define SEND_CHUNK (256u << 10)    /* encrypted and handed to the kernel at a time: stays in the cache */
#define RECEIVE_BUFFER (1u << 20)  /* grows to the greatest frame only when one is announced */
#define PING_US 500000u
#define RATE_SAMPLE (1u << 20)     /* bytes sent between two looks at the kernel's measurement */
#define RETRY_MIN_US 50000u
#define RETRY_MAX_US 1000000u

struct link_receiver {
    uint8_t *data;
    size_t start, end, capacity;
    uint64_t progress_us;          /* when bytes came last */
};

struct link {
    struct link_config config;
    struct link_address local, peer;
    unsigned long thread;
    int wake;                      /* eventfd */
    atomic_int closing;

    /* Senders. send_lock guards `up`, live.seal, live.sent, live.fd's use for sending, `out`, and is held while one frame is
     * sent. The thread takes it to change `live`. */
    pthread_mutex_t send_lock;
    int up;
    uint8_t *out;                  /* SEND_CHUNK + WIRE_TAG bytes */
    uint64_t unsampled;            /* bytes sent since the last look at the rate */

    /* fd_lock guards live_fd for link_drop, which must not wait for a sender. Taken last, held for no more than a shutdown(). */
    pthread_mutex_t fd_lock;
    int live_fd;                   /* -1 when none */
    atomic_int broken;             /* why the live connection must go: negative, or 0 */

    /* Owned by the thread. */
    struct link_connection live, pending;
    struct link_receiver receiver;
    int listener;
    uint64_t retry_at_us, retry_us, up_since_us, ping_at_us;
    int last_reason;

    /* A pong that waits until the line is free: a ping must not make the thread wait behind a sender. */
    atomic_int pong_due;
    _Atomic uint64_t pong_time, pong_received_us;

    atomic_int stat_up;
    _Atomic uint64_t bytes_in, bytes_out, frames_in, frames_out, rtt_us, rate, refused, other_version;
};

/* link.c */
/* Sends what is due, a pong or (when `ping`) a ping, unless a sender has the line or it is full. 1 if none is left over. */
int link_service(struct link *l, int ping);

/* link_receive.c */
/* Takes what has come on the live connection. 0, or why it must be dropped. */
int link_receive(struct link *l);
/* Half a frame lies there, and nothing has come for the timeout. */
int link_half_frame_stuck(const struct link *l, uint64_t now_us);

/* link_thread.c */
void *link_run(void *context);

static inline void link_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
