#include <stdarg.h>
#include <stdio.h>

#include "../common/host.h"
#include "engine.h"

/* From what is to what should be, one step at a time: learn what runs; where the text differs, check it and reload (or start); where
 * only servers differ, runtime commands. Every end of a step comes back to lbh_sync, so whatever happens on the way, the next step
 * is made of what is then. */

enum { batch_bytes = 12 * 1024, linger_ms = 1000, save_ms = 1000, attach_retry_ms = 1000, refused_retry_ms = 10000, start_retry_max_ms = 5000 };

/* ---------------------------------------------------------------- telling */

__attribute__((format(printf, 3, 4))) static void log_line(struct berth_instance *self, enum berth_log_level level, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  pu_vlog(self->host, self->log, level, fmt, ap);
  va_end(ap);
}

static void emit(struct berth_instance *self, json_t *event_steal) {
  PU_AUTO_JSON event = event_steal;
  PU_AUTO_FREE text = pu_json_text(event);
  if (self->watch)
    self->ops->emit(self->host, self->watch, BERTH_LB_EVENT, text, strlen(text));
}

static void tell(struct berth_instance *self, bool failing, const char *sentence) {
  if (self->failing == failing && (!failing || pu_eq(self->detail, sentence)))
    return;
  self->failing = failing;
  pu_set(&self->detail, failing ? pu_strdup(sentence) : NULL);
  log_line(self, failing ? BERTH_LOG_ERROR : BERTH_LOG_INFO, "%s", sentence);
  if (self->events)
    self->events->publish(self->host, failing ? "lb-failing" : "lb-recovered", failing ? "error" : "info", sentence, NULL);
  emit(self, json_pack("{s:s,s:o}", "status", failing ? "failing" : "ok", "message", pu_json_string(sentence)));
}

static json_t *refused_json(const struct berth_instance *self) {
  json_t *list = json_array();
  for (size_t i = 0; i < self->state.nroutes; i++)
    if (self->state.routes[i].refused)
      json_array_append_new(list, json_pack("{s:s,s:o}", "route", self->state.routes[i].id, "message", pu_json_string(self->state.routes[i].refused)));
  return list;
}

/* ---------------------------------------------------------------- callers */

static void end_waiters(struct berth_instance *self, enum berth_code code, const char *sentence) {
  PU_AUTO_JSON refused = refused_json(self);
  PU_AUTO_FREE list = pu_json_text(refused);
  bool told = false;
  while (self->waiters) {
    struct lbh_waiter *w = self->waiters;
    self->waiters = w->next;
    PU_AUTO_FREE result = w->apply ? pu_asprintf("{\"reloaded\":%s,\"refused\":%s}", self->reloaded ? "true" : "false", list) : pu_strdup("{}");
    told = told || (w->apply && code == BERTH_OK);
    self->ops->finish(self->host, w->op, code, sentence, code == BERTH_OK ? result : NULL);
    free(w);
  }
  if (!told && code == BERTH_OK && self->told_refused && strcmp(self->told_refused, list) != 0)
    emit(self, json_pack("{s:O}", "refused", refused));
  pu_set(&self->told_refused, pu_strdup(list));
  self->reloaded = false;
}

static void on_save(void *arg) {
  struct berth_instance *self = arg;
  self->save_timer = 0;
  if (self->job || self->phase != LBH_IDLE || self->reshape || !self->alive || !pu_eq(self->running, self->text.hash))
    return; /* what is under way writes it, or it is not in force */
  struct lbh_text fresh;
  lbh_text_make(&self->settings, &self->state, &self->want, self->user, &fresh);
  if (pu_eq(fresh.hash, self->running)) {
    lbh_text_free(&self->text);
    self->text = fresh;
    pu_set(&self->good_text, pu_strdup(self->text.text));
    lbh_write_config(self, self->good_text);
  } else {
    lbh_text_free(&fresh);
  }
}

/* All is as it should be. The file follows a moment later, so that whoever restarts HAProxy finds the servers of today in it. */
static void settle(struct berth_instance *self) {
  self->desyncs = 0;
  end_waiters(self, BERTH_OK, NULL);
  lbh_drain_look(self);
  if (!self->save_timer && self->alive)
    self->save_timer = self->timer->after(self->host, save_ms, on_save, self);
}

/* ---------------------------------------------------------------- what runs? */

void lbh_forget_listeners(struct berth_instance *self) {
  for (size_t i = 0; i < self->listening.len; i++)
    free(self->listening.items[i]);
  if (!self->listening.items)
    self->listening.items = pu_calloc(LBH_MAX_LISTENERS, sizeof(char *));
  self->listening.len = 0;
}

static void learned(struct berth_instance *self) {
  self->phase = LBH_IDLE;
  self->learned = true;
  lbh_sync(self);
}

static void on_servers(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  (void)len;
  lbh_table_free(&self->is);
  self->alive = reply && lbh_servers_parse(reply, &self->is);
  for (size_t i = 0; i < self->want.len && self->alive; i++)
    lbh_table_add(&self->is, self->want.items[i].name); /* a backend without servers is in no row */
  if (self->alive)
    lbh_read_listeners(self);
  else
    pu_set(&self->running, NULL);
  learned(self);
}

static void on_description(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  (void)len;
  PU_AUTO_FREE description = reply ? lbh_info(reply, "description") : NULL;
  PU_AUTO_FREE pid = reply ? lbh_info(reply, "Pid") : NULL;
  pu_set(&self->running, pu_starts(description, "berth-") ? pu_strdup(description + 6) : NULL);
  if (!reply) {
    self->alive = false;
    lbh_table_free(&self->is);
    learned(self);
    return;
  }
  self->worker = pid ? atoi(pid) : 0;
  pu_set(&self->product_version, lbh_info(reply, "Version"));
  lbh_look_at_processes(self);
  lbh_cli_ask(self->cli, self->settings.stats_socket, "show servers state", on_servers, self);
}

static void learn(struct berth_instance *self) {
  self->phase = LBH_LEARNING;
  lbh_cli_ask(self->cli, self->settings.stats_socket, "show info", on_description, self);
}

/* ---------------------------------------------------------------- another text */

static void refuse(struct lbh_route *r, char *why_steal) { pu_set(&r->refused, why_steal); }

static bool listens_on(const struct berth_instance *self, const char *listen) {
  for (size_t i = 0; i < self->listening.len; i++)
    if (strcmp(self->listening.items[i], listen) == 0)
      return self->alive;
  return false;
}

/* What can be told without HAProxy. False with a sentence: nothing of it can be served. */
static bool refuse_early(struct berth_instance *self, char **why) {
  for (size_t i = 0; i < self->state.nroutes; i++) {
    struct lbh_route *r = &self->state.routes[i];
    const struct lbh_certificate *c = r->certificate ? lbh_state_certificate(&self->state, r->certificate) : NULL;
    if (r->refused)
      continue;
    if (r->certificate && (!c || !c->pem))
      refuse(r, pu_strdup("the content of its TLS secret cannot be had"));
    else if (r->certificate && !r->tcp && !self->settings.https.len)
      refuse(r, pu_strdup("it wants TLS, and the load balancer's entry in berthd.yaml names no \"https\" address"));
    else if (!r->tcp && !self->settings.http.len && !r->certificate)
      refuse(r, pu_strdup("the load balancer's entry in berthd.yaml names no \"http\" address"));
    else if (r->tcp && r->port < self->settings.tcp_port_min)
      refuse(r, pu_asprintf("port %d is below tcp_port_min (%d) of the load balancer's entry in berthd.yaml", r->port, self->settings.tcp_port_min));
  }
  char *listen;
  int route;
  for (size_t i = 0; lbh_text_listener(&self->settings, &self->state, i, &listen, &route); i++) {
    PU_AUTO_FREE owned = listen;
    char *error = listens_on(self, owned) ? NULL : lbh_listen_error(listen);
    if (!error)
      continue;
    self->retry_refused = true;
    if (route < 0) {
      pu_set(why, error);
      return false;
    }
    refuse(&self->state.routes[route], error);
    i--; /* one listener less */
  }
  return true;
}

static void on_retry_refused(void *arg) {
  struct berth_instance *self = arg;
  self->retry_timer = 0;
  for (size_t i = 0; i < self->state.nroutes; i++)
    pu_set(&self->state.routes[i].refused, NULL);
  pu_set(&self->refused_hash, NULL);
  self->reshape = true;
  lbh_sync(self);
}

static void on_retry(void *arg) {
  struct berth_instance *self = arg;
  self->retry_timer = 0;
  self->learned = self->learned && !self->settings.attach;
  lbh_sync(self);
}

static void retry_in(struct berth_instance *self, int64_t ms, void (*what)(void *arg)) {
  self->timer->cancel(self->host, self->retry_timer);
  self->retry_timer = self->timer->after(self->host, ms, what, self);
}

/* It cannot be brought into force: what was is, and endpoints of that go on being followed. */
static void not_taken(struct berth_instance *self, enum berth_code code, const char *sentence) {
  pu_set(&self->refused_hash, pu_strdup(self->text.hash ? self->text.hash : ""));
  pu_set(&self->refusal, pu_strdup(sentence));
  tell(self, true, sentence);
  end_waiters(self, code, sentence);
}

static void write_text(struct berth_instance *self) {
  lbh_text_free(&self->text);
  lbh_text_make(&self->settings, &self->state, &self->want, self->user, &self->text);
}

static void make_text(struct berth_instance *self) {
  PU_AUTO_FREE why = NULL;
  self->reshape = false;
  self->retry_refused = false;
  bool good = refuse_early(self, &why);
  lbh_table_free(&self->want);
  lbh_table_want(&self->state, &self->want);
  write_text(self);
  if (self->retry_refused)
    retry_in(self, refused_retry_ms, on_retry_refused);
  if (!good)
    not_taken(self, BERTH_INVALID, why);
}

static void bring_into_force(struct berth_instance *self) {
  if (self->job)
    return; /* its end comes here again */
  self->phase = LBH_WRITING;
  lbh_write_aside(self);
}

void lbh_written(struct berth_instance *self, enum lbh_written kind, bool good, const char *why) {
  if (kind != LBH_WRITTEN_ASIDE) {
    if (!good)
      log_line(self, BERTH_LOG_WARN, "%s", why);
    lbh_sync(self);
    return;
  }
  self->phase = LBH_IDLE;
  if (!good)
    not_taken(self, BERTH_IO, why);
  else if (self->reshape) /* another state came meanwhile */
    lbh_sync(self);
  else
    lbh_check(self);
}

void lbh_checked(struct berth_instance *self, int status, const char *said) {
  if (self->phase != LBH_CHECKING)
    return;
  self->phase = LBH_IDLE;
  PU_AUTO_FREE aside = lbh_aside_path(&self->settings);
  if (self->reshape) { /* another state came meanwhile */
    remove(aside);
    lbh_sync(self);
    return;
  }
  if (status == 0) {
    if (rename(aside, self->settings.config_file) != 0) {
      not_taken(self, BERTH_IO, "the configuration cannot be put into its place");
      return;
    }
    if (self->alive)
      lbh_reload(self);
    else
      lbh_start(self);
    return;
  }
  int route;
  PU_AUTO_FREE sentence = lbh_text_blame(&self->settings, &self->state, &self->text, aside, said, &route);
  remove(aside);
  if (route >= 0 && (size_t)route < self->state.nroutes && !self->state.routes[route].refused) {
    refuse(&self->state.routes[route], pu_asprintf("HAProxy refuses it: %s", sentence));
    self->reshape = true;
    lbh_sync(self);
    return;
  }
  PU_AUTO_FREE why = pu_asprintf("HAProxy refuses the configuration: %s; %s", sentence,
                                 self->alive ? "the last good one stays in force" : "nothing is served until it is mended");
  not_taken(self, BERTH_INVALID, why);
  lbh_sync(self); /* the endpoints of what is in force */
}

/* ---------------------------------------------------------------- it runs, or not */

static void note_listeners(struct berth_instance *self) {
  char *listen;
  int route;
  lbh_forget_listeners(self);
  while (self->listening.len < LBH_MAX_LISTENERS &&
         lbh_text_listener(&self->settings, &self->state, self->listening.len, &listen, &route))
    self->listening.items[self->listening.len++] = listen;
}

/* The servers that the text gave it. */
static void note_servers(struct berth_instance *self) {
  lbh_table_free(&self->is);
  for (size_t i = 0; i < self->want.len; i++) {
    struct lbh_backend *b = lbh_table_add(&self->is, self->want.items[i].name);
    for (size_t j = 0; j < self->want.items[i].len; j++) {
      const struct lbh_server *w = &self->want.items[i].items[j];
      if (!w->ready)
        continue;
      struct lbh_server *s = lbh_backend_add(b, w->name);
      pu_set(&s->address, pu_strdup(w->address));
      s->port = w->port;
      s->weight = w->weight;
      s->ready = true;
    }
  }
}

static void start_failed(struct berth_instance *self, const char *why) {
  PU_AUTO_FREE sentence = NULL;
  if (self->reloading && self->alive) {
    sentence = pu_asprintf("HAProxy did not take the new configuration: %s; the last good one stays in force", why);
    if (self->good_text && !self->job) /* who restarts HAProxy would find the one that it refused */
      lbh_write_config(self, self->good_text);
    not_taken(self, BERTH_UNAVAILABLE, sentence);
    return;
  }
  int64_t pause_ms = 100LL << (self->attempts < 6 ? self->attempts : 6);
  self->attempts++;
  self->alive = false;
  sentence = pu_asprintf("HAProxy does not start: %s", why);
  tell(self, true, sentence);
  end_waiters(self, BERTH_UNAVAILABLE, sentence);
  retry_in(self, pause_ms < start_retry_max_ms ? pause_ms : start_retry_max_ms, on_retry);
}

void lbh_started(struct berth_instance *self, bool good, const char *why) {
  if (self->phase != LBH_STARTING)
    return;
  self->phase = LBH_IDLE;
  if (!good) {
    start_failed(self, why);
    return;
  }
  self->alive = self->learned = self->reloaded = true;
  self->attempts = 0;
  self->reloads += self->reloading;
  if (!self->reloading) {
    self->reloads = 0;
    self->product_started_ms = self->timer->wall_ms(self->host);
  }
  pu_set(&self->running, pu_strdup(self->text.hash));
  pu_set(&self->refused_hash, NULL);
  pu_set(&self->good_text, pu_strdup(self->text.text));
  note_listeners(self);
  note_servers(self);
  lbh_look_at_processes(self);
  if (!self->job)
    lbh_sweep_files(self);
  if (self->failing)
    tell(self, false, "HAProxy runs, and serves what it should");
  lbh_sync(self);
}

void lbh_gone(struct berth_instance *self, const char *why) {
  self->alive = false;
  self->worker = 0;
  self->nold = 0;
  pu_set(&self->running, NULL);
  lbh_table_free(&self->is);
  PU_AUTO_FREE sentence = pu_asprintf("%s; it is started again", why);
  tell(self, true, sentence);
  if (self->phase == LBH_STARTING)
    lbh_started(self, false, why);
  else
    lbh_sync(self);
}

/* ---------------------------------------------------------------- runtime commands */

static void send_batch(struct berth_instance *self);

/* Answers of a command that did what it should; HAProxy says little then. */
static bool good_answer(const char *at, size_t len) {
  static const char *const words[] = {"New server registered", "no need to change", "IP changed from", "port changed from"};
  for (size_t i = 0; i < PU_COUNT(words); i++)
    if (len >= strlen(words[i]) && memcmp(at, words[i], strlen(words[i])) == 0)
      return true;
  return len == 0;
}

static size_t parts_of(const char *text) {
  size_t n = 1;
  for (; (text = strchr(text, ';')); text++)
    n++;
  return n;
}

/* True where all commands of the batch did what they should. */
static bool take_answers(struct berth_instance *self, const char *reply) {
  size_t answer = 0;
  for (size_t i = 0; i < self->in_batch; i++) {
    struct lbh_command *c = &self->commands.items[self->sent + i];
    for (size_t parts = parts_of(c->text); parts--; answer++) {
      const char *at = "nothing";
      size_t len = 7;
      if (lbh_cli_answer(reply, answer, &at, &len) && good_answer(at, len))
        continue;
      log_line(self, BERTH_LOG_WARN, "HAProxy to \"%.200s\": %.*s", c->text, (int)(len < 200 ? len : 200), at);
      return false;
    }
    lbh_command_done(&self->is, c);
  }
  return true;
}

/* One line a deletion. What still has connections goes later. */
static void take_deletions(struct berth_instance *self, const char *reply) {
  for (size_t i = 0; i < self->in_batch; i++) {
    const struct lbh_command *c = &self->commands.items[self->sent + i];
    reply += strspn(reply, "\n");
    size_t len = strcspn(reply, "\n");
    struct lbh_backend *b = lbh_table_find(&self->is, c->backend);
    struct lbh_server *s = b ? lbh_backend_find(b, c->server) : NULL;
    if (pu_starts(reply, "Server deleted") || pu_starts(reply, "No such server"))
      lbh_command_done(&self->is, c);
    else if (s)
      s->lingers = self->lingering = true;
    reply += len;
  }
}

static void on_linger(void *arg) {
  struct berth_instance *self = arg;
  self->linger_timer = 0;
  for (size_t i = 0; i < self->is.len; i++)
    for (size_t j = 0; j < self->is.items[i].len; j++)
      self->is.items[i].items[j].lingers = false;
  lbh_sync(self);
}

static void commands_end(struct berth_instance *self, bool good) {
  lbh_commands_free(&self->commands);
  self->phase = LBH_IDLE;
  if (self->lingering && !self->linger_timer)
    self->linger_timer = self->timer->after(self->host, linger_ms, on_linger, self);
  self->lingering = false;
  if (!good) {
    self->learned = false; /* ask what it has */
    if (++self->desyncs > 2)
      pu_set(&self->running, NULL); /* and let a reload make it right */
  }
  lbh_sync(self);
}

static void on_answers(void *arg, const char *reply, size_t len) {
  struct berth_instance *self = arg;
  (void)len;
  if (self->phase != LBH_COMMANDING)
    return;
  bool good = reply != NULL;
  if (good && self->deletes)
    take_deletions(self, reply);
  else if (good)
    good = take_answers(self, reply);
  self->sent += self->in_batch;
  if (good && self->sent < self->commands.len)
    send_batch(self);
  else
    commands_end(self, good);
}

static void send_batch(struct berth_instance *self) {
  struct pu_buf line = {0};
  self->in_batch = 0;
  self->deletes = self->commands.items[self->sent].step == LBH_DELETE;
  for (size_t i = self->sent; i < self->commands.len; i++) {
    const struct lbh_command *c = &self->commands.items[i];
    if ((c->step == LBH_DELETE) != self->deletes || (line.len && line.len + strlen(c->text) + 1 > batch_bytes))
      break;
    if (line.len)
      pu_buf_addc(&line, ';');
    pu_buf_adds(&line, c->text);
    self->in_batch++;
  }
  PU_AUTO_FREE text = pu_buf_steal(&line);
  lbh_cli_ask(self->cli, self->settings.stats_socket, text, on_answers, self);
}

static void command(struct berth_instance *self) {
  lbh_commands_free(&self->commands);
  lbh_commands_make(&self->is, &self->want, &self->state, &self->commands);
  self->sent = 0;
  if (!self->commands.len) {
    if (pu_eq(self->running, self->text.hash))
      settle(self);
    return;
  }
  /* deletions stand behind all else: a batch is of one kind */
  size_t n = 0;
  struct lbh_command *sorted = pu_calloc(self->commands.len, sizeof *sorted);
  for (int deletions = 0; deletions <= 1; deletions++)
    for (size_t i = 0; i < self->commands.len; i++)
      if ((self->commands.items[i].step == LBH_DELETE) == (deletions == 1))
        sorted[n++] = self->commands.items[i];
  memcpy(self->commands.items, sorted, n * sizeof *sorted);
  free(sorted);
  self->phase = LBH_COMMANDING;
  send_batch(self);
}

/* ---------------------------------------------------------------- one step */

/* It finishes what is open by itself; a later start stands beside it. */
static void nothing_to_serve(struct berth_instance *self) {
  if (self->alive)
    lbh_end_product(self);
  self->alive = false;
  pu_set(&self->running, NULL);
  lbh_table_free(&self->is);
  settle(self);
}

void lbh_sync(struct berth_instance *self) {
  if (self->phase != LBH_IDLE || !self->applied)
    return; /* the end of what is under way comes here again */
  if (!self->learned) {
    learn(self);
    return;
  }
  bool written = self->reshape;
  if (written) {
    make_text(self);
  } else {
    lbh_table_free(&self->want);
    lbh_table_want(&self->state, &self->want);
  }
  bool same = self->alive && pu_eq(self->running, self->text.hash), refused = pu_eq(self->refused_hash, self->text.hash);
  if (!self->text.nlisteners && !self->settings.attach) {
    nothing_to_serve(self);
  } else if (!self->alive && self->settings.attach) {
    tell(self, true, "HAProxy does not answer on its runtime socket");
    end_waiters(self, BERTH_UNAVAILABLE, "HAProxy does not answer on its runtime socket");
    retry_in(self, attach_retry_ms, on_retry);
  } else if (same || (self->alive && refused)) {
    command(self);
    if (refused && !same && self->waiters && self->phase == LBH_IDLE)
      end_waiters(self, BERTH_INVALID, self->refusal);
  } else if (refused) {
    end_waiters(self, BERTH_INVALID, self->refusal);
  } else {
    if (!written) /* the servers have changed since */
      write_text(self);
    bring_into_force(self);
  }
}
