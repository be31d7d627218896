/* runtime-docker on a real engine and a real docker-registry: pull, build, prune. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "plugins/runtime.h"

/* ---------------------------------------------------------------- a registry */

static struct {
  pid_t pid;
  int port;
} registry;

static int free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof a;
  BT_AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BT_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
  return ntohs(a.sin_port);
}

static bool port_open(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  BT_AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
}

static bool registry_start(void) {
  registry.port = free_port();
  BT_AUTO_FREE char *config = bt_asprintf("%s/registry.yml", R.dir);
  BT_AUTO_FREE char *text = bt_asprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/registry}}\n"
                                        "auth: {htpasswd: {realm: test, path: %s/htpasswd}}\nhttp: {addr: '127.0.0.1:%d'}\n", R.dir, R.dir, registry.port);
  write_file(config, text);
  if (!sh("command -v docker-registry >/dev/null && command -v skopeo >/dev/null && htpasswd -Bbn ann secret >%s/htpasswd 2>/dev/null", R.dir))
    return false;
  registry.pid = fork();
  if (registry.pid == 0) {
    int log = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(log, 1);
    dup2(log, 2);
    execlp("docker-registry", "docker-registry", "serve", config, (char *)NULL);
    _exit(127);
  }
  for (int i = 0; i < 200 && !port_open(registry.port); i++)
    usleep(50000);
  return port_open(registry.port);
}

static void registry_stop(void) {
  if (registry.pid > 0) {
    kill(registry.pid, SIGTERM);
    waitpid(registry.pid, NULL, 0);
  }
}

/* ---------------------------------------------------------------- pull */

static const char ann[] = "{\"username\":\"ann\",\"password\":\"secret\"}";

/* An image of some MiB that do not compress, in the registry and gone from the engine. */
static char *pushed(void) {
  char *name = bt_asprintf("127.0.0.1:%d/team/big", registry.port);
  ok(sh("set -e; cd %s; mkdir -p big; head -c 12000000 /dev/urandom >big/data; tar -C big -c . | " DOCKER "import -c 'LABEL berth.test=%s' - %s:1 >/dev/null; "
        DOCKER "save -o big.tar %s:1; skopeo copy -q --dest-tls-verify=false --dest-creds ann:secret docker-archive:big.tar docker://%s:1; "
        DOCKER "rmi %s:1 >/dev/null", R.dir, R.socket, R.label, name, R.socket, name, name, R.socket, name),
     "an image is in the registry");
  return name;
}

static void pull(struct rt *c, const char *image, const char *auth) {
  struct berth_runtime_image request = {.size = sizeof request, .image = image, .auth_json = auth};
  rt(c, image_pull, &request);
}

/* The engine gives no name to what is pulled by digest: its list says <none>, and who asks for the name does not find it. */
static void test_pull_by_digest(const char *name, const char *at_digest) {
  BT_AUTO_FREE char *bare = bt_asprintf("%s%s", name, at_digest), *full = bt_asprintf("%s:1%s", name, at_digest);
  BT_AUTO_FREE char *tag = bt_asprintf("%s:1", name);
  sh(DOCKER "rmi -f %s >/dev/null 2>&1", R.socket, tag);
  RT nameless = {0}, named = {0};
  pull(&nameless, bare, ann);
  rt_is(&nameless, BT_OK, "pull by digest");
  is_int(json_array_size(bt_json_arr(nameless.result, "tags")), 0, "which has no name");
  pull(&named, full, ann);
  rt_is(&named, BT_OK, "pull by name, tag and digest");
  is_str(json_string_value(json_array_get(bt_json_arr(named.result, "tags"), 0)), tag, "which has one");
  is_str(bt_json_str(named.result, "id"), bt_json_str(nameless.result, "id"), "and is the same");
}

static void test_pull(void) {
  if (!registry_start()) {
    ok(true, "pull # SKIP docker-registry, skopeo or htpasswd is missing");
    return;
  }
  BT_AUTO_FREE char *name = pushed();
  BT_AUTO_FREE char *tagged = bt_asprintf("%s:1", name);
  RT c = {0}, anonymous = {0}, wrong = {0}, missing = {0}, again = {0}, away = {0};
  pull(&anonymous, tagged, NULL);
  ok(anonymous.code == BT_UNAUTHENTICATED || anonymous.code == BT_DENIED, "without credentials: %s", anonymous.message);
  pull(&wrong, tagged, "{\"username\":\"ann\",\"password\":\"guess\"}");
  rt_is(&wrong, BT_UNAUTHENTICATED, "with a wrong password");
  ok(!strstr(wrong.message, "guess"), "which is not told");
  pull(&c, tagged, ann);
  rt_is(&c, BT_OK, "image_pull");
  ok(json_array_size(c.objects) >= 3, "progress in %d steps", (int)json_array_size(c.objects));
  bool counted = false;
  size_t i;
  json_t *o;
  json_array_foreach(c.objects, i, o)
    counted = counted || bt_json_int(o, "total", 0) > 1000000;
  if (rt_has(!R.podman, "with sizes", "Podman's progress has none"))
    ok(counted, "with sizes");
  const char *digest = json_string_value(json_array_get(bt_json_arr(c.result, "digests"), 0));
  ok(digest && strstr(digest, "@sha256:"), "and a digest: %s", digest ? digest : "none");
  test_pull_by_digest(name, digest ? strchr(digest, '@') : "");
  pull(&again, tagged, ann);
  rt_is(&again, BT_OK, "pull what is there");
  BT_AUTO_FREE char *none = bt_asprintf("%s:none", name);
  pull(&missing, none, ann);
  rt_is(&missing, BT_NOT_FOUND, "a tag that is not there");
  sh(DOCKER "rmi %s >/dev/null 2>&1", R.socket, tagged);
  RT cancelled = {0};
  struct berth_runtime_image request = {.size = sizeof request, .image = tagged, .auth_json = ann};
  rt_begin(&cancelled, image_pull, &request);
  rt_wait(&cancelled, rt_want_object, "text", 10000);
  bt_plugin_cancel(R.entry, cancelled.op);
  run_until(&cancelled.done, 5000);
  ok(cancelled.code == BT_CANCELLED, "a pull is cancelled");
  registry_stop();
  BT_AUTO_FREE char *gone = bt_asprintf("%s:2", name);
  pull(&away, gone, ann);
  rt_is(&away, BT_UNAVAILABLE, "a registry that is away");
  RT id = {0};
  pull(&id, "sha256:0123", NULL);
  rt_is(&id, BT_INVALID, "an id cannot be pulled");
  sh(DOCKER "rmi -f %s %s >/dev/null 2>&1", R.socket, tagged, digest ? digest : tagged);
}

/* ---------------------------------------------------------------- build */

static void build(struct rt *c, const char *folder, const char *spec, const char *tag) {
  BT_AUTO_FREE char *tags = bt_asprintf("[\"localhost/berth-test-%s-%s:1\"]", R.label, tag);
  struct berth_runtime_build request = {.size = sizeof request, .context = folder, .build_json = spec, .tags_json = tags};
  rt(c, image_build, &request);
}

static void runs(const char *tag, const char *command, const char *want) {
  BT_AUTO_JSON spec = json_pack("{s:s+, s:{s:s}, s:s, s:{s:[s,s,s]}}", "name", R.label, "-run", "labels", "berth.test", R.label,
                                "network_mode", "none", "service", "command", "sh", "-c", command);
  BT_AUTO_FREE char *image = bt_asprintf("localhost/berth-test-%s-%s:1", R.label, tag);
  json_object_set_new(spec, "image", json_string(image));
  BT_AUTO_FREE char *text = json_dumps(spec, 0);
  struct berth_runtime_create create = {.size = sizeof create, .spec_json = text};
  RT c = {0}, l = {0};
  rt(&c, create, &create);
  BT_AUTO_FREE char *id = bt_strdup(rt_str(&c, "id"));
  start(id);
  struct berth_runtime_logs logs = {.size = sizeof logs, .id = id, .follow = true, .tail = -1};
  rt(&l, logs, &logs);
  if (l.out.len && l.out.data[l.out.len - 1] == '\n')
    bt_buf_truncate(&l.out, l.out.len - 1);
  is_str(l.out.data ? l.out.data : "", want, command);
  discard(bt_strdup(id));
  sh(DOCKER "rmi -f %s >/dev/null 2>&1", R.socket, image);
}

static void test_build(void) {
  BT_AUTO_FREE char *folder = bt_asprintf("%s/context", R.dir);
  BT_AUTO_FREE char *dockerfile = bt_asprintf("%s/context/Dockerfile", R.dir);
  BT_AUTO_FREE char *outside = bt_asprintf("%s/Other", R.dir);
  sh("set -e; cd %s; mkdir -p context/src/deep context/node_modules/x; echo a >context/src/a.c; echo o >context/src/a.o; echo k >context/src/deep/keep.o; "
     "echo n >context/node_modules/x/n.js; ln -s a.c context/src/link; echo '#!/bin/sh' >context/src/run; chmod 755 context/src/run; mkfifo context/src/pipe; "
     "printf 'node_modules\\n**/*.o\\n!src/deep/keep.o\\nDockerfile\\n' >context/.dockerignore", R.dir);
  BT_AUTO_FREE char *text = bt_asprintf("FROM %s AS base\nARG WHO=nobody\nLABEL berth.test=%s\nCOPY . /ctx\nRUN echo hello $WHO >/who\nFROM base AS second\nRUN echo two >/two\n",
                                        R.image, R.label);
  write_file(dockerfile, text);
  RT c = {0}, other = {0}, inlined = {0}, failing = {0}, cache = {0}, nofile = {0}, nofolder = {0}, syntax = {0};
  build(&c, folder, "{\"args\":{\"WHO\":\"me\"},\"labels\":{\"k\":\"v\"},\"target\":\"base\"}", "b");
  rt_is(&c, BT_OK, "image_build");
  ok(bt_starts(rt_str(&c, "id"), "sha256:"), "gives an id: %s", rt_str(&c, "id"));
  ok(json_array_size(c.objects) >= 3, "and tells its steps: %d", (int)json_array_size(c.objects));
  runs("b", "cd /ctx; echo $(find . -type f | sort) $(cat /who) $(readlink src/link) $(test -x src/run && echo x) $(ls / | grep -c two)",
       "./.dockerignore ./src/a.c ./src/deep/keep.o ./src/run hello me a.c x 0");
  write_file(outside, text);
  build(&other, folder, "{\"dockerfile\":\"../Other\"}", "o");
  rt_is(&other, BT_OK, "a Dockerfile from outside of the context");
  runs("o", "echo $(ls -a /ctx) $(cat /who /two)", ". .. src hello nobody two");
  BT_AUTO_FREE char *in = bt_asprintf("{\"dockerfile_inline\":\"FROM %s\\nRUN echo inlined >/in\\n\"}", R.image);
  build(&inlined, folder, in, "i");
  rt_is(&inlined, BT_OK, "a Dockerfile in the spec");
  runs("i", "cat /in", "inlined");
  BT_AUTO_FREE char *bad = bt_asprintf("{\"dockerfile_inline\":\"FROM %s\\nRUN echo oh no >&2; exit 7\\n\"}", R.image);
  build(&failing, folder, bad, "f");
  rt_is(&failing, BT_INVALID, "a step that fails");
  ok(strstr(failing.message, "exit 7") && strstr(failing.message, "7"), "is named");
  bool said = false;
  size_t i;
  json_t *o;
  json_array_foreach(failing.objects, i, o)
    said = said || (bt_json_str(o, "text") && strstr(bt_json_str(o, "text"), "oh no"));
  ok(said, "with what it printed");
  build(&cache, folder, "{\"cache_to\":[\"x\"]}", "s");
  rt_is(&cache, BT_UNSUPPORTED, "what the engine's API has no words for is refused by name");
  build(&nofile, folder, "{\"dockerfile\":\"None\"}", "n");
  rt_is(&nofile, BT_INVALID, "a Dockerfile that is not there");
  build(&nofolder, "/no/such/folder", "{}", "n");
  rt_is(&nofolder, BT_INVALID, "a context that is not there");
  build(&syntax, folder, "{\"dockerfile_inline\":\"FRUM x\\n\"}", "n");
  ok(syntax.code != BT_OK && strcasestr(syntax.message, "fr"), "a Dockerfile with a slip");
}

/* ---------------------------------------------------------------- build on BuildKit */

/* BuildKit keeps a cache of its own, which no label marks: what came while the test ran goes at its end, but what another is using. */
static void cache_note(const char *name) {
  sh("curl -s --unix-socket %s http://engine/system/df | jq -r '.BuildCache[]?.ID' | sort >%s/%s", R.socket, R.dir, name);
}

static void cache_clean(void) {
  cache_note("cache.after");
  sh("cd %s; ids=$(comm -13 cache.before cache.after | paste -sd '|'); [ -z \"$ids\" ] || curl -s -o /dev/null --unix-socket %s -X POST -G http://engine/build/prune "
     "--data-urlencode all=1 --data-urlencode \"filters={\\\"id\\\":[\\\"^($ids)$\\\"]}\"", R.dir, R.socket);
}

static char value[] = "s3cr\0t-of-the-build\n"; /* with a NUL, so that it is a file's bytes and not a text */

static void build_secret(struct rt *c, const char *folder, const char *spec, const char *tag, size_t len, size_t n) {
  BT_AUTO_FREE char *tags = bt_asprintf("[\"localhost/berth-test-%s-%s:1\"]", R.label, tag);
  BT_AUTO_FREE char *big = bt_calloc(1, 500 * 1024 + 1);
  memcpy(big, value, sizeof value - 1);
  const struct berth_runtime_secret secrets[] = {{"token", big, len}, {"other", "o", 1}};
  struct berth_runtime_build request = {.size = sizeof request, .context = folder, .build_json = spec, .tags_json = tags, .secrets = secrets, .nsecrets = n};
  rt(c, image_build, &request);
}

static bool told(const struct rt *c, const char *text) {
  size_t i;
  json_t *o;
  json_array_foreach(c->objects, i, o)
    if (bt_json_str(o, "text") && strstr(bt_json_str(o, "text"), text))
      return true;
  return false;
}

static void test_build_secrets(void) {
  static const char spec[] = "{\"secrets\":[{\"source\":\"token\"}],\"args\":{\"WHO\":\"me\"},\"labels\":{\"k\":\"v\"},\"no_cache\":true,\"target\":\"base\"}";
  BT_AUTO_FREE char *folder = bt_asprintf("%s/secrets", R.dir);
  BT_AUTO_FREE char *dockerfile = bt_asprintf("%s/secrets/Dockerfile", R.dir);
  sh("mkdir -p %s; echo hello >%s/file; echo out >%s/left; echo left >%s/.dockerignore", folder, folder, folder, folder);
  BT_AUTO_FREE char *text = bt_asprintf("FROM %s AS base\nARG WHO\nLABEL berth.test=%s\nCOPY . /ctx\n"
                                        "RUN --mount=type=secret,id=token wc -c </run/secrets/token >/size; sha256sum </run/secrets/token >/sum; ls -ln /run/secrets/token\n"
                                        "RUN --mount=type=secret,id=none ls /run/secrets 2>/dev/null >/none; echo $WHO >/who\nFROM base AS more\nRUN echo more >/more\n",
                                        R.image, R.label);
  write_file(dockerfile, text);
  RT c = {0}, failing = {0}, bare = {0}, missing = {0}, large = {0}, full = {0}, required = {0}, nothing = {0};
  build_secret(&c, folder, spec, "bk", sizeof value - 1, 1);
  if (R.podman) {
    rt_is(&c, BT_UNSUPPORTED, "Podman has no BuildKit");
    ok(strstr(c.message, "build.secrets") && strstr(c.message, "Podman"), "and is named");
    rt_has(false, "builds with secrets", "Podman's service has no sessions; that they are refused is tested");
    return;
  }
  rt_is(&c, BT_OK, "build.secrets");
  ok(bt_starts(rt_str(&c, "id"), "sha256:"), "gives an id: %s", rt_str(&c, "id"));
  ok(told(&c, "RUN --mount=type=secret,id=token"), "and tells its steps: %d", (int)json_array_size(c.objects));
  ok(told(&c, "-r-------- "), "and what they print");
  BT_AUTO_FREE char *image = bt_asprintf("localhost/berth-test-%s-bk:1", R.label);
  ok(sh("cd %s && " DOCKER "save %s >secrets.tar && mkdir -p saved && tar -C saved -xf secrets.tar && ! grep -rq 't-of-the-build' saved && "
        "for l in saved/*/layer.tar; do ! tar -xOf $l | grep -q 't-of-the-build' || exit 1; done", R.dir, R.socket, image),
     "its layers, history and configuration do not hold the secret");
  ok(sh("! " DOCKER "history --no-trunc %s | grep -q 't-of-the-build'", R.socket, image), "nor does docker history");
  ok(sh("cd %s && cat saved/*/layer.tar | grep -ac hello >count", R.dir), "(what is in the layers would have been found)");
  BT_AUTO_FREE char *sum = sh_line("printf 's3cr\\000t-of-the-build\\n' | sha256sum | cut -c1-64");
  BT_AUTO_FREE char *want = bt_asprintf("%d %s - me  file v", (int)sizeof value - 1, sum);
  BT_AUTO_FREE char *label = sh_line(DOCKER "inspect -f '{{index .Config.Labels \"k\"}}' %s", R.socket, image);
  BT_AUTO_FREE char *command = bt_asprintf("echo \"$(cat /size) $(cat /sum | tr -s ' ') $(cat /who) $(cat /none) $(ls /ctx | grep -v Docker) %s\"", label);
  runs("bk", command, want);

  BT_AUTO_FREE char *bad = bt_asprintf("{\"secrets\":[{\"source\":\"token\"}],\"dockerfile_inline\":\"FROM %s\\nRUN echo first\\nRUN echo oh no >&2; exit 7\\n\"}", R.image);
  build_secret(&failing, folder, bad, "bf", 5, 1);
  rt_is(&failing, BT_INVALID, "a step that fails");
  ok(strstr(failing.message, "RUN echo oh no") && strstr(failing.message, "exit code: 7") && told(&failing, "oh no"), "is named, with what it printed");
  BT_AUTO_FREE char *mount = bt_asprintf("{\"dockerfile_inline\":\"FROM %s\\nLABEL berth.test=%s\\nRUN --mount=type=tmpfs,target=/t echo fine >/x\\n\"}", R.image, R.label);
  build(&bare, folder, mount, "bm");
  rt_is(&bare, BT_OK, "RUN --mount alone takes BuildKit too");
  runs("bm", "cat /x", "fine");
  BT_AUTO_FREE char *must = bt_asprintf("{\"secrets\":[{\"source\":\"token\"}],\"dockerfile_inline\":\"FROM %s\\nRUN --mount=type=secret,id=absent,required true\\n\"}", R.image);
  build_secret(&required, folder, must, "br", 5, 1);
  ok(required.code != BT_OK && strstr(required.message, "absent"), "a secret that the Dockerfile requires and the build does not give: %s", required.message);
  build_secret(&missing, folder, spec, "bn", 5, 0);
  rt_is(&missing, BT_INVALID, "a secret without its value");
  build_secret(&large, folder, spec, "bl", 500 * 1024 + 1, 2);
  rt_is(&large, BT_TOO_LARGE, "one over 500 KiB");
  ok(strstr(large.message, "token"), "is named");
  BT_AUTO_FREE char *all = bt_asprintf("{\"secrets\":[{\"source\":\"token\"}],\"dockerfile_inline\":\"FROM %s\\nLABEL berth.test=%s\\nRUN --mount=type=secret,id=token wc -c </run/secrets/token >/size\\n\"}", R.image, R.label);
  build_secret(&full, folder, all, "bg", 500 * 1024, 2);
  rt_is(&full, BT_OK, "one of 500 KiB");
  runs("bg", "cat /size", "512000");
  build_secret(&nothing, "/no/such/folder", spec, "bn", 5, 1);
  rt_is(&nothing, BT_INVALID, "a context that is not there");
}

/* ---------------------------------------------------------------- build.ssh */

/* An agent that turns each byte's case, so that both ways are seen; ends a connection when it reads a NUL. A process: the loop is ours. */
static pid_t agent_start(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BT_ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 5) == 0);
  pid_t pid = fork();
  for (int c; pid == 0 && (c = accept(fd, NULL, NULL)) >= 0; close(c)) {
    char piece[4096];
    for (ssize_t n; (n = read(c, piece, sizeof piece)) > 0 && piece[n - 1];) {
      for (ssize_t i = 0; i < n; i++)
        piece[i] = (char)(piece[i] ^ 32);
      for (ssize_t at = 0, w; at < n && (w = write(c, piece + at, (size_t)(n - at))) > 0;)
        at += w;
    }
  }
  if (pid == 0)
    _exit(0);
  close(fd);
  return pid;
}

/* Sends argv[1] letters to the agent while it reads them back, then a NUL, and waits for the end. */
static const char client[] =
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <sys/socket.h>\n#include <sys/un.h>\n#include <unistd.h>\n"
    "int main(int argc, char **argv) {\n  struct sockaddr_un a = {.sun_family = AF_UNIX};\n  char b[4096];\n  long n = argc > 1 ? atol(argv[1]) : 0, got = 0, good = 0;\n"
    "  snprintf(a.sun_path, sizeof a.sun_path, \"%s\", getenv(\"SSH_AUTH_SOCK\"));\n  int fd = socket(AF_UNIX, SOCK_STREAM, 0);\n"
    "  if (connect(fd, (struct sockaddr *)&a, sizeof a)) { perror(\"connect\"); return 1; }\n  memset(b, 'a', sizeof b);\n"
    "  while (got < n) {\n    long m = n - got < 4096 ? n - got : 4096, k = 0;\n    if (write(fd, b, m) != m) return 2;\n    char r[4096];\n"
    "    for (ssize_t x; k < m && (x = read(fd, r + k, m - k)) > 0;) k += x;\n    if (k < m) break;\n    for (long i = 0; i < m; i++) good += r[i] == 'A';\n    got += m;\n  }\n"
    "  if (write(fd, \"\", 1) != 1 || read(fd, b, 1) != 0) return 3;\n  printf(\"%ld good\\n\", good);\n  return 0;\n}\n";

static void test_build_ssh(void) {
  BT_AUTO_FREE char *folder = bt_asprintf("%s/ssh", R.dir);
  BT_AUTO_FREE char *dockerfile = bt_asprintf("%s/ssh/Dockerfile", R.dir);
  BT_AUTO_FREE char *source = bt_asprintf("%s/client.c", R.dir);
  BT_AUTO_FREE char *path = bt_asprintf("%s/agent.sock", R.dir);
  BT_AUTO_FREE char *spec = bt_asprintf("{\"no_cache\":true,\"ssh\":{\"default\":\"%s\",\"other\":\"%s\"}}", path, path);
  BT_AUTO_FREE char *file = bt_asprintf("{\"ssh\":{\"default\":\"%s\"}}", source);
  write_file(source, client);
  if (!sh("mkdir -p %s && gcc -static -o %s/client %s 2>/dev/null", folder, folder, source)) {
    ok(true, "build.ssh # SKIP no static program can be made");
    return;
  }
  BT_AUTO_FREE char *text = bt_asprintf("FROM %s\nLABEL berth.test=%s\nCOPY client /client\nRUN --mount=type=ssh /client 5 >/a && /client 500000 >/b\n"
                                        "RUN --mount=type=ssh,id=other /client 0 >/c\nRUN --mount=type=ssh,id=none true\n", R.image, R.label);
  write_file(dockerfile, text);
  RT c = {0}, none = {0}, key = {0}, gone = {0}, unasked = {0};
  pid_t pid = agent_start(path);
  build(&c, folder, spec, "ssh");
  if (rt_is(&c, R.podman ? BT_UNSUPPORTED : BT_OK, "build.ssh") && !R.podman)
    runs("ssh", "echo $(cat /a /b /c)", "5 good 500000 good 0 good");
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  build(&none, folder, "{\"ssh\":{\"default\":null}}", "ssh");
  ok(none.code == BT_INVALID && strstr(none.message, "SSH_AUTH_SOCK"), "without a socket: %s", none.message);
  build(&key, folder, file, "ssh");
  ok(key.code == BT_INVALID && strstr(key.message, "ssh-agent"), "a file: %s", key.message);
  if (rt_has(!R.podman, "builds with agents of ssh", "Podman's service has no sessions; that they are refused is tested")) {
    build(&gone, folder, spec, "ssh");
    ok(gone.code != BT_OK && strstr(gone.message, "/client 5"), "an agent that is gone fails the step: %s", gone.message);
    BT_AUTO_FREE char *must = bt_asprintf("{\"dockerfile_inline\":\"FROM %s\\nRUN --mount=type=ssh,required true\\n\"}", R.image);
    build(&unasked, folder, must, "ssh");
    ok(unasked.code != BT_OK, "one that the Dockerfile requires and the build does not give: %s", unasked.message);
  }
}

/* The context is sent by a request of its own: its end and the build's do not wait for each other. */
static void test_buildkit_context(void) {
  BT_AUTO_FREE char *folder = bt_asprintf("%s/large", R.dir);
  BT_AUTO_FREE char *config = bt_asprintf("{\"host\":\"unix://%s\",\"build_context_max\":1048576}", R.socket);
  BT_AUTO_FREE char *back = bt_asprintf("{\"host\":\"unix://%s\"}", R.socket);
  BT_AUTO_FREE char *spec = bt_strdup("{\"secrets\":[{\"source\":\"token\"}]}");
  RT c = {0}, small = {0}, early = {0}, cancelled = {0};
  build_secret(&c, folder, spec, "bx", 5, 1);
  rt_is(&c, BT_OK, "a context of 40 MB");
  BT_AUTO_FREE char *sum = sh_line("sha256sum <%s/data | cut -c1-16", folder);
  runs("bx", "sha256sum </payload | cut -c1-16", sum);
  rt_load(config);
  build_secret(&small, folder, spec, "bx", 5, 1);
  rt_is(&small, BT_TOO_LARGE, "a context over build_context_max");
  rt_load(back);
  build_secret(&early, folder, spec, "UPPER", 5, 1);
  ok(early.code == BT_INVALID && strstr(early.message, "lowercase"), "an engine that refuses before it has the context: %s", early.message);
  BT_AUTO_FREE char *tags = bt_asprintf("[\"localhost/berth-test-%s-bx:1\"]", R.label);
  const struct berth_runtime_secret secrets[] = {{"token", "x", 1}};
  struct berth_runtime_build request = {.size = sizeof request, .context = folder, .build_json = spec, .tags_json = tags, .secrets = secrets, .nsecrets = 1};
  rt_begin(&cancelled, image_build, &request);
  run_for(60);
  bt_plugin_cancel(R.entry, cancelled.op);
  run_until(&cancelled.done, 5000);
  rt_is(&cancelled, BT_CANCELLED, "a build is cancelled while its context is sent");
}

static void test_build_large(void) {
  BT_AUTO_FREE char *folder = bt_asprintf("%s/large", R.dir);
  sh("set -e; mkdir -p %s; head -c 40000000 /dev/urandom >%s/data; printf 'FROM %s\\nLABEL berth.test=%s\\nCOPY data /payload\\n' >%s/Dockerfile", folder, folder, R.image, R.label,
     folder);
  struct bt_loop_stats before;
  bt_loop_stats_reset(T.loop);
  RT c = {0}, small = {0};
  build(&c, folder, "{}", "l");
  bt_loop_stats(T.loop, &before);
  rt_is(&c, BT_OK, "a context of 40 MB");
  printf("# worst stall: %lld us (%s)\n", (long long)before.worst_us, before.worst_name);
  BT_AUTO_FREE char *sum = sh_line("sha256sum <%s/data | cut -c1-16", folder);
  runs("l", "sha256sum </payload | cut -c1-16", sum);
  BT_AUTO_FREE char *config = bt_asprintf("{\"host\":\"unix://%s\",\"build_context_max\":1048576}", R.socket);
  rt_load(config);
  build(&small, folder, "{}", "l");
  rt_is(&small, BT_TOO_LARGE, "a context over build_context_max");
  ok(strstr(small.message, "data"), "names the file");
  BT_AUTO_FREE char *back = bt_asprintf("{\"host\":\"unix://%s\"}", R.socket);
  rt_load(back);
  RT early = {0};
  build(&early, folder, "{}", "UPPER");
  if (rt_has(!R.podman, "a refusal before the whole context", "Podman takes a name in capitals"))
    ok(early.code == BT_INVALID && strstr(early.message, "lowercase"), "an engine that refuses before it has the whole context: %s", early.message);
  RT cancelled = {0};
  BT_AUTO_FREE char *tags = bt_asprintf("[\"localhost/berth-test-%s-x:1\"]", R.label);
  struct berth_runtime_build request = {.size = sizeof request, .context = folder, .build_json = "{}", .tags_json = tags};
  rt_begin(&cancelled, image_build, &request);
  run_for(60);
  bt_plugin_cancel(R.entry, cancelled.op);
  run_until(&cancelled.done, 5000);
  rt_is(&cancelled, BT_CANCELLED, "a build is cancelled while its context is sent");
}

/* ---------------------------------------------------------------- list, import, remove */

static void test_store(void) {
  BT_AUTO_FREE char *tag = bt_asprintf("localhost/berth-test-%s-saved:1", R.label), *other = bt_asprintf("localhost/berth-test-%s-other:2", R.label);
  BT_AUTO_FREE char *file = bt_asprintf("%s/saved.tar", R.dir), *label = bt_asprintf("berth.saved=%s", R.label);
  /* An image of its own, so that it goes with its last name. */
  ok(sh("tar -C %s/root -c etc | " DOCKER "import -c 'LABEL %s' - %s >/dev/null && " DOCKER "save %s -o %s && " DOCKER "rmi %s >/dev/null", R.dir, R.socket, label, tag,
        R.socket, tag, file, R.socket, tag), "an archive of docker save");
  struct berth_runtime_import import = {.size = sizeof import, .path = file, .name = other};
  RT c = {0};
  rt(&c, image_import, &import);
  rt_is(&c, BT_OK, "image_import");
  is_int(json_array_size(bt_json_arr(c.result, "images")), 1, "of one image");
  struct berth_runtime_list list = {.size = sizeof list, .label = label};
  RT l = {0};
  rt(&l, image_list, &list);
  rt_is(&l, BT_OK, "image_list");
  BT_AUTO_FREE char *text = l.result ? json_dumps(l.result, JSON_COMPACT) : NULL;
  ok(text && strstr(text, tag) && strstr(text, other), "under the name that it brings and the one that was given");
  struct berth_runtime_image image = {.size = sizeof image, .image = tag};
  RT first = {0};
  rt(&first, image_remove, &image);
  rt_is(&first, BT_OK, "image_remove takes a name");
  is_int(bt_json_int(first.result, "freed", -1), 0, "which frees nothing");
  image.image = other;
  RT last = {0};
  rt(&last, image_remove, &image);
  rt_is(&last, BT_OK, "and the image with its last one");
  ok(bt_json_int(last.result, "freed", 0) > 0, "which does");
  RT gone = {0};
  rt(&gone, image_remove, &image);
  rt_is(&gone, BT_NOT_FOUND, "what is not there");
  RT bad = {0};
  import.path = "/etc/passwd";
  rt(&bad, image_import, &import);
  ok(bad.code != BT_OK, "what is no archive: %s", bad.message);
  RT folder = {0};
  import.path = "/etc";
  rt(&folder, image_import, &import);
  rt_is(&folder, BT_UNSUPPORTED, "a folder");
}

/* ---------------------------------------------------------------- prune */

/* Only what carries a label of its own: the engine is shared. */
static void test_prune(void) {
  BT_AUTO_FREE char *label = bt_asprintf("berth.prune=%s", R.label);
  sh("cd %s; mkdir -p p1 p2; echo 1 >p1/x; echo 2 >p2/x; tar -C p1 -c . | " DOCKER "import -c 'LABEL %s' - localhost/berth-test-%s-p1:1 >/dev/null; "
     "tar -C p2 -c . | " DOCKER "import -c 'LABEL %s' - localhost/berth-test-%s-p2:1 >/dev/null; "
     DOCKER "create --label berth.test=%s localhost/berth-test-%s-p2:1 true >/dev/null", R.dir, R.socket, label, R.label, R.socket, label, R.label, R.socket, R.label, R.label);
  struct berth_runtime_list request = {.size = sizeof request, .label = label};
  RT c = {0};
  rt(&c, image_prune, &request);
  rt_is(&c, BT_OK, "image_prune");
  BT_AUTO_FREE char *text = c.result ? json_dumps(c.result, JSON_COMPACT) : bt_strdup("");
  ok(json_array_size(bt_json_arr(c.result, "removed")) > 0, "what nobody uses is gone: %s", text);
  if (rt_has(!R.podman, "by its name", "Podman tells ids"))
    ok(strstr(text, "-p1:1"), "by its name: %s", text);
  struct berth_runtime_image used = {.size = sizeof used};
  BT_AUTO_FREE char *p1 = bt_asprintf("localhost/berth-test-%s-p1:1", R.label);
  BT_AUTO_FREE char *p2 = bt_asprintf("localhost/berth-test-%s-p2:1", R.label);
  RT a = {0}, b = {0};
  used.image = p1;
  rt(&a, image_inspect, &used);
  rt_is(&a, BT_NOT_FOUND, "indeed");
  used.image = p2;
  rt(&b, image_inspect, &used);
  rt_is(&b, BT_OK, "what a container uses stays");
}

/* Images over runtime-oci: its store is filled, read and pruned by programs of its own, which have tests of their own. */
static const char oci[] = "here images are made with docker's command; pulls, builds and the store of runtime-oci: test_runtime_oci_pull, _images, _store";
static const char sessions[] = "Podman's service has no sessions, which BuildKit needs";

int main(void) {
  if (!rt_setup())
    return skip_all("no container engine answers at /var/run/docker.sock, or docker or busybox-static is missing");
  RUN_WHERE(!R.oci, oci, test_pull);
  RUN_WHERE(!R.oci, oci, test_build);
  if (!R.oci)
    cache_note("cache.before");
  RUN_WHERE(!R.oci, oci, test_build_secrets);
  RUN_WHERE(!R.oci, oci, test_build_ssh);
  RUN_WHERE(!R.oci, oci, test_build_large);
  RUN_WHERE(!R.oci && !R.podman, R.oci ? oci : sessions, test_buildkit_context);
  if (!R.oci)
    cache_clean();
  RUN_WHERE(!R.oci, oci, test_store);
  RUN_WHERE(!R.oci, oci, test_prune);
  return rt_finish();
}
