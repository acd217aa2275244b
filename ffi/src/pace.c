/* What is done when the backup does not keep up: the guest is slowed, or its output is let out before it is safe. ../iservft.h says what
 * each call promises. */
#include "engine.h"

#include <poll.h>
#include <unistd.h>

#define HOLD_US 20000u         /* QEMU's main loop stands still no longer than this at once */
#define THROTTLE_MOST 95u
#define SHARE_EVERY 100u       /* ticks between looks at the share: a second */

int32_t isf_throttle(isf_engine *e, uint32_t percent)
{
    if (percent > THROTTLE_MOST)
        return engine_problem(e, -EINVAL, "a guest can be slowed by 0 to %u %%, not by %u", THROTTLE_MOST, percent);
    atomic_store(&e->pace.percent, percent);
    engine_kick(e);
    return 0;
}

/* How long the VM runs for a hold of HOLD_US. */
static int64_t run_for_hold(uint32_t percent)
{
    return (int64_t)HOLD_US * (100 - percent) / percent;
}

static uint64_t ran_since(const struct isf_engine *e, uint64_t now_us)
{
    uint64_t from = e->pace.from_us > e->resumed_us ? e->pace.from_us : e->resumed_us;
    return now_us > from ? now_us - from : 0;
}

uint64_t pace_hold_due(const struct isf_engine *e)
{
    uint32_t percent = atomic_load(&e->pace.percent);
    if (!percent)
        return UINT64_MAX;
    int64_t left = run_for_hold(percent) - e->pace.ran_us - (int64_t)ran_since(e, isf_now_us());
    return left > 0 ? (uint64_t)left : 0;
}

void pace_stopped(struct isf_engine *e, uint64_t now_us)
{
    uint32_t percent = atomic_load(&e->pace.percent);
    int64_t most = percent ? run_for_hold(percent) : 0, ran = e->pace.ran_us + (int64_t)ran_since(e, now_us);
    e->pace.ran_us = ran < most ? ran : most; /* what could not be held in time is not made up for later */
    e->pace.from_us = now_us;
}

/* What the VM may run for having stood still so long. An overlong hold is made up for, within one hold's worth. */
static void pay(struct pace *p, uint32_t percent, uint64_t held_us)
{
    if (!percent)
        return;
    int64_t least = -run_for_hold(percent);
    p->ran_us -= (int64_t)held_us * (100 - percent) / percent;
    if (p->ran_us < least)
        p->ran_us = least;
}

static void wait_held(struct isf_engine *e, uint64_t until_us)
{
    for (uint64_t now = isf_now_us(); now < until_us && checkpoint_wanted(e) == WORKER_RUN; now = isf_now_us()) {
        struct pollfd p = { .fd = e->kick, .events = POLLIN };
        uint64_t count;
        if (poll(&p, 1, (int)((until_us - now + 999) / 1000)) == 1 && read(e->kick, &count, sizeof count) < 0 && errno != EAGAIN)
            return;
    }
}

/* QEMU saves its devices as for a checkpoint, and waits on the pipe; what it wrote is thrown away. So a hold needs no room for an epoch:
 * it works above all when there is none, and delays no epoch that is on its way. */
int pace_hold(struct isf_engine *e)
{
    uint32_t percent = atomic_load(&e->pace.percent);
    int r = device_arm(e);
    device_release_disks(e);
    if (r == 0)
        r = qmp_send(&e->qmp, "}", 1);
    e->is_armed = 0;
    ssize_t first = r ? r : device_await(e);
    if (first <= 0)
        return first ? (int)first : -ISF_EQEMU;
    uint64_t stopped_us = isf_now_us();
    pace_stopped(e, stopped_us);
    wait_held(e, stopped_us + HOLD_US);
    int64_t bytes = device_drain(e, (size_t)first);
    e->pace.from_us = isf_now_us();
    uint64_t held_us = e->pace.from_us - stopped_us;
    pay(&e->pace, percent, held_us);
    atomic_fetch_add(&e->pace.holds, 1);
    atomic_fetch_add(&e->pace.held_us, held_us);
    return bytes < 0 ? (int)bytes : 0;
}

/* ---- output that does not wait ---- */

static int let_out(struct isf_engine *e, uint64_t term)
{
    struct pace *p = &e->pace;
    uint64_t now = atomic_load(&e->term);
    if (atomic_load(&e->mode) != ISF_PROTECTED)
        return engine_problem(e, -ISF_ESTATE, "only a protected VM can go on asynchronously");
    if (term < now)
        return engine_problem(e, -ISF_ESTALE, "term %llu is older than term %llu, which was seen already", (unsigned long long)term,
                              (unsigned long long)now);
    int r = 0;
    for (int i = 0; i < e->disks; i++)
        disk_flush_waits(e->disk[i], 1);
    for (int i = 0; r == 0 && i < e->disks; i++)
        r = disk_flush_now(e->disk[i]); /* flushes were answered whose output has been held until now */
    pthread_mutex_lock(&e->lock);
    if (r == 0 && (!e->first_commit || atomic_load(&e->mode) != ISF_PROTECTED))
        r = engine_problem(e, -ISF_ESTATE, "the backup holds no whole copy");
    if (r == 0) {
        atomic_store(&e->term, term);
        atomic_store(&p->asynchronous, 1);
        p->synchronous_at = 0;
        engine_gates(e, GATE_OPEN);
    }
    pthread_mutex_unlock(&e->lock);
    return r;
}

static int hold_again(struct isf_engine *e)
{
    struct pace *p = &e->pace;
    if (atomic_load(&e->mode) != ISF_PROTECTED)
        return engine_problem(e, -ISF_ESTATE, "only a protected VM's output waits for commits");
    if (!e->no_output_commit)
        engine_gates(e, GATE_HOLD);
    pthread_mutex_lock(&e->lock);
    if (atomic_load(&p->asynchronous) != 2) { /* what left before the gates closed was of the open epoch at the latest */
        p->synchronous_at = e->open_epoch;
        atomic_store(&p->asynchronous, 2);
    }
    pthread_mutex_unlock(&e->lock);
    return 0;
}

int32_t isf_asynchronous(isf_engine *e, int32_t on, uint64_t term)
{
    return on ? let_out(e, term) : hold_again(e);
}

int pace_committed(struct isf_engine *e, const struct epoch *done)
{
    struct pace *p = &e->pace;
    p->state_us = done->trigger_us;
    if (atomic_load(&p->asynchronous) != 2 || done->number < p->synchronous_at)
        return 0;
    atomic_store(&p->asynchronous, 0);
    return 1;
}

void pace_reset(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    atomic_store(&e->pace.asynchronous, 0);
    e->pace.state_us = 0;
    pthread_mutex_unlock(&e->lock);
}

void pace_status(struct isf_engine *e, struct isf_status *s, unsigned tick)
{
    struct pace *p = &e->pace;
    int mode = atomic_load(&e->mode), runs = mode == ISF_PROTECTED || mode == ISF_HANDING;
    pthread_mutex_lock(&e->lock);
    uint64_t now = isf_now_us(), waiting = runs && e->first ? now - e->first->trigger_us : 0;
    uint64_t behind = runs && p->state_us ? now - p->state_us : 0;
    pthread_mutex_unlock(&e->lock);
    status_set(&s->waiting_us, waiting);
    status_set(&s->behind_us, behind);
    status_set(&s->asynchronous, (uint64_t)atomic_load(&p->asynchronous));
    status_set(&s->throttle_wanted, atomic_load(&p->percent));
    status_set(&s->holds, atomic_load(&p->holds));
    uint64_t held = atomic_load(&p->held_us);
    status_set(&s->held_us, held);
    if (tick % SHARE_EVERY == 0) {
        uint64_t since = now - p->share_at_us;
        status_set(&s->throttle, since ? (held - p->seen_held_us) * 100 / since : 0);
        p->seen_held_us = held;
        p->share_at_us = now;
    }
}
