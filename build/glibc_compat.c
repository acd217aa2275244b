/* Functions that glibc 2.27 does not export under the name that newer headers and newer static libraries call, written with
 * what it does export. Linked into each library of the product, never exported from it. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Since 2.33 these are symbols of their own; before, headers turned them into __xstat and its like. On 64-bit machines the kernel's
 * structure is glibc's. */
int stat(const char *restrict path, struct stat *restrict to)
{
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, to, 0);
}

int lstat(const char *restrict path, struct stat *restrict to)
{
    return (int)syscall(SYS_newfstatat, AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW);
}

int fstat(int fd, struct stat *to)
{
    return (int)syscall(SYS_fstat, fd, to);
}

int fstatat(int fd, const char *restrict path, struct stat *restrict to, int flags)
{
    return (int)syscall(SYS_newfstatat, fd, path, to, flags);
}

int stat64(const char *restrict path, struct stat64 *restrict to) __attribute__((alias("stat")));
int lstat64(const char *restrict path, struct stat64 *restrict to) __attribute__((alias("lstat")));
int fstat64(int fd, struct stat64 *to) __attribute__((alias("fstat")));
int fstatat64(int fd, const char *restrict path, struct stat64 *restrict to, int flags) __attribute__((alias("fstatat")));

int mknod(const char *path, mode_t mode, dev_t device)
{
    return (int)syscall(SYS_mknodat, AT_FDCWD, path, mode, device);
}

/* Since 2.28 headers call fcntl by this name when files are 64 bits wide. All its arguments are words. */
int fcntl64(int fd, int command, ...)
{
    va_list list;
    va_start(list, command);
    void *argument = va_arg(list, void *);
    va_end(list);
    return fcntl(fd, command, argument);
}

/* 2.30. */
pid_t gettid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* Since 2.38 headers call these by other names, which also read binary numbers ("0b1"). */
long __isoc23_strtol(const char *text, char **end, int base);
unsigned long __isoc23_strtoul(const char *text, char **end, int base);
long long __isoc23_strtoll(const char *text, char **end, int base);
unsigned long long __isoc23_strtoull(const char *text, char **end, int base);
int __isoc23_sscanf(const char *text, const char *format, ...);
/* The old names, whatever the header makes of them. */
long old_strtol(const char *text, char **end, int base) __asm__("strtol");
unsigned long old_strtoul(const char *text, char **end, int base) __asm__("strtoul");
long long old_strtoll(const char *text, char **end, int base) __asm__("strtoll");
unsigned long long old_strtoull(const char *text, char **end, int base) __asm__("strtoull");
int old_vsscanf(const char *text, const char *format, va_list list) __asm__("vsscanf");

long __isoc23_strtol(const char *text, char **end, int base)
{
    return old_strtol(text, end, base);
}

unsigned long __isoc23_strtoul(const char *text, char **end, int base)
{
    return old_strtoul(text, end, base);
}

long long __isoc23_strtoll(const char *text, char **end, int base)
{
    return old_strtoll(text, end, base);
}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base)
{
    return old_strtoull(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int count = old_vsscanf(text, format, list);
    va_end(list);
    return count;
}
