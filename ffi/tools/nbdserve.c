/* Exports an image through the engine's disk, for tests with stock clients.
 *
 *   nbdserve IMAGE STATE_PREFIX SOCKET [direct | epochs MILLISECONDS | waits MILLISECONDS]
 *
 * direct: writes go straight through. epochs N: a timer closes and commits an epoch each N ms, FLUSH is answered at once; waits N: the
 * same, and FLUSH waits for the journal. Prints "ready" when it serves; ends in order on SIGTERM or SIGINT. */
#include "../src/disk.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void on_error(void *context, int error, const char *what)
{
    (void)context;
    fprintf(stderr, "nbdserve: %s: %s\n", what, strerror(error));
}

static int usage(void)
{
    fprintf(stderr, "usage: nbdserve IMAGE STATE_PREFIX SOCKET [direct | epochs MS | waits MS]\n");
    return 2;
}

/* Until a signal; closes epochs every `period` ms (-1: none). */
static int serve(struct disk *d, int signals, int period)
{
    struct pollfd p = {.fd = signals, .events = POLLIN};
    uint64_t epoch = 1;
    while (poll(&p, 1, period) == 0) {
        int64_t n = disk_barrier(d, epoch);
        if (n < 0)
            return (int)n;
        disk_commit(d, epoch++);
    }
    return 0;
}

int main(int argc, char **argv)
{
    char journal[4096], bitmap[4096], problem[512];
    struct disk *d;
    int period = -1, r;
    if (argc != 4 && argc != 5 && argc != 6)
        return usage();
    if (argc == 6)
        period = atoi(argv[5]);
    if (argc >= 5 && strcmp(argv[4], "direct") && (argc != 6 || period < 1 || (strcmp(argv[4], "epochs") && strcmp(argv[4], "waits"))))
        return usage();
    snprintf(journal, sizeof journal, "%s.journal", argv[2]);
    snprintf(bitmap, sizeof bitmap, "%s.bitmap", argv[2]);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    struct disk_config config = {.image = argv[1], .journal = journal, .bitmap = bitmap, .socket = argv[3], .export_name = "disk", .on_error = on_error};
    r = disk_open(&d, &config, problem, sizeof problem);
    if (r) {
        fprintf(stderr, "nbdserve: %s (%d)\n", problem, r);
        return 1;
    }
    if (period > 0)
        r = disk_epochs(d, 1, strcmp(argv[4], "waits") == 0);
    printf("ready\n");
    fflush(stdout);
    if (r == 0)
        r = serve(d, signals, period);
    if (period > 0 && r == 0)
        r = disk_direct(d); /* what is open counts as committed; closing brings it into the image */
    disk_close(d);
    close(signals);
    return r ? 1 : 0;
}
