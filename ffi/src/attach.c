/* Taking hold of a QEMU process: its monitor, its RAM blocks, its userfaultfd, the FIFO for its device state. */
#include "engine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim_abi.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438 /* Linux 5.6 */
#endif

#define QMP_BOUND_US 10000000u
#define CACHE_SHARE 4 /* the version cache holds a quarter of the guest's memory */

/* The name under which QEMU opens the FIFO: short, because its monitor reads byte by byte. */
static const char *fifo_name(pid_t pid, const char *path, char *out, size_t size)
{
    char link[64], cwd[200];
    const char *slash = strrchr(path, '/');
    snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    ssize_t n = readlink(link, cwd, sizeof cwd - 1);
    if (n > 0 && slash && (size_t)n == (size_t)(slash - path) && memcmp(cwd, path, (size_t)n) == 0)
        path = slash + 1;
    snprintf(out, size, "%s", path);
    return out;
}

static int make_fifo(struct isf_engine *e, pid_t pid, const char *path, uint32_t uid)
{
    char name[108];
    if (strlen(path) >= sizeof e->fifo_path || strpbrk(path, "\"\\"))
        return engine_problem(e, -EINVAL, "the FIFO's path %.40s... is too long or has quotes in it", path);
    unlink(path);
    if (mkfifo(path, 0600) || chown(path, uid, (gid_t)-1))
        return engine_problem(e, -errno, "the FIFO %s could not be made: %s", path, strerror(errno));
    strcpy(e->fifo_path, path);
    e->fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (e->fifo < 0)
        return engine_problem(e, -errno, "the FIFO %s could not be opened: %s", path, strerror(errno));
    /* live = false: a VM that has just shut down or was stopped must keep its disks active; to one that runs it makes no difference. */
    e->armed_length = snprintf(e->armed, sizeof e->armed, "{\"execute\":\"xen-save-devices-state\",\"arguments\":{\"filename\":\"%s\",\"live\":false}",
                               fifo_name(pid, path, name, sizeof name));
    return 0;
}

/* Fetches a descriptor of QEMU; -1 when it is not there. */
static int fetch(int pidfd, int number)
{
    return (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
}

static int open_tracker(struct isf_engine *e, uint32_t kind, int shim_errno)
{
    struct tracker_range range[BLOCKS_MAX];
    for (uint32_t i = 0; i < e->blocks.count; i++)
        range[i] = (struct tracker_range){ e->blocks.block[i].address, e->blocks.block[i].bytes };
    int r = tracker_open(&e->tracker, (enum tracker_kind)kind, e->qemu_pid, e->uffd, range, e->blocks.count);
    if (r == 0) {
        status_set(&e->status->tracker, (uint64_t)tracker_kind_of(e->tracker));
        return 0;
    }
    if (e->uffd < 0)
        return engine_problem(e, r, "QEMU has no userfaultfd (%s): start it with the preload shim, as root, on Linux 6.7 or later",
                              shim_errno ? strerror(shim_errno) : "the preload shim did not run");
    return engine_problem(e, r, "this kernel cannot track what a VM writes (%s): Linux 6.7 or later is needed, or one with soft-dirty bits",
                          r <= -ISF_EBASE ? "no way was found" : strerror(-r));
}

static int reserve(struct isf_engine *e)
{
    uint64_t pages = e->blocks.pages + BLOCKS_DEVICE_PAGES;
    for (int i = 0; i < ENGINE_STAGES; i++) {
        struct stage *s = &e->stage[i];
        if (s->data)
            continue;
        s->data = engine_reserve(pages * ISF_PAGE);
        s->numbers = engine_reserve(pages * sizeof *s->numbers);
        s->capacity = e->blocks.pages;
        if (!s->data || !s->numbers)
            return -ENOMEM;
    }
    free(e->lost);
    free(e->there);
    e->lost = calloc(e->blocks.pages / 8 + 1, 1);
    e->there = calloc(e->blocks.pages / 8 + 1, 1);
    if (!e->lost || !e->there)
        return -ENOMEM;
    return e->encoder ? 0 : encoder_new(&e->encoder, pages, e->blocks.ram_pages / CACHE_SHARE + BLOCKS_DEVICE_PAGES, CODEC_ADAPTIVE);
}

static int shim_errno_of(int table)
{
    struct isf_shim_table *t = table < 0 ? MAP_FAILED : mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, table, 0);
    if (t == MAP_FAILED)
        return 0;
    int r = t->magic == ISF_SHIM_MAGIC ? (int)t->uffd_errno : 0;
    munmap(t, sizeof *t);
    return r;
}

static int attach_locked(struct isf_engine *e, int pidfd, const char *qmp, uint32_t tracker)
{
    char problem[300] = "";
    int r = qmp_open(&e->qmp, qmp, QMP_BOUND_US);
    if (r)
        return engine_problem(e, r, "QEMU's monitor %s did not answer: %s", qmp, r <= -ISF_EBASE ? "it closed" : strerror(-r));
    e->qmp.context = e;
    e->qmp.on_event = engine_on_qmp;
    e->uffd = fetch(pidfd, ISF_SHIM_UFFD);
    int table = fetch(pidfd, ISF_SHIM_TABLE), shim_errno = shim_errno_of(table);
    r = blocks_learn(&e->blocks, &e->qmp, e->qemu_pid, e->memfd, e->ram, table, problem, sizeof problem);
    if (table >= 0)
        close(table);
    if (r)
        return engine_problem(e, r, "%s", problem);
    r = open_tracker(e, tracker, shim_errno);
    if (r)
        return r;
    r = reserve(e);
    return r ? engine_problem(e, r, "not enough memory for the checkpoints of this VM") : 0;
}

static int attach(struct isf_engine *e, int pidfd, const char *qmp, uint32_t tracker)
{
    pthread_mutex_lock(&e->qmp_lock);
    int r = attach_locked(e, pidfd, qmp, tracker);
    e->watched = r == 0;
    pthread_mutex_unlock(&e->qmp_lock);
    return r;
}

int32_t isf_qemu_attach(isf_engine *e, int32_t pid, const char *qmp, const char *fifo, uint32_t uid, uint32_t tracker)
{
    if (e->memfd < 0 || e->qemu_pid || tracker > TRACKER_COMPARE)
        return engine_problem(e, -ISF_ESTATE, "QEMU can be attached once, after isf_memory_new");
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return engine_problem(e, -errno, "there is no QEMU process %d", pid);
    e->qemu_pid = pid;
    int r = make_fifo(e, pid, fifo, uid);
    if (r == 0)
        r = attach(e, pidfd, qmp, tracker);
    close(pidfd);
    if (r)
        isf_qemu_detach(e);
    return r;
}

int32_t isf_qemu_detach(isf_engine *e)
{
    if (!e->qemu_pid)
        return 0;
    if (e->checkpoint_thread && !atomic_load(&e->ending) && checkpoint_want(e, WORKER_PARKED, 12000000))
        return engine_problem(e, -ETIMEDOUT, "a checkpoint did not end within 12 s: end the QEMU process first");
    sender_stop(e);
    for (int i = 0; i < e->nics; i++)
        gate_reset(e->gate[i]); /* what this QEMU said and was not released is nobody's any more */
    if (e->tracker)
        tracker_close(e->tracker);
    if (e->encoder)
        encoder_free(e->encoder);
    for (int i = 0; i < ENGINE_STAGES; i++) {
        struct stage *s = &e->stage[i];
        if (s->data)
            munmap(s->data, (e->blocks.pages + BLOCKS_DEVICE_PAGES) * ISF_PAGE);
        if (s->numbers)
            munmap(s->numbers, (e->blocks.pages + BLOCKS_DEVICE_PAGES) * sizeof *s->numbers);
        memset(s, 0, sizeof *s);
    }
    pthread_mutex_lock(&e->lock);
    free(e->lost);
    free(e->there);
    e->lost = e->there = NULL;
    e->common = 0;
    pthread_mutex_unlock(&e->lock);
    pthread_mutex_lock(&e->standby.lock);
    e->standby.keepable = 0; /* the next QEMU writes its firmware into the memory */
    pthread_mutex_unlock(&e->standby.lock);
    e->tracker = NULL;
    e->encoder = NULL;
    e->is_armed = 0;
    pthread_mutex_lock(&e->qmp_lock);
    e->watched = 0;
    qmp_close(&e->qmp);
    pthread_mutex_unlock(&e->qmp_lock);
    if (e->uffd >= 0)
        close(e->uffd);
    if (e->fifo >= 0) {
        close(e->fifo);
        unlink(e->fifo_path);
    }
    e->uffd = e->fifo = -1;
    e->qemu_pid = 0;
    return 0;
}

int32_t isf_blocks(isf_engine *e, char *text, uint32_t size)
{
    uint32_t n = 0;
    if (!e->qemu_pid || !e->blocks.count)
        return engine_problem(e, -ISF_ESTATE, "no QEMU is attached");
    for (uint32_t i = 0; i < e->blocks.count; i++) {
        char name[200];
        events_escape(name, sizeof name, e->blocks.block[i].name);
        int k = snprintf(text + n, size - n, "%s{\"name\":\"%s\",\"bytes\":%llu}", i ? "," : "[", name, (unsigned long long)e->blocks.block[i].bytes);
        if (k < 0 || (uint32_t)k + 2 >= size - n)
            return -ENOSPC;
        n += (uint32_t)k;
    }
    text[n++] = ']';
    text[n] = 0;
    return (int32_t)n;
}
