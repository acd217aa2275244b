/* Reads that would wait for storage: done by a few threads, started when first needed, so that they wait together. */
#include "nbd_state.h"

#include <stdlib.h>

void nbd_readers_init(struct nbd_readers *r)
{
    *r = (struct nbd_readers){0};
    r->last = &r->first;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
}

static void *reader_run(void *context)
{
    struct nbd_readers *r = context;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->first && !r->stop) {
            r->idle++;
            pthread_cond_wait(&r->wake, &r->lock);
            r->idle--;
        }
        if (!r->first)
            break;
        struct nbd_later *job = (struct nbd_later *)r->first;
        r->first = job->wait.next;
        if (!r->first)
            r->last = &r->first;
        pthread_mutex_unlock(&r->lock);
        const struct nbd_export *x = &job->conn->server->export;
        nbd_complete(&job->wait, x->read(x->context, job->offset, job->length, job->data));
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

int nbd_readers_add(struct nbd_readers *r, struct nbd_later *job)
{
    int e = 0;
    pthread_mutex_lock(&r->lock);
    if (r->idle == 0 && r->threads < NBD_READERS) {
        e = isf_thread(&r->thread[r->threads], "disk-nbd-read", reader_run, r);
        if (e == 0)
            r->threads++;
        else if (r->threads)
            e = 0; /* fewer threads then */
    }
    if (e == 0) {
        job->wait.next = NULL;
        *r->last = &job->wait;
        r->last = &job->wait.next;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    return e;
}

void nbd_readers_stop(struct nbd_readers *r)
{
    pthread_mutex_lock(&r->lock);
    r->stop = 1;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < r->threads; i++)
        pthread_join((pthread_t)r->thread[i], NULL);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
}
