#include "cli.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/util.h"

enum { answer_ms = 5000, max_reply = 32 << 20 };

struct ask {
  char *socket, *line;
  void (*done)(void *arg, const char *reply, size_t len);
  void *arg;
  struct ask *next;
};

struct lbh_cli {
  const struct berth_host *host;
  const struct berth_host_fd *fds;
  const struct berth_host_timer *timer;
  struct ask *head, **tail;
  int fd;
  size_t written;
  struct pu_buf reply;
  berth_handle watch, deadline, turn;
};

static void next(void *arg);

struct lbh_cli *lbh_cli_new(const struct berth_host *host) {
  struct lbh_cli *cli = pu_new(struct lbh_cli);
  cli->host = host;
  cli->fds = host->service(host, BERTH_HOST_FD);
  cli->timer = host->service(host, BERTH_HOST_TIMER);
  cli->tail = &cli->head;
  cli->fd = -1;
  return cli;
}

static void hang_up(struct lbh_cli *cli) {
  if (cli->watch)
    cli->fds->unwatch(cli->host, cli->watch);
  cli->timer->cancel(cli->host, cli->deadline);
  cli->watch = cli->deadline = 0;
  if (cli->fd >= 0)
    close(cli->fd);
  cli->fd = -1;
}

static void ask_free(struct ask *a) {
  free(a->socket);
  free(a->line);
  free(a);
}

void lbh_cli_free(struct lbh_cli **p) {
  struct lbh_cli *cli = *p;
  *p = NULL;
  if (!cli)
    return;
  hang_up(cli);
  cli->timer->cancel(cli->host, cli->turn);
  while (cli->head) {
    struct ask *a = cli->head;
    cli->head = a->next;
    ask_free(a);
  }
  pu_buf_free(&cli->reply);
  free(cli);
}

static void end(struct lbh_cli *cli, bool good) {
  struct ask *a = cli->head;
  hang_up(cli);
  cli->head = a->next;
  if (!cli->head)
    cli->tail = &cli->head;
  size_t len = cli->reply.len;
  PU_AUTO_FREE reply = pu_buf_steal(&cli->reply);
  void (*done)(void *, const char *, size_t) = a->done;
  void *arg = a->arg;
  ask_free(a);
  if (cli->head && !cli->turn)
    cli->turn = cli->timer->after(cli->host, 0, next, cli);
  done(arg, good ? reply : NULL, good ? len : 0);
}

static void on_deadline(void *arg) {
  struct lbh_cli *cli = arg;
  cli->deadline = 0;
  end(cli, false);
}

static void on_fd(void *arg, int fd, int events);

static void watch(struct lbh_cli *cli, int events) {
  if (cli->watch)
    cli->fds->unwatch(cli->host, cli->watch);
  cli->watch = cli->fds->watch(cli->host, cli->fd, events, on_fd, cli);
}

/* The line and, in a write of its own where need be, its end. False: the other side is gone. */
static bool push(struct lbh_cli *cli) {
  const char *line = cli->head->line;
  size_t len = strlen(line);
  while (cli->written < len) {
    ssize_t n = send(cli->fd, line + cli->written, len - cli->written, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return errno == EAGAIN;
    cli->written += (size_t)n;
  }
  shutdown(cli->fd, SHUT_WR); /* the master's socket would wait for more */
  watch(cli, BERTH_FD_READ);
  return true;
}

static void on_fd(void *arg, int fd, int events) {
  struct lbh_cli *cli = arg;
  if (events & BERTH_FD_WRITE) {
    if (!push(cli))
      end(cli, false);
    return;
  }
  char chunk[65536];
  ssize_t n = recv(fd, chunk, sizeof chunk, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n > 0)
    pu_buf_add(&cli->reply, chunk, (size_t)n);
  if (n <= 0 || cli->reply.len > max_reply)
    end(cli, n == 0);
}

static bool dial(struct lbh_cli *cli, const char *path) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof un.sun_path)
    return false;
  memcpy(un.sun_path, path, strlen(path) + 1);
  cli->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return cli->fd >= 0 && connect(cli->fd, (struct sockaddr *)&un, sizeof un) == 0; /* a full queue counts as away */
}

static void next(void *arg) {
  struct lbh_cli *cli = arg;
  cli->turn = 0;
  if (!cli->head || cli->fd >= 0)
    return;
  cli->written = 0;
  pu_buf_free(&cli->reply);
  if (!dial(cli, cli->head->socket)) {
    end(cli, false);
    return;
  }
  cli->deadline = cli->timer->after(cli->host, answer_ms, on_deadline, cli);
  watch(cli, BERTH_FD_WRITE);
}

void lbh_cli_ask(struct lbh_cli *cli, const char *path, const char *line, void (*done)(void *arg, const char *reply, size_t len), void *arg) {
  struct ask *a = pu_new(struct ask);
  *a = (struct ask){pu_strdup(path), pu_asprintf("%s\n", line), done, arg, NULL};
  *cli->tail = a;
  cli->tail = &a->next;
  if (!cli->turn && cli->fd < 0)
    cli->turn = cli->timer->after(cli->host, 0, next, cli);
}

bool lbh_cli_answer(const char *reply, size_t i, const char **at, size_t *len) {
  const char *p = reply;
  for (;; i--) {
    const char *start = p;
    while (*p && *p != '\n') { /* lines until an empty one */
      p += strcspn(p, "\n");
      p += *p == '\n';
    }
    if (!*p && p == start)
      return false;
    if (i == 0) {
      *at = start;
      *len = (size_t)(p - start);
      return true;
    }
    if (*p)
      p++;
  }
}
