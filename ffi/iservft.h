/* libiservft: the engine of one protected VM. This header is the contract with TypeScript (symbols.ts) and its
 * documentation.
 *
 * Rules. A result >= 0 is a result, < 0 is -errno or -ISF_E... (src/base.h; isf_error_text). Strings are NUL-terminated UTF-8,
 * borrowed for the call. Handles come from isf_engine_new and end with isf_engine_free. Any function may be called from any
 * thread unless it says otherwise. Calls are short (below 1 ms) unless marked SLOW: call those with nonblocking.
 *
 * Events come as lines of JSON on a unix stream socket, `events.sock` in the run directory (one reader): each has "event" and "t_us"
 * (CLOCK_MONOTONIC). Counters are in the status page, which is read without a call.
 *
 *   event        fields                                 when
 *   path         path 0..2, alive                       a heartbeat path went alive or dead
 *   peer         silent, lan_answers                    all paths silent / one alive again / LAN answer changed
 *   own_stall    gap_us                                 this host's own heartbeats stood still for so long that the peer may have found it silent
 *   link         link 0|1, up, reason                   a replication line came up or was lost; reason: text
 *   control      message                                JSON that the other runner sent by isf_control
 *   active       link                                   data moved to this line
 *   sync         phase, round, bytes_done, bytes_total, bytes_sent, bytes_skipped, rate_bytes_s, eta_s  progress, some 5 times a second
 *   protected    epoch                                  the first epoch of this generation committed: the backup is whole
 *   whole        epoch                                  (backup) the same, seen from the other side
 *   stalled      epoch, waited_us                       no commit for longer than the stall bound (once per stall)
 *   qemu         name, data                             a QMP event of QEMU other than STOP/RESUME
 *   qemu_lost    reason                                 QEMU's monitor closed or stopped answering
 *   handed       epoch, stopped_us                      (switchover) the last epoch is committed, the VM stands still since stopped_us
 *   verified     epoch, memory, blocks, device, disk    a verifying checkpoint was compared on the backup: true / false each
 *   disk         disk, error, what                      image or journal failed
 *   refused      link, what                             something from the wire was refused
 *   word         generation, term, epoch, role, flags   the peer's heartbeat word changed its term, role, flags or generation
 *   synchronous  epoch                                  after asynchronous protection: all that was ever let out is in this committed epoch
 *   sync_failed  what, code, resumable, text            a sync ended before any epoch was sent: the VM runs on unprotected (*)
 *   protection_failed  what, code, text                 no more checkpoints of this generation: output waits, the VM runs (**)
 *   failed       what, code, text                       the engine cannot go on: the VM stands still and cannot be continued
 *
 * (*) The mode is SOLO again, its output open: isf_sync, or isf_solo in the same term, go on. what: "sync", "checkpoint". resumable: with
 * changed = 1 here and keep = 1 there the next one sends only the rest. (**) The mode is HELD: isf_solo in a newer term goes on. what:
 * "checkpoint", "encode".
 */
#ifndef ISERVFT_H
#define ISERVFT_H

#include <stdint.h>

#define ISF_ABI 3

#define ISF_API __attribute__((visibility("default")))

typedef struct isf_engine isf_engine;

/* What the engine is doing (isf_status.mode). */
enum isf_mode {
    ISF_IDLE = 0,      /* nothing: gate shut */
    ISF_SOLO = 1,      /* the VM runs unprotected, gate open, under a grant */
    ISF_SYNCING = 2,   /* as SOLO, and a first sync or resync is on its way */
    ISF_PROTECTED = 3, /* checkpoints; output leaves by commit */
    ISF_HELD = 4,      /* checkpoints stopped, output held: waits for a decision */
    ISF_HANDING = 5,   /* switchover: the VM stands still, its last epoch is sent */
    ISF_STANDBY = 6,   /* backup: receives */
    ISF_PROMOTING = 7, /* backup: receives no more; its copy is being started */
};

/* The status page: written by the engine, read by TypeScript in place. Plain counters, each written by one thread; a reader may
 * see one field newer than another. All u64, little-endian host. Sizes in bytes, times in microseconds. */
struct isf_status {
    uint64_t mode, generation, term;
    uint64_t epoch;            /* the open epoch (primary), the newest whole one (backup) */
    uint64_t committed;        /* newest epoch committed by both sides */
    uint64_t checkpoints;      /* since isf_sync */
    uint64_t pause_us_last, pause_us_p50, pause_us_p99, pause_us_max; /* by QEMU's own stamps; percentiles of the last 1,024 */
    uint64_t stop_us_last, scan_us_last, copy_us_last, finish_us_last, encode_us_last, commit_us_last; /* parts of the newest epoch */
    uint64_t commit_us_p50, commit_us_p99; /* trigger to commit */
    uint64_t dirty_pages_last, dirty_pages, page_bytes, device_bytes, disk_bytes; /* totals; page_bytes: encoded, the device state's included */
    uint64_t inflight, inflight_bytes;
    uint64_t link_active, link_up[2], link_bytes_in[2], link_bytes_out[2], link_rtt_us[2];
    uint64_t path_alive[3], path_rtt_us[3], peer_age_us, lease_left_us;
    uint64_t out_frames, out_bytes, in_frames, in_bytes, held_frames, held_bytes, dropped_frames;
    uint64_t sync_bytes_done, sync_bytes_total;
    uint64_t tracker;          /* enum tracker_kind */
    uint64_t refused;          /* frames, datagrams refused */
    uint64_t peer_term, peer_role, peer_flags, peer_epoch, peer_generation;
    uint64_t durable;          /* newest epoch durable in the journals of this host */
    uint64_t page_zero, page_same, page_xor, page_raw;
    uint64_t late_frames;      /* written to the TAP when their lease had run out: the kernel's lease, where there is one, drops them */
    uint64_t lease_waits;      /* times that a missing lease stopped frames of committed epochs */
    uint64_t throttle, throttle_wanted; /* percent of the last second in which isf_throttle held the VM; what was asked for */
    uint64_t holds, held_us;   /* of isf_throttle since the engine began: not in the pauses above */
    uint64_t asynchronous;     /* 1: output leaves at once; 2: it waits again, but not all that left before is committed; 0: neither */
    uint64_t behind_us;        /* age of the newest state that the backup holds whole; 0: none, or no checkpoints now */
    uint64_t waiting_us;       /* age of the oldest checkpoint that is not committed; 0: none */
    /* The sync: bytes on the line, bytes that the backup had already (by hash), bytes per second of late, seconds left, 1 memory | 2 disk. */
    uint64_t sync_bytes_sent, sync_bytes_skipped, sync_rate, sync_eta_s, sync_phase;
    uint64_t heartbeat_gap_us_max;   /* longest time between two signs of life of the peer's runner that is there now */
    uint64_t heartbeat_stall_us_max; /* longest time that this host's own heartbeat thread did not run, meanwhile */
};

/* ISF_ABI of the library. */
ISF_API int32_t isf_abi(void);
/* The protocols between two hosts that the library speaks: the oldest, and << 16 the newest. */
ISF_API int32_t isf_protocol(void);
/* sizeof(struct isf_status) of the library. */
ISF_API int32_t isf_status_size(void);
/* One active sentence for a negative result. Returns the length. */
ISF_API int32_t isf_error_text(int32_t code, char *text, uint32_t size);

/* CLOCK_MONOTONIC in microseconds: the clock of all events. */
ISF_API uint64_t isf_clock_us(void);

/* ---- engine ---- */
/* A new engine: creates run_dir/events.sock. `secret`: 32 bytes, copied. 0, -EEXIST (another engine lives there), -errno. */
ISF_API int32_t isf_engine_new(const char *run_dir, const uint8_t *secret, isf_engine **engine);
/* SLOW. Shuts the gates, ends the threads, closes all. `engine` is gone. */
ISF_API void isf_engine_free(isf_engine *engine);
/* The status page; valid until isf_engine_free. */
ISF_API const struct isf_status *isf_status_page(isf_engine *engine);
/* Text of the last call that failed on this engine, with what to do. Returns its length. */
ISF_API int32_t isf_problem(isf_engine *engine, char *text, uint32_t size);

/* ---- the machine's parts; before QEMU starts ---- */
/* Creates the guest's main memory, `bytes` long (a multiple of 4096, at most 64 GiB). Returns its descriptor: QEMU opens
 * /proc/<pid of the engine>/fd/<it> with share=on. */
ISF_API int32_t isf_memory_new(isf_engine *engine, uint64_t bytes);
/* SLOW (journal replay). Adds a disk, exported on `socket` as `name`. Files beside it: `state_prefix`.journal and .bitmap. Returns its index (0..7). */
ISF_API int32_t isf_disk_add(isf_engine *engine, const char *name, const char *image, const char *state_prefix, const char *socket);
/* Size of disk `index`. */
ISF_API int64_t isf_disk_bytes(isf_engine *engine, int32_t index);
/* SLOW. Waits until all that was written is in this host's journals, synced. `waits`: from here on a guest's FLUSH waits for them too, until the next
 * protection: before isf_solo, since output then leaves that follows flushes which were answered at once. 0, -ISF_ELIMIT (5 s), or the -errno of a
 * disk that failed. */
ISF_API int32_t isf_flush(isf_engine *engine, int32_t waits);
/* wait = 1: from here on a guest's FLUSH waits for this host's journals, as while there is no protection; 0: it is answered at once, and the epoch's
 * output waits for one of both hosts' journals. Before what is written down makes this host's disks the only ones that count, and until it
 * makes the backup's count again. The next protection begins with 0. */
ISF_API int32_t isf_flushes_wait(isf_engine *engine, int32_t wait);
/* What the disks had when they were added: the newest generation and, in it, the newest epoch of which some disk's journal has all. 0 when none
 * is known; else 1 and found[0] = generation, found[1] = epoch. */
ISF_API int32_t isf_found(isf_engine *engine, uint64_t *found);
/* Adds a NIC: creates TAP `tap` on `bridge`, listens on `socket`, which has mode 0600: QEMU's user needs it before QEMU starts. Returns its index
 * (0..7). -ENODEV: no such bridge. */
ISF_API int32_t isf_nic_add(isf_engine *engine, const char *tap, const char *bridge, const char *socket);
/* The kernel's own lease on NIC `nic`: from now on lease frames with `secret` (8 bytes) are written into its TAP before the guest's, and
 * an nftables table there (lib/vm/nft_lease.ts) drops whatever comes more than lease_us after the last one. Shorter than the
 * engine's own lease, so that it can be renewed in time. lease_us = 0: no table. -EINVAL: no such NIC, or a lease that cannot be. */
ISF_API int32_t isf_nic_lease(isf_engine *engine, int32_t nic, const uint8_t *secret, uint32_t lease_us);

/* ---- lines to the other host ---- */
/* Adds replication line `index` (0, 1). `listen`: 1 on exactly one of the hosts. The thread starts at once. */
ISF_API int32_t isf_link_add(isf_engine *engine, int32_t index, const char *local, const char *peer, uint32_t port, int32_t listen);
/* Sets heartbeat path `index` (0 link A, 1 link B, 2 LAN); before isf_heartbeat_start. */
ISF_API int32_t isf_heartbeat_path(isf_engine *engine, int32_t index, const char *local, const char *peer, uint32_t port);
/* Starts heartbeats. `reference`: an IPv4 address on the LAN that is asked whether the LAN answers, on interface `lan`; either may be "". */
ISF_API int32_t isf_heartbeat_start(isf_engine *engine, uint32_t interval_us, uint32_t silence_us, const char *reference, const char *lan);
/* Only in SOLO: other lines, and another peer, for a VM that runs. Ends all lines and heartbeats, forgets the peer (its word; what it had of memory and
 * disks: the next sync is a full one) and begins anew with `secret` (32 bytes, copied), whose holder alone is heard from here on. `lines`: eight
 * words with a space between them: local and peer address of link A, of link B, of the LAN, then the reference and its interface; "-": there is none;
 * link A must be. They use ports `port`, + 1, + 2; heartbeats keep their times. `listen`: bit 0 for link A, bit 1 for link B. since_us[0]: events up
 * to this time are of the old peer. Waits for three threads to end, some ms. -ISF_ESTATE, -EINVAL, -ENODEV: nothing was changed; any other error: it
 * has no lines, and may be tried again. */
ISF_API int32_t isf_relink(isf_engine *engine, const uint8_t *secret, const char *lines, uint32_t port, uint32_t listen, uint64_t *since_us);
/* The role by which isf_say says that the VM is here: it runs, or stands still until its output may leave, or is being started. */
#define ISF_VM_HERE 2
/* What the heartbeats say of this host (role, flags and epoch are the runner's own numbers, but for ISF_VM_HERE). */
ISF_API int32_t isf_say(isf_engine *engine, uint64_t generation, uint64_t term, uint64_t epoch, uint32_t role, uint32_t flags);
/* Sends JSON text to the other runner on the active line (or any that is up). 0, -ISF_ELINK. */
ISF_API int32_t isf_control(isf_engine *engine, const uint8_t *text, uint32_t length);

/* A hardware watchdog, once per engine: it is armed while isf_say says ISF_VM_HERE in a term, and kept alive while heartbeats go out, so
 * that the machine is reset when the engine stands still for timeout_s (3 to 600). Disarmed when the VM is not here any more, and by
 * isf_engine_free. `path`: the device; "": the machine's first, if it can be disarmed. 0, also when there is none; -EINVAL, -errno. */
ISF_API int32_t isf_watchdog(isf_engine *engine, const char *path, uint32_t timeout_s);
/* {"state":"off"|"absent"|"unfit"|"ready"|"armed"|"busy","why":...}: src/watchdog.h. Returns the length, or -ENOSPC. */
ISF_API int32_t isf_watchdog_state(isf_engine *engine, char *text, uint32_t size);

/* ---- QEMU ---- */
/* SLOW. QEMU runs as `pid` with the preload shim; `qmp` is a monitor socket for the engine alone, `fifo` the path for device state
 * (created by the engine, given to `uid`). Learns the RAM blocks (isf_blocks). `tracker`: enum tracker_kind, 0 = best.
 * -ISF_EUNSUPPORTED (no dirty tracking: isf_problem says what is missing), -ISF_EQEMU, -errno. */
ISF_API int32_t isf_qemu_attach(isf_engine *engine, int32_t pid, const char *qmp, const char *fifo, uint32_t uid, uint32_t tracker);
/* SLOW. Forgets QEMU (it has ended, or is about to). */
ISF_API int32_t isf_qemu_detach(isf_engine *engine);
/* The RAM blocks as JSON text: [{"name":…,"bytes":…}]; both hosts must have the same. Returns the length, or -ENOSPC. */
ISF_API int32_t isf_blocks(isf_engine *engine, char *text, uint32_t size);

/* ---- primary ---- */
/* Bounds of the checkpoint rhythm: least and greatest epoch length, dirty pages that end an epoch, epochs in flight (1..16), time without
 * a commit after which `stalled` comes. Any time. */
ISF_API int32_t isf_rhythm(isf_engine *engine, uint32_t min_us, uint32_t max_us, uint32_t dirty_pages, uint32_t inflight, uint32_t stall_us);
/* While protected the VM stands still `percent` (0 to 95) of the time in which it would run: its dirtying falls with it. QEMU is held as
 * at a checkpoint, 20 ms at the most each time, and goes on in between. Any time; counts in PROTECTED. The guest's clock stands still
 * with it, as in any pause. -EINVAL. */
ISF_API int32_t isf_throttle(isf_engine *engine, uint32_t percent);
/* SLOW (one sync of the journals). on = 1, from PROTECTED: checkpoints go on, but output leaves at once and without a lease, and FLUSH
 * waits for this host's journal instead of an epoch's output for its commit. So what clients are told may be lost with this host: only
 * after the backup has written down that its copy may be behind and is not to be started by itself. `term`: the one that goes on, or a
 * newer one that was granted; then the generation goes on in it, the backup takes its epochs, and refuses a promotion up to that term;
 * commits of the older term still count. Epochs in flight and the disks' logs stay bounded: where the line is slower than the guest,
 * epochs get longer and the copy falls behind.
 * on = 0 (`term` is ignored): output waits for commits again from here on; `synchronous` follows once all that was let out is committed,
 * also when nothing was; FLUSH waits on, until isf_flushes_wait says that it need not. Ends with isf_hold, isf_solo (which may name the same term), and the next sync. No handover meanwhile.
 * -ISF_ESTATE, -ISF_ESTALE (an older term), -errno of a journal (nothing changed). */
ISF_API int32_t isf_asynchronous(isf_engine *engine, int32_t on, uint64_t term);
/* The VM runs (or goes on) without a backup in `term`, under a grant: held output leaves, disks go straight through. From IDLE, HELD,
 * PROTECTED, SYNCING, PROMOTING. Remembers what changes, for the next sync. -ISF_ESTALE: the engine has seen a newer term.
 * -ISF_ESTATE: epochs of this very term were sent, so that the backup may hold a whole copy of it: a newer one is needed (but not while
 * asynchronous). */
ISF_API int32_t isf_solo(isf_engine *engine, uint64_t term);
/* From SOLO: brings the backup up to date while the guest runs, then protects it (events sync, protected). changed = 0: everything, else what
 * changed since the last common epoch of the same backup, or what is missing since a sync with it was broken off. The other side must
 * be in isf_standby of the same generation and term. */
ISF_API int32_t isf_sync(isf_engine *engine, uint64_t generation, uint64_t term, int32_t changed);
/* Bytes per second that a sync may send, 100000 or more; 0: as fast as the line and the backup take it. Any time. */
ISF_API int32_t isf_sync_rate(isf_engine *engine, uint64_t bytes_per_s);
/* Ends a sync or protection and holds the output: no frame leaves until isf_solo or a new decision. From any mode. */
ISF_API int32_t isf_hold(isf_engine *engine);
/* From PROTECTED: a last checkpoint after which the VM does not resume; then `handed`. */
ISF_API int32_t isf_handover(isf_engine *engine);
/* From HANDING: the VM resumes here after all (the other side refused); back to PROTECTED. */
ISF_API int32_t isf_handover_cancel(isf_engine *engine);
/* The next checkpoint is a verifying one: digests of all memory, blocks, device state and disks are compared on the backup (event verified).
 * The guest pauses while they are taken. */
ISF_API int32_t isf_verify(isf_engine *engine);

/* ---- backup ---- */
/* From IDLE or HELD or SOLO with QEMU stopped for good: receives a copy of `generation` from a primary in `term`. keep = 1: the copy that is here is the
 * last common epoch, or what a sync that was broken off had brought, and only changes will come. The copy is not whole until event `whole`. Frames of older generations or terms are refused. */
ISF_API int32_t isf_standby(isf_engine *engine, uint64_t generation, uint64_t term, int32_t keep);
/* Backup: on = 0: commits are not told to the primary any more, so that it lets nothing out beyond those before, though epochs are still taken; on = 1: they are
 * again, the newest at once. isf_standby sets it to 1. */
ISF_API int32_t isf_commits(isf_engine *engine, int32_t on);
/* From STANDBY with a whole copy: receives no more; a part of an epoch is discarded. `term` is the new term: frames of older ones are refused from now on.
 * gave_way: 1 when the old primary itself said that its VM is gone for good; else the call waits until no lease of it can be left: nothing,
 * when it was silent, up to the takeover time, when it was heard again since. Returns 0, or -ISF_ESTATE (copy not whole). The epoch is in
 * status.committed. */
ISF_API int32_t isf_promote(isf_engine *engine, uint64_t term, int32_t gave_way);
/* SLOW (some 10 ms). From PROMOTING: writes RAM blocks and device state into the standby QEMU, which waits in migrate-incoming on `socket`
 * (unix). The caller then waits for QEMU's "completed", calls isf_restore_blocks, and isf_solo, and continues the VM. */
ISF_API int32_t isf_restore(isf_engine *engine, const char *socket);
ISF_API int32_t isf_restore_blocks(isf_engine *engine);
/* Announces the guest's addresses on the LAN, `times` times. */
ISF_API int32_t isf_announce(isf_engine *engine, uint32_t times);

/* ---- for tests and the demo's negative control ---- */
/* Output leaves at once in every mode but IDLE: what protection without output commit would be. */
ISF_API int32_t isf_no_output_commit(isf_engine *engine);
/* Named failpoint: action 1 = the process kills itself there, 2 = the thread sleeps 1 s there, 4 = 3 s, 3 = what the place does goes wrong (where
 * failpoint.h says so), 0 = off. Names: src/failpoint.h. */
ISF_API int32_t isf_failpoint(isf_engine *engine, const char *name, int32_t action);

#endif
