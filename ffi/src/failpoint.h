/* Named places where a test may end or delay the process, or make something go wrong. Off, a failpoint costs one relaxed load. */
#ifndef ISF_FAILPOINT_H
#define ISF_FAILPOINT_H

enum failpoint {
    FAIL_CHECKPOINT_STOPPED,  /* "checkpoint-stopped": VM stopped, nothing copied */
    FAIL_CHECKPOINT_COPIED,   /* "checkpoint-copied": staged, nothing sent */
    FAIL_ENCODE,              /* "encode": half of an epoch encoded; action 3: no memory for the rest */
    FAIL_SYNC_RECORD,         /* "sync-record": action 3: what a broken sync sent counts as acknowledged */
    FAIL_SEND_HALF,           /* "send-half": half of an epoch's frames sent */
    FAIL_SEND_BEFORE_END,     /* "send-before-end" */
    FAIL_COMMIT_RECEIVED,     /* "commit-received": before the gate opens */
    FAIL_STAGE_WHOLE,         /* "stage-whole": backup: whole, not acknowledged */
    FAIL_APPLY_HALF,          /* "apply-half": backup: half of the pages applied */
    FAIL_ACKNOWLEDGED,        /* "acknowledged": backup: COMMIT sent, not applied */
    FAIL_JOURNAL_WRITTEN,     /* "journal-written": before fdatasync */
    FAIL_JOURNAL_SYNCED,      /* "journal-synced": before the image */
    FAIL_IMAGE_HALF,          /* "image-half": half of a batch is in the image */
    FAIL_JOURNAL_TRIM,        /* "journal-trim": image synced, journal not trimmed */
    FAIL_RESTORE_HALF,        /* "restore-half": half of the device state written to the standby QEMU */
    FAIL_GATE_LEASED,         /* "gate-leased": the lease was looked at, the frame is not yet written to the TAP */
    FAIL_JOURNAL_UNSYNCED,    /* "journal-unsynced": action 3: the journal's syncs do nothing */
    FAIL_POINTS
};

/* Does what isf_failpoint set for this place. */
void failpoint(enum failpoint where);
/* True with action 3: what is done here is to go wrong, as the place says. */
int failpoint_breaks(enum failpoint where);
/* 0, or -ENOENT for an unknown name. */
int failpoint_set(const char *name, int action);

#endif
