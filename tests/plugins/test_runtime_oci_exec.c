/* berth-monitor exec with a real OCI runtime: streams apart, input, terminal, user, environment, privileges, hanging up. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/socket.h>

#include "oci.h"
#include "plugins/runtime-oci/monitor/frames.h"

/* One command: what came out of it. */
struct talk {
  int fd;
  pid_t pid;
  struct ro_frames frames;
  struct pu_buf out, err, end;
  enum ro_frame last;
};

static bool take(void *arg, enum ro_frame type, const char *data, size_t len) {
  struct talk *t = arg;
  if (type == RO_FRAME_OUT || type == RO_FRAME_ERR)
    pu_buf_add(type == RO_FRAME_OUT ? &t->out : &t->err, data, len);
  else
    pu_buf_add(&t->end, data, len);
  t->last = type;
  return true;
}

static void say(struct talk *t, enum ro_frame type, const void *data, size_t len) {
  struct pu_buf b = {0};
  ro_frame_add(&b, type, data, len);
  ok(ro_write_all(t->fd, b.data, b.len) == 0, "a frame %c goes out", type);
  pu_buf_free(&b);
}

static void begin(struct talk *t, const struct box *b, const char *spec) {
  int p[2];
  memset(t, 0, sizeof *t);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p) < 0)
    abort();
  t->fd = p[0];
  char *program = oci_text("%s/plugins/runtime-oci/berth-monitor", getenv("top_builddir") ? getenv("top_builddir") : ".");
  t->pid = fork();
  if (t->pid == 0) {
    dup2(p[1], 0);
    dup2(p[1], 1);
    execl(program, program, "exec", b->run, NULL);
    _exit(127);
  }
  close(p[1]);
  free(program);
  struct pu_buf first = {0};
  ro_frame_add(&first, RO_FRAME_SPEC, spec, strlen(spec));
  if (ro_write_all(t->fd, first.data, first.len) < 0)
    abort();
  pu_buf_free(&first);
}

/* Reads until there is text in out, or the end. */
static bool until(struct talk *t, const char *text) {
  long long end = oci_ms() + OCI_SECONDS * 1000;
  while (oci_ms() < end) {
    if (text && t->out.data && strstr(t->out.data, text))
      return true;
    struct pollfd p = {.fd = t->fd, .events = POLLIN};
    if (poll(&p, 1, 100) != 1)
      continue;
    char bytes[65536];
    ssize_t n = read(t->fd, bytes, sizeof bytes);
    if (n <= 0)
      return !text;
    if (!ro_frames_feed(&t->frames, bytes, (size_t)n, take, t))
      return false;
  }
  return false;
}

static const char *out_of(const struct talk *t) { return t->out.data ? t->out.data : ""; }

/* The exit code; -1 where it failed. */
static int finish(struct talk *t) {
  until(t, NULL);
  json_t *v = t->end.data ? json_loads(t->end.data, 0, NULL) : NULL;
  int code = t->last == RO_FRAME_EXIT ? (int)json_integer_value(json_object_get(v, "exit_code")) : -1;
  json_decref(v);
  close(t->fd);
  waitpid(t->pid, NULL, 0);
  return code;
}

static void drop(struct talk *t) {
  ro_frames_free(&t->frames);
  pu_buf_free(&t->out);
  pu_buf_free(&t->err);
  pu_buf_free(&t->end);
}

static void runs(const struct box *b, const char *spec, int code, const char *out, const char *name) {
  struct talk t;
  begin(&t, b, spec);
  is_int(finish(&t), code, name);
  if (out)
    is_str(out_of(&t), out, name);
  if (t.last == RO_FRAME_FAIL)
    printf("# %s\n", t.end.data);
  drop(&t);
}

static void plain(const struct box *b) {
  struct talk t;
  begin(&t, b, "{\"args\":[\"sh\",\"-c\",\"echo to out; echo to err >&2; exit 7\"]}");
  is_int(finish(&t), 7, "the exit code comes last");
  is_str(out_of(&t), "to out\n", "standard output");
  is_str(t.err.data, "to err\n", "standard error apart");
  drop(&t);
  runs(b, "{\"args\":[\"sh\",\"-c\",\"kill -9 $$\"]}", 137, "", "a command that is killed");
  runs(b, "{\"args\":[\"sh\",\"-c\",\"echo $FROM $NEW; pwd\"],\"env\":{\"NEW\":\"here\",\"FROM\":\"exec\"},\"cwd\":\"/tmp\"}", 0, "exec here\n/tmp\n", "environment and folder");
  runs(b, "{\"args\":[\"sh\",\"-c\",\"sleep 100 & echo gone\"]}", 0, "gone\n", "a child that holds the output holds nobody up");
  runs(b, "{\"args\":[\"cat\"]}", 0, "", "without input there is its end");
}

static void as_users(const struct box *b) {
  runs(b, "{\"args\":[\"id\"],\"user\":\"web\"}", 0, "uid=1000(web) gid=1001(webs) groups=1001(webs),2000(extra)\n", "a user by name with its groups");
  runs(b, "{\"args\":[\"id\",\"-u\"],\"user\":\"1234:5\"}", 0, "1234\n", "a user by number");
  struct talk t;
  begin(&t, b, "{\"args\":[\"id\"],\"user\":\"nobody-knows\"}");
  is_int(finish(&t), -1, "an unknown user");
  ok(strstr(t.end.data, "\"not_found\"") && strstr(t.end.data, "nobody-knows"), "in words: %s", t.end.data);
  drop(&t);
  runs(b, "{\"args\":[\"sh\",\"-c\",\"grep -q 'CapEff.*0000000000000000' /proc/self/status\"]}", 0, "", "no capability as the container has none");
  runs(b, "{\"args\":[\"sh\",\"-c\",\"grep -q 'CapEff.*0000000000000000' /proc/self/status\"],\"privileged\":true}", 1, "", "all of them where privileged");
}

static void input(const struct box *b) {
  struct talk t;
  begin(&t, b, "{\"args\":[\"cat\"],\"stdin\":true}");
  char *much = malloc(300000);
  for (int i = 0; i < 300000; i++)
    much[i] = (char)(i * 7);
  say(&t, RO_FRAME_DATA, much, 300000);
  say(&t, RO_FRAME_EOF, NULL, 0);
  is_int(finish(&t), 0, "input has an end");
  ok(t.out.len == 300000 && memcmp(t.out.data, much, 300000) == 0, "and is given back byte for byte");
  free(much);
  drop(&t);
}

static void terminal(const struct box *b) {
  struct talk t;
  begin(&t, b, "{\"args\":[\"sh\"],\"tty\":true,\"stdin\":true,\"rows\":33,\"cols\":111}");
  say(&t, RO_FRAME_DATA, "stty size\n", 10);
  ok(until(&t, "33 111"), "a terminal of the size that was asked for");
  const char bigger[] = "{\"rows\":44,\"cols\":122}";
  say(&t, RO_FRAME_RESIZE, bigger, strlen(bigger));
  say(&t, RO_FRAME_DATA, "stty size\n", 10);
  ok(until(&t, "44 122"), "and it grows");
  say(&t, RO_FRAME_DATA, "echo $TERM-ok\n", 14);
  ok(until(&t, "xterm-ok"), "TERM is set");
  say(&t, RO_FRAME_DATA, "exit 5\n", 7);
  is_int(finish(&t), 5, "its exit code");
  drop(&t);
}

static void hangs_up(const struct box *b) {
  struct talk t;
  begin(&t, b, "{\"args\":[\"sh\",\"-c\",\"echo there; exec sleep 4242\"]}");
  ok(until(&t, "there"), "a long command runs");
  close(t.fd);
  int status;
  waitpid(t.pid, &status, 0);
  ok(oci_count_processes("4242") == 0, "it goes with whoever asked for it");
  drop(&t);

  begin(&t, b, "{\"args\":[\"no-such-command\"]}");
  is_int(finish(&t), -1, "a command that is not there");
  ok(strstr(t.end.data, "\"not_found\"") && strstr(t.end.data, "no-such-command"), "in words: %s", t.end.data);
  drop(&t);
  begin(&t, b, "[1,");
  is_int(finish(&t), -1, "a first frame that is none");
  drop(&t);
}

static void not_running(void) {
  struct box b;
  box_new(&b, &(struct box_options){.args = "[\"true\"]"});
  json_decref(box_start(&b));
  json_decref(box_wait(&b));
  struct talk t;
  begin(&t, &b, "{\"args\":[\"true\"]}");
  is_int(finish(&t), -1, "the container does not run");
  ok(strstr(t.end.data, "\"conflict\"") != NULL, "in words: %s", t.end.data);
  drop(&t);
  box_end(&b, "exec in what is over");
}

static void all(const char *runtime) {
  struct box b;
  oci_runtime = runtime;
  printf("# %s\n", runtime);
  box_new(&b, &(struct box_options){.args = "[\"sh\",\"-c\",\"echo up; exec sleep 1000\"]"});
  json_decref(box_start(&b));
  ok(box_says(&b, "up"), "a container runs");
  plain(&b);
  as_users(&b);
  input(&b);
  terminal(&b);
  hangs_up(&b);
  box_signal(&b, SIGKILL);
  json_decref(box_wait(&b));
  box_end(&b, "exec");
}

int main(void) {
  const char *why = oci_hindrance();
  if (why)
    return skip_all(why);
  oci_setup();
  all("/usr/bin/crun");
  not_running();
  if (access("/usr/sbin/runc", X_OK) == 0)
    all("/usr/sbin/runc");
  oci_teardown();
  return done_testing();
}
