/* Heartbeats over UDP on link A, link B and the LAN, from a thread of their own.
 *
 * A datagram says: path, sequence, my send time, term, epoch, role, "I hear you" per path, and echoes the peer's
 * newest send time with how long ago it came. Authenticated by HMAC-SHA256 from the pair's secret, with a random
 * session number per process and growing sequence, so that old ones are refused. A path is alive only when both
 * directions are (one-way silence is a dead line on both sides). */
#ifndef ISF_HEARTBEAT_H
#define ISF_HEARTBEAT_H

#include "wire.h"

#define HEARTBEAT_PATHS 3 /* 0 link A, 1 link B, 2 LAN */

struct heartbeat;

struct heartbeat_path { const char *local, *peer; uint16_t port; }; /* local == NULL: this path is not configured */

struct heartbeat_config {
    struct heartbeat_path path[HEARTBEAT_PATHS];
    uint8_t secret[WIRE_KEY];
    uint64_t interval_us;      /* default 10,000 */
    uint64_t silence_us;       /* a path is dead after this long; default 100,000 */
    const char *reference;     /* IPv4 address on the LAN (gateway) that is asked whether the LAN answers, or NULL */
    const char *reference_interface; /* the LAN interface for it (ARP), e.g. "br0" */
    void *context;
    /* A path went alive or dead. Called on the heartbeat's thread. */
    void (*on_path)(void *context, int path, int alive);
    /* All configured paths are silent (1), or one is alive again (0); with 1, `lan_answers` tells whether the reference
     * address answered since the LAN path fell silent (or within the last silence_us): called again when that changes. */
    void (*on_peer)(void *context, int silent, int lan_answers);
};

/* What I say of myself in each datagram, and what the peer said last. */
struct heartbeat_word { uint64_t generation, term, epoch; uint32_t role, flags; };

int heartbeat_open(struct heartbeat **out, const struct heartbeat_config *config);
void heartbeat_close(struct heartbeat *h);
/* Any thread. Sent with the next datagram. */
void heartbeat_say(struct heartbeat *h, const struct heartbeat_word *word);
/* The peer's newest word and its age. 0, or -EAGAIN when none has come yet. */
int heartbeat_heard(struct heartbeat *h, struct heartbeat_word *word, uint64_t *age_us);
/* The send time (isf_now_us of this host) of my newest datagram that the peer has echoed, on any path: the peer cannot
 * have found me silent before that time + its silence_us. 0 when none. This is what the gate's lease is made of.
 * Lock-free. */
uint64_t heartbeat_acknowledged_us(struct heartbeat *h);

struct heartbeat_stats { int alive[HEARTBEAT_PATHS]; uint64_t rtt_us[HEARTBEAT_PATHS], sent, received, refused, lan_answer_age_us; };
void heartbeat_read_stats(struct heartbeat *h, struct heartbeat_stats *s);

#endif
