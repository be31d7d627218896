/* berth-resolver: names of the containers of this machine, at the gateways of their networks. The plug-in starts it with a listening unix
 * socket as descriptor 3 and sends it everything else (control.c), sockets included; so it gives up every right at once. It goes on
 * answering when berthd is gone, and is found again through that socket's path. */
#include "config.h"
#include "server.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { listen_fd = 3, nobody = 65534 };

static bool give_up_rights(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return geteuid() != 0 || (setgroups(0, NULL) == 0 && setresgid(nobody, nobody, nobody) == 0 && setresuid(nobody, nobody, nobody) == 0);
}

/* The starter waits for the first process only: the second one is nobody's child, and no terminal's. */
static void leave(void) {
  pid_t pid = fork();
  if (pid)
    _exit(pid < 0);
  setsid();
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++)
    dup2(null, fd);
  if (null > 2)
    close(null);
  (void)!chdir("/");
}

int main(int argc, char **argv) {
  struct rlimit files = {4096, 4096};
  if (argc > 1 && strcmp(argv[1], "--help") == 0) {
    puts("berth-resolver [resolv.conf]: started by runtime-oci with its socket as descriptor 3");
    return 0;
  }
  signal(SIGPIPE, SIG_IGN);
  if (fcntl(listen_fd, F_GETFD) < 0) {
    fputs("berth-resolver: runtime-oci starts it, with its socket as descriptor 3\n", stderr);
    return 2;
  }
  fcntl(listen_fd, F_SETFD, FD_CLOEXEC);
  setrlimit(RLIMIT_NOFILE, &files);
  leave();
  if (!give_up_rights())
    return 1;
  return rs_server_run(listen_fd, argc > 1 ? argv[1] : "/etc/resolv.conf");
}
