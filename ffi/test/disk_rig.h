/* For the disk's tests: a folder, a random history, a flush that waits, and storage that loses what was not synced. */
#ifndef ISF_DISK_RIG_H
#define ISF_DISK_RIG_H

#include "check.h"
#include "disk_state.h"
#include "nbd_state.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

/* ---- random numbers with a seed ---- */

static UNUSED uint64_t rig_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static UNUSED uint64_t rig_below(uint64_t *state, uint64_t n) { return rig_random(state) % n; }

/* ---- a folder with an image ---- */

struct rig {
    char folder[64], image[96], journal[96], bitmap[96], socket[96], problem[512];
    struct disk_config config;
};

static UNUSED void rig_new(struct rig *r, uint64_t bytes)
{
    memset(r, 0, sizeof *r);
    strcpy(r->folder, "/tmp/isf_disk_XXXXXX");
    if (!mkdtemp(r->folder))
        abort();
    snprintf(r->image, sizeof r->image, "%s/image", r->folder);
    snprintf(r->journal, sizeof r->journal, "%s/s.journal", r->folder);
    snprintf(r->bitmap, sizeof r->bitmap, "%s/s.bitmap", r->folder);
    snprintf(r->socket, sizeof r->socket, "%s/nbd.sock", r->folder);
    int fd = open(r->image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, (off_t)bytes))
        abort();
    close(fd);
    r->config = (struct disk_config){.image = r->image, .journal = r->journal, .bitmap = r->bitmap, .export_name = "disk"};
}

static UNUSED void rig_free(struct rig *r)
{
    unlink(r->image);
    unlink(r->journal);
    unlink(r->bitmap);
    unlink(r->socket);
    rmdir(r->folder);
}

static UNUSED struct disk *rig_open(struct rig *r)
{
    struct disk *d = NULL;
    int e = disk_open(&d, &r->config, r->problem, sizeof r->problem);
    if (e)
        printf("      disk_open: %d %s\n", e, r->problem);
    return d;
}

/* All of the image file, as it is on disk. */
static UNUSED uint8_t *rig_image(struct rig *r, uint64_t bytes)
{
    uint8_t *data = malloc(bytes);
    int fd = open(r->image, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || pread(fd, data, bytes, 0) != (ssize_t)bytes)
        abort();
    close(fd);
    return data;
}

static UNUSED void rig_fill(uint8_t *data, size_t length, uint64_t value)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t)((value * 2654435761u + i / 512) >> (i % 4 * 8));
}

/* Waits at most 10 s for the condition. */
#define RIG_WAIT(condition)                                                     \
    do {                                                                        \
        for (int rig_i = 0; rig_i < 10000 && !(condition); rig_i++)             \
            usleep(1000);                                                       \
    } while (0)

/* ---- a flush that waits, without a client ---- */

static UNUSED int rig_flush(struct disk *d)
{
    struct nbd_conn c = {.refs = 2, .fd = -1, .event = eventfd(0, EFD_CLOEXEC)};
    struct nbd_later *later = calloc(1, sizeof *later);
    pthread_mutex_init(&c.lock, NULL);
    later->conn = &c;
    int r = disk_guest_flush(d, &later->wait);
    if (r == 1) {
        struct pollfd p = {.fd = c.event, .events = POLLIN};
        poll(&p, 1, 10000);
        for (int left = 2; left == 2;) { /* the completer lets go of it last */
            pthread_mutex_lock(&c.lock);
            r = c.done ? later->error : -ETIMEDOUT;
            left = c.done ? c.refs : 1;
            pthread_mutex_unlock(&c.lock);
        }
    }
    close(c.event);
    free(later);
    return r;
}

/* ---- storage that forgets ---- */

#define POWER_FILES 8

struct power_write {
    struct power_write *next;
    uint64_t offset;
    size_t length;
    uint8_t data[];
};

struct power_file {
    ino_t inode;
    char path[96];
    uint8_t *durable;
    size_t bytes;
    struct power_write *first, **last;
};

struct power {
    pthread_mutex_t lock;
    struct power_file file[POWER_FILES];
    int files, dead;
    uint64_t random;
    const char *deaf;    /* syncs of this file do nothing: the negative control */
    const char *failing; /* this file fails with `error`, */
    int error, failing_sync; /* for writes, or for syncs only */
    int syncs, writes;
    char boot[24];
    struct disk_io io;
};

static void power_grow(struct power_file *f, size_t bytes)
{
    if (bytes <= f->bytes)
        return;
    f->durable = realloc(f->durable, bytes);
    memset(f->durable + f->bytes, 0, bytes - f->bytes);
    f->bytes = bytes;
}

/* The file behind `fd`; what it holds when it is first seen is durable. */
static struct power_file *power_find(struct power *p, int fd)
{
    struct stat st;
    char link[64];
    if (fstat(fd, &st))
        abort();
    for (int i = 0; i < p->files; i++)
        if (p->file[i].inode == st.st_ino)
            return &p->file[i];
    struct power_file *f = &p->file[p->files++];
    *f = (struct power_file){.inode = st.st_ino};
    f->last = &f->first;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, f->path, sizeof f->path - 1) < 0)
        abort();
    power_grow(f, (size_t)st.st_size);
    if (f->bytes && pread(fd, f->durable, f->bytes, 0) != (ssize_t)f->bytes)
        abort();
    return f;
}

static void power_remember(struct power_file *f, uint64_t offset, size_t length, const struct iovec *parts, int count)
{
    struct power_write *w = malloc(sizeof *w + length);
    size_t at = 0;
    *w = (struct power_write){.offset = offset, .length = length};
    memset(w->data, 0, length);
    for (int i = 0; i < count; i++) {
        memcpy(w->data + at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    *f->last = w;
    f->last = &w->next;
}

static int power_fails(struct power *p, const struct power_file *f, int sync)
{
    if (p->dead)
        return -EIO;
    return p->failing && strstr(f->path, p->failing) && p->failing_sync == sync ? p->error : 0;
}

static ssize_t power_read(void *context, int fd, void *data, size_t length, uint64_t offset)
{
    struct power *p = context;
    (void)p;
    return disk_io_real.read(NULL, fd, data, length, offset);
}

static ssize_t power_writev(void *context, int fd, const struct iovec *parts, int count, uint64_t offset)
{
    struct power *p = context;
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    pthread_mutex_lock(&p->lock);
    struct power_file *f = power_find(p, fd);
    int r = power_fails(p, f, 0);
    p->writes++;
    if (r == 0) {
        power_remember(f, offset, length, parts, count);
        r = disk_io_real.writev(NULL, fd, parts, count, offset) == (ssize_t)length ? 0 : -EIO;
    }
    pthread_mutex_unlock(&p->lock);
    return r ? r : (ssize_t)length;
}

static int power_zero(void *context, int fd, uint64_t offset, uint64_t length, int hole)
{
    struct power *p = context;
    pthread_mutex_lock(&p->lock);
    struct power_file *f = power_find(p, fd);
    int r = power_fails(p, f, 0);
    if (r == 0) {
        power_remember(f, offset, length, NULL, 0);
        r = disk_io_real.zero(NULL, fd, offset, length, hole);
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

static void power_settle(struct power_file *f, const struct power_write *w, size_t from, size_t length)
{
    power_grow(f, w->offset + w->length);
    memcpy(f->durable + w->offset + from, w->data + from, length);
}

static int power_sync(void *context, int fd)
{
    struct power *p = context;
    pthread_mutex_lock(&p->lock);
    struct power_file *f = power_find(p, fd);
    int r = power_fails(p, f, 1);
    p->syncs++;
    if (r == 0 && !(p->deaf && strstr(f->path, p->deaf))) {
        while (f->first) {
            struct power_write *w = f->first;
            power_settle(f, w, 0, w->length);
            f->first = w->next;
            free(w);
        }
        f->last = &f->first;
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

static UNUSED void power_init(struct power *p, uint64_t seed)
{
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    p->random = seed;
    p->io = (struct disk_io){p, power_read, power_writev, power_zero, power_sync, p->boot};
    snprintf(p->boot, sizeof p->boot, "boot-%llu", (unsigned long long)seed);
}

/* From now on nothing reaches storage. Of what was not synced some sectors do: none, all, a prefix, or any. */
static UNUSED void power_cut(struct power *p)
{
    pthread_mutex_lock(&p->lock);
    p->dead = 1;
    uint64_t kind = rig_below(&p->random, 4);
    for (int i = 0; i < p->files; i++) {
        struct power_file *f = &p->file[i];
        int cut = 0;
        for (struct power_write *w = f->first; w; w = w->next) {
            for (size_t at = 0; at < w->length; at += 512) {
                cut |= kind == 1 && rig_below(&p->random, 64) == 0;
                if (kind == 0 || cut || (kind == 2 && rig_below(&p->random, 2)))
                    continue;
                power_settle(f, w, at, w->length - at < 512 ? w->length - at : 512);
            }
        }
    }
    pthread_mutex_unlock(&p->lock);
}

static void power_forget(struct power *p)
{
    for (int i = 0; i < p->files; i++) {
        struct power_file *f = &p->file[i];
        while (f->first) {
            struct power_write *w = f->first;
            f->first = w->next;
            free(w);
        }
        free(f->durable);
    }
    p->files = 0;
}

/* After disk_close: the files become what was durable; the power is back. */
static UNUSED void power_restore(struct power *p)
{
    for (int i = 0; i < p->files; i++) {
        struct power_file *f = &p->file[i];
        int fd = open(f->path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || ftruncate(fd, 0) || ftruncate(fd, (off_t)f->bytes) || pwrite(fd, f->durable, f->bytes, 0) != (ssize_t)f->bytes)
            abort();
        close(fd);
    }
    power_forget(p);
    p->dead = 0;
    p->boot[0]++;
}

#endif
