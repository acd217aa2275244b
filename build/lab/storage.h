/* The lab's volatile storage: a FUSE file system over a plain directory, its backing, in which nothing is durable before it is synced.
 *
 *   what programs see:   nodes in memory, each file's content in a memory object
 *   what a power cut leaves:   the backing directory
 *   between them:   for each file a list of changes that were not synced; for each name where it is durable
 *
 * fsync and fdatasync bring one file's changes to the backing, a directory's fsync its names. A file that is synced and whose name is not
 * is in the staging directory beside the backing, and is gone after a power cut; so is a directory. (The kernel tells a file system of
 * this kind nothing of sync() and syncfs(): they do nothing here, which is within what they promise to nobody.) */
#ifndef LAB_STORAGE_H
#define LAB_STORAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define PATH_BYTES 4096
#define FAULTS 16
#define PENDING_MAX (1ull << 30) /* bytes of un-synced changes that are kept in all; beyond it a file's are written back, as a kernel does */

enum change_kind { CHANGE_WRITE, CHANGE_SIZE, CHANGE_ALLOCATE };

/* A change of a file's content that is not durable. */
struct change {
    struct change *next;
    enum change_kind kind;
    int mode; /* of fallocate */
    uint64_t offset, length;
    uint8_t data[];
};

/* A file or a directory. Its kernel id is its address; the root's is 1. */
struct node {
    struct node *next, *previous; /* of all, oldest first: parents come before what was made in them */
    uint64_t serial, lookups, cookie;
    uint32_t mode, uid, gid;
    struct node *parent; /* as programs see it; NULL: it has no name */
    char *name;
    int replaced;  /* it lost its name to another, by a rename */
    int durable;   /* there is something of it in the backing, or in staging */
    struct node *durable_parent; /* NULL: in staging */
    char *durable_name;
    int attributes_changed;
    int content;  /* memory object; -1: a directory */
    int backing;  /* descriptor of the durable file; -1: not open */
    struct change *changes, **last_change;
    uint64_t pending; /* bytes of the changes */
};

enum fault_kind { FAULT_NONE, FAULT_READ, FAULT_WRITE, FAULT_SYNC, FAULT_SLOW };

/* A fault of the files with a name; "*" is all. */
struct fault {
    enum fault_kind kind;
    int error; /* errno */
    uint32_t ms;
    char name[256];
};

struct storage {
    char backing[PATH_BYTES - 600], staging[PATH_BYTES - 600];
    struct node root, *last;
    uint64_t serial, cookie, pending;
    uint64_t quota;        /* bytes that all files may take; 0: no bound */
    uint64_t syncs;        /* that were answered */
    struct fault faults[FAULTS];
    int power_lost;        /* nothing is answered any more */
};

/* What a power cut left of what was not synced. */
struct remains {
    uint64_t kept, torn, dropped, names, lost_names;
};

/* ---- tree.c: 0 or -errno, unless another meaning is given ---- */
int tree_open(struct storage *s);
struct node *tree_find(struct node *dir, const char *name, struct storage *s);
int tree_create(struct storage *s, struct node *dir, const char *name, uint32_t mode, struct node **out);
void tree_unlink(struct node *n, int replaced);
int tree_rename(struct storage *s, struct node *n, struct node *dir, const char *name);
int tree_is_empty(struct storage *s, const struct node *dir);
/* The backing of a node exists, if only in staging. */
int tree_make_durable(struct storage *s, struct node *n);
/* The backing's names of this directory become those that programs see. */
int tree_sync_names(struct storage *s, struct node *dir);
/* A node's durable name becomes, or goes like, the one that programs see. */
int tree_sync_name(struct storage *s, struct node *n);
/* The durable name is not the one that programs see. */
int tree_name_pending(const struct node *n);
/* Frees what nobody can reach any more. */
void tree_sweep(struct storage *s);
void tree_clear_staging(struct storage *s);
int tree_backing(struct storage *s, struct node *n);

/* ---- content.c ---- */
int content_load(struct storage *s, struct node *n);
int content_write(struct storage *s, struct node *n, uint64_t offset, const void *data, size_t length);
int content_resize(struct storage *s, struct node *n, uint64_t size);
int content_allocate(struct storage *s, struct node *n, int mode, uint64_t offset, uint64_t length);
/* All changes of a file reach the backing. */
int content_sync(struct storage *s, struct node *n);
/* What was not synced never will be, though programs still see it: what a kernel does after a failed write-back. */
void content_forget(struct storage *s, struct node *n);
/* Power is lost now. Without `chosen` all that was not synced is gone; with it a part that `seed` picks is durable: of a file's changes any
 * subset, writes torn between sectors of 512 bytes; of names any subset. A write that comes through without an earlier one of another
 * place is a reordered one. */
void content_lose_power(struct storage *s, int chosen, uint64_t seed, struct remains *out);

/* ---- requests.c ---- */
struct served {
    int device; /* /dev/fuse */
    struct storage storage;
    struct late { uint64_t due_ms, unique; struct node *node; } late[64]; /* syncs that are answered later */
    int lates;
};
void *requests_buffer(size_t *bytes);
/* Answers the request in the buffer. Returns 0, or -errno when the device failed. */
int requests_answer(struct served *v, const void *request, size_t bytes);
/* Carries out the slow syncs that are due. Returns ms until the next, or -1. */
int requests_late(struct served *v);

/* ---- control.c ---- */
/* Carries out a command of the lab and writes the answer, a line, to `answer`. */
void control_command(struct served *v, char *line, char *answer, size_t bytes);

#endif
