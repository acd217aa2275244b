/* Frames that came in, given to whom they belong: the backup's copy, the primary's sender, TypeScript. */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

/* Says what was refused. The connection is dropped by the caller's negative return. */
static int refuse(struct isf_engine *e, int link, const char *what, int code)
{
    atomic_fetch_add(&e->refused, 1);
    events_send(&e->events, "refused", "\"link\":%d,\"what\":\"%s\"", link, what);
    return code;
}

static void take_verified(struct isf_engine *e, uint64_t epoch, uint32_t bits)
{
    if (!(bits & VERIFIED_DONE))
        return;
    events_send(&e->events, "verified", "\"epoch\":%llu,\"memory\":%s,\"blocks\":%s,\"device\":%s,\"disk\":%s", (unsigned long long)epoch,
                bits & VERIFIED_MEMORY ? "true" : "false", bits & VERIFIED_BLOCKS ? "true" : "false",
                bits & VERIFIED_DEVICE ? "true" : "false", bits & VERIFIED_DISK ? "true" : "false");
}

static int take_commit(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    if (f->length != COMMIT_PAYLOAD)
        return refuse(e, link, "a commit of a wrong length", -ISF_ECORRUPT);
    if (f->term > atomic_load(&e->term)) /* whoever has gone on without us says nothing of our output */
        return refuse(e, link, "a commit of a term that this host does not have", -ISF_ESTALE);
    int mode = atomic_load(&e->mode);
    if (mode != ISF_PROTECTED && mode != ISF_HANDING)
        return 0; /* late: we decided otherwise meanwhile */
    pthread_mutex_lock(&e->lock);
    uint64_t open = e->open_epoch;
    pthread_mutex_unlock(&e->lock);
    if (f->epoch >= open || get_le64(payload) > f->epoch)
        return refuse(e, link, "a commit of an epoch that was never sent", -ISF_ECORRUPT);
    sender_committed(e, f->generation, f->epoch, get_le64(payload));
    take_verified(e, f->epoch, get_le32(payload + 8));
    return 0;
}

/* Primary: the backup's hashes that sync.c waits for. */
static int take_hashes(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    if (f->length < HASH_HEADER)
        return refuse(e, link, "hashes of a wrong length", -ISF_ECORRUPT);
    uint32_t disk = get_le32(payload), count = get_le32(payload + 12);
    uint64_t first = get_le64(payload + 4);
    int r = 0;
    pthread_mutex_lock(&e->lock);
    if (count > HASH_REGION || f->length != HASH_HEADER + count * 8)
        r = -ISF_ECORRUPT;
    else if ((int)disk == e->hash_disk && first == e->hash_first && count == e->hash_count) {
        for (uint32_t i = 0; i < count; i++)
            e->hashes[i] = get_le64(payload + HASH_HEADER + 8 * (size_t)i);
        e->hash_ready = 1;
    }
    pthread_mutex_unlock(&e->lock);
    return r ? refuse(e, link, "hashes of a wrong length", r) : 0;
}

/* Primary: the sync was cut off before the backup knew its end. After a first commit that cannot be any more. */
static void take_void(struct isf_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->sync_void = 1;
    pthread_mutex_unlock(&e->lock);
    engine_kick(e);
}

/* Primary: how much of the sync the backup has taken in. */
static int take_sync_ack(struct isf_engine *e, int link, const struct frame *f, const uint8_t *payload)
{
    if (f->generation < atomic_load(&e->generation))
        return 0; /* of a sync that was broken off */
    int r = f->length == ACK_PAYLOAD ? sync_acknowledged(e, get_le64(payload)) : -ISF_ECORRUPT;
    return r ? refuse(e, link, "an acknowledgement of what was never sent", r) : 0;
}

static int is_json_start(const uint8_t *p, uint32_t length)
{
    return length > 1 && p[0] == '{' && p[length - 1] == '}' && !memchr(p, '\n', length);
}

int receive_frame(void *engine, int link, const struct frame *f, uint8_t *payload)
{
    struct isf_engine *e = engine;
    if (f->type == FRAME_CONTROL) {
        if (!is_json_start(payload, f->length))
            return refuse(e, link, "a control message that is not JSON", -ISF_ECORRUPT);
        events_send_json(&e->events, "control", "message", payload, f->length);
        return 0;
    }
    if (f->type == FRAME_SYNC && f->flags == SYNC_ACK && f->generation <= atomic_load(&e->generation))
        return take_sync_ack(e, link, f, payload);
    uint64_t generation = atomic_load(&e->generation), oldest = atomic_load(&e->oldest_term);
    if (f->generation < generation || f->term < oldest)
        return refuse(e, link, "a frame of an older term or generation", -ISF_ESTALE);
    if (f->generation != generation)
        return refuse(e, link, "a frame of a generation that was not agreed on", -ISF_ESTALE);
    if (f->type == FRAME_COMMIT)
        return take_commit(e, link, f, payload);
    if (f->type == FRAME_SYNC && f->flags == SYNC_HASHES)
        return take_hashes(e, link, f, payload);
    if (f->type == FRAME_SYNC && f->flags == SYNC_VOID) {
        take_void(e);
        return 0;
    }
    int r = standby_frame(e, link, f, payload);
    if (r == -ISF_ECORRUPT || r == -EINVAL)
        return refuse(e, link, "a frame that does not make sense", r);
    if (r == -ISF_ESTATE)
        return refuse(e, link, "an epoch, but this host is no backup", r);
    return r;
}
