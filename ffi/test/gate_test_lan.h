/* The gate's tests on the LAN's side: incoming frames, announcements, a real TAP, and what is left when the engine is killed. */
#ifndef ISF_GATE_TEST_LAN_H
#define ISF_GATE_TEST_LAN_H

#include "gate_test_kit.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>

static void test_incoming(void)
{
    struct bed b;
    bed_open(&b, NULL);
    inject(&b, 1, 100, 0);
    CHECK(AWAIT(stats(&b).in_dropped == 1), "before the gate first holds or opens, incoming frames are discarded");
    gate_mode(b.gate, GATE_HOLD);
    inject(&b, 2, 100, 0);
    CHECK(at_qemu(&b, 100) == 2, "incoming frames go straight to QEMU");
    gate_mode(b.gate, GATE_SHUT);
    inject(&b, 3, 9000, 0);
    CHECK(at_qemu(&b, 9000) == 3, "also while the gate is shut for a decision, and jumbo frames too");
    /* QEMU reads nothing, as in a pause: its socket fills, then the queue, then the LAN side waits. */
    uint32_t sent = 3;
    int stuck = 0;
    while (sent < 20000 && stuck < 100)
        if (inject(&b, sent + 1, 1500, MSG_DONTWAIT) == 1500) {
            sent++;
            stuck = 0;
        } else {
            stuck++;
            nap(1);
        }
    CHECK(sent < 20000, "when QEMU does not read, the queue is bounded and the TAP is left to wait");
    uint32_t right = 3;
    while (right < sent && at_qemu(&b, 1500) == right + 1)
        right++;
    CHECK(right == sent, "and QEMU finds every frame when it reads on");
    CHECK(AWAIT(stats(&b).in_frames == sent - 1) && stats(&b).in_bytes == 100 + 9000 + (sent - 3) * 1500ull, "they are counted");
    uint8_t long_one[9300] = {0};
    CHECK(send(b.lan, long_one, sizeof long_one, 0) > 0 && AWAIT(stats(&b).in_dropped == 2), "a frame longer than the bound is discarded");
    bed_close(&b);
}

/* ---- announcements ---- */

static uint32_t count_announced(struct bed *b, int ms)
{
    uint8_t got[256];
    uint32_t n = 0;
    while (readable(b->lan, ms) && recv(b->lan, got, sizeof got, MSG_DONTWAIT) > 0)
        n++;
    return n;
}

/* As QEMU: an ARP request of the guest. */
static void emit_arp(struct bed *b)
{
    static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3}, ip[4] = {192, 0, 2, 9};
    uint8_t p[4 + ANNOUNCE_FRAME_MAX];
    prefix(p, announce_arp(p + 4, mac, ip, 0));
    write_all(b->qemu, p, 64);
}

static void test_announce(void)
{
    struct bed a, b;
    uint8_t known[1024], got[256];
    bed_open(&a, NULL);
    gate_mode(a.gate, GATE_HOLD);
    emit_arp(&a);
    gate_barrier(a.gate, 1);
    int32_t length = gate_addresses(a.gate, known, sizeof known);
    CHECK(length == 4 + 6 + 24 && stats(&a).addresses_version > 0, "the guest's addresses are learned from what it sends");
    bed_close(&a);

    bed_open(&b, NULL);
    CHECK(gate_learn(b.gate, known, (uint32_t)length - 1) == -ISF_ECORRUPT && gate_learn(b.gate, known, (uint32_t)length) == 0,
          "another gate takes them over, if they are whole");
    gate_announce(b.gate, 3);
    CHECK(count_announced(&b, 200) == 0, "a shut gate announces nothing");
    atomic_store(&b.lease, 0);
    gate_mode(b.gate, GATE_HOLD);
    gate_announce(b.gate, 1);
    CHECK(count_announced(&b, SILENCE_MS) == 0, "without a lease neither");
    gate_mode(b.gate, GATE_OPEN);
    gate_announce(b.gate, 3);
    int rarp = recv(b.lan, got, sizeof got, MSG_DONTWAIT) == 60 && got[12] == 0x80 && got[13] == 0x35;
    int request = recv(b.lan, got, sizeof got, MSG_DONTWAIT) == 60 && got[21] == 1 && got[31] == 9;
    int reply = recv(b.lan, got, sizeof got, MSG_DONTWAIT) == 60 && got[21] == 2 && got[31] == 9;
    CHECK(rarp && request && reply, "an open one sends RARP and both ARP forms before the call returns");
    CHECK(AWAIT(stats(&b).announced == 9), "and again, as often as asked");
    CHECK(count_announced(&b, 400) == 6 && stats(&b).out_frames == 0, "not more often; they are counted apart");
    gate_announce(b.gate, 20);
    gate_mode(b.gate, GATE_SHUT);
    count_announced(&b, 0);
    CHECK(count_announced(&b, 200) == 0, "shutting the gate ends it");
    bed_close(&b);
}

/* ---- a real TAP ---- */

static int run(const char *command)
{
    int status = system(command);
    if (status)
        printf("      %s: %d\n", command, status);
    return status;
}

static int packet_socket(const char *name)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(0x88b5));
    if (bind(fd, (struct sockaddr *)&a, sizeof a)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static int interface_mtu(const char *name)
{
    struct ifreq r = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    int mtu = ioctl(fd, SIOCGIFMTU, &r) ? -1 : r.ifr_mtu;
    close(fd);
    return mtu;
}

/* In this program's own namespace: gate -> TAP -> bridge -> veth -> us, with an MTU of 9,000. */
static void test_tap(void)
{
    struct bed b = {0};
    struct gate_config c = {.tap = "isft0", .bridge = "br-none", .tap_fd = -1, .socket = path, .context = &b, .on_qemu = on_qemu};
    struct gate *other;
    CHECK(gate_open(&b.gate, &c) == -ENODEV && !if_nametoindex("isft0"), "a bridge that does not exist is reported, and no TAP stays behind");
    run("ip link add br0 mtu 9000 type bridge && ip link add lan0 mtu 9000 type veth peer name lan1 mtu 9000 &&"
        " sysctl -qw net.ipv6.conf.br0.disable_ipv6=1 net.ipv6.conf.lan0.disable_ipv6=1 net.ipv6.conf.lan1.disable_ipv6=1 &&"
        " ip link set lan0 master br0 up && ip link set lan1 up && ip link set br0 mtu 9000 up");
    c.bridge = "lan1";
    CHECK(gate_open(&b.gate, &c) == -ENODEV && !if_nametoindex("isft0"), "an interface that is no bridge is none");
    c.bridge = "br0";
    c.tap = "a-name-of-16-bytes";
    CHECK(gate_open(&b.gate, &c) == -EINVAL, "a name that is too long is refused");
    c.tap = "isft0";
    CHECK(gate_open(&b.gate, &c) == 0 && interface_mtu("isft0") == 9000 && interface_mtu("br0") == 9000, "a TAP joins the bridge with its MTU");
    char taken[80];
    snprintf(taken, sizeof taken, "%s.other", path);
    c.socket = taken;
    CHECK(gate_open(&other, &c) == -EBUSY && access(taken, F_OK), "a name that is taken is busy, and no socket stays behind");
    c.tap = "lan1";
    CHECK(gate_open(&other, &c) == -EBUSY, "also if it is not a TAP's");
    b.lan = packet_socket("lan1");
    b.qemu = connect_qemu();
    AWAIT(connected(&b) == 1);
    gate_mode(b.gate, GATE_HOLD);
    emit(&b, 1, 100);
    emit(&b, 2, 9014);
    gate_barrier(b.gate, 1);
    CHECK(quiet(&b), "real TAP: nothing reaches the LAN before the commit");
    gate_commit(b.gate, 1);
    CHECK(on_lan(&b, BOUND_MS, 100) == 1 && on_lan(&b, BOUND_MS, 9014) == 2, "real TAP: then it does, jumbo frames too");
    inject(&b, 3, 100, 0);
    inject(&b, 4, 9014, 0);
    CHECK(at_qemu(&b, 100) == 3 && at_qemu(&b, 9014) == 4, "real TAP: the LAN's frames come to QEMU");
    run("ip link set isft0 down");
    emit(&b, 5, 100);
    gate_barrier(b.gate, 2);
    gate_commit(b.gate, 2);
    CHECK(stats(&b).out_dropped == 1, "a TAP that is down loses frames, as a cable that is out, and counts them");
    run("ip link set isft0 up");
    /* The bridge takes a moment until it forwards for a port that came up: it may swallow the first frames. */
    uint64_t epoch = 2;
    int64_t number = -1;
    for (int i = 0; i < 200 && number != 6; i++) {
        emit(&b, 6, 100);
        gate_barrier(b.gate, ++epoch);
        gate_commit(b.gate, epoch);
        number = on_lan(&b, 25, 100);
    }
    CHECK(number == 6, "and goes on when it is up");
    run("ip link del isft0");
    CHECK(AWAIT(stats(&b).tap_lost == 1), "a TAP that is deleted is reported");
    emit(&b, 7, 100);
    gate_barrier(b.gate, ++epoch);
    gate_commit(b.gate, epoch);
    CHECK(stats(&b).out_dropped == 2, "and its frames are dropped");
    bed_close(&b);
    CHECK(access(path, F_OK), "a closed gate leaves no socket");
    c = (struct gate_config){.tap = "isft0", .bridge = "br0", .tap_fd = -1, .socket = path};
    if (gate_open(&b.gate, &c) == 0)
        gate_close(b.gate);
    CHECK(!if_nametoindex("isft0"), "and no TAP");
}

/* Fail closed: the process that holds the gate is killed. */
static void test_killed(void)
{
    int ready[2];
    char byte;
    if (pipe(ready))
        exit(1);
    pid_t pid = fork();
    if (!pid) {
        struct gate *g;
        struct gate_config c = {.tap = "isft1", .bridge = "br0", .tap_fd = -1, .socket = path};
        if (gate_open(&g, &c) == 0)
            gate_mode(g, GATE_OPEN);
        ssize_t n = write(ready[1], "x", 1);
        (void)n;
        pause();
        _exit(0);
    }
    int began = readable(ready[0], BOUND_MS) && read(ready[0], &byte, 1) == 1 && if_nametoindex("isft1");
    kill(pid, SIGKILL);
    CHECK(began && AWAIT(!if_nametoindex("isft1")), "when the engine is killed its TAP is gone: nothing leaves");
    close(ready[0]);
    close(ready[1]);
    struct gate *g;
    struct gate_config c = {.tap = "isft1", .bridge = "br0", .tap_fd = -1, .socket = path};
    CHECK(gate_open(&g, &c) == 0, "and another may open where it was, though its socket file is left");
    gate_close(g);
}

#endif
