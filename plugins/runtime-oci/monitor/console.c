#include "config.h"
#include "console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { patience_ms = 2000 };

int ro_console_listen(struct ro_console *c, const char *run_dir, struct ro_fail *why) {
  c->listener = -1;
  c->dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (c->dir < 0)
    return ro_fail_errno(why, "cannot open %s", run_dir);
  snprintf(c->name, sizeof c->name, "console-%ld.sock", (long)getpid());
  snprintf(c->path, sizeof c->path, "/proc/%ld/fd/%d/%s", (long)getpid(), c->dir, c->name);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  _Static_assert(sizeof c->path <= sizeof address.sun_path, "the name fits");
  memcpy(address.sun_path, c->path, strlen(c->path) + 1);
  unlinkat(c->dir, c->name, 0);
  c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (c->listener >= 0 && bind(c->listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(c->listener, 1) == 0)
    return 0;
  ro_fail_errno(why, "cannot listen on %s/%s", run_dir, c->name);
  ro_console_close(c);
  return -1;
}

void ro_console_close(struct ro_console *c) {
  if (c->listener >= 0)
    close(c->listener);
  if (c->dir >= 0) {
    unlinkat(c->dir, c->name, 0);
    close(c->dir);
  }
  c->dir = c->listener = -1;
}

static int receive(int from) {
  char byte;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct pollfd p = {.fd = from, .events = POLLIN};
  if (poll(&p, 1, patience_ms) != 1 || recvmsg(from, &m, MSG_CMSG_CLOEXEC) < 0)
    return -1;
  const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  int fd = -1;
  if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof fd))
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
  else
    errno = EPROTO;
  return fd;
}

int ro_console_take(struct ro_console *c, struct ro_fail *why) {
  int from = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
  int master = from < 0 ? -1 : receive(from);
  if (master < 0)
    ro_fail_errno(why, "the runtime handed over no terminal");
  if (from >= 0)
    close(from);
  ro_console_close(c);
  return master;
}
