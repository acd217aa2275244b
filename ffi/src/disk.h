/* One disk of the guest: an NBD export over a raw image, with an epoch log and a journal.
 *
 *   QEMU ── NBD (unix socket) ──► epoch log (memory) ──► journal ──► image
 *                                     └──► disk_next(): to the backup, at once
 *
 * DIRECT (unprotected, solo): a write goes to the image, FLUSH is fdatasync; the changed-bitmap is kept if it was begun.
 * EPOCHS (protected): a write goes into the log of the open epoch; reads look there first. disk_barrier() closes the
 * epoch; its writes are journalled (append, fdatasync; one sync for all epochs waiting) at once, and applied to the image
 * only after disk_commit(). So image + journal is always exactly one whole epoch. On the backup the log is filled by
 * disk_stage() instead of NBD, and then goes the same way. The image is never written by a part of an epoch.
 *
 * Data moves in the log as extents; whoever is overwritten later in the same epoch may be dropped from it. */
#ifndef ISF_DISK_H
#define ISF_DISK_H

#include "base.h"

#define DISK_EXTENT_MAX (1u << 20) /* bytes of data in one extent of the log, at the most */
#define DISK_CHUNK (64u << 10)     /* granule of the changed-bitmap, of hashes, of sync */

struct disk;
struct disk_io;

struct disk_config {
    const char *image;      /* raw file or block device; size a multiple of 512, at most 16 TiB; locked (OFD lock) against a second user */
    const char *journal;    /* path; created, preallocated */
    uint64_t journal_bytes; /* 0 = 256 MiB (the file grows to it as needed, beyond it only for what is not committed, which log_bytes bounds) */
    const char *bitmap;     /* path of the persistent changed-bitmap */
    const char *socket;     /* unix socket of the NBD export, or NULL */
    const char *export_name;
    uint64_t log_bytes;     /* bound of the log in memory, 0 = 256 MiB; beyond it NBD writes wait (back-pressure, see disk_release) */
    void *context;
    void (*on_log)(void *context);                     /* something for disk_next() */
    void (*on_durable)(void *context, uint64_t epoch); /* all writes of epochs <= epoch are in the journal, synced */
    void (*on_error)(void *context, int error, const char *what); /* image or journal failed: no commit from here on */
    const struct disk_io *io; /* NULL; tests put their own system calls here (disk_io.h) */
};

/* Opens, replays the journal (whole epochs only), starts the NBD server. `problem` gets one sentence with what to do.
 * -ENOENT, -EBUSY (another process has it), -EROFS, -EINVAL (size), -ISF_ECORRUPT (journal), ... */
int disk_open(struct disk **out, const struct disk_config *config, char *problem, uint32_t problem_size);
void disk_close(struct disk *d);
uint64_t disk_bytes(const struct disk *d);

/* ---- modes ---- */
/* To DIRECT: everything logged so far counts as committed, is journalled and applied, then writes go straight through. Returns
 * when new writes do; what was logged may still be on its way (reads see it). */
int disk_direct(struct disk *d);
/* To EPOCHS: the image stands still from here on; epoch `first` is open. While `waits` is set FLUSH (and FUA) wait for the journal
 * (not yet protected); without, FLUSH is answered at once. */
int disk_epochs(struct disk *d, uint64_t first, int waits);
void disk_flush_waits(struct disk *d, int waits);
/* Waits until all that was written before the call is durable on this host: as a guest's flush that waits. 0, -ETIMEDOUT (5 s) or
 * -errno. */
int disk_flush_now(struct disk *d);
/* Which generation the epochs of the next disk_epochs() are of: written into the journal, for disk_found(). */
void disk_generation(struct disk *d, uint64_t generation);
/* The newest whole epoch that the disk had when it was opened, after its journal was replayed; of generation 0: none is known. What was written in
 * DIRECT mode since is not counted. An epoch that wrote nothing leaves no trace. */
void disk_found(struct disk *d, uint64_t *generation, uint64_t *epoch);
/* In EPOCHS mode writes wait when the log is full; QEMU cannot stop the VM while they do. Lets all writes through until the next barrier: to be called
 * before a checkpoint that is triggered while stats.log_bytes is high. (Without it they go on after 250 ms, up to twice log_bytes.) */
void disk_release(struct disk *d);

/* After a failure (on_error; every call gives its error since): empties journal and log and goes to DIRECT, if the storage below takes it again;
 * else -errno, and the failure stays. For a copy that will be made anew: what was in the journal is gone, and the image may be in the midst of an
 * epoch. No request is under way. Without a failure it does nothing. */
int disk_mend(struct disk *d);

/* ---- the epoch log ---- */
/* Closes the open epoch (which must be `epoch`) and opens epoch + 1. QEMU is stopped and no request is under way. Returns the
 * number of extents in it (0: nothing to sync). Must be fast: no I/O. */
int64_t disk_barrier(struct disk *d, uint64_t epoch);
/* The next extent for the backup, in order, the open epoch's included. data == NULL: zeroes (or a hole, flags & 1). The data stays valid
 * until disk_commit(epoch) or disk_direct(). Returns 1, or 0: nothing now (epoch of the cursor is the open one and all is taken, or
 * the cursor's epoch is closed and done: *epoch_done = 1, and the cursor moves to the next epoch). */
struct disk_cursor { uint64_t epoch, index; };
struct disk_extent { uint64_t epoch, offset, length; uint32_t flags; const uint8_t *data; };
#define DISK_HOLE 1u /* the range may be deallocated */
int disk_next(struct disk *d, struct disk_cursor *cursor, struct disk_extent *out, int *epoch_done);
/* Epochs <= epoch are committed: they may be applied. */
void disk_commit(struct disk *d, uint64_t epoch);
/* The newest epoch up to which every write is durable in this host's journal (or there was none to write). */
uint64_t disk_durable(struct disk *d);

/* ---- backup ---- */
/* Adds an extent to the log of `epoch` (the open one, as of disk_epochs/disk_barrier). Data is copied. length <= DISK_EXTENT_MAX,
 * or any length when data == NULL. -EINVAL when outside the disk. */
int disk_stage(struct disk *d, uint64_t epoch, uint64_t offset, uint64_t length, const uint8_t *data, uint32_t flags);
/* Drops what is staged in the open epoch: it never became whole. */
void disk_discard(struct disk *d);

/* ---- sync ---- */
/* From now on (persistently) remembers which chunks change, from an empty (all = 0) or a full (all = 1) bitmap. In DIRECT mode each write marks its
 * chunks. In EPOCHS mode writes go over by disk_next() and mark nothing; when disk_direct() ends it, what the epochs after the last commit
 * wrote is marked. The first disk_commit() while FLUSH does not wait (protected, both hosts have it) begins anew by itself, from an empty
 * bitmap, on either host; never begin an empty one after disk_direct(), it would forget the last, unacknowledged epochs. */
int disk_changed_begin(struct disk *d, int all);
/* The bitmap misses no change since its begin, also across restarts and crashes. Starts the taking over: what an aborted sync took comes again. */
int disk_changed_trusted(struct disk *d);
/* The same question, and nothing starts: what was taken by a sync and reached the backup does not come again. */
int disk_changed_exact(struct disk *d);
/* What was taken did not reach the backup: it comes again. */
void disk_changed_again(struct disk *d, uint64_t offset, uint64_t length);
/* Takes the next run of changed chunks at or after *offset: clears them and returns 1 with offset/length (<= 1 MiB); 0 at the end. A write
 * that comes while it is being copied marks it again. */
int disk_changed_take(struct disk *d, uint64_t *offset, uint64_t *length);
uint64_t disk_changed_bytes(struct disk *d);
/* Present content (log, then image). length <= DISK_EXTENT_MAX. Sets *zero when it is a hole or all zero. 0 or -errno. */
int disk_read(struct disk *d, uint64_t offset, uint32_t length, uint8_t *out, int *zero);
/* For the backup during a sync: straight into the image, outside any epoch. Durable after disk_sync(). */
int disk_write_sync(struct disk *d, uint64_t offset, uint64_t length, const uint8_t *data);
/* fdatasync of the image, at the end of a sync. */
int disk_sync(struct disk *d);
/* XXH64 of each chunk in [first, first+count): for comparison after doubt. Holes cost nothing. */
int disk_hashes(struct disk *d, uint64_t first, uint32_t count, uint64_t *out);
/* One digest of the whole content as a reader would see it now (log included). The disk must stand still. */
int disk_digest(struct disk *d, uint64_t *digest);

struct disk_stats { uint64_t reads, writes, flushes, read_bytes, write_bytes, log_bytes, journal_bytes, syncs, sync_us_last, applied_epoch, durable_epoch; };
void disk_read_stats(struct disk *d, struct disk_stats *s);

#endif
