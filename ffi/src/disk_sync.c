/* What a first sync, a resync and a comparison need. */
#include "disk_state.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>

int disk_changed_begin(struct disk *d, int all)
{
    return bitmap_begin(&d->bitmap, all);
}

int disk_changed_trusted(struct disk *d)
{
    return bitmap_restart(&d->bitmap);
}

int disk_changed_exact(struct disk *d)
{
    return bitmap_trusted(&d->bitmap);
}

void disk_changed_again(struct disk *d, uint64_t offset, uint64_t length)
{
    bitmap_after(&d->bitmap, offset, length);
}

int disk_changed_take(struct disk *d, uint64_t *offset, uint64_t *length)
{
    return bitmap_take(&d->bitmap, offset, length);
}

uint64_t disk_changed_bytes(struct disk *d)
{
    return bitmap_bytes(&d->bitmap);
}

static int all_zero(const uint8_t *data, size_t length)
{
    return length == 0 || (data[0] == 0 && memcmp(data, data + 1, length - 1) == 0);
}

/* Where the image's next data was, and how many epochs had left the log then. */
struct holes {
    uint64_t data_at, retired;
};

/* A hole that the log does not cover. What was asked before is still true while no epoch left the log: what became data since then is in
 * the log still. */
static int is_hole(struct disk *d, uint64_t offset, uint64_t length, struct holes *h)
{
    pthread_mutex_lock(&d->lock);
    int touched = log_touches(&d->log, offset, length);
    uint64_t retired = d->retired;
    pthread_mutex_unlock(&d->lock);
    if (touched)
        return 0;
    if (h->retired != retired || h->data_at < offset + length)
        *h = (struct holes){image_next_data(&d->image, offset), retired};
    return h->data_at >= offset + length;
}

int disk_read(struct disk *d, uint64_t offset, uint32_t length, uint8_t *out, int *zero)
{
    struct holes holes = {0};
    if ((offset | length) % IMAGE_SECTOR || offset > d->image.bytes || length > d->image.bytes - offset)
        return -EINVAL;
    if (is_hole(d, offset, length, &holes)) {
        memset(out, 0, length);
        *zero = 1;
        return 0;
    }
    int r = disk_present(d, offset, length, out);
    *zero = r == 0 && all_zero(out, length);
    return r;
}

int disk_write_sync(struct disk *d, uint64_t offset, uint64_t length, const uint8_t *data)
{
    if ((offset | length) % IMAGE_SECTOR || offset > d->image.bytes || length > d->image.bytes - offset)
        return -EINVAL;
    /* Old records must not be replayed over this. While epochs wait in the log they cannot go; then the copy is not whole anyway. */
    pthread_mutex_lock(&d->lock);
    while (d->mode == DISK_DRAINING && !d->failed) /* what was logged before this must not reach the image after it */
        pthread_cond_wait(&d->room, &d->lock);
    int r = d->failed, idle = d->log.first == d->log.open && d->log.open->count == d->log.open->journalled;
    if (r == 0 && idle && d->mode == DISK_EPOCHS && !journal_empty(&d->journal)) {
        d->need_room = 1;
        pthread_cond_signal(&d->apply);
        while (d->need_room && !d->failed)
            pthread_cond_wait(&d->room, &d->lock);
        r = d->failed;
    }
    pthread_mutex_unlock(&d->lock);
    if (r == 0)
        r = bitmap_before(&d->bitmap, offset, length);
    if (r == 0)
        r = data ? image_write(&d->image, offset, length, data) : image_zero(&d->image, offset, length, 1);
    bitmap_after(&d->bitmap, offset, length);
    return r; /* not image_dirty: a copy in the making is synced once, at its end, not at every journal round */
}

int disk_sync(struct disk *d)
{
    return disk_image_sync(d);
}

/* The log is empty, and was so when the hole was found. */
static int nothing_logged(struct disk *d, const struct holes *h)
{
    pthread_mutex_lock(&d->lock);
    int nothing = d->log.block_nodes + d->log.region_nodes == 0 && d->retired == h->retired;
    pthread_mutex_unlock(&d->lock);
    return nothing;
}

/* What a pass over chunks keeps. */
struct pass {
    struct holes holes;
    uint64_t zero_hash; /* of a whole chunk of zeroes */
    uint8_t *buffer;
};

static int pass_begin(struct pass *p)
{
    *p = (struct pass){.buffer = calloc(1, DISK_CHUNK)};
    if (!p->buffer)
        return -ENOMEM;
    p->zero_hash = XXH64(p->buffer, DISK_CHUNK, 0);
    return 0;
}

/* The chunk's hash; *zero says that it is all zeroes. */
static int hash_chunk(struct disk *d, struct pass *p, uint64_t chunk, uint64_t *hash, int *zero)
{
    uint64_t offset = chunk * DISK_CHUNK, left = d->image.bytes - offset;
    size_t length = left < DISK_CHUNK ? (size_t)left : DISK_CHUNK;
    int r = 0;
    *zero = is_hole(d, offset, length, &p->holes);
    if (*zero && length == DISK_CHUNK) {
        *hash = p->zero_hash;
        return 0;
    }
    if (*zero)
        memset(p->buffer, 0, length);
    else
        r = disk_present(d, offset, length, p->buffer);
    if (r == 0) {
        *hash = XXH64(p->buffer, length, 0);
        *zero = all_zero(p->buffer, length);
    }
    return r;
}

int disk_hashes(struct disk *d, uint64_t first, uint32_t count, uint64_t *out)
{
    uint64_t chunks = (d->image.bytes + DISK_CHUNK - 1) / DISK_CHUNK;
    struct pass pass;
    int zero;
    if (first > chunks || count > chunks - first)
        return -EINVAL;
    int r = pass_begin(&pass);
    for (uint32_t i = 0; r == 0 && i < count; i++)
        r = hash_chunk(d, &pass, first + i, &out[i], &zero);
    free(pass.buffer);
    return r;
}

int disk_digest(struct disk *d, uint64_t *digest)
{
    uint64_t chunks = (d->image.bytes + DISK_CHUNK - 1) / DISK_CHUNK, hash, sum = d->image.bytes;
    uint8_t entry[16];
    struct pass pass;
    int zero, r = pass_begin(&pass);
    for (uint64_t c = 0; r == 0 && c < chunks; c++) {
        r = hash_chunk(d, &pass, c, &hash, &zero);
        if (r == 0 && zero && pass.holes.data_at / DISK_CHUNK > c && nothing_logged(d, &pass.holes))
            c = pass.holes.data_at / DISK_CHUNK - 1; /* the rest of the hole */
        if (r || zero) /* zeroes count by their absence: holes or not, both hosts agree */
            continue;
        put_le64(entry, c);
        put_le64(entry + 8, hash);
        sum = XXH64(entry, sizeof entry, sum);
    }
    *digest = sum;
    free(pass.buffer);
    return r;
}
