/* What the engine's tests share: two hosts in one process (engines joined by two lines over loopback, each with its own bridge and a
 * stand-in QEMU), a model of the guest that says what a copy must be, and an observer on the LAN that says what may have left. */
#ifndef ISF_ENGINE_TEST_KIT_H
#define ISF_ENGINE_TEST_KIT_H

#include "engine_test_side.h"

/* ---- what a copy must be ---- */

static int same_pages(const uint8_t *have, const uint8_t *want, uint64_t pages, const char *what, uint64_t k)
{
    for (uint64_t i = 0; i < pages; i++)
        if (memcmp(have + i * ISF_PAGE, want + i * ISF_PAGE, ISF_PAGE)) {
            printf("      counter %llu: %s differs at page %llu\n", (unsigned long long)k, what, (unsigned long long)i);
            return 0;
        }
    return 1;
}

/* True when the copy is exactly what the guest was at the counter in it: memory, blocks, device state. With the standby's lock. */
static int copy_is_whole(struct side *s, struct model *m, uint64_t *counter)
{
    static uint8_t device[GUEST_DEVICE];
    struct standby *b = &s->e->standby;
    uint64_t k = *counter = guest_counter(s->e->ram), offset = 0;
    if (k < m->k) {
        printf("      the copy went back from %llu to %llu\n", (unsigned long long)m->k, (unsigned long long)k);
        return 0;
    }
    model_advance(m, k);
    int ok = same_pages(s->e->ram, m->guest.part[0], s->ram_pages, "memory", k);
    for (uint32_t i = 1; i < GUEST_PARTS; i++) {
        ok &= same_pages(b->blocks + offset * ISF_PAGE, m->guest.part[i], m->guest.pages[i], "a block", k);
        offset += m->guest.pages[i];
    }
    uint32_t length = guest_device(k, device);
    if (b->device_bytes != length || memcmp(b->blocks + offset * ISF_PAGE, device, length)) {
        printf("      counter %llu: the device state differs (%llu bytes, not %u)\n", (unsigned long long)k, (unsigned long long)b->device_bytes, length);
        ok = 0;
    }
    return ok;
}

/* A running backup, at any moment. */
static int copy_is_whole_now(struct side *s, struct model *m)
{
    uint64_t k;
    pthread_mutex_lock(&s->e->standby.lock);
    int ok = !s->e->standby.whole || copy_is_whole(s, m, &k);
    pthread_mutex_unlock(&s->e->standby.lock);
    return ok;
}

static int disk_is(struct side *s, const struct model *m)
{
    static uint8_t have[GUEST_DISK];
    int zero;
    if (!s->disk)
        return 1;
    if (disk_read(s->e->disk[0], 0, GUEST_DISK, have, &zero))
        return 0;
    if (zero)
        memset(have, 0, sizeof have);
    for (uint32_t i = 0; i < GUEST_DISK; i += 512)
        if (memcmp(have + i, m->disk + i, 512)) {
            printf("      counter %llu: the disk differs at %u\n", (unsigned long long)m->k, i);
            return 0;
        }
    return 1;
}

/* ---- the LAN ---- */

/* While strict: a frame above `from` that leaves the primary must be in the backup's memory, or at most `bound` once that is fixed. */
struct lan {
    pthread_t thread;
    pthread_mutex_t lock;
    struct side *side[2];
    int strict, primary, fixed;
    uint64_t from, bound, frames[2], early, wrong_voice;
    _Atomic uint64_t newest[2]; /* newest step of which a frame came */
    _Atomic int stop;
};

/* With the lock. */
static void lan_frame(struct lan *l, int index, uint64_t k)
{
    l->frames[index]++;
    if (k > atomic_load(&l->newest[index]))
        atomic_store(&l->newest[index], k);
    if (l->strict && index != l->primary && !l->fixed)
        l->wrong_voice++;
    if (l->strict && index == l->primary && k > l->from) {
        uint64_t limit = l->bound;
        if (!l->fixed) {
            struct isf_engine *backup = l->side[!index]->e;
            pthread_mutex_lock(&backup->standby.lock);
            limit = guest_counter(backup->ram);
            pthread_mutex_unlock(&backup->standby.lock);
        }
        if (k > limit && !l->early++)
            printf("      a frame of step %llu left, the backup has %llu\n", (unsigned long long)k, (unsigned long long)limit);
    }
}

/* Takes all that has come on one side. */
static void lan_take(struct lan *l, int index)
{
    uint8_t frame[2048];
    uint64_t k;
    pthread_mutex_lock(&l->lock);
    int fd = l->side[index]->lan;
    while (fd >= 0 && recv(fd, frame, sizeof frame, MSG_DONTWAIT) >= 14) {
        memcpy(&k, frame + 14, 8);
        if (frame[12] == GUEST_FRAME_TYPE >> 8 && frame[13] == (GUEST_FRAME_TYPE & 0xff))
            lan_frame(l, index, k);
    }
    pthread_mutex_unlock(&l->lock);
}

static void *lan_run(void *context)
{
    struct lan *l = context;
    while (!atomic_load(&l->stop)) {
        lan_take(l, 0);
        lan_take(l, 1);
        usleep(500);
    }
    return NULL;
}

static uint64_t lan_early(struct lan *l)
{
    pthread_mutex_lock(&l->lock);
    uint64_t early = l->early;
    pthread_mutex_unlock(&l->lock);
    return early;
}

static void lan_end(struct lan *l)
{
    if (!atomic_exchange(&l->stop, 1))
        pthread_join(l->thread, NULL);
}

static void lan_strict(struct lan *l, int strict, int primary)
{
    pthread_mutex_lock(&l->lock);
    l->strict = strict;
    l->primary = primary;
    l->fixed = 0;
    l->from = strict ? atomic_load(&l->side[primary]->qemu.control->counter) : 0;
    pthread_mutex_unlock(&l->lock);
}

/* From here on the backup has `bound` for ever. */
static void lan_fix(struct lan *l, uint64_t bound)
{
    pthread_mutex_lock(&l->lock);
    l->bound = bound;
    l->fixed = 1;
    pthread_mutex_unlock(&l->lock);
}

/* ---- two hosts ---- */

struct pair {
    struct side side[2];
    int primary; /* index */
    uint64_t term, generation;
    struct lan lan;
    struct fake_control like; /* settings of each QEMU that is started */
    uint32_t flap_us;         /* 0, or: while a sync runs a line is dropped every so often, on average */
    uint64_t flap_seed, failed_syncs;
    _Atomic uint64_t flaps;
    _Atomic int flapping;
};

#define PRIMARY(p) (&(p)->side[(p)->primary])
#define BACKUP(p) (&(p)->side[!(p)->primary])

/* Both hosts, each with a QEMU; the VM runs on the first, solo in term 1. */
static void pair_open_sized(struct pair *p, const struct fake_control *like, uint64_t ram_pages, uint32_t tracker, int disk)
{
    memset(p, 0, sizeof *p);
    p->like = like ? *like : (struct fake_control){.pace_us = 100, .frames_every = 2};
    p->term = 1;
    for (int i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        *s = (struct side){.index = i, .events = -1, .lan = -1, .nic = 1, .disk = disk, .ram_pages = ram_pages, .tracker = tracker};
        s->qemu = (struct fake){.control_fd = -1, .monitor = -1};
        snprintf(s->dir, sizeof s->dir, "%s/%d", base_dir, i);
        snprintf(s->tap, sizeof s->tap, "isf-test%d", i);
        snprintf(s->bridge, sizeof s->bridge, "br%d", i);
        mkdir(s->dir, 0700);
        char path[108];
        side_path(s, path, "disk.journal");
        unlink(path);
        side_path(s, path, "disk.bitmap");
        unlink(path);
        side_image(s);
        side_open(s);
        side_qemu(s, &p->like, i);
        p->lan.side[i] = s;
    }
    pthread_mutex_init(&p->lan.lock, NULL);
    pthread_create(&p->lan.thread, NULL, lan_run, &p->lan);
    if (isf_solo(p->side[0].e, 1) || fake_say(&p->side[0].qemu, "cont"))
        fatal("solo", &p->side[0]);
}

static void pair_open(struct pair *p, const struct fake_control *like, int disk)
{
    pair_open_sized(p, like, RAM_PAGES, TRACKER_AUTO, disk);
}

static void pair_close(struct pair *p)
{
    lan_end(&p->lan);
    for (int i = 0; i < 2; i++) {
        side_close(&p->side[i]);
        fake_end(&p->side[i].qemu);
    }
}

static int links_up(struct pair *p)
{
    for (int i = 0; i < EVENT_MS; i++) {
        int up = 0;
        for (int k = 0; k < 2; k++)
            up += p->side[k].e && atomic_load(&p->side[k].e->active) >= 0;
        if (up == 2)
            return 1;
        nap_us(1000);
    }
    return 0;
}

/* Drops lines on either side. Not while an engine is made or freed. */
static void *flap_run(void *context)
{
    struct pair *p = context;
    while (atomic_load(&p->flapping)) {
        nap_us(guest_random(&p->flap_seed) % (2 * p->flap_us + 1));
        uint64_t x = guest_random(&p->flap_seed);
        link_drop(p->side[x & 1].e->link[x >> 1 & 1], -ETIMEDOUT);
        atomic_fetch_add(&p->flaps, 1);
    }
    return NULL;
}

/* What became of a sync, with lines that fall meanwhile if the pair is set so. */
static int await_protected(struct pair *p)
{
    pthread_t thread;
    int flapping = p->flap_us != 0;
    atomic_store(&p->flapping, flapping);
    if (flapping)
        pthread_create(&thread, NULL, flap_run, p);
    const char *line = await_either(PRIMARY(p), "protected", "sync_failed", EVENT_MS);
    int ok = line && event_is(line, "protected");
    atomic_store(&p->flapping, 0);
    if (flapping)
        pthread_join(thread, NULL);
    p->failed_syncs += !ok;
    return ok;
}

/* One attempt to sync. 1: protected; 0: it failed, as it says in last_failure. */
static int try_protect(struct pair *p, int changed)
{
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    if (!links_up(p))
        return 0;
    p->generation++;
    drain_events(a);
    drain_events(b);
    int r = isf_standby(b->e, p->generation, p->term, changed);
    if (r == 0)
        r = isf_sync(a->e, p->generation, p->term, changed);
    if (r) {
        isf_problem(r ? a->e : b->e, a->last_failure, sizeof a->last_failure);
        return 0;
    }
    if (!await_protected(p))
        return 0;
    lan_strict(&p->lan, 1, p->primary);
    return await(b, "whole") != NULL;
}

/* As the runner does: solo, and again from the beginning, until it is protected. */
static int protect(struct pair *p, int changed)
{
    struct side *a = PRIMARY(p);
    for (int i = 0; i < 20; i++) {
        *a->last_failure = 0;
        if (try_protect(p, changed))
            return 1;
        changed = strstr(a->last_failure, "\"resumable\":true") && below(4);
        if (i == 3)
            p->flap_us = 0; /* the lines are well at last */
        if (isf_solo(PRIMARY(p)->e, ++p->term)) /* a newer one, in case that the copy became whole unnoticed */
            return 0;
    }
    return 0;
}

/* The backup becomes the primary: promotes, restores, runs. The old one is left as it is, with its lines. 1: all right. */
static int take_over(struct pair *p, struct model *m, int *whole)
{
    struct side *b = BACKUP(p);
    char path[108], command[160];
    uint64_t k;
    p->term++;
    if (isf_promote(b->e, p->term, 0))
        return 0;
    *whole &= copy_is_whole(b, m, &k);
    lan_fix(&p->lan, k);
    *whole &= disk_is(b, m);
    side_path(b, path, "incoming.sock");
    snprintf(command, sizeof command, "incoming %s", path);
    if (fake_say(&b->qemu, command) || isf_restore(b->e, path))
        return 0;
    for (int i = 0; i < EVENT_MS && !atomic_load(&b->qemu.control->restored); i++)
        nap_us(1000);
    *whole &= atomic_load(&b->qemu.control->restored) == k;
    if (isf_restore_blocks(b->e) || isf_solo(b->e, p->term))
        return 0;
    for (uint32_t i = 1; i < GUEST_PARTS; i++) {
        static uint8_t have[64 * ISF_PAGE];
        int r = blocks_read(&b->e->blocks, b->e->blocks.block[i].page, m->guest.pages[i], have);
        *whole &= r == 0 && same_pages(have, m->guest.part[i], m->guest.pages[i], "a block in QEMU", k);
    }
    return fake_say(&b->qemu, "cont") == 0;
}

/* The old primary, which is out of date, comes back as the backup: with a new engine, or with the one it has. */
static int rejoin(struct pair *p, int new_engine)
{
    struct side *old = PRIMARY(p);
    lan_take(&p->lan, old->index);
    lan_strict(&p->lan, 0, 0);
    if (new_engine) {
        pthread_mutex_lock(&p->lan.lock);
        side_close(old);
        pthread_mutex_unlock(&p->lan.lock);
    } else if (isf_hold(old->e)) {
        return 0;
    }
    fake_end(&old->qemu);
    if (new_engine) {
        pthread_mutex_lock(&p->lan.lock);
        side_open(old);
        pthread_mutex_unlock(&p->lan.lock);
    } else if (isf_qemu_detach(old->e)) {
        return 0;
    }
    side_qemu(old, &p->like, 1);
    p->primary = !p->primary;
    return 1;
}

static int run(const char *command)
{
    int status = system(command);
    if (status)
        printf("      %s: %d\n", command, status);
    return status;
}

#endif
