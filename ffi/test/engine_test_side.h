/* One host of the engine's tests: an engine with its own bridge and a stand-in QEMU, the model of its guest, and its events. */
#ifndef ISF_ENGINE_TEST_SIDE_H
#define ISF_ENGINE_TEST_SIDE_H

#include "check.h"
#include "engine.h"
#include "fake_qemu.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/stat.h>

#define RAM_PAGES 1024u
#define RAM_PAGES_MORE 5120u /* so many that a sync needs rounds: half of it is written now and then, more than a checkpoint takes along */
#define EVENT_MS 30000 /* how long at most for an event that must come: sanitizers on a loaded machine are slow */

/* ---- model: what the guest is after `k` steps ---- */

struct model { struct guest guest; uint8_t *disk; uint64_t k; };

static void model_new(struct model *m, uint64_t ram_pages)
{
    guest_shape(&m->guest, ram_pages);
    for (uint32_t i = 0; i < GUEST_PARTS; i++)
        m->guest.part[i] = calloc(m->guest.pages[i], ISF_PAGE);
    m->disk = calloc(1, GUEST_DISK);
    m->k = 0;
    guest_boot(&m->guest);
}

static void model_free(struct model *m)
{
    for (uint32_t i = 0; i < GUEST_PARTS; i++)
        free(m->guest.part[i]);
    free(m->disk);
}

static void model_advance(struct model *m, uint64_t k)
{
    static uint8_t data[GUEST_DISK_WRITE];
    while (m->k < k) {
        uint64_t offset;
        uint32_t length;
        int what = guest_disk_write(++m->k, &offset, &length, data);
        if (what == 1)
            memcpy(m->disk + offset, data, length);
        else if (what)
            memset(m->disk + offset, 0, length);
        guest_step(&m->guest, m->k);
    }
}

/* ---- one host ---- */

struct side {
    struct isf_engine *e;
    struct fake qemu;
    int index, events, lan, memory, disk, nic;
    uint64_t ram_pages;
    uint32_t tracker;     /* enum tracker_kind */
    char dir[64], tap[24], bridge[24], text[1 << 20];
    size_t text_length;
    uint8_t key;          /* tells the pair's secret from another pair's */
    int refused, stalled; /* such events seen */
    char last_failure[800];
};

static char base_dir[40];
static uint64_t seed;

static uint64_t below(uint64_t n) { return guest_random(&seed) % n; }
static void nap_us(uint64_t us) { usleep((useconds_t)us); }

static void side_path(const struct side *s, char *out, const char *name) { snprintf(out, 108, "%s/%s", s->dir, name); }

static void fatal(const char *what, const struct side *s)
{
    char text[600] = "";
    if (s && s->e)
        isf_problem(s->e, text, sizeof text);
    printf("FATAL %s: %s\n", what, text);
    exit(2);
}

static void side_image(const struct side *s)
{
    char path[108];
    side_path(s, path, "image");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, GUEST_DISK))
        fatal("image", NULL);
    close(fd);
}

static int packet_socket(const char *name)
{
    struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), bytes = 16 << 20; /* a bridge's port shows a single type to nobody */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a))
        fatal("packet socket", NULL);
    return fd;
}

/* A new engine with memory, disk, NIC and both lines. */
static void side_open(struct side *s)
{
    uint8_t secret[WIRE_KEY] = {1, 2, 3, s->key};
    char image[108], state[108], nbd[108], net[108];
    mkdir(s->dir, 0700);
    side_path(s, image, "image");
    side_path(s, state, "disk");
    side_path(s, nbd, "nbd.sock");
    side_path(s, net, "net.sock");
    if (isf_engine_new(s->dir, secret, &s->e))
        fatal("engine", s);
    char events[108];
    side_path(s, events, "events.sock");
    s->events = fake_connect(events);
    s->text_length = 0;
    s->memory = isf_memory_new(s->e, s->ram_pages * ISF_PAGE);
    if (s->disk && isf_disk_add(s->e, "disk", image, state, nbd) != 0)
        fatal("disk", s);
    if (s->nic) {
        if (isf_nic_add(s->e, s->tap, s->bridge, net) != 0)
            fatal("nic", s);
        s->lan = packet_socket(s->tap);
    }
    for (int i = 0; i < 2; i++)
        if (isf_link_add(s->e, i, s->index ? "127.0.0.2" : "127.0.0.1", s->index ? "127.0.0.1" : "127.0.0.2", (uint32_t)(7101 + i), !s->index))
            fatal("link", s);
    isf_rhythm(s->e, 1000, 20000, 1500, 4, 5000000);
}

static void side_close(struct side *s)
{
    isf_engine_free(s->e);
    s->e = NULL;
    if (s->events >= 0)
        close(s->events);
    if (s->lan >= 0)
        close(s->lan);
    s->events = s->lan = -1;
}

static int side_start(struct side *s, const struct fake_control *like, int standby)
{
    struct fake_control c = like ? *like : (struct fake_control){.pace_us = 100, .frames_every = 2};
    c.standby = standby;
    c.ram_pages = s->ram_pages;
    snprintf(c.memory, sizeof c.memory, "/proc/%d/fd/%d", (int)getpid(), s->memory);
    side_path(s, c.qmp, "qmp.sock");
    side_path(s, c.monitor, "monitor.sock");
    if (s->nic)
        side_path(s, c.net, "net.sock");
    if (s->disk)
        side_path(s, c.disk, "nbd.sock");
    return fake_start(&s->qemu, &c);
}

/* Starts a QEMU and attaches it. */
static void side_qemu(struct side *s, const struct fake_control *like, int standby)
{
    char qmp[108], fifo[108];
    side_path(s, qmp, "qmp.sock");
    side_path(s, fifo, "state");
    if (side_start(s, like, standby))
        fatal("fake QEMU", s);
    if (isf_qemu_attach(s->e, s->qemu.pid, qmp, fifo, 0, s->tracker))
        fatal("attach", s);
}

static uint64_t status_of(struct side *s, size_t offset)
{
    return __atomic_load_n((const uint64_t *)(const void *)((const uint8_t *)isf_status_page(s->e) + offset), __ATOMIC_RELAXED);
}
#define STATUS(side, field) status_of(side, offsetof(struct isf_status, field))

/* ---- events ---- */

/* The next line, without its newline. NULL: none within `ms`. */
static char *next_event(struct side *s, int ms)
{
    static char line[8192];
    for (;;) {
        char *end = memchr(s->text, '\n', s->text_length);
        if (end) {
            size_t n = (size_t)(end - s->text);
            snprintf(line, sizeof line, "%.*s", (int)n, s->text);
            s->text_length -= n + 1;
            memmove(s->text, end + 1, s->text_length);
            return line;
        }
        struct pollfd p = {.fd = s->events, .events = POLLIN};
        if (poll(&p, 1, ms) != 1)
            return NULL;
        ssize_t n = recv(s->events, s->text + s->text_length, sizeof s->text - s->text_length, 0);
        if (n <= 0)
            return NULL;
        s->text_length += (size_t)n;
    }
}

static int event_is(const char *line, const char *name)
{
    char start[64];
    snprintf(start, sizeof start, "{\"event\":\"%s\"", name);
    return strncmp(line, start, strlen(start)) == 0;
}

/* Waits for one of two events (`other` may be NULL); those before it are counted and forgotten. */
static const char *await_either(struct side *s, const char *name, const char *other, int ms)
{
    uint64_t deadline = isf_now_us() + (uint64_t)ms * 1000;
    for (;;) {
        uint64_t now = isf_now_us();
        const char *line = now < deadline ? next_event(s, (int)((deadline - now) / 1000 + 1)) : NULL;
        if (!line)
            return NULL;
        s->refused += event_is(line, "refused");
        s->stalled += event_is(line, "stalled");
        if (event_is(line, "failed") || event_is(line, "sync_failed") || event_is(line, "protection_failed") || event_is(line, "qemu_lost") || event_is(line, "refused"))
            snprintf(s->last_failure, sizeof s->last_failure, "%.700s", line);
        if (event_is(line, name) || (other && event_is(line, other)))
            return line;
    }
}

static const char *await(struct side *s, const char *name) { return await_either(s, name, NULL, EVENT_MS); }

static inline uint64_t number_in(const char *line, const char *key)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\"%s\":", key);
    const char *at = line ? strstr(line, wanted) : NULL;
    return at ? strtoull(at + strlen(wanted), NULL, 10) : UINT64_MAX;
}

/* Forgets what has come so far. */
static void drain_events(struct side *s)
{
    while (await_either(s, "", NULL, 1))
        ;
}

#endif
