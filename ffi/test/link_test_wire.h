/* A wire that misbehaves: a proxy between two links, which does one thing to one frame. */
#ifndef ISF_LINK_TEST_WIRE_H
#define ISF_LINK_TEST_WIRE_H

enum mischief { HONEST, FLIP_HEADER, FLIP_PAYLOAD, FLIP_TAG, CUT_OUT, HANG_UP_HALF, STALL_HALF, DUPLICATE, SWAP, LOSE, REPLAY_OLD, HUGE_LENGTH, OTHER_VERSION, FLIP_HELLO, FLIP_PROOF };

struct proxy {
    int listener, client, server;
    enum mischief what;
    unsigned seed;         /* which byte and bit */
    int done;              /* mischief happens once; from then on it is honest */
    uint8_t *held, *old;   /* a frame held back; a frame of an earlier connection */
    size_t held_length, old_length;
    pthread_t thread;
    atomic_int stop;
};

static int read_whole(int fd, uint8_t *into, size_t length)
{
    while (length) {
        ssize_t n = recv(fd, into, length, 0);
        if (n <= 0)
            return -1;
        into += n;
        length -= (size_t)n;
    }
    return 0;
}

static int write_whole(int fd, const uint8_t *p, size_t length)
{
    while (length) {
        ssize_t n = send(fd, p, length, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

static void flip(struct proxy *x, uint8_t *at, size_t length)
{
    size_t bit = (x->seed * 2654435761u) % (length * 8);
    at[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

/* Does it to the frame of `length` bytes at `f`. Returns bytes left to forward as they are, or -1 to hang up. */
static int mischief_do(struct proxy *x, uint8_t *f, size_t length)
{
    x->done = 1;
    switch (x->what) {
    case FLIP_HEADER: flip(x, f, WIRE_HEADER); break;
    case FLIP_PAYLOAD: flip(x, f + WIRE_HEADER, length - WIRE_HEADER - WIRE_TAG); break;
    case FLIP_TAG: flip(x, f + length - WIRE_TAG, WIRE_TAG); break;
    case CUT_OUT: memmove(f + 100, f + 137, length - 137); return (int)length - 37;
    case HANG_UP_HALF: write_whole(x->server, f, length / 2); return -1;
    case STALL_HALF: write_whole(x->server, f, length / 2); usleep(2 * TIMEOUT_US); return -1;
    case DUPLICATE: write_whole(x->server, f, length); break;
    case SWAP: memcpy(x->held = malloc(length), f, length); x->held_length = length; return 0;
    case LOSE: return 0;
    case REPLAY_OLD: write_whole(x->server, x->old, x->old_length); break;
    case HUGE_LENGTH: put_le32(f + 40, 0xfffffff0u); break;
    case OTHER_VERSION: put_le16(f + 4, WIRE_VERSION + 1); break;
    default: break;
    }
    return (int)length;
}

/* One frame from the connecting to the listening side. 0, or -1 to hang up. */
static int proxy_frame(struct proxy *x, int number)
{
    uint8_t *f = malloc(WIRE_HEADER + 80000);
    int r = read_whole(x->client, f, WIRE_HEADER);
    struct frame h = {0};
    if (!r)
        r = frame_decode(&h, f);
    size_t length = WIRE_HEADER + h.length + (h.type == FRAME_HELLO ? 0 : WIRE_TAG);
    if (!r)
        r = read_whole(x->client, f + WIRE_HEADER, length - WIRE_HEADER);
    if (!r && x->what == REPLAY_OLD && h.type == FRAME_DISK && h.epoch == 3 && !x->old) {
        memcpy(x->old = malloc(length), f, length);
        x->old_length = length;
        r = -1; /* and now a new connection, in which frame 3 of this one is played again */
    }
    int target = x->what == FLIP_HELLO ? number == 0 : x->what == FLIP_PROOF ? number == 1 : h.type == FRAME_DISK && h.epoch == 3;
    int out = (int)length;
    if (!r && target && !x->done) {
        if (x->what == FLIP_HELLO || x->what == FLIP_PROOF)
            flip(x, f, length), x->done = 1;
        else
            out = mischief_do(x, f, length);
    }
    if (!r)
        r = out < 0 ? -1 : write_whole(x->server, f, (size_t)out);
    if (!r && x->held && out) {
        r = write_whole(x->server, x->held, x->held_length);
        free(x->held);
        x->held = NULL;
    }
    free(f);
    return r;
}

static void *proxy_back(void *context)
{
    struct proxy *x = context;
    uint8_t bytes[4096];
    for (ssize_t n; (n = recv(x->server, bytes, sizeof bytes, 0)) > 0;)
        if (write_whole(x->client, bytes, (size_t)n))
            break;
    shutdown(x->client, SHUT_RDWR);
    shutdown(x->server, SHUT_RDWR);
    return NULL;
}

static void *proxy_run(void *context)
{
    struct proxy *x = context;
    while (!x->stop) {
        struct pollfd p = {.fd = x->listener, .events = POLLIN};
        pthread_t back;
        if (poll(&p, 1, 20) != 1)
            continue;
        x->client = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC);
        x->server = stranger_connect("127.0.0.9", "127.0.0.2");
        pthread_create(&back, NULL, proxy_back, x);
        for (int i = 0; !x->stop && !proxy_frame(x, i);)
            i++;
        shutdown(x->client, SHUT_RDWR);
        shutdown(x->server, SHUT_RDWR);
        pthread_join(back, NULL);
        close(x->client);
        close(x->server);
    }
    return NULL;
}

static void proxy_start(struct proxy *x, enum mischief what, unsigned seed)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int one = 1;
    memset(x, 0, sizeof *x);
    x->what = what;
    x->seed = seed;
    inet_pton(AF_INET, "127.0.0.9", &a.sin_addr);
    x->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(x->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(x->listener, (struct sockaddr *)&a, sizeof a) || listen(x->listener, 4))
        abort();
    pthread_create(&x->thread, NULL, proxy_run, x);
}

static void proxy_stop(struct proxy *x)
{
    x->stop = 1;
    pthread_join(x->thread, NULL);
    close(x->listener);
    free(x->held);
    free(x->old);
}

struct outcome { int lost, reason, back; uint64_t corrupt, refused; };

/* Two links over the proxy; the pattern is sent on each connection, until the mischief was noticed (or all went through). */
static struct outcome wire_run(enum mischief what, unsigned seed, int unchecked)
{
    struct node a, b;
    struct proxy x;
    struct outcome o = {0};
    proxy_start(&x, what, seed);
    struct link_config c = node_config(&b, "127.0.0.2", "127.0.0.9", 1, 1);
    c.unchecked = unchecked;
    if (link_open(&b.link, &c))
        abort();
    c = node_config(&a, "127.0.0.1", "127.0.0.9", 0, 1);
    if (link_open(&a.link, &c))
        abort();
    int in_handshake = what == FLIP_HELLO || what == FLIP_PROOF;
    int connections = what == REPLAY_OLD ? 2 : 1;
    for (int i = 0; i < connections; i++) {
        node_wait_up(&a, i + 1);
        send_pattern(&a, 1, 8);
        if (i + 1 < connections)
            node_wait_down(&a, i + 1);
    }
    if (what == HONEST || unchecked) {
        WAIT_FOR(node_frames(&b) >= 8 || node_corrupt(&b));
        o.reason = node_reason(&b);
    } else if (in_handshake) {
        o.lost = WAIT_FOR(node_refused(&b) || node_refused(&a));
        o.back = node_wait_frames(&b, 8);
    } else {
        o.lost = WAIT_FOR(node_refused(&b)) && node_wait_down(&b, connections);
        o.reason = node_reason(&b);
        uint64_t before = node_frames(&b);
        /* Everything sent again on the new connection goes through. */
        o.back = node_wait_up(&a, connections + 1) && send_pattern(&a, 1, 8) == 8 && node_wait_frames(&b, before + 8);
    }
    o.corrupt = node_corrupt(&b);
    o.refused = node_refused(&b) + node_refused(&a);
    pair_close(&a, &b); /* first: it ends what the proxy waits for */
    proxy_stop(&x);
    return o;
}

static void bad_wire(enum mischief what, int reason, const char *promise)
{
    struct outcome o = wire_run(what, 1, 0);
    int kept = o.lost && o.back && o.corrupt == 0 && o.refused > 0 && (!reason || o.reason == reason);
    if (!kept)
        printf("seen  lost %d reason %d back %d corrupt %lu refused %lu\n", o.lost, o.reason, o.back, (unsigned long)o.corrupt, (unsigned long)o.refused);
    CHECK(kept, promise);
}

static void test_bad_wire(void)
{
    struct outcome o = wire_run(HONEST, 1, 0);
    CHECK(o.corrupt == 0 && o.refused == 0, "through an honest proxy everything arrives");
    bad_wire(FLIP_PAYLOAD, -ISF_ECORRUPT, "a flipped bit in a payload is refused, nothing of it is seen, and the line comes back");
    bad_wire(FLIP_TAG, -ISF_ECORRUPT, "a flipped bit in a tag is refused");
    bad_wire(CUT_OUT, -ISF_ECORRUPT, "a frame that lost bytes in its middle is refused");
    bad_wire(HANG_UP_HALF, -ISF_ECORRUPT, "half a frame and the end of the connection is refused");
    bad_wire(STALL_HALF, -ETIMEDOUT, "half a frame and then silence is given up after the bound");
    bad_wire(DUPLICATE, -ISF_ECORRUPT, "a frame that comes twice is refused the second time");
    bad_wire(SWAP, -ISF_ECORRUPT, "frames in the wrong order are refused");
    bad_wire(LOSE, -ISF_ECORRUPT, "a frame that is missing is noticed by the next one");
    bad_wire(REPLAY_OLD, -ISF_ECORRUPT, "a frame recorded on an earlier connection is refused");
    bad_wire(HUGE_LENGTH, -ISF_ECORRUPT, "a length of 4 GiB is refused before its bytes are waited for");
    bad_wire(OTHER_VERSION, -ISF_EVERSION, "a frame of another version is refused as that");
    bad_wire(FLIP_PROOF, 0, "a flipped bit in the proof keeps the line down, and the next attempt is whole");
    int kept = 0, total = 0;
    for (unsigned seed = 0; seed < 12; seed++) {
        o = wire_run(seed % 2 ? FLIP_HEADER : FLIP_HELLO, seed, 0);
        kept += o.corrupt == 0 && o.refused > 0 && o.back;
        total++;
    }
    CHECK(kept == total, "a flipped bit anywhere in a header or a hello is refused");
    static const enum mischief seen[] = {FLIP_PAYLOAD, CUT_OUT, DUPLICATE, SWAP, LOSE};
    int noticed = 0;
    for (int i = 0; i < 5; i++) {
        o = wire_run(seen[i], 1, 1);
        noticed += o.corrupt > 0;
        if (!o.corrupt)
            printf("seen  mischief %d went unnoticed, last reason %d, refused %lu\n", (int)seen[i], o.reason, (unsigned long)o.refused);
    }
    CHECK(noticed == 5, "negative control: without authentication and counting, each of them reaches the application");
}

#endif
