/* Digests of everything that a checkpoint carries: taken on the primary while the VM stands still, and on the backup after the
 * same epoch was applied. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine.h"

#include <stdlib.h>

#define PIECE_PAGES 256u

/* The other RAM blocks: from QEMU itself, or from the backup's copy. */
static int digest_blocks(struct isf_engine *e, const uint8_t *copy, uint64_t *out)
{
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    if (copy) {
        XXH64_update(&state, copy, (e->blocks.pages - e->blocks.ram_pages) * ISF_PAGE);
        *out = XXH64_digest(&state);
        return 0;
    }
    uint8_t *piece = malloc((size_t)PIECE_PAGES * ISF_PAGE);
    int r = piece ? 0 : -ENOMEM;
    for (uint32_t i = 1; r == 0 && i < e->blocks.count; i++) {
        const struct block *b = &e->blocks.block[i];
        uint64_t pages = b->bytes / ISF_PAGE;
        for (uint64_t k = 0; r == 0 && k < pages; k += PIECE_PAGES) {
            uint64_t n = pages - k < PIECE_PAGES ? pages - k : PIECE_PAGES;
            r = blocks_read(&e->blocks, b->page + k, n, piece);
            if (r == 0)
                XXH64_update(&state, piece, n * ISF_PAGE);
        }
    }
    free(piece);
    *out = XXH64_digest(&state);
    return r;
}

/* Main memory: number and content of each page that is not zero, so that a page that was never used is like one of zeroes. */
static uint64_t digest_memory(struct isf_engine *e)
{
    XXH64_state_t state;
    XXH64_reset(&state, 0);
    for (uint64_t page = 0, count; blocks_next_data(&e->blocks, e->memfd, page, &page, &count); page += count)
        for (uint64_t k = page; k < page + count; k++) {
            const uint8_t *data = e->ram + k * ISF_PAGE;
            uint8_t number[8];
            if (page_is_zero(data))
                continue;
            put_le64(number, k);
            XXH64_update(&state, number, sizeof number);
            XXH64_update(&state, data, ISF_PAGE);
        }
    return XXH64_digest(&state);
}

int digest_all(struct isf_engine *e, const uint8_t *device, uint64_t device_bytes, const uint8_t *blocks, struct digests *out)
{
    int r = digest_blocks(e, blocks, &out->blocks);
    out->memory = digest_memory(e);
    out->device = XXH64(device, device_bytes, 0);
    out->disk = 0;
    for (int i = 0; r == 0 && i < e->disks; i++) {
        uint64_t digest;
        r = disk_digest(e->disk[i], &digest);
        out->disk = out->disk * 31 + digest;
    }
    return r;
}
