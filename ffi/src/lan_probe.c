#include "lan_probe.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ARP_FRAME 42u           /* Ethernet header and an IPv4 ARP packet */
#define REOPEN_US 1000000u      /* how often a lost interface is looked for, or a silent one looked at anew */
#define UNICAST_US 200000u      /* a station that has not answered for so long is no longer asked alone */

struct lan_probe {
    int fd;
    char interface[IFNAMSIZ];
    uint8_t mac[6], station[6]; /* mine; of whoever answered last */
    uint8_t mine[4], reference[4];
    uint64_t answer_us, opened_us;
};

/* Lets through ARP replies whose sender is the reference, so that the LAN's other talk does not wake the heartbeat. */
static int filter(int fd, const uint8_t reference[4])
{
    uint32_t address = (uint32_t)reference[0] << 24 | (uint32_t)reference[1] << 16 | (uint32_t)reference[2] << 8 | reference[3];
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 20), /* operation */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 28), /* sender's IPv4 address */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, address, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ? -errno : 0;
}

static int open_on(struct lan_probe *p)
{
    struct ifreq r;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); /* protocol 0: receives nothing before bind */
    if (fd < 0)
        return -errno;
    memset(&r, 0, sizeof r);
    memcpy(r.ifr_name, p->interface, IFNAMSIZ);
    int result = ioctl(fd, SIOCGIFINDEX, &r) ? -errno : 0;
    int index = r.ifr_ifindex;
    result = result ? result : ioctl(fd, SIOCGIFHWADDR, &r) ? -errno : 0;
    if (!result)
        memcpy(p->mac, r.ifr_hwaddr.sa_data, 6);
    memset(p->mine, 0, 4); /* without an address of its own the question is a probe in RFC 5227's sense: answered all the same */
    int inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!result && inet >= 0 && ioctl(inet, SIOCGIFADDR, &r) == 0)
        memcpy(p->mine, &((struct sockaddr_in *)&r.ifr_addr)->sin_addr, 4);
    if (inet >= 0)
        close(inet);
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = index};
    result = result ? result : filter(fd, p->reference);
    result = result ? result : bind(fd, (struct sockaddr *)&at, sizeof at) ? -errno : 0;
    if (result) {
        close(fd);
        return result;
    }
    p->fd = fd;
    return 0;
}

int lan_probe_open(struct lan_probe **out, const char *interface, const char *reference)
{
    struct lan_probe *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->fd = -1;
    int r = inet_pton(AF_INET, reference, p->reference) == 1 ? 0 : -EINVAL;
    if (!r && (!interface || !interface[0] || strlen(interface) >= IFNAMSIZ))
        r = -ENODEV;
    if (!r) {
        snprintf(p->interface, sizeof p->interface, "%s", interface);
        r = open_on(p);
    }
    if (r) {
        free(p);
        return r;
    }
    p->opened_us = isf_now_us();
    *out = p;
    return 0;
}

void lan_probe_close(struct lan_probe *p)
{
    if (!p)
        return;
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

int lan_probe_fd(const struct lan_probe *p)
{
    return p->fd;
}

static int lately(uint64_t then_us, uint64_t bound_us, uint64_t now_us)
{
    return then_us && now_us - then_us <= bound_us;
}

void lan_probe_send(struct lan_probe *p, uint64_t now_us)
{
    uint8_t f[ARP_FRAME];
    /* The interface may have been made anew, or have another address now. */
    if (!lately(p->answer_us, REOPEN_US, now_us) && now_us - p->opened_us > REOPEN_US) {
        if (p->fd >= 0)
            close(p->fd);
        p->fd = -1;
        p->opened_us = now_us;
        open_on(p);
    }
    if (p->fd < 0)
        return;
    if (lately(p->answer_us, UNICAST_US, now_us))
        memcpy(f, p->station, 6);
    else
        memset(f, 0xff, 6);
    memcpy(f + 6, p->mac, 6);
    /* ARP, Ethernet, IPv4, lengths 6 and 4, request */
    memcpy(f + 12, (const uint8_t[]){0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1}, 10);
    memcpy(f + 22, p->mac, 6);
    memcpy(f + 28, p->mine, 4);
    memset(f + 32, 0, 6);
    memcpy(f + 38, p->reference, 4);
    if (send(p->fd, f, sizeof f, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && (errno == ENXIO || errno == ENODEV))
        p->opened_us = 0; /* gone: look for it at the next question */
}

uint64_t lan_probe_receive(struct lan_probe *p, uint64_t now_us)
{
    for (int i = 0; i < 256 && p->fd >= 0; i++) {
        uint8_t f[128];
        ssize_t n = recv(p->fd, f, sizeof f, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        /* A reply, of the reference, to me: what it says to all or to others proves only one direction. */
        if (n >= (ssize_t)ARP_FRAME && f[20] == 0 && f[21] == 2 && memcmp(f + 28, p->reference, 4) == 0
            && memcmp(f + 32, p->mac, 6) == 0 && memcmp(f + 22, p->mac, 6) != 0) {
            memcpy(p->station, f + 22, 6);
            p->answer_us = now_us;
        }
    }
    return p->answer_us;
}
