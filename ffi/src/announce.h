/* Which addresses the guest uses, learned from the frames that it sends, and the frames that tell the LAN where they are now.
 *
 * Nothing here does I/O or reads a clock. Learned are: source MACs; sender addresses of ARP requests and replies (RFC 826; not the
 * probes of RFC 5227 2.1.1, whose sender is 0.0.0.0); sources of IPv4 and IPv6 packets that the guest itself made; targets of
 * neighbour advertisements (RFC 4861 4.4). A guest that routes also sends the packets of others: announcing their addresses
 * would draw their traffic here. Such packets have a hop count that was lowered on the way, so only those count that still have an
 * initial one (64, 128, 255). Frames with a VLAN tag teach their MAC only: an announcement without the tag would be wrong. */
#ifndef ISF_ANNOUNCE_H
#define ISF_ANNOUNCE_H

#include "base.h"

#define ADDRESSES_MAX 32u
#define ADDRESSES_MACS 8u
#define ANNOUNCE_FRAME_MAX 86u /* the longest frame that announce_frame builds: a neighbour advertisement */
/* Learning looks at no more than this of a frame. */
#define ADDRESSES_PEEK 80u
/* Longest encoding: version, two counts, MACs, addresses. */
#define ADDRESSES_ENCODED_MAX (4u + ADDRESSES_MACS * 6u + ADDRESSES_MAX * 24u)

enum { ADDRESS_CERTAIN = 1, /* from ARP or neighbour discovery: the guest answers for it. Others are forgotten first */
       ADDRESS_ROUTER = 2 }; /* its advertisements say "router": ours must too, or hosts stop using it (RFC 4861 7.2.5) */

struct address {
    uint8_t family; /* 4, 6 */
    uint8_t flags;  /* ADDRESS_... */
    uint8_t mac[6];
    uint8_t ip[16]; /* network order; IPv4 uses the first 4, the rest is zero */
    uint64_t used;  /* tick of the last frame: the least recently used makes room */
};

struct addresses {
    uint32_t count, macs, last, last_mac; /* last…: index of the last hit, tried first */
    uint64_t tick;
    uint64_t version; /* grows with each change of what addresses_encode gives */
    struct address list[ADDRESSES_MAX];
    struct { uint8_t mac[6]; uint64_t used; } mac[ADDRESSES_MACS];
};

/* Learns from one outgoing frame: `head` are its first min(length, ADDRESSES_PEEK) bytes. */
void addresses_see(struct addresses *a, const uint8_t *head, uint32_t length);
/* Encodes in a form of its own (version 1). Returns the length, or -ENOSPC. */
int32_t addresses_encode(const struct addresses *a, uint8_t *out, uint32_t size);
/* Takes over an encoding instead of what is known. Returns 0, or -ISF_EVERSION or -ISF_ECORRUPT: then nothing has changed. */
int addresses_decode(struct addresses *a, const uint8_t *in, uint32_t length);

/* Each builds one frame in `out` (ANNOUNCE_FRAME_MAX bytes) and returns its length. */
/* Gratuitous ARP, broadcast: as a request (RFC 5227 3, an announcement) or as a reply, since stacks differ in which they heed. */
uint32_t announce_arp(uint8_t *out, const uint8_t mac[6], const uint8_t ip[4], int reply);
/* Unsolicited neighbour advertisement with the override flag and the target's link-layer address, to all nodes (RFC 4861 7.2.6). */
uint32_t announce_neighbour(uint8_t *out, const uint8_t mac[6], const uint8_t ip[16], int router);
/* Reverse request (RFC 903) for the own MAC: nobody answers, but every switch learns the port. */
uint32_t announce_rarp(uint8_t *out, const uint8_t mac[6]);
/* The frame number `index` (from 0) that announces all of `a`. Returns its length, or 0 past the last. */
uint32_t announce_frame(const struct addresses *a, uint32_t index, uint8_t *out);

#endif
