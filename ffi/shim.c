/* Preloaded into QEMU, a stock one. Needs libc only. Does three things that only QEMU's own process can do:
 *
 *   - makes the userfaultfd through which the engine tracks writes: it serves the process that made it;
 *   - notes where QEMU maps its RAM blocks, which QEMU 7.2 does not tell;
 *   - ends QEMU when the runner is gone: a guest that nobody gates must not run. (The kernel's own parent-death signal
 *     is lost when QEMU changes its user, and follows the thread that started it.)
 *
 * It runs before QEMU drops its privileges and installs its system-call filter. What it finds wrong is in the table:
 * the engine, which reads it, can say so to someone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "src/kernel_abi.h"
#include "src/shim_abi.h"

#define EXPORT __attribute__((visibility("default")))

/* The one piece of state: set once, before QEMU's main. */
static struct isf_shim_table *table;

/* Moves a descriptor to a fixed number, if that is free. */
static int move_to(int fd, int number)
{
    int r = -1;
    if (fcntl(number, F_GETFD) < 0 && errno == EBADF)
        r = dup3(fd, number, O_CLOEXEC);
    close(fd);
    return r < 0 ? -1 : 0;
}

/* The numbers above are below the usual limit of 1,024; a lower one is raised as far as it may. */
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > ISF_SHIM_TABLE)
        return;
    limit.rlim_cur = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void make_table(void)
{
    int fd = memfd_create("isf-shim", MFD_CLOEXEC);
    if (fd < 0)
        return;
    void *p = MAP_FAILED;
    if (ftruncate(fd, sizeof *table) == 0)
        p = (void *)syscall(SYS_mmap, NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        close(fd);
        return;
    }
    if (move_to(fd, ISF_SHIM_TABLE) == 0) {
        table = p;
        table->magic = ISF_SHIM_MAGIC;
        table->version = ISF_SHIM_VERSION;
    }
}

/* 0 or an errno value. */
static int make_userfaultfd(void)
{
    struct uffdio_api api = { .api = UFFD_API, .features = ISF_UFFD_FEATURES };
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    if (ioctl(fd, UFFDIO_API, &api)) {
        int error = errno;
        close(fd);
        return error;
    }
    return move_to(fd, ISF_SHIM_UFFD) == 0 ? 0 : EMFILE;
}

static void end_process(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        syscall(SYS_exit_group, 137);
}

/* The runner, as a process descriptor, or as -pid where the kernel (before 5.3) has none. */
static void *watch_runner(void *context)
{
    int runner = (int)(intptr_t)context;
    if (runner >= 0) {
        struct pollfd p = { .fd = runner, .events = POLLIN };
        while (poll(&p, 1, -1) != 1)
            ;
    } else {
        while (kill(-runner, 0) == 0 || errno == EPERM)
            usleep(100000);
    }
    end_process();
    return NULL;
}

/* Without its watcher QEMU must not run. */
static void start_watcher(const char *text)
{
    char *end;
    long pid = strtol(text, &end, 10);
    pthread_attr_t small;
    pthread_t thread;
    sigset_t all, before;
    if (pid <= 1 || pid > INT_MAX || *end)
        end_process();
    int runner = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (runner < 0 && errno != ENOSYS)
        end_process(); /* gone already */
    if (runner < 0)
        runner = -(int)pid;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 128 * 1024);
    if (pthread_create(&thread, &small, watch_runner, (void *)(intptr_t)runner))
        end_process();
    pthread_attr_destroy(&small);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void shim_start(void)
{
    unsetenv("LD_PRELOAD");
    allow_descriptors();
    make_table();
    int error = make_userfaultfd();
    if (table)
        table->uffd_errno = (uint32_t)error;
    const char *runner = getenv(ISF_SHIM_RUNNER_ENV);
    if (runner) {
        start_watcher(runner);
        unsetenv(ISF_SHIM_RUNNER_ENV);
    }
}

/* QEMU reserves a RAM block's addresses with PROT_NONE, and then maps it there with MAP_FIXED. */
static void note_mapping(void *address, size_t bytes, int protection, int flags, int fd)
{
    if (!table || fd != -1 || !(flags & MAP_FIXED) || !(flags & MAP_ANONYMOUS) || !(protection & PROT_WRITE))
        return;
    uint32_t i = __atomic_fetch_add(&table->count, 1, __ATOMIC_RELAXED);
    if (i >= ISF_SHIM_ENTRIES)
        return;
    table->entry[i].address = (uintptr_t)address;
    table->entry[i].bytes = bytes;
}

EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *p = (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
    if (p != MAP_FAILED)
        note_mapping(p, bytes, protection, flags, fd);
    return p;
}

EXPORT void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    return mmap(address, bytes, protection, flags, fd, offset);
}

EXPORT int munmap(void *address, size_t bytes)
{
    uintptr_t start = (uintptr_t)address;
    uint32_t count = table ? __atomic_load_n(&table->count, __ATOMIC_RELAXED) : 0;
    for (uint32_t i = 0; i < count && i < ISF_SHIM_ENTRIES; i++)
        if (table->entry[i].bytes && table->entry[i].address >= start && table->entry[i].address - start < bytes)
            table->entry[i].bytes = 0;
    return (int)syscall(SYS_munmap, address, bytes);
}
