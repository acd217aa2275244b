/* What the monitor's client promises: about lines, as QEMU writes them (with a carriage return, in any pieces), about monitors that are
 * late, silent, gone or too talkative. */
#include "check.h"
#include "qmp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHUTDOWN "{\"timestamp\": {\"seconds\": 7, \"microseconds\": 9}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}"
#define STOP "{\"timestamp\": {\"seconds\": 7, \"microseconds\": 9}, \"event\": \"STOP\"}"

struct seen {
    int events, whole;
};

static void on_event(void *context, const char *line, size_t length)
{
    struct seen *seen = context;
    seen->events++;
    seen->whole += length == strlen(SHUTDOWN) && strcmp(line, SHUTDOWN) == 0;
}

/* A monitor at the other end of a socket pair. */
static struct qmp open_pair(int *other, struct seen *seen)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || fcntl(pair[0], F_SETFL, O_NONBLOCK))
        abort();
    *other = pair[1];
    *seen = (struct seen){ 0 };
    return (struct qmp){ .fd = pair[0], .on_event = on_event, .context = seen };
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
}

static void test_lines(void)
{
    int other;
    struct seen seen;
    const char *line = NULL;
    struct qmp q = open_pair(&other, &seen);
    say(other, SHUTDOWN "\r\n");
    CHECK(qmp_poll(&q, &line) == 0 && seen.events == 1 && seen.whole == 1, "an event is handed on without the end of its line");
    say(other, SHUTDOWN "\n");
    CHECK(qmp_poll(&q, &line) == 0 && seen.whole == 2, "also when its line ends by a newline alone");
    say(other, "{\"timestamp\": {\"seconds\": 7, ");
    CHECK(qmp_poll(&q, &line) == 0 && seen.events == 2, "half a line is nothing yet");
    say(other, "\"microseconds\": 9}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\r\n" STOP "\r\n{\"return\": {}}\r\n{\"error\"");
    CHECK(qmp_poll(&q, &line) == 1 && strcmp(line, "{\"return\": {}}") == 0, "a return ends the wait and is whole");
    CHECK(seen.whole == 3 && seen.events == 3 && q.stop_us == 7000009, "STOP is a time stamp, not an event");
    say(other, ": {}}\r\n");
    CHECK(qmp_poll(&q, &line) == -ISF_EREFUSED && strcmp(line, "{\"error\": {}}") == 0, "an error is one");
    qmp_close(&q);
    close(other);
}

/* The same conversation, cut after every `step` bytes. */
static int in_pieces(size_t step)
{
    static const char talk[] = STOP "\r\n" SHUTDOWN "\r\n{\"return\": {\"a\": \"b \\\"c\\\" }\"}}\r\n"
                               "{\"timestamp\": {\"seconds\": 8, \"microseconds\": 1}, \"event\": \"RESUME\"}\r\n" SHUTDOWN "\r\n"
                               "{\"return\": {}}\r\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\r\n" SHUTDOWN "\r\n";
    int other, returns = 0, errors = 0, right = 1;
    struct seen seen;
    const char *line = NULL;
    struct qmp q = open_pair(&other, &seen);
    for (size_t at = 0; at < sizeof talk - 1; at += step) {
        size_t n = sizeof talk - 1 - at < step ? sizeof talk - 1 - at : step;
        if (write(other, talk + at, n) != (ssize_t)n)
            abort();
        for (int r; (r = qmp_poll(&q, &line)) != 0;) {
            returns += r == 1;
            errors += r == -ISF_EREFUSED;
            right &= r == 1 ? strncmp(line, "{\"return\": {", 12) == 0 && line[strlen(line) - 1] == '}' : strstr(line, "\"desc\": \"no\"}}") != NULL;
            if (returns + errors > 3)
                break;
        }
    }
    right &= returns == 2 && errors == 1 && seen.events == 3 && seen.whole == 3 && q.stop_us == 7000009 && q.resume_us == 8000001;
    qmp_close(&q);
    close(other);
    return right;
}

static void test_pieces(void)
{
    int right = 1;
    for (size_t step = 1; step < 400; step++)
        right &= in_pieces(step);
    CHECK(right, "however a conversation is cut into pieces, events, returns and errors come whole, once and in order");
}

static void test_endings(void)
{
    int other;
    struct seen seen;
    const char *line = NULL;
    struct qmp q = open_pair(&other, &seen);
    say(other, "{\"return\": {}}\r\n{\"ret");
    close(other);
    CHECK(qmp_poll(&q, &line) == 1 && qmp_poll(&q, &line) == -ISF_EQEMU, "a monitor that closes is lost, after what it still said");
    CHECK(qmp_send(&q, "{}", 2) == -EPIPE, "and nothing can be sent to it, without a signal");
    qmp_close(&q);
    q = open_pair(&other, &seen);
    uint64_t before = isf_now_us();
    CHECK(qmp_execute(&q, "{\"execute\":\"stop\"}", 50000, &line) == -ETIMEDOUT && isf_now_us() - before >= 50000, "a silent monitor is waited for up to the bound");
    char command[64] = "";
    CHECK(recv(other, command, sizeof command, 0) == 18 && strcmp(command, "{\"execute\":\"stop\"}") == 0, "(it had the command)");
    char noise[65536];
    memset(noise, 'x', sizeof noise);
    int r = 0;
    size_t sent = 0;
    while (r == 0 && sent < (64u << 20)) {
        ssize_t n = send(other, noise, sizeof noise, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        r = qmp_poll(&q, &line);
    }
    CHECK(r == -ISF_EQEMU && q.in.capacity <= (16u << 20), "a line without an end is given up at a bound");
    qmp_close(&q);
    close(other);
    q = open_pair(&other, &seen);
    char *long_text = calloc(1, 8u << 20);
    memset(long_text, ' ', (8u << 20) - 1);
    CHECK(qmp_send(&q, long_text, 8u << 20) == -ETIMEDOUT, "a monitor that does not read is given up");
    free(long_text);
    qmp_close(&q);
    close(other);
}

/* A monitor on a unix socket that appears late, greets, and answers qmp_capabilities by `answer`. */
static pid_t serve(const char *path, const char *answer)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    usleep(100000);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strcpy(a.sun_path, path);
    char text[256];
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 1))
        _exit(1);
    int fd = accept(listener, NULL, NULL);
    say(fd, "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n");
    if (recv(fd, text, sizeof text, 0) <= 0 || !strstr(text, "qmp_capabilities"))
        _exit(1);
    say(fd, answer);
    recv(fd, text, sizeof text, 0);
    _exit(0);
}

static void test_open(void)
{
    char path[80], far[200];
    struct qmp q = { .fd = -1 };
    snprintf(path, sizeof path, "/tmp/isf_qmp_%d.sock", (int)getpid());
    CHECK(qmp_open(&q, path, 20000) == -ENOENT && q.fd == -1, "a monitor that is not there is reported after the bound");
    memset(far, 'p', sizeof far);
    far[199] = 0;
    CHECK(qmp_open(&q, far, 1000) == -ENAMETOOLONG, "a path that is too long is refused");
    pid_t pid = serve(path, "{\"return\": {}}\r\n");
    CHECK(qmp_open(&q, path, 10000000) == 0 && q.fd >= 0, "a monitor that comes late is waited for, and its greeting left behind");
    qmp_close(&q);
    CHECK(q.fd == -1 && q.in.data == NULL, "closing leaves nothing");
    waitpid(pid, NULL, 0);
    unlink(path);
    pid = serve(path, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\r\n");
    CHECK(qmp_open(&q, path, 10000000) == -ISF_EREFUSED && q.fd == -1, "a monitor that refuses is closed");
    waitpid(pid, NULL, 0);
    unlink(path);
}

int main(void)
{
    test_lines();
    test_pieces();
    test_endings();
    test_open();
    return check_end();
}
