/* The backup's copy, frame by frame: what changes it, what does not, and what is refused. The test is the primary: it gives frames to
 * the engine by hand, in any order and on any line, and sees its answers at the other ends of two real lines. */
#include "check.h"
#include "engine.h"
#include "net_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define RAM 64u
#define OTHER 4u
#define ALL (RAM + OTHER)

static uint64_t seed;

static uint64_t below(uint64_t n)
{
    uint64_t z = seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return (z ^ z >> 27) % n;
}

/* What came back, newest last. */
static struct { pthread_mutex_t lock; struct { struct frame f; int line; uint8_t payload[16]; } got[4096]; int count; } answers;

static int on_frame(void *context, int index, const struct frame *f, uint8_t *payload)
{
    (void)context;
    pthread_mutex_lock(&answers.lock);
    if (answers.count < 4096) {
        answers.got[answers.count].f = *f;
        answers.got[answers.count].line = index;
        memcpy(answers.got[answers.count++].payload, payload, f->length < 16 ? f->length : 16);
    }
    pthread_mutex_unlock(&answers.lock);
    return 0;
}

static void on_state(void *context, int index, int up, int reason)
{
    (void)context;
    (void)index;
    (void)up;
    (void)reason;
}

struct bed {
    struct isf_engine *e;
    struct link *peer[2];
    struct encoder *encoder;
    uint64_t generation, term, restarts;
    uint8_t *block, want[(ALL + 1) * ISF_PAGE]; /* what the copy should hold: memory, the other block, a page of device state */
};

static void bed_open(struct bed *b, const char *dir)
{
    uint8_t secret[WIRE_KEY] = {9};
    *b = (struct bed){.generation = 2, .term = 3};
    pthread_mutex_init(&answers.lock, NULL);
    if (isf_engine_new(dir, secret, &b->e) || isf_memory_new(b->e, RAM * ISF_PAGE) < 0)
        abort();
    b->block = aligned_alloc(ISF_PAGE, OTHER * ISF_PAGE);
    struct blocks *k = &b->e->blocks;
    *k = (struct blocks){.pid = getpid(), .count = 2, .pages = ALL, .ram = b->e->ram, .ram_pages = RAM};
    k->block[0] = (struct block){.bytes = RAM * ISF_PAGE, .address = (uintptr_t)b->e->ram};
    k->block[1] = (struct block){.bytes = OTHER * ISF_PAGE, .address = (uintptr_t)b->block, .page = RAM};
    b->e->qemu_pid = getpid();
    for (int i = 0; i < 2; i++) {
        struct link_config c = {.index = i, .local = "127.0.0.2", .peer = "127.0.0.1", .port = (uint16_t)(7301 + i), .timeout_us = 2000000,
                                .on_frame = on_frame, .on_state = on_state};
        memcpy(c.secret, secret, sizeof secret);
        if (isf_link_add(b->e, i, "127.0.0.1", "127.0.0.2", (uint32_t)(7301 + i), 1) || link_open(&b->peer[i], &c))
            abort();
    }
    for (int i = 0; i < 20000 && !(atomic_load(&b->e->link_up[0]) && atomic_load(&b->e->link_up[1])); i++)
        usleep(1000);
    encoder_new(&b->encoder, ALL + 1, 16, CODEC_LZ4);
}

static void bed_close(struct bed *b)
{
    for (int i = 0; i < 2; i++)
        link_close(b->peer[i]);
    b->e->qemu_pid = 0;
    isf_engine_free(b->e);
    encoder_free(b->encoder);
    free(b->block);
}

/* ---- frames ---- */

static int give(struct bed *b, int line, uint16_t type, uint32_t flags, uint64_t epoch, const void *payload, uint32_t length)
{
    struct frame f = {.type = type, .flags = flags, .epoch = epoch, .generation = b->generation, .term = b->term, .length = length};
    uint8_t *copy = malloc(length + 1u);
    if (length)
        memcpy(copy, payload, length);
    int r = receive_frame(b->e, line, &f, copy);
    free(copy);
    return r;
}

static int give_restart(struct bed *b, int line, uint64_t first, uint64_t number)
{
    uint8_t payload[RESTART_PAYLOAD];
    put_le64(payload, number);
    return give(b, line, FRAME_SYNC, SYNC_RESTART, first, payload, sizeof payload);
}

/* Pages `first` to `first + count - 1`, all filled with `value`, as a batch. */
static int give_pages(struct bed *b, int line, int type, uint64_t epoch, uint64_t first, uint32_t count, uint8_t value)
{
    static uint8_t data[ISF_PAGE];
    struct codec_page page[ALL + 1];
    struct buffer out = {0};
    memset(data, value, sizeof data);
    for (uint32_t i = 0; i < count; i++)
        page[i] = (struct codec_page){first + i, data};
    encoder_reset(b->encoder);
    if (encoder_batch(b->encoder, page, count, 0, &out, NULL) <= 0)
        abort();
    int r = give(b, line, (uint16_t)type, type == FRAME_SYNC ? SYNC_PAGES : 0, epoch, out.data, (uint32_t)out.length);
    buffer_free(&out);
    return r;
}

struct end { uint64_t frames, extents, device; uint32_t flags, addresses; struct digests digests; };

static int give_end(struct bed *b, int line, uint64_t epoch, const struct end *end)
{
    uint8_t payload[END_PAYLOAD] = {0};
    put_le64(payload, end->frames);
    put_le64(payload + 16, end->extents);
    put_le64(payload + 24, end->device);
    put_le32(payload + 32, end->flags);
    put_le32(payload + 36, end->addresses);
    put_le64(payload + 40, end->digests.memory);
    put_le64(payload + 48, end->digests.blocks);
    put_le64(payload + 56, end->digests.device);
    put_le64(payload + 64, end->digests.disk);
    return give(b, line, FRAME_END, 0, epoch, payload, sizeof payload);
}

static void expect(struct bed *b, uint64_t first, uint32_t count, uint8_t value) { memset(b->want + first * ISF_PAGE, value, count * ISF_PAGE); }

/* The copy is what it should be, in every byte. */
static int as_expected(struct bed *b)
{
    return !memcmp(b->e->ram, b->want, RAM * ISF_PAGE) && !memcmp(b->e->standby.blocks, b->want + RAM * ISF_PAGE, (OTHER + 1) * ISF_PAGE);
}

/* An epoch of two batches; the copy becomes that. */
static int whole_epoch(struct bed *b, int line, uint64_t epoch, uint8_t value)
{
    int r = give_pages(b, line, FRAME_PAGES, epoch, 3, 10, value);
    if (r == 0)
        r = give_pages(b, line, FRAME_PAGES, epoch, RAM + 1, 4, value); /* the other block, and the device state behind it */
    if (r == 0)
        r = give_end(b, line, epoch, &(struct end){.frames = 2, .device = 100});
    expect(b, 3, 10, value);
    expect(b, RAM + 1, 4, value);
    return r;
}

/* Waits for an answer of this type, flags and epoch (of any when 0). Its line, or -1. */
static int answered(uint16_t type, uint32_t flags, uint64_t epoch)
{
    for (int i = 0; i < 5000; i++) {
        int line = -1;
        pthread_mutex_lock(&answers.lock);
        for (int k = 0; k < answers.count; k++)
            if (answers.got[k].f.type == type && answers.got[k].f.flags == flags && (!epoch || answers.got[k].f.epoch == epoch))
                line = answers.got[k].line;
        pthread_mutex_unlock(&answers.lock);
        if (line >= 0)
            return line;
        usleep(1000);
    }
    return -1;
}

static int any_commit(const struct bed *b)
{
    usleep(20000);
    int n = 0;
    pthread_mutex_lock(&answers.lock);
    for (int k = 0; k < answers.count; k++)
        n += answers.got[k].f.type == FRAME_COMMIT && answers.got[k].f.generation == b->generation;
    pthread_mutex_unlock(&answers.lock);
    return n;
}

static void forget_answers(void)
{
    pthread_mutex_lock(&answers.lock);
    answers.count = 0;
    pthread_mutex_unlock(&answers.lock);
}

/* A backup that has a whole copy of epoch 1, on line 0. */
static void begin_copy(struct bed *b)
{
    b->generation++;
    if (isf_standby(b->e, b->generation, b->term, 0) || give_pages(b, 0, FRAME_SYNC, 0, 0, RAM, 7) || give(b, 0, FRAME_SYNC, SYNC_EPOCHS, 1, NULL, 0) ||
        give_restart(b, 0, 1, b->restarts = 1))
        abort();
    memset(b->want, 0, sizeof b->want);
    expect(b, 0, RAM, 7);
    forget_answers();
    if (whole_epoch(b, 0, 1, 11) || !as_expected(b))
        abort();
}

/* ---- promises ---- */

static void test_first_sync(struct bed *b)
{
    CHECK(give_pages(b, 0, FRAME_SYNC, 0, 0, 4, 1) < 0 && b->e->ram[0] == 0, "a host that is no backup takes nothing");
    CHECK(isf_standby(b->e, b->generation, b->term, 1) == -ISF_ESTATE, "what was never whole cannot be kept");
    CHECK(isf_standby(b->e, b->generation, b->term, 0) == 0, "(a backup)");
    CHECK(give_pages(b, 0, FRAME_PAGES, 1, 0, 4, 1) == -ISF_ECORRUPT && give_end(b, 0, 1, &(struct end){.device = 1}) == -ISF_ECORRUPT,
          "there are no epochs before the sync has ended");
    CHECK(give_pages(b, 0, FRAME_SYNC, 0, 0, 8, 5) == 0 && b->e->ram[0] == 5 && isf_promote(b->e, b->term + 1, 1) == -ISF_ESTATE,
          "in a sync pages go straight into a copy that cannot be started");
    CHECK(give(b, 0, FRAME_SYNC, SYNC_EPOCHS, 0, NULL, 0) == -ISF_ECORRUPT, "there is no epoch 0");
    CHECK(give(b, 0, FRAME_SYNC, SYNC_EPOCHS, 6, NULL, 0) == 0 && give_restart(b, 0, 6, 1) == 0, "(the sync ends; epoch 6 is the first)");
    CHECK(isf_promote(b->e, b->term + 1, 1) == -ISF_ESTATE && any_commit(b) == 0, "the end of a sync makes no copy whole: its first epoch does");
    expect(b, 0, 8, 5);
    CHECK(whole_epoch(b, 0, 6, 6) == 0 && as_expected(b) && b->e->standby.whole && answered(FRAME_COMMIT, 0, 6) == 0, "with it, it is whole, and acknowledged");
    CHECK(give_pages(b, 0, FRAME_SYNC, 0, 0, 4, 1) == -ISF_ECORRUPT && as_expected(b), "and nothing but whole epochs changes it from there on");
}

static void test_old_frames(struct bed *b)
{
    uint64_t refused = atomic_load(&b->e->refused);
    begin_copy(b);
    b->generation--;
    CHECK(whole_epoch(b, 0, 2, 1) == -ISF_ESTALE, "a frame of an older generation is refused");
    b->generation += 2;
    CHECK(give_pages(b, 0, FRAME_PAGES, 2, 3, 10, 1) == -ISF_ESTALE, "and of one that was not agreed on");
    b->generation--;
    b->term--;
    CHECK(give_pages(b, 0, FRAME_PAGES, 2, 3, 10, 1) == -ISF_ESTALE && give_restart(b, 1, 2, 9) == -ISF_ESTALE, "and of an older term");
    b->term++;
    CHECK(atomic_load(&b->e->refused) >= refused + 4, "they are counted");
    expect(b, 3, 10, 11);
    expect(b, RAM + 1, 4, 11);
    CHECK(as_expected(b) && whole_epoch(b, 0, 2, 12) == 0 && as_expected(b), "and change nothing");
}

static void test_parts(struct bed *b)
{
    begin_copy(b);
    struct end good = {.frames = 1, .device = 50};
    CHECK(give_pages(b, 0, FRAME_PAGES, 2, 20, 5, 2) == 0 && as_expected(b), "a part of an epoch changes nothing");
    CHECK(give_end(b, 0, 2, &(struct end){.frames = 2, .device = 50}) == -ISF_ECORRUPT && as_expected(b), "an epoch of which a batch is missing is none");
    CHECK(give_end(b, 0, 2, &(struct end){.frames = 1, .extents = 1, .device = 50}) == -ISF_ECORRUPT, "nor one of which a disk write is missing");
    CHECK(give_end(b, 0, 2, &(struct end){.frames = 1}) == -ISF_ECORRUPT && give_end(b, 0, 2, &(struct end){.frames = 1, .device = 5u << 20}) == -ISF_ECORRUPT,
          "nor one without a device state, or with one that cannot be");
    CHECK(give_end(b, 0, 2, &(struct end){.frames = 1, .device = 50, .addresses = 8}) == -ISF_ECORRUPT && as_expected(b), "nor one whose lengths contradict each other");
    CHECK(give_pages(b, 0, FRAME_PAGES, 3, 20, 5, 2) == -ISF_ECORRUPT, "an epoch cannot be left out");
    CHECK(give_pages(b, 0, FRAME_PAGES, 1, 20, 5, 2) == 0 && give_end(b, 0, 1, &good) == 0 && as_expected(b), "one that is here already is passed over");
    CHECK(any_commit(b) == 1, "none of this was acknowledged");
    expect(b, 20, 5, 2);
    CHECK(give_end(b, 0, 2, &good) == 0 && as_expected(b) && answered(FRAME_COMMIT, 0, 2) == 0, "with its end the epoch is there, all of it");
}

static void test_lines(struct bed *b)
{
    begin_copy(b);
    give_pages(b, 0, FRAME_PAGES, 2, 20, 5, 2);
    CHECK(give_restart(b, 1, 2, 2) == 0 && b->e->standby.staged_frames == 0, "a change of line discards the part that was there");
    CHECK(give_pages(b, 0, FRAME_PAGES, 2, 30, 5, 3) == 0 && b->e->standby.staged_frames == 0, "what comes late on the line that was left is passed over");
    CHECK(whole_epoch(b, 1, 2, 20) == 0 && as_expected(b) && answered(FRAME_COMMIT, 0, 2) == 1, "the epoch comes anew on the other, and is acknowledged there");
    forget_answers();
    CHECK(give_restart(b, 0, 3, 3) == 0 && answered(FRAME_COMMIT, 0, 2) == 0, "what was acknowledged on a line that is lost is acknowledged again");
    CHECK(give_restart(b, 1, 1, 4) == 0 && whole_epoch(b, 1, 2, 20) == 0 && whole_epoch(b, 1, 3, 21) == 0 && as_expected(b),
          "a line that begins earlier than needed does no harm");
    CHECK(give_restart(b, 1, 5, 5) == -ISF_ECORRUPT, "one that leaves an epoch out is refused");
    give_pages(b, 1, FRAME_PAGES, 4, 20, 5, 2);
    CHECK(give_restart(b, 0, 4, 4) == 0 && b->e->standby.rx_link == 1 && b->e->standby.staged_frames == 1,
          "a change of line that was overtaken by a later one is passed over: the epochs stay where they are");
    expect(b, 20, 5, 2);
    CHECK(give_end(b, 1, 4, &(struct end){.frames = 1, .device = 50}) == 0 && as_expected(b), "(and go on there)");
}

/* The end of the sync was on its way on a line that was lost; the primary goes on with the other. */
static void test_void(struct bed *b)
{
    b->generation++;
    isf_standby(b->e, b->generation, b->term, 0);
    give_pages(b, 0, FRAME_SYNC, 0, 0, 8, 5);
    forget_answers();
    CHECK(give_restart(b, 1, 1, 1) == 0 && answered(FRAME_SYNC, SYNC_VOID, 0) == 1, "epochs after a sync whose end was lost: the primary is told so");
    CHECK(give(b, 0, FRAME_SYNC, SYNC_EPOCHS, 1, NULL, 0) == 0 && give_restart(b, 0, 1, 2) == 0 && whole_epoch(b, 0, 1, 9) == 0 && !b->e->standby.whole &&
              b->e->ram[3 * ISF_PAGE] == 5 && isf_promote(b->e, b->term + 1, 1) == -ISF_ESTATE && any_commit(b) == 0,
          "and what comes late on the first line cannot make it whole any more");
    begin_copy(b);
    CHECK(b->e->standby.whole, "the next sync can");
}

static void test_promote(struct bed *b)
{
    begin_copy(b);
    give_pages(b, 0, FRAME_PAGES, 2, 20, 5, 2);
    CHECK(isf_promote(b->e, b->term - 1, 1) == -ISF_ESTALE, "an old term promotes nobody");
    b->term++;
    CHECK(isf_promote(b->e, b->term, 1) == 0 && as_expected(b) && b->e->standby.staged_frames == 0 && isf_status_page(b->e)->committed == 1,
          "a promotion keeps the newest whole epoch, and nothing of the next");
    CHECK(isf_promote(b->e, b->term, 1) == 0, "it can be repeated");
    CHECK(give_end(b, 0, 2, &(struct end){.frames = 1, .device = 50}) == -ISF_ESTATE && whole_epoch(b, 0, 2, 5) == -ISF_ESTATE, "nothing is received any more");
    b->term--;
    CHECK(give_pages(b, 0, FRAME_PAGES, 2, 20, 5, 2) == -ISF_ESTALE, "the old primary's frames are of an older term now");
    b->term++;
    CHECK(isf_solo(b->e, b->term) == 0 && isf_standby(b->e, b->generation + 1, b->term, 1) == -ISF_ESTATE,
          "what ran is no copy: it cannot be kept as the last common epoch");
    CHECK(isf_standby(b->e, b->generation, b->term - 1, 0) == -ISF_ESTALE && isf_standby(b->e, b->generation - 1, b->term, 0) == -ISF_ESTALE,
          "there is no way back to an old term or generation");
}

static void test_verify(struct bed *b)
{
    struct digests d;
    begin_copy(b);
    give_pages(b, 0, FRAME_PAGES, 2, 20, 5, 2);
    expect(b, 20, 5, 2);
    memset(b->e->ram + 20 * ISF_PAGE, 2, 5 * ISF_PAGE); /* as it will be: the digests of that */
    if (digest_all(b->e, b->e->standby.blocks + OTHER * ISF_PAGE, 50, b->e->standby.blocks, &d))
        abort();
    memset(b->e->ram + 20 * ISF_PAGE, 7, 5 * ISF_PAGE);
    struct end end = {.frames = 1, .device = 50, .flags = END_VERIFY, .digests = d};
    CHECK(give_end(b, 0, 2, &end) == 0 && as_expected(b) && answered(FRAME_COMMIT, 0, 2) == 0, "(a verifying epoch)");
    uint32_t bits = get_le32(answers.got[answers.count - 1].payload + 8);
    CHECK(bits == (VERIFIED_DONE | VERIFIED_MEMORY | VERIFIED_BLOCKS | VERIFIED_DEVICE | VERIFIED_DISK), "a copy that is right is found right");
    uint8_t *damage[3] = {b->e->ram + 40 * ISF_PAGE + 77, b->e->standby.blocks + 5, b->e->standby.blocks + OTHER * ISF_PAGE + 49};
    uint32_t bit[3] = {VERIFIED_MEMORY, VERIFIED_BLOCKS, VERIFIED_DEVICE};
    for (uint64_t i = 0; i < 3; i++) {
        *damage[i] ^= 1;
        end.frames = 0;
        give_end(b, 0, 3 + i, &end);
        answered(FRAME_COMMIT, 0, 3 + i);
        bits = get_le32(answers.got[answers.count - 1].payload + 8);
        CHECK(bits == ((VERIFIED_DONE | VERIFIED_MEMORY | VERIFIED_BLOCKS | VERIFIED_DEVICE | VERIFIED_DISK) & ~bit[i]), "one flipped bit is found where it is");
        *damage[i] ^= 1;
    }
}

/* Any bytes in any frame: nothing is touched outside its bounds (the sanitizers watch), and a whole copy changes by whole epochs only. */
static void test_noise(struct bed *b)
{
    static uint8_t noise[20000];
    begin_copy(b);
    int same = 1;
    for (int i = 0; i < 20000 && same; i++) {
        static const uint16_t type[] = {FRAME_PAGES, FRAME_DISK, FRAME_END, FRAME_COMMIT, FRAME_SYNC, FRAME_CONTROL, FRAME_TYPES, 0};
        uint32_t length = (uint32_t)below(below(4) ? 100 : sizeof noise);
        for (uint32_t k = 0; k < length; k++)
            noise[k] = (uint8_t)(below(3) ? 0 : below(256));
        uint16_t t = type[below(8)];
        if (t == FRAME_END && length >= 32)
            put_le64(noise, 99); /* never an end that fits */
        give(b, (int)below(2), t, (uint32_t)below(10), below(5), noise, length);
        if (i % 50 == 0)
            same = as_expected(b);
    }
    CHECK(same && as_expected(b), "noise changes nothing");
}

/* On the primary's side. */
static void test_commits(struct bed *b)
{
    uint8_t commit[COMMIT_PAYLOAD] = {0};
    engine_mode(b->e, ISF_PROTECTED);
    pthread_mutex_lock(&b->e->lock);
    b->e->open_epoch = 5;
    pthread_mutex_unlock(&b->e->lock);
    pthread_mutex_lock(&b->e->release_lock);
    b->e->release_generation = b->generation;
    pthread_mutex_unlock(&b->e->release_lock);
    CHECK(give(b, 0, FRAME_COMMIT, 0, 5, commit, sizeof commit) == -ISF_ECORRUPT && b->e->committed == 0, "a commit of an epoch that is still open is refused");
    CHECK(give(b, 0, FRAME_COMMIT, 0, 1000, commit, sizeof commit) == -ISF_ECORRUPT, "and of one in the future");
    CHECK(give(b, 0, FRAME_COMMIT, 0, 4, commit, sizeof commit - 1) == -ISF_ECORRUPT, "and one of a wrong length");
    put_le64(commit, 5);
    CHECK(give(b, 0, FRAME_COMMIT, 0, 4, commit, sizeof commit) == -ISF_ECORRUPT && b->e->committed == 0, "and one that calls durable what it does not commit");
    put_le64(commit, 3);
    b->term--;
    CHECK(give(b, 0, FRAME_COMMIT, 0, 4, commit, sizeof commit) == -ISF_ESTALE, "and one of an older term");
    b->term++;
    CHECK(give(b, 0, FRAME_COMMIT, 0, 4, commit, sizeof commit) == 0 && b->e->committed == 4 && b->e->remote_durable == 3, "one that is right is taken");
    put_le64(commit, 2);
    CHECK(give(b, 0, FRAME_COMMIT, 0, 2, commit, sizeof commit) == 0 && b->e->committed == 4, "a late one takes nothing back");
    engine_mode(b->e, ISF_HELD);
    CHECK(give(b, 0, FRAME_COMMIT, 0, 4, commit, sizeof commit) == 0, "after a decision a late one is passed over");
}

int main(int argc, char **argv)
{
    static struct bed b;
    char dir[] = "/tmp/isf_standby_XXXXXX";
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)getpid() * 77 + isf_now_us();
    printf("seed %llu\n", (unsigned long long)seed);
    if (kit_private_network() || !mkdtemp(dir)) {
        printf("this test needs root, and a network namespace of its own\n");
        return 1;
    }
    bed_open(&b, dir);
    test_first_sync(&b);
    test_old_frames(&b);
    test_parts(&b);
    test_lines(&b);
    test_void(&b);
    test_noise(&b);
    test_verify(&b);
    test_promote(&b);
    test_commits(&b);
    bed_close(&b);
    rmdir(dir);
    return check_end();
}
