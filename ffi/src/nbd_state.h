/* Shared by nbd.c (server), nbd_options.c (handshake), nbd_requests.c (connection) and nbd_readers.c (cold reads). */
#ifndef ISF_NBD_STATE_H
#define ISF_NBD_STATE_H

#include "nbd.h"

#include <pthread.h>

#define NBD_IN_BYTES (1u << 20)    /* input buffer; longer payloads come in pieces of it */
#define NBD_OUT_BYTES (256u << 10) /* replies are sent when this much is ready */
#define NBD_READERS 8
#define NBD_COLD_BYTES (64u << 20) /* of one connection, waiting for storage */

struct nbd_conn;

/* A request that is answered later. */
struct nbd_later {
    struct nbd_wait wait; /* first: nbd_complete gets this */
    struct nbd_conn *conn;
    uint64_t cookie, offset;
    uint32_t length; /* of data; 0: a flush */
    int error;
    uint8_t data[];
};

struct nbd_readers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct nbd_wait *first, **last;
    unsigned long thread[NBD_READERS];
    int threads, idle, stop;
};

struct nbd_server {
    struct nbd_export export;
    char name[256], path[108];
    int listener, stop_event;
    unsigned long thread;
    pthread_mutex_t lock; /* conns */
    struct nbd_conn *conns;
    int count;
    struct nbd_readers readers;
};

struct nbd_conn {
    struct nbd_server *server;
    struct nbd_conn *next;
    int fd, event; /* event: something is in `done`, or the server stops */
    unsigned long thread;
    int ended; /* with the server's lock: the thread can be joined */
    uint8_t *in, *out;
    size_t in_start, in_end, out_length, out_capacity;
    pthread_mutex_t lock; /* done, refs, closed */
    struct nbd_wait *done;
    int refs, closed;
    uint64_t cold_bytes; /* own thread only */
};

/* Handshake up to the transmission phase. 0, or -errno: close. */
int nbd_options(struct nbd_conn *c);
/* The transmission phase, until the client leaves. */
void nbd_requests(struct nbd_conn *c);
void nbd_conn_unref(struct nbd_conn *c);

int nbd_send(struct nbd_conn *c, const void *data, size_t length);
/* Blocking read of exactly `length`. 0 or -errno (-ECONNRESET at the end). */
int nbd_recv(struct nbd_conn *c, void *data, size_t length);

void nbd_readers_init(struct nbd_readers *r);
/* Queues a read; starts a thread if none is idle. 0 or -errno. */
int nbd_readers_add(struct nbd_readers *r, struct nbd_later *job);
void nbd_readers_stop(struct nbd_readers *r);

#endif
