/* Unpacking into a private directory. It is whole before it has its name; and whoever starts later checks, cheaply, that it still is:
 * owner, mode, each file's type, size and time. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "launcher.h"

/* How long to wait for another start that is unpacking, in steps. After that both unpack, each for itself. */
#define LOCK_STEPS 600
#define LOCK_STEP_NS 50000000

/* A directory that is ours alone. */
static int is_private(const char *path)
{
    struct stat stat;
    if (lstat(path, &stat))
        return failed(errno, "%s", path);
    if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 077) != 0)
        return failed(0, "%s is not a directory of this user alone (mode 0700)", path);
    return 0;
}

static int is_whole(const struct pack *pack, const char *directory)
{
    if (is_private(directory))
        return -1;
    for (size_t i = 0; i < pack->count; i++) {
        const struct packed_file *file = &pack->files[i];
        char path[PATH_BYTES];
        struct stat stat;
        if (join(path, directory, file->path))
            return -1;
        if (lstat(path, &stat))
            return failed(errno, "%s", path);
        if (!S_ISREG(stat.st_mode) || stat.st_uid != geteuid() || (uint64_t)stat.st_size != file->size ||
            (stat.st_mode & 07777) != file->mode || stat.st_mtim.tv_sec != STAMP_S)
            return failed(0, "%s was changed", path);
    }
    return 0;
}

/* Marks the directory as in use until this process, and what it becomes, ends. */
static int hold(const char *directory)
{
    char path[PATH_BYTES];
    if (join(path, directory, "in-use"))
        return -1;
    int fd = open(path, O_RDWR | O_NOFOLLOW);
    if (fd < 0)
        return failed(errno, "%s", path);
    if (flock(fd, LOCK_SH | LOCK_NB)) {
        close(fd);
        return failed(errno, "%s is being removed", directory);
    }
    return fd;
}

static int make_parents(const char *directory, const char *relative)
{
    char path[PATH_BYTES];
    for (const char *slash = strchr(relative, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        int length = snprintf(path, sizeof path, "%s/%.*s", directory, (int)(slash - relative), relative);
        if (length < 0 || (size_t)length >= sizeof path)
            return failed(ENAMETOOLONG, "%s", directory);
        if (mkdir(path, 0700) && errno != EEXIST)
            return failed(errno, "cannot make %s", path);
    }
    return 0;
}

/* Decompresses straight into the file's pages. */
static int fill(int fd, const struct packed_file *file, const uint8_t *blob)
{
    if (file->size == 0)
        return 0;
    /* Room first: a full disk must be an error here, not a signal later. */
    int error = posix_fallocate(fd, 0, (off_t)file->size);
    if (error)
        return failed(error, "no room for %s", file->path);
    void *to = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (to == MAP_FAILED)
        return failed(errno, "cannot map %s", file->path);
    size_t made = ZSTD_decompress(to, file->size, blob, file->packed);
    munmap(to, file->size);
    if (ZSTD_isError(made) || made != file->size)
        return failed(0, "%s does not unpack: %s", file->path, ZSTD_isError(made) ? ZSTD_getErrorName(made) : "wrong size");
    return 0;
}

static int unpack_file(const char *directory, const struct packed_file *file, const uint8_t *blob)
{
    const struct timespec stamp[2] = {{STAMP_S, 0}, {STAMP_S, 0}};
    char path[PATH_BYTES];
    if (make_parents(directory, file->path) || join(path, directory, file->path))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(errno, "cannot make %s", path);
    int result = fill(fd, file, blob);
    if (result == 0 && (fchmod(fd, file->mode) || futimens(fd, stamp) || fsync(fd)))
        result = failed(errno, "cannot write %s", path);
    close(fd);
    return result;
}

static int unpack_all(const struct pack *pack, const char *directory)
{
    uint8_t *map = mmap(NULL, pack->index, PROT_READ, MAP_PRIVATE, pack->fd, 0);
    if (map == MAP_FAILED)
        return failed(errno, "cannot map this program's own file");
    int result = 0;
    for (size_t i = 0; i < pack->count && result == 0; i++)
        result = unpack_file(directory, &pack->files[i], map + pack->files[i].offset);
    munmap(map, pack->index);
    char path[PATH_BYTES];
    if (result == 0 && join(path, directory, "in-use") == 0) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return failed(errno, "cannot make %s", path);
        close(fd);
    }
    return result;
}

/* Gives the finished directory its name, in place of a damaged one if there is one. */
static int place(const char *made, const char *directory)
{
    if (rename(made, directory) == 0)
        return 0;
    if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
        return failed(errno, "cannot rename %s to %s", made, directory);
    /* Exchange, so that there is no moment without one; then `made` is the damaged one, and is removed by the caller. */
    if (syscall(SYS_renameat2, AT_FDCWD, made, AT_FDCWD, directory, 2 /* RENAME_EXCHANGE */) == 0)
        return 0;
    char aside[PATH_BYTES];
    int length = snprintf(aside, sizeof aside, "%s-damaged", made);
    if (length < 0 || (size_t)length >= sizeof aside || rename(directory, aside) || rename(made, directory))
        return failed(errno, "cannot replace the damaged %s", directory);
    remove_tree(aside);
    return 0;
}

static int unpack_new(const struct pack *pack, const char *base, const char *directory)
{
    char made[PATH_BYTES];
    if (join(made, base, ".new-XXXXXX"))
        return -1;
    if (mkdtemp(made) == NULL)
        return failed(errno, "cannot make a directory in %s", base);
    /* Whoever finds this directory without its lock knows that we were killed. */
    int mark = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mark < 0 || flock(mark, LOCK_EX | LOCK_NB)) {
        if (mark >= 0)
            close(mark);
        return failed(errno, "cannot lock %s", made);
    }
    int result = unpack_all(pack, made);
    if (result == 0)
        result = place(made, directory);
    remove_tree(made);
    close(mark);
    int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    return result;
}

/* One unpacking at a time, within bounds. Returns the lock's descriptor, or -1 without it. */
static int lock_base(const char *base)
{
    char path[PATH_BYTES];
    if (join(path, base, "lock"))
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    for (int step = 0; fd >= 0 && step < LOCK_STEPS; step++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        const struct timespec pause = {0, LOCK_STEP_NS};
        nanosleep(&pause, NULL);
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static int whole_and_held(const struct pack *pack, const char *directory)
{
    int fd = hold(directory);
    if (fd < 0)
        return -1;
    if (is_whole(pack, directory) == 0)
        return 0;
    close(fd);
    return -1;
}

int unpacked(const struct pack *pack, const char *base, char *directory)
{
    if (join(directory, base, pack->name))
        return -1;
    if (is_private(base) == 0 && whole_and_held(pack, directory) == 0)
        return 0;
    if (mkdir(base, 0700) && errno != EEXIST)
        return failed(errno, "cannot make %s", base);
    if (is_private(base))
        return -1;
    int lock = lock_base(base), result = 0;
    if (whole_and_held(pack, directory) != 0) {
        result = pack_verify(pack) ? UNPACK_DAMAGED : 0;
        if (result == 0)
            result = unpack_new(pack, base, directory);
        if (result == 0)
            result = whole_and_held(pack, directory);
        if (result == 0 && lock >= 0)
            remove_leftovers(base, pack->name);
    }
    if (lock >= 0)
        close(lock);
    return result;
}
