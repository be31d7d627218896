/* stats and update: what the container's control groups count, and what they allow. */
#include "config.h"
#include "engine.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cgroup.h"
#include "files.h"

struct measure {
  pid_t pid;
  bool good;
  struct ro_usage usage;
  int64_t rx, tx, system_ns;
};

/* Every interface but lo of the container's network namespace: "eth0: rx_bytes packets errs drop fifo frame compressed multicast tx_bytes". */
static void read_network(struct measure *m) {
  char path[64], line[1024], name[64];
  long long rx, tx;
  snprintf(path, sizeof path, "/proc/%d/net/dev", (int)m->pid);
  FILE *f = fopen(path, "re");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, " %63[^:]: %lld %*d %*d %*d %*d %*d %*d %*d %lld", name, &rx, &tx) == 3 && strcmp(name, "lo") != 0) {
      m->rx += rx;
      m->tx += tx;
    }
  if (f)
    fclose(f);
}

/* What all processors together have spent, idle included. */
static int64_t system_ns(void) {
  long long v[8] = {0}, sum = 0;
  FILE *f = fopen("/proc/stat", "re");
  if (f && fscanf(f, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 4)
    v[0] = 0;
  if (f)
    fclose(f);
  for (size_t i = 0; i < PU_COUNT(v); i++)
    sum += v[i];
  return sum * (1000000000 / sysconf(_SC_CLK_TCK));
}

static void measure_work(void *data) {
  struct measure *m = data;
  m->good = ro_cgroup_usage(m->pid, &m->usage);
  m->system_ns = system_ns();
  read_network(m);
}

static void measured(struct ro_op *op, void *data) {
  const struct measure *m = data;
  const struct ro_usage *u = &m->usage;
  if (!m->good) {
    ro_op_fail(op, BERTH_CONFLICT, "%s: it does not run", op->subject);
    return;
  }
  ro_op_done(op, json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "cpu_ns", (json_int_t)u->cpu_ns, "cpu_system_ns",
                           (json_int_t)m->system_ns, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memory", (json_int_t)u->memory,
                           "memory_limit", (json_int_t)u->memory_limit, "rx_bytes", (json_int_t)m->rx, "tx_bytes", (json_int_t)m->tx,
                           "read_bytes", (json_int_t)u->read_bytes, "write_bytes", (json_int_t)u->write_bytes, "pids", (json_int_t)u->pids,
                           "pressure_cpu_us", (json_int_t)u->pressure_cpu_us, "pressure_memory_us", (json_int_t)u->pressure_memory_us,
                           "pressure_io_us", (json_int_t)u->pressure_io_us, "time_ms", (json_int_t)ro_now_ms(op->self)));
}

static void stats_go(struct ro_at *at, struct ro_container *c) {
  if (c->state != RO_RUNNING && c->state != RO_PAUSED) {
    ro_op_fail(&at->op, BERTH_CONFLICT, "%s: it does not run", at->op.subject);
    return;
  }
  struct measure *m = pu_new(struct measure);
  m->pid = c->pid;
  ro_job_run(&at->op, m, measure_work, measured, free);
}

void ro_stats(struct berth_instance *self, berth_op id, const struct berth_runtime_container *request) {
  ro_at_begin(ro_at_new(self, id, sizeof(struct ro_at), request->id, NULL), false, stats_go);
}

/* ---------------------------------------------------------------- update */

struct update {
  struct ro_at at;
  json_t *resources;
};

static void update_drop(struct ro_op *op) {
  struct update *u = (struct update *)op;
  free(u->at.name);
  free(u->at.signal);
  json_decref(u->resources);
}

struct limiting {
  pid_t pid;
  char *dir, *why;
  json_t *resources;
  int error;
};

static void limiting_free(void *data) {
  struct limiting *l = data;
  free(l->dir);
  free(l->why);
  json_decref(l->resources);
  free(l);
}

/* So that it starts with these limits as well. */
static void remember(struct limiting *l) {
  PU_AUTO_FREE path = pu_asprintf("%s/container.json", l->dir);
  PU_AUTO_JSON record = ro_file_json(path, 4 << 20, NULL);
  json_t *service = pu_obj(pu_obj(record, "spec"), "service"), *v;
  static const char *const names[][2] = {
      {"cpus", "cpus"}, {"memory", "mem_limit"}, {"memory_reservation", "mem_reservation"}, {"pids", "pids_limit"}};
  json_t *limits = pu_obj(pu_obj(pu_obj(service, "deploy"), "resources"), "limits");
  if (!service)
    return;
  for (size_t i = 0; i < PU_COUNT(names); i++)
    if ((v = json_object_get(l->resources, names[i][0]))) {
      json_object_set(service, names[i][1], v);
      json_object_del(limits, pu_eq(names[i][0], "memory_reservation") ? "" : names[i][0]);
    }
  json_t *kept = pu_obj(record, "resources");
  json_object_update(kept, l->resources);
  ro_file_write_json(path, record, 0600, false, NULL);
}

static void limiting_work(void *data) {
  struct limiting *l = data;
  l->error = l->pid > 0 ? ro_cgroup_update(l->pid, l->resources, &l->why) : 0;
  if (!l->error)
    remember(l);
}

static void limited(struct ro_op *op, void *data) {
  const struct limiting *l = data;
  struct ro_container *c = ro_table_by_id(&op->self->table, op->container);
  if (!l->error) {
    /* A copy: workers may hold the one before. */
    json_t *now = c->resources ? json_copy(c->resources) : json_object();
    json_object_update(now, l->resources);
    json_decref(c->resources);
    c->resources = now;
    ro_op_done(op, json_pack("{s:[]}", "warnings"));
  } else
    ro_op_fail(op, l->error == EBUSY || l->error == EINVAL ? BERTH_INVALID : BERTH_UNSUPPORTED, "%s: %s", op->subject,
               l->why ? l->why : strerror(l->error));
}

static void update_turn(struct ro_op *op, struct ro_container *c) {
  if (!c) {
    ro_op_fail(op, BERTH_NOT_FOUND, "%s: it was removed", op->subject);
    return;
  }
  struct limiting *l = pu_new(struct limiting);
  *l = (struct limiting){.pid = c->state == RO_RUNNING || c->state == RO_PAUSED ? c->pid : 0, .dir = ro_container_dir(op->self, c),
                         .resources = json_incref(((struct update *)op)->resources)};
  op->cancel = ro_op_detach;
  ro_job_run(op, l, limiting_work, limited, limiting_free);
}

static void update_go(struct ro_at *at, struct ro_container *c) { ro_op_turn(&at->op, c, update_turn); }

void ro_update(struct berth_instance *self, berth_op id, const struct berth_runtime_update *r) {
  struct update *u = ro_at_new(self, id, sizeof *u, r->id, update_drop);
  u->resources = r->resources_json ? pu_json_parse(r->resources_json, strlen(r->resources_json)) : NULL;
  if (!json_is_object(u->resources))
    ro_op_fail(&u->at.op, BERTH_INVALID, "%s: the limits are no JSON object", u->at.op.subject);
  else
    ro_at_begin(&u->at, false, update_go);
}
