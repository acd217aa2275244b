/* The start of a connection: two hellos in clear, keys from them and the pair's secret, a proof each way.
 *
 *   connecting                          listening
 *   HELLO  nonce, line, role   ------>
 *                              <------  HELLO  nonce, line, role
 *   PROOF  (encrypted)         ------>
 *                              <------  PROOF  (encrypted)
 *
 * The listening side says nothing but its hello to whoever cannot prove the key. docs/wire.md has every field. */
#ifndef ISF_LINK_HANDSHAKE_H
#define ISF_LINK_HANDSHAKE_H

#include "aead.h"
#include "wire.h"

#define HELLO_BODY 40u
#define HELLO_BYTES (WIRE_HEADER + HELLO_BODY)
#define PROOF_BODY 32u
#define PROOF_BYTES (WIRE_HEADER + PROOF_BODY + WIRE_TAG)

enum link_role { ROLE_CONNECT = 1, ROLE_LISTEN = 2 };
enum link_stage { STAGE_NONE, STAGE_CONNECTING, STAGE_HELLO, STAGE_PROOF, STAGE_LIVE };

/* A connection, from the first byte on. One thread owns it; a live one's seal and sent are guarded by the link. */
struct link_connection {
    int fd;                    /* -1 when stage is STAGE_NONE */
    enum link_stage stage;
    enum link_role role;
    uint8_t index;
    uint64_t deadline_us;      /* until when the handshake must be through */
    uint8_t mine[HELLO_BYTES], theirs[HELLO_BYTES];
    uint8_t in[PROOF_BYTES];   /* what came of the hello or proof that we wait for */
    size_t in_length;
    struct aead *seal, *open;
    uint64_t sent, received;   /* sequence numbers of the last frame each way */
};

/* Begins on `fd`, which the connection owns from here on, even after an error. 0 or -errno. */
int handshake_begin(struct link_connection *c, int fd, enum link_role role, uint8_t index);
/* To be called when the descriptor is ready (writable while STAGE_CONNECTING, else readable). 1: live. 0: more is to come. < 0: refused:
 * -ISF_ECORRUPT, -ISF_EVERSION, -EPROTO (another line, or the same role), -EKEYREJECTED (wrong key), -errno. */
int handshake_step(struct link_connection *c, const uint8_t secret[WIRE_KEY]);
/* Closes and wipes; fine on a closed one. */
void connection_close(struct link_connection *c);

#endif
