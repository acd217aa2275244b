/* The head of the packed program: a static executable that unpacks what follows it in its own file, once, into a private
 * directory, and becomes Deno running what is there.
 *
 *   file    = this executable, blobs, index, footer
 *   blob    = one zstd frame with checksum and content size: one file
 *   index   = a line of text for each file: "MODE OFFSET PACKED SIZE PATH\n"; mode octal, the rest decimal, in bytes
 *   footer  = 64 bytes: "ISFPACK1", offset of the first blob, offset of the index, length of the index (u64, little-endian),
 *             SHA-256 of everything from the first blob to the end of the index
 *
 * The directory's name is that SHA-256, so another build gets another directory, and the same build finds its own again. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stddef.h>
#include <stdint.h>

#define FOOTER_BYTES 64
#define INDEX_MAX_BYTES 65536
#define FILES_MAX 256
#define PATH_BYTES 4096
#define NAME_BYTES 65
/* Every unpacked file's modification time, in seconds: one that was written to since has another. */
#define STAMP_S 1000000000

struct packed_file {
    unsigned mode;
    uint64_t offset, packed, size;
    const char *path; /* relative, no ".." */
};

struct pack {
    int fd;
    uint64_t payload, index; /* offsets */
    uint8_t sha256[32];
    char name[NAME_BYTES]; /* the same in hexadecimal */
    char text[INDEX_MAX_BYTES];
    struct packed_file files[FILES_MAX];
    size_t count;
};

/* All of these return 0, or -1 with a sentence in problem(). */

/* Opens the running executable and reads its footer and index. */
int pack_open(struct pack *pack);
/* Compares the payload with its SHA-256. Reads the whole file. */
int pack_verify(const struct pack *pack);

/* Makes sure that `base`/<name> is there and whole, unpacking if it is not; `directory` is its path. Takes a lock that marks it
 * as in use until the process, and what it becomes, ends. UNPACK_DAMAGED when this program's own file is damaged: no other place would
 * help. */
#define UNPACK_DAMAGED (-2)
int unpacked(const struct pack *pack, const char *base, char *directory);

/* Removes a directory with all that is in it, as far as that is possible. */
void remove_tree(const char *path);
/* Removes what killed unpackings left in `base`, and other builds' directories that nobody uses. */
void remove_leftovers(const char *base, const char *own_name);

/* Joins to `out` (PATH_BYTES). */
int join(char *out, const char *directory, const char *name);
/* Sets the sentence, printf-like, with errno's text after a colon if `error` is not 0. Returns -1. */
int failed(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *problem(void);

struct sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};
void sha256_start(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t length);
void sha256_end(struct sha256 *s, uint8_t digest[32]);

#endif
