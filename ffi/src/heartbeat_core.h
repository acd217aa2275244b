/* What heartbeats mean: no clock, no sockets, no thread inside, so that a test can play hours of faults in a moment.
 *
 * Words. A path is *heard* when any datagram of the peer's session came on it; *confirmed* when that datagram said "I
 * hear you here": then both directions work. The peer counts as silent when no path was confirmed for silence_us.
 *
 * What the lease of the gate stands on: confirmed_us in a datagram is the newest send time of the peer that this host
 * counted as a confirmation, and nothing else. This host finds the peer silent no sooner than silence_us after that
 * confirmation came, which is no sooner than silence_us after it was sent. (Echoing any datagram would not do: with line A
 * dead one way and line B the other way, each side would still be echoed while the other finds it silent.)
 *
 * A restarted peer has a new session. It is believed only when its datagram echoes one that this process sent within the
 * last seconds: a recording cannot. To get there, datagrams of an unknown session are echoed (not believed) as long as the
 * known session is silent. */
#ifndef ISF_HEARTBEAT_CORE_H
#define ISF_HEARTBEAT_CORE_H

#include "heartbeat_datagram.h"

#define CORE_FRESH_US 2000000u  /* how old an echo may be that introduces a new session */
#define CORE_PATIENCE_US 2000000u /* a peer that was never heard is silent after this */
#define HEARTBEAT_SUSPICION_US 2000000u /* the LAN is asked at every interval for this long after the peer fell silent */
#define CORE_RETIRED 8

struct core_path {
    int configured, alive;
    uint64_t sequence;         /* newest of the peer's on this path */
    uint64_t heard_us, confirmed_us; /* my clock; 0: never */
    int hears;                 /* what the newest datagram said of this path */
    uint64_t peer_sent_us;     /* its send time, the peer's clock: what I echo */
    uint64_t rtt_us;
    /* An unknown session that spoke here last: echoed, not believed. */
    uint64_t stranger, stranger_sent_us, stranger_us;
};

struct core {
    uint64_t interval_us, silence_us, session, sequence, start_us;
    uint64_t turn_us, grace_until_us, grace_since_us;
    uint64_t peer_session, retired[CORE_RETIRED], retirements;
    uint64_t confirmed_us;      /* newest over all paths, my clock */
    uint64_t confirmed_sent_us; /* the peer's clock: goes into datagrams */
    uint64_t acknowledged_us;   /* my clock: the newest of mine that the peer counted */
    uint64_t heard_us;          /* newest over all paths */
    uint64_t gap_from_us, gap_us_max, stall_us_max; /* in the peer's present session: signs of life, my own turns */
    uint64_t word_sequence;
    struct heartbeat_word mine, peers;
    struct core_path path[HEARTBEAT_PATHS];
    int withheld;               /* my datagrams confirm nothing */
    uint64_t promised_us;       /* my clock: nothing that came later was ever confirmed by me */
    int silent;                 /* 1, 0, or -1 when nothing is known yet */
    int lan_answers;
    uint64_t lan_first_us, lan_newest_us; /* answers that came one after the other, my clock */
};

/* `session`: random, not 0. Configured paths are bits of `paths`. */
void core_begin(struct core *c, const struct heartbeat_config *config, uint64_t session, uint64_t now_us);
/* A decoded datagram that came on `path`. 0: believed. 1: an unknown session, remembered for an echo. -ISF_ECORRUPT, -ISF_ESTALE: refused. */
int core_receive(struct core *c, int path, const struct datagram *d, uint64_t now_us);
/* The next datagram to send on `path`. */
void core_compose(struct core *c, int path, struct datagram *d, uint64_t now_us);

/* As heartbeat_withhold. */
uint64_t core_withhold(struct core *c, int on);

/* stall_us: I did not run for so long that the peer may have found me silent, and for how long; 0 mostly. */
struct core_changes { int path[HEARTBEAT_PATHS], peer; uint64_t stall_us; };
/* Judges, after everything that came was received. `drained`: 0 when more may be waiting: then nothing is found dead.
 * `lan_answer_us`: when the reference address answered last, 0 never. Sets which of path[].alive, and (peer) silent or
 * lan_answers, have changed. */
void core_turn(struct core *c, uint64_t now_us, int drained, uint64_t lan_answer_us, struct core_changes *changes);

#endif
