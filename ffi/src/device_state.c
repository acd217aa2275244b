/* The device state, which QEMU writes into a FIFO: arming the command, waiting for the first bytes (the VM stands still), draining the rest. */
#include "engine.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#define PIPE_SMALL 4096
#define PIPE_LARGE (1 << 20)

int device_pipe_small(struct isf_engine *e)
{
    return fcntl(e->fifo, F_SETPIPE_SZ, PIPE_SMALL) < 0 ? engine_problem(e, -errno, "the FIFO for the device state is not as it should be") : 0;
}

int device_arm(struct isf_engine *e)
{
    if (e->is_armed)
        return 0;
    int r = device_pipe_small(e);
    if (r == 0)
        r = qmp_send(&e->qmp, e->armed, (size_t)e->armed_length);
    e->is_armed = r == 0;
    return r;
}

void device_release_disks(struct isf_engine *e)
{
    for (int i = 0; i < e->disks; i++)
        disk_release(e->disk[i]);
}

/* QEMU ended a command with an error: what it had written of the device state must not be taken for the next one's. */
static void forget_rest(struct isf_engine *e)
{
    while (read(e->fifo, e->device, PIPE_SMALL) > 0)
        ;
}

ssize_t device_await(struct isf_engine *e)
{
    uint64_t deadline = isf_now_us() + QEMU_BOUND_US;
    for (;;) {
        struct pollfd p[2] = { { .fd = e->fifo, .events = POLLIN }, { .fd = e->qmp.fd, .events = POLLIN } };
        uint64_t now = isf_now_us();
        if (now >= deadline)
            return engine_problem(e, -ETIMEDOUT, "QEMU did not stop the VM for a checkpoint within 5 s");
        if (poll(p, 2, (int)((deadline - now) / 1000 + 1)) < 0)
            continue;
        if (p[0].revents & POLLIN) {
            ssize_t n = read(e->fifo, e->device, PIPE_SMALL);
            if (n > 0)
                return n;
        }
        if (p[1].revents) {
            const char *line = NULL;
            int r = qmp_poll(&e->qmp, &line);
            if (r < 0) {
                forget_rest(e);
                return engine_problem(e, r, "QEMU refused a checkpoint: %.200s", line ? line : "its monitor is closed");
            }
        }
    }
}

int64_t device_drain(struct isf_engine *e, size_t have)
{
    uint64_t deadline = isf_now_us() + QEMU_BOUND_US;
    size_t bound = (size_t)BLOCKS_DEVICE_PAGES * ISF_PAGE;
    int returned = 0, over = 0;
    fcntl(e->fifo, F_SETPIPE_SZ, PIPE_LARGE);
    for (;;) {
        /* What is too much is read too, into the page behind: QEMU, and the VM, would wait for ever. */
        ssize_t n = read(e->fifo, e->device + have, have < bound ? bound - have : ISF_PAGE);
        if (n > 0) {
            over |= have == bound;
            have += have < bound ? (size_t)n : 0;
            continue;
        }
        if (returned && over)
            return engine_problem(e, -ISF_ELIMIT, "the device state is larger than %zu bytes: use fewer devices", bound);
        if (returned)
            return (int64_t)have;
        const char *line = NULL;
        int r = qmp_poll(&e->qmp, &line);
        if (r < 0) {
            forget_rest(e);
            return engine_problem(e, r, "QEMU failed to save its devices: %.200s", line ? line : "its monitor is closed");
        }
        if (r > 0) {
            returned = 1;
            continue;
        }
        uint64_t now = isf_now_us();
        if (now >= deadline)
            return engine_problem(e, -ETIMEDOUT, "QEMU did not finish saving its devices within 5 s");
        struct pollfd p[2] = { { .fd = e->fifo, .events = POLLIN }, { .fd = e->qmp.fd, .events = POLLIN } };
        poll(p, 2, (int)((deadline - now) / 1000 + 1));
    }
}

int device_held(struct isf_engine *e, ssize_t first, int64_t bytes)
{
    if (bytes > first + PIPE_SMALL)
        return 0;
    return engine_problem(e, -ISF_EUNSUPPORTED, "a device state of %lld bytes is too small: QEMU does not wait on the pipe while it is written",
                          (long long)bytes);
}

int device_disarm(struct isf_engine *e)
{
    if (!e->is_armed)
        return 0;
    e->is_armed = 0;
    device_release_disks(e);
    int r = qmp_send(&e->qmp, "}", 1);
    ssize_t first = r ? r : device_await(e);
    int64_t bytes = first > 0 ? device_drain(e, (size_t)first) : first;
    return bytes < 0 ? (int)bytes : 0;
}
