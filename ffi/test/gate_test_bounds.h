/* The gate's tests of bounds: full queues on both sides, frame sizes, lengths that cannot be. */
#ifndef ISF_GATE_TEST_BOUNDS_H
#define ISF_GATE_TEST_BOUNDS_H

#include "gate_test_kit.h"

static void test_back_pressure(void)
{
    struct bed b;
    const uint32_t length = 1000, bound = 50000; /* no power of two: the bound is not the memory behind it */
    bed_open(&b, &(struct gate_config){.frame_max = 1514, .queue_bytes = bound});
    gate_mode(b.gate, GATE_HOLD);
    uint8_t p[1004];
    uint32_t written = 0;
    int stuck = 0;
    prefix(p, length);
    while (written < 100000 && stuck < 50) {
        make(p + 4, written + 1, length);
        size_t at = 0;
        /* A frame once begun is finished, or the stream has no sense: so wait for the begin only. */
        ssize_t n = send(b.qemu, p, sizeof p, MSG_DONTWAIT);
        if (n < 0) {
            stuck++;
            nap(1);
            continue;
        }
        at = (size_t)n;
        stuck = 0;
        if (at < sizeof p)
            break; /* half a frame fitted: the rest goes below */
        written++;
    }
    struct gate_stats s = stats(&b);
    CHECK(s.held_bytes <= bound && s.held_frames >= bound / 1004 - 1, "the queue is filled to its bound and no further");
    CHECK(written < 10000 && s.out_dropped == 0, "then QEMU is not read any more: it waits, nothing is dropped");
    uint32_t epoch = 0, seen = 0;
    while (seen < written && epoch < 100000) {
        gate_barrier(b.gate, ++epoch);
        gate_commit(b.gate, epoch);
        int64_t number;
        while ((number = on_lan(&b, 1, length)) > 0)
            if (number != ++seen)
                epoch = 100000;
    }
    CHECK(seen == written, "commits make room, and every frame leaves, in order");
    bed_close(&b);
}

/* The LAN's side takes few frames at a time: the rest is kept. */
static void test_slow_lan(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 2000; i++)
        emit(&b, i, 1500);
    AWAIT(stats(&b).held_frames == 2000);
    gate_barrier(b.gate, 1);
    gate_commit(b.gate, 1);
    uint64_t out = stats(&b).out_frames;
    CHECK(out < 2000, "a TAP that takes no more stops the release");
    CHECK(in_order(&b, 1, 2000, 1500) && stats(&b).out_dropped == 0, "the rest follows in order when it does again");
    bed_close(&b);
}

static void test_frame_sizes(void)
{
    struct bed b;
    int good = 1;
    static const uint32_t sizes[] = {18, 60, 61, 1514, 4096, 9000, 9216};
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 0; i < 7; i++) {
        emit(&b, i, sizes[i]);
        AWAIT(gate_waiting(b.gate));
        gate_barrier(b.gate, i + 1);
        gate_commit(b.gate, i + 1);
        good &= on_lan(&b, BOUND_MS, sizes[i]) == i;
    }
    CHECK(good, "frames of 18 to 9,216 bytes pass whole");
    bed_close(&b);
    /* A queue of an odd size: frames cross its end at every offset. */
    bed_open(&b, &(struct gate_config){.frame_max = 1514, .queue_bytes = 4096});
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 1; i <= 3000; i++) {
        emit(&b, i, 60 + i % 1000);
        emit(&b, i, 60 + i * 7 % 900);
        uint64_t frames = (uint64_t)gate_barrier(b.gate, i);
        gate_commit(b.gate, i);
        good &= frames == 2 && on_lan(&b, BOUND_MS, 60 + i % 1000) == i && on_lan(&b, BOUND_MS, 60 + i * 7 % 900) == i;
        uint8_t half[4 + 100];
        prefix(half, 100);
        make(half + 4, i, 100);
        write_all(b.qemu, half, i % 100 + 1);
        gate_barrier(b.gate, 10000 + i); /* leaves a part, so that positions go on */
        write_all(b.qemu, half + i % 100 + 1, sizeof half - i % 100 - 1);
        good &= AWAIT(gate_waiting(b.gate));
        gate_barrier(b.gate, i);
        gate_commit(b.gate, i);
        good &= on_lan(&b, BOUND_MS, 100) == i;
    }
    CHECK(good, "frames are whole wherever the queue wraps");
    bed_close(&b);
}

static void test_garbage(void)
{
    static const uint32_t lengths[] = {0, 1, 13, 9217, 65536, 0x7fffffff, 0xffffffff};
    struct bed b;
    int closed = 0, held = 1;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_HOLD);
    for (uint32_t i = 0; i < 7; i++) {
        uint8_t p[64], byte;
        emit(&b, i + 1, 80);
        prefix(p, lengths[i]);
        write_all(b.qemu, p, sizeof p);
        closed += readable(b.qemu, BOUND_MS) && recv(b.qemu, &byte, 1, 0) <= 0;
        close(b.qemu);
        b.qemu = connect_qemu();
        AWAIT(connected(&b) == (int)i + 2);
        held &= stats(&b).held_frames == i + 1;
    }
    CHECK(closed == 7 && stats(&b).refused == 7, "a length that no frame has closes the connection, and is counted");
    CHECK(held, "what came whole before it stays");
    gate_barrier(b.gate, 1);
    gate_commit(b.gate, 1);
    CHECK(in_order(&b, 1, 7, 80), "and leaves by its commit");
    emit(&b, 8, 80);
    uint8_t p[64] = {0};
    write_all(b.qemu, p, sizeof p);
    gate_barrier(b.gate, 2);
    uint8_t byte;
    CHECK(readable(b.qemu, BOUND_MS) && recv(b.qemu, &byte, 1, 0) <= 0 && AWAIT(stats(&b).refused == 8), "the same when the barrier is first to see it");
    bed_close(&b);
}

#endif
