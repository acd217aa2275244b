#include "nbd_state.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HANDSHAKE_S 10 /* seconds that a client may take for each read or write of the handshake */

int nbd_send(struct nbd_conn *c, const void *data, size_t length)
{
    const uint8_t *from = data;
    while (length) {
        ssize_t n = send(c->fd, from, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        from += n;
        length -= (size_t)n;
    }
    return 0;
}

int nbd_recv(struct nbd_conn *c, void *data, size_t length)
{
    uint8_t *to = data;
    while (length) {
        ssize_t n = recv(c->fd, to, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        to += n;
        length -= (size_t)n;
    }
    return 0;
}

/* ---- connections ---- */

void nbd_conn_unref(struct nbd_conn *c)
{
    pthread_mutex_lock(&c->lock);
    int left = --c->refs;
    pthread_mutex_unlock(&c->lock);
    if (left)
        return;
    close(c->fd);
    close(c->event);
    free(c->in);
    free(c->out);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void nbd_complete(struct nbd_wait *wait, int error)
{
    struct nbd_later *later = (struct nbd_later *)wait;
    struct nbd_conn *c = later->conn;
    later->error = error;
    pthread_mutex_lock(&c->lock);
    int closed = c->closed, was_empty = c->done == NULL;
    if (!closed) {
        wait->next = c->done;
        c->done = wait;
        uint64_t one = 1;
        if (was_empty && write(c->event, &one, sizeof one) != sizeof one)
            closed = 0; /* the counter is already high: the thread will look */
    }
    pthread_mutex_unlock(&c->lock);
    if (closed)
        free(later);
    nbd_conn_unref(c);
}

static void handshake_timeout(int fd, int seconds)
{
    struct timeval t = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

static void *conn_run(void *context)
{
    struct nbd_conn *c = context;
    struct nbd_server *s = c->server;
    handshake_timeout(c->fd, HANDSHAKE_S);
    if (nbd_options(c) == 0) {
        handshake_timeout(c->fd, 0);
        nbd_requests(c);
    }
    pthread_mutex_lock(&c->lock);
    c->closed = 1;
    struct nbd_wait *w = c->done;
    c->done = NULL;
    pthread_mutex_unlock(&c->lock);
    while (w) {
        struct nbd_wait *next = w->next;
        free(w);
        w = next;
    }
    shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_lock(&s->lock);
    c->ended = 1; /* last: after this the server may free it */
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static struct nbd_conn *conn_new(struct nbd_server *s, int fd)
{
    struct nbd_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    c->server = s;
    c->fd = fd;
    c->refs = 1;
    c->out_capacity = NBD_OUT_BYTES;
    c->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->in = malloc(NBD_IN_BYTES + NBD_REQUEST_MAX / 512); /* payload and the headers around it */
    c->out = malloc(c->out_capacity);
    if (c->event < 0 || !c->in || !c->out || isf_thread(&c->thread, "disk-nbd", conn_run, c)) {
        c->fd = -1; /* stays the caller's */
        nbd_conn_unref(c);
        return NULL;
    }
    return c;
}

/* Joins and forgets connections whose thread has ended (or, all, waits for every one). */
static void reap(struct nbd_server *s, int all)
{
    pthread_mutex_lock(&s->lock);
    struct nbd_conn **at = &s->conns;
    while (*at) {
        struct nbd_conn *c = *at;
        if (!c->ended && !all) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        s->count--;
        pthread_mutex_unlock(&s->lock);
        pthread_join((pthread_t)c->thread, NULL);
        nbd_conn_unref(c);
        pthread_mutex_lock(&s->lock);
        at = &s->conns;
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- server ---- */

static void admit(struct nbd_server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int big = 2 << 20; /* as far as the kernel allows: fewer wake-ups for large reads */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof big);
    reap(s, 0);
    pthread_mutex_lock(&s->lock);
    struct nbd_conn *c = s->count < NBD_CONNECTIONS_MAX ? conn_new(s, fd) : NULL;
    if (c) {
        c->next = s->conns;
        s->conns = c;
        s->count++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!c)
        close(fd);
}

static void *server_run(void *context)
{
    struct nbd_server *s = context;
    for (;;) {
        struct pollfd p[2] = {{.fd = s->listener, .events = POLLIN}, {.fd = s->stop_event, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            break;
        if (p[0].revents)
            admit(s);
    }
    return NULL;
}

static int listen_on(struct nbd_server *s, const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct stat st;
    if (strlen(path) >= sizeof a.sun_path)
        return -ENAMETOOLONG;
    strcpy(a.sun_path, path);
    strcpy(s->path, path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path); /* of a run that died; a living one holds the image's lock */
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&a, sizeof a) || listen(s->listener, NBD_CONNECTIONS_MAX))
        return -errno;
    return 0;
}

int nbd_start(struct nbd_server **out, const char *path, const struct nbd_export *export)
{
    struct nbd_server *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    int r;
    pthread_mutex_init(&s->lock, NULL);
    nbd_readers_init(&s->readers);
    s->export = *export;
    snprintf(s->name, sizeof s->name, "%s", export->name);
    s->export.name = s->name;
    s->listener = -1;
    s->stop_event = eventfd(0, EFD_CLOEXEC);
    r = s->stop_event < 0 ? -errno : listen_on(s, path);
    if (r == 0)
        r = isf_thread(&s->thread, "disk-nbd-listen", server_run, s);
    if (r) {
        if (s->listener >= 0)
            close(s->listener);
        if (s->stop_event >= 0)
            close(s->stop_event);
        free(s);
        return r;
    }
    *out = s;
    return 0;
}

void nbd_stop(struct nbd_server *s)
{
    uint64_t one = 1;
    if (!s)
        return;
    while (write(s->stop_event, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join((pthread_t)s->thread, NULL);
    pthread_mutex_lock(&s->lock);
    for (struct nbd_conn *c = s->conns; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    reap(s, 1);
    nbd_readers_stop(&s->readers);
    close(s->listener);
    close(s->stop_event);
    unlink(s->path);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
