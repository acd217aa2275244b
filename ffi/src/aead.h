/* The little cryptography that the wire needs, over OpenSSL's libcrypto: AES-256-GCM (NIST SP 800-38D), HMAC-SHA256
 * (RFC 2104), HKDF-SHA256 (RFC 5869), random bytes. Contexts are made once and kept: looking an algorithm up for each
 * frame costs more than encrypting a small one. */
#ifndef ISF_AEAD_H
#define ISF_AEAD_H

#include "base.h"

#define AEAD_KEY 32u
#define AEAD_TAG 16u
#define MAC_BYTES 32u

/* One direction of one connection. The GCM nonce is four zero bytes and the sequence number, little-endian: never use a
 * number twice under one key. Not thread-safe. */
struct aead;
/* `seal`: 1 to encrypt, 0 to decrypt. 0, -ENOMEM. Free with aead_free (NULL is fine). */
int aead_new(struct aead **out, const uint8_t key[AEAD_KEY], int seal);
void aead_free(struct aead *a);

/* Encrypts in parts: begin (with the additional data), any number of parts, end. `out` takes as many bytes as `in` has.
 * 0 or -EIO (libcrypto refused: the connection cannot go on). */
int aead_seal_begin(struct aead *a, uint64_t sequence, const uint8_t *additional, size_t additional_length);
int aead_seal_part(struct aead *a, const uint8_t *in, size_t length, uint8_t *out);
int aead_seal_end(struct aead *a, uint8_t tag[AEAD_TAG]);

struct aead_sealed {
    uint64_t sequence;
    const uint8_t *additional; /* authenticated, in clear */
    size_t additional_length;
    uint8_t *data;             /* decrypted in place */
    size_t length;
    const uint8_t *tag;        /* AEAD_TAG bytes. NULL: not checked; only for the negative control of a test */
};
/* 0, or -ISF_ECORRUPT: not what the holder of the key sealed under this number; `data` is then worthless. */
int aead_open(struct aead *a, const struct aead_sealed *sealed);

/* HMAC-SHA256 under one key, again and again. Not thread-safe. */
struct mac;
int mac_new(struct mac **out, const uint8_t *key, size_t length);
void mac_free(struct mac *m);
/* 0 or -EIO. */
int mac_compute(struct mac *m, const uint8_t *data, size_t length, uint8_t out[MAC_BYTES]);
/* 1 if equal; takes the same time wherever they differ. */
int mac_equal(const uint8_t *a, const uint8_t *b, size_t length);

/* HKDF. `info` and `salt` may be empty; info at most 256 bytes, out at most 255 * 32. 0, -EINVAL, -ENOMEM or -EIO. */
struct hkdf_input { const uint8_t *secret, *salt, *info; size_t secret_length, salt_length, info_length; };
int hkdf_sha256(const struct hkdf_input *in, uint8_t *out, size_t length);

/* Fills from the kernel's generator. 0 or -errno. */
int random_fill(void *out, size_t length);
/* Overwrites a key so that the compiler does not leave it out. */
void secret_wipe(void *data, size_t length);

#endif
