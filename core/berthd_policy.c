/* The daemon's policies: files are read in workers, and what they say of places is asked on the loop, where control steps. So whoever reads a
 * change leaves a new judge in a slot, and the loop takes it from there. */
#include "config.h"

#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "daemon.h"
#include "policy/judge.h"

enum { look_ms = 5000 };

/* ---- the judge ---- */

static bool any(void *arg) { return bt_judge_any(((struct bt_daemon *)arg)->judge); }

static void ask(void *arg, const json_t *service, const json_t *node, struct bt_judgement *out) {
  bt_judge_ask(((struct bt_daemon *)arg)->judge, service, node, out);
}

struct bt_control_judge bt_daemon_judge(struct bt_daemon *d) { return (struct bt_control_judge){any, ask, d}; }

static void told(void *arg, enum bt_code code, const char *message, const json_t *result) {
  struct bt_daemon *d = arg;
  (void)message;
  (void)result;
  d->judge_untold = code != BT_OK; /* the store takes no writes: it is tried again */
}

static void tell(struct bt_daemon *d) {
  d->judge_untold = false;
  bt_executor_write(d->executor, "policy.changed", json_object(), "system", false, told, d);
}

static bool take(struct bt_daemon *d) {
  struct bt_judge *next = atomic_exchange(&d->judge_next, NULL);
  if (!next)
    return false;
  bt_judge_free(&d->judge);
  d->judge = next;
  return true;
}

static void arrived(void *arg) {
  struct bt_daemon *d = arg;
  if (!d->closing && d->executor && take(d))
    tell(d);
}

/* In whatever thread reads the files. */
static void changed(void *arg, struct bt_judge *judge) {
  struct bt_daemon *d = arg;
  struct bt_judge *missed = atomic_exchange(&d->judge_next, judge);
  bt_judge_free(&missed);
  bt_loop_post(d->loop, "daemon: new policies", arrived, d);
}

/* ---- the files ---- */

static struct bt_policy_limits limits_of(const struct bt_config *config) {
  return (struct bt_policy_limits){.timeout_ms = (int)(config->policies.timeout / 1000000),
                                   .max_memory = (size_t)config->policies.memory};
}

int bt_daemon_policies_open(struct bt_daemon *d, struct bt_err **err) {
  struct bt_policy_limits limits = limits_of(d->config);
  if (bt_policy_load(d->config->policies.dir, &limits, &d->policy, err) < 0)
    return -1;
  bt_policy_on_change(d->policy, changed, d);
  take(d);
  return 0;
}

struct job {
  struct bt_daemon *d;
  struct bt_policy_limits limits;
  char *dir; /* NULL: as it is */
};

/* In a worker: a check that is going on holds the policies for as long as its limits let it. */
static void refresh(void *arg) {
  struct job *job = arg;
  if (job->dir)
    bt_policy_configure(job->d->policy, job->dir, &job->limits);
  bt_policy_refresh(job->d->policy, NULL);
}

static void refreshed(void *arg) {
  struct job *job = arg;
  struct bt_daemon *d = job->d;
  if (!job->dir && !d->closing)
    bt_timer_set(d->look, look_ms);
  free(job->dir);
  free(job);
}

static void look(void *arg) {
  struct bt_daemon *d = arg;
  struct job *job = bt_new(struct job);
  *job = (struct job){.d = d};
  if (d->judge_untold)
    tell(d);
  bt_pool_run(d->pool, "look at the policies", refresh, refreshed, job);
}

void bt_daemon_policies_watch(struct bt_daemon *d) {
  d->look = bt_timer_new(d->loop, "daemon: look at the policies", look, d);
  bt_timer_set(d->look, look_ms);
}

void bt_daemon_policies_reload(struct bt_daemon *d) {
  struct job *job = bt_new(struct job);
  *job = (struct job){d, limits_of(d->config), bt_strdup(d->config->policies.dir)};
  bt_pool_run(d->pool, "reload the policies", refresh, refreshed, job);
}

void bt_daemon_policies_close(struct bt_daemon *d) {
  struct bt_judge *next = atomic_exchange(&d->judge_next, NULL);
  bt_policy_free(&d->policy);
  bt_judge_free(&next);
  bt_judge_free(&d->judge);
  bt_timer_free(&d->look);
}
