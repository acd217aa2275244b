/* The engine of one VM: what its parts share. Who owns what:
 *
 *   thread            runs                      waits for
 *   isf-checkpoint    checkpoint.c, sync.c, pace.c      the gate, its clock, `kick`
 *   isf-sender        sender.c                  `wake`: epochs, disk extents, a link that came or went
 *   isf-link-a/b      link.c -> receive.c       frames
 *   isf-copier        copier.c                  `isf-checkpoint`, in a large checkpoint
 *   isf-ticker        ticker.c                  its clock (10 ms)
 *   gate, disk, heartbeat threads               their own
 *
 * Locks, in this order: `turn`, `lock` (mode, epochs, links), `standby.lock`, `release_lock`. No call into a part that waits for one of its
 * threads (x_close) is made under any of them. */
#ifndef ISF_ENGINE_H
#define ISF_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "../iservft.h"
#include "blocks.h"
#include "codec.h"
#include "copier.h"
#include "disk.h"
#include "events.h"
#include "gate.h"
#include "heartbeat.h"
#include "link.h"
#include "qmp.h"
#include "tracker.h"
#include "watchdog.h"

#define ENGINE_DISKS 8
#define ENGINE_NICS 8
#define ENGINE_STAGES 2           /* checkpoints copied and not yet encoded */
#define ENGINE_INFLIGHT_MAX 16
#define ENGINE_INFLIGHT_BYTES (512ull << 20)
#define ENGINE_SAMPLES 1024       /* for percentiles */

/* Digests of a verifying checkpoint (XXH64). */
struct digests { uint64_t memory, blocks, device, disk; };

/* The dirty pages of one checkpoint, copied while the VM stood still: data[i] is page numbers[i]. Reserved for all pages. */
struct stage {
    uint8_t *data;
    uint64_t *numbers;
    uint64_t pages, capacity;
    _Atomic int busy;
};

struct batch { size_t offset, length; };

/* One epoch from its checkpoint to its commit. */
struct epoch {
    struct epoch *next;
    uint64_t number, trigger_us, dirty_pages, device_bytes, disk_extents;
    struct stage *stage;          /* until it is encoded */
    struct tracker_run *runs;     /* what it would take to send it again from memory */
    uint32_t run_count;
    struct buffer wire;           /* encoded batches, kept until the commit: a link may be lost */
    struct batch *batches;
    uint32_t batch_count;
    int encoded, verify, final, has_disk, noted;
    struct digests digests;
};

struct samples { uint32_t count, next; uint32_t value[ENGINE_SAMPLES]; };

/* What a sync has sent, frame by frame, and the backup has not yet said to have taken in. */
#define SYNC_PIECES 256u          /* on their way, at the most */
struct sync_piece {
    uint64_t *numbers;            /* of pages; NULL: a run of a disk */
    uint32_t count;
    int disk;
    uint64_t offset, length;
    size_t bytes;                 /* on the line */
};
struct sync_record { struct sync_piece piece[SYNC_PIECES]; uint64_t sent, acked, bytes; };

/* What the checkpoint thread is asked to do, and does. */
enum worker { WORKER_PARKED, WORKER_SYNC, WORKER_RUN, WORKER_HANDING, WORKER_END };

struct rhythm { uint32_t min_us, max_us, dirty_pages, inflight, stall_us; };

/* Degraded protection: a VM that is held, output that leaves early. */
struct pace {
    _Atomic uint32_t percent;     /* of isf_throttle */
    uint64_t from_us;             /* end of the last hold */
    int64_t ran_us;               /* how long the VM ran that no hold has made up for; the checkpoint thread's */
    _Atomic uint64_t holds, held_us;
    _Atomic int asynchronous;     /* as in isf_status */
    uint64_t synchronous_at;      /* with the lock, while asynchronous is 2: this epoch's commit ends it */
    uint64_t state_us;            /* with the lock: when the newest committed checkpoint was taken; 0: none */
    uint64_t seen_held_us, share_at_us; /* the ticker's last look at the share */
};

/* The backup's side: an epoch in parts. */
struct staged_batch { struct staged_batch *next; int32_t pages; uint64_t *numbers; uint8_t *data; };
struct standby {
    pthread_mutex_t lock;
    int active, whole, epochs_open; /* epochs_open: the disks are in EPOCHS mode */
    int rx_link;                    /* epochs are taken from this line only */
    int keepable;                   /* what is here is all that came, in order: a sync that was broken off can go on */
    uint64_t sync_frames, sync_told, sync_bytes; /* frames of pages and disks taken in; those acknowledged; bytes since */
    int is_void;                    /* a part of the sync was lost: nothing of this generation is taken any more */
    uint64_t restart;               /* the newest SYNC_RESTART's number: a late one on the other line changes nothing */
    uint64_t generation, term, committed;
    uint64_t first_term;            /* in which it began; `term` is newer when the primary went on asynchronously */
    struct staged_batch *first, *last, *spare;
    uint64_t staged_frames, staged_extents, staged_pages;
    uint8_t *blocks;                /* the copy of QEMU's other RAM blocks, and of the device state behind them */
    uint64_t first_block_page;      /* page number of blocks[0] */
    uint8_t *touched;               /* per page of `blocks`: written since the last restore */
    uint64_t device_bytes;
    struct decoder *decoder;
    int withheld;                   /* commits are not told */
    _Atomic int tell_durable;       /* a journal got further: the primary is to know */
};

struct isf_engine {
    pthread_mutex_t lock;
    pthread_cond_t wake, parked;
    struct isf_status *status;
    struct events events;
    pthread_mutex_t problem_lock;
    char run_dir[96], problem[512];
    uint8_t secret[WIRE_KEY];
    _Atomic int mode;             /* enum isf_mode */
    _Atomic uint64_t generation, term;
    _Atomic uint64_t oldest_term; /* frames of older ones are refused: that in which this generation began */
    _Atomic int no_output_commit;

    int memfd;
    uint8_t *ram;
    uint64_t ram_bytes;

    struct disk *disk[ENGINE_DISKS];
    struct disk_slot { struct isf_engine *e; int index; } disk_slot[ENGINE_DISKS];
    struct disk_cursor cursor[ENGINE_DISKS];
    _Atomic int disks;            /* those before it are whole: the ticker looks while others are added */
    struct gate *gate[ENGINE_NICS];
    _Atomic int nics;
    struct link *_Atomic link[2];
    _Atomic int link_up[2], active; /* active: -1 = none */
    _Atomic uint64_t link_rate;   /* of the active one, bytes per second; 0: not known */
    uint64_t link_up_since_us[2];
    struct heartbeat *_Atomic heartbeat;
    struct heartbeat_path path[HEARTBEAT_PATHS];
    char path_text[HEARTBEAT_PATHS][2][64];
    _Atomic uint32_t silence_us;
    uint32_t interval_us;
    struct heartbeat_word word;
    _Atomic int vm_here;          /* the runner said so: role ISF_VM_HERE in a term */
    struct watchdog *watchdog;

    /* QEMU */
    pid_t qemu_pid;
    int uffd, fifo;
    char fifo_path[108], armed[160];
    int armed_length, is_armed;
    pthread_mutex_t qmp_lock;     /* the monitor, while the checkpoint thread is parked: attach, detach, or its watch */
    int watched;
    struct qmp qmp;
    struct blocks blocks;
    struct tracker *tracker;
    int common;                   /* `lost` and the tracker together are all that differs from the backup's copy, whole or in the making */

    /* checkpoint thread */
    unsigned long checkpoint_thread, sender_thread, ticker_thread;
    int kick;                     /* eventfd */
    _Atomic int output_waits;
    enum worker want, doing;
    int changed_only, first_commit; /* first_commit: this generation has had one */
    int copy_all;                 /* the first checkpoint takes every page along */
    int sync_void;                /* the backup does not have all of this generation's sync */
    int sent_any;                 /* this generation has had an epoch: the backup may be whole */
    int broken, encoder_broke;    /* negative: no more of this generation can be protected, for an epoch would be missing; the sender found it */
    uint64_t line_losses, sync_losses; /* of the active line; their number when the sync began */
    _Atomic int verify_wanted;
    _Atomic int epochs_begun;     /* since the last isf_solo epochs were sent: the backup may be whole */
    struct rhythm rhythm;
    struct pace pace;
    struct stage stage[ENGINE_STAGES];
    struct copier *copier;
    uint8_t *device;              /* BLOCKS_DEVICE_PAGES pages */
    struct samples pauses, commits;
    uint8_t *lost;                /* bitmap: pages that the backup is not known to have, of those that the tracker does not tell */
    uint8_t *there;               /* bitmap: pages that may be something else than zero on the backup */
    struct sync_record record;
    int disk_compare[ENGINE_DISKS]; /* what is marked changed may be equal on the backup: compared before it is sent */
    _Atomic uint64_t sync_rate;   /* bytes per second; 0: as fast as the line takes it */
    uint64_t open_epoch;
    uint64_t resumed_us;
    struct buffer sync_wire;
    uint64_t *hashes;             /* of the backup, for one region of a disk */
    uint64_t hash_first, hash_count;
    int hash_disk, hash_ready;

    /* sender */
    struct epoch *first, *last;   /* not committed, ascending */
    uint32_t inflight;
    uint64_t inflight_bytes, send_epoch;
    int send_reset, sending;      /* sending: epochs go out */
    uint64_t restarts;
    int work;                     /* something came since the sender looked */
    pthread_mutex_t turn;         /* held by the sender while it uses epochs and extents; taken before `lock` */
    _Atomic uint64_t reaped;      /* newest epoch that was freed */
    struct encoder *encoder;
    struct codec_stats codec;
    uint64_t page_bytes;
    int stalled;

    /* release of output */
    pthread_mutex_t release_lock;
    uint64_t committed, remote_durable, released;
    uint64_t release_generation;  /* these are of its epochs */
    uint64_t disk_mark;           /* newest epoch that wrote to a disk */

    struct standby standby;
    _Atomic int ending;
    _Atomic uint64_t refused;
    pthread_mutex_t peer_lock;    /* `heard`, and what the status page says of the peer; taken first of all */
    struct heartbeat_word heard;
};

/* ---- engine.c ---- */
/* Remembers a sentence for isf_problem and returns `code`. */
int engine_problem(struct isf_engine *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
void engine_mode(struct isf_engine *e, enum isf_mode mode);
void engine_gates(struct isf_engine *e, enum gate_mode mode);
void engine_kick(struct isf_engine *e);
static inline int page_test(const uint8_t *bitmap, uint64_t page) { return bitmap[page >> 3] >> (page & 7) & 1; }
static inline void page_set(uint8_t *bitmap, uint64_t page) { bitmap[page >> 3] |= (uint8_t)(1u << (page & 7)); }
static inline void page_clear(uint8_t *bitmap, uint64_t page) { bitmap[page >> 3] &= (uint8_t)~(1u << (page & 7)); }
/* The status page is read while it is written, also by TypeScript: whole fields. */
static inline void status_set(uint64_t *field, uint64_t value) { __atomic_store_n(field, value, __ATOMIC_RELAXED); }
/* For a field that only this thread writes. */
static inline void status_add(uint64_t *field, uint64_t more) { status_set(field, *field + more); }
/* Samples are added and copied with `lock`. */
void samples_add(struct samples *s, uint64_t value);
/* The value below which `permille` of the samples lie. */
uint64_t samples_quantile(const struct samples *s, uint32_t permille);
/* Sends one frame on the active line with the engine's generation and term. 0, -ISF_ELINK, -errno. */
int engine_send(struct isf_engine *e, uint16_t type, uint32_t flags, uint64_t epoch, const struct iovec *parts, int count);
/* Opens replication line `index` with the engine's secret, or one that was ended (link_end) anew. 0, -EINVAL, -errno. */
struct engine_line { const char *local, *peer; uint16_t port; int listen; };
int engine_line(struct isf_engine *e, int index, const struct engine_line *line);
/* Reserves a stage or standby area for `pages` pages without using memory. NULL: out of address space. */
void *engine_reserve(uint64_t bytes);

/* ---- callbacks.c: given to the parts ---- */
void engine_on_link(void *engine, int index, int up, int reason);
void engine_on_path(void *engine, int path, int alive);
void engine_on_peer(void *engine, int silent, int lan_answers);
void engine_on_stall(void *engine, uint64_t gap_us);
void engine_on_output(void *engine);
uint64_t engine_lease(void *engine);
void engine_on_gate_qemu(void *engine, int connected);
void engine_on_log(void *disk_slot);
void engine_on_durable(void *disk_slot, uint64_t epoch);
void engine_on_disk_error(void *disk_slot, int error, const char *what);
void engine_on_qmp(void *engine, const char *line, size_t length);

/* ---- checkpoint.c ---- */
void *checkpoint_run(void *engine);
/* What it is asked to do now. */
enum worker checkpoint_wanted(struct isf_engine *e);
/* Asks the checkpoint thread to do `want` and, with wait_us, waits until it does (or was parked meanwhile). 0 or -ETIMEDOUT. */
int checkpoint_want(struct isf_engine *e, enum worker want, uint64_t wait_us);
void epoch_free(struct isf_engine *e, struct epoch *epoch);

/* ---- ended.c ---- */
/* True for a result that says that QEMU is not there any more, or hangs. */
int qemu_is_lost(int code);
/* A sync or protection ended by itself with `code` (`was`: what the checkpoint thread did last): parks it, puts the engine into the mode in
 * which the decision finds it, and says so, unless something else is wanted meanwhile. */
void protection_ended(struct isf_engine *e, enum worker was, int code);

/* ---- device_state.c ---- */
#define QEMU_BOUND_US 5000000u /* QEMU may take this long to stop or to finish: beyond it, it hangs */
/* Gives QEMU the command for the next checkpoint but for its last brace. 0 or negative. */
int device_arm(struct isf_engine *e);
/* So small that QEMU cannot finish before we let it. */
int device_pipe_small(struct isf_engine *e);
/* QEMU cannot stop the VM while a write waits for room in a disk's log: lets these through. */
void device_release_disks(struct isf_engine *e);
/* Waits until QEMU has written the first bytes. Returns their number, or negative. */
ssize_t device_await(struct isf_engine *e);
/* Lets QEMU write the rest and waits for its answer. Returns the length of the device state, or negative. */
int64_t device_drain(struct isf_engine *e, size_t have);
/* 0: QEMU was held by the pipe until device_drain, so the VM stood still; else negative: what was copied may be of no one moment. */
int device_held(struct isf_engine *e, ssize_t first, int64_t bytes);
/* Completes the armed command without a use for its result, so that another can be given. */
int device_disarm(struct isf_engine *e);

/* ---- sync.c ---- */
/* First sync or resync, on the checkpoint thread. 0: the disks are in EPOCHS mode and only a checkpoint is missing; else negative. */
int sync_run(struct isf_engine *e, int changed_only);
/* Marks the pages of all uncommitted epochs and what of a sync was not acknowledged as missing, and frees these. With `lock`. */
void sync_remember_lost(struct isf_engine *e);
/* The backup has taken in `count` frames of this generation's sync. 0 or -ISF_ECORRUPT. */
int sync_acknowledged(struct isf_engine *e, uint64_t count);
/* The backup has all of the sync. With `lock`. */
void sync_forget_pieces(struct isf_engine *e);

/* ---- sender.c ---- */
void *sender_run(void *engine);
/* The newest epoch of `generation` that both hosts hold is `epoch`, and the backup's journals hold up to `durable`. One of another
 * generation than that whose output waits means nothing: whoever was about to report it stood still meanwhile. */
void sender_committed(struct isf_engine *e, uint64_t generation, uint64_t epoch, uint64_t durable);
/* Releases what may leave. */
void sender_release(struct isf_engine *e);
/* Stops sending; what is not committed goes to `lost`. A send that hangs is broken off. */
void sender_stop(struct isf_engine *e);

/* ---- pace.c ---- */
/* How long until isf_throttle wants the VM held, in microseconds; UINT64_MAX: never. Of the checkpoint thread, as the next two. */
uint64_t pace_hold_due(const struct isf_engine *e);
/* The VM stood still at `now_us` for a checkpoint. */
void pace_stopped(struct isf_engine *e, uint64_t now_us);
/* Holds the VM for up to 20 ms, or until something else is wanted. 0, or negative when QEMU is lost. */
int pace_hold(struct isf_engine *e);
/* With the lock: an epoch was committed. True when all that was let out while asynchronous is so now. */
int pace_committed(struct isf_engine *e, const struct epoch *done);
/* Asynchronous protection is over, because protection is. */
void pace_reset(struct isf_engine *e);
void pace_status(struct isf_engine *e, struct isf_status *s, unsigned tick);

/* ---- receive.c ---- */
int receive_frame(void *engine, int link, const struct frame *f, uint8_t *payload);

/* ---- standby.c ---- */
int standby_frame(struct isf_engine *e, int link, const struct frame *f, uint8_t *payload);
int standby_open(struct isf_engine *e, uint64_t generation, uint64_t term, int keep);
void standby_discard(struct standby *s);
void standby_close(struct isf_engine *e);
void standby_acknowledge(struct isf_engine *e, int verified);
/* Withholds the commits, or tells the newest and goes on. */
void standby_commits(struct isf_engine *e, int on);
/* Tells the primary how far the journals are, if that is due. Never waits: whoever holds the standby's lock may wait for the very
 * journal that reports; the holder tells it then, or the ticker. */
void standby_tell_durable(struct isf_engine *e);

/* ---- digest.c ---- */
/* Memory and disks as they are now; device state and blocks from `device` and (NULL: QEMU's own, else the copy) `blocks`. */
int digest_all(struct isf_engine *e, const uint8_t *device, uint64_t device_bytes, const uint8_t *blocks, struct digests *out);

/* ---- ticker.c ---- */
void *ticker_run(void *engine);

/* ---- payloads: every field of FRAME_DISK, FRAME_END, FRAME_COMMIT, FRAME_SYNC (docs/wire.md) ---- */
#define DISK_HEADER 24u   /* disk 4, flags 4, offset 8, length 8; then data unless flags & PAYLOAD_ZERO */
#define PAYLOAD_ZERO 0x100u
#define END_PAYLOAD 72u   /* page frames 8, pages 8, disk extents 8, device bytes 8, flags 4, addresses length 4, digests 4 x 8; then addresses: per NIC length 4, bytes */
#define END_VERIFY 1u
#define END_FINAL 2u      /* switchover: the VM stands still after this one */
#define COMMIT_PAYLOAD 12u /* durable 8, verified 4 */
#define VERIFIED_MEMORY 1u
#define VERIFIED_BLOCKS 2u
#define VERIFIED_DEVICE 4u
#define VERIFIED_DISK 8u
#define VERIFIED_DONE 16u

enum sync_kind {           /* FRAME_SYNC's flags */
    SYNC_PAGES = 1,        /* a codec batch */
    SYNC_DISK,             /* as FRAME_DISK */
    SYNC_EPOCHS,           /* the disks stand still: the frame's epoch is the first one open */
    SYNC_RESTART,          /* epochs come from here on on this line, beginning with the frame's epoch; payload: a growing number, 8 */
    SYNC_HASH_ASK,         /* disk 4, first chunk 8, count 4 */
    SYNC_HASHES,           /* the same, then count hashes of 8 */
    SYNC_VOID,             /* backup to primary: epochs came, but SYNC_EPOCHS did not: the sync is to begin again */
    SYNC_ACK,              /* backup to primary: so many SYNC_PAGES and SYNC_DISK of this generation are taken in, 8 */
};
#define RESTART_PAYLOAD 8u
#define ACK_PAYLOAD 8u
#define HASH_HEADER 16u
#define HASH_REGION 1024u  /* chunks asked for at once */

#endif
