/* What encoding costs: one JSON object per line and algorithm.
 *
 *   bench_codec [BEFORE AFTER]   two raw dumps of a guest's memory (QEMU's pmemsave), the second some time later
 *
 * Without dumps, pages are generated: a mix of zero, unchanged, a few changed words, and new contents.
 * cc -std=c11 -D_GNU_SOURCE -O2 -pthread -Isrc tools/bench_codec.c src/codec_*.c src/base.c -llz4 -lzstd */
#include "../src/codec.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GENERATED_PAGES 65536u
#define SINGLE_ROUNDS 20000

struct memory { uint8_t *before, *after; uint64_t pages; const char *source; };

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t *map_file(const char *path, uint64_t *pages)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *p = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &s) == 0 && s.st_size >= (off_t)ISF_PAGE) {
        *pages = (uint64_t)s.st_size / ISF_PAGE;
        p = mmap(NULL, *pages * ISF_PAGE, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    return p == MAP_FAILED ? NULL : p;
}

/* Text-like contents: what a guest's pages hold compresses. */
static void fill(uint8_t *page)
{
    for (unsigned i = 0; i < ISF_PAGE; i += 8) {
        uint64_t v = rnd() % 4 ? rnd() % 1000 : rnd();
        memcpy(page + i, &v, 8);
    }
}

static void generate(struct memory *m)
{
    m->pages = GENERATED_PAGES;
    m->source = "generated";
    m->before = calloc(m->pages, ISF_PAGE);
    m->after = calloc(m->pages, ISF_PAGE);
    if (!m->before || !m->after)
        exit(1);
    for (uint64_t p = 0; p < m->pages; p++) {
        uint8_t *b = m->before + p * ISF_PAGE, *a = m->after + p * ISF_PAGE;
        if (p % 4)
            fill(b);
        memcpy(a, b, ISF_PAGE);
        if (p % 10 == 0)
            fill(a);
        else if (p % 3)
            for (int n = 0; n < 12; n++)
                a[rnd() % ISF_PAGE] = (uint8_t)rnd();
    }
}

struct result { double encode_s, decode_s; struct codec_stats stats; };

static uint8_t *present;

static const uint8_t *old_page(void *context, uint64_t number)
{
    (void)context;
    return present + number * ISF_PAGE;
}

/* Encodes all pages of `from` in batches, decodes each into `present`, and adds up the time. */
static void pass(struct encoder *e, struct decoder *d, const uint8_t *from, uint64_t pages, struct result *r)
{
    static struct codec_page batch[CODEC_BATCH_PAGES];
    static uint64_t numbers[CODEC_BATCH_PAGES];
    uint8_t *data = malloc((size_t)CODEC_BATCH_PAGES * ISF_PAGE);
    struct buffer out = { 0 };
    for (uint64_t p = 0; p < pages;) {
        uint32_t count = 0;
        for (; count < CODEC_BATCH_PAGES && p < pages; p++)
            batch[count++] = (struct codec_page){ p, from + p * ISF_PAGE };
        out.length = 0;
        double start = now_s();
        int64_t n = encoder_batch(e, batch, count, 1, &out, &r->stats);
        double encoded = now_s();
        int32_t got = n > 0 ? decoder_batch(d, out.data, (size_t)n, old_page, NULL, numbers, data) : 0;
        r->encode_s += encoded - start;
        r->decode_s += now_s() - encoded;
        if (n < 0 || got < 0)
            exit(1);
        for (int32_t i = 0; i < got; i++)
            memcpy(present + numbers[i] * ISF_PAGE, data + (size_t)i * ISF_PAGE, ISF_PAGE);
    }
    buffer_free(&out);
    free(data);
}

static void print(const struct memory *m, const char *algorithm, const char *what, const struct result *r)
{
    const struct codec_stats *s = &r->stats;
    double bytes = (double)s->bytes_in;
    printf("{\"bench\":\"codec\",\"source\":\"%s\",\"algorithm\":\"%s\",\"pages\":\"%s\",\"count\":%llu,\"zero\":%llu,\"same\":%llu,"
           "\"xored\":%llu,\"raw\":%llu,\"bytes_per_page\":%.1f,\"encode_us_per_page\":%.3f,\"encode_gb_s\":%.2f,\"decode_gb_s\":%.2f}\n",
           m->source, algorithm, what, (unsigned long long)s->pages, (unsigned long long)s->zero, (unsigned long long)s->same,
           (unsigned long long)s->xored, (unsigned long long)s->raw, (double)s->bytes_out / (double)s->pages,
           r->encode_s * 1e6 / (double)s->pages, bytes / r->encode_s / 1e9, bytes / r->decode_s / 1e9);
    fflush(stdout);
}

/* First everything, as in a first sync; then what changed, as in an epoch: only pages that differ. */
static void bench(struct memory *m, enum codec_algorithm algorithm, const char *name)
{
    struct encoder *e;
    struct decoder *d;
    struct result first = { 0 }, dirty = { 0 };
    static struct codec_page batch[CODEC_BATCH_PAGES];
    struct buffer out = { 0 };
    present = calloc(m->pages, ISF_PAGE);
    if (!present || encoder_new(&e, m->pages, m->pages, algorithm) || decoder_new(&d, m->pages))
        exit(1);
    pass(e, d, m->before, m->pages, &first);
    print(m, name, "all", &first);
    uint32_t count = 0;
    for (uint64_t p = 0; p <= m->pages; p++) {
        if (p < m->pages && memcmp(m->before + p * ISF_PAGE, m->after + p * ISF_PAGE, ISF_PAGE))
            batch[count++] = (struct codec_page){ p, m->after + p * ISF_PAGE };
        if (count < CODEC_BATCH_PAGES && (p < m->pages || !count))
            continue;
        out.length = 0;
        double start = now_s();
        int64_t n = encoder_batch(e, batch, count, 1, &out, &dirty.stats);
        double encoded = now_s();
        static uint64_t numbers[CODEC_BATCH_PAGES];
        static uint8_t data[CODEC_BATCH_PAGES * ISF_PAGE];
        if (n < 0 || (n > 0 && decoder_batch(d, out.data, (size_t)n, old_page, NULL, numbers, data) < 0))
            exit(1);
        dirty.encode_s += encoded - start;
        dirty.decode_s += now_s() - encoded;
        count = 0;
    }
    if (dirty.stats.pages)
        print(m, name, "changed", &dirty);
    buffer_free(&out);
    encoder_free(e);
    decoder_free(d);
    free(present);
}

/* A batch of one page, of which one word changes: what an idle guest's smallest epoch is. */
static void single(struct memory *m)
{
    struct encoder *e;
    struct buffer out = { 0 };
    uint8_t page[ISF_PAGE];
    memcpy(page, m->after + m->pages / 2 * ISF_PAGE, ISF_PAGE);
    if (encoder_new(&e, m->pages, 1024, CODEC_ADAPTIVE))
        exit(1);
    double start = now_s();
    for (int i = 0; i < SINGLE_ROUNDS; i++) {
        struct codec_page one = { (uint64_t)i % 16, page };
        page[i % ISF_PAGE / 8 * 8]++;
        out.length = 0;
        if (encoder_batch(e, &one, 1, 1, &out, NULL) < 0)
            exit(1);
    }
    printf("{\"bench\":\"codec\",\"source\":\"%s\",\"pages\":\"single\",\"encode_us_per_batch\":%.2f}\n", m->source,
           (now_s() - start) * 1e6 / SINGLE_ROUNDS);
    buffer_free(&out);
    encoder_free(e);
}

int main(int argc, char **argv)
{
    struct memory m = { .source = "dump" };
    uint64_t after_pages = 0;
    if (argc == 3) {
        m.before = map_file(argv[1], &m.pages);
        m.after = map_file(argv[2], &after_pages);
        if (!m.before || !m.after || m.pages != after_pages) {
            fprintf(stderr, "%s and %s must be two dumps of the same memory, a page long or more\n", argv[1], argv[2]);
            return 1;
        }
    } else if (argc == 1) {
        generate(&m);
    } else {
        fprintf(stderr, "usage: bench_codec [BEFORE AFTER]\n");
        return 2;
    }
    bench(&m, CODEC_STORE, "store");
    bench(&m, CODEC_LZ4, "lz4");
    bench(&m, CODEC_ZSTD, "zstd");
    bench(&m, CODEC_ADAPTIVE, "adaptive");
    single(&m);
    return 0;
}
