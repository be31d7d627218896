/* Lua policies: a folder of *.lua files that may refuse, warn about or change what is about to be written. Lua 5.4 in a sandbox (no
 * io, os, debug, load, require of files; text chunks only), 32 MiB a policy and 100 ms a request: over either the call is stopped
 * and the request refused (fail closed). Any thread may use a bt_policy: one works with it at a time, the others wait, but for its
 * list. A reload makes a new set aside and swaps it in whole: a file that does not compile keeps the last good set in force, and
 * says so.
 *
 * What a policy file looks like: see config/docs/policies.md . What a rule cannot do, and why, is in box.h.
 *
 * Cost, measured on one core of a small virtual machine, with an app of 5 services of some 40 values each: 70 to 90 µs for a policy
 * that validates (a third of it for bringing the model into Lua), 250 µs for one that mutates (there and back, and the diff),
 * 0.55 ms for the four policies that ship with Berth. A file keeps some 30 KB. */
#ifndef BT_POLICY_POLICY_H
#define BT_POLICY_POLICY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

struct bt_policy;

struct bt_policy_limits {
  int timeout_ms;     /* 0: 100 */
  size_t max_memory;  /* 0: 32 MiB */
  int instructions;   /* of a run; in place of time; 0: by time */
};

/* Loads dir/?*.lua in order of names (absent folder: no policies). *out even when files are broken on the first load: then
 * every check is refused until they are mended, naming file:line. */
int bt_policy_load(const char *dir, const struct bt_policy_limits *limits, struct bt_policy **out, struct bt_err **err) BT_CHECK;
void bt_policy_free(struct bt_policy **policy);
/* Another folder, other limits: in force from the next refresh on (the time limit at once). Waits for a check that is going on. */
void bt_policy_configure(struct bt_policy *policy, const char *dir, const struct bt_policy_limits *limits);
/* Re-reads the folder where something in it changed (names, sizes, times). 1: reloaded; 0: nothing changed; -1: broken: the
 * old set stays in force, the sentence is also in bt_policy_list. What came of a change is logged. */
int bt_policy_refresh(struct bt_policy *policy, struct bt_err **err);

struct bt_verdict {
  json_t *model;            /* the model after mutations; new reference */
  bool changed;             /* a mutate changed something */
  struct bt_strs warnings;  /* "file.lua: sentence" */
  struct bt_strs denials;   /* "file.lua: rule: sentence"; empty: allowed */
  json_t *changes;          /* [{"policy","path","from","to"}] what mutate changed, for --dry-run and audit */
};
/* Asks every policy about an app: mutate (in order; each service, then the app), then validate. model: canonical Compose
 * model. context: {"namespace","app","user","operation": "create"|"update"|"scale"|"rollback"|"remove","current": model or null, "time"}.
 * 0 with a verdict (also when denied), -1 with BT_DENIED where a policy broke a limit or failed. */
int bt_policy_check(struct bt_policy *policy, const json_t *model, const json_t *context, struct bt_verdict *out,
                    struct bt_err **err) BT_CHECK;
void bt_verdict_free(struct bt_verdict *verdict);

/* [{"name","file","status":"ok"|"broken","error","hooks":["validate_service",…],"calls","denials","last_ms"}]
 * as it was after the last load, refresh or check. Any thread, also while another one checks. */
json_t *bt_policy_list(struct bt_policy *policy);
/* Runs the tests of the folder that is in force, under its limits; any thread. */
int bt_policy_test_own(struct bt_policy *policy, json_t **results, struct bt_err **err) BT_CHECK;
/* Runs the table-driven tests beside the policies (dir/?*_test.lua): TAP-like results [{"file","name","ok","message"}]. */
int bt_policy_test(const char *dir, const struct bt_policy_limits *limits, json_t **results, struct bt_err **err) BT_CHECK;

#endif
