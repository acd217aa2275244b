/* The journal of a disk: an append-only log of epochs' writes in a file that is used over and over.
 *
 *   0      4096   8192
 *   │slot 0│slot 1│ record │ record │ ... │ jump ─┐        The two slots say where the oldest live record is. Records follow each
 *   ▲                                             │        other; a jump record says that the next one is elsewhere, where trimmed
 *   └─────────── tail continues in trimmed space ◄┘        space is. Every record has the number after its predecessor's.
 *
 * A record is header, extent table (both under header_hash), payload (payload_hash), padded to 4096 bytes so that a later write never
 * touches the device block of an earlier record. All little-endian.
 *
 * Trimmed space is written again only after the slot that trims it is durable: so recovery may replay what was applied before, but always
 * all of it up to the end, which gives the same image. Calls of one journal: append, sync and reserve by one thread; trim by any. */
#ifndef ISF_JOURNAL_H
#define ISF_JOURNAL_H

#include "disk_io.h"

#include <pthread.h>

#define JOURNAL_EXTENTS_MAX 1000u      /* of one record; header and data fit IOV_MAX */
#define JOURNAL_PAYLOAD_MAX (8u << 20) /* bytes of one record, at the most */
#define JOURNAL_SEGMENTS 16

enum journal_kind {
    JOURNAL_PART = 1, /* a part of an epoch, more follow */
    JOURNAL_END = 2,  /* the last part: the epoch is whole */
    JOURNAL_SOLO = 3, /* counts by itself: a flush that could not wait for the end of the epoch */
    JOURNAL_JUMP = 4, /* the next record is at `epoch` (as a position) */
};

struct journal_extent {
    uint64_t offset, length;
    uint32_t flags;
    const uint8_t *data; /* NULL: zeroes */
};

/* Which epoch of the VM a record ends, by the numbers that both hosts know; 0, 0: none. */
struct journal_stamp {
    uint64_t generation, epoch;
};

/* The place right after a record: everything before it can be trimmed once it is in the image. `stamp`: of the last epoch that ended before it. */
struct journal_mark {
    uint64_t position, seq;
    struct journal_stamp stamp;
};

struct journal {
    int fd;
    const struct disk_io *io;
    pthread_mutex_t lock;
    pthread_mutex_t sync_lock; /* the kernel reports a failed write-back to one caller only: so one at a time, and it sticks */
    int sync_failed;
    uint64_t image_bytes, found_image_bytes, limit, area; /* bound; end of the space in use so far */
    uint64_t run;                      /* random, new at every opening: records of other runs are void */
    uint64_t seq, tail;                /* of the next record */
    uint64_t durable_seq;              /* the last record known to be synced */
    struct journal_stamp stamp;        /* of the newest end of an epoch that was appended, or found */
    uint64_t slot_number;              /* of the newest slot written */
    int slot_dirty;                    /* it is not known to be durable */
    struct journal_mark head;          /* durable: where recovery would start */
    struct journal_mark written_head, wanted_head;
    struct journal_segment { uint64_t start, end, first_seq; } segment[JOURNAL_SEGMENTS]; /* live space, oldest first */
    int segments;
    uint64_t bytes; /* live */
    struct buffer scratch;
};

/* What recovery hands to its caller, in order; returns 0 or -errno to stop. */
typedef int journal_visit(void *context, uint64_t epoch, const struct journal_extent *extent);
struct journal_found {
    uint64_t epochs, extents, epoch; /* replayed; number of the last whole epoch */
    int dropped;                     /* a torn tail was there */
    struct journal_stamp stamp;      /* of the last whole epoch that the disk has, applied long ago or just now */
};

/* Opens or creates the file. Nothing is replayed or changed yet if it holds records. -ISF_ECORRUPT, -ISF_EVERSION, -EINVAL (of another image). */
int journal_open(struct journal *j, const char *path, uint64_t limit, uint64_t image_bytes, const struct disk_io *io, char *problem, uint32_t problem_size);
/* Hands every extent of the whole epochs to `visit` (NULL: only checks). -ISF_ECORRUPT when a record that was durable is damaged. */
int journal_replay(struct journal *j, journal_visit *visit, void *context, struct journal_found *found, char *problem, uint32_t problem_size);
/* After replay and a sync of the image: empty, durable; only the stamp is kept. Appending is allowed from here on. */
int journal_reset(struct journal *j);
void journal_close(struct journal *j);

/* Appends one record; `stamp` (NULL: none) belongs to one that ends an epoch. -EAGAIN: no room before something is trimmed, unless `grow`. */
int journal_append(struct journal *j, enum journal_kind kind, uint64_t epoch, const struct journal_extent *extents, uint32_t count, int grow,
                   const struct journal_stamp *stamp);
int journal_sync(struct journal *j);
void journal_here(struct journal *j, struct journal_mark *mark);
/* Everything before `mark` is durable in the image. Without `now` the space comes back after the next journal_sync. */
int journal_trim(struct journal *j, const struct journal_mark *mark, int now);
/* Nothing that recovery would replay. */
int journal_empty(struct journal *j);
uint64_t journal_bytes(struct journal *j);

/* ---- the format, shared by journal.c and disk_replay.c ---- */
#define JOURNAL_BLOCK 4096u
#define JOURNAL_START (2u * JOURNAL_BLOCK)
#define JOURNAL_HEADER 96u
#define JOURNAL_ENTRY 24u
#define JOURNAL_MAGIC 0x4a525349u /* "ISRJ" */
#define JOURNAL_SLOT_MAGIC 0x53525349u
/* 2: with stamps. Each version has magic, version and hash where this one has them: an older program must not take a newer head for damage. */
#define JOURNAL_VERSION 2u

struct journal_record {
    uint32_t kind, count;
    uint64_t run, seq, durable_seq, epoch, payload, payload_hash;
    struct journal_stamp stamp;
};
static inline uint64_t journal_pad(uint64_t n) { return (n + JOURNAL_BLOCK - 1) & ~(uint64_t)(JOURNAL_BLOCK - 1); }
static inline uint64_t journal_head_bytes(uint32_t count) { return journal_pad(JOURNAL_HEADER + (uint64_t)JOURNAL_ENTRY * count); }

#endif
