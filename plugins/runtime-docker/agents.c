/* Agents of SSH for a build: a step's "RUN --mount=type=ssh" is joined with the agent's socket on this machine, byte by byte.
 * Keys stay in the agent. */
#include "config.h"
#include "build.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { max_waiting = 1 << 20 };

struct agent {
  struct rd_build *build;
  struct rd_stream *stream;
  int fd;
  berth_handle watch;
  struct pu_buf hears; /* what the socket did not take yet */
  bool ended;          /* the step says no more */
  bool gone;           /* the agent says no more */
};

static const char *agent_path(const struct rd_build *b, const char *id) { return pu_str(pu_obj(b->spec, "ssh"), id); }

bool rd_agent_known(void *arg, const char *id) { return agent_path(arg, id); }

static void agent_ready(void *arg, int fd, int events);

static void agent_watch(struct agent *a) {
  struct berth_instance *self = a->build->op.self;
  if (a->watch)
    self->fd->unwatch(self->host, a->watch);
  a->watch = a->gone ? 0 : self->fd->watch(self->host, a->fd, BERTH_FD_READ | (a->hears.len ? BERTH_FD_WRITE : 0), agent_ready, a);
}

/* False: the agent is gone. */
static bool agent_write(struct agent *a) {
  while (a->hears.len) {
    ssize_t n = send(a->fd, a->hears.data, a->hears.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == EAGAIN;
    rd_buf_consume(&a->hears, (size_t)n);
  }
  if (a->ended)
    shutdown(a->fd, SHUT_WR);
  return true;
}

/* The last line of each way may close a, so nothing follows it. */
static void agent_ready(void *arg, int fd, int events) {
  struct agent *a = arg;
  struct rd_session *session = a->build->session;
  char piece[16384];
  if (events & BERTH_FD_WRITE) {
    if (!agent_write(a)) {
      rd_session_agent_says(session, a->stream, NULL, 0);
      return;
    }
    agent_watch(a);
  }
  ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    a->gone = true;
    agent_watch(a);
  }
  rd_session_agent_says(session, a->stream, piece, n > 0 ? (size_t)n : 0);
}

void *rd_agent_open(void *arg, const char *id, struct rd_stream *stream) {
  struct rd_build *b = arg;
  const char *path = agent_path(b, id);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (!path || strlen(path) >= sizeof address.sun_path)
    return NULL;
  memcpy(address.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return NULL;
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return NULL;
  }
  struct agent *a = pu_calloc(1, sizeof *a);
  *a = (struct agent){.build = b, .stream = stream, .fd = fd};
  agent_watch(a);
  return a;
}

bool rd_agent_hears(void *agent, const void *data, size_t len) {
  struct agent *a = agent;
  if (a->gone)
    return true; /* the stream is about to end */
  if (!len)
    a->ended = true;
  else if (a->hears.len + len <= max_waiting)
    pu_buf_add(&a->hears, data, len);
  else
    return false;
  if (!agent_write(a))
    return false;
  if (a->hears.len)
    agent_watch(a);
  return true;
}

void rd_agent_close(void *agent) {
  struct agent *a = agent;
  if (a->watch)
    a->build->op.self->fd->unwatch(a->build->op.self->host, a->watch);
  close(a->fd);
  pu_buf_free(&a->hears);
  free(a);
}

char *rd_agents_lack(const json_t *ssh) {
  const char *id;
  json_t *path;
  json_object_foreach((json_t *)(uintptr_t)ssh, id, path) {
    struct stat st;
    const char *text = json_string_value(path);
    if (!text || !*text)
      return pu_asprintf("build.ssh names no socket for %.100s: write %.100s=${SSH_AUTH_SOCK}", id, id);
    if (stat(text, &st) != 0)
      return pu_asprintf("build.ssh: %.100s: %s: %s", id, text, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
      return pu_asprintf("build.ssh: %.100s: %s is not the socket of an agent: give the key to ssh-agent, and name its socket", id, text);
  }
  return NULL;
}
