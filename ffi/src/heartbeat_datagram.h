/* A heartbeat on the wire: fixed size, little-endian, authenticated.
 *
 *   0 magic         4  "ISFH"
 *   4 version       2
 *   6 path          1  on which it is sent
 *   7 hears         1  bit per path: I hear you there
 *   8 session       8  of the sending process, random, never 0
 *  16 sequence      8  grows with each datagram of the session, over all paths
 *  24 sent_us       8  the sender's clock
 *  32 peer_session  8  the session that the next three speak of; 0: none
 *  40 echo_us       8  sent_us of your newest datagram on this path; 0: none
 *  48 hold_us       4  how long ago it came
 *  52 role          4
 *  56 confirmed_us  8  sent_us of your newest datagram, on any path, by which I count you alive; 0: none
 *  64 generation    8
 *  72 term          8
 *  80 epoch         8
 *  88 flags         4
 *  92 zero          4
 *  96 HMAC-SHA256 of all that, its first 16 bytes */
#ifndef ISF_HEARTBEAT_DATAGRAM_H
#define ISF_HEARTBEAT_DATAGRAM_H

#include "aead.h"
#include "heartbeat.h"

#define DATAGRAM_MAGIC 0x48465349u /* "ISFH" */
#define DATAGRAM_VERSION 1u
#define DATAGRAM_BODY 96u
#define DATAGRAM_BYTES 112u

struct datagram {
    uint8_t path, hears;
    uint32_t hold_us;
    uint64_t session, sequence, sent_us, peer_session, echo_us, confirmed_us;
    struct heartbeat_word word;
};

/* The key of heartbeats, from the pair's secret. 0 or -errno; free with mac_free. */
int datagram_key(struct mac **out, const uint8_t secret[WIRE_KEY]);
/* Encodes and signs DATAGRAM_BYTES. 0 or -EIO. */
int datagram_encode(const struct datagram *d, struct mac *key, uint8_t *out);
/* Checks everything that can be checked without memory. 0, -ISF_ECORRUPT, -ISF_EVERSION. */
int datagram_decode(struct datagram *d, struct mac *key, const uint8_t *in, size_t length);

#endif
