#include "failpoint.h"
#include "journal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA_FIRST (16ull << 20) /* the space grows from here, so that a small load stays in a small, warm part of the file */

#define SLOT_HASHED 72u

/* ---- the two slots ---- */

static int write_slot(struct journal *j, const struct journal_mark *head)
{
    uint8_t slot[JOURNAL_BLOCK] = {0};
    uint64_t number = j->slot_number + 1;
    put_le32(slot, JOURNAL_SLOT_MAGIC);
    put_le32(slot + 4, JOURNAL_VERSION);
    put_le64(slot + 8, number);
    put_le64(slot + 16, j->run);
    put_le64(slot + 24, head->position);
    put_le64(slot + 32, head->seq);
    put_le64(slot + 40, j->durable_seq);
    put_le64(slot + 48, j->image_bytes);
    put_le64(slot + 56, head->stamp.generation);
    put_le64(slot + 64, head->stamp.epoch);
    put_le64(slot + SLOT_HASHED, XXH64(slot, SLOT_HASHED, 0));
    int r = disk_io_write(j->io, j->fd, slot, sizeof slot, (number & 1) * JOURNAL_BLOCK);
    if (r)
        return r;
    j->slot_number = number;
    j->slot_dirty = 1;
    j->written_head = *head;
    return 0;
}

/* 1: valid and taken into `j`; 0: not; -ISF_EVERSION. */
static int take_slot(struct journal *j, const uint8_t *slot)
{
    if (get_le32(slot) != JOURNAL_SLOT_MAGIC || get_le64(slot + SLOT_HASHED) != XXH64(slot, SLOT_HASHED, 0))
        return 0;
    if (get_le32(slot + 4) != JOURNAL_VERSION)
        return -ISF_EVERSION;
    if (get_le64(slot + 8) <= j->slot_number)
        return 1;
    j->slot_number = get_le64(slot + 8);
    j->run = get_le64(slot + 16);
    j->head = (struct journal_mark){get_le64(slot + 24), get_le64(slot + 32), {get_le64(slot + 56), get_le64(slot + 64)}};
    j->durable_seq = get_le64(slot + 40);
    j->found_image_bytes = get_le64(slot + 48);
    return 1;
}

/* True when the file was made but never used: space is taken before the first slot is written, and a record comes only after a durable slot. */
static int never_used(struct journal *j, const uint8_t *slots, uint64_t file_bytes)
{
    uint8_t first[JOURNAL_BLOCK] = {0};
    if (file_bytes > JOURNAL_START) {
        uint64_t have = file_bytes - JOURNAL_START < sizeof first ? file_bytes - JOURNAL_START : sizeof first;
        if (disk_io_read(j->io, j->fd, first, have, JOURNAL_START))
            return 0;
    }
    for (size_t i = 0; i < JOURNAL_START; i++)
        if (slots[i] || first[i % sizeof first])
            return 0;
    return 1;
}

/* 1: has a valid slot; 0: a new file. */
static int read_slots(struct journal *j, const char *path, char *problem, uint32_t size)
{
    uint8_t slots[2 * JOURNAL_BLOCK] = {0};
    struct stat st;
    if (fstat(j->fd, &st))
        return -errno;
    uint64_t have = (uint64_t)st.st_size < sizeof slots ? (uint64_t)st.st_size : sizeof slots;
    int r = have ? disk_io_read(j->io, j->fd, slots, have, 0) : 0;
    if (r) {
        snprintf(problem, size, "The journal %s cannot be read (%s): check the storage below it.", path, strerror(-r));
        return r;
    }
    int a = take_slot(j, slots), b = take_slot(j, slots + JOURNAL_BLOCK);
    if (a < 0 || b < 0) {
        uint32_t version = get_le32((a < 0 ? slots : slots + JOURNAL_BLOCK) + 4);
        snprintf(problem, size, "The journal %s is of version %u, and this program reads version %u: use the %s iservft-edge that wrote it. Nothing was changed.",
                 path, version, JOURNAL_VERSION, version > JOURNAL_VERSION ? "newer" : "older");
        return -ISF_EVERSION;
    }
    if (a || b)
        return 1;
    if ((uint64_t)st.st_size <= JOURNAL_START || never_used(j, slots, (uint64_t)st.st_size))
        return 0; /* it died while it was created */
    snprintf(problem, size,
             "Both heads of the journal %s are damaged: copy the disk from the other host, or move the journal away to start from the image as it is.", path);
    return -ISF_ECORRUPT;
}

static int sync_directory(const char *path)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) ? -errno : 0;
    close(fd);
    return r;
}

static void live_bytes(struct journal *j)
{
    j->bytes = 0;
    for (int i = 0; i < j->segments; i++)
        j->bytes += j->segment[i].end - j->segment[i].start;
}

int journal_open(struct journal *j, const char *path, uint64_t limit, uint64_t image_bytes, const struct disk_io *io, char *problem, uint32_t problem_size)
{
    *j = (struct journal){.fd = -1, .io = io, .limit = limit};
    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->sync_lock, NULL);
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = j->fd < 0 ? -errno : 0;
    if (r) {
        snprintf(problem, problem_size, "The journal %s cannot be opened (%s): make its folder writable.", path, strerror(-r));
        goto out;
    }
    r = read_slots(j, path, problem, problem_size);
    if (r < 0)
        goto out;
    int fresh = r == 0;
    if (fresh)
        j->head = (struct journal_mark){JOURNAL_START, 0, {0, 0}}, j->found_image_bytes = image_bytes;
    j->image_bytes = image_bytes;
    r = fresh ? sync_directory(path) : 0;
    if (r)
        snprintf(problem, problem_size, "The folder of the journal %s cannot be synced (%s): check the storage below it.", path, strerror(-r));
out:
    if (r)
        journal_close(j);
    return r;
}

int journal_reset(struct journal *j)
{
    struct journal_mark start = {JOURNAL_START, 1, j->stamp};
    int r;
    /* Unguessable: a guest's own data must never look like a record of this run (think of a guest that runs this program). */
    if (getrandom(&j->run, sizeof j->run, 0) != sizeof j->run)
        return -EIO;
    j->seq = 1;
    j->tail = JOURNAL_START;
    j->durable_seq = 0;
    j->segments = 0;
    j->bytes = 0;
    j->area = j->limit < AREA_FIRST ? j->limit : AREA_FIRST;
    /* Space costs a metadata commit when it is first written, and failing here is better than failing later. */
    if (fallocate(j->fd, 0, 0, (off_t)j->area) && errno == ENOSPC)
        return -ENOSPC;
    for (int i = 0; i < 2; i++) { /* both slots: an old one would name a void run */
        r = write_slot(j, &start);
        if (r == 0)
            r = disk_io_sync(j->io, j->fd);
        if (r)
            return r;
    }
    j->slot_dirty = 0;
    j->head = j->written_head = j->wanted_head = start;
    /* What a large epoch made it grow to goes back; only now, since the old slots counted on it. */
    return ftruncate(j->fd, (off_t)j->area) ? -errno : 0;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    buffer_free(&j->scratch);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->sync_lock);
}

/* ---- space ---- */

/* Where the current segment must end: the next live segment above it, or the end of the area. */
static uint64_t boundary(const struct journal *j)
{
    uint64_t end = UINT64_MAX;
    for (int i = 0; i < j->segments; i++)
        if (j->segment[i].start >= j->tail && j->segment[i].start < end)
            end = j->segment[i].start;
    return end;
}

static uint64_t lowest_live(const struct journal *j)
{
    uint64_t low = UINT64_MAX;
    for (int i = 0; i < j->segments; i++)
        if (j->segment[i].start < low)
            low = j->segment[i].start;
    return low;
}

static uint64_t highest_live(const struct journal *j)
{
    uint64_t high = JOURNAL_START;
    for (int i = 0; i < j->segments; i++)
        if (j->segment[i].end > high)
            high = j->segment[i].end;
    return high > j->tail ? high : j->tail;
}

/* Where a record of `need` bytes (and a later jump) goes: a position, or 0 when there is no room. */
static uint64_t find_room(struct journal *j, uint64_t need, int grow)
{
    uint64_t want = need + JOURNAL_BLOCK, end = boundary(j), low = lowest_live(j);
    if (j->tail + want <= (end < j->area ? end : j->area))
        return j->tail;
    if (low > j->tail)
        low = j->tail; /* all is trimmed: what must be left alone is the jump that will be written here */
    if (JOURNAL_START + want <= low && j->segments < JOURNAL_SEGMENTS - 1)
        return JOURNAL_START;
    uint64_t at = end == UINT64_MAX ? j->tail : highest_live(j);
    if (at != j->tail && j->segments >= JOURNAL_SEGMENTS - 1)
        return 0;
    if (at + want > j->limit && !grow)
        return 0;
    uint64_t area = at + want > j->area * 2 ? at + want : j->area * 2;
    if (!grow && area > j->limit)
        area = j->limit;
    j->area = area;
    return at;
}

static void claim(struct journal *j, uint64_t position, uint64_t end)
{
    struct journal_segment *last = j->segments ? &j->segment[j->segments - 1] : NULL;
    if (last && last->end == position)
        last->end = end;
    else
        j->segment[j->segments++] = (struct journal_segment){position, end, j->seq};
    j->tail = end;
    live_bytes(j);
}

/* ---- append ---- */

static int build_header(struct journal *j, const struct journal_record *r, const struct journal_extent *extents)
{
    uint64_t bytes = journal_head_bytes(r->count);
    j->scratch.length = 0;
    int e = buffer_reserve(&j->scratch, bytes);
    if (e)
        return e;
    uint8_t *h = j->scratch.data, *t = h + JOURNAL_HEADER;
    memset(h, 0, bytes);
    put_le32(h, JOURNAL_MAGIC);
    put_le32(h + 4, JOURNAL_VERSION);
    put_le32(h + 8, r->kind);
    put_le32(h + 12, r->count);
    put_le64(h + 16, r->run);
    put_le64(h + 24, r->seq);
    put_le64(h + 32, r->durable_seq);
    put_le64(h + 40, r->epoch);
    put_le64(h + 48, r->payload);
    put_le64(h + 56, r->payload_hash);
    put_le64(h + 72, r->stamp.generation);
    put_le64(h + 80, r->stamp.epoch);
    for (uint32_t i = 0; i < r->count; i++, t += JOURNAL_ENTRY) {
        put_le64(t, extents[i].offset);
        put_le64(t + 8, extents[i].length);
        put_le32(t + 16, extents[i].flags);
        put_le32(t + 20, extents[i].data ? 1 : 0);
    }
    put_le64(h + 64, XXH64(h, bytes, 0)); /* with the hash's own place still zero */
    j->scratch.length = bytes;
    return 0;
}

static int put_record(struct journal *j, uint64_t position, struct journal_record *r, const struct journal_extent *extents)
{
    static const uint8_t padding[JOURNAL_BLOCK];
    struct iovec parts[JOURNAL_EXTENTS_MAX + 2];
    XXH64_state_t hash;
    int n = 1;
    XXH64_reset(&hash, 0);
    for (uint32_t i = 0; i < r->count; i++) {
        if (!extents[i].data)
            continue;
        parts[n++] = (struct iovec){(void *)(uintptr_t)extents[i].data, extents[i].length};
        XXH64_update(&hash, extents[i].data, extents[i].length);
        r->payload += extents[i].length;
    }
    r->payload_hash = XXH64_digest(&hash);
    int e = build_header(j, r, extents);
    if (e)
        return e;
    parts[0] = (struct iovec){j->scratch.data, j->scratch.length};
    size_t pad = journal_pad(r->payload) - r->payload;
    if (pad)
        parts[n++] = (struct iovec){(void *)(uintptr_t)padding, pad};
    return disk_io_writev(j->io, j->fd, parts, n, position);
}

static int put_jump(struct journal *j, uint64_t from, uint64_t to)
{
    struct journal_record jump = {.kind = JOURNAL_JUMP, .run = j->run, .seq = j->seq, .durable_seq = j->durable_seq, .epoch = to};
    return put_record(j, from, &jump, NULL);
}

int journal_append(struct journal *j, enum journal_kind kind, uint64_t epoch, const struct journal_extent *extents, uint32_t count, int grow,
                   const struct journal_stamp *stamp)
{
    struct journal_record record = {.kind = kind, .count = count, .run = j->run, .epoch = epoch};
    if (stamp)
        record.stamp = *stamp;
    uint64_t need = journal_head_bytes(count), payload = 0;
    if (count > JOURNAL_EXTENTS_MAX)
        return -EINVAL;
    for (uint32_t i = 0; i < count; i++)
        payload += extents[i].data ? extents[i].length : 0;
    if (payload > JOURNAL_PAYLOAD_MAX)
        return -EINVAL;
    need += journal_pad(payload);
    pthread_mutex_lock(&j->lock);
    int r = 0;
    uint64_t from = j->tail, at = find_room(j, need, grow);
    if (!at) {
        r = -EAGAIN;
        goto out;
    }
    if (at != from) { /* its room was kept free by every append before */
        r = put_jump(j, from, at);
        if (r)
            goto out;
        claim(j, from, from + JOURNAL_BLOCK);
        j->seq++;
    }
    record.seq = j->seq;
    record.durable_seq = j->durable_seq;
    claim(j, at, at + need);
    j->seq++;
    r = put_record(j, at, &record, extents);
    if (stamp)
        j->stamp = *stamp;
out:
    pthread_mutex_unlock(&j->lock);
    return r;
}

/* ---- sync and trim ---- */

/* A slot is durable: recovery starts at `head` from now on, and what is before it is free. */
static void free_before(struct journal *j, const struct journal_mark *head)
{
    int gone = 0;
    j->head = *head;
    while (gone < j->segments && (gone + 1 < j->segments ? j->segment[gone + 1].first_seq : j->seq) <= head->seq)
        gone++;
    /* A head that stands at the jump's end is the start of the next segment; a segment that is used up is gone as a whole. */
    memmove(j->segment, j->segment + gone, (size_t)(j->segments - gone) * sizeof *j->segment);
    j->segments -= gone;
    if (j->segments && head->position > j->segment[0].start && head->position < j->segment[0].end)
        j->segment[0].start = head->position;
    live_bytes(j);
}

static int slot_for_wanted(struct journal *j)
{
    if (j->slot_dirty || j->wanted_head.seq <= j->written_head.seq)
        return 0;
    return write_slot(j, &j->wanted_head);
}

static int sync_once(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t seq = j->seq - 1, number = j->slot_number;
    struct journal_mark head = j->written_head;
    int had_slot = j->slot_dirty;
    pthread_mutex_unlock(&j->lock);
    int r = j->sync_failed;
    if (r == 0 && !failpoint_breaks(FAIL_JOURNAL_UNSYNCED))
        r = j->sync_failed = disk_io_sync(j->io, j->fd);
    pthread_mutex_lock(&j->lock);
    if (r == 0) {
        if (seq > j->durable_seq)
            j->durable_seq = seq;
        if (had_slot && j->slot_dirty && number == j->slot_number) {
            j->slot_dirty = 0;
            free_before(j, &head);
        }
        r = slot_for_wanted(j);
    }
    pthread_mutex_unlock(&j->lock);
    return r;
}

int journal_sync(struct journal *j)
{
    pthread_mutex_lock(&j->sync_lock);
    int r = sync_once(j);
    pthread_mutex_unlock(&j->sync_lock);
    return r;
}

void journal_here(struct journal *j, struct journal_mark *mark)
{
    pthread_mutex_lock(&j->lock);
    *mark = (struct journal_mark){j->tail, j->seq, j->stamp};
    pthread_mutex_unlock(&j->lock);
}

int journal_trim(struct journal *j, const struct journal_mark *mark, int now)
{
    pthread_mutex_lock(&j->lock);
    if (mark->seq > j->wanted_head.seq)
        j->wanted_head = *mark;
    int r = slot_for_wanted(j);
    int more = j->head.seq < j->wanted_head.seq;
    pthread_mutex_unlock(&j->lock);
    for (int i = 0; r == 0 && now && more && i < 4; i++) {
        r = journal_sync(j);
        pthread_mutex_lock(&j->lock);
        more = j->head.seq < j->wanted_head.seq;
        pthread_mutex_unlock(&j->lock);
    }
    return r;
}

int journal_empty(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    int empty = j->head.seq == j->seq;
    pthread_mutex_unlock(&j->lock);
    return empty;
}

uint64_t journal_bytes(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t bytes = j->bytes;
    pthread_mutex_unlock(&j->lock);
    return bytes;
}
