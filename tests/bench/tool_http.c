/* tool_http: keeps connections to an HTTP server on a unix socket busy, one request at a time each, and prints what it measured as
 * JSON. "%c" in path and body is the connection's number, "%n" counts its requests.
 *
 *   tool_http -u SOCKET [-c CONNECTIONS] [-d MS] [-a ACKS] [-s FIRST] METHOD PATH [BODY]
 *
 * -a FILE: a line "c n status" for each answer, written before the next request leaves; and a connection that breaks
 * is no failure then: the server may be killed on purpose. -s: where %n begins. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

enum { most_samples = 1 << 20, most_connections = 1024 };

struct load {
  const char *socket, *method, *path, *body;
  int connections, acks, poll;
  long first;
  int64_t ms, end_us;
  long answers, bad;
  int open;
  int first_bad_status;
  unsigned *samples;
};

struct connection {
  struct load *load;
  llhttp_t parser; /* its data points back here */
  int fd, number;
  long n;
  struct bt_buf out;
  size_t sent;
  int64_t asked_us;
  bool answered;
};

static void expand(struct bt_buf *to, const char *text, const struct connection *c) {
  for (; *text; text++)
    if (text[0] == '%' && text[1] == 'c')
      bt_buf_addf(to, "%d", c->number), text++;
    else if (text[0] == '%' && text[1] == 'n')
      bt_buf_addf(to, "%ld", c->n), text++;
    else
      bt_buf_addc(to, *text);
}

static void make_request(struct connection *c) {
  BT_AUTO_BUF body = {0};
  c->out.len = 0;
  c->sent = 0;
  bt_buf_addf(&c->out, "%s ", c->load->method);
  expand(&c->out, c->load->path, c);
  bt_buf_adds(&c->out, " HTTP/1.1\r\nHost: berth\r\n");
  if (c->load->body) {
    expand(&body, c->load->body, c);
    bt_buf_addf(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
  }
  bt_buf_adds(&c->out, "\r\n");
  if (body.len)
    bt_buf_add(&c->out, body.data, body.len);
  c->asked_us = bt_clock_mono_us();
}

static void hang_up(struct connection *c) {
  close(c->fd);
  c->fd = -1;
  c->load->open--;
}

/* What a socket does not take at once waits; requests are short, so that is rare. */
static void send_some(struct connection *c) {
  while (c->fd >= 0 && c->sent < c->out.len) {
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
    if (n > 0)
      c->sent += (size_t)n;
    else if (errno == EAGAIN)
      break;
    else
      hang_up(c);
  }
}

static void note_answer(struct connection *c) {
  struct load *load = c->load;
  int status = c->parser.status_code;
  if (status >= 300 && load->bad++ == 0)
    load->first_bad_status = status;
  load->samples[load->answers++ % most_samples] = (unsigned)(bt_clock_mono_us() - c->asked_us);
  if (load->acks >= 0) {
    char line[64];
    int n = snprintf(line, sizeof line, "%d %ld %d\n", c->number, c->n, status);
    if (write(load->acks, line, (size_t)n) != n)
      load->bad++;
  }
}

static int on_complete(llhttp_t *parser) {
  struct connection *c = parser->data;
  note_answer(c);
  c->n++;
  c->answered = true;
  return 0;
}

static void next_request(struct connection *c) {
  c->answered = false;
  if (bt_clock_mono_us() >= c->load->end_us) {
    hang_up(c);
    return;
  }
  make_request(c);
  send_some(c);
}

/* Edge-triggered: reads until nothing is left. */
static void receive(struct connection *c) {
  char bytes[65536];
  while (c->fd >= 0) {
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0 || llhttp_execute(&c->parser, bytes, (size_t)n) != HPE_OK) {
      c->load->bad += c->load->acks < 0;
      hang_up(c);
    } else if (c->answered) {
      next_request(c);
    }
  }
}

static bool dial(struct connection *c, const llhttp_settings_t *settings) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s", c->load->socket);
  c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) < 0 || fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0)
    return false;
  llhttp_init(&c->parser, HTTP_RESPONSE, settings);
  c->parser.data = c;
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
  c->load->open++;
  return epoll_ctl(c->load->poll, EPOLL_CTL_ADD, c->fd, &event) == 0;
}

static int run(struct load *load) {
  static struct connection connections[most_connections];
  static llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_complete = on_complete;
  for (int i = 0; i < load->connections; i++) {
    connections[i] = (struct connection){.load = load, .number = i, .n = load->first};
    if (!dial(&connections[i], &settings))
      return perror(load->socket), 2;
  }
  load->end_us = bt_clock_mono_us() + load->ms * 1000;
  for (int i = 0; i < load->connections; i++)
    next_request(&connections[i]);
  while (load->open > 0) {
    struct epoll_event events[64];
    int n = epoll_wait(load->poll, events, 64, 30000);
    if (n == 0)
      return fprintf(stderr, "tool_http: no answer for 30 s\n"), 1;
    for (int i = 0; i < n; i++) {
      struct connection *c = events[i].data.ptr;
      send_some(c);
      if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(c);
    }
  }
  for (int i = 0; i < load->connections; i++)
    bt_buf_free(&connections[i].out);
  return 0;
}

static int compare(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

static void print(struct load *load, double seconds) {
  long n = BT_MIN(load->answers, (long)most_samples);
  qsort(load->samples, (size_t)n, sizeof *load->samples, compare);
  printf("{\"answers\": %ld, \"bad\": %ld, \"bad_status\": %d, \"seconds\": %.3f, \"rate\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
         "\"worst_ms\": %.3f}\n",
         load->answers, load->bad, load->first_bad_status, seconds, (double)load->answers / seconds,
         n ? load->samples[n / 2] / 1e3 : 0, n ? load->samples[n * 99 / 100] / 1e3 : 0, n ? load->samples[n - 1] / 1e3 : 0);
}

int main(int argc, char **argv) {
  struct load load = {.connections = 64, .ms = 2000, .acks = -1, .first = 1};
  for (int option; (option = getopt(argc, argv, "u:c:d:a:s:")) != -1;)
    switch (option) {
    case 'u': load.socket = optarg; break;
    case 'c': load.connections = atoi(optarg); break;
    case 'd': load.ms = atol(optarg); break;
    case 's': load.first = atol(optarg); break;
    case 'a': load.acks = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600); break;
    default: return 2;
    }
  if (!load.socket || argc - optind < 2 || load.connections < 1 || load.connections > most_connections)
    return fprintf(stderr, "usage: tool_http -u SOCKET [-c N] [-d MS] [-a ACKS] [-s FIRST] METHOD PATH [BODY]\n"), 2;
  load.method = argv[optind];
  load.path = argv[optind + 1];
  load.body = argc - optind > 2 ? argv[optind + 2] : NULL;
  load.samples = bt_newn(unsigned, most_samples);
  load.poll = epoll_create1(EPOLL_CLOEXEC);
  int64_t start = bt_clock_mono_us();
  int rc = run(&load);
  print(&load, (double)(bt_clock_mono_us() - start) / 1e6);
  free(load.samples);
  return rc ? rc : load.bad > 0 && load.acks < 0;
}
