/* Lines back to a client of the demo guest's service. */
#ifndef GUEST_TALK_H
#define GUEST_TALK_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

static bool send_all(int fd, const void *from, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t sent = send(fd, (const uint8_t *)from + done, bytes - done, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        done += (size_t)sent;
    }
    return true;
}

/* Answers with one line, made by snprintf with its newline. */
static bool answer(int fd, const char *line, int length) { return length > 0 && send_all(fd, line, (size_t)length); }

static bool say_error(int fd, const char *what, const char *why)
{
    char line[128];
    return answer(fd, line, snprintf(line, sizeof line, "error %s: %s\n", what, why));
}

#endif
