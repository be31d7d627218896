/* berth.host.worker/1 over the server's pool of threads. A job belongs to the plug-in's code, not to the entry: its done comes
 * even after stop(), since only the plug-in can free what work() used. */
#include "config.h"

#include "loop/loop.h"
#include "loop/worker.h"
#include "plugin/internal.h"

struct job {
  const char *label; /* of the cell: lives as long as the process */
  struct bt_loop *loop;
  void (*work)(void *arg);
  void (*done)(void *arg);
  void *arg;
};

static void job_work(void *arg) {
  struct job *job = arg;
  job->work(job->arg);
}

static void job_done(void *arg) {
  struct job *job = arg;
  if (job->done) {
    bt_loop_enter(job->loop, job->label);
    job->done(job->arg);
    bt_loop_leave(job->loop);
  }
  free(job);
}

/* Also while the entry stops: there is no handle that could say no. */
static void worker_run(const struct berth_host *host, void (*work)(void *arg), void (*done)(void *arg), void *arg) {
  struct bt_plugin *entry = bt_host_entry(host, "worker.run");
  if (!entry || !work)
    return;
  struct job *job = bt_new(struct job);
  *job = (struct job){
      .label = entry->cell->label, .loop = entry->plugins->loop, .work = work, .done = done, .arg = arg};
  bt_pool_run(entry->plugins->pool, job->label, job_work, job_done, job);
}

const struct berth_host_worker bt_service_worker = {.size = sizeof bt_service_worker, .run = worker_run};
