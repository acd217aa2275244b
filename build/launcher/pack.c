/* Reading the executable's own file: footer, index, payload. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

static char sentence[PATH_BYTES * 2];

int failed(int error, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int length = vsnprintf(sentence, sizeof sentence, format, list);
    va_end(list);
    if (error != 0 && length >= 0 && (size_t)length < sizeof sentence)
        snprintf(sentence + length, sizeof sentence - (size_t)length, ": %s", strerror(error));
    return -1;
}

const char *problem(void)
{
    return sentence;
}

int join(char *out, const char *directory, const char *name)
{
    int length = snprintf(out, PATH_BYTES, "%s/%s", directory, name);
    return length > 0 && length < PATH_BYTES ? 0 : failed(0, "the path %.60s.../%s is too long", directory, name);
}

static int damaged(void)
{
    return failed(0, "this program's file is damaged (its contents do not match its own checksum): copy or build it again");
}

static uint64_t le64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* A whole number in `base` at *at, which moves past it and the blank after it. */
static int number(char **at, int base, uint64_t *value)
{
    char *end;
    if (**at < '0' || **at > '9')
        return -1;
    errno = 0;
    *value = strtoull(*at, &end, base);
    if (errno != 0 || *end != ' ')
        return -1;
    *at = end + 1;
    return 0;
}

static int read_line(struct pack *pack, char *line)
{
    if (pack->count == FILES_MAX)
        return -1;
    struct packed_file *file = &pack->files[pack->count];
    uint64_t mode;
    if (number(&line, 8, &mode) || number(&line, 10, &file->offset) || number(&line, 10, &file->packed) || number(&line, 10, &file->size))
        return -1;
    if (mode > 0777 || file->offset < pack->payload || file->offset > pack->index || file->packed > pack->index - file->offset)
        return -1;
    if (line[0] == 0 || line[0] == '/' || strstr(line, "..") != NULL)
        return -1;
    file->mode = (unsigned)mode;
    file->path = line;
    pack->count++;
    return 0;
}

int pack_open(struct pack *pack)
{
    pack->fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (pack->fd < 0)
        return failed(errno, "cannot read this program's own file at /proc/self/exe (is /proc mounted?)");
    struct stat stat;
    uint8_t footer[FOOTER_BYTES];
    if (fstat(pack->fd, &stat) || stat.st_size < FOOTER_BYTES)
        return damaged();
    uint64_t end = (uint64_t)stat.st_size - FOOTER_BYTES;
    if (pread(pack->fd, footer, sizeof footer, (off_t)end) != sizeof footer || memcmp(footer, "ISFPACK1", 8) != 0)
        return damaged();
    pack->payload = le64(footer + 8);
    pack->index = le64(footer + 16);
    uint64_t length = le64(footer + 24);
    memcpy(pack->sha256, footer + 32, 32);
    for (int i = 0; i < 32; i++)
        snprintf(pack->name + 2 * i, 3, "%02x", pack->sha256[i]);
    if (pack->payload > pack->index || pack->index > end || length != end - pack->index || length >= INDEX_MAX_BYTES)
        return damaged();
    if (pread(pack->fd, pack->text, length, (off_t)pack->index) != (ssize_t)length)
        return damaged();
    pack->text[length] = 0;
    pack->count = 0;
    char *rest = pack->text;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n"))
        if (read_line(pack, line))
            return damaged();
    return pack->count > 0 ? 0 : damaged();
}

int pack_verify(const struct pack *pack)
{
    off_t size = lseek(pack->fd, 0, SEEK_END);
    if (size < FOOTER_BYTES || (uint64_t)size - FOOTER_BYTES < pack->index)
        return damaged();
    uint64_t end = (uint64_t)size - FOOTER_BYTES;
    uint8_t *map = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, pack->fd, 0);
    if (map == MAP_FAILED)
        return failed(errno, "cannot map this program's own file");
    struct sha256 hash;
    uint8_t digest[32];
    sha256_start(&hash);
    sha256_add(&hash, map + pack->payload, end - pack->payload);
    sha256_end(&hash, digest);
    munmap(map, (size_t)size);
    return memcmp(digest, pack->sha256, sizeof digest) == 0 ? 0 : damaged();
}
