/* Why an instance is as it is, in a sentence for a person, from the same facts that decided it. Pure. */
#ifndef BT_PLAN_EXPLAIN_H
#define BT_PLAN_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "model/status.h"

struct bt_explain_inst {
  const char *id, *node;
  const char *reason;           /* why it waits or leaves; NULL */
  const char *error;            /* as the node reported; NULL */
  const char *health;           /* "", starting, healthy, unhealthy */
  const char *restart;          /* condition of its restart policy */
  enum bt_state state;
  bool ready, leaving, ended, oom, restarting, job;
  bool healthcheck, readiness;  /* it has such checks */
  int exit_code, restarts, failures;
  int64_t since_ms;             /* when it came into this state; 0: unknown */
  int64_t next_start_ms;        /* 0: none */
};

struct bt_explain {
  struct bt_buf text;
  const char *code; /* a literal: "waiting", "backoff", "ended", "not-ready", "ready", … */
  char *next;       /* what to try; the caller frees; NULL: nothing */
};

/* Fills out (bt_buf_free out->text, free out->next). */
void bt_explain_instance(const struct bt_explain_inst *inst, int64_t now_ms, struct bt_explain *out);

#endif
