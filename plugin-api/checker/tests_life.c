/* Starting, stopping, reloading: nothing grows, nothing is left. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "bench.h"
#include "plugin/fields.h"
#include "report.h"
#include "tests.h"
#include "wire.h"

enum { warm_rounds = 10, rounds = 100, process_rounds = 10 };

static void once(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (!check_load(&b))
    return;
  check_step("start()");
  if (check_up(&b)) {
    check_step("a second of rest");
    check_turn(b.loop, 1000, NULL, NULL);
    check_step("stop()");
  }
  check_unload(&b);
}

static bool round_of(struct check_bench *b, int turn_ms) {
  bool up = check_up(b);
  if (up && turn_ms)
    check_turn(b->loop, turn_ms, NULL, NULL);
  check_down(b);
  return up;
}

static void compare(const char *what, struct check_count before, struct check_alloc_live live, int n) {
  struct check_count after = check_count();
  struct check_alloc_live now = check_alloc_live();
  if (after.descriptors > before.descriptors)
    check_fail("%s leave %d descriptors open", what, after.descriptors - before.descriptors);
  if (after.threads > before.threads)
    check_fail("%s leave %d threads running", what, after.threads - before.threads);
  if (now.blocks >= live.blocks + (size_t)n / 2)
    check_fail("%s leave %zu blocks of memory (%zu bytes): free them in stop()", what, now.blocks - live.blocks, now.bytes - live.bytes);
}

static void loop(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (!check_load(&b))
    return;
  bool up = true;
  int n = check_wire() ? process_rounds : rounds; /* a process takes its time */
  for (int i = 0; up && i < (check_wire() ? 1 : warm_rounds); i++) {
    check_step("start() and stop(), round %d", i + 1);
    up = round_of(&b, 5);
  }
  struct check_count before = check_count();
  struct check_alloc_live live = check_alloc_live();
  int64_t until = bt_clock_mono_ms() + check_plan.seconds * 500;
  for (int i = 0; up && i < n; i++) {
    if (check_wire() && i > 2 && bt_clock_mono_ms() > until)
      n = i; /* a busy machine; the rounds so far tell as much */
    check_step("start() and stop(), round %d", warm_rounds + i + 1);
    up = round_of(&b, i % 4 ? 0 : 5);
  }
  BT_AUTO_FREE char *what = bt_asprintf("%d rounds of start() and stop()", n);
  if (up)
    compare(what, before, live, n);
  check_unload(&b);
}

/* Two entries of one plug-in know nothing of each other. */
static void twice(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (!check_load(&b))
    return;
  check_step("start() of a first entry");
  if (check_up(&b)) {
    struct check_host *first = b.host;
    check_step("start() of a second entry");
    const char *why = NULL;
    struct check_host *second = check_host_new(b.loop, b.plugin);
    enum berth_code code = check_host_start(second, b.text, &why);
    if (code != BERTH_OK)
      check_note("a second entry is refused: %s", why);
    else if (second->self == first->self)
      check_fail("both entries have the same state");
    check_turn(b.loop, 20, NULL, NULL);
    check_step("stop() of the first entry");
    check_host_stop(first);
    check_turn(b.loop, 20, NULL, NULL);
    check_step("stop() of the second entry");
    if (code == BERTH_OK)
      check_host_stop(second);
    b.host = NULL;
  }
  check_unload(&b);
}

/* ---------------------------------------------------------------- reload */

static bool begin_reload(struct check_bench *b) {
  if (!check_load(b))
    return false;
  if (!b->plugin->reload)
    check_skip("it has no reload(): the server stops and starts it");
  return b->plugin->reload && check_up(b);
}

static void reload_same(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (begin_reload(&b)) {
    const char *why = NULL;
    for (int i = 0; i < 20; i++) {
      check_step("reload() with the same configuration, round %d", i + 1);
      if (check_host_reload(b.host, b.text, &why) != BERTH_OK)
        check_fail("reload() refuses the configuration that it runs with: %s", why);
      check_turn(b.loop, 2, NULL, NULL);
    }
    check_step("stop() after reload()");
  }
  check_unload(&b);
}

/* One that is other than the good one, where the table's limits allow it. NULL: there is none. */
static json_t *other_value(const struct berth_field *f, const json_t *now) {
  json_int_t n = json_integer_value(now);
  switch (f->type) {
  case BERTH_INT:
  case BERTH_DURATION:
  case BERTH_SIZE:
    return f->max && n >= f->max ? json_integer(n - 1 >= f->min ? n - 1 : n) : json_integer(n + 1);
  case BERTH_BOOL:
    return json_boolean(!json_is_true(now));
  default:
    return NULL;
  }
}

static void reload_changed(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  if (begin_reload(&b)) {
    for (const struct berth_field *f = b.manifest->m.config; f && f->name; f++) {
      json_t *value = f->immutable ? NULL : other_value(f, json_object_get(b.config, f->name));
      if (!value)
        continue;
      BT_AUTO_JSON changed = json_deep_copy(b.config);
      bt_json_set(changed, f->name, value);
      BT_AUTO_FREE char *text = bt_json_text(changed);
      const char *why = NULL;
      check_step("reload() with another %s", f->name);
      if (check_host_reload(b.host, text, &why) != BERTH_OK)
        check_note("another %s is refused: %s", f->name, why);
      check_turn(b.loop, 2, NULL, NULL);
    }
    check_step("stop() after reload()");
  }
  check_unload(&b);
}

static const char *const odd[] = {"", "berth-check\n", "http://[", "/nonexistent/\xf0\x9f\x9a\xa2"};

/* Odd values of the right types: what else a process could be sent was refused by the server. */
static void reload_odd(const struct check_bench *b) {
  const char *why;
  for (const struct berth_field *f = b->manifest->m.config; f && f->name; f++)
    for (size_t i = 0; i < BT_COUNT(odd) && f->type == BERTH_STRING && !f->immutable; i++) {
      BT_AUTO_JSON changed = json_deep_copy(b->config);
      bt_json_set(changed, f->name, json_string(odd[i]));
      BT_AUTO_FREE char *text = bt_json_text(changed);
      check_step("reload() with %s in %s", odd[i], f->name);
      (void)check_host_reload(b->host, text, &why);
      check_turn(b->loop, 2, NULL, NULL);
    }
}

/* What reload() refuses leaves the entry as it was. */
static void reload_refused(const struct check_test *t) {
  (void)t;
  static const char *const bad[] = {"{}", "", "[]", "null", "{\"", "{\"berth_check_unknown\":1}"};
  struct check_bench b;
  if (begin_reload(&b)) {
    const char *why = NULL;
    if (check_wire())
      reload_odd(&b);
    for (size_t i = 0; i < BT_COUNT(bad) && !check_wire(); i++) {
      check_step("reload() with %s", bad[i]);
      (void)check_host_reload(b.host, bad[i], &why);
      check_turn(b.loop, 2, NULL, NULL);
    }
    check_step("reload() with the good configuration after bad ones");
    if (check_host_reload(b.host, b.text, &why) != BERTH_OK)
      check_fail("after a bad configuration it does not take a good one any more: %s", why);
    check_step("stop() after reload()");
  }
  check_unload(&b);
}

void check_tests_life(struct check_tests *tests) {
#define ADD(name, fn, doc) check_test_add(tests, bt_strdup(name), fn, NULL, 0, doc)
  ADD("life.once", once, "starts, rests for a second, stops");
  ADD("life.loop", loop, "100 starts and stops (10 of a process) leave no descriptor, thread, process or memory");
  ADD("life.twice", twice, "two entries of one plug-in do not disturb each other");
  ADD("reload.same", reload_same, "takes the configuration that it runs with");
  ADD("reload.changed", reload_changed, "takes or refuses each changed field");
  ADD("reload.refused", reload_refused, "a bad configuration leaves the entry as it was");
#undef ADD
}
