/* QEMU's monitor, as much of it as the checkpointer needs. One thread at a time. */
#ifndef ISF_QMP_H
#define ISF_QMP_H

#include "base.h"

struct qmp {
    int fd;
    struct buffer in;
    size_t taken; /* bytes of `in` that lines already taken occupy */
    void *context;
    /* Each event line other than STOP and RESUME, without its newline. */
    void (*on_event)(void *context, const char *line, size_t length);
    uint64_t stop_us, resume_us; /* QEMU's stamps of the newest STOP and RESUME, CLOCK_REALTIME microseconds */
};

/* Connects to a monitor socket and leaves its greeting behind. 0, -errno, -ISF_EQEMU. */
int qmp_open(struct qmp *q, const char *path, uint64_t timeout_us);
void qmp_close(struct qmp *q);
/* Sends bytes as they are. 0, -errno, -ETIMEDOUT. */
int qmp_send(struct qmp *q, const char *text, size_t length);
/* Reads what has come without waiting, handles events. Returns 1 when a command has returned, with the line in *line (valid until the
 * next call), 0 when not yet, -ISF_EQEMU for an error answer (also in *line) or a closed monitor. */
int qmp_poll(struct qmp *q, const char **line);
/* Waits for a return until `deadline_us` (isf_now_us). As qmp_poll, or -ETIMEDOUT. */
int qmp_await(struct qmp *q, uint64_t deadline_us, const char **line);
/* Sends a command and waits. */
int qmp_execute(struct qmp *q, const char *command, uint64_t timeout_us, const char **line);

#endif
