/* The process behind fake_qemu.h. Two threads: the monitor, which is QEMU's main loop (whatever blocks it blocks all of it), and the
 * guest, which stands still between two steps while the VM is stopped. */
#ifndef ISF_FAKE_QEMU_PROCESS_H
#define ISF_FAKE_QEMU_PROCESS_H

#include "fake_qemu.h"
#include "kernel_abi.h"
#include "nbd_protocol.h"
#include "shim_abi.h"

#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#define FAKE_LINE 8192u

struct fake_process {
    struct fake_control *control;
    struct guest guest;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int running, parked;
    uint64_t k;
    int net, nbd, listener, qmp, monitor_listener, monitor, incoming;
    char line[FAKE_LINE];
    size_t have;
    uint8_t pending[GUEST_FRAME + 4]; /* rest of a frame that the socket did not take at once */
    uint32_t pending_from, pending_length;
    uint8_t device[GUEST_DEVICE], disk_data[GUEST_DISK_WRITE];
};

static int fake_send_all(int fd, const void *data, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = send(fd, (const uint8_t *)data + at, length - at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

static int fake_receive_all(int fd, void *data, size_t length)
{
    return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length ? 0 : -1;
}

static int fake_listen(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(a.sun_path, path, strlen(path) + 1);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4))
        _exit(20);
    return fd;
}

/* ---- disk ---- */

static int fake_nbd_open(const char *path)
{
    uint8_t hello[18], option[4 + 16 + 4], answer[10];
    int fd = fake_connect(path);
    if (fd < 0 || fake_receive_all(fd, hello, sizeof hello) || get_be64(hello) != NBD_MAGIC)
        _exit(21);
    put_be32(option, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
    put_be64(option + 4, NBD_OPTION);
    put_be32(option + 12, NBD_OPT_EXPORT_NAME);
    put_be32(option + 16, 4);
    memcpy(option + 20, "disk", 4);
    if (fake_send_all(fd, option, sizeof option) || fake_receive_all(fd, answer, sizeof answer) || get_be64(answer) != GUEST_DISK)
        _exit(22);
    return fd;
}

static void fake_nbd(struct fake_process *p, uint16_t command, uint64_t offset, uint32_t length, const uint8_t *data)
{
    uint8_t request[NBD_REQUEST_BYTES], reply[NBD_REPLY_BYTES];
    put_be32(request, NBD_REQUEST);
    put_be16(request + 4, 0);
    put_be16(request + 6, command);
    put_be64(request + 8, 7);
    put_be64(request + 16, offset);
    put_be32(request + 24, length);
    if (p->nbd < 0)
        return;
    if (fake_send_all(p->nbd, request, sizeof request) || (data && fake_send_all(p->nbd, data, length)) ||
        fake_receive_all(p->nbd, reply, sizeof reply) || get_be32(reply) != NBD_SIMPLE_REPLY || get_be32(reply + 4)) {
        atomic_fetch_add(&p->control->disk_errors, 1);
        close(p->nbd);
        p->nbd = -1;
    }
}

/* ---- guest ---- */

static void fake_flush_frame(struct fake_process *p)
{
    while (p->pending_length) {
        ssize_t n = send(p->net, p->pending + p->pending_from, p->pending_length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p->pending_from += (uint32_t)n;
        p->pending_length -= (uint32_t)n;
    }
}

static void fake_emit(struct fake_process *p)
{
    uint8_t ignored[2048];
    while (p->net >= 0 && recv(p->net, ignored, sizeof ignored, MSG_DONTWAIT) > 0)
        ;
    fake_flush_frame(p);
    if (p->net < 0 || !p->control->frames_every || p->k % (uint64_t)p->control->frames_every)
        return;
    if (p->pending_length) { /* as a NIC whose queue is full */
        atomic_fetch_add(&p->control->frames_dropped, 1);
        return;
    }
    uint32_t length = guest_frame(p->k, p->pending + 4);
    put_be32(p->pending, length);
    p->pending_from = 0;
    p->pending_length = 4 + length;
    fake_flush_frame(p);
    atomic_store(&p->control->sent, p->k);
}

static void fake_step(struct fake_process *p)
{
    uint64_t k = ++p->k, offset;
    uint32_t length;
    int what = p->nbd < 0 ? 0 : guest_disk_write(k, &offset, &length, p->disk_data);
    if (what)
        fake_nbd(p, what == 1 ? NBD_WRITE : NBD_WRITE_ZEROES, offset, length, what == 1 ? p->disk_data : NULL);
    if (k % 100 == 0)
        fake_nbd(p, NBD_FLUSH, 0, 0, NULL);
    guest_step(&p->guest, k);
    atomic_store(&p->control->counter, k);
    fake_emit(p);
}

static void *fake_guest(void *context)
{
    struct fake_process *p = context;
    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (!p->running) {
            p->parked = 1;
            pthread_cond_broadcast(&p->changed);
            pthread_cond_wait(&p->changed, &p->lock);
        }
        p->parked = 0;
        pthread_mutex_unlock(&p->lock);
        fake_step(p);
        int pace = atomic_load(&p->control->pace_us);
        if (pace)
            usleep((useconds_t)pace);
    }
    return NULL;
}

/* ---- monitor ---- */

static void fake_event(struct fake_process *p, const char *name)
{
    char line[200];
    struct timeval t;
    gettimeofday(&t, NULL);
    int n = snprintf(line, sizeof line, "{\"timestamp\": {\"seconds\": %lld, \"microseconds\": %lld}, \"event\": \"%s\"}\r\n", (long long)t.tv_sec,
                     (long long)t.tv_usec, name);
    if (p->qmp >= 0) {
        fake_send_all(p->qmp, line, (size_t)n / 3); /* in two pieces, as it may come */
        fake_send_all(p->qmp, line + n / 3, (size_t)(n - n / 3));
    }
}

/* Returns whether it ran. */
static int fake_vm_stop(struct fake_process *p)
{
    pthread_mutex_lock(&p->lock);
    int ran = p->running;
    p->running = 0;
    while (!p->parked)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (ran) {
        fake_nbd(p, NBD_FLUSH, 0, 0, NULL);
        fake_event(p, "STOP");
    }
    atomic_store(&p->control->running, 0);
    return ran;
}

static void fake_vm_start(struct fake_process *p)
{
    fake_event(p, "RESUME");
    atomic_store(&p->control->running, 1);
    pthread_mutex_lock(&p->lock);
    p->running = 1;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void fake_return(struct fake_process *p, const char *text)
{
    fake_send_all(p->qmp, text, strlen(text));
}

static void fake_fault_at(struct fake_process *p, enum fake_fault die, enum fake_fault hang)
{
    int fault = atomic_load(&p->control->fault);
    if (fault == (int)die)
        kill(getpid(), SIGKILL);
    while (fault == (int)hang)
        pause();
}

static int fake_write_fifo(struct fake_process *p, const char *path)
{
    uint32_t length = guest_device(p->k, p->device), sent = 0;
    if (p->control->small_device)
        length = 8000;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (atomic_load(&p->control->fault) == FAULT_LARGE) {
        atomic_store(&p->control->fault, FAULT_NONE);
        for (int i = 0; i < 12; i++) /* 6 MiB; the reader may be gone */
            if (write(fd, p->device, sizeof p->device) < 0)
                break;
    }
    while (sent < length) {
        uint32_t n = sent < length / 2 ? length / 2 - sent : length - sent;
        ssize_t k = write(fd, p->device + sent, n);
        if (k <= 0)
            break;
        sent += (uint32_t)k;
        if (sent >= length / 2)
            fake_fault_at(p, FAULT_DIE_HALF, FAULT_HANG_HALF);
    }
    close(fd);
    return sent == length ? 0 : -1;
}

static void fake_save(struct fake_process *p, const char *command)
{
    char path[200] = "";
    const char *name = strstr(command, "\"filename\":\"");
    int refuse = FAULT_REFUSE;
    if (name)
        sscanf(name + 12, "%199[^\"]", path);
    fake_fault_at(p, FAULT_DIE_FIRST, FAULT_HANG_FIRST);
    if (atomic_compare_exchange_strong(&p->control->fault, &refuse, FAULT_NONE)) {
        fake_return(p, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\\"such\\\" file\"}}\r\n");
        return;
    }
    int ran = fake_vm_stop(p);
    fake_nbd(p, NBD_FLUSH, 0, 0, NULL);
    if (!ran && !strstr(command, "\"live\":false"))
        atomic_fetch_add(&p->control->misuse, 1); /* QEMU would give up its disks */
    int failed = fake_write_fifo(p, path);
    if (ran)
        fake_vm_start(p);
    fake_return(p, failed ? "{\"error\": {\"class\": \"GenericError\", \"desc\": \"write failed\"}}\r\n" : "{\"return\": {}}\r\n");
}

static void fake_ramblocks(struct fake_process *p)
{
    static const char *const names[GUEST_PARTS] = {"ram", "pc.bios", "pc.rom", "0000:00:01.0/vga.vram", "/rom@etc/acpi/rsdp"};
    char out[4096];
    uint64_t offset = 0;
    int n = snprintf(out, sizeof out, "{\"return\": \"              Block Name    PSize              Offset               Used              Total%s\\r\\n",
                     p->control->shows_addresses ? "                HVA  RO" : "");
    for (uint32_t i = 0; i < GUEST_PARTS; i++) {
        uint32_t at = i == 1 ? 3 : i == 3 ? 1 : i; /* QEMU lists by size, not by offset */
        uint64_t bytes = p->guest.pages[at] * ISF_PAGE;
        for (uint32_t k = offset = 0; k < at; k++)
            offset += p->guest.pages[k] * ISF_PAGE + 0x40000;
        n += snprintf(out + n, sizeof out - (size_t)n, "%24s    4 KiB  0x%016llx 0x%016llx 0x%016llx", names[at], (unsigned long long)offset,
                      (unsigned long long)bytes, (unsigned long long)bytes);
        if (p->control->shows_addresses)
            n += snprintf(out + n, sizeof out - (size_t)n, " 0x%016llx  rw", (unsigned long long)(uintptr_t)p->guest.part[at]);
        n += snprintf(out + n, sizeof out - (size_t)n, "\\r\\n");
    }
    snprintf(out + n, sizeof out - (size_t)n, "\"}\r\n");
    fake_return(p, out);
}

static void fake_obey(struct fake_process *p, const char *command)
{
    if (strstr(command, "\"xen-save-devices-state\"")) {
        fake_save(p, command);
    } else if (strstr(command, "\"human-monitor-command\"")) {
        fake_ramblocks(p);
    } else if (strstr(command, "\"execute\":\"stop\"")) {
        fake_fault_at(p, FAULT_DIE_STOP, FAULT_NONE + 100);
        fake_vm_stop(p);
        fake_return(p, "{\"return\": {}}\r\n");
    } else if (strstr(command, "\"execute\":\"cont\"")) {
        fake_vm_start(p);
        fake_return(p, "{\"return\": {}}\r\n");
    } else if (strstr(command, "\"qmp_capabilities\"")) {
        fake_return(p, "{\"return\": {}}\r\n");
    } else {
        fake_return(p, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"?\"}}\r\n");
    }
}

/* A command is whole when its braces are: QEMU acts on the last one, without a newline. */
static void fake_read_qmp(struct fake_process *p)
{
    ssize_t n = recv(p->qmp, p->line + p->have, sizeof p->line - 1 - p->have, 0);
    if (n <= 0) {
        close(p->qmp);
        p->qmp = -1;
        return;
    }
    p->have += (size_t)n;
    int depth = 0;
    for (size_t i = 0; i < p->have; i++) {
        depth += p->line[i] == '{' ? 1 : p->line[i] == '}' ? -1 : 0;
        if (p->line[i] != '}' || depth)
            continue;
        char command[FAKE_LINE];
        memcpy(command, p->line, i + 1);
        command[i + 1] = 0;
        p->have -= i + 1;
        memmove(p->line, p->line + i + 1, p->have);
        fake_obey(p, command);
        i = (size_t)-1;
    }
}

/* ---- the test's own commands, and the incoming state ---- */

static void fake_read_monitor(struct fake_process *p)
{
    char line[256];
    ssize_t n = recv(p->monitor, line, sizeof line - 1, 0);
    if (n <= 0) {
        close(p->monitor);
        p->monitor = -1;
        return;
    }
    line[n - 1] = 0;
    if (!strcmp(line, "cont"))
        fake_vm_start(p);
    else if (!strcmp(line, "stop"))
        fake_vm_stop(p);
    else if (!strncmp(line, "incoming ", 9))
        p->incoming = fake_listen(line + 9);
    fake_send_all(p->monitor, "ok\n", 3);
}

static void fake_take_state(struct fake_process *p)
{
    static uint8_t want[GUEST_DEVICE];
    int fd = accept4(p->incoming, NULL, NULL, SOCK_CLOEXEC);
    size_t have = 0;
    ssize_t n;
    while (have < sizeof p->device && (n = recv(fd, p->device + have, sizeof p->device - have, 0)) > 0)
        have += (size_t)n;
    close(fd);
    close(p->incoming);
    p->incoming = -1;
    uint64_t k;
    memcpy(&k, p->device, 8);
    int same = have >= 16 && guest_device(k, want) == have && !memcmp(want, p->device, have);
    pthread_mutex_lock(&p->lock);
    p->k = k;
    pthread_mutex_unlock(&p->lock);
    atomic_store(&p->control->restored, same ? k : UINT64_MAX);
}

static void fake_loop(struct fake_process *p)
{
    for (;;) {
        struct pollfd f[5] = {{.fd = p->listener, .events = POLLIN}, {.fd = p->qmp, .events = POLLIN}, {.fd = p->monitor_listener, .events = POLLIN},
                              {.fd = p->monitor, .events = POLLIN}, {.fd = p->incoming, .events = POLLIN}};
        if (poll(f, 5, -1) < 0)
            continue;
        if (f[0].revents && p->qmp < 0) {
            p->qmp = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
            p->have = 0;
            fake_return(p, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n");
        } else if (f[1].revents) {
            fake_read_qmp(p);
        }
        if (f[2].revents && p->monitor < 0)
            p->monitor = accept4(p->monitor_listener, NULL, NULL, SOCK_CLOEXEC);
        else if (f[3].revents)
            fake_read_monitor(p);
        if (f[4].revents)
            fake_take_state(p);
    }
}

/* ---- start ---- */

static int fake_move(int fd, int number)
{
    if (dup3(fd, number, O_CLOEXEC) < 0)
        _exit(23);
    return close(fd);
}

/* What the preload shim does, and QEMU: a block reserves its addresses, and is mapped there. */
static void fake_map(struct fake_process *p)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 1024)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit.rlim_max < 1024 ? limit.rlim_max : 1024, limit.rlim_max});
    int fd = (int)syscall(SYS_memfd_create, "isf-shim", 1u), memory = open(p->control->memory, O_RDWR | O_CLOEXEC);
    struct isf_shim_table *table = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof *table) == 0)
        table = mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (table == MAP_FAILED || memory < 0)
        _exit(24);
    *table = (struct isf_shim_table){.magic = ISF_SHIM_MAGIC, .version = ISF_SHIM_VERSION};
    if (!p->control->shows_addresses)
        fake_move(fd, ISF_SHIM_TABLE);
    guest_shape(&p->guest, p->control->ram_pages);
    for (uint32_t i = 0; i < GUEST_PARTS; i++) {
        size_t bytes = p->guest.pages[i] * ISF_PAGE;
        p->guest.part[i] = mmap(NULL, bytes, PROT_READ | PROT_WRITE, i ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, i ? -1 : memory, 0);
        if (p->guest.part[i] == MAP_FAILED)
            _exit(25);
        if (i)
            table->entry[table->count++].address = (uintptr_t)p->guest.part[i], table->entry[table->count - 1].bytes = bytes;
        if (i && p->control->standby)
            memset(p->guest.part[i], 0xee, bytes);
    }
    close(memory);
    if (!p->control->standby)
        guest_boot(&p->guest);
    struct uffdio_api api = {.api = UFFD_API, .features = ISF_UFFD_FEATURES};
    int uffd = p->control->without_uffd ? -1 : (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    table->uffd_errno = uffd < 0 ? EPERM : ioctl(uffd, UFFDIO_API, &api) ? (uint32_t)errno : 0;
    if (uffd >= 0)
        fake_move(uffd, ISF_SHIM_UFFD);
}

/* main() of the process. */
static inline int fake_main(const char *control)
{
    static struct fake_process p = {.net = -1, .nbd = -1, .qmp = -1, .monitor = -1, .incoming = -1};
    pthread_t thread;
    int fd = open(control, O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    p.control = mmap(NULL, sizeof *p.control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || p.control == MAP_FAILED)
        return 1;
    close(fd);
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.changed, NULL);
    fake_map(&p);
    if (p.control->disk[0])
        p.nbd = fake_nbd_open(p.control->disk);
    if (p.control->net[0] && (p.net = fake_connect(p.control->net)) < 0)
        return 1;
    p.listener = fake_listen(p.control->qmp);
    p.monitor_listener = fake_listen(p.control->monitor);
    if (pthread_create(&thread, NULL, fake_guest, &p))
        return 1;
    atomic_store(&p.control->ready, 1);
    fake_loop(&p);
    return 0;
}

#endif
