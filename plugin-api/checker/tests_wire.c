/* What only a process can break: the wire itself, the end of its input, pings. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "bench.h"
#include "plugin/remote.h"
#include "report.h"
#include "request.h"
#include "tests.h"
#include "wire.h"

static int patience_ms(void) { return check_plan.seconds * 250; }

static bool over(void *arg) { return check_ops_over(arg); }

static bool begin(struct check_bench *b) {
  check_step("start()");
  return check_load(b) && check_up(b);
}

static void end(struct check_bench *b) {
  check_step("stop()");
  check_unload(b);
}

static void hello(const struct check_test *t) {
  (void)t;
  check_step("the first message of its process");
  json_decref(check_wire_hello());
}

/* A method that takes nothing, or the first one. */
static bool harmless(struct check_bench *b, struct check_method *out) {
  for (size_t i = 0; check_method_at(b, i, out); i++)
    if (strcmp(out->method->name, "probe") == 0 || strcmp(out->method->name, "info") == 0)
      return true;
  return check_method_at(b, 0, out) && out->method->shape <= BT_SHAPE_TEXT;
}

static json_t *call_message(const struct check_method *m, const struct check_op *op) {
  json_t *head = bt_remote_message("call", 0);
  json_object_set_new(head, "op", json_integer((json_int_t)op->id));
  bt_json_set_str(head, "interface", m->interface->id);
  bt_json_set_str(head, "method", m->method->name);
  bt_json_set(head, "args", json_object());
  return head;
}

static void finishes(struct check_bench *b, const char *what) {
  if (!check_turn(b->loop, patience_ms(), over, b->host))
    check_fail("a call that came %s was not finished within %d ms", what, patience_ms());
}

/* Messages come as the socket cuts them: many in one read, one in many. */
static void pieces(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  struct check_method m;
  if (begin(&b)) {
    if (!harmless(&b, &m)) {
      check_skip("it has no method that could be called without harm");
    } else {
      check_step("%s, a byte at a time", m.label);
      struct check_op *op = check_op_new(b.host, bt_strdup(m.label), m.method);
      check_wire_send(b.host, call_message(&m, op), NULL, 0, true);
      finishes(&b, "a byte at a time");
      check_step("%s, many at once", m.label);
      for (int i = 0; i < 20; i++)
        check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
      finishes(&b, "among many at once");
    }
  }
  end(&b);
}

/* Types and members of a newer server. */
static void unknown(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  struct check_method m;
  if (begin(&b)) {
    check_step("a message of a type that it cannot know");
    json_t *head = bt_remote_message("berth.check", 4711);
    bt_json_set(head, "data", json_pack("[i,{s:n}]", 1, "a"));
    check_wire_send(b.host, head, "bytes", 5, false);
    check_wire_settle(b.host);
    if (harmless(&b, &m)) {
      check_step("%s, with a member that it cannot know", m.label);
      struct check_op *op = check_op_new(b.host, bt_strdup(m.label), m.method);
      head = call_message(&m, op);
      bt_json_set(head, "berth_check", json_pack("{s:[]}", "a"));
      check_wire_send(b.host, head, NULL, 0, false);
      finishes(&b, "with a member that it cannot know");
    }
    check_step("an answer to what it never asked");
    head = bt_remote_message("reply", 1 << 30);
    bt_json_set_str(head, "code", "ok");
    check_wire_send(b.host, head, NULL, 0, false);
    check_wire_settle(b.host);
  }
  end(&b);
}

/* While calls wait for what never comes it answers pings all the same. */
static void ping(const struct check_test *t) {
  (void)t;
  struct check_bench b;
  struct check_method m;
  if (begin(&b)) {
    check_world.play = CHECK_HANG;
    for (size_t i = 0; check_method_at(&b, i, &m); i++)
      if (m.method->shape <= BT_SHAPE_TEXT)
        check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
    check_step("pings while calls wait");
    check_turn(b.loop, 1000, NULL, NULL);
    check_wire_settle(b.host);
    check_world.play = CHECK_GOOD;
  }
  end(&b);
}

/* The server is gone: so is the plug-in, by itself. */
static void input_ends(const struct check_test *t) {
  (void)t;
  enum { end_ms = 2000 };
  struct check_bench b;
  if (begin(&b)) {
    check_step("the end of its input");
    if (!check_wire_hang_up(b.host, end_ms))
      check_fail("its input has ended, the server is gone, and it lives on %d ms later: exit at the end of standard input", end_ms);
  }
}

void check_tests_wire(struct check_tests *tests, bool sound) {
#define ADD(name, fn, doc) check_test_add(tests, bt_strdup(name), fn, NULL, 0, doc)
  ADD("wire.hello", hello, "its first message is a hello, within 10 s");
  if (!sound)
    return;
  ADD("wire.pieces", pieces, "messages that come in pieces, and many at once");
  ADD("wire.unknown", unknown, "types and members that it does not know are left alone");
  ADD("wire.ping", ping, "pings are answered while calls wait");
  ADD("wire.end", input_ends, "it exits where its input ends");
#undef ADD
}
