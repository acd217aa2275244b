/* Dirty-page trackers: which pages of another process were written since the last look.
 *
 * Three ways behind one interface. `pagescan`: userfaultfd write-protect in asynchronous mode and the
 * PAGEMAP_SCAN ioctl (Linux 6.7; Documentation/admin-guide/mm/pagemap.rst, userfaultfd.rst). `softdirty`:
 * clear_refs and pagemap bit 55 (Linux 3.11, CONFIG_MEM_SOFT_DIRTY). `compare`: a copy of everything, read
 * with process_vm_readv: slow, needs nothing, and is the oracle for the other two. */
#ifndef ISF_TRACKER_H
#define ISF_TRACKER_H

#include "base.h"

enum tracker_kind { TRACKER_AUTO, TRACKER_PAGESCAN, TRACKER_SOFTDIRTY, TRACKER_COMPARE };

/* A range of the tracked process: page-aligned address and length in bytes. */
struct tracker_range { uint64_t start, length; };

/* Adjacent dirty pages. `page` counts 4 KiB pages through all ranges, in the order given, from 0. */
struct tracker_run { uint64_t page, count; };

struct tracker;

/* Opens a tracker on `pid`. `uffd` is a userfaultfd made by that process with UFFD_FEATURE_WP_ASYNC,
 * WP_UNPOPULATED and WP_HUGETLBFS_SHMEM, or -1; borrowed, not closed. AUTO takes the best one that works.
 * Ranges: 1 to 64, at most 64 GiB together, copied.
 * Returns 0, -EINVAL, -ESRCH, -EPERM, -ENOMEM, or -ISF_EUNSUPPORTED (the kernel lacks this kind). */
int tracker_open(struct tracker **out, enum tracker_kind kind, pid_t pid, int uffd,
                 const struct tracker_range *ranges, uint32_t count);
void tracker_close(struct tracker *t);
/* Which kind was taken: never AUTO. */
enum tracker_kind tracker_kind_of(const struct tracker *t);

/* From here on every written page is dirty; what was written before is not. The process may run. 0 or -errno. */
int tracker_begin(struct tracker *t);

/* Counts dirty pages and changes nothing. The process may run. 0 or -errno. */
int tracker_peek(struct tracker *t, uint64_t *pages);

/* Takes what is dirty and starts anew for exactly these pages. No write is lost when the process is stopped;
 * when it runs (pre-copy) a page that is written during the call is either in this result or in the next, and
 * the caller reads pages only after the call. Runs are ascending, disjoint, with adjacent pages joined within a
 * range; they belong to the tracker, until its next call. 0 or -errno. */
int tracker_collect(struct tracker *t, const struct tracker_run **runs, uint32_t *count);

#endif
