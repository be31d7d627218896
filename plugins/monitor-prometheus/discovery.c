#include "discovery.h"

#include <stdio.h>

enum { page = 1000, max_cached = 500 };

/* Labels of the services of one revision of an app: a revision never changes. */
struct revision {
  char *path;
  json_t *services; /* service -> labels */
};

struct mp_discovery {
  const struct berth_host *host;
  const struct berth_host_query *query;
  char *prefix;
  size_t max_targets;
  struct revision cache[max_cached];
  size_t ncached;
};

/* One question: all instances, page by page, then the revisions they are of. */
struct question {
  struct mp_discovery *d;
  mp_discovered done;
  void *arg;
  json_t *instances;
  char *path;     /* what is being asked now */
  bool more;      /* of the pages */
  size_t at;      /* next instance whose revision is to be known */
  bool asking, answered; /* the answer may come before the question returns */
  json_t *answer;
  char *why;
};

struct mp_discovery *mp_discovery_new(const struct berth_host *host, const char *label_prefix, size_t max_targets) {
  struct mp_discovery *d = pu_new(struct mp_discovery);
  d->host = host;
  d->query = host->service(host, BERTH_HOST_QUERY);
  d->prefix = pu_strdup(label_prefix);
  d->max_targets = max_targets;
  return d;
}

static void cache_clear(struct mp_discovery *d) {
  for (size_t i = 0; i < d->ncached; i++) {
    free(d->cache[i].path);
    json_decref(d->cache[i].services);
  }
  d->ncached = 0;
}

void mp_discovery_free(struct mp_discovery **dp) {
  struct mp_discovery *d = *dp;
  if (!d)
    return;
  cache_clear(d);
  free(d->prefix);
  free(d);
  *dp = NULL;
}

static json_t *cached(const struct mp_discovery *d, const char *path) {
  for (size_t i = 0; i < d->ncached; i++)
    if (pu_eq(d->cache[i].path, path))
      return d->cache[i].services;
  return NULL;
}

/* ---------------------------------------------------------------- targets */

static const char *label_of(const json_t *labels, const char *prefix, const char *name) {
  char key[256];
  snprintf(key, sizeof key, "%s.%s", prefix, name);
  return pu_str(labels, key);
}

static bool port_ok(const char *port) {
  return port && *port && strlen(port) <= 5 && strspn(port, "0123456789") == strlen(port) && atoi(port) > 0 && atoi(port) < 65536;
}

/* The instance's own address; without one (host network, another runtime), where the port is published. */
static char *address(const json_t *instance, const char *port) {
  const char *ip = pu_str(instance, "ip");
  size_t i;
  json_t *p;
  if (ip && *ip)
    return strchr(ip, ':') ? pu_asprintf("[%s]:%s", ip, port) : pu_asprintf("%s:%s", ip, port);
  json_array_foreach(pu_arr(instance, "ports"), i, p) {
    int64_t published = pu_int(p, "published", 0);
    const char *host = pu_str_or(p, "host_ip", "");
    if (pu_int(p, "target", 0) != atoi(port) || published <= 0)
      continue;
    if (!*host || pu_eq(host, "0.0.0.0") || pu_eq(host, "::"))
      host = "127.0.0.1";
    return pu_asprintf(strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host, (long long)published);
  }
  return NULL;
}

static void set_text(json_t *o, const char *key, const char *value) {
  if (value)
    json_object_set_new(o, key, pu_json_string(value));
}

/* A label of a service becomes __meta_berth_label_<name>, with what Prometheus does not take in names as "_". */
static void copy_labels(json_t *to, const json_t *labels) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)labels, key, value) {
    if (!json_is_string(value))
      continue;
    PU_AUTO_FREE name = pu_asprintf("__meta_berth_label_%s", key);
    for (char *p = name; *p; p++)
      if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p))
        *p = '_';
    json_object_set(to, name, value);
  }
}

json_t *mp_target(const json_t *instance, const json_t *labels, const char *prefix) {
  static const char *const members[] = {"namespace", "app", "service", "instance", "node", "image", "digest", "state", "health"};
  const char *port = label_of(labels, prefix, "port");
  if (!port_ok(port) || !pu_eq(pu_str(instance, "state"), "running"))
    return NULL;
  PU_AUTO_FREE where = address(instance, port);
  if (!where)
    return NULL;
  json_t *meta = json_object();
  for (size_t i = 0; i < PU_COUNT(members); i++) {
    char name[64];
    snprintf(name, sizeof name, "__meta_berth_%s", members[i]);
    set_text(meta, name, pu_str(instance, members[i]));
  }
  set_text(meta, "__meta_berth_ready", pu_bool(instance, "ready", false) ? "true" : "false");
  set_text(meta, "__metrics_path__", label_of(labels, prefix, "path"));
  set_text(meta, "__scheme__", label_of(labels, prefix, "scheme"));
  copy_labels(meta, labels);
  return json_pack("{s:[s],s:o}", "targets", where, "labels", meta);
}

/* ---------------------------------------------------------------- the question */

static char *revision_path(const json_t *instance) {
  const char *ns = pu_str(instance, "namespace"), *app = pu_str(instance, "app");
  if (!ns || !app)
    return NULL;
  return pu_asprintf("/v1/namespaces/%s/apps/%s/revisions/%lld", ns, app, (long long)pu_int(instance, "revision", 0));
}

static void question_end(struct question *q) {
  struct mp_discovery *d = q->d;
  PU_AUTO_JSON groups = json_array();
  size_t i;
  json_t *instance;
  json_array_foreach(q->instances, i, instance) {
    PU_AUTO_FREE path = revision_path(instance);
    const char *service = pu_str(instance, "service");
    json_t *labels = path && service ? json_object_get(cached(d, path), service) : NULL;
    json_t *group = labels && json_array_size(groups) < d->max_targets ? mp_target(instance, labels, d->prefix) : NULL;
    if (group)
      json_array_append_new(groups, group);
  }
  PU_AUTO_FREE text = pu_json_text(groups);
  q->done(q->arg, q->why ? NULL : text, q->why);
  json_decref(q->instances);
  json_decref(q->answer);
  free(q->path);
  free(q->why);
  free(q);
}

static void question_go(struct question *q);

static void on_answer(void *arg, enum berth_code code, const char *message, const char *json) {
  struct question *q = arg;
  json_decref(q->answer);
  q->answer = code == BERTH_OK ? pu_json_parse(json, strlen(json)) : NULL;
  /* An app may be gone by the time its revision is asked for; the list must be there. */
  if (!q->answer && (q->more || code == BERTH_CANCELLED))
    pu_set(&q->why, pu_strdup(code == BERTH_OK ? "the server gave no JSON" : message));
  q->answered = true;
  if (!q->asking)
    question_go(q);
}

/* A page of instances came. */
static void take_page(struct question *q) {
  json_array_extend(q->instances, pu_arr(q->answer, "items"));
  const char *next = pu_str(q->answer, "next");
  q->more = next != NULL;
  PU_AUTO_BUF path = {0};
  if (next) {
    pu_buf_addf(&path, "/v1/instances?limit=%d&cursor=", page);
    pu_url_add(&path, next, "");
    pu_set(&q->path, pu_buf_steal(&path));
  }
}

/* Labels of the services of a revision's model; those under deploy are the service's in Compose's sense, too. */
static json_t *labels_of_model(const json_t *model) {
  json_t *out = json_object();
  const char *name;
  json_t *service;
  json_object_foreach(pu_obj(model, "services"), name, service) {
    json_t *labels = json_object();
    json_object_update(labels, pu_obj(pu_obj(service, "deploy"), "labels"));
    json_object_update(labels, pu_obj(service, "labels"));
    json_object_set_new(out, name, labels);
  }
  return out;
}

static void take_revision(struct question *q) {
  struct mp_discovery *d = q->d;
  if (!q->answer)
    return;
  if (d->ncached == max_cached)
    cache_clear(d);
  d->cache[d->ncached++] =
      (struct revision){.path = pu_strdup(q->path), .services = labels_of_model(pu_obj(q->answer, "model"))};
}

/* The next revision that is not known, into q->path; false where all are. */
static bool next_revision(struct question *q) {
  for (; q->at < json_array_size(q->instances); q->at++) {
    PU_AUTO_FREE path = revision_path(json_array_get(q->instances, q->at));
    if (!path || cached(q->d, path))
      continue;
    q->at++;
    pu_set(&q->path, pu_strdup(path));
    return true;
  }
  return false;
}

/* Asks on until an answer does not come at once; a loop, since a chain of calls would grow the stack. */
static void question_go(struct question *q) {
  for (;;) {
    if (q->answered && !q->why) {
      if (q->more)
        take_page(q);
      else
        take_revision(q);
    }
    if (q->why || (!q->more && !next_revision(q))) {
      question_end(q);
      return;
    }
    q->answered = false;
    q->asking = true;
    q->d->query->get(q->d->host, q->path, on_answer, q);
    q->asking = false;
    if (!q->answered)
      return;
  }
}

void mp_discovery_ask(struct mp_discovery *d, mp_discovered done, void *arg) {
  struct question *q = pu_new(struct question);
  *q = (struct question){.d = d, .done = done, .arg = arg, .instances = json_array(), .more = true};
  q->path = pu_asprintf("/v1/instances?limit=%d", page);
  question_go(q);
}
