#include "events.h"

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* With the lock: the reader is gone, or another takes its place, who begins with a whole line. */
static void drop_client(struct events *e)
{
    if (e->client >= 0)
        close(e->client);
    e->client = -1;
    if (!e->mid_line)
        return;
    uint8_t *end = memchr(e->backlog.data, '\n', e->backlog.length);
    size_t rest = end ? (size_t)(end - e->backlog.data) + 1 : e->backlog.length;
    e->backlog.length -= rest;
    memmove(e->backlog.data, e->backlog.data + rest, e->backlog.length);
    e->mid_line = 0;
}

/* With the lock: writes what the reader takes now. */
static void flush_locked(struct events *e)
{
    while (e->client >= 0 && e->backlog.length) {
        ssize_t n = send(e->client, e->backlog.data, e->backlog.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                drop_client(e);
            return;
        }
        e->mid_line = e->backlog.data[n - 1] != '\n';
        e->backlog.length -= (size_t)n;
        memmove(e->backlog.data, e->backlog.data + n, e->backlog.length);
    }
}

static void wake(struct events *e)
{
    uint64_t one = 1;
    ssize_t n = write(e->wake, &one, sizeof one);
    (void)n;
}

static void queue(struct events *e, const char *line, size_t length, const uint8_t *tail, size_t tail_length, const char *end)
{
    pthread_mutex_lock(&e->lock);
    size_t all = length + tail_length + strlen(end);
    if (e->backlog.length + all > EVENTS_BACKLOG) {
        e->dropped++;
    } else if (buffer_reserve(&e->backlog, all) == 0) {
        buffer_append(&e->backlog, line, length);
        buffer_append(&e->backlog, tail, tail_length);
        buffer_append(&e->backlog, end, strlen(end));
    }
    flush_locked(e);
    int waiting = e->client >= 0 && e->backlog.length;
    pthread_mutex_unlock(&e->lock);
    if (waiting)
        wake(e);
}

void events_send(struct events *e, const char *name, const char *format, ...)
{
    char line[2048];
    int n = snprintf(line, sizeof line, "{\"event\":\"%s\",\"t_us\":%llu%s", name, (unsigned long long)isf_now_us(), format ? "," : "");
    if (format) {
        va_list list;
        va_start(list, format);
        int m = vsnprintf(line + n, sizeof line - (size_t)n - 4, format, list);
        va_end(list);
        if (m < 0 || (size_t)m >= sizeof line - (size_t)n - 4)
            return; /* callers keep their texts below 1 KB: a cut line would not be JSON */
        n += m;
    }
    queue(e, line, (size_t)n, NULL, 0, "}\n");
}

void events_send_json(struct events *e, const char *name, const char *key, const uint8_t *json, size_t length)
{
    char line[128];
    int n = snprintf(line, sizeof line, "{\"event\":\"%s\",\"t_us\":%llu,\"%s\":", name, (unsigned long long)isf_now_us(), key);
    queue(e, line, (size_t)n, json, length, "}\n");
}

void events_escape(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 7 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = 0;
}

static void *events_run(void *context)
{
    struct events *e = context;
    for (;;) {
        pthread_mutex_lock(&e->lock);
        int stopping = e->stopping, client = e->client, pending = e->backlog.length > 0;
        pthread_mutex_unlock(&e->lock);
        if (stopping)
            return NULL;
        struct pollfd fds[3] = {
            { .fd = e->wake, .events = POLLIN },
            { .fd = e->listener, .events = POLLIN },
            { .fd = client, .events = (short)(pending ? POLLOUT : 0) },
        };
        if (poll(fds, 3, -1) < 0)
            continue;
        uint64_t count;
        if (fds[0].revents && read(e->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            return NULL;
        int next = fds[1].revents ? accept4(e->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        pthread_mutex_lock(&e->lock);
        if (next >= 0) { /* a new reader replaces the old one */
            drop_client(e);
            e->client = next;
        } else if (fds[2].revents & (POLLHUP | POLLERR) && e->client == client && client >= 0) {
            drop_client(e);
        }
        flush_locked(e);
        pthread_mutex_unlock(&e->lock);
    }
}

/* Asked with a socket of another type: a live listener is told from a dead one, and its reader is not replaced by us. */
static int live_socket(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int live = fd >= 0 && connect(fd, (const void *)address, sizeof *address) && errno == EPROTOTYPE;
    if (fd >= 0)
        close(fd);
    return live;
}

int events_open(struct events *e, const char *path)
{
    memset(e, 0, sizeof *e);
    e->listener = e->client = e->wake = -1;
    pthread_mutex_init(&e->lock, NULL);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    strcpy(e->path, path);
    if (live_socket(&address))
        return -EEXIST;
    unlink(path);
    e->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    e->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->listener < 0 || e->wake < 0 || bind(e->listener, (void *)&address, sizeof address) || chmod(path, 0600) ||
        listen(e->listener, 4)) {
        int r = -errno;
        events_close(e);
        return r;
    }
    int r = isf_thread(&e->thread, "isf-events", events_run, e);
    if (r)
        events_close(e);
    return r;
}

void events_close(struct events *e)
{
    if (e->thread) {
        pthread_mutex_lock(&e->lock);
        e->stopping = 1;
        pthread_mutex_unlock(&e->lock);
        wake(e);
        pthread_join((pthread_t)e->thread, NULL);
        e->thread = 0;
    }
    if (e->client >= 0)
        close(e->client);
    if (e->listener >= 0) {
        close(e->listener);
        unlink(e->path);
    }
    if (e->wake >= 0)
        close(e->wake);
    e->listener = e->client = e->wake = -1;
    buffer_free(&e->backlog);
}
