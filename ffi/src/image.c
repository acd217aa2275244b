#include "image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* RWF_NOWAIT: linux/fs.h, kernel 4.14. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

static int open_problem(int error, const char *path, char *problem, uint32_t size)
{
    const char *what = "cannot be opened";
    const char *hint = "check the path and the storage below it";
    if (error == ENOENT) {
        what = "does not exist";
        hint = "create it (truncate -s SIZE) or correct the path";
    } else if (error == EROFS || error == EACCES || error == EPERM) {
        what = "cannot be written";
        hint = "make the file and its file system writable for this user";
    } else if (error == EBUSY) {
        what = "is in use (mounted, or open in another program)";
        hint = "unmount it or stop that program";
    }
    snprintf(problem, size, "The image %s %s (%s): %s.", path, what, strerror(error), hint);
    return -error;
}

static int size_of(struct image *m, const struct stat *st, const char *path, char *problem, uint32_t size)
{
    m->bytes = (uint64_t)st->st_size;
    if (S_ISBLK(st->st_mode) && ioctl(m->fd, BLKGETSIZE64, &m->bytes))
        return open_problem(errno, path, problem, size);
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        snprintf(problem, size, "The image %s is neither a file nor a block device: name one of these.", path);
        return -EINVAL;
    }
    if (m->bytes < IMAGE_SECTOR || m->bytes % IMAGE_SECTOR || m->bytes > IMAGE_BYTES_MAX) {
        snprintf(problem, size, "The image %s has %llu bytes: it must be a multiple of 512, from 512 bytes to 16 TiB; extend it with truncate -s.",
                 path, (unsigned long long)m->bytes);
        return -EINVAL;
    }
    return 0;
}

static int lock_image(struct image *m, const char *path, char *problem, uint32_t size)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(m->fd, F_OFD_SETLK, &all) == 0)
        return 0;
    if (errno != EAGAIN && errno != EACCES)
        return open_problem(errno, path, problem, size);
    snprintf(problem, size, "The image %s is locked by another program: stop that program, or give this VM an image of its own.", path);
    return -EBUSY;
}

int image_open(struct image *m, const char *path, const struct disk_io *io, char *problem, uint32_t problem_size)
{
    struct stat st;
    *m = (struct image){.fd = -1, .io = io};
    pthread_mutex_init(&m->sync_lock, NULL);
    if (stat(path, &st))
        return open_problem(errno, path, problem, problem_size);
    /* O_EXCL without O_CREAT on a block device: refused while a file system on it is mounted. */
    m->fd = open(path, O_RDWR | O_CLOEXEC | (S_ISBLK(st.st_mode) ? O_EXCL : 0));
    if (m->fd < 0)
        return open_problem(errno, path, problem, problem_size);
    int r = fstat(m->fd, &st) ? open_problem(errno, path, problem, problem_size) : size_of(m, &st, path, problem, problem_size);
    if (r == 0)
        r = lock_image(m, path, problem, problem_size);
    if (r)
        image_close(m);
    return r;
}

void image_close(struct image *m)
{
    if (m->fd >= 0)
        close(m->fd);
    m->fd = -1;
}

int image_read(struct image *m, uint64_t offset, size_t length, void *out)
{
    return disk_io_read(m->io, m->fd, out, length, offset);
}

int image_read_cached(struct image *m, uint64_t offset, size_t length, void *out)
{
    struct iovec part = {out, length};
    if (m->io != &disk_io_real)
        return image_read(m, offset, length, out);
    ssize_t n = preadv2(m->fd, &part, 1, (off_t)offset, RWF_NOWAIT);
    if (n == (ssize_t)length)
        return 0;
    if (n < 0 && errno == EOPNOTSUPP) /* a file system without it: only the plain read is left */
        return image_read(m, offset, length, out);
    return -EAGAIN;
}

int image_write(struct image *m, uint64_t offset, size_t length, const void *data)
{
    return disk_io_write(m->io, m->fd, data, length, offset);
}

int image_writev(struct image *m, struct iovec *parts, int count, uint64_t offset)
{
    return disk_io_writev(m->io, m->fd, parts, count, offset);
}

int image_zero(struct image *m, uint64_t offset, uint64_t length, int hole)
{
    return disk_io_zero(m->io, m->fd, offset, length, hole);
}

int image_sync(struct image *m)
{
    pthread_mutex_lock(&m->sync_lock);
    if (m->sync_failed == 0)
        m->sync_failed = disk_io_sync(m->io, m->fd);
    int r = m->sync_failed;
    pthread_mutex_unlock(&m->sync_lock);
    return r;
}

uint64_t image_next_data(struct image *m, uint64_t offset)
{
    off_t at = lseek(m->fd, (off_t)offset, SEEK_DATA);
    if (at >= 0)
        return (uint64_t)at;
    return errno == ENXIO ? m->bytes : offset; /* not supported (block device): all is data */
}

uint64_t image_next_hole(struct image *m, uint64_t offset)
{
    off_t at = lseek(m->fd, (off_t)offset, SEEK_HOLE);
    return at >= 0 && (uint64_t)at > offset ? (uint64_t)at : m->bytes;
}
