/* Network namespaces for tests: one that stands for the host and some that stand for containers, all of this one process, which walks
 * from one to the other. Nothing is left when it ends, however it ends: the kernel removes all with the last descriptor. */
#ifndef BT_TESTS_NETNS_KIT_H
#define BT_TESTS_NETNS_KIT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int kit_host_ns = -1;

__attribute__((unused)) static int kit_ns(void) {
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    abort();
  return fd;
}

/* Leaves the real host for good. False: this user may not. */
__attribute__((unused)) static bool kit_leave(void) {
  if (unshare(CLONE_NEWNET) < 0)
    return false;
  kit_host_ns = kit_ns();
  return true;
}

__attribute__((unused)) static void kit_go(int ns) {
  if (setns(ns, CLONE_NEWNET) < 0)
    abort();
}

/* A socket of the namespace ns that is bound (and listens, where it is a stream) on address:port; -1 where it cannot. */
__attribute__((unused)) static int kit_listen(int ns, int type, const char *address, int port) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  bool v6 = strchr(address, ':') != NULL;
  int on = 1;
  kit_go(ns);
  int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  kit_go(kit_host_ns);
  inet_pton(v6 ? AF_INET6 : AF_INET, address, v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0)) {
    close(fd);
    return -1;
  }
  return fd;
}

/* Connects from ns to address:port, waits at most ms. A connected socket or -1 with errno. */
__attribute__((unused)) static int kit_connect(int ns, int type, const char *address, int port, int ms) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
  struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  bool v6 = strchr(address, ':') != NULL;
  kit_go(ns);
  int fd = socket(v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
  kit_go(kit_host_ns);
  socklen_t len = sizeof error;
  inet_pton(v6 ? AF_INET6 : AF_INET, address, v6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
  if (connect(fd, v6 ? (void *)&six : (void *)&four, v6 ? sizeof six : sizeof four) < 0 && errno != EINPROGRESS)
    error = errno;
  struct pollfd p = {.fd = fd, .events = POLLOUT};
  if (!error && poll(&p, 1, ms) <= 0)
    error = ETIMEDOUT;
  else if (!error)
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
  if (error) {
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/* Can ns reach what listens at address:port over TCP, with one SYN sent anew? peer (may be NULL): the address that the listener saw. */
__attribute__((unused)) static bool kit_reaches_in(int ms, int ns, const char *address, int port, int listener, char peer[INET6_ADDRSTRLEN]) {
  int fd = kit_connect(ns, SOCK_STREAM, address, port, ms);
  if (fd < 0)
    return false;
  struct sockaddr_storage from = {0};
  socklen_t len = sizeof from;
  struct pollfd p = {.fd = listener, .events = POLLIN};
  int got = poll(&p, 1, 700) == 1 ? accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC) : -1;
  if (got >= 0 && peer)
    inet_ntop(from.ss_family, from.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)&from)->sin_addr : (void *)&((struct sockaddr_in6 *)(void *)&from)->sin6_addr,
              peer, INET6_ADDRSTRLEN);
  if (got >= 0)
    close(got);
  close(fd);
  return got >= 0;
}

__attribute__((unused)) static bool kit_reaches(int ns, const char *address, int port, int listener, char peer[INET6_ADDRSTRLEN]) {
  return kit_reaches_in(2500, ns, address, port, listener, peer);
}

/* Nothing comes through, not even at once. */
__attribute__((unused)) static bool kit_blocked(int ns, const char *address, int port, int listener) {
  return !kit_reaches_in(400, ns, address, port, listener, NULL);
}

/* Does a datagram of ns come through to the bound listener, and its answer back? */
__attribute__((unused)) static bool kit_echoes(int ns, const char *address, int port, int listener) {
  int fd = kit_connect(ns, SOCK_DGRAM, address, port, 700);
  char text[8] = "";
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  if (fd < 0)
    return false;
  bool good = send(fd, "ping", 4, 0) == 4;
  struct pollfd there = {.fd = listener, .events = POLLIN}, back = {.fd = fd, .events = POLLIN};
  good = good && poll(&there, 1, 700) == 1 && recvfrom(listener, text, sizeof text, 0, (struct sockaddr *)&from, &len) == 4;
  good = good && sendto(listener, "pong", 4, 0, (struct sockaddr *)&from, len) == 4;
  good = good && poll(&back, 1, 700) == 1 && recv(fd, text, sizeof text, 0) == 4 && memcmp(text, "pong", 4) == 0;
  close(fd);
  return good;
}

#endif
