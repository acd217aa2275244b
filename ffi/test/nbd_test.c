/* The NBD server against a client that speaks bytes: handshakes good and bad, bounds, many requests in flight, late answers. */
#include "check.h"
#include "nbd.h"
#include "nbd_protocol.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BYTES (64u << 20)

static char folder[64], path[96];

/* An export in memory. */
struct store {
    uint8_t *data;
    _Atomic int late_flush, cold, fail;
    pthread_mutex_t lock;
    struct nbd_wait *waiting;
    _Atomic int flushes;
};

static int store_read(void *context, uint64_t offset, uint32_t length, uint8_t *out)
{
    struct store *s = context;
    memcpy(out, s->data + offset, length);
    return s->fail ? -s->fail : 0;
}

static int store_read_cached(void *context, uint64_t offset, uint32_t length, uint8_t *out)
{
    struct store *s = context;
    return s->cold ? -EAGAIN : store_read(context, offset, length, out);
}

static int store_write(void *context, uint64_t offset, uint32_t length, const uint8_t *data)
{
    struct store *s = context;
    memcpy(s->data + offset, data, length);
    return s->fail ? -s->fail : 0;
}

static int store_zero(void *context, uint64_t offset, uint32_t length, int hole)
{
    struct store *s = context;
    (void)hole;
    memset(s->data + offset, 0, length);
    return 0;
}

static int store_flush(void *context, struct nbd_wait *wait)
{
    struct store *s = context;
    s->flushes++;
    if (!s->late_flush)
        return 0;
    pthread_mutex_lock(&s->lock);
    wait->next = s->waiting;
    s->waiting = wait;
    pthread_mutex_unlock(&s->lock);
    return 1;
}

static void answer_flushes(struct store *s, int error)
{
    pthread_mutex_lock(&s->lock);
    struct nbd_wait *w = s->waiting;
    s->waiting = NULL;
    pthread_mutex_unlock(&s->lock);
    while (w) {
        struct nbd_wait *next = w->next;
        nbd_complete(w, error);
        w = next;
    }
}

/* ---- client ---- */

static void give(int fd, const void *data, size_t length)
{
    if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        return; /* the server closed: the read that follows sees it */
}

/* 1: all of it came; 0: closed, or nothing for 10 s. */
static int take(int fd, void *data, size_t length)
{
    uint8_t *to = data;
    while (length) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) != 1)
            return 0;
        ssize_t n = recv(fd, to, length, 0);
        if (n <= 0)
            return 0;
        to += n;
        length -= (size_t)n;
    }
    return 1;
}

static int closed(int fd)
{
    uint8_t byte;
    return !take(fd, &byte, 1);
}

static int dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        abort();
    return fd;
}

static int greet(uint32_t flags)
{
    uint8_t hello[18], answer[4];
    int fd = dial();
    if (!take(fd, hello, sizeof hello))
        return fd;
    put_be32(answer, flags);
    give(fd, answer, 4);
    return fd;
}

static void option(int fd, uint32_t number, const void *data, uint32_t length)
{
    uint8_t header[16];
    put_be64(header, NBD_OPTION);
    put_be32(header + 8, number);
    put_be32(header + 12, length);
    give(fd, header, 16);
    give(fd, data, length);
}

/* Reads one option reply; its type, or 0. */
static uint32_t option_reply(int fd, uint8_t *data, uint32_t *length)
{
    uint8_t header[20];
    if (!take(fd, header, 20) || get_be64(header) != NBD_OPTION_REPLY)
        return 0;
    *length = get_be32(header + 16);
    if (*length > 512 || !take(fd, data, *length))
        return 0;
    return get_be32(header + 12);
}

/* A connection in the transmission phase. */
static int go(void)
{
    uint8_t ask[6] = {0}, data[512];
    uint32_t length, type;
    int fd = greet(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    option(fd, NBD_OPT_GO, ask, 6);
    while ((type = option_reply(fd, data, &length)) == NBD_REP_INFO)
        ;
    if (type != NBD_REP_ACK)
        abort();
    return fd;
}

static void request(int fd, uint16_t type, uint16_t flags, uint64_t cookie, uint64_t offset, uint32_t length)
{
    uint8_t h[NBD_REQUEST_BYTES];
    put_be32(h, NBD_REQUEST);
    put_be16(h + 4, flags);
    put_be16(h + 6, type);
    put_be64(h + 8, cookie);
    put_be64(h + 16, offset);
    put_be32(h + 24, length);
    give(fd, h, sizeof h);
}

/* The next reply: its error; the cookie in *cookie. UINT32_MAX: none came. */
static uint32_t reply(int fd, uint64_t *cookie)
{
    uint8_t h[NBD_REPLY_BYTES];
    if (!take(fd, h, sizeof h) || get_be32(h) != NBD_SIMPLE_REPLY)
        return UINT32_MAX;
    *cookie = get_be64(h + 8);
    return get_be32(h + 4);
}

static uint32_t ask(int fd, uint16_t type, uint16_t flags, uint64_t offset, uint32_t length)
{
    uint64_t cookie = 0;
    request(fd, type, flags, 4711, offset, length);
    uint32_t r = reply(fd, &cookie);
    return cookie == 4711 ? r : UINT32_MAX;
}

/* ---- tests ---- */

static void handshakes(void)
{
    uint8_t data[512], big[5000] = {0};
    uint32_t length;
    int fd = greet(NBD_FIXED_NEWSTYLE);
    option(fd, 99, "junk", 4);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ERR_UNSUP, "an unknown option is answered as unsupported");
    option(fd, NBD_OPT_LIST, NULL, 0);
    CHECK(option_reply(fd, data, &length) == NBD_REP_SERVER && length == 8 && memcmp(data + 4, "disk", 4) == 0 &&
              option_reply(fd, data, &length) == NBD_REP_ACK, "LIST names the export");
    option(fd, NBD_OPT_INFO, "\0\0\0\5other\0\0", 11);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ERR_UNKNOWN, "another name is unknown");
    option(fd, NBD_OPT_GO, "\377\377\377\377\0\0", 6);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ERR_INVALID, "a name longer than its option is invalid");
    option(fd, 99, big, sizeof big);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ERR_TOO_BIG, "a long option is skipped and refused");
    option(fd, NBD_OPT_EXPORT_NAME, "disk", 4);
    CHECK(take(fd, data, 10 + 124) && get_be64(data) == BYTES && ask(fd, NBD_READ, 0, 0, 512) == 0 && take(fd, data, 512), "EXPORT_NAME starts the transmission, with its zeroes");
    close(fd);
    fd = greet(NBD_FIXED_NEWSTYLE);
    option(fd, NBD_OPT_ABORT, NULL, 0);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ACK && closed(fd), "ABORT is acknowledged and ends it");
    close(fd);
    fd = greet(0x80);
    CHECK(closed(fd), "unknown client flags end it");
    close(fd);
    fd = greet(NBD_FIXED_NEWSTYLE);
    give(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    CHECK(closed(fd), "garbage ends it");
    close(fd);
    fd = greet(NBD_FIXED_NEWSTYLE);
    option(fd, NBD_OPT_GO, NULL, 0);
    put_be32(big + 12, UINT32_MAX);
    put_be64(big, NBD_OPTION);
    give(fd, big, 16);
    CHECK(option_reply(fd, data, &length) == NBD_REP_ERR_INVALID && closed(fd), "an option of 4 GiB ends it, nothing is allocated");
    close(fd);
}

static void requests(struct store *s)
{
    uint8_t *data = malloc(NBD_REQUEST_MAX), *back = malloc(NBD_REQUEST_MAX);
    uint64_t cookie = 0;
    int fd = go();
    for (size_t i = 0; i < NBD_REQUEST_MAX; i++)
        data[i] = (uint8_t)(i * 7 + i / 4096);
    request(fd, NBD_WRITE, 0, 1, 512, 3 << 20);
    give(fd, data, 3 << 20);
    CHECK(reply(fd, &cookie) == 0 && cookie == 1 && memcmp(s->data + 512, data, 3 << 20) == 0, "a write longer than the buffer arrives whole");
    memcpy(s->data, data, NBD_REQUEST_MAX);
    CHECK(ask(fd, NBD_READ, 0, 0, NBD_REQUEST_MAX) == 0 && take(fd, back, NBD_REQUEST_MAX) && memcmp(data, back, NBD_REQUEST_MAX) == 0, "32 MiB are read at once");
    CHECK(ask(fd, NBD_READ, 0, 0, NBD_REQUEST_MAX + 512) == NBD_EINVAL, "more are refused");
    CHECK(ask(fd, NBD_READ, 0, BYTES, 512) == NBD_EINVAL && ask(fd, NBD_READ, 0, UINT64_MAX - 511, 1024) == NBD_EINVAL, "a read past the end is refused");
    request(fd, NBD_WRITE, 0, 2, BYTES - 512, 1024);
    give(fd, data, 1024);
    CHECK(reply(fd, &cookie) == NBD_ENOSPC && cookie == 2, "a write past the end is refused, and its data skipped");
    CHECK(ask(fd, NBD_READ, 0, 1, 512) == NBD_EINVAL && ask(fd, NBD_READ, 0, 0, 100) == NBD_EINVAL && ask(fd, NBD_READ, 0, 0, 0) == NBD_EINVAL, "what is not in sectors is refused");
    CHECK(ask(fd, NBD_WRITE_ZEROES, NBD_NO_HOLE, 0, 8192) == 0 && s->data[0] == 0 && s->data[8191] == 0 && s->data[8193] == data[8193], "WRITE_ZEROES zeroes");
    CHECK(ask(fd, NBD_TRIM, 0, 8192, 4096) == 0 && ask(fd, NBD_CACHE, 0, 0, 4096) == 0, "TRIM and CACHE are answered");
    CHECK(ask(fd, 77, 0, 0, 512) == NBD_EINVAL && ask(fd, NBD_READ, 0x80, 0, 512) == NBD_EINVAL, "unknown commands and flags are refused");
    int before = s->flushes;
    CHECK(ask(fd, NBD_FLUSH, 0, 0, 0) == 0 && s->flushes == before + 1, "FLUSH flushes");
    request(fd, NBD_WRITE, NBD_FUA, 3, 0, 512);
    give(fd, data, 512);
    CHECK(reply(fd, &cookie) == 0 && s->flushes == before + 2, "a write with FUA flushes too");
    s->fail = EIO;
    CHECK(ask(fd, NBD_READ, 0, 0, 512) == NBD_EIO, "an error of the storage is the client's");
    s->fail = 0;
    CHECK(ask(fd, NBD_READ, 0, 0, 512) == 0 && take(fd, back, 512), "and the connection goes on");
    request(fd, NBD_DISC, 0, 0, 0, 0);
    CHECK(closed(fd), "DISC ends it");
    close(fd);
    fd = go();
    give(fd, data, 28);
    CHECK(closed(fd), "a request without its magic ends it");
    close(fd);
    fd = go();
    request(fd, NBD_WRITE, 0, 1, 0, UINT32_MAX & ~511u);
    CHECK(closed(fd), "a write of 4 GiB ends it");
    close(fd);
    free(data);
    free(back);
}

/* Many requests before the first answer is read. */
static void in_flight(struct store *s)
{
    uint8_t data[4096], seen[256] = {0};
    uint64_t cookie;
    int fd = go(), good = 1;
    for (unsigned i = 0; i < 256; i++)
        memset(s->data + i * 4096, (int)i, 4096);
    for (int cold = 0; cold < 2; cold++) {
        s->cold = cold;
        memset(seen, 0, sizeof seen);
        for (unsigned i = 0; i < 256; i++)
            request(fd, NBD_READ, 0, i, i * 4096, 4096);
        for (unsigned i = 0; i < 256; i++) {
            good &= reply(fd, &cookie) == 0 && cookie < 256 && take(fd, data, 4096);
            good &= good && data[0] == (uint8_t)cookie && data[4095] == (uint8_t)cookie && !seen[cookie];
            seen[cookie & 255] = 1;
        }
        CHECK(good, cold ? "256 cold reads in flight each get their own data" : "256 reads in flight each get their own data");
    }
    s->cold = 0;
    close(fd);
}

static void late(struct store *s)
{
    uint8_t data[512];
    uint64_t cookie = 0;
    int fd = go();
    s->late_flush = 1;
    request(fd, NBD_FLUSH, 0, 1, 0, 0);
    request(fd, NBD_FLUSH, 0, 2, 0, 0);
    request(fd, NBD_READ, 0, 3, 0, 512);
    CHECK(reply(fd, &cookie) == 0 && cookie == 3 && take(fd, data, 512), "a flush that waits does not hold up a read");
    answer_flushes(s, 0);
    uint64_t other = 0;
    CHECK(reply(fd, &cookie) == 0 && reply(fd, &other) == 0 && cookie + other == 3, "and is answered when it is done");
    request(fd, NBD_FLUSH, 0, 4, 0, 0);
    CHECK(ask(fd, NBD_READ, 0, 0, 512) == 0 && take(fd, data, 512), "a read behind it is answered meanwhile");
    answer_flushes(s, -EIO);
    CHECK(reply(fd, &cookie) == NBD_EIO && cookie == 4, "a flush that failed says so");
    request(fd, NBD_FLUSH, 0, 5, 0, 0);
    if (ask(fd, NBD_READ, 0, 0, 512) == 0)
        take(fd, data, 512);
    close(fd);
    usleep(20000);
    answer_flushes(s, 0); /* the client is gone: nothing may break */
    s->late_flush = 0;
}

static void crowd(void)
{
    int fd[NBD_CONNECTIONS_MAX];
    uint8_t hello[18], data[512];
    for (int i = 0; i < NBD_CONNECTIONS_MAX; i++)
        fd[i] = go();
    int more = dial();
    CHECK(!take(more, hello, 18), "one connection too many is closed");
    CHECK(ask(fd[3], NBD_READ, 0, 0, 512) == 0 && take(fd[3], data, 512), "and the others go on");
    close(more);
    for (int i = 0; i < NBD_CONNECTIONS_MAX; i++)
        close(fd[i]);
    usleep(50000);
    more = go();
    CHECK(ask(more, NBD_FLUSH, 0, 0, 0) == 0, "places become free again");
    close(more);
}

static void fuzz(void)
{
    uint64_t z = 5;
    for (int round = 0; round < 200; round++) {
        uint8_t junk[600];
        for (size_t i = 0; i < sizeof junk; i++)
            junk[i] = (uint8_t)((z = z * 6364136223846793005ull + 1442695040888963407ull) >> 56);
        int fd = round % 2 ? go() : greet(NBD_FIXED_NEWSTYLE);
        if (round % 2)
            put_be32(junk, NBD_REQUEST);
        else
            put_be64(junk, NBD_OPTION);
        junk[round % 2 ? 6 : 8] = 0;
        junk[round % 2 ? 7 : 11] &= 7;
        give(fd, junk, 28 + (size_t)(z >> 40) % 500);
        close(fd);
    }
    int fd = go();
    CHECK(ask(fd, NBD_FLUSH, 0, 0, 0) == 0, "after 200 clients that sent noise it serves");
    close(fd);
}

int main(void)
{
    struct store s = {.data = calloc(1, BYTES), .lock = PTHREAD_MUTEX_INITIALIZER};
    struct nbd_export export = {"disk", BYTES, &s, store_read, store_read_cached, store_write, store_zero, store_flush};
    struct nbd_server *server;
    strcpy(folder, "/tmp/isf_nbd_XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/nbd.sock", folder);
    if (nbd_start(&server, path, &export))
        return 1;
    handshakes();
    requests(&s);
    in_flight(&s);
    late(&s);
    crowd();
    fuzz();
    int fd = go();
    s.late_flush = 1;
    request(fd, NBD_FLUSH, 0, 1, 0, 0);
    usleep(20000);
    nbd_stop(server);
    CHECK(closed(fd), "stopping ends the connections, even one that waits");
    answer_flushes(&s, 0);
    close(fd);
    char longer[200];
    memset(longer, 'a', sizeof longer - 1);
    longer[199] = 0;
    CHECK(nbd_start(&server, longer, &export) == -ENAMETOOLONG, "a socket path that is too long is refused");
    rmdir(folder);
    free(s.data);
    return check_end();
}
