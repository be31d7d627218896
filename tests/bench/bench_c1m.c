/* A million instances through the whole control core: apps are applied, their instances get places, and everything is durable in SQLite before
 * the nodes hear of it. Rows: plan-c1m and plan-c2m (seconds from the first apply to the last assignment sent), plan-c1m-memory (growth of
 * the process's resident memory per instance, SQLite and nodes included), plan-c1m-restart (from opening the store to the first answer, in a
 * new process), plan-c1m-replace (processor time from the end of a connection to a node until its 100 instances are placed anew, durably). A verifier that knows
 * nothing of the planner adds up what the nodes were sent; the new process counts again what the disk has.
 * The floor is SQLite alone: one thread that writes the rows that are there at the end, sorted, in transactions as large as the store's.
 * usage: bench_c1m [INSTANCES NODES]: one run of that size instead. */
#include "config.h"

#include <malloc.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "bench.h"
#include "control/executor.h"
#include "control/internal.h"

#define SERVICES 10 /* of an app */
#define REPLICAS 1000 /* of a service */
#define MIB ((int64_t)1 << 20)

struct size {
  const char *name;
  long instances, nodes;
  double reach_s;
};

/* What a process of the bench tells the one that prints. */
struct figures {
  double apply_s, cpu_s, own_s, bytes, loop_ms, disk_mb; /* of the deployment */
  double raw_s, raw_cpu_s; /* of SQLite alone */
  double serve_s, serve_cpu_s, hello_s, hello_cpu_s, replace_ms, restart_bytes; /* after the restart */
  long placed, wrong, moved;
  char loop_name[64];
};

static struct {
  const struct size *size;
  struct figures *f;
  struct bt_loop *loop;
  struct bt_feed *feed;
  struct bt_store *store;
  struct bt_executor *ex;
  double cpus; /* of a node */
  int64_t memory;
  int64_t *used; /* thousandths of cpus and MiB, by node */
  long assigned, wanted, asked;
  BT_VEC(uint64_t) calls;
  size_t answered; /* of them: one a turn, as they come from workers */
  bool posted, quiet; /* quiet: assignments are not counted */
} b;

static double cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Of the loop's thread. */
static double own_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double wall_s(void) { return (double)bt_clock_mono_us() / 1e6; }

static double resident(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%*d %ld", &pages) != 1)
    pages = 0;
  if (f)
    fclose(f);
  return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* As berthd has it. */
static void set_malloc(void) {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  mallopt(M_TOP_PAD, 16 * 1024);
  mallopt(M_MXFAST, 0);
}

/* ---- what its instances need: of the number of the service ---- */

static int64_t need_cpu(int service) { return 100 + 50 * (service % 4); }
static int64_t need_mib(int service) { return 64 + 32 * (service % 7); }

/* ---- the world around the executor ---- */

static void stop_loop(void *arg) {
  (void)arg;
  bt_loop_stop(b.loop);
}

/* The verifier: what a node was sent must fit into it. */
static void count_assignment(const char *node, const json_t *inst) {
  const char *service = bt_json_str_or(inst, "service", "s0");
  int n = atoi(service + 1);
  int64_t *used = &b.used[2 * atol(node + 1)];
  used[0] += need_cpu(n);
  used[1] += need_mib(n);
  b.f->wrong += used[0] > (int64_t)(b.cpus * 1000) || used[1] > b.memory / MIB;
  if (++b.assigned == b.wanted)
    bt_loop_stop(b.loop);
}

static void on_send(void *arg, const char *node, const json_t *m) {
  (void)arg;
  if (!b.quiet && bt_streq(bt_json_str(m, "type"), "assign"))
    count_assignment(node, bt_json_obj(m, "instance"));
}

static void answer_calls(void *arg) {
  (void)arg;
  BT_AUTO_JSON pin = json_pack("{ss,ss,ss}", "pinned", "registry.example/team/web@sha256:5a1c05a1", "digest", "sha256:5a1c05a1", "source", "registry");
  bt_executor_call_done(b.ex, b.calls.items[b.answered++], BT_OK, "", pin);
  b.posted = b.answered < b.calls.len;
  if (b.posted)
    bt_loop_post(b.loop, "bench: answers", answer_calls, NULL);
}

static void on_call(void *arg, uint64_t id, const char *kind, const json_t *args) {
  (void)arg, (void)kind, (void)args;
  bt_vec_push(&b.calls, id);
  if (!b.posted)
    bt_loop_post(b.loop, "bench: answers", answer_calls, NULL);
  b.posted = true;
}

static void on_rebuilt(void *arg) {
  (void)arg;
  b.f->wrong++;
}

static void on_health(void *arg, enum bt_store_health health) {
  (void)arg;
  if (b.ex)
    bt_executor_health(b.ex, health);
}

static void start(const char *path) {
  BT_AUTO_ERR err = NULL;
  b.loop = bt_loop_new();
  if (bt_store_sqlite_open(path, b.loop, on_health, NULL, &b.store, &err) < 0)
    BT_ASSERT(!"the store opens");
  b.feed = bt_feed_new(0);
  BT_AUTO_JSON settings = json_pack("{s{s{si}}}", "scheduling", "lost", "after", 1000);
  struct bt_executor_options options = {.loop = b.loop, .store = b.store, .feed = b.feed, .send = on_send, .call = on_call, .rebuilt = on_rebuilt,
                                        .control = {.settings = settings}};
  if (bt_executor_new(&options, &b.ex, &err) < 0) {
    fprintf(stderr, "bench_c1m: %s\n", bt_err_message(err));
    BT_ASSERT(!"the executor starts");
  }
  bt_executor_start(b.ex);
}

static void end(void) {
  bt_executor_stop(b.ex);
  b.store->ops->close(b.store);
  _exit(0); /* a million frees tell nothing */
}

/* Until nothing happens any more: what was queued is durable and sent. */
static void on_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  (void)result;
  if (code != BT_OK) {
    fprintf(stderr, "bench_c1m: %s\n", message);
    b.f->wrong++;
  }
  if (arg)
    bt_loop_stop(b.loop);
  b.asked--;
}

static void settle(void) {
  json_t *args = json_pack("{ss,ss,ss}", "type", "bench", "severity", "info", "message", "settled");
  b.asked++;
  bt_executor_write(b.ex, "event.add", args, "system", false, on_done, &b);
  while (b.asked)
    bt_loop_run(b.loop);
}

static void node_hello(long n, const struct ctl_node *has) {
  BT_AUTO_FREE char *name = bt_asprintf("n%ld", n);
  json_t *list = json_array();
  for (const struct ctl_inst *inst = has ? has->first : NULL; inst; inst = ctl_beside(inst))
    json_array_append_new(list, json_pack("{ss,ss}", "instance", inst->id, "state", "pending"));
  json_t *m = json_pack("{ss,s{ss,sf,sI,ss,ss,s{ss}},so}", "type", "hello", "node", "name", name, "cpus", b.cpus, "memory", (json_int_t)b.memory, "os",
                        "linux", "arch", "amd64", "labels", "zone", n % 3 ? n % 3 == 1 ? "b" : "c" : "a", "instances", list);
  bt_executor_node_message(b.ex, name, m);
}

/* ---- the deployment ---- */

static void apply(long app, long instances) {
  json_t *services = json_object();
  for (int i = 0; i < SERVICES && instances > 0; i++, instances -= REPLICAS) {
    BT_AUTO_FREE char *name = bt_asprintf("s%d", i), *cpus = bt_asprintf("%.3f", (double)need_cpu(i) / 1000), *memory = bt_asprintf("%lld", (long long)(need_mib(i) * MIB));
    json_object_set_new(services, name,
                        json_pack("{ss,ss,s{ss},s{sn},s{sI,s{s{ss,ss}}}}", "image", "registry.example/team/web:1", "restart", "always", "environment", "A", "1", "networks",
                                  "default", "deploy", "replicas", (json_int_t)BT_MIN(instances, REPLICAS), "resources", "reservations", "cpus", cpus, "memory", memory));
  }
  BT_AUTO_FREE char *name = bt_asprintf("app%ld", app), *network = bt_asprintf("app%ld_default", app);
  json_t *args = json_pack("{ss,ss,s{ss,so,s{s{ss}}}}", "namespace", "default", "app", name, "model", "name", name, "services", services, "networks", "default", "name", network);
  b.asked++;
  bt_executor_write(b.ex, "app.apply", args, "root@unix", false, on_done, NULL);
}

static double file_mb(const char *path) {
  FILE *f = fopen(path, "r");
  if (!f || fseek(f, 0, SEEK_END) < 0)
    return 0;
  double mb = (double)ftell(f) / 1e6;
  fclose(f);
  return mb;
}

static void deploy(const char *path) {
  const struct size *s = b.size;
  double before = resident();
  start(path);
  for (long n = 0; n < s->nodes; n++)
    node_hello(n, NULL);
  settle();
  bt_loop_stats_reset(b.loop);
  b.wanted = s->instances;
  double wall = wall_s(), cpu = cpu_s(), own = own_s();
  for (long i = 0; i * SERVICES * REPLICAS < s->instances; i++)
    apply(i, BT_MIN(s->instances - i * SERVICES * REPLICAS, SERVICES * REPLICAS));
  struct bt_timer *patience = bt_timer_new(b.loop, "bench: patience", stop_loop, NULL);
  bt_timer_set(patience, 600 * 1000);
  while (b.assigned < b.wanted && wall_s() - wall < 590)
    bt_loop_run(b.loop);
  b.f->apply_s = wall_s() - wall;
  b.f->cpu_s = cpu_s() - cpu;
  b.f->own_s = own_s() - own;
  settle();
  struct bt_loop_stats stats;
  bt_loop_stats(b.loop, &stats);
  b.f->loop_ms = (double)stats.own_us / 1000;
  snprintf(b.f->loop_name, sizeof b.f->loop_name, "%s", stats.own_name);
  b.f->placed = b.assigned;
  b.f->bytes = (resident() - before) / (double)s->instances;
  b.f->disk_mb = file_mb(path);
  end();
}

/* ---- the floor: SQLite alone ---- */

#define ROWS 4096 /* of a transaction, as the store has it at the most */

static void raw_copy(sqlite3_stmt *from, sqlite3 *to, sqlite3_stmt *put) {
  int rows = 0;
  for (; sqlite3_step(from) == SQLITE_ROW; rows++) {
    if (rows % ROWS == 0)
      b.f->wrong += sqlite3_exec(to, rows ? "COMMIT; BEGIN" : "BEGIN", NULL, NULL, NULL) != SQLITE_OK;
    for (int i = 0; i < 4; i++)
      sqlite3_bind_value(put, i + 1, sqlite3_column_value(from, i));
    b.f->wrong += sqlite3_step(put) != SQLITE_DONE;
    sqlite3_reset(put);
  }
  b.f->wrong += sqlite3_exec(to, "COMMIT", NULL, NULL, NULL) != SQLITE_OK;
}

/* What the deployment left, into another file, in the order of its keys, which is the best there is: one thread that does nothing else. */
static void raw(const char *path) {
  BT_AUTO_FREE char *other = bt_asprintf("%s.raw", path);
  sqlite3 *from = NULL, *to = NULL;
  sqlite3_stmt *rows = NULL, *put = NULL;
  BT_ASSERT(sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK && sqlite3_open(other, &to) == SQLITE_OK);
  BT_ASSERT(sqlite3_prepare_v2(from, "SELECT kind, key, revision, value FROM object ORDER BY kind, key", -1, &rows, NULL) == SQLITE_OK);
  double wall = wall_s(), cpu = cpu_s();
  int rc = sqlite3_exec(to,
                        "PRAGMA cache_size=-4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4096;"
                        "CREATE TABLE object (kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL, value TEXT NOT NULL,"
                        "  PRIMARY KEY (kind, key)) WITHOUT ROWID",
                        NULL, NULL, NULL);
  BT_ASSERT(rc == SQLITE_OK && sqlite3_prepare_v2(to, "INSERT INTO object VALUES (?1, ?2, ?3, ?4)", -1, &put, NULL) == SQLITE_OK);
  raw_copy(rows, to, put);
  sqlite3_finalize(put);
  sqlite3_finalize(rows);
  sqlite3_close(to);
  b.f->raw_s = wall_s() - wall;
  b.f->raw_cpu_s = cpu_s() - cpu;
  sqlite3_close(from);
  _exit(0);
}

/* ---- the restart ---- */

/* The disk's count of what is placed where, against what was sent. */
static void count_placed(void) {
  b.f->placed = 0;
  for (struct ctl_insts it = ctl_insts(bt_executor_control(b.ex)); ctl_insts_next(&it);)
    b.f->placed += it.inst->node != NULL;
}

/* A node dies: the bench is over when as many instances as it had were assigned to others. Before that the server waits for it for a second. */
static void replace(void) {
  const struct ctl_node *node = bt_map_get(bt_executor_control(b.ex)->nodes, "n1");
  b.quiet = false;
  b.assigned = 0;
  b.wanted = node->instances;
  memset(b.used, 0, 2 * (size_t)b.size->nodes * sizeof *b.used);
  double cpu = cpu_s(), wall = wall_s();
  bt_timer_set(bt_timer_new(b.loop, "bench: patience", stop_loop, NULL), 60 * 1000);
  bt_executor_node_down(b.ex, "n1");
  while (b.assigned < b.wanted && wall_s() - wall < 60)
    bt_loop_run(b.loop);
  b.f->replace_ms = (cpu_s() - cpu) * 1000;
  b.f->moved = b.assigned;
}

static void restart(const char *path) {
  double before = resident(), wall = wall_s(), cpu = cpu_s();
  b.quiet = true;
  start(path);
  BT_AUTO_JSON page = bt_control_list(bt_executor_control(b.ex), "apps", NULL, NULL, NULL);
  b.f->wrong += json_array_size(page) == 0;
  settle();
  b.f->serve_s = wall_s() - wall;
  b.f->serve_cpu_s = cpu_s() - cpu;
  count_placed();
  b.f->restart_bytes = (resident() - before) / (double)b.size->instances;
  double hello = wall_s();
  cpu = cpu_s();
  bt_loop_stats_reset(b.loop);
  for (long n = 0; n < b.size->nodes; n++) {
    BT_AUTO_FREE char *name = bt_asprintf("n%ld", n);
    node_hello(n, bt_map_get(bt_executor_control(b.ex)->nodes, name));
    if (n % 16 == 0)
      settle();
  }
  settle();
  b.f->hello_s = wall_s() - hello;
  b.f->hello_cpu_s = cpu_s() - cpu;
  replace();
  end();
}

/* ---- one size ---- */

/* In a process of its own: what one run leaves in the heap is no part of the next. */
static void in_child(void (*run)(const char *path), const char *path, const struct size *size, struct figures *f) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    b.size = size;
    b.f = f;
    b.used = bt_calloc(2 * (size_t)size->nodes, sizeof *b.used);
    /* three quarters full, of what they ask for on average */
    double each = (double)size->instances / (double)size->nodes / 0.75;
    b.cpus = ceil(each * 0.165);
    b.memory = (int64_t)(each * 147) * MIB;
    set_malloc();
    run(path);
  }
  int status = 1;
  waitpid(pid, &status, 0);
  if (status != 0)
    f->wrong++;
}

static int row(const char *name, const char *unit, double value, double floor, double reach, char *more_steal) {
  BT_AUTO_FREE char *more = more_steal;
  return bench_print(&(struct bench_result){.name = name, .unit = unit, .value = value, .floor = floor, .peer = NAN, .ratio = NAN, .reach = reach, .more = more});
}

static void forget(const char *path) {
  static const char *const ends[] = {"", "-wal", "-shm", ".lock", ".raw", ".raw-wal", ".raw-shm"};
  for (size_t i = 0; i < BT_COUNT(ends); i++) {
    BT_AUTO_FREE char *file = bt_asprintf("%s%s", path, ends[i]);
    unlink(file);
  }
}

static int measure(const struct size *size, bool all) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/bench_%s.%ld.db", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", size->name, (long)getpid());
  struct figures *f = mmap(NULL, sizeof *f, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BT_ASSERT(f != MAP_FAILED);
  in_child(deploy, path, size, f);
  in_child(raw, path, size, f);
  bool good = f->placed == size->instances && f->wrong == 0;
  int rc = row(size->name, "s", good ? f->apply_s : 1e9, f->raw_s, size->reach_s,
               bt_asprintf(", \"instances\": %ld, \"nodes\": %ld, \"placed\": %ld, \"wrong\": %ld, \"cpu_s\": %.1f, \"loop_cpu_s\": %.1f, \"floor_cpu_s\": %.1f, \"longest_step_ms\": %.0f, \"step\": \"%s\", "
                           "\"disk_mb\": %.0f", size->instances, size->nodes, f->placed, f->wrong, f->cpu_s, f->own_s, f->raw_cpu_s, f->loop_ms, f->loop_name, f->disk_mb));
  BT_AUTO_FREE char *memory = bt_asprintf("%s-memory", size->name), *again = bt_asprintf("%s-restart", size->name), *dead = bt_asprintf("%s-replace", size->name);
  rc |= row(memory, "bytes per instance", f->bytes, NAN, 400, NULL);
  if (all) {
    in_child(restart, path, size, f);
    good = f->placed == size->instances && f->wrong == 0;
    rc |= row(again, "s", good ? f->serve_s : 1e9, NAN, 5,
              bt_asprintf(", \"found\": %ld, \"wrong\": %ld, \"cpu_s\": %.1f, \"bytes\": %.0f, \"hellos_s\": %.1f, \"hellos_cpu_s\": %.1f", f->placed, f->wrong, f->serve_cpu_s, f->restart_bytes, f->hello_s, f->hello_cpu_s));
    rc |= row(dead, "ms", f->moved >= size->instances / size->nodes / 2 ? f->replace_ms : 1e9, NAN, 50, bt_asprintf(", \"instances\": %ld", f->moved));
  }
  forget(path);
  munmap(f, sizeof *f);
  return rc;
}

int main(int argc, char **argv) {
  if (argc == 3) {
    struct size one = {"plan-c1m", atol(argv[1]), atol(argv[2]), 10};
    return measure(&one, true);
  }
  static const struct size sizes[] = {{"plan-c1m", 1000000, 10000, 10}, {"plan-c2m", 2000000, 6100, 25}};
  return measure(&sizes[0], true) | measure(&sizes[1], false);
}
