/* What the gate's tests share: a gate with a fake QEMU (a unix stream client) at one end and a fake LAN at the other. */
#ifndef ISF_GATE_TEST_KIT_H
#define ISF_GATE_TEST_KIT_H

#include "announce.h"
#include "check.h"
#include "gate.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SILENCE_MS 40 /* how long we wait for a frame that must not come */
#define BOUND_MS 5000 /* how long at most for one that must */

static char path[64];

struct bed {
    struct gate *gate;
    int qemu, lan;          /* our ends */
    _Atomic uint64_t lease; /* us */
    _Atomic int outputs, connections;
    _Atomic int busy;       /* 1: on_output does not return, so the gate's thread reads nothing */
};

static void on_output(void *context)
{
    struct bed *b = context;
    gate_waiting(b->gate); /* it may call the gate */
    atomic_fetch_add(&b->outputs, 1);
    while (atomic_load(&b->busy))
        poll(NULL, 0, 1);
}

static uint64_t lease_until(void *context) { return atomic_load(&((struct bed *)context)->lease); }
static void on_qemu(void *context, int connected) { atomic_fetch_add(&((struct bed *)context)->connections, connected ? 1 : 0x10000); }

static void nap(int ms) { poll(NULL, 0, ms); }

/* Waits until `condition` holds; its value at the end. */
#define AWAIT(condition) ({ int left_ = BOUND_MS; while (!(condition) && left_-- > 0) nap(1); (condition); })

static int connect_qemu(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(a.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static int connected(const struct bed *b) { return atomic_load(&b->connections) & 0xffff; }

/* A gate with the fake LAN; `limits` may set frame_max and queue_bytes. */
static void bed_open(struct bed *b, const struct gate_config *limits)
{
    int pair[2];
    struct gate_config c = limits ? *limits : (struct gate_config){0};
    memset(b, 0, sizeof *b);
    atomic_store(&b->lease, UINT64_MAX);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        exit(1);
    c.tap_fd = pair[0];
    c.socket = path;
    c.context = b;
    c.on_output = on_output;
    c.on_qemu = on_qemu;
    c.lease_until_us = lease_until;
    int r = gate_open(&b->gate, &c);
    if (r) {
        printf("gate_open: %d\n", r);
        exit(1);
    }
    close(pair[0]);
    b->lan = pair[1];
    b->qemu = connect_qemu();
    AWAIT(connected(b) == 1);
}

static void bed_close(struct bed *b)
{
    gate_close(b->gate);
    close(b->qemu);
    close(b->lan);
}

static struct gate_stats stats(struct bed *b)
{
    struct gate_stats s;
    gate_read_stats(b->gate, &s);
    return s;
}

static void write_all(int fd, const void *data, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = send(fd, (const uint8_t *)data + at, length - at, MSG_NOSIGNAL);
        if (n < 0)
            return;
        at += (size_t)n;
    }
}

/* A frame that carries `number` and a pattern that shows a lost or moved byte. */
static uint32_t make(uint8_t *out, uint32_t number, uint32_t length)
{
    static const uint8_t head[14] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3, 0x88, 0xb5};
    for (uint32_t i = 0; i < length; i++)
        out[i] = (uint8_t)(number * 31 + i);
    memcpy(out, head, sizeof head);
    put_le32(out + 14, number);
    return length;
}

static void prefix(uint8_t *p, uint32_t length)
{
    uint32_t n = htonl(length);
    memcpy(p, &n, 4);
}

/* The fake QEMU sends one frame. */
static inline void emit(struct bed *b, uint32_t number, uint32_t length)
{
    static _Thread_local uint8_t p[4 + 70000];
    prefix(p, length);
    make(p + 4, number, length);
    write_all(b->qemu, p, 4 + length);
}

static int readable(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, ms) == 1;
}

/* The next frame on the LAN: its number; -1: none came; -2: its bytes are wrong. */
static int64_t on_lan(struct bed *b, int ms, uint32_t length)
{
    static uint8_t got[70000], want[70000];
    if (!readable(b->lan, ms))
        return -1;
    ssize_t n = recv(b->lan, got, sizeof got, MSG_DONTWAIT);
    if (n < 18)
        return n < 0 ? -1 : -2;
    make(want, get_le32(got + 14), length);
    return n == (ssize_t)length && !memcmp(got, want, length) ? (int64_t)get_le32(got + 14) : -2;
}

static int quiet(struct bed *b) { return !readable(b->lan, SILENCE_MS); }

/* Frames first … last come on the LAN, in this order. */
static inline int in_order(struct bed *b, uint32_t first, uint32_t last, uint32_t length)
{
    for (uint32_t i = first; i <= last; i++)
        if (on_lan(b, BOUND_MS, length) != i)
            return 0;
    return 1;
}

/* Reads exactly `length` bytes as QEMU. */
static int as_qemu(struct bed *b, void *out, size_t length)
{
    for (size_t at = 0; at < length;) {
        if (!readable(b->qemu, BOUND_MS))
            return 0;
        ssize_t n = recv(b->qemu, (uint8_t *)out + at, length - at, 0);
        if (n <= 0)
            return 0;
        at += (size_t)n;
    }
    return 1;
}

/* QEMU's next incoming frame that is one of ours (a real bridge also sends reports of its own): its number, -1, -2 as on_lan. */
static inline int64_t at_qemu(struct bed *b, uint32_t length)
{
    static uint8_t got[70000], want[70000];
    uint8_t head[4];
    uint32_t n;
    do {
        if (!as_qemu(b, head, 4))
            return -1;
        n = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        if (n < 18 || n > sizeof got || !as_qemu(b, got, n))
            return -1;
    } while (got[12] != 0x88 || got[13] != 0xb5);
    make(want, get_le32(got + 14), length);
    return n == length && !memcmp(got, want, length) ? (int64_t)get_le32(got + 14) : -2;
}

static inline ssize_t inject(struct bed *b, uint32_t number, uint32_t length, int flags)
{
    static uint8_t p[70000];
    make(p, number, length);
    return send(b->lan, p, length, flags);
}

#endif
