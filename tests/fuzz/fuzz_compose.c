/* A bundle of files as a Compose project. A line "=== NAME" begins a file; the first is the Compose file, "override.yaml"
 * is merged over it, "environment" has NAME=VALUE lines, the others are there to be included, extended or read. */
#include "config.h"

#include <stdint.h>

#include "base/file.h"
#include "compose/compose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bundle {
  struct bt_map *files; /* path -> struct text * */
  struct bt_map *env;
};

struct text {
  size_t len;
  char data[];
};

static int read_file(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  const struct bundle *b = arg;
  const struct text *text = bt_map_get(b->files, path);
  if (!text)
    return bt_err_set(err, BT_NOT_FOUND, "cannot open %s", path);
  if (text->len > max)
    return bt_err_set(err, BT_TOO_LARGE, "%s is too large", path);
  *out = bt_calloc(text->len + 1, 1);
  memcpy(*out, text->data, text->len);
  *len = text->len;
  return 0;
}

static const char *get_env(void *arg, const char *name) { return bt_map_get(((struct bundle *)arg)->env, name); }

static void add_env(struct bundle *b, const char *line, size_t len) {
  const char *equals = memchr(line, '=', len);
  if (!equals || memchr(line, 0, len))
    return;
  BT_AUTO_FREE char *name = bt_strndup(line, (size_t)(equals - line));
  bt_map_set(b->env, name, bt_strndup(equals + 1, len - (size_t)(equals + 1 - line)));
}

static void add_file(struct bundle *b, const char *name, const char *data, size_t len) {
  if (strcmp(name, "environment") == 0) {
    for (const char *p = data, *end = data + len; p < end;) {
      const char *newline = memchr(p, '\n', (size_t)(end - p));
      size_t n = (size_t)((newline ? newline : end) - p);
      add_env(b, p, n);
      p += n + 1;
    }
    return;
  }
  BT_AUTO_FREE char *path = bt_path_join("/app", name);
  struct text *text = bt_calloc(1, sizeof *text + len + 1);
  text->len = len;
  memcpy(text->data, data, len);
  bt_map_set(b->files, path, text);
}

static void split(struct bundle *b, const char *data, size_t size) {
  const char *end = data + size, *start = data;
  BT_AUTO_FREE char *name = bt_strdup("compose.yaml");
  for (const char *line = data; line < end;) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    const char *next = newline ? newline + 1 : end;
    if (next - line > 4 && memcmp(line, "=== ", 4) == 0 && newline) {
      if (line > data)
        add_file(b, name, start, (size_t)(line - start));
      free(name);
      name = bt_strndup(line + 4, (size_t)(newline - line - 4));
      start = next;
    }
    line = next;
  }
  add_file(b, name, start, (size_t)(end - start));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct bundle b = {bt_map_new(free), bt_map_new(free)};
  if (size)
    split(&b, (const char *)data, size);
  struct bt_compose_source source = {read_file, get_env, &b};
  struct bt_compose_options options = {.compat = size % 2 ? BT_COMPAT_WARN : BT_COMPAT_REFUSE, .skip_berth_checks = size % 5 == 0};
  bt_strs_add(&options.files, "/app/compose.yaml");
  if (bt_map_get(b.files, "/app/override.yaml"))
    bt_strs_add(&options.files, "/app/override.yaml");
  bt_strs_add(&options.profiles, "*");
  struct bt_compose_result result;
  int rc = bt_compose_load(&source, &options, &result);
  BT_ASSERT((rc == 0) == (result.model != NULL));
  BT_ASSERT((rc == 0) == (result.diags.errors == 0));
  bt_compose_result_free(&result);
  bt_compose_options_free(&options);
  bt_map_free(&b.files);
  bt_map_free(&b.env);
  return 0;
}
