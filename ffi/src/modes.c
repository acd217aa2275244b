/* What TypeScript asks of the engine: the changes of mode, and the small calls. ../iservft.h is their documentation. */
#include "engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "failpoint.h"

#define SYNC_RATE_MIN 100000u
#define PARK_BOUND_US 12000000u /* a checkpoint ends within QEMU's two bounds */

int32_t isf_abi(void)
{
    return ISF_ABI;
}

int32_t isf_protocol(void)
{
    return (int32_t)(PROTOCOL_OLDEST | PROTOCOL_NEWEST << 16);
}

int32_t isf_status_size(void)
{
    return (int32_t)sizeof(struct isf_status);
}

uint64_t isf_clock_us(void)
{
    return isf_now_us();
}

const struct isf_status *isf_status_page(isf_engine *e)
{
    return e->status;
}

static const char *own_text(int32_t code)
{
    switch (-code) {
    case ISF_ECORRUPT: return "the data failed a check";
    case ISF_EVERSION: return "the other side speaks another version";
    case ISF_ELINK: return "no replication line is up";
    case ISF_ESTALE: return "the term or generation is older than one that was seen";
    case ISF_ESTATE: return "the engine is doing something else now";
    case ISF_EQEMU: return "QEMU failed or went away";
    case ISF_EUNSUPPORTED: return "the kernel lacks what is needed";
    case ISF_ELIMIT: return "a bound was reached";
    case ISF_EREFUSED: return "QEMU refused what it was asked";
    }
    return NULL;
}

int32_t isf_error_text(int32_t code, char *text, uint32_t size)
{
    char system[200] = "";
    const char *own = own_text(code);
    if (!own)
        own = code < 0 && code > -ISF_EBASE ? strerror_r(-code, system, sizeof system) : "no error";
    int n = snprintf(text, size, "%s", own);
    return n < (int)size ? n : (int)size - 1;
}

int32_t isf_problem(isf_engine *e, char *text, uint32_t size)
{
    pthread_mutex_lock(&e->problem_lock);
    int n = snprintf(text, size, "%s", e->problem);
    pthread_mutex_unlock(&e->problem_lock);
    return n < (int)size ? n : (int)size - 1;
}

int32_t isf_rhythm(isf_engine *e, uint32_t min_us, uint32_t max_us, uint32_t dirty_pages, uint32_t inflight, uint32_t stall_us)
{
    if (max_us < 1000 || min_us > max_us || dirty_pages == 0 || inflight == 0 || inflight > ENGINE_INFLIGHT_MAX)
        return engine_problem(e, -EINVAL, "epochs of %u to %u us, %u dirty pages, %u in flight: 0 <= least <= greatest, 1 ms or more, 1 to %u in flight",
                              min_us, max_us, dirty_pages, inflight, ENGINE_INFLIGHT_MAX);
    pthread_mutex_lock(&e->lock);
    e->rhythm = (struct rhythm){ min_us, max_us, dirty_pages, inflight, stall_us };
    pthread_mutex_unlock(&e->lock);
    return 0;
}

/* Frames of older terms are refused from here on. */
static void new_term(struct isf_engine *e, uint64_t term)
{
    atomic_store(&e->term, term);
    atomic_store(&e->oldest_term, term);
}

/* Ends checkpoints and sending; what is not committed becomes `lost`. */
static int stop_protection(struct isf_engine *e)
{
    int r = checkpoint_want(e, WORKER_PARKED, PARK_BOUND_US);
    if (r)
        return engine_problem(e, r, "QEMU does not answer: the checkpoint in progress did not end within 12 s");
    sender_stop(e);
    return 0;
}

int32_t isf_solo(isf_engine *e, uint64_t term)
{
    int mode = atomic_load(&e->mode), r = 0;
    if (term < atomic_load(&e->term))
        return engine_problem(e, -ISF_ESTALE, "term %llu is older than term %llu, which was seen already", (unsigned long long)term,
                              (unsigned long long)atomic_load(&e->term));
    if (mode == ISF_STANDBY)
        return engine_problem(e, -ISF_ESTATE, "a backup must be promoted first");
    if (mode != ISF_PROMOTING && atomic_load(&e->epochs_begun) && !atomic_load(&e->pace.asynchronous) && term == atomic_load(&e->term))
        return engine_problem(e, -ISF_ESTATE, "the backup may hold a whole copy of term %llu: going on alone needs a newer term",
                              (unsigned long long)term);
    new_term(e, term);
    if (mode == ISF_PROMOTING) {
        pthread_mutex_lock(&e->standby.lock);
        uint64_t next = e->standby.committed + 1;
        e->standby.whole = e->standby.keepable = 0; /* what the VM does from here on is no copy of anything */
        pthread_mutex_unlock(&e->standby.lock);
        pthread_mutex_lock(&e->lock);
        e->open_epoch = next;
        e->common = 0;
        pthread_mutex_unlock(&e->lock);
    } else {
        r = stop_protection(e);
    }
    for (int i = 0; r == 0 && i < e->disks; i++)
        r = disk_direct(e->disk[i]);
    if (r)
        return r;
    pace_reset(e);
    atomic_store(&e->epochs_begun, 0);
    engine_mode(e, ISF_SOLO);
    engine_gates(e, GATE_OPEN);
    if (mode == ISF_PROMOTING && e->heartbeat) { /* from here on our own term tells the old primary what it is */
        e->word.term = term > e->word.term ? term : e->word.term;
        heartbeat_say(e->heartbeat, &e->word);
        heartbeat_withhold(e->heartbeat, 0);
    }
    return 0;
}

int32_t isf_sync(isf_engine *e, uint64_t generation, uint64_t term, int32_t changed)
{
    if (atomic_load(&e->mode) != ISF_SOLO || !e->qemu_pid)
        return engine_problem(e, -ISF_ESTATE, "a sync starts from an unprotected VM that runs");
    if (generation < atomic_load(&e->generation) || term < atomic_load(&e->term))
        return engine_problem(e, -ISF_ESTALE, "generation %llu or term %llu is older than one that was seen", (unsigned long long)generation,
                              (unsigned long long)term);
    pthread_mutex_lock(&e->lock);
    int common = e->common;
    pthread_mutex_unlock(&e->lock);
    if (changed && !common)
        return engine_problem(e, -ISF_ESTATE, "what changed since the last common epoch is not known: a full sync is needed");
    if (atomic_load(&e->active) < 0)
        return engine_problem(e, -ISF_ELINK, "no replication line is up");
    atomic_store(&e->generation, generation);
    new_term(e, term);
    pthread_mutex_lock(&e->lock);
    e->changed_only = changed != 0;
    if (!changed)
        e->common = 0;
    e->first_commit = 0;
    pthread_mutex_unlock(&e->lock);
    pace_reset(e);
    engine_mode(e, ISF_SYNCING);
    return checkpoint_want(e, WORKER_SYNC, 0);
}

int32_t isf_sync_rate(isf_engine *e, uint64_t bytes_per_s)
{
    if (bytes_per_s && bytes_per_s < SYNC_RATE_MIN)
        return engine_problem(e, -EINVAL, "a sync of %llu bytes per second would not end: at least %u, or 0 for no bound",
                              (unsigned long long)bytes_per_s, SYNC_RATE_MIN);
    atomic_store(&e->sync_rate, bytes_per_s);
    return 0;
}

int32_t isf_hold(isf_engine *e)
{
    if (!e->no_output_commit)
        engine_gates(e, GATE_SHUT); /* at once; and again once a sync that ends just now cannot open them any more */
    int r = checkpoint_want(e, WORKER_PARKED, 0);
    pthread_mutex_lock(&e->lock); /* nor isf_asynchronous */
    engine_mode(e, ISF_HELD);
    if (!e->no_output_commit)
        engine_gates(e, GATE_SHUT);
    pthread_mutex_unlock(&e->lock);
    pace_reset(e);
    return r;
}

int32_t isf_handover(isf_engine *e)
{
    if (atomic_load(&e->mode) != ISF_PROTECTED)
        return engine_problem(e, -ISF_ESTATE, "only a protected VM can be handed over");
    if (atomic_load(&e->pace.asynchronous))
        return engine_problem(e, -ISF_ESTATE, "output leaves before it is on the backup: end asynchronous protection first");
    engine_mode(e, ISF_HANDING);
    return checkpoint_want(e, WORKER_HANDING, 0);
}

int32_t isf_handover_cancel(isf_engine *e)
{
    if (atomic_load(&e->mode) != ISF_HANDING)
        return engine_problem(e, -ISF_ESTATE, "nothing is being handed over");
    engine_mode(e, ISF_PROTECTED);
    return checkpoint_want(e, WORKER_RUN, 0);
}

int32_t isf_verify(isf_engine *e)
{
    if (atomic_load(&e->mode) != ISF_PROTECTED)
        return engine_problem(e, -ISF_ESTATE, "only a protected VM can be verified");
    atomic_store(&e->verify_wanted, 1);
    engine_kick(e);
    return 0;
}

int32_t isf_standby(isf_engine *e, uint64_t generation, uint64_t term, int32_t keep)
{
    if (!e->qemu_pid)
        return engine_problem(e, -ISF_ESTATE, "a backup needs its standby QEMU first");
    if (generation < atomic_load(&e->generation) || term < atomic_load(&e->term))
        return engine_problem(e, -ISF_ESTALE, "generation %llu or term %llu is older than one that was seen", (unsigned long long)generation,
                              (unsigned long long)term);
    engine_gates(e, GATE_SHUT);
    int r = stop_protection(e);
    if (r == 0)
        r = standby_open(e, generation, term, keep);
    if (r)
        return r == -ISF_ESTATE ? engine_problem(e, r, "there is no whole copy to keep") : r;
    atomic_store(&e->generation, generation);
    new_term(e, term);
    engine_mode(e, ISF_STANDBY);
    return 0;
}

/* The old primary's lease is made of what our heartbeats acknowledge. It may have been heard again since it was found silent (it was
 * frozen, and has thawed): acknowledges nothing more, and waits until any lease has run out. Mostly there is nothing left to wait. */
static void outlast_lease(struct isf_engine *e)
{
    uint64_t until = e->heartbeat ? heartbeat_withhold(e->heartbeat, 1) : 0, bound = isf_now_us() + 2 * (uint64_t)e->silence_us;
    for (uint64_t now = isf_now_us(); now < until && now < bound; now = isf_now_us())
        usleep((useconds_t)(until - now < 1000 ? until - now : 1000));
}

int32_t isf_commits(isf_engine *e, int32_t on)
{
    standby_commits(e, on);
    return 0;
}

int32_t isf_promote(isf_engine *e, uint64_t term, int32_t gave_way)
{
    struct standby *s = &e->standby;
    if (term < atomic_load(&e->term))
        return engine_problem(e, -ISF_ESTALE, "term %llu is older than one that was seen", (unsigned long long)term);
    if (!gave_way)
        outlast_lease(e);
    pthread_mutex_lock(&s->lock); /* an epoch that is being applied is finished first */
    uint64_t theirs = s->term;
    int taken = theirs > s->first_term && term <= theirs; /* the primary's own, in which it went on asynchronously */
    int ok = atomic_load(&e->mode) == ISF_PROMOTING || (atomic_load(&e->mode) == ISF_STANDBY && s->whole && !taken);
    if (ok) {
        new_term(e, term);
        s->active = s->keepable = 0;
        standby_discard(s);
        for (int i = 0; i < e->disks; i++)
            disk_discard(e->disk[i]);
        status_set(&e->status->committed, s->committed);
        engine_mode(e, ISF_PROMOTING);
    }
    pthread_mutex_unlock(&s->lock);
    if (ok)
        return 0;
    if (e->heartbeat)
        heartbeat_withhold(e->heartbeat, 0);
    if (taken)
        return engine_problem(e, -ISF_ESTALE, "the old primary went on in term %llu: a promotion needs a newer one", (unsigned long long)theirs);
    return engine_problem(e, -ISF_ESTATE, "the copy on this host is not whole: it cannot be started");
}

/* Writes the pages of the other RAM blocks that changed here into QEMU, in runs within a block. */
static int write_blocks(struct isf_engine *e)
{
    struct standby *s = &e->standby;
    for (uint32_t i = 1; i < e->blocks.count; i++) {
        const struct block *b = &e->blocks.block[i];
        uint64_t first = b->page - s->first_block_page, pages = b->bytes / ISF_PAGE;
        for (uint64_t k = 0; k < pages;) {
            uint64_t n = 0;
            while (k + n < pages && s->touched[first + k + n])
                n++;
            int r = n ? blocks_write(&e->blocks, b->page + k, n, s->blocks + (first + k) * ISF_PAGE) : 0;
            if (r)
                return engine_problem(e, r, "the RAM block %s could not be written into QEMU: %s", b->name, strerror(-r));
            k += n ? n : 1;
        }
    }
    return 0;
}

static int write_all(int fd, const uint8_t *data, size_t length)
{
    size_t half = length / 2;
    for (size_t done = 0; done < length;) {
        size_t n = done < half ? half - done : length - done;
        ssize_t k = send(fd, data + done, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EPIPE;
        done += (size_t)k;
        if (done == half)
            failpoint(FAIL_RESTORE_HALF);
    }
    return 0;
}

int32_t isf_restore(isf_engine *e, const char *path)
{
    struct standby *s = &e->standby;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (atomic_load(&e->mode) != ISF_PROMOTING)
        return engine_problem(e, -ISF_ESTATE, "only a copy that is being promoted can be restored");
    if (strlen(path) >= sizeof address.sun_path)
        return engine_problem(e, -ENAMETOOLONG, "the socket's path %.40s... is too long", path);
    strcpy(address.sun_path, path);
    int r = write_blocks(e);
    if (r)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval bound = { .tv_sec = 5 };
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound) || connect(fd, (void *)&address, sizeof address))
        r = -errno;
    if (r == 0)
        r = write_all(fd, s->blocks + (e->blocks.pages - e->blocks.ram_pages) * ISF_PAGE, s->device_bytes);
    if (fd >= 0)
        close(fd);
    return r ? engine_problem(e, r, "the standby QEMU did not take the device state on %s: %s", path, strerror(-r)) : 0;
}

int32_t isf_restore_blocks(isf_engine *e)
{
    if (atomic_load(&e->mode) != ISF_PROMOTING)
        return engine_problem(e, -ISF_ESTATE, "only a copy that is being promoted can be restored");
    return write_blocks(e);
}

int32_t isf_announce(isf_engine *e, uint32_t times)
{
    for (int i = 0; i < e->nics; i++)
        gate_announce(e->gate[i], times > 20 ? 20 : times);
    return 0;
}

int32_t isf_no_output_commit(isf_engine *e)
{
    e->no_output_commit = 1;
    if (atomic_load(&e->mode) != ISF_IDLE && atomic_load(&e->mode) != ISF_STANDBY)
        engine_gates(e, GATE_OPEN);
    return 0;
}

int32_t isf_failpoint(isf_engine *e, const char *name, int32_t action)
{
    int r = failpoint_set(name, action);
    return r ? engine_problem(e, r, "there is no failpoint %s", name) : 0;
}
