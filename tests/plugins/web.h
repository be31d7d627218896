/* A small HTTP server in a thread, for tests of plug-ins: one request a connection, answers from a function of the test. */
#ifndef BERTH_TESTS_WEB_H
#define BERTH_TESTS_WEB_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct web_request {
  char method[16], path[1024]; /* path with its query */
  char authorization[4096];
  char body[65536];
  size_t body_len;
};

struct web_answer {
  int status;
  char headers[2048]; /* lines that end with \r\n */
  char body[65536];
  bool drop; /* close without an answer */
};

struct web {
  int fd, port;
  pthread_t thread;
  void (*handle)(void *arg, const struct web_request *request, struct web_answer *answer);
  void *arg;
  bool hole; /* takes connections and never answers */
  _Atomic int requests;
  _Atomic bool stop;
};

static bool web_header(const char *head, const char *name, char *out, size_t room) {
  size_t n = strlen(name);
  for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
    if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
      const char *value = p + 3 + n;
      while (*value == ' ')
        value++;
      snprintf(out, room, "%.*s", (int)strcspn(value, "\r\n"), value);
      return true;
    }
  return false;
}

/* Reads one request; false where the peer went away. */
static bool web_read(int fd, struct web_request *r) {
  static const size_t room = 131072;
  char *buf = calloc(1, room + 1);
  size_t len = 0;
  char *end = NULL, length[32] = "0";
  while (!end && len < room) {
    ssize_t n = read(fd, buf + len, room - len);
    if (n <= 0)
      break;
    len += (size_t)n;
    end = strstr(buf, "\r\n\r\n");
  }
  bool good = end && sscanf(buf, "%15s %1023s", r->method, r->path) == 2;
  if (good) {
    end[2] = '\0';
    web_header(buf, "authorization", r->authorization, sizeof r->authorization);
    web_header(buf, "content-length", length, sizeof length);
    size_t want = (size_t)atol(length), have = len - (size_t)(end + 4 - buf);
    if (have > sizeof r->body - 1)
      have = sizeof r->body - 1;
    memcpy(r->body, end + 4, have);
    while (have < want && have < sizeof r->body - 1) {
      ssize_t n = read(fd, r->body + have, sizeof r->body - 1 - have);
      if (n <= 0)
        break;
      have += (size_t)n;
    }
    r->body_len = have;
  }
  free(buf);
  return good;
}

static void web_serve(struct web *w, int fd) {
  struct web_request *r = calloc(1, sizeof *r);
  struct web_answer *a = calloc(1, sizeof *a);
  if (web_read(fd, r)) {
    w->requests++;
    a->status = 200;
    w->handle(w->arg, r, a);
    if (!a->drop) {
      size_t len = strlen(a->body);
      dprintf(fd, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s", a->status, len, a->headers,
              strcmp(r->method, "HEAD") ? a->body : "");
    }
  }
  free(r);
  free(a);
}

static void *web_thread(void *arg) {
  struct web *w = arg;
  int held[256], nheld = 0;
  while (!w->stop) {
    int fd = accept(w->fd, NULL, NULL);
    if (fd < 0)
      break;
    if (w->hole && !w->stop && nheld < 256) {
      w->requests++;
      held[nheld++] = fd;
      continue;
    }
    if (!w->stop)
      web_serve(w, fd);
    close(fd);
  }
  while (nheld)
    close(held[--nheld]);
  return NULL;
}

/* port 0: any. */
__attribute__((unused)) static bool web_start_at(struct web *w, int port) {
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((unsigned short)port)};
  socklen_t len = sizeof a;
  int yes = 1;
  w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(w->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(w->fd, (struct sockaddr *)&a, len) != 0 || listen(w->fd, 64) != 0 ||
      getsockname(w->fd, (struct sockaddr *)&a, &len) != 0)
    return false;
  w->port = ntohs(a.sin_port);
  w->stop = false;
  return pthread_create(&w->thread, NULL, web_thread, w) == 0;
}

__attribute__((unused)) static bool web_start(struct web *w) { return web_start_at(w, 0); }

__attribute__((unused)) static void web_stop(struct web *w) {
  w->stop = true;
  shutdown(w->fd, SHUT_RDWR);
  pthread_join(w->thread, NULL);
  close(w->fd);
}

#endif
