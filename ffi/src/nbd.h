/* An NBD server for one export on a unix socket: fixed newstyle, simple replies, several connections, many requests in flight.
 *
 * Each connection has a thread that reads requests by the buffer, does them in place, and sends the replies together. What has to
 * wait for storage does not hold the others up: flushes are completed later (nbd_complete), reads that miss the page cache go to
 * a few reader threads. */
#ifndef ISF_NBD_H
#define ISF_NBD_H

#include "base.h"

#define NBD_REQUEST_MAX (32u << 20) /* bytes of one read or write */
#define NBD_CONNECTIONS_MAX 16

struct nbd_server;

/* A flush that is answered later. Belongs to whom nbd_flush gave it until nbd_complete. */
struct nbd_wait {
    struct nbd_wait *next;
};

struct nbd_export {
    const char *name; /* copied. An empty name from the client means this one */
    uint64_t bytes;   /* a multiple of 512 */
    void *context;
    /* Each returns 0 or -errno. Ranges are checked, multiples of 512, and not empty. */
    int (*read)(void *context, uint64_t offset, uint32_t length, uint8_t *out);
    int (*read_cached)(void *context, uint64_t offset, uint32_t length, uint8_t *out); /* -EAGAIN: it would wait for storage */
    int (*write)(void *context, uint64_t offset, uint32_t length, const uint8_t *data);
    int (*zero)(void *context, uint64_t offset, uint32_t length, int hole); /* hole: it may be deallocated */
    /* 0: done; 1: nbd_complete(wait) comes, from any thread; -errno. */
    int (*flush)(void *context, struct nbd_wait *wait);
};

/* Listens on `path` (an old socket there is replaced). 0 or -errno. */
int nbd_start(struct nbd_server **out, const char *path, const struct nbd_export *export);
/* Closes all connections and ends the threads. Waits that are out may still be completed. */
void nbd_stop(struct nbd_server *s);
void nbd_complete(struct nbd_wait *wait, int error);

#endif
