/* Breaks the rules of finish(), as the text of the message says. */
#define SIMPLE_CANCEL(self, op) on_cancel((self), (op))
#include <berth/host.h>
#include <pthread.h>
#include <time.h>
static void on_cancel(struct berth_instance *self, berth_op op);
#include "simple.h"

static berth_op kept;

/* "never" ignores a cancel, too; "slow" finishes with a result long after. */
static bool ignore_cancel;
static void on_cancel(struct berth_instance *self, berth_op op) {
  self->rounds++;
  if (!ignore_cancel)
    self->ops->finish(self->host, op, BERTH_CANCELLED, "cancelled", NULL);
}

struct job {
  struct berth_instance *self;
  berth_op op;
};

static void *in_thread(void *arg) {
  struct job *job = arg;
  job->self->ops->emit(job->self->host, job->op, 1, "from a thread", 13);
  job->self->ops->finish(job->self->host, job->op, BERTH_OK, NULL, "{\"thread\":true}");
  free(job);
  return NULL;
}

static void block(long ms) {
  struct timespec t = {.tv_sec = 0, .tv_nsec = ms * 1000000};
  nanosleep(&t, NULL);
}

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  const struct berth_host_ops *ops = self->ops;
  const char *text = request->text;
  if (strcmp(text, "ok") == 0) {
    ops->finish(self->host, op, BERTH_OK, NULL, "{\"queued\":true}");
  } else if (strcmp(text, "error") == 0) {
    ops->finish(self->host, op, BERTH_CONFLICT, "the room is locked: unlock it", NULL);
  } else if (strcmp(text, "double") == 0) {
    ops->finish(self->host, op, BERTH_OK, NULL, "{\"first\":true}");
    ops->finish(self->host, op, BERTH_OK, NULL, "{\"first\":false}");
  } else if (strcmp(text, "garbage") == 0) {
    ops->finish(self->host, op, BERTH_OK, NULL, "{\"half\": ");
  } else if (strcmp(text, "list") == 0) {
    ops->finish(self->host, op, BERTH_OK, NULL, "[1]");
  } else if (strcmp(text, "code") == 0) {
    ops->finish(self->host, op, (enum berth_code)99, "a code of the future", NULL);
  } else if (strcmp(text, "keep") == 0) {
    kept = op;
    ignore_cancel = false;
  } else if (strcmp(text, "never") == 0) {
    kept = op;
    ignore_cancel = true;
  } else if (strcmp(text, "late") == 0) {
    ops->finish(self->host, kept, BERTH_OK, NULL, "{}");
    ops->finish(self->host, op, BERTH_OK, NULL, NULL);
  } else if (strcmp(text, "emit") == 0) {
    ops->emit(self->host, op, 7, "one", 3);
    ops->emit(self->host, op, 7, "two", 3);
    ops->finish(self->host, op, BERTH_OK, NULL, "{}");
  } else if (strcmp(text, "flood") == 0) {
    char *big = calloc(1, 2 * 1024 * 1024);
    ops->emit(self->host, op, 7, big, 2 * 1024 * 1024);
    free(big);
  } else if (strcmp(text, "thread") == 0) {
    struct job *job = calloc(1, sizeof *job);
    job->self = self;
    job->op = op;
    pthread_t t;
    if (pthread_create(&t, NULL, in_thread, job) == 0)
      pthread_detach(t);
  } else if (strcmp(text, "block") == 0) {
    block(80);
    ops->finish(self->host, op, BERTH_OK, NULL, NULL);
  } else if (strcmp(text, "cancels") == 0) {
    ops->finish(self->host, op, BERTH_OK, NULL, self->rounds == 1 ? "{\"cancels\":1}" : "{\"cancels\":-1}");
  }
}
