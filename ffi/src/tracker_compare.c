/* compare: a copy of everything. Slow, and right by construction. */
#include "tracker_kind.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHUNK (1u << 20) /* bytes read at a time */

struct compare {
    uint8_t *copy;
    /* Pages named by a collect while the process ran. The caller read them at some time after: contents that came and
     * went in between may be what it holds, so they are named again until the process stands still. */
    uint8_t *unsettled;
    uint8_t *chunk;
};

static int bit(const uint8_t *bits, uint64_t i) { return bits[i / 8] >> (i % 8) & 1; }

static int read_all(pid_t pid, uint8_t *to, uint64_t from, size_t length)
{
    while (length) {
        struct iovec local = { to, length }, remote = { (void *)(uintptr_t)from, length };
        ssize_t n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EFAULT;
        to += n;
        from += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

static void compare_close(struct tracker *t)
{
    struct compare *c = t->state;
    if (c->copy)
        munmap(c->copy, t->pages * ISF_PAGE);
    if (c->unsettled)
        munmap(c->unsettled, t->pages / 8 + 1);
    free(c->chunk);
    free(c);
    t->state = NULL;
}

static int compare_open(struct tracker *t)
{
    if (t->pid == getpid())
        return -EINVAL; /* its own copy would be read while it is written */
    struct compare *c = t->state = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->copy = tracker_reserve(t->pages * ISF_PAGE);
    c->unsettled = tracker_reserve(t->pages / 8 + 1);
    c->chunk = malloc(CHUNK);
    int r = c->copy && c->unsettled && c->chunk ? read_all(t->pid, c->chunk, t->ranges[0].start, ISF_PAGE) : -ENOMEM;
    if (r)
        compare_close(t);
    return r;
}

static int compare_begin(struct tracker *t)
{
    struct compare *c = t->state;
    for (uint32_t i = 0; i < t->range_count; i++) {
        int r = read_all(t->pid, c->copy + t->first[i] * ISF_PAGE, t->ranges[i].start, t->ranges[i].length);
        if (r)
            return r;
    }
    memset(c->unsettled, 0, t->pages / 8 + 1);
    return 0;
}

static int page_changed(const struct compare *c, uint64_t page, const uint8_t *now)
{
    return bit(c->unsettled, page) || memcmp(c->copy + page * ISF_PAGE, now, ISF_PAGE) != 0;
}

static int compare_peek(struct tracker *t, uint64_t *pages)
{
    struct compare *c = t->state;
    for (uint32_t i = 0; i < t->range_count; i++) {
        for (uint64_t at = 0; at < t->ranges[i].length; at += CHUNK) {
            size_t n = t->ranges[i].length - at < CHUNK ? t->ranges[i].length - at : CHUNK;
            int r = read_all(t->pid, c->chunk, t->ranges[i].start + at, n);
            if (r)
                return r;
            for (size_t o = 0; o < n; o += ISF_PAGE)
                *pages += (uint64_t)page_changed(c, t->first[i] + (at + o) / ISF_PAGE, c->chunk + o);
        }
    }
    return 0;
}

static void take_chunk(struct tracker *t, uint32_t *count, uint64_t first, size_t bytes, int fresh)
{
    struct compare *c = t->state;
    for (size_t o = 0; o < bytes; o += ISF_PAGE) {
        uint64_t page = first + o / ISF_PAGE;
        if (!page_changed(c, page, c->chunk + o))
            continue;
        memcpy(c->copy + page * ISF_PAGE, c->chunk + o, ISF_PAGE);
        if (t->stopped)
            c->unsettled[page / 8] &= (uint8_t)~(1u << (page % 8));
        else
            c->unsettled[page / 8] |= (uint8_t)(1u << (page % 8));
        tracker_add(t, count, page, fresh && o == 0);
    }
}

static int compare_collect(struct tracker *t, uint32_t *count)
{
    struct compare *c = t->state;
    for (uint32_t i = 0; i < t->range_count; i++) {
        for (uint64_t at = 0; at < t->ranges[i].length; at += CHUNK) {
            size_t n = t->ranges[i].length - at < CHUNK ? t->ranges[i].length - at : CHUNK;
            int r = read_all(t->pid, c->chunk, t->ranges[i].start + at, n);
            if (r)
                return r;
            take_chunk(t, count, t->first[i] + at / ISF_PAGE, n, at == 0);
        }
    }
    return 0;
}

const struct tracker_ops tracker_compare = {
    TRACKER_COMPARE, compare_open, compare_close, compare_begin, compare_peek, compare_collect,
};
