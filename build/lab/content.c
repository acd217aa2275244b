/* What is in the files: as programs see it, what of it is not durable, and what a power cut makes of that. */
#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR 512u

static int write_all(int fd, const uint8_t *data, uint64_t length, uint64_t offset)
{
    while (length) {
        ssize_t n = pwrite(fd, data, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        length -= (uint64_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* fallocate; not every file system zeroes a range in place. */
static int allocate(int fd, int mode, uint64_t offset, uint64_t length)
{
    if (fallocate(fd, mode, (off_t)offset, (off_t)length) == 0)
        return 0;
    if (errno != EOPNOTSUPP || !(mode & FALLOC_FL_ZERO_RANGE))
        return -errno;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length) ||
        fallocate(fd, mode & FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length))
        return -errno;
    return 0;
}

static int copy_range(int from, int to, uint64_t offset, uint64_t end)
{
    static uint8_t piece[1 << 20];
    while (offset < end) {
        uint64_t length = end - offset < sizeof piece ? end - offset : sizeof piece;
        ssize_t n = pread(from, piece, length, (off_t)offset);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        int r = write_all(to, piece, (uint64_t)n, offset);
        if (r)
            return r;
        offset += (uint64_t)n;
    }
    return 0;
}

int content_load(struct storage *s, struct node *n)
{
    struct stat st;
    n->content = memfd_create("volatile", MFD_CLOEXEC);
    if (n->content < 0)
        return -errno;
    if (!n->durable)
        return 0;
    int r = tree_backing(s, n);
    if (r)
        return r;
    if (fstat(n->backing, &st) || ftruncate(n->content, st.st_size))
        return -errno;
    for (off_t data = 0; r == 0 && (data = lseek(n->backing, data, SEEK_DATA)) >= 0;) {
        off_t hole = lseek(n->backing, data, SEEK_HOLE);
        if (hole < 0)
            return -errno;
        r = copy_range(n->backing, n->content, (uint64_t)data, (uint64_t)hole);
        data = hole;
    }
    return r;
}

/* ---- changes ---- */

/* Writes back the file that has most to write. */
static int relieve(struct storage *s)
{
    struct node *most = s->root.next;
    for (struct node *n = most; n; n = n->next)
        if (n->pending > most->pending)
            most = n;
    return content_sync(s, most);
}

static int add_change(struct storage *s, struct node *n, const struct change *change, const void *data)
{
    size_t bytes = sizeof *change + (data ? change->length : 0);
    int r = s->pending > PENDING_MAX ? relieve(s) : 0;
    if (r)
        return r;
    struct change *c = malloc(bytes);
    if (!c)
        return -ENOMEM;
    *c = *change;
    c->next = NULL;
    if (data)
        memcpy(c->data, data, change->length);
    *n->last_change = c;
    n->last_change = &c->next;
    n->pending += bytes - sizeof *c;
    s->pending += bytes - sizeof *c;
    return 0;
}

/* Bytes of the range that take no space yet. */
static uint64_t new_bytes(const struct node *n, uint64_t offset, uint64_t length)
{
    uint64_t end = offset + length, have = 0;
    for (off_t at = (off_t)offset; (uint64_t)at < end;) {
        off_t data = lseek(n->content, at, SEEK_DATA);
        if (data < 0 || (uint64_t)data >= end)
            break;
        off_t hole = lseek(n->content, data, SEEK_HOLE);
        uint64_t until = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
        have += until - (uint64_t)data;
        at = (off_t)until;
    }
    return length - have;
}

static int within_quota(const struct storage *s, const struct node *n, uint64_t offset, uint64_t length)
{
    uint64_t used = 0;
    struct stat st;
    if (!s->quota)
        return 0;
    uint64_t more = new_bytes(n, offset, length);
    for (const struct node *each = s->root.next; each; each = each->next)
        if (each->content >= 0 && fstat(each->content, &st) == 0)
            used += (uint64_t)st.st_blocks * 512;
    return more && used + more > s->quota ? -ENOSPC : 0;
}

int content_write(struct storage *s, struct node *n, uint64_t offset, const void *data, size_t length)
{
    int r = within_quota(s, n, offset, length);
    if (r == 0)
        r = write_all(n->content, data, length, offset);
    struct change c = {.kind = CHANGE_WRITE, .offset = offset, .length = length};
    return r ? r : add_change(s, n, &c, data);
}

int content_resize(struct storage *s, struct node *n, uint64_t size)
{
    struct change c = {.kind = CHANGE_SIZE, .length = size};
    return ftruncate(n->content, (off_t)size) ? -errno : add_change(s, n, &c, NULL);
}

int content_allocate(struct storage *s, struct node *n, int mode, uint64_t offset, uint64_t length)
{
    struct change c = {.kind = CHANGE_ALLOCATE, .mode = mode, .offset = offset, .length = length};
    int r = mode & FALLOC_FL_PUNCH_HOLE ? 0 : within_quota(s, n, offset, length);
    if (r == 0)
        r = allocate(n->content, mode, offset, length);
    return r ? r : add_change(s, n, &c, NULL);
}

static int apply(struct node *n, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_WRITE:
        return write_all(n->backing, c->data, c->length, c->offset);
    case CHANGE_SIZE:
        return ftruncate(n->backing, (off_t)c->length) ? -errno : 0;
    default:
        return allocate(n->backing, c->mode, c->offset, c->length);
    }
}

void content_forget(struct storage *s, struct node *n)
{
    while (n->changes) {
        struct change *c = n->changes;
        n->changes = c->next;
        free(c);
    }
    n->last_change = &n->changes;
    s->pending -= n->pending;
    n->pending = 0;
}

static int sync_attributes(struct storage *s, struct node *n)
{
    int r = tree_backing(s, n);
    if (r || !n->attributes_changed)
        return r;
    if (fchmod(n->backing, n->mode & 07777) || fchown(n->backing, n->uid, n->gid))
        return -errno;
    n->attributes_changed = 0;
    return 0;
}

int content_sync(struct storage *s, struct node *n)
{
    int r = tree_make_durable(s, n);
    if (r == 0)
        r = sync_attributes(s, n);
    for (struct change *c = n->changes; r == 0 && c; c = c->next)
        r = apply(n, c);
    content_forget(s, n);
    return r;
}

/* ---- the power cut ---- */

static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Each sector of the write by itself is there or not. */
static int apply_torn(struct node *n, const struct change *c, uint64_t *random)
{
    for (uint64_t done = 0; done < c->length;) {
        uint64_t at = c->offset + done, length = SECTOR - at % SECTOR;
        if (length > c->length - done)
            length = c->length - done;
        int r = draw(random) & 1 ? write_all(n->backing, c->data + done, length, at) : 0;
        if (r)
            return r;
        done += length;
    }
    return 0;
}

static void keep_some(struct storage *s, struct node *n, uint64_t *random, struct remains *out)
{
    if (!n->changes || tree_make_durable(s, n) || tree_backing(s, n))
        return;
    for (struct change *c = n->changes; c; c = c->next) {
        uint64_t of_ten = draw(random) % 10;
        if (of_ten < 4) {
            out->dropped++;
        } else if (of_ten < 7 || c->kind != CHANGE_WRITE) {
            out->kept++;
            apply(n, c);
        } else {
            out->torn++;
            apply_torn(n, c, random);
        }
    }
}

void content_lose_power(struct storage *s, int chosen, uint64_t seed, struct remains *out)
{
    uint64_t random = seed;
    s->power_lost = 1;
    for (struct node *n = s->root.next; n; n = n->next) {
        if (chosen && n->content >= 0)
            keep_some(s, n, &random, out);
        for (struct change *c = chosen ? NULL : n->changes; c; c = c->next)
            out->dropped++;
    }
    for (struct node *n = s->root.next; n; n = n->next) {
        if (!tree_name_pending(n))
            continue;
        /* What was replaced goes with the rename that replaced it, not by itself. */
        int keep = chosen && (draw(&random) & 1) && !(n->parent == NULL && n->replaced);
        if (keep && tree_sync_name(s, n) == 0)
            out->names++;
        else
            out->lost_names++;
    }
    tree_clear_staging(s);
}
