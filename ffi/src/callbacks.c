/* What the engine does when one of its parts reports: each runs on that part's thread, and returns at once. */
#include "engine.h"

#include <stdio.h>

static void choose_line(struct isf_engine *e)
{
    int active = atomic_load(&e->active), best = -1;
    for (int i = 1; i >= 0; i--)
        if (atomic_load(&e->link_up[i]))
            best = i;
    if (active >= 0 && atomic_load(&e->link_up[active]))
        best = active; /* ticker.c moves back to A when that has been well for a while */
    atomic_store(&e->active, best);
}

/* Why a line is lost, for people. */
static void reason_text(struct link *l, int reason, char *text, uint32_t size)
{
    struct link_stats s = {0};
    if (l)
        link_read_stats(l, &s);
    if (reason == -ISF_EVERSION && s.other_version)
        snprintf(text, size, "the other host speaks version %u of the wire, this one version %u: upgrade iservft-edge on %s",
                 (unsigned)s.other_version, WIRE_VERSION, s.other_version > WIRE_VERSION ? "this host" : "the other host");
    else
        isf_error_text(reason, text, size);
}

void engine_on_link(void *context, int index, int up, int reason)
{
    struct isf_engine *e = context;
    char text[160];
    pthread_mutex_lock(&e->lock);
    int before = atomic_load(&e->active);
    atomic_store(&e->link_up[index], up);
    if (up)
        e->link_up_since_us[index] = isf_now_us();
    choose_line(e);
    int after = atomic_load(&e->active);
    if (!up && before == index)
        e->line_losses++;
    if (before != after || before == index) {
        e->send_reset = 1;
        e->work = 1;
        pthread_cond_broadcast(&e->wake);
    }
    reason_text(e->link[index], reason, text, sizeof text);
    pthread_mutex_unlock(&e->lock);
    events_send(&e->events, "link", "\"link\":%d,\"up\":%s,\"reason\":\"%s\"", index, up ? "true" : "false", up ? "" : text);
    if (before != after)
        events_send(&e->events, "active", "\"link\":%d", after);
}

void engine_on_path(void *context, int path, int alive)
{
    struct isf_engine *e = context;
    status_set(&e->status->path_alive[path], alive != 0); /* at once: the decision reads it again before it acts */
    events_send(&e->events, "path", "\"path\":%d,\"alive\":%s", path, alive ? "true" : "false");
    if (!alive && path < 2 && e->link[path])
        link_drop(e->link[path], -ETIMEDOUT); /* TCP would take seconds to notice */
}

void engine_on_peer(void *context, int silent, int lan_answers)
{
    struct isf_engine *e = context;
    events_send(&e->events, "peer", "\"silent\":%s,\"lan_answers\":%s", silent ? "true" : "false", lan_answers ? "true" : "false");
}

void engine_on_stall(void *context, uint64_t gap_us)
{
    struct isf_engine *e = context;
    events_send(&e->events, "own_stall", "\"gap_us\":%llu", (unsigned long long)gap_us);
}

void engine_on_output(void *context)
{
    struct isf_engine *e = context;
    if (atomic_exchange(&e->output_waits, 1) == 0)
        engine_kick(e);
}

uint64_t engine_lease(void *context)
{
    struct isf_engine *e = context;
    if (!e->heartbeat)
        return UINT64_MAX;
    uint64_t heard = heartbeat_acknowledged_us(e->heartbeat);
    return heard ? heard + e->silence_us - e->silence_us / 10 : 0; /* a tenth for clocks that differ */
}

void engine_on_gate_qemu(void *context, int connected)
{
    (void)context;
    (void)connected;
}

void engine_on_log(void *context)
{
    struct isf_engine *e = ((struct disk_slot *)context)->e;
    pthread_mutex_lock(&e->lock);
    if (e->sending) {
        e->work = 1;
        pthread_cond_broadcast(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
}

void engine_on_durable(void *context, uint64_t epoch)
{
    struct isf_engine *e = ((struct disk_slot *)context)->e;
    (void)epoch;
    int mode = atomic_load(&e->mode);
    if (mode == ISF_PROTECTED || mode == ISF_HANDING) {
        sender_release(e);
    } else if (mode == ISF_STANDBY) {
        atomic_store(&e->standby.tell_durable, 1);
        standby_tell_durable(e);
    }
}

void engine_on_disk_error(void *context, int error, const char *what)
{
    struct disk_slot *slot = context;
    char escaped[600];
    events_escape(escaped, sizeof escaped, what);
    events_send(&slot->e->events, "disk", "\"disk\":%d,\"error\":%d,\"what\":\"%s\"", slot->index, error, escaped);
}

void engine_on_qmp(void *context, const char *line, size_t length)
{
    struct isf_engine *e = context;
    const char *at = strstr(line, "\"event\": \"");
    char name[64] = "";
    if (at)
        sscanf(at + 10, "%63[A-Z_]", name);
    if (name[0] && line[length ? length - 1 : 0] == '}')
        events_send(&e->events, "qemu", "\"name\":\"%s\",\"data\":%.1200s", name, length < 1200 ? line : "null");
}
