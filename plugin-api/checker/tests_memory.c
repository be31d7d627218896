/* Memory and handles: nothing grows with calls, nothing is left after stop, and a refused allocation is no crash. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "base/clock.h"
#include "bench.h"
#include "report.h"
#include "request.h"
#include "tests.h"
#include "wire.h"

/* kept: descriptors that a library may open once for ever. */
enum { warm_cycles = 2, cycles = 6, kept = 4, refusals = 160 };

/* Of the address sanitizer, where it is linked: 1 where memory is unreachable. */
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static bool over(void *arg) { return check_ops_over(arg); }

static void settle(struct check_bench *b, int ms) {
  if (check_turn(b->loop, ms, over, b->host))
    return;
  for (size_t i = 0; i < b->host->ops.len; i++)
    if (!b->host->ops.items[i]->finished)
      check_op_cancel(b->host, b->host->ops.items[i]);
  check_turn(b->loop, ms, over, b->host);
}

static void call_all(struct check_bench *b, enum check_play play) {
  struct check_method m;
  check_world.play = play;
  for (size_t i = 0; check_method_at(b, i, &m); i++) {
    check_step("%s, HTTP: %s", m.label, check_play_doc(play));
    check_call(b, &m, CHECK_TYPICAL, 0, NULL);
  }
  settle(b, 400);
}

/* ---------------------------------------------------------------- handles */

/* The same calls again and again: as many handles and descriptors as after the first ones. */
static void handles(const struct check_test *t) {
  (void)t;
  enum { rounds = 12 };
  struct check_bench b;
  if (check_load(&b) && check_up(&b)) {
    int64_t until = bt_clock_mono_ms() + check_plan.seconds * 600;
    call_all(&b, CHECK_GOOD);
    call_all(&b, CHECK_ERROR);
    size_t open = b.host->open;
    struct check_count before = check_count();
    int n = 0;
    for (; n < rounds && bt_clock_mono_ms() < until; n++)
      call_all(&b, n % 2 ? CHECK_ERROR : CHECK_GOOD);
    struct check_count after = check_count();
    if (n > 1 && b.host->open >= open + (size_t)n)
      check_fail("%zu handles are open after %d rounds of calls, %zu were at first: cancel timers, unwatch, unsubscribe", b.host->open, n,
                 open);
    if (n > 1 && after.descriptors >= before.descriptors + n)
      check_fail("%d descriptors are open after %d rounds of calls, %d were at first", after.descriptors, n, before.descriptors);
    if (n > 1 && after.threads >= before.threads + n)
      check_fail("%d threads run after %d rounds of calls, %d did at first", after.threads, n, before.threads);
  }
  check_step("stop()");
  check_unload(&b);
}

/* ---------------------------------------------------------------- leaks */

static bool cycle(struct check_bench *b) {
  bool up = check_up(b);
  if (up) {
    call_all(b, CHECK_GOOD);
    call_all(b, CHECK_ERROR);
    call_all(b, CHECK_GARBAGE);
  }
  check_step("stop()");
  check_down(b);
  check_turn(b->loop, 5, NULL, NULL);
  return up;
}

/* Calls of each method; gives how many. */
static long many_calls(struct check_bench *b, enum check_play play) {
  enum { together = 20 };
  struct check_method m;
  size_t ops = b->host->ops.len;
  check_world.play = play;
  for (int k = 0; k < together; k++)
    for (size_t i = 0; check_method_at(b, i, &m); i++) {
      check_step("%s, %d at once", m.label, together);
      check_call(b, &m, CHECK_TYPICAL, 0, NULL);
    }
  settle(b, 400);
  return (long)BT_MAX(b->host->ops.len - ops, 1u);
}

/* A process: what it holds after some hundreds of calls, and after some more. Interpreters take memory as they like; one that takes
 * some in each of the batches, and that much for each call, keeps what it should not. */
static void process_leaks(struct check_bench *b) {
  enum { batches = 6, batch_calls = 600, bytes_a_call = 512, least = 1 << 20 };
  int64_t until = bt_clock_mono_ms() + check_plan.seconds * 600;
  struct check_usage first = {0}, now = {0};
  int n = 0, grew = 0;
  long calls = 0;
  for (; n < batches && bt_clock_mono_ms() < until; n++) {
    long before = calls;
    for (int k = 0; calls - before < batch_calls && bt_clock_mono_ms() < until; k++)
      calls += many_calls(b, k % 4 ? CHECK_GOOD : CHECK_ERROR);
    struct check_usage last = now;
    now = check_wire_usage(b->host);
    grew += n && now.bytes > last.bytes;
    if (n == 0) {
      first = now;
      calls = 0;
    }
  }
  if (now.descriptors > first.descriptors + kept)
    check_fail("its process has %d descriptors open after %ld calls, %d were at first", now.descriptors, calls, first.descriptors);
  if (now.threads > first.threads + kept)
    check_fail("its process has %d threads after %ld calls, %d were at first", now.threads, calls, first.threads);
  if (now.children > first.children + 1)
    check_fail("its process has %d children after %ld calls, %d were at first: wait for those that have ended", now.children, calls,
               first.children);
  if (!check_alloc_on() && !check_plan.isolation.command.len) /* Berth's interpreter, built with a sanitizer: freed memory is kept */
    check_note("its memory is not looked at: a sanitizer is in the way");
  else if (n > 2 && grew == n - 1 && now.bytes - first.bytes > BT_MAX((long long)least, calls * bytes_a_call))
    check_fail("its process took %lld KiB more memory over %ld calls, and goes on", (now.bytes - first.bytes) / 1024, calls);
}

static void leaks(const struct check_test *t) {
  (void)t;
  if (check_wire()) {
    struct check_bench p;
    if (check_load(&p) && check_up(&p))
      process_leaks(&p);
    check_step("stop()");
    check_unload(&p);
    return;
  }
  struct check_bench b;
  if (!check_load(&b))
    return;
  int64_t until = bt_clock_mono_ms() + check_plan.seconds * 600;
  struct check_alloc_live before = {0};
  struct check_count first = check_count();
  int n = 0;
  for (; n < warm_cycles + cycles && (n <= warm_cycles || bt_clock_mono_ms() < until); n++) {
    if (n == warm_cycles)
      before = check_alloc_live();
    if (!cycle(&b))
      break;
  }
  struct check_alloc_live after = check_alloc_live();
  int descriptors = check_count().descriptors - first.descriptors;
  if (descriptors > kept)
    check_fail("start, calls and stop leave %d descriptors open", descriptors);
  size_t counted = (size_t)BT_MAX(n - warm_cycles, 1);
  if (after.blocks >= before.blocks + counted)
    check_fail("%zu blocks of memory (%zu bytes) are not freed after %zu entries were started, called and stopped; with "
               "AddressSanitizer the checker tells where they come from",
               after.blocks - before.blocks, after.bytes - before.bytes, counted);
  if (__lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check())
    check_fail("memory is leaked (see the report below)");
  check_unload(&b);
}

/* ---------------------------------------------------------------- refused allocations */

/* All of an entry's life. What it says does not count here, only that the process lives. */
static void life(void) {
  struct check_bench b;
  struct check_method m;
  const char *why;
  if (!check_load(&b))
    return;
  check_step("start()");
  b.host = check_host_new(b.loop, b.plugin);
  if (check_host_start(b.host, b.text, &why) == BERTH_OK) {
    for (size_t i = 0; check_method_at(&b, i, &m); i++) {
      check_step("%s", m.label);
      check_call(&b, &m, CHECK_TYPICAL, 0, NULL);
      check_turn(b.loop, 5, over, b.host);
    }
    settle(&b, 200);
  }
  check_step("stop()");
  check_down(&b);
}

/* In a process of its own; *count: allocations (through the pipe of the parent). Gives the wait status. */
static int life_with(long refuse, long *count) {
  int pipes[2];
  BT_ASSERT(pipe2(pipes, O_CLOEXEC) == 0);
  pid_t pid = fork();
  BT_ASSERT(pid >= 0);
  if (pid == 0) {
    check_report_to(open("/dev/null", O_WRONLY | O_CLOEXEC), (char *)(uintptr_t)check_at());
    alarm(4);
    check_alloc_refuse(refuse);
    life();
    long n = check_alloc_count();
    _exit(write(pipes[1], &n, sizeof n) == sizeof n ? 0 : 1);
  }
  close(pipes[1]);
  int status = 0;
  if (read(pipes[0], count, sizeof *count) != sizeof *count)
    *count = 0;
  waitpid(pid, &status, 0);
  close(pipes[0]);
  return status;
}

struct tally {
  long tried, aborted;
  char where[CHECK_STEP_ROOM];
};

static bool judge(struct tally *tally, int status, long n, long all) {
  tally->tried++;
  if (!WIFSIGNALED(status))
    return true;
  int signo = WTERMSIG(status);
  if (signo == SIGABRT) {
    if (tally->aborted++ == 0)
      snprintf(tally->where, sizeof tally->where, "%s", check_at());
    return true;
  }
  check_fail(signo == SIGALRM ? "it hangs where allocation %ld of %ld is refused, in: %s [%s]"
                              : "it crashes where allocation %ld of %ld is refused, in: %s [SIG%s]",
             n, all, check_at(), signo == SIGALRM ? "4 s" : sigabbrev_np(signo));
  return false;
}

static void allocation(const struct check_test *t) {
  (void)t;
  if (check_wire()) {
    check_skip("its memory is its process' own, and limits.memory ends that");
    return;
  }
  if (!check_alloc_on()) {
    check_skip("a sanitizer brings its own allocator");
    return;
  }
  int64_t until = bt_clock_mono_ms() + check_plan.seconds * 700;
  long all = 0;
  struct tally tally = {0};
  if (!check_map())
    return;
  int status = life_with(0, &all);
  if (!all)
    check_fail("without a refused allocation it does not come to its end either (wait status %d)", status);
  for (long i = 0; i < BT_MIN(all, (long)refusals) && bt_clock_mono_ms() < until; i++) {
    long ignored, n = all <= refusals ? i + 1 : 1 + i * all / refusals;
    if (!judge(&tally, life_with(n, &ignored), n, all))
      break;
  }
  check_step("the end");
  if (tally.aborted)
    check_warn("it ends the process (abort) where memory is refused, in %ld of %ld tries, first in: %s. Inside of the server that ends the "
               "server; BERTH_EXHAUSTED is the better answer, or isolation: process",
               tally.aborted, tally.tried, tally.where);
}

void check_tests_memory(struct check_tests *tests) {
#define ADD(name, fn, doc) check_test_add(tests, bt_strdup(name), fn, NULL, 0, doc)
  ADD("memory.handles", handles, "calls leave no handles, descriptors or threads");
  ADD("memory.leaks", leaks, "start, calls and stop leave no memory");
  ADD("memory.allocation", allocation, "a refused allocation is an error, no crash");
#undef ADD
}
