/* Under which lease a frame leaves: the engine's own, and the one that the kernel enforces on the TAP. All with tap_lock. */
#include "gate_state.h"

#include <time.h>
#include <unistd.h>

#define LEASE_TYPE 0x88b5u /* IEEE 802, local experimental EtherType 1 */
#define LEASE_MOST_US 60000000u
#define TYPE_AT 12u
#define TAGS_MOST 4

/* How long a tick of the kernel is: its timeouts begin with the tick that runs, so they are up to one tick short, and end with a tick. */
static uint32_t tick_us(void)
{
    struct timespec t;
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &t))
        return 10000;
    return (uint32_t)((t.tv_nsec + 999) / 1000);
}

int gate_kernel_lease(struct gate *g, const uint8_t secret[GATE_LEASE_SECRET], uint32_t lease_us)
{
    uint32_t tick = tick_us();
    if (lease_us > LEASE_MOST_US || (lease_us && lease_us < 2 * tick))
        return -EINVAL;
    pthread_mutex_lock(&g->tap_lock);
    struct kernel_lease *k = &g->kernel;
    k->lease_us = lease_us;
    k->tick_us = tick;
    k->refresh_at = k->sure_until = 0;
    /* From nobody, to an address that no bridge forwards: should the table be gone, the bridge drops it all the same. */
    memcpy(k->frame, (const uint8_t[TYPE_AT]){0x01, 0x80, 0xc2, 0, 0, 0x0f}, TYPE_AT);
    k->frame[TYPE_AT] = LEASE_TYPE >> 8;
    k->frame[TYPE_AT + 1] = LEASE_TYPE & 0xff;
    memcpy(k->frame + FRAME_MIN_BYTES, secret, GATE_LEASE_SECRET);
    pthread_mutex_unlock(&g->tap_lock);
    return 0;
}

static uint64_t own_lease(struct gate *g, int mode)
{
    return mode == GATE_HOLD && g->config.lease_until_us ? g->config.lease_until_us(g->config.context) : UINT64_MAX;
}

/* Asks the kernel for another lease_us. The time is taken before and after: it lasts at least from the one and at most from the other. */
static void refresh(struct gate *g)
{
    struct kernel_lease *k = &g->kernel;
    ssize_t n;
    uint64_t before = isf_now_us();
    do
        n = write(g->tap, k->frame, sizeof k->frame);
    while (n < 0 && errno == EINTR);
    uint64_t after = isf_now_us();
    k->gone_at = after + k->lease_us + 2 * k->tick_us;
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM))
        return;
    /* With the TAP down the frame is tried all the same, and lost as on any line that is down. */
    k->sure_until = before + k->lease_us - k->tick_us;
    if (n < 0)
        return;
    k->frames++;
    k->refresh_at = before + k->lease_us / 8;
}

int gate_leased(struct gate *g, int mode)
{
    struct kernel_lease *k = &g->kernel;
    uint64_t now = isf_now_us();
    if (!k->lease_us)
        return now < own_lease(g, mode);
    if (now >= k->refresh_at) {
        uint64_t until = own_lease(g, mode);
        if (now < until && until - now >= k->lease_us + 2 * k->tick_us)
            refresh(g);
    }
    /* Looked at after the refresh: whoever stood still within it has lost its lease by now. And a refresh that came late because of that
     * must not leave the kernel's lease the longer one. */
    uint64_t until = own_lease(g, mode);
    now = isf_now_us();
    return now < until && now < k->sure_until && k->gone_at <= until;
}

void gate_lease_wrote(struct gate *g, int mode)
{
    struct kernel_lease *k = &g->kernel;
    uint64_t now = isf_now_us();
    k->late += now >= own_lease(g, mode) || (k->lease_us && now >= k->sure_until);
}

int gate_lease_forged(struct gate *g, const uint8_t *head, uint32_t length)
{
    uint32_t type = 0;
    if (!g->kernel.lease_us)
        return 0;
    /* Behind VLAN tags too: the kernel takes them off before the table looks. */
    for (uint32_t i = 0, at = TYPE_AT; i < TAGS_MOST && at + 2 <= length; i++, at += 4) {
        type = (uint32_t)head[at] << 8 | head[at + 1];
        if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
            break;
    }
    g->kernel.forged += type == LEASE_TYPE;
    return type == LEASE_TYPE;
}
