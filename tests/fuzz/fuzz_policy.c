/* The Lua bridge: JSON there and back must be the same; and Lua source, run as a rule over a small app, must end within its
 * limits, whatever it is. The first byte says which: 'L' is source, anything else JSON. */
#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "policy/box.h"
#include "policy/bridge.h"
#include "policy/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct bt_policy_limits limits = {.timeout_ms = 2000, .max_memory = 32 << 20};

struct trip {
  const json_t *in;
  json_t *out;
  struct bt_err *err;
};

static int add(lua_State *L) {
  bt_bridge_add(L);
  bt_rules_add(L);
  return 0;
}

static int there_and_back(lua_State *L) {
  struct trip *trip = lua_touserdata(L, 1);
  bt_bridge_push(L, trip->in);
  trip->out = bt_bridge_json(L, 2, trip->in, "it", &trip->err);
  return 0;
}

static struct bt_box *new_box(void) {
  BT_AUTO_ERR err = NULL;
  struct bt_box *box = bt_box_new("fuzz.lua", &limits);
  BT_ASSERT(bt_box_run(box, add, NULL, 0, &err) == 0);
  return box;
}

static void try_json(const char *text, size_t len) {
  BT_AUTO_JSON in = bt_json_parse(text, len, 0, 60, "input", NULL);
  if (!in)
    return;
  struct bt_box *box = new_box();
  struct trip trip = {.in = in};
  BT_AUTO_ERR err = NULL;
  int rc = bt_box_run(box, there_and_back, &trip, 0, &err);
  BT_ASSERT((rc == 0) != !trip.out || trip.err);
  if (trip.out) {
    BT_AUTO_FREE char *before = bt_json_text(in), *after = bt_json_text(trip.out);
    BT_ASSERT(bt_streq(before, after));
  }
  json_decref(trip.out);
  bt_err_free(&trip.err);
  bt_box_free(&box);
}

/* Whatever the chunk returns is brought back as JSON, or refused. */
static void try_source(const char *text, size_t len) {
  struct bt_policy_limits short_limits = {.timeout_ms = 50, .max_memory = 8 << 20};
  BT_AUTO_ERR err = NULL;
  struct bt_box *box = bt_box_new("fuzz.lua", &short_limits);
  BT_ASSERT(bt_box_run(box, add, NULL, 0, &err) == 0);
  if (bt_box_load(box, text, len, &err) == 0) {
    BT_AUTO_ERR bad = NULL;
    json_t *out = bt_bridge_json(box->L, 1, NULL, "result", &bad);
    BT_ASSERT(!out == !!bad);
    json_decref(out);
  }
  bt_box_free(&box);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 0 && data[0] == 'L')
    try_source((const char *)data + 1, size - 1);
  else
    try_json((const char *)data, size);
  return 0;
}
