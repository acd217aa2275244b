/* Real heartbeats: threads, sockets on loopback, a frozen process, a LAN of veth pairs in namespaces. */
#ifndef ISF_HEARTBEAT_TEST_REAL_H
#define ISF_HEARTBEAT_TEST_REAL_H

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../src/lan_probe.h"
#include "net_kit.h"

#define REAL_WAIT_US 10000000u
#define WAIT_FOR(condition)                                  \
    ({                                                       \
        uint64_t end_us = isf_now_us() + REAL_WAIT_US;       \
        while (!(condition) && isf_now_us() < end_us)        \
            usleep(2000);                                    \
        !!(condition);                                       \
    })

struct real {
    struct heartbeat *h;
    atomic_int alive[HEARTBEAT_PATHS], silent, silences, lan_answers, stall_us;
};

static void real_path(void *context, int path, int alive)
{
    struct real *r = context;
    r->alive[path] = alive;
    if (!alive && r->stall_us)
        usleep((useconds_t)r->stall_us); /* the heartbeat's own thread stands still */
}

static void real_peer(void *context, int silent, int lan_answers)
{
    struct real *r = context;
    r->lan_answers = lan_answers;
    r->silent = silent;
    r->silences += silent == 1;
}

/* Slower than in life: this machine is busy with other work. Path i goes from 127.0.i.<me> to 127.0.i.<peer>. */
static void real_config(struct heartbeat_config *c, struct real *r, int me, int peer, char text[6][32])
{
    memset(r, 0, sizeof *r);
    memset(c, 0, sizeof *c);
    r->silent = -1;
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        snprintf(text[2 * i], 32, "127.0.%d.%d", i + 1, me);
        snprintf(text[2 * i + 1], 32, "127.0.%d.%d", i + 1, peer);
        c->path[i] = (struct heartbeat_path){text[2 * i], text[2 * i + 1], 7800};
    }
    c->interval_us = 20000;
    c->silence_us = 300000;
    memset(c->secret, 9, sizeof c->secret);
    c->context = r;
    c->on_path = real_path;
    c->on_peer = real_peer;
}

static void real_open(struct real *r, int me, int peer)
{
    struct heartbeat_config c;
    char text[6][32];
    real_config(&c, r, me, peer, text);
    if (heartbeat_open(&r->h, &c))
        abort();
}

static int real_all_alive(struct real *r)
{
    return r->alive[0] && r->alive[1] && r->alive[2];
}

static void test_real_pair(void)
{
    struct real a, b;
    struct heartbeat_word word = {1, 2, 3, 4, 5}, heard;
    struct heartbeat_stats s;
    uint64_t age, before;
    real_open(&a, 1, 2);
    CHECK(heartbeat_heard(a.h, &heard, &age) == -EAGAIN && heartbeat_acknowledged_us(a.h) == 0, "who has heard nothing says so");
    real_open(&b, 2, 1);
    CHECK(WAIT_FOR(real_all_alive(&a) && real_all_alive(&b) && a.silent == 0 && b.silent == 0), "two processes' heartbeats find each other on three paths");
    heartbeat_say(a.h, &word);
    CHECK(WAIT_FOR(heartbeat_heard(b.h, &heard, &age) == 0 && heard.term == 2) && heard.generation == 1 && heard.epoch == 3
              && heard.role == 4 && heard.flags == 5 && age < REAL_WAIT_US, "what one says the other hears");
    before = heartbeat_acknowledged_us(a.h);
    CHECK(WAIT_FOR(heartbeat_acknowledged_us(a.h) > before + 100000) && heartbeat_acknowledged_us(a.h) <= isf_now_us(), "acknowledgements go on");
    heartbeat_read_stats(a.h, &s);
    CHECK(s.refused == 0 && s.received > 0 && s.lan_answer_age_us == UINT64_MAX, "nothing of the peer's is refused");
    printf("figure heartbeat round trip on loopback: %lu %lu %lu us\n", (unsigned long)s.rtt_us[0], (unsigned long)s.rtt_us[1], (unsigned long)s.rtt_us[2]);
    heartbeat_close(b.h);
    CHECK(WAIT_FOR(a.silent == 1) && !a.alive[0] && !a.alive[1] && !a.alive[2] && a.lan_answers == 0, "a peer that ends is silent on all paths");
    before = heartbeat_acknowledged_us(a.h);
    usleep(100000);
    CHECK(heartbeat_acknowledged_us(a.h) == before, "and acknowledges nothing more");
    real_open(&b, 2, 1);
    CHECK(WAIT_FOR(real_all_alive(&a) && real_all_alive(&b) && a.silent == 0), "and is heard again when it is back");
    heartbeat_close(a.h);
    heartbeat_close(b.h);
}

static void test_real_strangers(void)
{
    struct real a, b;
    struct heartbeat_config c;
    struct heartbeat_stats s;
    char text[6][32];
    real_open(&a, 1, 2);
    real_config(&c, &b, 2, 1, text);
    c.secret[5] ^= 1;
    heartbeat_open(&b.h, &c);
    CHECK(WAIT_FOR(a.silent == 1 && b.silent == 1), "two hosts with different secrets are silent to each other");
    heartbeat_read_stats(a.h, &s);
    CHECK(s.refused > 10 && s.received == 0, "and what came was refused and counted");
    heartbeat_close(b.h);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(7800)}, to = from;
    inet_pton(AF_INET, "127.0.1.2", &from.sin_addr);
    inet_pton(AF_INET, "127.0.1.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), sent = 0;
    uint8_t garbage[1400];
    bind(fd, (struct sockaddr *)&from, sizeof from);
    for (int i = 0; i < 500; i++) {
        for (size_t k = 0; k < sizeof garbage; k++)
            garbage[k] = (uint8_t)rand();
        if (i % 2)
            memcpy(garbage, "ISFH\1\0", 6);
        sent += sendto(fd, garbage, i % 3 ? DATAGRAM_BYTES : (size_t)(rand() % 1400), 0, (struct sockaddr *)&to, sizeof to) >= 0;
    }
    close(fd);
    uint64_t before = s.refused;
    CHECK(WAIT_FOR((heartbeat_read_stats(a.h, &s), s.refused > before + 100)) && s.received == 0 && sent > 400, "garbage from the peer's address is refused");
    real_config(&c, &b, 2, 1, text);
    c.path[1].peer = "nobody";
    CHECK(heartbeat_open(&b.h, &c) == -EINVAL, "a peer that is no address is refused at once");
    real_config(&c, &b, 2, 1, text);
    c.path[0].local = c.path[1].local = c.path[2].local = NULL;
    CHECK(heartbeat_open(&b.h, &c) == -EINVAL, "so is having no path");
    real_config(&c, &b, 2, 1, text);
    c.silence_us = 3 * c.interval_us;
    CHECK(heartbeat_open(&b.h, &c) == -EINVAL, "so is a silence shorter than four intervals");
    real_config(&c, &b, 2, 1, text);
    c.path[0].local = "192.0.2.1"; /* a line whose address is not there */
    c.path[0].peer = "192.0.2.2";
    heartbeat_open(&b.h, &c);
    CHECK(WAIT_FOR(b.alive[1] && b.alive[2] && b.silent == 0) && !b.alive[0], "a line without its address leaves the others working");
    heartbeat_close(a.h);
    heartbeat_close(b.h);
}

/* A heartbeat in a process of its own: exits with 1 + the silences that it saw when told to end by SIGTERM. */
static pid_t real_fork(int me, int peer)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    struct real r;
    sigset_t term;
    int got;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    real_open(&r, me, peer);
    sigwait(&term, &got);
    int silences = r.silences;
    heartbeat_close(r.h);
    _exit(1 + silences);
}

static int real_reap(pid_t pid)
{
    int status = 0;
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) - 1 : -1;
}

static void test_real_freeze(void)
{
    struct real a;
    pid_t pid = real_fork(2, 1); /* before this process has threads */
    real_open(&a, 1, 2);
    int kept = WAIT_FOR(real_all_alive(&a));
    usleep(300000);
    kill(pid, SIGSTOP);
    CHECK(kept && WAIT_FOR(a.silent == 1), "a frozen process is silent");
    usleep(1500000);
    kill(pid, SIGCONT);
    CHECK(WAIT_FOR(real_all_alive(&a) && a.silent == 0), "and alive when it thaws");
    usleep(500000);
    CHECK(real_reap(pid) == 0, "and it did not find its peer silent for having slept itself");
    heartbeat_close(a.h);
}

static void test_real_stall(void)
{
    struct real a, b;
    real_open(&a, 1, 2);
    real_open(&b, 2, 1);
    int kept = WAIT_FOR(real_all_alive(&a) && real_all_alive(&b));
    heartbeat_close(b.h); /* paths die one after the other at a; its callback stalls the thread for longer than the silence */
    a.stall_us = 700000;
    kept = kept && WAIT_FOR(!a.alive[0] || !a.alive[1] || !a.alive[2]);
    real_open(&b, 2, 1); /* back while a stands still */
    a.stall_us = 0;
    CHECK(kept && WAIT_FOR(real_all_alive(&a)), "a thread that stood still in a callback goes on");
    heartbeat_close(a.h);
    heartbeat_close(b.h);
}

/* A LAN: v0 (10.9.0.1) here, v1 (10.9.0.2, the gateway) in a process with a namespace of its own. Returns that process. */
static pid_t lan_make(void)
{
    int ready[2];
    char byte, command[128];
    if (pipe(ready))
        abort();
    pid_t pid = fork();
    if (!pid) {
        if (kit_private_network() || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (read(ready[0], &byte, 1) != 1)
        abort();
    close(ready[0]);
    close(ready[1]);
    snprintf(command, sizeof command, "ip link add v0 type veth peer name v1 && ip link set v1 netns %d", (int)pid);
    int failed = system(command) || system("ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up");
    snprintf(command, sizeof command, "nsenter -t %d -n sh -c 'ip addr add 10.9.0.2/24 dev v1 && ip link set v1 up'", (int)pid);
    if (failed || system(command))
        abort();
    return pid;
}

static void test_real_lan(void)
{
    struct real a;
    struct heartbeat_config c;
    struct heartbeat_stats s;
    char text[6][32];
    pid_t gateway = lan_make();
    struct lan_probe *p;
    CHECK(lan_probe_open(&p, "v9", "10.9.0.2") == -ENODEV, "an interface that is not there is refused");
    CHECK(lan_probe_open(&p, "v0", "10.9.0") == -EINVAL, "a reference that is no IPv4 address is refused");
    real_config(&c, &a, 1, 2, text);
    c.reference = "10.9.0.2";
    c.reference_interface = "v0";
    int r = heartbeat_open(&a.h, &c);
    CHECK(r == 0 && WAIT_FOR((heartbeat_read_stats(a.h, &s), s.lan_answer_age_us < 300000)), "the gateway answers");
    CHECK(WAIT_FOR(a.silent == 1 && a.lan_answers == 1), "a dead peer on a living LAN is told as that");
    CHECK(system("ip link set v0 down") == 0 && WAIT_FOR(a.lan_answers == 0), "when the LAN goes too, that is told");
    CHECK(system("ip link set v0 up") == 0 && WAIT_FOR(a.lan_answers == 1), "and when it is back");
    CHECK(system("ip link del v0") == 0 && WAIT_FOR(a.lan_answers == 0), "an interface that vanishes is no answer");
    kill(gateway, SIGKILL);
    waitpid(gateway, NULL, 0);
    gateway = lan_make();
    CHECK(WAIT_FOR(a.lan_answers == 1), "and it is found when it is made anew");
    struct real b;
    real_open(&b, 2, 1);
    CHECK(WAIT_FOR(a.silent == 0 && real_all_alive(&a)), "the peer is back");
    heartbeat_close(b.h);
    CHECK(WAIT_FOR(a.silent == 1 && a.lan_answers == 1), "and silent again, on a LAN that answers");
    heartbeat_close(a.h);
    kill(gateway, SIGKILL);
    waitpid(gateway, NULL, 0);
}

#endif
