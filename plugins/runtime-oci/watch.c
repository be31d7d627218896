/* A running container is its monitor: when the monitor's pidfd becomes readable, the container has ended, and exit.json says how. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "monitor/files.h"
#include "monitor/hooks.h"
#include "monitor/proc.h"
#include "monitor/sweep.h"
#include "net.h"
#include "volumes.h"

static void end_begin(struct berth_instance *self, struct ro_container *c);

/* ---------------------------------------------------------------- processes */

int ro_signal(const struct ro_container *c, int signal) {
  if (c->init < 0)
    return ESRCH;
  return syscall(SYS_pidfd_send_signal, c->init, signal, NULL, 0) == 0 ? 0 : errno;
}

int ro_signal_number(const char *text) {
  if (!text || !*text)
    return 0;
  char *end;
  long number = strtol(text, &end, 10);
  if (!*end)
    return number > 0 && number <= SIGRTMAX ? (int)number : 0;
  if (strncasecmp(text, "SIG", 3) == 0)
    text += 3;
  if (strncasecmp(text, "RTM", 3) == 0) {
    bool max = strncasecmp(text, "RTMAX", 5) == 0;
    number = text[5] ? strtol(text + 5, &end, 10) : 0;
    number += max ? SIGRTMAX : SIGRTMIN;
    return number >= SIGRTMIN && number <= SIGRTMAX && (!text[5] || !*end) ? (int)number : 0;
  }
  for (int s = 1; s < SIGRTMIN; s++)
    if (sigabbrev_np(s) && strcasecmp(sigabbrev_np(s), text) == 0)
      return s;
  return 0;
}

/* ---------------------------------------------------------------- watching */

static void monitor_ended(void *arg, int fd, int events) {
  struct ro_op *op = arg;
  struct berth_instance *self = op->self;
  struct ro_container *c = ro_table_by_id(&self->table, op->container);
  (void)fd, (void)events;
  ro_op_drop(op);
  if (!c)
    return;
  c->watcher = NULL;
  end_begin(self, c);
}

void ro_watch(struct berth_instance *self, struct ro_container *c) {
  PU_AUTO_FREE run = ro_run_dir(self, c);
  struct ro_monitor m;
  if (ro_monitor_read(run, &m)) { /* on tmpfs, and small */
    c->monitor = m.pid;
    c->pid = m.init;
    c->pidfd = ro_proc_open(m.pid, m.started);
    c->init = m.init > 0 ? ro_proc_open(m.init, m.init_started) : -1;
  }
  struct pollfd dead = {.fd = c->pidfd, .events = POLLIN}; /* it may have ended and wait for init to take note */
  if (c->pidfd < 0 || poll(&dead, 1, 0) > 0) {
    end_begin(self, c);
    return;
  }
  /* The watch belongs to an operation of our own, so that a container that is dropped takes nothing down with it. */
  struct ro_op *op = ro_op_new(self, 0, sizeof *op, NULL, "monitor");
  op->container = pu_strdup(c->id);
  c->watcher = op;
  c->watch = self->fd->watch(self->host, c->pidfd, BERTH_FD_READ, monitor_ended, op);
}

void ro_unwatch(struct berth_instance *self, struct ro_container *c) {
  if (c->watch)
    self->fd->unwatch(self->host, c->watch);
  c->watch = 0;
  if (c->pidfd >= 0)
    close(c->pidfd);
  if (c->init >= 0)
    close(c->init);
  c->pidfd = c->init = -1;
}

/* ---------------------------------------------------------------- the end */

struct end {
  char *root, *run, *dir;
  char *id;
  json_t *unmount; /* names of volumes that nobody uses any more */
  struct ro_stamp stamp;
  bool lost; /* the monitor left no exit code: it was killed itself */
  char trouble[400];
  char *hooks; /* what went wrong with them, one a line; NULL or empty: nothing */
};

static void end_free(void *data) {
  struct end *e = data;
  free(e->root);
  free(e->run);
  free(e->dir);
  free(e->id);
  free(e->hooks);
  json_decref(e->unmount);
  free(e);
}

static void end_work(void *data) {
  struct end *e = data;
  PU_AUTO_FREE path = pu_asprintf("%s/exit.json", e->run);
  PU_AUTO_JSON exit = ro_file_json(path, 64 << 10, NULL);
  e->lost = !exit;
  e->stamp.exit_code = (int)pu_int(exit, "exit_code", 255);
  e->stamp.oom = pu_bool(exit, "oom_killed", false);
  const char *error = exit ? pu_str_or(exit, "error", "") : "its monitor was killed, so nobody knows its exit code";
  snprintf(e->stamp.error, sizeof e->stamp.error, "%s", error);
  struct ro_fail fail = {0};
  if (e->lost && ro_sweep_run(e->run, &fail) < 0) /* its processes may still live */
    snprintf(e->trouble, sizeof e->trouble, "%s", fail.text);
  ro_fail_clear(&fail);
  PU_AUTO_FREE said = pu_asprintf("%s/" RO_POSTSTOP, e->run);
  e->hooks = ro_read_file(AT_FDCWD, said, 64 << 10, NULL);
  ro_stamp_write(e->dir, &e->stamp, NULL);
  ro_net_down(e->root, e->id);
  size_t i;
  json_t *name;
  json_array_foreach(e->unmount, i, name)
    ro_volume_unmount(e->root, json_string_value(name));
  ro_tree_remove(e->run, NULL);
}

/* Those whose turn it is, and those who follow its log, wait for it. Each may end itself, so the list is read anew. */
static void tell_waiting(struct berth_instance *self, const char *id) {
  for (struct ro_op *op = self->first; op;) {
    if (!op->ended || !(op->holds || op->follows) || !pu_eq(op->container, id)) {
      op = op->next;
      continue;
    }
    void (*ended)(struct ro_op *) = op->ended;
    op->ended = NULL;
    ended(op);
    op = self->first;
  }
}

static void end_take(struct ro_op *op, const struct end *e) {
  struct berth_instance *self = op->self;
  struct ro_container *c = ro_table_by_id(&self->table, e->id);
  ro_op_drop(op);
  self->ends--;
  if (!c) {
    ro_recover_settled(self);
    return;
  }
  c->state = RO_EXITED;
  c->exit_code = e->stamp.exit_code;
  c->oom = e->stamp.oom;
  c->finished_ms = e->stamp.finished_ms;
  pu_set(&c->error, *e->stamp.error ? pu_strdup(e->stamp.error) : NULL);
  c->pid = c->monitor = 0;
  json_decref(c->networks);
  json_decref(c->ports);
  c->networks = c->ports = NULL;
  c->health = RO_NO_HEALTH;
  if (c->oom)
    ro_event(self, c, "oom");
  ro_event(self, c, "die");
  PU_AUTO_FREE id = pu_strdup(c->id); /* whoever hears of it may remove it */
  tell_waiting(self, id);
  ro_recover_settled(self);
}

static void end_done(struct ro_op *op, void *data) {
  const struct end *e = data;
  if (*e->trouble)
    ro_log(op->self, BERTH_LOG_WARN, "what container %.12s left could not be swept away: %s", e->id, e->trouble);
  char *rest = e->hooks;
  for (const char *line; (line = strsep(&rest, "\n"));)
    if (*line)
      ro_log(op->self, BERTH_LOG_WARN, "container %.12s: its hook poststop %s", e->id, line);
  end_take(op, e);
}

/* Volumes with a mount that no other running container uses. */
static json_t *last_used(struct berth_instance *self, const struct ro_container *c) {
  json_t *out = json_array(), *name;
  size_t i;
  json_array_foreach(c->volumes, i, name) {
    const json_t *opts = pu_obj(json_object_get(self->table.volumes, json_string_value(name)), "driver_opts");
    bool used = !json_object_size(opts);
    for (size_t k = 0; k < self->table.len && !used; k++) {
      const struct ro_container *other = self->table.items[k];
      size_t m;
      json_t *theirs;
      if (other != c && (other->state == RO_RUNNING || other->state == RO_PAUSED || other->held))
        json_array_foreach(other->volumes, m, theirs)
          used = used || json_equal(theirs, name);
    }
    if (!used)
      json_array_append(out, name);
  }
  return out;
}

static void end_begin(struct berth_instance *self, struct ro_container *c) {
  ro_unwatch(self, c);
  ro_health_end(self, c);
  self->ends++;
  struct ro_op *op = ro_op_new(self, 0, sizeof *op, NULL, "end of container %.12s", c->id);
  struct end *e = pu_new(struct end);
  *e = (struct end){.root = pu_strdup(self->config.root), .run = ro_run_dir(self, c),
                    .dir = ro_container_dir(self, c), .id = pu_strdup(c->id),
                    .unmount = last_used(self, c), .stamp = ro_stamp_of(c)};
  e->stamp.state = RO_EXITED;
  e->stamp.finished_ms = ro_now_ms(self);
  ro_job_run(op, e, end_work, end_done, end_free);
}
