/* One replication line: a TCP connection that re-makes itself, authenticated and encrypted frame by frame.
 *
 * Keys: HKDF-SHA256 from the pair's 32-byte secret and both hellos' nonces, one key per direction per connection;
 * the GCM nonce is the frame's sequence number. A peer that does not know the secret gets nothing but the hello.
 *
 * Each link has one thread that connects or accepts, shakes hands, and receives; frames go to `on_frame` on that
 * thread. link_send() may be called from any thread. A link that fails in any way (bad frame, sequence gap, short
 * write past the bound, link_drop()) is closed, reported once by on_state(up = 0), and tried anew for ever. */
#ifndef ISF_LINK_H
#define ISF_LINK_H

#include <sys/uio.h>

#include "wire.h"

struct link;

struct link_config {
    int index;                 /* 0 = A, 1 = B */
    const char *local, *peer;  /* numeric IPv4 or IPv6 */
    uint16_t port;
    int listen;                /* this side listens on local:port, and accepts only from peer */
    uint8_t secret[WIRE_KEY];
    uint64_t timeout_us;       /* bound for connect, handshake, one frame's send, and data that nobody acknowledges; 0 = 1 s */
    int unchecked;             /* 0. Tests only: frames are not authenticated and not counted (the negative control) */
    void *context;
    /* A frame, checked and decrypted; payload is valid during the call. Return < 0 to drop the connection: no frame follows.
     * May call link_send (for little: an acknowledgement; while it waits, nothing is received) and link_drop. Never HELLO, PING, PONG. */
    int (*on_frame)(void *context, int index, const struct frame *f, uint8_t *payload);
    /* up = 1 after the handshake; up = 0 with the reason (errno-like, negative) when it is lost. Also up = 0 while it is down, when an
     * attempt fails for another reason than the one last reported (-EKEYREJECTED: the other side has another secret, -ISF_EVERSION,
     * -EPROTO: another line answers there, -ECONNREFUSED, -EADDRNOTAVAIL, ...; docs/wire.md). A stranger beside a live connection is
     * only counted. link_send succeeds again only after up = 0 has returned: no sender slips from one connection to the next unawares. */
    void (*on_state)(void *context, int index, int up, int reason);
};

/* Starts the thread. `config` and its strings are copied. *out is set before the first callback, NULL after an error.
 * 0, -EINVAL (address, index), or -errno. */
int link_open(struct link **out, const struct link_config *config);
/* Ends the thread, as link_close does, but `l` stays: senders get -ISF_ELINK. 0 times or more. */
void link_end(struct link *l);
/* After link_end: begins again, with other addresses and another secret (index, timeout and callbacks as before). Counters go on. As link_open; on an
 * error the line stays ended. */
int link_begin(struct link *l, const struct link_config *config);
/* Ends the thread and closes. No callback runs after it returns; on_state(0) is not called for it. Not to be called from a
 * callback; senders that wait are woken, but must not call again. */
void link_close(struct link *l);

/* Sends one frame: f's sequence and length are set here, payload parts are gathered and encrypted in a private
 * buffer. Blocks up to the timeout, then the link is dropped. 0, -ISF_ELINK (not up), -EINVAL (not a type for callers, or
 * more than WIRE_PAYLOAD_MAX), -ETIMEDOUT, or -errno. 0 means: handed to the kernel, not: arrived. */
int link_send(struct link *l, const struct frame *f, const struct iovec *parts, int count);
/* Closes the connection (as when the heartbeat says that the line is dead); the thread tries anew. Any thread. */
void link_drop(struct link *l, int reason);

/* refused: whatever came and was not taken: frames, half frames, handshakes, strangers. rtt_us: smoothed, from pings, 0 before the
 * first. rate_bytes_s: what the line takes, as the kernel sees it when much is sent, smoothed; 0 before the first MiB. other_version:
 * of the wire, that the last HELLO refused by -ISF_EVERSION was of; nobody has proved that it was the other host's. */
struct link_stats { int up; uint64_t bytes_in, bytes_out, frames_in, frames_out, rtt_us, rate_bytes_s, refused, other_version; };
void link_read_stats(struct link *l, struct link_stats *s);

#endif
