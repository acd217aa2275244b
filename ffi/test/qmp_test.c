/* What the monitor's client promises about lines, as QEMU writes them: with a carriage return, in any pieces. */
#include "check.h"
#include "qmp.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
}

int main(void)
{
    int pair[2];
    struct seen seen = { 0 };
    const char *line = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) || fcntl(pair[0], F_SETFL, O_NONBLOCK))
        abort();
    struct qmp q = { .fd = pair[0], .on_event = on_event, .context = &seen };
    say(pair[1], SHUTDOWN "\r\n");
    CHECK(qmp_poll(&q, &line) == 0 && seen.events == 1 && seen.whole == 1, "an event is handed on without the end of its line");
    say(pair[1], SHUTDOWN "\n");
    CHECK(qmp_poll(&q, &line) == 0 && seen.whole == 2, "also when its line ends by a newline alone");
    say(pair[1], "{\"timestamp\": {\"seconds\": 7, ");
    CHECK(qmp_poll(&q, &line) == 0 && seen.events == 2, "half a line is nothing yet");
    say(pair[1], "\"microseconds\": 9}, \"event\": \"SHUTDOWN\", \"data\": {\"guest\": true}}\r\n" STOP "\r\n{\"return\": {}}\r\n{\"error\"");
    CHECK(qmp_poll(&q, &line) == 1 && strcmp(line, "{\"return\": {}}") == 0, "a return ends the wait and is whole");
    CHECK(seen.whole == 3 && seen.events == 3 && q.stop_us == 7000009, "STOP is a time stamp, not an event");
    say(pair[1], ": {}}\r\n");
    CHECK(qmp_poll(&q, &line) == -ISF_EQEMU && strcmp(line, "{\"error\": {}}") == 0, "an error is one");
    qmp_close(&q);
    close(pair[1]);
    return check_end();
}
