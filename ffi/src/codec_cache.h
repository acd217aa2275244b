/* The versions of pages that the other side has, as far as they are remembered. */
#ifndef ISF_CODEC_CACHE_H
#define ISF_CODEC_CACHE_H

#include "base.h"

struct cache {
    uint64_t pages, slots;
    uint32_t *where;   /* per page: 0 unknown, CACHE_ZERO, or its slot + 1 */
    uint32_t *owner;   /* per slot: its page, while `where` says so */
    uint8_t *recent;   /* per slot: used since the clock's hand passed */
    uint8_t *versions; /* per slot: 4096 bytes */
    uint64_t used, hand;
};

#define CACHE_ZERO UINT32_MAX /* the other side has zeros: needs no slot */

/* Reserves address space for all; memory is used as versions are stored. 0, -EINVAL, -ENOMEM. */
int cache_init(struct cache *c, uint64_t pages, uint64_t slots);
void cache_free(struct cache *c);
/* Forgets everything and gives the memory back. */
void cache_reset(struct cache *c);

/* The version of a page, NULL if unknown (or zero). Counts as use. */
static inline uint8_t *cache_find(struct cache *c, uint64_t page)
{
    uint32_t w = c->where[page];
    if (w == 0 || w == CACHE_ZERO)
        return NULL;
    c->recent[w - 1] = 1;
    return c->versions + (uint64_t)(w - 1) * ISF_PAGE;
}

static inline int cache_is_zero(const struct cache *c, uint64_t page) { return c->where[page] == CACHE_ZERO; }

/* Forgets one page's version. */
void cache_drop(struct cache *c, uint64_t page);
void cache_set_zero(struct cache *c, uint64_t page);
/* Stores the version of a page that has no slot: takes a free one, or the one that was not used for longest,
 * roughly (CLOCK). */
void cache_store(struct cache *c, uint64_t page, const uint8_t *data);

#endif
