#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/child.h"
#include "loop/worker.h"
#include "loop_kit.h"
#include "tap.h"

static char order[64];
static void note(void *arg) {
  strncat(order, arg, sizeof order - strlen(order) - 1);
  if (strlen(order) == 3)
    bt_loop_stop(loop);
}

static void test_timers(void) {
  order[0] = 0;
  struct bt_timer *a = bt_timer_new(loop, "a", note, (void *)(uintptr_t)"a");
  struct bt_timer *b = bt_timer_new(loop, "b", note, (void *)(uintptr_t)"b");
  struct bt_timer *c = bt_timer_new(loop, "c", note, (void *)(uintptr_t)"c");
  struct bt_timer *d = bt_timer_new(loop, "d", note, (void *)(uintptr_t)"d");
  bt_timer_set(a, 5);
  bt_timer_set(a, 60); /* replaces */
  bt_timer_set(b, 20);
  bt_timer_set(c, 0);
  bt_timer_set(d, 1);
  bt_timer_clear(d);
  run();
  is_str(order, "cba", "timers run in order of time; set replaces, clear clears");
  bt_timer_free(&a);
  bt_timer_free(&b);
  bt_timer_free(&c);
  bt_timer_free(&d);
}

enum { POSTERS = 4, POSTS = 5000 };
struct poster {
  pthread_t thread;
  int sent, seen;
  bool in_order;
  struct item {
    struct poster *from;
    int n;
  } items[POSTS];
};
static int posts_seen;

static void on_post(void *arg) {
  struct item *it = arg;
  it->from->in_order &= it->n == it->from->seen;
  it->from->seen++;
  if (++posts_seen == POSTERS * POSTS)
    bt_loop_stop(loop);
}

static void *post_many(void *arg) {
  struct poster *p = arg;
  for (int i = 0; i < POSTS; i++) {
    p->items[i] = (struct item){p, i};
    bt_loop_post(loop, "post", on_post, &p->items[i]);
  }
  return NULL;
}

static void test_posts(void) {
  struct poster *p = bt_newn(struct poster, POSTERS);
  for (int i = 0; i < POSTERS; i++) {
    p[i].in_order = true;
    pthread_create(&p[i].thread, NULL, post_many, &p[i]);
  }
  run();
  bool in_order = true;
  for (int i = 0; i < POSTERS; i++) {
    pthread_join(p[i].thread, NULL);
    in_order &= p[i].in_order;
  }
  is_int(posts_seen, POSTERS * POSTS, "every post of four threads ran once");
  ok(in_order, "in the order of its thread");
  free(p);
}

static void test_stop_between_posts(void) {
  order[0] = 0;
  bt_loop_post(loop, "stop", stop, NULL);
  for (int i = 0; i < 3; i++)
    bt_loop_post(loop, "post", note, (void *)(uintptr_t)"p");
  run();
  is_str(order, "", "a stop ends the loop before the posts behind it");
  int64_t t0 = bt_clock_mono_ms();
  run();
  ok(bt_streq(order, "ppp") && bt_clock_mono_ms() - t0 < 5000, "the next run begins with them");
}

static void sleep_ms(long ms) {
  struct timespec ts = {0, ms * 1000000};
  nanosleep(&ts, NULL);
}

static void slow(void *arg) {
  (void)arg;
  bt_loop_enter(loop, "inner");
  sleep_ms(70);
  bt_loop_leave(loop);
  bt_loop_stop(loop);
}

static void test_stalls(void) {
  struct bt_loop_stats st;
  bt_loop_stats_reset(loop);
  bt_loop_post(loop, "outer", slow, NULL);
  run();
  bt_loop_stats(loop, &st);
  ok(st.stalls >= 1, "a callback of 70 ms is a stall");
  is_str(st.worst_name, "outer/inner", "and is named, with the inner part that took the time");
  ok(st.worst_us >= 70000 && st.callbacks >= 1, "with its length");
  ok(st.own_us >= 60000 && st.descheduled == 0, "a callback that blocks is to blame for it");
  is_str(st.own_name, "outer/inner", "by name");
  ok(st.own_cpu_us < 30000 && st.worst_cpu_us < 30000, "though it did not compute");
  bt_loop_stats_reset(loop);
  bt_loop_stats(loop, &st);
  is_int(st.worst_us, 0, "reset");
  enum { N = 200000 };
  int64_t t0 = bt_clock_mono_us();
  for (int i = 0; i < N; i++) {
    bt_loop_enter(loop, "x");
    bt_loop_leave(loop);
  }
  printf("# watching one callback costs %.0f ns\n", (double)(bt_clock_mono_us() - t0) * 1000 / N);
}

static void compute(void *arg) {
  bt_loop_enter(loop, "computing");
  struct timespec ts;
  do
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < *(const int64_t *)arg);
  bt_loop_leave(loop);
  bt_loop_stop(loop);
}

static void *burn(void *arg) {
  while (!*(atomic_bool *)arg)
    ;
  return NULL;
}

static int64_t cpu_ms(void) {
  struct timespec ts;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
  return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* All on one processor, which the callback has to share with the others. */
static void test_descheduled(void) {
  enum { OTHERS = 5 };
  struct bt_loop_stats st;
  if (access("/proc/thread-self/schedstat", R_OK) != 0) {
    puts("# this kernel does not tell how long a thread waits for a processor");
    return;
  }
  cpu_set_t all, one;
  sched_getaffinity(0, sizeof all, &all);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
  atomic_bool end = false;
  pthread_t others[OTHERS];
  for (int i = 0; i < OTHERS; i++)
    pthread_create(&others[i], NULL, burn, &end);
  bt_loop_stats_reset(loop);
  int64_t until = cpu_ms() + 25;
  bt_loop_post(loop, "busy", compute, &until);
  run();
  bt_loop_stats(loop, &st);
  end = true;
  for (int i = 0; i < OTHERS; i++)
    pthread_join(others[i], NULL);
  sched_setaffinity(0, sizeof all, &all);
  printf("# 25 ms of work took %lld ms, of which %lld ms its own, %lld ms on a processor\n", (long long)st.worst_us / 1000,
         (long long)st.own_us / 1000, (long long)st.worst_cpu_us / 1000);
  ok(st.worst_us > 75000 && st.stalls == 1, "25 ms of work among others that want the processor are a stall");
  ok(st.own_us >= 20000 && st.own_us < 50000 && st.descheduled == 1, "which is the machine's: without the wait it is none");
  ok(st.worst_cpu_us >= 20000 && st.worst_cpu_us < 50000, "nor by the thread's clock");
}

static void on_pipe(void *arg, int fd, int events) {
  char c = 0;
  ok(events == BT_WATCH_READ && read(fd, &c, 1) == 1 && c == 'x', "a readable descriptor is reported");
  bt_watch_free(arg);
  bt_loop_stop(loop);
}

static void test_watch_and_signal(void) {
  int fds[2];
  ok(pipe(fds) == 0, "a pipe");
  struct bt_watch *w = NULL;
  w = bt_watch_new(loop, "pipe", fds[0], BT_WATCH_READ, on_pipe, &w);
  ok(write(fds[1], "x", 1) == 1, "a byte");
  run();
  ok(w == NULL, "a watch may be freed from its callback");
  close(fds[0]);
  close(fds[1]);
  bt_loop_on_signal(loop, SIGUSR1, stop, NULL);
  raise(SIGUSR1);
  int64_t t0 = bt_clock_mono_ms();
  run();
  ok(bt_clock_mono_ms() - t0 < 5000, "a signal is a callback");
}

/* ---------------------------------------------------------------- workers */

enum { JOBS = 400 };
static int jobs_done;
static _Atomic int jobs_worked;
struct job {
  int in, out;
};

static void job_work(void *arg) {
  struct job *j = arg;
  j->out = j->in * 2;
  jobs_worked++;
}

static void job_done(void *arg) {
  struct job *j = arg;
  if (j->out == j->in * 2)
    jobs_done++;
  if (jobs_done == JOBS)
    bt_loop_stop(loop);
}

static void test_workers(void) {
  struct job jobs[JOBS];
  struct bt_pool *pool = bt_pool_new(loop, 3);
  for (int i = 0; i < JOBS; i++) {
    jobs[i] = (struct job){i, -1};
    bt_pool_run(pool, "job", job_work, job_done, &jobs[i]);
  }
  run();
  is_int(jobs_done, JOBS, "every job ran and its done came on the loop");
  jobs_done = 0;
  for (int i = 0; i < JOBS - 1; i++) {
    jobs[i].out = -1;
    bt_pool_run(pool, "job", job_work, job_done, &jobs[i]);
  }
  bt_pool_free(&pool);
  is_int(jobs_done, JOBS - 1, "freeing runs what is queued and calls done");
  ok(pool == NULL && jobs_worked == 2 * JOBS - 1, "each once");
}

static struct bt_pool *closing;
static void job_again(void *arg) { bt_pool_run(closing, "again", job_work, job_done, arg); }

static void test_workers_close(void) {
  struct job job = {7, -1};
  closing = bt_pool_new(loop, 1);
  jobs_done = 0;
  bt_pool_run(closing, "job", job_work, job_again, &job);
  struct bt_pool *p = closing;
  bt_pool_free(&p);
  is_int(jobs_done, 1, "work that a last done asks for is run as well");
}

/* ---------------------------------------------------------------- children */

struct result {
  int calls, status;
  char out[256];
  size_t out_len;
  char err[256];
};

static void on_child(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct result *r = arg;
  r->calls++;
  r->status = status;
  r->out_len = out_len;
  snprintf(r->out, sizeof r->out, "%.*s", (int)BT_MIN(out_len, 200), out);
  snprintf(r->err, sizeof r->err, "%.*s", (int)BT_MIN(err_len, 200), err);
  bt_loop_stop(loop);
}

static struct result child(struct bt_child_request rq) {
  struct result r = {0};
  BT_AUTO_ERR err = NULL;
  rq.name = "child";
  rq.done = on_child;
  rq.arg = &r;
  if (!bt_child_spawn(loop, &rq, &err)) {
    r.status = -1000 - (int)bt_err_code(err);
    return r;
  }
  run();
  return r;
}

#define SH(script) \
  (const char *const[]) { "/bin/sh", "-c", script, NULL }

static void test_children(void) {
  struct result r = child((struct bt_child_request){.argv = SH("cat; echo oops >&2; exit 3"), .input = "hello", .input_len = 5});
  is_int(r.status, 3, "the exit code");
  is_str(r.out, "hello", "input comes back");
  is_str(r.err, "oops\n", "standard error is kept apart");
  r = child((struct bt_child_request){.argv = SH("kill -9 $$")});
  is_int(r.status, -SIGKILL, "a signal is negative");
  r = child((struct bt_child_request){.argv = (const char *const[]){"/no/such/program", NULL}});
  is_int(r.status, -1000 - BT_NOT_FOUND, "a program that is not there is an error of spawn");
  const char *const env[] = {"A=b", NULL};
  r = child((struct bt_child_request){.argv = SH("echo $A $HOME; pwd; test -e /proc/$$/fd/5 || echo closed"),
                                      .env = env,
                                      .cwd = "/usr"});
  is_str(r.out, "b\n/usr\nclosed\n", "environment, folder, descriptors are the caller's choice");
}

static void test_child_limits(void) {
  int64_t t0 = bt_clock_mono_ms();
  struct result r = child((struct bt_child_request){.argv = SH("sleep 60 & sleep 60"), .timeout_ms = 100});
  is_int(r.status, -SIGTERM, "a deadline ends the group");
  ok(bt_clock_mono_ms() - t0 < 1900, "at once");
  t0 = bt_clock_mono_ms();
  r = child((struct bt_child_request){.argv = SH("trap '' TERM; while :; do :; done"), .timeout_ms = 100});
  is_int(r.status, -SIGKILL, "one that ignores SIGTERM is killed 2 s later");
  ok(bt_clock_mono_ms() - t0 >= 2000, "not before");
  r = child((struct bt_child_request){.argv = SH("yes"), .max_output = 100000});
  is_int(r.status, -SIGKILL, "a talker is killed");
  is_int(r.out_len, 100000, "its output is cut");
  t0 = bt_clock_mono_ms();
  r = child((struct bt_child_request){.argv = SH("sleep 3 & echo done")});
  is_str(r.out, "done\n", "a grandchild that keeps the pipe");
  ok(r.status == 0 && bt_clock_mono_ms() - t0 < 2500, "does not keep the call open");
}

int main(void) {
  loop = bt_loop_new();
  test_timers();
  test_posts();
  test_stop_between_posts();
  test_stalls();
  test_descheduled();
  test_watch_and_signal();
  test_workers();
  test_workers_close();
  test_children();
  test_child_limits();
  bt_loop_free(&loop);
  return done_testing();
}
