/* A VM that runs alone gets other lines and another peer: the old one is not heard any more, the new one gets all of the VM. */
#ifndef ISF_ENGINE_TEST_RELINK_H
#define ISF_ENGINE_TEST_RELINK_H

#include "engine_test_faults.h"

#define A_LINES "127.0.0.1 127.0.0.2 127.0.0.1 127.0.0.2 - - - -"

/* Heartbeats beside the lines, for a primary with the VM. */
static void start_beats(struct side *s, uint64_t term)
{
    for (int i = 0; i < 2; i++)
        isf_heartbeat_path(s->e, i, s->index ? "127.0.0.2" : "127.0.0.1", s->index ? "127.0.0.1" : "127.0.0.2", (uint32_t)(7101 + i));
    if (isf_heartbeat_start(s->e, 10000, 200000, "", ""))
        fatal("heartbeats", s);
    isf_say(s->e, 1, term, 0, s->index ? 3 : ISF_VM_HERE, 0);
}

static int relink(struct side *s, uint8_t key, const char *lines)
{
    uint8_t secret[WIRE_KEY] = {1, 2, 3, key};
    uint64_t since = 0;
    int r = isf_relink(s->e, secret, lines, 7101, 3, &since);
    return r == 0 && (since == 0 || since >= isf_now_us()) ? -1 : r;
}

static int hears(struct side *s, int wanted)
{
    for (int i = 0; i < EVENT_MS; i++) {
        int alive = STATUS(s, path_alive[0]) != 0 && STATUS(s, peer_role) != 0;
        if (alive == wanted)
            return 1;
        nap_us(1000);
    }
    return 0;
}

struct busy { struct side *side; _Atomic int stop; };

/* Whoever uses lines and heartbeats while they are changed. */
static void *busy_run(void *context)
{
    struct busy *b = context;
    while (!atomic_load(&b->stop)) {
        isf_control(b->side->e, (const uint8_t *)"{}", 2);
        engine_lease(b->side->e);
        for (int i = 0; i < 2; i++)
            if (b->side->e->link[i])
                link_drop(b->side->e->link[i], -ETIMEDOUT);
        nap_us(200);
    }
    return NULL;
}

/* The old peer lives on with the old key: it is refused, and not heard. */
static void relink_refused(struct pair *p)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    CHECK(relink(a, 7, A_LINES) == 0, "a VM that runs alone gets another key");
    CHECK(STATUS(a, path_alive[0]) == 0 && STATUS(a, peer_role) == 0 && STATUS(a, peer_term) == 0, "and forgets its peer at once");
    drain_events(b);
    const char *line;
    while ((line = await(b, "link")) && !strstr(line, "\"up\":false"))
        ;
    uint64_t refused = STATUS(a, refused);
    for (int i = 0; i < EVENT_MS && STATUS(a, refused) < refused + 20; i++)
        nap_us(1000);
    CHECK(STATUS(a, refused) >= refused + 20, "whoever comes with the old key is refused");
    CHECK(STATUS(a, path_alive[0]) == 0 && STATUS(a, path_alive[1]) == 0 && STATUS(a, peer_role) == 0 && atomic_load(&a->e->active) < 0,
          "and neither heard nor linked");
    CHECK(isf_sync(a->e, p->generation + 1, p->term, 1) == -ISF_ESTATE, "what the old peer had counts for nothing");
}

static void test_relink(void)
{
    static struct pair p;
    pair_open(&p, NULL, 1);
    struct side *a = PRIMARY(&p), *b = BACKUP(&p);
    start_beats(a, p.term);
    start_beats(b, p.term);
    CHECK(protect(&p, 0) && hears(a, 1), "(a protected VM)");
    CHECK(relink(a, 7, A_LINES) == -ISF_ESTATE, "a protected VM keeps its lines");
    lan_strict(&p.lan, 0, 0);
    if (isf_solo(a->e, ++p.term))
        fatal("solo", a);
    CHECK(relink(a, 7, "127.0.0.1 - - - - - - -") == -EINVAL && relink(a, 7, "- - - - - - - -") == -EINVAL &&
          relink(a, 7, A_LINES " -") == -EINVAL && relink(a, 7, "127.0.0.1 nowhere - - - - - -") == -EINVAL, "lines that are none are refused");
    CHECK(hears(a, 1) && links_up(&p), "and change nothing");
    uint64_t before = guest_counter(a->e->ram);
    relink_refused(&p);
    struct busy busy = {.side = a};
    pthread_t thread;
    pthread_create(&thread, NULL, busy_run, &busy);
    int ok = 1;
    for (int i = 0; i < 20; i++) {
        ok &= relink(a, (uint8_t)(i & 1 ? 7 : 0), i % 3 ? A_LINES : "127.0.0.1 127.0.0.2 - - - - - -") == 0;
        nap_us(below(20000));
    }
    atomic_store(&busy.stop, 1);
    pthread_join(thread, NULL);
    CHECK(ok, "lines change back and forth under load");
    /* Another machine: another key, nothing on its disks, nothing in its memory. */
    pthread_mutex_lock(&p.lan.lock); /* its thread looks at the side */
    side_close(b);
    pthread_mutex_unlock(&p.lan.lock);
    fake_end(&b->qemu);
    char path[108];
    side_path(b, path, "disk.journal");
    unlink(path);
    side_path(b, path, "disk.bitmap");
    unlink(path);
    side_image(b);
    b->key = 9;
    pthread_mutex_lock(&p.lan.lock);
    side_open(b);
    pthread_mutex_unlock(&p.lan.lock);
    side_qemu(b, &p.like, 1);
    start_beats(b, 0);
    CHECK(relink(a, 9, A_LINES) == 0 && hears(a, 1), "a new peer with the new key is heard");
    CHECK(protect(&p, 0) && all_true(verified(&p)), "and gets all of the VM");
    CHECK(guest_counter(a->e->ram) > before && STATUS(a, mode) == ISF_PROTECTED, "which ran on all the while");
    pair_close(&p);
}

#endif
