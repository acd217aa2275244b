/* Asks by ARP (RFC 826) whether an IPv4 address on the LAN answers: the one thing that tells a host whose peer fell silent from a
 * host that is itself cut off. Not thread-safe. */
#ifndef ISF_LAN_PROBE_H
#define ISF_LAN_PROBE_H

#include "base.h"

struct lan_probe;

/* 0, -EINVAL (`reference` is not IPv4), -ENODEV (no such interface), -EPERM (needs CAP_NET_RAW), -errno. */
int lan_probe_open(struct lan_probe **out, const char *interface, const char *reference);
void lan_probe_close(struct lan_probe *p);
/* Readable when an answer may be there. May change after lan_probe_send; -1: the interface is gone for now. */
int lan_probe_fd(const struct lan_probe *p);
/* Asks once: straight to the station that answered last, to all when it does not answer (or none ever did). Never blocks. */
void lan_probe_send(struct lan_probe *p, uint64_t now_us);
/* Reads what came. Returns when the reference last answered a question of this host, 0 never. */
uint64_t lan_probe_receive(struct lan_probe *p, uint64_t now_us);

#endif
