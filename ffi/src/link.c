#include "link_internal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void link_free(struct link *l)
{
    free(l->out);
    free(l->receiver.data);
    if (l->wake >= 0)
        close(l->wake);
    pthread_mutex_destroy(&l->send_lock);
    pthread_mutex_destroy(&l->fd_lock);
    secret_wipe(&l->config, sizeof l->config);
    free(l);
}

int link_open(struct link **out, const struct link_config *config)
{
    char name[16];
    *out = NULL;
    if (config->index < 0 || config->index > 255 || !config->on_frame || !config->on_state)
        return -EINVAL;
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->config = *config;
    l->config.local = l->config.peer = NULL; /* the caller's strings: from here on only the addresses count */
    if (!l->config.timeout_us)
        l->config.timeout_us = 1000000;
    l->live.fd = l->pending.fd = l->live_fd = l->listener = -1;
    l->retry_us = RETRY_MIN_US;
    pthread_mutex_init(&l->send_lock, NULL);
    pthread_mutex_init(&l->fd_lock, NULL);
    l->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int r = l->wake < 0 ? -errno : link_address_parse(&l->local, config->local, config->port);
    r = r ? r : link_address_parse(&l->peer, config->peer, config->port);
    if (!r && l->local.at.ss_family != l->peer.at.ss_family)
        r = -EINVAL;
    if (!r) {
        l->out = malloc(SEND_CHUNK + WIRE_TAG);
        l->receiver.data = malloc(RECEIVE_BUFFER);
        l->receiver.capacity = RECEIVE_BUFFER;
        r = l->out && l->receiver.data ? 0 : -ENOMEM;
    }
    snprintf(name, sizeof name, "isf-link-%d", config->index);
    *out = l; /* before the thread: its callbacks may use it */
    r = r ? r : isf_thread(&l->thread, name, link_run, l);
    if (r) {
        *out = NULL;
        link_free(l);
    }
    return r;
}

static void link_wake(struct link *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake, &one, sizeof one); /* fails only when it is awake already */
    (void)n;
}

void link_end(struct link *l)
{
    if (!l->thread)
        return;
    atomic_store(&l->closing, 1);
    link_drop(l, -ECANCELED);
    link_wake(l);
    pthread_join((pthread_t)l->thread, NULL);
    l->thread = 0;
}

int link_begin(struct link *l, const struct link_config *config)
{
    struct link_address local, peer;
    char name[16];
    int r = link_address_parse(&local, config->local, config->port);
    r = r ? r : link_address_parse(&peer, config->peer, config->port);
    if (!r && local.at.ss_family != peer.at.ss_family)
        r = -EINVAL;
    if (r)
        return r;
    l->local = local;
    l->peer = peer;
    l->config.port = config->port;
    l->config.listen = config->listen;
    memcpy(l->config.secret, config->secret, WIRE_KEY);
    l->retry_us = RETRY_MIN_US;
    l->retry_at_us = 0;
    l->last_reason = 0;
    atomic_store(&l->rtt_us, 0);
    atomic_store(&l->rate, 0);
    atomic_store(&l->other_version, 0);
    atomic_store(&l->closing, 0);
    snprintf(name, sizeof name, "isf-link-%d", l->config.index);
    return isf_thread(&l->thread, name, link_run, l);
}

void link_close(struct link *l)
{
    if (!l)
        return;
    link_end(l);
    link_free(l);
}

void link_drop(struct link *l, int reason)
{
    int none = 0;
    pthread_mutex_lock(&l->fd_lock);
    if (l->live_fd >= 0) {
        atomic_compare_exchange_strong(&l->broken, &none, reason < 0 ? reason : -ECANCELED);
        shutdown(l->live_fd, SHUT_RDWR); /* wakes a sender and the thread; only the thread closes */
    }
    pthread_mutex_unlock(&l->fd_lock);
    link_wake(l);
}

/* Hands `length` bytes of l->out to the kernel. `deadline_us` is set at the first wait: a frame that never waits reads no clock. */
static int push(struct link *l, size_t length, uint64_t *deadline_us)
{
    const uint8_t *p = l->out;
    while (length) {
        ssize_t n = send(l->live.fd, p, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            p += n;
            length -= (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return -errno;
        uint64_t now = isf_now_us();
        if (!*deadline_us)
            *deadline_us = now + l->config.timeout_us;
        if (now >= *deadline_us)
            return -ETIMEDOUT;
        struct pollfd p1 = {.fd = l->live.fd, .events = POLLOUT};
        poll(&p1, 1, (int)((*deadline_us - now + 999) / 1000));
    }
    return 0;
}

/* Encrypts the parts behind the header in l->out, a chunk at a time, and sends them. */
static int send_parts(struct link *l, const struct frame *f, const struct iovec *parts, int count)
{
    uint64_t deadline_us = 0;
    size_t fill = WIRE_HEADER;
    frame_encode(f, l->out);
    int r = aead_seal_begin(l->live.seal, f->sequence, l->out, WIRE_HEADER);
    for (int i = 0; i < count && !r; i++) {
        const uint8_t *p = parts[i].iov_base;
        for (size_t left = parts[i].iov_len; left && !r;) {
            size_t n = SEND_CHUNK - fill < left ? SEND_CHUNK - fill : left;
            r = aead_seal_part(l->live.seal, p, n, l->out + fill);
            p += n;
            left -= n;
            fill += n;
            if (!r && fill == SEND_CHUNK) {
                r = push(l, fill, &deadline_us);
                fill = 0;
            }
        }
    }
    r = r ? r : aead_seal_end(l->live.seal, l->out + fill);
    return r ? r : push(l, fill + WIRE_TAG, &deadline_us);
}

/* send_lock is held. */
static int send_locked(struct link *l, const struct frame *f, const struct iovec *parts, int count)
{
    struct frame out = *f;
    if (!l->up || atomic_load_explicit(&l->broken, memory_order_acquire))
        return -ISF_ELINK;
    out.length = 0;
    for (int i = 0; i < count; i++)
        out.length += (uint32_t)parts[i].iov_len;
    out.sequence = ++l->live.sent;
    int r = send_parts(l, &out, parts, count);
    if (r) {
        link_drop(l, r); /* half a frame may be out: nothing may follow it */
        return r;
    }
    uint64_t bytes = WIRE_HEADER + (uint64_t)out.length + WIRE_TAG;
    link_count(&l->bytes_out, bytes);
    link_count(&l->frames_out, 1);
    l->unsampled += bytes;
    if (l->unsampled >= RATE_SAMPLE) {
        uint64_t before = atomic_load_explicit(&l->rate, memory_order_relaxed);
        atomic_store_explicit(&l->rate, link_socket_rate(l->live.fd, before), memory_order_relaxed);
        l->unsampled = 0;
    }
    return 0;
}

/* send_lock is held. */
static void send_pong(struct link *l)
{
    uint8_t body[16];
    struct frame f = {.type = FRAME_PONG};
    struct iovec part = {body, sizeof body};
    if (!atomic_exchange(&l->pong_due, 0))
        return;
    put_le64(body, atomic_load(&l->pong_time));
    put_le64(body + 8, isf_now_us() - atomic_load(&l->pong_received_us));
    send_locked(l, &f, &part, 1);
}

int link_service(struct link *l, int ping)
{
    if (pthread_mutex_trylock(&l->send_lock))
        return 0;
    struct pollfd p = {.fd = l->live.fd, .events = POLLOUT};
    int done = !l->up; /* nobody to tell */
    if (l->up && poll(&p, 1, 0) == 1) {
        send_pong(l);
        if (ping) {
            uint8_t body[8];
            struct frame f = {.type = FRAME_PING};
            struct iovec part = {body, sizeof body};
            put_le64(body, isf_now_us());
            send_locked(l, &f, &part, 1);
        }
        done = 1;
    }
    pthread_mutex_unlock(&l->send_lock);
    return done;
}

int link_send(struct link *l, const struct frame *f, const struct iovec *parts, int count)
{
    size_t total = 0;
    if (f->type < FRAME_CONTROL || f->type >= FRAME_TYPES || f->type == FRAME_PING || f->type == FRAME_PONG || count < 0)
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > WIRE_PAYLOAD_MAX - total)
            return -EINVAL;
        total += parts[i].iov_len;
    }
    pthread_mutex_lock(&l->send_lock);
    int r = send_locked(l, f, parts, count);
    if (!r && atomic_load_explicit(&l->pong_due, memory_order_relaxed))
        send_pong(l);
    pthread_mutex_unlock(&l->send_lock);
    return r;
}

void link_read_stats(struct link *l, struct link_stats *s)
{
    s->up = atomic_load(&l->stat_up);
    s->bytes_in = atomic_load_explicit(&l->bytes_in, memory_order_relaxed);
    s->bytes_out = atomic_load_explicit(&l->bytes_out, memory_order_relaxed);
    s->frames_in = atomic_load_explicit(&l->frames_in, memory_order_relaxed);
    s->frames_out = atomic_load_explicit(&l->frames_out, memory_order_relaxed);
    s->rtt_us = atomic_load_explicit(&l->rtt_us, memory_order_relaxed);
    s->rate_bytes_s = atomic_load_explicit(&l->rate, memory_order_relaxed);
    s->refused = atomic_load_explicit(&l->refused, memory_order_relaxed);
    s->other_version = atomic_load_explicit(&l->other_version, memory_order_relaxed);
}
