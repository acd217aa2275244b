/* Heartbeats: their meaning in played time, then real sockets, real freezes, a real LAN. */
#include "check.h"
#include "heartbeat_test_sim.h"
#include "heartbeat_test_real.h"

static void test_begin(void)
{
    struct sim *s = sim_new(1);
    sim_run(s, 80000);
    CHECK(sim_alive(s, 0) == 7 && sim_alive(s, 1) == 7 && s->host[0].core.silent == 0, "two hosts find each other on all paths within a few intervals");
    sim_run(s, 3000000);
    CHECK(s->host[0].path_downs[0] + s->host[1].path_downs[2] + s->host[0].silences == 0, "and nothing happens while nothing happens");
    CHECK(s->host[0].core.acknowledged_us + 3 * SIM_INTERVAL > s->now_us, "what I sent is acknowledged within three intervals");
    CHECK(s->host[0].core.peers.generation == s->host[1].core.mine.generation, "the peer's word is heard");
    CHECK(s->host[0].core.path[0].rtt_us >= 600 && s->host[0].core.path[0].rtt_us < 4000, "the round trip leaves out what the peer held");
    sim_free(s);
    s = sim_new(2);
    s->host[1].dead = 1;
    sim_run(s, 1900000);
    CHECK(s->host[0].silences == 0, "a peer that was never heard is not silent at once");
    sim_run(s, 200000);
    CHECK(s->host[0].silences == 1, "but after two seconds");
    sim_free(s);
}

static void test_lines(void)
{
    struct sim *s = sim_new(3);
    sim_run(s, 500000);
    sim_cut(s, 0, 3);
    sim_run(s, 150000);
    CHECK(sim_alive(s, 0) == 6 && sim_alive(s, 1) == 6 && s->host[0].silences + s->host[1].silences == 0, "a cut line is dead on both sides, and no more");
    sim_cut(s, 0, 0);
    sim_run(s, 100000);
    CHECK(sim_alive(s, 0) == 7 && sim_alive(s, 1) == 7, "and alive again when it works again");
    sim_cut(s, 1, 1);
    sim_run(s, 200000);
    CHECK(sim_alive(s, 0) == 5 && sim_alive(s, 1) == 5, "a line that works one way only is dead on both sides");
    sim_cut(s, 0, 1);
    sim_cut(s, 1, 1);
    sim_cut(s, 2, 2);
    sim_run(s, 1000000);
    CHECK(s->host[0].silences == 1 && s->host[1].silences == 1, "lines that work one way each, in different ways, are silence for both");
    CHECK(s->violations == 0, "and neither is acknowledged past what the other counted");
    CHECK(s->naive_violations > 0, "negative control: echoing whatever comes would keep the lease of a host that was found silent");
    for (int i = 0; i < 3; i++)
        sim_cut(s, i, 0);
    sim_run(s, 200000);
    CHECK(sim_alive(s, 0) == 7 && s->host[0].core.silent == 0, "and all is well when the lines are");
    for (int i = 0; i < 3; i++)
        s->loss[i] = 20;
    sim_run(s, 60000000);
    CHECK(s->host[0].silences + s->host[1].silences == 2, "20 % loss on every path is not silence");
    sim_free(s);
}

static int stall_run(int blind, int *other_silences)
{
    struct sim *s = sim_new(4);
    s->blind = blind;
    sim_run(s, 500000);
    s->host[0].frozen = 1;
    sim_run(s, 5000000);
    s->host[0].frozen = 0;
    sim_run(s, 500000);
    int mine = s->host[0].silences + (s->host[0].stalls != !blind) * 9 + s->host[1].stalls * 9;
    *other_silences = s->host[1].silences;
    if (sim_alive(s, 0) != 7 || sim_alive(s, 1) != 7)
        mine = 99;
    sim_free(s);
    return mine;
}

static void test_stalls(void)
{
    int others;
    CHECK(stall_run(0, &others) == 0 && others == 1, "a host that was frozen is found silent, and does not find the other silent when it thaws");
    CHECK(stall_run(1, &others) > 0, "negative control: a host that does not notice its own stall does");
    struct sim *s = sim_new(5);
    sim_run(s, 500000);
    s->host[1].dead = 1;
    for (int i = 0; i < 40; i++) { /* awake for a millisecond in every fifty */
        s->host[0].frozen = 1;
        sim_run(s, 49000);
        s->host[0].frozen = 0;
        sim_run(s, 1000);
    }
    CHECK(s->host[0].silences == 1, "a host that stalls all the time finds a dead peer still");
    sim_free(s);
    s = sim_new(6);
    sim_run(s, 500000);
    struct core_changes changes;
    s->host[0].frozen = 1;
    for (int i = 0; i < 50; i++) {
        s->now_us += SIM_INTERVAL;
        core_turn(&s->host[0].core, s->now_us, 0, 0, &changes);
    }
    CHECK(s->host[0].core.silent == 0, "while unread datagrams wait, nobody is found silent");
    core_turn(&s->host[0].core, s->now_us, 1, 0, &changes);
    CHECK(s->host[0].core.silent == 1, "and once there are none, the silence stands");
    sim_free(s);
}

/* Freezes of every length: whoever was found silent by the other learns from its own clock that it may have been. */
static void test_stall_lengths(void)
{
    int unaware = 0, found = 0, calm = 0;
    for (uint64_t ms = 5; ms < 250; ms++) {
        struct sim *s = sim_new((unsigned)ms);
        sim_run(s, 500000);
        s->host[0].frozen = 1;
        sim_run(s, ms * 1000);
        s->host[0].frozen = 0;
        sim_run(s, 500000);
        found += s->host[1].silences > 0;
        unaware += s->host[1].silences > 0 && s->host[0].stalls == 0;
        calm += s->host[1].silences == 0 && s->host[0].stalls == 0;
        sim_free(s);
    }
    CHECK(found > 100 && unaware == 0, "a freeze in which the other host found this one silent is always noticed here");
    CHECK(calm > 60, "and a short one is not made much of");
}

/* The figures by which one sees how close a takeover came. */
static void test_gaps(void)
{
    struct sim *s = sim_new(8);
    struct core *a = &s->host[0].core, *b = &s->host[1].core;
    sim_run(s, 500000);
    CHECK(a->gap_us_max >= SIM_INTERVAL / 2 && a->gap_us_max < 3 * SIM_INTERVAL && a->stall_us_max < SIM_INTERVAL, "while nothing happens, signs of life come at every interval");
    s->host[1].frozen = 1;
    sim_run(s, 60000);
    s->host[1].frozen = 0;
    sim_run(s, 100000);
    CHECK(a->gap_us_max >= 60000 && a->gap_us_max < 60000 + 3 * SIM_INTERVAL && s->host[0].silences == 0, "a gap that was too short to be silence is measured");
    CHECK(b->stall_us_max >= 60000 && b->stall_us_max < 60000 + SIM_INTERVAL && a->stall_us_max < SIM_INTERVAL, "and so is the stall, on the host that stalled");
    s->host[1].dead = 1;
    sim_run(s, 300000);
    sim_start(s, 1);
    sim_run(s, 500000);
    CHECK(sim_alive(s, 0) == 7 && a->gap_us_max < 3 * SIM_INTERVAL, "a peer that starts anew is measured anew");
    sim_free(s);
}

/* Plays the whole recording of host 1 to host 0, over every path, all at once and then at its own pace. How often it was believed. */
static int replay(struct sim *s, size_t count)
{
    int believed = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            for (int path = 0; path < HEARTBEAT_PATHS; path++)
                believed += core_receive(&s->host[0].core, path, &s->recording[i], s->now_us) == 0;
            if (pass && i % 3 == 0)
                sim_run(s, SIM_INTERVAL);
        }
    return believed;
}

static void test_recordings(void)
{
    struct sim *s = sim_new(7);
    sim_run(s, 1000000);
    size_t first_life = s->recorded;
    CHECK(first_life > 200 && replay(s, first_life) == 0, "recorded datagrams are refused while the peer lives");
    s->host[1].dead = 1;
    for (int i = 0; i < 3; i++)
        s->host[0].in[i].count = 0;
    sim_run(s, 500000);
    CHECK(replay(s, first_life) == 0 && s->host[0].core.silent == 1, "they do not bring a dead peer back");
    sim_start(s, 1);
    sim_run(s, 300000);
    CHECK(sim_alive(s, 0) == 7 && sim_alive(s, 1) == 7 && s->host[0].core.peers.generation == s->host[1].core.mine.generation,
          "a restarted peer is believed, on all paths");
    CHECK(replay(s, first_life) == 0, "its former life is not");
    s->host[1].dead = 1;
    sim_run(s, 5000000);
    sim_start(s, 0);
    uint64_t life = s->host[0].core.peers.generation;
    CHECK(replay(s, s->recorded) == 0 && s->host[0].core.peers.generation == life && s->host[0].core.acknowledged_us == 0,
          "a restarted host believes no recording of anybody");
    struct datagram mine;
    core_compose(&s->host[0].core, 0, &mine, s->now_us);
    CHECK(core_receive(&s->host[0].core, 0, &mine, s->now_us) == -ISF_ECORRUPT, "a host does not hear itself");
    sim_free(s);
}

static void test_withholding(void)
{
    struct sim *s = sim_new(9);
    struct core *a = &s->host[0].core, *b = &s->host[1].core;
    sim_run(s, 500000);
    uint64_t out_us = core_withhold(b, 1);
    sim_run(s, 2000000);
    CHECK(sim_alive(s, 0) == 7 && a->silent == 0 && a->acknowledged_us + SIM_SILENCE <= out_us && out_us < s->now_us - 1000000,
          "a host that withholds is heard, but the other's lease has run out when it said");
    CHECK(core_withhold(b, 1) == out_us, "asked again it says the same");
    core_withhold(b, 0);
    sim_run(s, 100000);
    CHECK(a->acknowledged_us + 3 * SIM_INTERVAL > s->now_us, "and when it no longer withholds, acknowledgements go on");
    b->mine.term = 7;
    sim_run(s, 50000);
    uint64_t before = a->acknowledged_us;
    sim_run(s, 500000);
    CHECK(a->acknowledged_us == before && a->peers.term == 7, "a peer in a newer term acknowledges nothing");
    a->mine.term = 7;
    sim_run(s, 50000);
    CHECK(a->acknowledged_us > before, "until this host is in that term too");
    sim_free(s);
}

static void test_lan_rule(void)
{
    struct sim *s = sim_new(8);
    struct sim_host *a = &s->host[0];
    sim_run(s, 500000);
    for (int i = 0; i < 3; i++)
        sim_cut(s, i, 3);
    a->lan_answer_us = s->now_us + 9000; /* the cut took everything, this host's LAN too; the gateway had answered just before */
    sim_run(s, 400000);
    CHECK(a->core.silent == 1 && a->core.lan_answers == 0, "an answer from about the time of the cut does not count");
    for (int i = 0; i < 3; i++)
        sim_cut(s, i, 0);
    sim_run(s, 300000);
    s->host[1].dead = 1;
    int told = 0;
    for (int i = 0; i < 300 && !told; i++) {
        a->lan_answer_us = s->now_us;
        sim_run(s, SIM_STEP);
        told = a->core.silent == 1 ? 1 + a->core.lan_answers : 0;
    }
    CHECK(told == 2, "a gateway that goes on answering is known at the moment of the silence");
    struct core_changes changes;
    int changed = 0;
    for (int i = 0; i < 400; i++) {
        s->now_us += SIM_STEP;
        core_turn(&a->core, s->now_us, 1, a->lan_answer_us, &changes);
        changed += changes.peer;
    }
    CHECK(changed == 1 && a->core.lan_answers == 0 && a->core.silent == 1, "when it stops answering, that is told once");
    sim_free(s);
}

/* One seed: 20 s of random faults, then peace. Returns 0 if all promises held. */
static int random_faults(unsigned seed, int *silences, uint64_t *naive)
{
    struct sim *s = sim_new(seed);
    for (int i = 0; i < 200; i++) {
        int path = rand() % HEARTBEAT_PATHS, host = rand() % 2;
        switch (rand() % 8) {
        case 0: case 1: sim_cut(s, path, rand() % 4); break;
        case 2: s->loss[path] = rand() % 80; break;
        case 3: s->delay_us[path] = (uint32_t)rand() % 150000; break;
        case 4: s->host[host].frozen = !s->host[host].frozen; break;
        case 5: if (rand() % 4 == 0) sim_start(s, host); break;
        case 6: for (int k = 0; k < 3; k++) sim_cut(s, k, rand() % 4); break;
        default: for (int k = 0; k < 3; k++) { sim_cut(s, k, 0); s->delay_us[k] = 300; } break;
        }
        sim_run(s, (uint64_t)rand() % 200000);
    }
    for (int k = 0; k < 3; k++) {
        sim_cut(s, k, 0);
        s->loss[k] = 0;
        s->delay_us[k] = 300;
    }
    s->host[0].frozen = s->host[1].frozen = 0;
    *silences += s->host[0].silences;
    sim_run(s, 1000000);
    *naive += s->naive_violations;
    int bad = s->violations > 0 || sim_alive(s, 0) != 7 || sim_alive(s, 1) != 7 || s->host[0].core.silent || s->host[1].core.silent;
    if (bad)
        printf("seen  seed %u: violations %lu, alive %d %d\n", seed, (unsigned long)s->violations, sim_alive(s, 0), sim_alive(s, 1));
    sim_free(s);
    return bad;
}

static void test_random_faults(unsigned first)
{
    int bad = 0, silences = 0;
    uint64_t naive = 0;
    printf("seed  %u to %u\n", first, first + 99);
    for (unsigned seed = first; seed < first + 100; seed++)
        bad += random_faults(seed, &silences, &naive);
    CHECK(bad == 0 && silences > 100, "through cuts, loss, delay, freezes and restarts: no lease outlives the silence, and peace brings all paths back");
    CHECK(naive > 0, "negative control: the same faults break the promise of a careless echo");
}

static void test_datagram(void)
{
    uint8_t secret[WIRE_KEY] = {1}, other[WIRE_KEY] = {2}, bytes[DATAGRAM_BYTES + 1];
    struct mac *key, *wrong;
    struct datagram d = {2, 5, 123456, 11, 12, 13, 14, 15, 16, {21, 22, 23, 24, 25}}, e;
    int r = datagram_key(&key, secret) | datagram_key(&wrong, other) | datagram_encode(&d, key, bytes);
    CHECK(r == 0 && datagram_decode(&e, key, bytes, DATAGRAM_BYTES) == 0 && e.path == 2 && e.hears == 5 && e.hold_us == 123456
              && e.session == 11 && e.sequence == 12 && e.sent_us == 13 && e.peer_session == 14 && e.echo_us == 15 && e.confirmed_us == 16
              && e.word.generation == 21 && e.word.term == 22 && e.word.epoch == 23 && e.word.role == 24 && e.word.flags == 25,
          "every field of a datagram comes back as it went");
    int accepted = 0;
    for (int bit = 0; bit < (int)DATAGRAM_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        accepted += datagram_decode(&e, key, bytes, DATAGRAM_BYTES) == 0;
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = 0; length < DATAGRAM_BYTES + 2; length++)
        accepted += length != DATAGRAM_BYTES && datagram_decode(&e, key, bytes, length) == 0;
    CHECK(accepted == 0, "no flipped bit and no other length is accepted");
    CHECK(datagram_decode(&e, wrong, bytes, DATAGRAM_BYTES) == -ISF_ECORRUPT, "nor is another secret's");
    d.session = 0;
    datagram_encode(&d, key, bytes);
    CHECK(datagram_decode(&e, key, bytes, DATAGRAM_BYTES) == -ISF_ECORRUPT, "nor is session zero");
    mac_free(key);
    mac_free(wrong);
}

int main(int argc, char **argv)
{
    if (kit_private_network()) {
        printf("FAIL  a private network namespace is needed (run as root)\n0 passed, 1 failed\n");
        return 1;
    }
    test_datagram();
    test_begin();
    test_lines();
    test_stalls();
    test_stall_lengths();
    test_gaps();
    test_recordings();
    test_withholding();
    test_lan_rule();
    test_random_faults(argc > 1 ? (unsigned)atoi(argv[1]) : 1000);
    test_real_pair();
    test_real_strangers();
    test_real_freeze();
    test_real_stall();
    test_real_lan();
    return check_end();
}
