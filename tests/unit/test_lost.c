/* Nodes that are given up: plan/lost. */
#include "config.h"

#include <stdio.h>

#include "base/mem.h"
#include "plan/lost.h"
#include "tap.h"

#define MOST 128
struct world {
  struct bt_lost_node nodes[MOST];
  char names[MOST][8];
  size_t n;
  struct bt_lost_pace pace;
  int64_t now, wake;
};

static void add(struct world *w, const char *zone, size_t n, size_t down) {
  for (size_t i = 0; i < n; i++, w->n++) {
    snprintf(w->names[w->n], sizeof w->names[0], "n%zu", w->n);
    w->nodes[w->n] = (struct bt_lost_node){.name = w->names[w->n], .zone = zone, .up = i >= down, .down_ms = w->now};
  }
}

static size_t step(struct world *w) {
  size_t now = 0;
  w->wake = bt_lost_step(&(struct bt_lost_in){.after_ms = 60000, .every_ms = 10000, .now_ms = w->now}, w->nodes, w->n, &w->pace);
  for (size_t i = 0; i < w->n; i++)
    if (w->nodes[i].verdict == BT_LOST_NOW) {
      w->nodes[i].given_ms = w->now;
      now++;
    }
  return now;
}

/* How many are given up within so many seconds, one look each. */
static size_t in_seconds(struct world *w, int seconds) {
  size_t n = 0;
  for (int i = 0; i < seconds; i++, w->now += 1000)
    n += step(w);
  return n;
}

static void is_lost(struct world *w, int seconds, size_t want, const char *name) {
  is_int((long long)in_seconds(w, seconds), (long long)want, name);
  bt_lost_pace_free(&w->pace);
}

static struct world at(void) { return (struct world){.now = 1000000}; }

int main(void) {
  struct world w = at();
  add(&w, "", 5, 1);
  ok(step(&w) == 0 && w.nodes[0].verdict == BT_LOST_GRACE && w.wake == w.now + 60000, "one of five: not yet");
  w.now += 59999;
  is_int((long long)step(&w), 0, "nor just before its time");
  w.now++;
  ok(step(&w) == 1 && w.nodes[0].verdict == BT_LOST_NOW && w.wake == INT64_MAX, "but then");
  is_lost(&w, 100, 0, "and once");
  w = at();
  add(&w, "", 10, 5);
  w.now += 60000;
  is_int((long long)step(&w), 1, "five of ten: the first one");
  ok(w.nodes[1].verdict == BT_LOST_TURN && w.wake == w.now + 10000, "the others when it is their turn");
  is_lost(&w, 41, 4, "one in ten seconds");
  w = at();
  add(&w, "", 10, 6);
  w.now += 60000;
  ok(step(&w) == 0 && w.nodes[0].verdict == BT_LOST_HELD, "six of ten are gone: none is given up");
  w.nodes[0].up = true;
  is_int((long long)step(&w), 1, "one comes back: the others are");
  bt_lost_pace_free(&w.pace);
  w = at();
  add(&w, "", 3, 2);
  w.now += 60000;
  is_lost(&w, 20, 2, "two of three: too few to say something of the network");
  w = at();
  add(&w, "", 1, 1);
  is_lost(&w, 1000, 0, "the only one is never given up");
  w = at();
  add(&w, "", 100, 60);
  w.now += 60000;
  is_lost(&w, 1000, 10, "60 of 100: a tenth as fast");
  w = at();
  add(&w, "a", 10, 10);
  add(&w, "b", 10, 0);
  add(&w, "c", 10, 0);
  w.now += 60000;
  is_lost(&w, 100, 10, "a zone that is gone whole, while others are well");
  w = at();
  add(&w, "a", 10, 10);
  add(&w, "b", 10, 10);
  add(&w, "c", 10, 0);
  w.now += 60000;
  is_lost(&w, 1000, 0, "two of three zones: too many of all");
  w = at();
  add(&w, "a", 10, 7);
  add(&w, "b", 30, 1);
  w.now += 60000;
  is_lost(&w, 1000, 1, "most of one zone: none there, but elsewhere");
  w = at();
  add(&w, "", 10, 3);
  w.now += 60000;
  is_int((long long)in_seconds(&w, 30), 3, "three of ten");
  for (size_t i = 3; i < 6; i++)
    w.nodes[i] = (struct bt_lost_node){.name = w.names[i], .zone = "", .down_ms = w.now};
  w.now += 60000;
  is_int((long long)step(&w), 0, "three more: six are gone now");
  w.now += 3600000;
  is_lost(&w, 30, 3, "an hour later the first three are the past");
  return done_testing();
}
