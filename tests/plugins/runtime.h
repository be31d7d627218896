/* For tests of runtime plug-ins: the real .so in the real host on a real engine. Everything that is made carries the label
 * berth.test=<LABEL>, unique to the process, and is removed at the end.
 *
 * BERTH_TEST_ENGINE names another engine's socket than /var/run/docker.sock (Podman's, say). BERTH_TEST_RUNTIME=oci runs the same tests over
 * runtime-oci, which needs no engine: its folders are in the scratch folder, its programs those of the build. */
#ifndef BERTH_TESTS_RUNTIME_H
#define BERTH_TESTS_RUNTIME_H

#include <berth/runtime.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "plugins/host.h"

#include "base/buf.h"

static struct {
  const char *socket;     /* the engine's */
  char label[64];         /* "rd-123" */
  char full[80];          /* "berth.test=rd-123" */
  char image[96];         /* a busybox that every test may run */
  char dir[96];           /* scratch folder */
  bool podman;
  bool oci;               /* runtime-oci in place of an engine */
  struct bt_plugin *entry;
} R;

/* A call of the runtime and all that it gave. */
struct rt {
  bool done;
  enum bt_code code;
  char *message;
  json_t *result;
  struct bt_buf out, err; /* channels 1 and 2 */
  json_t *objects;        /* of the channels of JSON objects */
  size_t next;            /* the first that rt_wait has not looked at */
  json_t *last;           /* the one that rt_wait found; borrowed */
  bool flag;              /* set by want, once it holds */
  bool (*want)(struct rt *c);
  const char *text;       /* for want */
  size_t waiting;         /* what emit answers */
  berth_op op;
};

static size_t rt_emit(void *arg, int channel, const void *data, size_t len) {
  struct rt *c = arg;
  if (!len)
    return c->waiting;
  if (channel == BERTH_RUNTIME_STDOUT || channel == BERTH_RUNTIME_STDERR)
    bt_buf_add(channel == BERTH_RUNTIME_STDERR ? &c->err : &c->out, data, len);
  else
    json_array_append_new(c->objects, json_loadb(data, len, 0, NULL));
  if (c->want && !c->flag)
    c->flag = c->want(c);
  return c->waiting;
}

static void rt_done(void *arg, enum bt_code code, const char *message, json_t *result) {
  struct rt *c = arg;
  BT_ASSERT(!c->done);
  c->code = code;
  c->message = bt_strdup(message);
  c->result = json_incref(result);
  c->done = c->flag = true;
}

static void rt_free(struct rt *c) {
  free(c->message);
  json_decref(c->result);
  json_decref(c->objects);
  bt_buf_free(&c->out);
  bt_buf_free(&c->err);
}
#define RT __attribute__((cleanup(rt_free))) struct rt

/* Begins a method: rt_begin(&c, logs, &request). */
#define rt_begin(c, verb, ...)                                                                                          \
  do {                                                                                                                  \
    const struct berth_runtime *rt_table_ = bt_plugin_methods(R.entry, BERTH_RUNTIME);                                  \
    struct bt_plugin_call rt_call_ = {.method = "runtime." #verb, .deadline_ms = 120000, .emit = rt_emit,              \
                                      .done = rt_done, .arg = (c)};                                                     \
    (c)->objects = json_array();                                                                                        \
    (c)->op = bt_plugin_invoke(R.entry, rt_table_, verb, &rt_call_ __VA_OPT__(, ) __VA_ARGS__);                       \
  } while (0)
/* The same, and waits for its end. */
#define rt(c, verb, ...)                                                                                                \
  do {                                                                                                                  \
    rt_begin(c, verb __VA_OPT__(, ) __VA_ARGS__);                                                                     \
    run_until(&(c)->done, 60000);                                                                                       \
  } while (0)

/* Fails with the message where code is not the one wanted. */
__attribute__((unused)) static bool rt_is(struct rt *c, enum bt_code code, const char *what) {
  bool same = c->done && c->code == code;
  ok(same, "%s%s%s", what, code || !same ? ": " : "", c->done ? c->message : "it did not end");
  if (!same)
    printf("# wanted %s, got %s: %s\n", bt_code_name(code), c->done ? bt_code_name(c->code) : "nothing", c->done ? c->message : "");
  return same;
}

/* One test of the suite: its name goes before its points, for the table of tests/it/test_runtimes.sh. */
#define RUN(test, ...) (printf("# test %s\n", #test), test(__VA_ARGS__))

/* What a runtime does not have is a point of its own, skipped in words. True where it has it. */
__attribute__((unused)) static bool rt_has(bool it_has, const char *what, const char *why) {
  if (!it_has) {
    printf("ok %d - %s # SKIP %s\n", ++tap_count, what, why);
    fflush(stdout);
  }
  return it_has;
}
/* A test that a runtime cannot have at all. */
#define RUN_WHERE(it_has, why, test, ...) (printf("# test %s\n", #test), rt_has(it_has, #test, why) ? test(__VA_ARGS__) : (void)0)

static const char *rt_str(struct rt *c, const char *key) {
  const char *s = bt_json_str(c->result, key);
  return s ? s : "";
}

__attribute__((unused)) static bool rt_want_text(struct rt *c) { return c->out.data && strstr(c->out.data, c->text); }
/* One of the objects that came since the last one that was waited for. */
__attribute__((unused)) static bool rt_want_object(struct rt *c) {
  for (; c->next < json_array_size(c->objects); c->next++) {
    BT_AUTO_FREE char *text = json_dumps(json_array_get(c->objects, c->next), JSON_COMPACT);
    if (text && strstr(text, c->text)) {
      c->last = json_array_get(c->objects, c->next++);
      return true;
    }
  }
  return false;
}
/* Waits until the output, or an object, holds text. */
__attribute__((unused)) static bool rt_wait(struct rt *c, bool (*want)(struct rt *c), const char *text, int ms) {
  c->want = want;
  c->text = text;
  c->flag = c->done || want(c);
  run_until(&c->flag, ms);
  c->want = NULL;
  return c->flag && !c->done;
}

/* ---------------------------------------------------------------- shell */

/* Runs a command; true where it exits with 0. */
__attribute__((format(printf, 1, 2))) static bool sh(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *command = bt_vasprintf(fmt, ap);
  va_end(ap);
  int status = system(command);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The first line of what a command prints. The caller frees. */
__attribute__((format(printf, 1, 2), unused)) static char *sh_line(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *command = bt_vasprintf(fmt, ap);
  va_end(ap);
  char line[4096] = "";
  FILE *f = popen(command, "r");
  if (f && !fgets(line, sizeof line, f))
    line[0] = 0;
  if (f)
    pclose(f);
  line[strcspn(line, "\n")] = 0;
  return bt_strdup(line);
}

/* The text with 10.213.* addresses made this process's own: others may test on the same engine. The caller frees. */
__attribute__((unused)) static char *own(const char *text) {
  char *s = bt_strdup(text);
  for (char *p = s; (p = strstr(p, "10.213.")); p += 7)
    memcpy(p + 3, (char[3]){'1', (char)('0' + getpid() / 10 % 10), (char)('0' + getpid() % 10)}, 3);
  return s;
}

#define DOCKER "docker -H unix://%s "

__attribute__((unused)) static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  BT_ASSERT(f);
  fputs(text, f);
  fclose(f);
}

/* ---------------------------------------------------------------- engine and plug-in */

static bool engine_there(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  BT_AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

/* An archive as docker save writes it, of a folder as the one layer: ARCHIVE is made beside it. */
static bool image_archive(const char *root, const char *name, const char *archive) {
  return sh("set -e; umask 022; d=$(mktemp -d %s/save.XXXXXX); tar -C %s --owner=0 --group=0 --numeric-owner -cf $d/layer.tar .; l=$(sha256sum <$d/layer.tar | cut -c1-64); "
            "printf '{\"architecture\":\"%%s\",\"os\":\"linux\",\"config\":{\"Env\":[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"],"
            "\"Labels\":{\"berth.test\":\"%s\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%%s\"]},\"history\":[{\"created_by\":\"test\"}]}' "
            "$(dpkg --print-architecture) $l >$d/config.json; c=$(sha256sum <$d/config.json | cut -c1-64); mv $d/config.json $d/$c.json; "
            "printf '[{\"Config\":\"%%s.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"layer.tar\"]}]' $c >$d/manifest.json; tar -C $d -cf %s manifest.json $c.json layer.tar; rm -r $d",
            R.dir, root, R.label, name, archive);
}

/* The image by the program that fills the store. */
static bool image_import(const char *archive, const char *name) {
  return sh("echo '{\"root\":\"%s/oci\",\"path\":\"%s\",\"name\":\"%s\"}' | %s/programs/berth-image import | tee %s/import.log | grep -c result >/dev/null || { sed 's/^/# /' %s/import.log; false; }",
            R.dir, archive, name, R.dir, R.dir, R.dir);
}

/* Makes the image out of this machine's busybox. */
static bool image_make(void) {
  bool made = sh("set -e; d=%s/root; mkdir -p $d/bin $d/etc $d/tmp $d/data; chmod 755 $d; cp /bin/busybox $d/bin/busybox; "
                 "for a in $(/bin/busybox --list); do [ $a = busybox ] || ln -sf busybox $d/bin/$a; done; "
                 "printf 'root:x:0:0:root:/:/bin/sh\\nnobody:x:65534:65534:nobody:/:/bin/sh\\n' >$d/etc/passwd; "
                 "printf 'root:x:0:\\naudio:x:29:\\n' >$d/etc/group; chmod 1777 $d/tmp",
                 R.dir);
  if (R.oci) {
    BT_AUTO_FREE char *root = bt_asprintf("%s/root", R.dir);
    BT_AUTO_FREE char *archive = bt_asprintf("%s/image.tar", R.dir);
    return made && image_archive(root, R.image, archive) && image_import(archive, R.image);
  }
  return made && sh("tar -C %s/root -c . | " DOCKER "import -c 'LABEL berth.test=%s' - %s >/dev/null", R.dir, R.socket, R.label, R.image);
}

static void rt_load(const char *config) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"engine\",\"plugin\":\"%s\",\"config\":%s}]", R.oci ? "runtime-oci" : "runtime-docker", config);
  test_load(json);
  R.entry = bt_plugins_named(T.plugins, "engine");
  BT_ASSERT(R.entry);
  ok(bt_plugin_status(R.entry) == BT_PLUGIN_OK, "the plug-in runs %s", bt_plugin_error(R.entry));
}

/* Names, the scratch folder, the server; no plug-in yet. */
static void rt_open(const char *socket) {
  R.socket = socket;
  snprintf(R.label, sizeof R.label, "rd-%d", (int)getpid());
  snprintf(R.full, sizeof R.full, "berth.test=%s", R.label);
  snprintf(R.image, sizeof R.image, "localhost/berth-test-%s:1", R.label);
  snprintf(R.dir, sizeof R.dir, "/tmp/berth-test-%s", R.label);
  mkdir(R.dir, 0700);
  BT_AUTO_FREE char *modules = test_modules("plugins");
  const char *dirs[] = {modules, NULL};
  test_open_server(dirs);
}

/* The entry's configuration for runtime-oci; BERTH_TEST_STORAGE is its storage. The caller frees. */
static char *oci_config(void) {
  const char *storage = getenv("BERTH_TEST_STORAGE");
  return bt_asprintf("{\"root\":\"%s/oci\",\"run\":\"%s/run\",\"programs\":\"%s/programs\",\"storage\":\"%s\"}", R.dir, R.dir, R.dir, storage ? storage : "auto");
}

static bool oci_setup(void) {
  const char *top = getenv("top_builddir") ? getenv("top_builddir") : ".";
  if (geteuid() != 0 || access("/bin/busybox", X_OK) != 0 || !sh("command -v crun >/dev/null"))
    return false;
  /* Bridges and rules of a network namespace of our own: nothing of them stays. Before any thread is there. */
  if (unshare(CLONE_NEWNET) != 0 || !sh("ip link set lo up"))
    return false;
  R.oci = true;
  rt_open("");
  BT_AUTO_FREE char *config = oci_config();
  if (!sh("mkdir %s/programs && for p in plugins/runtime-oci/berth-monitor plugins/runtime-oci/berth-copy plugins/runtime-oci/berth-image plugins/runtime-oci/berth-resolver plugins/runtime-oci/berth-init; do "
          "[ ! -e %s/$p ] || ln -s $(realpath %s/$p) %s/programs/; done", R.dir, top, top, R.dir))
    return false;
  rt_load(config);
  ok(image_make(), "an image is made for runtime-oci");
  return true;
}

/* Loads the plug-in and makes the image. False where there is no engine. */
__attribute__((unused)) static bool rt_setup(void) {
  if (bt_streq(getenv("BERTH_TEST_RUNTIME"), "oci"))
    return oci_setup();
  const char *path = getenv("BERTH_TEST_ENGINE") ? getenv("BERTH_TEST_ENGINE") : "/var/run/docker.sock";
  if (!engine_there(path) || access("/bin/busybox", X_OK) != 0 || !sh("command -v docker >/dev/null"))
    return false;
  rt_open(path);
  BT_AUTO_FREE char *config = bt_asprintf("{\"host\":\"unix://%s\"}", R.socket);
  rt_load(config);
  BT_AUTO_FREE char *version = sh_line(DOCKER "version -f '{{json .}}' 2>/dev/null", R.socket);
  R.podman = strstr(version, "Podman") != NULL;
  ok(image_make(), "an image is made on %s", R.podman ? "Podman" : "Docker");
  return true;
}

static void rt_cleanup_objects(void) {
  sh("for c in $(" DOCKER "ps -aq -f label=%s); do " DOCKER "rm -fv $c; done >/dev/null 2>&1", R.socket, R.full, R.socket);
  sh("for n in $(" DOCKER "network ls -q -f label=%s); do " DOCKER "network rm $n; done >/dev/null 2>&1", R.socket, R.full, R.socket);
  sh("for v in $(" DOCKER "volume ls -q -f label=%s); do " DOCKER "volume rm $v; done >/dev/null 2>&1", R.socket, R.full, R.socket);
  sh("for i in $(" DOCKER "images --format '{{.Repository}}:{{.Tag}}' | grep 'localhost/berth-test-%s[-:]') $(" DOCKER "images -q -f label=%s); do "
     DOCKER "rmi -f $i; done >/dev/null 2>&1", R.socket, R.label, R.socket, R.full, R.socket);
}

/* What tests left, by the plug-in itself. */
static void oci_cleanup(void) {
  struct berth_runtime_list list = {.size = sizeof list};
  RT all = {0};
  rt(&all, list, &list);
  size_t i;
  json_t *c;
  json_array_foreach(bt_json_arr(all.result, "containers"), i, c) {
    printf("# left over: container %s\n", bt_json_str(c, "name"));
    struct berth_runtime_container request = {.size = sizeof request, .id = bt_json_str(c, "id"), .force = true, .volumes = true};
    RT gone = {0};
    rt(&gone, remove, &request);
  }
}

__attribute__((unused)) static int rt_finish(void) {
  if (R.oci)
    oci_cleanup();
  test_free_server();
  if (!R.oci && engine_there(R.socket))
    rt_cleanup_objects();
  sh("rm -rf %s", R.dir);
  return done_testing();
}

/* ---------------------------------------------------------------- containers */

/* Creates a container from a service (JSON) and more members of the spec ("\"ports\":[…]" or NULL); its id, or "" where it
 * fails. The caller frees. */
__attribute__((unused)) static char *make(const char *name, const char *service, const char *plain) {
  BT_AUTO_FREE char *more = plain ? own(plain) : NULL;
  BT_AUTO_FREE char *spec = bt_asprintf("{\"name\":\"%s-%s\",\"image\":\"%s\",\"labels\":{\"berth.test\":\"%s\"},\"service\":%s%s%s}", R.label,
                                        name, R.image, R.label, service, more ? "," : "", more ? more : "");
  struct berth_runtime_create request = {.size = sizeof request, .spec_json = spec};
  RT c = {0};
  rt(&c, create, &request);
  rt_is(&c, BT_OK, name);
  return bt_strdup(rt_str(&c, "id"));
}

#define container(c, verb, ...)                                                                            \
  do {                                                                                                     \
    struct berth_runtime_container request_ = {.size = sizeof request_, __VA_ARGS__};                      \
    rt(c, verb, &request_);                                                                              \
  } while (0)

__attribute__((unused)) static void start(const char *id) {
  RT c = {0};
  container(&c, start, .id = id);
  rt_is(&c, BT_OK, "start");
}

__attribute__((unused)) static void discard(char *id) {
  RT c = {0};
  if (*id)
    container(&c, remove, .id = id, .force = true, .volumes = true);
  else
    c.done = true;
  rt_is(&c, BT_OK, "remove");
  free(id);
}

/* Runs a shell command in a container and waits; c->out and c->err hold what it printed. */
__attribute__((unused)) static void run_in(struct rt *c, const char *id, const char *command) {
  BT_AUTO_JSON words = json_pack("[s,s,s]", "sh", "-c", command);
  BT_AUTO_FREE char *text = json_dumps(words, 0);
  struct berth_runtime_exec request = {.size = sizeof request, .id = id, .command_json = text};
  rt(c, exec, &request);
}

/* The output of a shell command in a container is this. */
__attribute__((unused)) static void inside(const char *id, const char *plain, const char *wanted) {
  RT c = {0};
  BT_AUTO_FREE char *command = own(plain);
  BT_AUTO_FREE char *want = own(wanted);
  run_in(&c, id, command);
  while (c.out.len && c.out.data[c.out.len - 1] == '\n')
    bt_buf_truncate(&c.out, c.out.len - 1);
  is_str(c.out.data ? c.out.data : "", want, command);
  if (c.code || c.err.len)
    printf("# %s %s\n", c.message, c.err.data ? c.err.data : "");
}

/* A member of the normalised inspect, as compact JSON. The caller frees. */
__attribute__((unused)) static char *seen(const char *id, const char *key) {
  RT c = {0};
  container(&c, inspect, .id = id);
  json_t *v = json_object_get(c.result, key);
  return v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : bt_strdup(c.done ? c.message : "nothing");
}

/* Waits until a container has ended. */
__attribute__((unused)) static void rt_ended(const char *id) {
  for (int i = 0; i < 1000; i++) {
    BT_AUTO_FREE char *state = seen(id, "state");
    if (bt_streq(state, "\"exited\""))
      return;
    run_for(20);
  }
  ok(false, "the container ended");
}

__attribute__((unused)) static void seen_is(const char *id, const char *key, const char *want) {
  BT_AUTO_FREE char *got = seen(id, key);
  is_str(got, want, key);
}

#endif
