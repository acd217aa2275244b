/* A random history: thousands of epochs, lines that fall, decisions at random moments, takeovers there and back. */
#ifndef ISF_ENGINE_TEST_HISTORY_H
#define ISF_ENGINE_TEST_HISTORY_H

#include "engine_test_kit.h"

struct history {
    struct pair pair;
    struct model model;
    uint64_t epochs, looks, takeovers, resyncs, flaps, exact;
    int whole, went_on, exact_ok;
};

/* Protection for a while, with lines that are dropped on either side. */
static void run_protected(struct history *h, uint64_t us)
{
    struct pair *p = &h->pair;
    uint64_t end = isf_now_us() + us;
    int flapping = below(2) == 0;
    while (isf_now_us() < end) {
        nap_us(1000 + below(20000));
        if (flapping && below(4) == 0) {
            struct side *s = &p->side[below(2)];
            link_drop(s->e->link[below(2)], -ETIMEDOUT);
            h->flaps++;
        }
        if (below(4) == 0) {
            h->whole &= copy_is_whole_now(BACKUP(p), &h->model);
            h->looks++;
        }
    }
}

static void history_take_over(struct history *h)
{
    h->went_on &= take_over(&h->pair, &h->model, &h->whole);
    nap_us(below(30000));
    h->went_on &= rejoin(&h->pair, (int)below(2));
    h->takeovers++;
}

static void history_solo(struct history *h, int changed)
{
    struct pair *p = &h->pair;
    lan_take(&p->lan, p->primary);
    lan_strict(&p->lan, 0, 0);
    h->went_on &= isf_solo(PRIMARY(p)->e, ++p->term) == 0;
    nap_us(below(60000));
    p->flap_us = below(3) == 0 ? 3000 + (uint32_t)below(20000) : 0;
    h->went_on &= protect(p, changed);
    p->flap_us = 0;
    h->resyncs++;
}

/* Switchover: the last epoch is everything; nothing is lost. Or it is called off. */
static void history_hand_over(struct history *h)
{
    struct pair *p = &h->pair;
    struct side *a = PRIMARY(p);
    h->went_on &= isf_handover(a->e) == 0 && await(a, "handed") != NULL;
    uint64_t last = atomic_load(&a->qemu.control->counter);
    if (below(3) == 0) {
        h->went_on &= isf_handover_cancel(a->e) == 0;
        return;
    }
    h->went_on &= take_over(p, &h->model, &h->whole);
    h->exact_ok &= atomic_load(&a->qemu.control->counter) == last && guest_counter(a->e->ram) == last && h->model.k == last;
    h->exact++;
    h->went_on &= rejoin(p, (int)below(2));
    h->takeovers++;
}

static void history_round(struct history *h)
{
    struct pair *p = &h->pair;
    if (!p->lan.strict) {
        p->flap_us = below(3) == 0 ? 3000 + (uint32_t)below(20000) : 0;
        h->went_on &= protect(p, 0);
        p->flap_us = 0;
    }
    uint64_t before = STATUS(BACKUP(p), committed);
    run_protected(h, 100000 + below(400000));
    h->epochs += STATUS(BACKUP(p), committed) - before;
    switch (below(5)) {
    case 0:
    case 1:
        return history_take_over(h);
    case 2:
        return history_hand_over(h);
    case 3:
        return history_solo(h, 1);
    default:
        return history_solo(h, 0);
    }
}

static void test_history(uint32_t tracker, uint64_t ram_pages, uint64_t us)
{
    static struct history h;
    struct fake_control like = {.pace_us = 100, .frames_every = 2};
    h = (struct history){.whole = 1, .went_on = 1, .exact_ok = 1};
    pair_open_sized(&h.pair, &like, ram_pages, tracker, 1);
    model_new(&h.model, ram_pages);
    uint64_t end = isf_now_us() + us;
    while (isf_now_us() < end && h.whole && h.went_on)
        history_round(&h);
    struct pair *p = &h.pair;
    lan_end(&p->lan);
    printf("      %llu epochs, %llu looks, %llu takeovers (%llu planned), %llu resyncs, %llu failed syncs, %llu lines dropped, frames %llu + %llu, guest at %llu\n",
           (unsigned long long)h.epochs, (unsigned long long)h.looks, (unsigned long long)h.takeovers, (unsigned long long)h.exact,
           (unsigned long long)h.resyncs, (unsigned long long)p->failed_syncs, (unsigned long long)(h.flaps + atomic_load(&p->flaps)), (unsigned long long)p->lan.frames[0], (unsigned long long)p->lan.frames[1],
           (unsigned long long)h.model.k);
    if (!h.went_on)
        printf("      %s | %s\n", p->side[0].last_failure, p->side[1].last_failure);
    CHECK(h.whole, "a copy is whole at every moment: memory, blocks, device state and disk are of one counter");
    CHECK(p->lan.early == 0, "no frame leaves before the backup has what it was sent after");
    CHECK(p->lan.wrong_voice == 0, "the backup says nothing");
    CHECK(h.exact_ok, "a planned switchover loses nothing");
    CHECK(h.went_on, "dropped lines, takeovers, resyncs and switchovers end in protection again");
    pair_close(p);
    model_free(&h.model);
}

#endif
