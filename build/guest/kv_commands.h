/* The key-value commands of the demo guest's service (service.h). */
#ifndef GUEST_KV_COMMANDS_H
#define GUEST_KV_COMMANDS_H

#include <inttypes.h>

#include "kv_store.h"
#include "talk.h"

#define KV_NOTHING "-"
#define KV_DUMP_BYTES 4096u

struct kv_words {
    char *word[4];
    int count;
    bool durable;
};

/* Splits into at most four words; a last `durable` is none of them. False: too many. */
static bool kv_split(char *line, struct kv_words *words)
{
    char *rest = NULL;
    *words = (struct kv_words){0};
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (words->count == 4)
            return false;
        words->word[words->count++] = word;
    }
    if (words->count > 2 && !strcmp(words->word[words->count - 1], "durable")) {
        words->durable = true;
        words->count--;
    }
    return true;
}

static bool kv_fits(const char *key, const char *value)
{
    return strlen(key) < KV_KEY_BYTES && strlen(value) < KV_VALUE_BYTES && strcmp(value, KV_NOTHING) != 0;
}

/* What a key holds. */
static bool kv_answer_value(int fd, const struct kv_entry *entry)
{
    char line[KV_VALUE_BYTES + 16];
    if (entry->value[0] == '\0')
        return answer(fd, "none\n", 5);
    return answer(fd, line, snprintf(line, sizeof line, "value %s\n", entry->value));
}

static bool do_get(int fd, struct kv_store *store, char *line)
{
    struct kv_words words;
    struct kv_entry found = {0};
    if (!kv_split(line, &words) || words.count != 1)
        return say_error(fd, "get", "it needs KEY");
    pthread_mutex_lock(&store->lock);
    struct kv_entry *entry = kv_find(store, words.word[0]);
    if (entry)
        found = *entry;
    pthread_mutex_unlock(&store->lock);
    return kv_answer_value(fd, &found);
}

/* `old`: what must be there; NULL for anything. */
static bool kv_change_if(int fd, struct kv_store *store, const struct kv_words *words, const char *old)
{
    struct kv_entry change = {0}, found = {0};
    uint64_t number = 0;
    char line[32];
    int failed = 0;
    bool refused = false;
    const char *key = words->word[0], *value = words->word[words->count - 1];
    if (!kv_fits(key, value))
        return say_error(fd, "change", "a key has at most 23 bytes, a value at most 31, and is not -");
    strcpy(change.key, key);
    strcpy(change.value, value);
    pthread_mutex_lock(&store->lock);
    struct kv_entry *entry = kv_find(store, key);
    if (entry)
        found = *entry;
    refused = old && strcmp(old, entry ? entry->value : KV_NOTHING) != 0;
    if (!refused)
        failed = kv_change(store, &change, words->durable, &number);
    pthread_mutex_unlock(&store->lock);
    if (failed)
        return say_error(fd, "change", strerror(-failed));
    if (refused)
        return kv_answer_value(fd, &found);
    return answer(fd, line, snprintf(line, sizeof line, "ok %" PRIu64 "\n", number));
}

static bool do_put(int fd, struct kv_store *store, char *line)
{
    struct kv_words words;
    if (!kv_split(line, &words) || words.count != 2)
        return say_error(fd, "put", "it needs KEY VALUE [durable]");
    return kv_change_if(fd, store, &words, NULL);
}

static bool do_cas(int fd, struct kv_store *store, char *line)
{
    struct kv_words words;
    if (!kv_split(line, &words) || words.count != 3)
        return say_error(fd, "cas", "it needs KEY OLD NEW [durable]");
    return kv_change_if(fd, store, &words, words.word[1]);
}

struct kv_dump {
    int fd;
    bool well;
    size_t have;
    char text[KV_DUMP_BYTES];
};

static void kv_dump_line(struct kv_dump *dump, const char *what, const char *key, const char *value)
{
    if (dump->have > KV_DUMP_BYTES - 128) {
        dump->well = dump->well && send_all(dump->fd, dump->text, dump->have);
        dump->have = 0;
    }
    dump->have += (size_t)snprintf(dump->text + dump->have, KV_DUMP_BYTES - dump->have, "%s %s %s\n", what, key, value);
}

/* Both as they were at one moment: records are never changed, and there are more only after this. */
static bool do_dump(int fd, struct kv_store *store)
{
    struct kv_entry entries[KV_KEYS_MAX];
    struct kv_dump dump = {.fd = fd, .well = true};
    struct kv_record record;
    char number[24];
    pthread_mutex_lock(&store->lock);
    uint64_t records = store->records;
    uint32_t keys = store->keys;
    memcpy(entries, store->entries, sizeof entries);
    pthread_mutex_unlock(&store->lock);
    if (store->fd >= 0)
        posix_fadvise(store->fd, 0, 0, POSIX_FADV_DONTNEED); /* else the page cache would answer */
    for (uint64_t i = 1; i <= records && dump.well; i++) {
        snprintf(number, sizeof number, "%" PRIu64, i);
        if (kv_read(store->fd, i, &record)) {
            kv_dump_line(&dump, number, record.key, record.value);
        } else {
            kv_dump_line(&dump, "damaged", number, "-");
            break;
        }
    }
    for (uint32_t i = 0; i < keys; i++)
        kv_dump_line(&dump, "key", entries[i].key, entries[i].value);
    kv_dump_line(&dump, "end", "-", "-");
    return dump.well && send_all(fd, dump.text, dump.have);
}

#endif
