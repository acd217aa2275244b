/* What the disk promises a process that takes part from a later epoch on. */
#include "disk_rig.h"

#define BYTES (1u << 20)

/* A host that starts late, and then its peer too: neither knew the epochs before. Output that followed a write once waited for ever. */
static void begins_late(void)
{
    struct rig rig;
    struct disk_stats stats;
    uint8_t block[512];
    rig_new(&rig, BYTES);
    struct disk *d = rig_open(&rig);
    rig_fill(block, sizeof block, 5);
    int r = disk_epochs(d, 1339, 0);
    CHECK(r == 0 && disk_durable(d) == 0, "nothing is durable before the first epoch of a session ends");
    r = disk_guest_write(d, 0, sizeof block, block);
    CHECK(r == 0 && disk_barrier(d, 1339) == 1, "a process's first epoch may have any number");
    RIG_WAIT(disk_durable(d) == 1339);
    disk_read_stats(d, &stats);
    CHECK(disk_durable(d) == 1339 && stats.durable_epoch == 1339, "what is durable is said by the number that the epoch began with");
    disk_commit(d, 1339);
    disk_close(d);
    rig_free(&rig);
}

int main(void)
{
    begins_late();
    return check_end();
}
