/* The agent's side of the port proxy: collects which ready instances stand behind each published port and sends the whole table
 * to berth-portd, starting it where it does not answer. */
#include "config.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/internal.h"

enum { settle_ms = 5, held_retry_ms = 5000, retry_ms = 100, spawn_patience_ms = 3000, max_reply = 1024 * 1024 };

struct port_error {
  int64_t since_ms; /* monotonic */
  char *text;
};

struct bt_ports {
  struct bt_agent *agent;
  char *socket;
  struct bt_timer *timer;
  struct bufferevent *control;
  struct bt_map *errors; /* "0.0.0.0:8080" -> struct port_error * */
  char *sent;            /* the table as text */
  bool connected;
  int64_t spawned_ms; /* monotonic; a proxy that was started is given time to listen */
};

static char *listen_of(const json_t *ingress) {
  const char *ip = bt_json_str(ingress, "host_ip");
  bool v6 = ip && strchr(ip, ':');
  return bt_asprintf("%s%s%s:%lld", v6 ? "[" : "", ip && *ip ? ip : "0.0.0.0", v6 ? "]" : "",
                     bt_json_int(ingress, "published", 0));
}

static void add_instance(json_t *table, const struct bt_inst *in) {
  size_t i;
  json_t *p;
  json_array_foreach(bt_json_arr(in->klass, "ingress"), i, p) {
    BT_AUTO_FREE char *listen = listen_of(p);
    json_t *backends = json_object_get(table, listen);
    if (!backends) {
      backends = json_array();
      bt_json_set(table, listen, backends);
    }
    if (!in->ready || !in->ip)
      continue;
    bool v6 = strchr(in->ip, ':') != NULL;
    BT_AUTO_FREE char *address =
        bt_asprintf("%s%s%s:%lld", v6 ? "[" : "", in->ip, v6 ? "]" : "", bt_json_int(p, "target", 0));
    json_array_append_new(backends, json_string(address));
  }
}

static json_t *table_message(struct bt_agent *agent) {
  BT_AUTO_JSON table = json_object();
  for (struct bt_map_iter it = bt_map_iter(agent->instances); bt_map_next(&it);) {
    const struct bt_inst *in = it.value;
    if (!in->want_gone)
      add_instance(table, in);
  }
  json_t *list = json_array();
  const char *listen;
  json_t *backends;
  json_object_foreach(table, listen, backends) {
    json_t *o = json_object();
    bt_json_set_str(o, "listen", listen);
    json_object_set(o, "backends", backends);
    json_array_append_new(list, o);
  }
  return json_pack("{so}", "set", list);
}

static void error_free(void *p) {
  struct port_error *e = p;
  free(e->text);
  free(e);
}

static void take_errors(struct bt_ports *ports, const json_t *reply) {
  struct bt_map *errors = bt_map_new(error_free);
  size_t i;
  json_t *e;
  json_array_foreach(bt_json_arr(reply, "errors"), i, e) {
    const char *listen = bt_json_str_or(e, "listen", "?");
    const struct port_error *before = bt_map_get(ports->errors, listen);
    struct port_error *now = bt_new(struct port_error);
    now->since_ms = before ? before->since_ms : bt_clock_mono_ms();
    now->text = bt_asprintf("port %s cannot be served: %s", listen, bt_json_str_or(e, "error", "unknown error"));
    bt_map_set(errors, listen, now);
  }
  bool changed = bt_map_len(errors) || bt_map_len(ports->errors);
  bt_map_free(&ports->errors);
  ports->errors = errors;
  if (bt_map_len(errors)) {
    free(ports->sent);
    ports->sent = NULL;
    bt_timer_set(ports->timer, held_retry_ms); /* whoever holds the port may let it go */
  }
  if (!changed)
    return;
  for (struct bt_map_iter it = bt_map_iter(ports->agent->instances); bt_map_next(&it);)
    if (bt_json_arr(((struct bt_inst *)it.value)->klass, "ingress"))
      bt_inst_tell(it.value);
}

static void on_read(struct bufferevent *bev, void *arg) {
  struct bt_ports *ports = arg;
  struct evbuffer *in = bufferevent_get_input(bev);
  bt_loop_enter(ports->agent->o.loop, "node: port proxy");
  char *line;
  size_t n;
  while ((line = evbuffer_readln(in, &n, EVBUFFER_EOL_LF))) {
    BT_AUTO_JSON reply = bt_json_parse(line, n, max_reply, 8, "port proxy", NULL);
    free(line);
    if (reply)
      take_errors(ports, reply);
  }
  bt_loop_leave(ports->agent->o.loop);
}

static void disconnect(struct bt_ports *ports) {
  if (ports->control)
    bufferevent_free(ports->control);
  ports->control = NULL;
  ports->connected = false;
  ports->spawned_ms = 0;
  free(ports->sent);
  ports->sent = NULL;
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  struct bt_ports *ports = arg;
  (void)bev;
  if (what & BEV_EVENT_CONNECTED)
    return;
  disconnect(ports);
  bt_timer_set(ports->timer, retry_ms);
}

/* Away from us twice over: no child to wait for, no signal of our terminal, no descriptor but the three standard ones. */
static void spawn(const struct bt_ports *ports) {
  pid_t pid = fork();
  if (pid < 0) {
    bt_error("node", "cannot start the port proxy: %s", strerror(errno));
    return;
  }
  if (pid == 0) {
    setsid();
    if (fork() != 0)
      _exit(0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    if (close_range(3, ~0U, 0) != 0)
      for (int fd = 3; fd < 1024; fd++)
        close(fd);
    if (chdir("/") != 0)
      _exit(127);
    char *const env[] = {NULL};
    char *const argv[] = {ports->agent->portd, ports->socket, NULL};
    execve(ports->agent->portd, argv, env);
    _exit(127);
  }
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
    ;
}

static bool connect_control(struct bt_ports *ports) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  if (strlen(ports->socket) >= sizeof un.sun_path)
    return false;
  memcpy(un.sun_path, ports->socket, strlen(ports->socket) + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return false;
  if (connect(fd, (struct sockaddr *)&un, sizeof un) < 0) {
    close(fd);
    return false;
  }
  ports->control = bufferevent_socket_new(bt_loop_base(ports->agent->o.loop), fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(ports->control, on_read, NULL, on_event, ports);
  bufferevent_enable(ports->control, EV_READ | EV_WRITE);
  ports->connected = true;
  return true;
}

static void send_table(void *arg) {
  struct bt_ports *ports = arg;
  BT_AUTO_JSON message = table_message(ports->agent);
  if (!ports->agent->synced || (!ports->connected && json_array_size(bt_json_arr(message, "set")) == 0 &&
                                access(ports->socket, F_OK) != 0))
    return; /* nothing published, no proxy needed */
  if (!ports->connected && !connect_control(ports)) {
    if (json_array_size(bt_json_arr(message, "set"))) {
      int64_t now = bt_clock_mono_ms();
      if (!ports->spawned_ms || now - ports->spawned_ms > spawn_patience_ms) {
        spawn(ports);
        ports->spawned_ms = now;
      }
      bt_timer_set(ports->timer, retry_ms);
    } else {
      unlink(ports->socket); /* left by a proxy that ended: it may no longer remove it itself */
    }
    return;
  }
  BT_AUTO_FREE char *text = bt_json_text(message);
  if (bt_streq(text, ports->sent))
    return;
  evbuffer_add_printf(bufferevent_get_output(ports->control), "%s\n", text);
  free(ports->sent);
  ports->sent = bt_steal(text);
}

void bt_ports_changed(struct bt_agent *agent) {
  if (agent->ports && !agent->stopping)
    bt_timer_set(agent->ports->timer, settle_ms);
}

/* The first of its ports that cannot be served, or NULL. */
static const struct port_error *port_error_of(const struct bt_agent *agent, const struct bt_inst *in) {
  size_t i;
  json_t *p;
  json_array_foreach(bt_json_arr(in->klass, "ingress"), i, p) {
    BT_AUTO_FREE char *listen = listen_of(p);
    const struct port_error *error = agent->ports ? bt_map_get(agent->ports->errors, listen) : NULL;
    if (error)
      return error;
  }
  return NULL;
}

const char *bt_ports_error(struct bt_agent *agent, const struct bt_inst *in) {
  const struct port_error *error = port_error_of(agent, in);
  return error ? error->text : NULL;
}

/* Who stops may hold its port for a moment, so the first failure does not count. */
bool bt_ports_lasting(struct bt_agent *agent, const struct bt_inst *in) {
  const struct port_error *error = port_error_of(agent, in);
  return error && bt_clock_mono_ms() - error->since_ms >= held_retry_ms - retry_ms;
}

struct bt_ports *bt_ports_new(struct bt_agent *agent) {
  struct bt_ports *ports = bt_new(struct bt_ports);
  ports->agent = agent;
  ports->socket = bt_asprintf("%s/portd.sock", agent->run_dir);
  ports->errors = bt_map_new(error_free);
  ports->timer = bt_timer_new(agent->o.loop, "node: port table", send_table, ports);
  return ports;
}

void bt_ports_free(struct bt_ports **pports) {
  struct bt_ports *ports = bt_steal(*pports);
  if (!ports)
    return;
  disconnect(ports);
  bt_timer_free(&ports->timer);
  bt_map_free(&ports->errors);
  free(ports->socket);
  free(ports);
}
