/* The journal's format, its space, and what recovery makes of a damaged file. */
#include "disk_rig.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define IMAGE_BYTES (1u << 20)

struct entry {
    uint64_t epoch, offset, length, value;
    int zero;
    struct journal_mark end;
};

struct seen {
    const struct entry *expect;
    uint32_t next, count;
    int wrong;
};

static char folder[64], path[96], problem[512];

static int see(void *context, uint64_t epoch, const struct journal_extent *x)
{
    struct seen *s = context;
    uint8_t data[8192];
    if (s->next == s->count) {
        s->wrong = 1;
        return 0;
    }
    const struct entry *e = &s->expect[s->next++];
    rig_fill(data, e->length, e->value);
    s->wrong |= epoch != e->epoch || x->offset != e->offset || x->length != e->length || (x->data == NULL) != e->zero;
    s->wrong |= x->data && memcmp(x->data, data, e->length) != 0;
    return 0;
}

static int open_journal(struct journal *j, uint64_t limit)
{
    return journal_open(j, path, limit, IMAGE_BYTES, &disk_io_real, problem, sizeof problem);
}

/* A new, empty journal. */
static void fresh(struct journal *j, uint64_t limit)
{
    unlink(path);
    struct journal_found found;
    if (open_journal(j, limit) || journal_replay(j, NULL, NULL, &found, problem, sizeof problem) || journal_reset(j))
        abort();
}

/* 1: replay gives exactly these entries; 0: others; -errno. The file is not changed. */
static int replays(const struct entry *expect, uint32_t count, uint64_t limit)
{
    struct journal j;
    struct journal_found found;
    struct seen s = {expect, 0, count, 0};
    int r = open_journal(&j, limit);
    if (r)
        return r;
    r = journal_replay(&j, see, &s, &found, problem, sizeof problem);
    journal_close(&j);
    return r ? r : !s.wrong && s.next == count;
}

static int put(struct journal *j, enum journal_kind kind, struct entry *e, int grow)
{
    uint8_t data[8192];
    rig_fill(data, e->length, e->value);
    struct journal_extent x = {e->offset, e->length, 0, e->zero ? NULL : data};
    int r = journal_append(j, kind, e->epoch, &x, 1, grow, NULL);
    journal_here(j, &e->end);
    return r;
}

static struct entry entry(uint64_t epoch, uint64_t *random)
{
    struct entry e = {.epoch = epoch, .length = 512 * (1 + rig_below(random, 16)), .value = rig_random(random), .zero = rig_below(random, 8) == 0};
    e.offset = 512 * rig_below(random, (IMAGE_BYTES - e.length) / 512);
    return e;
}

/* Changes `count` bytes of the file. */
static void damage(uint64_t at, size_t count)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        if (pread(fd, &byte, 1, (off_t)(at + i)) != 1)
            byte = 0;
        byte ^= 0x5a;
        if (pwrite(fd, &byte, 1, (off_t)(at + i)) != 1)
            abort();
    }
    close(fd);
}

static void wholeness(void)
{
    struct journal j;
    uint64_t random = 1;
    struct entry e[6];
    for (int i = 0; i < 6; i++)
        e[i] = entry(1 + (uint64_t)i, &random);
    e[1].epoch = e[2].epoch = 2;
    e[5].epoch = 7;
    fresh(&j, 1 << 20);
    put(&j, JOURNAL_END, &e[0], 0);
    put(&j, JOURNAL_PART, &e[1], 0);
    put(&j, JOURNAL_END, &e[2], 0);
    put(&j, JOURNAL_SOLO, &e[3], 0);
    journal_sync(&j);
    CHECK(replays(e, 4, 1 << 20) == 1, "what was appended is replayed in order, byte for byte");
    CHECK(replays(e, 4, 1 << 20) == 1, "replay changes nothing: it can be repeated");
    put(&j, JOURNAL_PART, &e[4], 0);
    journal_sync(&j);
    CHECK(replays(e, 4, 1 << 20) == 1, "an epoch without its end is dropped");
    journal_trim(&j, &e[2].end, 1);
    CHECK(replays(e + 3, 1, 1 << 20) == 1, "what was trimmed is not replayed");
    journal_close(&j);
}

static void damaged(void)
{
    struct journal j;
    uint64_t random = 2;
    struct entry e[4];
    uint64_t start[4];
    fresh(&j, 1 << 20);
    for (int i = 0; i < 4; i++) {
        e[i] = entry(1 + (uint64_t)i, &random);
        e[i].zero = 0;
        start[i] = j.tail;
        put(&j, JOURNAL_END, &e[i], 0);
        if (i == 1)
            journal_sync(&j);
    }
    journal_close(&j);
    damage(start[3] + 4096 + 100, 1);
    CHECK(replays(e, 3, 1 << 20) == 1, "a torn last record is dropped");
    damage(start[3] + 4096 + 100, 1);
    damage(start[2] + 4096 + 7, 1);
    CHECK(replays(e, 2, 1 << 20) == 1, "an unsynced record lost before one that survived is a torn tail: both are dropped");
    damage(start[1] + 20, 1);
    CHECK(replays(e, 1, 1 << 20) == -ISF_ECORRUPT && strstr(problem, "Copy the disk"), "a durable record that is damaged is corruption, and says what to do");
    damage(start[1] + 20, 1);
    damage(start[2] + 4096 + 7, 1);
    CHECK(replays(e, 4, 1 << 20) == 1, "the same file without the damage is whole");
    damage(10, 1);
    CHECK(replays(e, 4, 1 << 20) == 1, "one damaged head does not matter");
    damage(4096 + 10, 1);
    CHECK(replays(e, 4, 1 << 20) == -ISF_ECORRUPT, "two damaged heads are corruption");
}

static void refused(void)
{
    struct journal j;
    uint64_t random = 3;
    struct entry e = entry(1, &random);
    struct journal_found found;
    fresh(&j, 1 << 20);
    put(&j, JOURNAL_END, &e, 0);
    journal_close(&j);
    int r = journal_open(&j, path, 1 << 20, 2 * IMAGE_BYTES, &disk_io_real, problem, sizeof problem);
    if (r == 0) {
        r = journal_replay(&j, NULL, NULL, &found, problem, sizeof problem);
        journal_close(&j);
    }
    CHECK(r == -EINVAL && strstr(problem, "1048576 bytes"), "a journal of an image of another size is refused");
    uint8_t slot[4096];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    for (off_t at = 0; at <= 4096; at += 4096) {
        if (pread(fd, slot, sizeof slot, at) != sizeof slot)
            abort();
        put_le32(slot + 4, JOURNAL_VERSION + 1);
        put_le64(slot + 72, XXH64(slot, 72, 0));
        if (pwrite(fd, slot, sizeof slot, at) != sizeof slot)
            abort();
    }
    close(fd);
    CHECK(replays(&e, 1, 1 << 20) == -ISF_EVERSION, "a journal of another version is refused");
}

/* Appends, syncs and trims at random in a small journal; now and then replays a copy of what should be live. */
static int space(uint64_t seed)
{
    static struct entry live[4096];
    uint32_t first = 0, count = 0;
    struct journal j;
    uint64_t random = seed, epoch = 1;
    fresh(&j, 256 << 10);
    int wrong = 0, full = 0;
    for (int i = 0; i < 600 && !wrong && first + count < 4000; i++) {
        uint64_t what = rig_below(&random, 10);
        if (what < 6) {
            live[first + count] = entry(epoch, &random);
            int r = put(&j, JOURNAL_END, &live[first + count], rig_below(&random, 50) == 0);
            full += r == -EAGAIN;
            wrong |= r && r != -EAGAIN;
            if (r == 0) {
                count++;
                epoch++;
            }
        } else if (what < 8) {
            wrong |= journal_sync(&j) != 0;
        } else if (count) {
            uint32_t gone = 1 + (uint32_t)rig_below(&random, count);
            wrong |= journal_trim(&j, &live[first + gone - 1].end, 1) != 0;
            first += gone;
            count -= gone;
        }
        if (i % 20 == 0 || what >= 8)
            wrong |= replays(live + first, count, 256 << 10) != 1;
    }
    if (wrong)
        printf("      seed %llu: wrong after %llu epochs (%s)\n", (unsigned long long)seed, (unsigned long long)epoch, problem);
    journal_close(&j);
    return wrong ? -1 : full;
}

static void spaces(void)
{
    int wrong = 0, full = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        int r = space(seed);
        wrong += r < 0;
        full += r > 0;
    }
    CHECK(wrong == 0, "space is used over and over, and what is live is always replayed");
    CHECK(full > 0, "a full journal says so");
}

static void growth(void)
{
    struct journal j;
    uint64_t random = 9;
    struct entry e = entry(1, &random);
    struct stat st;
    int r = 0, n = 0;
    fresh(&j, 128 << 10);
    while ((r = put(&j, JOURNAL_PART, &e, 0)) == 0)
        n++;
    CHECK(r == -EAGAIN && n > 5, "nothing is overwritten that was not trimmed");
    for (int i = 0; i < 100; i++)
        r = put(&j, JOURNAL_PART, &e, 1);
    CHECK(r == 0, "one epoch may be larger than the journal");
    journal_close(&j);
    struct journal_found found;
    r = open_journal(&j, 128 << 10);
    r = r ? r : journal_replay(&j, NULL, NULL, &found, problem, sizeof problem);
    r = r ? r : journal_reset(&j);
    fstat(j.fd, &st);
    CHECK(r == 0 && st.st_size == 128 << 10, "afterwards the file is as small as before");
    journal_close(&j);
}

/* The stamp that a new process finds; generation * 1000 + epoch. */
static uint64_t stamp_found(void)
{
    struct journal j;
    struct journal_found found;
    if (open_journal(&j, 1 << 20) || journal_replay(&j, NULL, NULL, &found, problem, sizeof problem))
        return UINT64_MAX;
    journal_close(&j);
    return found.stamp.generation * 1000 + found.stamp.epoch;
}

static void stamps(void)
{
    struct journal j;
    struct journal_found found;
    uint64_t random = 5;
    uint8_t data[512] = {1};
    struct entry e = entry(9, &random);
    struct journal_extent x = {0, sizeof data, 0, data};
    struct journal_mark mark;
    fresh(&j, 1 << 20);
    CHECK(stamp_found() == 0, "a new journal knows of no epoch");
    journal_append(&j, JOURNAL_END, 1, &x, 1, 0, &(struct journal_stamp){4, 17});
    journal_here(&j, &mark);
    journal_append(&j, JOURNAL_END, 2, &x, 1, 0, &(struct journal_stamp){4, 19});
    journal_append(&j, JOURNAL_PART, 3, &x, 1, 0, &(struct journal_stamp){4, 20});
    journal_sync(&j);
    CHECK(stamp_found() == 4019, "an epoch without an end is not counted");
    journal_trim(&j, &mark, 1);
    CHECK(stamp_found() == 4019, "what is trimmed leaves the newer one's stamp");
    put(&j, JOURNAL_END, &e, 0);
    journal_here(&j, &mark);
    journal_trim(&j, &mark, 1);
    journal_close(&j);
    CHECK(stamp_found() == 4020, "the last stamp stays when all is trimmed");
    if (open_journal(&j, 1 << 20) || journal_replay(&j, NULL, NULL, &found, problem, sizeof problem) || journal_reset(&j))
        abort();
    journal_close(&j);
    CHECK(stamp_found() == 4020, "and after the next opening");
}

/* Killed while the journal was made: its space is there, and nothing in it. */
static void unfinished(void)
{
    struct journal j;
    struct entry none;
    unlink(path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ftruncate(fd, 1 << 20))
        abort();
    close(fd);
    CHECK(replays(&none, 0, 1 << 20) == 1, "a journal whose making was cut short is a new one");
    fresh(&j, 1 << 20);
    uint64_t random = 3;
    struct entry e = entry(1, &random);
    put(&j, JOURNAL_END, &e, 0);
    journal_close(&j);
    uint8_t zero[2 * 4096] = {0};
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (pwrite(fd, zero, sizeof zero, 0) != sizeof zero)
        abort();
    close(fd);
    CHECK(replays(&e, 1, 1 << 20) == -ISF_ECORRUPT, "control: with a record in it, empty heads are corruption");
}

/* Whatever the bytes are: an answer, never a crash, never an extent outside the image. */
static int in_bounds(void *context, uint64_t epoch, const struct journal_extent *x)
{
    (void)epoch;
    *(int *)context |= x->offset > IMAGE_BYTES || x->length > IMAGE_BYTES - x->offset;
    return 0;
}

static void fuzz(void)
{
    uint64_t random = 77;
    int outside = 0;
    for (int round = 0; round < 150; round++) {
        struct journal j;
        struct journal_found found;
        fresh(&j, 64 << 10);
        for (int i = 0; i < 5; i++) {
            struct entry e = entry(1 + (uint64_t)i, &random);
            put(&j, JOURNAL_END, &e, 0);
        }
        journal_sync(&j);
        journal_close(&j);
        for (uint64_t k = rig_below(&random, 20); k > 0; k--)
            damage(rig_below(&random, 8) ? rig_below(&random, 40 << 10) : rig_below(&random, 64), 1 + rig_below(&random, 3));
        if (open_journal(&j, 64 << 10) == 0) {
            journal_replay(&j, in_bounds, &outside, &found, problem, sizeof problem);
            journal_close(&j);
        }
    }
    CHECK(!outside, "damaged files give an answer, and never an extent outside the image");
}

int main(void)
{
    strcpy(folder, "/tmp/isf_journal_XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/journal", folder);
    wholeness();
    damaged();
    refused();
    spaces();
    growth();
    stamps();
    unfinished();
    fuzz();
    unlink(path);
    rmdir(folder);
    return check_end();
}
