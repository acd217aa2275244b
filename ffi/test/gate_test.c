/* The gate between a fake QEMU (a unix stream client) and a fake LAN (the other end of a seqpacket socket pair), and once
 * between a fake QEMU and a real TAP on a real bridge, in a network namespace that ends with this program. Needs root. */
#include "gate_test_bounds.h"
#include "gate_test_lan.h"

#include <pthread.h>
#include <sched.h>

/* ---- output commit ---- */

/* The checker that all rests on: does a frame of an epoch that never committed reach the LAN? */
static int leaks(enum gate_mode mode)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, mode);
    emit(&b, 1, 100);
    gate_barrier(b.gate, 1);
    emit(&b, 2, 100);
    int leaked = on_lan(&b, mode == GATE_OPEN ? BOUND_MS : SILENCE_MS, 100) == 1;
    bed_close(&b);
    return leaked;
}

static void test_commit(void)
{
    struct bed b;
    CHECK(!leaks(GATE_HOLD), "no frame leaves before its epoch commits");
    CHECK(!leaks(GATE_SHUT), "no frame leaves a shut gate");
    CHECK(leaks(GATE_OPEN), "negative control: with the gate open the same check sees the frame");
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 3; i++)
        emit(&b, i, 200);
    CHECK(gate_barrier(b.gate, 1) == 3, "the barrier takes all that QEMU has written");
    emit(&b, 4, 200);
    emit(&b, 5, 200);
    CHECK(AWAIT(stats(&b).held_frames == 5) && gate_waiting(b.gate), "frames of the open epoch wait");
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 1, 3, 200), "a commit releases its epoch in order, before it returns");
    CHECK(quiet(&b), "frames of the open epoch stay at the commit of an earlier one");
    CHECK(gate_barrier(b.gate, 2) == 2 && !gate_waiting(b.gate), "after the barrier no frame waits in the open epoch");
    CHECK(gate_barrier(b.gate, 3) == 0, "an epoch without output is empty");
    emit(&b, 6, 200);
    CHECK(gate_barrier(b.gate, 4) == 1, "the next has its own");
    gate_commit(b.gate, 3);
    CHECK(in_order(&b, 4, 5, 200) && quiet(&b), "a commit releases older epochs with it, and none that is newer");
    gate_commit(b.gate, 2);
    CHECK(quiet(&b), "a commit of an older epoch releases nothing");
    gate_commit(b.gate, 4);
    CHECK(in_order(&b, 6, 6, 200) && stats(&b).held_frames == 0, "and at last nothing is held");
    struct gate_stats s = stats(&b);
    CHECK(s.out_frames == 6 && s.out_bytes == 1200 && s.out_dropped == 0 && s.held_bytes == 0, "frames and bytes are counted");
    bed_close(&b);
}

/* The gate's thread is kept busy: what QEMU wrote is still in its socket when the VM is paused. */
static void test_barrier_drains(void)
{
    struct bed b;
    int bytes = 4 << 20;
    bed_open(&b, NULL);
    setsockopt(b.qemu, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    gate_mode(b.gate, GATE_HOLD);
    atomic_store(&b.busy, 1);
    emit(&b, 1, 1500);
    AWAIT(atomic_load(&b.outputs) == 1);
    for (uint32_t i = 2; i <= 600; i++)
        emit(&b, i, 1500);
    CHECK(stats(&b).held_frames == 1 && gate_barrier(b.gate, 1) == 600, "the barrier does not depend on the gate's thread, nor on how much there is");
    atomic_store(&b.busy, 0);
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 1, 600, 1500) && quiet(&b), "and all of it leaves by that epoch's commit");
    bed_close(&b);
}

static void test_partial(void)
{
    struct bed b;
    uint8_t p[4 + 300];
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    prefix(p, 300);
    make(p + 4, 2, 300);
    emit(&b, 1, 300);
    write_all(b.qemu, p, 150);
    CHECK(gate_barrier(b.gate, 1) == 1, "a frame that is there only in part is not of the epoch that ends");
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 1, 1, 300), "what was whole leaves");
    write_all(b.qemu, p + 150, sizeof p - 150);
    CHECK(AWAIT(gate_waiting(b.gate)) && quiet(&b), "its rest does not let it out");
    CHECK(gate_barrier(b.gate, 2) == 1, "it belongs to the next epoch");
    gate_commit(b.gate, 2);
    CHECK(in_order(&b, 2, 2, 300), "and leaves whole with that one");
    for (size_t i = 0; i < sizeof p; i++)
        write_all(b.qemu, p + i, 1);
    CHECK(AWAIT(gate_waiting(b.gate)) && gate_barrier(b.gate, 3) == 1, "a frame may come byte by byte");
    bed_close(&b);
}

static void test_notice(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    nap(SILENCE_MS);
    CHECK(atomic_load(&b.outputs) == 0, "without output nobody asks for a checkpoint");
    emit(&b, 1, 60);
    CHECK(AWAIT(atomic_load(&b.outputs) == 1), "the first frame of an epoch asks for one");
    for (uint32_t i = 2; i < 50; i++)
        emit(&b, i, 60);
    AWAIT(stats(&b).held_frames == 49);
    nap(SILENCE_MS);
    CHECK(atomic_load(&b.outputs) == 1, "the following ones do not");
    gate_barrier(b.gate, 1);
    emit(&b, 50, 60);
    CHECK(AWAIT(atomic_load(&b.outputs) == 2), "the first of the next epoch does");
    bed_close(&b);
}

static void test_modes(void)
{
    struct bed b;
    bed_open(&b, NULL);
    emit(&b, 1, 64);
    CHECK(quiet(&b), "a new gate is shut");
    gate_mode(b.gate, GATE_HOLD);
    gate_barrier(b.gate, 1);
    emit(&b, 2, 64);
    gate_barrier(b.gate, 2);
    emit(&b, 3, 64);
    gate_mode(b.gate, GATE_SHUT);
    gate_commit(b.gate, 1);
    CHECK(quiet(&b), "a shut gate releases nothing, committed or not");
    gate_mode(b.gate, GATE_HOLD);
    CHECK(in_order(&b, 1, 1, 64) && quiet(&b), "what was committed meanwhile leaves when it holds again, and nothing else");
    atomic_store(&b.lease, 0);
    gate_mode(b.gate, GATE_OPEN);
    CHECK(in_order(&b, 2, 3, 64), "an open gate releases all that is held, in order, without a lease");
    emit(&b, 4, 64);
    CHECK(in_order(&b, 4, 4, 64), "and what comes later at once");
    gate_barrier(b.gate, 900);
    atomic_store(&b.lease, UINT64_MAX);
    gate_mode(b.gate, GATE_HOLD);
    emit(&b, 5, 64);
    gate_barrier(b.gate, 1);
    CHECK(quiet(&b), "holding again holds");
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 5, 5, 64), "after an open gate epochs may count from 1 again");
    bed_close(&b);
}

/* A new generation counts epochs from 1, while frames of the old one still wait for the TAP. */
static void test_new_generation(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 1000; i++)
        emit(&b, i, 1500);
    gate_barrier(b.gate, 500);
    gate_mode(b.gate, GATE_OPEN);
    gate_barrier(b.gate, 501);
    gate_mode(b.gate, GATE_HOLD);
    CHECK(stats(&b).held_frames > 0 && AWAIT(stats(&b).held_frames < 1000), "the TAP has not taken all that an open gate let out");
    gate_barrier(b.gate, 1);
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 1, 1000, 1500), "marks of an old generation hold nothing back in a new one");
    bed_close(&b);
}

/* Shuts the gate while many frames leave, and looks whether one comes after gate_mode returned. */
static void test_shut_is_final(void)
{
    struct bed b;
    int late = 0, sent = 0;
    for (int round = 0; round < 20; round++) {
        bed_open(&b, NULL);
        gate_mode(b.gate, GATE_OPEN);
        for (uint32_t i = 0; i < 60; i++)
            emit(&b, i, 64);
        gate_mode(b.gate, GATE_SHUT);
        uint64_t out = stats(&b).out_frames;
        nap(2);
        late += stats(&b).out_frames != out;
        while (on_lan(&b, 0, 64) >= 0)
            sent++;
        bed_close(&b);
    }
    CHECK(!late, "when the call that shuts the gate returns, no frame leaves any more");
    CHECK(sent > 0, "though frames were leaving at that moment");
}

static void test_many_epochs(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 100; i++) {
        emit(&b, i, 64);
        gate_barrier(b.gate, i);
    }
    gate_commit(b.gate, 40);
    CHECK(in_order(&b, 1, 40, 64) && quiet(&b), "of 100 epochs in flight 40 commit and leave");
    gate_commit(b.gate, 99);
    int out = 0;
    while (on_lan(&b, SILENCE_MS, 64) > 0)
        out++;
    CHECK(out <= 59, "past the number of epochs that a gate tells apart frames leave late, never early");
    gate_commit(b.gate, 100);
    CHECK(in_order(&b, 41 + (uint32_t)out, 100, 64), "and none is lost");
    bed_close(&b);
}

/* ---- lease ---- */

static void test_lease(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 40; i++)
        emit(&b, i, 64);
    gate_barrier(b.gate, 1);
    atomic_store(&b.lease, isf_now_us());
    gate_commit(b.gate, 1);
    CHECK(quiet(&b), "without a lease committed frames stay");
    CHECK(stats(&b).lease_waits == 1, "and that is counted once");
    atomic_store(&b.lease, UINT64_MAX);
    CHECK(in_order(&b, 1, 40, 64), "they leave by themselves when the lease is renewed");
    atomic_store(&b.lease, 0);
    emit(&b, 41, 64);
    gate_barrier(b.gate, 2);
    gate_commit(b.gate, 2);
    emit(&b, 42, 64);
    gate_barrier(b.gate, 3);
    nap(SILENCE_MS);
    gate_mode(b.gate, GATE_SHUT);
    atomic_store(&b.lease, UINT64_MAX);
    CHECK(quiet(&b), "a lease does not open a shut gate");
    gate_mode(b.gate, GATE_HOLD);
    CHECK(in_order(&b, 41, 41, 64) && quiet(&b), "a renewed lease releases what is committed and nothing else");
    bed_close(&b);
}

/* ---- connections ---- */

static void test_reconnect(void)
{
    struct bed b;
    uint8_t p[4 + 90];
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    emit(&b, 1, 90);
    prefix(p, 90);
    make(p + 4, 99, 90);
    write_all(b.qemu, p, 50);
    AWAIT(gate_waiting(b.gate));
    gate_barrier(b.gate, 1);
    close(b.qemu);
    CHECK(AWAIT(atomic_load(&b.connections) >= 0x10000), "QEMU's end is noticed");
    inject(&b, 1, 100, 0);
    CHECK(AWAIT(stats(&b).in_dropped == 1), "while no QEMU is there incoming frames are discarded");
    b.qemu = connect_qemu();
    AWAIT(connected(&b) == 2);
    emit(&b, 2, 90);
    CHECK(AWAIT(gate_waiting(b.gate)) && gate_barrier(b.gate, 2) == 1, "it may come again, and begins with a frame of its own");
    int old = b.qemu;
    b.qemu = connect_qemu();
    CHECK(AWAIT(connected(&b) == 3) && readable(old, BOUND_MS) && recv(old, p, 1, 0) == 0, "a second connection replaces the first");
    close(old);
    gate_commit(b.gate, 2);
    CHECK(in_order(&b, 1, 2, 90), "held frames of the old ones stay");
    emit(&b, 3, 90);
    AWAIT(gate_waiting(b.gate));
    gate_barrier(b.gate, 3);
    gate_reset(b.gate);
    gate_commit(b.gate, 3);
    CHECK(quiet(&b) && stats(&b).held_frames == 0 && stats(&b).out_dropped == 1, "a reset drops them, and counts them");
    bed_close(&b);
}

static void test_reset(void)
{
    struct bed b;
    uint8_t p[4 + 90];
    bed_open(&b, &(struct gate_config){.frame_max = 1514, .queue_bytes = 8192});
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 90; i++)
        emit(&b, i, 1000); /* more than the queue holds: the socket has the rest */
    prefix(p, 90);
    make(p + 4, 99, 90);
    write_all(b.qemu, p, 30);
    gate_reset(b.gate);
    CHECK(stats(&b).held_frames == 0 && !gate_waiting(b.gate), "a reset drops what is held and what QEMU has written");
    write_all(b.qemu, p + 30, sizeof p - 30);
    emit(&b, 100, 90);
    CHECK(AWAIT(gate_waiting(b.gate)) && gate_barrier(b.gate, 1) == 1, "a frame begun before it goes, too, and the next one is understood");
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 100, 100, 90) && quiet(&b) && stats(&b).out_dropped == 91, "nothing of before it ever leaves");
    bed_close(&b);
}

/* QEMU and the LAN's side come and go while epochs are closed and committed from another thread. */
static void *churn(void *context)
{
    struct bed *b = context;
    for (uint32_t i = 1; i <= 2000; i++) {
        gate_barrier(b->gate, i);
        if (i % 7 == 0)
            gate_mode(b->gate, (enum gate_mode)(i / 7 % 3));
        if (i % 50 == 0)
            gate_reset(b->gate);
        if (i % 90 == 0)
            gate_announce(b->gate, 2);
        gate_commit(b->gate, i - (i > 3 ? 3 : 0));
        gate_waiting(b->gate);
        stats(b);
    }
    return NULL;
}

static void test_churn(void)
{
    struct bed b;
    pthread_t thread;
    uint32_t frames = 0;
    static uint8_t scratch[70000];
    bed_open(&b, &(struct gate_config){.frame_max = 1514, .queue_bytes = 16384});
    atomic_store(&b.lease, isf_now_us() + 20000);
    pthread_create(&thread, NULL, churn, &b);
    int wrong = 0;
    for (uint32_t i = 1; i <= 4000; i++) {
        uint8_t p[4 + 600];
        prefix(p, 60 + i % 500);
        make(p + 4, i, 60 + i % 500);
        send(b.qemu, p, 4 + 60 + i % 500, MSG_DONTWAIT | MSG_NOSIGNAL); /* may be cut short: the gate must survive that, too */
        inject(&b, i, 100, MSG_DONTWAIT);
        while (recv(b.lan, scratch, sizeof scratch, MSG_DONTWAIT) > 0)
            frames++;
        while (recv(b.qemu, scratch, sizeof scratch, MSG_DONTWAIT) > 0)
            ;
        if (i % 100 == 0) {
            atomic_store(&b.lease, i % 200 ? 0 : UINT64_MAX);
            close(b.qemu);
            b.qemu = connect_qemu();
        }
    }
    pthread_join(thread, NULL);
    gate_reset(b.gate);
    gate_mode(b.gate, GATE_OPEN);
    wrong |= stats(&b).held_frames != 0;
    atomic_store(&b.outputs, 0);
    close(b.qemu);
    int before = connected(&b);
    b.qemu = connect_qemu();
    AWAIT(connected(&b) > before);
    while (recv(b.lan, scratch, sizeof scratch, MSG_DONTWAIT) > 0)
        ;
    emit(&b, 77777, 60);
    int64_t number;
    while ((number = on_lan(&b, BOUND_MS, 60)) != 77777 && number != -1)
        ;
    CHECK(!wrong && number == 77777, "after connections, modes, resets and leases came and went, the gate works");
    CHECK(frames > 0, "and frames left meanwhile");
    bed_close(&b);
}

/* ---- figures, printed and not judged ---- */

static void *sink(void *context)
{
    struct bed *b = context;
    static uint8_t scratch[70000];
    while (recv(b->lan, scratch, sizeof scratch, 0) > 18 && scratch[17] != 0xff)
        ;
    return NULL;
}

static void figures(void)
{
    const uint32_t count = 200000;
    static uint8_t p[64 * 1518];
    struct bed b;
    pthread_t thread;
    for (int hold = 0; hold < 2; hold++) {
        bed_open(&b, NULL);
        gate_mode(b.gate, hold ? GATE_HOLD : GATE_OPEN);
        pthread_create(&thread, NULL, sink, &b);
        uint64_t start = isf_now_us(), barrier_us = 0, barriers = 0;
        for (uint32_t i = 0; i < count; i += 64) {
            for (uint32_t k = 0; k < 64; k++) {
                prefix(p + k * 1518, 1514);
                make(p + k * 1518 + 4, i + k, 1514);
            }
            write_all(b.qemu, p, sizeof p);
            if (hold) {
                uint64_t t = isf_now_us();
                gate_barrier(b.gate, i / 64 + 1);
                barrier_us += isf_now_us() - t;
                barriers++;
                gate_commit(b.gate, i / 64 + 1);
            }
        }
        emit(&b, 0xffffffff, 1514);
        gate_mode(b.gate, GATE_OPEN);
        pthread_join(thread, NULL);
        uint64_t us = isf_now_us() - start + 1;
        printf("      %s: %.2f million frames/s, %.1f Gbit/s", hold ? "64 frames per epoch" : "open", count / (double)us,
               count * 1514.0 * 8 / 1000 / (double)us);
        if (barriers)
            printf(", barrier %.0f us", (double)barrier_us / (double)barriers);
        printf("\n");
        bed_close(&b);
    }
}

int main(void)
{
    char directory[] = "/tmp/isf-gate-XXXXXX";
    if (unshare(CLONE_NEWNET)) {
        perror("gate_test needs root, for a network namespace of its own");
        return 1;
    }
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/net0", directory);
    test_commit();
    test_barrier_drains();
    test_partial();
    test_notice();
    test_modes();
    test_new_generation();
    test_shut_is_final();
    test_many_epochs();
    test_lease();
    test_back_pressure();
    test_slow_lan();
    test_incoming();
    test_frame_sizes();
    test_garbage();
    test_reconnect();
    test_reset();
    test_churn();
    test_announce();
    test_tap();
    test_killed();
    figures();
    rmdir(directory);
    return check_end();
}
