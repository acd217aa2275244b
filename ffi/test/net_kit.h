/* For tests that use the network: a namespace of their own, which vanishes with the process. */
#ifndef ISF_NET_KIT_H
#define ISF_NET_KIT_H

#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Moves the process to a new network namespace with loopback up. 0, or -1 (no right to). */
static inline int kit_private_network(void)
{
    struct ifreq r;
    if (unshare(CLONE_NEWNET))
        return -1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&r, 0, sizeof r);
    strcpy(r.ifr_name, "lo");
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    int failed = ioctl(fd, SIOCSIFFLAGS, &r);
    close(fd);
    return failed;
}

#endif
