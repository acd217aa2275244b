#include "blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "shim_abi.h"

int blocks_parse_line(const char *line, struct block *out)
{
    char name[80], unit[8];
    unsigned long long psize, offset, used, total, address = 0;
    memset(out, 0, sizeof *out);
    int n = sscanf(line, " %79s %llu %7s 0x%llx 0x%llx 0x%llx 0x%llx", name, &psize, unit, &offset, &used, &total, &address);
    if (n < 6 || total == 0 || total > (64ull << 30) + (1ull << 30))
        return 0;
    strcpy(out->name, name);
    out->bytes = (total + ISF_PAGE - 1) & ~(uint64_t)(ISF_PAGE - 1);
    out->offset = offset;
    out->address = n >= 7 ? address : 0;
    return 1;
}

static int by_offset(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* `text` is the inside of a JSON string: lines end with the four characters \r\n. */
static int parse_list(struct blocks *b, const char *text)
{
    while (*text) {
        char line[256];
        size_t n = 0;
        while (*text && !(text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))) {
            if (n + 1 < sizeof line)
                line[n++] = *text;
            text++;
        }
        line[n] = 0;
        while (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
            text += 2;
        if (b->count == BLOCKS_MAX)
            return -ISF_ELIMIT;
        if (blocks_parse_line(line, &b->block[b->count]))
            b->count++;
    }
    return b->count ? 0 : -ISF_EQEMU;
}

/* Where QEMU mapped the memfd: 0, or -ENOENT. */
static int find_main(pid_t pid, int memfd, uint64_t *address, uint64_t *bytes)
{
    struct stat s;
    char path[64], line[512];
    if (fstat(memfd, &s))
        return -errno;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    int r = -ENOENT;
    while (r && fgets(line, sizeof line, f)) {
        unsigned long long start, end, inode;
        char access[8];
        if (sscanf(line, "%llx-%llx %7s %*x %*s %llu", &start, &end, access, &inode) == 4 && inode == s.st_ino && access[1] == 'w' &&
            strstr(line, "memfd:isf-guest")) {
            *address = start;
            *bytes = end - start;
            r = 0;
        }
    }
    fclose(f);
    return r;
}

/* Gives the n-th block after the main memory the shim's n-th record: QEMU maps blocks in the order of their offsets (shim_abi.h). All
 * of them must fit, or none is believed. Returns how many have no address. */
static uint32_t match_records(struct blocks *b, const struct isf_shim_table *t)
{
    uint32_t next = 1, missing = b->count - 1, count = t->count < ISF_SHIM_ENTRIES ? t->count : ISF_SHIM_ENTRIES;
    for (uint32_t j = 0; j < count; j++) {
        if (t->entry[j].bytes == 0)
            continue; /* unmapped again */
        if (next == b->count || t->entry[j].bytes != b->block[next].bytes)
            return missing;
        b->block[next++].address = t->entry[j].address;
    }
    return next == b->count ? 0 : missing;
}

static int find_others(struct blocks *b, int shim_table, char *problem, size_t size)
{
    uint32_t missing = 0;
    for (uint32_t i = 1; i < b->count; i++)
        missing += !b->block[i].address;
    if (!missing)
        return 0;
    struct isf_shim_table *t = shim_table < 0 ? MAP_FAILED : mmap(NULL, sizeof *t, PROT_READ, MAP_SHARED, shim_table, 0);
    if (t == MAP_FAILED) {
        snprintf(problem, size, "QEMU does not show where its RAM blocks are and the preload shim left no table: is LD_PRELOAD set for it?");
        return -ISF_EUNSUPPORTED;
    }
    int ok = t->magic == ISF_SHIM_MAGIC && t->version == ISF_SHIM_VERSION;
    missing = ok ? match_records(b, t) : missing;
    munmap(t, sizeof *t);
    if (!missing)
        return 0;
    snprintf(problem, size, "QEMU's %u RAM blocks beside the main memory do not match what it mapped: leave out extra devices, or use QEMU 10 or later",
             b->count - 1);
    return -ISF_EUNSUPPORTED;
}

int blocks_learn(struct blocks *b, struct qmp *q, pid_t pid, int memfd, uint8_t *ram, int shim_table, char *problem, size_t size)
{
    const char *line = NULL;
    memset(b, 0, sizeof *b);
    b->pid = pid;
    b->ram = ram;
    int r = qmp_execute(q, "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info ramblock\"}}", 5000000, &line);
    if (r < 0 || !strstr(line, "Block Name") || parse_list(b, line)) {
        snprintf(problem, size, "QEMU did not answer `info ramblock`: %.200s", r == -ETIMEDOUT || !line ? "no answer within 5 s" : line);
        return r < 0 && r != -ETIMEDOUT ? r : -ISF_EQEMU;
    }
    qsort(b->block, b->count, sizeof *b->block, by_offset);
    uint64_t address, bytes;
    r = find_main(pid, memfd, &address, &bytes);
    if (r) {
        snprintf(problem, size, "QEMU did not map the guest memory that the engine made: start it with memory-backend-file,share=on");
        return r == -ENOENT ? -ISF_EQEMU : r;
    }
    uint32_t main_index = 0;
    while (main_index < b->count && b->block[main_index].bytes != bytes)
        main_index++;
    if (main_index == b->count || main_index != 0) { /* made before the machine's own blocks: its offset is 0 */
        snprintf(problem, size, "the guest's main memory is not QEMU's first RAM block");
        return -ISF_EQEMU;
    }
    b->block[0].address = address;
    r = find_others(b, shim_table, problem, size);
    if (r)
        return r;
    for (uint32_t i = 0; i < b->count; i++) {
        b->block[i].page = b->pages;
        b->pages += b->block[i].bytes / ISF_PAGE;
    }
    b->ram_pages = bytes / ISF_PAGE;
    return 0;
}

int blocks_next_data(const struct blocks *b, int memfd, uint64_t from, uint64_t *page, uint64_t *count)
{
    if (from >= b->ram_pages)
        return 0;
    off_t start = lseek(memfd, (off_t)(from * ISF_PAGE), SEEK_DATA);
    if (start < 0)
        return 0; /* ENXIO: nothing but holes */
    off_t end = lseek(memfd, start, SEEK_HOLE);
    *page = (uint64_t)start / ISF_PAGE;
    *count = (end < 0 ? b->ram_pages : ((uint64_t)end + ISF_PAGE - 1) / ISF_PAGE) - *page;
    return 1;
}

const struct block *blocks_find(const struct blocks *b, uint64_t page)
{
    for (uint32_t i = b->count; i-- > 0;)
        if (page >= b->block[i].page)
            return page - b->block[i].page < b->block[i].bytes / ISF_PAGE ? &b->block[i] : NULL;
    return NULL;
}

static int transfer(const struct blocks *b, uint64_t page, uint64_t count, uint8_t *data, int write_it)
{
    const struct block *k = blocks_find(b, page);
    if (!k || page + count > k->page + k->bytes / ISF_PAGE)
        return -EINVAL;
    if (k == &b->block[0]) {
        uint8_t *at = b->ram + page * ISF_PAGE;
        memcpy(write_it ? at : data, write_it ? data : at, count * ISF_PAGE);
        return 0;
    }
    struct iovec local = { data, count * ISF_PAGE };
    struct iovec remote = { (void *)(uintptr_t)(k->address + (page - k->page) * ISF_PAGE), count * ISF_PAGE };
    ssize_t n = write_it ? process_vm_writev(b->pid, &local, 1, &remote, 1, 0) : process_vm_readv(b->pid, &local, 1, &remote, 1, 0);
    if (n < 0)
        return -errno;
    return (size_t)n == count * ISF_PAGE ? 0 : -EIO;
}

int blocks_read(const struct blocks *b, uint64_t page, uint64_t count, uint8_t *out)
{
    return transfer(b, page, count, out, 0);
}

int blocks_write(const struct blocks *b, uint64_t page, uint64_t count, const uint8_t *data)
{
    return transfer(b, page, count, (uint8_t *)(uintptr_t)data, 1);
}
