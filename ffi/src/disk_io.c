#include "disk_io.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

static ssize_t real_read(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    (void)context;
    ssize_t n = pread(fd, data, length, (off_t)offset);
    return n < 0 ? -errno : n;
}

static ssize_t real_writev(void *context, int fd, const struct iovec *parts, int count, uint64_t offset)
{
    (void)context;
    ssize_t n = count == 1 ? pwrite(fd, parts->iov_base, parts->iov_len, (off_t)offset) : pwritev(fd, parts, count, (off_t)offset);
    return n < 0 ? -errno : n;
}

static int real_zero(void *context, int fd, uint64_t offset, uint64_t length, int hole)
{
    (void)context;
    int how = FALLOC_FL_KEEP_SIZE | (hole ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    return fallocate(fd, how, (off_t)offset, (off_t)length) ? -errno : 0;
}

static int real_sync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd) ? -errno : 0;
}

const struct disk_io disk_io_real = {NULL, real_read, real_writev, real_zero, real_sync, NULL};

int disk_io_read(const struct disk_io *io, int fd, void *data, size_t length, uint64_t offset)
{
    uint8_t *to = data;
    while (length) {
        ssize_t n = io->read(io->context, fd, to, length, offset);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        to += n;
        length -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int disk_io_writev(const struct disk_io *io, int fd, struct iovec *parts, int count, uint64_t offset)
{
    while (count) {
        ssize_t n = io->writev(io->context, fd, parts, count, offset);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        offset += (uint64_t)n;
        while (count && (size_t)n >= parts->iov_len) {
            n -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count) {
            parts->iov_base = (uint8_t *)parts->iov_base + n;
            parts->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int disk_io_write(const struct disk_io *io, int fd, const void *data, size_t length, uint64_t offset)
{
    struct iovec part = {(void *)(uintptr_t)data, length};
    return length ? disk_io_writev(io, fd, &part, 1, offset) : 0;
}

static int write_zeroes(const struct disk_io *io, int fd, uint64_t offset, uint64_t length)
{
    static const uint8_t zeroes[64 << 10];
    while (length) {
        size_t piece = length < sizeof zeroes ? (size_t)length : sizeof zeroes;
        int r = disk_io_write(io, fd, zeroes, piece, offset);
        if (r)
            return r;
        offset += piece;
        length -= piece;
    }
    return 0;
}

int disk_io_zero(const struct disk_io *io, int fd, uint64_t offset, uint64_t length, int hole)
{
    if (!length)
        return 0;
    int r = io->zero(io->context, fd, offset, length, hole);
    if (r == -EOPNOTSUPP && !hole)
        r = io->zero(io->context, fd, offset, length, 1); /* tmpfs can punch, but not zero in place */
    return r == -EOPNOTSUPP || r == -ENODEV || r == -EINVAL ? write_zeroes(io, fd, offset, length) : r;
}

int disk_io_sync(const struct disk_io *io, int fd)
{
    return io->sync(io->context, fd);
}
