/* The trackers against what was really written, and against each other.
 *
 * Statically linked and started as the first process of a machine (test/ffi/softdirty_guest_test.ts) it runs the same
 * there, on another kernel. */
#include "../src/tracker_kind.h"
#include "check.h"
#include "tracker_subject.h"

#include <fcntl.h>
#include <linux/reboot.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The subject's threads write the same pages without asking each other, as a guest's do. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:subject_"; }

static uint64_t seed;
static int passes; /* how pagescan goes; 0: as it thinks best */
static const char *const kind_name[] = { "auto", "pagescan", "softdirty", "compare" };

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int tracker_for(struct tracker **t, enum tracker_kind kind, const struct subject *s)
{
    int r = tracker_open(t, kind, s->pid, s->uffd, s->ranges, 2);
    if (r == 0 && passes)
        tracker_two_passes(*t, passes == 2);
    return r;
}

/* Marks the runs' pages. Returns 0 if they do not ascend, overlap, touch within a range, or leave the ranges. */
static int mark(const struct subject *s, const struct tracker_run *runs, uint32_t count, uint8_t *pages)
{
    uint64_t border = s->ranges[0].length / ISF_PAGE;
    memset(pages, 0, s->pages);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t before = i ? runs[i - 1].page + runs[i - 1].count : 0;
        if (!runs[i].count || runs[i].page + runs[i].count > s->pages || runs[i].page < before)
            return 0;
        if (i && runs[i].page == before && before != border)
            return 0;
        if (runs[i].page < border && runs[i].page + runs[i].count > border)
            return 0;
        memset(pages + runs[i].page, 1, runs[i].count);
    }
    return 1;
}

static int same(const struct subject *s, const uint8_t *got, const uint8_t *truth, const char *who, int round)
{
    uint64_t missed = 0, extra = 0;
    for (uint64_t i = 0; i < s->pages; i++) {
        missed += truth[i] && !got[i];
        extra += !truth[i] && got[i];
    }
    if (missed || extra)
        printf("      %s, round %d: %d pages missed, %d too many\n", who, round, (int)missed, (int)extra);
    return !missed && !extra;
}

/* Writes into the subject from outside, as the engine does when it restores. */
static void write_from_outside(const struct subject *s)
{
    uint64_t value = rnd() | 1;
    for (int i = 0; i < 5; i++) {
        uint64_t page = rnd() % s->pages, first = s->ranges[0].length / ISF_PAGE;
        uint64_t at = page < first ? s->ranges[0].start + page * ISF_PAGE : s->ranges[1].start + (page - first) * ISF_PAGE;
        struct iovec local = { &value, 8 }, remote = { (void *)(uintptr_t)at, 8 };
        if (process_vm_writev(s->pid, &local, 1, &remote, 1, 0) == 8)
            s->shared->written[page] = 1;
        value++;
    }
}

/* Rounds of random writes, and after each all kinds that the kernel has, on a subject that stands still. */
static void finds_what_was_written(int rounds)
{
    struct subject s;
    struct tracker *t[4] = { 0 };
    int ok = subject_start(&s, 6000, 3000), exact = 1, counted = 1, formed = 1, quiet = 1;
    uint8_t *got = malloc(s.pages);
    for (int k = TRACKER_PAGESCAN; k <= TRACKER_COMPARE && ok; k++)
        if (tracker_for(&t[k], k, &s) == 0) {
            tracker_stopped(t[k], 1);
            ok &= tracker_begin(t[k]) == 0;
        }
    for (int round = 0; round < rounds && ok; round++) {
        /* From nothing, over more runs than one scan holds, to everything. */
        uint64_t writes = round % 10 == 9 ? 20000 : round % 10 == 0 ? 0 : 1 + rnd() % (1u << (round % 10 + 3));
        subject_write(&s, writes, rnd());
        if (round % 3 == 1)
            write_from_outside(&s);
        for (int k = TRACKER_PAGESCAN; k <= TRACKER_COMPARE && ok; k++) {
            const struct tracker_run *runs;
            uint64_t peeked = 0, truth = 0, again = 1;
            uint32_t count;
            if (!t[k])
                continue;
            ok &= tracker_peek(t[k], &peeked) == 0 && tracker_collect(t[k], &runs, &count) == 0;
            formed &= ok && mark(&s, runs, count, got);
            exact &= same(&s, got, s.shared->written, kind_name[k], round);
            for (uint64_t i = 0; i < s.pages; i++)
                truth += s.shared->written[i];
            counted &= peeked == truth;
            ok &= tracker_peek(t[k], &again) == 0;
            quiet &= again == 0;
        }
        memset(s.shared->written, 0, s.pages);
    }
    CHECK(ok, "random writes: from several threads, by system call and from outside, in shared and private memory");
    CHECK(exact, "each kind finds exactly the pages that were written");
    CHECK(formed, "runs ascend, are joined, and do not cross from one range into the next");
    CHECK(counted && quiet, "peek counts what collect then takes, and nothing after it");
    for (int k = TRACKER_PAGESCAN; k <= TRACKER_COMPARE; k++)
        tracker_close(t[k]);
    free(got);
    subject_end(&s);
}

/* Copies what the runs name from the subject to the replica. */
static void copy_runs(const struct subject *s, const struct tracker_run *runs, uint32_t count, uint8_t *replica)
{
    uint64_t first = s->ranges[0].length / ISF_PAGE;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t page = runs[i].page, at = page < first ? s->ranges[0].start + page * ISF_PAGE
                                                        : s->ranges[1].start + (page - first) * ISF_PAGE;
        struct iovec local = { replica + page * ISF_PAGE, runs[i].count * ISF_PAGE };
        struct iovec remote = { (void *)(uintptr_t)at, runs[i].count * ISF_PAGE };
        if (process_vm_readv(s->pid, &local, 1, &remote, 1, 0) != (ssize_t)local.iov_len)
            abort();
    }
}

/* Pre-copy: threads write all the time; collect, then read, some rounds long; then they stop, and a last round.
 * `forget`: what one round found is left out, on purpose. 1 if the replica is alike at the end, -1 if something failed. */
static int pre_copy(enum tracker_kind kind, int forget)
{
    struct subject s;
    struct tracker *t = NULL;
    const struct tracker_run *runs;
    uint32_t count;
    int ok = subject_start(&s, 3000, 1500);
    uint8_t *replica = malloc(s.pages * ISF_PAGE), *now = malloc(s.pages * ISF_PAGE);
    struct tracker_run all[2] = { { 0, 3000 }, { 3000, 1500 } };
    ok &= tracker_for(&t, kind, &s) == 0 && tracker_begin(t) == 0;
    copy_runs(&s, all, 2, replica);
    for (int round = 0; ok && round < 40; round++) {
        if (round == 0)
            subject_run(&s, 1, rnd());
        subject_progress(&s, 100);
        if (round == 39)
            subject_run(&s, 0, 0);
        tracker_stopped(t, round == 39);
        ok &= tracker_collect(t, &runs, &count) == 0;
        if (ok && !(forget && round == 39))
            copy_runs(&s, runs, count, replica);
    }
    copy_runs(&s, all, 2, now);
    int alike = ok && memcmp(now, replica, s.pages * ISF_PAGE) == 0;
    tracker_close(t);
    free(replica);
    free(now);
    subject_end(&s);
    return ok ? alike : -1;
}

static void loses_no_write(enum tracker_kind kind)
{
    char promise[120];
    snprintf(promise, sizeof promise, "%s loses no write of a running process", kind_name[kind]);
    CHECK(pre_copy(kind, 0) == 1, promise);
    snprintf(promise, sizeof promise, "negative control: %s, one round left out, and the copy differs", kind_name[kind]);
    CHECK(pre_copy(kind, 1) == 0, promise);
}

static void notices_the_end(enum tracker_kind kind)
{
    struct subject s;
    struct tracker *t = NULL;
    const struct tracker_run *runs;
    char promise[120];
    uint32_t count;
    uint64_t pages;
    int ok = subject_start(&s, 100, 100) && tracker_for(&t, kind, &s) == 0 && tracker_begin(t) == 0;
    if (ok)
        tracker_stopped(t, 1);
    kill(s.pid, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)s.pid, &info, WEXITED | WNOWAIT);
    snprintf(promise, sizeof promise, "%s: a process that has ended is an error, not clean", kind_name[kind]);
    CHECK(ok && tracker_collect(t, &runs, &count) < 0 && count == 0 && tracker_peek(t, &pages) < 0, promise);
    tracker_close(t);
    subject_end(&s);
}

/* Big ranges take several threads, and more runs than a vector holds: 512 and 1,024 are where it could go wrong. */
static void big_ranges(void)
{
    static const uint64_t counts[] = { 0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 5000, 40000 };
    struct subject s;
    struct tracker *t = NULL;
    const struct tracker_run *runs;
    uint32_t count;
    int ok = subject_start(&s, (UINT64_C(4) << 30) / ISF_PAGE + 1000, 64), exact = 1;
    uint8_t *got = malloc(s.pages);
    ok &= tracker_for(&t, TRACKER_PAGESCAN, &s) == 0 && tracker_begin(t) == 0;
    for (unsigned i = 0; ok && i < sizeof counts / sizeof counts[0]; i++) {
        for (int spread = 0; spread < 2; spread++) { /* side by side, and all over */
            uint64_t step = spread && counts[i] ? s.pages / counts[i] : 2;
            subject_stride(&s, counts[i], step > 1 ? step : 1);
            ok &= tracker_collect(t, &runs, &count) == 0 && mark(&s, runs, count, got);
            exact &= same(&s, got, s.shared->written, "4 GiB", (int)counts[i]);
            memset(s.shared->written, 0, s.pages);
        }
    }
    /* A run over where the range is cut for the threads comes back as one. */
    subject_block(&s, 65536 - 100, 200);
    ok &= tracker_collect(t, &runs, &count) == 0 && count == 1 && runs[0].page == 65436 && runs[0].count == 200;
    CHECK(ok && exact, "4 GiB with several threads: exactly the pages that were written, in order, joined");
    tracker_close(t);
    t = NULL;
    ok = tracker_for(&t, TRACKER_PAGESCAN, &s) == 0 && tracker_begin(t) == 0 && tracker_collect(t, &runs, &count) == 0 && count == 0;
    CHECK(ok, "a tracker can be opened again on the same memory");
    tracker_close(t);
    free(got);
    subject_end(&s);
}

static void refuses_nonsense(void)
{
    struct subject s;
    struct tracker *t = NULL;
    int ok = subject_start(&s, 10, 10);
    struct tracker_range r[2] = { s.ranges[0], s.ranges[0] };
    CHECK(ok && tracker_open(&t, TRACKER_COMPARE, s.pid, -1, r, 2) == -EINVAL, "ranges that overlap are refused");
    r[0].start++;
    CHECK(tracker_open(&t, TRACKER_COMPARE, s.pid, -1, r, 1) == -EINVAL, "a range that is not page-aligned is refused");
    r[0] = (struct tracker_range){ s.ranges[0].start, (UINT64_C(64) << 30) + ISF_PAGE };
    CHECK(tracker_open(&t, TRACKER_COMPARE, s.pid, -1, r, 1) == -EINVAL, "more than 64 GiB are refused");
    CHECK(tracker_open(&t, TRACKER_COMPARE, s.pid, -1, r, 0) == -EINVAL, "no range at all is refused");
    CHECK(tracker_open(&t, TRACKER_PAGESCAN, s.pid, -1, s.ranges, 2) == -ISF_EUNSUPPORTED, "pagescan without a userfaultfd is refused");
    CHECK(tracker_open(&t, TRACKER_COMPARE, 0x3ffffff, -1, s.ranges, 2) == -ESRCH, "a process that does not exist is told");
    CHECK(t == NULL, "nothing is left of a tracker that was refused");
    subject_end(&s);
}

/* Does pagemap bit 55 follow writes here? By trying, in a process of its own: not as the tracker probes. */
static int soft_dirty_works(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        volatile char *page = aligned_alloc(ISF_PAGE, ISF_PAGE);
        int map = open("/proc/self/pagemap", O_RDONLY), clear = open("/proc/self/clear_refs", O_WRONLY);
        uint64_t before = 0, after = 0;
        off_t at = (off_t)((uintptr_t)page / ISF_PAGE * 8);
        page[0] = 1;
        int ok = write(clear, "4", 1) == 1 && pread(map, &before, 8, at) == 8;
        page[0] = 2;
        ok = ok && pread(map, &after, 8, at) == 8;
        _exit(ok && !(before >> 55 & 1) && (after >> 55 & 1));
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status);
}

static void kinds(int *pagescan, int *softdirty)
{
    struct subject s;
    struct tracker *t = NULL;
    int ok = subject_start(&s, 10, 10), works = soft_dirty_works();
    int r = tracker_for(&t, TRACKER_PAGESCAN, &s);
    *pagescan = r == 0;
    CHECK(ok && (s.uffd >= 0 ? r == 0 : r == -ISF_EUNSUPPORTED), "pagescan is there exactly where the kernel's userfaultfd can do it");
    tracker_close(t);
    r = tracker_for(&t, TRACKER_SOFTDIRTY, &s);
    *softdirty = r == 0;
    CHECK(works ? r == 0 : r == -ISF_EUNSUPPORTED, "softdirty is there exactly where the kernel's bit follows writes");
    tracker_close(t);
    r = tracker_for(&t, TRACKER_AUTO, &s);
    CHECK(r == 0 && tracker_kind_of(t) == (*pagescan ? TRACKER_PAGESCAN : *softdirty ? TRACKER_SOFTDIRTY : TRACKER_COMPARE),
          "auto takes the best kind that works");
    tracker_close(t);
    printf("      kinds: %s%scompare\n", *pagescan ? "pagescan " : "", *softdirty ? "softdirty " : "");
    subject_end(&s);
}

/* The first process of a machine: makes what the tests read, and ends with power off. */
static void machine_begin(void)
{
    mkdir("/proc", 0755);
    mkdir("/sys", 0755);
    mkdir("/dev", 0755);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd < 3; fd++)
        dup2(console, fd);
}

int main(int argc, char **argv)
{
    int pagescan, softdirty, machine = getpid() == 1;
    if (machine)
        machine_begin();
    seed = !machine && argc > 1 ? strtoull(argv[1], NULL, 0) : isf_now_us() * 2654435761u;
    seed |= 1;
    printf("      seed %llu\n", (unsigned long long)seed);
    kinds(&pagescan, &softdirty);
    refuses_nonsense();
    int rounds = machine ? 20 : 60; /* an emulated machine is slow */
    finds_what_was_written(rounds);
    for (int k = TRACKER_PAGESCAN; k <= TRACKER_COMPARE; k++) {
        if ((k == TRACKER_PAGESCAN && !pagescan) || (k == TRACKER_SOFTDIRTY && !softdirty))
            continue;
        loses_no_write(k);
        notices_the_end(k);
    }
    for (passes = 1; pagescan && passes <= 2; passes++) {
        printf("      pagescan in %d pass%s\n", passes, passes == 1 ? "" : "es");
        finds_what_was_written(rounds);
        loses_no_write(TRACKER_PAGESCAN);
        big_ranges();
    }
    int result = check_end();
    if (machine) {
        sync();
        reboot(LINUX_REBOOT_CMD_POWER_OFF);
    }
    return result;
}
