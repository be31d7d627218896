#include "settings.h"

#include <strings.h>

/* What is no text is left out: the host refuses it before. */
static void globs_read(const json_t *list, struct cw_globs *out) {
  size_t i;
  json_t *item;
  out->items = pu_calloc(json_array_size(list), sizeof *out->items);
  json_array_foreach(list, i, item) if (json_is_string(item)) out->items[out->n++] = pu_strdup(json_string_value(item));
}

static void globs_free(struct cw_globs *g) {
  for (size_t i = 0; i < g->n; i++)
    free(g->items[i]);
  free(g->items);
}

/* "!pattern" takes out what an earlier one let in. An empty list lets all in. */
static bool globs_want(const struct cw_globs *g, const char *text) {
  bool want = g->n == 0 || g->items[0][0] == '!';
  for (size_t i = 0; i < g->n; i++) {
    bool not = g->items[i][0] == '!';
    if (pu_glob(g->items[i] + not, text ? text : ""))
      want = !not;
  }
  return want;
}

void cw_settings_free(struct cw_settings *s) {
  pu_wipe_free(s->url);
  free(s->host);
  free(s->channel);
  free(s->username);
  free(s->icon);
  free(s->ca_file);
  globs_free(&s->types);
  globs_free(&s->namespaces);
  globs_free(&s->apps);
  cw_template_free(&s->template);
  *s = (struct cw_settings){0};
}

/* https://host[:port]/…; plain http only to this machine. NULL, or what is wrong. */
static char *read_url(struct cw_settings *s) {
  bool plain = strncasecmp(s->url, "http://", 7) == 0;
  if (!plain && strncasecmp(s->url, "https://", 8) != 0)
    return pu_strdup("url must begin with https://");
  const char *host = s->url + (plain ? 7 : 8);
  s->host = pu_strndup(host, strcspn(host, "/?#"));
  s->path = host + strlen(s->host);
  if (!*s->host || strpbrk(s->host, "@ \\"))
    return pu_strdup("url must name a host, and no user");
  if (plain && strncmp(s->host, "127.0.0.1", 9) != 0 && strncmp(s->host, "localhost", 9) != 0 && strncmp(s->host, "[::1]", 5) != 0)
    return pu_strdup("url must begin with https://: a webhook's path is its password (plain http only to this machine)");
  return NULL;
}

bool cw_settings_read(const char *config_json, struct cw_settings *s, char **why) {
  PU_AUTO_JSON c = pu_json_parse(config_json, strlen(config_json));
  *s = (struct cw_settings){.url = pu_strdup(pu_str_or(c, "url", "")),
                            .channel = pu_strdup(pu_str(c, "channel")),
                            .username = pu_strdup(pu_str(c, "username")),
                            .icon = pu_strdup(pu_str(c, "icon_emoji")),
                            .ca_file = pu_strdup(pu_str(c, "ca_file")),
                            .severity = cw_severity(pu_str_or(c, "severity", "info")),
                            .batch_window_ms = pu_int(c, "batch_window", 2000),
                            .timeout_ms = pu_int(c, "timeout", 10000),
                            .retry_min_ms = pu_int(c, "retry_min", 1000),
                            .retry_max_ms = pu_int(c, "retry_max", 300000),
                            .max_age_ms = pu_int(c, "max_age", 86400000),
                            .batch_max = (size_t)pu_int(c, "batch_max", 20),
                            .max_queue = (size_t)pu_int(c, "max_queue", 1000),
                            .text_limit = (size_t)pu_int(c, "text_limit", 4000)};
  globs_read(pu_arr(c, "types"), &s->types);
  globs_read(pu_arr(c, "namespaces"), &s->namespaces);
  globs_read(pu_arr(c, "apps"), &s->apps);
  *why = read_url(s);
  if (!*why && s->severity < 0)
    *why = pu_strdup("severity is info, warning or error");
  if (!*why && s->retry_min_ms > s->retry_max_ms)
    *why = pu_strdup("retry_min is over retry_max");
  if (!*why)
    s->template = cw_template_new(pu_str_or(c, "template", "[{{severity}}] {{message}}"), why);
  if (*why)
    cw_settings_free(s);
  return !*why;
}

bool cw_settings_want(const struct cw_settings *s, const struct berth_event *e) {
  return cw_severity(e->severity) >= s->severity && globs_want(&s->types, e->type) && globs_want(&s->namespaces, e->namespace_) &&
         globs_want(&s->apps, e->app);
}
