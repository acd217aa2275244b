/* Where the disk pushes back, waits, fails and refuses. */
#include "disk_rig.h"

#include <sys/wait.h>

#define BYTES (8u << 20)

/* ---- flush ---- */

static void flushes(void)
{
    struct rig rig;
    struct power power;
    uint8_t data[4096] = {9};
    rig_new(&rig, BYTES);
    power_init(&power, 1);
    rig.config.io = &power.io;
    struct disk *d = rig_open(&rig);
    disk_epochs(d, 1, 0);
    struct nbd_wait nobody;
    disk_guest_write(d, 0, 4096, data);
    CHECK(disk_guest_flush(d, &nobody) == 0, "protected: FLUSH is answered at once");
    disk_flush_waits(d, 1);
    int before = power.syncs;
    CHECK(rig_flush(d) == 0 && power.syncs > before, "not yet protected: FLUSH waits for the journal");
    before = power.syncs;
    CHECK(rig_flush(d) == 0 && power.syncs == before, "a second one without new writes costs nothing");
    power_cut(&power);
    disk_close(d);
    power_restore(&power);
    d = rig_open(&rig);
    uint8_t back[4096] = {0};
    disk_guest_read(d, 0, 4096, back);
    CHECK(memcmp(data, back, 4096) == 0, "and what it promised is there after a power loss");
    before = power.syncs;
    disk_guest_write(d, 4096, 4096, data);
    CHECK(rig_flush(d) == 0 && power.syncs > before, "direct: FLUSH syncs the image");
    disk_close(d);
    power_forget(&power);
    rig_free(&rig);
}

/* ---- bounds ---- */

struct writer {
    struct disk *d;
    _Atomic int written;
};

static void *write_much(void *context)
{
    struct writer *w = context;
    uint8_t *data = calloc(1, 64 << 10);
    data[0] = 1;
    for (unsigned i = 0; i < 200; i++)
        if (disk_guest_write(w->d, (uint64_t)(i % 100) * (64 << 10), 64 << 10, data) == 0)
            atomic_fetch_add(&w->written, 1);
    free(data);
    return NULL;
}

static void pressure(void)
{
    struct rig rig;
    struct disk_stats s;
    unsigned long thread;
    rig_new(&rig, BYTES);
    rig.config.log_bytes = 1 << 20;
    struct disk *d = rig_open(&rig);
    struct writer w = {.d = d};
    disk_epochs(d, 1, 0);
    isf_thread(&thread, "writer", write_much, &w);
    usleep(600000);
    disk_read_stats(d, &s);
    CHECK(s.log_bytes <= 2 << 20 && atomic_load(&w.written) < 32, "a full log holds the guest's writes: memory stays within twice its bound");
    int held = atomic_load(&w.written);
    disk_release(d);
    RIG_WAIT(atomic_load(&w.written) >= held + 16);
    CHECK(atomic_load(&w.written) >= held + 16, "disk_release lets them through, so that QEMU can stop the VM");
    disk_barrier(d, 1);
    disk_commit(d, 1);
    disk_direct(d);
    RIG_WAIT(atomic_load(&w.written) == 200);
    pthread_join((pthread_t)thread, NULL);
    CHECK(atomic_load(&w.written) == 200, "and after the commit all go on");
    disk_close(d);
    rig_free(&rig);
}

/* ---- errors ---- */

struct failure {
    _Atomic int error;
};

static void on_error(void *context, int error, const char *what)
{
    struct failure *f = context;
    (void)what;
    atomic_store(&f->error, error);
}

static void errors(void)
{
    struct rig rig;
    struct power power;
    struct failure f = {0};
    uint8_t data[4096] = {5}, back[4096];
    rig_new(&rig, BYTES);
    power_init(&power, 1);
    rig.config.io = &power.io;
    rig.config.on_error = on_error;
    rig.config.context = &f;
    struct disk *d = rig_open(&rig);
    power.error = -ENOSPC;
    power.failing = "/image";
    CHECK(disk_guest_write(d, 0, 4096, data) == -ENOSPC && f.error == ENOSPC, "direct: a full storage is the guest's error, and reported");
    power.failing = NULL;
    CHECK(disk_guest_write(d, 0, 4096, data) == 0 && rig_flush(d) == 0, "and when there is room again it goes on");
    f.error = 0;
    disk_epochs(d, 1, 0);
    disk_guest_write(d, 4096, 4096, data);
    power.failing = "/image"; /* the journal still works */
    disk_barrier(d, 1);
    disk_commit(d, 1);
    RIG_WAIT(atomic_load(&f.error));
    CHECK(f.error == ENOSPC && disk_durable(d) == 1, "epochs: an image that cannot be written is reported; the journal has the epoch");
    CHECK(disk_guest_read(d, 4096, 4096, back) == 0 && memcmp(data, back, 4096) == 0, "and the log still answers");
    disk_close(d);
    power.failing = NULL;
    d = rig_open(&rig);
    CHECK(d && disk_guest_read(d, 4096, 4096, back) == 0 && memcmp(data, back, 4096) == 0, "after a restart with room it is in the image");
    f.error = 0;
    disk_epochs(d, 1, 0);
    power.failing = ".journal";
    power.failing_sync = 1;
    power.error = -EIO;
    disk_guest_write(d, 8192, 4096, data);
    disk_barrier(d, 1);
    RIG_WAIT(atomic_load(&f.error));
    power.failing = NULL;
    disk_guest_write(d, 8192, 4096, data);
    disk_barrier(d, 2);
    usleep(20000);
    CHECK(f.error == EIO && disk_durable(d) == 0, "a journal that failed once never says durable again, even if later syncs succeed");
    CHECK(disk_direct(d) == -EIO, "and the disk does not pretend to go on alone");
    disk_close(d);
    power_forget(&power);
    rig_free(&rig);
}

/* ---- refusals ---- */

static int try_open(struct rig *rig)
{
    struct disk *d = NULL;
    int r = disk_open(&d, &rig->config, rig->problem, sizeof rig->problem);
    if (r == 0)
        disk_close(d);
    return r;
}

static void refusals(void)
{
    struct rig rig;
    rig_new(&rig, BYTES);
    struct disk *d = rig_open(&rig);
    CHECK(try_open(&rig) == -EBUSY && strstr(rig.problem, "locked"), "a second user of the image is refused");
    disk_close(d);
    CHECK(try_open(&rig) == 0, "and let in when the first is gone");
    if (truncate(rig.image, 1000))
        abort();
    CHECK(try_open(&rig) == -EINVAL && strstr(rig.problem, "512"), "a size that is no multiple of 512 is refused");
    if (truncate(rig.image, 0))
        abort();
    CHECK(try_open(&rig) == -EINVAL, "an empty image is refused");
    if (truncate(rig.image, BYTES))
        abort();
    rig.config.journal = "/nonexistent/journal";
    CHECK(try_open(&rig) == -ENOENT && strstr(rig.problem, "journal"), "a journal in no folder is refused");
    rig.config.journal = rig.journal;
    rig.config.socket = "/nonexistent/socket";
    CHECK(try_open(&rig) < 0 && strstr(rig.problem, "/nonexistent/socket"), "a socket in no folder is refused, by name");
    rig.config.socket = NULL;
    chmod(rig.image, 0444);
    chmod(rig.folder, 0755);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(setuid(65534) == 0 && try_open(&rig) == -EACCES && strstr(rig.problem, "cannot be written") ? 0 : 1);
    int status = 1;
    waitpid(pid, &status, 0);
    CHECK(status == 0, "an image that may not be written is refused");
    unlink(rig.image);
    CHECK(try_open(&rig) == -ENOENT && strstr(rig.problem, "does not exist"), "a missing image is refused");
    rig_free(&rig);
}

int main(void)
{
    refusals(); /* first: it forks, and there are no threads yet */
    flushes();
    pressure();
    errors();
    return check_end();
}
