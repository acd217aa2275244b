/* The engine's life, its callbacks, and its parts: ../iservft.h says what each call does. */
#include "aead.h"
#include "engine.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINK_TIMEOUT_US 2000000u

int engine_problem(struct isf_engine *e, int code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    pthread_mutex_lock(&e->problem_lock);
    vsnprintf(e->problem, sizeof e->problem, format, list);
    pthread_mutex_unlock(&e->problem_lock);
    va_end(list);
    return code;
}

void engine_mode(struct isf_engine *e, enum isf_mode mode)
{
    atomic_store(&e->mode, (int)mode);
    status_set(&e->status->mode, mode);
}

void engine_gates(struct isf_engine *e, enum gate_mode mode)
{
    for (int i = 0; i < e->nics; i++)
        gate_mode(e->gate[i], mode);
}

void engine_kick(struct isf_engine *e)
{
    uint64_t one = 1;
    ssize_t n = write(e->kick, &one, sizeof one);
    (void)n;
}

void samples_add(struct samples *s, uint64_t value)
{
    s->value[s->next] = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    s->next = (s->next + 1) % ENGINE_SAMPLES;
    if (s->count < ENGINE_SAMPLES)
        s->count++;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

uint64_t samples_quantile(const struct samples *s, uint32_t permille)
{
    uint32_t sorted[ENGINE_SAMPLES], count = s->count;
    if (!count)
        return 0;
    memcpy(sorted, s->value, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_value);
    return sorted[(uint64_t)(count - 1) * permille / 1000];
}

void *engine_reserve(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

int engine_send(struct isf_engine *e, uint16_t type, uint32_t flags, uint64_t epoch, const struct iovec *parts, int count)
{
    int active = atomic_load(&e->active);
    struct frame f = { .type = type, .flags = flags, .epoch = epoch };
    f.generation = atomic_load(&e->generation);
    f.term = atomic_load(&e->term);
    return active < 0 ? -ISF_ELINK : link_send(e->link[active], &f, parts, count);
}

/* ---- life ---- */

static int start_threads(struct isf_engine *e)
{
    int r = copier_open(&e->copier);
    if (r == 0)
        r = isf_thread(&e->checkpoint_thread, "isf-checkpoint", checkpoint_run, e);
    if (r == 0)
        r = isf_thread(&e->sender_thread, "isf-sender", sender_run, e);
    return r ? r : isf_thread(&e->ticker_thread, "isf-ticker", ticker_run, e);
}

static void init_locks(struct isf_engine *e)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&e->lock, NULL);
    pthread_mutex_init(&e->turn, NULL);
    pthread_mutex_init(&e->release_lock, NULL);
    pthread_mutex_init(&e->problem_lock, NULL);
    pthread_mutex_init(&e->qmp_lock, NULL);
    pthread_mutex_init(&e->standby.lock, NULL);
    pthread_mutex_init(&e->peer_lock, NULL);
    pthread_cond_init(&e->wake, &monotonic);
    pthread_cond_init(&e->parked, &monotonic);
}

int32_t isf_engine_new(const char *run_dir, const uint8_t *secret, isf_engine **out)
{
    *out = NULL;
    struct isf_engine *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    init_locks(e);
    e->memfd = e->uffd = e->fifo = e->kick = e->qmp.fd = -1;
    e->events.listener = e->events.client = e->events.wake = -1;
    atomic_store(&e->active, -1);
    e->standby.rx_link = -1;
    e->open_epoch = 1;
    e->rhythm = (struct rhythm){ .min_us = 1000, .max_us = 100000, .dirty_pages = 8192, .inflight = 4, .stall_us = 1000000 };
    memcpy(e->secret, secret, WIRE_KEY);
    char path[108];
    int r = snprintf(path, sizeof path, "%s/events.sock", run_dir) >= (int)sizeof path ? -ENAMETOOLONG : 0;
    snprintf(e->run_dir, sizeof e->run_dir, "%s", run_dir);
    e->status = engine_reserve(sizeof *e->status);
    e->device = engine_reserve((uint64_t)BLOCKS_DEVICE_PAGES * ISF_PAGE + ISF_PAGE);
    e->hashes = calloc(HASH_REGION, sizeof *e->hashes);
    e->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r == 0 && (!e->status || !e->device || !e->hashes || e->kick < 0))
        r = -ENOMEM;
    if (r == 0)
        r = events_open(&e->events, path);
    if (r == 0)
        r = start_threads(e);
    if (r) {
        isf_engine_free(e);
        return r;
    }
    *out = e;
    return 0;
}

static void join(unsigned long thread)
{
    if (thread)
        pthread_join((pthread_t)thread, NULL);
}

void isf_engine_free(isf_engine *e)
{
    if (!e)
        return;
    engine_gates(e, GATE_SHUT);
    atomic_store(&e->ending, 1);
    if (e->status)
        engine_mode(e, ISF_IDLE); /* nothing that still comes in is taken */
    pthread_mutex_lock(&e->standby.lock);
    e->standby.active = 0; /* and no journal acknowledges on lines that are gone */
    pthread_mutex_unlock(&e->standby.lock);
    pthread_mutex_lock(&e->lock);
    e->want = WORKER_END;
    e->sending = 0;
    e->work = 1;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    engine_kick(e);
    for (int i = 0; i < 2; i++)
        if (e->link[i])
            link_drop(e->link[i], -ECANCELED);
    join(e->checkpoint_thread);
    join(e->sender_thread);
    join(e->ticker_thread);
    copier_close(e->copier);
    watchdog_close(e->watchdog); /* before the heartbeats that keep it alive */
    if (e->heartbeat)
        heartbeat_close(e->heartbeat);
    for (int i = 0; i < 2; i++)
        if (e->link[i])
            link_close(e->link[i]);
    isf_qemu_detach(e);
    for (int i = 0; i < e->disks; i++) /* before the gates: a journal's report may release output */
        disk_close(e->disk[i]);
    for (int i = 0; i < e->nics; i++)
        gate_close(e->gate[i]);
    standby_close(e);
    pthread_mutex_lock(&e->lock);
    sync_remember_lost(e);
    pthread_mutex_unlock(&e->lock);
    if (e->standby.decoder)
        decoder_free(e->standby.decoder);
    if (e->standby.blocks)
        munmap(e->standby.blocks, (e->blocks.pages + BLOCKS_DEVICE_PAGES - e->blocks.ram_pages) * ISF_PAGE);
    free(e->standby.touched);
    if (e->ram)
        munmap(e->ram, e->ram_bytes);
    if (e->memfd >= 0)
        close(e->memfd);
    if (e->kick >= 0)
        close(e->kick);
    events_close(&e->events);
    buffer_free(&e->sync_wire);
    free(e->hashes);
    if (e->device)
        munmap(e->device, (uint64_t)BLOCKS_DEVICE_PAGES * ISF_PAGE + ISF_PAGE);
    if (e->status)
        munmap(e->status, sizeof *e->status);
    free(e);
}

/* ---- parts ---- */

int32_t isf_memory_new(isf_engine *e, uint64_t bytes)
{
    if (bytes == 0 || bytes % ISF_PAGE || bytes > 64ull << 30)
        return engine_problem(e, -EINVAL, "the guest's memory must be 4 KiB to 64 GiB in whole pages, not %llu bytes", (unsigned long long)bytes);
    if (e->memfd >= 0)
        return engine_problem(e, -ISF_ESTATE, "the guest's memory exists already");
    e->memfd = (int)syscall(SYS_memfd_create, "isf-guest", 1u /* MFD_CLOEXEC */);
    if (e->memfd < 0 || ftruncate(e->memfd, (off_t)bytes))
        return engine_problem(e, -errno, "%llu bytes of guest memory could not be made: %s", (unsigned long long)bytes, strerror(errno));
    e->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, e->memfd, 0);
    if (e->ram == MAP_FAILED) {
        e->ram = NULL;
        return engine_problem(e, -errno, "the guest's memory could not be mapped: %s", strerror(errno));
    }
    e->ram_bytes = bytes;
    return e->memfd;
}

int32_t isf_disk_add(isf_engine *e, const char *name, const char *image, const char *prefix, const char *socket)
{
    char journal[512], bitmap[512], problem[300] = "";
    if (e->disks == ENGINE_DISKS)
        return engine_problem(e, -ISF_ELIMIT, "a VM has at most %d disks", ENGINE_DISKS);
    if (snprintf(journal, sizeof journal, "%s.journal", prefix) >= (int)sizeof journal)
        return engine_problem(e, -ENAMETOOLONG, "the path %.60s... is too long", prefix);
    snprintf(bitmap, sizeof bitmap, "%s.bitmap", prefix);
    struct disk_slot *slot = &e->disk_slot[e->disks];
    *slot = (struct disk_slot){ e, e->disks };
    struct disk_config c = { .image = image, .journal = journal, .bitmap = bitmap, .socket = socket, .export_name = name, .context = slot,
                             .on_log = engine_on_log, .on_durable = engine_on_durable, .on_error = engine_on_disk_error };
    int r = disk_open(&e->disk[e->disks], &c, problem, sizeof problem);
    return r ? engine_problem(e, r, "%s", problem) : e->disks++;
}

int64_t isf_disk_bytes(isf_engine *e, int32_t index)
{
    return index < 0 || index >= e->disks ? -EINVAL : (int64_t)disk_bytes(e->disk[index]);
}

int32_t isf_flush(isf_engine *e, int32_t waits)
{
    int r = 0;
    for (int i = 0; i < e->disks; i++) {
        if (waits)
            disk_flush_waits(e->disk[i], 1);
        int one = disk_flush_now(e->disk[i]);
        r = one && r != -ETIMEDOUT ? one : r;
    }
    if (r == -ETIMEDOUT)
        return engine_problem(e, -ISF_ELIMIT, "the journals were not synced within 5 s: look at the storage below the disks");
    return r ? engine_problem(e, r, "a journal could not be synced") : 0;
}

int32_t isf_flushes_wait(isf_engine *e, int32_t wait)
{
    for (int i = 0; i < e->disks; i++)
        disk_flush_waits(e->disk[i], wait != 0);
    return 0;
}

int32_t isf_found(isf_engine *e, uint64_t *found)
{
    found[0] = found[1] = 0;
    for (int i = 0; i < e->disks; i++) {
        uint64_t generation, epoch;
        disk_found(e->disk[i], &generation, &epoch);
        if (generation > found[0] || (generation == found[0] && epoch > found[1])) {
            found[0] = generation;
            found[1] = epoch;
        }
    }
    return found[0] != 0;
}

int32_t isf_nic_add(isf_engine *e, const char *tap, const char *bridge, const char *socket)
{
    if (e->nics == ENGINE_NICS)
        return engine_problem(e, -ISF_ELIMIT, "a VM has at most %d NICs", ENGINE_NICS);
    struct gate_config c = { .tap = tap, .bridge = bridge[0] ? bridge : NULL, .tap_fd = -1, .socket = socket, .frame_max = 65550,
                             .queue_bytes = 32u << 20, .context = e, .on_output = engine_on_output, .lease_until_us = engine_lease,
                             .on_qemu = engine_on_gate_qemu };
    int r = gate_open(&e->gate[e->nics], &c);
    if (r == -ENODEV)
        return engine_problem(e, r, "there is no bridge %s: create it (ip link add %s type bridge), or name another one", bridge, bridge);
    if (r == -EPERM || r == -EACCES)
        return engine_problem(e, r, "the network interface %s needs root (CAP_NET_ADMIN)", tap);
    if (r == -EBUSY)
        return engine_problem(e, r, "the network interface %s exists already: another runner of this VM is alive, or choose another name", tap);
    return r ? engine_problem(e, r, "the network interface %s could not be made: %s", tap, strerror(-r)) : e->nics++;
}

int32_t isf_nic_lease(isf_engine *e, int32_t nic, const uint8_t *secret, uint32_t lease_us)
{
    int r = nic < 0 || nic >= e->nics ? -EINVAL : gate_kernel_lease(e->gate[nic], secret, lease_us);
    return r ? engine_problem(e, r, "a kernel's lease of %u us for NIC %d: it must be two ticks of the kernel to 60 s, for a NIC that was added",
                              lease_us, nic) : 0;
}

int engine_line(struct isf_engine *e, int index, const struct engine_line *line)
{
    struct link_config c = { .index = index, .local = line->local, .peer = line->peer, .port = line->port, .listen = line->listen,
                             .timeout_us = LINK_TIMEOUT_US, .context = e, .on_frame = receive_frame, .on_state = engine_on_link };
    memcpy(c.secret, e->secret, WIRE_KEY);
    struct link *link = e->link[index];
    pthread_mutex_lock(&e->lock); /* the first thing that the new line does is to wait for it (engine_on_link) */
    int r = link ? link_begin(link, &c) : link_open(&link, &c);
    if (r == 0)
        atomic_store(&e->link[index], link);
    pthread_mutex_unlock(&e->lock);
    secret_wipe(&c, sizeof c);
    return r;
}

int32_t isf_link_add(isf_engine *e, int32_t index, const char *local, const char *peer, uint32_t port, int32_t listen)
{
    if (index < 0 || index > 1 || port == 0 || port > 65535 || e->link[index])
        return engine_problem(e, -EINVAL, "link %d on port %u: links are 0 and 1, each once, ports 1 to 65535", index, port);
    int r = engine_line(e, index, &(struct engine_line){ local, peer, (uint16_t)port, listen });
    return r ? engine_problem(e, r, "link %c on %s port %u could not be opened: %s", 'A' + index, local, port, strerror(-r)) : 0;
}

int32_t isf_heartbeat_path(isf_engine *e, int32_t index, const char *local, const char *peer, uint32_t port)
{
    if (index < 0 || index >= HEARTBEAT_PATHS || port == 0 || port > 65535 || strlen(local) > 63 || strlen(peer) > 63)
        return engine_problem(e, -EINVAL, "heartbeat path %d on port %u is not one", index, port);
    strcpy(e->path_text[index][0], local);
    strcpy(e->path_text[index][1], peer);
    e->path[index] = (struct heartbeat_path){ e->path_text[index][0], e->path_text[index][1], (uint16_t)port };
    return 0;
}

int32_t isf_heartbeat_start(isf_engine *e, uint32_t interval_us, uint32_t silence_us, const char *reference, const char *lan)
{
    if (interval_us < 1000 || silence_us < 3 * interval_us)
        return engine_problem(e, -EINVAL, "heartbeats every %u us and a takeover time of %u us: at least 1 ms, and three times that", interval_us,
                              silence_us);
    struct heartbeat_config c = { .interval_us = interval_us, .silence_us = silence_us, .context = e, .on_path = engine_on_path,
                                  .on_peer = engine_on_peer, .on_stall = engine_on_stall, .reference = reference[0] ? reference : NULL,
                                  .reference_interface = lan[0] ? lan : NULL };
    memcpy(c.path, e->path, sizeof c.path);
    memcpy(c.secret, e->secret, WIRE_KEY);
    e->silence_us = silence_us;
    e->interval_us = interval_us;
    struct heartbeat *heartbeat;
    int r = heartbeat_open(&heartbeat, &c);
    if (r == 0)
        atomic_store(&e->heartbeat, heartbeat);
    if (r == 0)
        heartbeat_say(heartbeat, &e->word); /* said before the start, it is said all the same */
    return r ? engine_problem(e, r, "heartbeats could not start: %s", strerror(-r)) : 0;
}

int32_t isf_say(isf_engine *e, uint64_t generation, uint64_t term, uint64_t epoch, uint32_t role, uint32_t flags)
{
    e->word = (struct heartbeat_word){ .generation = generation, .term = term, .epoch = epoch, .role = role, .flags = flags };
    atomic_store(&e->vm_here, role == ISF_VM_HERE && term != 0);
    if (e->heartbeat)
        heartbeat_say(e->heartbeat, &e->word);
    return 0;
}

int32_t isf_control(isf_engine *e, const uint8_t *text, uint32_t length)
{
    if (length > WIRE_PAYLOAD_MAX / 8)
        return engine_problem(e, -EMSGSIZE, "a control message of %u bytes is too long", length);
    struct iovec part = { (void *)(uintptr_t)text, length };
    int r = engine_send(e, FRAME_CONTROL, 0, 0, &part, 1);
    struct frame f = { .type = FRAME_CONTROL };
    for (int i = 0; r && i < 2; i++)
        if (e->link[i])
            r = link_send(e->link[i], &f, &part, 1);
    return r ? engine_problem(e, -ISF_ELINK, "no replication line is up") : 0;
}
