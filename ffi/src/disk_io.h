/* The few system calls that decide what survives a power loss, behind a table: a test can drop un-synced writes, or fail.
 * Each returns 0 (or a count) or -errno. */
#ifndef ISF_DISK_IO_H
#define ISF_DISK_IO_H

#include "base.h"

#include <sys/uio.h>

struct disk_io {
    void *context;
    ssize_t (*read)(void *context, int fd, void *data, size_t length, uint64_t offset);
    ssize_t (*writev)(void *context, int fd, const struct iovec *parts, int count, uint64_t offset);
    int (*zero)(void *context, int fd, uint64_t offset, uint64_t length, int hole); /* -EOPNOTSUPP: write zeros instead */
    int (*sync)(void *context, int fd);                                             /* fdatasync */
    const char *boot; /* names this boot of the machine; NULL: ask the kernel */
};

/* The kernel's own. */
extern const struct disk_io disk_io_real;

/* Reads all of it; past the end of the file is -EIO. */
int disk_io_read(const struct disk_io *io, int fd, void *data, size_t length, uint64_t offset);
int disk_io_write(const struct disk_io *io, int fd, const void *data, size_t length, uint64_t offset);
/* Writes all parts (at most IOV_MAX); `parts` is used up. */
int disk_io_writev(const struct disk_io *io, int fd, struct iovec *parts, int count, uint64_t offset);
/* Makes the range read as zeroes, without its blocks if `hole`. */
int disk_io_zero(const struct disk_io *io, int fd, uint64_t offset, uint64_t length, int hole);
int disk_io_sync(const struct disk_io *io, int fd);

#endif
