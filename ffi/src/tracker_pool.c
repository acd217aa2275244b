#include "tracker_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct worker { struct tracker_pool *pool; uint32_t number; unsigned long id; };

struct tracker_pool {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    uint64_t round;          /* grows with each run: what the parked threads wait for */
    uint32_t busy, started;
    int ending;
    struct tracker *tracker; /* the run's: set under the lock before `round` grows */
    tracker_work *work;
    uint32_t count;
    atomic_uint next;
    atomic_int error;
    struct worker *workers;
};

static void work_through(struct tracker_pool *p, uint32_t thread)
{
    uint32_t i;
    while (!atomic_load(&p->error) && (i = atomic_fetch_add(&p->next, 1)) < p->count) {
        int r = p->work(p->tracker, i, thread), none = 0;
        if (r)
            atomic_compare_exchange_strong(&p->error, &none, r);
    }
}

static void *worker_main(void *context)
{
    struct worker *w = context;
    struct tracker_pool *p = w->pool;
    uint64_t seen = 0;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->ending && p->round == seen)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->ending)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        work_through(p, w->number);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int tracker_pool_new(struct tracker_pool **out, uint32_t threads)
{
    struct tracker_pool *p = *out = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    int r = 0;
    p->workers = calloc(threads, sizeof *p->workers);
    if (!p->workers)
        r = -ENOMEM;
    for (uint32_t i = 1; i < threads && !r; i++) {
        struct worker *w = &p->workers[p->started];
        *w = (struct worker){ .pool = p, .number = i };
        r = isf_thread(&w->id, "isf-scan", worker_main, w);
        if (!r)
            p->started++;
    }
    if (r) {
        tracker_pool_free(p);
        *out = NULL;
    }
    return r;
}

void tracker_pool_free(struct tracker_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->ending = 1;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join((pthread_t)p->workers[i].id, NULL);
    pthread_cond_destroy(&p->start);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int tracker_pool_run(struct tracker_pool *p, struct tracker *t, uint32_t count, tracker_work *work)
{
    p->tracker = t;
    p->work = work;
    p->count = count;
    atomic_store(&p->next, 0);
    atomic_store(&p->error, 0);
    int together = p->started && count > 1;
    if (together) {
        pthread_mutex_lock(&p->lock);
        p->busy = p->started;
        p->round++;
        pthread_cond_broadcast(&p->start);
        pthread_mutex_unlock(&p->lock);
    }
    work_through(p, 0);
    if (together) {
        pthread_mutex_lock(&p->lock);
        while (p->busy)
            pthread_cond_wait(&p->done, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
    return atomic_load(&p->error);
}
