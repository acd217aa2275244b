/* What the disk promises while nothing dies or fails: content in all modes, replication, sparseness, the changed-bitmap. */
#include "disk_rig.h"

#define BYTES (8u << 20)

static uint64_t blocks_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (uint64_t)st.st_blocks * 512;
}

/* ---- content ---- */

static int same(struct disk *d, const uint8_t *model, uint64_t offset, uint32_t length)
{
    uint8_t *data = malloc(length);
    int r = disk_guest_read(d, offset, length, data) == 0 && memcmp(data, model + offset, length) == 0;
    free(data);
    return r;
}

static void random_range(uint64_t *random, uint64_t *offset, uint32_t *length)
{
    uint64_t sectors = rig_below(random, 10) ? 1 + rig_below(random, 20) : 1 + rig_below(random, 4096);
    *offset = rig_below(random, BYTES / 512) * 512;
    *length = (uint32_t)(sectors * 512 < BYTES - *offset ? sectors * 512 : BYTES - *offset);
}

static int write_random(struct disk *d, uint8_t *model, uint64_t *random)
{
    uint64_t offset;
    uint32_t length;
    random_range(random, &offset, &length);
    if (rig_below(random, 6) == 0) {
        memset(model + offset, 0, length);
        return disk_guest_zero(d, offset, length, (int)rig_below(random, 2));
    }
    rig_fill(model + offset, length, rig_random(random));
    return disk_guest_write(d, offset, length, model + offset);
}

/* Random writes, reads, barriers, commits and mode changes against a model in memory. */
static void content(uint64_t seed)
{
    struct rig rig;
    uint8_t *model = calloc(1, BYTES);
    uint64_t random = seed, epoch = 0, offset;
    uint32_t length;
    int wrong = 0;
    printf("      seed %llu\n", (unsigned long long)seed);
    rig_new(&rig, BYTES);
    rig.config.journal_bytes = 2 << 20;
    struct disk *d = rig_open(&rig);
    for (int i = 0; d && i < 3000 && !wrong; i++) {
        uint64_t what = rig_below(&random, 100);
        if (what < 40) {
            wrong |= write_random(d, model, &random) != 0;
        } else if (what < 85) {
            random_range(&random, &offset, &length);
            wrong |= !same(d, model, offset, length);
        } else if (what < 92 && epoch) {
            wrong |= disk_barrier(d, epoch++) < 0;
        } else if (what < 98 && epoch > 1) {
            disk_commit(d, epoch - 1 - rig_below(&random, 2));
        } else if (what == 99) {
            wrong |= (epoch ? disk_direct(d) : disk_epochs(d, 1, 0)) != 0;
            epoch = !epoch;
        }
    }
    wrong |= !d || !same(d, model, 0, BYTES);
    CHECK(!wrong, "a reader sees the newest write, at every moment, in every mode, to the sector");
    if (epoch)
        disk_direct(d);
    disk_close(d);
    uint8_t *image = rig_image(&rig, BYTES);
    CHECK(memcmp(image, model, BYTES) == 0, "after disk_direct and an orderly end the image has it all");
    free(image);
    free(model);
    rig_free(&rig);
}

/* Two writers and two readers of blocks that always hold one number throughout, while epochs pass. */
struct race {
    struct disk *d;
    _Atomic int stop, torn;
    unsigned part;
};

static void *race_write(void *context)
{
    struct race *race = context;
    uint64_t random = race->part;
    uint8_t data[4096];
    while (!atomic_load(&race->stop)) {
        memset(data, (int)rig_below(&random, 256), sizeof data);
        disk_guest_write(race->d, (rig_below(&random, 64) * 2 + race->part) * 4096, 4096, data);
    }
    return NULL;
}

static void *race_read(void *context)
{
    struct race *race = context;
    uint64_t random = race->part + 10;
    uint8_t data[4096];
    while (!atomic_load(&race->stop)) {
        disk_guest_read(race->d, rig_below(&random, 128) * 4096, 4096, data);
        for (int i = 1; i < 4096; i++)
            if (data[i] != data[0])
                atomic_store(&race->torn, 1);
    }
    return NULL;
}

static void races(void)
{
    struct rig rig;
    rig_new(&rig, BYTES);
    struct disk *d = rig_open(&rig);
    struct race race[4] = {{.d = d, .part = 0}, {.d = d, .part = 1}, {.d = d, .part = 0}, {.d = d, .part = 1}};
    unsigned long thread[4];
    disk_epochs(d, 1, 0);
    for (int i = 0; i < 4; i++)
        isf_thread(&thread[i], "race", i < 2 ? race_write : race_read, &race[i]);
    for (uint64_t e = 1; e < 300; e++) {
        usleep(1000);
        disk_barrier(d, e);
        if (e > 2)
            disk_commit(d, e - 2);
    }
    for (int i = 0; i < 4; i++)
        atomic_store(&race[i].stop, 1);
    for (int i = 0; i < 4; i++)
        pthread_join((pthread_t)thread[i], NULL);
    /* Readers of the log are whole; those of the page cache may see a write in progress only of a block that is being applied anew. */
    CHECK(!race[2].torn && !race[3].torn, "a block is read whole while epochs close, are applied and leave the log");
    disk_close(d);
    rig_free(&rig);
}

/* ---- replication ---- */

static int replicate(struct disk *from, struct disk *to, struct disk_cursor *cursor, int *extents)
{
    struct disk_extent x;
    int done = 0, r;
    while ((r = disk_next(from, cursor, &x, &done)) == 1 || done) {
        if (done) {
            if (disk_barrier(to, cursor->epoch - 1) < 0)
                return -1;
            continue;
        }
        ++*extents;
        if (disk_stage(to, x.epoch, x.offset, x.length, x.data, x.flags))
            return -1;
    }
    return r;
}

static void replication(void)
{
    struct rig a, b;
    uint8_t *model = calloc(1, BYTES);
    uint64_t random = 5, da = 1, db = 2;
    struct disk_cursor cursor = {7, 0};
    int wrong = 0, extents = 0;
    rig_new(&a, BYTES);
    rig_new(&b, BYTES);
    struct disk *pa = rig_open(&a), *pb = rig_open(&b);
    wrong |= disk_epochs(pa, 7, 0) || disk_epochs(pb, 7, 0);
    for (uint64_t e = 7; e < 60 && !wrong; e++) {
        for (uint64_t n = rig_below(&random, 6); n > 0; n--) {
            wrong |= write_random(pa, model, &random) != 0;
            if (rig_below(&random, 2))
                wrong |= replicate(pa, pb, &cursor, &extents) < 0;
        }
        wrong |= disk_barrier(pa, e) < 0 || replicate(pa, pb, &cursor, &extents) < 0;
        wrong |= cursor.epoch != e + 1;
        if (e % 3 == 0) {
            disk_commit(pb, e);
            disk_commit(pa, e);
        }
    }
    wrong |= disk_digest(pa, &da) || disk_digest(pb, &db);
    CHECK(!wrong && extents > 50 && da == db, "disk_next to disk_stage: the other disk has the same digest");
    CHECK(same(pb, model, 0, BYTES), "and every byte");
    uint8_t junk[4096] = {1};
    wrong = disk_stage(pb, 60, 0, 4096, junk, 0) || disk_stage(pb, 60, 8 << 10, BYTES - (8 << 10), NULL, DISK_HOLE);
    CHECK(!wrong && !same(pb, model, 0, BYTES), "what is staged is seen");
    disk_discard(pb);
    CHECK(same(pb, model, 0, BYTES), "and gone after disk_discard: it never became whole");
    CHECK(disk_stage(pb, 60, BYTES, 512, junk, 0) == -EINVAL && disk_stage(pb, 60, 100, 512, junk, 0) == -EINVAL &&
              disk_stage(pb, 60, 0, DISK_EXTENT_MAX + 512, junk, 0) == -EINVAL && disk_stage(pb, 60, 512, UINT64_MAX - 511, NULL, 0) == -EINVAL,
          "an extent outside the disk, unaligned or too long is refused");
    CHECK(disk_stage(pb, 59, 0, 512, junk, 0) == -ISF_ESTATE && disk_barrier(pb, 59) == -ISF_ESTATE, "an epoch that is not open is refused");
    uint64_t hashes[BYTES / DISK_CHUNK], other[BYTES / DISK_CHUNK];
    wrong = disk_hashes(pa, 0, BYTES / DISK_CHUNK, hashes) || disk_hashes(pb, 0, BYTES / DISK_CHUNK, other);
    CHECK(!wrong && memcmp(hashes, other, sizeof hashes) == 0, "chunk hashes agree, log and holes included");
    CHECK(disk_hashes(pa, 1, BYTES / DISK_CHUNK, hashes) == -EINVAL, "chunks past the end are refused");
    disk_direct(pb);
    disk_close(pb);
    pb = rig_open(&b);
    disk_digest(pb, &db);
    CHECK(da == db, "and still after the backup took over, ended and came back");
    disk_close(pa);
    disk_close(pb);
    rig_free(&a);
    rig_free(&b);
    free(model);
}

static void coalescing(void)
{
    struct rig rig;
    struct disk_cursor cursor = {1, 0};
    struct disk_extent x;
    struct disk_stats before, after;
    int done;
    uint8_t data[4096] = {1};
    rig_new(&rig, BYTES);
    struct disk *d = rig_open(&rig);
    disk_epochs(d, 1, 0);
    for (int i = 0; i < 10; i++)
        disk_guest_write(d, 4096, 4096, data);
    CHECK(disk_next(d, &cursor, &x, &done) == 1 && disk_next(d, &cursor, &x, &done) == 0 && !done, "an overwrite that nobody has seen is not sent twice");
    disk_guest_write(d, 4096, 512, data);
    CHECK(disk_next(d, &cursor, &x, &done) == 1 && x.length == 512, "one of a block that was handed out is");
    CHECK(disk_barrier(d, 1) == 2, "disk_barrier says how many extents the epoch has");
    RIG_WAIT(disk_durable(d) == 1);
    disk_read_stats(d, &before);
    for (uint64_t e = 2; e < 50; e++)
        if (disk_barrier(d, e) != 0 || disk_durable(d) != e)
            done = 7;
    disk_read_stats(d, &after);
    CHECK(done != 7 && before.syncs == after.syncs, "an epoch without writes is durable at once and costs no sync");
    disk_close(d);
    rig_free(&rig);
}

/* A commit of an epoch from before this session must not commit this session's. */
static void old_commit(void)
{
    struct rig rig;
    struct disk_cursor cursor = {7, 0};
    struct disk_extent x;
    int done;
    uint8_t data[512] = {1};
    rig_new(&rig, BYTES);
    struct disk *d = rig_open(&rig);
    disk_epochs(d, 7, 0);
    disk_guest_write(d, 0, 512, data);
    disk_barrier(d, 7);
    disk_commit(d, 3);
    CHECK(disk_next(d, &cursor, &x, &done) == 1 && x.epoch == 7, "a commit from before this session commits nothing of it");
    disk_commit(d, 7);
    cursor = (struct disk_cursor){7, 0};
    CHECK(disk_next(d, &cursor, &x, &done) == 0 && done && cursor.epoch == 8, "a committed epoch is handed out no more");
    disk_close(d);
    rig_free(&rig);
}

/* ---- sparse ---- */

static void sparse(void)
{
    struct rig rig;
    uint8_t *data = malloc(1 << 20);
    int zero = 0;
    struct disk_stats s;
    memset(data, 7, 1 << 20);
    rig_new(&rig, 1ull << 40);
    struct disk *d = rig_open(&rig);
    uint64_t small = blocks_of(rig.image), digest;
    disk_guest_write(d, 1ull << 39, 1 << 20, data);
    disk_guest_zero(d, 1ull << 39, 1 << 20, 1);
    CHECK(blocks_of(rig.image) <= small + (64 << 10), "what is trimmed is given back");
    disk_epochs(d, 1, 0);
    disk_guest_write(d, 1ull << 39, 1 << 20, data);
    for (int i = 0; i < 8; i++)
        disk_guest_zero(d, ((uint64_t)i << 32) + 512, (1u << 31) + 1024, 1);
    disk_read_stats(d, &s);
    CHECK(s.log_bytes < 4 << 20, "16 GiB of trims cost little memory");
    CHECK(disk_read(d, 3ull << 32, 1 << 20, data, &zero) == 0 && zero, "and read as zeroes");
    disk_direct(d);
    disk_close(d);
    CHECK(blocks_of(rig.image) < 3 << 20, "a sparse image stays sparse");
    d = rig_open(&rig);
    uint64_t start = isf_now_us();
    disk_digest(d, &digest);
    printf("      digest of 1 TiB with 1 MiB of data: %llu ms\n", (unsigned long long)(isf_now_us() - start) / 1000);
    disk_close(d);
    free(data);
    rig_free(&rig);
}

/* ---- changed-bitmap ---- */

static void changed(void)
{
    struct rig rig;
    uint8_t data[4096] = {1};
    uint64_t at = 0, length = 0;
    rig_new(&rig, BYTES + 512);
    struct disk *d = rig_open(&rig);
    CHECK(!disk_changed_trusted(d), "a new bitmap is not trusted");
    disk_changed_begin(d, 1);
    CHECK(disk_changed_bytes(d) == BYTES + 512, "a full one names the whole disk, not more");
    disk_changed_begin(d, 0);
    disk_guest_write(d, 100 * 4096, 4096, data);
    disk_guest_write(d, BYTES, 512, data);
    CHECK(disk_changed_take(d, &at, &length) == 1 && at == 6 * DISK_CHUNK && length == DISK_CHUNK, "a direct write marks its chunk");
    at += length;
    CHECK(disk_changed_take(d, &at, &length) == 1 && at == BYTES && length == 512, "the last, short chunk too");
    CHECK(disk_changed_bytes(d) == 0, "what was taken is no longer to be taken");
    CHECK(disk_changed_trusted(d) && disk_changed_bytes(d) == DISK_CHUNK * 2, "but comes again when a sync starts over");
    disk_close(d);
    d = rig_open(&rig);
    CHECK(disk_changed_trusted(d) && disk_changed_bytes(d) == DISK_CHUNK * 2, "it is there after a restart");
    disk_epochs(d, 1, 1);
    disk_guest_write(d, 0, 4096, data);
    disk_barrier(d, 1);
    disk_commit(d, 1);
    disk_flush_waits(d, 0);
    disk_guest_write(d, 1 << 20, 4096, data);
    disk_barrier(d, 2);
    disk_commit(d, 2);
    CHECK(disk_changed_trusted(d) && disk_changed_bytes(d) == 0, "once both hosts have it, nothing is changed");
    disk_guest_write(d, 2 << 20, 4096, data);
    disk_barrier(d, 3);
    disk_guest_write(d, 3 << 20, 4096, data);
    disk_direct(d);
    disk_guest_write(d, 4 << 20, 4096, data);
    at = 0;
    int good = disk_changed_take(d, &at, &length) && at == 2 << 20;
    good &= disk_changed_take(d, &at, &length) && at == 3 << 20;
    good &= disk_changed_take(d, &at, &length) && at == 4 << 20;
    CHECK(good && !disk_changed_take(d, &at, &length), "alone again: what was not committed and what came since is changed, nothing else");
    disk_close(d);
    d = rig_open(&rig);
    CHECK(disk_changed_trusted(d) && disk_changed_bytes(d) == 3 * DISK_CHUNK, "also after a restart");
    disk_close(d);
    rig_free(&rig);
}

int main(int argc, char **argv)
{
    content(argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL));
    content(42);
    races();
    replication();
    coalescing();
    old_commit();
    sparse();
    changed();
    return check_end();
}
