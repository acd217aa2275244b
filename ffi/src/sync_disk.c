/* A sync's disks: chunks that are marked changed go over, those that the backup has already (by hash) left out; then the disk stands still
 * (EPOCHS), and the rest goes over. */
#include "sync.h"

#include <stdlib.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PASSES_MAX 8
#define LITTLE_DISK (4u << 20)

/* Asks the backup for the hashes of the region that holds `chunk`. */
static int ask_hashes(struct isf_engine *e, int disk, uint64_t first, uint32_t count)
{
    uint8_t ask[HASH_HEADER];
    put_le32(ask, (uint32_t)disk);
    put_le64(ask + 4, first);
    put_le32(ask + 12, count);
    pthread_mutex_lock(&e->lock);
    e->hash_disk = disk;
    e->hash_first = first;
    e->hash_count = count;
    e->hash_ready = 0;
    pthread_mutex_unlock(&e->lock);
    struct iovec part = { ask, sizeof ask };
    return sync_send(e, SYNC_HASH_ASK, 0, &part, 1);
}

/* Has the backup's hashes of the region that holds `chunk`, or waits for them. */
static int need_hashes(struct sync *s, int disk, uint64_t chunk)
{
    struct isf_engine *e = s->e;
    uint64_t chunks = (disk_bytes(e->disk[disk]) + DISK_CHUNK - 1) / DISK_CHUNK;
    uint64_t first = chunk - chunk % HASH_REGION, deadline = isf_now_us() + HASH_WAIT_US;
    if (e->hash_disk == disk && e->hash_first == first && e->hash_ready)
        return 0;
    int r = ask_hashes(e, disk, first, (uint32_t)(chunks - first < HASH_REGION ? chunks - first : HASH_REGION));
    while (r == 0) {
        pthread_mutex_lock(&e->lock);
        int ready = e->hash_ready;
        pthread_mutex_unlock(&e->lock);
        if (ready)
            return 0;
        r = sync_broken(e);
        if (r == 0 && isf_now_us() > deadline)
            r = engine_problem(e, -ISF_ELIMIT, "the backup did not answer for its disk within 10 s");
        if (r == 0)
            usleep(500);
    }
    return r;
}

static int send_disk(struct sync *s, int disk, uint64_t offset, uint64_t length, const uint8_t *data)
{
    uint8_t head[DISK_HEADER];
    struct sync_piece piece = { .disk = disk, .offset = offset, .length = length };
    put_le32(head, (uint32_t)disk);
    put_le32(head + 4, data ? 0 : PAYLOAD_ZERO);
    put_le64(head + 8, offset);
    put_le64(head + 16, length);
    struct iovec parts[2] = { { head, sizeof head }, { (void *)(uintptr_t)data, data ? length : 0 } };
    return sync_send_piece(s, SYNC_DISK, parts, data ? 2 : 1, &piece);
}

/* One changed run, of which *done bytes were dealt with: each chunk whose hash differs from the backup's. `compare` = 0: all of it. */
static int copy_run(struct sync *s, int disk, uint64_t offset, uint64_t length, uint8_t *data, int compare, uint64_t *done)
{
    struct isf_engine *e = s->e;
    for (*done = 0; *done < length;) {
        uint64_t at = offset + *done, left = length - *done;
        uint32_t n = (uint32_t)(left < DISK_CHUNK ? left : DISK_CHUNK);
        int zero = 0, r = compare ? need_hashes(s, disk, at / DISK_CHUNK) : sync_broken(e);
        if (r == 0)
            r = disk_read(e->disk[disk], at, n, data, &zero);
        if (r)
            return r;
        if (compare && XXH64(data, n, 0) == e->hashes[at / DISK_CHUNK - e->hash_first])
            s->skipped += n;
        else
            r = send_disk(s, disk, at, n, zero ? NULL : data);
        if (r)
            return r;
        s->done += n;
        *done += n;
        sync_progress(s, 0);
    }
    return 0;
}

static int copy_changed(struct sync *s, int disk, int compare)
{
    struct isf_engine *e = s->e;
    uint8_t *data = malloc(DISK_CHUNK);
    uint64_t offset = 0, length, done;
    int r = data ? 0 : -ENOMEM;
    e->hash_ready = 0;
    while (r == 0 && disk_changed_take(e->disk[disk], &offset, &length)) {
        r = copy_run(s, disk, offset, length, data, compare, &done);
        if (r) /* what was taken and not sent is missing still */
            disk_changed_again(e->disk[disk], offset + done, length - done);
        offset += length;
    }
    free(data);
    return r;
}

/* A disk of which this engine has not synced to this backup before, or whose record has a gap: everything is compared. */
static int begin_disk(struct isf_engine *e, int disk, int changed_only)
{
    if (changed_only && disk_changed_exact(e->disk[disk]))
        return 0;
    e->disk_compare[disk] = 1;
    return disk_changed_begin(e->disk[disk], 1);
}

int sync_disks(struct sync *s, int changed_only)
{
    struct isf_engine *e = s->e;
    s->phase = PHASE_DISK;
    for (int i = 0; i < e->disks; i++) {
        int r = begin_disk(e, i, changed_only);
        for (int pass = 0; r == 0 && pass < PASSES_MAX; pass++) {
            if (pass && disk_changed_bytes(e->disk[i]) <= LITTLE_DISK)
                break;
            r = copy_changed(s, i, e->disk_compare[i]);
            if (r == 0) /* a later attempt goes on comparing where this one stopped */
                e->disk_compare[i] = 0;
        }
        if (r)
            return r;
    }
    return 0;
}

int sync_freeze_disks(struct sync *s)
{
    struct isf_engine *e = s->e;
    int r = 0;
    for (int i = 0; r == 0 && i < e->disks; i++) {
        disk_generation(e->disk[i], atomic_load(&e->generation));
        r = disk_epochs(e->disk[i], e->open_epoch, 1);
    }
    for (int i = 0; r == 0 && i < e->disks; i++)
        r = copy_changed(s, i, 0);
    return r;
}

uint64_t sync_disks_bytes(struct isf_engine *e, int changed_only)
{
    uint64_t bytes = 0;
    for (int i = 0; i < e->disks; i++)
        bytes += changed_only && disk_changed_exact(e->disk[i]) ? disk_changed_bytes(e->disk[i]) : disk_bytes(e->disk[i]);
    return bytes;
}
