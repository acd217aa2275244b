/* Copying in two threads: whatever the runs, page after page in their order, and not one byte beyond. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "copier.h"

#define PAGES 4096u

static struct blocks make_blocks(uint8_t *ram)
{
    struct blocks b = { .pid = getpid(), .count = 2, .ram = ram, .ram_pages = PAGES, .pages = PAGES + 64 };
    b.block[0] = (struct block){ .name = "ram", .bytes = PAGES * ISF_PAGE };
    b.block[1] = (struct block){ .name = "other", .bytes = 64 * ISF_PAGE, .page = PAGES };
    return b;
}

/* Random ascending runs; returns how many pages. */
static uint64_t make_runs(unsigned *seed, struct tracker_run *runs, uint32_t *count, uint32_t sparse)
{
    uint64_t pages = 0;
    *count = 0;
    for (uint64_t page = (uint64_t)rand_r(seed) % sparse; page < PAGES;) {
        uint64_t n = 1 + (uint64_t)rand_r(seed) % 5;
        if (page + n > PAGES)
            n = PAGES - page;
        runs[(*count)++] = (struct tracker_run){ page, n };
        pages += n;
        page += n + 1 + (uint64_t)rand_r(seed) % sparse;
    }
    runs[(*count)++] = (struct tracker_run){ PAGES + 3, 7 }; /* of the other block, which is read from the process */
    return pages + 7;
}

static int equal(const struct tracker_run *runs, uint32_t count, const uint8_t *ram, const uint8_t *other, const uint8_t *data, const uint64_t *numbers)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint64_t k = 0; k < runs[i].count; k++, at++) {
            uint64_t page = runs[i].page + k;
            const uint8_t *from = page < PAGES ? ram + page * ISF_PAGE : other + (page - PAGES) * ISF_PAGE;
            if (numbers[at] != page || memcmp(data + at * ISF_PAGE, from, ISF_PAGE))
                return 0;
        }
    return 1;
}

int main(void)
{
    unsigned seed = (unsigned)getpid();
    printf("seed %u\n", seed);
    size_t room = (size_t)(PAGES + 64) * ISF_PAGE;
    uint8_t *ram = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *other = ram + (size_t)PAGES * ISF_PAGE;
    uint8_t *data = malloc(room + 1);
    uint64_t *numbers = calloc(PAGES + 65, sizeof *numbers);
    static struct tracker_run runs[PAGES];
    uint32_t count;
    struct copier *c;
    CHECK(ram != MAP_FAILED && data && numbers && copier_open(&c) == 0, "a copier starts");
    for (size_t i = 0; i < room; i++)
        ram[i] = (uint8_t)rand_r(&seed);
    struct blocks b = make_blocks(ram);
    b.block[1].address = (uint64_t)(uintptr_t)other;
    int good = 1, whole = 1;
    for (int round = 0; round < 300; round++) {
        uint64_t pages = make_runs(&seed, runs, &count, 1u + (unsigned)round % 40);
        data[pages * ISF_PAGE] = 0xa5;
        int64_t n = copier_copy(c, &b, runs, count, data, numbers, PAGES + 64);
        good &= n == (int64_t)pages && data[pages * ISF_PAGE] == 0xa5;
        whole &= equal(runs, count, ram, other, data, numbers);
    }
    CHECK(good, "as many pages as the runs have, and nothing behind them");
    CHECK(whole, "every page once, in order, with its content and number");
    data[0] ^= 1;
    CHECK(!equal(runs, count, ram, other, data, numbers), "control: one changed bit is noticed");
    CHECK(copier_copy(c, &b, runs, count, data, numbers, 5) == -ISF_ELIMIT, "more than there is room for is refused");
    runs[count - 1].page = PAGES + 60;
    CHECK(copier_copy(c, &b, runs, count, data, numbers, PAGES + 64) == -EINVAL, "a run beyond its block is refused");
    copier_close(c);
    free(data);
    free(numbers);
    munmap(ram, room);
    return check_end();
}
