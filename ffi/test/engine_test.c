/* The engine as a whole: two of them, with stand-in QEMUs whose guest is a function of its counter. See fake_qemu.h and engine_test_kit.h.
 *
 *   engine_test [seed [modes|faults|pace|relink|sync|terms|history]]     a run prints its seed; a seed that failed is given again */
#include "fake_qemu_process.h"
#include "net_kit.h"

#include "engine_test_kit.h"

#include "engine_test_faults.h"
#include "engine_test_history.h"
#include "engine_test_modes.h"
#include "engine_test_pace.h"
#include "engine_test_relink.h"
#include "engine_test_sync.h"
#include "engine_test_terms.h"

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[0], "fake-qemu"))
        return fake_main(argv[1]);
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)getpid() * 1000003u ^ isf_now_us();
    printf("seed %llu\n", (unsigned long long)seed);
    if (kit_private_network() || run("for i in 0 1; do ip link add br$i type bridge && sysctl -qw net.ipv6.conf.br$i.disable_ipv6=1 &&"
                                     " ip link set br$i up || exit 1; done")) {
        printf("this test needs root, and a network namespace of its own\n");
        return 1;
    }
    strcpy(base_dir, "/tmp/isf_engine_XXXXXX");
    if (!mkdtemp(base_dir))
        return 1;
    const char *only = argc > 2 ? argv[2] : "";
    if (!*only || strstr(only, "modes"))
        test_modes();
    if (!*only || strstr(only, "faults"))
        test_faults();
    if (!*only || strstr(only, "pace"))
        test_pace();
    if (!*only || strstr(only, "relink"))
        test_relink();
    if (!*only || strstr(only, "sync"))
        test_sync();
    if (!*only || strstr(only, "terms"))
        test_terms();
    if (!*only || strstr(only, "history")) {
        test_history(TRACKER_COMPARE, RAM_PAGES, 2000000);
        test_history(TRACKER_AUTO, RAM_PAGES, 6000000);
        test_history(TRACKER_AUTO, RAM_PAGES_MORE, 4000000);
    }
    char command[80];
    snprintf(command, sizeof command, "rm -rf %s", base_dir);
    run(command);
    return check_end();
}
