/* A Compose project in memory for tests: files by path, variables, and what came out. */
#ifndef BT_TESTS_COMPOSE_MEM_H
#define BT_TESTS_COMPOSE_MEM_H

#include <stdlib.h>

#include "base/json.h"
#include "compose/compose.h"
#include "tap.h"

struct mem_file {
  const char *path, *text;
};
struct mem_var {
  const char *name, *value;
};

struct mem {
  const struct mem_file *files; /* ends with a NULL path; the first is the Compose file */
  const struct mem_var *vars;   /* ends with a NULL name; may be NULL */
  const char *also;             /* a second -f, or NULL */
  struct bt_compose_result result;
  int rc;
};

static int mem_read(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  const struct mem *m = arg;
  for (const struct mem_file *f = m->files; f->path; f++) {
    if (strcmp(f->path, path))
      continue;
    *len = strlen(f->text);
    if (*len > max)
      return bt_err_set(err, BT_TOO_LARGE, "%s is larger than the limit of %zu bytes", path, max);
    *out = bt_strdup(f->text);
    return 0;
  }
  return bt_err_set(err, BT_NOT_FOUND, "cannot open %s", path);
}

static const char *mem_env(void *arg, const char *name) {
  const struct mem *m = arg;
  for (const struct mem_var *v = m->vars; v && v->name; v++)
    if (strcmp(v->name, name) == 0)
      return v->value;
  return NULL;
}

__attribute__((unused)) static void mem_load(struct mem *m) {
  struct bt_compose_source source = {mem_read, mem_env, m};
  struct bt_compose_options options = {.skip_berth_checks = true};
  bt_strs_add(&options.files, m->files[0].path);
  if (m->also)
    bt_strs_add(&options.files, m->also);
  m->rc = bt_compose_load(&source, &options, &m->result);
  bt_compose_options_free(&options);
}

static void mem_free(struct mem *m) { bt_compose_result_free(&m->result); }
#define AUTO_MEM __attribute__((cleanup(mem_free))) struct mem

/* What stands at a path of keys and list numbers: "services.web.ports.0". Borrowed. */
static json_t *mem_at(const struct mem *m, const char *path) {
  json_t *at = m->result.model;
  for (const char *p = path; at && *p;) {
    size_t n = strcspn(p, ".");
    BT_AUTO_FREE char *part = bt_strndup(p, n);
    at = json_is_array(at) ? json_array_get(at, strtoul(part, NULL, 10)) : json_object_get(at, part);
    p += n + (p[n] == '.');
  }
  return at;
}

/* The value at the path as canonical JSON is want; where the load failed, its errors are shown. */
__attribute__((unused)) static void mem_is(const struct mem *m, const char *path, const char *want, const char *name) {
  json_t *at = mem_at(m, path);
  BT_AUTO_FREE char *got = at ? bt_json_canonical(at) : m->rc ? bt_diags_text(&m->result.diags) : NULL;
  is_str(got, want, name);
}

/* The load failed and one of its errors holds this text. */
__attribute__((unused)) static void mem_fails(const struct mem *m, const char *want, const char *name) {
  BT_AUTO_FREE char *text = bt_diags_text(&m->result.diags);
  if (!ok(m->rc != 0 && strstr(text, want), "%s", name))
    printf("#  want: %s\n#   got: %s", want, text);
}

/* One file, nothing else: loads it and compares. */
__attribute__((unused)) static void mem_one(const char *text, const struct mem_var *vars, const char *path, const char *want,
                                            const char *name) {
  const struct mem_file files[] = {{"/app/compose.yaml", text}, {NULL, NULL}};
  AUTO_MEM m = {.files = files, .vars = vars};
  mem_load(&m);
  if (path)
    mem_is(&m, path, want, name);
  else
    mem_fails(&m, want, name);
}

/* Two files merged. path NULL: want is an error. */
__attribute__((unused)) static void mem_two(const char *text, const char *over, const char *path, const char *want,
                                            const char *name) {
  const struct mem_file files[] = {{"/app/compose.yaml", text}, {"/app/over.yaml", over}, {NULL, NULL}};
  AUTO_MEM m = {.files = files, .also = "/app/over.yaml"};
  mem_load(&m);
  if (path)
    mem_is(&m, path, want, name);
  else
    mem_fails(&m, want, name);
}

#endif
