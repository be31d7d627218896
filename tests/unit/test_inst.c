/* The index of instances by id while many come and go; words, which are kept as long as somebody has them; and the texts of an instance: what
 * readers get is what the library would write, and what is stored is read again, however it is written. */
#include "config.h"

#include <stdlib.h>

#include "control/internal.h"
#include "control_kit.h"

#define MANY 5000

static struct ctl_inst *inst_of(int n) {
  BT_AUTO_FREE char *id = bt_asprintf("web-%d", n);
  struct ctl_inst *inst = bt_calloc(1, sizeof *inst + strlen(id) + 1);
  memcpy(inst->id, id, strlen(id) + 1);
  return inst;
}

static int missing(const struct bt_control *c, struct ctl_inst *const *all, int each) {
  int wrong = 0;
  for (int i = 0; i < MANY; i++) {
    BT_AUTO_FREE char *id = bt_asprintf("web-%d", i);
    wrong += ctl_inst_find(c, id) != (i % each ? NULL : all[i]);
  }
  return wrong;
}

static void test_index(void) {
  struct bt_control c = {0};
  struct ctl_inst *all[MANY];
  ok(!ctl_inst_find(&c, "web-1") && !ctl_inst_find(&c, NULL), "an empty index has nothing");
  for (int i = 0; i < MANY; i++)
    ctl_index_add(&c.instances, all[i] = inst_of(i));
  is_int(missing(&c, all, 1), 0, "all are found");
  for (int i = 0; i < MANY; i++)
    if (i % 3)
      ctl_index_drop(&c.instances, all[i]);
  is_int(missing(&c, all, 3), 0, "those that are left are found, the others are not");
  is_int(ctl_inst_count(&c), (MANY + 2) / 3, "and counted");
  ctl_index_drop(&c.instances, all[1]);
  is_int(ctl_inst_count(&c), (MANY + 2) / 3, "who is not there cannot go");
  for (int i = 0; i < MANY; i++)
    free(all[i]);
  ctl_index_free(&c.instances);
}

static void test_words(void) {
  struct bt_control c = {.words = bt_map_new(free)};
  const char *a = NULL, *b = NULL;
  ctl_word_set(&c, &a, "no node has room");
  BT_AUTO_FREE char *same = bt_strdup("no node has room");
  ctl_word_set(&c, &b, same);
  ok(a == b, "one text is kept once");
  ctl_word_set(&c, &a, b);
  ctl_word_set(&c, &a, NULL);
  is_str(b, "no node has room", "it stays while somebody has it");
  ctl_word_set(&c, &b, "its service was scaled down");
  is_int(bt_map_len(c.words), 1, "nobody has the first one any more");
  ctl_word_set(&c, &b, NULL);
  is_int(bt_map_len(c.words), 0, "nor the second");
  bt_map_free(&c.words);
}

/* ---- texts ---- */

static struct kit k;

static struct ctl_inst *one(void) {
  struct ctl_insts it = ctl_insts(k.c);
  return ctl_insts_next(&it) ? it.inst : NULL;
}

static void deploy(void) {
  kit_start(&k);
  kit_hello(&k);
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{'web':{'image':'box:1'}}}}", false);
  kit_resolve(&k, "aa");
}

/* The library reads it, and writes the same. */
static void is_library_text(char *text_steal, const char *what) {
  BT_AUTO_FREE char *text = text_steal;
  BT_AUTO_JSON o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  BT_AUTO_FREE char *again = o ? bt_json_text(o) : bt_strdup("not JSON");
  is_str(text, again, what);
}

/* A new control that has read what is stored says the same to readers. */
static void survives(const char *what) {
  BT_AUTO_FREE char *before = ctl_inst_text(one());
  kit_reload(&k);
  BT_AUTO_FREE char *after = one() ? ctl_inst_text(one()) : bt_strdup("nothing");
  is_str(after, before, what);
}

static void test_texts(void) {
  deploy();
  is_library_text(ctl_inst_text(one()), "an assigned instance");
  is_library_text(ctl_inst_stored(one()), "the same as it is stored");
  BT_AUTO_FREE char *stored = ctl_inst_stored(one());
  ok(!strstr(stored, "null") && !strstr(stored, "false") && !strstr(stored, ":0") && !strstr(stored, "box:1"), "what is nothing is not stored");
  survives("an assigned instance is read again");
  kit_hello(&k);
  kit_node(&k, "{'type':'report','instance':'INST','state':'running'}"); /* of nobody */
  struct ctl_inst *inst = one();
  BT_AUTO_FREE char *m = bt_asprintf("{'type':'report','instance':'%s','state':'exited','ready':false,'health':'unhealthy','container_id':'c1','image_id':'sha256:i','ip':'10.0.0.2',"
                                     "'error':'it said: \\u00e4\\u0001 \\\\ \\t','exit_code':-3,'oom':true,'lasting':true,'restarts':4,'failures':2,'started_ms':1700000000123,'finished_ms':1699999999005,"
                                     "'next_start_ms':1700000009999,'ports':[{'target':80,'published':8080}]}",
                                     inst->id);
  kit_node(&k, m);
  is_str(ctl_seen(inst)->error, "it said: \u00e4\x01 \\ \t", "what is to be quoted is there");
  is_library_text(ctl_inst_text(one()), "an instance with all that a node says");
  is_library_text(ctl_inst_stored(one()), "the same as it is stored");
  survives("an instance with quotes and ports is read again");
  kit_end(&k);
}

/* As builds wrote it that stored all that there is, with what they did not know left out. */
static void test_old_row(void) {
  deploy();
  struct ctl_inst *inst = one();
  BT_AUTO_FREE char *hash = bt_strdup(inst->spec->hash), *key = bt_asprintf("instance default/%s", inst->id);
  bt_map_set(k.store, key, bt_asprintf("{\"instance\": \"%s\", \"namespace\": \"default\", \"app\": \"shop\", \"service\": \"web\", \"slot\": 1, \"revision\": 1, \"node\": \"n1\", "
                                       "\"state\": \"running\", \"health\": \"healthy\", \"ready\": true, \"image\": \"box:1\", \"digest\": null, \"hash\": \"%s\", \"ports\": [], "
                                       "\"error\": null, \"restarts\": 7, \"created_at\": \"2023-11-14T22:13:20.000Z\", \"ready_at\": null, \"x\": {\"later\": [1]}}",
                                       inst->id, hash));
  kit_reload(&k);
  inst = one();
  ok(inst && inst->ready && inst->health == 2 && inst->state == BT_ST_RUNNING && inst->node, "an old row is read");
  is_int(ctl_seen(inst)->restarts, 7, "with its numbers");
  is_int(inst->created_ms, 1700000000000, "and its times");
  BT_AUTO_ERR err = NULL;
  ok(bt_control_load(k.c, "instance", "default/x", "{\"instance\":\"x\",", 16, &err) < 0, "what is no JSON is refused");
  ok(bt_control_load(k.c, "instance", "default/x", "{\"instance\":\"x\"}", 17, NULL) < 0, "so is what was cut off");
  kit_end(&k);
}

/* Of more than one step has room for, each step's are stored with their places, once. */
static void test_room(void) {
  kit_start(&k);
  kit_hello(&k);
  kit_request(&k, "app.apply", "{'app':'shop','model':{'name':'shop','services':{'web':{'image':'box:1','deploy':{'replicas':30}}}}}", false);
  BT_AUTO_JSON pin = kit_json("{\"pinned\":\"box:1@sha256:aa\",\"digest\":\"sha256:aa\",\"source\":\"registry\"}");
  kit_step(&k, (struct bt_input){.kind = BT_IN_CALL_DONE, .call = k.fx.calls.items[0].id, .code = BT_OK, .result = pin, .room = 12});
  size_t stored = 0, placed = 0;
  for (size_t i = 0; i < k.fx.batch.len; i++) {
    stored += strcmp(k.fx.batch.items[i].kind, "instance") == 0;
    placed += strcmp(k.fx.batch.items[i].kind, "instance") == 0 && strstr(k.fx.batch.items[i].value, "\"node\":\"n1\"");
  }
  is_int(stored, 12, "a step makes as many as it has room for");
  is_int(placed, 12, "and each has its place at once");
  is_int(k.fx.wake_ms, k.now, "the next step is due at once");
  kit_tick(&k, 1);
  is_int(ctl_inst_count(k.c), 30, "it makes the rest");
  kit_end(&k);
}

int main(void) {
  test_room();
  test_texts();
  test_old_row();
  test_index();
  test_words();
  return done_testing();
}
