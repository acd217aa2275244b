/* Opens a tracker and passes on to its kind. */
#include "tracker_kind.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *tracker_reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int ranges_overlap(const struct tracker_range *a, const struct tracker_range *b)
{
    return a->start < b->start + b->length && b->start < a->start + a->length;
}

static int ranges_take(struct tracker *t, const struct tracker_range *ranges, uint32_t count)
{
    if (count < 1 || count > TRACKER_RANGES)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        const struct tracker_range *r = &ranges[i];
        if (!r->length || r->length > TRACKER_BYTES || r->start % ISF_PAGE || r->length % ISF_PAGE ||
            r->start + r->length < r->start)
            return -EINVAL;
        for (uint32_t k = 0; k < i; k++)
            if (ranges_overlap(r, &ranges[k]))
                return -EINVAL;
        t->ranges[i] = *r;
        t->first[i] = t->pages;
        t->pages += r->length / ISF_PAGE;
    }
    t->range_count = count;
    return t->pages > TRACKER_BYTES / ISF_PAGE ? -EINVAL : 0;
}

static int pagemap_open(pid_t pid)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
}

/* The wanted kind, or the first that works: compare always does. */
static int kind_open(struct tracker *t, enum tracker_kind kind)
{
    static const struct tracker_ops *const best_first[] = { &tracker_pagescan, &tracker_softdirty, &tracker_compare };
    int r = -EINVAL;
    for (unsigned i = 0; i < sizeof best_first / sizeof best_first[0]; i++) {
        if (kind != TRACKER_AUTO && kind != best_first[i]->kind)
            continue;
        t->ops = best_first[i];
        r = t->ops->open(t);
        if (r != -ISF_EUNSUPPORTED || kind != TRACKER_AUTO)
            break;
    }
    if (r)
        t->ops = NULL;
    return r;
}

int tracker_open(struct tracker **out, enum tracker_kind kind, pid_t pid, int uffd,
                 const struct tracker_range *ranges, uint32_t count)
{
    if (!out || !ranges || pid <= 0)
        return -EINVAL;
    *out = NULL;
    struct tracker *t = calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    t->pid = pid;
    t->uffd = uffd;
    t->pagemap = -1;
    int r = ranges_take(t, ranges, count);
    if (r)
        goto out;
    r = t->pagemap = pagemap_open(pid);
    if (r < 0)
        goto out;
    /* Each range rounds up, and so does each chunk that a kind cuts a range into. */
    t->runs_bytes = (t->pages / 2 + 4096) * sizeof *t->runs;
    t->runs = tracker_reserve(t->runs_bytes);
    r = t->runs ? kind_open(t, kind) : -ENOMEM;
out:
    if (r)
        tracker_close(t);
    else
        *out = t;
    return r;
}

void tracker_close(struct tracker *t)
{
    if (!t)
        return;
    if (t->ops)
        t->ops->close(t);
    if (t->pagemap >= 0)
        close(t->pagemap);
    if (t->runs)
        munmap(t->runs, t->runs_bytes);
    free(t);
}

enum tracker_kind tracker_kind_of(const struct tracker *t) { return t->ops->kind; }
void tracker_stopped(struct tracker *t, int stopped) { t->stopped = stopped; }
int tracker_begin(struct tracker *t) { return t->ops->begin(t); }

int tracker_peek(struct tracker *t, uint64_t *pages)
{
    *pages = 0;
    return t->ops->peek(t, pages);
}

int tracker_collect(struct tracker *t, const struct tracker_run **runs, uint32_t *count)
{
    *runs = t->runs;
    *count = 0;
    int r = t->ops->collect(t, count);
    if (r)
        *count = 0;
    return r;
}
