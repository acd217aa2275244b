/* The engine's hardware watchdog: armed while the runner says that a VM is here, kept alive while heartbeats go out. */
#include "engine.h"

#include <stdio.h>

static int vm_is_here(void *context)
{
    struct isf_engine *e = context;
    return atomic_load(&e->vm_here);
}

static uint64_t beats(void *context)
{
    struct isf_engine *e = context;
    struct heartbeat *h = atomic_load(&e->heartbeat);
    return h ? heartbeat_beats(h) : 0;
}

int32_t isf_watchdog(isf_engine *e, const char *path, uint32_t timeout_s)
{
    char mark[112];
    if (e->watchdog)
        return engine_problem(e, -ISF_ESTATE, "the engine has a watchdog already");
    snprintf(mark, sizeof mark, "%s/watchdog", e->run_dir);
    struct watchdog_config c = { .path = path[0] ? path : "/dev/watchdog", .named = path[0] != 0, .mark = mark, .timeout_s = timeout_s,
                                 .context = e, .wanted = vm_is_here, .beats = beats };
    int r = watchdog_open(&e->watchdog, &c);
    return r ? engine_problem(e, r, "the watchdog %.100s with %u s: %u to %u s, and a path of at most 107 characters", c.path, timeout_s,
                              WATCHDOG_LEAST_S, WATCHDOG_MOST_S) : 0;
}

int32_t isf_watchdog_state(isf_engine *e, char *text, uint32_t size)
{
    static const char *const name[] = { "off", "absent", "unfit", "ready", "armed", "busy" };
    char why[240] = "nobody asked for a watchdog", escaped[1500];
    enum watchdog_state state = e->watchdog ? watchdog_read(e->watchdog, why, sizeof why) : WATCHDOG_OFF;
    events_escape(escaped, sizeof escaped, why);
    int n = snprintf(text, size, "{\"state\":\"%s\",\"why\":\"%s\"}", name[state], escaped);
    return n < 0 || (uint32_t)n >= size ? -ENOSPC : n;
}
