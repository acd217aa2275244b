/* Names: as programs see them, and as they are durable. */
#include "storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- nodes ---- */

static struct node *add_node(struct storage *s, uint32_t mode)
{
    struct node *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->mode = mode;
    n->serial = ++s->serial;
    n->content = n->backing = -1;
    n->last_change = &n->changes;
    n->previous = s->last;
    s->last->next = n;
    s->last = n;
    return n;
}

static void free_node(struct storage *s, struct node *n)
{
    content_forget(s, n);
    if (n->content >= 0)
        close(n->content);
    if (n->backing >= 0)
        close(n->backing);
    n->previous->next = n->next;
    if (n->next)
        n->next->previous = n->previous;
    else
        s->last = n->previous;
    free(n->name);
    free(n->durable_name);
    free(n);
}

static int set_name(struct storage *s, struct node *n, struct node *dir, const char *name)
{
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    free(n->name);
    n->name = copy;
    n->parent = dir;
    n->cookie = ++s->cookie;
    return 0;
}

struct node *tree_find(struct node *dir, const char *name, struct storage *s)
{
    for (struct node *n = s->root.next; n; n = n->next)
        if (n->parent == dir && strcmp(n->name, name) == 0)
            return n;
    return NULL;
}

int tree_create(struct storage *s, struct node *dir, const char *name, uint32_t mode, struct node **out)
{
    if (tree_find(dir, name, s))
        return -EEXIST;
    if (strlen(name) > 255)
        return -ENAMETOOLONG;
    struct node *n = add_node(s, mode);
    if (!n)
        return -ENOMEM;
    int r = S_ISREG(mode) ? content_load(s, n) : 0;
    if (r == 0)
        r = set_name(s, n, dir, name);
    if (r)
        free_node(s, n);
    else
        *out = n;
    return r;
}

void tree_unlink(struct node *n, int replaced)
{
    free(n->name);
    n->name = NULL;
    n->parent = NULL;
    n->replaced = replaced;
}

int tree_is_empty(struct storage *s, const struct node *dir)
{
    for (struct node *n = s->root.next; n; n = n->next)
        if (n->parent == dir)
            return 0;
    return 1;
}

int tree_rename(struct storage *s, struct node *n, struct node *dir, const char *name)
{
    struct node *old = tree_find(dir, name, s);
    if (old == n)
        return 0;
    if (strlen(name) > 255)
        return -ENAMETOOLONG;
    if (old && S_ISDIR(old->mode) != S_ISDIR(n->mode))
        return S_ISDIR(old->mode) ? -EISDIR : -ENOTDIR;
    if (old && S_ISDIR(old->mode) && !tree_is_empty(s, old))
        return -ENOTEMPTY;
    int r = set_name(s, n, dir, name);
    if (r == 0 && old)
        tree_unlink(old, 1);
    return r;
}

/* ---- what is durable ---- */

static int durable_path(struct storage *s, const struct node *n, char *path)
{
    if (n == &s->root)
        return snprintf(path, PATH_BYTES, "%s", s->backing);
    if (!n->durable_parent)
        return snprintf(path, PATH_BYTES, "%s/%llu", s->staging, (unsigned long long)n->serial);
    int length = durable_path(s, n->durable_parent, path);
    if (length < 0 || length + 258 > PATH_BYTES)
        return -1;
    return length + snprintf(path + length, (size_t)(PATH_BYTES - length), "/%s", n->durable_name);
}

int tree_backing(struct storage *s, struct node *n)
{
    char path[PATH_BYTES];
    if (n->backing >= 0)
        return 0;
    if (durable_path(s, n, path) < 0)
        return -ENAMETOOLONG;
    n->backing = open(path, O_RDWR | O_CLOEXEC);
    return n->backing < 0 ? -errno : 0;
}

int tree_make_durable(struct storage *s, struct node *n)
{
    char path[PATH_BYTES];
    if (n->durable || n == &s->root)
        return 0;
    if (durable_path(s, n, path) < 0)
        return -ENAMETOOLONG;
    if (S_ISDIR(n->mode)) {
        if (mkdir(path, 0700))
            return -errno;
    } else {
        if (n->backing >= 0)
            close(n->backing);
        n->backing = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (n->backing < 0)
            return -errno;
    }
    /* With its owner and mode from the first, as a journal of names holds them. */
    if (chmod(path, n->mode & 07777) || chown(path, n->uid, n->gid))
        return -errno;
    n->durable = 1;
    return 0;
}

static struct node *durable_at(struct storage *s, const struct node *dir, const char *name)
{
    for (struct node *n = s->root.next; n; n = n->next)
        if (n->durable && n->durable_parent == dir && strcmp(n->durable_name, name) == 0)
            return n;
    return NULL;
}

/* Renames in the backing; `dir` NULL: into staging. */
static int move_durable(struct storage *s, struct node *n, struct node *dir, const char *name)
{
    char from[PATH_BYTES], to[PATH_BYTES], *copy = dir ? strdup(name) : NULL;
    if ((dir && !copy) || durable_path(s, n, from) < 0) {
        free(copy);
        return -ENOMEM;
    }
    free(n->durable_name);
    n->durable_name = copy;
    n->durable_parent = dir;
    if (durable_path(s, n, to) < 0)
        return -ENAMETOOLONG;
    return rename(from, to) ? -errno : 0;
}

/* What nobody sees any more goes, with what is still durable below it. */
static int remove_durable(struct storage *s, struct node *n)
{
    char path[PATH_BYTES];
    int r = 0;
    for (struct node *child = s->root.next; r == 0 && child; child = child->next)
        if (child->durable && child->durable_parent == n)
            r = child->parent ? move_durable(s, child, NULL, NULL) : remove_durable(s, child);
    if (r || durable_path(s, n, path) < 0)
        return r ? r : -ENAMETOOLONG;
    r = S_ISDIR(n->mode) ? rmdir(path) : unlink(path);
    n->durable = 0;
    n->durable_parent = NULL;
    return r ? -errno : 0;
}

int tree_name_pending(const struct node *n)
{
    if (!n->parent)
        return n->durable && n->durable_parent != NULL;
    return !n->durable || n->durable_parent != n->parent || strcmp(n->durable_name, n->name) != 0;
}

int tree_sync_name(struct storage *s, struct node *n)
{
    if (!tree_name_pending(n))
        return 0;
    if (!n->parent)
        return remove_durable(s, n);
    int r = tree_make_durable(s, n->parent);
    if (r == 0)
        r = tree_make_durable(s, n);
    struct node *there = durable_at(s, n->parent, n->name);
    if (r == 0 && there && !there->parent && S_ISREG(there->mode)) {
        /* Replaced: the rename below removes it, in one step. */
        there->durable = 0;
        there->durable_parent = NULL;
    } else if (r == 0 && there) {
        r = there->parent ? move_durable(s, there, NULL, NULL) : remove_durable(s, there);
    }
    return r ? r : move_durable(s, n, n->parent, n->name);
}

int tree_sync_names(struct storage *s, struct node *dir)
{
    int r = tree_make_durable(s, dir);
    for (struct node *n = s->root.next; r == 0 && n; n = n->next)
        if (n->parent == dir)
            r = tree_sync_name(s, n);
    for (struct node *n = s->root.next; r == 0 && n; n = n->next)
        if (n->durable && n->durable_parent == dir && n->parent != dir)
            r = tree_sync_name(s, n);
    return r;
}

void tree_sweep(struct storage *s)
{
    for (struct node *n = s->last, *previous; n != &s->root; n = previous) {
        previous = n->previous;
        if (n->lookups || n->parent || (n->durable && n->durable_parent))
            continue;
        if (n->durable)
            remove_durable(s, n);
        free_node(s, n);
    }
}

void tree_clear_staging(struct storage *s)
{
    for (struct node *n = s->last; n != &s->root; n = n->previous)
        if (n->durable && !n->durable_parent)
            remove_durable(s, n);
}

/* ---- at the start ---- */

static int add_found(struct storage *s, struct node *dir, const char *name, const struct stat *st)
{
    struct node *n = add_node(s, st->st_mode);
    if (!n)
        return -ENOMEM;
    n->uid = st->st_uid;
    n->gid = st->st_gid;
    n->durable = 1;
    n->durable_parent = dir;
    n->durable_name = strdup(name);
    int r = n->durable_name ? set_name(s, n, dir, name) : -ENOMEM;
    return r || S_ISDIR(n->mode) ? r : content_load(s, n);
}

static int read_directory(struct storage *s, struct node *dir)
{
    char path[PATH_BYTES];
    if (durable_path(s, dir, path) < 0)
        return -ENAMETOOLONG;
    DIR *stream = opendir(path);
    if (!stream)
        return -errno;
    int r = 0;
    struct dirent *entry;
    while (r == 0 && (entry = readdir(stream))) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            r = -errno;
        else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
            r = add_found(s, dir, entry->d_name, &st);
        else
            r = -EOPNOTSUPP; /* only files and directories are kept here */
    }
    closedir(stream);
    return r;
}

int tree_open(struct storage *s)
{
    struct stat st;
    s->last = &s->root;
    s->root.content = s->root.backing = -1;
    s->root.last_change = &s->root.changes;
    if (stat(s->backing, &st))
        return -errno;
    if (mkdir(s->staging, 0700) && errno != EEXIST)
        return -errno;
    s->root.mode = st.st_mode;
    s->root.uid = st.st_uid;
    s->root.gid = st.st_gid;
    s->root.durable = 1;
    int r = 0;
    for (struct node *n = &s->root; r == 0 && n; n = n->next)
        if (S_ISDIR(n->mode))
            r = read_directory(s, n);
    return r;
}
