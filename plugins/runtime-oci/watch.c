/* A running container is its monitor: when the monitor's pidfd becomes readable, the container has ended, and exit.json says how. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "net.h"
#include "proc.h"
#include "volumes.h"

static void end_begin(struct berth_instance *self, struct ro_container *c);

/* ---------------------------------------------------------------- processes */

/* "PID (comm) S ppid …": the state, and when it began. */
static uint64_t start_time(pid_t pid, char *state) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *f = fopen(path, "re");
  size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
  if (f)
    fclose(f);
  line[n] = 0;
  char *at = strrchr(line, ')');
  unsigned long long started = 0;
  *state = 'X';
  if (at && sscanf(at + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", state, &started) != 2)
    started = 0;
  return started;
}

int ro_pidfd(pid_t pid, uint64_t started) {
  char state = 'X';
  int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
  if (fd >= 0 && (start_time(pid, &state) != started || state == 'Z' || state == 'X')) {
    close(fd);
    fd = -1;
  }
  return fd;
}

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
  PU_AUTO_FREE path = pu_asprintf("%s/monitor.pid", run);
  PU_AUTO_JSON o = ro_file_json(path, 4096, NULL); /* on tmpfs, and small */
  c->monitor = (pid_t)pu_int(o, "pid", 0);
  c->pid = (pid_t)pu_int(o, "init", 0);
  c->pidfd = ro_pidfd(c->monitor, (uint64_t)pu_int(o, "start_time", 0));
  c->init = ro_pidfd(c->pid, (uint64_t)pu_int(o, "init_start_time", 0));
  if (c->pidfd < 0) {
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
  char *root, *run_root, *run, *dir, *sweeper;
  char *id;
  json_t *unmount; /* names of volumes that nobody uses any more */
  struct ro_stamp stamp;
  bool lost; /* the monitor left no exit code: it was killed itself */
};

static void end_free(void *data) {
  struct end *e = data;
  free(e->root);
  free(e->run_root);
  free(e->run);
  free(e->dir);
  free(e->sweeper);
  free(e->id);
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
  if (e->lost)
    return; /* its processes may still live: they are swept first */
  ro_stamp_write(e->dir, &e->stamp, NULL);
  ro_net_down(e->root, e->run_root, e->id);
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
  if (!c)
    return;
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
}

static void end_done(struct ro_op *op, void *data);

static struct end *end_copy(const struct end *e) {
  struct end *n = pu_new(struct end);
  *n = *e;
  n->root = pu_strdup(e->root);
  n->run_root = pu_strdup(e->run_root);
  n->run = pu_strdup(e->run);
  n->dir = pu_strdup(e->dir);
  n->sweeper = pu_strdup(e->sweeper);
  n->id = pu_strdup(e->id);
  n->unmount = json_incref(e->unmount);
  return n;
}

struct ending {
  struct ro_op op;
  struct end *kept; /* while the sweeper runs */
};

static void ending_drop(struct ro_op *op) {
  struct ending *g = (struct ending *)op;
  if (g->kept)
    end_free(g->kept);
}

static void finish_work(void *data) {
  struct end *e = data;
  ro_stamp_write(e->dir, &e->stamp, NULL);
  ro_net_down(e->root, e->run_root, e->id);
  ro_tree_remove(e->run, NULL);
}

static void finish_done(struct ro_op *op, void *data) { end_take(op, data); }

static void swept(struct ro_op *op, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct ending *g = (struct ending *)op;
  (void)out, (void)out_len;
  if (status != 0)
    ro_log(op->self, BERTH_LOG_WARN, "what container %.12s left could not be swept away: %.*s", g->kept->id, (int)err_len, err);
  struct end *e = g->kept;
  g->kept = NULL;
  ro_job_run(op, e, finish_work, finish_done, end_free);
}

static void end_done(struct ro_op *op, void *data) {
  struct end *e = data;
  if (!e->lost) {
    end_take(op, e);
    return;
  }
  ((struct ending *)op)->kept = end_copy(e);
  const char *argv[] = {e->sweeper, "sweep", e->run, NULL};
  ro_child_run(op, argv, NULL, 0, 30000, swept);
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
  struct ending *g = ro_op_new(self, 0, sizeof *g, ending_drop, "end of container %.12s", c->id);
  struct end *e = pu_new(struct end);
  *e = (struct end){.root = pu_strdup(self->config.root), .run_root = pu_strdup(self->config.run), .run = ro_run_dir(self, c),
                    .dir = ro_container_dir(self, c), .sweeper = ro_program(self, "berth-monitor"), .id = pu_strdup(c->id),
                    .unmount = last_used(self, c), .stamp = ro_stamp_of(c)};
  e->stamp.state = RO_EXITED;
  e->stamp.finished_ms = ro_now_ms(self);
  ro_job_run(&g->op, e, end_work, end_done, end_free);
}
