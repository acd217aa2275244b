/* Replication lines: what a peer, a stranger and a bad wire can do, and what must come of it. */
#include "link_test_kit.h"

/* ---- between two links that mean well ---- */

static void test_frames_both_ways(void)
{
    struct node a, b;
    pair_open(&a, &b, 0);
    CHECK(node_wait_up(&a, 1) && node_wait_up(&b, 1), "two links with one secret come up");
    int sent = send_pattern(&a, 1, 50) + send_pattern(&b, 1, 50);
    CHECK(sent == 100 && node_wait_frames(&a, 50) && node_wait_frames(&b, 50) && !node_corrupt(&a) && !node_corrupt(&b),
          "frames of all sizes arrive whole and in order, both ways");
    uint8_t *big = malloc(WIRE_PAYLOAD_MAX + 1);
    memset(big, 0x5a, WIRE_PAYLOAD_MAX + 1);
    struct frame f = {.type = FRAME_SYNC, .epoch = 51};
    struct iovec part = {big, WIRE_PAYLOAD_MAX + 1};
    CHECK(link_send(a.link, &f, &part, 1) == -EINVAL, "a payload past the bound is not sent");
    part.iov_len = WIRE_PAYLOAD_MAX;
    CHECK(link_send(a.link, &f, &part, 1) == 0 && node_wait_frames(&b, 51) && node_last_length(&b) == WIRE_PAYLOAD_MAX,
          "the greatest payload arrives");
    f.type = FRAME_PING;
    part.iov_len = 8;
    CHECK(link_send(a.link, &f, &part, 1) == -EINVAL, "callers cannot send the link's own frames");
    free(big);
    struct link_stats s = {0};
    for (uint64_t end = isf_now_us() + WAIT_US; !s.rtt_us && isf_now_us() < end; usleep(10000))
        link_read_stats(a.link, &s);
    CHECK(s.rtt_us > 0 && s.up == 1 && s.refused == 0 && s.frames_out >= 51, "an idle line measures its round trip by itself");
    pair_close(&a, &b);
}

static void *send_many(void *context)
{
    struct node *n = context;
    uint8_t body[300];
    memset(body, 0xee, sizeof body);
    for (uint32_t i = 0; i < 500; i++) {
        struct frame f = {.type = FRAME_DISK, .epoch = i};
        struct iovec parts[2] = {{body, i % 100}, {body + 100, 200}};
        link_send(n->link, &f, parts, 2);
    }
    return NULL;
}

static void test_many_senders(void)
{
    struct node a, b;
    pthread_t t[4];
    pair_open(&a, &b, 0);
    b.any = 1;
    node_wait_up(&a, 1);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, send_many, &a);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK(node_wait_frames(&b, 2000) && node_downs(&a) == 0, "four threads may send at once");
    pair_close(&a, &b);
}

static void test_callbacks_may_call(void)
{
    struct node a, b;
    pair_open(&a, &b, 0);
    b.reply = 1;
    node_wait_up(&a, 1);
    a.any = 1;
    send_pattern(&a, 1, 200);
    CHECK(node_wait_frames(&a, 200) && node_wait_frames(&b, 200), "on_frame may send on its own link");
    b.drop_at = 205;
    uint64_t before = node_frames(&b);
    send_pattern(&a, 201, 20);
    CHECK(node_wait_down(&b, 1) && node_reason(&b) == -EIO && node_frames(&b) == before + 5,
          "on_frame may drop its own link, and gets no frame after that");
    CHECK(node_wait_up(&a, 2) && node_wait_up(&b, 2), "and the line comes back");
    b.refuse_at = 3;
    send_pattern(&a, 1, 10);
    CHECK(node_wait_down(&b, 2) && node_reason(&b) == -ISF_ESTALE && node_frames(&b) == before + 5 + 3,
          "a frame that on_frame refuses ends the connection");
    CHECK(node_wait_up(&b, 3), "and the line comes back again");
    link_drop(b.link, -ENETDOWN);
    CHECK(node_wait_down(&b, 3) && node_reason(&b) == -ENETDOWN, "another thread may drop the link, and its reason is reported");
    CHECK(node_wait_up(&a, 4) && node_wait_up(&b, 4), "and the line comes back once more");
    pair_close(&a, &b);
}

static void test_down(void)
{
    struct node a;
    node_open(&a, "127.0.0.1", "127.0.0.2", 0, 1);
    CHECK(send_pattern(&a, 1, 1) == 0 && a.send_result == -ISF_ELINK, "nothing is sent on a line that is not up");
    CHECK(node_wait_down(&a, 1) && node_reason(&a) == -ECONNREFUSED, "why a line does not come up is reported");
    usleep(400000);
    CHECK(node_downs(&a) == 1, "and reported once, however often it is tried");
    link_close(a.link);
    struct link *l;
    struct link_config c = node_config(&a, "127.0.0.1", "not an address", 0, 1);
    CHECK(link_open(&l, &c) == -EINVAL, "a peer that is no address is refused at once");
    node_open(&a, "192.0.2.1", "127.0.0.2", 1, 1);
    CHECK(node_wait_down(&a, 1) && node_reason(&a) == -EADDRNOTAVAIL, "a local address that this host lacks is reported");
    link_close(a.link);
}

static void test_ipv6(void)
{
    struct node a, b;
    node_open(&b, "::1", "::1", 1, 1);
    node_open(&a, "::1", "::1", 0, 1);
    node_wait_up(&a, 1);
    send_pattern(&a, 1, 10);
    CHECK(node_wait_frames(&b, 10) && !node_corrupt(&b), "a line may be IPv6");
    pair_close(&a, &b);
    struct link *l;
    struct link_config c = node_config(&a, "127.0.0.1", "::1", 0, 1);
    CHECK(link_open(&l, &c) == -EINVAL && l == NULL, "but not half of it");
}

static void test_close_under_load(void)
{
    struct node a, b;
    int kept = 1;
    for (int i = 0; i < 20 && kept; i++) {
        pair_open(&a, &b, 0);
        a.any = b.any = b.reply = 1;
        kept = node_wait_up(&a, 1);
        send_pattern(&a, 1, i);
        link_close(i % 2 ? b.link : a.link); /* with frames and replies on their way */
        link_close(i % 2 ? a.link : b.link);
    }
    CHECK(kept, "a link may be closed at any moment");
}

static void test_stuck_reader(void)
{
    struct node a, b;
    pair_open(&a, &b, 0);
    node_wait_up(&a, 1);
    b.sleep_us = 2 * TIMEOUT_US;
    uint8_t *big = calloc(1, 4 << 20);
    struct frame f = {.type = FRAME_PAGES};
    struct iovec part = {big, 4 << 20};
    int r = 0;
    for (int i = 0; i < 32 && !r; i++)
        r = link_send(a.link, &f, &part, 1);
    free(big);
    CHECK(r < 0 && node_wait_down(&a, 1), "a peer that stops reading does not hold a sender past the bound");
    pair_close(&a, &b);
}

static void test_wrong_key(void)
{
    struct node a, b;
    node_open(&b, "127.0.0.2", "127.0.0.1", 1, 1);
    node_open(&a, "127.0.0.1", "127.0.0.2", 0, 2);
    CHECK(node_wait_down(&b, 1) && node_reason(&b) == -EKEYREJECTED, "the listening side says that the other has another secret");
    CHECK(node_wait_reason(&a, -EKEYREJECTED), "the connecting side says so too");
    usleep(200000);
    struct link_stats s;
    link_read_stats(b.link, &s);
    CHECK(node_ups(&a) == 0 && node_ups(&b) == 0 && s.refused > 0, "and neither ever comes up");
    pair_close(&a, &b);
}

static void test_wrong_line(void)
{
    struct node a, b;
    node_open(&b, "127.0.0.2", "127.0.0.1", 1, 1);
    struct link_config c = node_config(&a, "127.0.0.1", "127.0.0.2", 0, 1);
    c.index = 1;
    link_open(&a.link, &c);
    CHECK(node_wait_reason(&b, -EPROTO) && node_ups(&a) == 0 && node_ups(&b) == 0, "line B cannot be plugged into line A");
    pair_close(&a, &b);
}

/* ---- figures: printed, not judged ---- */

static void print_figures(void)
{
    struct node a, b;
    struct link_stats s;
    pair_open(&a, &b, 0);
    node_wait_up(&a, 1);
    a.any = b.any = 1;
    uint8_t *bulk = calloc(1, 256 << 10);
    struct frame f = {.type = FRAME_PAGES};
    struct iovec part = {bulk, 256 << 10};
    uint64_t start = isf_now_us();
    for (int i = 0; i < 1000; i++)
        link_send(a.link, &f, &part, 1);
    node_wait_frames(&b, 1000);
    uint64_t took = isf_now_us() - start;
    printf("figure throughput, 256 KiB frames: %.0f MB/s\n", 1000.0 * (256 << 10) / (double)took);
    b.reply = 1;
    part.iov_len = 200;
    start = isf_now_us();
    for (uint64_t i = 1; i <= 2000; i++) {
        link_send(a.link, &f, &part, 1);
        while (node_frames(&a) < i && isf_now_us() - start < 20000000)
            sched_yield();
    }
    printf("figure acknowledged round trip, 200 B: %.1f us\n", (double)(isf_now_us() - start) / 2000);
    link_read_stats(a.link, &s);
    printf("figure rate as the link sees it: %.0f MB/s, ping %.0f us\n", (double)s.rate_bytes_s / 1e6, (double)s.rtt_us);
    free(bulk);
    pair_close(&a, &b);
}

int main(void)
{
    if (kit_private_network()) {
        printf("FAIL  a private network namespace is needed (run as root)\n0 passed, 1 failed\n");
        return 1;
    }
    test_frames_both_ways();
    test_many_senders();
    test_callbacks_may_call();
    test_down();
    test_ipv6();
    test_close_under_load();
    test_stuck_reader();
    test_wrong_key();
    test_wrong_line();
    test_bad_wire();
    test_strangers();
    test_bad_peer();
    print_figures();
    return check_end();
}
