/* The process: its command, environment, user, working directory and limits. */
#include "config.h"
#include "parts.h"
#include "user.h"

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* ---------------------------------------------------------------- command */

static void append_all(json_t *out, const json_t *list) {
  if (list)
    json_array_extend(out, (json_t *)(uintptr_t)list);
}

/* The service's entrypoint drops the image's command with its entrypoint; an empty one means none. */
static json_t *command(struct ro_spec *s) {
  PU_AUTO_JSON entrypoint = pu_strings(ro_member(s->service, "entrypoint"));
  PU_AUTO_JSON cmd = pu_strings(ro_member(s->service, "command"));
  PU_AUTO_JSON image_entrypoint = pu_strings(ro_member(s->image, "Entrypoint"));
  PU_AUTO_JSON image_cmd = pu_strings(ro_member(s->image, "Cmd"));
  json_t *out = json_array();
  if (entrypoint && !(json_array_size(entrypoint) == 1 && !json_string_length(json_array_get(entrypoint, 0))))
    append_all(out, entrypoint);
  else if (!entrypoint)
    append_all(out, image_entrypoint);
  append_all(out, json_array_size(cmd) ? cmd : entrypoint ? NULL : image_cmd);
  return out;
}

/* An init that reaps and passes signals on is put before the command; it is bound to /sbin/docker-init, where people look for it. */
static void with_init(struct ro_spec *s, json_t *args) {
  if (!pu_flag(s->service, "init", false))
    return;
  if (!s->facts->init) {
    ro_error(s, BERTH_UNSUPPORTED, "init: no small init is installed on this machine: apt-get install tini (or catatonit), or leave init out");
    return;
  }
  json_array_insert_new(args, 0, json_string("--"));
  json_array_insert_new(args, 0, json_string("/sbin/docker-init"));
  json_array_append_new(s->mounts, json_pack("{s:s, s:s, s:s, s:[s,s,s]}", "destination", "/sbin/docker-init", "type", "bind", "source", s->facts->init,
                                             "options", "bind", "ro", "nosuid"));
}

static void process_args(struct ro_spec *s) {
  json_t *args = command(s);
  if (!json_array_size(args) || !json_string_length(json_array_get(args, 0)))
    ro_error(s, BERTH_INVALID, "there is nothing to run: neither the image nor the service has an entrypoint or a command");
  with_init(s, args);
  json_object_set_new(s->process, "args", args);
}

/* ---------------------------------------------------------------- environment */

/* "NAME=value" takes the place of an earlier NAME; a bare NAME takes that away. */
static void env_put(json_t *list, json_t *index, const char *text) {
  size_t n = strcspn(text, "=");
  PU_AUTO_FREE name = pu_strndup(text, n);
  const json_t *at = json_object_get(index, name);
  if (!n)
    return;
  if (at) {
    json_array_set_new(list, (size_t)json_integer_value(at), text[n] ? json_string(text) : json_null());
  } else if (text[n]) {
    json_object_set_new(index, name, json_integer((json_int_t)json_array_size(list)));
    json_array_append_new(list, json_string(text));
  }
}

static void env_put_all(json_t *list, json_t *index, const json_t *env) {
  size_t i;
  json_t *v;
  const char *key;
  json_array_foreach(env, i, v)
    if (json_is_string(v))
      env_put(list, index, json_string_value(v));
  json_object_foreach((json_t *)(uintptr_t)env, key, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    PU_AUTO_FREE pair = text ? pu_asprintf("%s=%s", key, text) : pu_strdup(key);
    env_put(list, index, pair);
  }
}

static void process_env(struct ro_spec *s) {
  json_t *list = json_array(), *out = json_array(), *v;
  PU_AUTO_JSON index = json_object();
  env_put(list, index, PATH_DEFAULT);
  if (*s->hostname_text) {
    PU_AUTO_FREE hostname = pu_asprintf("HOSTNAME=%s", s->hostname_text);
    env_put(list, index, hostname);
  }
  if (pu_flag(s->service, "tty", false))
    env_put(list, index, "TERM=xterm");
  env_put_all(list, index, ro_member(s->image, "Env"));
  env_put_all(list, index, ro_member(s->service, "environment"));
  size_t i;
  json_array_foreach(list, i, v)
    if (json_is_string(v))
      json_array_append(out, v);
  json_decref(list);
  json_object_set_new(s->process, "env", out);
}

/* ---------------------------------------------------------------- user, working directory */

static void process_user(struct ro_spec *s) {
  PU_AUTO_FREE own = pu_scalar(ro_member(s->service, "user"));
  PU_AUTO_FREE image = pu_scalar(ro_member(s->image, "User"));
  PU_AUTO_JSON more = pu_strings(ro_member(s->service, "group_add"));
  PU_AUTO_FREE why = NULL;
  struct ro_user user;
  if (!ro_user_find(own && *own ? own : image, more, s->in->passwd, s->in->group, &user, &why)) {
    ro_error(s, BERTH_INVALID, "%s", why);
    return;
  }
  json_t *groups = json_array();
  for (int i = 0; i < user.ngroups; i++)
    json_array_append_new(groups, json_integer(user.groups[i]));
  json_object_set_new(s->process, "user", json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)user.uid, "gid", (json_int_t)user.gid, "additionalGids", groups));
  if (s->userns && (user.uid >= s->choices->map_count || user.gid >= s->choices->map_count))
    ro_error(s, BERTH_INVALID, "user: %u:%u is beyond the %u users that containers are mapped to; choose one below, or userns_mode: host", user.uid, user.gid,
             s->choices->map_count);
}

/* A working directory in /proc may be a way out of the container through a descriptor that is open there (CVE-2024-21626). */
static void process_cwd(struct ro_spec *s) {
  PU_AUTO_FREE own = pu_scalar(ro_member(s->service, "working_dir"));
  PU_AUTO_FREE image = pu_scalar(ro_member(s->image, "WorkingDir"));
  const char *dir = own && *own ? own : image && *image ? image : "/";
  PU_AUTO_FREE path = ro_clean(dir);
  if (*dir != '/' || strlen(path) > RO_MAX_PATH)
    ro_error(s, BERTH_INVALID, "working_dir: \"%.200s\" is no absolute path", dir);
  else if (ro_below(path, "/proc"))
    ro_error(s, BERTH_INVALID, "working_dir: %s is in /proc, from where a process could leave its container; choose another", path);
  json_object_set_new(s->process, "cwd", pu_json_string(path));
}

/* ---------------------------------------------------------------- limits */

static char *limit_type(const char *name) {
  PU_AUTO_FREE upper = pu_strdup(name);
  for (char *p = upper; *p; p++)
    *p = *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
  return pu_asprintf("RLIMIT_%s", upper);
}

/* -1 is "unlimited"; JSON has it as the largest number, which jansson's integers do not reach: a real would lose digits, so the largest that
 * fits stands for it. The kernel treats both alike for every limit but core and fsize, where 9 EiB are as good. */
static json_int_t limit_value(int64_t n) { return n < 0 ? INT64_MAX : (json_int_t)n; }

static int64_t limit_clamp(struct ro_spec *s, const char *name, int64_t value, int64_t hard, const char *whose) {
  if (hard < 0 || (value >= 0 && value <= hard))
    return value;
  PU_AUTO_FREE asked = value < 0 ? pu_strdup("unlimited") : pu_asprintf("%lld", (long long)value);
  ro_warn(s, "ulimits.%s: %s is cut to %lld, %s", name, asked, (long long)hard, whose);
  return hard;
}

static void limit_add(struct ro_spec *s, json_t *out, const char *name, int64_t soft, int64_t hard) {
  int i = ro_limit_index(name);
  if (i < 0) {
    ro_error(s, BERTH_INVALID, "ulimits: there is no limit \"%s\"; nofile, nproc, core and memlock are some", name);
    return;
  }
  if (soft >= 0 && hard >= 0 && soft > hard) {
    ro_error(s, BERTH_INVALID, "ulimits.%s: the soft limit %lld is over the hard one, %lld", name, (long long)soft, (long long)hard);
    return;
  }
  if (!s->facts->raise)
    hard = limit_clamp(s, name, hard, s->facts->hard[i], "the hard limit of berthd, which it may not raise (it lacks CAP_SYS_RESOURCE)");
  if (s->facts->nr_open > 0 && i == ro_limit_index("nofile"))
    hard = limit_clamp(s, name, hard, s->facts->nr_open, "the most that this machine lets any process have (fs.nr_open)");
  if (hard >= 0 && (soft < 0 || soft > hard))
    soft = hard;
  PU_AUTO_FREE type = limit_type(name);
  json_array_append_new(out, json_pack("{s:s, s:I, s:I}", "type", type, "soft", limit_value(soft), "hard", limit_value(hard)));
}

static void process_limits(struct ro_spec *s) {
  const json_t *ulimits = pu_obj(s->service, "ulimits");
  json_t *out = json_array(), *v;
  const char *name;
  json_object_foreach((json_t *)(uintptr_t)ulimits, name, v) {
    const json_t *soft_in = json_is_object(v) ? v : ulimits;
    int64_t soft = pu_number(soft_in, json_is_object(v) ? "soft" : name, -2), hard = json_is_object(v) ? pu_number(v, "hard", soft) : soft;
    if (soft == -2)
      soft = hard;
    if (soft < -1 || hard < -1)
      ro_error(s, BERTH_INVALID, "ulimits.%s: it is no limit; write a number, or -1 for none", name);
    else
      limit_add(s, out, name, soft, hard);
  }
  if (json_array_size(out))
    json_object_set(s->process, "rlimits", out);
  json_decref(out);
}

static void process_oom(struct ro_spec *s) {
  int64_t n = pu_number(s->service, "oom_score_adj", 0);
  if (n < -1000 || n > 1000)
    ro_error(s, BERTH_INVALID, "oom_score_adj: %lld is not between -1000 and 1000", (long long)n);
  if (n < 0 && !s->facts->raise) {
    ro_warn(s, "oom_score_adj: %lld is made 0: berthd may not shield processes from the kernel's OOM killer (it lacks CAP_SYS_RESOURCE)", (long long)n);
    n = 0;
  }
  json_object_set_new(s->process, "oomScoreAdj", json_integer((json_int_t)n));
}

void ro_spec_process(struct ro_spec *s) {
  json_object_set_new(s->process, "terminal", json_boolean(pu_flag(s->service, "tty", false)));
  process_args(s);
  process_env(s);
  process_user(s);
  process_cwd(s);
  process_limits(s);
  process_oom(s);
}
