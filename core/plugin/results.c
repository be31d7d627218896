#include "config.h"
#include "plugin/results.h"

#include "base/json.h"
#include "base/mem.h"
#include "loop/worker.h"

enum { max_depth = 256 };

json_t *bt_result_read(const char *text, size_t len, struct bt_err **err) {
  if (!text)
    return json_object();
  if (len <= BT_RESULT_MAX && !bt_json_within(text, len, BT_RESULT_MAX_VALUES)) {
    bt_err_set(err, BT_TOO_LARGE, "result: it has more than %d values", BT_RESULT_MAX_VALUES);
    return NULL;
  }
  json_t *result = bt_json_parse(text, len, BT_RESULT_MAX, max_depth, "result", err);
  if (result && !json_is_object(result)) {
    json_decref(result);
    bt_err_set(err, BT_INVALID, "the result is no JSON object");
    return NULL;
  }
  return result;
}

/* On its way through a worker and back; then once more, to be freed. */
struct job {
  struct bt_pool *pool;
  char *text;
  size_t len;
  json_t *result;
  struct bt_err *err;
  void (*done)(void *arg, unsigned long long number, json_t *result, const struct bt_err *err);
  void *arg;
  unsigned long long number;
};

static void job_read(void *arg) {
  struct job *job = arg;
  job->result = bt_result_read(job->text, job->len, &job->err);
  free(job->text);
}

static void job_free(void *arg) {
  struct job *job = arg;
  json_decref(job->result);
  bt_err_free(&job->err);
  free(job);
}

static void job_done(void *arg) {
  struct job *job = arg;
  job->done(job->arg, job->number, job->result, job->err);
  bt_pool_run(job->pool, "plugin/results", job_free, NULL, job);
}

void bt_result_read_later(struct bt_pool *pool, char *text_steal, size_t len,
                          void (*done)(void *arg, unsigned long long number, json_t *result, const struct bt_err *err), void *arg,
                          unsigned long long number) {
  struct job *job = bt_new(struct job);
  *job = (struct job){.pool = pool, .text = text_steal, .len = len, .done = done, .arg = arg, .number = number};
  bt_pool_run(pool, "plugin/results", job_read, job_done, job);
}
