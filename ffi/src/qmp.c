#include "qmp.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QMP_LINE_MAX (4u << 20)

int qmp_open(struct qmp *q, const char *path, uint64_t timeout_us)
{
    q->fd = -1;
    q->taken = 0;
    q->in.length = 0;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    uint64_t deadline = isf_now_us() + timeout_us;
    for (;;) { /* QEMU makes its sockets some 100 ms after it started */
        q->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (q->fd < 0)
            return -errno;
        if (connect(q->fd, (void *)&address, sizeof address) == 0)
            break;
        int r = -errno;
        close(q->fd);
        q->fd = -1;
        if ((r != -ENOENT && r != -ECONNREFUSED) || isf_now_us() >= deadline)
            return r;
        usleep(5000);
    }
    fcntl(q->fd, F_SETFL, O_NONBLOCK);
    const char *line;
    uint64_t left = isf_now_us() < deadline ? deadline - isf_now_us() : 100000;
    int r = qmp_execute(q, "{\"execute\":\"qmp_capabilities\"}", left, &line);
    if (r < 0)
        qmp_close(q);
    return r < 0 ? r : 0;
}

void qmp_close(struct qmp *q)
{
    if (q->fd >= 0)
        close(q->fd);
    q->fd = -1;
    buffer_free(&q->in);
    q->taken = 0;
}

int qmp_send(struct qmp *q, const char *text, size_t length)
{
    uint64_t deadline = isf_now_us() + 1000000;
    while (length) {
        ssize_t n = send(q->fd, text, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = { .fd = q->fd, .events = POLLOUT };
            if (isf_now_us() >= deadline || poll(&p, 1, 100) < 0)
                return -ETIMEDOUT;
            continue;
        }
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
    }
    return 0;
}

static uint64_t stamp_us(const char *line)
{
    unsigned long long s = 0, us = 0;
    const char *t = strstr(line, "\"seconds\": ");
    if (!t || sscanf(t, "\"seconds\": %llu, \"microseconds\": %llu", &s, &us) != 2)
        return 0;
    return s * 1000000u + us;
}

/* One whole line. 1: a return, -ISF_EREFUSED: an error, 0: neither. */
static int take_line(struct qmp *q, char *line, size_t length)
{
    if (strstr(line, "\"event\": ")) {
        if (strstr(line, "\"event\": \"STOP\""))
            q->stop_us = stamp_us(line);
        else if (strstr(line, "\"event\": \"RESUME\""))
            q->resume_us = stamp_us(line);
        else if (q->on_event)
            q->on_event(q->context, line, length);
        return 0;
    }
    if (strncmp(line, "{\"error\"", 8) == 0)
        return -ISF_EREFUSED;
    return strncmp(line, "{\"return\"", 9) == 0;
}

int qmp_poll(struct qmp *q, const char **line)
{
    if (q->taken) {
        q->in.length -= q->taken;
        memmove(q->in.data, q->in.data + q->taken, q->in.length);
        q->taken = 0;
    }
    for (;;) {
        char *end = q->in.length ? memchr(q->in.data, '\n', q->in.length) : NULL;
        if (!end) {
            if (q->in.length > QMP_LINE_MAX || buffer_reserve(&q->in, 65536))
                return -ISF_EQEMU;
            ssize_t n = recv(q->fd, q->in.data + q->in.length, 65536, 0);
            if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -ISF_EQEMU;
            if (n == 0)
                return -ISF_EQEMU;
            q->in.length += (size_t)n;
            continue;
        }
        size_t length = (size_t)(end - (char *)q->in.data), text = length;
        if (text && end[-1] == '\r') /* QEMU ends its lines so */
            text--;
        q->in.data[text] = 0;
        int r = take_line(q, (char *)q->in.data, text);
        if (r) {
            *line = (char *)q->in.data;
            q->taken = length + 1;
            return r;
        }
        q->in.length -= length + 1;
        memmove(q->in.data, end + 1, q->in.length);
    }
}

int qmp_await(struct qmp *q, uint64_t deadline_us, const char **line)
{
    for (;;) {
        *line = NULL;
        int r = qmp_poll(q, line);
        if (r)
            return r;
        uint64_t now = isf_now_us();
        if (now >= deadline_us)
            return -ETIMEDOUT;
        struct pollfd p = { .fd = q->fd, .events = POLLIN };
        poll(&p, 1, (int)((deadline_us - now) / 1000 + 1));
    }
}

int qmp_execute(struct qmp *q, const char *command, uint64_t timeout_us, const char **line)
{
    int r = qmp_send(q, command, strlen(command));
    return r ? r : qmp_await(q, isf_now_us() + timeout_us, line);
}
