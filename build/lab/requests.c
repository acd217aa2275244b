/* The kernel's requests: linux/fuse.h, protocol 7.31. One thread answers them one after the other. */
#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DATA_MAX (1u << 20)
#define CACHED_S 3600 /* everything that changes here changes through the kernel that caches it */
#define PROTOCOL_MINOR 31
#define DIRENT_BYTES(length) ((offsetof(struct fuse_dirent, name) + (length) + 7) & ~(size_t)7)

struct request {
    const struct fuse_in_header *head;
    const char *body; /* what follows the header */
    size_t bytes;     /* of the body */
    struct node *node;
};

/* What an operation gives back: an error, or this many bytes of `data`. */
struct reply {
    const void *data;
    size_t bytes;
};

void *requests_buffer(size_t *bytes)
{
    *bytes = DATA_MAX + 65536;
    return malloc(*bytes);
}

static int send_reply(struct served *v, uint64_t unique, int error, const struct reply *reply)
{
    struct fuse_out_header head = {.len = (uint32_t)(sizeof head + (error ? 0 : reply->bytes)), .error = error, .unique = unique};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)(uintptr_t)reply->data, error ? 0 : reply->bytes}};
    /* ENOENT: the request was given up meanwhile. */
    return writev(v->device, parts, 2) < 0 && errno != ENOENT ? -errno : 0;
}

static struct node *node_of(struct served *v, uint64_t id)
{
    return id == FUSE_ROOT_ID ? &v->storage.root : (struct node *)(uintptr_t)id;
}

/* ---- faults ---- */

static const struct fault *fault_of(const struct served *v, enum fault_kind kind, const struct node *n)
{
    for (int i = 0; i < FAULTS; i++) {
        const struct fault *f = &v->storage.faults[i];
        if (f->kind == kind && (strcmp(f->name, "*") == 0 || (n->name && strcmp(f->name, n->name) == 0)))
            return f;
    }
    return NULL;
}

static int failing(const struct served *v, enum fault_kind kind, const struct node *n)
{
    const struct fault *f = fault_of(v, kind, n);
    return f ? -f->error : 0;
}

/* ---- attributes ---- */

static void attributes(const struct node *n, struct fuse_attr *a)
{
    struct stat st = {0};
    if (n->content >= 0)
        fstat(n->content, &st);
    *a = (struct fuse_attr){
        .ino = n->serial + 1,
        .size = (uint64_t)st.st_size,
        .blocks = (uint64_t)st.st_blocks,
        .atime = (uint64_t)st.st_atim.tv_sec,
        .mtime = (uint64_t)st.st_mtim.tv_sec,
        .ctime = (uint64_t)st.st_ctim.tv_sec,
        .atimensec = (uint32_t)st.st_atim.tv_nsec,
        .mtimensec = (uint32_t)st.st_mtim.tv_nsec,
        .ctimensec = (uint32_t)st.st_ctim.tv_nsec,
        .mode = n->mode,
        .nlink = S_ISDIR(n->mode) ? 2 : 1,
        .uid = n->uid,
        .gid = n->gid,
        .blksize = 4096,
    };
}

static void entry(struct node *n, struct fuse_entry_out *out)
{
    n->lookups++;
    *out = (struct fuse_entry_out){.nodeid = (uint64_t)(uintptr_t)n, .entry_valid = CACHED_S};
    attributes(n, &out->attr); /* not kept: blocks and times change with each write */
}

static int get_attributes(const struct node *n, struct reply *reply)
{
    static struct fuse_attr_out out;
    out = (struct fuse_attr_out){0};
    attributes(n, &out.attr);
    *reply = (struct reply){&out, sizeof out};
    return 0;
}

static int set_attributes(struct served *v, const struct request *q, struct reply *reply)
{
    const struct fuse_setattr_in *in = (const void *)q->body;
    struct node *n = q->node;
    if (in->valid & FATTR_SIZE) {
        int r = n->content < 0 ? -EISDIR : failing(v, FAULT_WRITE, n);
        if (r == 0)
            r = content_resize(&v->storage, n, in->size);
        if (r)
            return r;
    }
    if (in->valid & FATTR_MODE)
        n->mode = (n->mode & S_IFMT) | (in->mode & 07777);
    if (in->valid & FATTR_UID)
        n->uid = in->uid;
    if (in->valid & FATTR_GID)
        n->gid = in->gid;
    n->attributes_changed |= (in->valid & (FATTR_MODE | FATTR_UID | FATTR_GID)) != 0;
    if ((in->valid & (FATTR_ATIME | FATTR_MTIME)) && n->content >= 0) {
        struct timespec times[2] = {{(time_t)in->atime, in->atimensec}, {(time_t)in->mtime, in->mtimensec}};
        if (!(in->valid & FATTR_ATIME))
            times[0].tv_nsec = UTIME_OMIT;
        if (!(in->valid & FATTR_MTIME))
            times[1].tv_nsec = UTIME_OMIT;
        futimens(n->content, times);
    }
    return get_attributes(n, reply);
}

/* ---- names ---- */

static int look_up(struct served *v, const struct request *q, struct reply *reply)
{
    static struct fuse_entry_out out;
    struct node *n = tree_find(q->node, q->body, &v->storage);
    if (!n)
        return -ENOENT;
    entry(n, &out);
    *reply = (struct reply){&out, sizeof out};
    return 0;
}

static int make(struct served *v, const struct request *q, const char *name, uint32_t mode, struct fuse_entry_out *out)
{
    struct node *n;
    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return -EPERM;
    int r = tree_create(&v->storage, q->node, name, mode, &n);
    if (r)
        return r;
    n->uid = q->head->uid;
    n->gid = q->head->gid;
    entry(n, out);
    return 0;
}

static int make_node(struct served *v, const struct request *q, struct reply *reply)
{
    static struct fuse_entry_out out;
    int r;
    if (q->head->opcode == FUSE_MKDIR) {
        const struct fuse_mkdir_in *in = (const void *)q->body;
        r = make(v, q, (const char *)(in + 1), S_IFDIR | (in->mode & 07777), &out);
    } else {
        const struct fuse_mknod_in *in = (const void *)q->body;
        r = make(v, q, (const char *)(in + 1), in->mode, &out);
    }
    *reply = (struct reply){&out, sizeof out};
    return r;
}

static int create(struct served *v, const struct request *q, struct reply *reply)
{
    static struct { struct fuse_entry_out entry; struct fuse_open_out open; } out;
    const struct fuse_create_in *in = (const void *)q->body;
    out.open = (struct fuse_open_out){.open_flags = FOPEN_DIRECT_IO};
    *reply = (struct reply){&out, sizeof out};
    return make(v, q, (const char *)(in + 1), S_IFREG | (in->mode & 07777), &out.entry);
}

static int remove_name(struct served *v, const struct request *q)
{
    struct node *n = tree_find(q->node, q->body, &v->storage);
    if (!n)
        return -ENOENT;
    if (q->head->opcode == FUSE_RMDIR && !tree_is_empty(&v->storage, n))
        return -ENOTEMPTY;
    tree_unlink(n, 0);
    tree_sweep(&v->storage);
    return 0;
}

static int rename_node(struct served *v, const struct request *q)
{
    const char *names = q->body + (q->head->opcode == FUSE_RENAME ? sizeof(struct fuse_rename_in) : sizeof(struct fuse_rename2_in));
    const char *to = names + strlen(names) + 1;
    struct node *dir = node_of(v, ((const struct fuse_rename_in *)(const void *)q->body)->newdir);
    uint32_t flags = q->head->opcode == FUSE_RENAME ? 0 : ((const struct fuse_rename2_in *)(const void *)q->body)->flags;
    struct node *n = tree_find(q->node, names, &v->storage);
    if (!n)
        return -ENOENT;
    if (flags & ~1u) /* 1: RENAME_NOREPLACE */
        return -EINVAL;
    if ((flags & 1u) && tree_find(dir, to, &v->storage))
        return -EEXIST;
    int r = tree_rename(&v->storage, n, dir, to);
    tree_sweep(&v->storage);
    return r;
}

static int read_names(struct served *v, const struct request *q, struct reply *reply)
{
    static uint8_t out[65536];
    const struct fuse_read_in *in = (const void *)q->body;
    size_t used = 0, size = in->size < sizeof out ? in->size : sizeof out;
    /* In the order of the cookies, which is that of naming: what is removed meanwhile shifts nothing. */
    for (uint64_t after = in->offset;;) {
        struct node *found = NULL;
        for (struct node *n = v->storage.root.next; n; n = n->next)
            if (n->parent == q->node && n->cookie > after && (!found || n->cookie < found->cookie))
                found = n;
        size_t length = found ? strlen(found->name) : 0;
        if (!found || used + DIRENT_BYTES(length) > size)
            break;
        struct fuse_dirent *d = (void *)(out + used);
        *d = (struct fuse_dirent){.ino = found->serial + 1, .off = found->cookie, .namelen = (uint32_t)length, .type = (found->mode & S_IFMT) >> 12};
        memcpy(out + used + offsetof(struct fuse_dirent, name), found->name, length);
        after = found->cookie;
        used += DIRENT_BYTES(length);
    }
    *reply = (struct reply){out, used};
    return 0;
}

static void forget(struct served *v, uint64_t id, uint64_t count)
{
    struct node *n = node_of(v, id);
    if (n != &v->storage.root)
        n->lookups -= count < n->lookups ? count : n->lookups;
}

static void forget_all(struct served *v, const struct request *q)
{
    if (q->head->opcode == FUSE_FORGET) {
        forget(v, q->head->nodeid, ((const struct fuse_forget_in *)(const void *)q->body)->nlookup);
    } else {
        const struct fuse_batch_forget_in *in = (const void *)q->body;
        const struct fuse_forget_one *one = (const void *)(in + 1);
        for (uint32_t i = 0; i < in->count; i++)
            forget(v, one[i].nodeid, one[i].nlookup);
    }
    tree_sweep(&v->storage);
}

/* ---- content ---- */

static int read_content(struct served *v, const struct request *q, struct reply *reply)
{
    static uint8_t out[DATA_MAX];
    const struct fuse_read_in *in = (const void *)q->body;
    int r = failing(v, FAULT_READ, q->node);
    if (r)
        return r;
    ssize_t n = pread(q->node->content, out, in->size < sizeof out ? in->size : sizeof out, (off_t)in->offset);
    *reply = (struct reply){out, n < 0 ? 0 : (size_t)n};
    return n < 0 ? -errno : 0;
}

static int write_content(struct served *v, const struct request *q, struct reply *reply)
{
    static struct fuse_write_out out;
    const struct fuse_write_in *in = (const void *)q->body;
    if (in->size > q->bytes - sizeof *in)
        return -EINVAL;
    int r = failing(v, FAULT_WRITE, q->node);
    if (r == 0)
        r = content_write(&v->storage, q->node, in->offset, in + 1, in->size);
    out = (struct fuse_write_out){.size = in->size};
    *reply = (struct reply){&out, sizeof out};
    return r;
}

static int allocate_content(struct served *v, const struct request *q)
{
    const struct fuse_fallocate_in *in = (const void *)q->body;
    if (in->mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        return -EOPNOTSUPP;
    int r = failing(v, FAULT_WRITE, q->node);
    return r ? r : content_allocate(&v->storage, q->node, (int)in->mode, in->offset, in->length);
}

static int seek(const struct request *q, struct reply *reply)
{
    static struct fuse_lseek_out out;
    const struct fuse_lseek_in *in = (const void *)q->body;
    off_t at = lseek(q->node->content, (off_t)in->offset, (int)in->whence);
    out.offset = (uint64_t)at;
    *reply = (struct reply){&out, sizeof out};
    return at < 0 ? -errno : 0;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int sync_node(struct served *v, struct node *n)
{
    int r = failing(v, FAULT_SYNC, n);
    if (r)
        content_forget(&v->storage, n); /* as after a failed write-back: no later sync brings it back */
    else
        r = S_ISDIR(n->mode) ? tree_sync_names(&v->storage, n) : content_sync(&v->storage, n);
    v->storage.syncs += r == 0;
    return r;
}

/* 1: it is answered later. */
static int synchronize(struct served *v, const struct request *q)
{
    const struct fault *slow = fault_of(v, FAULT_SLOW, q->node);
    if (!slow || v->lates == (int)(sizeof v->late / sizeof *v->late))
        return sync_node(v, q->node);
    v->late[v->lates++] = (struct late){now_ms() + slow->ms, q->head->unique, q->node};
    return 1;
}

int requests_late(struct served *v)
{
    static const struct reply nothing;
    uint64_t now = now_ms(), next = UINT64_MAX;
    for (int i = 0; i < v->lates;) {
        struct late late = v->late[i];
        if (late.due_ms > now) {
            next = late.due_ms < next ? late.due_ms : next;
            i++;
            continue;
        }
        v->late[i] = v->late[--v->lates];
        send_reply(v, late.unique, sync_node(v, late.node), &nothing);
    }
    return next == UINT64_MAX ? -1 : (int)(next - now);
}

/* ---- all of them ---- */

static int begin(struct served *v, const struct request *q, struct reply *reply)
{
    static struct fuse_init_out out;
    const struct fuse_init_in *in = (const void *)q->body;
    (void)v;
    out = (struct fuse_init_out){
        .major = FUSE_KERNEL_VERSION,
        .minor = PROTOCOL_MINOR,
        .max_readahead = in->max_readahead,
        /* No locks among these: the kernel then keeps them itself. */
        .flags = in->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_DIO),
        .max_background = 64,
        .congestion_threshold = 48,
        .max_write = DATA_MAX,
        .time_gran = 1,
        .max_pages = DATA_MAX / 4096,
    };
    *reply = (struct reply){&out, sizeof out};
    return in->major == FUSE_KERNEL_VERSION && in->minor >= PROTOCOL_MINOR ? 0 : -EPROTO;
}

static int file_system(struct reply *reply)
{
    static struct fuse_statfs_out out = {.st = {.blocks = 1u << 28, .bfree = 1u << 27, .bavail = 1u << 27, .bsize = 4096, .frsize = 4096, .namelen = 255}};
    *reply = (struct reply){&out, sizeof out};
    return 0;
}

static int open_node(struct reply *reply, uint32_t flags)
{
    static struct fuse_open_out out;
    out = (struct fuse_open_out){.open_flags = flags};
    *reply = (struct reply){&out, sizeof out};
    return 0;
}

static int dispatch(struct served *v, const struct request *q, struct reply *reply)
{
    switch (q->head->opcode) {
    case FUSE_INIT: return begin(v, q, reply);
    case FUSE_STATFS: return file_system(reply);
    case FUSE_LOOKUP: return look_up(v, q, reply);
    case FUSE_GETATTR: return get_attributes(q->node, reply);
    case FUSE_SETATTR: return set_attributes(v, q, reply);
    case FUSE_MKNOD:
    case FUSE_MKDIR: return make_node(v, q, reply);
    case FUSE_CREATE: return create(v, q, reply);
    case FUSE_UNLINK:
    case FUSE_RMDIR: return remove_name(v, q);
    case FUSE_RENAME:
    case FUSE_RENAME2: return rename_node(v, q);
    case FUSE_OPEN: return open_node(reply, FOPEN_DIRECT_IO);
    case FUSE_OPENDIR: return open_node(reply, 0);
    case FUSE_READDIR: return read_names(v, q, reply);
    case FUSE_READ: return read_content(v, q, reply);
    case FUSE_WRITE: return write_content(v, q, reply);
    case FUSE_FALLOCATE: return allocate_content(v, q);
    case FUSE_LSEEK: return seek(q, reply);
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR: return synchronize(v, q);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR: return 0;
    default: return -ENOSYS;
    }
}

int requests_answer(struct served *v, const void *buffer, size_t bytes)
{
    const struct fuse_in_header *head = buffer;
    struct request q = {head, (const char *)(head + 1), bytes - sizeof *head, NULL};
    struct reply reply = {0};
    if (bytes < sizeof *head || head->len != bytes)
        return -EPROTO;
    if (head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET) {
        forget_all(v, &q);
        return 0;
    }
    if (head->opcode == FUSE_INTERRUPT)
        return 0; /* what is slow ends by itself */
    q.node = node_of(v, head->nodeid);
    int r = dispatch(v, &q, &reply);
    return r > 0 ? 0 : send_reply(v, head->unique, r, &reply);
}
