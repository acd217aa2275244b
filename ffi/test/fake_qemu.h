/* A stand-in for QEMU 7.2, as far as the engine knows QEMU: monitor, RAM blocks, userfaultfd, device state into a FIFO, NBD client,
 * network stream. Its guest is a counter: step k changes memory, RAM blocks and disk in a way that is a function of k alone, stores k
 * in page 0, and then sends a frame that carries k. So whoever holds any part of a copy can say which k it should be, and whether it is
 * exactly that.
 *
 * It is a process of its own (fake_qemu_process.h): this program again, by the name "fake-qemu". */
#ifndef ISF_FAKE_QEMU_H
#define ISF_FAKE_QEMU_H

#include "base.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the guest as a function of its counter ---- */

#define GUEST_PARTS 5u               /* main memory, and blocks of which two have the same size */
#define GUEST_DISK (1u << 20)
#define GUEST_DISK_WRITE (64u << 10) /* largest write */
#define GUEST_DEVICE (512u << 10)    /* largest device state */
#define GUEST_FRAME_TYPE 0x88b5u     /* for local experiments, IEEE 802 */
#define GUEST_FRAME 1500u

static const uint64_t guest_block_pages[GUEST_PARTS] = {0, 16, 16, 64, 1};

struct guest {
    uint8_t *part[GUEST_PARTS];
    uint64_t pages[GUEST_PARTS], total;
};

static inline uint64_t guest_random(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline uint8_t *guest_page(const struct guest *g, uint64_t page)
{
    uint32_t i = 0;
    while (page >= g->pages[i])
        page -= g->pages[i++];
    return g->part[i] + page * ISF_PAGE;
}

static inline void guest_shape(struct guest *g, uint64_t ram_pages)
{
    g->total = 0;
    for (uint32_t i = 0; i < GUEST_PARTS; i++) {
        g->pages[i] = i ? guest_block_pages[i] : ram_pages;
        g->total += g->pages[i];
    }
}

static inline uint64_t guest_counter(const uint8_t *ram)
{
    return __atomic_load_n((const uint64_t *)(const void *)ram, __ATOMIC_ACQUIRE);
}

/* How the machine's firmware leaves the other blocks. */
static inline void guest_boot(struct guest *g)
{
    for (uint32_t i = 1; i < GUEST_PARTS; i++)
        for (uint64_t p = 0; p < g->pages[i]; p += 2)
            memset(g->part[i] + p * ISF_PAGE, (int)(i * 16 + p), ISF_PAGE);
}

static inline void guest_write(const struct guest *g, uint64_t k, uint64_t *x)
{
    uint8_t *page = guest_page(g, 1 + guest_random(x) % (g->total - 1));
    uint64_t what = guest_random(x), value = guest_random(x), offset = what / 64 % (ISF_PAGE / 8 - 8) * 8;
    switch (what % 16) {
    case 0:
        memset(page, 0, ISF_PAGE);
        return;
    case 1:
        for (uint32_t i = 0; i < ISF_PAGE; i += 8)
            memcpy(page + i, &(uint64_t){value * (i + 1)}, 8);
        return;
    case 2: /* written, but unchanged */
        *(volatile uint8_t *)(page + offset) = *(volatile uint8_t *)(page + offset);
        return;
    default:
        memcpy(page + offset, &(uint64_t){value ^ k}, 8);
    }
}

/* Step k: everything but the disk. Every 512th touches half of the memory. */
static inline void guest_step(struct guest *g, uint64_t k)
{
    uint64_t x = k * 0xd1342543de82ef95ull;
    uint64_t writes = k % 512 == 0 ? g->pages[0] / 2 : 1 + guest_random(&x) % 12;
    for (uint64_t i = 0; i < writes; i++)
        guest_write(g, k, &x);
    __atomic_store_n((uint64_t *)(void *)g->part[0], k, __ATOMIC_RELEASE);
}

/* What step k writes to the disk. 0: nothing; 1: data; 2: zeroes. */
static inline int guest_disk_write(uint64_t k, uint64_t *offset, uint32_t *length, uint8_t *data)
{
    uint64_t x = k * 0xa0761d6478bd642full;
    if (k % 6)
        return 0;
    *length = (uint32_t)(1 + guest_random(&x) % (k % 60 ? 16 : GUEST_DISK_WRITE / 512)) * 512;
    *offset = guest_random(&x) % ((GUEST_DISK - *length) / 512 + 1) * 512;
    if (k % 42 == 0)
        return 2;
    for (uint32_t i = 0; i < *length; i += 8)
        memcpy(data + i, &(uint64_t){k + i * 2654435761ull}, 8);
    return 1;
}

/* The device state at k: of sizes that differ. Returns its length. */
static inline uint32_t guest_device(uint64_t k, uint8_t *out)
{
    uint64_t x = k * 0xe7037ed1a0b428dbull;
    uint32_t length = k % 5 == 0 ? 9000 + (uint32_t)(guest_random(&x) % 5000) : 20000 + (uint32_t)(guest_random(&x) % 120000);
    memset(out, (int)(k / 7), length);
    memcpy(out, &k, 8);
    memcpy(out + 8, &(uint64_t){length}, 8);
    for (uint32_t i = 16; i + 8 <= length; i += 512)
        memcpy(out + i, &(uint64_t){k ^ i}, 8);
    return length;
}

static inline uint32_t guest_frame(uint64_t k, uint8_t *out)
{
    static const uint8_t head[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3, GUEST_FRAME_TYPE >> 8, GUEST_FRAME_TYPE & 0xff};
    uint32_t length = 64 + (uint32_t)(k % 5) * 300;
    memset(out, (int)k, length);
    memcpy(out, head, sizeof head);
    memcpy(out + sizeof head, &k, 8);
    return length;
}

/* ---- between the test and the process ---- */

enum fake_fault {
    FAULT_NONE,
    FAULT_DIE_FIRST,  /* dies when it should save */
    FAULT_DIE_HALF,   /* dies with half of its device state written */
    FAULT_HANG_FIRST, /* does not answer any more */
    FAULT_HANG_HALF,
    FAULT_REFUSE,     /* answers with an error, once */
    FAULT_LARGE,      /* a device state beyond the bound, once */
    FAULT_DIE_STOP,   /* dies at `stop` */
};

struct fake_control {
    /* set before the start; "" = none */
    char memory[64], qmp[108], monitor[108], net[108], disk[108];
    uint64_t ram_pages;
    int standby;          /* waits for an incoming state; its RAM blocks begin with other contents */
    int shows_addresses;  /* as QEMU 10 */
    int without_uffd;
    int small_device;     /* a device state that fits into the pipe */
    int frames_every;     /* a frame at every so many steps */
    _Atomic int pace_us;  /* pause after a step */
    /* any time */
    _Atomic int fault;
    /* told by the process */
    _Atomic uint32_t ready, running, misuse, disk_errors, frames_dropped;
    _Atomic uint64_t counter, sent; /* newest step done; newest step whose frame was written */
    _Atomic uint64_t restored;      /* the counter of the state that came in; UINT64_MAX: it was not what it should be */
};

struct fake {
    pid_t pid;
    int control_fd, monitor;
    struct fake_control *control;
};

extern char **environ;

static inline int fake_connect(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Starts a process with the settings in `config`. 0 or -1. */
static inline int fake_start(struct fake *f, const struct fake_control *config)
{
    char path[64], *arguments[] = {(char *)"fake-qemu", path, NULL};
    *f = (struct fake){.control_fd = (int)syscall(SYS_memfd_create, "fake-control", 1u), .monitor = -1};
    if (f->control_fd < 0 || ftruncate(f->control_fd, sizeof *f->control))
        return -1;
    f->control = mmap(NULL, sizeof *f->control, PROT_READ | PROT_WRITE, MAP_SHARED, f->control_fd, 0);
    memcpy(f->control, config, sizeof *config);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), f->control_fd);
    if (posix_spawn(&f->pid, "/proc/self/exe", NULL, NULL, arguments, environ))
        return -1;
    for (int i = 0; i < 20000 && !atomic_load(&f->control->ready); i++) {
        if (waitpid(f->pid, NULL, WNOHANG) == f->pid) {
            f->pid = 0;
            return -1;
        }
        usleep(1000);
    }
    f->monitor = fake_connect(f->control->monitor);
    return f->monitor < 0 ? -1 : 0;
}

/* A command of the test's own: "cont", "stop", "incoming PATH". 0, or -1: no answer within 10 s. */
static inline int fake_say(struct fake *f, const char *command)
{
    char line[256], answer[16];
    int n = snprintf(line, sizeof line, "%s\n", command);
    struct pollfd p = {.fd = f->monitor, .events = POLLIN};
    if (send(f->monitor, line, (size_t)n, MSG_NOSIGNAL) != n || poll(&p, 1, 10000) != 1)
        return -1;
    return recv(f->monitor, answer, sizeof answer, 0) > 0 ? 0 : -1;
}

static inline void fake_end(struct fake *f)
{
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
    }
    if (f->monitor >= 0)
        close(f->monitor);
    if (f->control)
        munmap(f->control, sizeof *f->control);
    if (f->control_fd >= 0)
        close(f->control_fd);
    *f = (struct fake){.control_fd = -1, .monitor = -1};
}

#endif
