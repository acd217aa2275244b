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
    uint64_t timeout_us;       /* bound for connect, handshake, and one frame's send */
    void *context;
    /* A frame, checked and decrypted; payload is valid during the call. Return < 0 to drop the connection. */
    int (*on_frame)(void *context, int index, const struct frame *f, uint8_t *payload);
    /* up = 1 after the handshake; up = 0 with the reason (errno-like, negative) when it is lost. */
    void (*on_state)(void *context, int index, int up, int reason);
};

/* Starts the thread. `config` and its strings are copied. 0 or -errno. */
int link_open(struct link **out, const struct link_config *config);
/* Ends the thread and closes. No callback runs after it returns. Not to be called from a callback. */
void link_close(struct link *l);

/* Sends one frame: f's sequence and length are set here, payload parts are gathered and encrypted in a private
 * buffer. Blocks up to the timeout, then the link is dropped. 0, -ISF_ELINK (not up), or -errno. */
int link_send(struct link *l, const struct frame *f, const struct iovec *parts, int count);
/* Closes the connection (as when the heartbeat says that the line is dead); the thread tries anew. Any thread. */
void link_drop(struct link *l, int reason);

struct link_stats { int up; uint64_t bytes_in, bytes_out, frames_in, frames_out, rtt_us, rate_bytes_s, refused; };
void link_read_stats(struct link *l, struct link_stats *s);

#endif
