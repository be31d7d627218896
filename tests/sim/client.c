#include "config.h"

#include "sim.h"

static const char *pick(struct sim *s, const char *const *words, size_t n) { return words[sim_rand(s, n)]; }

static json_t *scale_args(struct sim *s) {
  static const char *const names[] = {"db", "api", "web"};
  json_t *services = json_object(), *args = json_object();
  bt_json_set_int(services, pick(s, names, 3), (long long)sim_rand(s, 6));
  bt_json_set(args, "services", services);
  return args;
}

static void instance_restart(struct sim *s) {
  if (!s->c)
    return;
  size_t n = ctl_inst_count(s->c), skip = n ? sim_rand(s, n) : 0;
  for (struct ctl_insts it = ctl_insts(s->c); ctl_insts_next(&it);)
    if (skip-- == 0) {
      json_t *args = json_object();
      bt_json_set_str(args, "instance", it.inst->id);
      bt_json_set_str(args, "namespace", it.inst->service->app->ns);
      sim_request(s, "instance.restart", args);
      return;
    }
}

static void apply(struct sim *s, const char *app) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  bt_json_set(args, "model", sim_model(s, app, sim_chance(s, 50)));
  bt_json_set_bool(args, "recreate", sim_chance(s, 10));
  (sim_chance(s, 8) ? sim_request_dry : sim_request)(s, "app.apply", args);
}

static void scale(struct sim *s, const char *app) {
  json_t *args = scale_args(s);
  bt_json_set_str(args, "app", app);
  sim_request(s, "app.scale", args);
}

static void restart(struct sim *s, const char *app) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  (sim_chance(s, 15) ? sim_request_dry : sim_request)(s, "app.restart", args);
}

static void rollback(struct sim *s, const char *app) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  sim_request(s, "app.rollback", args);
}

static void remove_app(struct sim *s, const char *app) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  bt_json_set_bool(args, "volumes", sim_chance(s, 50));
  sim_request(s, "app.remove", args);
}

static void one_restart(struct sim *s, const char *app) {
  (void)app;
  instance_restart(s);
}

static void cordon(struct sim *s, const char *app) {
  json_t *args = json_object();
  (void)app;
  bt_json_set_str(args, "node", s->nodes[sim_rand(s, s->nnodes)].name);
  if (sim_chance(s, 30)) {
    sim_request(s, "node.drain", args);
    return;
  }
  bt_json_set_bool(args, "cordoned", sim_chance(s, 50));
  sim_request(s, "node.cordon", args);
}

static void run_job(struct sim *s, const char *app) {
  json_t *args = json_object();
  bt_json_set_str(args, "app", app);
  bt_json_set_str(args, "service", "job");
  sim_request(s, "job.run", args);
}

static void keep(struct sim *s, const char *app) {
  if (!s->executor)
    return; /* nobody hears it, and its number is the next one's */
  json_t *args = json_object();
  BT_AUTO_FREE char *key = bt_asprintf("%s-%d", app, (int)sim_rand(s, 5));
  bt_json_set_str(args, "plugin", "sim");
  bt_json_set_str(args, "key", key);
  if (sim_chance(s, 70))
    bt_json_set_str(args, "value", sim_chance(s, 50) ? "b25l" : "dHdv");
  else
    bt_json_set(args, "value", json_null());
  BT_AUTO_FREE char *value = bt_strdup(bt_json_str_or(args, "value", ""));
  bt_map_set(s->kept, key, bt_asprintf("?%llu %s", (unsigned long long)s->requests + 1, value));
  sim_request(s, "kv.put", args);
}

/* The answer to one of them makes it certain, unless it was followed by another. */
static void kept_for_sure(struct sim *s, uint64_t request) {
  BT_AUTO_FREE char *begin = bt_asprintf("?%llu ", (unsigned long long)request);
  for (struct bt_map_iter it = bt_map_iter(s->kept); bt_map_next(&it);)
    if (bt_starts(it.value, begin)) {
      char *value = bt_strdup((const char *)it.value + strlen(begin));
      bt_map_set(s->kept, it.key, value);
      return;
    }
}

static bool keep_one(void *arg, const char *key, const char *value) {
  bt_map_set(arg, key, bt_strdup(value));
  return true;
}

void sim_kept(struct sim *s) {
  BT_AUTO_MAP have = bt_map_new(free);
  bt_control_kv_scan(s->c, "sim", "", keep_one, have);
  for (struct bt_map_iter it = bt_map_iter(s->kept); bt_map_next(&it);) {
    const char *value = bt_map_get(have, it.key);
    if (*(const char *)it.value != '?' && !bt_streq(value ? value : "", it.value))
      sim_bad(s, "a plug-in was told that %s is \"%s\", and it is \"%s\"", it.key, (const char *)it.value, value ? value : "");
  }
}

void sim_client(struct sim *s) {
  static const struct {
    unsigned weight;
    void (*fn)(struct sim *s, const char *app);
  } works[] = {{48, apply}, {14, scale}, {10, restart}, {7, rollback}, {6, one_restart}, {6, remove_app}, {3, cordon}, {3, run_job}, {3, keep}};
  const char *app = pick(s, sim_apps, 3);
  if (sim_limits_ask(s, app) || sim_wishes(s, app))
    return;
  unsigned dice = (unsigned)sim_rand(s, 100);
  for (size_t i = 0; i < BT_COUNT(works); i++) {
    if (dice < works[i].weight) {
      works[i].fn(s, app);
      return;
    }
    dice -= works[i].weight;
  }
}

void sim_reply(struct sim *s, uint64_t request, enum bt_code code, const char *message, const json_t *result) {
  const char *app = bt_json_str(result, "app");
  long long revision = bt_json_int(result, "revision", 0);
  int code_number = code;
  s->answered++;
  sim_trace(s, &code_number, sizeof code_number);
  sim_say(s, "REPLY %llu %s %s", (unsigned long long)request, bt_code_name(code), message ? message : "");
  if (code == BT_INTERNAL)
    sim_bad(s, "a request met an internal error: %s", message);
  if (code == BT_OK)
    kept_for_sure(s, request);
  if (code != BT_OK || !app || !revision)
    return;
  const struct ctl_app *known = ctl_app_find(bt_executor_control(s->executor), sim_ns(s, app), app);
  /* A later removal may be under way already. */
  if (known && known->state != CTL_APP_REMOVING)
    bt_map_set(s->acked, app, bt_asprintf("%lld", revision));
}
