/* The demo guest's TCP service: lines in, one line out for each.
 *
 *   count [dirty=PAGES] [span=PAGES] [write=BYTES] [fill=small|random]   -> N
 *       the next number. First changes PAGES distinct pages (out of the first `span` of the pool) and, with write, appends a
 *       record of BYTES to the log and has it flushed before the reply.
 *   get KEY                                  -> value V, or none
 *   put KEY VALUE [durable]                  -> ok N: the record's number in the store's log, 0 for a change in memory only
 *   cas KEY OLD NEW [durable]                -> ok N, or as for get: what was there instead of OLD (- : nothing)
 *   dump                                     -> a line N KEY VALUE for each record, key KEY VALUE for each key, end - -
 *   stats | memsum | disksum   -> one line of JSON
 *   echo BYTES                 -> reads BYTES, then sends them back
 *   spin MS | idle MS          -> ok, after keeping the CPU busy / sleeping that long
 *   stream MS                  -> a line 1, 2, 3, ... every MS until the client closes
 *   poweroff | reboot          -> ok, then unmounts and powers off, or starts anew
 *   crash                      -> ok, then the kernel panics: nothing is unmounted or written first
 *
 * What it cannot do it answers with a line `error ...`. */
#ifndef GUEST_SERVICE_H
#define GUEST_SERVICE_H

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <time.h>

#include "kv_commands.h"
#include "pool.h"
#include "record_log.h"
#include "talk.h"

#define SERVICE_PORT 7777
#define CONNECTIONS_MAX 256
#define LINE_BYTES 512u
#define ECHO_MAX (64u << 20)
#define WAIT_MAX_MS 60000u

struct service {
    struct pool pool;
    struct record_log log;
    struct kv_store kv;
    int connections;
};

struct connection {
    struct service *service;
    int fd;
    uint32_t have; /* bytes in `in` */
    char in[LINE_BYTES];
};

static uint64_t now_ms(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000 + (uint64_t)at.tv_nsec / 1000000;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

struct count_options {
    uint64_t dirty, span, write;
    enum pool_fill fill;
};

/* Reads key=value words. NULL, or the word that is wrong. */
static const char *read_options(char *words, struct count_options *options)
{
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *end = NULL, *value = strchr(word, '=');
        uint64_t number = value ? strtoull(value + 1, &end, 10) : 0;
        bool whole = end && end != value + 1 && *end == '\0';
        if (!strcmp(word, "fill=random"))
            options->fill = FILL_RANDOM;
        else if (!strcmp(word, "fill=small"))
            options->fill = FILL_SMALL;
        else if (whole && !strncmp(word, "dirty=", 6))
            options->dirty = number;
        else if (whole && !strncmp(word, "span=", 5))
            options->span = number;
        else if (whole && !strncmp(word, "write=", 6) && number <= RECORD_MAX)
            options->write = number;
        else
            return word;
    }
    return NULL;
}

static bool do_count(struct connection *connection, char *words)
{
    struct service *service = connection->service;
    struct count_options options = {.fill = FILL_SMALL};
    const char *wrong = read_options(words, &options);
    int failed = 0;
    char line[32];
    if (wrong)
        return say_error(connection->fd, "count does not know", wrong);
    pthread_mutex_lock(&service->pool.lock);
    uint64_t number = service->pool.counter + 1;
    if (options.write)
        failed = log_append(&service->log, (uint32_t)options.write, number, options.fill);
    if (!failed) {
        service->pool.counter = number;
        if (options.dirty)
            pool_dirty(&service->pool, options.dirty, options.span, number, options.fill);
    }
    pthread_mutex_unlock(&service->pool.lock);
    /* Outside the lock: several clients' flushes then share the file system's work. */
    if (!failed && options.write && fdatasync(service->log.fd) < 0)
        failed = -errno;
    if (failed)
        return say_error(connection->fd, "write", strerror(-failed));
    return answer(connection->fd, line, snprintf(line, sizeof line, "%" PRIu64 "\n", number));
}

static bool do_stats(struct connection *connection)
{
    struct service *service = connection->service;
    char line[256];
    pthread_mutex_lock(&service->pool.lock);
    int length = snprintf(line, sizeof line,
                          "{\"counter\":%" PRIu64 ",\"connections\":%d,\"uptime_ms\":%" PRIu64 ",\"pool_pages\":%" PRIu64
                          ",\"disk\":%s,\"records\":%" PRIu64 "}\n",
                          service->pool.counter, __atomic_load_n(&service->connections, __ATOMIC_RELAXED), now_ms(),
                          service->pool.pages, service->log.fd < 0 ? "false" : "true", service->log.records);
    pthread_mutex_unlock(&service->pool.lock);
    return answer(connection->fd, line, length);
}

static bool do_memsum(struct connection *connection)
{
    struct pool *pool = &connection->service->pool;
    char line[192];
    pthread_mutex_lock(&pool->lock);
    uint64_t found = pool_recompute(pool);
    int length = snprintf(line, sizeof line,
                          "{\"digest\":\"%016" PRIx64 "\",\"expected\":\"%016" PRIx64 "\",\"ok\":%s,\"pages\":%" PRIu64
                          ",\"counter\":%" PRIu64 "}\n",
                          found, pool->digest, found == pool->digest ? "true" : "false", pool->pages, pool->counter);
    pthread_mutex_unlock(&pool->lock);
    return answer(connection->fd, line, length);
}

static bool do_disksum(struct connection *connection)
{
    struct service *service = connection->service;
    struct log_report report;
    char line[256];
    if (service->log.fd < 0)
        return say_error(connection->fd, "disksum", "there is no disk");
    pthread_mutex_lock(&service->pool.lock);
    log_verify(&service->log, &report);
    bool ok = report.contiguous && report.last == service->log.records;
    int length = snprintf(line, sizeof line,
                          "{\"digest\":\"%016" PRIx64 "\",\"records\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
                          ",\"expected_last\":%" PRIu64 ",\"contiguous\":%s,\"bytes\":%" PRIu64 ",\"ok\":%s}\n",
                          report.digest, report.records, report.first, report.last, service->log.records,
                          report.contiguous ? "true" : "false", report.bytes, ok ? "true" : "false");
    pthread_mutex_unlock(&service->pool.lock);
    return answer(connection->fd, line, length);
}

static bool do_echo(struct connection *connection, uint64_t bytes)
{
    if (bytes > ECHO_MAX)
        return say_error(connection->fd, "echo", "at most 67108864 bytes");
    char *buffer = malloc(bytes ? bytes : 1);
    if (!buffer)
        return say_error(connection->fd, "echo", "out of memory");
    /* What came with the line is the beginning of the data. */
    size_t done = connection->have < bytes ? connection->have : bytes;
    memcpy(buffer, connection->in, done);
    connection->have -= (uint32_t)done;
    memmove(connection->in, connection->in + done, connection->have);
    bool well = true;
    while (well && done < bytes) {
        ssize_t got = recv(connection->fd, buffer + done, bytes - done, 0);
        if (got < 0 && errno == EINTR)
            continue;
        well = got > 0;
        done += well ? (size_t)got : 0;
    }
    well = well && send_all(connection->fd, buffer, bytes);
    free(buffer);
    return well;
}

static bool do_wait(struct connection *connection, uint64_t ms, bool busy)
{
    if (ms > WAIT_MAX_MS)
        ms = WAIT_MAX_MS;
    uint64_t end = now_ms() + ms;
    if (!busy)
        sleep_ms(ms);
    while (busy && now_ms() < end)
        ;
    return answer(connection->fd, "ok\n", 3);
}

static bool do_stream(struct connection *connection, uint64_t ms)
{
    char line[32];
    for (uint64_t number = 1;; number++) {
        if (!answer(connection->fd, line, snprintf(line, sizeof line, "%" PRIu64 "\n", number)))
            return false;
        sleep_ms(ms == 0 ? 1 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms);
    }
}

static bool do_reboot(struct connection *connection, int how)
{
    pthread_mutex_lock(&connection->service->pool.lock);
    answer(connection->fd, "ok\n", 3);
    close(connection->fd);
    if (connection->service->log.fd >= 0)
        close(connection->service->log.fd);
    pthread_mutex_lock(&connection->service->kv.lock);
    if (connection->service->kv.fd >= 0)
        close(connection->service->kv.fd);
    sync();
    if (umount("/data") < 0)
        mount(NULL, "/data", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    reboot(how);
    return false;
}

/* This program is the init that no kernel goes on without. */
static bool do_crash(struct connection *connection)
{
    answer(connection->fd, "ok\n", 3);
    _exit(1);
}

/* One line, without its newline. False ends the connection. */
static bool obey(struct connection *connection, char *line)
{
    char *words = strchr(line, ' ');
    if (words)
        *words++ = '\0';
    else
        words = line + strlen(line);
    uint64_t number = strtoull(words, NULL, 10);
    if (!strcmp(line, "count"))
        return do_count(connection, words);
    if (!strcmp(line, "get"))
        return do_get(connection->fd, &connection->service->kv, words);
    if (!strcmp(line, "put"))
        return do_put(connection->fd, &connection->service->kv, words);
    if (!strcmp(line, "cas"))
        return do_cas(connection->fd, &connection->service->kv, words);
    if (!strcmp(line, "dump"))
        return do_dump(connection->fd, &connection->service->kv);
    if (!strcmp(line, "stats"))
        return do_stats(connection);
    if (!strcmp(line, "memsum"))
        return do_memsum(connection);
    if (!strcmp(line, "disksum"))
        return do_disksum(connection);
    if (!strcmp(line, "echo"))
        return do_echo(connection, number);
    if (!strcmp(line, "spin") || !strcmp(line, "idle"))
        return do_wait(connection, number, line[0] == 's');
    if (!strcmp(line, "stream"))
        return do_stream(connection, number);
    if (!strcmp(line, "poweroff"))
        return do_reboot(connection, RB_POWER_OFF);
    if (!strcmp(line, "reboot"))
        return do_reboot(connection, RB_AUTOBOOT);
    if (!strcmp(line, "crash"))
        return do_crash(connection);
    return say_error(connection->fd, "unknown command", line);
}

static void *serve_connection(void *argument)
{
    struct connection *connection = argument;
    for (;;) {
        char *end = memchr(connection->in, '\n', connection->have);
        if (end) {
            char line[LINE_BYTES];
            size_t length = (size_t)(end - connection->in);
            memcpy(line, connection->in, length);
            line[length > 0 && line[length - 1] == '\r' ? length - 1 : length] = '\0';
            connection->have -= (uint32_t)length + 1;
            memmove(connection->in, end + 1, connection->have);
            if (!obey(connection, line))
                break;
            continue;
        }
        if (connection->have == LINE_BYTES) {
            say_error(connection->fd, "line", "longer than 511 bytes");
            break;
        }
        ssize_t got = recv(connection->fd, connection->in + connection->have, LINE_BYTES - connection->have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        connection->have += (uint32_t)got;
    }
    close(connection->fd);
    __atomic_sub_fetch(&connection->service->connections, 1, __ATOMIC_RELAXED);
    free(connection);
    return NULL;
}

static void accept_one(struct service *service, int fd, const pthread_attr_t *attributes)
{
    static const int on = 1;
    pthread_t thread;
    struct connection *connection = NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (__atomic_add_fetch(&service->connections, 1, __ATOMIC_RELAXED) <= CONNECTIONS_MAX)
        connection = calloc(1, sizeof *connection);
    if (connection) {
        connection->service = service;
        connection->fd = fd;
        if (pthread_create(&thread, attributes, serve_connection, connection) == 0)
            return;
    }
    say_error(fd, "busy", "too many connections");
    close(fd);
    free(connection);
    __atomic_sub_fetch(&service->connections, 1, __ATOMIC_RELAXED);
}

/* A listening socket on all addresses, or -1. */
static int service_listen(void)
{
    static const int on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(SERVICE_PORT), .sin_addr.s_addr = INADDR_ANY};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 128) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Serves for ever. */
static void service_run(struct service *service, int listener)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            accept_one(service, fd, &attributes);
        else if (errno != EINTR && errno != ECONNABORTED)
            sleep_ms(10); /* out of descriptors or memory: clients wait in the backlog */
    }
}

#endif
