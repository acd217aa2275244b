#include "heartbeat_core.h"

void core_begin(struct core *c, const struct heartbeat_config *config, uint64_t session, uint64_t now_us)
{
    memset(c, 0, sizeof *c);
    c->interval_us = config->interval_us;
    c->silence_us = config->silence_us;
    c->session = session;
    c->start_us = c->turn_us = now_us;
    c->silent = -1;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        c->path[i].configured = config->path[i].local != NULL;
}

static int within(uint64_t then_us, uint64_t bound_us, uint64_t now_us)
{
    return then_us && (now_us <= then_us || now_us - then_us <= bound_us);
}

static int retired(const struct core *c, uint64_t session)
{
    for (int i = 0; i < CORE_RETIRED; i++)
        if (c->retired[i] == session)
            return 1;
    return 0;
}

/* From here on `session` is the peer: what the one before said is history. */
static void adopt(struct core *c, uint64_t session)
{
    if (c->peer_session)
        c->retired[c->retirements++ % CORE_RETIRED] = c->peer_session;
    c->peer_session = session;
    c->confirmed_sent_us = 0;
    c->word_sequence = 0;
    c->gap_from_us = c->gap_us_max = c->stall_us_max = 0;
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        struct core_path *p = &c->path[i];
        p->sequence = p->peer_sent_us = p->heard_us = p->confirmed_us = 0;
        p->hears = 0;
        p->stranger = 0;
    }
}

/* Is this datagram the peer's, and new? As core_receive. */
static int believe(struct core *c, struct core_path *p, const struct datagram *d, uint64_t now_us)
{
    if (d->session == c->session) /* my own, reflected */
        return -ISF_ECORRUPT;
    if (d->session == c->peer_session)
        return d->sequence > p->sequence ? 0 : -ISF_ESTALE;
    if (retired(c, d->session))
        return -ISF_ESTALE;
    if (d->peer_session == c->session && d->echo_us <= now_us && within(d->echo_us, CORE_FRESH_US, now_us)) {
        adopt(c, d->session);
        return 0;
    }
    if (within(c->heard_us, c->silence_us, now_us)) /* the known one lives: strangers are not even echoed */
        return -ISF_ESTALE;
    p->stranger = d->session;
    p->stranger_sent_us = d->sent_us;
    p->stranger_us = now_us;
    return 1;
}

int core_receive(struct core *c, int path, const struct datagram *d, uint64_t now_us)
{
    struct core_path *p = &c->path[path];
    if (!p->configured || d->path != path)
        return -ISF_ECORRUPT;
    int r = believe(c, p, d, now_us);
    if (r)
        return r;
    int to_me = d->peer_session == c->session;
    p->sequence = d->sequence;
    p->peer_sent_us = d->sent_us;
    p->heard_us = c->heard_us = now_us;
    p->hears = to_me && (d->hears >> path & 1);
    /* It must answer something recent: who holds datagrams back and plays them later keeps nobody alive. */
    if (p->hears && within(d->echo_us, CORE_FRESH_US + 4 * c->silence_us, now_us)) {
        p->confirmed_us = c->confirmed_us = now_us;
        if (c->gap_from_us && now_us > c->gap_from_us + c->gap_us_max)
            c->gap_us_max = now_us - c->gap_from_us;
        c->gap_from_us = now_us;
        if (d->sent_us > c->confirmed_sent_us)
            c->confirmed_sent_us = d->sent_us;
    }
    if (d->sequence > c->word_sequence) {
        c->word_sequence = d->sequence;
        c->peers = d->word;
    }
    if (!to_me)
        return 0;
    /* Who is in a newer term does not vouch for me, whatever it hears. */
    if (d->word.term <= c->mine.term && d->confirmed_us > c->acknowledged_us && d->confirmed_us <= now_us)
        c->acknowledged_us = d->confirmed_us;
    if (d->echo_us && d->echo_us + d->hold_us <= now_us) {
        uint64_t rtt = now_us - d->echo_us - d->hold_us;
        p->rtt_us = p->rtt_us ? (7 * p->rtt_us + rtt) / 8 : rtt;
    }
    return 0;
}

void core_compose(struct core *c, int path, struct datagram *d, uint64_t now_us)
{
    struct core_path *p = &c->path[path];
    uint64_t held_us = 0;
    memset(d, 0, sizeof *d);
    d->path = (uint8_t)path;
    d->session = c->session;
    d->sequence = ++c->sequence;
    d->sent_us = now_us;
    d->word = c->mine;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        if (c->peer_session && within(c->path[i].heard_us, c->silence_us, now_us))
            d->hears |= (uint8_t)(1u << i);
    int known_is_silent = !within(c->heard_us, c->silence_us, now_us);
    if (known_is_silent && p->stranger && within(p->stranger_us, c->silence_us, now_us)) {
        d->hears = 0;
        d->peer_session = p->stranger;
        d->echo_us = p->stranger_sent_us;
        held_us = now_us - p->stranger_us;
    } else if (c->peer_session) {
        d->peer_session = c->peer_session;
        d->echo_us = p->peer_sent_us;
        d->confirmed_us = c->withheld ? 0 : c->confirmed_sent_us;
        held_us = p->peer_sent_us ? now_us - p->heard_us : 0;
    }
    d->hold_us = held_us < UINT32_MAX ? (uint32_t)held_us : UINT32_MAX;
}

uint64_t core_withhold(struct core *c, int on)
{
    if (!c->withheld) /* a process before this one may have confirmed until this one began */
        c->promised_us = c->confirmed_us > c->start_us ? c->confirmed_us : c->start_us;
    c->withheld = on;
    return c->promised_us + c->silence_us;
}

/* Follows the answers of the reference address: since when they come without a gap. */
static void follow_lan(struct core *c, uint64_t lan_answer_us)
{
    if (lan_answer_us <= c->lan_newest_us)
        return;
    /* Asked at every interval just after the peer fell silent, later only twice in the silence. */
    uint64_t gap_us = lan_answer_us - c->heard_us < HEARTBEAT_SUSPICION_US ? 4 * c->interval_us : c->silence_us;
    if (c->lan_first_us <= c->heard_us || lan_answer_us - c->lan_newest_us > gap_us)
        c->lan_first_us = lan_answer_us;
    c->lan_newest_us = lan_answer_us;
}

/* Did the reference address answer, so late that the answer says something about the time since the peer fell silent, and for two
 * intervals? A LAN that came back a moment ago may answer before a living peer was heard on it. */
static int lan_answers(const struct core *c, uint64_t now_us)
{
    return c->lan_newest_us > c->heard_us + c->silence_us / 2 && within(c->lan_newest_us, 2 * c->silence_us, now_us) &&
           c->lan_newest_us - c->lan_first_us >= 2 * c->interval_us;
}

/* A gap between two turns means that I was not watching: what was not seen meanwhile is no silence. Returns the gap when the peer may have
 * found me silent in it: the beats before and after it are up to an interval further away. */
static uint64_t own_stall(struct core *c, uint64_t now_us)
{
    uint64_t gap = now_us > c->turn_us ? now_us - c->turn_us : 0;
    c->turn_us = now_us;
    if (gap > c->stall_us_max)
        c->stall_us_max = gap;
    if (gap <= 3 * c->interval_us)
        return 0;
    uint64_t grace = gap < c->silence_us ? gap : c->silence_us;
    if (now_us > c->grace_until_us + c->silence_us)
        c->grace_since_us = now_us; /* not one more of a row of stalls */
    if (now_us + grace > c->grace_until_us)
        c->grace_until_us = now_us + grace;
    return gap + 2 * c->interval_us >= c->silence_us ? gap : 0;
}

void core_turn(struct core *c, uint64_t now_us, int drained, uint64_t lan_answer_us, struct core_changes *changes)
{
    int before = c->silent, answered = c->lan_answers;
    memset(changes, 0, sizeof *changes);
    changes->stall_us = own_stall(c, now_us);
    /* A host that stalls for ever must still see a dead peer some time. */
    int judge = drained && (now_us >= c->grace_until_us || now_us - c->grace_since_us > 4 * c->silence_us);
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        struct core_path *p = &c->path[i];
        int alive = within(p->confirmed_us, c->silence_us, now_us) && p->hears;
        if (alive != p->alive && (alive || judge)) {
            p->alive = alive;
            changes->path[i] = 1;
        }
    }
    uint64_t patience_us = CORE_PATIENCE_US > 2 * c->silence_us ? CORE_PATIENCE_US : 2 * c->silence_us;
    int waited = c->confirmed_us || now_us - c->start_us >= patience_us;
    follow_lan(c, lan_answer_us);
    c->lan_answers = lan_answers(c, now_us);
    /* By confirmations alone, and not by alive: a path is dead as soon as the peer says that it does not hear me there, but what it
     * may conclude from my datagrams goes by what I have confirmed. */
    if (within(c->confirmed_us, c->silence_us, now_us))
        c->silent = 0;
    else if (judge && waited)
        c->silent = 1;
    changes->peer = c->silent != before || (c->silent == 1 && c->lan_answers != answered);
}
