/* Events for TypeScript: lines of JSON on a unix stream socket with one reader. */
#ifndef ISF_EVENTS_H
#define ISF_EVENTS_H

#include <pthread.h>

#include "base.h"

#define EVENTS_BACKLOG (1u << 20) /* bytes kept for a reader that is slow or not there yet; beyond it the newest are dropped */

struct events {
    pthread_mutex_t lock;
    struct buffer backlog;
    int listener, client, wake;
    int mid_line; /* the reader has the first part of a line of which the rest is in the backlog */
    int stopping;
    uint64_t dropped;
    unsigned long thread;
    char path[108];
};

/* Listens on `path` (a stale socket there is replaced, a live one is -EEXIST). 0 or -errno. */
int events_open(struct events *e, const char *path);
void events_close(struct events *e);
/* Sends one event: `name`, then `format`ted JSON members (may be NULL), e.g. "\"link\":%d". Any thread, never blocks. */
void events_send(struct events *e, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As events_send, with one member `key` whose value is raw JSON text of `length` bytes. */
void events_send_json(struct events *e, const char *name, const char *key, const uint8_t *json, size_t length);
/* Writes `text` as the inside of a JSON string: control characters, quotes and backslashes escaped, cut at `size`. */
void events_escape(char *out, size_t size, const char *text);

#endif
