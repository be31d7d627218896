/* Tries what a plug-in in a process of its own may not, and says what it could. */
#define _GNU_SOURCE
#include "simple.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)request;
  char result[512];
  int strange = 0;
  struct stat st;
  for (int fd = 0; fd < 256; fd++)
    if (fstat(fd, &st) == 0)
      strange += (S_ISREG(st.st_mode) && st.st_size > 0) || S_ISBLK(st.st_mode);
  snprintf(result, sizeof result,
           "{\"uid\":%d,\"inet\":%s,\"unix\":%s,\"ptrace\":%s,\"mount\":%s,\"unshare\":%s,\"uring\":%s,\"privileges\":%s,"
           "\"shadow\":%s,\"files\":%d,\"home\":%s}",
           (int)getuid(), socket(AF_INET, SOCK_STREAM, 0) >= 0 ? "true" : "false",
           socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? "true" : "false", ptrace(PTRACE_TRACEME, 0, 0, 0) == 0 ? "true" : "false",
           mount("none", "/mnt", "tmpfs", 0, "") == 0 ? "true" : "false", unshare(CLONE_NEWUSER) == 0 ? "true" : "false",
           syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == EPERM ? "false" : "true",
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "false" : "true", open("/etc/shadow", O_RDONLY) >= 0 ? "true" : "false",
           strange, getenv("HOME") ? "true" : "false");
  self->ops->finish(self->host, op, BERTH_OK, NULL, result);
}
