/* The raw image of a disk: a sparse file or a block device, locked against a second user. */
#ifndef ISF_IMAGE_H
#define ISF_IMAGE_H

#include "disk_io.h"

#include <pthread.h>

#define IMAGE_SECTOR 512u
#define IMAGE_BYTES_MAX (16ull << 40)

struct image {
    int fd;
    uint64_t bytes;
    pthread_mutex_t sync_lock; /* the kernel reports a failed write-back to one caller only: so one at a time, and it sticks */
    int sync_failed;
    const struct disk_io *io;
};

/* Opens and locks it (OFD lock on a file; O_EXCL too on a block device). `problem` gets one sentence with what to do.
 * -ENOENT, -EROFS or -EACCES, -EBUSY (another user), -EINVAL (size). */
int image_open(struct image *m, const char *path, const struct disk_io *io, char *problem, uint32_t problem_size);
void image_close(struct image *m);
int image_read(struct image *m, uint64_t offset, size_t length, void *out);
/* As image_read, but -EAGAIN when it would have to wait for the storage. */
int image_read_cached(struct image *m, uint64_t offset, size_t length, void *out);
int image_write(struct image *m, uint64_t offset, size_t length, const void *data);
int image_writev(struct image *m, struct iovec *parts, int count, uint64_t offset);
int image_zero(struct image *m, uint64_t offset, uint64_t length, int hole);
int image_sync(struct image *m);
/* The first byte at or after `offset` that may be other than zero; the image's size when none is. */
uint64_t image_next_data(struct image *m, uint64_t offset);
/* The first hole after `offset` (which is in data). */
uint64_t image_next_hole(struct image *m, uint64_t offset);

#endif
