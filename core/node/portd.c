/* berth-portd: the port proxy. Listens on the published ports of services and hands each connection to one of the service's ready
 * instances in turn. Runs as nobody, with the one capability to
 * listen below 1024. A process of its own, so that connections and ports outlive a restart of berthd; it takes its whole table
 * from the agent over a unix socket and knows nothing else.
 *
 *     berth-portd SOCKET
 *
 * Protocol: one JSON object a line. In: {"set": [{"listen": "0.0.0.0:8080", "backends": ["172.18.0.3:80"]}]} replaces the table:
 * ports that are gone stop listening, connections that stand go on. Out: {"errors": [{"listen", "error"}]}. With an empty
 * table and no connection it ends after a few seconds.
 *
 * A connection that finds no ready instance waits for one up to 10 s, so that a restart of a single instance refuses nobody.
 * A connection takes two descriptors. One port gets at most three quarters of all, so that who floods one service does not keep the
 * clients of all others out; over that, new connections are closed. A client that has vanished without a word is noticed
 * after about four minutes (TCP keep-alive).
 * Cost: about 1.5 KB a connection while idle, buffers capped at 64 KiB a direction. */
#include "config.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"

enum {
  max_buffer = 64 * 1024,
  connect_timeout_s = 3,
  wait_timeout_s = 10,
  max_pending = 1024,
  max_line = 4 * 1024 * 1024,
  idle_exit_s = 3,
  spare_files = 64,  /* listeners, the control connection, and what libevent has open */
  accept_again_ms = 200,
  keep_idle_s = 120,
  keep_interval_s = 30
};

struct pair;

struct port {
  char *listen;
  struct evconnlistener *listener;
  struct bt_strs backends;
  size_t next;          /* round robin */
  char *error;
  bool kept;            /* during a set */
  struct pair *pending; /* connections that do not flow yet, a list */
  int npending;
};

/* How many connections of a port there are, also of one that is gone. */
struct share {
  size_t count;
  char *listen;
};

struct pair {
  struct share *share;
  struct bufferevent *client, *backend;
  struct port *port;     /* while it waits or connects; NULL once it flows or the port is gone */
  struct pair *next, **prev; /* in port->pending */
  struct event *timeout;
  int tries;
  bool waiting;          /* every backend refused, or there is none */
  bool client_eof, backend_eof;
};

static struct event_base *base;
static struct bt_map *ports; /* listen -> struct port */
static struct event *idle_timer;
static struct bt_map *shares; /* listen -> struct share */
static size_t connections, max_connections;
static struct event *again_timer; /* listeners that were out of descriptors look again */
static struct bufferevent *agent; /* the control connection; a newer one takes over */

static void pair_connect(struct pair *p);

/* ---------------------------------------------------------------- life of a connection */

static void share_free(void *arg) {
  struct share *share = arg;
  free(share->listen);
  free(share);
}

static struct share *share_enter(const char *listen) {
  struct share *share = bt_map_get(shares, listen);
  if (!share) {
    share = bt_new(struct share);
    share->listen = bt_strdup(listen);
    bt_map_set(shares, listen, share);
  }
  share->count++;
  connections++;
  return share;
}

static void share_leave(struct share *share) {
  connections--;
  if (--share->count == 0)
    bt_map_del(shares, share->listen);
}

static bool is_full(const struct port *port) {
  const struct share *share = bt_map_get(shares, port->listen);
  return connections >= max_connections || (share && share->count >= max_connections - max_connections / 4);
}

static void leave_port(struct pair *p) {
  if (!p->port)
    return;
  *p->prev = p->next;
  if (p->next)
    p->next->prev = p->prev;
  p->port->npending--;
  p->port = NULL;
}

static void join_port(struct pair *p, struct port *port) {
  p->port = port;
  p->next = port->pending;
  p->prev = &port->pending;
  if (p->next)
    p->next->prev = &p->next;
  port->pending = p;
  port->npending++;
}

static void check_idle(void) {
  struct timeval tv = {idle_exit_s, 0};
  if (bt_map_len(ports) == 0 && connections == 0)
    evtimer_add(idle_timer, &tv);
  else
    evtimer_del(idle_timer);
}

static void pair_free(struct pair *p) {
  leave_port(p);
  if (p->client)
    bufferevent_free(p->client);
  if (p->backend)
    bufferevent_free(p->backend);
  if (p->timeout)
    event_free(p->timeout);
  share_leave(p->share);
  free(p);
  check_idle();
}

static void on_timeout(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what;
  pair_free(arg);
}

/* Moves bytes from one side to the other; a full other side stops the reading. */
static void pump(struct bufferevent *from, struct bufferevent *to) {
  struct evbuffer *out = bufferevent_get_output(to);
  evbuffer_add_buffer(out, bufferevent_get_input(from));
  if (evbuffer_get_length(out) >= max_buffer) {
    bufferevent_disable(from, EV_READ);
    bufferevent_setwatermark(to, EV_WRITE, max_buffer / 2, 0);
  }
}

static void on_read(struct bufferevent *bev, void *arg) {
  struct pair *p = arg;
  if (p->port || !p->backend)
    return; /* not connected yet: it stays in the input buffer, capped by the watermark */
  pump(bev, bev == p->client ? p->backend : p->client);
}

static void shut(struct bufferevent *bev) { shutdown(bufferevent_getfd(bev), SHUT_WR); }

static void on_write(struct bufferevent *bev, void *arg) {
  struct pair *p = arg;
  if (p->port || !p->backend)
    return;
  struct bufferevent *other = bev == p->client ? p->backend : p->client;
  bool other_eof = bev == p->client ? p->backend_eof : p->client_eof;
  bool drained = evbuffer_get_length(bufferevent_get_output(bev)) == 0;
  if (other_eof && drained) {
    shut(bev);
    if (p->client_eof && p->backend_eof)
      pair_free(p);
    return;
  }
  if (!other_eof)
    bufferevent_enable(other, EV_READ);
  bufferevent_setwatermark(bev, EV_WRITE, 0, 0);
}

static void on_eof(struct pair *p, struct bufferevent *bev) {
  bool client = bev == p->client;
  struct bufferevent *other = client ? p->backend : p->client;
  *(client ? &p->client_eof : &p->backend_eof) = true;
  bufferevent_disable(bev, EV_READ);
  if (p->port || !p->backend)
    return; /* half-closed while connecting: passed on later */
  pump(bev, other);
  if (evbuffer_get_length(bufferevent_get_output(other)) == 0) {
    shut(other);
    if (p->client_eof && p->backend_eof)
      pair_free(p);
  }
}

static void flow(struct pair *p) {
  leave_port(p);
  evtimer_del(p->timeout);
  bufferevent_set_timeouts(p->backend, NULL, NULL); /* it was for the connect alone; a stream may stand still for as long as it likes */
  pump(p->client, p->backend);
  bufferevent_enable(p->backend, EV_READ | EV_WRITE);
  if (p->client_eof && evbuffer_get_length(bufferevent_get_output(p->backend)) == 0)
    shut(p->backend);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  struct pair *p = arg;
  if (what & BEV_EVENT_CONNECTED) {
    flow(p);
  } else if (bev == p->backend && p->port) {
    bufferevent_free(p->backend);
    p->backend = NULL;
    pair_connect(p); /* refused or silent: the next one */
  } else if (what & BEV_EVENT_EOF) {
    on_eof(p, bev);
  } else {
    pair_free(p);
  }
}

static void set_options(int fd) {
  static const struct {
    int level, name, value;
  } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, keep_idle_s},
                 {IPPROTO_TCP, TCP_KEEPINTVL, keep_interval_s}, {IPPROTO_TCP, TCP_KEEPCNT, 4}};
  for (size_t i = 0; i < BT_COUNT(options); i++)
    setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static bool connect_to(struct pair *p, const char *address) {
  struct sockaddr_storage ss;
  int len = sizeof ss;
  if (evutil_parse_sockaddr_port(address, (struct sockaddr *)&ss, &len) < 0)
    return false;
  p->backend = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(p->backend, on_read, on_write, on_event, p);
  if (bufferevent_socket_connect(p->backend, (struct sockaddr *)&ss, len) < 0) {
    bufferevent_free(p->backend);
    p->backend = NULL;
    return false;
  }
  set_options(bufferevent_getfd(p->backend));
  struct timeval tv = {connect_timeout_s, 0};
  bufferevent_set_timeouts(p->backend, NULL, &tv);
  return true;
}

/* Takes the next backend in turn; each is tried once, then the connection waits for a change of the table. */
static void pair_connect(struct pair *p) {
  struct port *port = p->port;
  while (p->tries < (int)port->backends.len) {
    const char *address = port->backends.items[port->next++ % port->backends.len];
    p->tries++;
    if (connect_to(p, address))
      return;
  }
  p->waiting = true;
  if (port->npending > max_pending)
    pair_free(p);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg) {
  (void)l, (void)sa, (void)len;
  struct port *port = arg;
  if (is_full(port)) {
    close(fd);
    return;
  }
  struct pair *p = bt_new(struct pair);
  p->share = share_enter(port->listen);
  join_port(p, port);
  set_options(fd);
  p->client = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  p->timeout = evtimer_new(base, on_timeout, p);
  struct timeval tv = {wait_timeout_s, 0};
  evtimer_add(p->timeout, &tv);
  bufferevent_setcb(p->client, on_read, on_write, on_event, p);
  bufferevent_setwatermark(p->client, EV_READ, 0, max_buffer);
  bufferevent_enable(p->client, EV_READ | EV_WRITE);
  pair_connect(p);
}

/* The machine is out of descriptors, most of all: look again a little later instead of spinning. */
static void on_accept_error(struct evconnlistener *l, void *arg) {
  (void)arg;
  struct timeval tv = {0, accept_again_ms * 1000};
  evconnlistener_disable(l);
  evtimer_add(again_timer, &tv);
}

static void on_again(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what, (void)arg;
  for (struct bt_map_iter it = bt_map_iter(ports); bt_map_next(&it);) {
    struct port *port = it.value;
    if (port->listener)
      evconnlistener_enable(port->listener);
  }
}

/* ---------------------------------------------------------------- the table */

static void port_free(void *arg) {
  struct port *port = arg;
  while (port->pending)
    pair_free(port->pending);
  if (port->listener)
    evconnlistener_free(port->listener);
  bt_strs_free(&port->backends);
  free(port->listen);
  free(port->error);
  free(port);
}

static void port_open(struct port *port) {
  struct sockaddr_storage ss;
  int len = sizeof ss;
  bt_str_set(&port->error, NULL);
  if (evutil_parse_sockaddr_port(port->listen, (struct sockaddr *)&ss, &len) < 0) {
    bt_str_set(&port->error, "it is no address:port");
    return;
  }
  unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
  if (ss.ss_family == AF_INET6)
    flags |= LEV_OPT_BIND_IPV6ONLY;
  port->listener = evconnlistener_new_bind(base, on_accept, port, flags, 1024, (struct sockaddr *)&ss, len);
  if (port->listener)
    evconnlistener_set_error_cb(port->listener, on_accept_error);
  else
    bt_str_set(&port->error, strerror(errno));
}

static void port_set(const json_t *item) {
  const char *listen = bt_json_str(item, "listen");
  if (!listen)
    return;
  struct port *port = bt_map_get(ports, listen);
  if (!port) {
    port = bt_new(struct port);
    port->listen = bt_strdup(listen);
    bt_map_set(ports, listen, port);
  }
  port->kept = true;
  bt_strs_free(&port->backends);
  size_t i;
  json_t *b;
  json_array_foreach(bt_json_arr(item, "backends"), i, b) if (json_is_string(b))
      bt_strs_add(&port->backends, json_string_value(b));
  if (!port->listener)
    port_open(port);
  struct pair *next = port->backends.len ? port->pending : NULL;
  while (next) {
    struct pair *p = next;
    next = p->next;
    if (!p->waiting)
      continue;
    p->waiting = false;
    p->tries = 0;
    pair_connect(p);
  }
}

/* Connections that were still waiting for a port that is gone end with it. */
static void drop_unkept(void) {
  for (struct bt_map_iter it = bt_map_iter(ports); bt_map_next(&it);) {
    struct port *port = it.value;
    if (!port->kept)
      bt_map_del(ports, it.key);
    else
      port->kept = false;
  }
}

static void control_close(void) {
  if (agent)
    bufferevent_free(agent);
  agent = NULL;
}

static void answer(struct bufferevent *control) {
  BT_AUTO_JSON reply = json_object();
  json_t *errors = json_array();
  bt_json_set(reply, "errors", errors);
  for (struct bt_map_iter it = bt_map_iter(ports); bt_map_next(&it);) {
    struct port *port = it.value;
    if (!port->error)
      continue;
    json_t *e = json_object();
    bt_json_set_str(e, "listen", port->listen);
    bt_json_set_str(e, "error", port->error);
    json_array_append_new(errors, e);
  }
  BT_AUTO_FREE char *text = bt_json_text(reply);
  evbuffer_add_printf(bufferevent_get_output(control), "%s\n", text);
}

static void control_read(struct bufferevent *control, void *arg) {
  (void)arg;
  struct evbuffer *in = bufferevent_get_input(control);
  size_t n;
  char *line;
  while ((line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF))) {
    BT_AUTO_JSON o = bt_json_parse(line, n, max_line, 8, "table", NULL);
    free(line);
    json_t *set = bt_json_arr(o, "set");
    if (!set)
      continue;
    size_t i;
    json_t *item;
    json_array_foreach(set, i, item) port_set(item);
    drop_unkept();
    answer(control);
    check_idle();
  }
  if (evbuffer_get_length(in) > max_line)
    control_close();
}

static void control_event(struct bufferevent *control, short what, void *arg) {
  (void)control, (void)what, (void)arg;
  control_close();
}

static void control_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg) {
  (void)l, (void)sa, (void)len, (void)arg;
  control_close();
  agent = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(agent, control_read, NULL, control_event, NULL);
  bufferevent_enable(agent, EV_READ | EV_WRITE);
}

/* ---------------------------------------------------------------- main */

static void on_idle(evutil_socket_t fd, short what, void *arg) {
  (void)fd, (void)what, (void)arg;
  event_base_loopbreak(base);
}

static struct evconnlistener *listen_control(const char *path) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof un.sun_path) {
    fprintf(stderr, "berth-portd: the path %s is too long for a socket\n", path);
    return NULL;
  }
  memcpy(un.sun_path, path, strlen(path) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) == 0) {
    fprintf(stderr, "berth-portd: another one serves %s\n", path);
    close(fd);
    return NULL;
  }
  bt_closep(&fd);
  unlink(path);
  mode_t old = umask(0177);
  struct evconnlistener *l = evconnlistener_new_bind(base, control_accept, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC,
                                                     16, (struct sockaddr *)&un, sizeof un);
  int e = errno;
  umask(old);
  if (!l)
    fprintf(stderr, "berth-portd: cannot listen on %s: %s\n", path, strerror(e));
  return l;
}

/* Nobody's user with the one capability that ports below 1024 need. Where we are not root there is nothing to drop. */
static bool drop_privileges(void) {
  enum { nobody = 65534 };
  if (geteuid() != 0)
    return true;
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  uint32_t bit = 1U << CAP_NET_BIND_SERVICE;
  struct __user_cap_data_struct caps[2] = {{.effective = bit, .permitted = bit}};
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 && setresgid(nobody, nobody, nobody) == 0 &&
         setresuid(nobody, nobody, nobody) == 0 && syscall(SYS_capset, &head, caps) == 0;
}

/* As many descriptors as we may have, and so as many connections. */
static void set_limits(void) {
  struct rlimit files = {1024, 1024};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  size_t n = (size_t)BT_MIN(files.rlim_cur, (rlim_t)1 << 20);
  max_connections = n > 2 * spare_files ? (n - spare_files) / 2 : spare_files / 2;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: berth-portd SOCKET\n(berthd starts it; nobody needs to call it by hand)\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  set_limits();
  base = event_base_new();
  ports = bt_map_new(port_free);
  shares = bt_map_new(share_free);
  again_timer = evtimer_new(base, on_again, NULL);
  idle_timer = evtimer_new(base, on_idle, NULL);
  struct evconnlistener *control = listen_control(argv[1]);
  if (!control)
    return 1;
  if (!drop_privileges()) {
    fprintf(stderr, "berth-portd: cannot drop privileges: %s\n", strerror(errno));
    return 1;
  }
  prctl(PR_SET_DUMPABLE, 0);
  check_idle();
  event_base_dispatch(base);
  evconnlistener_free(control);
  control_close();
  unlink(argv[1]);
  bt_map_free(&ports);
  bt_map_free(&shares);
  event_free(again_timer);
  event_free(idle_timer);
  event_base_free(base);
  return 0;
}
