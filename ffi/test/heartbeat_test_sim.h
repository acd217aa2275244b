/* Two hosts' heartbeats in played time: lines with delay, loss and cuts, freezes, restarts, recordings. */
#ifndef ISF_HEARTBEAT_TEST_SIM_H
#define ISF_HEARTBEAT_TEST_SIM_H

#include <stdlib.h>

#include "../src/heartbeat_core.h"

#define SIM_INTERVAL 10000u
#define SIM_SILENCE 100000u
#define SIM_STEP 1000u
#define SIM_QUEUE 256 /* as a full socket does, it drops what comes after */

struct sim_queue { struct datagram d[SIM_QUEUE]; uint64_t at_us[SIM_QUEUE]; int count; };

struct sim_host {
    struct core core;
    uint64_t next_us;
    int frozen, dead;
    int silences, stalls, path_downs[HEARTBEAT_PATHS]; /* events */
    uint64_t silent_since_us;                  /* 0: not silent */
    uint64_t naive_us;                         /* what echoing any datagram would have acknowledged to the other */
    uint64_t lan_answer_us;
    struct sim_queue in[HEARTBEAT_PATHS];
};

struct sim {
    uint64_t now_us, session;
    struct sim_host host[2];
    int cut[HEARTBEAT_PATHS][2];      /* [path][sender] */
    int loss[HEARTBEAT_PATHS];        /* percent */
    uint32_t delay_us[HEARTBEAT_PATHS];
    int blind;                        /* negative control: hosts do not notice their own stalls, and judge before they read */
    uint64_t violations, naive_violations; /* of the lease's promise */
    struct datagram *recording;       /* everything that host 1 sent */
    size_t recorded, record_room;
};

static void sim_start(struct sim *s, int host)
{
    static const struct heartbeat_config config = {
        .path = {{"a", "b", 1}, {"a", "b", 1}, {"a", "b", 1}}, .interval_us = SIM_INTERVAL, .silence_us = SIM_SILENCE};
    struct sim_host *h = &s->host[host];
    memset(h, 0, sizeof *h);
    core_begin(&h->core, &config, ++s->session * 1000 + (uint64_t)host, s->now_us);
    h->next_us = s->now_us + (uint64_t)(rand() % SIM_INTERVAL);
    h->core.mine.generation = s->session; /* tells one life from the next */
}

static struct sim *sim_new(unsigned seed)
{
    struct sim *s = calloc(1, sizeof *s);
    srand(seed);
    s->now_us = 1000000000;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        s->delay_us[i] = 300;
    s->record_room = 200000;
    s->recording = malloc(s->record_room * sizeof *s->recording);
    sim_start(s, 0);
    sim_start(s, 1);
    return s;
}

static void sim_free(struct sim *s)
{
    free(s->recording);
    free(s);
}

static void sim_send(struct sim *s, int from)
{
    struct sim_host *h = &s->host[from], *to = &s->host[!from];
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        struct datagram d;
        core_compose(&h->core, i, &d, s->now_us);
        if (from == 1 && s->recorded < s->record_room)
            s->recording[s->recorded++] = d;
        struct sim_queue *q = &to->in[i];
        if (s->cut[i][from] || rand() % 100 < s->loss[i] || to->dead || q->count == SIM_QUEUE)
            continue;
        q->d[q->count] = d;
        q->at_us[q->count++] = s->now_us + s->delay_us[i] + (s->delay_us[i] ? (uint64_t)rand() % s->delay_us[i] : 0);
        for (int k = 0; k < HEARTBEAT_PATHS; k++) /* what a careless echo would say, on any path that still works */
            if (to->core.session == h->core.peer_session && h->core.path[k].peer_sent_us > to->naive_us)
                to->naive_us = h->core.path[k].peer_sent_us;
    }
}

static void sim_receive(struct sim *s, int host)
{
    struct sim_host *h = &s->host[host];
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        struct sim_queue *q = &h->in[i];
        int kept = 0;
        for (int k = 0; k < q->count; k++) {
            if (q->at_us[k] <= s->now_us) {
                core_receive(&h->core, i, &q->d[k], s->now_us);
            } else {
                q->d[kept] = q->d[k];
                q->at_us[kept++] = q->at_us[k];
            }
        }
        q->count = kept;
    }
}

static void sim_judge(struct sim *s, int host)
{
    struct sim_host *h = &s->host[host], *other = &s->host[!host];
    struct core_changes changes;
    core_turn(&h->core, s->now_us, 1, h->lan_answer_us, &changes);
    h->stalls += changes.stall_us != 0;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        h->path_downs[i] += changes.path[i] && !h->core.path[i].alive;
    if (h->core.silent == 1 && !h->silent_since_us) {
        h->silences++;
        h->silent_since_us = s->now_us;
    } else if (h->core.silent != 1) {
        h->silent_since_us = 0;
    }
    /* The promise: who was found silent knows no acknowledgement that would let it believe otherwise. */
    if (h->silent_since_us && !other->dead) {
        s->violations += other->core.acknowledged_us + SIM_SILENCE > h->silent_since_us;
        s->naive_violations += other->naive_us + SIM_SILENCE > h->silent_since_us;
    }
}

static void sim_step(struct sim *s)
{
    s->now_us += SIM_STEP;
    for (int i = 0; i < 2; i++) {
        struct sim_host *h = &s->host[i];
        if (h->frozen || h->dead)
            continue;
        if (s->blind) {
            h->core.turn_us = s->now_us;
            sim_judge(s, i);
        }
        sim_receive(s, i);
        sim_judge(s, i);
        if (s->now_us >= h->next_us) {
            sim_send(s, i);
            h->next_us += SIM_INTERVAL;
            if (h->next_us <= s->now_us)
                h->next_us = s->now_us + SIM_INTERVAL;
        }
    }
}

static void sim_run(struct sim *s, uint64_t us)
{
    for (uint64_t end = s->now_us + us; s->now_us < end;)
        sim_step(s);
}

static int sim_alive(const struct sim *s, int host)
{
    const struct core *c = &s->host[host].core;
    return c->path[0].alive | c->path[1].alive << 1 | c->path[2].alive << 2;
}

static void sim_cut(struct sim *s, int path, int both)
{
    s->cut[path][0] = both & 1;
    s->cut[path][1] = both >> 1 & 1;
}

#endif
