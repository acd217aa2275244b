/* /init of the demo guest: brings up a Linux kernel far enough for one TCP service and a disk. Static, no libc on the disk, no
 * shell: what is not there dirties no page while a checkpoint is measured.
 *
 * Kernel command line:
 *   iservft.ip=10.77.0.10/24   address of eth0
 *   iservft.gw=10.77.0.1       default gateway (optional)
 *   iservft.pool_mb=32         size of the pool of pages that `count dirty=` changes */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "prompt.h"
#include "service.h"

#define MODULE_DIR "/modules/"
#define MODULE_COMPRESSED 4 /* MODULE_INIT_COMPRESSED_FILE, Linux 5.17 */

static struct service the_service = {.log.fd = -1, .kv = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1}};

static void complain(const char *what, const char *which)
{
    fprintf(stderr, "iservft-guest: %s %s: %s\n", what, which, strerror(errno));
}

static void mount_one(const char *type, const char *at, const char *options)
{
    mkdir(at, 0755);
    if (mount(type, at, type, 0, options) < 0 && errno != EBUSY)
        complain("cannot mount", at);
}

/* stdin, stdout and stderr are the console, which exists only once /dev is mounted. */
static void open_console(void)
{
    int fd = open("/dev/console", O_RDWR | O_NOCTTY);
    if (fd < 0)
        return;
    for (int to = 0; to < 3; to++)
        dup2(fd, to);
    if (fd > 2)
        close(fd);
}

static void load_module(const char *name)
{
    char path[256];
    const char *base = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    size_t length = strlen(base);
    bool plain = length > 3 && !strcmp(base + length - 3, ".ko");
    if (snprintf(path, sizeof path, MODULE_DIR "%s", base) >= (int)sizeof path)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        complain("cannot open module", base);
        return;
    }
    if (syscall(SYS_finit_module, fd, "", plain ? 0 : MODULE_COMPRESSED) < 0 && errno != EEXIST)
        complain("cannot load module", base);
    close(fd);
}

static void load_modules(void)
{
    char name[256];
    FILE *order = fopen(MODULE_DIR "modules.order", "re");
    if (!order)
        return; /* a kernel with all built in */
    while (fgets(name, sizeof name, order)) {
        name[strcspn(name, "\r\n")] = '\0';
        if (name[0] != '\0' && name[0] != '#')
            load_module(name);
    }
    fclose(order);
}

/* The value of `key` on the kernel command line into `value`; the default if it is not there. */
static void parameter(const char *key, const char *otherwise, char *value, size_t size)
{
    char line[2048] = "", *rest = NULL;
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    snprintf(value, size, "%s", otherwise);
    if (fd < 0)
        return;
    ssize_t got = read(fd, line, sizeof line - 1);
    close(fd);
    line[got > 0 ? got : 0] = '\0';
    for (char *word = strtok_r(line, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
        if (!strncmp(word, key, strlen(key)) && word[strlen(key)] == '=')
            snprintf(value, size, "%s", word + strlen(key) + 1);
}

static struct sockaddr_in ipv4(in_addr_t address)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = address};
}

/* Gives `name` an address and switches it on; without one only the latter. */
static int interface_up(int socket_fd, const char *name, const char *address, int prefix)
{
    struct ifreq request = {0};
    struct sockaddr_in at = ipv4(inet_addr(address));
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    memcpy(&request.ifr_addr, &at, sizeof at);
    if (ioctl(socket_fd, SIOCSIFADDR, &request) < 0)
        return -1;
    at = ipv4(htonl(prefix > 0 ? ~0u << (32 - prefix) : 0));
    memcpy(&request.ifr_netmask, &at, sizeof at);
    if (ioctl(socket_fd, SIOCSIFNETMASK, &request) < 0)
        return -1;
    if (ioctl(socket_fd, SIOCGIFFLAGS, &request) < 0)
        return -1;
    request.ifr_flags |= IFF_UP | IFF_RUNNING;
    return ioctl(socket_fd, SIOCSIFFLAGS, &request);
}

static void default_route(int socket_fd, const char *gateway)
{
    struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
    struct sockaddr_in any = ipv4(INADDR_ANY), via = ipv4(inet_addr(gateway));
    memcpy(&route.rt_dst, &any, sizeof any);
    memcpy(&route.rt_genmask, &any, sizeof any);
    memcpy(&route.rt_gateway, &via, sizeof via);
    if (ioctl(socket_fd, SIOCADDRT, &route) < 0)
        complain("cannot add the route by", gateway);
}

static void bring_up_network(void)
{
    char address[64], gateway[64];
    int prefix = 24, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || interface_up(fd, "lo", "127.0.0.1", 8) < 0)
        complain("cannot switch on", "lo");
    parameter("iservft.ip", "", address, sizeof address);
    parameter("iservft.gw", "", gateway, sizeof gateway);
    if (address[0] != '\0') {
        char *slash = strchr(address, '/');
        if (slash) {
            *slash = '\0';
            prefix = atoi(slash + 1);
        }
        if (prefix < 0 || prefix > 32 || interface_up(fd, "eth0", address, prefix) < 0)
            complain("cannot give eth0 the address", address);
        else if (gateway[0] != '\0')
            default_route(fd, gateway);
    }
    if (fd >= 0)
        close(fd);
}

static void open_disk(void)
{
    for (int i = 0; i < 20 && access("/dev/vda", F_OK) < 0; i++)
        sleep_ms(10);
    if (access("/dev/vda", F_OK) < 0)
        return; /* a machine without a disk is fine */
    mkdir("/data", 0755);
    if (mount("/dev/vda", "/data", "ext4", MS_NOATIME, "") < 0)
        complain("cannot mount", "/dev/vda");
    else if (log_open(&the_service.log) < 0)
        complain("cannot open", LOG_PATH);
    else if (kv_open(&the_service.kv) < 0)
        complain("cannot open", KV_PATH);
}

/* Kernel threads that wake up though there is nothing to do would dirty pages in an idle guest. */
static void quieten_kernel(void)
{
    static const char *const settings[][2] = {
        {"/proc/sys/vm/compaction_proactiveness", "0"},
        {"/proc/sys/vm/stat_interval", "60"},
        {"/proc/sys/vm/dirty_writeback_centisecs", "3000"},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        int fd = open(settings[i][0], O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            continue; /* an older kernel without this setting */
        if (write(fd, settings[i][1], strlen(settings[i][1])) < 0)
            complain("cannot set", settings[i][0]);
        close(fd);
    }
}

int main(void)
{
    char pool_mb[16];
    mount_one("devtmpfs", "/dev", "");
    open_console();
    mount_one("proc", "/proc", "");
    mount_one("sysfs", "/sys", "");
    mount_one("tmpfs", "/tmp", "size=16m");
    signal(SIGPIPE, SIG_IGN);
    quieten_kernel();
    load_modules();
    bring_up_network();
    open_disk();
    parameter("iservft.pool_mb", "32", pool_mb, sizeof pool_mb);
    if (pool_open(&the_service.pool, strtoull(pool_mb, NULL, 10) << 20) < 0)
        complain("cannot make the pool of", pool_mb);
    int listener = service_listen();
    if (listener < 0 || the_service.pool.pages == 0) {
        complain("cannot serve", "the service");
        sync();
        reboot(RB_POWER_OFF);
    }
    printf("iservft-guest ready\n");
    fflush(stdout);
    prompt_start();
    service_run(&the_service, listener);
}
