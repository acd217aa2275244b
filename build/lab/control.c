/* The lab's commands, a line each:
 *   fail read|write|sync NAME ERRNO   fails on the file of this name ("*": all), with this number
 *   slow NAME MS                      syncs of the file take this long
 *   quota BYTES                       that all files may take; 0: no bound
 *   heal                              no faults any more
 *   sync                              everything is durable, as when a host is shut down in order
 *   pending                           what is not
 *   lose                              power is lost: all that was not synced is gone, nothing is answered any more
 *   lose SEED                         the same, but a part that the seed picks has become durable */
#include "storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER(...) snprintf(answer, bytes, __VA_ARGS__)

static int add_fault(struct served *v, const struct fault *fault)
{
    for (int i = 0; i < FAULTS; i++) {
        if (v->storage.faults[i].kind == FAULT_NONE) {
            v->storage.faults[i] = *fault;
            return 0;
        }
    }
    return -ENOSPC;
}

static int read_fault(const char *line, struct fault *f)
{
    char what[16];
    if (sscanf(line, "slow %255s %u", f->name, &f->ms) == 2) {
        f->kind = FAULT_SLOW;
        return 0;
    }
    if (sscanf(line, "fail %15s %255s %d", what, f->name, &f->error) != 3 || f->error <= 0)
        return -EINVAL;
    f->kind = strcmp(what, "read") == 0 ? FAULT_READ : strcmp(what, "write") == 0 ? FAULT_WRITE : strcmp(what, "sync") == 0 ? FAULT_SYNC : FAULT_NONE;
    return f->kind == FAULT_NONE ? -EINVAL : 0;
}

static int sync_everything(struct storage *s)
{
    int r = tree_sync_names(s, &s->root);
    for (struct node *n = s->root.next; r == 0 && n; n = n->next)
        r = S_ISDIR(n->mode) ? tree_sync_names(s, n) : content_sync(s, n);
    tree_sweep(s);
    return r;
}

static void count_pending(const struct storage *s, char *answer, size_t bytes)
{
    unsigned changes = 0, names = 0;
    for (const struct node *n = s->root.next; n; n = n->next) {
        names += (unsigned)tree_name_pending(n);
        for (const struct change *c = n->changes; c; c = c->next)
            changes++;
    }
    ANSWER("ok {\"changes\":%u,\"bytes\":%llu,\"names\":%u,\"syncs\":%llu}", changes, (unsigned long long)s->pending, names,
           (unsigned long long)s->syncs);
}

static void lose(struct served *v, const char *seed, char *answer, size_t bytes)
{
    struct remains left = {0};
    char *end;
    uint64_t number = strtoull(seed, &end, 10);
    if (*end) {
        ANSWER("error the seed is not a number");
        return;
    }
    content_lose_power(&v->storage, *seed != 0, number, &left);
    ANSWER("ok {\"kept\":%llu,\"torn\":%llu,\"dropped\":%llu,\"names\":%llu,\"lostNames\":%llu}", (unsigned long long)left.kept,
           (unsigned long long)left.torn, (unsigned long long)left.dropped, (unsigned long long)left.names, (unsigned long long)left.lost_names);
}

void control_command(struct served *v, char *line, char *answer, size_t bytes)
{
    struct storage *s = &v->storage;
    struct fault fault = {0};
    unsigned long long quota;
    int r = 0;
    if (strncmp(line, "lose", 4) == 0 && (line[4] == 0 || line[4] == ' ')) {
        lose(v, line[4] ? line + 5 : line + 4, answer, bytes);
        return;
    }
    if (strcmp(line, "pending") == 0) {
        count_pending(s, answer, bytes);
        return;
    }
    if (strcmp(line, "heal") == 0) {
        memset(s->faults, 0, sizeof s->faults);
        s->quota = 0;
    } else if (strcmp(line, "sync") == 0) {
        r = sync_everything(s);
    } else if (sscanf(line, "quota %llu", &quota) == 1) {
        s->quota = quota;
    } else {
        r = read_fault(line, &fault);
        if (r == 0)
            r = add_fault(v, &fault);
    }
    if (r)
        ANSWER("error %s", strerror(-r));
    else
        ANSWER("ok {}");
}
