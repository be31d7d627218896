#include "config.h"
#include "bench.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "base/json.h"
#include "plugin/fields.h"
#include "plugin/loader.h"
#include "report.h"
#include "scratch.h"
#include "wire.h"

static const char secret_value[] = "berth-check-secret";

struct check_plan check_plan;

/* ---------------------------------------------------------------- load */

static const struct berth_plugin *map(void) {
  check_step("dlopen");
  void *handle = dlopen(check_plan.path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    check_fail("it cannot be loaded: %s (a plug-in in another language is named with --command)", dlerror());
    return NULL;
  }
  const struct berth_plugin *plugin = dlsym(handle, BERTH_PLUGIN_SYMBOL_NAME);
  if (!plugin)
    check_fail("it exports no %s: another ABI, or the symbol is hidden (BERTH_EXPORT)", BERTH_PLUGIN_SYMBOL_NAME);
  else
    check_alloc_own(plugin);
  return plugin;
}

const struct berth_plugin *check_map(void) { return check_wire() ? check_wire_plugin() : map(); }

static bool has(const char *name, const char *part) { return strstr(name, part) != NULL; }

/* Where a plug-in may write: a name in the checker's own folder. */
static const char *in_scratch(void) {
  static char path[PATH_MAX];
  snprintf(path, sizeof path, "%.*s/berth-check", (int)sizeof path - 16, check_scratch());
  return path;
}

static const char *guess(const char *name) {
  if (has(name, "url") || has(name, "endpoint"))
    return "https://127.0.0.1:9/berth-check";
  if (has(name, "path"))
    return "/berth-check";
  if (has(name, "dir") || has(name, "file") || has(name, "socket"))
    return in_scratch();
  if (has(name, "port"))
    return "9";
  return has(name, "host") || has(name, "addr") || has(name, "listen") || has(name, "server") ? "127.0.0.1:9" : "berth-check";
}

json_t *check_value_for(const struct berth_field *f) {
  char text[40];
  switch (f->type) {
  case BERTH_STRING:
    return json_string(f->secret && !has(f->name, "url") ? secret_value : guess(f->name));
  case BERTH_INT:
    return json_integer(f->min);
  case BERTH_BOOL:
    return json_true();
  case BERTH_DURATION:
    snprintf(text, sizeof text, "%lldms", (long long)(f->min > 0 ? f->min : f->max ? f->min : 1000));
    return json_string(text);
  case BERTH_SIZE:
    return json_integer(f->min > 0 || f->max ? f->min : 1 << 20);
  case BERTH_LIST: {
    json_t *list = json_array();
    for (int64_t i = 0; i < BT_MAX(f->min, 1) && i < 100; i++)
      json_array_append_new(list, json_string(guess(f->name)));
    return list;
  }
  case BERTH_MAP:
  case BERTH_JSON:
    break;
  }
  return json_object();
}

/* The good configuration as an operator writes it. */
static json_t *raw_config(const struct berth_field *fields) {
  if (check_plan.config)
    return json_deep_copy(check_plan.config);
  json_t *config = json_object();
  for (const struct berth_field *f = fields; f && f->name; f++)
    if (f->required && !f->fallback)
      bt_json_set(config, f->name, check_value_for(f));
  return config;
}

/* Texts of secret fields must never be shown; short ones would be found anywhere. */
static void note_secrets(const json_t *value) {
  size_t i;
  json_t *item;
  const char *key;
  if (json_is_string(value) && json_string_length(value) >= 8 && !bt_strs_has(&check_world.secrets, json_string_value(value)))
    bt_strs_add(&check_world.secrets, json_string_value(value));
  json_array_foreach(value, i, item) note_secrets(item);
  if (json_is_array(value))
    return;
  json_object_foreach((json_t *)(uintptr_t)value, key, item) if (json_is_object(item) || has(key, "password") || has(key, "token"))
      note_secrets(item);
}

/* What {"secret": NAME} stands for. */
static struct bt_map *secret_values(const struct berth_field *fields, const json_t *config) {
  BT_AUTO_STRS names = {0};
  struct bt_map *values = bt_map_new(free);
  bt_plugin_config_secrets(fields, config, &names);
  for (size_t i = 0; i < names.len; i++)
    bt_map_set(values, names.items[i], bt_strdup(secret_value));
  return values;
}

static bool make_config(struct check_bench *b) {
  const struct berth_field *fields = b->manifest->m.config;
  BT_AUTO_JSON raw = raw_config(fields);
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_ERR err = NULL;
  if (bt_plugin_config_check(fields, raw, NULL, &diags, &b->config) != 0) {
    int rc = bt_diags_err(&diags, &err);
    check_fail("the configuration is not good: %s (give one with --config)", rc ? bt_err_message(err) : "?");
    return false;
  }
  BT_AUTO_MAP values = secret_values(fields, b->config);
  if (bt_plugin_config_resolve(fields, b->config, values, &err) != 0) {
    check_fail("the configuration is not good: %s", bt_err_message(err));
    return false;
  }
  for (const struct berth_field *f = fields; f && f->name; f++)
    if (f->secret)
      note_secrets(json_object_get(b->config, f->name));
  b->text = bt_json_text(b->config);
  return true;
}

bool check_load(struct check_bench *b) {
  *b = (struct check_bench){.plugin = check_map()};
  if (!b->plugin)
    return false;
  BT_AUTO_ERR err = NULL;
  b->manifest = check_wire() ? check_wire_manifest(&err) : bt_loader_check(b->plugin, check_plan.path, &err);
  if (!b->manifest) {
    check_fail("%s", bt_err_message(err));
    return false;
  }
  b->loop = bt_loop_new();
  check_world.kv = check_world.kv ? check_world.kv : bt_map_new(free);
  check_world.script = check_plan.script;
  return make_config(b);
}

bool check_up(struct check_bench *b) {
  const char *why = NULL;
  b->host = check_host_new(b->loop, b->plugin);
  enum berth_code code = check_host_start(b->host, b->text, &why);
  if (code != BERTH_OK)
    check_fail("start() refused a configuration that should be good (code %d): %s (give another with --config)", (int)code, why);
  return code == BERTH_OK;
}

void check_down(struct check_bench *b) {
  if (b->host)
    check_host_stop(b->host);
  b->host = NULL;
}

void check_unload(struct check_bench *b) {
  check_down(b);
  bt_loop_free(&b->loop);
  json_decref(b->config);
  free(b->text);
  bt_manifest_free(&b->manifest);
  *b = (struct check_bench){0};
}

/* ---------------------------------------------------------------- methods */

bool check_method_at(const struct check_bench *b, size_t i, struct check_method *out) {
  for (const struct berth_interface *it = b->manifest->m.interfaces; it && it->id; it++) {
    const struct bt_interface *known = bt_interface_of(it->id);
    for (const struct bt_method *m = known ? known->methods : NULL; m && m->name; m++)
      if (bt_method_in(m, it->methods) && i-- == 0) {
        *out = (struct check_method){.interface = known, .method = m, .table = it->methods};
        snprintf(out->label, sizeof out->label, "%s.%s", known->word, m->name);
        return true;
      }
  }
  return false;
}

bool check_method_named(const struct check_bench *b, const char *label, struct check_method *out) {
  for (size_t i = 0; check_method_at(b, i, out); i++)
    if (strcmp(out->label, label) == 0)
      return true;
  return false;
}

/* ---------------------------------------------------------------- this process */

static int entries(const char *path) {
  int n = 0;
  DIR *dir = opendir(path);
  if (!dir)
    return errno == EMFILE ? 1 << 20 : 0; /* so many that not even this one can be opened */
  while (readdir(dir))
    n++;
  closedir(dir);
  return n;
}

struct check_count check_count(void) {
  return (struct check_count){.descriptors = entries("/proc/self/fd"), .threads = entries("/proc/self/task")};
}
