/* A wall clock of its own for a host's programs in the lab, preloaded into them: what they are told of CLOCK_REALTIME is off by what a
 * file says at that moment, and jumps when the lab rewrites it. The machine's own clock is never touched, and CLOCK_MONOTONIC, which
 * is what a program should wait by, is as it was: waits until a wall time are not changed here, because a program that has such
 * waits would be found by them.
 *
 * ISERVFT_LAB_CLOCK names the file: struct lab_clock, in the machine's own byte order. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ll

struct lab_clock {
    int64_t shift_ns;
    /* Answers that were off, told to QEMU and to all others: the proof that a jump was seen. */
    uint64_t told[2];
};

static struct lab_clock *the_clock;
static int (*real_gettime)(clockid_t, struct timespec *);
static unsigned the_teller;

__attribute__((constructor)) static void open_clock(void)
{
    const char *path = getenv("ISERVFT_LAB_CLOCK");
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    the_teller = strncmp(program_invocation_short_name, "qemu", 4) == 0 ? 0 : 1;
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *the_clock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        the_clock = at;
}

static int is_wall(clockid_t id)
{
    return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE || id == CLOCK_TAI;
}

int clock_gettime(clockid_t id, struct timespec *at)
{
    if (!real_gettime) /* some other library's constructor asks before ours ran */
        open_clock();
    int r = real_gettime(id, at);
    int64_t shift = the_clock && is_wall(id) ? __atomic_load_n(&the_clock->shift_ns, __ATOMIC_RELAXED) : 0;
    if (r || shift == 0)
        return r;
    int64_t ns = at->tv_nsec + shift % NS_PER_S;
    at->tv_sec += shift / NS_PER_S + (ns >= NS_PER_S) - (ns < 0);
    at->tv_nsec = ns < 0 ? ns + NS_PER_S : ns % NS_PER_S;
    __atomic_fetch_add(&the_clock->told[the_teller], 1, __ATOMIC_RELAXED);
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone)
{
    struct timespec now;
    int r = clock_gettime(CLOCK_REALTIME, &now);
    if (r == 0)
        *at = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    if (zone)
        memset(zone, 0, sizeof(struct timezone));
    return r;
}

time_t time(time_t *at)
{
    struct timespec now;
    time_t s = clock_gettime(CLOCK_REALTIME, &now) ? (time_t)-1 : now.tv_sec;
    if (at)
        *at = s;
    return s;
}
