/* The entry's configuration: where the engine is and how to reach it. */
#include "config.h"
#include "engine.h"

#include <stdio.h>

static char *copy_member(const json_t *o, const char *key) {
  const char *s = pu_str(o, key);
  return s && *s ? pu_strdup(s) : NULL;
}

/* The host part of "h:p" or "[v6]:p" is this machine. */
static bool is_loopback(const char *address) {
  return pu_starts(address, "127.") || pu_starts(address, "localhost:") || pu_starts(address, "[::1]:");
}

static char *read_host(struct rd_config *c) {
  if (pu_starts(c->host, "unix://")) {
    c->socket = pu_strdup(c->host + strlen("unix://"));
    c->base = pu_strdup("http://localhost");
    return *c->socket == '/' ? NULL : pu_asprintf("host: \"%s\" needs an absolute path: unix:///var/run/docker.sock", c->host);
  }
  if (!pu_starts(c->host, "tcp://") || strpbrk(c->host + 6, "/?# ") || !strchr(c->host + 6, ':'))
    return pu_asprintf("host: \"%s\" is neither unix:///path nor tcp://host:port", c->host);
  const char *address = c->host + strlen("tcp://");
  bool tls = c->tls_ca || c->tls_cert || c->tls_key;
  if (!tls && !is_loopback(address))
    return pu_asprintf("host: %s is another machine: whoever reaches an engine is root on it, so tls_ca, tls_cert and tls_key must be set",
                       c->host);
  c->base = pu_asprintf("%s://%s", tls ? "https" : "http", address);
  return NULL;
}

static char *read_version(struct rd_config *c, const char *text) {
  unsigned major, minor;
  int used = 0;
  if (sscanf(text, "%2u.%2u%n", &major, &minor, &used) != 2 || text[used])
    return pu_asprintf("api_version: \"%s\" is no version like 1.41", text);
  c->api_min = (int)(major * 100 + minor);
  return c->api_min < 141 ? pu_asprintf("api_version: %s is below 1.41, the oldest that this plug-in speaks", text) : NULL;
}

bool rd_config_read(const char *config_json, struct rd_config *out, char **why) {
  PU_AUTO_JSON o = config_json ? rd_json_parse(config_json, strlen(config_json)) : NULL;
  *out = (struct rd_config){.host = pu_strdup(pu_str_or(o, "host", "unix:///var/run/docker.sock")),
                            .tls_ca = copy_member(o, "tls_ca"),
                            .tls_cert = copy_member(o, "tls_cert"),
                            .tls_key = copy_member(o, "tls_key"),
                            .timeout_ms = pu_number(o, "timeout", 120000),
                            .connect_timeout_ms = pu_number(o, "connect_timeout", 5000),
                            .context_max = pu_number(o, "build_context_max", (int64_t)2 << 30)};
  char *error = read_host(out);
  if (!error)
    error = read_version(out, pu_str_or(o, "api_version", "1.41"));
  if (!error && !out->tls_cert != !out->tls_key)
    error = pu_strdup("tls_cert and tls_key belong together: set both or none");
  if (!error)
    return true;
  rd_config_free(out);
  *why = error;
  return false;
}

void rd_config_free(struct rd_config *c) {
  free(c->host);
  free(c->socket);
  free(c->base);
  free(c->tls_ca);
  free(c->tls_cert);
  free(c->tls_key);
  *c = (struct rd_config){0};
}
