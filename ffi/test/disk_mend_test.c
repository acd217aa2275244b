/* A disk that failed is used again when the storage is well. */
#include "disk_rig.h"

#define BYTES (4u << 20)
#define BLOCK 4096u

static int stage_epoch(struct disk *d, uint64_t epoch, uint64_t offset, uint64_t value)
{
    uint8_t block[BLOCK];
    rig_fill(block, sizeof block, value);
    int r = disk_stage(d, epoch, offset, sizeof block, block, 0);
    if (r == 0 && disk_barrier(d, epoch) < 0)
        r = -1;
    if (r == 0)
        disk_commit(d, epoch);
    return r;
}

static int holds(struct disk *d, uint64_t offset, uint64_t value)
{
    uint8_t wanted[BLOCK], found[BLOCK];
    int zero;
    rig_fill(wanted, sizeof wanted, value);
    return disk_read(d, offset, sizeof found, found, &zero) == 0 && memcmp(wanted, found, sizeof found) == 0;
}

/* One backup's life: it fails, is mended, is copied anew, and goes on; then the power is cut. */
static void mended(const char *failing, int sync)
{
    struct rig rig;
    struct power power;
    struct disk_stats stats;
    rig_new(&rig, BYTES);
    power_init(&power, 7);
    rig.config.io = &power.io;
    struct disk *d = rig_open(&rig);
    CHECK(disk_mend(d) == 0, "a disk that is well needs no mending");
    CHECK(disk_epochs(d, 10, 0) == 0 && stage_epoch(d, 10, 0, 1) == 0, "the first epoch is staged");
    RIG_WAIT((disk_read_stats(d, &stats), stats.applied_epoch) == 10);
    power.failing = failing;
    power.failing_sync = sync;
    power.error = -ENOSPC;
    stage_epoch(d, 11, BLOCK, 2);
    RIG_WAIT(disk_direct(d) == -ENOSPC);
    CHECK(disk_direct(d) == -ENOSPC, "the failure stays");
    if (sync)
        CHECK(disk_mend(d) == -ENOSPC && disk_direct(d) == -ENOSPC, "it is not mended while the storage still fails");
    power.failing = NULL;
    CHECK(disk_mend(d) == 0 && disk_direct(d) == 0, "it is mended when the storage is well");
    uint8_t block[BLOCK];
    for (uint64_t i = 0; i < 3; i++) {
        rig_fill(block, sizeof block, 30 + i);
        CHECK(disk_write_sync(d, i * BLOCK, sizeof block, block) == 0, "the copy is made anew");
    }
    CHECK(disk_sync(d) == 0 && disk_epochs(d, 21, 0) == 0, "epochs begin anew");
    CHECK(stage_epoch(d, 21, BLOCK, 40) == 0, "an epoch after it");
    RIG_WAIT(disk_durable(d) == 21);
    CHECK(disk_durable(d) == 21 && holds(d, 0, 30) && holds(d, BLOCK, 40) && holds(d, 2 * BLOCK, 32), "it is durable, and nothing older shows");
    power_cut(&power);
    disk_close(d);
    power_restore(&power);
    d = rig_open(&rig);
    CHECK(d && holds(d, 0, 30) && holds(d, BLOCK, 40) && holds(d, 2 * BLOCK, 32), "all of it is there after a power cut");
    disk_close(d);
    power_forget(&power);
    rig_free(&rig);
}

int main(void)
{
    mended("/image", 0);
    mended("/image", 1);
    mended(".journal", 0);
    mended(".journal", 1);
    return check_end();
}
