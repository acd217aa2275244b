/* Sockets of a replication line: addresses, options, and what the kernel measured. */
#ifndef ISF_LINK_SOCKET_H
#define ISF_LINK_SOCKET_H

#include <sys/socket.h>

#include "base.h"

struct link_address { struct sockaddr_storage at; socklen_t length; };

/* `text`: numeric IPv4 or IPv6 (with %interface where it needs one). 0 or -EINVAL. */
int link_address_parse(struct link_address *out, const char *text, uint16_t port);
/* 1 if both are the same host; ports do not count. */
int link_address_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* All sockets are non-blocking and close-on-exec. Each returns a descriptor or -errno. */
int link_socket_listen(const struct link_address *local);
/* Begins to connect from `local` (its port is not used): writable when it is through, or has failed. */
int link_socket_connect(const struct link_address *local, const struct link_address *peer, uint64_t timeout_us);
/* -EACCES: it came from another host than `peer`, and was closed. -EAGAIN: none waits. */
int link_socket_accept(int listener, const struct link_address *peer, uint64_t timeout_us);
/* Bytes per second that the kernel saw delivered, smoothed with `before`. What came when the sender, not the line, was the limit
 * counts only when it is more than `before`. */
uint64_t link_socket_rate(int fd, uint64_t before);

#endif
