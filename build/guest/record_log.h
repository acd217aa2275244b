/* The demo guest's disk: /data/log, an append-only file of numbered, checksummed records. The older half is kept as
 * /data/log.old, so that a long run never fills the disk. */
#ifndef GUEST_RECORD_LOG_H
#define GUEST_RECORD_LOG_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pool.h"

#define RECORD_MAGIC 0x47554c31u
#define RECORD_MAX 65536u
#define LOG_PATH "/data/log"
#define LOG_OLD_PATH "/data/log.old"

struct record {
    uint32_t magic;
    uint32_t bytes;   /* of the whole record */
    uint64_t number;  /* 1, 2, 3, ... */
    uint64_t counter; /* what the client was told */
    uint64_t sum;     /* of what is above and of the payload */
};

struct record_log {
    int fd; /* -1: there is no disk */
    uint64_t records, offset, limit;
    uint8_t buffer[RECORD_MAX];
};

/* What reading the log back found. */
struct log_report {
    uint64_t records, first, last, bytes, digest;
    bool contiguous;
};

static uint64_t record_sum(const struct record *record, const uint8_t *payload)
{
    uint64_t sum = mix(record->bytes) ^ mix(record->number * 3) ^ mix(record->counter * 5);
    uint32_t left = record->bytes - (uint32_t)sizeof *record;
    for (; left >= 8; left -= 8, payload += 8) {
        uint64_t word;
        memcpy(&word, payload, 8);
        sum = (sum ^ word) * 0x100000001b3u;
    }
    for (; left > 0; left--, payload++)
        sum = (sum ^ *payload) * 0x100000001b3u;
    return sum;
}

static bool read_whole(int fd, void *to, size_t bytes, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t got = pread(fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Reads one file's records from the disk itself, adding to the report. Returns where the last whole record ends. */
static uint64_t log_read(const char *path, uint8_t *buffer, struct log_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* else the page cache would answer */
    uint64_t offset = 0;
    struct record *record = (struct record *)(void *)buffer;
    while (read_whole(fd, record, sizeof *record, offset)) {
        if (record->magic != RECORD_MAGIC || record->bytes < sizeof *record || record->bytes > RECORD_MAX)
            break;
        uint32_t payload = record->bytes - (uint32_t)sizeof *record;
        if (!read_whole(fd, buffer + sizeof *record, payload, offset + sizeof *record))
            break;
        if (record_sum(record, buffer + sizeof *record) != record->sum)
            break;
        if (report->records == 0)
            report->first = record->number;
        else if (record->number != report->last + 1)
            report->contiguous = false;
        report->last = record->number;
        report->records++;
        report->digest = mix(report->digest ^ record->sum);
        offset += record->bytes;
    }
    report->bytes += offset;
    close(fd);
    return offset;
}

/* Both files, oldest first. */
static uint64_t log_verify(struct record_log *log, struct log_report *report)
{
    *report = (struct log_report){.contiguous = true};
    log_read(LOG_OLD_PATH, log->buffer, report);
    return log_read(LOG_PATH, log->buffer, report);
}

/* /data is mounted. Goes on after the last whole record; what follows it was never acknowledged. 0 or -1. */
static int log_open(struct record_log *log)
{
    struct log_report report;
    struct statvfs fs;
    log->offset = log_verify(log, &report);
    log->records = report.last;
    log->fd = open(LOG_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (log->fd < 0 || ftruncate(log->fd, (off_t)log->offset) < 0 || fstatvfs(log->fd, &fs) < 0)
        return -1;
    log->limit = (uint64_t)fs.f_bsize * fs.f_blocks / 3;
    return 0;
}

static int log_rotate(struct record_log *log)
{
    if (rename(LOG_PATH, LOG_OLD_PATH) < 0)
        return -errno;
    int fd = open(LOG_PATH, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    fsync(log->fd);
    dup3(fd, log->fd, O_CLOEXEC); /* the number stays: others may be in fdatasync on it */
    close(fd);
    log->offset = 0;
    int dir = open("/data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return 0;
}

static void record_fill(uint8_t *payload, uint32_t bytes, const struct record *record, enum pool_fill fill)
{
    char line[64];
    int length = snprintf(line, sizeof line, "record %llu counter %llu all is well\n", (unsigned long long)record->number,
                          (unsigned long long)record->counter);
    for (uint32_t i = 0; i < bytes; i++)
        payload[i] = fill == FILL_RANDOM ? (uint8_t)mix(record->number * RECORD_MAX + i) : (uint8_t)line[i % (uint32_t)length];
}

/* Appends a record of `bytes`, not yet flushed. The caller holds the pool's lock. 0 or -errno. */
static int log_append(struct record_log *log, uint32_t bytes, uint64_t counter, enum pool_fill fill)
{
    struct record *record = (struct record *)(void *)log->buffer;
    if (log->fd < 0)
        return -ENODEV;
    if (bytes < sizeof *record)
        bytes = sizeof *record;
    if (bytes > RECORD_MAX)
        return -EMSGSIZE;
    if (log->offset + bytes > log->limit) {
        int failed = log_rotate(log);
        if (failed)
            return failed;
    }
    *record = (struct record){RECORD_MAGIC, bytes, log->records + 1, counter, 0};
    record_fill(log->buffer + sizeof *record, bytes - (uint32_t)sizeof *record, record, fill);
    record->sum = record_sum(record, log->buffer + sizeof *record);
    ssize_t written = pwrite(log->fd, log->buffer, bytes, (off_t)log->offset);
    if (written != (ssize_t)bytes)
        return written < 0 ? -errno : -ENOSPC;
    log->offset += bytes;
    log->records++;
    return 0;
}

#endif
