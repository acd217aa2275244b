/* pagescan: asynchronous userfaultfd write-protect and PAGEMAP_SCAN.
 *
 * Under KVM in two passes: find, then protect what was found. One scan that protects as it goes makes KVM forget every
 * mapping of the guest. Where no KVM looks at the memory (TCG) that scan is the better one: a call for each run of
 * dirty pages costs some 1 us in UFFDIO_WRITEPROTECT, and less than 0.1 us a page in the scan.
 *
 * A running process loses nothing to the gap between the passes: a page written before it is found is protected by
 * the second pass and read by the caller after that; a page first written later is not touched by the second pass
 * and stays dirty. The one pass finds and protects each page in one step.
 *
 * The ranges are cut into chunks. Each has its own part of t->runs, large enough for its worst case, so that several
 * threads fill them without a lock; the parts are then moved together.
 *
 *   t->runs   [chunk 0 ....][chunk 1 ....][chunk 2 ..]     each (pages + 1) / 2 entries, `found` of them used
 */
#include "kernel_abi.h"
#include "tracker_kind.h"
#include "tracker_pool.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHUNK_BYTES (UINT64_C(256) << 20)
#define VECTOR 1024u                        /* ranges per scan: 24 KiB, stays in the first-level cache */
#define BIG_BYTES (UINT64_C(4) << 30)       /* from here on several threads */
#define THREADS 4u

struct chunk {
    uint64_t start, end, page;
    size_t slot;        /* its part of t->runs */
    uint32_t found;     /* runs there */
    int fresh;          /* a range begins here: not joined with what is before */
};

struct vector { struct isf_page_region region[VECTOR]; };

struct pagescan {
    struct chunk *chunks;
    uint32_t chunk_count, registered;
    int one_pass; /* no KVM: the scan protects */
    struct vector *vectors; /* one per thread */
    struct tracker_pool *pool;
    atomic_uint_fast64_t pages;
};

static int protect(struct tracker *t, uint64_t start, uint64_t end)
{
    struct uffdio_writeprotect wp = { .range = { start, end - start }, .mode = UFFDIO_WRITEPROTECT_MODE_WP };
    for (int tries = 0;; tries++) {
        if (ioctl(t->uffd, UFFDIO_WRITEPROTECT, &wp) == 0)
            return 0;
        /* EAGAIN: the process is changing its mappings just now. */
        if ((errno != EAGAIN && errno != EINTR) || tries == 1000)
            return -errno;
    }
}

/* Scans on from `*at`. Returns how many regions, 0 at the end of the chunk, or -errno.
 * Never goes by walk_end: above 512 regions it lies short of what was scanned. The vector's last end is right, since
 * regions come in order; and a vector that is not full means that all was scanned. */
static int scan(struct tracker *t, struct vector *v, uint64_t *at, uint64_t end, int protecting)
{
    if (*at >= end)
        return 0;
    struct isf_pm_scan arg = {
        .size = sizeof arg,
        .flags = ISF_PM_SCAN_CHECK_WPASYNC | (protecting ? ISF_PM_SCAN_WP_MATCHING : 0),
        .start = *at,
        .end = end,
        .vec = (uintptr_t)v->region,
        .vec_len = VECTOR,
        .category_mask = ISF_PAGE_IS_WRITTEN,
        .return_mask = ISF_PAGE_IS_WRITTEN,
    };
    int n = ioctl(t->pagemap, ISF_PAGEMAP_SCAN, &arg);
    if (n < 0)
        return -errno;
    *at = n == (int)VECTOR ? v->region[n - 1].end : end;
    return n;
}

static int begin_chunk(struct tracker *t, uint32_t index, uint32_t thread)
{
    (void)thread;
    struct pagescan *s = t->state;
    return protect(t, s->chunks[index].start, s->chunks[index].end);
}

static int peek_chunk(struct tracker *t, uint32_t index, uint32_t thread)
{
    struct pagescan *s = t->state;
    struct vector *v = &s->vectors[thread];
    uint64_t at = s->chunks[index].start, bytes = 0;
    int n;
    while ((n = scan(t, v, &at, s->chunks[index].end, 0)) > 0)
        for (int i = 0; i < n; i++)
            bytes += v->region[i].end - v->region[i].start;
    atomic_fetch_add_explicit(&s->pages, bytes / ISF_PAGE, memory_order_relaxed);
    return n;
}

static int collect_chunk(struct tracker *t, uint32_t index, uint32_t thread)
{
    struct pagescan *s = t->state;
    struct vector *v = &s->vectors[thread];
    struct chunk *c = &s->chunks[index];
    struct tracker_run *run = t->runs + c->slot;
    uint64_t at = c->start;
    int n;
    c->found = 0;
    while ((n = scan(t, v, &at, c->end, s->one_pass)) > 0) {
        for (int i = 0; i < n;) {
            /* Neighbours come apart where the kernel's own buffer was full: one protection for all of them. */
            uint64_t start = v->region[i].start, end = v->region[i].end;
            while (++i < n && v->region[i].start == end)
                end = v->region[i].end;
            int r = s->one_pass ? 0 : protect(t, start, end);
            if (r)
                return r;
            uint64_t page = c->page + (start - c->start) / ISF_PAGE, count = (end - start) / ISF_PAGE;
            if (c->found && run[c->found - 1].page + run[c->found - 1].count == page)
                run[c->found - 1].count += count;
            else
                run[c->found++] = (struct tracker_run){ page, count };
        }
    }
    return n;
}

/* A process that has ended looks like one that wrote nothing: asks whether each range is still there, registered. */
static int ranges_alive(struct tracker *t)
{
    for (uint32_t i = 0; i < t->range_count; i++) {
        struct isf_page_region region;
        struct isf_pm_scan arg = {
            .size = sizeof arg,
            .start = t->ranges[i].start,
            .end = t->ranges[i].start + ISF_PAGE,
            .vec = (uintptr_t)&region,
            .vec_len = 1,
            .category_mask = ISF_PAGE_IS_WPALLOWED,
            .return_mask = ISF_PAGE_IS_WPALLOWED,
        };
        int n = ioctl(t->pagemap, ISF_PAGEMAP_SCAN, &arg);
        if (n != 1)
            return n < 0 ? -errno : -ESRCH;
    }
    return 0;
}

static int pagescan_begin(struct tracker *t)
{
    struct pagescan *s = t->state;
    return tracker_pool_run(s->pool, t, s->chunk_count, begin_chunk);
}

static int pagescan_peek(struct tracker *t, uint64_t *pages)
{
    struct pagescan *s = t->state;
    atomic_store(&s->pages, 0);
    int r = tracker_pool_run(s->pool, t, s->chunk_count, peek_chunk);
    *pages = atomic_load(&s->pages);
    return r ? r : ranges_alive(t);
}

static int pagescan_collect(struct tracker *t, uint32_t *count)
{
    struct pagescan *s = t->state;
    int r = tracker_pool_run(s->pool, t, s->chunk_count, collect_chunk);
    if (!r)
        r = ranges_alive(t);
    if (r)
        return r;
    uint32_t out = 0;
    for (uint32_t i = 0; i < s->chunk_count; i++) {
        struct tracker_run *run = t->runs + s->chunks[i].slot, *end = run + s->chunks[i].found;
        if (run < end && out && !s->chunks[i].fresh && t->runs[out - 1].page + t->runs[out - 1].count == run->page)
            t->runs[out - 1].count += (run++)->count;
        while (run < end)
            t->runs[out++] = *run++;
    }
    *count = out;
    return 0;
}

static int chunks_cut(struct tracker *t, struct pagescan *s)
{
    s->chunks = calloc(t->pages * ISF_PAGE / CHUNK_BYTES + t->range_count + 1, sizeof *s->chunks);
    if (!s->chunks)
        return -ENOMEM;
    size_t slot = 0;
    for (uint32_t i = 0; i < t->range_count; i++) {
        uint64_t start = t->ranges[i].start, end = start + t->ranges[i].length;
        for (uint64_t at = start; at < end;) {
            uint64_t stop = end - at < CHUNK_BYTES ? end : at + CHUNK_BYTES;
            s->chunks[s->chunk_count++] = (struct chunk){
                .start = at, .end = stop, .slot = slot, .fresh = at == start,
                .page = t->first[i] + (at - start) / ISF_PAGE,
            };
            slot += ((stop - at) / ISF_PAGE + 1) / 2;
            at = stop;
        }
    }
    return 0;
}

static int ranges_register(struct tracker *t, struct pagescan *s)
{
    for (; s->registered < t->range_count; s->registered++) {
        struct uffdio_register reg = {
            .range = { t->ranges[s->registered].start, t->ranges[s->registered].length },
            .mode = UFFDIO_REGISTER_MODE_WP,
        };
        if (ioctl(t->uffd, UFFDIO_REGISTER, &reg))
            /* EINVAL: memory of a kind that cannot be protected, or not mapped. */
            return errno == EINVAL ? -ISF_EUNSUPPORTED : -errno;
    }
    return 0;
}

static void pagescan_close(struct tracker *t)
{
    struct pagescan *s = t->state;
    tracker_pool_free(s->pool);
    while (s->registered--) { /* fails if the process has ended: nothing to undo then */
        struct uffdio_range range = { t->ranges[s->registered].start, t->ranges[s->registered].length };
        ioctl(t->uffd, UFFDIO_UNREGISTER, &range);
    }
    free(s->vectors);
    free(s->chunks);
    free(s);
    t->state = NULL;
}

/* Linux 6.7 has the scan, and the descriptor the asynchronous mode. */
static int probe(struct tracker *t)
{
    struct vector v;
    uint64_t at = t->ranges[0].start;
    int r = scan(t, &v, &at, at + ISF_PAGE, 0);
    return r == -ENOTTY || r == -EPERM || r == -EINVAL ? -ISF_EUNSUPPORTED : r < 0 ? r : 0;
}

/* Whether the process has a KVM machine. 1 when in doubt: two passes are right everywhere. */
static int has_kvm(pid_t pid)
{
    char path[300], target[64];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *descriptors = opendir(path);
    if (!descriptors)
        return 1;
    for (struct dirent *e; !found && (e = readdir(descriptors));) {
        snprintf(path, sizeof path, "/proc/%d/fd/%.20s", (int)pid, e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        found = strcmp(target, "anon_inode:kvm-vm") == 0;
    }
    closedir(descriptors);
    return found;
}

void tracker_two_passes(struct tracker *t, int two)
{
    struct pagescan *s = t->state;
    if (t->ops == &tracker_pagescan)
        s->one_pass = !two;
}

static int pagescan_open(struct tracker *t)
{
    struct isf_pm_scan none = { .size = sizeof none };
    if (t->uffd < 0 || (ioctl(t->pagemap, ISF_PAGEMAP_SCAN, &none) && errno == ENOTTY))
        return -ISF_EUNSUPPORTED;
    struct pagescan *s = t->state = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t threads = t->pages * ISF_PAGE < BIG_BYTES || cores < 2 ? 1 : cores < (long)THREADS ? (uint32_t)cores : THREADS;
    s->one_pass = !has_kvm(t->pid);
    s->vectors = calloc(threads, sizeof *s->vectors);
    int r = s->vectors ? chunks_cut(t, s) : -ENOMEM;
    if (!r)
        r = tracker_pool_new(&s->pool, threads);
    if (!r)
        r = ranges_register(t, s);
    if (!r)
        r = probe(t);
    if (r)
        pagescan_close(t);
    return r;
}

const struct tracker_ops tracker_pagescan = {
    TRACKER_PAGESCAN, pagescan_open, pagescan_close, pagescan_begin, pagescan_peek, pagescan_collect,
};
