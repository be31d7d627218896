/* The executor over a store that refuses when told to: nothing that stands upon a refused change is acknowledged, nobody waits for
 * ever, and readers see what the disk has. */
#include "config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/vec.h"
#include "control/executor.h"
#include "tap.h"

/* ---------------------------------------------------------------- a store in memory; commits settle when told to */

struct commit {
  struct bt_batch batch;
  uint64_t revision;
  void (*done)(void *arg, enum bt_code code, const char *message);
  void *arg;
};

static struct {
  struct bt_store base;
  struct bt_map *objects; /* "kind key" -> value */
  BT_VEC(struct commit) queue;
  uint64_t revision;
  enum bt_store_health health;
} disk;

static int disk_load(struct bt_store *store, void (*found)(void *, const char *, const char *, const char *, size_t), void *arg,
                     uint64_t *revision, struct bt_err **err) {
  (void)store, (void)err;
  for (struct bt_map_iter it = bt_map_iter(disk.objects); bt_map_next(&it);) {
    const char *space = strchr(it.key, ' ');
    BT_AUTO_FREE char *kind = bt_strndup(it.key, (size_t)(space - it.key));
    found(arg, kind, space + 1, it.value, strlen(it.value));
  }
  *revision = disk.revision;
  return 0;
}

static void disk_commit(struct bt_store *store, uint64_t revision, struct bt_batch *batch,
                        void (*done)(void *, enum bt_code, const char *), void *arg) {
  (void)store;
  bt_vec_push(&disk.queue, ((struct commit){*batch, revision, done, arg}));
  *batch = (struct bt_batch){0};
}

static enum bt_store_health disk_health(struct bt_store *store, const char **sentence) {
  (void)store;
  *sentence = disk.health == BT_STORE_OK ? "" : "the disk is full";
  return disk.health;
}

static const struct bt_store_ops disk_ops = {.load = disk_load, .commit = disk_commit, .health = disk_health};

static void write_down(struct commit *c) {
  for (size_t i = 0; i < c->batch.len; i++) {
    struct bt_change *change = &c->batch.items[i];
    BT_AUTO_FREE char *name = bt_asprintf("%s %s", change->kind, change->key);
    if (change->value)
      bt_map_set(disk.objects, name, bt_strdup(change->value));
    else
      bt_map_del(disk.objects, name);
  }
  disk.revision = c->revision;
}

/* All that waits is written, or refused. */
static void disk_settle(enum bt_code code) {
  for (size_t i = 0; i < disk.queue.len; i++) {
    struct commit c = disk.queue.items[i];
    if (code == BT_OK)
      write_down(&c);
    bt_batch_free(&c.batch);
    if (c.done)
      c.done(c.arg, code, code == BT_OK ? "" : "the disk is full");
  }
  disk.queue.len = 0;
}

/* ---------------------------------------------------------------- around it */

static struct bt_loop *loop;
static struct bt_executor *ex;
static uint64_t last_call;
static int calls, rebuilds;

static void no_send(void *arg, const char *node, const json_t *message) { (void)arg, (void)node, (void)message; }

static void on_call(void *arg, uint64_t id, const char *kind, const json_t *args) {
  (void)arg, (void)kind, (void)args;
  last_call = id;
  calls++;
}

static void on_rebuilt(void *arg) {
  (void)arg;
  rebuilds++;
}

static void stop(void *arg) {
  (void)arg;
  bt_loop_stop(loop);
}

/* Lets everything happen that is due. */
static void spin(void) {
  struct bt_timer *timer = bt_timer_new(loop, "test", stop, NULL);
  bt_timer_set(timer, 20);
  bt_loop_run(loop);
  bt_timer_free(&timer);
}

struct got {
  int n;
  enum bt_code code;
  bool changed;
};

static void on_done(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct got *got = arg;
  (void)message;
  got->n++;
  got->code = code;
  got->changed = bt_json_bool(result, "changed", false);
}

static void put_secret(const char *name, struct got *got) {
  json_t *args = json_pack("{s:s, s:s, s:s, s:s, s:i}", "namespace", "default", "name", name, "sealed", "x", "fingerprint", "f", "size", 1);
  bt_executor_write(ex, "secret.put", args, "root@unix", false, on_done, got);
}

static void apply(struct got *got) {
  json_t *args = json_pack("{s:s, s:s, s:{s:s, s:{s:{s:s}}}}", "namespace", "default", "app", "shop", "model", "name", "shop", "services", "web",
                           "image", "box:1");
  bt_executor_write(ex, "app.apply", args, "root@unix", false, on_done, got);
}

static bool has_secret(const char *name) {
  return bt_control_get(bt_executor_control(ex), "secrets", "default", name, NULL, NULL) != NULL;
}

static void fall_full(void) {
  disk.health = BT_STORE_FULL;
  bt_executor_health(ex, disk.health);
  disk_settle(BT_NO_SPACE);
  spin();
}

static void get_well(void) {
  disk.health = BT_STORE_OK;
  bt_executor_health(ex, disk.health);
  spin();
  disk_settle(BT_OK);
  spin();
}

/* ---------------------------------------------------------------- tests */

static void test_acknowledged(void) {
  struct got got = {0};
  put_secret("one", &got);
  spin();
  is_int(got.n, 0, "a change that is not durable is not acknowledged");
  disk_settle(BT_OK);
  spin();
  ok(got.n == 1 && got.code == BT_OK && got.changed, "a durable one is");
}

static void test_same_again(void) {
  struct got first = {0}, same = {0}, later = {0};
  put_secret("two", &first);
  put_secret("two", &same); /* nothing is left to change: no commit of its own */
  spin();
  ok(first.n == 0 && same.n == 0, "the same again waits for the first");
  fall_full();
  ok(first.n == 1 && first.code == BT_NO_SPACE, "a full disk refuses the first");
  ok(same.n == 1 && same.code == BT_NO_SPACE, "and the one that stood upon it");
  ok(!has_secret("two"), "readers do not see what was refused");
  ok(has_secret("one"), "but what is durable");
  put_secret("two", &later);
  spin();
  ok(later.n == 1 && later.code == BT_NO_SPACE, "further changes are refused");
  get_well();
  is_int(rebuilds, 1, "with room again the nodes say hello again");
  struct got again = {0};
  put_secret("two", &again);
  spin();
  disk_settle(BT_OK);
  spin();
  ok(again.n == 1 && again.code == BT_OK && again.changed, "and the change can be made");
  ok(has_secret("two"), "and read");
}

/* An apply of what is there asks for the images first; its answer is control's to give, and control is dropped. */
static void test_waiting_request(void) {
  struct got made = {0}, waiting = {0}, refused = {0};
  apply(&made);
  disk_settle(BT_OK);
  spin();
  BT_AUTO_JSON pin = json_pack("{s:s, s:s}", "pinned", "sha256:aa", "source", "local");
  bt_executor_call_done(ex, last_call, BT_OK, "", pin);
  disk_settle(BT_OK);
  spin();
  ok(made.n == 1 && made.code == BT_OK, "an app");
  int before = calls;
  apply(&waiting);
  spin();
  disk_settle(BT_OK);
  spin();
  ok(calls == before + 1 && waiting.n == 0, "applied again it waits for a call");
  put_secret("three", &refused);
  spin();
  fall_full();
  ok(waiting.n == 1 && waiting.code != BT_OK, "who waited is told that the disk is full");
  get_well();
  bt_executor_call_done(ex, last_call, BT_OK, "", pin);
  spin();
  is_int(waiting.n, 1, "once");
}

static int64_t mono = 5000, wall = 1700000000000;
static int64_t test_mono(void) { return mono; }
static int64_t test_wall(void) { return wall; }

static int64_t made_at(const char *name) {
  const char *text = bt_control_get(bt_executor_control(ex), "secrets", "default", name, NULL, NULL);
  BT_AUTO_JSON o = text ? json_loads(text, 0, NULL) : NULL;
  int64_t ms = 0;
  bt_clock_parse(bt_json_str(o, "created_at"), &ms);
  return ms;
}

static void put_durably(const char *name) {
  struct got got = {0};
  put_secret(name, &got);
  disk_settle(BT_OK);
  spin();
}

static void test_clock_set(void) {
  wall -= 3600 * 1000;
  mono += 5000;
  put_durably("back");
  ok(made_at("back") == wall, "the clock is set back: what is recorded has the new time");
  wall += 7200 * 1000;
  put_durably("forward");
  ok(made_at("forward") == wall, "set forward as well");
}

/* The disk acknowledges very much at once: the loop has its turns all the same, and everybody gets an answer, in order. */
enum { crowd = 5000 };
static int answered, out_of_order;

static void count_answer(void *arg, enum bt_code code, const char *message, const json_t *result) {
  (void)message, (void)result;
  out_of_order += code != BT_OK || (intptr_t)arg != answered;
  answered++;
}

static void test_crowd(void) {
  for (intptr_t i = 0; i < crowd; i++)
    bt_executor_write(ex, "event.add", json_pack("{ss,ss,ss}", "type", "test", "severity", "info", "message", "one of many"), "tester", false, count_answer, (void *)i);
  disk_settle(BT_OK);
  int at_once = answered;
  ok(at_once > 0 && at_once < crowd / 2, "of %d acknowledged in one turn some are answered in it: %d", crowd, at_once);
  for (int i = 0; i < 100 && answered < crowd; i++)
    spin();
  is_int(answered, crowd, "the others after it");
  is_int(out_of_order, 0, "in order");
}

int main(void) {
  loop = bt_loop_new();
  disk.base.ops = &disk_ops;
  disk.objects = bt_map_new(free);
  struct bt_feed *feed = bt_feed_new(100);
  struct bt_executor_options options = {
      .loop = loop, .store = &disk.base, .feed = feed, .send = no_send, .call = on_call, .rebuilt = on_rebuilt,
      .mono_ms = test_mono, .wall_ms = test_wall};
  BT_AUTO_ERR err = NULL;
  is_int(bt_executor_new(&options, &ex, &err), 0, "an executor");
  bt_executor_start(ex);
  disk_settle(BT_OK);
  spin();
  test_acknowledged();
  test_same_again();
  test_waiting_request();
  test_clock_set();
  test_crowd();
  bt_executor_stop(ex);
  disk_settle(BT_CANCELLED);
  bt_executor_free(&ex);
  bt_vec_free(&disk.queue);
  bt_map_free(&disk.objects);
  bt_feed_free(&feed);
  bt_loop_free(&loop);
  return done_testing();
}
