/* Whoever else is on the network: strangers without the key, and a peer with the key that breaks the rules. */
#ifndef ISF_LINK_TEST_STRANGERS_H
#define ISF_LINK_TEST_STRANGERS_H

static void hello_make(uint8_t *out, uint16_t version, uint8_t index, uint8_t role)
{
    struct frame f = {.type = FRAME_HELLO, .length = HELLO_BODY};
    memset(out, 0x33, HELLO_BYTES);
    frame_encode(&f, out);
    put_le16(out + 4, version);
    out[WIRE_HEADER + 32] = index;
    out[WIRE_HEADER + 33] = role;
    memset(out + WIRE_HEADER + 34, 0, 6);
}

/* A stranger says `bytes`; returns how many bytes it heard before it was hung up on, or -1 if it was not. */
static int stranger_says(const char *from, const void *bytes, size_t length)
{
    int fd = stranger_connect(from, "127.0.0.2");
    if (fd < 0)
        return -1;
    if (length)
        write_whole(fd, bytes, length);
    int heard = stranger_drain(fd);
    close(fd);
    return heard;
}

static void test_strangers(void)
{
    struct node a, b;
    uint8_t hello[HELLO_BYTES + PROOF_BYTES], garbage[4096];
    srand(99);
    for (size_t i = 0; i < sizeof garbage; i++)
        garbage[i] = (uint8_t)rand();
    pair_open(&a, &b, 0);
    CHECK(node_wait_up(&b, 1), "beside a live connection:");
    CHECK(stranger_says("127.0.0.7", garbage, sizeof garbage) == 0, "a stranger from another address is hung up on, and hears nothing");
    CHECK(stranger_says("127.0.0.1", garbage, sizeof garbage) == 0, "garbage is hung up on, and hears nothing");
    char get[200] = "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: text/html, application/json;q=0.9\r\n\r\n";
    CHECK(stranger_says("127.0.0.1", get, sizeof get) == 0, "a browser is hung up on, and hears nothing");
    CHECK(stranger_says("127.0.0.1", "", 0) == 0, "who says nothing is hung up on after the bound");
    CHECK(stranger_says("127.0.0.1", "ISFE", 4) == 0, "so is who says only the beginning of a hello");
    hello_make(hello, WIRE_VERSION + 1, 0, ROLE_CONNECT);
    CHECK(stranger_says("127.0.0.1", hello, HELLO_BYTES) == HELLO_BYTES, "another version hears ours, and is hung up on");
    struct link_stats stats;
    link_read_stats(b.link, &stats);
    CHECK(stats.other_version == WIRE_VERSION + 1, "and its number is known");
    hello_make(hello, WIRE_VERSION, 1, ROLE_CONNECT);
    CHECK(stranger_says("127.0.0.1", hello, HELLO_BYTES) == 0, "another line's hello is hung up on");
    hello_make(hello, WIRE_VERSION, 0, ROLE_LISTEN);
    CHECK(stranger_says("127.0.0.1", hello, HELLO_BYTES) == 0, "a second listener is hung up on");
    hello_make(hello, WIRE_VERSION, 0, ROLE_CONNECT);
    struct frame f = {.type = FRAME_HELLO_PROOF, .length = PROOF_BODY, .sequence = 1};
    memset(hello + HELLO_BYTES, 0x44, PROOF_BYTES);
    frame_encode(&f, hello + HELLO_BYTES);
    CHECK(stranger_says("127.0.0.1", hello, sizeof hello) == HELLO_BYTES, "without the key there is nothing to hear but one hello");
    uint64_t refused = node_refused(&b);
    CHECK(refused == 9 && node_downs(&b) == 0 && node_ups(&b) == 1, "each was counted, and the live connection did not notice");
    send_pattern(&a, 1, 5);
    CHECK(node_wait_frames(&b, 5) && !node_corrupt(&b), "and frames still flow");
    struct node second;
    node_open(&second, "127.0.0.1", "127.0.0.2", 0, 1);
    CHECK(node_wait_up(&second, 1) && node_wait_up(&b, 2) && node_wait_down(&a, 1),
          "who proves the key takes the line over from the connection before");
    link_close(a.link);
    link_close(second.link);
    link_close(b.link);
}

/* A peer that has the key, made of the handshake alone. */
static int peer_join(struct link_connection *c, uint8_t key)
{
    uint8_t secret[WIRE_KEY];
    memset(secret, key, sizeof secret);
    int fd = stranger_connect("127.0.0.1", "127.0.0.2"), r = 0;
    if (fd < 0 || handshake_begin(c, fd, ROLE_CONNECT, 0))
        return -1;
    while (!(r = handshake_step(c, secret))) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 5000) != 1)
            return -1;
    }
    return r == 1 ? 0 : -1;
}

/* Seals a frame with any header and sends it; `say` bytes of `length` are really there. */
static void peer_send(struct link_connection *c, const struct frame *f, uint32_t say)
{
    uint8_t *out = calloc(1, WIRE_HEADER + say + WIRE_TAG);
    frame_encode(f, out);
    aead_seal_begin(c->seal, f->sequence, out, WIRE_HEADER);
    aead_seal_part(c->seal, out + WIRE_HEADER, say, out + WIRE_HEADER);
    aead_seal_end(c->seal, out + WIRE_HEADER + say);
    write_whole(c->fd, out, WIRE_HEADER + say + WIRE_TAG);
    free(out);
}

/* 1 if the listener hangs up on this frame, as corrupt, before any frame reaches on_frame. */
static int peer_refused(const struct frame *f)
{
    struct node b;
    struct link_connection c;
    node_open(&b, "127.0.0.2", "127.0.0.1", 1, 1);
    int kept = peer_join(&c, 1) == 0 && node_wait_up(&b, 1);
    if (kept) {
        peer_send(&c, f, f->length < 64 ? f->length : 64);
        kept = stranger_drain(c.fd) >= 0 && node_wait_down(&b, 1) && node_reason(&b) == -ISF_ECORRUPT && node_frames(&b) == 0 && node_refused(&b) == 1;
    }
    connection_close(&c);
    link_close(b.link);
    return kept;
}

static void test_bad_peer(void)
{
    CHECK(peer_refused(&(struct frame){.type = FRAME_DISK, .sequence = 3}), "even with the key: a gap in the numbers is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_DISK, .sequence = 1}), "even with the key: a number used before is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_DISK, .sequence = 0}), "even with the key: number zero is refused");
    CHECK(peer_refused(&(struct frame){.type = 0, .sequence = 2}), "even with the key: type zero is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_TYPES, .sequence = 2}), "even with the key: an unknown type is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_PAGES, .sequence = 2, .length = WIRE_PAYLOAD_MAX + 1}), "even with the key: a payload past the bound is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_HELLO, .sequence = 2, .length = HELLO_BODY}), "even with the key: a second hello is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_HELLO_PROOF, .sequence = 2, .length = 32}), "even with the key: a second proof is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_PING, .sequence = 2, .length = 3}), "even with the key: a short ping is refused");
    CHECK(peer_refused(&(struct frame){.type = FRAME_PONG, .sequence = 2, .length = 17}), "even with the key: a long pong is refused");
}

#endif
