/* A service's own Lua in x-berth.autoscale: what it sees, what it may return, how it is stopped. */
#include "policy/scale_rule.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static json_t *seen;

static int ask(const char *text, double *out, struct bt_err **err) {
  static const struct bt_policy_limits limits = {.timeout_ms = 50, .max_memory = 8 << 20};
  return bt_scale_rule("lua of a/web", text, seen, &limits, out, err);
}

static void says(const char *text, double want, const char *what) {
  BT_AUTO_ERR err = NULL;
  double n = -1;
  int rc = ask(text, &n, &err);
  if (!ok(rc == 0 && (n == want || (isnan(n) && isnan(want))), "%s", what))
    printf("# %s: %g\n", rc < 0 ? bt_err_message(err) : "", n);
}

static void fails(const char *text, const char *words, const char *what) {
  BT_AUTO_ERR err = NULL;
  double n = -1;
  int rc = ask(text, &n, &err);
  if (!ok(rc < 0 && bt_err_code(err) == BT_DENIED && strstr(bt_err_message(err), words), "%s", what))
    printf("# %s: %g\n", rc < 0 ? bt_err_message(err) : "it was taken", n);
}

int main(void) {
  seen = json_loads("{\"current\":4,\"ready\":3,\"min\":1,\"max\":9,\"cpu\":0.5,\"metrics\":{\"waiting\":120}}", 0, NULL);
  says("return function(seen) return seen.current + 1 end", 5, "it sees how many there are");
  says("return function(seen) return math.ceil(seen.metrics.waiting / 50) end", 3, "and the values of queries");
  says("return function(seen) return seen.metrics.other end", (double)NAN, "one that has none is nil, which is no opinion");
  says("return function(seen) return seen.memory and 9 or 2.5 end", 2.5, "so is a use that is not known");
  says("local function f(s) return s.max end return f", 9, "whatever returns a function");
  says("return function() return 1e300 end", 1e300, "a large number is a number");
  fails("return 5", "returns a number; it has to return a function", "no function");
  fails("return function() return 'five' end", "it returned a string", "no number");
  fails("return function() return 0/0 end", "what is no number", "not a number");
  fails("return function() return true end", "it returned a boolean", "a boolean");
  fails("return function(seen) return seen.curent end", "curent", "a name that it has not");
  fails("return function(seen) seen.current = 9 return 1 end", "only looks", "it changes nothing");
  fails("return function(seen)\nerror('mine') end", "lua of a/web:2: mine", "its own error, with its line");
  fails("return function(", "lua of a/web:1:", "no Lua");
  fails("return function() return os.time() end", "os", "no way out");
  int64_t begun = bt_clock_mono_ms();
  fails("return function() while true do end end", "more than 50 ms", "it is stopped");
  ok(bt_clock_mono_ms() - begun < 2000, "in time");
  fails("while true do end", "more than 50 ms", "before it is one, too");
  fails("return function() local t = {} for i = 1, 1e9 do t[i] = 'x' .. i end end", "more than", "nor may it take all memory");
  json_decref(seen);
  return done_testing();
}
