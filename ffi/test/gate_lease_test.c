/* The kernel's lease: when the gate asks for it, and that a frame which was written too late does not reach the LAN. */
#include "failpoint.h"
#include "gate_test_kit.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>

#define LEASE_US 80000u
#define AHEAD_US (LEASE_US + 100000u) /* an engine's lease that is long enough for the kernel's */
#define GUEST_TYPE 0x88b6             /* of the frames here: any but the lease frame's */

static const uint8_t secret[GATE_LEASE_SECRET] = {0xa1, 2, 3, 4, 5, 6, 7, 0xb8};

/* What the LAN side has next: 'L' a lease frame, '?' another one of its EtherType, 'F' any other frame, 0 nothing. */
static char next(struct bed *b, int ms)
{
    uint8_t got[2048];
    if (!readable(b->lan, ms))
        return 0;
    ssize_t n = recv(b->lan, got, sizeof got, MSG_DONTWAIT);
    if (n < 14)
        return '?';
    if (got[12] != 0x88 || got[13] != 0xb5)
        return 'F';
    static const uint8_t nobody[6];
    int right = n == 22 && !memcmp(got + 14, secret, sizeof secret) && !memcmp(got + 6, nobody, 6) && got[0] == 1 && got[1] == 0x80;
    return right ? 'L' : '?';
}

/* The guest sends a frame with this EtherType, behind `tags` VLAN tags. */
static void say(struct bed *b, uint16_t type, int tags)
{
    uint8_t p[4 + 128] = {0};
    prefix(p, 128);
    memcpy(p + 4, (const uint8_t[12]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3}, 12);
    uint8_t *at = p + 16;
    for (int i = 0; i < tags; i++, at += 4)
        at[0] = 0x81;
    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    memcpy(at + 2, secret, sizeof secret);
    write_all(b->qemu, p, sizeof p);
}

/* One frame of the guest in an epoch of its own, which is committed. */
static void epoch(struct bed *b, uint64_t number)
{
    say(b, GUEST_TYPE, 0);
    gate_barrier(b->gate, number);
    gate_commit(b->gate, number);
}

static void test_open(void)
{
    struct bed b;
    bed_open(&b, NULL);
    CHECK(gate_kernel_lease(b.gate, secret, 1) == -EINVAL && gate_kernel_lease(b.gate, secret, 61000000) == -EINVAL,
          "a lease of less than two ticks of the kernel, or of more than a minute, is refused");
    CHECK(gate_kernel_lease(b.gate, secret, LEASE_US) == 0 && quiet(&b), "a shut gate asks for no lease");
    gate_mode(b.gate, GATE_OPEN);
    say(&b, GUEST_TYPE, 0);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F', "open: the lease is asked for before the first frame");
    nap(LEASE_US / 1000 * 2);
    CHECK(!readable(b.lan, 0), "an idle gate asks for none");
    say(&b, GUEST_TYPE, 0);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F', "a frame that comes after it has run out asks for it first");
    gate_mode(b.gate, GATE_SHUT);
    CHECK(gate_kernel_lease(b.gate, secret, 0) == 0, "it can be taken away");
    gate_mode(b.gate, GATE_OPEN);
    say(&b, GUEST_TYPE, 0);
    CHECK(next(&b, BOUND_MS) == 'F' && stats(&b).lease_frames == 2, "then frames go without");
    bed_close(&b);
}

static void test_engine_lease(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_kernel_lease(b.gate, secret, LEASE_US);
    gate_mode(b.gate, GATE_HOLD);
    atomic_store(&b.lease, isf_now_us() + LEASE_US);
    epoch(&b, 1);
    CHECK(quiet(&b) && stats(&b).lease_waits == 1, "an engine's lease that the kernel's would outlast is not enough: nothing leaves");
    atomic_store(&b.lease, UINT64_MAX);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F', "renewed, the kernel's is asked for, and the frame that waited leaves");
    /* As after a refresh that came late: the kernel's lease now ends after the engine's. */
    epoch(&b, 2);
    while (next(&b, SILENCE_MS))
        ;
    uint64_t asked = stats(&b).lease_frames;
    atomic_store(&b.lease, isf_now_us() + 2000000);
    epoch(&b, 3);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F', "with enough left it goes on");
    atomic_store(&b.lease, isf_now_us() + LEASE_US / 2);
    epoch(&b, 4);
    CHECK(quiet(&b), "while the kernel's lease may be the longer one no frame is written, though the engine's holds");
    atomic_store(&b.lease, 0);
    nap(2 * LEASE_US / 1000);
    CHECK(!readable(b.lan, 0) && stats(&b).lease_frames == asked + 1, "without an engine's lease the kernel's is let run out");
    atomic_store(&b.lease, UINT64_MAX);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F', "and nothing was lost meanwhile");
    bed_close(&b);
}

static void test_forged(void)
{
    struct bed b;
    bed_open(&b, NULL);
    gate_mode(b.gate, GATE_OPEN);
    say(&b, 0x88b5, 0);
    CHECK(next(&b, BOUND_MS) == '?', "without a kernel's lease the EtherType is the guest's to use");
    gate_kernel_lease(b.gate, secret, LEASE_US);
    say(&b, 0x88b5, 0);
    say(&b, 0x88b5, 1);
    say(&b, 0x88b5, 2);
    say(&b, GUEST_TYPE, 1);
    CHECK(next(&b, BOUND_MS) == 'L' && next(&b, BOUND_MS) == 'F' && quiet(&b), "with it the guest's lease frames are refused, also behind VLAN tags");
    CHECK(AWAIT(stats(&b).forged == 3) && stats(&b).out_dropped == 3, "and counted");
    bed_close(&b);
}

/* ---- a real TAP, and the kernel ---- */

static int run(const char *command)
{
    int status = system(command);
    if (status)
        printf("      %s: %d\n", command, status);
    return status;
}

static void table(const char *words)
{
    char command[1024];
    snprintf(command, sizeof command, "printf '%s' | nft -f -", words);
    CHECK(run(command) == 0, "nft takes the table");
}

static void open_tap(struct bed *b)
{
    struct gate_config c = {.tap = "isft0", .bridge = "br0", .tap_fd = -1, .socket = path, .context = b, .on_qemu = on_qemu,
                            .lease_until_us = lease_until};
    memset(b, 0, sizeof *b);
    atomic_store(&b->lease, UINT64_MAX);
    if (gate_open(&b->gate, &c)) {
        printf("no TAP\n");
        exit(1);
    }
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(GUEST_TYPE), .sll_ifindex = (int)if_nametoindex("lan1")};
    b->lan = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(GUEST_TYPE));
    if (bind(b->lan, (struct sockaddr *)&a, sizeof a))
        exit(1);
    b->qemu = connect_qemu();
    AWAIT(connected(b) == 1);
    gate_mode(b->gate, GATE_HOLD);
    /* A bridge takes a moment until it forwards for a new port. */
    uint64_t number = 0;
    for (int i = 0; i < 200 && next(b, 25) != 'F'; i++)
        epoch(b, ++number);
    while (next(b, SILENCE_MS))
        ;
}

static void *commit_late(void *gate)
{
    gate_commit(gate, 1001);
    return NULL;
}

/* A frame whose writer stands still for 1 s between the look at its lease and the write, while that lease runs out. True when it reached
 * the LAN. */
static int late_frame(struct bed *b)
{
    pthread_t thread;
    say(b, GUEST_TYPE, 0);
    gate_barrier(b->gate, 1001);
    failpoint_set("gate-leased", 2);
    uint64_t start = isf_now_us();
    atomic_store(&b->lease, start + AHEAD_US);
    pthread_create(&thread, NULL, commit_late, b->gate);
    pthread_join(thread, NULL);
    failpoint_set("gate-leased", 0);
    CHECK(isf_now_us() - start >= 1000000, "the writer stood still");
    return next(b, SILENCE_MS) == 'F';
}

static const char *const lease_table =
    "add table netdev isft\\n"
    "add set netdev isft alive { type iface_index; flags dynamic,timeout; }\\n"
    "add chain netdev isft out { type filter hook ingress device \"isft0\" priority 0; policy drop; }\\n"
    "add rule netdev isft out ether type 0x88b5 @ll,112,64 0xa1020304050607b8 update @alive { iif timeout 80ms } drop\\n"
    "add rule netdev isft out iif @alive accept\\n";

static void test_kernel(void)
{
    struct bed b;
    run("ip link add br0 type bridge && ip link add lan0 type veth peer name lan1 &&"
        " sysctl -qw net.ipv6.conf.br0.disable_ipv6=1 net.ipv6.conf.lan0.disable_ipv6=1 net.ipv6.conf.lan1.disable_ipv6=1 &&"
        " ip link set lan0 master br0 up && ip link set lan1 up && ip link set br0 up");
    open_tap(&b);
    CHECK(late_frame(&b), "control: by the gate alone, a frame that is written after its lease has run out is on the LAN");
    bed_close(&b);
    close(b.lan);

    open_tap(&b);
    table(lease_table);
    epoch(&b, 999);
    CHECK(quiet(&b), "the table lets no frame pass without a lease");
    gate_kernel_lease(b.gate, secret, LEASE_US);
    int passed = 0;
    for (uint64_t i = 0; i < 8; i++) {
        gate_reset(b.gate);
        epoch(&b, 1000 + i);
        passed += next(&b, BOUND_MS) == 'F';
        nap((int)(LEASE_US / 1000 / 4 * i)); /* from at once to well beyond the lease */
    }
    CHECK(passed == 8, "with the kernel's lease every frame passes, however long the last one is past");
    CHECK(quiet(&b), "and no lease frame is ever on the LAN");
    gate_mode(b.gate, GATE_SHUT);
    gate_mode(b.gate, GATE_OPEN); /* epochs count anew */
    gate_mode(b.gate, GATE_HOLD);
    CHECK(!late_frame(&b), "a frame that is written after its lease has run out is not on the LAN: the kernel's has, too");
    CHECK(AWAIT(stats(&b).late == 1), "and it is counted");
    atomic_store(&b.lease, UINT64_MAX);
    epoch(&b, 1002);
    CHECK(next(&b, BOUND_MS) == 'F', "with a new lease it goes on");
    bed_close(&b);
    close(b.lan);
}

int main(void)
{
    char directory[] = "/tmp/isf-lease-XXXXXX";
    if (unshare(CLONE_NEWNET)) {
        perror("gate_lease_test needs root, for a network namespace of its own");
        return 1;
    }
    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/net0", directory);
    test_open();
    test_engine_lease();
    test_forged();
    test_kernel();
    rmdir(directory);
    return check_end();
}
