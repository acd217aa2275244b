#include "tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_AND_VLAN 18u
#define MTU_MIN 1280u /* the least that IPv6 needs */

static int set_name(struct ifreq *r, const char *name)
{
    size_t length = strlen(name);
    if (!length || length >= IFNAMSIZ || strchr(name, '%') || strchr(name, '/'))
        return -EINVAL;
    memset(r, 0, sizeof *r);
    memcpy(r->ifr_name, name, length);
    return 0;
}

static int create(int *out, const char *name)
{
    struct ifreq r;
    int result = set_name(&r, name);
    if (result)
        return result;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno == EACCES)
            return -EPERM;
        return errno == ENOENT || errno == ENXIO || errno == ENODEV ? -ISF_EUNSUPPORTED : -errno;
    }
    r.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
    if (ioctl(fd, TUNSETIFF, &r)) {
        /* EINVAL: the name belongs to an interface that is not a TAP. */
        result = errno == EINVAL || errno == EEXIST ? -EBUSY : -errno;
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

/* Without this the host's own IPv6 speaks to the guest through the TAP (router solicitations, multicast reports). A host
 * without IPv6 has no such file, and needs none. */
static void silence_ipv6(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = write(fd, "1", 1);
    (void)n;
    close(fd);
}

static int bridge_mtu(int control, const char *bridge, uint32_t *mtu)
{
    struct ifreq r;
    int result = set_name(&r, bridge);
    if (result)
        return result;
    if (ioctl(control, SIOCGIFMTU, &r))
        return -errno;
    *mtu = (uint32_t)r.ifr_mtu;
    return 0;
}

/* Sets the MTU before joining: a bridge takes the least of its ports' unless told otherwise. */
static int configure(int control, const char *name, const char *bridge, uint32_t mtu)
{
    struct ifreq r;
    int result = set_name(&r, name);
    if (result)
        return result;
    r.ifr_mtu = (int)mtu;
    if (bridge && ioctl(control, SIOCSIFMTU, &r))
        return -errno;
    if (bridge) {
        int index = (int)if_nametoindex(name);
        if (!index)
            return -errno;
        set_name(&r, bridge);
        r.ifr_ifindex = index;
        if (ioctl(control, SIOCBRADDIF, &r))
            return errno == EOPNOTSUPP || errno == EINVAL ? -ENODEV : -errno;
    }
    set_name(&r, name);
    if (ioctl(control, SIOCGIFFLAGS, &r))
        return -errno;
    r.ifr_flags = (short)(r.ifr_flags | IFF_UP);
    return ioctl(control, SIOCSIFFLAGS, &r) ? -errno : 0;
}

int tap_open(int *out, const char *name, const char *bridge, uint32_t frame_max)
{
    uint32_t mtu = 1500;
    int tap = -1, result;
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (control < 0)
        return -errno;
    if (bridge && (result = bridge_mtu(control, bridge, &mtu)))
        goto out;
    if (mtu > frame_max - HEADER_AND_VLAN)
        mtu = frame_max - HEADER_AND_VLAN;
    if (mtu < MTU_MIN) {
        result = -EINVAL;
        goto out;
    }
    if ((result = create(&tap, name)))
        goto out;
    silence_ipv6(name);
    if ((result = configure(control, name, bridge, mtu)))
        goto out;
    *out = tap;
    tap = -1;
out:
    if (tap >= 0)
        close(tap);
    close(control);
    return result;
}
