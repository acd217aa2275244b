#include "link_socket.h"

#include <linux/tcp.h> /* has tcpi_delivery_rate, which netinet/tcp.h lacks */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

/* So much fits between the sender and a slow reader: at 1 Gbps some 30 ms, and a sender rarely waits. */
#define SOCKET_BUFFER (4 << 20)

int link_address_parse(struct link_address *out, const char *text, uint16_t port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (!text || getaddrinfo(text, service, &hints, &found) != 0)
        return -EINVAL;
    memset(out, 0, sizeof *out);
    memcpy(&out->at, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

int link_address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return 0;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr == ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr, 16) == 0;
}

static void set(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* All but the first two only make it better: a kernel that refuses one gives a slower link, not a wrong one. */
static void socket_options(int fd, uint64_t timeout_us)
{
    int bytes = SOCKET_BUFFER;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(timeout_us / 1000));
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    /* Only with the right to pass net.core.?mem_max: below it, the kernel's own tuning is better than a fixed size. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
}

static int socket_open(const struct link_address *a)
{
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int link_socket_listen(const struct link_address *local)
{
    int fd = socket_open(local);
    if (fd < 0)
        return fd;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (local->at.ss_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    socket_options(fd, 0); /* the window's scale is fixed by the buffer at the time of the handshake */
    if (bind(fd, (const struct sockaddr *)&local->at, local->length) || listen(fd, 4)) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int link_socket_connect(const struct link_address *local, const struct link_address *peer, uint64_t timeout_us)
{
    struct link_address from = *local;
    if (from.at.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&from.at)->sin6_port = 0;
    else
        ((struct sockaddr_in *)&from.at)->sin_port = 0;
    int fd = socket_open(peer);
    if (fd < 0)
        return fd;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    socket_options(fd, timeout_us);
    if (bind(fd, (const struct sockaddr *)&from.at, from.length)
        || (connect(fd, (const struct sockaddr *)&peer->at, peer->length) && errno != EINPROGRESS)) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int link_socket_accept(int listener, const struct link_address *peer, uint64_t timeout_us)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    memset(&from, 0, sizeof from);
    int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (!link_address_same_host(&from, &peer->at)) {
        close(fd);
        return -EACCES;
    }
    socket_options(fd, timeout_us);
    return fd;
}

uint64_t link_socket_rate(int fd, uint64_t before)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    /* Kernels before 4.9 answer with a shorter struct: the fields then stay 0. */
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
        return before;
    uint64_t seen = info.tcpi_delivery_rate;
    if (!seen || (info.tcpi_delivery_rate_app_limited && seen <= before))
        return before;
    return before ? (3 * before + seen) / 4 : seen;
}
