#include "heartbeat_datagram.h"

int datagram_key(struct mac **out, const uint8_t secret[WIRE_KEY])
{
    static const char label[] = "iservft-edge heartbeat 1";
    struct hkdf_input in = {secret, NULL, (const uint8_t *)label, WIRE_KEY, 0, sizeof label};
    uint8_t key[MAC_BYTES];
    int r = hkdf_sha256(&in, key, sizeof key);
    r = r ? r : mac_new(out, key, sizeof key);
    secret_wipe(key, sizeof key);
    return r;
}

int datagram_encode(const struct datagram *d, struct mac *key, uint8_t *out)
{
    uint8_t mac[MAC_BYTES];
    put_le32(out, DATAGRAM_MAGIC);
    put_le16(out + 4, DATAGRAM_VERSION);
    out[6] = d->path;
    out[7] = d->hears;
    put_le64(out + 8, d->session);
    put_le64(out + 16, d->sequence);
    put_le64(out + 24, d->sent_us);
    put_le64(out + 32, d->peer_session);
    put_le64(out + 40, d->echo_us);
    put_le32(out + 48, d->hold_us);
    put_le32(out + 52, d->word.role);
    put_le64(out + 56, d->confirmed_us);
    put_le64(out + 64, d->word.generation);
    put_le64(out + 72, d->word.term);
    put_le64(out + 80, d->word.epoch);
    put_le32(out + 88, d->word.flags);
    put_le32(out + 92, 0);
    int r = mac_compute(key, out, DATAGRAM_BODY, mac);
    memcpy(out + DATAGRAM_BODY, mac, DATAGRAM_BYTES - DATAGRAM_BODY);
    return r;
}

int datagram_decode(struct datagram *d, struct mac *key, const uint8_t *in, size_t length)
{
    uint8_t mac[MAC_BYTES];
    if (length != DATAGRAM_BYTES || get_le32(in) != DATAGRAM_MAGIC)
        return -ISF_ECORRUPT;
    if (get_le16(in + 4) != DATAGRAM_VERSION)
        return -ISF_EVERSION;
    int r = mac_compute(key, in, DATAGRAM_BODY, mac);
    if (r || !mac_equal(mac, in + DATAGRAM_BODY, DATAGRAM_BYTES - DATAGRAM_BODY))
        return -ISF_ECORRUPT;
    d->path = in[6];
    d->hears = in[7];
    d->session = get_le64(in + 8);
    d->sequence = get_le64(in + 16);
    d->sent_us = get_le64(in + 24);
    d->peer_session = get_le64(in + 32);
    d->echo_us = get_le64(in + 40);
    d->hold_us = get_le32(in + 48);
    d->word.role = get_le32(in + 52);
    d->confirmed_us = get_le64(in + 56);
    d->word.generation = get_le64(in + 64);
    d->word.term = get_le64(in + 72);
    d->word.epoch = get_le64(in + 80);
    d->word.flags = get_le32(in + 88);
    if (d->path >= HEARTBEAT_PATHS || d->hears >= 1u << HEARTBEAT_PATHS || !d->session || !d->sequence || !d->sent_us)
        return -ISF_ECORRUPT;
    return 0;
}
