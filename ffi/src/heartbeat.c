#include "heartbeat_core.h"
#include "lan_probe.h"
#include "link_socket.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DRAIN 1024          /* datagrams read from one path in one turn */
#define REOPEN_US 100000u   /* how often a local address that is not there is tried again */

struct heartbeat {
    struct heartbeat_config config;
    struct link_address local[HEARTBEAT_PATHS], peer[HEARTBEAT_PATHS];
    unsigned long thread;
    int wake;
    atomic_int closing;
    _Atomic uint64_t acknowledged_us, beats;

    pthread_mutex_t lock;   /* core, counters. Never held over I/O or a callback */
    struct core core;
    uint64_t sent, received, refused, lan_answer_us;

    /* Owned by the thread. */
    int fd[HEARTBEAT_PATHS];
    uint64_t open_at_us[HEARTBEAT_PATHS], probe_at_us;
    struct mac *key;
    struct lan_probe *lan;
};

static void heartbeat_free(struct heartbeat *h)
{
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        if (h->fd[i] >= 0)
            close(h->fd[i]);
    if (h->wake >= 0)
        close(h->wake);
    lan_probe_close(h->lan);
    mac_free(h->key);
    pthread_mutex_destroy(&h->lock);
    secret_wipe(&h->config, sizeof h->config);
    free(h);
}

/* From its own local address to the peer's, both on the same port; the kernel drops what comes from elsewhere. */
static int path_open(const struct link_address *local, const struct link_address *peer)
{
    int fd = socket(local->at.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), high = 6, tos = 0xc0;
    if (fd < 0)
        return -errno;
    /* Ahead of bulk data in queues that know classes (network control); no matter where not. */
    setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &high, sizeof high);
    if (local->at.ss_family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    else
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    if (bind(fd, (const struct sockaddr *)&local->at, local->length) || connect(fd, (const struct sockaddr *)&peer->at, peer->length)) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static void paths_open(struct heartbeat *h, uint64_t now)
{
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        if (!h->core.path[i].configured || h->fd[i] >= 0 || now < h->open_at_us[i])
            continue;
        h->fd[i] = path_open(&h->local[i], &h->peer[i]);
        h->open_at_us[i] = now + REOPEN_US;
    }
}

static void path_receive_one(struct heartbeat *h, int path, const uint8_t *bytes, size_t length)
{
    struct datagram d;
    int r = datagram_decode(&d, h->key, bytes, length);
    pthread_mutex_lock(&h->lock);
    r = r ? r : core_receive(&h->core, path, &d, isf_now_us());
    if (r < 0)
        h->refused++;
    else
        h->received++;
    uint64_t acknowledged = h->core.acknowledged_us;
    pthread_mutex_unlock(&h->lock);
    atomic_store_explicit(&h->acknowledged_us, acknowledged, memory_order_release);
}

/* Reads all that has come. 0 when more may be there. */
static int drain(struct heartbeat *h)
{
    int all = 1;
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        int k = 0, errors = 0;
        for (; h->fd[i] >= 0 && k < DRAIN; k++) {
            uint8_t bytes[DATAGRAM_BYTES + 1]; /* one more: a longer one shows */
            ssize_t n = recv(h->fd[i], bytes, sizeof bytes, MSG_DONTWAIT);
            if (n >= 0)
                path_receive_one(h, i, bytes, (size_t)n);
            else if (errno == EAGAIN || errno == EWOULDBLOCK || ++errors > 16)
                break; /* any other error is an ICMP message about what was sent: read on, for a while */
        }
        all &= k < DRAIN;
    }
    if (h->lan) {
        uint64_t answer_us = lan_probe_receive(h->lan, isf_now_us());
        pthread_mutex_lock(&h->lock);
        h->lan_answer_us = answer_us;
        pthread_mutex_unlock(&h->lock);
    }
    return all;
}

static void judge(struct heartbeat *h, int drained)
{
    struct core_changes changes;
    struct heartbeat_config *c = &h->config;
    int alive[HEARTBEAT_PATHS];
    pthread_mutex_lock(&h->lock);
    core_turn(&h->core, isf_now_us(), drained, h->lan_answer_us, &changes);
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        alive[i] = h->core.path[i].alive;
    int silent = h->core.silent, answers = h->core.lan_answers;
    pthread_mutex_unlock(&h->lock);
    if (changes.stall_us && c->on_stall)
        c->on_stall(c->context, changes.stall_us);
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        if (changes.path[i] && c->on_path)
            c->on_path(c->context, i, alive[i]);
    if (changes.peer && c->on_peer)
        c->on_peer(c->context, silent, answers);
}

static void beat(struct heartbeat *h, uint64_t now)
{
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        struct datagram d;
        uint8_t bytes[DATAGRAM_BYTES];
        if (h->fd[i] < 0)
            continue;
        pthread_mutex_lock(&h->lock);
        core_compose(&h->core, i, &d, isf_now_us());
        h->sent++;
        pthread_mutex_unlock(&h->lock);
        if (datagram_encode(&d, h->key, bytes) == 0 && send(h->fd[i], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            continue; /* no route, no carrier: the silence that follows says it */
    }
    if (!h->lan)
        return;
    uint64_t quiet = now - h->core.heard_us; /* written by this thread alone */
    int suspicious = quiet > 3 * h->config.interval_us && quiet < HEARTBEAT_SUSPICION_US;
    if (suspicious || now >= h->probe_at_us) {
        lan_probe_send(h->lan, now);
        h->probe_at_us = now + h->config.silence_us / 2;
    }
}

/* Heartbeats that come late because the host is busy would be taken for a dead host. Where it is not allowed, go on without. */
static void ask_for_priority(void)
{
    struct sched_param p = {.sched_priority = 10};
    if (pthread_setschedparam(pthread_self(), SCHED_RR, &p))
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -15);
}

static void *heartbeat_run(void *context)
{
    struct heartbeat *h = context;
    uint64_t next = isf_now_us();
    ask_for_priority();
    while (!atomic_load(&h->closing)) {
        struct pollfd p[HEARTBEAT_PATHS + 2];
        uint64_t now = isf_now_us(), wait_us = next > now ? next - now : 0;
        struct timespec wait = {(time_t)(wait_us / 1000000), (long)(wait_us % 1000000 * 1000)};
        for (int i = 0; i < HEARTBEAT_PATHS; i++)
            p[i] = (struct pollfd){.fd = h->fd[i], .events = POLLIN};
        p[HEARTBEAT_PATHS] = (struct pollfd){.fd = h->wake, .events = POLLIN};
        p[HEARTBEAT_PATHS + 1] = (struct pollfd){.fd = h->lan ? lan_probe_fd(h->lan) : -1, .events = POLLIN};
        ppoll(p, HEARTBEAT_PATHS + 2, &wait, NULL);
        judge(h, drain(h));
        now = isf_now_us();
        if (now < next)
            continue;
        paths_open(h, now);
        beat(h, now);
        atomic_fetch_add_explicit(&h->beats, 1, memory_order_relaxed);
        next += h->config.interval_us;
        if (next <= now) /* late: no burst to make up for it */
            next = now + h->config.interval_us;
    }
    return NULL;
}

static int parse_paths(struct heartbeat *h, const struct heartbeat_config *config)
{
    int paths = 0;
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        const struct heartbeat_path *p = &config->path[i];
        if (!p->local)
            continue;
        if (link_address_parse(&h->local[i], p->local, p->port) || link_address_parse(&h->peer[i], p->peer, p->port)
            || h->local[i].at.ss_family != h->peer[i].at.ss_family)
            return -EINVAL;
        paths++;
    }
    return paths ? 0 : -EINVAL;
}

/* A waiting reader or speaker of low priority must not hold up the heartbeat: it inherits its priority. */
static void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

int heartbeat_make(struct heartbeat **out, const struct heartbeat_config *config)
{
    uint64_t session = 0;
    struct heartbeat *h = calloc(1, sizeof *h);
    if (!h)
        return -ENOMEM;
    h->config = *config;
    if (!h->config.interval_us)
        h->config.interval_us = 10000;
    if (!h->config.silence_us)
        h->config.silence_us = 10 * h->config.interval_us;
    for (int i = 0; i < HEARTBEAT_PATHS; i++)
        h->fd[i] = -1;
    lock_init(&h->lock);
    h->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    int r = h->wake < 0 ? -errno : parse_paths(h, config);
    /* Bounds: below 4 intervals one lost datagram is a dead path; an hour cannot overflow anything. */
    if (!r && (h->config.silence_us < 4 * h->config.interval_us || h->config.interval_us < 100 || h->config.silence_us > 3600000000u))
        r = -EINVAL;
    while (!r && !session)
        r = random_fill(&session, sizeof session);
    r = r ? r : datagram_key(&h->key, config->secret);
    if (!r && config->reference && config->reference[0])
        r = lan_probe_open(&h->lan, config->reference_interface, config->reference);
    if (!r)
        core_begin(&h->core, &h->config, session, isf_now_us());
    for (int i = 0; i < HEARTBEAT_PATHS; i++) /* the caller's strings have served */
        h->config.path[i].local = h->config.path[i].peer = NULL;
    h->config.reference = h->config.reference_interface = NULL;
    *out = r ? NULL : h;
    if (r)
        heartbeat_free(h);
    return r;
}

int heartbeat_begin(struct heartbeat *h)
{
    atomic_store(&h->closing, 0);
    return isf_thread(&h->thread, "isf-heartbeat", heartbeat_run, h);
}

int heartbeat_open(struct heartbeat **out, const struct heartbeat_config *config)
{
    int r = heartbeat_make(out, config); /* *out is set before the thread: its callbacks may use it */
    if (r)
        return r;
    r = heartbeat_begin(*out);
    if (r) {
        heartbeat_free(*out);
        *out = NULL;
    }
    return r;
}

void heartbeat_end(struct heartbeat *h)
{
    uint64_t one = 1;
    if (!h->thread)
        return;
    atomic_store(&h->closing, 1);
    if (write(h->wake, &one, sizeof one) < 0) /* not possible; the next interval ends it anyway */
        sched_yield();
    pthread_join((pthread_t)h->thread, NULL);
    h->thread = 0;
    if (read(h->wake, &one, sizeof one) < 0) /* it must not wake the next thread for ever */
        sched_yield();
}

void heartbeat_become(struct heartbeat *h, struct heartbeat *made)
{
    pthread_mutex_lock(&h->lock);
    struct heartbeat_word mine = h->core.mine;
    h->core = made->core;
    h->core.mine = mine;
    h->lan_answer_us = 0;
    atomic_store(&h->acknowledged_us, 0);
    pthread_mutex_unlock(&h->lock);
    h->config = made->config;
    memcpy(h->local, made->local, sizeof h->local);
    memcpy(h->peer, made->peer, sizeof h->peer);
    struct mac *key = h->key;
    struct lan_probe *lan = h->lan;
    h->key = made->key;
    h->lan = made->lan;
    made->key = key;
    made->lan = lan;
    h->probe_at_us = 0;
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        if (h->fd[i] >= 0)
            close(h->fd[i]);
        h->fd[i] = -1;
        h->open_at_us[i] = 0;
    }
    heartbeat_free(made);
}

void heartbeat_close(struct heartbeat *h)
{
    if (!h)
        return;
    heartbeat_end(h);
    heartbeat_free(h);
}

void heartbeat_say(struct heartbeat *h, const struct heartbeat_word *word)
{
    pthread_mutex_lock(&h->lock);
    h->core.mine = *word;
    pthread_mutex_unlock(&h->lock);
}

int heartbeat_heard(struct heartbeat *h, struct heartbeat_word *word, uint64_t *age_us)
{
    pthread_mutex_lock(&h->lock);
    int r = h->core.word_sequence ? 0 : -EAGAIN;
    if (!r) {
        uint64_t now = isf_now_us();
        *word = h->core.peers;
        *age_us = now - h->core.heard_us;
    }
    pthread_mutex_unlock(&h->lock);
    return r;
}

uint64_t heartbeat_acknowledged_us(struct heartbeat *h)
{
    return atomic_load_explicit(&h->acknowledged_us, memory_order_acquire);
}

uint64_t heartbeat_beats(struct heartbeat *h)
{
    return atomic_load_explicit(&h->beats, memory_order_relaxed);
}

uint64_t heartbeat_withhold(struct heartbeat *h, int on)
{
    pthread_mutex_lock(&h->lock);
    uint64_t until_us = core_withhold(&h->core, on);
    pthread_mutex_unlock(&h->lock);
    return until_us;
}

void heartbeat_read_stats(struct heartbeat *h, struct heartbeat_stats *s)
{
    pthread_mutex_lock(&h->lock);
    for (int i = 0; i < HEARTBEAT_PATHS; i++) {
        s->alive[i] = h->core.path[i].alive;
        s->rtt_us[i] = h->core.path[i].rtt_us;
    }
    s->sent = h->sent;
    s->received = h->received;
    s->refused = h->refused;
    s->gap_us_max = h->core.gap_us_max;
    s->stall_us_max = h->core.stall_us_max;
    s->lan_answer_age_us = h->lan_answer_us ? isf_now_us() - h->lan_answer_us : UINT64_MAX;
    pthread_mutex_unlock(&h->lock);
}
