/* A sync that is broken off goes on where it was: what the backup has acknowledged is not sent again, what it has not is. */
#ifndef ISF_ENGINE_TEST_SYNC_H
#define ISF_ENGINE_TEST_SYNC_H

#include "engine_test_faults.h"

static uint64_t pieces(struct side *a, int acknowledged)
{
    pthread_mutex_lock(&a->e->lock);
    uint64_t n = acknowledged ? a->e->record.acked : a->e->record.sent;
    pthread_mutex_unlock(&a->e->lock);
    return n;
}

/* Begins a sync; again when no line is up just then: what came late of the term before may have cost it. With `held` the backup takes nothing
 * of it, and standby.lock is held when it has begun. */
static int begin_sync(struct pair *p, int changed, int held)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    for (int i = 0; i < 20; i++) {
        if (!links_up(p) || isf_standby(b->e, ++p->generation, p->term, changed))
            return 0;
        drain_events(a);
        if (held)
            pthread_mutex_lock(&b->e->standby.lock);
        int r = isf_sync(a->e, p->generation, p->term, changed);
        if (r == 0)
            return 1;
        if (held)
            pthread_mutex_unlock(&b->e->standby.lock);
        isf_problem(a->e, a->last_failure, sizeof a->last_failure);
        if (r != -ISF_ELINK)
            return 0;
    }
    return 0;
}

/* Begins a sync, lets `least` frames of it go (and, with `taken`, arrive), and drops its line. True when it ends as one that can go on. */
static int break_off(struct pair *p, int changed, uint64_t least, int taken)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    int ok = begin_sync(p, changed, !taken);
    for (int i = 0; i < EVENT_MS && ok && pieces(a, taken) < least; i++)
        nap_us(1000);
    int active = atomic_load(&a->e->active);
    link_drop(b->e->link[active < 0 ? 0 : active], -ETIMEDOUT);
    const char *line = ok ? await_either(a, "sync_failed", "protected", EVENT_MS) : NULL;
    if (ok && !taken)
        pthread_mutex_unlock(&b->e->standby.lock);
    if (!line || !strstr(line, "\"resumable\":true"))
        printf("      %s\n", line ? line : a->last_failure);
    return line && strstr(line, "\"resumable\":true") && STATUS(a, mode) == ISF_SOLO && isf_solo(a->e, p->term) == 0;
}

/* A pair whose guest has written much, and writes little now. */
static void open_quiet(struct pair *p)
{
    pair_open_sized(p, &(struct fake_control){.frames_every = 2}, RAM_PAGES_MORE, TRACKER_AUTO, 1);
    struct side *a = PRIMARY(p);
    for (int i = 0; i < EVENT_MS && atomic_load(&a->qemu.control->counter) < 1100; i++)
        nap_us(1000);
    atomic_store(&a->qemu.control->pace_us, 20000);
}

static void test_goes_on(void)
{
    static struct pair p;
    open_quiet(&p);
    struct side *a = PRIMARY(&p);
    CHECK(protect(&p, 0), "(a whole sync, to compare with)");
    uint64_t all = STATUS(a, sync_bytes_sent), sent = 0;
    atomic_store(&a->qemu.control->pace_us, 1000000); /* what a busy guest changes meanwhile is rightly sent again */
    lan_strict(&p.lan, 0, 0);
    isf_solo(a->e, ++p.term);
    CHECK(isf_sync_rate(a->e, 1000) == -EINVAL && isf_sync_rate(a->e, 1000000) == 0, "the rate of a sync is bounded, from below too");
    int ok = 1;
    for (int i = 0; i < 3 && ok; i++) {
        ok = break_off(&p, i > 0, 6, 1);
        sent += STATUS(a, sync_bytes_sent);
    }
    CHECK(ok, "a sync that loses its line can go on, three times");
    isf_sync_rate(a->e, 0);
    CHECK(protect(&p, 1) && p.failed_syncs == 0 && all_true(verified(&p)), "and comes to its end, with a copy that is equal");
    sent += STATUS(a, sync_bytes_sent);
    printf("      %llu bytes at once, %llu in four parts\n", (unsigned long long)all, (unsigned long long)sent);
    CHECK(sent < all + all / 2, "having sent little twice");
    pair_close(&p);
}

static void test_record(void)
{
    static struct pair p;
    open_quiet(&p);
    struct side *a = PRIMARY(&p);
    CHECK(break_off(&p, 0, 3, 0), "(a sync of which nothing arrived)");
    CHECK(protect(&p, 1) && all_true(verified(&p)), "what was sent and not acknowledged is sent again");
    lan_strict(&p.lan, 0, 0);
    isf_solo(a->e, ++p.term);
    isf_failpoint(a->e, "sync-record", 3);
    CHECK(break_off(&p, 0, 3, 0), "(again, and the record says that it arrived)");
    isf_failpoint(a->e, "sync-record", 0);
    const char *line = protect(&p, 1) ? verified(&p) : NULL;
    CHECK(line && !all_true(line), "control: a record that counts it as acknowledged leaves a copy that differs, and we notice");
    pair_close(&p);
}

/* The backup starts with another engine: its memory is gone. */
static void test_keeps_nothing(void)
{
    static struct pair p;
    open_quiet(&p);
    CHECK(break_off(&p, 0, 3, 1), "(a sync that can go on)");
    struct side *b = BACKUP(&p);
    fake_end(&b->qemu);
    isf_hold(b->e);
    CHECK(isf_qemu_detach(b->e) == 0, "(the backup's QEMU is replaced)");
    side_qemu(b, &p.like, 1);
    CHECK(isf_standby(b->e, ++p.generation, p.term, 1) == -ISF_ESTATE, "a backup whose QEMU is another keeps nothing");
    CHECK(protect(&p, 0) && all_true(verified(&p)), "and gets everything");
    pair_close(&p);
}

static void test_sync(void)
{
    test_goes_on();
    test_record();
    test_keeps_nothing();
}

#endif
