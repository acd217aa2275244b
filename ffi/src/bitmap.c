#include "bitmap.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER 4096u
#define MAGIC 0x42525349u /* "ISRB" */
#define VERSION 1u
#define TAKE_MAX (1u << 20)

enum { STATE_OFF = 1, STATE_RUNNING = 2, STATE_ENDED = 3 };

static uint64_t words(uint64_t bits) { return (bits + 63) / 64; }
static uint64_t region_of(uint64_t chunk) { return chunk >> (BITMAP_REGION_SHIFT - BITMAP_CHUNK_SHIFT); }
static uint64_t chunks_at(const struct bitmap *b) { return HEADER + (b->region_words * 8 + HEADER - 1) / HEADER * HEADER; }

/* Which boot of this kernel it is: a bit that was written in this boot is in the page cache, whoever died. */
static void boot_id(const struct bitmap *b, uint8_t id[40])
{
    memset(id, 0, 40);
    if (b->io->boot) {
        memcpy(id, b->io->boot, strnlen(b->io->boot, 40));
        return;
    }
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, id, 36) != 36)
        memset(id, 0, 40);
    close(fd);
}

static int write_header(struct bitmap *b, uint32_t state)
{
    uint8_t h[HEADER] = {0};
    put_le32(h, MAGIC);
    put_le32(h + 4, VERSION);
    put_le32(h + 8, state);
    put_le64(h + 16, b->bytes);
    boot_id(b, h + 24);
    put_le64(h + 64, XXH64(h, 64, 0));
    return disk_io_write(b->io, b->fd, h, sizeof h, 0);
}

/* A word of the file, at its place. */
static int write_word(struct bitmap *b, uint64_t base, uint64_t index, uint64_t value)
{
    uint8_t word[8];
    put_le64(word, value);
    return disk_io_write(b->io, b->fd, word, 8, base + index * 8);
}

static int write_words(struct bitmap *b, uint64_t base, const _Atomic uint64_t *atomic, const uint64_t *plain, uint64_t count)
{
    uint8_t piece[HEADER];
    for (uint64_t i = 0; i < count; i += HEADER / 8) {
        uint64_t n = count - i < HEADER / 8 ? count - i : HEADER / 8;
        for (uint64_t k = 0; k < n; k++)
            put_le64(piece + k * 8, atomic ? atomic_load(&atomic[i + k]) : plain[i + k]);
        int r = disk_io_write(b->io, b->fd, piece, n * 8, base + i * 8);
        if (r)
            return r;
    }
    return 0;
}

/* The whole file from memory. The header is void in between: what is torn is not trusted. */
static int write_all(struct bitmap *b, uint32_t state)
{
    int r = write_header(b, STATE_OFF);
    if (r == 0)
        r = disk_io_sync(b->io, b->fd);
    if (r == 0)
        r = write_words(b, HEADER, NULL, b->regions, b->region_words);
    if (r == 0)
        r = write_words(b, chunks_at(b), b->kept, NULL, b->chunk_words);
    if (r == 0)
        r = disk_io_sync(b->io, b->fd);
    if (r == 0)
        r = write_header(b, state);
    if (r == 0)
        r = disk_io_sync(b->io, b->fd);
    return r;
}

/* The file failed: says so in the file, so that nobody trusts it later. 0 when that is durable. */
static int give_up(struct bitmap *b)
{
    int r = write_header(b, STATE_OFF);
    if (r == 0)
        r = disk_io_sync(b->io, b->fd);
    if (r == 0)
        b->broken = 1;
    return r;
}

static void set_all(struct bitmap *b, int all)
{
    for (uint64_t i = 0; i < b->chunk_words; i++) {
        uint64_t left = b->chunks - i * 64;
        uint64_t v = !all ? 0 : left >= 64 ? UINT64_MAX : (1ull << left) - 1;
        atomic_store(&b->kept[i], v);
        atomic_store(&b->pending[i], v);
    }
    memset(b->regions, all ? 0xff : 0, b->region_words * 8);
}

static int load_words(struct bitmap *b, uint64_t base, _Atomic uint64_t *atomic, uint64_t *plain, uint64_t count)
{
    uint8_t piece[HEADER];
    for (uint64_t i = 0; i < count; i += HEADER / 8) {
        uint64_t n = count - i < HEADER / 8 ? count - i : HEADER / 8;
        int r = disk_io_read(b->io, b->fd, piece, n * 8, base + i * 8);
        if (r)
            return r;
        for (uint64_t k = 0; k < n; k++) {
            if (atomic)
                atomic_store(&atomic[i + k], get_le64(piece + k * 8));
            else
                plain[i + k] = get_le64(piece + k * 8);
        }
    }
    return 0;
}

static void regions_to_chunks(struct bitmap *b)
{
    for (uint64_t c = 0; c < b->chunks; c++) {
        uint64_t r = region_of(c);
        if (b->regions[r / 64] >> (r % 64) & 1)
            atomic_fetch_or(&b->kept[c / 64], 1ull << (c % 64));
    }
}

/* Takes the file's word for what changed, as far as it can be believed. */
static void load(struct bitmap *b)
{
    uint8_t h[HEADER], boot[40];
    if (disk_io_read(b->io, b->fd, h, sizeof h, 0) || get_le32(h) != MAGIC || get_le32(h + 4) != VERSION)
        return;
    uint32_t state = get_le32(h + 8);
    if (get_le64(h + 64) != XXH64(h, 64, 0) || get_le64(h + 16) != b->bytes || (state != STATE_RUNNING && state != STATE_ENDED))
        return;
    if (load_words(b, HEADER, NULL, b->regions, b->region_words) || load_words(b, chunks_at(b), b->kept, NULL, b->chunk_words))
        return;
    boot_id(b, boot);
    if (state == STATE_RUNNING && (boot[0] == 0 || memcmp(boot, h + 24, 40)))
        regions_to_chunks(b);
    for (uint64_t i = 0; i < b->chunk_words; i++)
        atomic_store(&b->pending[i], atomic_load(&b->kept[i]));
    b->trusted = 1;
    atomic_store(&b->active, 1);
}

int bitmap_open(struct bitmap *b, const char *path, uint64_t image_bytes, const struct disk_io *io, char *problem, uint32_t problem_size)
{
    *b = (struct bitmap){.fd = -1, .io = io, .bytes = image_bytes};
    pthread_mutex_init(&b->lock, NULL);
    b->chunks = (image_bytes + (1ull << BITMAP_CHUNK_SHIFT) - 1) >> BITMAP_CHUNK_SHIFT;
    b->chunk_words = words(b->chunks);
    b->region_words = words(region_of(b->chunks - 1) + 1);
    b->kept = calloc(b->chunk_words, 8);
    b->pending = calloc(b->chunk_words, 8);
    b->regions = calloc(b->region_words, 8);
    b->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r = b->fd < 0 ? -errno : !b->kept || !b->pending || !b->regions ? -ENOMEM : 0;
    if (r == 0) {
        load(b);
        /* From here on it may change: should the program die, the file must say that it did not end in order. */
        r = b->trusted ? write_header(b, STATE_RUNNING) : 0;
        if (r == 0 && b->trusted)
            r = write_words(b, chunks_at(b), b->kept, NULL, b->chunk_words);
        if (r == 0 && b->trusted)
            r = disk_io_sync(b->io, b->fd);
    }
    if (r) {
        snprintf(problem, problem_size, "The changed-bitmap %s cannot be opened or written (%s): make its folder writable.", path, strerror(-r));
        b->broken = 1;
        bitmap_close(b);
    }
    return r;
}

void bitmap_close(struct bitmap *b)
{
    if (b->fd >= 0) {
        if (atomic_load(&b->active) && !b->broken)
            write_all(b, STATE_ENDED);
        close(b->fd);
    }
    b->fd = -1;
    free(b->kept);
    free(b->pending);
    free(b->regions);
    pthread_mutex_destroy(&b->lock);
}

int bitmap_begin(struct bitmap *b, int all)
{
    pthread_mutex_lock(&b->lock);
    set_all(b, all);
    b->trusted = 1;
    b->rewrite = b->unsynced = b->broken = b->error = 0;
    atomic_store(&b->active, 1);
    int r = write_all(b, STATE_RUNNING);
    if (r)
        r = give_up(b);
    pthread_mutex_unlock(&b->lock);
    return r;
}

void bitmap_forget(struct bitmap *b)
{
    pthread_mutex_lock(&b->lock);
    set_all(b, 0);
    b->trusted = 1;
    b->rewrite = 1;
    atomic_store(&b->active, 1);
    pthread_mutex_unlock(&b->lock);
}

/* Calls with each word that [offset, offset+length) touches and its bits. Returns the first non-zero result. */
#define EACH_WORD(offset, length, word, mask, body)                                                         \
    do {                                                                                                    \
        uint64_t each_c = (offset) >> BITMAP_CHUNK_SHIFT, each_e = ((offset) + (length) - 1) >> BITMAP_CHUNK_SHIFT; \
        while (each_c <= each_e) {                                                                          \
            uint64_t word = each_c / 64, each_n = 64 - each_c % 64;                                         \
            if (each_n > each_e - each_c + 1)                                                               \
                each_n = each_e - each_c + 1;                                                               \
            uint64_t mask = (each_n == 64 ? UINT64_MAX : (1ull << each_n) - 1) << (each_c % 64);            \
            body;                                                                                           \
            each_c += each_n;                                                                               \
        }                                                                                                   \
    } while (0)

static int all_kept(struct bitmap *b, uint64_t offset, uint64_t length)
{
    EACH_WORD(offset, length, w, mask, {
        if ((atomic_load(&b->kept[w]) & mask) != mask)
            return 0;
    });
    return 1;
}

static void file_word(struct bitmap *b, uint64_t base, uint64_t index, uint64_t value)
{
    int r = b->rewrite || b->broken ? 0 : write_word(b, base, index, value);
    if (r)
        b->error = r;
}

/* Sets region bits, in memory and in the file. With the lock. */
static void mark_regions(struct bitmap *b, uint64_t offset, uint64_t length)
{
    uint64_t last = (offset + length - 1) >> BITMAP_REGION_SHIFT;
    for (uint64_t r = offset >> BITMAP_REGION_SHIFT; r <= last; r++) {
        if (b->regions[r / 64] >> (r % 64) & 1)
            continue;
        b->regions[r / 64] |= 1ull << (r % 64);
        b->unsynced = 1;
        file_word(b, HEADER, r / 64, b->regions[r / 64]);
    }
}

static void mark_chunks(struct bitmap *b, uint64_t offset, uint64_t length)
{
    EACH_WORD(offset, length, w, mask, {
        uint64_t now = atomic_fetch_or(&b->kept[w], mask) | mask;
        file_word(b, chunks_at(b), w, now);
    });
}

/* With the lock. */
static int make_durable(struct bitmap *b)
{
    int r = b->error;
    if (b->broken)
        return 0;
    if (r == 0 && b->rewrite)
        r = write_all(b, STATE_RUNNING);
    else if (r == 0 && b->unsynced)
        r = disk_io_sync(b->io, b->fd);
    if (r)
        return give_up(b);
    b->rewrite = b->unsynced = 0;
    return 0;
}

int bitmap_before(struct bitmap *b, uint64_t offset, uint64_t length)
{
    if (!length || !atomic_load(&b->active) || all_kept(b, offset, length))
        return 0;
    pthread_mutex_lock(&b->lock);
    mark_regions(b, offset, length);
    int r = make_durable(b);
    if (r == 0) /* only now: who sees a chunk's bit may rely on its region's */
        mark_chunks(b, offset, length);
    pthread_mutex_unlock(&b->lock);
    return r;
}

void bitmap_after(struct bitmap *b, uint64_t offset, uint64_t length)
{
    if (!length || !atomic_load(&b->active))
        return;
    EACH_WORD(offset, length, w, mask, {
        if ((atomic_load(&b->pending[w]) & mask) != mask)
            atomic_fetch_or(&b->pending[w], mask);
    });
}

void bitmap_mark(struct bitmap *b, uint64_t offset, uint64_t length)
{
    if (!length || !atomic_load(&b->active))
        return;
    if (!all_kept(b, offset, length)) {
        pthread_mutex_lock(&b->lock);
        mark_regions(b, offset, length);
        mark_chunks(b, offset, length);
        pthread_mutex_unlock(&b->lock);
    }
    bitmap_after(b, offset, length);
}

int bitmap_sync(struct bitmap *b)
{
    pthread_mutex_lock(&b->lock);
    int r = make_durable(b);
    pthread_mutex_unlock(&b->lock);
    return r;
}

int bitmap_restart(struct bitmap *b)
{
    pthread_mutex_lock(&b->lock);
    for (uint64_t i = 0; i < b->chunk_words; i++)
        atomic_fetch_or(&b->pending[i], atomic_load(&b->kept[i]));
    int trusted = b->trusted && atomic_load(&b->active);
    pthread_mutex_unlock(&b->lock);
    return trusted;
}

int bitmap_trusted(struct bitmap *b)
{
    pthread_mutex_lock(&b->lock);
    int trusted = b->trusted && atomic_load(&b->active);
    pthread_mutex_unlock(&b->lock);
    return trusted;
}

static int pending_bit(const struct bitmap *b, uint64_t c)
{
    return atomic_load(&b->pending[c / 64]) >> (c % 64) & 1;
}

int bitmap_take(struct bitmap *b, uint64_t *offset, uint64_t *length)
{
    uint64_t c = *offset >> BITMAP_CHUNK_SHIFT;
    if (!atomic_load(&b->active))
        return 0;
    while (c < b->chunks && !pending_bit(b, c))
        c = c % 64 == 0 && atomic_load(&b->pending[c / 64]) == 0 ? c + 64 : c + 1;
    if (c >= b->chunks)
        return 0;
    uint64_t start = c;
    while (c < b->chunks && c - start < TAKE_MAX >> BITMAP_CHUNK_SHIFT && pending_bit(b, c)) {
        atomic_fetch_and(&b->pending[c / 64], ~(1ull << (c % 64)));
        c++;
    }
    *offset = start << BITMAP_CHUNK_SHIFT;
    uint64_t end = c << BITMAP_CHUNK_SHIFT;
    *length = (end < b->bytes ? end : b->bytes) - *offset;
    return 1;
}

uint64_t bitmap_bytes(struct bitmap *b)
{
    uint64_t chunks = 0;
    for (uint64_t i = 0; i < b->chunk_words; i++)
        chunks += (uint64_t)__builtin_popcountll(atomic_load(&b->pending[i]));
    uint64_t bytes = chunks << BITMAP_CHUNK_SHIFT;
    return bytes < b->bytes ? bytes : b->bytes;
}
