#include "link_internal.h"

#include <poll.h>
#include <unistd.h>

static void report(struct link *l, int up, int reason)
{
    l->last_reason = up ? 0 : reason;
    atomic_store(&l->stat_up, up);
    if (!atomic_load(&l->closing))
        l->config.on_state(l->config.context, l->config.index, up, reason);
}

/* The next attempt: sooner after a connection that held, later and later while none does. */
static void retry_later(struct link *l, uint64_t now)
{
    l->retry_at_us = now + l->retry_us;
    l->retry_us = l->retry_us * 2 < RETRY_MAX_US ? l->retry_us * 2 : RETRY_MAX_US;
}

/* Takes the live connection out of everybody's hands, then says so. */
static void live_lost(struct link *l, int reason)
{
    int first = atomic_load(&l->broken);
    pthread_mutex_lock(&l->fd_lock);
    shutdown(l->live_fd, SHUT_RDWR); /* a sender that waits fails now, and lets go of send_lock */
    l->live_fd = -1;
    pthread_mutex_unlock(&l->fd_lock);
    pthread_mutex_lock(&l->send_lock);
    l->up = 0;
    connection_close(&l->live);
    pthread_mutex_unlock(&l->send_lock);
    uint64_t now = isf_now_us();
    if (now - l->up_since_us >= RETRY_MAX_US)
        l->retry_us = RETRY_MIN_US;
    retry_later(l, now);
    report(l, 0, first ? first : reason);
}

/* An attempt that came to nothing. Beside a live connection it was a stranger: counted, no more. */
static void pending_failed(struct link *l, int reason)
{
    if (l->config.listen || reason == -ISF_ECORRUPT || reason == -ISF_EVERSION || reason == -EPROTO || reason == -EKEYREJECTED)
        link_count(&l->refused, 1);
    if (reason == -ISF_EVERSION)
        atomic_store_explicit(&l->other_version, get_le16(l->pending.theirs + 4), memory_order_relaxed);
    connection_close(&l->pending);
    if (!l->config.listen)
        retry_later(l, isf_now_us());
    if (l->live.stage != STAGE_LIVE && reason != l->last_reason)
        report(l, 0, reason);
}

/* The pending connection has proved the key: it is the line now, whatever was there before. */
static void pending_live(struct link *l)
{
    if (l->live.stage == STAGE_LIVE)
        live_lost(l, -ECONNRESET);
    uint64_t now = isf_now_us();
    pthread_mutex_lock(&l->send_lock);
    l->live = l->pending;
    memset(&l->pending, 0, sizeof l->pending);
    l->pending.fd = -1;
    l->up = 1;
    l->unsampled = 0;
    atomic_store(&l->pong_due, 0);
    pthread_mutex_lock(&l->fd_lock);
    atomic_store(&l->broken, 0);
    l->live_fd = l->live.fd;
    pthread_mutex_unlock(&l->fd_lock);
    pthread_mutex_unlock(&l->send_lock);
    l->receiver.start = l->receiver.end = 0;
    l->up_since_us = l->ping_at_us = now;
    report(l, 1, 0);
}

static void pending_step(struct link *l)
{
    int r = handshake_step(&l->pending, l->config.secret);
    if (r < 0)
        pending_failed(l, r);
    else if (r > 0)
        pending_live(l);
}

static void pending_start(struct link *l, int fd)
{
    int r = handshake_begin(&l->pending, fd, l->config.listen ? ROLE_LISTEN : ROLE_CONNECT, (uint8_t)l->config.index);
    l->pending.deadline_us = isf_now_us() + l->config.timeout_us;
    if (r)
        pending_failed(l, r);
}

static void accept_one(struct link *l)
{
    int fd = link_socket_accept(l->listener, &l->peer, l->config.timeout_us);
    if (fd >= 0)
        pending_start(l, fd);
    else if (fd == -EACCES)
        link_count(&l->refused, 1);
    else if (fd != -EAGAIN && fd != -ECONNABORTED && fd != -EINTR) { /* out of descriptors, say: open the door anew later */
        close(l->listener);
        l->listener = -1;
        retry_later(l, isf_now_us());
    }
}

/* Opens what is missing: the listening socket, or the next attempt to connect. */
static void start_due(struct link *l, uint64_t now)
{
    int wanted = l->config.listen ? l->listener < 0 : l->live.stage == STAGE_NONE && l->pending.stage == STAGE_NONE;
    if (!wanted || now < l->retry_at_us)
        return;
    int fd = l->config.listen ? link_socket_listen(&l->local) : link_socket_connect(&l->local, &l->peer, l->config.timeout_us);
    if (fd < 0) {
        retry_later(l, now);
        if (fd != l->last_reason)
            report(l, 0, fd);
    } else if (l->config.listen) {
        l->listener = fd;
    } else {
        pending_start(l, fd);
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Milliseconds until something is due. */
static int patience(const struct link *l, uint64_t now)
{
    uint64_t at = now + RETRY_MAX_US;
    if (l->pending.stage != STAGE_NONE)
        at = sooner(at, l->pending.deadline_us);
    else if (l->live.stage == STAGE_NONE && !(l->config.listen && l->listener >= 0))
        at = sooner(at, l->retry_at_us);
    if (l->live.stage == STAGE_LIVE) {
        at = sooner(at, l->ping_at_us);
        if (l->receiver.end > l->receiver.start)
            at = sooner(at, l->receiver.progress_us + l->config.timeout_us);
        if (atomic_load(&l->pong_due))
            at = sooner(at, now + 2000);
    }
    return at <= now ? 0 : (int)((at - now + 999) / 1000);
}

static void live_step(struct link *l, int readable)
{
    int r = atomic_load(&l->broken);
    if (!r && readable)
        r = link_receive(l);
    else if (!r && link_half_frame_stuck(l, isf_now_us())) {
        link_count(&l->refused, 1);
        r = -ETIMEDOUT;
    }
    if (r) {
        live_lost(l, r);
        return;
    }
    uint64_t now = isf_now_us();
    int ping = now >= l->ping_at_us;
    if (ping || atomic_load(&l->pong_due))
        link_service(l, ping);
    if (ping)
        l->ping_at_us = now + PING_US;
}

/* One turn: wait, then look at the pending connection, the live one, and the door, in this order. */
static void turn(struct link *l)
{
    enum { WAKE, LIVE, PENDING, DOOR };
    struct pollfd p[4] = {[WAKE] = {.fd = l->wake, .events = POLLIN},
                          [LIVE] = {.fd = l->live.stage == STAGE_LIVE ? l->live.fd : -1, .events = POLLIN},
                          [PENDING] = {.fd = -1},
                          [DOOR] = {.fd = -1, .events = POLLIN}};
    uint64_t count;
    if (l->pending.stage != STAGE_NONE) {
        p[PENDING].fd = l->pending.fd;
        p[PENDING].events = l->pending.stage == STAGE_CONNECTING ? POLLOUT : POLLIN;
    } else {
        p[DOOR].fd = l->listener; /* one handshake at a time: others wait in the kernel's queue */
    }
    poll(p, 4, patience(l, isf_now_us()));
    if (p[WAKE].revents && read(l->wake, &count, sizeof count) < 0 && errno != EAGAIN)
        return;
    if (p[LIVE].fd >= 0)
        live_step(l, p[LIVE].revents != 0);
    if (p[PENDING].revents)
        pending_step(l);
    else if (p[PENDING].fd >= 0 && isf_now_us() >= l->pending.deadline_us)
        pending_failed(l, -ETIMEDOUT);
    if (p[DOOR].revents)
        accept_one(l);
}

void *link_run(void *context)
{
    struct link *l = context;
    while (!atomic_load(&l->closing)) {
        start_due(l, isf_now_us());
        turn(l);
    }
    if (l->live.stage == STAGE_LIVE)
        live_lost(l, -ECANCELED);
    connection_close(&l->pending);
    if (l->listener >= 0)
        close(l->listener);
    l->listener = -1;
    return NULL;
}
