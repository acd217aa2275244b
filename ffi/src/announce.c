#include "announce.h"

enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_RARP = 0x8035, TYPE_IPV6 = 0x86dd };
enum { ICMPV6 = 58, ROUTER_ADVERTISEMENT = 134, NEIGHBOUR_ADVERTISEMENT = 136 };
enum { ENCODING = 1, ENCODED_ADDRESS = 24 };
#define ETHERNET 14u
#define FRAME_MIN 60u /* shortest Ethernet frame without its checksum */

static uint16_t get_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static void put_be16(uint8_t *p, uint32_t v) { p[0] = (uint8_t)(v >> 8); p[1] = (uint8_t)v; }

static int mac_usable(const uint8_t *mac)
{
    static const uint8_t zero[6];
    return !(mac[0] & 1) && memcmp(mac, zero, 6) != 0;
}

/* An address that one host can own: not 0/8, 127/8, multicast, reserved or broadcast. */
static int ipv4_usable(const uint8_t *ip) { return ip[0] != 0 && ip[0] != 127 && ip[0] < 224; }

/* Not unspecified, loopback, IPv4-mapped or multicast. */
static int ipv6_usable(const uint8_t *ip)
{
    static const uint8_t zero[10];
    return ip[0] != 0xff && memcmp(ip, zero, 10) != 0;
}

static int hops_initial(uint8_t hops) { return hops == 64 || hops == 128 || hops == 255; }

static void see_mac(struct addresses *a, const uint8_t *mac)
{
    uint32_t slot = 0;
    if (a->last_mac < a->macs && !memcmp(a->mac[a->last_mac].mac, mac, 6)) {
        a->mac[a->last_mac].used = a->tick;
        return;
    }
    for (uint32_t i = 0; i < a->macs; i++) {
        if (!memcmp(a->mac[i].mac, mac, 6)) {
            a->mac[i].used = a->tick;
            a->last_mac = i;
            return;
        }
        if (a->mac[i].used < a->mac[slot].used)
            slot = i;
    }
    if (a->macs < ADDRESSES_MACS)
        slot = a->macs++;
    memcpy(a->mac[slot].mac, mac, 6);
    a->mac[slot].used = a->tick;
    a->last_mac = slot;
    a->version++;
}

/* The slot that a new address gets: a free one, else the least recently used of those that are not certain, else of all. */
static uint32_t slot_for(struct addresses *a)
{
    uint32_t slot = 0;
    if (a->count < ADDRESSES_MAX)
        return a->count++;
    for (uint32_t i = 1; i < a->count; i++) {
        int certain = a->list[i].flags & ADDRESS_CERTAIN, best = a->list[slot].flags & ADDRESS_CERTAIN;
        if (certain < best || (certain == best && a->list[i].used < a->list[slot].used))
            slot = i;
    }
    return slot;
}

static int same_ip(const struct address *e, uint8_t family, const uint8_t *ip, uint32_t bytes)
{
    return e->family == family && !memcmp(e->ip, ip, bytes);
}

/* `keep`: flags that stay as they are when the address is known already; the others are taken from `flags`. */
static void see_ip(struct addresses *a, uint8_t family, const uint8_t *mac, const uint8_t *ip, uint8_t flags, uint8_t keep)
{
    uint32_t bytes = family == 4 ? 4 : 16, i = a->last;
    if (i >= a->count || !same_ip(&a->list[i], family, ip, bytes))
        for (i = 0; i < a->count && !same_ip(&a->list[i], family, ip, bytes); i++)
            ;
    int known = i < a->count;
    if (!known)
        i = slot_for(a);
    struct address *e = &a->list[i];
    if (known)
        flags = (uint8_t)((flags & ~keep) | (e->flags & (keep | ADDRESS_CERTAIN)));
    a->last = i;
    if (!known || e->flags != flags || memcmp(e->mac, mac, 6) != 0) {
        memset(e, 0, sizeof *e);
        e->family = family;
        e->flags = flags;
        memcpy(e->mac, mac, 6);
        memcpy(e->ip, ip, bytes);
        a->version++;
    }
    e->used = a->tick;
}

static void see_arp(struct addresses *a, const uint8_t *head, uint32_t length)
{
    const uint8_t *p = head + ETHERNET;
    if (length < ETHERNET + 28 || get_be16(p) != 1 || get_be16(p + 2) != TYPE_IPV4 || p[4] != 6 || p[5] != 4)
        return;
    uint16_t operation = get_be16(p + 6);
    if ((operation != 1 && operation != 2) || memcmp(p + 8, head + 6, 6) != 0 || !ipv4_usable(p + 14))
        return;
    see_ip(a, 4, p + 8, p + 14, ADDRESS_CERTAIN, 0);
}

static void see_ipv6(struct addresses *a, const uint8_t *head, uint32_t length)
{
    const uint8_t *p = head + ETHERNET, *mac = head + 6;
    if (length < ETHERNET + 40 || p[0] >> 4 != 6)
        return;
    int discovery = p[6] == ICMPV6 && p[7] == 255; /* neighbour discovery never crosses a router: RFC 4861 3.1 */
    if (discovery && length >= ETHERNET + 64 && p[40] == NEIGHBOUR_ADVERTISEMENT && ipv6_usable(p + 48)) {
        uint8_t router = p[44] & 0x80 ? ADDRESS_ROUTER : 0;
        see_ip(a, 6, mac, p + 48, (uint8_t)(ADDRESS_CERTAIN | router), 0);
    }
    if (!ipv6_usable(p + 8))
        return;
    int link_local = p[8] == 0xfe && (p[9] & 0xc0) == 0x80;
    if (discovery && length >= ETHERNET + 41 && p[40] == ROUTER_ADVERTISEMENT)
        see_ip(a, 6, mac, p + 8, ADDRESS_CERTAIN | ADDRESS_ROUTER, 0);
    else if (link_local || hops_initial(p[7]))
        see_ip(a, 6, mac, p + 8, link_local ? ADDRESS_CERTAIN : 0, ADDRESS_ROUTER);
}

void addresses_see(struct addresses *a, const uint8_t *head, uint32_t length)
{
    if (length < ETHERNET || !mac_usable(head + 6))
        return;
    if (length > ADDRESSES_PEEK)
        length = ADDRESSES_PEEK;
    a->tick++;
    see_mac(a, head + 6);
    const uint8_t *p = head + ETHERNET;
    switch (get_be16(head + 12)) {
    case TYPE_ARP:
        see_arp(a, head, length);
        break;
    case TYPE_IPV4:
        if (length >= ETHERNET + 20 && p[0] >> 4 == 4 && hops_initial(p[8]) && ipv4_usable(p + 12))
            see_ip(a, 4, head + 6, p + 12, 0, 0);
        break;
    case TYPE_IPV6:
        see_ipv6(a, head, length);
        break;
    }
}

/* version, MACs, addresses, 0; 6 bytes for each MAC; family, flags, MAC, address (16) for each address. */
int32_t addresses_encode(const struct addresses *a, uint8_t *out, uint32_t size)
{
    uint32_t length = 4 + a->macs * 6 + a->count * ENCODED_ADDRESS;
    if (size < length)
        return -ENOSPC;
    uint8_t *p = out;
    *p++ = ENCODING;
    *p++ = (uint8_t)a->macs;
    *p++ = (uint8_t)a->count;
    *p++ = 0;
    for (uint32_t i = 0; i < a->macs; i++, p += 6)
        memcpy(p, a->mac[i].mac, 6);
    for (uint32_t i = 0; i < a->count; i++, p += ENCODED_ADDRESS) {
        p[0] = a->list[i].family;
        p[1] = a->list[i].flags;
        memcpy(p + 2, a->list[i].mac, 6);
        memcpy(p + 8, a->list[i].ip, 16);
    }
    return (int32_t)length;
}

static int address_valid(const uint8_t *p)
{
    static const uint8_t zero[12];
    if ((p[1] & ~(ADDRESS_CERTAIN | ADDRESS_ROUTER)) || !mac_usable(p + 2))
        return 0;
    if (p[0] == 4)
        return ipv4_usable(p + 8) && !memcmp(p + 12, zero, 12);
    return p[0] == 6 && ipv6_usable(p + 8);
}

int addresses_decode(struct addresses *a, const uint8_t *in, uint32_t length)
{
    struct addresses n = {.version = a->version + 1};
    if (length < 4)
        return -ISF_ECORRUPT;
    if (in[0] != ENCODING)
        return -ISF_EVERSION;
    if (in[1] > ADDRESSES_MACS || in[2] > ADDRESSES_MAX || in[3] || length != 4u + in[1] * 6u + in[2] * (uint32_t)ENCODED_ADDRESS)
        return -ISF_ECORRUPT;
    const uint8_t *p = in + 4;
    for (; n.macs < in[1]; n.macs++, p += 6) {
        if (!mac_usable(p))
            return -ISF_ECORRUPT;
        memcpy(n.mac[n.macs].mac, p, 6);
    }
    for (; n.count < in[2]; n.count++, p += ENCODED_ADDRESS) {
        struct address *e = &n.list[n.count];
        if (!address_valid(p))
            return -ISF_ECORRUPT;
        e->family = p[0];
        e->flags = p[1];
        memcpy(e->mac, p + 2, 6);
        memcpy(e->ip, p + 8, 16);
    }
    *a = n;
    return 0;
}

static void ethernet(uint8_t *out, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    memcpy(out, to, 6);
    memcpy(out + 6, from, 6);
    put_be16(out + 12, type);
}

/* ARP and RARP share their form (RFC 826): Ethernet, IPv4, operation, sender's and target's addresses. */
static uint32_t arp(uint8_t *out, const uint8_t *mac, uint16_t type, uint16_t operation)
{
    static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    memset(out, 0, FRAME_MIN);
    ethernet(out, everyone, mac, type);
    uint8_t *p = out + ETHERNET;
    put_be16(p, 1);
    put_be16(p + 2, TYPE_IPV4);
    p[4] = 6;
    p[5] = 4;
    put_be16(p + 6, operation);
    memcpy(p + 8, mac, 6);
    return FRAME_MIN;
}

uint32_t announce_arp(uint8_t *out, const uint8_t mac[6], const uint8_t ip[4], int reply)
{
    uint32_t length = arp(out, mac, TYPE_ARP, reply ? 2 : 1);
    memcpy(out + ETHERNET + 14, ip, 4);
    if (reply)
        memcpy(out + ETHERNET + 18, mac, 6);
    memcpy(out + ETHERNET + 24, ip, 4);
    return length;
}

uint32_t announce_rarp(uint8_t *out, const uint8_t mac[6])
{
    uint32_t length = arp(out, mac, TYPE_RARP, 3);
    memcpy(out + ETHERNET + 18, mac, 6);
    return length;
}

/* RFC 1071 over `bytes` (even) bytes, added to `sum`. */
static uint32_t ones_sum(uint32_t sum, const uint8_t *p, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 2)
        sum += get_be16(p + i);
    return sum;
}

uint32_t announce_neighbour(uint8_t *out, const uint8_t mac[6], const uint8_t ip[16], int router)
{
    static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    enum { BODY = 32 };
    memset(out, 0, ANNOUNCE_FRAME_MAX);
    ethernet(out, all_nodes_mac, mac, TYPE_IPV6);
    uint8_t *p = out + ETHERNET, *body = p + 40;
    p[0] = 0x60;
    put_be16(p + 4, BODY);
    p[6] = ICMPV6;
    p[7] = 255;
    memcpy(p + 8, ip, 16);
    memcpy(p + 24, all_nodes, 16);
    body[0] = NEIGHBOUR_ADVERTISEMENT;
    body[4] = (uint8_t)(0x20 | (router ? 0x80 : 0));
    memcpy(body + 8, ip, 16);
    body[24] = 2; /* option: target link-layer address, of one unit of 8 bytes */
    body[25] = 1;
    memcpy(body + 26, mac, 6);
    /* The pseudo-header of RFC 8200 8.1: both addresses, the length, the next header. */
    uint32_t sum = ones_sum(ones_sum(BODY + ICMPV6, p + 8, 32), body, BODY);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    put_be16(body + 2, ~sum & 0xffff);
    return ETHERNET + 40 + BODY;
}

uint32_t announce_frame(const struct addresses *a, uint32_t index, uint8_t *out)
{
    if (index < a->macs)
        return announce_rarp(out, a->mac[index].mac);
    index -= a->macs;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct address *e = &a->list[i];
        uint32_t frames = e->family == 4 ? 2 : 1;
        if (index < frames)
            return e->family == 4 ? announce_arp(out, e->mac, e->ip, (int)index)
                                  : announce_neighbour(out, e->mac, e->ip, e->flags & ADDRESS_ROUTER);
        index -= frames;
    }
    return 0;
}
