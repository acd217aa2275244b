/* Pages to a batch. */
#include "codec_cache.h"
#include "codec_format.h"

#include <lz4.h>
#include <stdlib.h>
#include <zstd.h>

#define ZSTD_LEVEL (-1)
#define DENSE_WORDS 448u       /* a page of which more words changed is sent raw: the runs would save nothing */
#define PACK_MIN 48u           /* bytes of body below which packing is not worth its call */
#define MEASURE_MIN 8192u      /* bytes of body from which a batch says something about speed */
#define TRY_OTHER_EVERY 256u   /* measured batches between two tries of the packing that is not preferred */

/* What one packing costs per byte of body: moving averages. */
struct cost { double ns, out; };

struct encoder {
    enum codec_algorithm algorithm;
    struct cache cache;
    uint8_t *body; /* CODEC_BODY_MAX, then one page's room for runs that turn out too long */
    ZSTD_CCtx *zstd;
    uint64_t link_rate; /* bytes per second; 0: not known */
    uint32_t measured;
    struct cost lz4_cost, zstd_cost;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

int encoder_new(struct encoder **out, uint64_t pages, uint64_t cache_pages, enum codec_algorithm algorithm)
{
    struct encoder *e = *out = NULL;
    int r = -ENOMEM;
    if (algorithm < CODEC_STORE || algorithm > CODEC_ADAPTIVE)
        return -EINVAL;
    e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    e->algorithm = algorithm;
    /* First guesses, from pages of a booting guest: replaced by what this machine and guest show. */
    e->lz4_cost = (struct cost){ 1.5, 0.55 };
    e->zstd_cost = (struct cost){ 4.0, 0.42 };
    e->body = malloc(CODEC_BODY_MAX + 2 * ISF_PAGE);
    e->zstd = ZSTD_createCCtx();
    if (!e->body || !e->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)))
        goto out;
    r = cache_init(&e->cache, pages, cache_pages);
out:
    if (r)
        encoder_free(e);
    else
        *out = e;
    return r;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    cache_free(&e->cache);
    ZSTD_freeCCtx(e->zstd);
    free(e->body);
    free(e);
}

void encoder_reset(struct encoder *e) { cache_reset(&e->cache); }
void encoder_link_rate(struct encoder *e, uint64_t bytes_per_s) { e->link_rate = bytes_per_s; }

/* Writes the changed words of `now` against `was` (NULL: zeros), and brings `was` up to date. Returns the end. */
static uint8_t *put_runs(uint8_t *p, const uint64_t mask[CODEC_WORDS / 64], const uint8_t *now, uint8_t *was)
{
    unsigned runs = 0, done = 0;
    for (unsigned i = 0, carry = 0; i < CODEC_WORDS / 64; carry = (unsigned)(mask[i++] >> 63))
        runs += (unsigned)__builtin_popcountll(mask[i] & ~(mask[i] << 1 | carry)); /* a run begins */
    p = put_varint(p, runs);
    while (runs--) {
        unsigned start = done, count = 0;
        while (!(mask[start / 64] >> (start % 64)))
            start = (start / 64 + 1) * 64;
        start += (unsigned)__builtin_ctzll(mask[start / 64] >> (start % 64));
        while (start + count < CODEC_WORDS && mask[(start + count) / 64] >> ((start + count) % 64) & 1)
            count++;
        p = put_varint(p, start - done);
        p = put_varint(p, count);
        for (done = start; done < start + count; done++, p += 8) {
            uint64_t a, b = 0;
            memcpy(&a, now + 8 * done, 8);
            if (was) {
                memcpy(&b, was + 8 * done, 8);
                memcpy(was + 8 * done, &a, 8);
            }
            b ^= a;
            memcpy(p, &b, 8); /* bytes are XORed with bytes: the order of the machine does not matter */
        }
    }
    return p;
}

static unsigned words_changed(const uint64_t mask[CODEC_WORDS / 64])
{
    unsigned n = 0;
    for (unsigned i = 0; i < CODEC_WORDS / 64; i++)
        n += (unsigned)__builtin_popcountll(mask[i]);
    return n;
}

static const uint8_t zeros[ISF_PAGE];

/* One page's entry at `p`; *previous is the number before, and changes if an entry is written. Returns the end. */
static uint8_t *put_page(struct encoder *e, uint8_t *p, uint64_t *previous, const struct codec_page *page,
                         int remember, struct codec_stats *stats)
{
    struct cache *c = &e->cache;
    uint64_t mask[CODEC_WORDS / 64], gap = page->number - *previous - 1;
    if (!remember)
        cache_drop(c, page->number);
    if (page_is_zero(page->data)) {
        if (cache_is_zero(c, page->number)) {
            stats->same++;
            return p;
        }
        if (remember)
            cache_set_zero(c, page->number);
        stats->zero++;
        *previous = page->number;
        return put_varint(p, gap << 2 | ENTRY_ZERO);
    }
    uint8_t *was = cache_find(c, page->number);
    int known = was || cache_is_zero(c, page->number);
    if (known && !page_difference(page->data, was ? was : zeros, mask)) {
        stats->same++;
        return p;
    }
    *previous = page->number;
    if (known && words_changed(mask) <= DENSE_WORDS) {
        uint8_t *start = put_varint(p, gap << 2 | ENTRY_XOR), *end = put_runs(start, mask, page->data, was);
        if (!was)
            cache_store(c, page->number, page->data);
        /* Many short runs can be longer than the page. `was` is up to date either way. */
        if (end - start < (ptrdiff_t)ISF_PAGE) {
            stats->xored++;
            return end;
        }
    } else if (remember) {
        if (was)
            memcpy(was, page->data, ISF_PAGE);
        else
            cache_store(c, page->number, page->data);
    }
    stats->raw++;
    p = put_varint(p, gap << 2 | ENTRY_RAW);
    memcpy(p, page->data, ISF_PAGE);
    return p + ISF_PAGE;
}

/* Time from here to the other side's memory, per byte of body: packing and sending come one after the other. */
static double cost_ns(const struct cost *c, uint64_t rate) { return c->ns + c->out * 1e9 / (double)rate; }

static enum codec_packing choose(struct encoder *e, size_t body)
{
    if (e->algorithm == CODEC_STORE || body < PACK_MIN)
        return PACK_STORE;
    if (e->algorithm != CODEC_ADAPTIVE)
        return e->algorithm == CODEC_LZ4 ? PACK_LZ4 : PACK_ZSTD;
    if (!e->link_rate)
        return PACK_LZ4;
    int zstd = cost_ns(&e->zstd_cost, e->link_rate) < cost_ns(&e->lz4_cost, e->link_rate);
    if (body >= MEASURE_MIN && ++e->measured % TRY_OTHER_EVERY == 0)
        zstd = !zstd;
    return zstd ? PACK_ZSTD : PACK_LZ4;
}

static size_t pack_bound(enum codec_packing packing, size_t body)
{
    size_t bound = packing == PACK_LZ4 ? (size_t)LZ4_compressBound((int)body) : packing == PACK_ZSTD ? ZSTD_compressBound(body) : 0;
    return bound < body ? body : bound;
}

/* Packs into `out`, which has room for pack_bound. Returns the length; falls back to the body itself. */
static size_t pack(struct encoder *e, enum codec_packing *packing, size_t body, uint8_t *out, size_t room)
{
    size_t n = 0;
    uint64_t start = body >= MEASURE_MIN ? now_ns() : 0;
    if (*packing == PACK_LZ4) {
        n = (size_t)LZ4_compress_default((const char *)e->body, (char *)out, (int)body, (int)room);
    } else if (*packing == PACK_ZSTD) {
        n = ZSTD_compress2(e->zstd, out, room, e->body, body);
        if (ZSTD_isError(n))
            n = 0;
    }
    if (start && n) {
        struct cost *c = *packing == PACK_LZ4 ? &e->lz4_cost : &e->zstd_cost;
        c->ns += ((double)(now_ns() - start) / (double)body - c->ns) / 8;
        c->out += ((double)n / (double)body - c->out) / 8;
    }
    if (n && n < body)
        return n;
    *packing = PACK_STORE;
    memcpy(out, e->body, body);
    return body;
}

static void stats_add(struct codec_stats *to, const struct codec_stats *s)
{
    to->pages += s->pages;
    to->zero += s->zero;
    to->same += s->same;
    to->xored += s->xored;
    to->raw += s->raw;
    to->bytes_in += s->bytes_in;
    to->bytes_out += s->bytes_out;
}

static int pages_valid(const struct encoder *e, const struct codec_page *pages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pages[i].number >= e->cache.pages || (i && pages[i].number <= pages[i - 1].number))
            return 0;
    return count >= 1 && count <= CODEC_BATCH_PAGES;
}

int64_t encoder_batch(struct encoder *e, const struct codec_page *pages, uint32_t count, int remember,
                      struct buffer *out, struct codec_stats *stats)
{
    if (!pages_valid(e, pages, count))
        return -EINVAL;
    struct codec_stats s = { .pages = count, .bytes_in = (uint64_t)count * ISF_PAGE };
    uint8_t *p = e->body;
    uint64_t previous = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++)
        p = put_page(e, p, &previous, &pages[i], remember, &s);
    size_t body = (size_t)(p - e->body);
    if (body) {
        enum codec_packing packing = choose(e, body);
        size_t room = pack_bound(packing, body);
        if (buffer_reserve(out, CODEC_HEADER + room)) {
            encoder_reset(e); /* the cache is ahead of the other side now */
            return -ENOMEM;
        }
        uint8_t *to = out->data + out->length;
        size_t packed = pack(e, &packing, body, to + CODEC_HEADER, room);
        to[0] = CODEC_FORMAT;
        to[1] = (uint8_t)packing;
        put_le16(to + 2, (uint16_t)(count - s.same));
        put_le32(to + 4, (uint32_t)body);
        put_le32(to + 8, (uint32_t)packed);
        s.bytes_out = CODEC_HEADER + packed;
        out->length += s.bytes_out;
    }
    if (stats)
        stats_add(stats, &s);
    return (int64_t)s.bytes_out;
}
