/* The handshake of fixed newstyle: the client haggles over options until it names the export. */
#include "nbd_protocol.h"
#include "nbd_state.h"

#include <stdio.h>

#define OPTIONS_MAX 64       /* in one handshake */
#define OPTION_DATA 4096u    /* longer ones are skipped and refused */
#define OPTION_SKIP 65536u   /* still longer ones end the connection */

struct option {
    uint32_t number, length;
    uint8_t data[OPTION_DATA];
};

static uint16_t transmission_flags(void)
{
    return NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_FUA | NBD_SEND_TRIM | NBD_SEND_WRITE_ZEROES | NBD_CAN_MULTI_CONN | NBD_SEND_CACHE;
}

static int reply(struct nbd_conn *c, uint32_t option, uint32_t type, const uint8_t *data, uint32_t length)
{
    uint8_t message[20 + 512];
    put_be64(message, NBD_OPTION_REPLY);
    put_be32(message + 8, option);
    put_be32(message + 12, type);
    put_be32(message + 16, length);
    if (length)
        memcpy(message + 20, data, length);
    return nbd_send(c, message, 20 + length);
}

static int name_fits(const struct nbd_conn *c, const uint8_t *name, uint32_t length)
{
    return length == 0 || (length == strlen(c->server->name) && memcmp(name, c->server->name, length) == 0);
}

/* INFO and GO. *go = 1 when transmission starts. */
static int answer_info(struct nbd_conn *c, const struct option *o, int *go)
{
    uint8_t info[14];
    uint32_t name = o->length >= 6 ? get_be32(o->data) : UINT32_MAX;
    if (name > o->length || o->length - name < 6 || (o->length - name - 6) != 2u * get_be16(o->data + 4 + name))
        return reply(c, o->number, NBD_REP_ERR_INVALID, NULL, 0);
    if (!name_fits(c, o->data + 4, name))
        return reply(c, o->number, NBD_REP_ERR_UNKNOWN, NULL, 0);
    put_be16(info, NBD_INFO_EXPORT);
    put_be64(info + 2, c->server->export.bytes);
    put_be16(info + 10, transmission_flags());
    int r = reply(c, o->number, NBD_REP_INFO, info, 12);
    put_be16(info, NBD_INFO_BLOCK_SIZE);
    put_be32(info + 2, 512);
    put_be32(info + 6, 4096);
    put_be32(info + 10, NBD_REQUEST_MAX);
    if (r == 0)
        r = reply(c, o->number, NBD_REP_INFO, info, 14);
    if (r == 0)
        r = reply(c, o->number, NBD_REP_ACK, NULL, 0);
    *go = r == 0 && o->number == NBD_OPT_GO;
    return r;
}

static int answer_list(struct nbd_conn *c, const struct option *o)
{
    uint8_t entry[4 + 256];
    uint32_t length = (uint32_t)strlen(c->server->name);
    if (o->length)
        return reply(c, o->number, NBD_REP_ERR_INVALID, NULL, 0);
    put_be32(entry, length);
    memcpy(entry + 4, c->server->name, length);
    int r = reply(c, o->number, NBD_REP_SERVER, entry, 4 + length);
    return r ? r : reply(c, o->number, NBD_REP_ACK, NULL, 0);
}

/* The old way to begin: no answer but the export itself, or the end of the connection. */
static int answer_export_name(struct nbd_conn *c, const struct option *o, int no_zeroes, int *go)
{
    uint8_t answer[10 + 124] = {0};
    if (!name_fits(c, o->data, o->length))
        return -ENOENT;
    put_be64(answer, c->server->export.bytes);
    put_be16(answer + 8, transmission_flags());
    *go = 1;
    return nbd_send(c, answer, no_zeroes ? 10 : sizeof answer);
}

/* Reads one option; data that is too long is skipped and *too_big set. */
static int read_option(struct nbd_conn *c, struct option *o, int *too_big)
{
    uint8_t header[NBD_OPTION_BYTES];
    int r = nbd_recv(c, header, sizeof header);
    if (r)
        return r;
    o->number = get_be32(header + 8);
    o->length = get_be32(header + 12);
    if (get_be64(header) != NBD_OPTION || o->length > OPTION_SKIP)
        return -EPROTO;
    *too_big = o->length > OPTION_DATA;
    for (uint32_t left = o->length; r == 0 && left;) {
        uint32_t piece = left < OPTION_DATA ? left : OPTION_DATA;
        r = nbd_recv(c, o->data, piece);
        left -= piece;
    }
    return r;
}

static int answer(struct nbd_conn *c, const struct option *o, int no_zeroes, int *go)
{
    switch (o->number) {
    case NBD_OPT_EXPORT_NAME:
        return answer_export_name(c, o, no_zeroes, go);
    case NBD_OPT_ABORT:
        reply(c, o->number, NBD_REP_ACK, NULL, 0);
        return -ECONNRESET;
    case NBD_OPT_LIST:
        return answer_list(c, o);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return answer_info(c, o, go);
    default:
        return reply(c, o->number, NBD_REP_ERR_UNSUP, NULL, 0);
    }
}

int nbd_options(struct nbd_conn *c)
{
    uint8_t hello[18], flags[4];
    struct option o;
    int go = 0, too_big;
    put_be64(hello, NBD_MAGIC);
    put_be64(hello + 8, NBD_OPTION);
    put_be16(hello + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    int r = nbd_send(c, hello, sizeof hello);
    if (r == 0)
        r = nbd_recv(c, flags, sizeof flags);
    if (r == 0 && (get_be32(flags) & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES)))
        r = -EPROTO;
    for (int i = 0; r == 0 && !go; i++) {
        r = i < OPTIONS_MAX ? read_option(c, &o, &too_big) : -EPROTO;
        if (r == 0 && too_big)
            r = reply(c, o.number, NBD_REP_ERR_TOO_BIG, NULL, 0);
        else if (r == 0)
            r = answer(c, &o, (int)(get_be32(flags) & NBD_NO_ZEROES), &go);
    }
    return r;
}
