#include "watchdog.h"

#include <fcntl.h>
#include <linux/watchdog.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TURN_US 250000u   /* how often the thread looks */
#define AGAIN_US 1000000u /* how often a device that could not be had is tried again */
#define PING_US 1000000u  /* how often the device is kept alive, at least */

struct watchdog {
    struct watchdog_config config;
    char path[108], mark[128];
    unsigned long thread;
    pthread_mutex_t lock;         /* of what follows */
    pthread_cond_t wake;
    int closing;
    enum watchdog_state state;
    char why[240];

    /* Of the thread. */
    int fd;
    int stuck;                    /* it did not let itself be disarmed: kept alive instead */
    int failing;                  /* the last keepalive was refused */
    uint32_t timeout_s;           /* the device's own; 0: not known */
    uint64_t ping_at_us, try_at_us, beats;
};

static void say(struct watchdog *w, enum watchdog_state state, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void say(struct watchdog *w, enum watchdog_state state, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    pthread_mutex_lock(&w->lock);
    w->state = state;
    vsnprintf(w->why, sizeof w->why, format, list);
    pthread_mutex_unlock(&w->lock);
    va_end(list);
}

static int control(struct watchdog *w, unsigned long request, void *argument)
{
    return w->config.io->control(w->config.io->context, w->fd, request, argument);
}

/* True when it may be opened: it is there, and opening it does no harm that cannot be undone. */
static int look(struct watchdog *w)
{
    int r = w->config.io->look(w->config.io->context, w->path);
    if (r == 0 || (r == -ENODATA && w->config.named))
        return 1;
    if (r == -EPERM)
        say(w, WATCHDOG_UNFIT, "%s cannot be disarmed (nowayout): a VM that moves away would reset this machine", w->path);
    else if (r == -ENODATA)
        say(w, WATCHDOG_UNFIT, "it is not known whether %s can be disarmed; name it in the host's file to use it all the same", w->path);
    else
        say(w, WATCHDOG_ABSENT, "there is no %s: a host that stands still is silenced by its own kernel alone", w->path);
    return 0;
}

/* Writes 'V' and closes the device. 0, or negative: it is still ours, and armed. */
static int give_back(struct watchdog *w, int whatever)
{
    ssize_t n = w->config.io->write(w->config.io->context, w->fd, "V", 1);
    if (n != 1 && !whatever)
        return n < 0 ? (int)n : -EIO;
    w->config.io->close(w->config.io->context, w->fd);
    w->fd = -1;
    w->stuck = 0;
    if (n == 1)
        unlink(w->mark);
    return n == 1 ? 0 : -EIO;
}

static void ready(struct watchdog *w)
{
    say(w, WATCHDOG_READY, "%s is armed while a VM is here", w->path);
}

/* The device is given back, and not opened again: each time it would be armed for a moment. */
static void unfit(struct watchdog *w, const char *what)
{
    w->try_at_us = UINT64_MAX;
    int r = give_back(w, 0);
    w->stuck = r != 0;
    say(w, r ? WATCHDOG_ARMED : WATCHDOG_UNFIT, "%s %s%s", w->path, what, r ? ", and does not let itself be disarmed: it is kept alive" : "");
}

/* A keepalive; a driver that knows none takes a written byte, which must not be 'V'. */
static int ping(struct watchdog *w)
{
    int none = 0, r = control(w, WDIOC_KEEPALIVE, &none);
    if (r)
        r = w->config.io->write(w->config.io->context, w->fd, "", 1) == 1 ? 0 : r;
    return r;
}

/* Sets the time, and asks the device for its own if it does not take ours. 0, or negative: it cannot be used. */
static int set_time(struct watchdog *w)
{
    struct watchdog_info info = { 0 };
    int wanted = (int)w->config.timeout_s, set = wanted, own = 0;
    int r = control(w, WDIOC_GETSUPPORT, &info);
    int refused = r || !(info.options & WDIOF_SETTIMEOUT) || control(w, WDIOC_SETTIMEOUT, &set);
    r = control(w, WDIOC_GETTIMEOUT, &own);
    if (r && !refused)
        own = set; /* it took ours, and says what it made of it */
    w->timeout_s = r && refused ? 0 : own < 0 ? 0 : (uint32_t)own;
    return w->timeout_s < WATCHDOG_LEAST_S ? -EINVAL : 0;
}

static void armed(struct watchdog *w)
{
    char other[64] = "";
    if (w->timeout_s != w->config.timeout_s)
        snprintf(other, sizeof other, ": it does not take %u s", w->config.timeout_s);
    say(w, WATCHDOG_ARMED, "%s resets this machine when the engine stands still for %u s%s", w->path, w->timeout_s, other);
}

static void arm(struct watchdog *w, uint64_t now_us)
{
    w->try_at_us = now_us + AGAIN_US;
    if (!look(w))
        return;
    int mark = open(w->mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (mark < 0) { /* a runner after this one would not know that it must disarm it */
        say(w, WATCHDOG_UNFIT, "%s is not armed: %s cannot be written: %s", w->path, w->mark, strerror(errno));
        return;
    }
    close(mark);
    w->fd = w->config.io->open(w->config.io->context, w->path);
    if (w->fd < 0) {
        unlink(w->mark);
        if (w->fd == -EBUSY)
            say(w, WATCHDOG_BUSY, "%s belongs to another process of this machine", w->path);
        else
            say(w, WATCHDOG_UNFIT, "%s cannot be opened: %s", w->path, strerror(-w->fd));
        w->fd = -1;
        return;
    }
    w->ping_at_us = now_us;
    if (set_time(w))
        unfit(w, "would reset this machine too soon, or does not say when");
    else
        armed(w);
}

/* A VM is not here any more. */
static void disarm(struct watchdog *w)
{
    int r = give_back(w, 0);
    w->stuck = r != 0;
    if (r)
        say(w, WATCHDOG_ARMED, "%s does not let itself be disarmed (%s): it is kept alive", w->path, strerror(-r));
    else
        ready(w);
}

int watchdog_turn(struct watchdog *w, uint64_t now_us)
{
    int wanted = w->config.wanted(w->config.context);
    uint64_t beats = w->config.beats(w->config.context);
    int alive = beats != w->beats;
    w->stuck &= !wanted;
    if (w->fd >= 0 && !wanted && !w->stuck)
        disarm(w);
    else if (w->fd < 0 && wanted && alive && now_us >= w->try_at_us)
        arm(w, now_us);
    if (w->fd < 0)
        w->beats = beats; /* those that went out before do not count */
    if (w->fd < 0 || !alive || now_us < w->ping_at_us)
        return w->fd >= 0;
    uint64_t quarter_us = (uint64_t)w->timeout_s * 250000u;
    int r = ping(w);
    if (r)
        say(w, WATCHDOG_ARMED, "%s does not let itself be kept alive (%s): this machine will be reset", w->path, strerror(-r));
    else if (w->failing)
        armed(w);
    w->failing = r != 0;
    w->beats = beats;
    w->ping_at_us = now_us + (quarter_us < PING_US ? quarter_us : PING_US);
    return 1;
}

void watchdog_end(struct watchdog *w)
{
    if (w->fd >= 0)
        give_back(w, 1);
}

/* A runner of this VM was killed while it was armed: here is the next one, and all is well. */
static void clear_mark(struct watchdog *w)
{
    if (access(w->mark, F_OK))
        return;
    w->fd = w->config.io->open(w->config.io->context, w->path);
    if (w->fd == -EBUSY || w->fd == -ENOENT)
        unlink(w->mark); /* somebody else keeps it alive, or it is gone */
    if (w->fd < 0)
        w->fd = -1;
    else
        disarm(w);
}

int watchdog_make(struct watchdog **out, const struct watchdog_config *config)
{
    *out = NULL;
    struct watchdog *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->config = *config;
    if (!w->config.io)
        w->config.io = &watchdog_io_real;
    w->fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int long_path = snprintf(w->path, sizeof w->path, "%s", config->path) >= (int)sizeof w->path
                 || snprintf(w->mark, sizeof w->mark, "%s", config->mark) >= (int)sizeof w->mark;
    if (long_path || config->timeout_s < WATCHDOG_LEAST_S || config->timeout_s > WATCHDOG_MOST_S) {
        watchdog_close(w);
        return -EINVAL;
    }
    clear_mark(w);
    if (w->fd < 0 && look(w))
        ready(w);
    *out = w;
    return 0;
}

static void *watchdog_run(void *context)
{
    struct watchdog *w = context;
    struct sched_param priority = { .sched_priority = 10 };
    /* As the heartbeats': a busy machine is not to be reset. Where it is not allowed, go on without. */
    pthread_setschedparam(pthread_self(), SCHED_RR, &priority);
    pthread_mutex_lock(&w->lock);
    while (!w->closing) {
        pthread_mutex_unlock(&w->lock);
        uint64_t now_us = isf_now_us(), until_us = now_us + TURN_US;
        struct timespec until = { (time_t)(until_us / 1000000), (long)(until_us % 1000000 * 1000) };
        watchdog_turn(w, now_us);
        pthread_mutex_lock(&w->lock);
        if (!w->closing)
            pthread_cond_timedwait(&w->wake, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
    watchdog_end(w);
    return NULL;
}

int watchdog_open(struct watchdog **out, const struct watchdog_config *config)
{
    int r = watchdog_make(out, config);
    if (r == 0)
        r = isf_thread(&(*out)->thread, "isf-watchdog", watchdog_run, *out);
    if (r && *out) {
        watchdog_close(*out);
        *out = NULL;
    }
    return r;
}

void watchdog_close(struct watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = 1;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->thread)
        pthread_join((pthread_t)w->thread, NULL);
    else
        watchdog_end(w);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

enum watchdog_state watchdog_read(struct watchdog *w, char *why, size_t size)
{
    pthread_mutex_lock(&w->lock);
    enum watchdog_state state = w->state;
    snprintf(why, size, "%s", w->why);
    pthread_mutex_unlock(&w->lock);
    return state;
}
