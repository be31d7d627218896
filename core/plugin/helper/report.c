/* What confines this process, as the kernel has it, told to the server before the plug-in's code is there: what stands on that socket is
 * ours. A descriptor of our own status goes along, by which the server sees our memory. */
#include "config.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "plugin/helper/helper.h"

static void put_limit(json_t *o, const char *name, int what) {
  struct rlimit l;
  bool some = getrlimit(what, &l) == 0 && l.rlim_max != RLIM_INFINITY;
  bt_json_set_int(o, name, some ? (long long)l.rlim_max : 0);
}

/* Whether sockets may be opened is asked by opening one. */
static bool opens_sockets(void) {
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0)
    close(fd);
  return fd >= 0;
}

static char *describe(void) {
  BT_AUTO_JSON o = json_object();
  bt_json_set_int(o, "user", (long long)getuid());
  put_limit(o, "memory", RLIMIT_DATA);
  put_limit(o, "files", RLIMIT_NOFILE);
  put_limit(o, "processes", RLIMIT_NPROC);
  put_limit(o, "cpu", RLIMIT_CPU);
  bt_json_set_bool(o, "seccomp", helper_filters() && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
  bt_json_set_bool(o, "no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
  bt_json_set_bool(o, "sockets", opens_sockets());
  return bt_json_text(o);
}

void helper_report(int *socket, int *status) {
  if (*socket < 0)
    return;
  BT_AUTO_FREE char *text = describe();
  _Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof *status)] = {0};
  struct iovec part = {text, strlen(text)};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
  if (*status >= 0) {
    m.msg_control = room;
    m.msg_controllen = sizeof room;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof *status);
    memcpy(CMSG_DATA(c), status, sizeof *status);
  }
  ssize_t n = sendmsg(*socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)n; /* the server takes what does not come for no confinement */
  bt_closep(status);
  bt_closep(socket);
}
