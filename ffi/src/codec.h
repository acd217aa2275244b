/* Pages on the wire: zero / same / XOR runs against the version the other side has / raw, then LZ4 or zstd.
 *
 * The encoder keeps a bounded cache of the versions that it sent last. The decoder needs no cache: it XORs
 * against the page as it is. Both must see every batch once, in order; after a new first sync, encoder_reset(). */
#ifndef ISF_CODEC_H
#define ISF_CODEC_H

#include "base.h"

#define CODEC_BATCH_PAGES 1024u                 /* pages in one batch, at the most */
#define CODEC_BATCH_BYTES (CODEC_BATCH_PAGES * (ISF_PAGE + 64u) + 64u) /* an encoded batch, at the most */

enum codec_algorithm { CODEC_STORE, CODEC_LZ4, CODEC_ZSTD, CODEC_ADAPTIVE };

struct codec_stats { uint64_t pages, zero, same, xored, raw, bytes_in, bytes_out; };

struct encoder;
/* `pages`: number of pages that may be named (the address space of batches). `cache_pages`: versions kept, at
 * the most. Memory is reserved, and used as versions are stored. 0 or -errno. */
int encoder_new(struct encoder **out, uint64_t pages, uint64_t cache_pages, enum codec_algorithm algorithm);
void encoder_free(struct encoder *e);
/* Forgets all versions: the next batch assumes nothing of the other side. */
void encoder_reset(struct encoder *e);
/* What ADAPTIVE goes by: bytes per second that the link takes now. */
void encoder_link_rate(struct encoder *e, uint64_t bytes_per_s);

/* One page of a batch: its number and its 4096 bytes (borrowed). */
struct codec_page { uint64_t number; const uint8_t *data; };

/* Appends one batch of 1 to CODEC_BATCH_PAGES pages, ascending numbers, to `out`, self-describing.
 * remember = false: nothing is kept in the cache, and versions kept of these pages are dropped (pre-copy of pages
 * that change under the encoder's hands: it then sends zero and raw only).
 * Returns the bytes appended (0 when every page was unchanged), or -errno. Adds to `stats` (may be NULL). */
int64_t encoder_batch(struct encoder *e, const struct codec_page *pages, uint32_t count, int remember,
                      struct buffer *out, struct codec_stats *stats);

/* Decodes one batch. `old` gives the present 4096 bytes of a page (called only for XORed pages).
 * numbers: CODEC_BATCH_PAGES entries, data: CODEC_BATCH_PAGES * 4096 bytes, both the caller's; numbers come out
 * ascending and < `pages`. Every length is checked before use: any input is safe.
 * Returns how many pages, or -ISF_ECORRUPT, -ENOMEM. Nothing outside numbers/data is written. */
typedef const uint8_t *codec_old(void *context, uint64_t number);
struct decoder;
int decoder_new(struct decoder **out, uint64_t pages);
void decoder_free(struct decoder *d);
int32_t decoder_batch(struct decoder *d, const uint8_t *in, size_t length, codec_old *old, void *context,
                      uint64_t *numbers, uint8_t *data);

/* True for 4096 zero bytes at an 8-byte aligned address. */
int page_is_zero(const uint8_t *page);

#endif
