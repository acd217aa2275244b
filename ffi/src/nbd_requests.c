/* The transmission phase of one connection. */
#include "nbd_protocol.h"
#include "nbd_state.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_CAPACITY (NBD_IN_BYTES + NBD_REQUEST_MAX / 512)
#define SEND_EARLY (64u << 10) /* so much is sent while more requests wait, so that the client has work too */

struct request {
    uint16_t flags, type;
    uint64_t cookie, offset;
    uint32_t length;
};

static uint32_t wire_error(int error)
{
    switch (-error) {
    case 0: return 0;
    case EPERM: case EROFS: return NBD_EPERM;
    case ENOMEM: return NBD_ENOMEM;
    case EINVAL: return NBD_EINVAL;
    case ENOSPC: case EDQUOT: case EFBIG: return NBD_ENOSPC;
    case EOPNOTSUPP: return NBD_ENOTSUP;
    case ESHUTDOWN: return NBD_ESHUTDOWN;
    default: return NBD_EIO;
    }
}

/* ---- output ---- */

static int send_out(struct nbd_conn *c)
{
    int r = nbd_send(c, c->out, c->out_length);
    c->out_length = 0;
    if (c->out_capacity > 4 * NBD_IN_BYTES) { /* one huge read does not keep its memory */
        uint8_t *out = realloc(c->out, NBD_OUT_BYTES);
        c->out = out ? out : c->out;
        c->out_capacity = out ? NBD_OUT_BYTES : c->out_capacity;
    }
    return r;
}

/* Room for a reply with `length` bytes of data after what waits. */
static int out_room(struct nbd_conn *c, uint32_t length)
{
    size_t need = NBD_REPLY_BYTES + (size_t)length;
    int r = c->out_length + need > c->out_capacity ? send_out(c) : 0;
    if (r || need <= c->out_capacity)
        return r;
    uint8_t *out = realloc(c->out, need);
    if (!out)
        return -ENOMEM;
    c->out = out;
    c->out_capacity = need;
    return 0;
}

static void put_reply(struct nbd_conn *c, uint64_t cookie, int error)
{
    uint8_t *p = c->out + c->out_length;
    put_be32(p, NBD_SIMPLE_REPLY);
    put_be32(p + 4, wire_error(error));
    put_be64(p + 8, cookie);
    c->out_length += NBD_REPLY_BYTES;
}

static int reply(struct nbd_conn *c, uint64_t cookie, int error)
{
    int r = out_room(c, 0);
    if (r == 0)
        put_reply(c, cookie, error);
    return r;
}

/* Replies for what was completed by others. */
static int collect_done(struct nbd_conn *c)
{
    int r = 0;
    pthread_mutex_lock(&c->lock);
    struct nbd_wait *w = c->done;
    c->done = NULL;
    pthread_mutex_unlock(&c->lock);
    while (w) {
        struct nbd_later *later = (struct nbd_later *)w;
        w = w->next;
        c->cold_bytes -= later->length;
        uint32_t data = later->error ? 0 : later->length;
        r = r ? r : out_room(c, data);
        if (r == 0) {
            put_reply(c, later->cookie, later->error);
            memcpy(c->out + c->out_length, later->data, data);
            c->out_length += data;
        }
        free(later);
    }
    return r;
}

/* ---- input ---- */

static void compact(struct nbd_conn *c)
{
    memmove(c->in, c->in + c->in_start, c->in_end - c->in_start);
    c->in_end -= c->in_start;
    c->in_start = 0;
}

/* Blocks until `length` bytes (at most NBD_IN_BYTES) are in the buffer, in one piece. */
static int need_input(struct nbd_conn *c, size_t length)
{
    if (c->in_start + length > IN_CAPACITY)
        compact(c);
    while (c->in_end - c->in_start < length) {
        ssize_t n = recv(c->fd, c->in + c->in_end, IN_CAPACITY - c->in_end, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        c->in_end += (size_t)n;
    }
    return 0;
}

/* Waits for requests or completions. */
static int wait_input(struct nbd_conn *c)
{
    uint64_t count;
    if (c->in_start == c->in_end)
        c->in_start = c->in_end = 0;
    else if (IN_CAPACITY - c->in_start < SEND_EARLY)
        compact(c);
    ssize_t n = recv(c->fd, c->in + c->in_end, IN_CAPACITY - c->in_end, MSG_DONTWAIT);
    if (n > 0)
        c->in_end += (size_t)n;
    if (n >= 0)
        return n ? 0 : -ECONNRESET;
    if (errno != EAGAIN && errno != EINTR)
        return -errno;
    struct pollfd p[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->event, .events = POLLIN}};
    if (poll(p, 2, -1) < 0)
        return errno == EINTR ? 0 : -errno;
    if (p[1].revents && read(c->event, &count, sizeof count) < 0 && errno != EAGAIN)
        return -errno;
    return 0;
}

/* ---- requests ---- */

static struct nbd_later *later_new(struct nbd_conn *c, const struct request *q, uint32_t data)
{
    struct nbd_later *later = malloc(sizeof *later + data);
    if (!later)
        return NULL;
    *later = (struct nbd_later){.conn = c, .cookie = q->cookie, .offset = q->offset, .length = data};
    pthread_mutex_lock(&c->lock);
    c->refs++;
    pthread_mutex_unlock(&c->lock);
    return later;
}

static void later_cancel(struct nbd_later *later)
{
    nbd_conn_unref(later->conn);
    free(later);
}

/* A flush, or what FUA asks for after a write. Answers at once or later. */
static int do_flush(struct nbd_conn *c, const struct request *q)
{
    const struct nbd_export *x = &c->server->export;
    struct nbd_later *later = later_new(c, q, 0);
    if (!later)
        return reply(c, q->cookie, -ENOMEM);
    int r = x->flush(x->context, &later->wait);
    if (r == 1)
        return 0;
    later_cancel(later);
    return reply(c, q->cookie, r);
}

/* Hands the read to a reader thread. 1 when it was. */
static int read_later(struct nbd_conn *c, const struct request *q)
{
    if (c->cold_bytes + q->length > NBD_COLD_BYTES)
        return 0;
    struct nbd_later *later = later_new(c, q, q->length);
    if (!later)
        return 0;
    if (nbd_readers_add(&c->server->readers, later)) {
        later_cancel(later);
        return 0;
    }
    c->cold_bytes += q->length;
    return 1;
}

static int do_read(struct nbd_conn *c, const struct request *q)
{
    const struct nbd_export *x = &c->server->export;
    int r = out_room(c, q->length);
    if (r)
        return r;
    uint8_t *data = c->out + c->out_length + NBD_REPLY_BYTES;
    r = x->read_cached ? x->read_cached(x->context, q->offset, q->length, data) : -EAGAIN;
    if (r == -EAGAIN && read_later(c, q))
        return 0;
    if (r == -EAGAIN)
        r = x->read(x->context, q->offset, q->length, data);
    put_reply(c, q->cookie, r);
    c->out_length += r ? 0 : q->length;
    return 0;
}

/* Takes the payload in pieces that fit the buffer; with an error it is only skipped. */
static int do_write(struct nbd_conn *c, const struct request *q, int error)
{
    const struct nbd_export *x = &c->server->export;
    for (uint32_t done = 0; done < q->length;) {
        uint32_t piece = q->length - done < NBD_IN_BYTES ? q->length - done : NBD_IN_BYTES;
        int r = need_input(c, piece);
        if (r)
            return r;
        if (error == 0)
            error = x->write(x->context, q->offset + done, piece, c->in + c->in_start);
        c->in_start += piece;
        done += piece;
    }
    return error == 0 && q->flags & NBD_FUA ? do_flush(c, q) : reply(c, q->cookie, error);
}

static int do_zero(struct nbd_conn *c, const struct request *q)
{
    const struct nbd_export *x = &c->server->export;
    int r = q->length ? x->zero(x->context, q->offset, q->length, q->type == NBD_TRIM || !(q->flags & NBD_NO_HOLE)) : 0;
    return r == 0 && q->flags & NBD_FUA ? do_flush(c, q) : reply(c, q->cookie, r);
}

/* 0, or the error to answer. */
static int check(const struct nbd_conn *c, const struct request *q)
{
    uint64_t bytes = c->server->export.bytes;
    if (q->type == NBD_FLUSH)
        return q->offset || q->length ? -EINVAL : 0;
    if (q->flags & ~(q->type == NBD_WRITE_ZEROES ? NBD_FUA | NBD_NO_HOLE : NBD_FUA))
        return -EINVAL;
    if (q->offset > bytes || q->length > bytes - q->offset)
        return q->type == NBD_WRITE || q->type == NBD_WRITE_ZEROES ? -ENOSPC : -EINVAL;
    if ((q->offset | q->length) % 512)
        return -EINVAL;
    return q->length == 0 || (q->type == NBD_READ && q->length > NBD_REQUEST_MAX) ? -EINVAL : 0;
}

static int one_request(struct nbd_conn *c)
{
    const uint8_t *h = c->in + c->in_start;
    struct request q = {get_be16(h + 4), get_be16(h + 6), get_be64(h + 8), get_be64(h + 16), get_be32(h + 24)};
    if (get_be32(h) != NBD_REQUEST)
        return -EPROTO;
    c->in_start += NBD_REQUEST_BYTES;
    if (q.type == NBD_DISC)
        return -ECONNRESET;
    int error = check(c, &q);
    if (q.type == NBD_WRITE)
        return q.length > NBD_REQUEST_MAX ? -EPROTO : do_write(c, &q, error);
    if (error)
        return reply(c, q.cookie, error);
    switch (q.type) {
    case NBD_READ:
        return do_read(c, &q);
    case NBD_FLUSH:
        return do_flush(c, &q);
    case NBD_TRIM:
    case NBD_WRITE_ZEROES:
        return do_zero(c, &q);
    case NBD_CACHE:
        return reply(c, q.cookie, 0); /* only advice */
    default:
        return reply(c, q.cookie, -EINVAL);
    }
}

void nbd_requests(struct nbd_conn *c)
{
    int r = 0;
    while (r == 0) {
        r = collect_done(c);
        while (r == 0 && c->in_end - c->in_start >= NBD_REQUEST_BYTES) {
            r = one_request(c);
            if (r == 0 && c->out_length >= SEND_EARLY)
                r = send_out(c);
        }
        if (r == 0 && c->out_length)
            r = send_out(c);
        if (r == 0)
            r = wait_input(c);
    }
}
