/* The batch format, for encoder and decoder. All integers little-endian.
 *
 *   0  format     1  CODEC_FORMAT
 *   1  algorithm  1  enum codec_packing
 *   2  pages      2  1 to CODEC_BATCH_PAGES
 *   4  body       4  bytes of the body, unpacked; at most CODEC_BODY_MAX
 *   8  packed     4  bytes that follow; with PACK_STORE the body itself
 *
 * The body has one entry per page, ascending: a varint (7 bits a byte, low first, at most 5 bytes) of
 * (number - previous number - 1) << 2 | enum codec_entry, where the first page's previous number is -1; then
 *   ENTRY_ZERO  nothing
 *   ENTRY_RAW   4096 bytes
 *   ENTRY_XOR   varint runs (1 to 256), then per run: varint skip, varint count (>= 1), count words of 8 bytes, to
 *               be XORed to the page as it is; skip counts unchanged words since the run before
 * Pages that did not change have no entry. */
#ifndef ISF_CODEC_FORMAT_H
#define ISF_CODEC_FORMAT_H

#include "codec.h"

#define CODEC_FORMAT 1u
#define CODEC_HEADER 12u
#define CODEC_WORDS (ISF_PAGE / 8u)
#define CODEC_RUNS_MAX (CODEC_WORDS / 2u)
#define CODEC_VARINT_MAX 5u
#define CODEC_BODY_MAX (CODEC_BATCH_PAGES * (ISF_PAGE + 2u * CODEC_VARINT_MAX))

enum codec_packing { PACK_STORE = 1, PACK_LZ4, PACK_ZSTD };
enum codec_entry { ENTRY_ZERO, ENTRY_XOR, ENTRY_RAW };

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
    for (; v > 127; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

/* Which 8-byte words differ: bit i of word i / 64. Returns 0 if none does. Pages at any address. */
int page_difference(const uint8_t *a, const uint8_t *b, uint64_t mask[CODEC_WORDS / 64]);

#endif
