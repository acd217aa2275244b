/* A batch to pages. Trusts nothing: each length is checked before it is used. */
#include "codec_format.h"

#include <lz4.h>
#include <stdlib.h>
#include <zstd.h>

struct decoder {
    uint64_t pages;
    uint8_t *body; /* CODEC_BODY_MAX */
    ZSTD_DCtx *zstd;
};

/* What is left of the body. */
struct reader { const uint8_t *at, *end; };

int decoder_new(struct decoder **out, uint64_t pages)
{
    *out = NULL;
    if (!pages || pages >= UINT32_MAX)
        return -EINVAL;
    struct decoder *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->pages = pages;
    d->body = malloc(CODEC_BODY_MAX);
    d->zstd = ZSTD_createDCtx();
    if (!d->body || !d->zstd) {
        decoder_free(d);
        return -ENOMEM;
    }
    *out = d;
    return 0;
}

void decoder_free(struct decoder *d)
{
    if (!d)
        return;
    ZSTD_freeDCtx(d->zstd);
    free(d->body);
    free(d);
}

/* A varint below `limit`. 0 or -ISF_ECORRUPT. */
static int get_varint(struct reader *r, uint64_t limit, uint64_t *value)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < CODEC_VARINT_MAX && r->at < r->end; i++) {
        uint8_t byte = *r->at++;
        v |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *value = v;
            return v < limit ? 0 : -ISF_ECORRUPT;
        }
    }
    return -ISF_ECORRUPT;
}

static int get_runs(struct reader *r, uint8_t *page)
{
    uint64_t runs, skip, count, word = 0;
    if (get_varint(r, CODEC_RUNS_MAX + 1, &runs) || !runs)
        return -ISF_ECORRUPT;
    while (runs--) {
        if (get_varint(r, CODEC_WORDS - word, &skip))
            return -ISF_ECORRUPT;
        word += skip;
        if (get_varint(r, CODEC_WORDS - word + 1, &count) || !count || (uint64_t)(r->end - r->at) < count * 8)
            return -ISF_ECORRUPT;
        for (uint64_t i = 0; i < count * 8; i++)
            page[word * 8 + i] ^= r->at[i];
        r->at += count * 8;
        word += count;
    }
    return 0;
}

static int get_page(struct reader *r, unsigned kind, codec_old *old, void *context, uint64_t number, uint8_t *page)
{
    const uint8_t *was;
    switch (kind) {
    case ENTRY_ZERO:
        memset(page, 0, ISF_PAGE);
        return 0;
    case ENTRY_RAW:
        if (r->end - r->at < (ptrdiff_t)ISF_PAGE)
            return -ISF_ECORRUPT;
        memcpy(page, r->at, ISF_PAGE);
        r->at += ISF_PAGE;
        return 0;
    case ENTRY_XOR:
        was = old(context, number);
        if (!was)
            return -ISF_ECORRUPT;
        memcpy(page, was, ISF_PAGE);
        return get_runs(r, page);
    default:
        return -ISF_ECORRUPT;
    }
}

/* Checks the header and unpacks. 0 or -ISF_ECORRUPT. */
static int unpack(struct decoder *d, const uint8_t *in, size_t length, struct reader *r)
{
    if (length < CODEC_HEADER || in[0] != CODEC_FORMAT || length - CODEC_HEADER != get_le32(in + 8))
        return -ISF_ECORRUPT;
    size_t body = get_le32(in + 4), packed = length - CODEC_HEADER, n;
    if (!body || body > CODEC_BODY_MAX || !packed || packed > body)
        return -ISF_ECORRUPT;
    in += CODEC_HEADER;
    *r = (struct reader){ d->body, d->body + body };
    switch (in[1 - (int)CODEC_HEADER]) {
    case PACK_STORE:
        *r = (struct reader){ in, in + body };
        return packed == body ? 0 : -ISF_ECORRUPT;
    case PACK_LZ4:
        return LZ4_decompress_safe((const char *)in, (char *)d->body, (int)packed, (int)body) == (int)body ? 0 : -ISF_ECORRUPT;
    case PACK_ZSTD:
        n = ZSTD_decompressDCtx(d->zstd, d->body, body, in, packed);
        return !ZSTD_isError(n) && n == body ? 0 : -ISF_ECORRUPT;
    default:
        return -ISF_ECORRUPT;
    }
}

int32_t decoder_batch(struct decoder *d, const uint8_t *in, size_t length, codec_old *old, void *context,
                      uint64_t *numbers, uint8_t *data)
{
    struct reader r;
    int error = unpack(d, in, length, &r);
    if (error)
        return error;
    uint32_t count = get_le16(in + 2);
    if (count < 1 || count > CODEC_BATCH_PAGES)
        return -ISF_ECORRUPT;
    uint64_t next = 0; /* the least number that may come */
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry;
        if (next >= d->pages || get_varint(&r, (d->pages - next) << 2, &entry))
            return -ISF_ECORRUPT;
        numbers[i] = next + (entry >> 2);
        next = numbers[i] + 1;
        if (get_page(&r, entry & 3, old, context, numbers[i], data + (size_t)i * ISF_PAGE))
            return -ISF_ECORRUPT;
    }
    return r.at == r.end ? (int32_t)count : -ISF_ECORRUPT;
}
