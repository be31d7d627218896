/* Knows the wire and abuses it: chat.send's text names the attack. Frames are written by hand, past the helper. */
#define _GNU_SOURCE
#define SIMPLE_NEEDS BERTH_HOST_OPS, BERTH_HOST_LOG, BERTH_HOST_METRICS
#include "simple.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { mib = 1024 * 1024 };

/* The link: the only socket that is open here. */
static int link_fd(void) {
  for (int fd = 3; fd < 64; fd++) {
    int type = 0;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0)
      return fd;
  }
  return -1;
}

/* The descriptor does not block: waits by trying. */
static void put_all(const void *data, size_t len) {
  static int fd = -1;
  if (fd < 0)
    fd = link_fd();
  for (size_t at = 0; at < len;) {
    ssize_t n = write(fd, (const char *)data + at, len - at);
    if (n > 0)
      at += (size_t)n;
    else
      usleep(200);
  }
}

static void put_number(unsigned char *to, size_t n) {
  for (int i = 0; i < 4; i++)
    to[i] = (unsigned char)(n >> (24 - 8 * i));
}

static void frame(const char *head, size_t head_len, const char *bytes, size_t len) {
  unsigned char lengths[8];
  put_number(lengths, head_len);
  put_number(lengths + 4, len);
  put_all(lengths, sizeof lengths);
  put_all(head, head_len);
  if (len)
    put_all(bytes, len);
}

/* prefix, then as many of unit as fit into len bytes, then suffix. The caller frees. */
static char *filled(const char *prefix, const char *unit, const char *suffix, size_t len) {
  size_t n = strlen(unit), at = strlen(prefix), end = len - strlen(suffix);
  char *text = malloc(len + 1);
  strcpy(text, prefix);
  for (; at + n <= end; at += n)
    memcpy(text + at, unit, n);
  while (at < end)
    text[at++] = ' ';
  strcpy(text + at, suffix);
  return text;
}

static void finish(berth_op op, char *result) {
  char head[100];
  int n = snprintf(head, sizeof head, "{\"t\":\"finish\",\"op\":%llu,\"code\":\"ok\"}", (unsigned long long)op);
  frame(head, (size_t)n, result, strlen(result));
  free(result);
}

/* A message that is nothing but work for the parser; its type is one that the server does not answer. */
static void heads(int n) {
  char *head = filled("{\"t\":\"pong\",\"id\":0,\"x\":[0", ",{}", "]}", 512 * 1024 - 16);
  for (int i = 0; i < n; i++)
    frame(head, strlen(head), NULL, 0);
  free(head);
}

static void *pongs(void *arg) {
  char head[64];
  (void)arg;
  for (int id = 0;; id++) {
    int n = snprintf(head, sizeof head, "{\"t\":\"pong\",\"id\":%d}", id % 100);
    frame(head, (size_t)n, NULL, 0);
    usleep(100000);
  }
  return NULL;
}

/* Reads nothing any more, and pretends to be well. */
static void deaf(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, pongs, NULL);
  for (;;)
    pause();
}

static void others(berth_op own) {
  char head[200];
  for (berth_op op = 0; op < 4000; op++) {
    if (op == own)
      continue;
    int n = snprintf(head, sizeof head, "{\"t\":\"%s\",\"op\":%llu,\"code\":\"ok\",\"result\":{\"stolen\":true}}",
                     op % 2 ? "finish" : "respond", (unsigned long long)(op % 2 ? op : own ^ (op << 32) ^ op));
    frame(head, (size_t)n, NULL, 0);
  }
}

static void metrics(struct berth_instance *self) {
  const struct berth_host_metrics *m = self->host->service(self->host, BERTH_HOST_METRICS);
  struct berth_metric_sample s = {.size = sizeof s, .name = "no name", .kind = BERTH_GAUGE, .value = 1};
  for (int i = 0; i < 10000; i++)
    m->set(self->host, &s);
}

static void logs(void) {
  char *line = filled("{\"t\":\"log\",\"level\":\"info\",\"text\":\"", "x", "\"}", 400000);
  for (int i = 0; i < 20; i++)
    frame(line, strlen(line), NULL, 0);
  free(line);
  static const char one[] = "{\"t\":\"log\",\"level\":\"info\",\"text\":\"one of a hundred thousand\"}";
  for (int i = 0; i < 100000; i++)
    frame(one, sizeof one - 1, NULL, 0);
}

/* Memory that counts as nobody's data: shared with nobody. In steps, so that who watches gets his turn. */
static void share(void) {
  size_t size = 1024u * mib;
  char *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED)
    return;
  for (size_t at = 0; at < size; at += 4096) {
    ((volatile char *)all)[at] = 1;
    if (at % (mib * 16) == 0)
      usleep(40000);
  }
}

/* So many kinds of memory without a mapping could be had. */
static int hidden_memory(void) {
  int n = 0;
  int fd = (int)syscall(SYS_memfd_create, "x", 0), id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
  n += (fd >= 0) + (id >= 0);
  if (id >= 0)
    shmctl(id, IPC_RMID, NULL);
  return n;
}

/* Requests with bodies, to a server that takes none, faster than any can end. */
static void bodies(const char *port) {
  char *body = calloc(1, 16 * mib), head[200];
  for (int id = 1; id <= 30; id++) {
    int n = snprintf(head, sizeof head,
                     "{\"t\":\"http.request\",\"id\":%d,\"method\":\"PUT\",\"url\":\"http://127.0.0.1:%s/\",\"body\":true}", 1000 + id, port);
    frame(head, (size_t)n, body, 16 * mib);
  }
  free(body);
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  const char *what = request->text;
  if (strcmp(what, "text") == 0) {
    finish(op, filled("{\"a\":\"", "x", "\"}", 64 * mib));
    return;
  }
  if (strcmp(what, "values") == 0) {
    finish(op, filled("{\"a\":[0", ",{}", "]}", 15 * mib));
    return;
  }
  if (strcmp(what, "large") == 0) {
    finish(op, filled("{\"a\":[0", ",{\"name\":\"one that may be\",\"of\":12345}", "]}", 2 * mib));
    return;
  }
  if (strcmp(what, "long") == 0) {
    finish(op, filled("{\"a\":\"", "x", "\"}", 15 * mib));
    return;
  }
  if (strcmp(what, "heads") == 0)
    heads(30);
  else if (strcmp(what, "deaf") == 0)
    deaf();
  else if (strcmp(what, "others") == 0)
    others(op);
  else if (strcmp(what, "metrics") == 0)
    metrics(self);
  else if (strcmp(what, "logs") == 0)
    logs();
  else if (strcmp(what, "share") == 0)
    share();
  else if (strncmp(what, "bodies ", 7) == 0)
    bodies(what + 7);
  if (strcmp(what, "hidden") == 0) {
    char result[64];
    snprintf(result, sizeof result, "{\"kinds\":%d}", hidden_memory());
    self->ops->finish(self->host, op, BERTH_OK, NULL, result);
    return;
  }
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"mine\":true}");
}
