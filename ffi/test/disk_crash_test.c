/* The disk is killed at named places and at random, and after recovery is exactly one whole epoch: never older than what was
 * reported durable, never newer than what was closed. */
#include "disk_rig.h"
#include "failpoint.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define BYTES (4u << 20)
#define EPOCHS 40
#define GENERATION 6

/* What the child tells the parent: survives the kill. */
struct told {
    _Atomic uint64_t closed, durable, committed;
};

struct write_op {
    uint64_t offset;
    uint32_t length;
    int kind; /* 0..9: data, 10: zero, 11: hole */
    uint64_t value;
};

/* The writes of one epoch depend on nothing but seed and epoch. */
static uint32_t plan_epoch(uint64_t seed, uint64_t epoch, struct write_op *ops)
{
    uint64_t state = seed * 1000003 + epoch;
    uint32_t n = (uint32_t)rig_below(&state, 12); /* 0: an epoch without writes */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t sectors = rig_below(&state, 8) ? 1 + rig_below(&state, 24) : 1 + rig_below(&state, 4096);
        uint64_t at = rig_below(&state, BYTES / 512);
        if (at + sectors > BYTES / 512)
            sectors = BYTES / 512 - at;
        ops[i] = (struct write_op){at * 512, (uint32_t)sectors * 512, (int)rig_below(&state, 12), rig_random(&state)};
    }
    return n;
}

static void model_epoch(uint8_t *model, uint64_t seed, uint64_t epoch)
{
    struct write_op ops[16];
    uint32_t n = plan_epoch(seed, epoch, ops);
    for (uint32_t i = 0; i < n; i++) {
        if (ops[i].kind >= 10)
            memset(model + ops[i].offset, 0, ops[i].length);
        else
            rig_fill(model + ops[i].offset, ops[i].length, ops[i].value);
    }
}

static void told_durable(void *context, uint64_t epoch)
{
    struct told *told = context;
    atomic_store(&told->durable, epoch);
}

static int do_epoch(struct disk *d, uint64_t seed, uint64_t epoch, uint8_t *buffer)
{
    struct write_op ops[16];
    uint32_t n = plan_epoch(seed, epoch, ops);
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < n; i++) {
        if (ops[i].kind >= 10) {
            r = disk_guest_zero(d, ops[i].offset, ops[i].length, ops[i].kind == 11);
        } else {
            rig_fill(buffer, ops[i].length, ops[i].value);
            r = disk_guest_write(d, ops[i].offset, ops[i].length, buffer);
        }
    }
    return r;
}

/* Runs the history from the epoch after `base`; dies at the failpoint, which is armed at epoch `arm` (or never). */
static void child(struct rig *rig, struct told *told, uint64_t seed, const char *where, uint64_t arm)
{
    uint8_t *buffer = malloc(BYTES);
    uint64_t state = seed ^ 77;
    rig->config.on_durable = told_durable;
    rig->config.context = told;
    struct disk *d = rig_open(rig);
    if (!d)
        _exit(9);
    disk_generation(d, GENERATION);
    if (disk_epochs(d, 1, 0))
        _exit(9);
    for (uint64_t e = 1; e <= EPOCHS; e++) {
        if (e == arm)
            failpoint_set(where, 1);
        if (do_epoch(d, seed, e, buffer))
            _exit(8);
        atomic_store(&told->closed, e); /* before: it may become durable at once */
        if (disk_barrier(d, e) < 0)
            _exit(7);
        uint64_t lag = rig_below(&state, 4);
        if (e > lag)
            disk_commit(d, e - lag);
        if (rig_below(&state, 3) == 0)
            usleep((useconds_t)rig_below(&state, 1500));
    }
    disk_commit(d, EPOCHS);
    usleep(300000); /* for the places that come late: image sync and trim */
    _exit(0);
}

/* Which epoch from `low` to `high` the image is, or -1; *any is one outside of these. */
static int64_t which_epoch(struct rig *rig, uint64_t seed, int64_t low, int64_t high, int64_t *any)
{
    uint8_t *image = rig_image(rig, BYTES), *model = calloc(1, BYTES);
    int64_t found = -1;
    *any = -1;
    for (int64_t e = 0; e <= EPOCHS; e++) {
        if (e)
            model_epoch(model, seed, (uint64_t)e);
        if (memcmp(image, model, BYTES))
            continue;
        *any = e;
        if (e >= low && e <= high)
            found = e;
    }
    free(image);
    free(model);
    return found;
}

static int run_child(struct rig *rig, struct told *told, uint64_t seed, const char *where, uint64_t arm, unsigned kill_us)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        child(rig, told, seed, where, arm);
    if (kill_us) {
        usleep(kill_us);
        kill(pid, SIGKILL);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 1 : status ? -1 : 0;
}

/* Recovery that itself dies at `where`. */
static int recover_and_die(struct rig *rig, const char *where)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        failpoint_set(where, 1);
        struct disk *d = rig_open(rig);
        _exit(d ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? -1 : 0;
}

/* The epoch that the disk names is the one that it holds, and nothing durable is missing from it (an epoch without writes leaves no trace). */
static int says_so(struct rig *rig, struct disk *d, uint64_t seed, uint64_t durable)
{
    struct write_op ops[16];
    uint64_t generation, epoch;
    int64_t any;
    disk_found(d, &generation, &epoch);
    while (durable && plan_epoch(seed, durable, ops) == 0)
        durable--;
    return generation == (epoch ? GENERATION : 0) && epoch >= durable && which_epoch(rig, seed, (int64_t)epoch, (int64_t)epoch, &any) >= 0;
}

/* One life, death, and recovery. Returns 1 when the child was killed, 0 when it ended, -1 when the promise was broken. */
static int one_life(struct told *told, uint64_t seed, const char *where, uint64_t arm, unsigned kill_us)
{
    struct rig rig;
    rig_new(&rig, BYTES);
    rig.config.journal_bytes = 1 << 20;
    memset(told, 0, sizeof *told);
    int killed = run_child(&rig, told, seed, where, arm, kill_us);
    int bad = killed < 0;
    bad |= recover_and_die(&rig, "image-half") < 0;
    bad |= recover_and_die(&rig, "journal-trim") < 0;
    rig.config.on_durable = NULL;
    struct disk *d = rig_open(&rig);
    bad |= !d;
    int64_t low = (int64_t)atomic_load(&told->durable), high = (int64_t)atomic_load(&told->closed), epoch;
    bad |= which_epoch(&rig, seed, low, high, &epoch) < 0;
    if (!bad && !says_so(&rig, d, seed, (uint64_t)low)) {
        printf("      the disk names another epoch than it has\n");
        bad = 1;
    }
    disk_close(d);
    if (bad)
        printf("      seed %llu at %s from epoch %llu: recovered %lld, durable %lld, closed %lld\n", (unsigned long long)seed,
               where ? where : "kill", (unsigned long long)arm, (long long)epoch, (long long)low, (long long)high);
    rig_free(&rig);
    return bad ? -1 : killed;
}

static void at_failpoint(struct told *told, const char *where, const char *promise)
{
    int killed = 0, broken = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        int r = one_life(told, seed, where, 1 + seed * 3 % EPOCHS, 0);
        killed += r == 1;
        broken += r < 0;
    }
    printf("      %d of 12 killed at %s, %d broken\n", killed, where, broken);
    CHECK(killed >= 8 && broken == 0, promise);
}

int main(void)
{
    struct told *told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 20;
    at_failpoint(told, "journal-written", "killed before the journal's sync: one whole epoch, nothing durable lost");
    at_failpoint(told, "journal-synced", "killed between journal and image: one whole epoch, nothing durable lost");
    at_failpoint(told, "image-half", "killed with half of a batch in the image: one whole epoch, nothing durable lost");
    at_failpoint(told, "journal-trim", "killed between image and trim: one whole epoch, nothing durable lost");
    printf("      random kills from seed %llu\n", (unsigned long long)seed);
    int killed = 0, broken = 0;
    for (int i = 0; i < 40; i++) {
        uint64_t state = seed + (uint64_t)i;
        int r = one_life(told, seed + (uint64_t)i, NULL, 0, 500 + (unsigned)rig_below(&state, 60000));
        killed += r == 1;
        broken += r < 0;
    }
    CHECK(killed > 0 && broken == 0, "killed at random moments: one whole epoch, nothing durable lost");
    return check_end();
}
