#include "failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The one piece of state that is not in a handle: tests set it, and it is 0 in production. */
static _Atomic int actions[FAIL_POINTS];

static const char *const names[FAIL_POINTS] = {
    [FAIL_CHECKPOINT_STOPPED] = "checkpoint-stopped",
    [FAIL_CHECKPOINT_COPIED] = "checkpoint-copied",
    [FAIL_ENCODE] = "encode",
    [FAIL_SYNC_RECORD] = "sync-record",
    [FAIL_SEND_HALF] = "send-half",
    [FAIL_SEND_BEFORE_END] = "send-before-end",
    [FAIL_COMMIT_RECEIVED] = "commit-received",
    [FAIL_STAGE_WHOLE] = "stage-whole",
    [FAIL_APPLY_HALF] = "apply-half",
    [FAIL_ACKNOWLEDGED] = "acknowledged",
    [FAIL_JOURNAL_WRITTEN] = "journal-written",
    [FAIL_JOURNAL_SYNCED] = "journal-synced",
    [FAIL_IMAGE_HALF] = "image-half",
    [FAIL_JOURNAL_TRIM] = "journal-trim",
    [FAIL_RESTORE_HALF] = "restore-half",
    [FAIL_GATE_LEASED] = "gate-leased",
    [FAIL_JOURNAL_UNSYNCED] = "journal-unsynced",
};

void failpoint(enum failpoint where)
{
    int action = atomic_load_explicit(&actions[where], memory_order_relaxed);
    if (action == 1)
        kill(getpid(), SIGKILL);
    else if (action == 2 || action == 4)
        usleep(action == 2 ? 1000000 : 3000000);
}

int failpoint_breaks(enum failpoint where)
{
    return atomic_load_explicit(&actions[where], memory_order_relaxed) == 3;
}

int failpoint_set(const char *name, int action)
{
    for (int i = 0; i < FAIL_POINTS; i++) {
        if (strcmp(names[i], name) == 0) {
            atomic_store(&actions[i], action);
            return 0;
        }
    }
    return -ENOENT;
}
