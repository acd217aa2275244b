/* Between tracker.c and the three kinds. */
#ifndef ISF_TRACKER_KIND_H
#define ISF_TRACKER_KIND_H

#include "tracker.h"

#define TRACKER_RANGES 64u
#define TRACKER_BYTES (UINT64_C(64) << 30)

struct tracker_ops {
    enum tracker_kind kind;
    int (*open)(struct tracker *t);   /* on failure the kind has freed what it took */
    void (*close)(struct tracker *t);
    int (*begin)(struct tracker *t);
    int (*peek)(struct tracker *t, uint64_t *pages);
    int (*collect)(struct tracker *t, uint32_t *count); /* fills t->runs */
};

struct tracker {
    const struct tracker_ops *ops;
    pid_t pid;
    int uffd, pagemap, stopped;
    uint32_t range_count;
    uint64_t pages;
    struct tracker_range ranges[TRACKER_RANGES];
    uint64_t first[TRACKER_RANGES]; /* number of each range's first page */
    struct tracker_run *runs;       /* room for the worst case: every other page; address space only until used */
    size_t runs_bytes;
    void *state;                    /* the kind's own */
};

extern const struct tracker_ops tracker_pagescan, tracker_softdirty, tracker_compare;

/* For tests and the bench: makes pagescan go in two passes or one, whatever the process is. */
void tracker_two_passes(struct tracker *t, int two);

/* Address space that becomes memory as it is used; NULL when refused. */
void *tracker_reserve(size_t bytes);

/* Adds page `page` to the runs: joins it to the last one if adjacent, unless `fresh` (a range begins here). */
static inline void tracker_add(struct tracker *t, uint32_t *count, uint64_t page, int fresh)
{
    struct tracker_run *last = t->runs + *count;
    if (*count && !fresh && last[-1].page + last[-1].count == page)
        last[-1].count++;
    else
        t->runs[(*count)++] = (struct tracker_run){ page, 1 };
}

#endif
