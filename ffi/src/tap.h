/* A TAP interface of our own on a bridge of the host (Documentation/networking/tuntap.rst). It is not persistent: it goes with the
 * descriptor, so a runner that dies takes the guest's only way out with it. */
#ifndef ISF_TAP_H
#define ISF_TAP_H

#include "base.h"

/* Creates `name`, gives it the bridge's MTU (as far as frames of `frame_max` bytes can carry it), joins `bridge` (NULL: none) and
 * sets it up. *out is a nonblocking descriptor: one frame per read and write.
 * Returns 0; -ENODEV: no such bridge, or not a bridge; -EPERM: needs CAP_NET_ADMIN; -EBUSY: the name is taken; -EINVAL: a name
 * is empty or too long; -ISF_EUNSUPPORTED: no /dev/net/tun; -errno. */
int tap_open(int *out, const char *name, const char *bridge, uint32_t frame_max);

#endif
