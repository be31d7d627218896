#include "config.h"
#include "model/source.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/nearest.h"

enum {
  max_url = 2048,
  max_ref = 255,
  max_path = 1024,
  max_files = 32,
  max_profiles = 64,
  max_env = 256,
  max_env_value = 64 * 1024,
  max_signers = 64 * 1024,
  min_interval_ms = 10 * 1000,
  usual_interval_ms = 60 * 1000,
  max_interval_ms = 24 * 3600 * 1000
};

static bool has_control(const char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < 0x20 || *s == 0x7f)
      return true;
  return false;
}

/* A text of at most max bytes without control characters; *out is NULL where it is absent. */
static int read_text(const json_t *body, const char *key, size_t max, const char **out, struct bt_err **err) {
  const json_t *v = json_object_get(body, key);
  *out = json_string_value(v);
  if (!v || json_is_null(v))
    return 0;
  if (!*out || json_string_length(v) > max || has_control(*out))
    return bt_err_set(err, BT_INVALID, "%s has to be one line of at most %zu bytes", key, max);
  return 0;
}

/* ---------------------------------------------------------------- repository and ref */

/* A password in the address would stand in every list: it belongs to the plug-in's configuration. */
static bool has_password(const char *url) {
  const char *host = strstr(url, "://");
  if (!host)
    return false;
  host += 3;
  size_t authority = strcspn(host, "/");
  const char *at = memchr(host, '@', authority);
  return at && memchr(host, ':', (size_t)(at - host));
}

static int check_repository(const char *url, struct bt_err **err) {
  if (!url || !*url)
    return bt_err_set(err, BT_INVALID, "name the repository: https://host/team/app.git, git@host:team/app.git, file:///srv/app.git");
  if (*url == '-' || strchr(url, ' ') || strstr(url, "::"))
    return bt_err_set(err, BT_INVALID, "repository \"%.200s\" is no address of a repository", url);
  if (has_password(url))
    return bt_err_set(err, BT_INVALID, "a password in the repository's address would be seen by all: name user and password in the "
                                       "plug-in's configuration");
  return 0;
}

/* As git-check-ref-format has it, for a branch; stars and question marks are for patterns of tags only. */
static bool is_ref(const char *name, bool pattern) {
  size_t n = strlen(name);
  if (n == 0 || n > max_ref || *name == '-' || *name == '/' || *name == '.' || name[n - 1] == '/' || name[n - 1] == '.' || strstr(name, "..") ||
      strstr(name, "//") || strstr(name, "@{") || strstr(name, "/.") || (n > 5 && strcmp(name + n - 5, ".lock") == 0))
    return false;
  for (const char *p = name; *p; p++)
    if ((unsigned char)*p <= 0x20 || *p == 0x7f || strchr("~^:\\[", *p) || (!pattern && strchr("*?", *p)))
      return false;
  return true;
}

static int read_ref(const json_t *body, json_t *out, struct bt_err **err) {
  const char *branch, *tag;
  if (read_text(body, "branch", max_ref, &branch, err) || read_text(body, "tag", max_ref, &tag, err))
    return -1;
  if (branch && tag)
    return bt_err_set(err, BT_INVALID, "follow a branch or tags, not both");
  if (!tag && !branch)
    branch = "main";
  if (branch && !is_ref(branch, false))
    return bt_err_set(err, BT_INVALID, "\"%.200s\" is no name of a branch", branch);
  if (tag && !is_ref(tag, true))
    return bt_err_set(err, BT_INVALID, "\"%.200s\" is no pattern of tags, such as v1.*", tag);
  bt_json_set_str(out, branch ? "branch" : "tag", branch ? branch : tag);
  return 0;
}

/* ---------------------------------------------------------------- paths and lists */

/* A path within the repository, as the plug-ins want it: "a/b". NULL where it leads out. */
static char *inner_path(const char *text) {
  if (*text == '/' || strlen(text) > max_path)
    return NULL;
  BT_AUTO_FREE char *whole = bt_path_join("/", text);
  for (const char *p = text; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && strncmp(p, "..", 2) == 0)
      return NULL;
    p += n + (p[n] == '/');
  }
  return bt_strdup(whole + 1);
}

static int read_path(const json_t *body, json_t *out, struct bt_err **err) {
  const char *text;
  if (read_text(body, "path", max_path, &text, err))
    return -1;
  BT_AUTO_FREE char *clean = inner_path(text ? text : "");
  if (!clean)
    return bt_err_set(err, BT_INVALID, "path \"%.200s\" has to be a folder within the repository, such as deploy", text);
  bt_json_set_str(out, "path", clean);
  return 0;
}

static int read_list(const json_t *body, const char *key, size_t max, bool paths, json_t *out, struct bt_err **err) {
  const json_t *list = json_object_get(body, key);
  json_t *copy = json_array();
  bt_json_set(out, key, copy);
  if (!list || json_is_null(list))
    return 0;
  if (!json_is_array(list) || json_array_size(list) > max)
    return bt_err_set(err, BT_INVALID, "%s has to be an array of at most %zu texts", key, max);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *text = json_string_value(json_array_get(list, i));
    BT_AUTO_FREE char *item = !text ? NULL : paths ? inner_path(text) : bt_strdup(text);
    if (!item || !*item || has_control(item))
      return bt_err_set(err, BT_INVALID, "%s: \"%.200s\" is %s", key, text ? text : "?", paths ? "no file within the path" : "no name");
    json_array_append_new(copy, bt_json_string(item));
  }
  return 0;
}

static int read_env(const json_t *body, json_t *out, struct bt_err **err) {
  json_t *env = json_object_get(body, "env"), *copy = json_object(), *value;
  const char *name;
  bt_json_set(out, "env", copy);
  if (!env || json_is_null(env))
    return 0;
  if (!json_is_object(env) || json_object_size(env) > max_env)
    return bt_err_set(err, BT_INVALID, "env has to be an object of at most %d texts", max_env);
  json_object_foreach(env, name, value) {
    if (!json_is_string(value) || json_string_length(value) > max_env_value || !*name || strchr(name, '='))
      return bt_err_set(err, BT_INVALID, "env: %.100s has to be a text", name);
    json_object_set(copy, name, value);
  }
  return 0;
}

/* ---------------------------------------------------------------- the rest */

static int read_flag(const json_t *body, const char *key, bool otherwise, json_t *out, struct bt_err **err) {
  const json_t *v = json_object_get(body, key);
  if (v && !json_is_null(v) && !json_is_boolean(v))
    return bt_err_set(err, BT_INVALID, "%s has to be true or false", key);
  bt_json_set_bool(out, key, json_is_boolean(v) ? json_is_true(v) : otherwise);
  return 0;
}

static int read_interval(const json_t *body, json_t *out, struct bt_err **err) {
  const char *text;
  int64_t ns = (int64_t)usual_interval_ms * 1000000;
  if (read_text(body, "interval", 32, &text, err))
    return -1;
  if (text && (!bt_duration_parse(text, &ns) || ns / 1000000 < min_interval_ms || ns / 1000000 > max_interval_ms))
    return bt_err_set(err, BT_INVALID, "interval has to be a duration from 10s to 24h, such as 1m, not \"%.32s\"", text);
  bt_json_set_int(out, "interval_ms", ns / 1000000);
  return 0;
}

static int read_rest(const json_t *body, json_t *out, struct bt_err **err) {
  const char *compat, *secret;
  const json_t *signers = json_object_get(body, "signers");
  if (read_flag(body, "automatic", true, out, err) || read_flag(body, "correct", false, out, err) ||
      read_flag(body, "webhook", true, out, err) || read_flag(body, "report", true, out, err) || read_interval(body, out, err) ||
      read_text(body, "compat", 16, &compat, err) || read_text(body, "signers_secret", 63, &secret, err))
    return -1;
  if (compat && !bt_streq(compat, "warn") && !bt_streq(compat, "refuse"))
    return bt_err_set(err, BT_INVALID, "compat has to be refuse or warn");
  bt_json_set_str(out, "compat", compat ? compat : "refuse");
  bt_json_set_str(out, "signers_secret", secret);
  if (secret && json_is_string(signers))
    return bt_err_set(err, BT_INVALID, "signers are either public keys as text or the name of a secret, not both");
  if (!signers || json_is_null(signers))
    return 0;
  if (!json_is_string(signers) || json_string_length(signers) == 0 || json_string_length(signers) > max_signers)
    return bt_err_set(err, BT_INVALID, "signers has to be public keys as text: lines of an allowed_signers file, armoured OpenPGP keys, or both");
  json_object_set(out, "signers", (json_t *)(uintptr_t)signers);
  return 0;
}

static int check_keys(const json_t *body, struct bt_err **err) {
  static const char *const keys[] = {"repository", "branch", "tag",     "path",   "files",   "env",    "profiles", "interval",
                                     "automatic",  "correct", "webhook", "report", "signers", "signers_secret", "compat", NULL};
  const char *key;
  json_t *value;
  char hint[96];
  json_object_foreach((json_t *)(uintptr_t)body, key, value) {
    bool known = false;
    for (size_t i = 0; keys[i]; i++)
      known = known || bt_streq(key, keys[i]);
    if (!known)
      return bt_err_set(err, BT_INVALID, "a source has no member \"%.60s\"%s", key, bt_nearest_hint(bt_nearest_of(key, keys), hint));
  }
  return 0;
}

json_t *bt_source_parse(const json_t *body, struct bt_err **err) {
  BT_AUTO_JSON out = json_object();
  const char *url;
  if (!json_is_object(body)) {
    bt_err_set(err, BT_INVALID, "a source is an object");
    return NULL;
  }
  if (check_keys(body, err) || read_text(body, "repository", max_url, &url, err) || check_repository(url, err))
    return NULL;
  bt_json_set_str(out, "repository", url);
  if (read_ref(body, out, err) || read_path(body, out, err) || read_list(body, "files", max_files, true, out, err) ||
      read_list(body, "profiles", max_profiles, false, out, err) || read_env(body, out, err) || read_rest(body, out, err))
    return NULL;
  return bt_steal(out);
}

/* ---------------------------------------------------------------- comparing */

char *bt_source_repository_key(const char *url) {
  BT_AUTO_BUF out = {0};
  const char *scheme = strstr(url, "://"), *host = scheme ? scheme + 3 : url;
  const char *slash = strchr(host, '/'), *colon = strchr(host, ':');
  bool scp = !scheme && colon && (!slash || colon < slash); /* git@host:path */
  size_t authority = scp ? (size_t)(colon - host) : strcspn(host, "/");
  const char *at = memchr(host, '@', authority), *path = host + authority + scp;
  if (at) {
    authority -= (size_t)(at + 1 - host);
    host = at + 1;
  }
  const char *end = *host == '[' ? memchr(host, ']', authority) : NULL;
  const char *port = memchr(end ? end : host, ':', authority - (end ? (size_t)(end - host) : 0));
  for (size_t n = port ? (size_t)(port - host) : authority; n > 0; n--, host++)
    bt_buf_addc(&out, (char)tolower((unsigned char)*host));
  bt_buf_addc(&out, '/');
  while (*path == '/')
    path++;
  size_t n = strlen(path);
  while (n && path[n - 1] == '/')
    n--;
  if (n > 4 && strncmp(path + n - 4, ".git", 4) == 0)
    n -= 4;
  bt_buf_add(&out, path, n);
  return bt_buf_steal(&out);
}

bool bt_source_follows(const json_t *spec, const char *ref) {
  const char *branch = bt_json_str(spec, "branch");
  if (!ref)
    return true;
  if (branch)
    return bt_starts(ref, "refs/heads/") && bt_streq(ref + 11, branch);
  return bt_starts(ref, "refs/tags/"); /* whether the pattern fits, and which is the highest, is the plug-in's word */
}
