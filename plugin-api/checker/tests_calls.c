/* Methods: each is called in earnest, with hostile and with huge arguments, cancelled, and caught by a stop. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench.h"
#include "report.h"
#include "request.h"
#include "tests.h"
#include "wire.h"

static int patience_ms(void) { return check_plan.seconds * 250; }

static bool over(void *arg) { return check_ops_over(arg); }

/* Every operation that is still open: one that streams is cancelled, any other should have come to an end. Then all must. */
static void finish_all(struct check_bench *b, const char *what) {
  if (check_turn(b->loop, patience_ms(), over, b->host))
    return;
  for (size_t i = 0; i < b->host->ops.len; i++) {
    struct check_op *op = b->host->ops.items[i];
    if (op->finished)
      continue;
    if (op->method && !op->method->channels)
      check_fail("%s never finished: %d ms are over (%s)", op->label, patience_ms(), what);
    check_op_cancel(b->host, op);
  }
  check_turn(b->loop, patience_ms(), over, b->host);
  for (size_t i = 0; i < b->host->ops.len; i++)
    if (!b->host->ops.items[i]->finished && b->host->ops.items[i]->method && b->host->ops.items[i]->method->channels)
      check_fail("%s streams on after cancel(): not finished after %d ms (%s)", b->host->ops.items[i]->label, patience_ms(), what);
}

static bool begin(struct check_bench *b, const struct check_test *t, struct check_method *m) {
  check_step("start()");
  if (!check_load(b) || !check_up(b))
    return false;
  if (!m)
    return true;
  if (!check_method_named(b, t->label, m)) {
    check_fail("there is no method %s", t->label);
    return false;
  }
  return true;
}

static void end(struct check_bench *b) {
  check_step("stop()");
  check_unload(b);
}

/* ---------------------------------------------------------------- arguments */

static void typical(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  if (begin(&b, t, &m)) {
    check_turn(b.loop, 20, NULL, NULL);
    check_step("%s, plausible arguments", t->label);
    struct check_op *op = check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
    finish_all(&b, "plausible arguments");
    if (op && op->finished && op->code != BERTH_OK)
      check_note("%s ended with code %d: %s", t->label, (int)op->code, op->message);
  }
  end(&b);
}

static void hostile(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  check_world.later = true;
  if (begin(&b, t, &m)) {
    for (int i = 0; i < CHECK_HOSTILE_ROUNDS; i++) {
      check_step("%s, hostile arguments, variant %d", t->label, i);
      check_call(&b, &m, CHECK_HOSTILE, i, NULL);
      check_turn(b.loop, 1, NULL, NULL);
    }
    check_step("%s, after hostile arguments", t->label);
    finish_all(&b, "hostile arguments");
  }
  end(&b);
}

static void huge(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  if (begin(&b, t, &m)) {
    for (int i = 0; i < 2; i++) {
      check_step("%s, huge arguments, variant %d", t->label, i);
      check_call(&b, &m, CHECK_HUGE_ARGS, i, NULL);
      finish_all(&b, "huge arguments");
    }
  }
  end(&b);
}

/* ---------------------------------------------------------------- cancel */

static void judge_cancelled(const struct check_op *op, bool was_over) {
  if (was_over)
    return;
  if (!op->finished)
    check_fail("%s was cancelled and did not finish within %d ms (10 s in the server)", op->label, patience_ms());
  else if (op->code == BERTH_OK)
    check_fail("%s was cancelled and finished with a result in place of BERTH_CANCELLED: its caller has given up, and may have asked again",
               op->label);
  else if (op->code != BERTH_CANCELLED)
    check_fail("%s was cancelled and finished with code %d in place of BERTH_CANCELLED: %s", op->label, (int)op->code, op->message);
}

static void cancel(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  check_world.later = true;
  if (begin(&b, t, &m)) {
    for (int i = 0; i < 3; i++) {
      check_world.play = CHECK_HANG;
      check_step("%s, cancelled %s", t->label, i == 0 ? "at once" : "on its way");
      struct check_op *op = check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
      if (i)
        check_turn(b.loop, 30 * i, NULL, NULL);
      if (check_wire()) /* what crossed the cancel on its way is no answer to it */
        check_wire_settle(b.host);
      bool was_over = op->finished;
      check_op_cancel(b.host, op);
      check_turn(b.loop, patience_ms(), over, b.host);
      judge_cancelled(op, was_over);
      check_step("%s, cancelled again after its end", t->label);
      check_op_cancel(b.host, op);
      check_world.play = CHECK_GOOD;
      check_turn(b.loop, 30, NULL, NULL);
    }
    check_step("cancel() of an operation that never was");
    check_enter("cancel()");
    b.plugin->cancel(b.host->self, (berth_op)1 << 40);
    check_leave();
    check_turn(b.loop, 10, NULL, NULL);
  }
  end(&b);
}

/* Callers give up at their deadline, all at once; what comes late is dropped, and the entry goes on. */
static void deadline(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  if (begin(&b, t, NULL)) {
    check_world.play = CHECK_HANG;
    for (size_t i = 0; check_method_at(&b, i, &m); i++) {
      check_step("%s, nobody answers", m.label);
      if (bt_streq(m.interface->word, t->label))
        check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
    }
    check_turn(b.loop, 200, NULL, NULL);
    for (size_t i = 0; i < b.host->ops.len; i++) {
      check_step("%s, its deadline is over", b.host->ops.items[i]->label);
      if (!b.host->ops.items[i]->finished)
        check_op_cancel(b.host, b.host->ops.items[i]);
    }
    check_world.play = CHECK_GOOD;
    check_step("late answers");
    check_turn(b.loop, patience_ms(), over, b.host);
    for (size_t i = 0; i < b.host->ops.len; i++)
      if (!b.host->ops.items[i]->finished)
        check_fail("%s did not finish within %d ms after its deadline", b.host->ops.items[i]->label, patience_ms());
    for (size_t i = 0; check_method_at(&b, i, &m); i++)
      if (strcmp(m.method->name, "probe") == 0 || strcmp(m.method->name, "info") == 0) {
        check_step("%s, after deadlines", m.label);
        check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
      }
    finish_all(&b, "after deadlines");
  }
  end(&b);
}

/* ---------------------------------------------------------------- caught by a stop */

static void stop(const struct check_test *t) {
  struct check_bench b;
  struct check_method m;
  for (int i = 0; i < 3; i++) {
    check_world.later = i > 0;
    check_world.play = i == 2 ? CHECK_DRIP : CHECK_HANG;
    if (begin(&b, t, &m)) {
      check_step("%s, in flight", t->label);
      for (int k = 0; k < 5; k++)
        check_call(&b, &m, CHECK_TYPICAL, k, NULL);
      if (i)
        check_turn(b.loop, 10, NULL, NULL);
      check_step("stop() while calls of %s are in flight", t->label);
      check_down(&b);
      check_step("after stop()");
      check_turn(b.loop, 30, NULL, NULL);
    }
    check_unload(&b);
  }
}

/* ---------------------------------------------------------------- what speaks about a running call */

static void about(const struct check_test *t) {
  struct check_bench b;
  struct check_method m, other;
  if (begin(&b, t, &m)) {
    check_world.play = CHECK_HANG;
    check_step("%s of an operation that never was", t->label);
    for (int v = 0; v < 8; v++)
      check_call(&b, &m, CHECK_HOSTILE, v, NULL);
    for (size_t i = 0; check_method_at(&b, i, &other); i++) {
      if (!other.method->channels)
        continue;
      struct check_op *op = check_call(&b, &other, CHECK_TYPICAL, 0, NULL);
      for (int v = 0; v < 4; v++) {
        check_step("%s of a running %s", t->label, other.label);
        check_call(&b, &m, CHECK_HOSTILE, v, op);
        check_turn(b.loop, 2, NULL, NULL);
      }
    }
    check_world.play = CHECK_GOOD;
    check_step("%s, then the ends", t->label);
    finish_all(&b, t->label);
    check_step("%s of an operation that has ended", t->label);
    for (size_t i = 0; i < b.host->ops.len; i++)
      check_call(&b, &m, CHECK_HOSTILE, (int)i, b.host->ops.items[i]);
  }
  end(&b);
}

/* ---------------------------------------------------------------- which */

static void add(struct check_tests *tests, const char *label, const char *kind, void (*fn)(const struct check_test *), const char *doc) {
  check_test_add(tests, bt_asprintf("call.%s.%s", label, kind), fn, label, 0, doc);
}

static void add_method(struct check_tests *tests, const struct bt_interface *interface, const struct bt_method *m) {
  BT_AUTO_FREE char *label = bt_asprintf("%s.%s", interface->word, m->name);
  if (m->shape == BT_SHAPE_INPUT || m->shape == BT_SHAPE_RESIZE) {
    add(tests, label, "any", about, "about running, ended and unknown operations");
    return;
  }
  add(tests, label, "typical", typical, "plausible arguments: one finish");
  if (m->shape != BT_SHAPE_PLAIN) {
    add(tests, label, "hostile", hostile, "hostile arguments: one finish, no crash");
    add(tests, label, "huge", huge, "arguments of megabytes: one finish, no stall");
  }
  if (m->shape == BT_SHAPE_ASK)
    return;
  add(tests, label, "cancel", cancel, "cancelled while nobody answers: BERTH_CANCELLED in time");
  add(tests, label, "stop", stop, "the entry stops while it is in flight");
}

void check_tests_calls(struct check_tests *tests, const json_t *manifest) {
  size_t i, k;
  json_t *interface, *name;
  json_array_foreach(json_object_get(manifest, "interfaces"), i, interface) {
    const struct bt_interface *known = bt_interface_of(bt_json_str_or(interface, "id", ""));
    if (!known)
      continue;
    json_array_foreach(json_object_get(interface, "methods"), k, name) {
      const struct bt_method *m = bt_interface_method(known, json_string_value(name));
      if (m)
        add_method(tests, known, m);
    }
    check_test_add(tests, bt_asprintf("deadline.%s", known->word), deadline, known->word, 0,
                   "all callers give up at once; late answers do no harm");
  }
}
