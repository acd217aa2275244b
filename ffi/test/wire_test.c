/* Frames in and out, and the cryptography against published vectors. */
#include "../src/wire.h"
#include "../src/aead.h"
#include "check.h"

#include <stdlib.h>

static void unhex(const char *text, uint8_t *out)
{
    for (unsigned v; sscanf(text, "%2x", &v) == 1; text += 2)
        *out++ = (uint8_t)v;
}

static int is_hex(const uint8_t *data, size_t length, const char *text)
{
    uint8_t want[64];
    unhex(text, want);
    return memcmp(data, want, length) == 0;
}

static int refused_at(const uint8_t *header, size_t at, uint32_t value, size_t bytes, int reason)
{
    uint8_t copy[WIRE_HEADER];
    struct frame f;
    memcpy(copy, header, sizeof copy);
    if (bytes == 2)
        put_le16(copy + at, (uint16_t)value);
    else
        put_le32(copy + at, value);
    return frame_decode(&f, copy) == reason;
}

static void test_header(void)
{
    struct frame f = {FRAME_PAGES, 0x80000001u, WIRE_PAYLOAD_MAX, UINT64_MAX, 2, 3, 4}, g;
    uint8_t header[WIRE_HEADER];
    frame_encode(&f, header);
    CHECK(memcmp(header, "ISFE", 4) == 0, "a frame begins with ISFE");
    CHECK(frame_decode(&g, header) == 0 && g.type == f.type && g.flags == f.flags && g.length == f.length
              && g.generation == f.generation && g.term == 2 && g.epoch == 3 && g.sequence == 4,
          "every field of a header comes back as it went");
    CHECK(refused_at(header, 0, 0, 4, -ISF_ECORRUPT), "another magic is corrupt");
    CHECK(refused_at(header, 4, WIRE_VERSION + 1, 2, -ISF_EVERSION), "another version is named as such");
    CHECK(refused_at(header, 6, 0, 2, -ISF_ECORRUPT), "type zero is corrupt");
    CHECK(refused_at(header, 6, FRAME_TYPES, 2, -ISF_ECORRUPT), "an unknown type is corrupt");
    CHECK(refused_at(header, 40, WIRE_PAYLOAD_MAX + 1, 4, -ISF_ECORRUPT), "a payload past the bound is corrupt");
    CHECK(refused_at(header, 40, UINT32_MAX, 4, -ISF_ECORRUPT), "a length of 4 GiB is corrupt");
}

static void test_any_header(unsigned seed)
{
    int wrong = 0, accepted = 0;
    srand(seed);
    printf("seed  %u\n", seed);
    for (int i = 0; i < 200000; i++) {
        uint8_t header[WIRE_HEADER];
        struct frame f;
        for (size_t k = 0; k < sizeof header; k++)
            header[k] = (uint8_t)rand();
        if (i & 1) { /* near enough to get past the first checks */
            put_le32(header, WIRE_MAGIC);
            put_le16(header + 4, WIRE_VERSION);
            put_le16(header + 6, (uint16_t)(rand() % 16));
            put_le32(header + 40, (uint32_t)rand() % (2 * WIRE_PAYLOAD_MAX));
        }
        int r = frame_decode(&f, header);
        accepted += r == 0;
        wrong += r == 0 && (f.type == 0 || f.type >= FRAME_TYPES || f.length > WIRE_PAYLOAD_MAX);
        wrong += r != 0 && r != -ISF_ECORRUPT && r != -ISF_EVERSION;
    }
    CHECK(wrong == 0 && accepted > 1000, "no header, however made, is accepted out of bounds");
}

static void test_vectors(void)
{
    uint8_t out[64], key[32], data[64], ikm[22], salt[13], info[10];
    struct mac *m;
    memset(ikm, 0x0b, sizeof ikm);
    unhex("000102030405060708090a0b0c", salt);
    unhex("f0f1f2f3f4f5f6f7f8f9", info);
    struct hkdf_input in = {ikm, salt, info, sizeof ikm, sizeof salt, sizeof info};
    CHECK(hkdf_sha256(&in, out, 42) == 0
              && is_hex(out, 42, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
          "HKDF gives RFC 5869's test case 1");
    struct hkdf_input bare = {ikm, NULL, NULL, sizeof ikm, 0, 0};
    CHECK(hkdf_sha256(&bare, out, 42) == 0
              && is_hex(out, 42, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
          "HKDF without salt and info gives RFC 5869's test case 3");
    int r = mac_new(&m, (const uint8_t *)"Jefe", 4);
    for (int i = 0; i < 2 && !r; i++)
        r = mac_compute(m, (const uint8_t *)"what do ya want for nothing?", 28, out);
    CHECK(r == 0 && is_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
          "HMAC gives RFC 4231's test case 2, the second time too");
    mac_free(m);
    struct aead *a;
    memset(key, 0, sizeof key);
    memset(data, 0, sizeof data);
    r = aead_new(&a, key, 1);
    r = r ? r : aead_seal_begin(a, 0, NULL, 0);
    r = r ? r : aead_seal_part(a, data, 16, out);
    r = r ? r : aead_seal_end(a, out + 16);
    CHECK(r == 0 && is_hex(out, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
          "AES-256-GCM gives the specification's test case 14");
    aead_free(a);
}

static int open_with(struct aead *a, uint64_t sequence, const uint8_t *header, const uint8_t *sealed, uint8_t *text)
{
    memcpy(text, sealed, 100);
    struct aead_sealed s = {sequence, header, 8, text, 100, sealed + 100};
    return aead_open(a, &s);
}

static void test_seal(void)
{
    uint8_t key[32], other[32], header[8] = {1, 2, 3}, text[100], sealed[116], back[100];
    struct aead *seal, *open, *wrong;
    memset(key, 7, sizeof key);
    memset(other, 8, sizeof other);
    for (int i = 0; i < 100; i++)
        text[i] = (uint8_t)i;
    int r = aead_new(&seal, key, 1) | aead_new(&open, key, 0) | aead_new(&wrong, other, 0);
    r |= aead_seal_begin(seal, 9, header, 8);
    r |= aead_seal_part(seal, text, 33, sealed) | aead_seal_part(seal, text + 33, 67, sealed + 33);
    r |= aead_seal_end(seal, sealed + 100);
    CHECK(r == 0 && open_with(open, 9, header, sealed, back) == 0 && memcmp(back, text, 100) == 0,
          "what was sealed in parts opens in one");
    CHECK(open_with(open, 10, header, sealed, back) == -ISF_ECORRUPT, "another sequence number does not open it");
    CHECK(open_with(wrong, 9, header, sealed, back) == -ISF_ECORRUPT, "another key does not open it");
    int opened = 0;
    for (int bit = 0; bit < 116 * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        opened += open_with(open, 9, header, sealed, back) == 0;
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    header[3] ^= 1;
    opened += open_with(open, 9, header, sealed, back) == 0;
    header[3] ^= 1;
    CHECK(opened == 0, "no single flipped bit of payload, tag or header opens");
    CHECK(open_with(open, 9, header, sealed, back) == 0, "and unflipped it opens still");
    sealed[5] ^= 1;
    memcpy(back, sealed, 100);
    struct aead_sealed unchecked = {9, header, 8, back, 100, NULL};
    CHECK(aead_open(open, &unchecked) == 0 && back[5] == (text[5] ^ 1),
          "negative control: without the tag a flipped bit goes through");
    aead_free(seal);
    aead_free(open);
    aead_free(wrong);
}

int main(int argc, char **argv)
{
    test_header();
    test_any_header(argc > 1 ? (unsigned)atoi(argv[1]) : 20240607u);
    test_vectors();
    test_seal();
    return check_end();
}
