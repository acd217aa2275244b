#include "gate_ring.h"

#include <stdlib.h>

int ring_open(struct ring *r, uint64_t bytes)
{
    uint64_t size = 4096;
    while (size < bytes)
        size *= 2;
    r->data = malloc(size);
    r->mask = size - 1;
    return r->data ? 0 : -ENOMEM;
}

void ring_close(struct ring *r)
{
    free(r->data);
    r->data = NULL;
}

int ring_pieces(const struct ring *r, uint64_t position, uint64_t length, struct iovec piece[2])
{
    uint64_t at = position & r->mask, size = r->mask + 1;
    uint64_t first = length < size - at ? length : size - at;
    piece[0] = (struct iovec){r->data + at, first};
    piece[1] = (struct iovec){r->data, length - first};
    return first < length ? 2 : 1;
}

const uint8_t *ring_view(const struct ring *r, uint64_t position, uint32_t length, uint8_t *scratch)
{
    struct iovec piece[2];
    if (ring_pieces(r, position, length, piece) == 1)
        return piece[0].iov_base;
    memcpy(scratch, piece[0].iov_base, piece[0].iov_len);
    memcpy(scratch + piece[0].iov_len, piece[1].iov_base, piece[1].iov_len);
    return scratch;
}

uint32_t ring_prefix(const struct ring *r, uint64_t position)
{
    uint8_t scratch[FRAME_PREFIX];
    const uint8_t *p = ring_view(r, position, FRAME_PREFIX, scratch);
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void ring_put_prefix(struct ring *r, uint64_t position, uint32_t length)
{
    for (uint32_t i = 0; i < FRAME_PREFIX; i++)
        r->data[(position + i) & r->mask] = (uint8_t)(length >> (24 - 8 * i));
}
