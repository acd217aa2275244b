/* A hardware watchdog: resets the machine when the engine stands still, so that a host that was taken over is silent by more than its
 * own clock. Kernel: Documentation/watchdog/watchdog-api.rst.
 *
 *   wanted (a VM is here), heartbeats go out ──► open (that arms it), time set, kept alive
 *   not wanted, or the end                   ──► 'V' written, closed: disarmed
 *   the process stands still, or its heartbeats do ──► not kept alive: the machine is reset
 *   the process is killed ──► the kernel closes the device, which stays armed: another runner that has a VM here takes it over within a
 *                             second; so does the next runner of this VM, which disarms it (a file, `mark`, says that it must)
 *
 * All that is done to the device is done by one thread of its own, never by that of the heartbeats: some devices (IPMI) take so long that
 * the other host would miss beats. It keeps the device alive only after heartbeats went out since the last time. */
#ifndef ISF_WATCHDOG_H
#define ISF_WATCHDOG_H

#include "base.h"

/* The system calls, behind a table: a test has a device of its own. Each returns 0 (or a descriptor, or a count) or -errno. */
struct watchdog_io {
    void *context;
    /* 0: it is there, and can be disarmed; -EPERM: it cannot ("nowayout"); -ENODATA: there, but not known; -ENOENT: not there. Arms nothing. */
    int (*look)(void *context, const char *path);
    int (*open)(void *context, const char *path); /* arms it */
    int (*control)(void *context, int fd, unsigned long request, void *argument);
    ssize_t (*write)(void *context, int fd, const void *data, size_t length);
    int (*close)(void *context, int fd);
};

/* The kernel's own. */
extern const struct watchdog_io watchdog_io_real;

enum watchdog_state {
    WATCHDOG_OFF = 0, /* nobody asked for one */
    WATCHDOG_ABSENT,  /* there is none */
    WATCHDOG_UNFIT,   /* there is one, but using it could reset the machine by mistake */
    WATCHDOG_READY,   /* there is one, and no VM is here */
    WATCHDOG_ARMED,
    WATCHDOG_BUSY,    /* another process has it: tried again each second while a VM is here */
};

#define WATCHDOG_LEAST_S 3u   /* shorter, and a busy machine is reset by mistake */
#define WATCHDOG_MOST_S 600u

struct watchdog_config {
    const struct watchdog_io *io; /* NULL: watchdog_io_real */
    const char *path;
    const char *mark;             /* a file that exists while the device may be armed by us; gone with a reboot */
    uint32_t timeout_s;
    int named;                    /* an operator chose this device: one of which it is not known whether it can be disarmed is used too */
    void *context;
    int (*wanted)(void *context);     /* a VM is here */
    uint64_t (*beats)(void *context); /* heartbeats that went out */
};

struct watchdog;

/* Looks for the device and starts the thread; strings are copied. 0, -EINVAL (timeout or paths), -errno. */
int watchdog_open(struct watchdog **out, const struct watchdog_config *config);
/* Disarms it and ends the thread. */
void watchdog_close(struct watchdog *w);
/* The state now, and one sentence of at most `size` bytes. Any thread. */
enum watchdog_state watchdog_read(struct watchdog *w, char *why, size_t size);

/* ---- for tests: the same without a thread ---- */
int watchdog_make(struct watchdog **out, const struct watchdog_config *config);
/* What the thread does four times a second. Returns 1 when it has the device. */
int watchdog_turn(struct watchdog *w, uint64_t now_us);
/* What the thread does at its end. */
void watchdog_end(struct watchdog *w);

#endif
