/* The demo guest's memory: a counter and a pool of pages whose digest is kept as it changes.
 *
 * The digest is the sum, modulo 2^64, of each word times an odd weight of its own, so a change of one word costs one
 * multiplication, and recomputing it over the whole pool (pool_verify) finds any page that is older or newer than the
 * digest: a copy of the machine that mixes two epochs cannot pass. */
#ifndef GUEST_POOL_H
#define GUEST_POOL_H

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8u)

enum pool_fill { FILL_SMALL, FILL_RANDOM };

/* All that changes with each request lies in this one page, so that a count without options dirties little. */
struct pool {
    pthread_mutex_t lock;
    uint64_t counter; /* the newest number given out */
    uint64_t digest;
    uint64_t next_page;
    uint64_t random;
    uint64_t pages;
    uint64_t *words;
} __attribute__((aligned(PAGE_BYTES)));

static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t weight(uint64_t word) { return (word * 2 + 1) * 0x9e3779b97f4a7c15u | 1; }

static inline void pool_set(struct pool *pool, uint64_t word, uint64_t value)
{
    pool->digest += (value - pool->words[word]) * weight(word);
    pool->words[word] = value;
}

/* Some text, some numbers, the rest zero: about what a page of a database's memory looks like. 0 or -1. */
static int pool_open(struct pool *pool, uint64_t bytes)
{
    pool->pages = bytes / PAGE_BYTES;
    if (pool->pages == 0)
        return -1;
    void *at = mmap(NULL, pool->pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED)
        return -1;
    pool->words = at;
    pool->random = 0x1537;
    pthread_mutex_init(&pool->lock, NULL);
    for (uint64_t page = 0; page < pool->pages; page++) {
        uint64_t first = page * PAGE_WORDS;
        for (uint64_t i = 2; i < 130; i++)
            pool_set(pool, first + i, i % 4 ? 0x2064726f63657220u + page : mix(first + i));
    }
    return 0;
}

/* A few words of one page: its own count, the request's number, and three that move through the page. */
static void pool_touch(struct pool *pool, uint64_t page, uint64_t number, enum pool_fill fill)
{
    uint64_t first = page * PAGE_WORDS;
    pool_set(pool, first, pool->words[first] + 1);
    pool_set(pool, first + 1, number);
    if (fill == FILL_RANDOM) {
        for (uint64_t i = 2; i < PAGE_WORDS; i++)
            pool_set(pool, first + i, mix(number * PAGE_WORDS + i + page));
        return;
    }
    uint64_t at = 2 + (pool->words[first] * 3) % (PAGE_WORDS - 5);
    for (uint64_t i = 0; i < 3; i++)
        pool_set(pool, first + at + i, mix(number + i) & 0xffffff);
}

/* Changes `count` distinct pages out of the first `span` (0: all). The caller holds the lock. */
static void pool_dirty(struct pool *pool, uint64_t count, uint64_t span, uint64_t number, enum pool_fill fill)
{
    if (span == 0 || span > pool->pages)
        span = pool->pages;
    if (count > span)
        count = span;
    /* A new start and a step that shares no factor with `span`: scattered, yet each page once per request. */
    static const uint64_t steps[] = {1031, 2053, 4099, 17, 1};
    uint64_t step = 1;
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++)
        if (span % steps[i] != 0 || steps[i] == 1) {
            step = steps[i];
            break;
        }
    pool->random = mix(pool->random + 0x9e3779b97f4a7c15u);
    uint64_t page = pool->random % span;
    for (uint64_t i = 0; i < count; i++) {
        pool_touch(pool, page, number, fill);
        page = (page + step) % span;
    }
}

/* The digest as the memory says it is. The caller holds the lock. */
static uint64_t pool_recompute(const struct pool *pool)
{
    uint64_t sum = 0, words = pool->pages * PAGE_WORDS;
    for (uint64_t i = 0; i < words; i++)
        sum += pool->words[i] * weight(i);
    return sum;
}

#endif
