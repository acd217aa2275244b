/* The system calls of watchdog.h. */
#include "watchdog.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Number of the device in /sys/class/watchdog: /dev/watchdog is the first one. Negative: not known. */
static int device_number(const char *path)
{
    char real[PATH_MAX], *end;
    const char *stem = "/dev/watchdog";
    if (!realpath(path, real) || strncmp(real, stem, strlen(stem)))
        return -1;
    const char *digits = real + strlen(stem);
    long number = *digits ? strtol(digits, &end, 10) : 0;
    return *digits && (*end || number < 0 || number > 255) ? -1 : (int)number;
}

static int real_look(void *context, const char *path)
{
    struct stat s;
    char file[64], value = 0;
    (void)context;
    if (stat(path, &s))
        return -errno;
    if (!S_ISCHR(s.st_mode))
        return -ENOENT;
    int number = device_number(path);
    if (number < 0)
        return -ENODATA;
    snprintf(file, sizeof file, "/sys/class/watchdog/watchdog%d/nowayout", number);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, &value, 1);
    if (fd >= 0)
        close(fd);
    return n != 1 ? -ENODATA : value == '0' ? 0 : -EPERM;
}

static int real_open(void *context, const char *path)
{
    (void)context;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int real_control(void *context, int fd, unsigned long request, void *argument)
{
    (void)context;
    return ioctl(fd, request, argument) ? -errno : 0;
}

static ssize_t real_write(void *context, int fd, const void *data, size_t length)
{
    (void)context;
    ssize_t n = write(fd, data, length);
    return n < 0 ? -errno : n;
}

static int real_close(void *context, int fd)
{
    (void)context;
    return close(fd) ? -errno : 0;
}

const struct watchdog_io watchdog_io_real = { NULL, real_look, real_open, real_control, real_write, real_close };
