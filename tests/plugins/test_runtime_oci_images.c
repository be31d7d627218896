/* runtime-oci's images through the plug-in, with a real docker-registry: pull with a login, import, list, remove, prune. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "plugins/runtime.h"

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

/* An archive as docker save makes it, with one layer of one file. */
static bool archive_make(const char *name, const char *tag, const char *text) {
  return sh("set -e; d=%s/%s; mkdir -p $d/l1; cd $d; mkdir -p root/bin; cp /bin/busybox root/bin/; printf '%s' >root/text; tar -C root -cf l1/layer.tar .; rm -rf root; "
            "id=$(sha256sum l1/layer.tar | cut -c1-64); "
            "printf '{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Labels\":{\"berth.test\":\"%s\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%%s\"]}}' $id >c.json; "
            "printf '[{\"Config\":\"c.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"l1/layer.tar\"]}]' >manifest.json; tar -cf ../%s.tar .",
            R.dir, name, text, name, tag, name);
}

static void load(void) {
  /* The programs of the build lie in folders of their own. */
  const char *build = getenv("top_builddir");
  BT_AUTO_FREE char *here = realpath(build ? build : ".", NULL);
  BT_ASSERT(sh("mkdir -p %s/programs && ln -s %s/plugins/runtime-oci/berth-image %s/programs/", R.dir, here, R.dir));
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"engine\",\"plugin\":\"runtime-oci\",\"config\":{\"root\":\"%s/store\",\"run\":\"%s/run\",\"programs\":\"%s/programs\"}}]",
                                        R.dir, R.dir, R.dir);
  test_load(json);
  R.entry = bt_plugins_named(T.plugins, "engine");
  BT_ASSERT(R.entry);
  ok(bt_plugin_status(R.entry) == BT_PLUGIN_OK, "the plug-in runs %s", bt_plugin_error(R.entry));
}

static size_t images_of(struct rt *c) { return json_array_size(bt_json_arr(c->result, "images")); }

static void list_is(size_t n, const char *label, const char *what) {
  RT c = {0};
  struct berth_runtime_list request = {.size = sizeof request, .label = label};
  rt(&c, image_list, &request);
  rt_is(&c, BT_OK, "image_list");
  is_int(images_of(&c), n, what);
}

static void pulls(const char *image, const char *digest) {
  static const char ann[] = "{\"username\":\"ann\",\"password\":\"secret\"}", bob[] = "{\"username\":\"bob\",\"password\":\"wrong\"}";
  struct berth_runtime_image request = {.size = sizeof request, .image = image};
  RT none = {0};
  rt(&none, image_inspect, &request);
  rt_is(&none, BT_NOT_FOUND, "an image that is not here");
  RT refused = {0};
  request.auth_json = bob;
  rt(&refused, image_pull, &request);
  rt_is(&refused, BT_UNAUTHENTICATED, "the wrong password");
  ok(refused.message && !strstr(refused.message, "wrong\""), "which nobody is told");
  RT pulled = {0};
  request.auth_json = ann;
  rt(&pulled, image_pull, &request);
  rt_is(&pulled, BT_OK, "the right one");
  ok(json_array_size(pulled.objects) > 0, "its progress is told");
  is_str(bt_json_str(pulled.result, "platform"), "linux/amd64", "for this platform");
  ok(!json_object_get(pulled.result, "layers"), "where it lies is nobody's business");
  BT_AUTO_FREE char *pinned = bt_asprintf("%.*s@%s", (int)(strrchr(image, ':') - image), image, digest);
  RT there = {0};
  request.image = pinned;
  rt(&there, image_inspect, &request);
  rt_is(&there, BT_OK, "and known by its digest");
  RT missing = {0};
  request.platform = "linux/s390x";
  rt(&missing, image_inspect, &request);
  rt_is(&missing, BT_NOT_FOUND, "but not for another machine");
}

static void imports(void) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/two.tar", R.dir);
  struct berth_runtime_import request = {.size = sizeof request, .path = path};
  RT c = {0};
  rt(&c, image_import, &request);
  rt_is(&c, BT_OK, "an archive of docker save");
  is_int(images_of(&c), 1, "one image came");
  list_is(2, NULL, "two are here");
  list_is(1, "berth.test=two", "one with that label");
  RT named = {0};
  request.name = "again:1";
  rt(&named, image_import, &request);
  rt_is(&named, BT_OK, "the same under another name");
  list_is(2, NULL, "is no other image");
  RT bad = {0};
  request.path = "/etc/passwd";
  rt(&bad, image_import, &request);
  rt_is(&bad, BT_INVALID, "what is no archive");
}

static void removes(void) {
  struct berth_runtime_image request = {.size = sizeof request, .image = "again:1"};
  RT name = {0};
  rt(&name, image_remove, &request);
  rt_is(&name, BT_OK, "a name");
  list_is(2, NULL, "the image stays");
  request.image = "two:1";
  RT image = {0};
  rt(&image, image_remove, &request);
  rt_is(&image, BT_OK, "the last name");
  ok(bt_json_int(image.result, "freed", 0) > 0, "gives room");
  list_is(1, NULL, "the image goes");
  RT again = {0};
  rt(&again, image_remove, &request);
  rt_is(&again, BT_NOT_FOUND, "what is gone");
  struct berth_runtime_list all = {.size = sizeof all};
  usleep(20000); /* what was used in the same millisecond stays */
  RT pruned = {0};
  rt(&pruned, image_prune, &all);
  rt_is(&pruned, BT_OK, "prune");
  list_is(0, NULL, "nothing is left");
}

/* Through buildah, where it is there; in a container of crun's, with a secret that is used and not kept. */
static void builds(void) {
  RT c = {0};
  BT_AUTO_FREE char *context = bt_asprintf("%s/context", R.dir);
  BT_ASSERT(sh("mkdir -p %s && cp /bin/busybox %s/", context, context));
  BT_AUTO_FREE char *file = bt_asprintf("%s/Dockerfile", context);
  write_file(file, "FROM scratch AS first\nCOPY busybox /bin/sh\nARG WORD=none\nRUN --mount=type=secret,id=tok sh -c 'echo said $WORD; sh /dev/null; read a </run/secrets/tok; echo ${#a} >/long'\n"
                   "FROM first AS other\nRUN exit 9\n");
  struct berth_runtime_secret secret = {.id = "tok", .data = "hunter2\n", .len = 8};
  struct berth_runtime_build request = {.size = sizeof request, .context = context, .tags_json = "[\"built:1\",\"built:2\"]", .secrets = &secret, .nsecrets = 1,
                                        .build_json = "{\"target\":\"first\",\"args\":{\"WORD\":\"hello\"},\"labels\":{\"berth.test\":\"built\"}}"};
  rt(&c, image_build, &request);
  if (c.code == BT_UNSUPPORTED && strstr(c.message, "not installed")) {
    ok(true, "# SKIP %s", c.message);
    return;
  }
  rt_is(&c, BT_OK, "a build");
  BT_AUTO_FREE char *told = json_dumps(c.objects, JSON_COMPACT);
  ok(told && strstr(told, "said hello"), "its output is told, and its arguments count");
  ok(told && !strstr(told, "hunter2"), "its secret is not");
  ok(bt_starts(rt_str(&c, "id"), "sha256:"), "it has an id");
  list_is(1, "berth.test=built", "and its labels");
  BT_AUTO_FREE char *length = sh_line("cat %s/store/images/l/*/long 2>/dev/null | head -n 1", R.dir);
  is_str(length, "7", "the secret was there to be read");
  ok(!sh("grep -rqs hunter2 %s/store", R.dir), "and is nowhere now");
  RT failed = {0};
  request.build_json = "{\"target\":\"other\"}";
  rt(&failed, image_build, &request);
  rt_is(&failed, BT_INVALID, "a step that fails");
  RT refused = {0};
  request.build_json = "{\"cache_from\":[\"x\"]}";
  rt(&refused, image_build, &request);
  rt_is(&refused, BT_UNSUPPORTED, "what is not done is refused by name");
  ok(strstr(refused.message, "build.cache_from"), "%s", refused.message);
}

/* A caller who gives up: the process ends with the call, and nothing half stays. */
static void cancels(const char *image) {
  struct berth_runtime_image request = {.size = sizeof request, .image = image, .auth_json = "{\"username\":\"ann\",\"password\":\"secret\"}"};
  RT c = {0};
  rt_begin(&c, image_pull, &request);
  bt_plugin_cancel(R.entry, c.op);
  run_until(&c.done, 20000);
  rt_is(&c, BT_CANCELLED, "a pull that is given up");
  RT again = {0};
  rt(&again, image_pull, &request);
  rt_is(&again, BT_OK, "does not stand in the way of the next");
}

int main(void) {
  if (geteuid() != 0)
    return skip_all("only root can set apart the process that unpacks");
  if (!sh("command -v docker-registry >/dev/null && command -v skopeo >/dev/null && command -v htpasswd >/dev/null"))
    return skip_all("docker-registry, skopeo or htpasswd is not installed");
  rt_open("/nonexistent");
  load();
  ok(archive_make("one", "one:1", "1") && archive_make("two", "two:1", "2"), "two archives");
  if (ok(registry_start(), "a registry")) {
    BT_AUTO_FREE char *image = bt_asprintf("127.0.0.1:%d/shop/one:1", registry.port);
    ok(sh("skopeo copy -q --dest-tls-verify=false --dest-creds ann:secret docker-archive:%s/one.tar docker://%s", R.dir, image), "an image is there");
    BT_AUTO_FREE char *digest = sh_line("skopeo inspect --tls-verify=false --creds ann:secret docker://%s --format '{{.Digest}}'", image);
    pulls(image, digest);
    imports();
    removes();
    cancels(image);
    builds();
  }
  registry_stop();
  test_free_server();
  sh("rm -rf %s", R.dir);
  return done_testing();
}
