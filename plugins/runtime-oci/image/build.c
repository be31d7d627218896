/* Builds through buildah: a process of its own with its own store below ROOT/build, in a mount namespace that ends with this process; what
 * it made is imported as an OCI layout. Secrets lie in memory (/dev/shm) as long as it runs, and in no command line. */
#define _GNU_SOURCE /* unshare */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/base64.h"
#include "../../common/reference.h"
#include "../../common/util.h"
#include "../../common/values.h"
#include "action.h"
#include "base.h"
#include "files.h"
#include "index.h"
#include "progress.h"

enum { max_args = 4096, max_line = 16384, absent = 127 };

/* One build. */
struct build {
  struct ri_change *c;
  const json_t *spec, *build; /* build: the canonical Compose build object */
  char *argv[max_args + 1];
  size_t n;
  char secrets[64]; /* folder in memory; "" none */
  char *work;       /* folder of files for buildah, within tmp */
};

/* ---------------------------------------------------------------- arguments */

static void arg(struct build *b, char *owned) {
  if (b->n < max_args)
    b->argv[b->n++] = owned;
  else
    free(owned);
}

static void option(struct build *b, const char *name, const char *value) {
  arg(b, pu_strdup(name));
  if (value)
    arg(b, pu_strdup(value));
}

static void args_clear(struct build *b) {
  for (size_t i = 0; i < b->n; i++)
    free(b->argv[i]);
  memset(b->argv, 0, sizeof b->argv);
  b->n = 0;
}

static const char *const known[] = {"context", "dockerfile", "dockerfile_inline", "args", "target", "labels", "tags", "secrets", "network", "platforms", "no_cache",
                                    "pull", "extra_hosts", "shm_size", "ulimits", "additional_contexts"};

static bool is_empty(const json_t *v) {
  return !v || json_is_null(v) || json_is_false(v) || (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v)) ||
         (json_is_string(v) && !json_string_length(v));
}

/* What buildah is not asked for is refused by name. */
static int refuse_others(const json_t *build, struct ri_why *why) {
  const char *key;
  json_t *v;
  json_object_foreach((json_t *)(uintptr_t)build, key, v) {
    bool found = is_empty(v) || pu_starts(key, "x-");
    for (size_t i = 0; i < PU_COUNT(known) && !found; i++)
      found = pu_eq(known[i], key);
    if (!found)
      return ri_why_set(why, BERTH_UNSUPPORTED, "build.%s is not done by runtime-oci (which builds through buildah): leave it out, or build the image elsewhere and import it", key);
  }
  if (json_array_size(pu_arr(build, "platforms")) > 1)
    return ri_why_set(why, BERTH_UNSUPPORTED, "build.platforms: one platform is built, not several");
  return 0;
}

/* {"K": "v"} or ["K=v"] as options; what has no value is left out, so that the Dockerfile's default counts. */
static void pairs(struct build *b, const char *name, const json_t *values, char between) {
  const char *key;
  json_t *v;
  size_t i;
  json_object_foreach((json_t *)(uintptr_t)values, key, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    if (text) {
      arg(b, pu_strdup(name));
      arg(b, pu_asprintf("%s%c%s", key, between, text));
    }
  }
  json_array_foreach(values, i, v) {
    PU_AUTO_FREE text = pu_scalar(v);
    char *eq = text ? strchr(text, '=') : NULL;
    if (eq && between != '=')
      *eq = between;
    if (text && (eq || strchr(text, between)))
      option(b, name, text);
  }
}

static void ulimits(struct build *b) {
  const char *name;
  json_t *v;
  json_object_foreach(pu_obj(b->build, "ulimits"), name, v) {
    int64_t soft = json_is_object(v) ? pu_number(v, "soft", -1) : pu_number(pu_obj(b->build, "ulimits"), name, -1);
    arg(b, pu_strdup("--ulimit"));
    arg(b, pu_asprintf("%s=%lld:%lld", name, (long long)soft, (long long)(json_is_object(v) ? pu_number(v, "hard", soft) : soft)));
  }
}

static void base_args(struct build *b) {
  option(b, "buildah", NULL);
  arg(b, pu_strdup("--root"));
  arg(b, pu_asprintf("%s/build/root", b->c->root));
  arg(b, pu_strdup("--runroot"));
  arg(b, pu_asprintf("%s/build/run", b->c->root));
  option(b, "--storage-driver", "overlay");
}

/* ---------------------------------------------------------------- files for it */

static int file_put(const char *dir, const char *name, const void *data, size_t len, struct ri_why *why) {
  PU_AUTO_FREE path = pu_asprintf("%s/%s", dir, name);
  RI_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int error = fd < 0 ? errno : ri_write_all(fd, data, len, -1);
  return error ? ri_why_errno(why, error, "%s", path) : 0;
}

static bool id_good(const char *id) {
  size_t n = strlen(id);
  return n && n <= 128 && strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n && id[0] != '.';
}

static int secrets_put(struct build *b, struct ri_why *why) {
  json_t *secret;
  size_t i;
  snprintf(b->secrets, sizeof b->secrets, "/dev/shm/berth-build-XXXXXX");
  if (!mkdtemp(b->secrets)) {
    b->secrets[0] = 0;
    return ri_why_errno(why, errno, "a folder in memory for what the build may not leave behind");
  }
  json_array_foreach(pu_arr(b->spec, "secrets"), i, secret) {
    const char *id = pu_str_or(secret, "id", "");
    char *data = NULL;
    size_t len = 0;
    if (!id_good(id) || !pu_base64_decode(pu_str_or(secret, "data", ""), &data, &len))
      return ri_why_set(why, BERTH_INVALID, "build.secrets: \"%.64s\" is no name for a secret", id);
    int r = file_put(b->secrets, id, data, len, why);
    explicit_bzero(data, len);
    free(data);
    if (r < 0)
      return -1;
    arg(b, pu_strdup("--secret"));
    arg(b, pu_asprintf("id=%s,src=%s/%s", id, b->secrets, id));
  }
  return 0;
}

/* Logins for FROM, in the form of docker's config.json. */
static int logins_put(struct build *b, struct ri_why *why) {
  PU_AUTO_JSON auths = json_object();
  const char *host;
  json_t *login;
  json_object_foreach(pu_obj(b->spec, "auth"), host, login) {
    struct pu_buf pair = {.secret = true};
    pu_buf_adds(&pair, pu_str_or(login, "username", ""));
    pu_buf_addc(&pair, ':');
    pu_buf_adds(&pair, pu_str_or(login, "password", ""));
    char *text = pu_base64(pair.data, pair.len);
    json_object_set_new(auths, host, json_pack("{s:s}", "auth", text));
    pu_wipe_free(text);
    pu_buf_free(&pair);
  }
  if (!json_object_size(auths))
    return 0;
  PU_AUTO_JSON all = json_pack("{s:O}", "auths", auths);
  char *text = pu_json_text(all);
  int r = file_put(b->secrets, ".auth.json", text, strlen(text), why);
  pu_wipe_free(text);
  arg(b, pu_strdup("--authfile"));
  arg(b, pu_asprintf("%s/.auth.json", b->secrets));
  return r;
}

/* registries.conf: short names are Docker Hub's; loopback speaks HTTP; mirrors and insecure as configured. */
static int registries_put(struct build *b, struct ri_why *why) {
  struct pu_buf text __attribute__((cleanup(pu_buf_free))) = {0};
  const char *host;
  json_t *known_of, *mirror;
  size_t i;
  pu_buf_adds(&text, "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"disabled\"\n");
  json_object_foreach(pu_obj(b->spec, "registries"), host, known_of) {
    if (!pu_is_host(host))
      continue;
    pu_buf_addf(&text, "[[registry]]\nlocation = \"%s\"\ninsecure = %s\n", host, pu_bool(known_of, "insecure", pu_is_loopback(host)) ? "true" : "false");
    json_array_foreach(pu_arr(known_of, "mirrors"), i, mirror) if (json_is_string(mirror) && pu_is_host(json_string_value(mirror)))
        pu_buf_addf(&text, "[[registry.mirror]]\nlocation = \"%s\"\ninsecure = %s\n", json_string_value(mirror),
                    pu_is_loopback(json_string_value(mirror)) ? "true" : "false");
  }
  pu_buf_adds(&text, "[[registry]]\nprefix = \"127.0.0.1\"\nlocation = \"127.0.0.1\"\ninsecure = true\n[[registry]]\nprefix = \"localhost\"\nlocation = \"localhost\"\ninsecure = true\n");
  return file_put(b->work, "registries.conf", text.data, text.len, why);
}

/* ---------------------------------------------------------------- running it */

static void line_say(const char *text, size_t len) {
  PU_AUTO_FREE line = pu_strndup(text, len);
  for (char *p = line; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  if (!*line)
    return;
  PU_AUTO_JSON clean = pu_json_string(line);
  ri_progress("", json_string_value(clean), 0, 0);
}

/* Its lines, as they come; the last one without a line end as well. */
static void output_read(int fd, struct pu_buf *whole) {
  char piece[4096];
  struct pu_buf line = {0};
  ssize_t n;
  while ((n = read(fd, piece, sizeof piece)) > 0 || (n < 0 && errno == EINTR))
    for (ssize_t i = 0; i < n; i++) {
      if (piece[i] != '\n' && line.len < max_line) {
        pu_buf_addc(&line, piece[i]);
        continue;
      }
      if (whole)
        pu_buf_adds(whole, line.data ? line.data : "");
      else
        line_say(line.data ? line.data : "", line.len);
      line.len = 0;
    }
  pu_buf_free(&line);
}

/* It ends where we end. */
static void become(char *const *argv, char *const *env, const char *folder, int out) {
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (null >= 0 && chdir(folder) == 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
    execvpe(argv[0], argv, env);
  _exit(absent);
}

/* Runs argv; its output as progress, or into whole. The exit code, or -1 with why. */
static int run(struct build *b, struct pu_buf *whole, struct ri_why *why) {
  int p[2];
  PU_AUTO_FREE conf = pu_asprintf("CONTAINERS_REGISTRIES_CONF=%s/registries.conf", b->work);
  PU_AUTO_FREE tmp = pu_asprintf("TMPDIR=%s", b->work);
  char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", home[] = "HOME=/root";
  char *env[] = {path, home, conf, tmp, NULL};
  pid_t pid;
  if (pipe2(p, O_CLOEXEC) < 0)
    return ri_why_errno(why, errno, "a pipe");
  pid = fork(); /* no thread runs yet */
  if (pid == 0)
    become(b->argv, env, b->work, p[1]);
  close(p[1]);
  if (pid < 0) {
    close(p[0]);
    return ri_why_errno(why, errno, "buildah");
  }
  output_read(p[0], whole);
  close(p[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == absent)
    return ri_why_set(why, BERTH_UNSUPPORTED, "build: buildah is not installed here: apt-get install buildah, or build the image elsewhere and import it");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---------------------------------------------------------------- the build */

static int dockerfile_put(struct build *b, const char *context, struct ri_why *why) {
  const char *inlined = pu_str(b->build, "dockerfile_inline"), *name = pu_str_or(b->build, "dockerfile", NULL);
  if (inlined && file_put(b->work, "Dockerfile", inlined, strlen(inlined), why) < 0)
    return -1;
  arg(b, pu_strdup("-f"));
  arg(b, inlined ? pu_asprintf("%s/Dockerfile", b->work) : pu_asprintf("%s%s%s", name && name[0] == '/' ? "" : context, name && name[0] == '/' ? "" : "/", name && *name ? name : "Dockerfile"));
  return 0;
}

/* The Containerfile's text, as far as it is read. */
static char *file_read(const struct build *b, size_t *len) {
  enum { most = 1 << 20 };
  const char *file = NULL;
  char *text = NULL;
  for (size_t i = 0; i + 1 < b->n; i++)
    if (pu_eq(b->argv[i], "-f"))
      file = b->argv[i + 1];
  return file && ri_file_read(AT_FDCWD, file, most, &text, len) == 0 ? text : NULL; /* what is wrong with it is buildah's to say */
}

/* What the Containerfile begins with and only our store has, told buildah by name. Names in its own store must be of small letters: so the folder is named
 * from where it lies, which is where buildah is run. */
static int bases_give(struct build *b, struct ri_why *why) {
  size_t len = 0;
  const char *word;
  json_t *base;
  PU_AUTO_FREE text = pu_flag(b->build, "pull", false) ? NULL : file_read(b, &len);
  PU_AUTO_JSON args = json_is_object(json_object_get(b->build, "args")) ? json_incref(pu_obj(b->build, "args")) : NULL;
  PU_AUTO_JSON names = text ? ri_bases_named(text, len, args) : json_object();
  json_object_foreach(names, word, base) {
    const char *name = json_string_value(base);
    if (json_object_get(pu_obj(b->build, "additional_contexts"), word))
      continue;
    PU_AUTO_FREE folder = ri_base_export(b->c, name, b->work, why);
    if (why->text)
      return ri_why_wrap(why, "image %.200s, which the build begins with", name);
    if (!folder)
      continue;
    arg(b, pu_strdup("--build-context"));
    arg(b, pu_asprintf("%s=docker-image://oci:%s", word, folder));
  }
  return 0;
}

static int build_args(struct build *b, const char *context, struct ri_why *why) {
  const json_t *s = b->build;
  const char *platform = json_string_value(json_array_get(pu_arr(s, "platforms"), 0)), *network = pu_str(s, "network");
  base_args(b);
  option(b, "build", NULL);
  option(b, "--isolation", pu_str_or(b->spec, "isolation", "oci"));
  option(b, "--runtime", pu_str_or(b->spec, "runtime", "crun"));
  option(b, "--format", "oci");
  option(b, pu_flag(s, "no_cache", false) ? "--no-cache" : "--layers", NULL);
  option(b, pu_flag(s, "pull", false) ? "--pull-always" : "--pull", NULL);
  option(b, "--network", pu_eq(network, "none") ? "none" : "host");
  if (network && !pu_eq(network, "none") && !pu_eq(network, "host") && !pu_eq(network, "default"))
    return ri_why_set(why, BERTH_UNSUPPORTED, "build.network: %s is not done by runtime-oci: there are host, none and default", network);
  if (pu_str(s, "target") && *pu_str(s, "target"))
    option(b, "--target", pu_str(s, "target"));
  if (platform)
    option(b, "--platform", platform);
  if (pu_number(s, "shm_size", 0) > 0) {
    arg(b, pu_strdup("--shm-size"));
    arg(b, pu_asprintf("%lld", (long long)pu_number(s, "shm_size", 0)));
  }
  pairs(b, "--build-arg", json_object_get(s, "args"), '=');
  pairs(b, "--label", json_object_get(s, "labels"), '=');
  pairs(b, "--add-host", json_object_get(s, "extra_hosts"), ':');
  pairs(b, "--build-context", json_object_get(s, "additional_contexts"), '=');
  ulimits(b);
  if (secrets_put(b, why) < 0 || logins_put(b, why) < 0 || dockerfile_put(b, context, why) < 0 || bases_give(b, why) < 0)
    return -1;
  arg(b, pu_strdup("--iidfile"));
  arg(b, pu_asprintf("%s/id", b->work));
  arg(b, pu_strdup(context));
  return b->n >= max_args ? ri_why_set(why, BERTH_TOO_LARGE, "the build has more than %d arguments", max_args) : 0;
}

/* Out of buildah's store into a folder, uncompressed: it goes no further than to the unpacker. */
static int export(struct build *b, const char *to, struct ri_why *why) {
  PU_AUTO_FREE text = NULL;
  size_t len = 0;
  PU_AUTO_FREE file = pu_asprintf("%s/id", b->work);
  int error = ri_file_read(AT_FDCWD, file, 4096, &text, &len);
  if (error)
    return ri_why_errno(why, error, "the id of what buildah made");
  text[strcspn(text, "\r\n")] = 0;
  args_clear(b);
  base_args(b);
  option(b, "push", "--disable-compression");
  option(b, "--quiet", NULL);
  arg(b, pu_strdup(text));
  arg(b, pu_asprintf("oci:%s", to));
  struct pu_buf said = {0};
  int code = run(b, &said, why);
  if (code > 0)
    ri_why_set(why, BERTH_INTERNAL, "buildah cannot give out what it made: %.500s", said.data ? said.data : "");
  pu_buf_free(&said);
  return code ? -1 : 0;
}

static json_t *build_run(struct build *b, struct ri_why *why) {
  const char *context = pu_str_or(b->spec, "context", "");
  PU_AUTO_FREE to = pu_asprintf("%s/image", b->work);
  if (context[0] != '/') {
    ri_why_set(why, BERTH_UNSUPPORTED, "build.context: \"%.200s\" is no folder of this machine: runtime-oci builds from folders only", context);
    return NULL;
  }
  if (refuse_others(b->build, why) < 0 || registries_put(b, why) < 0 || build_args(b, context, why) < 0)
    return NULL;
  int code = run(b, NULL, why);
  if (code > 0)
    ri_why_set(why, BERTH_INVALID, "the build failed with exit code %d", code);
  if (code || export(b, to, why) < 0)
    return NULL;
  return ri_import_folder(b->c, to, pu_arr(b->spec, "tags"), b->spec, why);
}

/* Mounts of ours alone. crun refuses a version 2 hierarchy beside version 1: here it is not seen. */
int ri_build_apart(struct ri_why *why) {
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
    return ri_why_errno(why, errno, "a mount namespace for the build");
  if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") < 0)
    return ri_why_errno(why, errno, "a place in memory for secrets, which goes when the build ends however it ends");
  (void)!umount2("/sys/fs/cgroup/unified", MNT_DETACH); /* where there is none, all is well */
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  return 0;
}

json_t *ri_action_build(struct ri_change *c, const json_t *spec, struct ri_why *why) {
  struct build b = {.c = c, .spec = spec, .build = pu_obj(spec, "build")};
  PU_AUTO_FREE store = pu_asprintf("%s/build", c->root);
  b.work = pu_asprintf("%s/images/tmp/%s/build", c->root, c->tmp_name);
  int error = ri_mkdirs(b.work, 0700);
  if (!error)
    error = ri_mkdirs(store, 0700);
  if (error)
    ri_why_errno(why, error, "folders for the build");
  json_t *image = error ? NULL : build_run(&b, why);
  if (b.secrets[0])
    (void)!ri_tree_remove(AT_FDCWD, b.secrets, NULL);
  args_clear(&b);
  free(b.work);
  return image;
}
