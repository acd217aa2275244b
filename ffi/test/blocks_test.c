/* QEMU's RAM blocks: the list as 7.2 and 10 print it, the preload shim's table, and that nothing is believed that does not fit. This
 * process plays QEMU: the blocks are its own memory. */
#include "blocks.h"
#include "check.h"
#include "shim_abi.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES(n) ((uint64_t)(n) * ISF_PAGE)
#define OTHERS 4

static const uint64_t other_pages[OTHERS] = {16, 16, 64, 1};
static const char *const names[OTHERS] = {"pc.bios", "pc.rom", "0000:00:01.0/vga.vram", "/rom@etc/acpi/rsdp"};

/* ---- lines ---- */

static void test_lines(void)
{
    struct block b;
    CHECK(blocks_parse_line("           0000:00:01.0/vga.vram    4 KiB  0x0000000010080000 0x0000000001000000 0x0000000001000000", &b) &&
              !strcmp(b.name, "0000:00:01.0/vga.vram") && b.offset == 0x10080000 && b.bytes == 16 << 20 && b.address == 0,
          "a line of 7.2: name, offset, total; no address");
    CHECK(blocks_parse_line("                  pc.ram    4 KiB  0x0000000000000000 0x0000000020000000 0x0000000020000000 0x00007f5ee7a00000  rw", &b) &&
              b.bytes == 512 << 20 && b.address == 0x7f5ee7a00000,
          "a line of 10: with the address");
    CHECK(blocks_parse_line("  /rom@etc/table-loader    4 KiB  0x0000000011340000 0x0000000000001000 0x0000000000010000 0x00007f5ee7a00000  ro", &b) &&
              b.bytes == 0x10000,
          "the total counts, not what is used");
    CHECK(blocks_parse_line("  odd    4 KiB  0x0000000000000000 0x0000000000000801 0x0000000000000801", &b) && b.bytes == ISF_PAGE,
          "a size that is no page is rounded up to what is mapped");
    CHECK(blocks_parse_line("  huge    1 GiB  0x0000000000000000 0x0000001000000000 0x0000001000000000", &b) && b.bytes == 64ull << 30, "64 GiB in huge pages");
    CHECK(!blocks_parse_line("              Block Name    PSize              Offset               Used              Total", &b), "the heading is no block");
    CHECK(!blocks_parse_line("", &b) && !blocks_parse_line("{\"return\": \"", &b) && !blocks_parse_line("a 4 KiB 0x0 0x10", &b), "neither is anything else");
    CHECK(!blocks_parse_line("  none    4 KiB  0x0000000000000000 0x0000000000000000 0x0000000000000000", &b), "nor a block of no size");
    CHECK(!blocks_parse_line("  vast    4 KiB  0x0000000000000000 0xffffffffffffffff 0xffffffffffffffff", &b), "nor one beyond any bound");
    char name[400];
    memset(name, 'n', sizeof name);
    snprintf(name + 300, 100, " 4 KiB  0x0 0x1000 0x1000");
    CHECK(!blocks_parse_line(name, &b) || strlen(b.name) < sizeof b.name, "a name that is too long overflows nothing");
}

/* ---- learning ---- */

struct machine {
    int memfd, table;
    uint8_t *ram, *other[OTHERS];
    uint64_t ram_pages;
    struct isf_shim_table *shim;
    int order[OTHERS + 1], listed;     /* how `info ramblock` lists them; 0 = main memory, i = other[i - 1] */
    int addresses;                     /* as QEMU 10 */
    const char *answer;                /* in place of a list */
};

static void machine_new(struct machine *m)
{
    *m = (struct machine){.ram_pages = 256, .listed = OTHERS + 1, .order = {0, 3, 2, 1, 4}};
    m->memfd = (int)syscall(SYS_memfd_create, "isf-guest", 1u);
    m->table = (int)syscall(SYS_memfd_create, "isf-shim", 1u);
    if (ftruncate(m->memfd, (off_t)PAGES(m->ram_pages)) || ftruncate(m->table, sizeof *m->shim))
        abort();
    m->ram = mmap(NULL, PAGES(m->ram_pages), PROT_READ | PROT_WRITE, MAP_SHARED, m->memfd, 0);
    m->shim = mmap(NULL, sizeof *m->shim, PROT_READ | PROT_WRITE, MAP_SHARED, m->table, 0);
    *m->shim = (struct isf_shim_table){.magic = ISF_SHIM_MAGIC, .version = ISF_SHIM_VERSION, .count = OTHERS};
    for (int i = 0; i < OTHERS; i++) {
        m->other[i] = mmap(NULL, PAGES(other_pages[i]), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(m->other[i], 'a' + i, PAGES(other_pages[i]));
        m->shim->entry[i].address = (uintptr_t)m->other[i];
        m->shim->entry[i].bytes = PAGES(other_pages[i]);
    }
}

static void machine_free(struct machine *m)
{
    for (int i = 0; i < OTHERS; i++)
        munmap(m->other[i], PAGES(other_pages[i]));
    munmap(m->shim, sizeof *m->shim);
    if (m->ram)
        munmap(m->ram, PAGES(m->ram_pages));
    close(m->memfd);
    close(m->table);
}

static void list(const struct machine *m, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "{\"return\": \"              Block Name    PSize              Offset               Used              Total\\r\\n");
    for (int i = 0; i < m->listed; i++) {
        int at = m->order[i];
        uint64_t offset = 0, bytes = PAGES(at ? other_pages[at - 1] : m->ram_pages);
        for (int k = 0; k < at; k++)
            offset += PAGES(k ? other_pages[k - 1] : m->ram_pages) + 0x10000;
        n += (size_t)snprintf(out + n, size - n, "%24s    4 KiB  0x%016llx 0x%016llx 0x%016llx", at ? names[at - 1] : "pc.ram", (unsigned long long)offset,
                              (unsigned long long)bytes, (unsigned long long)bytes);
        if (m->addresses)
            n += (size_t)snprintf(out + n, size - n, " 0x%016llx  rw", (unsigned long long)(uintptr_t)(at ? m->other[at - 1] : m->ram));
        n += (size_t)snprintf(out + n, size - n, "\\r\\n");
    }
    snprintf(out + n, size - n, "\"}\r\n");
}

/* The answer is in the socket before it is asked for. */
static int learn(struct machine *m, struct blocks *b, int table, char *problem)
{
    char answer[16384];
    int pair[2];
    list(m, answer, sizeof answer);
    if (m->answer)
        snprintf(answer, sizeof answer, "%s", m->answer);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || fcntl(pair[0], F_SETFL, O_NONBLOCK) ||
        write(pair[1], answer, strlen(answer)) != (ssize_t)strlen(answer))
        abort();
    struct qmp q = {.fd = pair[0]};
    problem[0] = 0;
    int r = blocks_learn(b, &q, getpid(), m->memfd, m->ram, table, problem, 300);
    qmp_close(&q);
    close(pair[1]);
    return r;
}

static int right_addresses(const struct machine *m, const struct blocks *b)
{
    int ok = b->count == OTHERS + 1 && b->block[0].address == (uintptr_t)m->ram && b->ram_pages == m->ram_pages && b->pages == m->ram_pages + 97;
    for (int i = 0; ok && i < OTHERS; i++)
        ok = b->block[i + 1].address == (uintptr_t)m->other[i] && !strcmp(b->block[i + 1].name, names[i]);
    return ok;
}

static void test_learn(struct machine *m)
{
    struct blocks b;
    char problem[300];
    CHECK(learn(m, &b, m->table, problem) == 0 && right_addresses(m, &b), "7.2: by the shim's table, in the order of offsets, two blocks of one size too");
    m->addresses = 1;
    CHECK(learn(m, &b, -1, problem) == 0 && right_addresses(m, &b), "10: by the addresses in the list, without a table");
    m->addresses = 0;
    m->shim->entry[4] = m->shim->entry[3];
    m->shim->entry[3].bytes = 0;
    m->shim->count = 5;
    CHECK(learn(m, &b, m->table, problem) == 0 && right_addresses(m, &b), "what was unmapped again is passed over");
    m->shim->entry[3] = m->shim->entry[4];
    m->shim->count = OTHERS;
}

static void test_misfits(struct machine *m)
{
    struct blocks b;
    char problem[300];
    CHECK(learn(m, &b, -1, problem) == -ISF_EUNSUPPORTED && strstr(problem, "LD_PRELOAD"), "7.2 without the shim is refused, and says so");
    m->shim->count = 3;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EUNSUPPORTED, "a mapping too few: none is believed");
    m->shim->entry[4] = m->shim->entry[0];
    m->shim->count = 5;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EUNSUPPORTED, "one too many: none is believed");
    m->shim->count = OTHERS;
    m->shim->entry[2].bytes -= ISF_PAGE;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EUNSUPPORTED, "one of another size: none is believed");
    m->shim->entry[2].bytes += ISF_PAGE;
    m->shim->magic++;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EUNSUPPORTED, "a table that is not ours is not believed");
    m->shim->magic--;
    m->shim->count = ISF_SHIM_ENTRIES + 9;
    CHECK(learn(m, &b, m->table, problem) != 0, "a count beyond the table reads nothing behind it");
    m->shim->count = OTHERS;
    m->answer = "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\"}}\r\n";
    CHECK(learn(m, &b, m->table, problem) == -ISF_EREFUSED && strstr(problem, "CommandNotFound"), "QEMU's refusal is passed on");
    m->answer = "{\"return\": \"unknown command: 'info ramblock'\\r\\n\"}\r\n";
    CHECK(learn(m, &b, m->table, problem) == -ISF_EQEMU, "an answer that is no list is none");
    m->answer = NULL;
    m->ram_pages += 1;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EQEMU && strstr(problem, "first"), "a first block of another size is not the memory that we made");
    m->ram_pages -= 1;
    m->order[0] = 1;
    m->order[3] = 2;
    m->order[2] = 3;
    m->order[1] = 4;
    m->listed = 4;
    CHECK(learn(m, &b, m->table, problem) == -ISF_EQEMU, "a list without it either");
    char *many = malloc(16384);
    size_t n = (size_t)snprintf(many, 16384, "{\"return\": \"Block Name\\r\\n");
    for (int i = 0; i <= BLOCKS_MAX; i++)
        n += (size_t)snprintf(many + n, 16384 - n, "b%d 4 KiB  0x%x 0x1000 0x1000\\r\\n", i, i * 4096);
    snprintf(many + n, 16384 - n, "\"}\r\n");
    m->answer = many;
    CHECK(learn(m, &b, m->table, problem) < 0 && b.count <= BLOCKS_MAX, "more blocks than there is room for are refused");
    m->answer = NULL;
    free(many);
}

static void test_memory_elsewhere(void)
{
    struct machine m;
    struct blocks b;
    char problem[300];
    machine_new(&m);
    munmap(m.ram, PAGES(m.ram_pages));
    m.ram = NULL;
    CHECK(learn(&m, &b, m.table, problem) == -ISF_EQEMU && strstr(problem, "share=on"), "a QEMU that did not map our memory is refused, and told how");
    m.ram = mmap(NULL, PAGES(m.ram_pages), PROT_READ, MAP_SHARED, m.memfd, 0);
    CHECK(learn(&m, &b, m.table, problem) == -ISF_EQEMU, "a mapping that cannot be written is not the guest's");
    machine_free(&m);
}

/* ---- reading and writing ---- */

static int all(const uint8_t *data, int value, uint64_t pages)
{
    for (uint64_t i = 0; i < PAGES(pages); i++)
        if (data[i] != value)
            return 0;
    return 1;
}

static void test_transfer(struct machine *m)
{
    struct blocks b;
    char problem[300];
    uint8_t *data = malloc(PAGES(80));
    uint64_t first = m->ram_pages;
    learn(m, &b, m->table, problem);
    memset(m->ram + PAGES(7), 'm', PAGES(2));
    CHECK(blocks_read(&b, 7, 2, data) == 0 && all(data, 'm', 2), "main memory is read from our own mapping");
    CHECK(blocks_read(&b, first, 16, data) == 0 && all(data, 'a', 16) && blocks_read(&b, first + 16, 16, data) == 0 && all(data, 'b', 16) &&
              blocks_read(&b, first + 32, 64, data) == 0 && all(data, 'c', 64) && blocks_read(&b, first + 96, 1, data) == 0 && all(data, 'd', 1),
          "the others from QEMU's, each under its own numbers");
    memset(data, 'z', PAGES(3));
    CHECK(blocks_write(&b, first + 33, 2, data) == 0 && all(m->other[2] + ISF_PAGE, 'z', 2) && all(m->other[2], 'c', 1) &&
              all(m->other[2] + PAGES(3), 'c', 61),
          "and written there, and nowhere else");
    CHECK(blocks_read(&b, first - 1, 2, data) == -EINVAL && blocks_read(&b, first + 15, 2, data) == -EINVAL && blocks_write(&b, first + 96, 2, data) == -EINVAL,
          "a run never crosses from one block into the next");
    CHECK(blocks_read(&b, b.pages, 1, data) == -EINVAL && blocks_find(&b, b.pages) == NULL && blocks_find(&b, UINT64_MAX) == NULL,
          "behind the last block there is nothing");
    CHECK(blocks_find(&b, 0) == &b.block[0] && blocks_find(&b, first - 1) == &b.block[0] && blocks_find(&b, first) == &b.block[1] &&
              blocks_find(&b, b.pages - 1) == &b.block[4],
          "every number has its block");
    b.pid = 0x7ffffff0;
    CHECK(blocks_read(&b, first, 1, data) == -ESRCH, "a QEMU that is gone is reported");
    free(data);
}

int main(void)
{
    struct machine m;
    test_lines();
    machine_new(&m);
    test_learn(&m);
    test_transfer(&m);
    test_misfits(&m);
    machine_free(&m);
    test_memory_elsewhere();
    return check_end();
}
