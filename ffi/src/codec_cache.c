#include "codec_cache.h"

#include <sys/mman.h>

static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void unreserve(void *p, size_t bytes)
{
    if (p)
        munmap(p, bytes);
}

int cache_init(struct cache *c, uint64_t pages, uint64_t slots)
{
    memset(c, 0, sizeof *c);
    if (slots > pages)
        slots = pages;
    if (!pages || pages >= UINT32_MAX)
        return -EINVAL;
    c->pages = pages;
    c->slots = slots;
    c->where = reserve(pages * sizeof *c->where);
    c->owner = reserve((slots + 1) * sizeof *c->owner);
    c->recent = reserve(slots + 1);
    c->versions = reserve((slots + 1) * ISF_PAGE);
    if (c->where && c->owner && c->recent && c->versions)
        return 0;
    cache_free(c);
    return -ENOMEM;
}

void cache_free(struct cache *c)
{
    unreserve(c->where, c->pages * sizeof *c->where);
    unreserve(c->owner, (c->slots + 1) * sizeof *c->owner);
    unreserve(c->recent, c->slots + 1);
    unreserve(c->versions, (c->slots + 1) * ISF_PAGE);
    memset(c, 0, sizeof *c);
}

void cache_reset(struct cache *c)
{
    /* Private anonymous memory reads as zeros after this. */
    madvise(c->where, c->pages * sizeof *c->where, MADV_DONTNEED);
    madvise(c->versions, (c->slots + 1) * ISF_PAGE, MADV_DONTNEED);
    c->used = c->hand = 0;
}

void cache_drop(struct cache *c, uint64_t page)
{
    uint32_t w = c->where[page];
    if (w != 0 && w != CACHE_ZERO)
        c->recent[w - 1] = 0; /* the slot is free: its owner does not name it any more */
    if (w != 0)
        c->where[page] = 0;
}

void cache_set_zero(struct cache *c, uint64_t page)
{
    cache_drop(c, page);
    c->where[page] = CACHE_ZERO;
}

static uint32_t take_slot(struct cache *c)
{
    if (c->used < c->slots)
        return (uint32_t)c->used++;
    for (;;) {
        uint32_t slot = (uint32_t)c->hand;
        c->hand = c->hand + 1 == c->slots ? 0 : c->hand + 1;
        if (!c->recent[slot]) {
            if (c->where[c->owner[slot]] == slot + 1)
                c->where[c->owner[slot]] = 0;
            return slot;
        }
        c->recent[slot] = 0;
    }
}

void cache_store(struct cache *c, uint64_t page, const uint8_t *data)
{
    c->where[page] = 0;
    if (!c->slots)
        return;
    uint32_t slot = take_slot(c);
    c->owner[slot] = (uint32_t)page;
    c->recent[slot] = 1;
    c->where[page] = slot + 1;
    memcpy(c->versions + (uint64_t)slot * ISF_PAGE, data, ISF_PAGE);
}
