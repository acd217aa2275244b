/* Keeps the directory of unpacked programs from growing for ever. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    /* What cannot be removed is left; it is only rubbish. */
    (void)!remove(path);
    return 0;
}

void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* An unpacking that was killed: the lock on its directory went with it. */
static void remove_abandoned(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_tree(path);
    close(fd);
}

/* Another build's directory: nobody holds it if the exclusive lock can be had. */
static void remove_unused(const char *path)
{
    char mark[PATH_BYTES];
    if (join(mark, path, "in-use"))
        return;
    int fd = open(mark, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Under the lock whoever starts now sees that it is being removed, and unpacks anew. */
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_tree(path);
    close(fd);
}

void remove_leftovers(const char *base, const char *own_name)
{
    DIR *directory = opendir(base);
    if (directory == NULL)
        return;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        char path[PATH_BYTES];
        if (join(path, base, entry->d_name))
            continue;
        if (strncmp(entry->d_name, ".new-", 5) == 0)
            remove_abandoned(path);
        else if (strlen(entry->d_name) == NAME_BYTES - 1 && strcmp(entry->d_name, own_name) != 0)
            remove_unused(path);
    }
    closedir(directory);
}
