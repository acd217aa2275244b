/* Other lines, another peer, while the VM runs alone: ../iservft.h, isf_relink. The objects of lines and heartbeats stay, so that whoever holds one
 * (gates, sender, ticker, watchdog) goes on; only their threads end and begin. */
#include "engine.h"

#include <stdio.h>
#include <unistd.h>

#include "aead.h"
#include "link_socket.h"

#define WORDS 8 /* local and peer of link A, link B, LAN; reference; its interface */

struct lines { char word[WORDS][64]; };

static const char *word_of(const struct lines *l, int i)
{
    return strcmp(l->word[i], "-") ? l->word[i] : NULL;
}

/* Both addresses of path `i`, or none. */
static int path_check(const struct lines *l, int i, uint16_t port)
{
    const char *local = word_of(l, 2 * i), *peer = word_of(l, 2 * i + 1);
    struct link_address a, b;
    if (!local && !peer)
        return 0;
    if (!local || !peer || link_address_parse(&a, local, port) || link_address_parse(&b, peer, port) || a.at.ss_family != b.at.ss_family)
        return -EINVAL;
    return 0;
}

static int lines_read(struct lines *l, const char *text, uint32_t port)
{
    int end = -1, n = sscanf(text, "%63s %63s %63s %63s %63s %63s %63s %63s %n", l->word[0], l->word[1], l->word[2], l->word[3], l->word[4],
                             l->word[5], l->word[6], l->word[7], &end);
    if (n != WORDS || end < 0 || text[end] || port == 0 || port > 65533 || !word_of(l, 0))
        return -EINVAL;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        if (path_check(l, i, (uint16_t)(port + (uint32_t)i)))
            return -EINVAL;
    return 0;
}

static int heartbeat_of(struct isf_engine *e, const struct lines *l, const uint8_t *secret, uint32_t port, struct heartbeat **made)
{
    struct heartbeat_config c = { .interval_us = e->interval_us, .silence_us = e->silence_us, .context = e, .on_path = engine_on_path,
                                  .on_peer = engine_on_peer, .on_stall = engine_on_stall, .reference = word_of(l, 6),
                                  .reference_interface = word_of(l, 7) };
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        c.path[i] = (struct heartbeat_path){ word_of(l, 2 * i), word_of(l, 2 * i + 1), (uint16_t)(port + (uint32_t)i) };
    memcpy(c.secret, secret, WIRE_KEY);
    int r = heartbeat_make(made, &c);
    secret_wipe(&c, sizeof c);
    return r;
}

/* With peer_lock: nothing of the old peer comes any more once this has returned. */
static void end_all(struct isf_engine *e)
{
    heartbeat_end(e->heartbeat);
    for (int i = 0; i < 2; i++) {
        if (e->link[i])
            link_end(e->link[i]);
        if (atomic_load(&e->link_up[i]))
            engine_on_link(e, i, 0, -ECANCELED);
    }
}

/* With peer_lock. */
static void forget_peer(struct isf_engine *e)
{
    struct isf_status *s = e->status;
    uint64_t *zero[] = { &s->peer_term, &s->peer_role, &s->peer_flags, &s->peer_epoch, &s->peer_generation, &s->peer_age_us, &s->lease_left_us };
    memset(&e->heard, 0, sizeof e->heard);
    for (size_t i = 0; i < sizeof zero / sizeof *zero; i++)
        status_set(zero[i], 0);
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        status_set(&s->path_alive[i], 0);
        status_set(&s->path_rtt_us[i], 0);
    }
    pthread_mutex_lock(&e->lock);
    e->common = 0; /* what the old one had says nothing of what the new one has */
    pthread_mutex_unlock(&e->lock);
}

static int begin_all(struct isf_engine *e, const struct lines *l, uint32_t port, int listen)
{
    int r = heartbeat_begin(e->heartbeat);
    for (int i = 0; r == 0 && i < 2; i++) {
        const char *local = word_of(l, 2 * i), *peer = word_of(l, 2 * i + 1);
        if (local)
            r = engine_line(e, i, &(struct engine_line){ local, peer, (uint16_t)(port + (uint32_t)i), listen >> i & 1 });
    }
    return r;
}

int32_t isf_relink(isf_engine *e, const uint8_t *secret, const char *text, uint32_t port, uint32_t listen, uint64_t *since_us)
{
    struct lines l;
    struct heartbeat *made;
    if (atomic_load(&e->mode) != ISF_SOLO || !e->heartbeat)
        return engine_problem(e, -ISF_ESTATE, "the lines of a VM are changed only while it runs unprotected");
    if (lines_read(&l, text, port))
        return engine_problem(e, -EINVAL, "the lines \"%.200s\" on port %u are not a pair's", text, port);
    int r = heartbeat_of(e, &l, secret, port, &made);
    if (r)
        return engine_problem(e, r, "heartbeats on the new lines could not be made: %s", strerror(-r));
    pthread_mutex_lock(&e->peer_lock);
    end_all(e);
    forget_peer(e);
    memcpy(e->secret, secret, WIRE_KEY);
    heartbeat_become(e->heartbeat, made);
    *since_us = isf_now_us();
    while (isf_now_us() == *since_us) /* what comes from here on has a later time */
        usleep(1);
    pthread_mutex_unlock(&e->peer_lock);
    r = begin_all(e, &l, port, (int)listen);
    return r ? engine_problem(e, r, "the new lines could not be opened: %s", strerror(-r)) : 0;
}
