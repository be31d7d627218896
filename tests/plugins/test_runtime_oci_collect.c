/* runtime-oci's automatic collection through the plug-in, with real images in a store on a small file system of its own: what goes, what stays,
 * and what is told of it. */
#include "config.h"

#include <sys/mount.h>

#include "plugins/runtime.h"

static void configure(const char *settings) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"engine\",\"plugin\":\"runtime-oci\",\"config\":{\"root\":\"%s/store\",\"run\":\"%s/run\",\"programs\":\"%s/programs\",%s}}]",
                                        R.dir, R.dir, R.dir, settings);
  test_load(json);
  R.entry = bt_plugins_named(T.plugins, "engine");
  BT_ASSERT(R.entry);
  if (bt_plugin_status(R.entry) != BT_PLUGIN_OK)
    printf("# %s\n", bt_plugin_error(R.entry));
  BT_ASSERT(bt_plugin_status(R.entry) == BT_PLUGIN_OK);
}

/* An image NAME:1 with one file of 1200 KiB that no other has. */
static void image_add(const char *name) {
  BT_ASSERT(sh("set -e; d=%s/%s; rm -rf $d; mkdir -p $d/l1; head -c 1228800 /dev/urandom >$d/file; tar -C $d -cf $d/l1/layer.tar file; rm $d/file; "
               "id=$(sha256sum $d/l1/layer.tar | cut -c1-64); "
               "printf '{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Cmd\":[\"/file\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%%s\"]}}' $id >$d/c.json; "
               "printf '[{\"Config\":\"c.json\",\"RepoTags\":[\"%s:1\"],\"Layers\":[\"l1/layer.tar\"]}]' >$d/manifest.json; tar -C $d -cf $d.tar c.json manifest.json l1",
               R.dir, name, name));
  BT_AUTO_FREE char *path = bt_asprintf("%s/%s.tar", R.dir, name);
  struct berth_runtime_import request = {.size = sizeof request, .path = path};
  RT c = {0};
  rt(&c, image_import, &request);
  if (c.code != BT_OK)
    rt_is(&c, BT_OK, "import");
}

/* "one two": the images that are there, by name. */
static char *there(void) {
  struct berth_runtime_list request = {.size = sizeof request};
  RT c = {0};
  rt(&c, image_list, &request);
  struct bt_buf names = {0};
  static const char *const known[] = {"one", "two", "three", "four"};
  BT_AUTO_FREE char *text = json_dumps(c.result, JSON_COMPACT);
  for (size_t i = 0; i < BT_COUNT(known); i++) {
    BT_AUTO_FREE char *tag = bt_asprintf("\"%s:1\"", known[i]);
    if (text && strstr(text, tag))
      bt_buf_addf(&names, "%s%s", names.len ? " " : "", known[i]);
  }
  return names.len ? bt_buf_steal(&names) : bt_strdup("");
}

static void there_is(const char *want, const char *what) {
  BT_AUTO_FREE char *got = there();
  is_str(got, want, what);
}

static void collect(const char *keep, long long images, const char *what) {
  struct berth_runtime_collect request = {.size = sizeof request, .keep_json = keep};
  RT c = {0};
  rt(&c, image_collect, &request);
  if (c.code != BT_OK)
    rt_is(&c, BT_OK, what);
  is_int(bt_json_int(c.result, "images", -1), images, what);
}

static void leftovers(void) {
  const char *old = "0000000000000000000000000000000000000000000000000000000000000000", *fresh = "1111111111111111111111111111111111111111111111111111111111111111";
  BT_ASSERT(sh("cd %s/store/images && echo x >partial/%s && echo x >partial/%s && mkdir layers/sha256/%s layers/sha256/%s && touch -d '2 days ago' partial/%s layers/sha256/%s",
               R.dir, old, fresh, old, fresh, old, old));
  collect("[]", 0, "there is room");
  ok(sh("cd %s/store/images && [ ! -e partial/%s ] && [ ! -e layers/sha256/%s ]", R.dir, old, old), "a download and a layer that nobody took up again are gone");
  ok(sh("cd %s/store/images && [ -e partial/%s ] && [ -e layers/sha256/%s ]", R.dir, fresh, fresh), "those of today stay");
  BT_ASSERT(sh("cd %s/store/images && rm -r partial/%s layers/sha256/%s", R.dir, fresh, fresh));
}

static void by_size(void) {
  configure("\"image_gc_high\":100,\"image_gc_max_size\":\"2600000\",\"image_gc_min_age\":\"0s\"");
  image_add("two");
  collect("[]", 0, "two have room");
  int before = T.publishes;
  image_add("three");
  collect("[]", 1, "three do not");
  there_is("two three", "the one not used for longest went");
  is_int(T.publishes, before + 1, "an event tells of it");
  ok(T.published && bt_starts(T.published, "engine plugin.images-collected info 1 image ") && strstr(T.published, "\"one:1\"") && strstr(T.published, " 1.2 MiB freed"), "%s", T.published);
  image_add("one");
  collect("[\"two:1\"]", 1, "three again");
  there_is("one two", "what an app names stays");
}

static void in_use(void) {
  RT made = {0};
  struct berth_runtime_create request = {.size = sizeof request, .spec_json = "{\"name\":\"collect-1\",\"image\":\"two:1\",\"labels\":{},\"env\":{},\"mounts\":[],"
                                                                              "\"networks\":[],\"network_mode\":\"none\",\"service\":{},\"ports\":[],\"files\":[]}"};
  rt(&made, create, &request);
  rt_is(&made, BT_OK, "a container of one of them");
  image_add("three");
  int before = T.publishes;
  collect("[\"one:1\",\"three:1\"]", 0, "named, or a container's: none goes");
  there_is("one two three", "all are there");
  is_int(T.publishes, before + 1, "that there is no room is an event");
  ok(T.published && bt_starts(T.published, "engine plugin.images-short warning "), "%s", T.published);
  collect("[\"one:1\",\"three:1\"]", 0, "the same once more");
  is_int(T.publishes, before + 1, "is not told twice");
  RT gone = {0};
  struct berth_runtime_container remove = {.size = sizeof remove, .id = rt_str(&made, "id"), .force = true};
  rt(&gone, remove, &remove);
  rt_is(&gone, BT_OK, "the container goes");
  usleep(20000); /* its image was used in this millisecond */
  collect("[\"one:1\",\"three:1\"]", 1, "and so may its image");
  there_is("one three", "it did");
}

static void by_disk(void) {
  configure("\"image_gc_high\":20,\"image_gc_low\":17,\"image_gc_min_age\":\"1h\"");
  image_add("two");
  collect("[]", 0, "a full file system, but all images are young");
  there_is("one two three", "they stay");
  configure("\"image_gc_high\":20,\"image_gc_low\":17,\"image_gc_min_age\":\"0s\"");
  usleep(20000);
  collect("[]", 1, "once they are not");
  there_is("two three", "one goes, which is enough");
  collect("[]", 0, "and then there is room");
}

int main(void) {
  if (geteuid() != 0)
    return skip_all("only root can set apart the process that unpacks");
  if (unshare(CLONE_NEWNS | CLONE_NEWNET) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
    return skip_all("namespaces cannot be made here");
  rt_open("/nonexistent");
  const char *build = getenv("top_builddir");
  BT_AUTO_FREE char *here = realpath(build ? build : ".", NULL);
  BT_ASSERT(sh("mkdir -p %s/programs %s/store && ln -s %s/plugins/runtime-oci/berth-image %s/programs/ && mount -t tmpfs -o size=16m,mode=755 none %s/store", R.dir, R.dir, here,
               R.dir, R.dir));
  configure("\"image_gc_high\":100");
  image_add("one");
  leftovers();
  by_size();
  in_use();
  by_disk();
  test_free_server();
  sh("umount %s/store; rm -rf %s", R.dir, R.dir);
  return done_testing();
}
