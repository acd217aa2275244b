/* Dirty-page trackers: which pages of another process were written since the last look.
 *
 * Three ways behind one interface. `pagescan`: userfaultfd write-protect in asynchronous mode and the
 * PAGEMAP_SCAN ioctl (Linux 6.7; Documentation/admin-guide/mm/pagemap.rst, userfaultfd.rst). `softdirty`:
 * clear_refs and pagemap bit 55 (Linux 3.11, CONFIG_MEM_SOFT_DIRTY). `compare`: a copy of everything, read
 * with process_vm_readv: slow, needs nothing, and is the oracle for the other two.
 *
 * What they cannot see, any of them: a page of a shared mapping that is thrown away (MADV_REMOVE, a balloon) is
 * not a write for pagescan and softdirty. Writes through another mapping of the same memory are not seen by those
 * two either: only the tracked process's own ranges are. softdirty loses its marks when the kernel unmaps a page
 * of shared memory (swap, transparent huge pages), so it is refused where that can happen.
 * compare finds changes, not writes: see tracker_stopped. */
#ifndef ISF_TRACKER_H
#define ISF_TRACKER_H

#include "base.h"

enum tracker_kind { TRACKER_AUTO, TRACKER_PAGESCAN, TRACKER_SOFTDIRTY, TRACKER_COMPARE };

/* A range of the tracked process: page-aligned address and length in bytes. */
struct tracker_range { uint64_t start, length; };

/* Adjacent dirty pages. `page` counts 4 KiB pages through all ranges, in the order given, from 0. */
struct tracker_run { uint64_t page, count; };

struct tracker;

/* Opens a tracker on `pid` (softdirty and compare: another process than the caller). `uffd` is a userfaultfd made by that process with UFFD_FEATURE_WP_ASYNC,
 * WP_UNPOPULATED and WP_HUGETLBFS_SHMEM, or -1; borrowed, not closed. AUTO takes the best one that works.
 * Ranges: 1 to 64, at most 64 GiB together, disjoint, copied. They must stay mapped while the tracker is open.
 * Returns 0, -EINVAL, -ESRCH, -EPERM, -EBUSY (another userfaultfd has these ranges), -ENOMEM, or
 * -ISF_EUNSUPPORTED (the kernel, or this memory, cannot be tracked this way). */
int tracker_open(struct tracker **out, enum tracker_kind kind, pid_t pid, int uffd,
                 const struct tracker_range *ranges, uint32_t count);
void tracker_close(struct tracker *t);
/* Which kind was taken: never AUTO. */
enum tracker_kind tracker_kind_of(const struct tracker *t);

/* Says whether the process keeps still from before each tracker_collect until the caller has read the pages it names
 * (1: the VM is stopped, as in a checkpoint), or not (0, the default: pre-copy). With 1, softdirty need not freeze
 * the process (SIGSTOP) for the call, and compare trusts what it read; with 0 compare names every page that ever
 * changed again until a collect with 1, as it cannot know which of its contents the caller has read. */
void tracker_stopped(struct tracker *t, int stopped);

/* From here on every written page is dirty; what was written before is not. The process may run. 0 or -errno. */
int tracker_begin(struct tracker *t);

/* Counts dirty pages and changes nothing. The process may run. 0 or -errno. */
int tracker_peek(struct tracker *t, uint64_t *pages);

/* Takes what is dirty and starts anew for exactly these pages. No write is lost when the process is stopped;
 * when it runs (pre-copy) a page that is written during the call is either in this result or in the next, and
 * the caller reads pages only after the call. Runs are ascending, disjoint, with adjacent pages joined within a
 * range; they belong to the tracker, until its next call.
 * 0 or -errno (-ESRCH: the process, or its memory, is gone). After an error some pages may have been taken and not
 * told: only tracker_begin and a copy of everything make it whole again. */
int tracker_collect(struct tracker *t, const struct tracker_run **runs, uint32_t *count);

#endif
