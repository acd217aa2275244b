/* A ring of bytes that holds frames in the form of QEMU's stream (length, 4 bytes big-endian, then the frame), so that bytes are
 * read from and written to sockets in place. Positions count bytes from the start and never wrap; the mask finds the place. */
#ifndef ISF_GATE_RING_H
#define ISF_GATE_RING_H

#include "base.h"

#include <sys/uio.h>

#define FRAME_PREFIX 4u
#define FRAME_MIN_BYTES 14u /* an Ethernet header */

struct ring {
    uint8_t *data;
    uint64_t mask; /* size - 1; the size is a power of two */
};

/* Room for at least `bytes`. 0 or -ENOMEM. */
int ring_open(struct ring *r, uint64_t bytes);
void ring_close(struct ring *r);
/* The bytes at [position, position + length), length <= size, as one or two pieces. Returns how many. */
int ring_pieces(const struct ring *r, uint64_t position, uint64_t length, struct iovec piece[2]);
/* `length` bytes at `position` in one piece: in place, or copied to `scratch`. */
const uint8_t *ring_view(const struct ring *r, uint64_t position, uint32_t length, uint8_t *scratch);
/* The 4-byte length at `position`. */
uint32_t ring_prefix(const struct ring *r, uint64_t position);
void ring_put_prefix(struct ring *r, uint64_t position, uint32_t length);

#endif
