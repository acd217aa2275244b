/* The codec keeps two sides alike, and its decoder survives any input. */
#include "../src/codec_format.h"
#include "../src/codec_cache.h"
#include "check.h"

#include <lz4.h>
#include <stdlib.h>

#define PAGES 3000u
#define FUZZ_US 12000000u

static uint64_t seed;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint32_t below(uint32_t n) { return (uint32_t)(rnd() % n); }

/* One side's memory and the other's. */
struct sides {
    uint8_t *here, *there;
    uint64_t numbers[CODEC_BATCH_PAGES];
    uint8_t *data;
    struct encoder *e;
    struct decoder *d;
    struct codec_stats stats;
    struct buffer out;
};

static const uint8_t *old_page(void *context, uint64_t number)
{
    struct sides *s = context;
    return number < PAGES ? s->there + number * ISF_PAGE : NULL;
}

static int sides_new(struct sides *s, uint64_t cache, enum codec_algorithm algorithm)
{
    memset(s, 0, sizeof *s);
    s->here = calloc(PAGES, ISF_PAGE);
    s->there = malloc((size_t)PAGES * ISF_PAGE);
    s->data = malloc((size_t)CODEC_BATCH_PAGES * ISF_PAGE);
    memset(s->there, 0x5a, (size_t)PAGES * ISF_PAGE);
    return encoder_new(&s->e, PAGES, cache, algorithm) || decoder_new(&s->d, PAGES);
}

static void sides_free(struct sides *s)
{
    encoder_free(s->e);
    decoder_free(s->d);
    buffer_free(&s->out);
    free(s->here);
    free(s->there);
    free(s->data);
}

static void change(uint8_t *page)
{
    switch (below(8)) {
    case 0: memset(page, 0, ISF_PAGE); break;
    case 1: memset(page, (int)below(256), ISF_PAGE); break;
    case 2:
        for (uint32_t i = 0; i < ISF_PAGE; i++)
            page[i] = (uint8_t)rnd();
        break;
    case 3: /* every other word: the most runs that there can be */
        for (uint32_t i = below(2); i < CODEC_WORDS; i += 2)
            page[8 * i + below(8)] ^= 1;
        break;
    case 4: page[0] ^= 1; page[ISF_PAGE - 1] ^= 1; break;
    case 5: break;
    default:
        for (uint32_t n = below(40); n--;)
            page[below(ISF_PAGE)] = (uint8_t)rnd();
    }
}

/* Encodes these pages of `here`, decodes, applies. 0, or what went wrong. */
static int transfer(struct sides *s, const struct codec_page *pages, uint32_t count, int remember)
{
    s->out.length = below(3); /* appends to what is there */
    size_t start = s->out.length;
    if (buffer_reserve(&s->out, 3))
        return 1;
    int64_t n = encoder_batch(s->e, pages, count, remember, &s->out, &s->stats);
    if (n < 0 || (size_t)n != s->out.length - start || (size_t)n > CODEC_BATCH_BYTES)
        return 2;
    if (n == 0)
        return 0;
    int32_t got = decoder_batch(s->d, s->out.data + start, (size_t)n, old_page, s, s->numbers, s->data);
    if (got < 1 || got > (int32_t)count)
        return 3;
    for (int32_t i = 0; i < got; i++) {
        if (s->numbers[i] >= PAGES || (i && s->numbers[i] <= s->numbers[i - 1]))
            return 4;
        memcpy(s->there + s->numbers[i] * ISF_PAGE, s->data + (size_t)i * ISF_PAGE, ISF_PAGE);
    }
    return 0;
}

/* Random pages change and go over; at the end all that ever went over must be alike. */
static int keeps_alike(uint64_t cache, enum codec_algorithm algorithm, uint64_t rate)
{
    struct sides s;
    struct codec_page batch[CODEC_BATCH_PAGES];
    uint8_t *sent = calloc(PAGES, 1);
    int bad = sides_new(&s, cache, algorithm);
    encoder_link_rate(s.e, rate);
    for (int round = 0; round < 150 && !bad; round++) {
        uint32_t count = 0, step = 1 + below(1 + below(60)), hot = below(3);
        if (below(40) == 0)
            encoder_reset(s.e);
        for (uint32_t p = below(step); p < (hot ? 500 : PAGES) && count < CODEC_BATCH_PAGES; p += 1 + below(step)) {
            change(s.here + (size_t)p * ISF_PAGE);
            sent[p] = 1;
            batch[count++] = (struct codec_page){ p, s.here + (size_t)p * ISF_PAGE };
        }
        if (count)
            bad = transfer(&s, batch, count, below(5) != 0);
        for (uint32_t p = 0; p < PAGES && !bad; p++)
            if (sent[p] && memcmp(s.here + (size_t)p * ISF_PAGE, s.there + (size_t)p * ISF_PAGE, ISF_PAGE))
                bad = 5;
    }
    if (s.stats.pages != s.stats.zero + s.stats.same + s.stats.xored + s.stats.raw || (cache && !s.stats.xored))
        bad = bad ? bad : 6;
    if (bad)
        printf("      cache %d, algorithm %d: %d\n", (int)cache, (int)algorithm, bad);
    sides_free(&s);
    free(sent);
    return !bad;
}

static void round_trips(void)
{
    CHECK(keeps_alike(PAGES, CODEC_STORE, 0), "both sides are alike after stored batches");
    CHECK(keeps_alike(PAGES, CODEC_LZ4, 0), "both sides are alike after LZ4 batches");
    CHECK(keeps_alike(PAGES, CODEC_ZSTD, 0), "both sides are alike after zstd batches");
    CHECK(keeps_alike(PAGES, CODEC_ADAPTIVE, 5000000), "both sides are alike when the packing follows the link");
    CHECK(keeps_alike(100, CODEC_LZ4, 0), "both sides are alike when versions are evicted all the time");
    CHECK(keeps_alike(1, CODEC_ADAPTIVE, 0), "both sides are alike with a cache of one version");
    CHECK(keeps_alike(0, CODEC_ZSTD, 0), "both sides are alike without a cache");
}

/* Negative control: a decoder whose page is not the version that the encoder remembers ends up different. */
static void shows_a_lost_batch(void)
{
    struct sides s;
    int bad = sides_new(&s, PAGES, CODEC_LZ4);
    struct codec_page page = { 7, s.here + 7 * ISF_PAGE };
    s.here[7 * ISF_PAGE] = 1;
    bad |= transfer(&s, &page, 1, 1);
    s.there[7 * ISF_PAGE + 8] ^= 3;
    s.here[7 * ISF_PAGE + 8] ^= 4;
    bad |= transfer(&s, &page, 1, 1);
    CHECK(!bad && memcmp(s.here + 7 * ISF_PAGE, s.there + 7 * ISF_PAGE, ISF_PAGE) != 0,
          "negative control: a page that the other side does not have comes out wrong");
    encoder_reset(s.e);
    bad |= transfer(&s, &page, 1, 1);
    CHECK(!bad && memcmp(s.here + 7 * ISF_PAGE, s.there + 7 * ISF_PAGE, ISF_PAGE) == 0,
          "after a reset nothing is assumed of the other side");
    sides_free(&s);
}

static void small_promises(void)
{
    struct sides s;
    int bad = sides_new(&s, 10, CODEC_ADAPTIVE);
    struct codec_page two[2] = { { 4, s.here }, { 5, s.here + ISF_PAGE } };
    memset(s.here + ISF_PAGE, 7, ISF_PAGE);
    bad |= transfer(&s, two, 2, 1);
    s.out.length = 0;
    CHECK(!bad && encoder_batch(s.e, two, 2, 1, &s.out, NULL) == 0 && s.out.length == 0, "a batch of unchanged pages is nothing");
    CHECK(encoder_batch(s.e, two, 2, 0, &s.out, NULL) > 0, "pages that change meanwhile are never told unchanged");
    s.out.length = 0;
    s.here[ISF_PAGE + 100] = 1;
    bad |= transfer(&s, two + 1, 1, 1); /* raw: it was not to be remembered */
    s.here[ISF_PAGE + 100] = 2;
    s.out.length = 0;
    CHECK(!bad && encoder_batch(s.e, two + 1, 1, 1, &s.out, NULL) <= 32, "one changed word of one page takes 32 bytes at the most");
    struct codec_page wrong[2] = { { 5, s.here }, { 5, s.here } };
    CHECK(encoder_batch(s.e, wrong, 2, 1, &s.out, NULL) == -EINVAL, "pages must ascend");
    wrong[0].number = PAGES;
    CHECK(encoder_batch(s.e, wrong, 1, 1, &s.out, NULL) == -EINVAL, "pages past the end are refused");
    CHECK(encoder_batch(s.e, wrong, 0, 1, &s.out, NULL) == -EINVAL, "an empty batch is refused");
    sides_free(&s);
}

/* The fast comparison against the plain one, at odd addresses too. */
static void differences(void)
{
    uint8_t *a = malloc(2 * ISF_PAGE), *b = malloc(2 * ISF_PAGE);
    int bad = 0;
    for (int round = 0; round < 3000; round++) {
        uint8_t *x = a + below(16), *y = b + below(16);
        uint64_t mask[CODEC_WORDS / 64], any = 0;
        memset(x, 3, ISF_PAGE);
        memcpy(y, x, ISF_PAGE);
        for (uint32_t n = below(12); n--;)
            y[below(ISF_PAGE)] ^= (uint8_t)(1 << below(8));
        int differs = page_difference(x, y, mask);
        for (uint32_t i = 0; i < CODEC_WORDS; i++) {
            uint64_t is = memcmp(x + 8 * i, y + 8 * i, 8) != 0;
            bad |= is != (mask[i / 64] >> (i % 64) & 1);
            any |= is;
        }
        bad |= differs != (int)any;
    }
    CHECK(!bad, "the fast page comparison finds exactly the words that differ");
    memset(a, 0, 2 * ISF_PAGE);
    bad = !page_is_zero(a);
    for (uint32_t i = 0; i < ISF_PAGE; i++) {
        a[i] = 128;
        bad |= page_is_zero(a);
        a[i] = 0;
    }
    a[ISF_PAGE] = 1;
    CHECK(!bad && page_is_zero(a), "a page is zero only if each byte is");
    free(a);
    free(b);
}

static void evicts_what_is_not_used(void)
{
    struct cache c;
    uint8_t page[ISF_PAGE] = { 1 };
    int bad = cache_init(&c, 1000, 10);
    for (uint64_t p = 0; p < 10; p++)
        cache_store(&c, p, page);
    cache_store(&c, 100, page); /* the hand has gone round: all are old now, but for page 100 */
    for (uint64_t p = 200; p < 208; p++) {
        bad |= !cache_find(&c, 5);
        cache_store(&c, p, page);
    }
    CHECK(!bad && cache_find(&c, 5), "a version that is used stays when others are evicted");
    uint32_t held = 0;
    for (uint64_t p = 0; p < 1000; p++)
        held += c.where[p] != 0;
    CHECK(held == 10, "the cache never holds more versions than it may");
    cache_free(&c);
}

/* Wraps a body of our own making. */
static int32_t decode_body(struct sides *s, const uint8_t *body, uint32_t length, uint16_t pages)
{
    uint8_t *in = malloc(CODEC_HEADER + length); /* exactly as long as it says: ASan sees any byte more */
    in[0] = CODEC_FORMAT;
    in[1] = PACK_STORE;
    put_le16(in + 2, pages);
    put_le32(in + 4, length);
    put_le32(in + 8, length);
    memcpy(in + CODEC_HEADER, body, length);
    int32_t r = decoder_batch(s->d, in, CODEC_HEADER + length, old_page, s, s->numbers, s->data);
    free(in);
    return r;
}

static void refusals(void)
{
    struct sides s;
    int bad = sides_new(&s, 10, CODEC_STORE);
    CHECK(!bad && decode_body(&s, (uint8_t[]){ 0 << 2 }, 1, 1) == 1 && s.numbers[0] == 0, "the shortest batch is one zero page");
    CHECK(decode_body(&s, (uint8_t[]){ 0, 0 }, 2, 1) == -ISF_ECORRUPT, "bytes after the last page are refused");
    CHECK(decode_body(&s, (uint8_t[]){ 0 }, 1, 2) == -ISF_ECORRUPT, "fewer pages than announced are refused");
    CHECK(decode_body(&s, (uint8_t[]){ 0 }, 1, 0) == -ISF_ECORRUPT, "a batch of no pages is refused");
    CHECK(decode_body(&s, (uint8_t[]){ 3 }, 1, 1) == -ISF_ECORRUPT, "an unknown kind of entry is refused");
    CHECK(decode_body(&s, (uint8_t[]){ ENTRY_RAW, 1, 2 }, 3, 1) == -ISF_ECORRUPT, "a raw page cut short is refused");
    CHECK(decode_body(&s, (uint8_t[]){ ENTRY_XOR, 0 }, 2, 1) == -ISF_ECORRUPT, "a difference without runs is refused");
    CHECK(decode_body(&s, (uint8_t[]){ ENTRY_XOR, 1, 0, 0 }, 4, 1) == -ISF_ECORRUPT, "an empty run is refused");
    uint8_t run[16] = { ENTRY_XOR, 1, 0xff, 3, 1 };
    CHECK(decode_body(&s, run, 13, 1) == 1, "a run in the last word is taken");
    run[4] = 2;
    CHECK(decode_body(&s, run, 13, 1) == -ISF_ECORRUPT, "a run past the end of its page is refused");
    uint8_t *last = put_varint(run, (uint64_t)(PAGES - 1) << 2);
    CHECK(decode_body(&s, run, (uint32_t)(last - run), 1) == 1, "the last page is taken");
    last = put_varint(run, (uint64_t)PAGES << 2);
    CHECK(decode_body(&s, run, (uint32_t)(last - run), 1) == -ISF_ECORRUPT, "a page past the end is refused");
    memset(run, 0xff, sizeof run);
    CHECK(decode_body(&s, run, sizeof run, 1) == -ISF_ECORRUPT, "a number without an end is refused");
    uint8_t huge[CODEC_HEADER + 1] = { CODEC_FORMAT, PACK_ZSTD, 1, 0, 255, 255, 255, 255, 1 };
    CHECK(decoder_batch(s.d, huge, sizeof huge, old_page, &s, s.numbers, s.data) == -ISF_ECORRUPT, "a body too long to be true is refused");
    CHECK(decoder_batch(s.d, huge, 0, old_page, &s, s.numbers, s.data) == -ISF_ECORRUPT, "nothing at all is refused");
    sides_free(&s);
}

/* A valid batch of random pages; with a version cache, so that all kinds of entries come. */
static void make_batch(struct sides *s, enum codec_algorithm algorithm)
{
    struct codec_page batch[40];
    struct encoder *e;
    struct buffer scratch = { 0 };
    uint32_t count = 0;
    s->out.length = 0;
    if (encoder_new(&e, PAGES, 40, algorithm))
        abort();
    for (uint32_t p = 0; count < 1 + below(40) && p < PAGES; p += 1 + below(60))
        batch[count++] = (struct codec_page){ p, s->here + (size_t)p * ISF_PAGE };
    encoder_batch(e, batch, count, 1, &scratch, NULL);
    for (uint32_t i = 0; i < count; i++)
        change(s->here + batch[i].number * ISF_PAGE);
    encoder_batch(e, batch, count, 1, &s->out, NULL);
    encoder_free(e);
    buffer_free(&scratch);
}

static size_t mutate(uint8_t *bytes, size_t length)
{
    for (uint32_t n = 1 + below(4); n--;) {
        switch (below(6)) {
        case 0: bytes[below((uint32_t)length)] ^= (uint8_t)(1 << below(8)); break;
        case 1: bytes[below((uint32_t)length)] = (uint8_t)rnd(); break;
        case 2: bytes[below(length < 40 ? (uint32_t)length : 40)] = (uint8_t)rnd(); break;
        case 3: length = 1 + below((uint32_t)length); break;
        case 4: memset(bytes + below((uint32_t)length), 255, 1); break;
        default:
            /* Makes the lengths agree again, so that more than the header is reached. */
            if (length > CODEC_HEADER) {
                put_le32(bytes + 8, (uint32_t)length - CODEC_HEADER);
                if (bytes[1] == PACK_STORE)
                    put_le32(bytes + 4, (uint32_t)length - CODEC_HEADER);
            }
        }
    }
    return length;
}

/* Each input in an allocation of its exact length, so that ASan sees any byte read past it. */
static void fuzz(void)
{
    struct sides s;
    uint64_t end = isf_now_us() + FUZZ_US, cases = 0, taken = 0, refused = 0;
    int bad = sides_new(&s, 10, CODEC_STORE);
    while (!bad && cases < 400000 && isf_now_us() < end) {
        if (cases % 200 == 0)
            make_batch(&s, (enum codec_algorithm)below(3));
        size_t length = s.out.length ? s.out.length : 1 + below(64);
        uint8_t *in = malloc(length);
        if (s.out.length)
            memcpy(in, s.out.data, length);
        if (!s.out.length || below(8) == 0)
            for (size_t i = below(13); i < length; i++)
                in[i] = (uint8_t)rnd();
        size_t cut = mutate(in, length);
        uint8_t *exact = malloc(cut);
        memcpy(exact, in, cut);
        int32_t r = decoder_batch(s.d, exact, cut, old_page, &s, s.numbers, s.data);
        bad |= !(r == -ISF_ECORRUPT || (r >= 1 && r <= (int32_t)CODEC_BATCH_PAGES));
        for (int32_t i = 0; i < r; i++)
            bad |= s.numbers[i] >= PAGES || (i && s.numbers[i] <= s.numbers[i - 1]);
        taken += r > 0;
        refused += r < 0;
        free(exact);
        free(in);
        cases++;
    }
    printf("      %d inputs: %d taken, %d refused\n", (int)cases, (int)taken, (int)refused);
    CHECK(!bad && taken && refused, "the decoder survives any input, and names only pages that exist, ascending");
    sides_free(&s);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : isf_now_us() * 2654435761u;
    seed |= 1;
    printf("      seed %llu\n", (unsigned long long)seed);
    differences();
    evicts_what_is_not_used();
    round_trips();
    shows_a_lost_batch();
    small_promises();
    refusals();
    fuzz();
    return check_end();
}
