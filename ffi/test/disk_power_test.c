/* Power loss: storage keeps what was synced, and of the rest some sectors, or none. Random histories through all modes; after each cut
 * every sector must hold what was there at the last answered flush or durable epoch, or something newer; and the changed-bitmap
 * must know every chunk that is newer than what the other host has. */
#include "disk_rig.h"

#define BYTES (40u << 20) /* three regions of the bitmap */
#define SPOTS 512         /* sectors that are used, spread over the image */
#define EPOCHS_MAX 256

struct spot {
    uint32_t *tag; /* every value it had, oldest first; [0] = 0 */
    uint32_t count, room, floor, common;
};

struct world {
    struct rig rig;
    struct power power;
    struct disk *d;
    struct spot spot[SPOTS];
    uint32_t next_tag;
    uint64_t random, epoch; /* the open one; 0: not in EPOCHS */
    int waits;
    uint32_t at_barrier[EPOCHS_MAX][SPOTS]; /* newest index at the end of each epoch */
    uint64_t committed, durable;
};

/* Where a spot lies: sequences of 8 sectors that share a block, here and there. */
static uint64_t spot_offset(unsigned i)
{
    return (uint64_t)(i / 8) * (BYTES / (SPOTS / 8)) + (i % 8) * 512u;
}

static void remember(struct world *w, unsigned i, uint32_t tag)
{
    struct spot *s = &w->spot[i];
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 16;
        s->tag = realloc(s->tag, s->room * sizeof *s->tag);
    }
    s->tag[s->count++] = tag;
}

static void fill(uint8_t *data, unsigned sectors, uint32_t tag)
{
    for (unsigned s = 0; s < sectors; s++)
        for (unsigned k = 0; k < 512; k += 4)
            put_le32(data + s * 512 + k, tag);
}

static void write_some(struct world *w)
{
    unsigned i = (unsigned)rig_below(&w->random, SPOTS), n = 1 + (unsigned)rig_below(&w->random, 8 - i % 8);
    uint32_t tag = ++w->next_tag;
    uint8_t data[4096];
    int zero = rig_below(&w->random, 8) == 0, r;
    fill(data, n, tag);
    if (zero)
        r = disk_guest_zero(w->d, spot_offset(i), n * 512, (int)rig_below(&w->random, 2));
    else
        r = disk_guest_write(w->d, spot_offset(i), n * 512, data);
    if (r)
        abort();
    for (unsigned k = 0; k < n; k++)
        remember(w, i + k, zero ? 0 : tag);
}

static void raise_floor(struct world *w, const uint32_t *at)
{
    for (unsigned i = 0; i < SPOTS; i++) {
        uint32_t index = at ? at[i] : w->spot[i].count - 1;
        if (index > w->spot[i].floor)
            w->spot[i].floor = index;
    }
}

static void take_durable(struct world *w)
{
    uint64_t durable = w->epoch ? disk_durable(w->d) : 0;
    if (durable > w->durable && durable < EPOCHS_MAX) {
        w->durable = durable;
        raise_floor(w, w->at_barrier[durable]);
    }
}

static void barrier(struct world *w)
{
    if (!w->epoch || w->epoch + 1 >= EPOCHS_MAX)
        return;
    for (unsigned i = 0; i < SPOTS; i++)
        w->at_barrier[w->epoch][i] = w->spot[i].count - 1;
    if (disk_barrier(w->d, w->epoch) < 0)
        abort();
    w->epoch++;
}

static void commit(struct world *w)
{
    uint64_t open = w->epoch;
    if (!open || open <= w->committed + 1)
        return;
    uint64_t epoch = w->committed + 1 + rig_below(&w->random, open - w->committed - 1);
    disk_commit(w->d, epoch);
    w->committed = epoch;
    for (unsigned i = 0; i < SPOTS; i++) /* while FLUSH waits, only what this session wrote is common */
        if (!w->waits || w->at_barrier[epoch][i] > w->at_barrier[0][i])
            w->spot[i].common = w->at_barrier[epoch][i];
}

static void change_mode(struct world *w)
{
    if (w->epoch) {
        if (disk_direct(w->d))
            abort();
        w->epoch = 0;
        return;
    }
    w->waits = (int)rig_below(&w->random, 2);
    if (disk_epochs(w->d, 1, w->waits))
        abort();
    w->epoch = 1;
    w->committed = w->durable = 0;
    for (unsigned i = 0; i < SPOTS; i++)
        w->at_barrier[0][i] = w->spot[i].count - 1;
}

static void step(struct world *w)
{
    uint64_t what = rig_below(&w->random, 100);
    if (what < 60) {
        write_some(w);
    } else if (what < 72) {
        /* In EPOCHS without waits the answer promises nothing: the epoch's output waits instead. */
        int r = rig_flush(w->d);
        if (r)
            abort();
        if (!w->epoch || w->waits)
            raise_floor(w, NULL);
    } else if (what < 84) {
        barrier(w);
    } else if (what < 94) {
        commit(w);
    } else if (what < 98) {
        take_durable(w);
    } else {
        change_mode(w);
    }
}

/* Which of the spot's values is on disk: the newest index with this tag, or -1. */
static int64_t index_of(const struct spot *s, const uint8_t *data)
{
    uint32_t tag = get_le32(data);
    for (unsigned k = 0; k < 512; k += 4)
        if (get_le32(data + k) != tag)
            return -1;
    for (int64_t i = s->count; i-- > 0;)
        if (s->tag[i] == tag)
            return i;
    return -1;
}

/* A value that the other host does not have, nor ever had (zeroes come more than once). */
static int is_newer(const struct spot *s, int64_t index)
{
    for (uint32_t i = 0; i <= s->common; i++)
        if (index >= 0 && s->tag[i] == s->tag[index])
            return 0;
    return index > (int64_t)s->common;
}

/* The number of spots that broke the promise. */
static unsigned verify(struct world *w)
{
    uint8_t *image = rig_image(&w->rig, BYTES), marked[BYTES / DISK_CHUNK] = {0};
    uint64_t at = 0, length;
    unsigned bad = 0;
    int trusted = disk_changed_trusted(w->d); /* cut while it was written anew, it says that it is void */
    w->rig.problem[0] = trusted ? 't' : 'v';
    while (disk_changed_take(w->d, &at, &length)) {
        memset(marked + at / DISK_CHUNK, 1, (length + DISK_CHUNK - 1) / DISK_CHUNK);
        at += length;
    }
    for (unsigned i = 0; i < SPOTS; i++) {
        struct spot *s = &w->spot[i];
        int64_t index = index_of(s, image + spot_offset(i));
        int old = index < (int64_t)s->floor;
        int unmarked = trusted && is_newer(s, index) && !marked[spot_offset(i) / DISK_CHUNK];
        if (bad == 0 && (old || unmarked))
            printf("      spot %u: has value %lld, promised %u of %u, common %u, %smarked, %strusted\n", i, (long long)index, s->floor,
                   s->count - 1, s->common, marked[spot_offset(i) / DISK_CHUNK] ? "" : "not ", trusted ? "" : "not ");
        bad += old || unmarked;
    }
    free(image);
    return bad;
}

/* One history up to a power cut, and recovery. Returns the broken promises, or 1 when the disk does not open. */
static unsigned one_history(uint64_t seed, const char *deaf, int *trusted)
{
    struct world *w = calloc(1, sizeof *w);
    unsigned bad = 1;
    w->random = seed;
    rig_new(&w->rig, BYTES);
    power_init(&w->power, seed ^ 5);
    w->power.deaf = deaf;
    w->rig.config.io = &w->power.io;
    w->rig.config.journal_bytes = 96 << 10; /* small: wraps, fills, grows */
    for (unsigned i = 0; i < SPOTS; i++)
        remember(w, i, 0);
    w->d = rig_open(&w->rig);
    if (!w->d || disk_changed_begin(w->d, 0))
        abort();
    uint64_t steps = 20 + rig_below(&w->random, 250);
    for (uint64_t i = 0; i < steps; i++)
        step(w);
    take_durable(w);
    power_cut(&w->power);
    disk_close(w->d);
    power_restore(&w->power);
    w->d = rig_open(&w->rig);
    if (w->d) {
        bad = verify(w);
        *trusted += w->rig.problem[0] == 't';
        disk_close(w->d);
    }
    for (unsigned i = 0; i < SPOTS; i++)
        free(w->spot[i].tag);
    power_forget(&w->power);
    rig_free(&w->rig);
    free(w);
    return bad;
}

static int histories(uint64_t seed, int count, const char *deaf, int *trusted)
{
    int broken = 0;
    for (int i = 0; i < count; i++) {
        unsigned bad = one_history(seed + (uint64_t)i, deaf, trusted);
        if (bad && !deaf)
            printf("      seed %llu: %u promises broken\n", (unsigned long long)seed + (unsigned)i, bad);
        broken += bad != 0;
        if (bad && deaf)
            break; /* once is enough */
    }
    return broken;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL) * 1000;
    int count = argc > 2 ? atoi(argv[2]) : 50;
    printf("      from seed %llu\n", (unsigned long long)seed);
    int trusted = 0, ignored = 0;
    CHECK(histories(seed, count, NULL, &trusted) == 0, "after a power loss every flushed write and durable epoch is there, and the bitmap knows what is newer");
    CHECK(trusted * 10 >= count * 8, "and nearly always the bitmap is still to be trusted");
    CHECK(histories(seed, 400, ".journal", &ignored) > 0, "control: with the journal's sync switched off, the loss is noticed");
    CHECK(histories(seed, 400, "/image", &ignored) > 0, "control: with the image's sync switched off, the loss is noticed");
    CHECK(histories(seed, 400, ".bitmap", &ignored) > 0, "control: with the bitmap's sync switched off, the unmarked chunk is noticed");
    return check_end();
}
