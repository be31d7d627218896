/* What a fresh process finds: folders, records, monitors that run on. Read in a worker, taken on the loop. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"

enum { max_record = 4 << 20 };

/* A container that was read, and what became of its monitor. */
struct found {
  struct ro_container *c;
  int pidfd;
};

struct recovery {
  struct ro_op *op;
  char *root, *run, *why;
  int lock;
  struct found *found;
  size_t n, room;
  json_t *volumes;
  int leftovers; /* what was swept */
};

static void recovery_free(void *data) {
  struct recovery *r = data;
  for (size_t i = 0; i < r->n; i++) {
    ro_container_free(r->found[i].c);
    if (r->found[i].pidfd >= 0)
      close(r->found[i].pidfd);
  }
  if (r->lock >= 0)
    close(r->lock);
  free(r->found);
  json_decref(r->volumes);
  free(r->root);
  free(r->run);
  free(r->why);
  free(r);
}

/* ---------------------------------------------------------------- folders */

static bool make_folders(struct recovery *r) {
  static const char *const below[] = {"containers", "volumes", "networks", "images"};
  if (!ro_dir_make(r->root, 0711, &r->why) || !ro_dir_make(r->run, 0711, &r->why))
    return false;
  for (size_t i = 0; i < PU_COUNT(below); i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", r->root, below[i]);
    if (!ro_dir_make(path, 0711, &r->why))
      return false;
  }
  PU_AUTO_FREE state = pu_asprintf("%s/runtime", r->run);
  return ro_dir_make(state, 0700, &r->why);
}

static bool take_lock(struct recovery *r) {
  PU_AUTO_FREE path = pu_asprintf("%s/lock", r->root);
  r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) == 0)
    return true;
  r->why = errno == EWOULDBLOCK ? pu_asprintf("%s is in use by another server: give each its own root and run", r->root)
                                : pu_asprintf("%s: %s", path, strerror(errno));
  return false;
}

/* ---------------------------------------------------------------- containers */

static int open_process(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

/* Field 22 of /proc/PID/stat: when it began, in ticks since boot. 0: gone. */
static uint64_t start_time(pid_t pid, pid_t *parent) {
  char path[64], line[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *f = fopen(path, "re");
  size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
  if (f)
    fclose(f);
  line[n] = 0;
  char *at = strrchr(line, ')');
  uint64_t value = 0;
  for (int field = 3; at && field <= 22; field++) {
    at = strchr(at + 1, ' ');
    if (at && field == 4 && parent)
      *parent = (pid_t)strtol(at, NULL, 10);
    if (at && field == 22)
      value = strtoull(at, NULL, 10);
  }
  return value;
}

/* The monitor of a container where it lives: its pidfd, -1 where it is gone. monitor.pid: {"pid","start_time","container_pid"}. */
static int adopt(const struct recovery *r, struct ro_container *c) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s/monitor.pid", r->run, c->id);
  PU_AUTO_JSON o = ro_file_json(path, 4096, NULL);
  pid_t pid = (pid_t)pu_int(o, "pid", 0);
  int pidfd = pid > 0 ? open_process(pid) : -1;
  if (pidfd >= 0 && start_time(pid, NULL) != (uint64_t)pu_int(o, "start_time", 0)) {
    close(pidfd);
    return -1;
  }
  c->monitor = pidfd >= 0 ? pid : 0;
  c->pid = pidfd >= 0 ? (pid_t)pu_int(o, "container_pid", pu_int(o, "init", 0)) : 0;
  return pidfd;
}

static void found_container(void *arg, const char *name) {
  struct recovery *r = arg;
  PU_AUTO_FREE dir = pu_asprintf("%s/containers/%s", r->root, name);
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", dir);
  PU_AUTO_JSON record = ro_file_json(path, max_record, NULL);
  struct ro_container *c = record ? ro_container_read(record) : NULL;
  if (!c || !pu_eq(c->id, name)) {
    /* Half of a create or of a remove: the record is the first to come and the first to go. */
    if (c)
      ro_container_free(c);
    ro_tree_remove(dir, NULL);
    r->leftovers++;
    return;
  }
  ro_stamp_read(dir, c);
  if (r->n == r->room) {
    r->room = r->room ? r->room * 2 : 64;
    r->found = realloc(r->found, r->room * sizeof *r->found);
    if (!r->found)
      abort();
  }
  r->found[r->n++] = (struct found){c, adopt(r, c)};
}

static void recover_work(void *data) {
  struct recovery *r = data;
  if (!make_folders(r) || (r->lock < 0 && !take_lock(r)))
    return;
  PU_AUTO_FREE containers = pu_asprintf("%s/containers", r->root);
  ro_dir_each(containers, found_container, r);
}

/* ---------------------------------------------------------------- on the loop */

static int by_age(const void *a, const void *b) {
  int64_t x = ((const struct found *)a)->c->created_ms, y = ((const struct found *)b)->c->created_ms;
  return (x > y) - (x < y);
}

static void take(struct berth_instance *self, struct found *f) {
  struct ro_container *c = f->c;
  if (!ro_table_add(&self->table, c)) {
    ro_log(self, BERTH_LOG_ERROR, "container %s has the name %s, which another has: it is left alone", c->id, c->name);
    return;
  }
  f->c = NULL;
  if (f->pidfd >= 0) {
    c->state = RO_RUNNING;
    ro_watch(self, c, f->pidfd);
    f->pidfd = -1;
  }
}

static void recovery_done(struct ro_op *op, void *data) {
  struct recovery *r = data;
  struct berth_instance *self = op->self;
  ro_op_drop(op);
  if (r->why) {
    self->phase = RO_REFUSED;
    pu_set(&self->refusal, pu_strdup(r->why));
    ro_recovered(self);
    return;
  }
  self->lock = r->lock;
  r->lock = -1;
  qsort(r->found, r->n, sizeof *r->found, by_age);
  size_t kept = 0;
  for (size_t i = 0; i < r->n; i++) {
    take(self, &r->found[i]);
    if (r->found[i].c)
      r->found[kept++] = r->found[i];
  }
  r->n = kept;
  self->phase = RO_READY;
  ro_recovered(self);
}

void ro_recover(struct berth_instance *self) {
  self->phase = RO_RECOVERING;
  struct ro_op *op = ro_op_new(self, 0, sizeof *op, NULL, "records");
  struct recovery *r = pu_new(struct recovery);
  *r = (struct recovery){.root = pu_strdup(self->config.root), .run = pu_strdup(self->config.run), .lock = self->lock};
  self->lock = -1;
  ro_job_run(op, r, recover_work, recovery_done, recovery_free);
}
