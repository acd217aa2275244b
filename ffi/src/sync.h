/* One first sync or resync while it runs; on the checkpoint thread. What outlives it (which pages and chunks the backup is not known to
 * have) is in the engine. */
#ifndef ISF_SYNC_H
#define ISF_SYNC_H

#include "engine.h"

#define SYNC_BATCH 128u           /* pages in one frame */
#define HASH_WAIT_US 10000000u    /* a backup that answers nothing for this long does not take part any more */

struct sync {
    struct isf_engine *e;
    uint8_t *pages;               /* SYNC_BATCH of them, copied: the guest goes on writing */
    uint64_t numbers[SYNC_BATCH];
    uint32_t count, round;
    enum sync_phase { PHASE_MEMORY = 1, PHASE_DISK } phase;
    uint64_t done, total, sent, skipped; /* bytes: dealt with; to deal with; on the line; that the backup had, by hash */
    uint64_t reported_us, reported_done, reported_sent, done_rate, sent_rate; /* rates: bytes per second, of the last second or so */
    uint64_t allowed_us;          /* when the next frame may go, by isf_sync_rate */
};

/* ---- sync_line.c ---- */
/* Negative when the sync cannot go on: its line was lost, or something else is wanted. */
int sync_broken(struct isf_engine *e);
/* The status page and the event, if it is time; or `now`. */
void sync_progress(struct sync *s, int now);
/* A frame that is not acknowledged. */
int sync_send(struct isf_engine *e, uint32_t flags, uint64_t epoch, const struct iovec *parts, int count);
/* A frame of pages or of a disk: waits until few enough are on their way, and for the rate. Takes piece->numbers over. */
int sync_send_piece(struct sync *s, uint32_t flags, const struct iovec *parts, int count, struct sync_piece *piece);

/* Pages that were taken from the tracker, or are in an epoch that was not committed: the backup is not known to have them. */
void sync_mark_lost(struct isf_engine *e, const struct tracker_run *run);

/* ---- sync_disk.c ---- */
/* All that changed, in passes, while the guest goes on writing. */
int sync_disks(struct sync *s, int changed_only);
/* The disks stand still from here on: the rest goes over while writes collect in the log of the first epoch. */
int sync_freeze_disks(struct sync *s);
/* How much that is, before it begins. */
uint64_t sync_disks_bytes(struct isf_engine *e, int changed_only);

#endif
