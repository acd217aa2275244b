#include "link_handshake.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void hello_encode(struct link_connection *c, const uint8_t nonce[32])
{
    struct frame f = {.type = FRAME_HELLO, .length = HELLO_BODY};
    frame_encode(&f, c->mine);
    uint8_t *body = c->mine + WIRE_HEADER;
    memset(body, 0, HELLO_BODY);
    memcpy(body, nonce, 32);
    body[32] = c->index;
    body[33] = (uint8_t)c->role;
}

static int hello_check(const struct link_connection *c)
{
    static const uint8_t zero[6];
    struct frame f;
    int r = frame_decode(&f, c->theirs);
    if (r)
        return r;
    if (f.type != FRAME_HELLO || f.length != HELLO_BODY || f.flags || f.generation || f.term || f.epoch || f.sequence)
        return -ISF_ECORRUPT;
    const uint8_t *body = c->theirs + WIRE_HEADER;
    if (memcmp(body + 34, zero, sizeof zero) != 0)
        return -ISF_ECORRUPT;
    if (memcmp(body, c->mine + WIRE_HEADER, 32) == 0) /* our own hello, reflected */
        return -ISF_ECORRUPT;
    if (body[32] != c->index || body[33] != (c->role == ROLE_CONNECT ? ROLE_LISTEN : ROLE_CONNECT))
        return -EPROTO;
    return 0;
}

/* Both hellos, whole, go into the keys: whoever changed a byte of them on the way has spoiled the proof. */
static int keys_derive(struct link_connection *c, const uint8_t secret[WIRE_KEY])
{
    static const char label[] = "iservft-edge link 1";
    const uint8_t *connecting = c->role == ROLE_CONNECT ? c->mine : c->theirs;
    const uint8_t *listening = c->role == ROLE_CONNECT ? c->theirs : c->mine;
    uint8_t salt[64], info[sizeof label + 2 * HELLO_BYTES], keys[2 * WIRE_KEY];
    memcpy(salt, connecting + WIRE_HEADER, 32);
    memcpy(salt + 32, listening + WIRE_HEADER, 32);
    memcpy(info, label, sizeof label);
    memcpy(info + sizeof label, connecting, HELLO_BYTES);
    memcpy(info + sizeof label + HELLO_BYTES, listening, HELLO_BYTES);
    struct hkdf_input in = {secret, salt, info, WIRE_KEY, sizeof salt, sizeof info};
    int r = hkdf_sha256(&in, keys, sizeof keys);
    /* The first key is for what the connecting side sends, the second for what the listening side sends. */
    uint8_t *mine = c->role == ROLE_CONNECT ? keys : keys + WIRE_KEY;
    uint8_t *theirs = c->role == ROLE_CONNECT ? keys + WIRE_KEY : keys;
    r = r ? r : aead_new(&c->seal, mine, 1);
    r = r ? r : aead_new(&c->open, theirs, 0);
    secret_wipe(keys, sizeof keys);
    return r;
}

/* A fresh connection has room for these few bytes: less than all of them is an error. */
static int send_all(int fd, const uint8_t *data, size_t length)
{
    ssize_t n = send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return -errno;
    return (size_t)n == length ? 0 : -EAGAIN;
}

/* The proof says the other side's nonce, under the key that only the pair can have. */
static int proof_send(struct link_connection *c)
{
    uint8_t out[PROOF_BYTES];
    struct frame f = {.type = FRAME_HELLO_PROOF, .length = PROOF_BODY, .sequence = ++c->sent};
    frame_encode(&f, out);
    int r = aead_seal_begin(c->seal, f.sequence, out, WIRE_HEADER);
    r = r ? r : aead_seal_part(c->seal, c->theirs + WIRE_HEADER, PROOF_BODY, out + WIRE_HEADER);
    r = r ? r : aead_seal_end(c->seal, out + WIRE_HEADER + PROOF_BODY);
    return r ? r : send_all(c->fd, out, sizeof out);
}

static int proof_check(struct link_connection *c)
{
    struct frame f;
    int r = frame_decode(&f, c->in);
    if (r)
        return r;
    if (f.type != FRAME_HELLO_PROOF || f.length != PROOF_BODY || f.sequence != 1)
        return -ISF_ECORRUPT;
    uint8_t *body = c->in + WIRE_HEADER;
    struct aead_sealed sealed = {1, c->in, WIRE_HEADER, body, PROOF_BODY, body + PROOF_BODY};
    r = aead_open(c->open, &sealed);
    if (r || !mac_equal(body, c->mine + WIRE_HEADER, PROOF_BODY))
        return -EKEYREJECTED;
    c->received = 1;
    return 0;
}

/* Reads until `want` bytes are there: not one more, since what follows belongs to the live connection. 1: there. */
static int take(struct link_connection *c, uint8_t *into, size_t want)
{
    while (c->in_length < want) {
        ssize_t n = recv(c->fd, into + c->in_length, want - c->in_length, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        if (n == 0 && c->stage == STAGE_PROOF && c->role == ROLE_CONNECT)
            return -EKEYREJECTED; /* it heard our proof and hung up */
        if (n == 0)
            return c->in_length ? -ISF_ECORRUPT : -ECONNRESET;
        c->in_length += (size_t)n;
    }
    c->in_length = 0;
    return 1;
}

static int step_connecting(struct link_connection *c)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length))
        return -errno;
    if (error)
        return -error;
    c->stage = STAGE_HELLO;
    return send_all(c->fd, c->mine, sizeof c->mine);
}

static int step_hello(struct link_connection *c, const uint8_t secret[WIRE_KEY])
{
    int r = take(c, c->theirs, HELLO_BYTES);
    if (r <= 0)
        return r;
    r = hello_check(c);
    /* Another version is answered too, so that both sides can name it. */
    if (c->role == ROLE_LISTEN && (r == 0 || r == -ISF_EVERSION)) {
        int sent = send_all(c->fd, c->mine, sizeof c->mine);
        r = r ? r : sent;
    }
    r = r ? r : keys_derive(c, secret);
    if (!r && c->role == ROLE_CONNECT)
        r = proof_send(c);
    c->stage = STAGE_PROOF;
    return r;
}

static int step_proof(struct link_connection *c)
{
    int r = take(c, c->in, PROOF_BYTES);
    if (r <= 0)
        return r;
    r = proof_check(c);
    if (!r && c->role == ROLE_LISTEN)
        r = proof_send(c);
    if (r)
        return r;
    c->stage = STAGE_LIVE;
    return 1;
}

int handshake_begin(struct link_connection *c, int fd, enum link_role role, uint8_t index)
{
    uint8_t nonce[32];
    memset(c, 0, sizeof *c);
    c->fd = fd;
    c->role = role;
    c->index = index;
    c->stage = role == ROLE_CONNECT ? STAGE_CONNECTING : STAGE_HELLO;
    int r = random_fill(nonce, sizeof nonce);
    if (!r)
        hello_encode(c, nonce);
    return r;
}

int handshake_step(struct link_connection *c, const uint8_t secret[WIRE_KEY])
{
    int r = c->stage == STAGE_CONNECTING ? step_connecting(c) : 0;
    /* Whatever else has come already is taken in the same turn. */
    if (!r && c->stage == STAGE_HELLO)
        r = step_hello(c, secret);
    if (!r && c->stage == STAGE_PROOF)
        r = step_proof(c);
    return r;
}

void connection_close(struct link_connection *c)
{
    if (c->stage != STAGE_NONE)
        close(c->fd);
    aead_free(c->seal);
    aead_free(c->open);
    memset(c, 0, sizeof *c);
    c->fd = -1;
}
