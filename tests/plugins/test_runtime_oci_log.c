/* The log that berth-monitor writes: long lines, bytes that are no text, rotation, floods, a full disk. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mount.h>

#include "oci.h"

static long long number(const json_t *v, const char *key) { return json_integer_value(json_object_get(v, key)); }

/* Text of one stream put together again; *records how many, *longest of their texts, *bad of no sound form. */
static char *joined(const char *path, const char *stream, size_t *len, int *records, size_t *longest, int *bad) {
  size_t n = 0, have = 0;
  char *log = ro_read_file(AT_FDCWD, path, 256 << 20, &n), *out = malloc(n + 1);
  *records = *bad = 0;
  *longest = 0;
  for (char *p = log, *end = log + n; log && p < end;) {
    char *nl = memchr(p, '\n', (size_t)(end - p));
    size_t line = nl ? (size_t)(nl - p) : (size_t)(end - p), head = 30 + 1 + 6 + 1 + 1 + 1;
    bool sound = nl && line >= head && p[10] == 'T' && p[29] == 'Z' && p[30] == ' ' && (p[38] == 'F' || p[38] == 'P') && p[39] == ' ';
    *bad += !sound;
    if (sound && strncmp(p + 31, stream, 6) == 0) {
      memcpy(out + have, p + head, line - head);
      have += line - head;
      if (p[38] == 'F')
        out[have++] = '\n';
      ++*records;
      if (line - head > *longest)
        *longest = line - head;
    }
    p += line + 1;
  }
  out[have] = 0;
  *len = have;
  free(log);
  return out;
}

static void run_to_end(struct box *b, const struct box_options *o, int code, const char *name) {
  box_new(b, o);
  json_decref(box_start(b));
  json_t *end = box_wait(b);
  is_int(number(end, "exit_code"), code, name);
  json_decref(end);
}

static void long_lines(void) {
  struct box b;
  int records, bad;
  size_t len, longest;
  run_to_end(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"head -c 10000000 /dev/zero | tr '\\\\\\\\0' a; echo; echo short; printf end >&2\"]"}, 0, "a line of 10 MB");
  char *path = oci_text("%s/log", b.data), *text = joined(path, "stdout", &len, &records, &longest, &bad);
  is_int(len, 10000000 + 1 + 6, "all of it is there");
  ok(longest <= 16384 && bad == 0 && records >= 10000000 / 16384, "in %d sound pieces of at most %zu", records, longest);
  ok(strcmp(text + len - 7, "\nshort\n") == 0, "and the next line is one");
  free(text);
  text = joined(path, "stderr", &len, &records, &longest, &bad);
  is_str(text, "end", "an end without a newline stays one");
  free(text);
  free(path);
  box_end(&b, "long lines");
}

static void bytes(void) {
  struct box b;
  int records, bad;
  size_t len, longest, want_len;
  run_to_end(&b, &(struct box_options){.args = "[\"cat\",\"/bin/busybox\"]"}, 0, "a program's bytes as output");
  char *path = oci_text("%s/log", b.data), *text = joined(path, "stdout", &len, &records, &longest, &bad);
  char *want = ro_read_file(AT_FDCWD, "/bin/busybox", 256 << 20, &want_len);
  ok(len == want_len && memcmp(text, want, len) == 0, "are all there (%zu)", len);
  free(want);
  free(text);
  free(path);
  box_end(&b, "bytes");
}

static long long size_of(const struct box *b, const char *name) {
  struct stat st;
  char *path = oci_text("%s/%s", b->data, name);
  int rc = stat(path, &st);
  free(path);
  return rc < 0 ? -1 : (long long)st.st_size;
}

static void rotates(void) {
  struct box b;
  char *log = oci_text("{\"path\":\"%s/data/%.20s-%d/log\",\"max_size\":65536,\"max_files\":3}", oci_dir, oci_dir + strlen("/tmp/berth-"), 3);
  run_to_end(&b, &(struct box_options){.args = "[\"seq\",\"1\",\"20000\"]", .log = log}, 0, "many lines");
  ok(size_of(&b, "log") > 0 && size_of(&b, "log") <= 65536 && size_of(&b, "log.1") <= 65536 && size_of(&b, "log.2") > 0 && size_of(&b, "log.2") <= 65536,
     "three files, none over its bound");
  is_int(size_of(&b, "log.3"), -1, "and no fourth");
  int records, bad, records1, bad1;
  size_t len, longest;
  char *path = oci_text("%s/log", b.data), *path1 = oci_text("%s/log.1", b.data);
  char *text = joined(path, "stdout", &len, &records, &longest, &bad), *text1 = joined(path1, "stdout", &len, &records1, &longest, &bad1);
  int first = atoi(text), last1 = len > 6 ? atoi(text1 + len - 6) : 0;
  ok(bad + bad1 == 0 && last1 + 1 == first && strstr(text, "\n20000\n"), "lines go on from file to file (%d, %d)", last1, first);
  free(text);
  free(text1);
  free(path);
  free(path1);
  free(log);
  box_end(&b, "rotation");
}

static long long cpu_ticks(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
  char *text = oci_get(path), *p = text ? strrchr(text, ')') : NULL;
  long long user = 0, system = 0;
  if (p)
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld", &user, &system);
  free(text);
  return user + system;
}

static void flood(void) {
  struct box b;
  char *log = oci_text("{\"path\":\"%s/data/%.20s-%d/log\",\"max_size\":1048576,\"max_files\":2}", oci_dir, oci_dir + strlen("/tmp/berth-"), 4);
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"yes & yes >&2 & wait\"]", .log = log});
  json_decref(box_start(&b));
  long long most = 0;
  for (long long end = oci_ms() + 1500; oci_ms() < end; oci_nap(20)) {
    long long now = size_of(&b, "log") + size_of(&b, "log.1");
    most = now > most ? now : most;
  }
  ok(most > 1 << 20 && most <= 2 << 20, "a flood takes the disk that it may: %lld", most);
  long long before = oci_ms();
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  ok(oci_ms() - before < 5000, "and its container can be ended: %lld ms", oci_ms() - before);
  box_end(&b, "a flood");
  free(log);
}

static void closes_output(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo bye; exec >&- 2>&-; sleep 1; exit 4\"]"});
  json_decref(box_start(&b));
  ok(box_says(&b, "bye"), "a container that closes its output");
  struct ro_monitor m;
  ro_monitor_read(b.run, &m);
  long long before = cpu_ticks(m.pid);
  oci_nap(600);
  ok(cpu_ticks(m.pid) - before <= 3, "costs its monitor nothing (%lld ticks)", cpu_ticks(m.pid) - before);
  json_t *end = box_wait(&b);
  is_int(number(end, "exit_code"), 4, "and its exit code is kept");
  json_decref(end);
  box_end(&b, "closed output");

  run_to_end(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"sleep 1000 & sleep 1000 & echo left; exit 6\"]"}, 6, "children that hold the output hold nobody up");
  box_end(&b, "children in the background");
}

/* On a file system of its own, in mounts of our own. */
static void full_disk(void) {
  char *small = oci_text("%s/small", oci_dir), *filler = oci_text("%s/small/filler", oci_dir), *log = oci_text("{\"path\":\"%s/small/log\"}", oci_dir);
  ro_make_dirs(small, 0700);
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", small, "tmpfs", 0, "size=256k") < 0) {
    ok(false, "a small file system: %s", strerror(errno));
    return;
  }
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"i=0; while test $i -lt 100000; do echo tick $i; i=$((i+1)); test $((i%50)) = 0 && sleep 0.01; done; exit 9\"]", .log = log});
  json_decref(box_start(&b));
  int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  char page[4096] = {0};
  for (long long end = oci_ms() + 600; oci_ms() < end; oci_nap(5))
    while (write(fd, page, sizeof page) > 0)
      continue;
  unlink(filler);
  close(fd);
  char *path = oci_text("%s/log", small);
  bool told = false;
  for (long long end = oci_ms() + OCI_SECONDS * 1000; oci_ms() < end && !told; oci_nap(10)) {
    char *text = oci_get(path), *p = text ? strstr(text, "found no room on the disk and are lost]\n") : NULL;
    told = p && strstr(p, "stdout F tick ");
    free(text);
  }
  ok(told, "once there is room, the log says what it lost, and goes on");
  int records, bad;
  size_t len, longest;
  box_signal(&b, SIGKILL);
  json_t *end = box_wait(&b);
  ok(number(end, "log_lost") > 0, "exit.json says so too: %lld lines", number(end, "log_lost"));
  char *text = joined(path, "stdout", &len, &records, &longest, &bad);
  is_int(bad, 0, "no half record in the log");
  free(text);
  json_decref(end);
  box_end(&b, "a full disk");
  umount2(small, MNT_DETACH);
  free(path);
  free(log);
  free(small);
  free(filler);
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  long_lines();
  bytes();
  rotates();
  flood();
  closes_output();
  full_disk();
  oci_teardown();
  return done_testing();
}
