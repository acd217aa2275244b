/* The replication protocol's frames: every constant of the wire is here, and explained in docs/wire.md.
 *
 *   0  magic       4  "ISFE"
 *   4  version     2
 *   6  type        2  enum frame_type
 *   8  generation  8  grows with each first sync
 *  16  term        8
 *  24  epoch       8
 *  32  sequence    8  counts frames of this direction of this connection from 1: replay and loss show
 *  40  length      4  bytes of payload, without the tag; at most WIRE_PAYLOAD_MAX
 *  44  flags       4
 *  48  payload, AES-256-GCM encrypted; the header is the additional data
 *  48+length  tag  16
 *
 * Little-endian. Zero is not a valid type. */
#ifndef ISF_WIRE_H
#define ISF_WIRE_H

#include "base.h"

#define WIRE_MAGIC 0x45465349u /* "ISFE" */
/* The version of this header, of the handshake and of the heartbeats: what two programs need to talk about versions at all. It stays
 * while it can; another one is refused by the handshake, with both numbers in the link's event. */
#define WIRE_VERSION 1u
/* The protocols that this program speaks: all that goes over a live line, and what the runners say in CONTROL. A change of it is a new
 * newest one; an old one is dropped only when no release in use speaks nothing newer. Two hosts speak the newest that both know. */
#define PROTOCOL_OLDEST 1u
#define PROTOCOL_NEWEST 1u
#define WIRE_HEADER 48u
#define WIRE_TAG 16u
#define WIRE_PAYLOAD_MAX (8u << 20)
#define WIRE_KEY 32u

enum frame_type {
    FRAME_HELLO = 1,    /* the only frame in clear: nonce, role; see link.c */
    FRAME_HELLO_PROOF,  /* first encrypted frame of each direction: proves the key */
    FRAME_CONTROL,      /* JSON between the two runners */
    FRAME_PING,         /* keeps a standby link known-good; measures it */
    FRAME_PONG,
    FRAME_PAGES,        /* one codec batch of the epoch */
    FRAME_DISK,         /* disk id, offset, length, flags, data of the epoch */
    FRAME_END,          /* the epoch is whole: counts and digests */
    FRAME_COMMIT,       /* backup to primary: holds the epoch; payload: durable epoch per disk */
    FRAME_SYNC,         /* pages and disk blocks outside any epoch (first sync, resync) */
    FRAME_TYPES
};

struct frame {
    uint16_t type;
    uint32_t flags, length;
    uint64_t generation, term, epoch, sequence;
};

/* Encodes into WIRE_HEADER bytes. */
void frame_encode(const struct frame *f, uint8_t *out);
/* Checks magic, version, type and length. 0, -ISF_ECORRUPT, or -ISF_EVERSION. */
int frame_decode(struct frame *f, const uint8_t *in);

#endif
