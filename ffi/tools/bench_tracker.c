/* What tracking costs: one JSON object per line, times in microseconds, medians of ROUNDS.
 *
 *   bench_tracker [MiB...]     default: 512 1024 2048 4096 8192, as far as a third of the free memory goes
 *
 * cc -std=c11 -D_GNU_SOURCE -O2 -pthread -Isrc tools/bench_tracker.c src/tracker*.c src/base.c */
#include "../src/kernel_abi.h"
#include "../src/tracker_kind.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 21
#define SLOW_ROUNDS 3                         /* softdirty, compare */
#define SLOW_BYTES (UINT64_C(1) << 30)        /* compare needs as much again */

struct order { uint64_t pages, step; };
struct subject { pid_t pid; int uffd, to, from; struct tracker_range range; };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void subject_main(uint64_t bytes, int from, int to)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int memory = memfd_create("bench", MFD_CLOEXEC);
    uint8_t *p = MAP_FAILED;
    if (ftruncate(memory, (off_t)bytes) == 0)
        p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (p == MAP_FAILED)
        _exit(1);
    memset(p, 1, bytes);
    struct uffdio_api api = { .api = UFFD_API, .features = ISF_UFFD_FEATURES };
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api))
        uffd = -1;
    struct subject s = { .uffd = uffd, .range = { (uintptr_t)p, bytes } };
    struct order order;
    if (write(to, &s, sizeof s) != sizeof s)
        _exit(1);
    while (read(from, &order, sizeof order) == sizeof order) {
        double start = now_us();
        for (uint64_t i = 0; i < order.pages; i++)
            p[i * order.step * ISF_PAGE % bytes]++;
        double took = now_us() - start;
        if (write(to, &took, sizeof took) != sizeof took)
            _exit(1);
    }
    _exit(0);
}

static int subject_start(struct subject *s, uint64_t bytes)
{
    int to[2], from[2];
    if (pipe(to) || pipe(from))
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        close(to[1]);
        subject_main(bytes, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    int ok = read(from[0], s, sizeof *s) == sizeof *s;
    s->pid = pid;
    s->to = to[1];
    s->from = from[0];
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ok && s->uffd >= 0)
        s->uffd = (int)syscall(SYS_pidfd_getfd, pidfd, s->uffd, 0);
    close(pidfd);
    return ok;
}

static void subject_end(struct subject *s)
{
    close(s->to);
    close(s->from);
    if (s->uffd >= 0)
        close(s->uffd);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* Has the subject write so many pages; returns how long that took it. */
static double subject_write(struct subject *s, uint64_t pages, uint64_t step)
{
    struct order order = { pages, step };
    double took = 0;
    if (write(s->to, &order, sizeof order) != sizeof order || read(s->from, &took, sizeof took) != sizeof took)
        exit(1);
    return took;
}

static double measure(struct subject *s, struct tracker *t, uint64_t dirty, int adjacent, int rounds, double *write_us)
{
    double collect[ROUNDS], writing[ROUNDS];
    uint64_t pages = s->range.length / ISF_PAGE, step = adjacent || !dirty ? 1 : pages / dirty;
    for (int i = 0; i < rounds; i++) {
        const struct tracker_run *runs;
        uint32_t count;
        writing[i] = dirty ? subject_write(s, dirty, step) : 0;
        double start = now_us();
        if (tracker_collect(t, &runs, &count) || (count == 0) != (dirty == 0))
            exit(1);
        collect[i] = now_us() - start;
    }
    *write_us = median(writing, rounds);
    return median(collect, rounds);
}

/* passes: how pagescan goes; 0 for the others. */
static void bench(struct subject *s, enum tracker_kind kind, int passes)
{
    static const char *const name[] = { "auto", "pagescan", "softdirty", "compare" };
    static const uint64_t dirty[] = { 0, 100, 1000, 10000, 50000 };
    struct tracker *t;
    double gib = (double)s->range.length / (1 << 30), clean = 0, write_us;
    if (tracker_open(&t, kind, s->pid, s->uffd, &s->range, 1)) {
        printf("{\"bench\":\"tracker\",\"kind\":\"%s\",\"supported\":false}\n", name[kind]);
        return;
    }
    tracker_stopped(t, 1);
    tracker_two_passes(t, passes == 2);
    double start = now_us();
    if (tracker_begin(t))
        exit(1);
    printf("{\"bench\":\"tracker\",\"kind\":\"%s\",\"passes\":%d,\"gib\":%.2f,\"begin_us\":%.0f}\n", name[kind], passes, gib, now_us() - start);
    for (unsigned i = 0; i < sizeof dirty / sizeof dirty[0]; i++) {
        for (int adjacent = 0; adjacent <= (dirty[i] != 0); adjacent++) {
            double us = measure(s, t, dirty[i], adjacent, kind == TRACKER_PAGESCAN ? ROUNDS : SLOW_ROUNDS, &write_us);
            clean = dirty[i] ? clean : us;
            printf("{\"bench\":\"tracker\",\"kind\":\"%s\",\"passes\":%d,\"gib\":%.2f,\"dirty_pages\":%llu,\"adjacent\":%s,\"collect_us\":%.1f,"
                   "\"us_per_clean_gib\":%.1f,\"ns_per_dirty_page\":%.1f,\"ns_per_first_write\":%.1f}\n",
                   name[kind], passes, gib, (unsigned long long)dirty[i], adjacent ? "true" : "false", us, clean / gib,
                   dirty[i] ? (us - clean) * 1e3 / (double)dirty[i] : 0, dirty[i] ? write_us * 1e3 / (double)dirty[i] : 0);
            fflush(stdout);
        }
    }
    tracker_close(t);
}

static uint64_t free_bytes(void)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "MemAvailable: %llu", &kib) != 1)
        ;
    if (f)
        fclose(f);
    return kib * 1024;
}

int main(int argc, char **argv)
{
    static const uint64_t standard[] = { 512, 1024, 2048, 4096, 8192 };
    int count = argc > 1 ? argc - 1 : (int)(sizeof standard / sizeof standard[0]);
    for (int i = 0; i < count; i++) {
        uint64_t bytes = (argc > 1 ? strtoull(argv[i + 1], NULL, 10) : standard[i]) << 20;
        struct subject s;
        if (!bytes || (argc == 1 && bytes > free_bytes() / 3))
            continue;
        if (!subject_start(&s, bytes)) {
            fprintf(stderr, "there is no room for a process of %llu MiB\n", (unsigned long long)bytes >> 20);
            return 1;
        }
        bench(&s, TRACKER_PAGESCAN, 1);
        bench(&s, TRACKER_PAGESCAN, 2);
        if (bytes <= SLOW_BYTES) {
            bench(&s, TRACKER_SOFTDIRTY, 0);
            bench(&s, TRACKER_COMPARE, 0);
        }
        subject_end(&s);
    }
    return 0;
}
