/* runtime-oci's root file systems: copies and fuse-overlayfs show an image as the kernel's overlay does, keep what is written, and leave nothing
 * behind; on a file system that takes no overlay one of them is chosen. */
#include "config.h"

#include <sys/mount.h>

#include "plugins/runtime.h"

#define SLEEPS "{\"command\":[\"sleep\",\"600\"],\"stop_signal\":\"SIGKILL\"}"

static void away(void) { test_load("[]"); }

static void back(const char *storage) {
  setenv("BERTH_TEST_STORAGE", storage, 1);
  BT_AUTO_FREE char *config = oci_config();
  rt_load(config);
}

static void stop_it(const char *id) {
  RT c = {0};
  container(&c, stop, .id = id, .timeout_ms = 1000);
  rt_is(&c, BT_OK, "stop");
}

/* True once the shell command is. */
static bool becomes(const char *command) {
  for (int i = 0; i < 1000; i++) {
    if (sh("%s", command))
      return true;
    run_for(20);
  }
  return false;
}

static bool programs_gone(void) {
  BT_AUTO_FREE char *command = bt_asprintf("! grep -lsa 'upperdir[=]%s/' /proc/[0-9]*/cmdline | grep -q .", R.dir);
  return becomes(command);
}

/* ---------------------------------------------------------------- one image of three layers */

/* Everything that a layer may do to those below it. */
static bool image_layers(void) {
  return sh("set -e; umask 022; cd %s; rm -rf lay && mkdir -p lay/1 lay/2/gone lay/2/hidden lay/2/both lay/3/deep/a; cp -a root/. lay/1/; cd lay/1; "
            "mkdir -p gone/x hidden deep/a/b deep/c both kinds; echo 1 >gone/x/f; echo 1 >hidden/old; echo 1 >deep/a/b/f; echo 1 >deep/c/f; echo 1 >both/low; echo 1 >file; echo 1 >folder; "
            "echo suid >kinds/suid; chmod 4755 kinds/suid; chown 12:34 kinds/suid; echo one >kinds/one; ln kinds/one kinds/two; ln kinds/one deep/three; ln -s /../../etc/passwd kinds/link; mkfifo kinds/pipe; "
            "chmod 1777 deep/c; touch -d @1000000000 kinds/one; printf '\\n' >'kinds/odd\nname'; "
            "cd ../2; : >gone/.wh.x; : >.wh.file; : >hidden/.wh..wh..opq; echo 2 >hidden/new; echo 2 >both/high; mkdir folder; echo 2 >folder/f; "
            "cd ../3; : >deep/.wh.c; : >deep/a/.wh.b; mkdir deep/a/d; echo 3 >deep/a/d/f; : >.wh.folder; echo 3 >file; mkdir deep/c2; mkdir both; : >both/x; : >both/.wh.low; chmod 2700 both",
            R.dir);
}

static bool image_save(void) {
  return sh("set -e; cd %s/lay; rm -rf out; mkdir out; for n in 1 2 3; do tar -C $n --numeric-owner -cf out/$n.tar .; done; "
            "ids=$(for n in 1 2 3; do sha256sum <out/$n.tar | cut -c1-64; done | jq -R '\"sha256:\"+.' | jq -sc .); "
            "printf '{\"architecture\":\"%%s\",\"os\":\"linux\",\"config\":{\"Env\":[\"PATH=/bin\"]},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":%%s}}' $(dpkg --print-architecture) \"$ids\" >out/c.json; "
            "c=$(sha256sum <out/c.json | cut -c1-64); mv out/c.json out/$c.json; printf '[{\"Config\":\"%%s.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"1.tar\",\"2.tar\",\"3.tar\"]}]' $c >out/manifest.json; "
            "tar -C out -cf %s/three.tar .",
            R.dir, R.image, R.dir);
}

static bool image_three(void) {
  BT_AUTO_FREE char *archive = bt_asprintf("%s/three.tar", R.dir);
  return image_import(archive, R.image);
}

/* What stands in the container's root file system, but for what differs by nature: sizes and links of folders, and what the runtime puts there. */
#define LIST                                                                                                                                         \
  "cd /; find . -xdev \\( -path ./proc -o -path ./sys -o -path ./dev -o -path ./etc -o -path ./data -o -path ./bin/\\* \\) -prune -o -print0 | sort -z | xargs -0 -n 50 "      \
  "sh -c 'for f; do if [ -d \"$f\" ] && [ ! -L \"$f\" ]; then stat -c \"%n|%F|%a|%u:%g|%Y\" \"$f\"; else stat -c \"%n|%F|%a|%u:%g|%h|%s|%Y|%N\" \"$f\"; fi; " \
  "if [ -f \"$f\" ] && [ ! -L \"$f\" ]; then md5sum <\"$f\"; fi; done' sh | grep -v '^\\./\\?|' | tail -n +2"

/* The listing of a fresh container into a file of the scratch folder. */
static void list_into(const char *name) {
  char *id = make(name, SLEEPS, "\"network_mode\":\"none\"");
  start(id);
  RT c = {0};
  run_in(&c, id, LIST);
  BT_AUTO_FREE char *path = bt_asprintf("%s/list-%s", R.dir, name);
  write_file(path, c.out.data ? c.out.data : "");
  ok(c.out.data && strstr(c.out.data, "./deep/a/d/f|") && !strstr(c.out.data, "./gone/x") && !c.err.len, "%s: %zu bytes of listing %s", name, c.out.len, c.err.data ? c.err.data : "");
  discard(id);
}

static void same_as_kernel(const char *name) {
  ok(sh("cd %s; diff list-kernel list-%s >diff || { sed 's/^/# /' diff; false; }", R.dir, name), "%s shows the image as the kernel does", name);
}

/* ---------------------------------------------------------------- a container's life */

static void life(const char *storage) {
  char *id = make(storage, SLEEPS, NULL);
  RT out = {0};
  struct berth_runtime_copy request = {.size = sizeof request, .id = id, .path = "/file"};
  rt(&out, copy_out, &request);
  ok(out.code == BT_OK && out.out.len > 512 && out.out.data[512] == '3', "%s: a file comes out of a container that never ran: %s", storage, out.code ? out.message : "");
  start(id);
  inside(id, "rm -r /deep && mkdir /deep && echo kept >/deep/f && echo more >>/hidden/new && chown 5:6 /hidden/new && cat /hidden/new /deep/f", "2\nmore\nkept");
  away();
  back(storage);
  inside(id, "cat /deep/f; stat -c %u:%g /hidden/new", "kept\n5:6");
  stop_it(id);
  start(id);
  inside(id, "ls /deep; tail -n 1 /hidden/new; stat -c %u:%g /hidden/new", "f\nmore\n5:6");
  stop_it(id);
  away();
  back("overlay");
  start(id);
  inside(id, "cat /deep/f", "kept");
  discard(id);
  char *clean = make("clean", SLEEPS, NULL);
  start(clean);
  inside(clean, "cat /deep/a/d/f; cat /hidden/new", "3\n2");
  discard(clean);
  away();
  back(storage);
  ok(sh("[ -z \"$(ls %s/oci/containers)\" ] && ! grep -q %s/oci /proc/mounts && [ ! -e %s/oci/probe ]", R.dir, R.dir, R.dir), "%s: nothing is left", storage);
  ok(programs_gone(), "nor a process");
}

/* Users of their own: on disk the files stay the image's, whoever they belong to inside. */
static void remapped(const char *storage, const char *folder) {
  away();
  BT_AUTO_FREE char *config = bt_asprintf("{\"root\":\"%s/oci\",\"run\":\"%s/run\",\"programs\":\"%s/programs\",\"storage\":\"%s\",\"userns\":\"remap\"}", R.dir, R.dir, R.dir, storage);
  chmod(R.dir, 0711);
  rt_load(config);
  char *id = make("users", SLEEPS, "\"network_mode\":\"none\"");
  start(id);
  inside(id, "stat -c %u:%g /file /kinds/suid; echo x >/hidden/mine; chown 7:8 /hidden/mine; cut -c1-10 /proc/self/uid_map", "0:0\n12:34\n         0");
  ok(sh("[ \"$(stat -c %%u:%%g %s/oci/containers/%s/%s/hidden/mine)\" = 7:8 ]", R.dir, id, folder), "%s: written as the image is", storage);
  discard(id);
  away();
  back(storage);
}

static void test_copy_interrupted(void) {
  char *id = make("half", SLEEPS, NULL);
  ok(sh("mkdir -p %s/oci/containers/%s/copy.new/bin/junk", R.dir, id), "a copy that a crash interrupted");
  start(id);
  inside(id, "ls /bin/junk 2>/dev/null; cat /file", "3");
  ok(sh("[ ! -e %s/oci/containers/%s/copy.new ] && [ -e %s/oci/containers/%s/copy/file ]", R.dir, id, R.dir, id), "is made anew");
  BT_AUTO_FREE char *monitor = sh_line("jq .pid %s/run/%s/monitor.pid", R.dir, id);
  kill((pid_t)strtol(monitor, NULL, 10), SIGKILL);
  BT_AUTO_FREE char *swept = bt_asprintf("[ ! -e /proc/%s ] || grep -q '^State:.Z' /proc/%s/status", monitor, monitor);
  ok(becomes(swept), "its monitor is killed");
  discard(id);
}

static bool has_exited(const char *id) {
  for (int i = 0; i < 1000; i++) {
    BT_AUTO_FREE char *state = seen(id, "state");
    if (bt_streq(state, "\"exited\""))
      return true;
    run_for(20);
  }
  return false;
}

static pid_t server_of(const char *id) {
  BT_AUTO_FREE char *pid = sh_line("grep -lsa 'upperdir[=]%s/oci/containers/%s/' /proc/[0-9]*/cmdline | cut -d/ -f3", R.dir, id);
  return (pid_t)strtol(pid, NULL, 10);
}

static void test_server_killed(void) {
  char *id = make("served", SLEEPS, NULL);
  start(id);
  pid_t server = server_of(id);
  ok(server > 0 && kill(server, SIGKILL) == 0, "the process that serves the files is killed");
  ok(has_exited(id), "its container ends");
  BT_AUTO_FREE char *error = seen(id, "error");
  ok(strstr(error, "fuse-overlayfs"), "and says why: %s", error);
  start(id);
  inside(id, "cat /file", "3");
  BT_AUTO_FREE char *monitor = sh_line("jq .pid %s/run/%s/monitor.pid", R.dir, id);
  kill((pid_t)strtol(monitor, NULL, 10), SIGKILL);
  ok(has_exited(id) && programs_gone(), "with the monitor the server goes as well");
  discard(id);
}

/* ---------------------------------------------------------------- where no overlay can be mounted */

static const char *check_of(struct rt *info, const char *member) {
  size_t i;
  json_t *row;
  json_array_foreach(bt_json_arr(info->result, "checks"), i, row)
    if (bt_streq(bt_json_str(row, "element"), "root file systems"))
      return bt_json_str(row, member) ? bt_json_str(row, member) : "";
  return "no row";
}

/* An overlay cannot be the upper layer of another. */
static void test_on_overlay(bool fuse) {
  away();
  ok(sh("cd %s && mkdir -p below over/upper over/work oci2 && mount -t overlay overlay -o lowerdir=below,upperdir=over/upper,workdir=over/work oci2 && mv oci oci1 && mkdir oci && mount --bind oci2 oci", R.dir),
     "folders on an overlay");
  back("auto");
  RT info = {0}, refused = {0};
  rt(&info, info);
  ok(strstr(check_of(&info, "found"), fuse ? "fuse-overlayfs" : "copies") && bt_streq(check_of(&info, "verdict"), "warning"), "doctor says: %s", check_of(&info, "found"));
  ok(image_three(), "layers are unpacked there");
  list_into("auto");
  same_as_kernel("auto");
  away();
  back("copy");
  list_into("nested");
  same_as_kernel("nested");
  away();
  back("overlay");
  rt(&refused, info);
  ok(bt_streq(check_of(&refused, "verdict"), "error") && strstr(check_of(&refused, "mend"), "auto"), "storage: overlay is refused there: %s", check_of(&refused, "found"));
  char *id = make("none", SLEEPS, "\"network_mode\":\"none\"");
  RT c = {0};
  container(&c, start, .id = id);
  ok(c.code == BT_UNAVAILABLE && strstr(c.message, "storage to auto"), "and no container starts: %s", c.message);
  discard(id);
  away();
  ok(sh("cd %s && umount oci && umount oci2 && rmdir oci && mv oci1 oci", R.dir), "the folders are as before");
  back("auto");
}

int main(void) {
  setenv("BERTH_TEST_RUNTIME", "oci", 1);
  if (geteuid() == 0 && (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
    return skip_all("it needs mount namespaces");
  if (!rt_setup())
    return skip_all("it needs root, crun, busybox-static and network namespaces");
  bool fuse = sh("command -v fuse-overlayfs >/dev/null") && access("/dev/fuse", R_OK | W_OK) == 0;
  ok(image_layers() && image_save() && image_three(), "an image of three layers");
  list_into("kernel");
  away();
  back("copy");
  list_into("copy");
  same_as_kernel("copy");
  life("copy");
  remapped("copy", "copy");
  test_copy_interrupted();
  if (fuse) {
    away();
    back("fuse-overlayfs");
    list_into("fuse");
    same_as_kernel("fuse");
    life("fuse-overlayfs");
    remapped("fuse-overlayfs", "fuse");
    test_server_killed();
  } else
    printf("# fuse-overlayfs or /dev/fuse is missing: only copies are tried\n");
  test_on_overlay(fuse);
  return rt_finish();
}
