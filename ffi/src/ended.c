/* How a sync or protection ends that nobody asked to end: what the engine is then, and what the decision is told. */
#include "engine.h"

#include <stdio.h>

int qemu_is_lost(int code)
{
    return code == -ISF_EQEMU || code == -ESRCH || code == -ETIMEDOUT || code == -EPIPE || code == -ECONNRESET;
}

/* True while nothing else was decided than what was being done. With `lock`. */
static int still_wanted(const struct isf_engine *e, enum worker was)
{
    return e->want == was || (was == WORKER_RUN && e->want == WORKER_HANDING);
}

/* The sync led to nothing, and no epoch was sent: the backup can have no whole copy, and the VM goes on alone in the same term. Epochs
 * were begun when the backup said that it is void, or when the first checkpoint failed: writes that wait for them go to the disks. */
static int back_to_solo(struct isf_engine *e, enum worker was)
{
    if (was == WORKER_RUN) {
        sender_stop(e);
        for (int i = 0; i < e->disks; i++)
            disk_direct(e->disk[i]); /* a disk that failed has said so */
    }
    pthread_mutex_lock(&e->lock);
    int ours = still_wanted(e, was);
    if (ours) { /* with the lock: what isf_hold or isf_solo decides just now is not undone */
        e->want = WORKER_PARKED;
        atomic_store(&e->epochs_begun, 0);
        engine_mode(e, ISF_SOLO);
        engine_gates(e, GATE_OPEN);
    }
    pthread_mutex_unlock(&e->lock);
    return ours;
}

/* An epoch is missing: output waits for the decision, and this generation is never gone on with. */
static int hold(struct isf_engine *e, enum worker was, int code)
{
    pthread_mutex_lock(&e->lock);
    int ours = still_wanted(e, was);
    if (!e->broken)
        e->broken = code;
    if (ours) {
        e->want = WORKER_PARKED;
        engine_mode(e, ISF_HELD);
        if (atomic_exchange(&e->pace.asynchronous, 0) && !e->no_output_commit)
            engine_gates(e, GATE_HOLD);
    }
    pthread_mutex_unlock(&e->lock);
    return ours;
}

/* QEMU is not there: whatever is wanted, nothing can be done. */
static int give_up(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    int ours = e->want != WORKER_END;
    if (ours)
        e->want = WORKER_PARKED;
    pthread_mutex_unlock(&e->lock);
    return ours;
}

void protection_ended(struct isf_engine *e, enum worker was, int code)
{
    char text[512], escaped[700];
    isf_problem(e, text, sizeof text);
    events_escape(escaped, sizeof escaped, text);
    pthread_mutex_lock(&e->lock);
    int nothing_sent = was == WORKER_SYNC || !e->sent_any || (e->sync_void && !e->first_commit), common = e->common;
    int encoder = e->encoder_broke;
    pthread_mutex_unlock(&e->lock);
    if (qemu_is_lost(code)) {
        if (give_up(e))
            events_send(&e->events, "qemu_lost", "\"reason\":\"%s\"", escaped);
    } else if (code == -ECANCELED) {
        if (give_up(e))
            events_send(&e->events, "failed", "\"what\":\"cont\",\"code\":%d,\"text\":\"%s\"", code, escaped);
    } else if (nothing_sent) {
        if (back_to_solo(e, was))
            events_send(&e->events, "sync_failed", "\"what\":\"%s\",\"code\":%d,\"resumable\":%s,\"text\":\"%s\"",
                        was == WORKER_SYNC || code == -ISF_ELINK ? "sync" : "checkpoint", code, common ? "true" : "false", escaped);
    } else if (hold(e, was, code)) {
        events_send(&e->events, "protection_failed", "\"what\":\"%s\",\"code\":%d,\"text\":\"%s\"", encoder ? "encode" : "checkpoint", code, escaped);
    }
}
