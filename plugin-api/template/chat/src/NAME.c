/* @NAME@: what happens in Berth, and what is sent with berth.chat/1, as lines of JSON: appended to a file, or posted to a URL.
 *
 * Lines gather in a buffer. One batch of them at a time is on its way, written by a worker (a disk may be slow) or by an HTTP
 * request; what does not arrive stays in front and is tried again, after 1 s, 2 s, 4 s … up to a minute. */
#define _POSIX_C_SOURCE 200809L
#include <berth/chat.h>
#include <berth/host.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { max_waiting = 1024 * 1024, first_retry_ms = 1000, last_retry_ms = 60000 };

/* A batch that a worker writes. It outlives the entry where that stops meanwhile: self is NULL then. */
struct write_job {
  struct berth_instance *self;
  char *file, *text;
  size_t len, written;
  int error; /* errno; 0: all is written */
};

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_log *log;
  const struct berth_host_timer *timer;
  const struct berth_host_worker *worker;
  const struct berth_host_http *http;
  const struct berth_host_events *events;
  char *file, *url;       /* one of them */
  char *waiting;          /* lines, the oldest first */
  size_t len;
  size_t sending;         /* bytes of them that are on their way */
  struct write_job *job;  /* one of them runs while sending */
  berth_handle request, retry, subscription;
  bool paused;            /* the subscription rests until lines have left */
  int64_t retry_ms;
  json_int_t dropped;
  char detail[256];       /* why the last batch did not arrive; "" when it did */
};

static void send_batch(struct berth_instance *self);

/* ---------------------------------------------------------------- the lines that wait */

/* Takes line, which may be NULL; false where there is no room for it. */
static bool add_line(struct berth_instance *self, json_t *line) {
  char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
  json_decref(line);
  size_t n = text ? strlen(text) : 0;
  char *grown = text && self->len + n + 1 <= max_waiting ? realloc(self->waiting, self->len + n + 1) : NULL;
  if (grown) {
    memcpy(grown + self->len, text, n);
    grown[self->len + n] = '\n';
    self->waiting = grown;
    self->len += n + 1;
  } else {
    self->dropped++;
  }
  free(text);
  return grown != NULL;
}

static void on_retry(void *arg) {
  struct berth_instance *self = arg;
  self->retry = 0;
  send_batch(self);
}

/* The batch has ended: n bytes of it arrived; why is NULL where all did. */
static void batch_done(struct berth_instance *self, size_t n, const char *why) {
  memmove(self->waiting, self->waiting + n, self->len - n);
  self->len -= n;
  self->sending = 0;
  if (why) {
    if (!*self->detail)
      self->log->log(self->host, BERTH_LOG_WARN, why); /* once, not at each try */
    snprintf(self->detail, sizeof self->detail, "%s", why);
    self->retry_ms = self->retry_ms ? self->retry_ms * 2 : first_retry_ms;
    if (self->retry_ms > last_retry_ms)
      self->retry_ms = last_retry_ms;
    self->retry = self->timer->after(self->host, self->retry_ms, on_retry, self);
    return;
  }
  self->detail[0] = 0;
  self->retry_ms = 0;
  send_batch(self);
  if (self->paused && self->len < max_waiting / 2) {
    self->paused = false;
    self->events->resume(self->host, self->subscription);
  }
}

/* ---------------------------------------------------------------- to a file */

/* In a thread of the host's pool: nothing here may touch the entry or the host. */
static void write_lines(void *arg) {
  struct write_job *job = arg;
  int fd = open(job->file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) {
    job->error = errno;
    return;
  }
  while (job->written < job->len && !job->error) {
    ssize_t n = write(fd, job->text + job->written, job->len - job->written);
    if (n >= 0)
      job->written += (size_t)n;
    else if (errno != EINTR)
      job->error = errno;
  }
  close(fd);
}

/* On the loop again; perhaps after stop(). */
static void lines_written(void *arg) {
  struct write_job *job = arg;
  if (job->self) {
    char why[256];
    snprintf(why, sizeof why, "cannot write %s: %s", job->file, strerror(job->error));
    job->self->job = NULL;
    batch_done(job->self, job->written, job->error ? why : NULL);
  }
  free(job->file);
  free(job->text);
  free(job);
}

static void send_to_file(struct berth_instance *self) {
  struct write_job *job = calloc(1, sizeof *job);
  char *file = strdup(self->file), *text = malloc(self->len);
  if (!job || !file || !text) {
    free(job);
    free(file);
    free(text);
    batch_done(self, 0, "out of memory");
    return;
  }
  memcpy(text, self->waiting, self->len);
  *job = (struct write_job){.self = self, .file = file, .text = text, .len = self->len};
  self->job = job;
  self->worker->run(self->host, write_lines, lines_written, job);
}

/* ---------------------------------------------------------------- to a URL */

static void posted(void *arg, enum berth_code code, const char *message, int status, const char *body, size_t len) {
  struct berth_instance *self = arg;
  char why[256];
  (void)body, (void)len;
  self->request = 0;
  if (code == BERTH_CANCELLED) /* the entry stops */
    return;
  if (code != BERTH_OK)
    snprintf(why, sizeof why, "the receiver cannot be reached: %s", message);
  else
    snprintf(why, sizeof why, "the receiver answered with status %d", status);
  bool taken = code == BERTH_OK && status >= 200 && status <= 299;
  batch_done(self, taken ? self->sending : 0, taken ? NULL : why);
}

static void send_to_url(struct berth_instance *self) {
  static const struct berth_pair headers[] = {{"Content-Type", "application/x-ndjson"}};
  struct berth_http_request request = {.size = sizeof request,
                                       .method = "POST",
                                       .url = self->url,
                                       .headers = headers,
                                       .nheaders = 1,
                                       .body = self->waiting,
                                       .body_len = self->len,
                                       .done = posted,
                                       .arg = self};
  self->request = self->http->request(self->host, &request); /* the body is copied */
}

static void send_batch(struct berth_instance *self) {
  if (!self->len || self->sending || self->retry)
    return;
  self->sending = self->len;
  if (self->file)
    send_to_file(self);
  else
    send_to_url(self);
}

/* ---------------------------------------------------------------- berth.chat/1 */

/* Every method gets an operation and finishes it exactly once, now or later. */
static void send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  if (!request->text || !*request->text) {
    self->ops->finish(self->host, op, BERTH_INVALID, "a message needs a text", NULL);
    return;
  }
  json_t *line = json_pack("{s:I, s:s?, s:s, s:s}", "time_ms", (json_int_t)self->timer->wall_ms(self->host), "channel",
                           request->channel, "severity", request->severity ? request->severity : "info", "message", request->text);
  if (!line) {
    self->ops->finish(self->host, op, BERTH_INVALID, "the message is no UTF-8", NULL);
    return;
  }
  if (!add_line(self, line)) {
    self->ops->finish(self->host, op, BERTH_EXHAUSTED, "too many messages wait: see why the receiver does not take them", NULL);
    return;
  }
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"queued\":true}");
  send_batch(self);
}

static void probe(struct berth_instance *self, berth_op op) {
  size_t queued = 0;
  for (size_t i = 0; i < self->len; i++)
    queued += self->waiting[i] == '\n';
  json_t *result = json_pack("{s:s, s:I, s:I, s:s}", "status", *self->detail ? "failing" : "ok", "queued", (json_int_t)queued,
                             "dropped", self->dropped, "detail", self->detail);
  char *text = result ? json_dumps(result, JSON_COMPACT) : NULL;
  self->ops->finish(self->host, op, text ? BERTH_OK : BERTH_INTERNAL, "the state is no JSON", text);
  free(text);
  json_decref(result);
}

/* ---------------------------------------------------------------- events */

/* A committed event. Everything in it is borrowed for the call. True: the next one, please. */
static bool on_event(void *arg, const struct berth_event *event) {
  struct berth_instance *self = arg;
  add_line(self, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "time_ms", (json_int_t)event->time_ms, "type", event->type,
                           "severity", event->severity, "namespace", event->namespace_, "app", event->app, "subject", event->subject,
                           "message", event->message));
  send_batch(self);
  self->paused = self->len > max_waiting / 4 * 3;
  return !self->paused;
}

/* ---------------------------------------------------------------- configuration and life */

/* The configuration comes with its types checked; what the types do not say is checked here. Static text as *why. */
static enum berth_code validate(const char *config, const char **why) {
  json_t *o = json_loads(config, 0, NULL);
  const char *file = json_string_value(json_object_get(o, "file")), *url = json_string_value(json_object_get(o, "url"));
  *why = NULL;
  if (!file == !url)
    *why = "say where the lines go: either \"file\" or \"url\"";
  else if (file && *file != '/')
    *why = "\"file\" is no absolute path, and berthd has no folder of its own";
  else if (url && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
    *why = "\"url\" begins with neither https:// nor http://";
  json_decref(o);
  return *why ? BERTH_INVALID : BERTH_OK;
}

static void stop(struct berth_instance *self) {
  if (self->job)
    self->job->self = NULL; /* its lines_written() comes yet */
  free(self->file);
  free(self->url);
  free(self->waiting);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = json_loads(config, 0, NULL);
  const char *file = json_string_value(json_object_get(o, "file")), *url = json_string_value(json_object_get(o, "url"));
  if (self) {
    self->file = file ? strdup(file) : NULL;
    self->url = url ? strdup(url) : NULL;
  }
  json_decref(o);
  if (!self || (!self->file && !self->url)) {
    free(self);
    *why = "out of memory";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->log = host->service(host, BERTH_HOST_LOG);
  self->timer = host->service(host, BERTH_HOST_TIMER);
  self->worker = host->service(host, BERTH_HOST_WORKER);
  self->http = host->service(host, BERTH_HOST_HTTP);
  self->events = host->service(host, BERTH_HOST_EVENTS);
  self->subscription = self->events->subscribe(host, 0, on_event, self); /* ends by itself when the entry stops */
  *out = self;
  return BERTH_OK;
}

/* No method here takes longer than its call, so there is nothing to cancel. */
static void cancel(struct berth_instance *self, berth_op op) {
  (void)self;
  (void)op;
}

static const struct berth_field fields[] = {
    {.name = "file", .type = BERTH_STRING, .doc = "Absolute path of the file that lines are appended to."},
    {.name = "url", .type = BERTH_STRING, .secret = true, .doc = "Where lines are posted to, http:// or https://."},
    {0}};

static const struct berth_chat chat = {.size = sizeof chat, .send = send, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_CHAT, &chat}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS,    BERTH_HOST_LOG,  BERTH_HOST_TIMER,
                                    BERTH_HOST_WORKER, BERTH_HOST_HTTP, BERTH_HOST_EVENTS, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "Events and messages as lines of JSON, to a file or a URL.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .stop = stop,
                                                 .cancel = cancel};
