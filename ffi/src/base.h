/* What every part of the engine shares: error codes, the clock, little-endian access, a growable buffer. */
#ifndef ISF_BASE_H
#define ISF_BASE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#define ISF_PAGE 4096u

/* Our own errors, beside -errno. Pinned: they are part of the ABI (../iservft.h lists them for TypeScript). */
enum {
    ISF_EBASE = 10000,
    ISF_ECORRUPT = 10001,   /* bytes that fail a check: magic, length, checksum, authentication */
    ISF_EVERSION = 10002,   /* the other side, or a file, is of a version that we do not speak */
    ISF_ELINK = 10003,      /* no link is up */
    ISF_ESTALE = 10004,     /* an older term or generation */
    ISF_ESTATE = 10005,     /* the call does not fit what the engine is doing now */
    ISF_EQEMU = 10006,      /* QEMU went away, or does not make sense any more */
    ISF_EUNSUPPORTED = 10007, /* the kernel lacks what is needed */
    ISF_ELIMIT = 10008,     /* a bound was reached */
    ISF_EREFUSED = 10009,   /* QEMU answered with an error, and lives */
};

/* Microseconds of CLOCK_MONOTONIC. */
static inline uint64_t isf_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static inline void put_le16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void put_le32(uint8_t *p, uint32_t v) { put_le16(p, (uint16_t)v); put_le16(p + 2, (uint16_t)(v >> 16)); }
static inline void put_le64(uint8_t *p, uint64_t v) { put_le32(p, (uint32_t)v); put_le32(p + 4, (uint32_t)(v >> 32)); }
static inline uint16_t get_le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t get_le32(const uint8_t *p) { return get_le16(p) | (uint32_t)get_le16(p + 2) << 16; }
static inline uint64_t get_le64(const uint8_t *p) { return get_le32(p) | (uint64_t)get_le32(p + 4) << 32; }

/* A growable run of bytes with a bound. */
struct buffer {
    uint8_t *data;
    size_t length, capacity;
};

/* Makes room for `more` bytes after `length`. Returns 0, or -ENOMEM. */
int buffer_reserve(struct buffer *b, size_t more);
/* Appends. Returns 0, or -ENOMEM. */
int buffer_append(struct buffer *b, const void *data, size_t length);
void buffer_free(struct buffer *b);

/* Starts a thread with all signals blocked and a name of at most 15 characters. Returns 0 or -errno. */
int isf_thread(unsigned long *id, const char *name, void *(*run)(void *), void *context);

#endif
