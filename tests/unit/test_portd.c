/* The port proxy as the agent uses it: a real process, real sockets on loopback. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static char dir[] = "/tmp/berth-portd-XXXXXX";
static char path[64];

static int tcp_listen(int *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 64) < 0 || getsockname(fd, (struct sockaddr *)&a, &n) < 0)
    return -1;
  *port = ntohs(a.sin_port);
  return fd;
}

/* A backend that answers with its letter and the number of bytes it got, after the client's end. */
struct backend {
  int fd, port;
  char letter;
  int pause_ms; /* before it reads */
  pthread_t thread;
};

static void *serve(void *arg) {
  struct backend *b = arg;
  for (int c; (c = accept(b->fd, NULL, NULL)) >= 0; close(c)) {
    char chunk[65536], text[32];
    long long total = 0;
    poll(NULL, 0, b->pause_ms);
    for (ssize_t n; (n = read(c, chunk, sizeof chunk)) > 0;)
      total += n;
    int n = snprintf(text, sizeof text, "%c%lld", b->letter, total);
    if (write(c, text, (size_t)n) != n)
      break;
  }
  return NULL;
}

static void backend_start(struct backend *b, char letter) {
  b->fd = tcp_listen(&b->port);
  b->letter = letter;
  pthread_create(&b->thread, NULL, serve, b);
}

static void backend_stop(struct backend *b) {
  shutdown(b->fd, SHUT_RDWR);
  pthread_join(b->thread, NULL);
  close(b->fd);
}

/* Sends total bytes through the port, half-closes, returns the answer ("" where there was none). */
static void ask(int port, size_t total, char out[64]) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  size_t len = 0;
  if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
    static char zeros[65536];
    while (total) {
      ssize_t n = write(fd, zeros, BT_MIN(total, sizeof zeros));
      if (n <= 0)
        break;
      total -= (size_t)n;
    }
    shutdown(fd, SHUT_WR);
    for (ssize_t n; len < 63 && (n = read(fd, out + len, 63 - len)) > 0;)
      len += (size_t)n;
  }
  out[len] = 0;
  close(fd);
}

static FILE *control_open(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
  for (int i = 0; i < 500; i++) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&un, sizeof un) == 0)
      return fdopen(fd, "r+");
    close(fd);
    poll(NULL, 0, 10);
  }
  return NULL;
}

/* Sends a table of one port and gives the answer's errors. */
static json_t *set_table(FILE *control, const char *text) {
  fprintf(control, "{\"set\":%s}\n", text);
  fflush(control);
  char line[4096] = "";
  if (!fgets(line, sizeof line, control))
    return NULL;
  return json_loads(line, 0, NULL);
}

static void set_ok(FILE *control, const char *text) {
  BT_AUTO_JSON reply = set_table(control, text);
  ok(json_array_size(json_object_get(reply, "errors")) == 0, "table taken: %.60s", text);
}

struct late {
  int port;
  char out[64];
};

static void *ask_late(void *arg) {
  struct late *l = arg;
  ask(l->port, 5, l->out);
  return NULL;
}

static pid_t portd_start(const char *program, rlim_t files) {
  pid_t pid = fork();
  if (pid == 0) {
    struct rlimit limit = {files, files};
    if (files)
      setrlimit(RLIMIT_NOFILE, &limit);
    execl(program, program, path, NULL);
    _exit(127);
  }
  return pid;
}

/* Whoever takes all connections of one port leaves the others theirs. */
static void test_flood(const char *program, struct backend *a, struct backend *b) {
  enum { crowd = 250 };
  pid_t pid = portd_start(program, 200);
  FILE *control = control_open();
  if (!ok(control != NULL, "a proxy that may have few files listens")) {
    kill(pid, SIGKILL);
    return;
  }
  int flooded, port, fd[crowd];
  int hold = tcp_listen(&flooded), too = tcp_listen(&port);
  close(hold);
  close(too);
  char table[512], got[64];
  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[\"127.0.0.1:%d\"]},{\"listen\":\"127.0.0.1:%d\",\"backends\":["
           "\"127.0.0.1:%d\"]}]", flooded, a->port, port, b->port);
  set_ok(control, table);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)flooded)};
  for (size_t i = 0; i < crowd; i++) {
    fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd[i], (struct sockaddr *)&to, sizeof to) != 0)
      printf("# connection %zu: %s\n", i, strerror(errno));
  }
  poll(NULL, 0, 300);
  int64_t begun = bt_clock_mono_ms();
  ask(port, 7, got);
  is_str(got, "b7", "a flood of one port is not another one's");
  ok(bt_clock_mono_ms() - begun < 2000, "nor does it wait");
  for (size_t i = 0; i < crowd; i++)
    close(fd[i]);
  for (int i = 0; i < 50 && (ask(flooded, 7, got), !*got); i++)
    poll(NULL, 0, 50);
  is_str(got, "a7", "and when it is over the flooded one is there again");
  set_ok(control, "[]");
  fclose(control);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  unlink(path);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  const char *build = getenv("top_builddir");
  BT_AUTO_FREE char *program = bt_asprintf("%s/core/berth-portd", build ? build : ".");
  if (!mkdtemp(dir))
    return 1;
  snprintf(path, sizeof path, "%s/s", dir);
  pid_t pid = portd_start(program, 0);
  FILE *control = control_open();
  if (!ok(control != NULL, "the proxy listens"))
    return done_testing();

  struct backend a, b;
  backend_start(&a, 'a');
  backend_start(&b, 'b');
  int port, hold = tcp_listen(&port);
  close(hold);
  char table[512], got[64];

  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[\"127.0.0.1:%d\",\"127.0.0.1:%d\"]}]", port, a.port, b.port);
  set_ok(control, table);
  char first[64];
  ask(port, 10, first);
  ask(port, 10, got);
  ok(strcmp(first, got) != 0 && strcmp(first + 1, "10") == 0 && strcmp(got + 1, "10") == 0, "in turn: %s %s", first, got);
  ask(port, 5000000, got);
  is_str(got + 1, "5000000", "a large body goes through whole, and half-close is passed on");
  a.pause_ms = b.pause_ms = 3500; /* longer than a backend may take to accept */
  ask(port, 40000000, got);
  is_str(got + 1, "40000000", "a backend that reads nothing for a while loses no connection");
  a.pause_ms = b.pause_ms = 0;

  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[\"127.0.0.1:1\",\"127.0.0.1:%d\"]}]", port, b.port);
  set_ok(control, table);
  bool all = true;
  for (int i = 0; i < 4; i++) {
    ask(port, 3, got);
    all = all && strcmp(got, "b3") == 0;
  }
  ok(all, "a backend that refuses is passed over");

  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[]}]", port);
  set_ok(control, table);
  struct late late = {.port = port};
  pthread_t thread;
  pthread_create(&thread, NULL, ask_late, &late);
  poll(NULL, 0, 100);
  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[\"127.0.0.1:%d\"]}]", port, a.port);
  set_ok(control, table);
  pthread_join(thread, NULL);
  is_str(late.out, "a5", "a connection waits for a backend");

  snprintf(table, sizeof table, "[{\"listen\":\"127.0.0.1:%d\",\"backends\":[]},{\"listen\":\"nonsense\",\"backends\":[]}]", a.port);
  BT_AUTO_JSON reply = set_table(control, table);
  is_int(json_array_size(json_object_get(reply, "errors")), 2, "a taken port and a bad address are told");

  set_ok(control, "[]");
  fclose(control);
  int status = -1;
  int64_t end = bt_clock_mono_ms() + 8000;
  while (waitpid(pid, &status, WNOHANG) == 0 && bt_clock_mono_ms() < end)
    poll(NULL, 0, 20);
  ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "without ports it ends by itself");
  if (!WIFEXITED(status))
    kill(pid, SIGKILL);
  test_flood(program, &a, &b);
  backend_stop(&a);
  backend_stop(&b);
  unlink(path);
  rmdir(dir);
  return done_testing();
}
