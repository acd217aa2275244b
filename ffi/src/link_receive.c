#include "link_internal.h"

#include <stdlib.h>

#define TURNS 32 /* reads in a row before the thread looks at everything else again */

/* Room for at least the rest of the frame that begins at `start`, or for any frame's header. The header was checked. */
static int make_room(struct link_receiver *b)
{
    size_t have = b->end - b->start, need = WIRE_HEADER;
    if (have >= WIRE_HEADER)
        need += (size_t)get_le32(b->data + b->start + 40) + WIRE_TAG;
    if (!have)
        b->start = b->end = 0;
    if (b->start + need <= b->capacity && b->end < b->capacity)
        return 0;
    memmove(b->data, b->data + b->start, have);
    b->start = 0;
    b->end = have;
    if (need <= b->capacity)
        return 0;
    uint8_t *data = realloc(b->data, need);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->capacity = need;
    return 0;
}

/* The frames that the link answers itself. 1: was one of them, 0: is for the caller, < 0: refused. */
static int take_own(struct link *l, const struct frame *f, const uint8_t *payload)
{
    if (f->type == FRAME_HELLO || f->type == FRAME_HELLO_PROOF)
        return -ISF_ECORRUPT;
    if (f->type == FRAME_PING) {
        if (f->length != 8)
            return -ISF_ECORRUPT;
        atomic_store(&l->pong_time, get_le64(payload));
        atomic_store(&l->pong_received_us, isf_now_us());
        atomic_store(&l->pong_due, 1);
        link_service(l, 0);
        return 1;
    }
    if (f->type != FRAME_PONG)
        return 0;
    if (f->length != 16)
        return -ISF_ECORRUPT;
    uint64_t since = isf_now_us() - get_le64(payload), held = get_le64(payload + 8);
    if (held <= since && since < 60000000) {
        uint64_t seen = since - held, before = atomic_load_explicit(&l->rtt_us, memory_order_relaxed);
        atomic_store_explicit(&l->rtt_us, before ? (3 * before + seen) / 4 : seen, memory_order_relaxed);
    }
    return 1;
}

/* One whole frame at `at`: opened, counted, handed over. */
static int take_frame(struct link *l, const struct frame *f, uint8_t *at)
{
    uint8_t *payload = at + WIRE_HEADER;
    struct aead_sealed sealed = {f->sequence, at, WIRE_HEADER, payload, f->length, payload + f->length};
    if (l->config.unchecked)
        sealed.tag = NULL;
    int r = aead_open(l->live.open, &sealed);
    if (r)
        return r;
    l->live.received = f->sequence;
    link_count(&l->frames_in, 1);
    r = take_own(l, f, payload);
    if (r == 0)
        r = l->config.on_frame(l->config.context, l->config.index, f, payload);
    return r < 0 ? r : 0;
}

/* All whole frames of the buffer. 0, or why the connection must go. */
static int take_frames(struct link *l)
{
    struct link_receiver *b = &l->receiver;
    while (b->end - b->start >= WIRE_HEADER) {
        struct frame f;
        int r = atomic_load(&l->broken);
        if (r)
            return r;
        /* The header is believed only so far as it can do no harm: bounds and order are checked before its bytes are waited for. */
        r = frame_decode(&f, b->data + b->start);
        if (!r && f.sequence != l->live.received + 1 && !l->config.unchecked)
            r = -ISF_ECORRUPT;
        if (!r && b->end - b->start < WIRE_HEADER + (size_t)f.length + WIRE_TAG)
            return 0;
        r = r ? r : take_frame(l, &f, b->data + b->start);
        if (r) {
            link_count(&l->refused, 1);
            return r;
        }
        b->start += WIRE_HEADER + (size_t)f.length + WIRE_TAG;
    }
    return 0;
}

int link_receive(struct link *l)
{
    struct link_receiver *b = &l->receiver;
    for (int i = 0; i < TURNS; i++) {
        int r = make_room(b);
        if (r)
            return r;
        size_t room = b->capacity - b->end;
        ssize_t n = recv(l->live.fd, b->data + b->end, room, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        if (n == 0 && b->end > b->start && !atomic_load(&l->broken)) {
            link_count(&l->refused, 1); /* half a frame */
            return -ISF_ECORRUPT;
        }
        if (n == 0)
            return -ECONNRESET;
        b->end += (size_t)n;
        b->progress_us = isf_now_us();
        link_count(&l->bytes_in, (uint64_t)n);
        r = take_frames(l);
        if (r || (size_t)n < room)
            return r;
    }
    return 0;
}

int link_half_frame_stuck(const struct link *l, uint64_t now_us)
{
    const struct link_receiver *b = &l->receiver;
    return b->end > b->start && now_us > b->progress_us && now_us - b->progress_us > l->config.timeout_us;
}
