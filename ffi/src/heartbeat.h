/* Heartbeats over UDP on link A, link B and the LAN, from a thread of their own.
 *
 * A datagram says: path, sequence, my send time, term, epoch, role, "I hear you" per path, and echoes the peer's
 * newest send time with how long ago it came. Authenticated by HMAC-SHA256 from the pair's secret, with a random
 * session number per process and growing sequence, so that old ones are refused. A path is alive only when both
 * directions are (one-way silence is a dead line on both sides): a sign of life is a datagram that says "I hear you here".
 *
 * Silence counts only while this host was watching: after a stall of its own (frozen, overloaded) it reads what has
 * come first, and then waits for as long as the stall was, 3 intervals at the least and silence_us at the most.
 * docs/wire.md has the datagram. */
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
    uint64_t silence_us;       /* a path is dead after this long; default 100,000; at least 4 intervals */
    const char *reference;     /* IPv4 address on the LAN (gateway) that is asked whether the LAN answers, or NULL */
    const char *reference_interface; /* the LAN interface for it (ARP), e.g. "br0" */
    void *context;
    /* A path went alive or dead. Called on the heartbeat's thread. */
    void (*on_path)(void *context, int path, int alive);
    /* All configured paths are silent (1), or one is alive again, or for the first time (0). A peer that was never heard is silent 2 s
     * after the start. With 1, `lan_answers` tells whether the reference address answers: called again when that changes. Only an
     * answer that came well after (silence_us / 2) the last datagram of the peer counts, and one of the last 2 * silence_us: an
     * answer from just before a cut that took everything must not make an isolated host believe that it still has the LAN. */
    void (*on_peer)(void *context, int silent, int lan_answers);
    /* This host's own beats did not go out for so long that the peer may have found it silent (it was frozen, or starved). Called
     * before any path or peer is found silent by what was missed. */
    void (*on_stall)(void *context, uint64_t gap_us);
};

/* What I say of myself in each datagram, and what the peer said last. */
struct heartbeat_word { uint64_t generation, term, epoch; uint32_t role, flags; };

/* Starts the thread; `config` and its strings are copied; *out is set before the first callback. A local address that is not there yet is
 * tried again for ever: that path is dead until then. 0, -EINVAL (an address, no path, or times), -ENODEV (no reference_interface),
 * -EPERM (no right to ask the LAN), -errno. */
int heartbeat_open(struct heartbeat **out, const struct heartbeat_config *config);
/* Ends the thread: no callback runs after it returns. Not to be called from a callback. */
void heartbeat_close(struct heartbeat *h);
/* As heartbeat_open, but without the thread: heartbeat_begin starts it, and heartbeat_become may give it to another one. */
int heartbeat_make(struct heartbeat **out, const struct heartbeat_config *config);
/* Ends the thread: `h` says and hears nothing from here on, and stays. Not to be called from a callback. */
void heartbeat_end(struct heartbeat *h);
/* After heartbeat_end: `h` takes addresses, secret, times and the LAN's reference of `made`, which is gone, and knows no peer. What it says of itself
 * stays. */
void heartbeat_become(struct heartbeat *h, struct heartbeat *made);
/* Starts the thread. 0 or -errno. */
int heartbeat_begin(struct heartbeat *h);
/* Any thread. Sent with the next datagram. */
void heartbeat_say(struct heartbeat *h, const struct heartbeat_word *word);
/* The peer's newest word and its age. 0, or -EAGAIN when none has come yet. */
int heartbeat_heard(struct heartbeat *h, struct heartbeat_word *word, uint64_t *age_us);
/* The send time (isf_now_us of this host) of my newest datagram that the peer has counted as a sign of my life, on any path:
 * the peer cannot have found me silent before that time + its silence_us. 0 when none. A peer whose word has a newer term
 * than mine acknowledges nothing. This is what the gate's lease is made of. Lock-free. */
uint64_t heartbeat_acknowledged_us(struct heartbeat *h);
/* on = 1: from now on my datagrams acknowledge nothing, so that the peer's lease runs out; for the host that is about to take over,
 * before it acts on on_peer(1): in between the peer may have been heard again. on = 0: as before. Returns the time (isf_now_us of
 * this host) at which a lease that the peer made of what I acknowledged has run out at the latest (same silence_us on both):
 * a host that finds the peer silent has usually nothing left to wait. */
uint64_t heartbeat_withhold(struct heartbeat *h, int on);

/* Times that datagrams went out, or were tried to, on all paths. Lock-free: it stands still when the thread does. */
uint64_t heartbeat_beats(struct heartbeat *h);

/* gap_us_max: longest time between two signs of life, stall_us_max: longest time that the thread did not run; both in the peer's present
 * session. refused: datagrams that were not the peer's, or old. lan_answer_age_us: UINT64_MAX when there was no answer yet. */
struct heartbeat_stats { int alive[HEARTBEAT_PATHS]; uint64_t rtt_us[HEARTBEAT_PATHS], sent, received, refused, lan_answer_age_us, gap_us_max, stall_us_max; };
void heartbeat_read_stats(struct heartbeat *h, struct heartbeat_stats *s);

#endif
