/* One policy file: its source, its box, what it declares, and its turn in a check. Private to the room. */
#ifndef BT_POLICY_FILE_H
#define BT_POLICY_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "policy/box.h"
#include "policy/policy.h"

enum { bt_policy_max_text = 1024 * 1024 };

/* FILTER and SCORE are asked of nodes, by judge.c. */
enum bt_hook { BT_MUTATE_SERVICE, BT_MUTATE_APP, BT_VALIDATE_SERVICE, BT_VALIDATE_APP, BT_FILTER, BT_SCORE, BT_HOOKS };
extern const char *const bt_hook_names[BT_HOOKS + 1];

struct bt_policy_file {
  char *file, *text;        /* "require-limits.lua", its source */
  size_t len;
  char *name, *description; /* as it says; name is the file's without ".lua" by default */
  struct bt_strs operations; /* empty: all but "remove" */
  bool hooks[BT_HOOKS];
  struct bt_policy_limits limits;
  struct bt_box *box; /* NULL: to be made anew, after a failure */
  uint64_t calls, denials;
  int64_t last_us;
};

/* Reads dir/file and runs it once. -1: broken, with file:line. */
int bt_policy_file_open(const char *dir, const char *file, const struct bt_policy_limits *limits, struct bt_policy_file **out,
                        struct bt_err **err) BT_CHECK;
void bt_policy_file_free(struct bt_policy_file **file);
/* The same source under other limits, in a box of its own. */
int bt_policy_file_copy(const struct bt_policy_file *file, const struct bt_policy_limits *limits, struct bt_policy_file **out,
                        struct bt_err **err) BT_CHECK;
/* Makes its box where it has none. */
int bt_policy_file_ready(struct bt_policy_file *file, struct bt_err **err) BT_CHECK;
void bt_policy_file_push(lua_State *L); /* in its box: the table that it returned */

/* Its turn: the mutate hooks (*model is replaced where they changed it) or the validate hooks. Warnings and denials are
 * appended to the verdict; changes too. until_us: when the request's time is over, on the monotonic clock. Does nothing where it has no such hook or the operation is none of its. -1 with
 * BT_DENIED where it failed or broke a limit. */
int bt_policy_file_turn(struct bt_policy_file *file, bool mutate, const json_t *context, int64_t until_us,
                        struct bt_verdict *verdict, struct bt_err **err) BT_CHECK;
int64_t bt_policy_until(const struct bt_policy_limits *limits); /* for a request that begins now */

/* Reads dir/file (a test) and runs it: what it returns, as JSON. */
int bt_policy_table_read(const char *dir, const char *file, const struct bt_policy_limits *limits, json_t **out,
                         struct bt_err **err) BT_CHECK;

#endif
