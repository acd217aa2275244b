/* Finds a place for the unpacked program, and becomes it. Needs nothing from its environment: neither HOME nor PATH. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

#define BASES_MAX 4
#define ENTRY_BYTES (PATH_BYTES + 32)

/* How Deno is started; lib/cli/assets.ts has the same. */
static const char *const FLAGS[] = {
    "deno", "run", "--no-prompt", "--allow-all", "--unstable-net", "--unstable-no-legacy-abort", "--cached-only", "--no-config", "--no-lock", "--no-remote",
    "--no-npm",
};
#define FLAG_COUNT (sizeof FLAGS / sizeof FLAGS[0])

/* Where programs may be unpacked, best first. Returns how many. */
static size_t find_bases(char bases[BASES_MAX][PATH_BYTES])
{
    size_t count = 0;
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache != NULL && cache[0] == '/' && join(bases[count], cache, "iservft-edge") == 0)
        count++;
    if (geteuid() == 0)
        join(bases[count++], "/var/cache", "iservft-edge");
    else if (home != NULL && home[0] == '/' && join(bases[count], home, ".cache/iservft-edge") == 0) {
        char parent[PATH_BYTES];
        if (join(parent, home, ".cache") == 0)
            (void)!mkdir(parent, 0700);
        count++;
    }
    snprintf(bases[count++], PATH_BYTES, "/tmp/iservft-edge-%u", (unsigned)geteuid());
    return count;
}

/* Variables that would change how Deno runs: what the user has set there is meant for another Deno. */
static int is_denos(const char *entry)
{
    return strncmp(entry, "DENO_", 5) == 0 || strncmp(entry, "NODE_OPTIONS=", 13) == 0 || strncmp(entry, "ISERVFT_ASSETS=", 15) == 0 ||
           strncmp(entry, "ISERVFT_BINARY=", 15) == 0;
}

static char **environment(const char *directory)
{
    static char assets[ENTRY_BYTES], binary[ENTRY_BYTES], deno_dir[ENTRY_BYTES], no_update[] = "DENO_NO_UPDATE_CHECK=1";
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **made = calloc(count + 5, sizeof *made);
    if (made == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_denos(environ[i]))
            made[kept++] = environ[i];
    snprintf(assets, sizeof assets, "ISERVFT_ASSETS=%s", directory);
    snprintf(deno_dir, sizeof deno_dir, "DENO_DIR=%s/deno-dir", directory);
    char self[PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    snprintf(binary, sizeof binary, "ISERVFT_BINARY=%s", self);
    made[kept++] = assets;
    made[kept++] = deno_dir;
    made[kept++] = binary;
    made[kept] = no_update;
    return made;
}

/* Returns only if it failed. */
static int become(const char *directory, int argc, char **argv)
{
    char deno[PATH_BYTES], script[PATH_BYTES];
    char **env = environment(directory);
    const char **args = calloc(FLAG_COUNT + (size_t)argc + 2, sizeof *args);
    if (env == NULL || args == NULL)
        return failed(ENOMEM, "cannot start");
    if (join(deno, directory, "deno") || join(script, directory, "app/main.js"))
        return -1;
    memcpy(args, FLAGS, sizeof FLAGS);
    args[FLAG_COUNT] = script;
    for (int i = 1; i < argc; i++)
        args[FLAG_COUNT + (size_t)i] = argv[i];
    execve(deno, (char *const *)args, env);
    return failed(errno, "cannot run %s", deno);
}

int main(int argc, char **argv)
{
    static struct pack pack;
    static char bases[BASES_MAX][PATH_BYTES];
    if (pack_open(&pack)) {
        fprintf(stderr, "error: %s\n", problem());
        return 1;
    }
    /* What went wrong in a place is told only if no other place did. */
    static char problems[BASES_MAX][PATH_BYTES];
    size_t count = find_bases(bases), tried = 0;
    for (; tried < count; tried++) {
        char directory[PATH_BYTES];
        int result = unpacked(&pack, bases[tried], directory);
        if (result == 0)
            become(directory, argc, argv);
        snprintf(problems[tried], sizeof problems[tried], "%s", problem());
        if (result == UNPACK_DAMAGED) {
            fprintf(stderr, "error: %s\n", problem());
            return 1;
        }
    }
    for (size_t i = 0; i < tried; i++)
        fprintf(stderr, "error: %s\n", problems[i]);
    fprintf(stderr, "iservft-edge found no place to unpack itself: set XDG_CACHE_HOME to a directory with 150 MB of room, "
                    "on a file system that allows programs to run\n");
    return 1;
}
