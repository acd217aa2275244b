/* The watchdog with a device of the test's own: no machine is reset here. */
#include "check.h"
#include "watchdog.h"

#include <linux/watchdog.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND 1000000u

/* A device as the kernel's: opening arms it; closed after a 'V' it is disarmed, closed without one it is not. */
struct device {
    pthread_mutex_t lock;
    int present, known, nowayout, busy;   /* what it is */
    int options, least_s, refuse_time, mute, refuse_letter, refuse_ping;
    int is_open, armed, letter;           /* how it stands */
    int opens, pings, touches, timeout_s;
    pthread_t toucher;
    int touchers;                         /* threads that touched it */
    atomic_int wanted;
    atomic_ullong beats;
};

static char mark[64];

static void touch(struct device *d)
{
    if (!d->touches++ || !pthread_equal(d->toucher, pthread_self()))
        d->touchers++;
    d->toucher = pthread_self();
}

static int fake_look(void *context, const char *path)
{
    struct device *d = context;
    (void)path;
    return !d->present ? -ENOENT : !d->known ? -ENODATA : d->nowayout ? -EPERM : 0;
}

static int fake_open(void *context, const char *path)
{
    struct device *d = context;
    (void)path;
    pthread_mutex_lock(&d->lock);
    touch(d);
    int r = !d->present ? -ENOENT : d->busy || d->is_open ? -EBUSY : 7;
    if (r == 7) {
        d->opens++;
        d->is_open = d->armed = 1;
        d->letter = 0;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int control(struct device *d, unsigned long request, int *value)
{
    switch (request) {
    case WDIOC_GETSUPPORT:
        ((struct watchdog_info *)(void *)value)->options = (uint32_t)d->options;
        return 0;
    case WDIOC_SETTIMEOUT:
        if (d->refuse_time)
            return -EINVAL;
        d->timeout_s = *value = *value < d->least_s ? d->least_s : *value;
        return 0;
    case WDIOC_GETTIMEOUT:
        *value = d->timeout_s;
        return d->mute ? -ENOTTY : 0;
    case WDIOC_KEEPALIVE:
        d->pings += !d->refuse_ping;
        return d->refuse_ping ? -EIO : 0;
    }
    return -ENOTTY;
}

static int fake_control(void *context, int fd, unsigned long request, void *argument)
{
    struct device *d = context;
    pthread_mutex_lock(&d->lock);
    touch(d);
    int r = fd == 7 && d->is_open ? control(d, request, argument) : -EBADF;
    pthread_mutex_unlock(&d->lock);
    return r;
}

static ssize_t fake_write(void *context, int fd, const void *data, size_t length)
{
    struct device *d = context;
    pthread_mutex_lock(&d->lock);
    touch(d);
    int v = length == 1 && *(const char *)data == 'V';
    ssize_t n = fd != 7 || !d->is_open ? -EBADF : v && d->refuse_letter ? -EIO : !v && d->refuse_ping ? -EIO : (ssize_t)length;
    if (n > 0)
        d->letter = v; /* any other byte takes the letter back, as in the kernel */
    pthread_mutex_unlock(&d->lock);
    return n;
}

static int fake_close(void *context, int fd)
{
    struct device *d = context;
    pthread_mutex_lock(&d->lock);
    touch(d);
    int r = fd == 7 && d->is_open ? 0 : -EBADF;
    if (r == 0 && d->letter)
        d->armed = 0;
    d->is_open = 0;
    pthread_mutex_unlock(&d->lock);
    return r;
}

static int wanted(void *context)
{
    return ((struct device *)context)->wanted;
}

static uint64_t beats(void *context)
{
    return ((struct device *)context)->beats;
}

struct rig { struct device d; struct watchdog_io io; struct watchdog_config config; struct watchdog *w; uint64_t now_us; };

static void rig(struct rig *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->d.lock, NULL);
    r->d.present = r->d.known = 1;
    r->d.options = WDIOF_SETTIMEOUT | WDIOF_MAGICCLOSE | WDIOF_KEEPALIVEPING;
    r->d.timeout_s = 60;
    r->io = (struct watchdog_io){ &r->d, fake_look, fake_open, fake_control, fake_write, fake_close };
    r->config = (struct watchdog_config){ .io = &r->io, .path = "/dev/watchdog", .mark = mark, .timeout_s = 10, .context = &r->d,
                                          .wanted = wanted, .beats = beats };
    r->now_us = 1000 * SECOND;
    unlink(mark);
}

static void make(struct rig *r)
{
    if (watchdog_make(&r->w, &r->config))
        abort();
}

/* Time passes, four turns a second; with heartbeats or without. */
static void pass(struct rig *r, int seconds, int beating)
{
    for (int i = 0; i < 4 * seconds; i++) {
        r->d.beats += (unsigned)(beating * 25);
        watchdog_turn(r->w, r->now_us);
        r->now_us += SECOND / 4;
    }
}

static int says(struct rig *r, enum watchdog_state state, const char *part)
{
    char why[240];
    enum watchdog_state now = watchdog_read(r->w, why, sizeof why);
    if (now == state && strstr(why, part))
        return 1;
    printf("      state %d: %s\n", now, why);
    return 0;
}

static void end(struct rig *r)
{
    watchdog_close(r->w);
    pthread_mutex_destroy(&r->d.lock);
    unlink(mark);
}

static void test_when_it_is_armed(void)
{
    struct rig r;
    rig(&r);
    make(&r);
    pass(&r, 5, 1);
    CHECK(r.d.opens == 0 && says(&r, WATCHDOG_READY, "armed while a VM is here"), "without a VM here the device is not even opened");
    r.d.wanted = 1;
    pass(&r, 5, 0);
    CHECK(r.d.opens == 0, "nor before heartbeats go out, which are to keep it alive");
    pass(&r, 10, 1);
    CHECK(r.d.armed && r.d.opens == 1 && r.d.timeout_s == 10, "with a VM here it is armed, with our time");
    CHECK(r.d.pings >= 9 && r.d.pings <= 11 && says(&r, WATCHDOG_ARMED, "10 s"), "it is kept alive each second while heartbeats go out");
    CHECK(access(mark, F_OK) == 0, "a file says so to a runner after this one");
    int before = r.d.pings;
    pass(&r, 30, 0);
    CHECK(r.d.armed && r.d.pings <= before + 1, "when heartbeats stand still it is not kept alive any more: the machine is reset");
    pass(&r, 2, 1);
    CHECK(r.d.pings > before, "when they go on in time, so does it");
    r.d.wanted = 0;
    pass(&r, 1, 1);
    CHECK(!r.d.armed && !r.d.is_open && says(&r, WATCHDOG_READY, ""), "when the VM has moved away it is disarmed");
    CHECK(access(mark, F_OK) != 0, "and nothing is left for a runner after this one");
    r.d.wanted = 1;
    pass(&r, 2, 1);
    CHECK(r.d.armed && r.d.opens == 2, "when a VM comes back it is armed again");
    end(&r);
    CHECK(!r.d.armed && !r.d.is_open, "at the engine's orderly end it is disarmed");
}

static void test_frozen_then_moved(void)
{
    struct rig r;
    rig(&r);
    make(&r);
    r.d.wanted = 1;
    pass(&r, 2, 1);
    r.d.wanted = 0;
    pass(&r, 1, 0);
    CHECK(!r.d.armed, "a VM that has moved away disarms it although heartbeats stand still");
    end(&r);
}

static void test_killed(void)
{
    struct rig r;
    rig(&r);
    make(&r);
    r.d.wanted = 1;
    pass(&r, 2, 1);
    fake_close(&r.d, 7); /* what the kernel does for a process that is killed */
    CHECK(r.d.armed, "control: a device that is closed without a word stays armed");
    struct watchdog *killed = r.w;
    r.d.wanted = 0;
    make(&r);
    CHECK(!r.d.armed && !r.d.is_open && access(mark, F_OK) != 0, "the next runner of this VM disarms what a killed one left");
    watchdog_close(r.w);
    r.d.armed = 1;
    make(&r);
    CHECK(r.d.armed && r.d.opens == 2, "one that nobody of ours left armed is not touched");
    watchdog_close(killed);
    end(&r);
}

static void test_busy(void)
{
    struct rig r;
    rig(&r);
    make(&r);
    r.d.busy = r.d.wanted = 1;
    pass(&r, 5, 1);
    CHECK(says(&r, WATCHDOG_BUSY, "another process") && r.d.opens == 0 && r.d.pings == 0, "one that another process has is said, and left alone");
    CHECK(access(mark, F_OK) != 0, "and no file says that it is ours");
    r.d.busy = 0;
    pass(&r, 2, 1);
    CHECK(r.d.armed && says(&r, WATCHDOG_ARMED, ""), "once it is free, a VM that is here takes it");
    end(&r);
}

static void test_not_for_us(void)
{
    struct rig r;
    rig(&r);
    r.d.present = 0;
    make(&r);
    CHECK(says(&r, WATCHDOG_ABSENT, "there is no /dev/watchdog"), "one that is not there is said at once");
    r.d.wanted = 1;
    pass(&r, 3, 1);
    CHECK(says(&r, WATCHDOG_ABSENT, "there is no") && r.d.opens == 0, "and still when a VM is here");
    end(&r);
    rig(&r);
    r.d.nowayout = r.d.wanted = 1;
    r.config.named = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(says(&r, WATCHDOG_UNFIT, "nowayout") && r.d.opens == 0, "one that cannot be disarmed is never opened, even by name");
    end(&r);
    rig(&r);
    r.d.known = 0;
    r.d.wanted = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(says(&r, WATCHDOG_UNFIT, "not known") && r.d.opens == 0, "one of which that is not known is not opened by itself");
    end(&r);
    rig(&r);
    r.d.known = 0;
    r.d.wanted = r.config.named = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(r.d.armed, "but when it was named");
    end(&r);
}

static void test_times(void)
{
    struct rig r;
    rig(&r);
    r.d.refuse_time = r.d.wanted = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(r.d.armed && says(&r, WATCHDOG_ARMED, "60 s: it does not take 10 s"), "a time that the device refuses is said, with its own");
    end(&r);
    rig(&r);
    r.d.least_s = 20;
    r.d.wanted = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(says(&r, WATCHDOG_ARMED, "20 s: it does not take 10 s"), "so is one that it rounds");
    end(&r);
    rig(&r);
    r.d.refuse_time = r.d.wanted = 1;
    r.d.timeout_s = 2;
    make(&r);
    pass(&r, 20, 1);
    CHECK(!r.d.armed && r.d.opens == 1 && says(&r, WATCHDOG_UNFIT, "too soon"), "one that is too quick is disarmed, and not armed again");
    end(&r);
    rig(&r);
    r.d.refuse_time = r.d.mute = r.d.wanted = 1;
    make(&r);
    pass(&r, 3, 1);
    CHECK(!r.d.armed && says(&r, WATCHDOG_UNFIT, "does not say when"), "so is one that does not say its time");
    end(&r);
    rig(&r);
    r.config.timeout_s = 2;
    CHECK(watchdog_make(&r.w, &r.config) == -EINVAL, "less than 3 s is refused");
    pthread_mutex_destroy(&r.d.lock);
}

static void test_device_fails(void)
{
    struct rig r;
    rig(&r);
    r.d.wanted = 1;
    make(&r);
    pass(&r, 2, 1);
    r.d.refuse_ping = 1;
    pass(&r, 2, 1);
    CHECK(says(&r, WATCHDOG_ARMED, "will be reset"), "a device that does not let itself be kept alive is said");
    r.d.refuse_ping = 0;
    pass(&r, 2, 1);
    CHECK(says(&r, WATCHDOG_ARMED, "stands still for 10 s"), "until it does again");
    r.d.refuse_letter = 1;
    r.d.wanted = 0;
    int before = r.d.pings;
    pass(&r, 10, 1);
    CHECK(r.d.is_open && r.d.pings >= before + 9 && says(&r, WATCHDOG_ARMED, "kept alive"),
          "one that does not let itself be disarmed is kept alive instead: the machine is not reset");
    end(&r);
}

static void *beat_run(void *context)
{
    struct device *d = context;
    while (d->wanted >= 0) {
        d->beats++;
        usleep(5000);
    }
    return NULL;
}

static int reached(struct device *d, int pings, int open)
{
    for (int i = 0; i < 4000; i++) {
        pthread_mutex_lock(&d->lock);
        int there = d->pings >= pings && d->is_open == open;
        pthread_mutex_unlock(&d->lock);
        if (there)
            return 1;
        usleep(5000);
    }
    return 0;
}

static void test_its_thread(void)
{
    struct rig r;
    pthread_t beating;
    rig(&r);
    r.d.wanted = 1;
    if (pthread_create(&beating, NULL, beat_run, &r.d) || watchdog_open(&r.w, &r.config))
        abort();
    CHECK(reached(&r.d, 3, 1), "its own thread arms it and keeps it alive");
    watchdog_close(r.w);
    CHECK(!r.d.armed && !r.d.is_open && access(mark, F_OK) != 0, "its end disarms it");
    CHECK(r.d.touchers == 1, "no other thread ever touched the device");
    r.d.wanted = -1;
    pthread_join(beating, NULL);
    pthread_mutex_destroy(&r.d.lock);
}

int main(void)
{
    snprintf(mark, sizeof mark, "/tmp/isf-watchdog-%d", (int)getpid());
    test_when_it_is_armed();
    test_frozen_then_moved();
    test_killed();
    test_busy();
    test_not_for_us();
    test_times();
    test_device_fails();
    test_its_thread();
    return check_end();
}
