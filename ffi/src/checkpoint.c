/* The checkpointer: one command to QEMU per epoch.
 *
 *   armed ──"}"──► VM stops ─► first bytes in the FIFO: QEMU waits on the pipe
 *                              scan dirty pages, copy them, close the gate's and the disks' epoch
 *                  drain ────► QEMU finishes, resumes the VM, answers
 */
#include "engine.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failpoint.h"

#define PARKED_WATCH_NS 100000000
#define PEEK_US 10000u          /* how often a long epoch's dirty pages are counted */

static struct stage *free_stage(struct isf_engine *e)
{
    for (int i = 0; i < ENGINE_STAGES; i++)
        if (!e->stage[i].busy)
            return &e->stage[i];
    return NULL;
}

/* The device state goes behind the memory's pages; its last page is filled up with zeroes. */
static void stage_device(struct isf_engine *e, struct stage *stage, uint64_t bytes)
{
    uint64_t pages = (bytes + ISF_PAGE - 1) / ISF_PAGE;
    memset(e->device + bytes, 0, pages * ISF_PAGE - bytes);
    memcpy(stage->data + stage->pages * ISF_PAGE, e->device, pages * ISF_PAGE);
    for (uint64_t k = 0; k < pages; k++)
        stage->numbers[stage->pages + k] = e->blocks.pages + k;
    stage->pages += pages;
}

static void close_epoch(struct isf_engine *e, struct epoch *epoch)
{
    atomic_store(&e->output_waits, 0); /* before: a frame that comes from here on asks for the next epoch */
    for (int i = 0; i < e->nics; i++)
        gate_barrier(e->gate[i], epoch->number);
    for (int i = 0; i < e->disks; i++) {
        int64_t n = disk_barrier(e->disk[i], epoch->number);
        epoch->disk_extents += n > 0 ? (uint64_t)n : 0;
        epoch->has_disk |= n > 0;
    }
}

void epoch_free(struct isf_engine *e, struct epoch *epoch)
{
    (void)e;
    if (epoch->stage)
        epoch->stage->busy = 0;
    buffer_free(&epoch->wire);
    free(epoch->batches);
    free(epoch->runs);
    free(epoch);
}

/* Hands a finished epoch to the sender: from the unlock on it may be committed, and gone. */
static void enqueue(struct isf_engine *e, struct epoch *epoch)
{
    pthread_mutex_lock(&e->release_lock);
    if (epoch->has_disk) /* first: its commit must find that a journal is to be waited for */
        e->disk_mark = epoch->number;
    pthread_mutex_unlock(&e->release_lock);
    pthread_mutex_lock(&e->lock);
    if (e->last)
        e->last->next = epoch;
    else
        e->first = epoch;
    e->last = epoch;
    e->inflight++;
    e->open_epoch = epoch->number + 1;
    e->sent_any = 1;
    e->sending = e->broken == 0;
    e->work = 1;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

/* What is dirty, or (once, where the tracker misses things in a sync) everything; `all` has room for BLOCKS_MAX runs. */
static int collect(struct isf_engine *e, struct tracker_run *all, const struct tracker_run **runs, uint32_t *count)
{
    tracker_stopped(e->tracker, 1);
    int r = tracker_collect(e->tracker, runs, count);
    tracker_stopped(e->tracker, 0);
    if (r)
        return engine_problem(e, r, "the dirty-page scan failed");
    if (e->copy_all) {
        for (uint32_t i = 0; i < e->blocks.count; i++)
            all[i] = (struct tracker_run){ e->blocks.block[i].page, e->blocks.block[i].bytes / ISF_PAGE };
        *runs = all;
        *count = e->blocks.count;
    }
    e->copy_all = 0;
    return 0;
}

/* What happens between the first bytes and the drain. */
static int inside_pause(struct isf_engine *e, struct epoch *epoch, uint64_t stopped_us)
{
    struct tracker_run all[BLOCKS_MAX];
    const struct tracker_run *runs;
    uint32_t count;
    failpoint(FAIL_CHECKPOINT_STOPPED);
    int r = collect(e, all, &runs, &count);
    if (r)
        return r;
    uint64_t scanned_us = isf_now_us();
    epoch->runs = malloc(count * sizeof *runs + 1);
    if (!epoch->runs)
        return -ENOMEM;
    memcpy(epoch->runs, runs, count * sizeof *runs);
    epoch->run_count = count;
    struct stage *stage = epoch->stage;
    int64_t pages = copier_copy(e->copier, &e->blocks, runs, count, stage->data, stage->numbers, stage->capacity);
    if (pages < 0)
        return engine_problem(e, (int)pages, "the dirty pages could not be copied");
    epoch->dirty_pages = stage->pages = (uint64_t)pages;
    close_epoch(e, epoch);
    status_set(&e->status->scan_us_last, scanned_us - stopped_us);
    status_set(&e->status->copy_us_last, isf_now_us() - scanned_us);
    return 0;
}

static void note_pause(struct isf_engine *e, uint64_t trigger_us, uint64_t stopped_us, uint64_t copied_us)
{
    struct isf_status *s = e->status;
    uint64_t pause = e->qmp.resume_us > e->qmp.stop_us ? e->qmp.resume_us - e->qmp.stop_us : 0, bound = isf_now_us() - trigger_us;
    if (pause > bound) /* QEMU stamps by the wall clock, which may jump */
        pause = bound;
    pthread_mutex_lock(&e->lock);
    samples_add(&e->pauses, pause);
    pthread_mutex_unlock(&e->lock);
    status_set(&s->pause_us_last, pause);
    if (pause > s->pause_us_max)
        status_set(&s->pause_us_max, pause);
    status_set(&s->stop_us_last, stopped_us - trigger_us);
    status_set(&s->finish_us_last, isf_now_us() - copied_us);
}

/* A verifying checkpoint: the digests need the whole device state, so the VM is stopped around it. */
static int save_stopped(struct isf_engine *e, struct epoch *epoch, int64_t *device_bytes);

/* A checkpoint led to nothing: pages may have been taken from the tracker that no epoch carries. */
static void give_up(struct isf_engine *e, struct epoch *epoch)
{
    epoch_free(e, epoch);
    pthread_mutex_lock(&e->lock);
    e->common = 0;
    pthread_mutex_unlock(&e->lock);
}

/* One checkpoint. 0, or negative when the VM or QEMU is lost to us. */
static int checkpoint(struct isf_engine *e)
{
    struct epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch)
        return -ENOMEM;
    epoch->number = e->open_epoch;
    epoch->stage = free_stage(e); /* room() has said that there is one */
    epoch->stage->busy = 1;
    int r = device_arm(e);
    uint64_t trigger_us = epoch->trigger_us = isf_now_us();
    device_release_disks(e);
    if (r == 0)
        r = qmp_send(&e->qmp, "}", 1);
    e->is_armed = 0;
    ssize_t first = r ? r : device_await(e);
    int64_t bytes = first;
    uint64_t stopped_us = isf_now_us(), copied_us = stopped_us;
    if (first > 0) {
        pace_stopped(e, stopped_us);
        r = inside_pause(e, epoch, stopped_us);
        copied_us = isf_now_us();
        bytes = device_drain(e, (size_t)first); /* also after a failure: QEMU must not wait for ever */
    }
    if (r == 0 && bytes > 0)
        r = device_held(e, first, bytes);
    if (r || bytes <= 0) {
        give_up(e, epoch);
        return r ? r : bytes < 0 ? (int)bytes : -ISF_EQEMU;
    }
    note_pause(e, trigger_us, stopped_us, copied_us);
    e->resumed_us = isf_now_us();
    failpoint(FAIL_CHECKPOINT_COPIED);
    stage_device(e, epoch->stage, (uint64_t)bytes);
    epoch->device_bytes = (uint64_t)bytes;
    enqueue(e, epoch);
    return device_arm(e);
}

/* The VM, which stands still, runs again. A refusal leaves it standing: nothing but its end helps. */
static int go_on(struct isf_engine *e)
{
    const char *line = NULL;
    int r = qmp_execute(&e->qmp, "{\"execute\":\"cont\"}", QEMU_BOUND_US, &line);
    e->resumed_us = isf_now_us();
    if (r == -ISF_EREFUSED)
        return engine_problem(e, -ECANCELED, "QEMU refused to continue the VM: %.200s", line ? line : "");
    return r < 0 ? r : 0;
}

/* A checkpoint around `stop`: the VM stands still until `cont` (verification, switchover). */
static int checkpoint_stopped(struct isf_engine *e, int verify, int final)
{
    const char *line;
    struct epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch)
        return -ENOMEM;
    epoch->number = e->open_epoch;
    epoch->stage = free_stage(e); /* room() has said that there is one */
    epoch->stage->busy = 1;
    epoch->verify = verify;
    epoch->final = final;
    epoch->trigger_us = isf_now_us();
    int64_t bytes = 0;
    device_release_disks(e);
    int r = qmp_execute(&e->qmp, "{\"execute\":\"stop\"}", QEMU_BOUND_US, &line);
    if (r >= 0)
        r = save_stopped(e, epoch, &bytes);
    if (r >= 0 && verify)
        r = digest_all(e, e->device, (uint64_t)bytes, NULL, &epoch->digests);
    if (r < 0) {
        give_up(e, epoch);
        int again = qemu_is_lost(r) ? 0 : go_on(e);
        return again ? again : r;
    }
    stage_device(e, epoch->stage, (uint64_t)bytes);
    epoch->device_bytes = (uint64_t)bytes;
    enqueue(e, epoch);
    if (final)
        return 0;
    r = go_on(e);
    return r ? r : device_arm(e);
}

static int save_stopped(struct isf_engine *e, struct epoch *epoch, int64_t *device_bytes)
{
    char command[256];
    int length = snprintf(command, sizeof command, "%.*s}", e->armed_length, e->armed);
    int r = device_pipe_small(e);
    if (r == 0)
        r = qmp_send(&e->qmp, command, (size_t)length);
    ssize_t first = r ? r : device_await(e);
    if (first <= 0)
        return first ? (int)first : -ISF_EQEMU;
    r = inside_pause(e, epoch, isf_now_us());
    *device_bytes = device_drain(e, (size_t)first);
    return r ? r : *device_bytes < 0 ? (int)*device_bytes : 0;
}

/* True when an epoch should end now; else how long to sleep at the most. */
static int due(struct isf_engine *e, uint64_t *sleep_us)
{
    uint64_t age = isf_now_us() - e->resumed_us, dirty = 0;
    pthread_mutex_lock(&e->lock);
    struct rhythm r = e->rhythm;
    pthread_mutex_unlock(&e->lock);
    if (age >= r.max_us)
        return 1;
    *sleep_us = r.max_us - age;
    if (atomic_load(&e->output_waits)) {
        if (age >= r.min_us)
            return 1;
        *sleep_us = r.min_us - age;
        return 0;
    }
    if (age >= PEEK_US && tracker_peek(e->tracker, &dirty) == 0 && dirty >= r.dirty_pages)
        return 1;
    if (*sleep_us > PEEK_US)
        *sleep_us = PEEK_US;
    return 0;
}

static int room(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int ok = e->inflight < e->rhythm.inflight && e->inflight_bytes < ENGINE_INFLIGHT_BYTES && free_stage(e) != NULL;
    pthread_mutex_unlock(&e->lock);
    return ok;
}

static void doze(struct isf_engine *e, uint64_t us)
{
    struct pollfd p[2] = { { .fd = e->kick, .events = POLLIN }, { .fd = e->qmp.fd, .events = POLLIN } };
    struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    uint64_t count;
    ppoll(p, e->qmp.fd >= 0 ? 2 : 1, &t, NULL);
    if (p[0].revents & POLLIN) {
        ssize_t n = read(e->kick, &count, sizeof count);
        (void)n;
    }
}

/* Events of QEMU between checkpoints, and its death. */
static int watch_qemu(struct isf_engine *e)
{
    const char *line = NULL;
    int r = qmp_poll(&e->qmp, &line);
    return r < 0 ? engine_problem(e, r, "QEMU's monitor is closed") : 0;
}

enum worker checkpoint_wanted(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    enum worker w = e->want;
    pthread_mutex_unlock(&e->lock);
    return w;
}

static int hand_over(struct isf_engine *e)
{
    int r = device_disarm(e);
    if (r == 0)
        r = checkpoint_stopped(e, 0, 1);
    if (r)
        return r;
    while (r == 0 && checkpoint_wanted(e) == WORKER_HANDING) {
        doze(e, 50000);
        r = watch_qemu(e);
    }
    if (r)
        return r;
    if (checkpoint_wanted(e) != WORKER_RUN)
        return 0; /* QEMU stays stopped; whoever parked us decides */
    r = go_on(e);
    return r ? r : device_arm(e);
}

static int verify(struct isf_engine *e)
{
    e->verify_wanted = 0;
    int r = device_disarm(e);
    return r ? r : checkpoint_stopped(e, 1, 0);
}

/* What others have found out: the backup, that the sync did not reach it whole; the sender, that it cannot go on. */
static int told(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int is_void = e->sync_void && !e->first_commit, broken = e->broken, encoder = e->encoder_broke;
    pthread_mutex_unlock(&e->lock);
    if (broken && encoder)
        return engine_problem(e, broken, "an epoch could not be encoded: %s", strerror(-broken));
    return broken ? broken : is_void ? engine_problem(e, -ISF_ELINK, "the line to the backup was lost at the end of the sync: it has to start again") : 0;
}

/* Protection, until something else is wanted. 0, or negative when QEMU is lost. */
static int run(struct isf_engine *e)
{
    int r = told(e);
    if (r == 0)
        r = device_arm(e);
    while (r == 0) {
        enum worker w = checkpoint_wanted(e);
        uint64_t sleep_us = 1000, hold_us = pace_hold_due(e);
        if (w != WORKER_RUN && w != WORKER_HANDING)
            break;
        if (w == WORKER_RUN && hold_us == 0) {
            r = pace_hold(e);
        } else if (!room(e)) {
            doze(e, 2000); /* the last epoch of a handover too needs a stage, and those before it committed */
        } else if (w == WORKER_HANDING) {
            r = hand_over(e);
            if (r == 0 && checkpoint_wanted(e) != WORKER_RUN)
                return 0; /* the VM stays stopped: a disarming save would resume it, or close its disks */
        } else if (e->verify_wanted) {
            r = verify(e);
        } else if (due(e, &sleep_us)) {
            r = checkpoint(e);
        } else {
            doze(e, sleep_us < hold_us ? sleep_us : hold_us);
        }
        if (r == 0)
            r = told(e);
        if (r == 0 && !e->is_armed)
            r = device_arm(e);
        if (r == 0)
            r = watch_qemu(e);
    }
    int left = device_disarm(e); /* the monitor must take other commands again */
    return qemu_is_lost(left) ? left : r;
}

static int sync_and_run(struct isf_engine *e)
{
    int r = sync_run(e, e->changed_only);
    pthread_mutex_lock(&e->lock);
    int go_on = r == 0 && e->want == WORKER_SYNC;
    if (go_on) { /* with the lock: what isf_hold or isf_solo decides just now is not undone */
        e->want = e->doing = WORKER_RUN;
        atomic_store(&e->epochs_begun, 1);
        engine_mode(e, ISF_PROTECTED);
        engine_gates(e, e->no_output_commit ? GATE_OPEN : GATE_HOLD);
    }
    pthread_mutex_unlock(&e->lock);
    return go_on ? run(e) : r;
}

/* While nothing is to be done QEMU may still have something to say: that the guest powered off. */
static void watch_parked(struct isf_engine *e)
{
    if (pthread_mutex_trylock(&e->qmp_lock))
        return;
    if (e->watched && watch_qemu(e))
        e->watched = 0; /* that QEMU ended is told by its process */
    pthread_mutex_unlock(&e->qmp_lock);
}

/* With the lock. */
static void wait_parked(struct isf_engine *e)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += PARKED_WATCH_NS;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&e->wake, &e->lock, &t);
    if (e->want != WORKER_PARKED)
        return;
    pthread_mutex_unlock(&e->lock);
    watch_parked(e);
    pthread_mutex_lock(&e->lock);
}

void *checkpoint_run(void *engine)
{
    struct isf_engine *e = engine;
    for (;;) {
        pthread_mutex_lock(&e->lock);
        e->doing = WORKER_PARKED;
        pthread_cond_broadcast(&e->parked);
        while (e->want == WORKER_PARKED)
            wait_parked(e);
        enum worker w = e->doing = e->want;
        pthread_cond_broadcast(&e->parked);
        pthread_mutex_unlock(&e->lock);
        if (w == WORKER_END)
            return NULL;
        int r = w == WORKER_SYNC ? sync_and_run(e) : run(e);
        pthread_mutex_lock(&e->lock);
        w = e->doing; /* a sync that came to its end goes on as protection */
        if (r == 0 && e->want == w)
            e->want = WORKER_PARKED;
        pthread_mutex_unlock(&e->lock);
        if (r)
            protection_ended(e, w, r);
    }
}

int checkpoint_want(struct isf_engine *e, enum worker want, uint64_t wait_us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(wait_us / 1000000);
    t.tv_nsec += (long)(wait_us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&e->lock);
    e->want = want;
    pthread_cond_broadcast(&e->wake);
    engine_kick(e);
    int r = 0;
    while (wait_us && r == 0 && e->doing != want)
        r = pthread_cond_timedwait(&e->parked, &e->lock, &t);
    pthread_mutex_unlock(&e->lock);
    return -r;
}
