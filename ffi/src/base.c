#include "base.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

int buffer_reserve(struct buffer *b, size_t more)
{
    if (more > SIZE_MAX / 2 - b->length)
        return -ENOMEM;
    size_t need = b->length + more;
    if (need <= b->capacity)
        return 0;
    size_t capacity = b->capacity ? b->capacity : 4096;
    while (capacity < need)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int buffer_append(struct buffer *b, const void *data, size_t length)
{
    int r = buffer_reserve(b, length);
    if (r)
        return r;
    if (length)
        memcpy(b->data + b->length, data, length);
    b->length += length;
    return 0;
}

void buffer_free(struct buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

int isf_thread(unsigned long *id, const char *name, void *(*run)(void *), void *context)
{
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r)
        return -r;
    pthread_setname_np(thread, name);
    *id = (unsigned long)thread;
    return 0;
}
