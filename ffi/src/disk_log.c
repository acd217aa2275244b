#include "disk_log.h"

#include <stdlib.h>

#define BUCKETS (1u << 16)
#define BLOCK (1u << LOG_BLOCK_SHIFT)
#define REGION (1ull << LOG_REGION_SHIFT)
#define KEY_BLOCK(offset) (((offset) >> LOG_BLOCK_SHIFT) << 1)
#define KEY_REGION(offset) (((offset) >> LOG_REGION_SHIFT) << 1 | 1)

static struct log_node **bucket(const struct disk_log *l, uint64_t key)
{
    return &l->buckets[(key * 0x9e3779b97f4a7c15ull) >> 48];
}

static struct log_node *find(const struct disk_log *l, uint64_t key)
{
    struct log_node *n = *bucket(l, key);
    while (n && n->key != key)
        n = n->bucket_next;
    return n;
}

static uint64_t *counter(struct disk_log *l, uint64_t key)
{
    return key & 1 ? &l->region_nodes : &l->block_nodes;
}

/* ---- extents ---- */

/* Calls add(key, sectors) for each node of the range; counts only when `node` is NULL. */
static uint32_t lay_nodes(struct log_node *node, uint64_t offset, uint64_t length, int zero)
{
    uint32_t n = 0;
    uint64_t at = offset, end = offset + length;
    while (at < end) {
        uint64_t next, key;
        uint8_t sectors = 0xff;
        if (zero && at % REGION == 0 && end - at >= REGION) {
            key = KEY_REGION(at);
            next = at + REGION;
        } else {
            key = KEY_BLOCK(at);
            next = (at / BLOCK + 1) * BLOCK;
            unsigned from = (unsigned)(at % BLOCK / 512), to = next <= end ? LOG_SECTORS : (unsigned)(end % BLOCK / 512);
            sectors = (uint8_t)(((1u << to) - 1) & ~((1u << from) - 1));
        }
        if (node)
            node[n] = (struct log_node){.key = key, .sectors = sectors};
        n++;
        at = next;
    }
    return n;
}

struct log_extent *log_extent_new(uint64_t offset, uint64_t length, const uint8_t *data, uint32_t flags)
{
    uint32_t nodes = lay_nodes(NULL, offset, length, data == NULL);
    size_t head = sizeof(struct log_extent) + nodes * sizeof(struct log_node);
    struct log_extent *x = malloc(head + (data ? length : 0));
    if (!x)
        return NULL;
    *x = (struct log_extent){.offset = offset, .length = length, .flags = flags, .nodes = nodes};
    /* A short write takes a block in the journal: counted so, the bound of the log bounds the journal too. */
    x->cost = head + (data && length > BLOCK ? length : BLOCK);
    lay_nodes(x->node, offset, length, data == NULL);
    for (uint32_t i = 0; i < nodes; i++)
        x->node[i].extent = x;
    if (data) {
        x->data = (uint8_t *)x + head;
        memcpy(x->data, data, length);
    }
    return x;
}

/* ---- index ---- */

static void index_node(struct disk_log *l, struct log_node *n)
{
    struct log_node **at = bucket(l, n->key);
    while (*at && (*at)->key != n->key)
        at = &(*at)->bucket_next;
    n->older = *at;
    n->bucket_next = *at ? (*at)->bucket_next : NULL;
    if (*at)
        (*at)->newer = n;
    *at = n;
    ++*counter(l, n->key);
}

static void unindex_node(struct disk_log *l, struct log_node *n)
{
    if (n->older)
        n->older->newer = n->newer;
    if (n->newer) {
        n->newer->older = n->older;
    } else {
        struct log_node **at = bucket(l, n->key);
        while (*at != n)
            at = &(*at)->bucket_next;
        *at = n->older ? n->older : n->bucket_next;
        if (n->older)
            n->older->bucket_next = n->bucket_next;
    }
    --*counter(l, n->key);
}

void log_unindex(struct disk_log *l, struct log_extent *x)
{
    for (uint32_t i = 0; i < x->nodes; i++)
        unindex_node(l, &x->node[i]);
    x->nodes = 0;
}

/* ---- adding ---- */

/* A write within one block whose newest version is in the open epoch, holds these sectors, and has not been handed out: it is
 * changed in place. */
static int coalesce(struct disk_log *l, const struct log_extent *x)
{
    struct log_node *n;
    if (!x->data || x->nodes != 1 || !(n = find(l, x->node[0].key)))
        return 0;
    struct log_extent *old = n->extent;
    if (old->epoch != l->open->id || old->index < l->open->taken || !old->data || (n->sectors & x->node[0].sectors) != x->node[0].sectors)
        return 0;
    struct log_node *region = l->region_nodes ? find(l, KEY_REGION(x->offset)) : NULL;
    if (region && region->extent->sequence > old->sequence)
        return 0;
    memcpy(old->data + (x->offset - old->offset), x->data, x->length);
    return 1;
}

int log_add(struct disk_log *l, struct log_extent *x)
{
    struct log_epoch *e = l->open;
    if (coalesce(l, x))
        return 1;
    if (e->count == e->capacity) {
        uint32_t capacity = e->capacity ? e->capacity * 2 : 64;
        struct log_extent **more = realloc(e->extents, capacity * sizeof *more);
        if (!more)
            return -ENOMEM;
        e->extents = more;
        e->capacity = capacity;
    }
    x->sequence = ++l->sequence;
    x->epoch = e->id;
    x->index = e->count;
    for (uint32_t i = 0; i < x->nodes; i++)
        index_node(l, &x->node[i]);
    e->extents[e->count++] = x;
    e->bytes += x->cost;
    l->bytes += x->cost;
    return 0;
}

/* ---- reading ---- */

static void copy_sectors(const struct log_node *n, uint64_t block, uint8_t sectors, uint64_t offset, uint8_t *out)
{
    const struct log_extent *x = n->extent;
    for (unsigned s = 0; s < LOG_SECTORS; s++) {
        uint64_t at = block + s * 512u;
        if (!(sectors >> s & 1))
            continue;
        unsigned run = 1; /* most blocks are whole: one copy then */
        while (s + run < LOG_SECTORS && sectors >> (s + run) & 1)
            run++;
        if (x->data)
            memcpy(out + (at - offset), x->data + (at - x->offset), run * 512u);
        else
            memset(out + (at - offset), 0, run * 512u);
        s += run - 1;
    }
}

/* Fills what the log has of `want` in one block; returns the sectors that are still missing. */
static uint8_t read_block(const struct disk_log *l, uint64_t block, uint8_t want, uint64_t offset, uint8_t *out)
{
    const struct log_node *region = l->region_nodes ? find(l, KEY_REGION(block)) : NULL;
    uint64_t zeroed = region ? region->extent->sequence : 0;
    for (const struct log_node *n = find(l, KEY_BLOCK(block)); n && want && n->extent->sequence > zeroed; n = n->older) {
        uint8_t has = n->sectors & want;
        copy_sectors(n, block, has, offset, out);
        want &= (uint8_t)~has;
    }
    if (region && want) {
        copy_sectors(region, block, want, offset, out);
        want = 0;
    }
    return want;
}

uint32_t log_read(const struct disk_log *l, uint64_t offset, uint32_t length, uint8_t *out, uint8_t *missing)
{
    uint64_t end = offset + length, block = offset & ~(uint64_t)(BLOCK - 1);
    uint32_t lacking = 0;
    for (uint32_t i = 0; block < end; block += BLOCK, i++) {
        unsigned from = block < offset ? (unsigned)((offset - block) / 512) : 0;
        unsigned to = end - block < BLOCK ? (unsigned)((end - block) / 512) : LOG_SECTORS;
        uint8_t want = (uint8_t)(((1u << to) - 1) & ~((1u << from) - 1));
        missing[i] = read_block(l, block, want, offset, out);
        lacking += (uint32_t)__builtin_popcount(missing[i]);
    }
    return lacking;
}

int log_touches(const struct disk_log *l, uint64_t offset, uint64_t length)
{
    uint64_t end = offset + length;
    if (l->block_nodes)
        for (uint64_t b = offset & ~(uint64_t)(BLOCK - 1); b < end; b += BLOCK)
            if (find(l, KEY_BLOCK(b)))
                return 1;
    if (l->region_nodes)
        for (uint64_t b = offset & ~(REGION - 1); b < end; b += REGION)
            if (find(l, KEY_REGION(b)))
                return 1;
    return 0;
}

/* ---- epochs ---- */

static struct log_epoch *epoch_new(uint64_t id)
{
    struct log_epoch *e = calloc(1, sizeof *e);
    if (e)
        e->id = id;
    return e;
}

int log_init(struct disk_log *l)
{
    *l = (struct disk_log){.buckets = calloc(BUCKETS, sizeof *l->buckets)};
    l->first = l->open = epoch_new(1);
    if (l->buckets && l->open)
        return 0;
    log_free(l);
    return -ENOMEM;
}

void log_free(struct disk_log *l)
{
    while (l->first) {
        struct log_epoch *e = l->first;
        l->first = e->next;
        log_epoch_free(e);
    }
    free(l->buckets);
    *l = (struct disk_log){0};
}

int log_close(struct disk_log *l)
{
    struct log_epoch *next = epoch_new(l->open->id + 1);
    if (!next)
        return -ENOMEM;
    l->open->next = next;
    l->open = next;
    return 0;
}

void log_drop_open(struct disk_log *l)
{
    struct log_epoch *e = l->open;
    for (uint32_t i = e->count; i-- > 0;) {
        log_unindex(l, e->extents[i]);
        l->bytes -= e->extents[i]->cost;
        free(e->extents[i]);
    }
    e->count = e->taken = e->journalled = 0;
    e->bytes = 0;
    e->staged = 0;
}

struct log_epoch *log_pop(struct disk_log *l)
{
    struct log_epoch *e = l->first;
    l->first = e->next;
    l->bytes -= e->bytes;
    return e;
}

void log_epoch_free(struct log_epoch *e)
{
    for (uint32_t i = 0; i < e->count; i++)
        free(e->extents[i]);
    free(e->extents);
    free(e);
}
