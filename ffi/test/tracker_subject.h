/* A process to track: one range of shared memory, one of private memory, and three threads that write into them. It notes which
 * pages it writes, so that the truth is known. Every write changes its page. */
#ifndef ISF_TRACKER_SUBJECT_H
#define ISF_TRACKER_SUBJECT_H

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../src/kernel_abi.h"
#include "../src/tracker.h"

#define SUBJECT_THREADS 3u
#define SUBJECT_PAGES_MAX ((UINT64_C(4) << 30) / ISF_PAGE + 4096)

enum subject_order { ORDER_NONE, ORDER_WRITE, ORDER_RUN, ORDER_STRIDE, ORDER_BLOCK };

/* Seen by both; `round` is a command, `done` counts the threads that carried it out. */
struct subject_shared {
    _Atomic uint32_t round, done, ready, running;
    _Atomic uint64_t value; /* grows with each write, so that none leaves its page as it was */
    enum subject_order order;
    uint64_t a, b;
    uint8_t *memory[2];
    uint64_t pages[2];
    int uffd;
    uint8_t written[SUBJECT_PAGES_MAX];
};

struct subject {
    pid_t pid;
    int uffd;
    struct tracker_range ranges[2];
    uint64_t pages;
    struct subject_shared *shared;
};

static struct subject_shared *subject_self; /* in the subject only */

static inline uint64_t subject_next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static inline uint8_t *subject_at(uint64_t page)
{
    struct subject_shared *c = subject_self;
    return page < c->pages[0] ? c->memory[0] + page * ISF_PAGE : c->memory[1] + (page - c->pages[0]) * ISF_PAGE;
}

/* `count` adjacent pages at most are left from here in this range. */
static inline uint64_t subject_room(uint64_t page, uint64_t count)
{
    struct subject_shared *c = subject_self;
    uint64_t end = page < c->pages[0] ? c->pages[0] : c->pages[0] + c->pages[1];
    return end - page < count ? end - page : count;
}

static inline void subject_store(uint64_t page, uint64_t offset)
{
    uint64_t value = atomic_fetch_add(&subject_self->value, 1);
    memcpy(subject_at(page) + offset, &value, 8);
    subject_self->written[page] = 1;
}

/* One write of a random kind: by far most are stores, some come by a system call, some span pages. */
static inline void subject_write_one(uint64_t *x, int pipe_out, int pipe_in)
{
    struct subject_shared *c = subject_self;
    uint64_t page = subject_next(x) % (c->pages[0] + c->pages[1]), room = subject_room(page, 3);
    uint8_t bytes[2 * ISF_PAGE];
    if (subject_next(x) % 8) {
        subject_store(page, subject_next(x) % (ISF_PAGE - 8));
        return;
    }
    size_t length = room == 3 ? sizeof bytes : 64;
    for (size_t i = 0; i < length; i += 8) {
        uint64_t value = atomic_fetch_add(&c->value, 1);
        memcpy(bytes + i, &value, 8);
    }
    /* Whole values also in the last page: the high bytes of one are the same as those of another. */
    uint8_t *at = subject_at(page) + (room == 3 ? subject_next(x) % ISF_PAGE / 8 * 8 : 0);
    if (write(pipe_in, bytes, length) != (ssize_t)length || read(pipe_out, at, length) != (ssize_t)length)
        abort();
    uint64_t last = (uint64_t)(at + length - 1 - subject_at(page)) / ISF_PAGE;
    for (uint64_t i = 0; i <= last; i++)
        c->written[page + i] = 1;
}

static inline void subject_obey(struct subject_shared *c, uint32_t thread, const int *pipe_ends)
{
    uint64_t x = (c->b ^ thread * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    switch (c->order) {
    case ORDER_WRITE:
        for (uint64_t i = thread; i < c->a; i += SUBJECT_THREADS)
            subject_write_one(&x, pipe_ends[0], pipe_ends[1]);
        break;
    case ORDER_RUN:
        while (atomic_load(&c->running))
            subject_write_one(&x, pipe_ends[0], pipe_ends[1]);
        break;
    case ORDER_STRIDE:
        for (uint64_t i = thread; i < c->a && i * c->b < c->pages[0] + c->pages[1]; i += SUBJECT_THREADS)
            subject_store(i * c->b, 8);
        break;
    case ORDER_BLOCK:
        for (uint64_t i = thread; i < c->b; i += SUBJECT_THREADS)
            subject_store(c->a + i, 16);
        break;
    default:
        break;
    }
}

static void *subject_thread(void *context)
{
    struct subject_shared *c = subject_self;
    uint32_t seen = 0, thread = (uint32_t)(uintptr_t)context;
    int ends[2];
    if (pipe(ends))
        abort();
    atomic_fetch_add(&c->ready, 1);
    for (;;) {
        while (atomic_load(&c->round) == seen)
            usleep(50);
        seen++;
        subject_obey(c, thread, ends);
        atomic_fetch_add(&c->done, 1);
    }
    return NULL;
}

static inline void subject_main(struct subject_shared *c)
{
    subject_self = c;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* a huge page is dirty as a whole */
    int memory = (int)syscall(SYS_memfd_create, "subject", 0u);
    if (memory < 0 || ftruncate(memory, (off_t)(c->pages[0] * ISF_PAGE)))
        _exit(1);
    c->memory[0] = mmap(NULL, c->pages[0] * ISF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory, 0);
    c->memory[1] = mmap(NULL, c->pages[1] * ISF_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c->memory[0] == MAP_FAILED || c->memory[1] == MAP_FAILED)
        _exit(1);
    struct uffdio_api api = { .api = UFFD_API, .features = ISF_UFFD_FEATURES };
    c->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (c->uffd >= 0 && ioctl(c->uffd, UFFDIO_API, &api)) {
        close(c->uffd);
        c->uffd = -1;
    }
    atomic_store(&c->value, 1);
    for (uint64_t i = 0; i < c->pages[0] + c->pages[1]; i += 2 + i / 5000) /* half of it is there at first, of big ranges less */
        memset(subject_at(i), 1, 64);
    memset(c->written, 0, c->pages[0] + c->pages[1]);
    pthread_t thread;
    for (uintptr_t i = 0; i < SUBJECT_THREADS; i++)
        if (pthread_create(&thread, NULL, subject_thread, (void *)i))
            _exit(1);
    for (;;)
        pause();
}

/* 1 if it runs, with so many pages of shared and private memory. */
static inline int subject_start(struct subject *s, uint64_t shared_pages, uint64_t private_pages)
{
    memset(s, 0, sizeof *s);
    struct subject_shared *c = mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c == MAP_FAILED)
        return 0;
    c->pages[0] = shared_pages;
    c->pages[1] = private_pages;
    s->shared = c;
    s->pages = shared_pages + private_pages;
    s->uffd = -1;
    s->pid = fork();
    if (s->pid == 0)
        subject_main(c);
    while (atomic_load(&c->ready) < SUBJECT_THREADS) {
        if (s->pid < 0 || waitpid(s->pid, NULL, WNOHANG) != 0)
            return 0;
        usleep(100);
    }
    for (int i = 0; i < 2; i++)
        s->ranges[i] = (struct tracker_range){ (uintptr_t)c->memory[i], c->pages[i] * ISF_PAGE };
    int pidfd = c->uffd < 0 ? -1 : (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (pidfd >= 0) {
        s->uffd = (int)syscall(SYS_pidfd_getfd, pidfd, c->uffd, 0);
        close(pidfd);
    }
    return 1;
}

static inline void subject_end(struct subject *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    if (s->uffd >= 0)
        close(s->uffd);
    munmap(s->shared, sizeof *s->shared);
}

static inline void subject_give(struct subject *s, enum subject_order order, uint64_t a, uint64_t b)
{
    s->shared->order = order;
    s->shared->a = a;
    s->shared->b = b;
    atomic_store(&s->shared->done, 0);
    atomic_fetch_add(&s->shared->round, 1);
}

static inline void subject_wait(struct subject *s)
{
    while (atomic_load(&s->shared->done) < SUBJECT_THREADS)
        usleep(20);
}

/* So many random writes. */
static inline void subject_write(struct subject *s, uint64_t writes, uint64_t seed)
{
    subject_give(s, ORDER_WRITE, writes, seed);
    subject_wait(s);
}

/* Every `step`-th page, `count` of them. */
static inline void subject_stride(struct subject *s, uint64_t count, uint64_t step)
{
    subject_give(s, ORDER_STRIDE, count, step);
    subject_wait(s);
}

static inline void subject_block(struct subject *s, uint64_t page, uint64_t count)
{
    subject_give(s, ORDER_BLOCK, page, count);
    subject_wait(s);
}

/* Writes without end (on = 1), or no more (0). */
static inline void subject_run(struct subject *s, int on, uint64_t seed)
{
    if (on == (int)atomic_load(&s->shared->running))
        return;
    atomic_store(&s->shared->running, (uint32_t)on);
    if (on)
        subject_give(s, ORDER_RUN, 0, seed);
    else
        subject_wait(s);
}

/* Waits until a running subject wrote so many values more. */
static inline void subject_progress(struct subject *s, uint64_t values)
{
    uint64_t end = atomic_load(&s->shared->value) + values;
    while (atomic_load(&s->shared->value) < end)
        usleep(100);
}

#endif
