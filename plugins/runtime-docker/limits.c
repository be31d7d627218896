#include "config.h"
#include "limits.h"

#include <inttypes.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

/* Compose's names and the kernel's in /proc/PID/limits. */
static const struct {
  const char *name, *kernel;
} names[RD_LIMITS] = {{"as", "Max address space"},    {"core", "Max core file size"},   {"cpu", "Max cpu time"},
                      {"data", "Max data size"},      {"fsize", "Max file size"},       {"locks", "Max file locks"},
                      {"memlock", "Max locked memory"}, {"msgqueue", "Max msgqueue size"}, {"nice", "Max nice priority"},
                      {"nofile", "Max open files"},   {"nproc", "Max processes"},       {"rss", "Max resident set"},
                      {"rtprio", "Max realtime priority"}, {"rttime", "Max realtime timeout"}, {"sigpending", "Max pending signals"},
                      {"stack", "Max stack size"}};

/* "Max open files            1024                 20000                files" */
static void parse_line(struct rd_limits *out, const char *line) {
  for (int i = 0; i < RD_LIMITS; i++) {
    int64_t hard;
    if (pu_starts(line, names[i].kernel) && sscanf(line + strlen(names[i].kernel), " %*s %" SCNd64, &hard) == 1)
      out->hard[i] = hard; /* "unlimited" is no number and stays -1 */
  }
}

void rd_limits_parse(struct rd_limits *out, FILE *limits, FILE *status) {
  char line[512];
  uint64_t bounding = UINT64_MAX;
  for (int i = 0; i < RD_LIMITS; i++)
    out->hard[i] = -1;
  while (fgets(line, sizeof line, status))
    if (sscanf(line, "CapBnd: %" SCNx64, &bounding) == 1)
      break;
  out->bound = !(bounding & (uint64_t)1 << CAP_SYS_RESOURCE);
  while (out->bound && fgets(line, sizeof line, limits))
    parse_line(out, line);
}

/* The process that listens there, as the kernel tells whoever connects; 0 where it is in another process namespace. */
static pid_t listener(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  struct ucred peer = {0};
  socklen_t n = sizeof peer;
  if (strlen(path) >= sizeof a.sun_path)
    return 0;
  memcpy(a.sun_path, path, strlen(path));
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  bool told = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0;
  if (fd >= 0)
    close(fd);
  return told ? peer.pid : 0;
}

void rd_limits_read(struct rd_limits *out, const char *socket_path) {
  *out = (struct rd_limits){0};
  pid_t pid = socket_path ? listener(socket_path) : 0;
  if (pid <= 0)
    return;
  PU_AUTO_FREE limits_path = pu_asprintf("/proc/%d/limits", (int)pid);
  PU_AUTO_FREE status_path = pu_asprintf("/proc/%d/status", (int)pid);
  FILE *limits = fopen(limits_path, "re"), *status = fopen(status_path, "re");
  if (limits && status)
    rd_limits_parse(out, limits, status);
  if (limits)
    fclose(limits);
  if (status)
    fclose(status);
}

bool rd_limits_hard(const void *arg, const char *name, int64_t *hard) {
  const struct rd_limits *l = arg;
  for (int i = 0; l->bound && i < RD_LIMITS; i++)
    if (strcmp(names[i].name, name) == 0 && l->hard[i] >= 0) {
      *hard = l->hard[i];
      return true;
    }
  return false;
}
