/* What must hold when the backup does not keep up: bounds, a guest that is slowed, output that leaves early and waits again. */
#ifndef ISF_ENGINE_TEST_PACE_H
#define ISF_ENGINE_TEST_PACE_H

#include "disk_state.h"
#include "engine_test_kit.h"

static int reaches(struct side *s, size_t offset, uint64_t least)
{
    for (int i = 0; i < EVENT_MS && status_of(s, offset) < least; i++)
        nap_us(1000);
    return status_of(s, offset) >= least;
}
#define REACHES(side, field, least) reaches(side, offsetof(struct isf_status, field), least)

static int goes_on(struct side *s, uint64_t steps)
{
    uint64_t from = atomic_load(&s->qemu.control->counter);
    for (int i = 0; i < EVENT_MS && atomic_load(&s->qemu.control->counter) < from + steps; i++)
        nap_us(1000);
    return atomic_load(&s->qemu.control->counter) >= from + steps;
}

/* While it has the lock the backup takes nothing. */
static void freeze(struct side *backup) { pthread_mutex_lock(&backup->e->standby.lock); }
static void thaw(struct side *backup) { pthread_mutex_unlock(&backup->e->standby.lock); }

/* ---- a backup that takes nothing ---- */

static void test_slow_backup(void)
{
    static struct pair p;
    static struct model m;
    pair_open(&p, NULL, 1);
    model_new(&m, RAM_PAGES);
    struct side *a = PRIMARY(&p), *b = BACKUP(&p);
    isf_rhythm(a->e, 1000, 5000, 1500, 3, 60000000);
    CHECK(protect(&p, 0), "(protected)");
    freeze(b);
    int full = REACHES(a, waiting_us, 300000) && REACHES(a, inflight, 3), most = 0, on = 1; /* no commit is on its way any more */
    uint64_t bytes = 0, epoch = STATUS(a, epoch);
    for (int i = 0; i < 200; i++) {
        nap_us(1000);
        most = STATUS(a, inflight) > (uint64_t)most ? (int)STATUS(a, inflight) : most;
        bytes = STATUS(a, inflight_bytes) > bytes ? STATUS(a, inflight_bytes) : bytes;
    }
    on &= goes_on(a, 50);
    CHECK(full && most == 3 && STATUS(a, epoch) == epoch, "a backup that takes nothing ends the making of epochs at the bound of those in flight");
    CHECK(on && bytes < 3 * (a->e->blocks.pages + BLOCKS_DEVICE_PAGES) * ISF_PAGE, "the guest goes on in the open one, and what waits is bounded");
    CHECK(REACHES(a, waiting_us, 500000) && STATUS(a, behind_us) >= STATUS(a, waiting_us), "and it is known how long it has waited");
    thaw(b);
    uint64_t open = STATUS(a, epoch);
    CHECK(REACHES(b, committed, open + 5) && copy_is_whole_now(b, &m) && lan_early(&p.lan) == 0, "once it takes again all of it is committed, whole and in order");
    pair_close(&p);
    model_free(&m);
}

/* ---- a guest that is slowed ---- */

static void test_throttle(void)
{
    static struct pair p;
    static struct model m;
    pair_open(&p, NULL, 1);
    model_new(&m, RAM_PAGES);
    struct side *a = PRIMARY(&p), *b = BACKUP(&p);
    isf_rhythm(a->e, 1000, 5000, 1500, 3, 60000000);
    CHECK(isf_throttle(a->e, 96) == -EINVAL && isf_throttle(a->e, 0) == 0, "a guest cannot be stopped by slowing it");
    CHECK(protect(&p, 0) && goes_on(a, 100) && STATUS(a, holds) == 0 && STATUS(a, throttle) == 0, "control: a guest that is not slowed is never held");
    CHECK(isf_throttle(a->e, 80) == 0 && REACHES(a, holds, 30) && REACHES(a, throttle, 10), "a guest that is slowed is held, again and again, and its share is told");
    uint64_t held = STATUS(a, held_us), holds = STATUS(a, holds);
    CHECK(held > 0 && STATUS(a, throttle_wanted) == 80 && goes_on(a, 20), "and goes on in between");
    uint64_t committed = STATUS(b, committed);
    CHECK(REACHES(b, committed, committed + 10) && copy_is_whole_now(b, &m) && all_true(verified(&p)), "its epochs are committed as before, whole");
    freeze(b);
    int full = REACHES(a, inflight, 3);
    holds = STATUS(a, holds);
    CHECK(full && REACHES(a, holds, holds + 10), "it is held also when no epoch can be made");
    thaw(b);
    int ok = isf_throttle(a->e, 95) == 0 && isf_handover(a->e) == 0 && await(a, "handed");
    CHECK(ok && isf_handover_cancel(a->e) == 0 && goes_on(a, 5), "a handover, and its end, come through");
    isf_throttle(a->e, 0);
    nap_us(100000); /* the hold that is under way */
    holds = STATUS(a, holds);
    CHECK(goes_on(a, 200) && STATUS(a, holds) == holds, "and at full speed again it is held no more");
    CHECK(lan_early(&p.lan) == 0 && atomic_load(&a->qemu.control->misuse) == 0, "no frame left early, and QEMU was used as it must be");
    pair_close(&p);
    model_free(&m);
}

/* ---- output that does not wait ---- */

/* The newest step of which a frame was seen on the LAN. */
static uint64_t newest_seen(struct pair *p)
{
    nap_us(20000); /* the observer's thread takes what has come; no lock of its, which is taken before a frozen backup's */
    return atomic_load(&p->lan.newest[p->primary]);
}

static uint64_t copy_counter(struct side *backup)
{
    freeze(backup);
    uint64_t k = guest_counter(backup->e->ram);
    thaw(backup);
    return k;
}

/* Lets output out, in this term or a newer one, while the backup takes nothing. True when frames leave that it does not have. */
static int let_out_early(struct pair *p, int newer)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    lan_strict(&p->lan, 0, 0);
    freeze(b);
    uint64_t has = guest_counter(b->e->ram);
    int ok = REACHES(a, inflight, 3), r = isf_asynchronous(a->e, 1, p->term += newer);
    ok = ok && r == 0 && goes_on(a, 100) && newest_seen(p) > has;
    thaw(b);
    return ok;
}

static void test_asynchronous(void)
{
    static struct pair p;
    static struct model m;
    int whole = 1;
    pair_open(&p, NULL, 1);
    model_new(&m, RAM_PAGES);
    struct side *a = PRIMARY(&p), *b = BACKUP(&p);
    isf_rhythm(a->e, 1000, 5000, 1500, 3, 60000000);
    CHECK(isf_asynchronous(a->e, 1, 2) == -ISF_ESTATE, "only what is protected can be so asynchronously");
    CHECK(isf_asynchronous(a->e, 0, 0) == -ISF_ESTATE && protect(&p, 0) && isf_asynchronous(a->e, 1, p.term - 1) == -ISF_ESTALE, "nor in an older term");
    CHECK(isf_asynchronous(a->e, 0, 0) == 0 && await(a, "synchronous"), "what never let anything out is synchronous when it is asked to be");
    int refused = a->refused + b->refused;
    CHECK(let_out_early(&p, 1), "asynchronously output leaves, and the guest goes on, though the backup takes nothing");
    CHECK(STATUS(a, asynchronous) == 1 && isf_handover(a->e) == -ISF_ESTATE, "which the status says; and nothing is handed over then");
    uint64_t committed = STATUS(b, committed);
    CHECK(REACHES(b, committed, committed + 10) && REACHES(a, committed, committed + 10) && copy_is_whole_now(b, &m), "the backup takes epochs of the new term, whole");
    CHECK(isf_promote(b->e, p.term, 0) == -ISF_ESTALE && b->e->standby.active, "and cannot take over in that term");
    drain_events(a);
    freeze(b);
    CHECK(goes_on(a, 100) && isf_asynchronous(a->e, 0, 0) == 0 && REACHES(a, asynchronous, 2), "(output waits again)");
    uint64_t newest = newest_seen(&p);
    CHECK(guest_counter(b->e->ram) < newest && STATUS(a, asynchronous) == 2, "control: then the backup lacks what left");
    thaw(b);
    const char *line = await(a, "synchronous");
    uint64_t epoch = number_in(line, "epoch"); /* acknowledged: the copy in memory follows */
    CHECK(line && REACHES(b, committed, epoch) && copy_counter(b) >= newest && STATUS(a, asynchronous) != 1,
          "once it is said to be synchronous the backup has all that ever left");
    int waited = a->e->disk[0]->waits;
    CHECK(waited && isf_flushes_wait(a->e, 0) == 0 && !a->e->disk[0]->waits, "flushes still wait for this host's journals, until it is said that either host's count");
    lan_strict(&p.lan, 1, p.primary);
    CHECK(goes_on(a, 100) && lan_early(&p.lan) == 0 && all_true(verified(&p)), "from then on nothing leaves early, and the copy is equal");
    CHECK(a->refused + b->refused == refused, "nothing of it was refused on the way");
    CHECK(take_over(&p, &m, &whole) && whole && rejoin(&p, 0) && protect(&p, 0), "a takeover, and protection the other way round, go as ever");
    CHECK(let_out_early(&p, 0) && isf_solo(PRIMARY(&p)->e, p.term) == 0 && STATUS(PRIMARY(&p), mode) == ISF_SOLO, "going on alone needs no newer term than the asynchronous one");
    CHECK(protect(&p, 1) && all_true(verified(&p)), "and what changed is enough to be protected again");
    CHECK(let_out_early(&p, 0) && isf_hold(PRIMARY(&p)->e) == 0, "(held)");
    newest = newest_seen(&p);
    nap_us(50000);
    CHECK(newest_seen(&p) == newest, "held, nothing leaves");
    pair_close(&p);
    model_free(&m);
}

static void test_pace(void)
{
    test_slow_backup();
    test_throttle();
    test_asynchronous();
}

#endif
