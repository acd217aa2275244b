/* The preload shim in a real QEMU. */
#include "../src/base.h"
#include "../src/kernel_abi.h"
#include "../src/shim_abi.h"
#include "../src/tracker.h"
#include "check.h"

#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 64
#define ANSWER_US 20000000u

static char directory[] = "/tmp/isf-shim-test-XXXXXX", library[64], bios[64];

/* What the monitor last said. It echoes each character of a command with the whole line so far. */
static char text[65536];

struct machine { pid_t pid, runner; int to, from; };
struct ramblock { char name[80]; uint64_t offset, total; };

/* QEMU under the shim, its monitor on pipes. As the child of a process in between, if `runner`. */
static struct machine machine_start(int runner, const char *const *more)
{
    struct machine m = { 0 };
    int to[2], from[2], said[2];
    const char *argv[64] = { "qemu-system-x86_64", "-nodefaults", "-M", "q35,memory-backend=ram,accel=tcg", "-m", "64",
                             "-object", "memory-backend-memfd,id=ram,size=64M,share=on", "-display", "none",
                             "-monitor", "stdio", "-vga", "std" };
    int n = 14;
    while (*more)
        argv[n++] = *more++;
    if (pipe(to) || pipe(from) || pipe(said))
        abort();
    m.runner = fork();
    if (m.runner == 0) {
        pid_t qemu = runner ? fork() : 0;
        if (qemu > 0) {
            if (write(said[1], &qemu, sizeof qemu) != sizeof qemu)
                _exit(1);
            pause();
        }
        char number[16];
        snprintf(number, sizeof number, "%d", (int)getppid());
        if (runner)
            setenv(ISF_SHIM_RUNNER_ENV, number, 1);
        else
            unsetenv(ISF_SHIM_RUNNER_ENV);
        setenv("LD_PRELOAD", library, 1);
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execvp(argv[0], (char **)(uintptr_t)argv);
        _exit(127);
    }
    m.pid = m.runner;
    if (runner && read(said[0], &m.pid, sizeof m.pid) != sizeof m.pid)
        abort();
    close(to[0]);
    close(from[1]);
    close(said[0]);
    close(said[1]);
    m.to = to[1];
    m.from = from[0];
    return m;
}

/* Sends commands, and collects text until the status that they are followed by. 0 if that never came. */
static int ask(struct machine *m, const char *commands)
{
    size_t length = 0;
    uint64_t end = isf_now_us() + ANSWER_US;
    dprintf(m->to, "%s\ninfo status\n", commands);
    while (isf_now_us() < end && length + 1 < sizeof text) {
        struct pollfd p = { .fd = m->from, .events = POLLIN };
        ssize_t n = poll(&p, 1, 100) == 1 ? read(m->from, text + length, sizeof text - 1 - length) : 0;
        if (n < 0 || (n == 0 && p.revents))
            break;
        length += (size_t)n;
        text[length] = 0;
        if (strstr(text, "VM status"))
            return 1;
    }
    return 0;
}

static int machine_alive(const struct machine *m)
{
    char path[40], stat[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)m->pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, stat, sizeof stat - 1);
    if (fd >= 0)
        close(fd);
    char *state = n > 0 ? strrchr(stat, ')') : NULL;
    return state && state[1] && state[2] != 'Z' && state[2] != 'X';
}

static int machine_gone_within(const struct machine *m, uint64_t us)
{
    for (uint64_t end = isf_now_us() + us; isf_now_us() < end; usleep(5000))
        if (!machine_alive(m))
            return 1;
    return 0;
}

static void machine_end(struct machine *m)
{
    if (machine_alive(m))
        kill(m->pid, SIGKILL);
    if (m->runner != m->pid)
        kill(m->runner, SIGKILL);
    waitpid(m->runner, NULL, 0);
    close(m->to);
    close(m->from);
}

static int fetch(pid_t pid, int number)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    if (pidfd >= 0)
        close(pidfd);
    return fd;
}

/* The table, waiting until it has an entry for each block that the machine will have. */
static int table_read(pid_t pid, struct isf_shim_table *t)
{
    int fd = fetch(pid, ISF_SHIM_TABLE);
    ssize_t n = fd < 0 ? -1 : pread(fd, t, sizeof *t, 0);
    if (fd >= 0)
        close(fd);
    return n == sizeof *t && t->magic == ISF_SHIM_MAGIC && t->version == ISF_SHIM_VERSION;
}

static int by_offset(const void *a, const void *b)
{
    const struct ramblock *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int blocks_list(struct machine *m, struct ramblock *blocks)
{
    int count = 0;
    if (!ask(m, "info ramblock"))
        return 0;
    for (char *line = strtok(text, "\r\n"); line && count < BLOCKS; line = strtok(NULL, "\r\n")) {
        unsigned long long size, offset, used, total;
        char unit[8], name[80];
        if (sscanf(line, " %79s %llu %7s 0x%llx 0x%llx 0x%llx", name, &size, unit, &offset, &used, &total) != 6)
            continue;
        strcpy(blocks[count].name, name);
        blocks[count].offset = offset;
        blocks[count++].total = (total + 4095) & ~4095ull;
    }
    qsort(blocks, (size_t)count, sizeof *blocks, by_offset);
    return count;
}

static int read_memory(pid_t pid, uint64_t address, void *to, size_t bytes)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : pread(fd, to, bytes, (off_t)address);
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)bytes;
}

/* The PCI identity in an option ROM: vendor | device << 16, 0 if it is none. */
static uint32_t rom_identity(pid_t pid, uint64_t address)
{
    uint8_t head[0x1a], id[8];
    if (!read_memory(pid, address, head, sizeof head) || head[0] != 0x55 || head[1] != 0xaa ||
        !read_memory(pid, address + get_le16(head + 0x18), id, sizeof id) || memcmp(id, "PCIR", 4))
        return 0;
    return get_le32(id + 4);
}

/* True if what lies at the entry is what the block's name says; *known counts blocks that could be told. */
static int contents_fit(pid_t pid, const struct ramblock *b, uint64_t address, int *known)
{
    static uint8_t here[262144], file[262144];
    char head[8];
    uint32_t identity = strstr(b->name, "virtio-net") ? 0x10001af4 : strstr(b->name, "e1000e") ? 0x10d38086
                      : strstr(b->name, "vga.rom") ? 0x11111234 : 0;
    if (identity) {
        ++*known;
        return rom_identity(pid, address) == identity;
    }
    if (strstr(b->name, "acpi/rsdp")) {
        ++*known;
        return read_memory(pid, address, head, 8) && memcmp(head, "RSD PTR ", 8) == 0;
    }
    if (strcmp(b->name, "pc.bios") == 0) {
        ++*known;
        int fd = open(bios, O_RDONLY);
        ssize_t n = fd < 0 ? -1 : read(fd, file, sizeof file);
        if (fd >= 0)
            close(fd);
        return n == (ssize_t)sizeof file && read_memory(pid, address, here, sizeof here) && memcmp(here, file, sizeof here) == 0;
    }
    return 1;
}

static void blocks_match(struct machine *m)
{
    struct ramblock blocks[BLOCKS];
    struct isf_shim_table t;
    char command[128];
    int count = blocks_list(m, blocks), same = 0, fit = 1, known = 0;
    snprintf(command, sizeof command, "stop\npmemsave 0xfffc0000 262144 \"%s\"", bios); /* SeaBIOS writes there */
    ask(m, command);
    CHECK(count > 6 && table_read(m->pid, &t) && t.uffd_errno == 0, "the shim leaves its table at the fixed descriptor");
    CHECK((int)t.count == count - 1, "the table has each RAM block but main memory, and nothing else");
    for (int i = 1; i < count; i++) {
        same += t.entry[i - 1].bytes == blocks[i].total;
        if (contents_fit(m->pid, &blocks[i], t.entry[i - 1].address, &known))
            continue;
        printf("      not what its name says: %s\n", blocks[i].name);
        fit = 0;
    }
    CHECK(same == count - 1, "in the order of their offsets, each entry is as long as its block");
    ask(m, "cont");
    CHECK(fit && known >= 6, "each entry holds what its block's name says, blocks of one size too");
}

/* Where the memfd of main memory is mapped. */
static int main_memory(pid_t pid, struct tracker_range *r)
{
    char path[40], line[512];
    unsigned long start, end;
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *f = fopen(path, "r");
    while (f && !found && fgets(line, sizeof line, f))
        if (strstr(line, "memfd:memory-backend-memfd") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
            *r = (struct tracker_range){ start, end - start };
            found = 1;
        }
    if (f)
        fclose(f);
    return found;
}

/* The userfaultfd that the shim left tracks a running guest, in main memory and in the blocks of the table. */
static void tracks(struct machine *m)
{
    struct tracker_range ranges[2];
    struct isf_shim_table t;
    struct tracker *tracker = NULL;
    int uffd = fetch(m->pid, ISF_SHIM_UFFD);
    int ok = uffd >= 0 && main_memory(m->pid, &ranges[0]) && table_read(m->pid, &t);
    ranges[1] = (struct tracker_range){ t.entry[2].address, t.entry[2].bytes };
    int r = ok ? tracker_open(&tracker, TRACKER_PAGESCAN, m->pid, uffd, ranges, 2) : -1;
    CHECK(r == 0, "a tracker opens on the userfaultfd, main memory and video memory");
    uint64_t pages = 0;
    for (int i = 0; tracker && i < 1000 && !pages && tracker_begin(tracker) == 0; i++) {
        ask(m, "system_reset");
        usleep(20000);
        tracker_peek(tracker, &pages);
    }
    CHECK(pages > 0, "it sees the guest write");
    tracker_close(tracker);
    close(uffd);
}

static void dies_with_its_runner(const char *const *options, const char *promise)
{
    struct ramblock blocks[BLOCKS];
    struct machine m = machine_start(1, options);
    int up = blocks_list(&m, blocks) > 6;
    kill(m.runner, SIGKILL);
    CHECK(up && machine_gone_within(&m, 10000000), promise);
    machine_end(&m);
}

/* Without the variable nothing watches: what the test above would find if the watcher did nothing. */
static void outlives_without_watcher(void)
{
    static const char *const none[] = { NULL };
    struct machine m;
    int said[2];
    if (pipe(said))
        abort();
    pid_t between = fork();
    if (between == 0) {
        m = machine_start(0, none);
        _exit(write(said[1], &m, sizeof m) != sizeof m);
    }
    /* `between` ends at once, and its pipes to QEMU with it: the monitor closes, the machine stays. */
    int ok = read(said[0], &m, sizeof m) == sizeof m;
    waitpid(between, NULL, 0);
    CHECK(ok && !machine_gone_within(&m, 1500000), "negative control: without a runner to watch QEMU outlives its parent");
    if (ok)
        kill(m.pid, SIGKILL);
    close(said[0]);
    close(said[1]);
}

static void privileges(void)
{
    static const char *const confined[] = { "-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny",
                                            "-runas", "nobody", NULL };
    struct isf_shim_table t;
    struct ramblock blocks[BLOCKS];
    struct machine m = machine_start(0, confined);
    int up = blocks_list(&m, blocks) > 6, uffd = fetch(m.pid, ISF_SHIM_UFFD);
    CHECK(up && table_read(m.pid, &t) && t.uffd_errno == 0 && uffd >= 0,
          "it works in a QEMU that drops its privileges and filters its system calls");
    close(uffd);
    machine_end(&m);
    dies_with_its_runner(confined, "such a QEMU, too, ends when its runner is killed");
}

/* A process that may not have a userfaultfd says why in the table. */
static void refused_userfaultfd(void)
{
    char allowed = '0';
    int setting = open("/proc/sys/vm/unprivileged_userfaultfd", O_RDONLY);
    if (setting >= 0 && read(setting, &allowed, 1) == 1)
        close(setting);
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(65534) || setuid(65534))
            _exit(1);
        setenv("LD_PRELOAD", library, 1);
        unsetenv(ISF_SHIM_RUNNER_ENV);
        execlp("sleep", "sleep", "30", (char *)NULL);
        _exit(127);
    }
    struct isf_shim_table t = { 0 };
    uint64_t end = isf_now_us() + 5000000;
    while (isf_now_us() < end && !table_read(pid, &t))
        usleep(5000);
    usleep(100000);
    CHECK(table_read(pid, &t) && (allowed == '1' ? t.uffd_errno == 0 : t.uffd_errno == EPERM),
          "where a userfaultfd is not permitted the table says so");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int shim_build(void)
{
    char here[512], command[1400];
    snprintf(here, sizeof here, "%s", __FILE__);
    if (!mkdtemp(directory) || chmod(directory, 0755))
        return 0;
    snprintf(library, sizeof library, "%s/shim.so", directory);
    snprintf(bios, sizeof bios, "%s/bios", directory);
    snprintf(command, sizeof command, "gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -fvisibility=hidden -pthread -shared -fPIC %s/../shim.c -o %s",
             dirname(here), library);
    return system(command) == 0;
}

int main(void)
{
    static const char *const nics[] = { "-device", "virtio-net-pci", "-device", "e1000e", "-device", "virtio-net-pci", NULL };
    static const char *const none[] = { NULL };
    signal(SIGPIPE, SIG_IGN);
    CHECK(shim_build(), "the shim builds");
    struct machine m = machine_start(0, nics);
    blocks_match(&m);
    tracks(&m);
    machine_end(&m);
    dies_with_its_runner(none, "QEMU ends when its runner is killed");
    outlives_without_watcher();
    privileges();
    refused_userfaultfd();
    unlink(library);
    unlink(bios);
    rmdir(directory);
    return check_end();
}
