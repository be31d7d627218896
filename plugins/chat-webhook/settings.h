/* The plug-in's configuration, and which events it lets through. Pure. */
#ifndef CW_SETTINGS_H
#define CW_SETTINGS_H

#include "text.h"

struct cw_globs {
  char **items;
  size_t n;
};

struct cw_settings {
  char *url; /* a secret: never logged */
  char *host; /* of the URL, for people */
  const char *path; /* of the URL, behind the host: the password */
  char *channel, *username, *icon; /* NULL: the webhook's own */
  char *ca_file;
  struct cw_globs types, namespaces, apps;
  int severity; /* the least */
  struct cw_template *template;
  int64_t batch_window_ms, timeout_ms, retry_min_ms, retry_max_ms, max_age_ms;
  size_t batch_max, max_queue, text_limit;
};

/* Reads the checked configuration. False with *why (a sentence without the URL; the caller frees). */
bool cw_settings_read(const char *config_json, struct cw_settings *out, char **why);
void cw_settings_free(struct cw_settings *s);
bool cw_settings_want(const struct cw_settings *s, const struct berth_event *event);

#endif
