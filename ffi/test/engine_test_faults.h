/* What must hold when QEMU dies, hangs, refuses; and the negative controls: a mechanism that is switched off, or a copy that is damaged,
 * must be noticed. */
#ifndef ISF_ENGINE_TEST_FAULTS_H
#define ISF_ENGINE_TEST_FAULTS_H

#include "engine_test_kit.h"

/* ---- verification ---- */

/* Asks for a verification. Returns its event's line. */
static const char *verified(struct pair *p)
{
    drain_events(PRIMARY(p));
    return isf_verify(PRIMARY(p)->e) ? NULL : await(PRIMARY(p), "verified");
}

static int all_true(const char *line)
{
    return line && strstr(line, "\"memory\":true") && strstr(line, "\"blocks\":true") && strstr(line, "\"device\":true") && strstr(line, "\"disk\":true");
}

static void damage_page(struct side *s, uint8_t *at)
{
    pthread_mutex_lock(&s->e->standby.lock);
    *at ^= 0x10;
    pthread_mutex_unlock(&s->e->standby.lock);
}

static void test_verify(void)
{
    static struct pair p;
    pair_open(&p, NULL, 1);
    CHECK(protect(&p, 0) && all_true(verified(&p)), "a copy that is right is verified: memory, blocks, device state, disk");
    lan_strict(&p.lan, 0, 0);
    CHECK(isf_solo(PRIMARY(&p)->e, ++p.term) == 0, "(solo for a while)");
    nap_us(100000);
    CHECK(protect(&p, 1), "what changed since is enough to be protected again");
    CHECK(all_true(verified(&p)), "and the copy is equal");
    atomic_store(&PRIMARY(&p)->qemu.control->pace_us, 500000); /* hardly a write: it might mend what is damaged, also when the machine is busy */
    nap_us(50000);                                              /* the pause that has begun is still a short one */
    struct side *b = BACKUP(&p);
    damage_page(b, b->e->ram + 777 * ISF_PAGE + 5);
    const char *line = verified(&p);
    CHECK(line && strstr(line, "\"memory\":false") && strstr(line, "\"blocks\":true") && strstr(line, "\"device\":true") && strstr(line, "\"disk\":true"),
          "a flipped bit in the backup's memory is found");
    damage_page(b, b->e->standby.blocks + 40 * ISF_PAGE + 9);
    line = verified(&p);
    CHECK(line && strstr(line, "\"memory\":false") && strstr(line, "\"blocks\":false"), "one in another RAM block too");
    uint8_t sector[512];
    memset(sector, 0x5a, sizeof sector);
    pthread_mutex_lock(&b->e->standby.lock);
    disk_write_sync(b->e->disk[0], GUEST_DISK - 512, sizeof sector, sector);
    pthread_mutex_unlock(&b->e->standby.lock);
    line = verified(&p);
    CHECK(line && strstr(line, "\"disk\":false"), "and a changed sector of its disk");
    atomic_store(&PRIMARY(&p)->qemu.control->pace_us, 100);
    uint64_t before = atomic_load(&PRIMARY(&p)->qemu.control->counter);
    for (int i = 0; i < EVENT_MS && atomic_load(&PRIMARY(&p)->qemu.control->counter) == before; i++)
        nap_us(1000);
    CHECK(atomic_load(&PRIMARY(&p)->qemu.control->counter) > before && lan_early(&p.lan) == 0, "the guest goes on after verifications");
    pair_close(&p);
}

/* ---- a line that is lost with a part of the sync on it ---- */

/* A sync whose line is lost after some time, while the backup has not taken in all that came. True when it failed, or its copy is right. */
static int cut_sync(struct pair *p, uint64_t after_us)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    nap_us(20000); /* for the line that was dropped last */
    int ok = links_up(p) && isf_standby(b->e, ++p->generation, p->term, 0) == 0;
    drain_events(a);
    pthread_mutex_lock(&b->e->standby.lock); /* the backup takes nothing: what is sent waits in its sockets */
    int r = ok ? isf_sync(a->e, p->generation, p->term, 0) : 0;
    if (r == -ISF_ELINK) { /* it fell just now: another time */
        pthread_mutex_unlock(&b->e->standby.lock);
        return 1;
    }
    ok = ok && r == 0;
    nap_us(after_us);
    int active = atomic_load(&a->e->active);
    link_drop(b->e->link[active < 0 ? 0 : active], -ETIMEDOUT);
    nap_us(below(5000));
    pthread_mutex_unlock(&b->e->standby.lock);
    const char *line = await_either(a, "sync_failed", "protected", EVENT_MS);
    if (!ok || !line)
        printf("      %s: %s\n", ok ? "nothing came of it" : "it did not begin", a->last_failure);
    if (!ok || !line)
        return 0;
    int failed = event_is(line, "sync_failed");
    if (failed) /* the VM goes on in the same term: with a new sync at once, or after the decision has said so */
        ok = strstr(line, "\"what\":\"sync\"") && !b->e->standby.whole && STATUS(a, mode) == ISF_SOLO;
    else
        ok = all_true(verified(p));
    if (!ok)
        printf("      %s\n", line);
    return ok && ((failed && below(2)) || isf_solo(a->e, failed ? p->term : ++p->term) == 0);
}

static void test_sync_cut(void)
{
    static struct pair p;
    pair_open_sized(&p, &(struct fake_control){.frames_every = 2}, RAM_PAGES_MORE, TRACKER_AUTO, 0);
    struct side *a = PRIMARY(&p);
    for (int i = 0; i < EVENT_MS && atomic_load(&a->qemu.control->counter) < 1100; i++)
        nap_us(1000);
    atomic_store(&a->qemu.control->pace_us, 200);
    int ok = 1;
    for (int i = 0; i < 6 && ok; i++)
        ok = cut_sync(&p, i < 1 ? 200000 : below(15000));
    CHECK(ok, "a sync whose line is lost with a part of it fails, though the other line is well, or it lost nothing");
    CHECK(protect(&p, 0) && all_true(verified(&p)), "begun again, it makes the copy equal");
    pair_close(&p);
}

/* ---- output commit's control ---- */

static void test_no_output_commit(void)
{
    static struct pair p;
    pair_open(&p, NULL, 0);
    for (int i = 0; i < 2; i++)
        isf_rhythm(p.side[i].e, 30000, 30000, 100000, 4, 5000000);
    isf_no_output_commit(p.side[0].e);
    CHECK(protect(&p, 0), "(protected, but for output commit)");
    for (int i = 0; i < EVENT_MS && !lan_early(&p.lan); i++) {
        nap_us(1000);
        lan_take(&p.lan, 0);
    }
    CHECK(lan_early(&p.lan) > 0, "control: without output commit frames leave that the backup does not have, and we notice");
    pair_close(&p);
}

/* ---- QEMU ---- */

static int primary_lost(struct pair *p, enum fake_fault fault, const char *event)
{
    drain_events(PRIMARY(p));
    atomic_store(&PRIMARY(p)->qemu.control->fault, fault);
    return await_either(PRIMARY(p), event, NULL, EVENT_MS) != NULL;
}

/* With each fault the copy on the backup stays whole, is promoted, and the old primary's engine can be used again. */
static void test_deaths(void)
{
    static struct pair p;
    static const struct { enum fake_fault fault; const char *what; } death[] = {
        {FAULT_DIE_FIRST, "QEMU dies before a checkpoint: it is reported lost, and the backup goes on"},
        {FAULT_DIE_HALF, "QEMU dies in the middle of a checkpoint: the same"},
        {FAULT_HANG_FIRST, "QEMU hangs: the same, within a bound"},
    };
    static struct model m;
    int whole = 1;
    pair_open(&p, NULL, 1);
    model_new(&m, RAM_PAGES);
    for (unsigned i = 0; i < sizeof death / sizeof death[0]; i++) {
        int ok = protect(&p, 0);
        nap_us(20000 + below(50000));
        ok = ok && primary_lost(&p, death[i].fault, "qemu_lost") && take_over(&p, &m, &whole);
        ok = ok && rejoin(&p, (int)below(2));
        CHECK(ok && whole, death[i].what);
    }
    int ok = protect(&p, 0);
    atomic_store(&PRIMARY(&p)->qemu.control->fault, FAULT_DIE_STOP);
    ok = ok && isf_verify(PRIMARY(&p)->e) == 0 && await(PRIMARY(&p), "qemu_lost") && take_over(&p, &m, &whole) && rejoin(&p, 0);
    CHECK(ok && whole, "QEMU dies when it is to be verified: the same");
    CHECK(protect(&p, 0) && lan_early(&p.lan) == 0, "and protection begins again, with the hosts exchanged");
    atomic_store(&PRIMARY(&p)->qemu.control->fault, FAULT_HANG_HALF);
    nap_us(200000);
    pair_close(&p);
    CHECK(1, "an engine can be freed while its QEMU hangs");
    model_free(&m);
}

/* Output waits, checkpoints have ended, the guest goes on. */
static int held_and_runs(struct pair *p)
{
    struct side *a = PRIMARY(p);
    uint64_t counter, epoch, sent = UINT64_MAX;
    for (int i = 0; i < 100 && sent != STATUS(a, out_frames); i++) { /* what was committed just before may still be on its way out */
        sent = STATUS(a, out_frames);
        nap_us(100000);
    }
    epoch = STATUS(a, epoch); /* only now: the page shows it a little later than it is */
    counter = atomic_load(&a->qemu.control->counter);
    for (int i = 0; i < EVENT_MS && atomic_load(&a->qemu.control->counter) < counter + 20; i++)
        nap_us(1000);
    if (STATUS(a, mode) != ISF_HELD || STATUS(a, out_frames) != sent || STATUS(a, epoch) != epoch)
        printf("      mode %llu, %llu more frames, %llu more epochs: %s\n", (unsigned long long)STATUS(a, mode),
               (unsigned long long)(STATUS(a, out_frames) - sent), (unsigned long long)(STATUS(a, epoch) - epoch), a->last_failure);
    return STATUS(a, mode) == ISF_HELD && atomic_load(&a->qemu.control->counter) >= counter + 20 && STATUS(a, out_frames) == sent &&
           STATUS(a, epoch) == epoch;
}

/* Checkpoints that cannot be: the VM runs on, unprotected, and nothing is thought equal that is not. */
static void test_impossible_checkpoints(void)
{
    static struct pair p;
    pair_open(&p, NULL, 0);
    struct side *a = &p.side[0];
    CHECK(protect(&p, 0), "(protected)");
    CHECK(primary_lost(&p, FAULT_LARGE, "protection_failed") && held_and_runs(&p), "a device state beyond the bound ends protection: output waits, the VM runs");
    lan_strict(&p.lan, 0, 0);
    CHECK(isf_solo(a->e, p.term) == -ISF_ESTATE, "in the same term it cannot go on alone: the backup is whole");
    CHECK(isf_solo(a->e, ++p.term) == 0 && isf_sync(a->e, p.generation + 1, p.term, 1) == -ISF_ESTATE,
          "what that checkpoint had taken is in no epoch: only a full sync is allowed");
    CHECK(protect(&p, 0) && all_true(verified(&p)), "and a full sync makes it equal");
    CHECK(primary_lost(&p, FAULT_REFUSE, "protection_failed") && held_and_runs(&p), "QEMU answers a checkpoint with an error: the same");
    lan_strict(&p.lan, 0, 0);
    CHECK(isf_solo(a->e, ++p.term) == 0 && protect(&p, 0) && all_true(verified(&p)), "(protected again)");
    isf_failpoint(a->e, "encode", 3);
    const char *line = await(a, "protection_failed");
    CHECK(line && strstr(line, "\"what\":\"encode\"") && held_and_runs(&p), "an epoch that cannot be encoded is not tried again: the same");
    isf_failpoint(a->e, "encode", 0);
    CHECK(isf_handover(a->e) == -ISF_ESTATE, "a VM whose protection has ended is not handed over");
    lan_strict(&p.lan, 0, 0);
    CHECK(isf_solo(a->e, ++p.term) == 0 && protect(&p, 1) && all_true(verified(&p)), "its pages are remembered: what changed is enough");
    pair_close(&p);
    struct fake_control small = {.pace_us = 100, .frames_every = 2, .small_device = 1};
    pair_open(&p, &small, 0);
    CHECK(links_up(&p) && isf_standby(p.side[1].e, 1, 1, 0) == 0 && isf_sync(p.side[0].e, 1, 1, 0) == 0 && await(&p.side[0], "sync_failed") &&
              strstr(p.side[0].last_failure, "too small") && !p.side[1].e->standby.whole && STATUS(&p.side[0], mode) == ISF_SOLO,
          "a device state that does not hold QEMU in its pause is refused: no copy comes of it, and the VM goes on alone in the same term");
    CHECK(isf_solo(p.side[0].e, 1) == 0, "(which the decision may say too)");
    pair_close(&p);
}

static void test_faults(void)
{
    test_verify();
    test_sync_cut();
    test_no_output_commit();
    test_deaths();
    test_impossible_checkpoints();
}

#endif
