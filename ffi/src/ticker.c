/* Every 10 ms: the status page, the peer's word, the choice of the line, a stall. */
#include "engine.h"

#include <stdio.h>
#include <unistd.h>

#define TICK_US 10000u
#define BACK_TO_A_US 1000000u /* link A must have been up this long before data moves back to it */
#define PERCENTILES_EVERY 20  /* ticks */

static void read_links(struct isf_engine *e, struct isf_status *s)
{
    for (int i = 0; i < 2; i++) {
        struct link_stats l = { 0 };
        if (e->link[i])
            link_read_stats(e->link[i], &l);
        status_set(&s->link_up[i], (uint64_t)atomic_load(&e->link_up[i]));
        status_set(&s->link_bytes_in[i], l.bytes_in);
        status_set(&s->link_bytes_out[i], l.bytes_out);
        status_set(&s->link_rtt_us[i], l.rtt_us);
        if (i == atomic_load(&e->active))
            atomic_store(&e->link_rate, l.rate_bytes_s);
    }
    status_set(&s->link_active, (uint64_t)(int64_t)atomic_load(&e->active));
}

static void read_gates(struct isf_engine *e, struct isf_status *s)
{
    struct gate_stats all = { 0 };
    for (int i = 0; i < e->nics; i++) {
        struct gate_stats g;
        gate_read_stats(e->gate[i], &g);
        all.out_frames += g.out_frames;
        all.out_bytes += g.out_bytes;
        all.in_frames += g.in_frames;
        all.in_bytes += g.in_bytes;
        all.held_frames += g.held_frames;
        all.held_bytes += g.held_bytes;
        all.in_dropped += g.in_dropped + g.out_dropped;
        all.late += g.late;
        all.lease_waits += g.lease_waits;
    }
    status_set(&s->out_frames, all.out_frames);
    status_set(&s->out_bytes, all.out_bytes);
    status_set(&s->in_frames, all.in_frames);
    status_set(&s->in_bytes, all.in_bytes);
    status_set(&s->held_frames, all.held_frames);
    status_set(&s->held_bytes, all.held_bytes);
    status_set(&s->dropped_frames, all.in_dropped);
    status_set(&s->late_frames, all.late);
    status_set(&s->lease_waits, all.lease_waits);
}

static void read_peer(struct isf_engine *e, struct isf_status *s)
{
    struct heartbeat_word w;
    struct heartbeat_stats h;
    uint64_t age;
    if (!e->heartbeat)
        return;
    heartbeat_read_stats(e->heartbeat, &h);
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        status_set(&s->path_alive[i], (uint64_t)h.alive[i]);
        status_set(&s->path_rtt_us[i], h.rtt_us[i]);
    }
    status_set(&s->heartbeat_gap_us_max, h.gap_us_max);
    status_set(&s->heartbeat_stall_us_max, h.stall_us_max);
    uint64_t refused = atomic_load(&e->refused) + h.refused;
    for (int i = 0; i < 2; i++) {
        struct link_stats l = { 0 };
        if (e->link[i])
            link_read_stats(e->link[i], &l);
        refused += l.refused;
    }
    status_set(&s->refused, refused);
    if (heartbeat_heard(e->heartbeat, &w, &age))
        return;
    status_set(&s->peer_age_us, age);
    status_set(&s->peer_epoch, w.epoch);
    uint64_t until = heartbeat_acknowledged_us(e->heartbeat) + e->silence_us, now = isf_now_us();
    status_set(&s->lease_left_us, until > now ? until - now : 0);
    struct heartbeat_word *old = &e->heard;
    int changed = w.term != old->term || w.role != old->role || w.flags != old->flags || w.generation != old->generation;
    *old = w;
    if (!changed)
        return;
    status_set(&s->peer_term, w.term);
    status_set(&s->peer_role, w.role);
    status_set(&s->peer_flags, w.flags);
    status_set(&s->peer_generation, w.generation);
    events_send(&e->events, "word", "\"generation\":%llu,\"term\":%llu,\"epoch\":%llu,\"role\":%u,\"flags\":%u",
                (unsigned long long)w.generation, (unsigned long long)w.term, (unsigned long long)w.epoch, w.role, w.flags);
}

static void read_engine(struct isf_engine *e, struct isf_status *s)
{
    int mode = atomic_load(&e->mode);
    status_set(&s->mode, (uint64_t)mode);
    status_set(&s->generation, atomic_load(&e->generation));
    status_set(&s->term, atomic_load(&e->term));
    pthread_mutex_lock(&e->lock);
    status_set(&s->inflight, e->inflight);
    status_set(&s->inflight_bytes, e->inflight_bytes);
    if (mode != ISF_STANDBY && mode != ISF_PROMOTING)
        status_set(&s->epoch, e->open_epoch);
    uint64_t waited = e->first ? isf_now_us() - e->first->trigger_us : 0, epoch = e->first ? e->first->number : 0;
    int stalled = mode == ISF_PROTECTED && !atomic_load(&e->pace.asynchronous) && waited > e->rhythm.stall_us && !e->stalled;
    if (stalled)
        e->stalled = 1;
    pthread_mutex_unlock(&e->lock);
    if (mode != ISF_STANDBY && mode != ISF_PROMOTING) {
        pthread_mutex_lock(&e->release_lock);
        status_set(&s->committed, e->committed);
        pthread_mutex_unlock(&e->release_lock);
    }
    if (stalled)
        events_send(&e->events, "stalled", "\"epoch\":%llu,\"waited_us\":%llu", (unsigned long long)epoch, (unsigned long long)waited);
    uint64_t durable = e->disks ? UINT64_MAX : 0;
    for (int i = 0; i < e->disks; i++) {
        uint64_t d = disk_durable(e->disk[i]);
        durable = d < durable ? d : durable;
    }
    status_set(&s->durable, durable);
}

static void percentiles(struct isf_engine *e, struct isf_status *s)
{
    pthread_mutex_lock(&e->lock);
    struct samples pauses = e->pauses, commits = e->commits;
    pthread_mutex_unlock(&e->lock);
    status_set(&s->pause_us_p50, samples_quantile(&pauses, 500));
    status_set(&s->pause_us_p99, samples_quantile(&pauses, 990));
    status_set(&s->commit_us_p50, samples_quantile(&commits, 500));
    status_set(&s->commit_us_p99, samples_quantile(&commits, 990));
}

/* Data goes back to link A when that has been well for a while. */
static void prefer_a(struct isf_engine *e)
{
    if (atomic_load(&e->active) != 1 || !atomic_load(&e->link_up[0]))
        return;
    pthread_mutex_lock(&e->lock);
    /* Not before the first commit: the end of a sync and the first epoch must come in order, on one line. */
    int mode = atomic_load(&e->mode), free = mode != ISF_SYNCING && (mode != ISF_PROTECTED || e->first_commit);
    int well = free && isf_now_us() - e->link_up_since_us[0] > BACK_TO_A_US;
    if (well) {
        atomic_store(&e->active, 0);
        e->send_reset = e->work = 1;
        pthread_cond_broadcast(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    if (well)
        events_send(&e->events, "active", "\"link\":0");
}

void *ticker_run(void *engine)
{
    struct isf_engine *e = engine;
    for (unsigned tick = 0; !atomic_load(&e->ending); tick++) {
        read_engine(e, e->status);
        pace_status(e, e->status, tick);
        read_links(e, e->status);
        read_gates(e, e->status);
        pthread_mutex_lock(&e->peer_lock); /* the peer may be another one from one tick to the next (relink.c) */
        read_peer(e, e->status);
        pthread_mutex_unlock(&e->peer_lock);
        prefer_a(e);
        standby_tell_durable(e);
        if (tick % PERCENTILES_EVERY == 0)
            percentiles(e, e->status);
        usleep(TICK_US);
    }
    return NULL;
}
