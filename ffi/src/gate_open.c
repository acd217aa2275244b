/* Beginning and end of a gate: its TAP, its socket, its thread. */
#include "gate_state.h"

#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME_DEFAULT 9216u
#define FRAME_LIMIT 65553u /* the longest IP packet, Ethernet header and VLAN tag */
#define QUEUE_DEFAULT (8u << 20)
#define QUEUE_LIMIT (1u << 30)

static int listen_on(struct gate *g, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof a.sun_path)
        return -ENAMETOOLONG;
    memcpy(a.sun_path, path, strlen(path));
    if (!lstat(path, &st)) {
        if (!S_ISSOCK(st.st_mode))
            return -EEXIST;
        if (unlink(path))
            return -errno;
    }
    g->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (g->listener < 0)
        return -errno;
    if (bind(g->listener, (struct sockaddr *)&a, sizeof a))
        return -errno;
    memcpy(g->path, a.sun_path, sizeof a.sun_path);
    /* Whoever connects here is the guest: others may pass through the directory. The caller gives it to QEMU's user. */
    if (chmod(path, 0600) || listen(g->listener, 4))
        return -errno;
    return 0;
}

static int open_tap(struct gate *g)
{
    const struct gate_config *c = &g->config;
    if (!c->tap) {
        int flags = fcntl(c->tap_fd, F_GETFL);
        g->tap = fcntl(c->tap_fd, F_DUPFD_CLOEXEC, 0); /* ours to close; the caller keeps its own */
        if (g->tap < 0 || flags < 0 || fcntl(g->tap, F_SETFL, flags | O_NONBLOCK))
            return -errno;
        return 0;
    }
    return tap_open(&g->tap, c->tap, c->bridge, c->frame_max);
}

static int check(struct gate_config *c)
{
    if (!c->frame_max)
        c->frame_max = FRAME_DEFAULT;
    if (!c->queue_bytes)
        c->queue_bytes = QUEUE_DEFAULT;
    if (!c->socket || (!c->tap && c->tap_fd < 0))
        return -EINVAL;
    if (c->frame_max < FRAME_MIN_BYTES || c->frame_max > FRAME_LIMIT || c->queue_bytes > QUEUE_LIMIT)
        return -EINVAL;
    uint64_t two = 2 * (FRAME_PREFIX + (uint64_t)c->frame_max);
    if (c->queue_bytes < two)
        c->queue_bytes = two;
    return 0;
}

int gate_open(struct gate **out, const struct gate_config *config)
{
    struct gate *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->config = *config;
    g->tap = g->listener = g->epoll = g->wake = g->qemu = -1;
    pthread_mutex_init(&g->tap_lock, NULL);
    pthread_mutex_init(&g->queue_lock, NULL);
    int result = check(&g->config);
    if (result)
        goto out;
    if ((result = out_open(&g->out, g->config.queue_bytes, g->config.frame_max)) || (result = gate_in_open(g)))
        goto out;
    if ((result = open_tap(g)) || (result = listen_on(g, g->config.socket)))
        goto out;
    /* The strings are the caller's: not to be looked at after this call. */
    g->config.tap = g->config.bridge = g->config.socket = NULL;
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (g->epoll < 0 || g->wake < 0) {
        result = -errno;
        goto out;
    }
    if ((result = gate_watch_first(g)) || (result = isf_thread(&g->thread, "isf-gate", gate_run, g)))
        goto out;
    g->started = 1;
    *out = g;
    g = NULL;
out:
    gate_close(g);
    return result;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void gate_close(struct gate *g)
{
    if (!g)
        return;
    if (g->started) {
        atomic_store(&g->stopping, 1);
        gate_wake(g);
        pthread_join((pthread_t)g->thread, NULL);
    }
    close_if_open(g->tap); /* first: nothing leaves any more */
    close_if_open(g->qemu);
    close_if_open(g->listener);
    close_if_open(g->epoll);
    close_if_open(g->wake);
    if (g->path[0])
        unlink(g->path);
    ring_close(&g->in.ring);
    out_close(&g->out);
    pthread_mutex_destroy(&g->tap_lock);
    pthread_mutex_destroy(&g->queue_lock);
    free(g);
}
