/* berth.host.kv/1 and berth.host.secret/1: small durable state and secrets, which the daemon keeps. */
#include "config.h"

#include <sodium.h>

#include "base/json.h"
#include "base/map.h"
#include "loop/loop.h"
#include "plugin/fields.h"
#include "plugin/internal.h"

enum { max_key = 256, max_value = 64 * 1024, max_keys = 10000, base64_variant = sodium_base64_VARIANT_ORIGINAL };

/* ---------------------------------------------------------------- put */

struct put {
  struct bt_resource base;
  struct bt_loop *loop;
  const char *label;
  void (*done)(void *arg, enum berth_code code, const char *message);
  void *arg;
};

static void put_tell(struct put *p, enum bt_code code, const char *message) {
  if (!p->done)
    return;
  bt_loop_enter(p->loop, p->label);
  p->done(p->arg, bt_plugin_code_out(code), message ? message : "");
  bt_loop_leave(p->loop);
  p->done = NULL;
}

static void put_done(void *arg, enum bt_code code, const char *message) {
  struct put *p = arg;
  bt_resource_del(&p->base);
  put_tell(p, code, message);
  free(p);
}

static void put_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct put *p = (struct put *)resource;
  if (!entry->self)
    p->done = NULL;
  put_tell(p, BT_CANCELLED, "the plug-in is stopping");
}

static const struct bt_resource_kind put_kind = {.name = "kv put", .detach = put_detach};

static bool remember_key(void *arg, const char *key, const char *value) {
  (void)value;
  bt_map_set(arg, key, arg);
  return true;
}

/* Counts the key, or says why it cannot be put. */
static const char *admit_key(struct bt_plugin *entry, const char *key, bool delete) {
  const struct bt_plugin_server *server = entry->plugins->server;
  if (!entry->kv_keys) {
    entry->kv_keys = bt_map_new(NULL);
    server->kv_scan(server->arg, entry->cell->name, "", remember_key, entry->kv_keys);
  }
  if (delete) {
    bt_map_del(entry->kv_keys, key);
    return NULL;
  }
  if (!bt_map_get(entry->kv_keys, key) && bt_map_len(entry->kv_keys) >= max_keys)
    return "it has 10,000 keys: delete some";
  bt_map_set(entry->kv_keys, key, entry->kv_keys);
  return NULL;
}

static char *to_base64(const void *value, size_t len) {
  size_t room = sodium_base64_encoded_len(len, base64_variant);
  char *text = bt_calloc(1, room);
  sodium_bin2base64(text, room, value, len, base64_variant);
  return text;
}

static void kv_put(const struct berth_host *host, const char *key, const void *value, size_t len,
                   void (*done)(void *arg, enum berth_code code, const char *message), void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "kv.put");
  if (!entry) {
    if (done)
      done(arg, BERTH_CANCELLED, "the server is going down");
    return;
  }
  struct put *p = bt_new(struct put);
  p->loop = entry->plugins->loop;
  p->label = entry->cell->label;
  p->done = done;
  p->arg = arg;
  bt_resource_add(entry, &p->base, &put_kind);
  size_t key_len = key ? strlen(key) : 0;
  if (!key_len || key_len > max_key || (value && len > max_value)) {
    put_done(p, BT_INVALID, "a key has 1 to 256 bytes, a value at most 64 KiB");
    return;
  }
  const char *why = admit_key(entry, key, !value);
  if (why) {
    put_done(p, BT_EXHAUSTED, why);
    return;
  }
  BT_AUTO_FREE char *text = value ? to_base64(value, len) : NULL;
  const struct bt_plugin_server *server = entry->plugins->server;
  server->kv_put(server->arg, entry->cell->name, key, text, put_done, p);
}

/* ---------------------------------------------------------------- scan */

struct scan {
  bool (*found)(void *arg, const char *key, const void *value, size_t len);
  void *arg;
};

static bool scan_found(void *arg, const char *key, const char *value) {
  struct scan *s = arg;
  size_t n = strlen(value), len = 0;
  BT_AUTO_FREE unsigned char *bytes = bt_calloc(1, n + 1);
  if (sodium_base642bin(bytes, n + 1, value, n, NULL, &len, NULL, base64_variant) != 0)
    return true; /* not ours: another program wrote it */
  bytes[len] = '\0';
  return s->found(s->arg, key, bytes, len);
}

static void kv_scan(const struct berth_host *host, const char *prefix,
                    bool (*found)(void *arg, const char *key, const void *value, size_t len), void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "kv.scan");
  if (!entry || !found)
    return;
  struct scan s = {.found = found, .arg = arg};
  const struct bt_plugin_server *server = entry->plugins->server;
  server->kv_scan(server->arg, entry->cell->name, prefix ? prefix : "", scan_found, &s);
}

const struct berth_host_kv bt_service_kv = {.size = sizeof bt_service_kv, .put = kv_put, .scan = kv_scan};

/* ---------------------------------------------------------------- secrets */

struct secret {
  struct bt_resource base;
  struct bt_loop *loop;
  const char *label;
  void (*done)(void *arg, enum berth_code code, const char *message, const void *value, size_t len);
  void *arg;
};

static void secret_tell(struct secret *s, enum bt_code code, const char *message, const void *value, size_t len) {
  if (!s->done)
    return;
  bt_loop_enter(s->loop, s->label);
  s->done(s->arg, bt_plugin_code_out(code), message ? message : "", value, len);
  bt_loop_leave(s->loop);
  s->done = NULL;
}

static void secret_done(void *arg, enum bt_code code, const char *message, const void *value, size_t len) {
  struct secret *s = arg;
  bt_resource_del(&s->base);
  secret_tell(s, code, message, value, len);
  free(s);
}

static void secret_detach(struct bt_resource *resource, struct bt_plugin *entry) {
  struct secret *s = (struct secret *)resource;
  if (!entry->self)
    s->done = NULL;
  secret_tell(s, BT_CANCELLED, "the plug-in is stopping", NULL, 0);
}

static const struct bt_resource_kind secret_kind = {.name = "secret", .detach = secret_detach};

/* Any place of the entry's configuration that says {"secret": name} grants it, in secret fields and elsewhere. */
static bool config_names(const json_t *value, const char *name) {
  const char *given = bt_json_str(value, "secret");
  if (given && strcmp(given, name) == 0)
    return true;
  size_t i;
  json_t *item;
  if (json_is_array(value))
    json_array_foreach(value, i, item) {
      if (config_names(item, name))
        return true;
    }
  json_t *object = json_is_object(value) ? (json_t *)(uintptr_t)value : NULL;
  for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
    if (config_names(json_object_iter_value(it), name))
      return true;
  return false;
}

static void secret_get(const struct berth_host *host, const char *name,
                       void (*done)(void *arg, enum berth_code code, const char *message, const void *value, size_t len),
                       void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "secret.get");
  if (!done)
    return;
  if (!entry || !name) {
    done(arg, entry ? BERTH_INVALID : BERTH_CANCELLED, "no name, or the server is going down", NULL, 0);
    return;
  }
  struct secret *s = bt_new(struct secret);
  s->loop = entry->plugins->loop;
  s->label = entry->cell->label;
  s->done = done;
  s->arg = arg;
  bt_resource_add(entry, &s->base, &secret_kind);
  if (!config_names(entry->raw, name)) {
    secret_done(s, BT_DENIED, "the configuration of this plug-in does not name that secret", NULL, 0);
    return;
  }
  const struct bt_plugin_server *server = entry->plugins->server;
  server->secret(server->arg, name, secret_done, s);
}

const struct berth_host_secret bt_service_secret = {.size = sizeof bt_service_secret, .get = secret_get};
