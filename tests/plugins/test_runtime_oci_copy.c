/* berth-copy: tars into and out of containers that run and that stand, and archives and links that want to lead out. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>

#include "oci.h"

static char *made; /* folder of archives */

/* Runs berth-copy; the exit code. Its standard error into *sad. */
static int copy(const char *way, const struct box *b, const char *path, const char *tar, char **sad) {
  char *program = oci_text("%s/plugins/runtime-oci/berth-copy", getenv("top_builddir") ? getenv("top_builddir") : ".");
  char *errors = oci_text("%s/errors", made);
  pid_t pid = fork();
  if (pid == 0) {
    bool in = strcmp(way, "in") == 0;
    int fd = open(tar, in ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600), err = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(fd, in ? 0 : 1);
    dup2(err, 2);
    execl(program, program, way, b->run, path, NULL);
    _exit(127);
  }
  int status;
  waitpid(pid, &status, 0);
  char *text = oci_get(errors);
  if (sad)
    *sad = text;
  else {
    if (text && *text)
      printf("# %s", text);
    free(text);
  }
  free(errors);
  free(program);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void shell(const char *script) {
  int code;
  char *out = oci_run(&code, (const char *[]){"sh", "-ec", script, NULL});
  if (code)
    printf("# %s: %s\n", script, out);
  free(out);
}

static bool says(const char *path, const char *text) {
  char *got = oci_get(path);
  bool same = got && strcmp(got, text) == 0;
  if (!same)
    printf("# %s: %s\n", path, got ? got : "is not there");
  free(got);
  return same;
}

static void in_and_out(const struct box *b, const char *name) {
  char *tar = oci_text("%s/in.tar", made), *out = oci_text("%s/out.tar", made);
  char *script = oci_text("cd %s; rm -rf src back; mkdir -p src/dir/deep back; echo one >src/dir/file; ln src/dir/file src/dir/deep/second; "
                          "ln -s /nowhere src/dir/link; chown -h 12:34 src/dir/file src/dir/link; chmod 4751 src/dir/file; touch -d @1000000000.5 src/dir/file; tar --format=pax -C src -cf in.tar dir", made);
  shell(script);
  is_int(copy("in", b, "/tmp", tar, NULL), 0, name);
  is_int(copy("out", b, "/tmp/dir/", out, NULL), 0, name);
  char *back = oci_text("cd %s/back && tar -xpf ../out.tar && cd .. && stat -c '%%n %%f %%u:%%g %%h %%Y' back/dir/file back/dir/link back/dir/deep/second && readlink back/dir/link && cat back/dir/deep/second", made);
  char *got = oci_run(NULL, (const char *[]){"sh", "-ec", back, NULL});
  ok(strstr(got, "back/dir/file 89e9 12:34 2 1000000000\n") != NULL, "%s: mode, owner, names and time of a file come back", name);
  ok(strstr(got, "back/dir/link a1ff 12:34") && strstr(got, "/nowhere\none\n"), "%s: a link stays one, a second name as well", name);
  if (!strstr(got, "/nowhere\none\n"))
    printf("# %s\n", got);
  free(got);
  free(back);
  free(script);
  free(tar);
  free(out);
}

static void refuses(const struct box *b, const char *archive, const char *path, const char *code, const char *name) {
  char *sad = NULL, *tar = oci_text("%s/%s", made, archive);
  is_int(copy("in", b, path, tar, &sad), 1, name);
  ok(sad && strstr(sad, code), "%s: %s", name, sad ? sad : "");
  free(sad);
  free(tar);
}

static void attacks(const struct box *b) {
  char *outside = oci_text("%s/outside", made), *tar = oci_text("%s/link.tar", made), *file = oci_text("%s/outside/file", made);
  char *script = oci_text("cd %s; mkdir -p outside a b; echo secret >outside/secret; ln -s %s/outside a/d; mkdir b/d; echo bad >b/d/file; tar -C a -cf link.tar d; tar -C b -rf link.tar d/file; "
                          "mkdir c; echo x >c/x; tar -C c -cf up.tar --transform 's,x,../../../x,' -P x; mknod c/null c 1 3; tar -C c -cf device.tar null; rm c/null; "
                          "mkdir c/etc; echo x >c/etc/passwd; mkdir c/passwd; tar -C c -cf over.tar passwd; head -c 3000 /dev/urandom >noise.tar; echo x >c/bin; tar -C c -cf bin.tar bin", made, made);
  shell(script);
  refuses(b, "link.tar", "/tmp", "not_found", "a link in an archive and a file behind it"); /* the container has no such folder */
  ok(access(file, F_OK) < 0, "the file is not outside of the container");
  refuses(b, "up.tar", "/tmp", "invalid", "a name with ..");
  refuses(b, "device.tar", "/tmp", "denied", "a device");
  refuses(b, "over.tar", "/etc", "conflict", "a folder over a file");
  refuses(b, "bin.tar", "/", "conflict", "a file over a folder");
  refuses(b, "noise.tar", "/tmp", "invalid", "no archive at all");
  refuses(b, "link.tar", "/not-there", "not_found", "into a folder that is not there");
  refuses(b, "link.tar", "/etc/passwd", "invalid", "into a file");
  /* The container's own links mean its own files. */
  char *out = oci_text("%s/out.tar", made), *sad = NULL, *secret = oci_text("/tmp/d/secret");
  is_int(copy("out", b, secret, out, &sad), 1, "a link of the container to a folder of the host");
  ok(sad && strstr(sad, "not_found"), "leads nowhere: %s", sad ? sad : "");
  free(sad);
  sad = NULL;
  is_int(copy("out", b, "/proc/1/root/../../etc", out, &sad), 1, "a magic link");
  free(sad);
  sad = NULL;
  is_int(copy("out", b, "/..", out, &sad), 1, "above the root");
  free(sad);
  is_int(copy("out", b, "/bin/../../../etc/passwd", out, NULL), 0, "too many .. stop at the root");
  char *list = oci_text("tar -xOf %s/out.tar passwd", made);
  char *text = oci_run(NULL, (const char *[]){"sh", "-c", list, NULL});
  ok(strstr(text, "a user") != NULL, "and the file is the container's");
  free(text);
  free(list);
  free(secret);
  free(out);
  free(script);
  free(file);
  free(tar);
  free(outside);
}

/* A process of the container turns a folder into a link to the host's and back as fast as it can. */
static void races(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"cd /tmp; mkdir real; ln -s /etc away; echo up; while true; do mv real d; mv d real; mv away d; mv d away; done\"]"});
  char *link = oci_text("%s/layer/bin/mv", oci_dir);
  if (symlink("busybox", link) < 0)
    printf("# %s\n", strerror(errno));
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container that plays with links");
  char *script = oci_text("cd %s; mkdir -p r/d; echo x >r/d/berth-race; tar -C r -cf race.tar d/berth-race", made), *tar = oci_text("%s/race.tar", made);
  shell(script);
  int worked = 0;
  for (int i = 0; i < 40; i++) {
    char *sad = NULL;
    worked += copy("in", &b, "/tmp", tar, &sad) == 0;
    free(sad);
  }
  ok(access("/etc/berth-race", F_OK) < 0, "nothing came to the host's folder (%d of 40 copies worked)", worked);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  box_end(&b, "a race of links");
  free(link);
  free(script);
  free(tar);
}

/* A copy that did get out would write as root into this machine: everything but our own folder is read-only from here. */
static bool shield(void) {
  return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount(oci_dir, oci_dir, NULL, MS_BIND, NULL) == 0 &&
         mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0 && access("/etc", W_OK) < 0 && access(oci_dir, W_OK) == 0;
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  if (!shield()) {
    ro_remove_tree(AT_FDCWD, oci_dir);
    return skip_all("the rest of the machine cannot be made read-only for this test");
  }
  made = oci_text("%s/made", oci_dir);
  ro_make_dirs(made, 0700);
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]"});
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container runs");
  in_and_out(&b, "running");
  attacks(&b);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  char *file = oci_text("%s/upper/tmp/dir/file", b.data);
  ok(says(file, "one\n"), "what was copied is in its layer");
  in_and_out(&b, "standing");
  free(file);
  box_end(&b, "copies");
  races();
  free(made);
  umount2(oci_dir, MNT_DETACH);
  mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL);
  oci_teardown();
  return done_testing();
}
