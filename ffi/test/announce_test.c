/* Learning addresses and building announcements: byte by byte, by tcpdump, and with noise. */
#include "announce.h"
#include "check.h"

#include <stdlib.h>
#include <unistd.h>

static const uint8_t MAC[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, MAC2[6] = {0x52, 0x54, 0, 0xaa, 0xbb, 0xcc};
static const uint8_t IP4[4] = {192, 0, 2, 7};
static const uint8_t LINK_LOCAL[16] = {0xfe, 0x80, [8] = 0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56};
static const uint8_t GLOBAL6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7}, OTHER6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 99};

struct packet { uint8_t b[128]; uint32_t length; };

static struct packet frame(const uint8_t *mac, uint16_t type, uint32_t length)
{
    struct packet p = {.length = length};
    memset(p.b, 0xff, 6);
    memcpy(p.b + 6, mac, 6);
    p.b[12] = (uint8_t)(type >> 8);
    p.b[13] = (uint8_t)type;
    return p;
}

static struct packet ipv4(const uint8_t *mac, const uint8_t *ip, uint8_t hops)
{
    struct packet p = frame(mac, 0x0800, 60);
    p.b[14] = 0x45;
    p.b[22] = hops;
    memcpy(p.b + 26, ip, 4);
    return p;
}

static struct packet ipv6(const uint8_t *mac, const uint8_t *ip, uint8_t hops)
{
    struct packet p = frame(mac, 0x86dd, 86);
    p.b[14] = 0x60;
    p.b[20] = 17;
    p.b[21] = hops;
    memcpy(p.b + 22, ip, 16);
    return p;
}

/* An ICMPv6 message of neighbour discovery. */
static struct packet discovery(const uint8_t *mac, const uint8_t *ip, uint8_t type, uint8_t flags, const uint8_t *target)
{
    struct packet p = ipv6(mac, ip, 255);
    p.b[20] = 58;
    p.b[54] = type;
    p.b[58] = flags;
    memcpy(p.b + 62, target, 16);
    return p;
}

static struct packet arp(const uint8_t *mac, const uint8_t *sender_mac, const uint8_t *sender, uint16_t operation)
{
    static const uint8_t form[6] = {0, 1, 8, 0, 6, 4};
    struct packet p = frame(mac, 0x0806, 42);
    memcpy(p.b + 14, form, 6);
    p.b[21] = (uint8_t)operation;
    memcpy(p.b + 22, sender_mac, 6);
    memcpy(p.b + 28, sender, 4);
    return p;
}

static void see(struct addresses *a, struct packet p) { addresses_see(a, p.b, p.length); }

static const struct address *find(const struct addresses *a, uint8_t family, const uint8_t *ip)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->list[i].family == family && !memcmp(a->list[i].ip, ip, family == 4 ? 4 : 16))
            return &a->list[i];
    return NULL;
}

static void test_learning_ipv4(void)
{
    struct addresses a = {0};
    const uint8_t zero[4] = {0}, multicast[4] = {224, 0, 0, 1}, foreign[4] = {198, 51, 100, 1};
    see(&a, arp(MAC, MAC, zero, 1));
    CHECK(a.count == 0 && a.macs == 1, "an ARP probe teaches the MAC and no address");
    see(&a, arp(MAC, MAC2, IP4, 2));
    CHECK(a.count == 0, "an ARP reply for somebody else's MAC teaches no address");
    see(&a, ipv4(MAC, multicast, 64));
    see(&a, ipv4(MAC, zero, 64));
    CHECK(a.count == 0, "multicast and unspecified sources teach nothing");
    see(&a, ipv4(MAC, foreign, 63));
    CHECK(a.count == 0, "a packet that the guest only forwards teaches nothing");
    see(&a, ipv4(MAC, IP4, 64));
    CHECK(a.count == 1 && find(&a, 4, IP4) && !find(&a, 4, IP4)->flags, "the source of the guest's own packet is learned");
    uint64_t version = a.version;
    see(&a, ipv4(MAC, IP4, 64));
    CHECK(a.version == version, "seeing the same again changes nothing");
    see(&a, arp(MAC, MAC, IP4, 1));
    CHECK(a.count == 1 && find(&a, 4, IP4)->flags == ADDRESS_CERTAIN && a.version > version, "ARP makes an address certain");
    see(&a, ipv4(MAC2, IP4, 64));
    CHECK(a.count == 1 && !memcmp(find(&a, 4, IP4)->mac, MAC2, 6), "an address that moves to another MAC moves");
}

static void test_learning_ipv6(void)
{
    struct addresses a = {0};
    const uint8_t none[16] = {0};
    see(&a, discovery(MAC, none, 135, 0, GLOBAL6));
    CHECK(a.count == 0, "a duplicate address probe teaches no address");
    see(&a, discovery(MAC, LINK_LOCAL, 135, 0, OTHER6));
    CHECK(a.count == 1 && find(&a, 6, LINK_LOCAL), "a solicitation teaches its source and not its target");
    see(&a, discovery(MAC, LINK_LOCAL, 136, 0x20, GLOBAL6));
    CHECK(a.count == 2 && find(&a, 6, GLOBAL6)->flags == ADDRESS_CERTAIN, "an advertisement teaches its target");
    see(&a, discovery(MAC, LINK_LOCAL, 136, 0xa0, GLOBAL6));
    see(&a, ipv6(MAC, GLOBAL6, 64));
    CHECK(find(&a, 6, GLOBAL6)->flags == (ADDRESS_CERTAIN | ADDRESS_ROUTER), "a router stays one when it sends ordinary packets");
    see(&a, discovery(MAC, LINK_LOCAL, 134, 0, none));
    CHECK(find(&a, 6, LINK_LOCAL)->flags & ADDRESS_ROUTER, "a router advertisement marks its source a router");
    see(&a, ipv6(MAC, OTHER6, 63));
    CHECK(!find(&a, 6, OTHER6), "a forwarded IPv6 packet teaches nothing");
}

static void test_bounds(void)
{
    struct addresses a = {0};
    see(&a, arp(MAC, MAC, IP4, 1));
    for (uint8_t i = 0; i < 200; i++) {
        uint8_t ip[4] = {10, 0, 0, i}, mac[6] = {2, 0, 0, 0, 0, i};
        see(&a, ipv4(mac, ip, 64));
    }
    CHECK(a.count == ADDRESSES_MAX && a.macs == ADDRESSES_MACS, "addresses and MACs are bounded");
    CHECK(find(&a, 4, IP4) != NULL, "a certain address outlives any number of others");
    uint8_t newest[4] = {10, 0, 0, 199}, oldest[4] = {10, 0, 0, 5};
    CHECK(find(&a, 4, newest) && !find(&a, 4, oldest), "the least recently used makes room");
    struct addresses b = {0};
    struct packet p = arp(MAC, MAC, IP4, 1);
    p.b[6] |= 1;
    p.b[22] |= 1;
    see(&b, p);
    CHECK(b.macs == 0 && b.count == 0, "a multicast source MAC teaches nothing");
    p = ipv4(MAC, IP4, 64);
    memmove(p.b + 16, p.b + 12, 60);
    memcpy(p.b + 12, (uint8_t[]){0x81, 0, 0, 5}, 4);
    see(&b, p);
    CHECK(b.macs == 1 && b.count == 0, "a frame with a VLAN tag teaches its MAC only");
}

static void test_encoding(void)
{
    struct addresses a = {0}, b = {0};
    uint8_t buffer[ADDRESSES_ENCODED_MAX + 8], again[sizeof buffer];
    see(&a, arp(MAC, MAC, IP4, 1));
    see(&a, discovery(MAC2, LINK_LOCAL, 136, 0xa0, GLOBAL6));
    int32_t n = addresses_encode(&a, buffer, sizeof buffer);
    CHECK(n == 4 + 2 * 6 + 3 * 24, "the encoding has the length of its contents");
    CHECK(addresses_encode(&a, again, (uint32_t)n - 1) == -ENOSPC, "a buffer too small is refused");
    CHECK(addresses_decode(&b, buffer, (uint32_t)n) == 0 && addresses_encode(&b, again, sizeof again) == n && !memcmp(buffer, again, (size_t)n),
          "what is encoded decodes to the same");
    see(&a, ipv4(MAC, IP4, 64));
    CHECK(addresses_encode(&a, again, sizeof again) == n && !memcmp(buffer, again, (size_t)n), "use does not change the encoding");
    int refused = 0;
    for (int32_t i = 0; i < n; i++)
        refused += addresses_decode(&b, buffer, (uint32_t)i) < 0;
    CHECK(refused == n && addresses_decode(&b, buffer, (uint32_t)n + 1) == -ISF_ECORRUPT, "every truncation, and a byte too many, is refused");
    buffer[0] = 2;
    CHECK(addresses_decode(&b, buffer, (uint32_t)n) == -ISF_EVERSION, "another version is refused as such");
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t ip[4] = {10, 0, 1, (uint8_t)i}, mac[6] = {2, 0, 0, 0, 1, (uint8_t)i};
        see(&a, ipv4(mac, ip, 64));
    }
    CHECK(addresses_encode(&a, buffer, sizeof buffer) == (int32_t)ADDRESSES_ENCODED_MAX, "a full table fits the largest encoding");
}

/* A cheap, seeded generator: the same run each time. */
static uint32_t next(uint64_t *seed) { return (uint32_t)((*seed = *seed * 6364136223846793005u + 1442695040888963407u) >> 33); }

static void test_noise(void)
{
    uint64_t seed = 20240607;
    struct addresses a = {0};
    int bad = 0, accepted = 0;
    for (int round = 0; round < 200000; round++) {
        /* Exactly as long as it says, so that the sanitizer sees a read past it. */
        uint32_t length = next(&seed) % 100;
        uint8_t *p = malloc(length ? length : 1), out[ANNOUNCE_FRAME_MAX], again[ADDRESSES_ENCODED_MAX];
        static const uint16_t types[] = {0x0806, 0x0800, 0x86dd, 0x8100};
        for (uint32_t i = 0; i < length; i++)
            p[i] = (uint8_t)next(&seed);
        if (length >= 16 && round & 1) {
            uint16_t type = types[next(&seed) % 4];
            p[6] &= 0xfe;
            p[12] = (uint8_t)(type >> 8);
            p[13] = (uint8_t)type;
            p[14] = type == 0x86dd ? 0x60 : 0x45;
        }
        addresses_see(&a, p, length);
        if (length >= 4 && !(round & 3)) {
            p[0] = 1;
            p[1] %= 3;
            p[2] %= 4;
            p[3] = 0;
        }
        struct addresses b = {0};
        if (!addresses_decode(&b, p, length)) {
            accepted++;
            bad += addresses_encode(&b, again, sizeof again) != (int32_t)length || memcmp(again, p, length) != 0;
        }
        for (uint32_t i = 0; i < 4; i++)
            bad += announce_frame(&a, i, out) > ANNOUNCE_FRAME_MAX;
        bad += a.count > ADDRESSES_MAX || a.macs > ADDRESSES_MACS;
        free(p);
    }
    CHECK(!bad, "noise never breaks a bound");
    CHECK(accepted > 0, "and what noise the decoder accepts encodes to itself");
}

static void test_frames(void)
{
    uint8_t out[ANNOUNCE_FRAME_MAX];
    static const uint8_t request[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 192, 0, 2, 7};
    static const uint8_t reply[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6,
        0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 192, 0, 2, 7, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 192, 0, 2, 7};
    static const uint8_t reverse[60] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x80, 0x35,
        0, 1, 8, 0, 6, 4, 0, 3, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0, 0, 0, 0, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0, 0, 0, 0};
    static const uint8_t neighbour[86] = {
        0x33, 0x33, 0, 0, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 32, 58, 255, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
        0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
        136, 0, 0, 0 /* the checksum, below */, 0x20, 0, 0, 0, 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
        2, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56};
    CHECK(announce_arp(out, MAC, IP4, 0) == 60 && !memcmp(out, request, 60), "the gratuitous ARP request is right to the byte");
    CHECK(announce_arp(out, MAC, IP4, 1) == 60 && !memcmp(out, reply, 60), "the gratuitous ARP reply is right to the byte");
    CHECK(announce_rarp(out, MAC) == 60 && !memcmp(out, reverse, 60), "the RARP request is right to the byte");
    CHECK(announce_neighbour(out, MAC, GLOBAL6, 0) == 86, "a neighbour advertisement has 86 bytes");
    /* Written out: 2001+0db8+0007 (source) + ff02+0001 + 0020+003a + 8800+2000 + 2001+0db8+0007 (target) + 0201+5254+0012+3456 */
    uint32_t sum = 0x2001 + 0x0db8 + 7 + 0xff02 + 1 + 0x20 + 0x3a + 0x8800 + 0x2000 + 0x2001 + 0x0db8 + 7 + 0x0201 + 0x5254 + 0x12 + 0x3456;
    sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
    CHECK(out[56] == sum >> 8 && out[57] == (sum & 0xff), "its ICMPv6 checksum is right");
    out[56] = out[57] = 0;
    CHECK(!memcmp(out, neighbour, 86), "and all its other bytes");
    announce_neighbour(out, MAC, GLOBAL6, 1);
    CHECK(out[58] == 0xa0, "a router's advertisement says so");
}

/* Writes every announcement of a table as a capture file (pcap, link type Ethernet) and reads what tcpdump makes of it. */
static void test_tcpdump(void)
{
    struct addresses a = {0};
    char path[] = "/tmp/isf-announce-XXXXXX", command[96], line[512], text[8192] = "";
    uint8_t out[ANNOUNCE_FRAME_MAX], record[16] = {0}, head[24] = {0};
    uint32_t length, frames = 0;
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");
    see(&a, arp(MAC, MAC, IP4, 1));
    see(&a, discovery(MAC, LINK_LOCAL, 136, 0x20, GLOBAL6));
    put_le32(head, 0xa1b2c3d4);
    put_le16(head + 4, 2);
    put_le16(head + 6, 4);
    put_le32(head + 16, 65535);
    put_le32(head + 20, 1);
    fwrite(head, 1, sizeof head, f);
    for (; (length = announce_frame(&a, frames, out)); frames++) {
        put_le32(record + 8, length);
        put_le32(record + 12, length);
        fwrite(record, 1, sizeof record, f);
        fwrite(out, 1, length, f);
    }
    fclose(f);
    CHECK(frames == 1 + 2 + 2, "one RARP for the MAC, two ARPs for IPv4, an advertisement for each IPv6 address");
    snprintf(command, sizeof command, "tcpdump -t -e -n -vv -r %s 2>/dev/null", path);
    FILE *t = popen(command, "r");
    while (t && fgets(line, sizeof line, t) && strlen(text) + strlen(line) < sizeof text)
        strcat(text, line);
    int status = t ? pclose(t) : -1;
    unlink(path);
    if (status) { /* without tcpdump the bytes above stand alone */
        printf("      tcpdump is not installed: frames not decoded by it\n");
        return;
    }
    CHECK(strstr(text, "who-has 192.0.2.7") && strstr(text, "tell 192.0.2.7") && strstr(text, "Reply 192.0.2.7 is-at 52:54:00:12:34:56"),
          "tcpdump reads both ARP forms");
    CHECK(strstr(text, "Reverse Request who-is 52:54:00:12:34:56 tell 52:54:00:12:34:56"), "tcpdump reads the RARP");
    CHECK(strstr(text, "neighbor advertisement") && strstr(text, "tgt is 2001:db8::7, Flags [override]") &&
              strstr(text, "destination link-address option (2), length 8 (1): 52:54:00:12:34:56") && strstr(text, "icmp6 sum ok") &&
              !strstr(text, "bad icmp6"),
          "tcpdump reads the advertisements, and finds their checksums right");
}

int main(void)
{
    test_learning_ipv4();
    test_learning_ipv6();
    test_bounds();
    test_encoding();
    test_noise();
    test_frames();
    test_tcpdump();
    return check_end();
}
