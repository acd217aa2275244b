/* Output is tied to the term and the generation in which it came: a commit of any other lets nothing out. */
#ifndef ISF_ENGINE_TEST_TERMS_H
#define ISF_ENGINE_TEST_TERMS_H

#include "engine_test_kit.h"
#include "failpoint.h"

/* The newest epoch that was closed, once two wait for their commit: output asks for checkpoints, so there are frames in them. */
static uint64_t waiting_epoch(struct isf_engine *e)
{
    for (int i = 0; i < EVENT_MS; i++) {
        pthread_mutex_lock(&e->lock);
        uint64_t closed = e->open_epoch - 1;
        pthread_mutex_unlock(&e->lock);
        struct gate_stats g;
        gate_read_stats(e->gate[0], &g);
        pthread_mutex_lock(&e->release_lock);
        int waits = e->committed + 2 <= closed && g.held_frames > 0;
        pthread_mutex_unlock(&e->release_lock);
        if (waits)
            return closed;
        nap_us(1000);
    }
    return 0;
}

static uint64_t committed_now(struct isf_engine *e)
{
    pthread_mutex_lock(&e->release_lock);
    uint64_t committed = e->committed;
    pthread_mutex_unlock(&e->release_lock);
    return committed;
}

static uint64_t frames_out(struct isf_engine *e)
{
    struct gate_stats g;
    gate_read_stats(e->gate[0], &g);
    return g.out_frames;
}

static void test_terms(void)
{
    struct pair *p = calloc(1, sizeof *p);
    uint8_t payload[COMMIT_PAYLOAD] = {0};
    pair_open(p, NULL, 0);
    CHECK(protect(p, 0), "terms: protected");
    struct isf_engine *e = PRIMARY(p)->e;
    failpoint_set("stage-whole", 2); /* the backup is silent for a second with each epoch */
    uint64_t epoch = waiting_epoch(e);
    CHECK(epoch > 0, "an epoch's output waits for its commit");
    struct frame f = {.type = FRAME_COMMIT, .generation = p->generation, .term = p->term + 1, .epoch = epoch, .length = COMMIT_PAYLOAD};
    CHECK(receive_frame(e, 0, &f, payload) == -ISF_ESTALE, "a commit of a newer term is refused: who is in it has gone on without us");
    f.term = p->term - 1;
    CHECK(receive_frame(e, 0, &f, payload) == -ISF_ESTALE, "and so is one of an older term");
    f.term = p->term;
    f.generation = p->generation - 1;
    CHECK(receive_frame(e, 0, &f, payload) == -ISF_ESTALE, "or of an older generation");
    uint64_t left = 0, committed = 0;
    for (int i = 0; i < 10 && committed == 0; i++) { /* again, should a commit of the backup's come in between */
        uint64_t before = committed_now(e), frames = frames_out(e);
        sender_committed(e, p->generation - 1, epoch, 0);
        left = frames_out(e) - frames;
        committed = committed_now(e) == before ? before : 0;
    }
    CHECK(committed > 0 && committed < epoch && left == 0, "one that was received in an older generation, and is only now reported, lets nothing out");
    uint64_t frames = frames_out(e);
    sender_committed(e, p->generation, epoch, 0);
    CHECK(committed_now(e) >= epoch && frames_out(e) > frames, "control: in this one it does");
    failpoint_set("stage-whole", 0);
    pair_close(p);
    free(p);
}

#endif
