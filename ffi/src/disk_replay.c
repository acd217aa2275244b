/* Recovery: finds the last whole epoch in the journal and hands out what leads to it, in order.
 *
 * A record that is missing or damaged ends the journal: after a power loss that is the torn tail, which nobody was told of. But when the
 * slot, or a later record, says that this record had been durable, storage lost what it had promised: that is corruption, and the image
 * without it would be an older disk than what the guest was told is safe. */
#include "journal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct scan {
    struct journal *j;
    uint64_t file_bytes;
    uint8_t *head; /* header and table of the record at hand */
    uint8_t *payload;
    struct journal_record record;
};

#define HEAD_MAX ((JOURNAL_HEADER + JOURNAL_ENTRY * JOURNAL_EXTENTS_MAX + JOURNAL_BLOCK - 1) / JOURNAL_BLOCK * JOURNAL_BLOCK)

static void decode(const uint8_t *h, struct journal_record *r)
{
    r->kind = get_le32(h + 8);
    r->count = get_le32(h + 12);
    r->run = get_le64(h + 16);
    r->seq = get_le64(h + 24);
    r->durable_seq = get_le64(h + 32);
    r->epoch = get_le64(h + 40);
    r->payload = get_le64(h + 48);
    r->payload_hash = get_le64(h + 56);
    r->stamp = (struct journal_stamp){get_le64(h + 72), get_le64(h + 80)};
}

/* The extents lie within the image and add up to the payload. */
static int table_fits(const struct scan *s)
{
    const uint8_t *t = s->head + JOURNAL_HEADER;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s->record.count; i++, t += JOURNAL_ENTRY) {
        uint64_t offset = get_le64(t), length = get_le64(t + 8);
        if (offset > s->j->found_image_bytes || length > s->j->found_image_bytes - offset)
            return 0;
        if (get_le32(t + 20)) {
            if (length > s->record.payload - sum)
                return 0;
            sum += length;
        }
    }
    return sum == s->record.payload;
}

/* Reads header and table at `position`. 1: a valid one of this run; 0: none; -errno. */
static int read_head(struct scan *s, uint64_t position)
{
    struct journal_record *r = &s->record;
    if (position < JOURNAL_START || position % JOURNAL_BLOCK || position > s->file_bytes || s->file_bytes - position < JOURNAL_BLOCK)
        return 0;
    int e = disk_io_read(s->j->io, s->j->fd, s->head, JOURNAL_BLOCK, position);
    if (e)
        return e;
    if (get_le32(s->head) != JOURNAL_MAGIC || get_le32(s->head + 4) != JOURNAL_VERSION)
        return 0;
    decode(s->head, r);
    if (r->kind < JOURNAL_PART || r->kind > JOURNAL_JUMP || r->count > JOURNAL_EXTENTS_MAX || r->payload > JOURNAL_PAYLOAD_MAX || r->run != s->j->run)
        return 0;
    uint64_t bytes = journal_head_bytes(r->count);
    if (bytes + journal_pad(r->payload) > s->file_bytes - position)
        return 0;
    if (bytes > JOURNAL_BLOCK)
        e = disk_io_read(s->j->io, s->j->fd, s->head + JOURNAL_BLOCK, bytes - JOURNAL_BLOCK, position + JOURNAL_BLOCK);
    if (e)
        return e;
    uint64_t hash = get_le64(s->head + 64);
    put_le64(s->head + 64, 0);
    return hash == XXH64(s->head, bytes, 0) && table_fits(s);
}

/* The whole record `seq` at `position`. 1, 0 or -errno. */
static int read_record(struct scan *s, uint64_t position, uint64_t seq)
{
    int r = read_head(s, position);
    if (r <= 0 || s->record.seq != seq)
        return r < 0 ? r : 0;
    if (s->record.payload) {
        int e = disk_io_read(s->j->io, s->j->fd, s->payload, s->record.payload, position + journal_head_bytes(s->record.count));
        if (e)
            return e;
    }
    return s->record.payload_hash == XXH64(s->payload, s->record.payload, 0);
}

static uint64_t after(const struct scan *s, uint64_t position)
{
    if (s->record.kind == JOURNAL_JUMP)
        return s->record.epoch;
    return position + journal_head_bytes(s->record.count) + journal_pad(s->record.payload);
}

/* Does any record in the file prove that record `seq` had been durable? 1, 0 or -errno. */
static int was_durable(struct scan *s, uint64_t seq)
{
    if (s->j->durable_seq >= seq)
        return 1;
    for (uint64_t at = JOURNAL_START; at + JOURNAL_BLOCK <= s->file_bytes; at += JOURNAL_BLOCK) {
        int r = read_head(s, at);
        if (r < 0)
            return r;
        if (r == 1 && s->record.seq > seq && s->record.durable_seq >= seq)
            return 1;
    }
    return 0;
}

/* Finds the end: *last = number of the last record of a whole epoch (or the one before the first). */
static int find_end(struct scan *s, uint64_t *last, struct journal_found *found, char *problem, uint32_t size)
{
    uint64_t at = s->j->head.position, seq = s->j->head.seq, part = 0;
    int r;
    *last = seq - 1;
    while ((r = read_record(s, at, seq)) == 1) {
        const struct journal_record *x = &s->record;
        if (part && x->epoch != part && x->kind != JOURNAL_JUMP) { /* never written so; see it as the end rather than mix epochs */
            r = 0;
            break;
        }
        if (x->kind == JOURNAL_PART)
            part = x->epoch;
        if (x->kind == JOURNAL_END || x->kind == JOURNAL_SOLO) {
            *last = seq;
            part = 0;
            found->epochs += x->kind == JOURNAL_END;
            found->epoch = x->epoch;
            if (x->stamp.generation)
                found->stamp = x->stamp;
        }
        at = after(s, at);
        seq++;
    }
    found->dropped = part != 0;
    if (r == 0)
        r = was_durable(s, seq);
    if (r == 1) {
        snprintf(problem, size,
                 "The journal is damaged at record %llu, which had been safe on storage: the image alone is older than what the guest was told. "
                 "Copy the disk from the other host, or move the journal away to start from the image as it is.", (unsigned long long)seq);
        return -ISF_ECORRUPT;
    }
    if (r < 0)
        snprintf(problem, size, "The journal cannot be read (%s): check the storage below it.", strerror(-r));
    return r;
}

static int visit_record(struct scan *s, journal_visit *visit, void *context, struct journal_found *found)
{
    const uint8_t *t = s->head + JOURNAL_HEADER, *data = s->payload;
    for (uint32_t i = 0; i < s->record.count; i++, t += JOURNAL_ENTRY) {
        struct journal_extent x = {get_le64(t), get_le64(t + 8), get_le32(t + 16), NULL};
        if (get_le32(t + 20)) {
            x.data = data;
            data += x.length;
        }
        found->extents++;
        int r = visit ? visit(context, s->record.epoch, &x) : 0;
        if (r)
            return r;
    }
    return 0;
}

static int hand_out(struct scan *s, uint64_t last, journal_visit *visit, void *context, struct journal_found *found, char *problem, uint32_t size)
{
    uint64_t at = s->j->head.position;
    for (uint64_t seq = s->j->head.seq; seq <= last; seq++) {
        int r = read_record(s, at, seq);
        if (r == 0)
            r = -EIO; /* it was readable a moment ago */
        if (r == 1 && s->record.count && s->j->found_image_bytes != s->j->image_bytes) {
            snprintf(problem, size, "The journal is of an image of %llu bytes, and this one has %llu: name the right image, or move the journal away.",
                     (unsigned long long)s->j->found_image_bytes, (unsigned long long)s->j->image_bytes);
            return -EINVAL;
        }
        if (r == 1)
            r = visit_record(s, visit, context, found);
        if (r < 0) {
            snprintf(problem, size, "The journal cannot be replayed into the image (%s): check the storage below both.", strerror(-r));
            return r;
        }
        at = after(s, at);
    }
    return 0;
}

int journal_replay(struct journal *j, journal_visit *visit, void *context, struct journal_found *found, char *problem, uint32_t problem_size)
{
    struct stat st;
    struct scan s = {.j = j, .head = malloc(HEAD_MAX), .payload = malloc(JOURNAL_PAYLOAD_MAX)};
    uint64_t last = 0;
    int r = s.head && s.payload ? 0 : -ENOMEM;
    *found = (struct journal_found){.stamp = j->head.stamp};
    if (r == 0 && fstat(j->fd, &st))
        r = -errno;
    if (r == 0 && j->head.seq) { /* 0: a new file */
        s.file_bytes = (uint64_t)st.st_size;
        r = find_end(&s, &last, found, problem, problem_size);
        if (r == 0)
            r = hand_out(&s, last, visit, context, found, problem, problem_size);
    }
    j->stamp = found->stamp;
    free(s.head);
    free(s.payload);
    return r;
}
