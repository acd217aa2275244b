/* The event socket: lines of JSON, whole and in order, for one reader that may be late, slow or replaced. */
#include "check.h"
#include "events.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char path[80];

struct reader { int fd; char *text; size_t length, capacity; };

static struct reader reader_open(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct reader r = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .text = malloc(8 << 20), .capacity = 8 << 20};
    strcpy(a.sun_path, path);
    if (connect(r.fd, (struct sockaddr *)&a, sizeof a))
        abort();
    return r;
}

static void reader_close(struct reader *r)
{
    close(r->fd);
    free(r->text);
}

/* Reads until `lines` lines are there, the end, or 5 s without anything. Returns the lines. */
static size_t reader_take(struct reader *r, size_t lines)
{
    for (;;) {
        size_t n = 0;
        for (size_t i = 0; i < r->length; i++)
            n += r->text[i] == '\n';
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        if (n >= lines || poll(&p, 1, 5000) != 1)
            return n;
        ssize_t k = recv(r->fd, r->text + r->length, r->capacity - r->length, 0);
        if (k <= 0)
            return n;
        r->length += (size_t)k;
    }
}

/* True when the reader has been hung up on. */
static int reader_ended(struct reader *r)
{
    reader_take(r, SIZE_MAX);
    return recv(r->fd, r->text, 1, MSG_DONTWAIT) == 0;
}

/* All lines are whole events "n" with numbers that grow by one from `first`. Returns how many, -1 if not. */
static long in_order(const struct reader *r, long first)
{
    long n = 0;
    for (const char *at = r->text, *end; at < r->text + r->length; at = end + 1) {
        long number = -1;
        char tail[8] = "";
        end = memchr(at, '\n', (size_t)(r->text + r->length - at));
        if (!end)
            return -1;
        if (strncmp(at, "{\"event\":\"n\",\"t_us\":", 20) || !(at = strstr(at, "\"number\":")) || sscanf(at, "\"number\":%ld%7[^\n]", &number, tail) != 2 ||
            number != first + n || strncmp(tail, ",\"pad\"", 6) || end[-1] != '}')
            return -1;
        n++;
    }
    return n;
}

static void send_numbers(struct events *e, long first, long count, int pad)
{
    for (long i = first; i < first + count; i++)
        events_send(e, "n", "\"number\":%ld,\"pad\":\"%0*d\"", i, pad, 0);
}

static struct events *open_events(void)
{
    struct events *e = malloc(sizeof *e);
    if (events_open(e, path))
        abort();
    return e;
}

static void close_events(struct events *e)
{
    events_close(e);
    free(e);
}

static void test_late_reader(void)
{
    struct events *e = open_events();
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "the socket is for its owner alone");
    send_numbers(e, 0, 500, 20);
    struct reader r = reader_open();
    CHECK(reader_take(&r, 500) == 500 && in_order(&r, 0) == 500, "events from before the reader came are kept, in order");
    events_send_json(e, "control", "message", (const uint8_t *)"{\"a\":[1,2]}", 11);
    events_send(e, "plain", NULL);
    r.length = 0;
    reader_take(&r, 2);
    r.text[r.length] = 0;
    CHECK(strstr(r.text, ",\"message\":{\"a\":[1,2]}}\n{\"event\":\"plain\",\"t_us\":") && strstr(r.text, "}\n") && !strstr(r.text, ",}"),
          "raw JSON is passed on as it is, and an event may have nothing but its time");
    char *large = malloc(3001);
    memset(large, 'x', 3000);
    large[3000] = 0;
    events_send(e, "long", "\"text\":\"%s\"", large);
    send_numbers(e, 7, 1, 1);
    r.length = 0;
    reader_take(&r, 1);
    CHECK(in_order(&r, 7) == 1, "an event that is too long is left out as a whole");
    free(large);
    reader_close(&r);
    close_events(e);
    CHECK(access(path, F_OK) == -1, "after the end the socket is gone");
}

static void test_bound(void)
{
    struct events *e = open_events();
    send_numbers(e, 0, 3000, 900);
    CHECK(e->backlog.length <= EVENTS_BACKLOG && e->dropped > 1000, "without a reader memory is bounded, and what is dropped is counted");
    struct reader r = reader_open();
    long kept = 3000 - (long)e->dropped;
    CHECK(reader_take(&r, (size_t)kept) == (size_t)kept && in_order(&r, 0) == kept, "what is kept is whole");
    reader_close(&r);
    close_events(e);
}

static void test_slow_reader(void)
{
    struct events *e = open_events();
    struct reader r = reader_open();
    send_numbers(e, 0, 900, 900); /* some 870 KB: far more than a socket holds; nobody reads, and this does not block */
    CHECK(reader_take(&r, 900) == 900 && in_order(&r, 0) == 900, "a slow reader gets every line when it reads on");
    reader_close(&r);
    close_events(e);
}

static void test_replaced(void)
{
    struct events *e = open_events();
    struct reader slow = reader_open();
    usleep(20000);
    send_numbers(e, 0, 1000, 900);
    int split = 0;
    for (int i = 0; i < 200 && !split; i++) { /* what the socket then takes is as much as there is room, and ends anywhere */
        if (recv(slow.fd, slow.text, 1000, 0) <= 0)
            break;
        usleep(1000);
        pthread_mutex_lock(&e->lock);
        split = e->mid_line && e->backlog.length > 100000;
        pthread_mutex_unlock(&e->lock);
    }
    CHECK(split, "(the reader that is replaced has half a line)");
    struct reader next = reader_open();
    size_t n = reader_take(&next, 1);
    long first = -1;
    if (n)
        sscanf(strstr(next.text, "\"number\":"), "\"number\":%ld", &first);
    send_numbers(e, 1000, 1, 900);
    while (first >= 0 && reader_take(&next, (size_t)(1001 - first)) < (size_t)(1001 - first) && next.length < 1 << 20)
        ;
    CHECK(first > 0 && in_order(&next, first) == 1001 - first, "a new reader begins with a whole line, and misses none after it");
    CHECK(reader_ended(&slow), "the reader that it replaces is hung up on");
    close(next.fd);
    usleep(50000);
    send_numbers(e, 2000, 5, 10);
    struct reader third = reader_open();
    CHECK(reader_take(&third, 5) == 5 && in_order(&third, 2000) == 5, "between two readers events are kept");
    free(next.text);
    reader_close(&slow);
    reader_close(&third);
    close_events(e);
}

static void *sender(void *context)
{
    void **c = context;
    for (int i = 0; i < 200; i++)
        events_send(c[0], "thread", "\"who\":\"%s\",\"i\":%d,\"again\":\"%s\"", (char *)c[1], i, (char *)c[1]);
    return NULL;
}

static void test_threads(void)
{
    struct events *e = open_events();
    pthread_t thread[4];
    void *context[4][2];
    static char name[4][2] = {"a", "b", "c", "d"};
    struct reader r = reader_open();
    for (int i = 0; i < 4; i++) {
        context[i][0] = e;
        context[i][1] = name[i];
        pthread_create(&thread[i], NULL, sender, context[i]);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    int whole = reader_take(&r, 800) == 800, next[4] = {0};
    r.text[r.length] = 0;
    for (char *at = strtok(r.text, "\n"); at; at = strtok(NULL, "\n")) {
        char who = 0, again = 0;
        int i = -1;
        char *fields = strstr(at, "\"who\"");
        whole &= fields && sscanf(fields, "\"who\":\"%c\",\"i\":%d,\"again\":\"%c\"}", &who, &i, &again) == 3 && who == again;
        whole &= who >= 'a' && who <= 'd' && i == next[who - 'a']++;
    }
    CHECK(whole, "lines of several threads are never mixed, and each thread's are in order");
    reader_close(&r);
    close_events(e);
}

static void test_escape(void)
{
    char out[64], small[16];
    events_escape(out, sizeof out, "say \"no\" \\ \t\x01 \xc3\xa9");
    CHECK(!strcmp(out, "say \\\"no\\\" \\\\ \\u0009\\u0001 \xc3\xa9"), "quotes, backslashes and control characters are escaped, other bytes stay");
    int whole = 1;
    for (size_t size = 8; size <= sizeof small; size++)
        for (int start = 0; start < 6; start++) {
            char text[40];
            memset(small, 1, sizeof small);
            memset(text, 'x', sizeof text);
            memset(text + start, '\n', 20);
            text[39] = 0;
            events_escape(small, size, text);
            size_t n = strlen(small);
            whole &= n < size && (n < 6 || small[n - 6] == '\\' || small[n - 1] == 'x');
        }
    CHECK(whole, "a text that is cut is cut between two characters, inside its bound");
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_open(void)
{
    int before = descriptors();
    struct events *e = open_events(), other;
    struct reader r = reader_open();
    send_numbers(e, 0, 1, 1);
    reader_take(&r, 1);
    CHECK(events_open(&other, path) == -EEXIST, "a second engine in the same place is refused");
    send_numbers(e, 1, 1, 1);
    CHECK(reader_take(&r, 2) == 2 && in_order(&r, 0) == 2, "and the first one keeps its reader");
    reader_close(&r);
    close_events(e);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, path);
    if (bind(fd, (struct sockaddr *)&a, sizeof a))
        abort();
    close(fd);
    CHECK(events_open(&other, path) == 0, "a socket that a dead engine left is replaced");
    events_close(&other);
    char far[200];
    memset(far, 'p', sizeof far);
    far[199] = 0;
    CHECK(events_open(&other, far) == -ENAMETOOLONG, "a path that is too long is refused");
    CHECK(descriptors() == before, "no descriptor is left");
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/isf_events_%d.sock", (int)getpid());
    test_late_reader();
    test_bound();
    test_slow_reader();
    test_replaced();
    test_threads();
    test_escape();
    test_open();
    return check_end();
}
