/* volatile-storage MOUNTPOINT BACKING STAGING CONTROL SOURCE NAMESPACE
 *
 * Mounts the storage and serves it until it is unmounted or killed; killing it is a power cut that leaves nothing un-synced. CONTROL: path
 * of a unix socket for the lab's commands (control.c). SOURCE: name of the mount, by which it is found again. NAMESPACE: file of the
 * mount namespace in which it is mounted, since a process of the lab's hosts has one of its own. Says "ready" on standard output. */
#include "storage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what, int error)
{
    fprintf(stderr, "volatile-storage: %s: %s\n", what, strerror(error));
    return 1;
}

static int enter(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = setns(fd, CLONE_NEWNS) ? -errno : 0;
    close(fd);
    return r;
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8))
        return -errno;
    return fd;
}

static int mount_at(struct served *v, const char *path, const char *source)
{
    char options[128];
    v->device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (v->device < 0)
        return -errno;
    snprintf(options, sizeof options, "fd=%d,rootmode=%o,user_id=0,group_id=0,allow_other,default_permissions", v->device, v->storage.root.mode);
    return mount(source, path, "fuse.volatile", MS_NOSUID | MS_NODEV | MS_NOATIME, options) ? -errno : 0;
}

/* One connection carries one command. */
static void serve_command(struct served *v, int listener)
{
    char line[512], answer[512];
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    size_t length = 0;
    while (length < sizeof line - 1) {
        ssize_t n = read(fd, line + length, sizeof line - 1 - length);
        if (n <= 0)
            break;
        length += (size_t)n;
        if (line[length - 1] == '\n')
            break;
    }
    if (length && line[length - 1] == '\n') {
        line[length - 1] = 0;
        control_command(v, line, answer, sizeof answer - 1);
        strcat(answer, "\n");
        if (write(fd, answer, strlen(answer)) < 0)
            fail("the lab does not listen", errno);
    }
    close(fd);
}

static int serve_requests(struct served *v, void *buffer, size_t bytes)
{
    ssize_t n = read(v->device, buffer, bytes);
    if (n >= 0)
        return requests_answer(v, buffer, (size_t)n);
    return errno == EINTR || errno == ENOENT || errno == EAGAIN ? 0 : -errno;
}

static int serve(struct served *v, int listener)
{
    size_t bytes;
    void *buffer = requests_buffer(&bytes);
    int r = buffer ? 0 : -ENOMEM;
    while (r == 0) {
        int wait_ms = v->storage.power_lost ? -1 : requests_late(v);
        /* Without power nobody is answered. */
        struct pollfd wanted[2] = {{listener, POLLIN, 0}, {v->storage.power_lost ? -1 : v->device, POLLIN, 0}};
        if (poll(wanted, 2, wait_ms) < 0 && errno != EINTR)
            r = -errno;
        if (wanted[0].revents)
            serve_command(v, listener);
        if (r == 0 && wanted[1].revents && !v->storage.power_lost)
            r = serve_requests(v, buffer, bytes);
    }
    free(buffer);
    return r == -ENODEV ? 0 : r; /* unmounted */
}

int main(int argc, char **argv)
{
    static struct served v;
    if (argc != 7) {
        fprintf(stderr, "usage: volatile-storage MOUNTPOINT BACKING STAGING CONTROL SOURCE NAMESPACE\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int r = enter(argv[6]);
    if (r)
        return fail("the mount namespace cannot be entered", -r);
    if (snprintf(v.storage.backing, sizeof v.storage.backing, "%s", argv[2]) >= (int)sizeof v.storage.backing ||
        snprintf(v.storage.staging, sizeof v.storage.staging, "%s", argv[3]) >= (int)sizeof v.storage.staging)
        return fail("a path is too long", ENAMETOOLONG);
    r = tree_open(&v.storage);
    if (r)
        return fail("the backing directory cannot be read", -r);
    int listener = listen_at(argv[4]);
    if (listener < 0)
        return fail("the control socket cannot be made", -listener);
    r = mount_at(&v, argv[1], argv[5]);
    if (r)
        return fail("it cannot be mounted", -r);
    printf("ready\n");
    fflush(stdout);
    r = serve(&v, listener);
    return r ? fail("the storage ends", -r) : 0;
}
