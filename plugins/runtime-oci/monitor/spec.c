#include "config.h"
#include "spec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../common/util.h"
#include "files.h"

enum { max_spec = 4 << 20, max_lower = 500, max_words = 64, max_id = 128, max_log_files = 1000 };

/* Array of strings with a NULL behind; false where it is something else, or has over max. */
static bool strings(const json_t *v, size_t max, const char ***out, size_t *n) {
  size_t size = json_array_size(v);
  if ((v && !json_is_array(v)) || size > max)
    return false;
  *out = pu_calloc(size + 1, sizeof **out);
  for (*n = 0; *n < size; (*n)++)
    if (!((*out)[*n] = json_string_value(json_array_get(v, *n))))
      return false;
  return true;
}

static int read_rootfs(struct ro_monspec *s, struct ro_fail *why) {
  const json_t *v = pu_obj(s->json, "rootfs");
  if (!v)
    return 0;
  if (!strings(json_object_get(v, "lower"), max_lower, &s->lower, &s->nlower))
    return ro_fail(why, "invalid", "rootfs.lower of container %s is no list of at most %d folders", s->id, max_lower);
  s->upper = pu_str(v, "upper");
  s->work = pu_str(v, "work");
  s->target = pu_str(v, "target");
  s->copy = pu_bool(v, "copy", false);
  s->fuse = pu_str(v, "fuse");
  if (!s->target || !s->upper || (!s->work && !s->copy))
    return ro_fail(why, "invalid", "rootfs of container %s needs upper, work and target", s->id);
  return 0;
}

static int read_network(struct ro_monspec *s, struct ro_fail *why) {
  static const char *const modes[] = {[RO_NET_HOST] = "host", [RO_NET_NONE] = "none", [RO_NET_NEW] = "new", [RO_NET_PATH] = "path"};
  s->network = pu_obj(s->json, "network");
  const char *mode = pu_str_or(s->network, "mode", "host");
  size_t i = 0;
  while (i < PU_COUNT(modes) && !pu_eq(modes[i], mode))
    i++;
  if (i == PU_COUNT(modes))
    return ro_fail(why, "invalid", "network.mode of container %s is \"%s\": new, none, host or path", s->id, mode);
  s->net = (enum ro_net_mode)i;
  s->net_path = pu_str(s->network, "path");
  if (s->net == RO_NET_PATH && !s->net_path)
    return ro_fail(why, "invalid", "network.mode of container %s is path, and network.path is missing", s->id);
  return 0;
}

/* The id becomes the name of folders: nothing that leads elsewhere. */
static bool good_id(const char *id) {
  return id && *id && strlen(id) <= max_id && *id != '.' && strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == strlen(id);
}

static int read_members(struct ro_monspec *s, struct ro_fail *why) {
  s->id = pu_str(s->json, "id");
  if (!good_id(s->id))
    return ro_fail(why, "invalid", "id of a container is missing, or no name (letters, digits, \"_\", \".\", \"-\")");
  s->bundle = pu_str(s->json, "bundle");
  s->runtime_root = pu_str(s->json, "runtime_root");
  s->cgroup = pu_str(s->json, "cgroup");
  s->exit = pu_str(s->json, "exit");
  if (!s->bundle || !s->runtime_root || !s->exit)
    return ro_fail(why, "invalid", "container %s needs bundle, runtime_root and exit", s->id);
  if (!strings(json_object_get(s->json, "runtime"), max_words, &s->runtime, &s->nruntime) || !s->nruntime)
    return ro_fail(why, "invalid", "runtime of container %s is no list of words", s->id);
  const json_t *log = pu_obj(s->json, "log");
  s->log = pu_str(log, "path");
  s->log_max_size = pu_int(log, "max_size", 0);
  int64_t files = pu_int(log, "max_files", 1);
  s->log_max_files = (int)(files < 1 ? 1 : files > max_log_files ? max_log_files : files);
  s->tty = pu_bool(s->json, "tty", false);
  s->stdin_open = pu_bool(s->json, "stdin_open", false);
  s->shared = pu_eq(pu_str(s->json, "propagation"), "shared");
  return read_rootfs(s, why) < 0 ? -1 : read_network(s, why);
}

int ro_monspec_read(const char *path, struct ro_monspec *out, struct ro_fail *why) {
  memset(out, 0, sizeof *out);
  struct stat st;
  PU_AUTO_FREE file = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? pu_asprintf("%s/monitor.json", path) : pu_strdup(path);
  size_t len;
  PU_AUTO_FREE text = ro_read_file(AT_FDCWD, file, max_spec, &len);
  if (!text)
    return ro_fail_errno(why, "cannot read %s", file);
  out->json = pu_json_parse(text, len);
  if (!json_is_object(out->json)) {
    ro_monspec_free(out);
    return ro_fail(why, "invalid", "%s is no JSON object", file);
  }
  if (read_members(out, why) == 0)
    return 0;
  ro_monspec_free(out);
  return -1;
}

void ro_monspec_free(struct ro_monspec *s) {
  free(s->runtime);
  free(s->lower);
  json_decref(s->json);
  memset(s, 0, sizeof *s);
}
