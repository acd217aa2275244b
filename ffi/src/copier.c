#include "copier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ALONE_PAGES 512u /* up to here waking the other thread costs more than it saves */

/* A share of the pages: from `skip` pages on, `take` of them. */
struct share {
    const struct blocks *blocks;
    const struct tracker_run *runs;
    uint32_t count;
    uint64_t skip, take;
    uint8_t *data;
    uint64_t *numbers;
};

struct copier {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    unsigned long thread;
    struct share share;
    int working, ending, result;
};

static int copy_share(const struct share *s)
{
    uint64_t at = 0, end = s->skip + s->take;
    for (uint32_t i = 0; i < s->count && at < end; at += s->runs[i++].count) {
        uint64_t first = at < s->skip ? s->skip - at : 0, last = s->runs[i].count;
        if (at + last > end)
            last = end - at;
        if (first >= last)
            continue;
        int r = blocks_read(s->blocks, s->runs[i].page + first, last - first, s->data + (at + first) * ISF_PAGE);
        if (r)
            return r;
        for (uint64_t k = first; k < last; k++)
            s->numbers[at + k] = s->runs[i].page + k;
    }
    return 0;
}

static void *copier_thread(void *context)
{
    struct copier *c = context;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->working && !c->ending)
            pthread_cond_wait(&c->wake, &c->lock);
        if (c->ending)
            break;
        struct share share = c->share;
        pthread_mutex_unlock(&c->lock);
        int r = copy_share(&share);
        pthread_mutex_lock(&c->lock);
        c->result = r;
        c->working = 0;
        pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int copier_open(struct copier **out)
{
    struct copier *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return -ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    pthread_cond_init(&c->done, NULL);
    int r = isf_thread(&c->thread, "isf-copier", copier_thread, c);
    if (r) {
        free(c);
        return r;
    }
    *out = c;
    return 0;
}

void copier_close(struct copier *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->ending = 1;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join((pthread_t)c->thread, NULL);
    free(c);
}

int64_t copier_copy(struct copier *c, const struct blocks *b, const struct tracker_run *runs, uint32_t count, uint8_t *data,
                    uint64_t *numbers, uint64_t capacity)
{
    uint64_t pages = 0;
    for (uint32_t i = 0; i < count; i++)
        pages += runs[i].count;
    if (pages > capacity)
        return -ISF_ELIMIT;
    struct share mine = { b, runs, count, 0, pages, data, numbers };
    int shared = pages > ALONE_PAGES, other = 0;
    if (shared) {
        mine.take = pages / 2;
        pthread_mutex_lock(&c->lock);
        c->share = mine;
        c->share.skip = mine.take;
        c->share.take = pages - mine.take;
        c->working = 1;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->lock);
    }
    int r = copy_share(&mine);
    if (shared) {
        pthread_mutex_lock(&c->lock);
        while (c->working)
            pthread_cond_wait(&c->done, &c->lock);
        other = c->result;
        pthread_mutex_unlock(&c->lock);
    }
    return r ? r : other ? other : (int64_t)pages;
}
