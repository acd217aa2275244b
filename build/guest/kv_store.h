/* The demo guest's key-value store: a small table in memory and, for changes that are asked to be durable, /data/kv, an append-only
 * file of numbered, checksummed records, each on stable storage before the change is seen by anybody. A guest that boots replays it. */
#ifndef GUEST_KV_STORE_H
#define GUEST_KV_STORE_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "pool.h"
#include "record_log.h"

#define KV_MAGIC 0x474b5631u
#define KV_KEY_BYTES 24u   /* with the zero at its end */
#define KV_VALUE_BYTES 32u /* with the zero at its end */
#define KV_KEYS_MAX 128u
#define KV_PATH "/data/kv"

struct kv_record {
    uint32_t magic;
    uint32_t reserved;
    uint64_t number; /* 1, 2, 3, ... */
    char key[KV_KEY_BYTES];
    char value[KV_VALUE_BYTES];
    uint64_t sum; /* of all that is above */
};

struct kv_entry {
    char key[KV_KEY_BYTES];
    char value[KV_VALUE_BYTES];
};

struct kv_store {
    pthread_mutex_t lock; /* held from before a change is written until it is seen, so that nobody reads what may be lost */
    int fd;               /* -1: there is no disk */
    bool failed;          /* a flush failed: what is on the disk is not known any more */
    uint64_t records, limit;
    uint32_t keys;
    struct kv_entry entries[KV_KEYS_MAX];
};

static uint64_t kv_sum(const struct kv_record *record)
{
    uint8_t bytes[offsetof(struct kv_record, sum)];
    uint64_t sum = KV_MAGIC;
    memcpy(bytes, record, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3u;
    return mix(sum);
}

/* The entry of a key; NULL: it holds nothing. The caller holds the lock. */
static struct kv_entry *kv_find(struct kv_store *store, const char *key)
{
    for (uint32_t i = 0; i < store->keys; i++)
        if (!strcmp(store->entries[i].key, key))
            return &store->entries[i];
    return NULL;
}

/* Both texts fit. 0 or -ENOMEM. */
static int kv_set(struct kv_store *store, const char *key, const char *value)
{
    struct kv_entry *entry = kv_find(store, key);
    if (!entry) {
        if (store->keys == KV_KEYS_MAX)
            return -ENOMEM;
        entry = &store->entries[store->keys++];
        strcpy(entry->key, key);
    }
    strcpy(entry->value, value);
    return 0;
}

/* Record `number` (from 1) as the disk has it. False: it is not there, or not whole. */
static bool kv_read(int fd, uint64_t number, struct kv_record *record)
{
    return read_whole(fd, record, sizeof *record, (number - 1) * sizeof *record) && record->magic == KV_MAGIC &&
           record->number == number && record->sum == kv_sum(record) && memchr(record->key, 0, sizeof record->key) &&
           memchr(record->value, 0, sizeof record->value);
}

/* /data is mounted. Goes on after the last whole record; what follows it was never acknowledged. 0 or -1. */
static int kv_open(struct kv_store *store)
{
    struct kv_record record;
    struct statvfs fs;
    store->fd = open(KV_PATH, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (store->fd < 0 || fstatvfs(store->fd, &fs) < 0)
        return -1;
    store->limit = (uint64_t)fs.f_bsize * fs.f_blocks / 5 / sizeof record;
    while (kv_read(store->fd, store->records + 1, &record) && kv_set(store, record.key, record.value) == 0)
        store->records++;
    /* Flushed before anybody is told of them, as each of them was when it was made. */
    if (ftruncate(store->fd, (off_t)(store->records * sizeof record)) < 0 || fsync(store->fd) < 0)
        return -1;
    /* The name of a new file is as much a part of the first promise as the record. */
    int dir = open("/data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return 0;
}

/* Appends a record and has it on stable storage. The caller holds the lock. 0 or -errno. */
static int kv_append(struct kv_store *store, const char *key, const char *value)
{
    struct kv_record record = {.magic = KV_MAGIC, .number = store->records + 1};
    if (store->fd < 0)
        return -ENODEV;
    if (store->failed)
        return -EIO;
    if (store->records == store->limit)
        return -ENOSPC;
    strcpy(record.key, key);
    strcpy(record.value, value);
    record.sum = kv_sum(&record);
    ssize_t written = pwrite(store->fd, &record, sizeof record, (off_t)(store->records * sizeof record));
    if (written != (ssize_t)sizeof record || fdatasync(store->fd) < 0) {
        store->failed = true;
        return -EIO;
    }
    store->records++;
    return 0;
}

/* Sets a key. `number`: that of the record, 0 for a change in memory only. The caller holds the lock. 0 or -errno. */
static int kv_change(struct kv_store *store, const struct kv_entry *change, bool durable, uint64_t *number)
{
    int failed = 0;
    *number = 0;
    if (!kv_find(store, change->key) && store->keys == KV_KEYS_MAX)
        return -ENOMEM;
    if (durable) {
        failed = kv_append(store, change->key, change->value);
        *number = store->records;
    }
    return failed ? failed : kv_set(store, change->key, change->value);
}

#endif
