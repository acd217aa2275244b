/* The gate's thread: QEMU's socket, the TAP, and what was left for later (lease, announcements). */
#include "gate_state.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum tag { TAG_QEMU, TAG_TAP, TAG_LISTENER, TAG_WAKE };
#define ANNOUNCE_GAP_MAX_MS 1000u

static void drop_qemu(struct gate *g)
{
    if (g->qemu < 0)
        return;
    pthread_mutex_lock(&g->queue_lock);
    close(g->qemu); /* epoll forgets it by itself */
    g->qemu = -1;
    g->qemu_broken = 0;
    g->input_paused = 0;
    out_drop_partial(&g->out);
    pthread_mutex_unlock(&g->queue_lock);
    gate_in_clear(g);
    if (g->config.on_qemu)
        g->config.on_qemu(g->config.context, 0);
}

static void accept_qemu(struct gate *g)
{
    int fd = accept4(g->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        /* Out of descriptors: the connection waits, and epoll would report it without a pause. */
        if (errno != EAGAIN)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        return;
    }
    drop_qemu(g);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = TAG_QEMU};
    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, fd, &e)) {
        close(fd);
        return;
    }
    pthread_mutex_lock(&g->queue_lock);
    g->qemu = fd;
    g->qemu_events = EPOLLIN;
    pthread_mutex_unlock(&g->queue_lock);
    if (g->config.on_qemu)
        g->config.on_qemu(g->config.context, 1);
}

static void on_qemu_events(struct gate *g, uint32_t events)
{
    if (g->qemu < 0)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        pthread_mutex_lock(&g->queue_lock);
        gate_take(g, 0);
        /* It hung up with the queue full: what it wrote last is lost, like any frame on a wire. Waiting would spin. */
        if (g->input_paused && events & (EPOLLHUP | EPOLLERR))
            g->qemu_broken = 1;
        pthread_mutex_unlock(&g->queue_lock);
    }
    if (events & EPOLLOUT)
        gate_in_send(g);
}

/* What is due by the clock or by another thread's wish; callbacks without locks. */
static void settle(struct gate *g)
{
    uint64_t now = isf_now_us();
    pthread_mutex_lock(&g->queue_lock);
    int notify = g->notify, broken = g->qemu_broken;
    int retry = g->retry_at && g->retry_at <= now;
    int announce = g->announce_left && g->announce_at <= now;
    int open = atomic_load(&g->mode) == GATE_OPEN && g->out.head != g->out.tail && !g->retry_at;
    g->notify = 0;
    if (announce) {
        g->announce_left--;
        g->announce_gap_ms = g->announce_gap_ms * 2 + 50;
        if (g->announce_gap_ms > ANNOUNCE_GAP_MAX_MS)
            g->announce_gap_ms = ANNOUNCE_GAP_MAX_MS;
        g->announce_at = now + g->announce_gap_ms * 1000u;
    }
    pthread_mutex_unlock(&g->queue_lock);
    if (notify && g->config.on_output)
        g->config.on_output(g->config.context);
    if (retry || open)
        gate_flush(g);
    if (announce)
        gate_announce_now(g);
    if (broken)
        drop_qemu(g);
}

static void watch(struct gate *g)
{
    pthread_mutex_lock(&g->queue_lock);
    uint32_t qemu = (g->input_paused ? 0 : EPOLLIN) | (g->in.blocked ? EPOLLOUT : 0);
    pthread_mutex_unlock(&g->queue_lock);
    uint32_t tap = gate_in_polled(g) ? EPOLLIN : 0;
    struct epoll_event e = {.events = qemu, .data.u32 = TAG_QEMU};
    if (g->qemu >= 0 && qemu != g->qemu_events && !epoll_ctl(g->epoll, EPOLL_CTL_MOD, g->qemu, &e))
        g->qemu_events = qemu;
    /* A TAP that is gone would report its error for ever. */
    if (g->tap_closed && g->tap_watched)
        g->tap_watched = epoll_ctl(g->epoll, EPOLL_CTL_DEL, g->tap, NULL) != 0;
    e = (struct epoll_event){.events = tap, .data.u32 = TAG_TAP};
    if (g->tap_watched && tap != g->tap_events && !epoll_ctl(g->epoll, EPOLL_CTL_MOD, g->tap, &e))
        g->tap_events = tap;
}

/* Milliseconds for epoll, rounded up; -1: nothing is planned. */
static int timeout_ms(struct gate *g)
{
    pthread_mutex_lock(&g->queue_lock);
    uint64_t at = g->retry_at;
    if (g->announce_left && (!at || g->announce_at < at))
        at = g->announce_at;
    pthread_mutex_unlock(&g->queue_lock);
    if (!at)
        return -1;
    uint64_t now = isf_now_us();
    return at <= now ? 0 : (int)((at - now + 999) / 1000);
}

static void dispatch(struct gate *g, const struct epoll_event *e, int count)
{
    int listener = 0;
    for (int i = 0; i < count; i++) {
        uint64_t value;
        switch (e[i].data.u32) {
        case TAG_QEMU:
            on_qemu_events(g, e[i].events);
            break;
        case TAG_TAP:
            if (g->tap_closed)
                break;
            if (g->tap_events)
                gate_in_receive(g);
            else
                gate_in_lost(g); /* not watched for frames: this can only be its end */
            break;
        case TAG_WAKE:
            if (read(g->wake, &value, sizeof value) < 0)
                value = 0; /* somebody else's wake-up was taken together with ours */
            break;
        case TAG_LISTENER:
            listener = 1;
            break;
        }
    }
    settle(g);
    /* Last: the old connection has been read, its descriptor's events are done. */
    if (listener)
        accept_qemu(g);
}

int gate_watch_first(struct gate *g)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = TAG_TAP};
    g->tap_events = EPOLLIN;
    g->tap_watched = 1;
    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->tap, &e))
        return -errno;
    e.data.u32 = TAG_LISTENER;
    if (epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->listener, &e))
        return -errno;
    e.data.u32 = TAG_WAKE;
    return epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->wake, &e) ? -errno : 0;
}

void *gate_run(void *gate)
{
    struct gate *g = gate;
    struct epoll_event events[8];
    while (!atomic_load(&g->stopping)) {
        int n = epoll_wait(g->epoll, events, 8, timeout_ms(g));
        if (n < 0 && errno != EINTR)
            break;
        dispatch(g, events, n > 0 ? n : 0);
        watch(g);
    }
    return NULL;
}
