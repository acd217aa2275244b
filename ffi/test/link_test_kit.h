/* A link with a memory, for link_test.c: it remembers what came, and whether that is what was sent. */
#ifndef ISF_LINK_TEST_KIT_H
#define ISF_LINK_TEST_KIT_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../src/link.h"
#include "../src/link_handshake.h"
#include "check.h"
#include "net_kit.h"

#define PORT 7700
#define TIMEOUT_US 2000000u /* of the links: long enough for a busy machine */
#define WAIT_US 15000000u /* a promise not kept by then is broken */

struct node {
    struct link *link;
    pthread_mutex_t lock;
    uint64_t frames, expected; /* all frames; the next epoch that is right */
    uint64_t corrupt;          /* frames that are not what was sent next */
    uint32_t last_length;
    int ups, downs, reason;
    atomic_int sleep_us, reply, any, drop_at, refuse_at;
    int send_result;
};

/* Frame `i` of the pattern: its length and bytes follow from its number. */
static inline uint32_t pattern_length(uint64_t i) { return (uint32_t)(i * i * 131 % 70001); }
static inline uint8_t pattern_byte(uint64_t i, uint32_t k) { return (uint8_t)(i * 7 + k + (k >> 8)); }

static int pattern_holds(const struct frame *f, const uint8_t *payload)
{
    if (f->type != FRAME_DISK || f->length != pattern_length(f->epoch) || f->term != f->epoch + 1 || f->flags != 5)
        return 0;
    for (uint32_t k = 0; k < f->length; k++)
        if (payload[k] != pattern_byte(f->epoch, k))
            return 0;
    return 1;
}

static int node_frame(void *context, int index, const struct frame *f, uint8_t *payload)
{
    struct node *n = context;
    (void)index;
    if (n->sleep_us)
        usleep((useconds_t)n->sleep_us);
    if (f->type == FRAME_COMMIT || f->type == FRAME_SYNC || n->any) {
        if (n->reply && f->type != FRAME_COMMIT)
            link_send(n->link, &(struct frame){.type = FRAME_COMMIT}, NULL, 0);
    } else {
        pthread_mutex_lock(&n->lock);
        n->corrupt += f->epoch != n->expected || !pattern_holds(f, payload);
        n->expected = f->epoch + 1;
        pthread_mutex_unlock(&n->lock);
        if (n->reply)
            link_send(n->link, &(struct frame){.type = FRAME_COMMIT}, NULL, 0);
    }
    pthread_mutex_lock(&n->lock);
    n->frames++;
    n->last_length = f->length;
    pthread_mutex_unlock(&n->lock);
    if (n->drop_at && f->epoch == (uint64_t)n->drop_at)
        link_drop(n->link, -EIO);
    return n->refuse_at && f->epoch == (uint64_t)n->refuse_at ? -ISF_ESTALE : 0;
}

static void node_state(void *context, int index, int up, int reason)
{
    struct node *n = context;
    (void)index;
    pthread_mutex_lock(&n->lock);
    n->expected = 1;
    n->ups += up;
    n->downs += !up;
    if (!up)
        n->reason = reason; /* of the last loss */
    pthread_mutex_unlock(&n->lock);
}

/* Also makes the node new. `key`: 1 is everybody's. */
static struct link_config node_config(struct node *n, const char *local, const char *peer, int listen, uint8_t key)
{
    memset(n, 0, sizeof *n);
    pthread_mutex_init(&n->lock, NULL);
    n->expected = 1;
    struct link_config c = {.local = local, .peer = peer, .port = PORT, .listen = listen, .timeout_us = TIMEOUT_US,
                            .context = n, .on_frame = node_frame, .on_state = node_state};
    memset(c.secret, key, sizeof c.secret);
    return c;
}

static void node_open(struct node *n, const char *local, const char *peer, int listen, uint8_t key)
{
    struct link_config c = node_config(n, local, peer, listen, key);
    if (link_open(&n->link, &c))
        abort();
}

static void pair_close(struct node *a, struct node *b)
{
    link_close(a->link);
    link_close(b->link);
}

/* Sends frames `first` to `first + count - 1` of the pattern. Returns how many went. */
static int send_pattern(struct node *n, uint64_t first, int count)
{
    uint8_t *body = malloc(80000);
    int sent = 0;
    for (uint64_t i = first; i < first + (uint64_t)count; i++) {
        uint32_t length = pattern_length(i);
        for (uint32_t k = 0; k < length; k++)
            body[k] = pattern_byte(i, k);
        struct frame f = {.type = FRAME_DISK, .epoch = i, .term = i + 1, .flags = 5};
        struct iovec parts[3] = {{body, length / 3}, {body + length / 3, 0}, {body + length / 3, length - length / 3}};
        n->send_result = link_send(n->link, &f, parts, 3);
        if (n->send_result)
            break;
        sent++;
    }
    free(body);
    return sent;
}

#define NODE_READ(name, type, field)               \
    static inline type name(struct node *n)        \
    {                                              \
        pthread_mutex_lock(&n->lock);              \
        type value = n->field;                     \
        pthread_mutex_unlock(&n->lock);            \
        return value;                              \
    }
NODE_READ(node_frames, uint64_t, frames)
NODE_READ(node_corrupt, uint64_t, corrupt)
NODE_READ(node_ups, int, ups)
NODE_READ(node_downs, int, downs)
NODE_READ(node_reason, int, reason)
NODE_READ(node_last_length, uint32_t, last_length)

#define WAIT_FOR(condition)                                                          \
    ({                                                                               \
        uint64_t end_us = isf_now_us() + WAIT_US;                                    \
        while (!(condition) && isf_now_us() < end_us)                                \
            usleep(2000);                                                            \
        !!(condition);                                                               \
    })
static int node_wait_up(struct node *n, int ups) { return WAIT_FOR(node_ups(n) >= ups); }
static int node_wait_down(struct node *n, int downs) { return WAIT_FOR(node_downs(n) >= downs); }
static int node_wait_frames(struct node *n, uint64_t frames) { return WAIT_FOR(node_frames(n) >= frames); }
static int node_wait_reason(struct node *n, int reason) { return WAIT_FOR(node_reason(n) == reason); }
/* `a` connects, `b` listens. Up when it returns; an attempt from before `b` listened is forgotten. */
static void pair_open(struct node *a, struct node *b, int unchecked)
{
    struct link_config c = node_config(b, "127.0.0.2", "127.0.0.1", 1, 1);
    c.unchecked = unchecked;
    if (link_open(&b->link, &c))
        abort();
    c = node_config(a, "127.0.0.1", "127.0.0.2", 0, 1);
    c.unchecked = unchecked;
    if (link_open(&a->link, &c))
        abort();
    node_wait_up(a, 1);
    pthread_mutex_lock(&a->lock);
    a->downs = 0;
    pthread_mutex_unlock(&a->lock);
}

static uint64_t node_refused(struct node *n)
{
    struct link_stats s;
    link_read_stats(n->link, &s);
    return s.refused;
}

/* A plain connection from `from` to the listening node, or -1. Reads and writes block for 10 s at the most. */
static int stranger_connect(const char *from, const char *to)
{
    struct sockaddr_in a = {.sin_family = AF_INET}, b = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timeval ten = {10, 0};
    inet_pton(AF_INET, from, &a.sin_addr);
    inet_pton(AF_INET, to, &b.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ten, sizeof ten);
    int failed = bind(fd, (struct sockaddr *)&a, sizeof a);
    for (int i = 0; i < 50 && !failed; i++) {
        failed = connect(fd, (struct sockaddr *)&b, sizeof b);
        if (!failed)
            return fd;
        failed = 0;
        usleep(20000);
    }
    close(fd);
    return -1;
}

/* Reads until the other side hangs up. How many bytes came, or -1 when it did not hang up. */
static int stranger_drain(int fd)
{
    uint8_t bytes[4096];
    int total = 0;
    for (;;) {
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n > 0)
            total += (int)n;
        else
            return n == 0 || errno == ECONNRESET || errno == EPIPE ? total : -1;
    }
}

#include "link_test_wire.h"
#include "link_test_strangers.h"

#endif
