/* What the engine needs of the kernel's user interface that Debian 12's headers (Linux 6.1) do not have, with the
 * release that brought it. Layout and numbers: include/uapi/linux/fs.h and include/uapi/linux/userfaultfd.h. */
#ifndef ISF_KERNEL_ABI_H
#define ISF_KERNEL_ABI_H

#include <linux/userfaultfd.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* Linux 5.3 and 5.6. The numbers are the same on all architectures. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* Linux 5.19: write-protect shared and huge-page memory. */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
/* Linux 6.4: protection also covers anonymous pages that are not there yet. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
/* Linux 6.7: the kernel resolves a protection fault by itself; nobody has to read the descriptor. */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
/* All that a tracker asks of a userfaultfd. */
#define ISF_UFFD_FEATURES \
    (UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

/* Linux 6.7: PAGEMAP_SCAN on /proc/PID/pagemap. Under names of our own, since newer headers have theirs. */
struct isf_page_region { uint64_t start, end, categories; };
struct isf_pm_scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define ISF_PAGEMAP_SCAN _IOWR('f', 16, struct isf_pm_scan)
#define ISF_PAGE_IS_WPALLOWED (1u << 0) /* the mapping is registered for asynchronous write-protect */
#define ISF_PAGE_IS_WRITTEN (1u << 1)   /* not write-protected any more, or never was */
#define ISF_PM_SCAN_WP_MATCHING (1u << 0)   /* write-protect what is found, in the same step */
#define ISF_PM_SCAN_CHECK_WPASYNC (1u << 1) /* fail with EPERM where the mapping is not registered so */

/* /proc/PID/pagemap, one little-endian word per page. Linux 3.11. */
#define ISF_PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)

#endif
