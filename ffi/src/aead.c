#include "aead.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <sys/random.h>

struct aead { EVP_CIPHER_CTX *ctx; };
struct mac { EVP_MAC_CTX *ctx; };

/* We live inside another program: read no openssl.cnf, and leave nothing for exit() to run while our threads still do. */
static void crypto_begin(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL);
}

int aead_new(struct aead **out, const uint8_t key[AEAD_KEY], int seal)
{
    crypto_begin();
    struct aead *a = calloc(1, sizeof *a);
    if (!a)
        return -ENOMEM;
    a->ctx = EVP_CIPHER_CTX_new();
    /* The default nonce length of GCM is the 12 bytes that we use. */
    if (!a->ctx || EVP_CipherInit_ex(a->ctx, EVP_aes_256_gcm(), NULL, key, NULL, seal) != 1) {
        aead_free(a);
        return -ENOMEM;
    }
    *out = a;
    return 0;
}

void aead_free(struct aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->ctx); /* wipes the key schedule */
    free(a);
}

static int aead_begin(struct aead *a, uint64_t sequence, const uint8_t *additional, size_t length)
{
    uint8_t nonce[12] = {0};
    int n;
    put_le64(nonce + 4, sequence);
    if (EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, nonce, -1) != 1)
        return -EIO;
    if (length && EVP_CipherUpdate(a->ctx, NULL, &n, additional, (int)length) != 1)
        return -EIO;
    return 0;
}

int aead_seal_begin(struct aead *a, uint64_t sequence, const uint8_t *additional, size_t additional_length)
{
    return aead_begin(a, sequence, additional, additional_length);
}

int aead_seal_part(struct aead *a, const uint8_t *in, size_t length, uint8_t *out)
{
    int n;
    return !length || EVP_CipherUpdate(a->ctx, out, &n, in, (int)length) == 1 ? 0 : -EIO;
}

int aead_seal_end(struct aead *a, uint8_t tag[AEAD_TAG])
{
    int n;
    if (EVP_CipherFinal_ex(a->ctx, tag, &n) != 1)
        return -EIO;
    return EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG, tag) == 1 ? 0 : -EIO;
}

int aead_open(struct aead *a, const struct aead_sealed *sealed)
{
    uint8_t none[16];
    int n;
    int r = aead_begin(a, sealed->sequence, sealed->additional, sealed->additional_length);
    if (r)
        return r;
    if (sealed->length && EVP_CipherUpdate(a->ctx, sealed->data, &n, sealed->data, (int)sealed->length) != 1)
        return -ISF_ECORRUPT;
    if (!sealed->tag)
        return 0;
    if (EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG, (void *)(uintptr_t)sealed->tag) != 1)
        return -EIO;
    return EVP_CipherFinal_ex(a->ctx, none, &n) == 1 ? 0 : -ISF_ECORRUPT;
}

int mac_new(struct mac **out, const uint8_t *key, size_t length)
{
    crypto_begin();
    struct mac *m = calloc(1, sizeof *m);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_utf8_string("digest", digest, 6), OSSL_PARAM_END};
    if (m && hmac)
        m->ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    if (!m || !m->ctx || EVP_MAC_init(m->ctx, key, length, params) != 1) {
        mac_free(m);
        return -ENOMEM;
    }
    *out = m;
    return 0;
}

void mac_free(struct mac *m)
{
    if (!m)
        return;
    EVP_MAC_CTX_free(m->ctx);
    free(m);
}

int mac_compute(struct mac *m, const uint8_t *data, size_t length, uint8_t out[MAC_BYTES])
{
    size_t n;
    if (EVP_MAC_init(m->ctx, NULL, 0, NULL) != 1) /* the same key again */
        return -EIO;
    if (EVP_MAC_update(m->ctx, data, length) != 1 || EVP_MAC_final(m->ctx, out, &n, MAC_BYTES) != 1 || n != MAC_BYTES)
        return -EIO;
    return 0;
}

int mac_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}

static int mac_once(const uint8_t *key, size_t key_length, const uint8_t *data, size_t length, uint8_t out[MAC_BYTES])
{
    struct mac *m;
    int r = mac_new(&m, key, key_length);
    if (r)
        return r;
    r = mac_compute(m, data, length, out);
    mac_free(m);
    return r;
}

int hkdf_sha256(const struct hkdf_input *in, uint8_t *out, size_t length)
{
    uint8_t key[MAC_BYTES], block[MAC_BYTES + 256 + 1], last[MAC_BYTES];
    const uint8_t zeros[MAC_BYTES] = {0};
    size_t previous = 0;
    if (in->info_length > 256 || length > 255 * MAC_BYTES)
        return -EINVAL;
    int r = in->salt_length ? mac_once(in->salt, in->salt_length, in->secret, in->secret_length, key)
                            : mac_once(zeros, sizeof zeros, in->secret, in->secret_length, key);
    for (uint8_t i = 1; !r && length; i++) {
        memcpy(block, last, previous);
        if (in->info_length)
            memcpy(block + previous, in->info, in->info_length);
        block[previous + in->info_length] = i;
        r = mac_once(key, sizeof key, block, previous + in->info_length + 1, last);
        previous = MAC_BYTES;
        size_t n = length < MAC_BYTES ? length : MAC_BYTES;
        if (!r)
            memcpy(out, last, n);
        out += n;
        length -= n;
    }
    secret_wipe(key, sizeof key);
    secret_wipe(block, sizeof block);
    secret_wipe(last, sizeof last);
    return r;
}

int random_fill(void *out, size_t length)
{
    uint8_t *p = out;
    while (length) {
        ssize_t n = getrandom(p, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EIO;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

void secret_wipe(void *data, size_t length)
{
    OPENSSL_cleanse(data, length);
}
