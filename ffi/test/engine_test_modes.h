/* Calls that do not fit, handovers, heartbeats, and an engine that is freed in every mode: nothing is left. */
#ifndef ISF_ENGINE_TEST_MODES_H
#define ISF_ENGINE_TEST_MODES_H

#include "engine_test_kit.h"
#include "failpoint.h"

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static int tasks(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* ---- calls ---- */

static void test_small_calls(void)
{
    char text[100], far[300];
    uint8_t secret[WIRE_KEY] = {0};
    struct isf_engine *e = NULL, *other = NULL;
    CHECK(isf_abi() == ISF_ABI && isf_status_size() == (int32_t)sizeof(struct isf_status), "the library says what it is");
    CHECK(isf_error_text(-ISF_ELINK, text, sizeof text) == (int32_t)strlen("no replication line is up") && !strcmp(text, "no replication line is up"),
          "our own errors have a sentence");
    CHECK(isf_error_text(-ENOENT, text, sizeof text) > 0 && !strcmp(text, strerror(ENOENT)), "the system's have theirs");
    CHECK(isf_error_text(0, text, sizeof text) > 0 && !strcmp(text, "no error") && isf_error_text(-99999, text, sizeof text) > 0, "and a number that is none has one");
    CHECK(isf_error_text(-ISF_ESTALE, text, 10) == 9 && strlen(text) == 9, "a text that is cut stays inside its bound");
    memset(far, 'x', sizeof far);
    far[299] = 0;
    int before = descriptors();
    CHECK(isf_engine_new(far, secret, &e) == -ENAMETOOLONG && !e && descriptors() == before && fcntl(0, F_GETFD) >= 0,
          "an engine that cannot be made leaves nothing, and takes nothing");
    CHECK(isf_engine_new("/nonexistent/dir", secret, &e) == -ENOENT && !e, "nor one without its directory");
    CHECK(isf_engine_new(base_dir, secret, &e) == 0 && isf_engine_new(base_dir, secret, &other) == -EEXIST && !other, "two engines never share a directory");
    CHECK(isf_memory_new(e, 4097) == -EINVAL && isf_problem(e, text, sizeof text) > 20 && strstr(text, "4097"), "a refused call says what was wrong");
    CHECK(isf_memory_new(e, 1 << 20) >= 0 && isf_memory_new(e, 1 << 20) == -ISF_ESTATE, "there is one memory");
    CHECK(isf_rhythm(e, 2000, 1000, 1, 1, 1) == -EINVAL && isf_rhythm(e, 0, 100000, 1, 17, 1) == -EINVAL && isf_rhythm(e, 0, 100000, 1, 16, 1) == 0,
          "a rhythm that contradicts itself is refused");
    CHECK(isf_sync(e, 1, 1, 0) == -ISF_ESTATE && isf_handover(e) == -ISF_ESTATE && isf_handover_cancel(e) == -ISF_ESTATE && isf_verify(e) == -ISF_ESTATE &&
              isf_standby(e, 1, 1, 0) == -ISF_ESTATE && isf_promote(e, 1, 1) == -ISF_ESTATE && isf_restore(e, "x") == -ISF_ESTATE &&
              isf_restore_blocks(e) == -ISF_ESTATE && isf_blocks(e, text, sizeof text) == -ISF_ESTATE,
          "what does not fit an idle engine is refused");
    CHECK(isf_control(e, (const uint8_t *)"{}", 2) == -ISF_ELINK && isf_link_add(e, 2, "127.0.0.1", "127.0.0.2", 1, 1) == -EINVAL &&
              isf_link_add(e, 0, "nowhere", "127.0.0.2", 7000, 1) == -EINVAL && isf_failpoint(e, "none", 1) == -ENOENT,
          "and so is what names nothing");
    isf_engine_free(e);
    isf_engine_free(NULL);
    CHECK(descriptors() == before, "an engine that was freed has closed all that it opened");
    struct samples *s = calloc(1, sizeof *s);
    CHECK(samples_quantile(s, 500) == 0, "no samples: no quantile");
    for (uint32_t i = 0; i < 3000; i++)
        samples_add(s, i % 1000 + 1);
    CHECK(samples_quantile(s, 0) == 1 && samples_quantile(s, 1000) == 1000 && samples_quantile(s, 500) >= 480 && samples_quantile(s, 500) <= 520,
          "quantiles are of the newest samples, from the least to the greatest");
    samples_add(s, UINT64_MAX);
    CHECK(samples_quantile(s, 1000) == UINT32_MAX, "a sample beyond 32 bits is the greatest");
    free(s);
}

static void test_attach(void)
{
    char text[600], qmp[108], fifo[108];
    struct side *s = calloc(1, sizeof *s);
    *s = (struct side){.events = -1, .lan = -1, .ram_pages = RAM_PAGES, .qemu = {.control_fd = -1, .monitor = -1}};
    snprintf(s->dir, sizeof s->dir, "%s/attach", base_dir);
    side_open(s);
    side_path(s, qmp, "qmp.sock");
    side_path(s, fifo, "state");
    CHECK(isf_qemu_attach(s->e, 0x7ffffff0, qmp, fifo, 0, 0) < 0 && s->e->qemu_pid == 0, "a process that is not there cannot be attached");
    side_start(s, &(struct fake_control){.without_uffd = 1}, 0);
    CHECK(isf_qemu_attach(s->e, s->qemu.pid, qmp, fifo, 0, TRACKER_PAGESCAN) == -ISF_EUNSUPPORTED && isf_problem(s->e, text, sizeof text) &&
              strstr(text, "preload shim") && access(fifo, F_OK),
          "without a userfaultfd page scanning is refused, with what to do, and nothing stays behind");
    fake_end(&s->qemu);
    side_start(s, &(struct fake_control){.shows_addresses = 1}, 0);
    CHECK(isf_qemu_attach(s->e, s->qemu.pid, qmp, fifo, 0, 0) == 0 && isf_qemu_attach(s->e, s->qemu.pid, qmp, fifo, 0, 0) == -ISF_ESTATE,
          "a QEMU 10 is attached without the shim's table, once");
    int n = isf_blocks(s->e, text, sizeof text);
    CHECK(n == (int)strlen(text) && !strcmp(text, "[{\"name\":\"ram\",\"bytes\":4194304},{\"name\":\"pc.bios\",\"bytes\":65536},{\"name\":\"pc.rom\",\"bytes\":65536},"
                                                  "{\"name\":\"0000:00:01.0/vga.vram\",\"bytes\":262144},{\"name\":\"/rom@etc/acpi/rsdp\",\"bytes\":4096}]"),
          "its RAM blocks are listed in the order of their offsets");
    CHECK(isf_blocks(s->e, text, 40) == -ENOSPC, "a list that does not fit is refused");
    CHECK(isf_qemu_detach(s->e) == 0 && isf_qemu_detach(s->e) == 0 && access(fifo, F_OK), "detaching can be repeated, and takes the FIFO along");
    fake_end(&s->qemu);
    side_close(s);
    free(s);
}

/* ---- handover ---- */

static void test_handover(void)
{
    static struct pair p;
    static struct model m;
    int whole = 1;
    pair_open(&p, NULL, 1);
    model_new(&m, RAM_PAGES);
    struct side *a = PRIMARY(&p);
    int ok = protect(&p, 0) && isf_handover(a->e) == 0 && await(a, "handed");
    uint64_t k = atomic_load(&a->qemu.control->counter);
    nap_us(20000);
    CHECK(ok && atomic_load(&a->qemu.control->counter) == k && !atomic_load(&a->qemu.control->running), "once handed, the VM stands still");
    CHECK(copy_is_whole_now(BACKUP(&p), &m) && m.k == k, "and the backup has its last step");
    CHECK(isf_handover_cancel(a->e) == 0 && isf_handover_cancel(a->e) == -ISF_ESTATE, "(called off)");
    for (int i = 0; i < EVENT_MS && m.k < k + 10; i++) {
        nap_us(1000);
        whole &= copy_is_whole_now(BACKUP(&p), &m);
    }
    CHECK(whole && m.k >= k + 10 && atomic_load(&a->qemu.control->misuse) == 0, "called off, it goes on, protected as before");
    ok = isf_handover(a->e) == 0 && await(a, "handed");
    k = atomic_load(&a->qemu.control->counter);
    ok = ok && take_over(&p, &m, &whole);
    CHECK(ok && whole && m.k == k && atomic_load(&BACKUP(&p)->qemu.control->disk_errors) == 0, "handed over, it goes on there from the very step");
    CHECK(lan_early(&p.lan) == 0 && p.lan.wrong_voice == 0, "no frame left too early, or from the wrong host");
    pair_close(&p);
    model_free(&m);
}

/* ---- heartbeats ---- */

static void beat(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        struct side *s = &p->side[i];
        const char *own = i ? "127.0.0.2" : "127.0.0.1", *peer = i ? "127.0.0.1" : "127.0.0.2";
        for (int k = 0; k < 3; k++)
            isf_heartbeat_path(s->e, k, own, peer, (uint32_t)(7201 + k));
        isf_say(s->e, 4, 1, 0, (uint32_t)(i + 1), 0);
        if (isf_heartbeat_start(s->e, 20000, 1000000, "", ""))
            fatal("heartbeat", s);
    }
}

static void test_lease(void)
{
    static struct pair p;
    pair_open(&p, NULL, 0);
    beat(&p);
    int heard = await(&p.side[0], "word") != NULL;
    for (int i = 0; i < EVENT_MS && !(STATUS(&p.side[0], path_alive[0]) && STATUS(&p.side[1], path_alive[2]) && STATUS(&p.side[1], peer_role)); i++)
        nap_us(1000);
    CHECK(heard && STATUS(&p.side[0], peer_role) == 2 && STATUS(&p.side[1], peer_role) == 1, "each host hears the other's word");
    int ok = protect(&p, 0);
    uint64_t sent = STATUS(&p.side[0], out_frames);
    for (int i = 0; i < EVENT_MS && STATUS(&p.side[0], out_frames) < sent + 20; i++)
        nap_us(1000);
    CHECK(ok && STATUS(&p.side[0], out_frames) >= sent + 20 && lan_early(&p.lan) == 0, "while they hear each other, committed output leaves");
    pthread_mutex_lock(&p.lan.lock);
    p.lan.strict = 0;
    side_close(&p.side[1]);
    pthread_mutex_unlock(&p.lan.lock);
    CHECK(await(&p.side[0], "peer") != NULL, "silence is reported");
    lan_take(&p.lan, 0);
    uint64_t before = p.lan.frames[0];
    nap_us(100000);
    lan_take(&p.lan, 0);
    CHECK(p.lan.frames[0] == before && STATUS(&p.side[0], held_frames) > 0, "in the silence nothing leaves any more");
    CHECK(isf_solo(p.side[0].e, ++p.term) == 0, "(a grant)");
    for (int i = 0; i < EVENT_MS && STATUS(&p.side[0], held_frames); i++)
        nap_us(1000);
    lan_take(&p.lan, 0);
    CHECK(p.lan.frames[0] > before, "under a grant what was held leaves, and the VM goes on alone");
    pair_close(&p);
}

/* ---- the end, in every mode ---- */

static void end_in(struct pair *p, int mode)
{
    static struct model m;
    int whole = 1;
    struct side *a = PRIMARY(p), *b = BACKUP(p);
    if (mode == ISF_SYNCING) {
        links_up(p);
        isf_standby(b->e, ++p->generation, p->term, 0);
        isf_sync(a->e, p->generation, p->term, 0);
        nap_us(below(20000));
        return;
    }
    if (mode == ISF_SOLO || mode == ISF_IDLE)
        return;
    protect(p, 0);
    nap_us(below(50000));
    if (mode == ISF_HELD)
        isf_hold(a->e);
    if (mode == ISF_HANDING && isf_handover(a->e) == 0 && below(2))
        await(a, "handed");
    if (mode == ISF_PROMOTING) {
        model_new(&m, RAM_PAGES);
        if (below(2))
            isf_promote(b->e, ++p->term, 1);
        else
            take_over(p, &m, &whole);
        model_free(&m);
    }
}

static void test_ends(void)
{
    static struct pair p;
    static const int modes[] = {ISF_IDLE, ISF_SOLO, ISF_SYNCING, ISF_PROTECTED, ISF_HELD, ISF_HANDING, ISF_STANDBY, ISF_PROMOTING};
    int fds = descriptors(), threads = tasks(), same = 1;
    for (int i = 0; i < 20; i++) {
        pair_open(&p, NULL, i % 3 != 0);
        end_in(&p, modes[i % 8]);
        int late = i > 12 && (modes[i % 8] == ISF_PROTECTED || modes[i % 8] == ISF_STANDBY);
        if (late) { /* a journal's report comes while the rest is being freed */
            isf_failpoint(p.side[0].e, "journal-written", 2);
            nap_us(20000);
        }
        pair_close(&p);
        failpoint_set("journal-written", 0);
        if (descriptors() != fds || tasks() != threads)
            printf("      after mode %d: %d descriptors, not %d; %d threads, not %d\n", modes[i % 8], descriptors(), fds, tasks(), threads);
        same &= descriptors() == fds && tasks() == threads;
    }
    CHECK(same, "freed in any mode, twenty times: no descriptor and no thread is left");
}

static void test_modes(void)
{
    test_small_calls();
    test_attach();
    test_handover();
    test_lease();
    test_ends();
}

#endif
