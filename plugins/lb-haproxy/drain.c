#include <stdio.h>

#include "engine.h"

/* Draining: the server is in maintenance by now; what is left is to count its open requests until there are none, in the present
 * worker and in those that a reload left to finish what they have. */

enum { first_pause_ms = 10, longest_pause_ms = 200 };

static void on_timer(void *arg);

static void look_in(struct berth_instance *self, int64_t ms) {
  if (!self->drain_timer && self->drains)
    self->drain_timer = self->timer->after(self->host, ms, on_timer, self);
}

static void finish(struct berth_instance *self, struct lbh_drain **at) {
  struct lbh_drain *d = *at;
  *at = d->next;
  PU_AUTO_FREE result = pu_asprintf("{\"open\":%llu}", (unsigned long long)d->open);
  self->ops->finish(self->host, d->op, BERTH_OK, NULL, result);
  free(d->endpoint);
  free(d);
}

/* ---------------------------------------------------------------- a round of questions */

static void judge(struct berth_instance *self) {
  int64_t now = self->timer->mono_ms(self->host);
  for (struct lbh_drain **at = &self->drains; *at;) {
    struct lbh_drain *d = *at;
    d->open = d->sum;
    if (d->open == 0 || d->until_ms <= now || !self->alive)
      finish(self, at);
    else
      at = &d->next;
  }
  self->drain_pause_ms = self->drain_pause_ms * 3 / 2 < longest_pause_ms ? self->drain_pause_ms * 3 / 2 : longest_pause_ms;
  look_in(self, self->drain_pause_ms);
}

static void on_rows(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  struct lbh_rows rows = {0};
  (void)len;
  if (reply && lbh_stat_parse(reply, &rows))
    for (size_t i = 0; i < rows.len; i++)
      for (struct lbh_drain *d = self->drains; d; d = d->next)
        if (strcmp(d->endpoint, rows.items[i].server) == 0)
          d->sum += rows.items[i].open + rows.items[i].queued;
  lbh_rows_free(&rows);
  if (--self->drain_asks == 0)
    judge(self);
}

/* "show stat" of the backends that have one of the servers; NULL: none has. The caller frees. */
static char *question(const struct berth_instance *self, const char *prefix) {
  struct pu_buf b = {0};
  for (size_t i = 0; i < self->is.len && b.len < 8000; i++)
    for (const struct lbh_drain *d = self->drains; d; d = d->next)
      if (lbh_backend_find(&self->is.items[i], d->endpoint)) {
        pu_buf_addf(&b, "%s%sshow stat %s 4 -1", b.len ? ";" : "", prefix, self->is.items[i].name);
        break;
      }
  if (b.len)
    return pu_buf_steal(&b);
  return NULL;
}

static void ask_all(struct berth_instance *self) {
  PU_AUTO_FREE present = question(self, "");
  for (struct lbh_drain *d = self->drains; d; d = d->next)
    d->sum = 0;
  self->drain_asks = 1; /* until all are asked */
  if (present) {
    self->drain_asks++;
    lbh_cli_ask(self->cli, self->settings.stats_socket, present, on_rows, self);
  }
  for (size_t i = 0; present && i < self->nold; i++) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "@!%d ", self->old_workers[i]);
    PU_AUTO_FREE old = question(self, prefix);
    self->drain_asks++;
    lbh_cli_ask(self->cli, self->settings.master_socket, old, on_rows, self);
  }
  if (self->nold)
    lbh_look_at_processes(self);
  if (--self->drain_asks == 0)
    judge(self);
}

static void on_timer(void *arg) {
  struct berth_instance *self = arg;
  self->drain_timer = 0;
  if (!self->drains || self->drain_asks)
    return;
  if (self->phase == LBH_IDLE || self->drains->until_ms <= self->timer->mono_ms(self->host))
    ask_all(self);
  else
    look_in(self, first_pause_ms); /* its maintenance is on its way */
}

/* ---------------------------------------------------------------- from outside */

static void ignore(void *arg, const char *reply, size_t len) { (void)arg, (void)reply, (void)len; }

/* A worker that finishes what it has would still give it the next request of a connection that it keeps. */
static void tell_old_workers(struct berth_instance *self, const char *endpoint) {
  for (size_t w = 0; w < self->nold; w++)
    for (size_t i = 0; i < self->is.len; i++) {
      if (!lbh_backend_find(&self->is.items[i], endpoint))
        continue;
      PU_AUTO_FREE line = pu_asprintf("@!%d set server %s/%s state maint", self->old_workers[w], self->is.items[i].name, endpoint);
      lbh_cli_ask(self->cli, self->settings.master_socket, line, ignore, self);
    }
}

void lbh_drain_add(struct berth_instance *self, berth_op op, const char *endpoint, int64_t deadline_ms) {
  struct lbh_drain *d = pu_new(struct lbh_drain);
  *d = (struct lbh_drain){.op = op,
                          .endpoint = pu_strdup(endpoint),
                          .until_ms = self->timer->mono_ms(self->host) + (deadline_ms > 0 ? deadline_ms : 0),
                          .next = self->drains};
  self->drains = d;
  tell_old_workers(self, endpoint);
  self->drain_pause_ms = first_pause_ms;
}

void lbh_drain_look(struct berth_instance *self) { look_in(self, 0); }

void lbh_drain_cancel(struct berth_instance *self, berth_op op) {
  for (struct lbh_drain **at = &self->drains; *at; at = &(*at)->next) {
    struct lbh_drain *d = *at;
    if (d->op != op)
      continue;
    *at = d->next;
    self->ops->finish(self->host, op, BERTH_CANCELLED, "the caller gave up", NULL);
    free(d->endpoint);
    free(d);
    return;
  }
}

void lbh_drain_free(struct berth_instance *self) {
  while (self->drains) {
    struct lbh_drain *d = self->drains;
    self->drains = d->next;
    free(d->endpoint);
    free(d);
  }
}
