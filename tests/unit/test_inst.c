/* The index of instances by id while many come and go, and words, which are kept as long as somebody has them. */
#include "config.h"

#include <stdlib.h>

#include "control/internal.h"
#include "tap.h"

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

int main(void) {
  test_index();
  test_words();
  return done_testing();
}
