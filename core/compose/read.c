/* What comes into a load from outside: files and variables, through the caller's source. */
#include "config.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/file.h"
#include "compose/internal.h"

enum { max_file = 3 << 20 };

const char *bt_compose_intern(struct bt_load *load, const char *path) {
  char *known = bt_map_get(load->names, path);
  if (!known) {
    known = bt_strdup(path);
    bt_map_set(load->names, path, known);
  }
  return known;
}

int bt_compose_read(struct bt_load *load, const char *path, char **out, size_t *len, struct bt_err **err) {
  if (load->source->read(load->source->arg, path, max_file, out, len, err))
    return -1;
  struct bt_strs *read = &load->result->files_read;
  bt_vec_each(read, known)
    if (strcmp(*known, path) == 0)
      return 0;
  bt_strs_add(read, path);
  return 0;
}

const char *bt_compose_var(struct bt_load *load, const char *name) {
  if (load->result->name && strcmp(name, "COMPOSE_PROJECT_NAME") == 0)
    return load->result->name;
  const char *value = load->source->env ? load->source->env(load->source->arg, name) : NULL;
  if (!value)
    return bt_map_get(load->dotenv, name);
  bt_map_set(load->result->env_used, name, bt_strdup(value));
  return bt_map_get(load->result->env_used, name);
}

char *bt_compose_project_name(const char *text) {
  BT_AUTO_BUF b = {0};
  for (; *text; text++) {
    char c = (char)tolower((unsigned char)*text);
    bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter || (b.len && (c == '_' || c == '-')))
      bt_buf_addc(&b, c);
  }
  return b.len ? bt_buf_steal(&b) : NULL;
}

static int read_real(void *arg, const char *path, size_t max, char **out, size_t *len, struct bt_err **err) {
  (void)arg;
  return bt_file_read(path, max, out, len, err);
}

static const char *env_real(void *arg, const char *name) {
  (void)arg;
  return getenv(name);
}

const struct bt_compose_source bt_compose_real_source = {read_real, env_real, NULL};
