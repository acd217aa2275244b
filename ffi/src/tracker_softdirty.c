/* softdirty: the kernel sets bit 55 of a page's pagemap word at the first write after clear_refs. Reading and clearing
 * are two steps for the whole process, so a write between them would be lost: it must stand still meanwhile. */
#include "kernel_abi.h"
#include "tracker_kind.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORDS 16384u           /* pagemap words read at a time: 64 MiB of the process */
#define FREEZE_US 1000000u     /* how long a process may take to stand still */

struct softdirty {
    int clear_refs;
    uint64_t words[WORDS];
};

/* A fresh page that was written has the bit, if the kernel has it at all. */
static int kernel_has_it(void)
{
    int yes = 0;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    volatile uint8_t *page = tracker_reserve(ISF_PAGE);
    if (fd >= 0 && page) {
        uint64_t word = 0;
        page[0] = 1;
        yes = pread(fd, &word, sizeof word, (off_t)((uintptr_t)page / ISF_PAGE * sizeof word)) == sizeof word &&
              (word & ISF_PAGEMAP_SOFT_DIRTY);
    }
    if (page)
        munmap((void *)page, ISF_PAGE);
    if (fd >= 0)
        close(fd);
    return yes;
}

static size_t read_small_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    n = n < 0 ? 0 : n;
    text[n] = 0;
    return (size_t)n;
}

/* When the kernel unmaps a page of shared memory its bit is gone, and with it a write. It does that to swap and
 * to make huge pages. Private memory keeps the bit. */
static int pages_stay_mapped(void)
{
    char text[4096];
    read_small_file("/proc/swaps", text, sizeof text);
    char *entry = strchr(text, '\n');
    if (entry && entry[1])
        return 0;
    if (!read_small_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text, sizeof text))
        return 1;
    return strstr(text, "[never]") || strstr(text, "[deny]");
}

/* Whether any range is shared memory, by the process's map. 1 when in doubt. */
static int has_shared(const struct tracker *t)
{
    char path[40], line[512], kind;
    unsigned long start, end;
    int shared = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)t->pid);
    FILE *maps = fopen(path, "re");
    if (!maps)
        return 1;
    while (fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %*3c%c", &start, &end, &kind) != 3 || kind != 's')
            continue;
        for (uint32_t i = 0; i < t->range_count; i++)
            shared |= t->ranges[i].start < end && start < t->ranges[i].start + t->ranges[i].length;
    }
    fclose(maps);
    return shared;
}

static int softdirty_open(struct tracker *t)
{
    if (!kernel_has_it() || (has_shared(t) && !pages_stay_mapped()))
        return -ISF_EUNSUPPORTED;
    if (t->pid == getpid())
        return -EINVAL; /* it could not freeze itself */
    struct softdirty *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", (int)t->pid);
    s->clear_refs = open(path, O_WRONLY | O_CLOEXEC);
    if (s->clear_refs < 0) {
        int r = errno == EACCES ? -EPERM : errno == ENOENT ? -ESRCH : -errno;
        free(s);
        return r;
    }
    t->state = s;
    return 0;
}

static void softdirty_close(struct tracker *t)
{
    struct softdirty *s = t->state;
    close(s->clear_refs);
    free(s);
    t->state = NULL;
}

static int softdirty_begin(struct tracker *t)
{
    struct softdirty *s = t->state;
    return write(s->clear_refs, "4", 1) == 1 ? 0 : -errno;
}

/* Reads the bits of all ranges; `count` is of runs, or NULL to count pages only. */
static int read_bits(struct tracker *t, uint32_t *count, uint64_t *pages)
{
    struct softdirty *s = t->state;
    for (uint32_t i = 0; i < t->range_count; i++) {
        uint64_t all = t->ranges[i].length / ISF_PAGE, first = t->ranges[i].start / ISF_PAGE;
        for (uint64_t at = 0; at < all;) {
            size_t want = (all - at < WORDS ? all - at : WORDS) * sizeof s->words[0];
            ssize_t got = pread(t->pagemap, s->words, want, (off_t)((first + at) * sizeof s->words[0]));
            if (got < (ssize_t)sizeof s->words[0])
                return got < 0 ? -errno : -ESRCH;
            size_t words = (size_t)got / sizeof s->words[0];
            for (size_t k = 0; k < words; k++) {
                if (!(s->words[k] & ISF_PAGEMAP_SOFT_DIRTY))
                    continue;
                ++*pages;
                if (count)
                    tracker_add(t, count, t->first[i] + at + k, at + k == 0);
            }
            at += words;
        }
    }
    return 0;
}

static int softdirty_peek(struct tracker *t, uint64_t *pages) { return read_bits(t, NULL, pages); }

/* The state letter of one thread: the first character after the name's closing parenthesis. */
static char thread_state(pid_t pid, const char *thread)
{
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", (int)pid, thread);
    read_small_file(path, text, sizeof text);
    char *end = strrchr(text, ')');
    return end && end[1] == ' ' ? end[2] : 'X';
}

/* True when no thread of the process can write: each is stopped, or has ended. */
static int stands_still(pid_t pid)
{
    char path[40];
    int still = 1;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (!threads)
        return 1; /* gone: the next read says so */
    for (struct dirent *e; still && (e = readdir(threads));)
        still = e->d_name[0] == '.' || strchr("TtXZ", thread_state(pid, e->d_name));
    closedir(threads);
    return still;
}

static int freeze(pid_t pid)
{
    if (kill(pid, SIGSTOP))
        return -errno;
    for (uint64_t end = isf_now_us() + FREEZE_US; !stands_still(pid);) {
        if (isf_now_us() > end) {
            kill(pid, SIGCONT);
            return -ETIMEDOUT;
        }
        usleep(50);
    }
    return 0;
}

static int softdirty_collect(struct tracker *t, uint32_t *count)
{
    uint64_t pages = 0;
    int freezing = !t->stopped && !stands_still(t->pid);
    int r = freezing ? freeze(t->pid) : 0;
    if (r)
        return r;
    r = read_bits(t, count, &pages);
    if (!r)
        r = softdirty_begin(t);
    if (freezing && kill(t->pid, SIGCONT) && !r)
        r = -errno;
    return r;
}

const struct tracker_ops tracker_softdirty = {
    TRACKER_SOFTDIRTY, softdirty_open, softdirty_close, softdirty_begin, softdirty_peek, softdirty_collect,
};
