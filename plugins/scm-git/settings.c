#include "settings.h"

#include <limits.h>

#include "../common/util.h"

static char *read_protocols(struct sg_settings *s, const json_t *list) {
  size_t i;
  json_t *item;
  json_array_foreach(list, i, item) {
    enum sg_scheme scheme = sg_scheme_of(json_string_value(item));
    if (scheme == SG_SCHEMES)
      return pu_asprintf("protocols: \"%.40s\" is none of https, http, ssh, git and file", json_string_value(item));
    s->allowed[scheme] = true;
  }
  return NULL;
}

static char *read_roots(struct sg_settings *s, const json_t *list) {
  size_t i;
  json_t *item;
  s->roots = pu_calloc(json_array_size(list), sizeof *s->roots);
  json_array_foreach(list, i, item) {
    const char *root = json_string_value(item);
    if (!root || root[0] != '/' || strstr(root, "/../"))
      return pu_asprintf("file_roots: \"%.200s\" is no absolute path", root ? root : "");
    s->roots[s->nroots++] = pu_strdup(root);
  }
  return NULL;
}

/* ---------------------------------------------------------------- hosts */

static const char *const keys[] = {"kind",    "api",         "username", "password", "token",
                                   "ssh_key", "known_hosts", "ca_file",  NULL};

static char *check_host(const char *name, const json_t *o) {
  const char *key;
  json_t *value;
  if (!json_is_object(o))
    return pu_asprintf("hosts: %.100s has to be a mapping (kind, username, password, ssh_key, …)", name);
  json_object_foreach((json_t *)(uintptr_t)o, key, value) {
    bool known = false;
    for (size_t i = 0; keys[i]; i++)
      known = known || pu_eq(keys[i], key);
    if (!known)
      return pu_asprintf("hosts: %.100s: unknown key \"%.60s\" (there are kind, api, username, password, token, ssh_key, known_hosts, "
                         "ca_file)",
                         name, key);
    if (!json_is_string(value) || json_string_length(value) > 65536)
      return pu_asprintf("hosts: %.100s: %s has to be a text", name, key);
  }
  return NULL;
}

static char *read_kind(struct sg_host *h, const char *kind) {
  static const char *const kinds[] = {"plain", "github", "gitea", "gitlab"};
  for (size_t i = 0; i < PU_COUNT(kinds); i++)
    if (pu_eq(kinds[i], kind)) {
      h->kind = (enum sg_kind)i;
      return NULL;
    }
  return pu_asprintf("hosts: %s: kind is plain, github, gitea or gitlab, not \"%.40s\"", h->name, kind);
}

static const char *usual_kind(const char *name) {
  PU_AUTO_FREE host = pu_strndup(name, strcspn(name, "/"));
  return pu_eq(host, "github.com") ? "github" : pu_eq(host, "gitlab.com") ? "gitlab" : pu_eq(host, "codeberg.org") ? "gitea" : "plain";
}

static char *read_host(struct sg_host *h, const char *name, const json_t *o) {
  h->name = pu_strdup(name);
  char *why = check_host(name, o);
  if (why)
    return why;
  struct {
    const char *key;
    char **to;
  } texts[] = {{"api", &h->api},         {"username", &h->username},       {"password", &h->password}, {"token", &h->token},
               {"ssh_key", &h->ssh_key}, {"known_hosts", &h->known_hosts}, {"ca_file", &h->ca_file}};
  for (size_t i = 0; i < PU_COUNT(texts); i++)
    *texts[i].to = pu_strdup(pu_str(o, texts[i].key));
  if (h->password && !h->username)
    h->username = pu_strdup("git");
  if (h->username && (strchr(h->username, ':') || strpbrk(h->username, "\r\n")))
    return pu_asprintf("hosts: %s: a username has no colon", name);
  if (h->ca_file && h->ca_file[0] != '/')
    return pu_asprintf("hosts: %s: ca_file has to be an absolute path", name);
  if (h->ssh_key && !h->known_hosts)
    return pu_asprintf("hosts: %s: ssh_key needs known_hosts, the host's public keys as \"ssh-keyscan %s\" prints them: compare them "
                       "with what the host publishes",
                       name, name);
  return read_kind(h, pu_str_or(o, "kind", usual_kind(name)));
}

static char *read_hosts(struct sg_settings *s, const json_t *hosts) {
  const char *name;
  json_t *o;
  if (hosts && !json_is_object(hosts))
    return pu_strdup("hosts has to be a mapping of hosts to what is known of them");
  s->hosts = pu_calloc(json_object_size(hosts), sizeof *s->hosts);
  json_object_foreach((json_t *)(uintptr_t)hosts, name, o) {
    if (!*name || *name == '/' || strstr(name, "://"))
      return pu_asprintf("hosts: \"%.100s\" is no host: write host, host:port or host/path", name);
    char *why = read_host(&s->hosts[s->nhosts++], name, o);
    if (why)
      return why;
  }
  return NULL;
}

/* ---------------------------------------------------------------- whole */

bool sg_settings_read(const char *config_json, struct sg_settings *out, char **why) {
  PU_AUTO_JSON c = pu_json_parse(config_json, strlen(config_json));
  *out = (struct sg_settings){.cache = pu_strdup(pu_str(c, "cache")),
                              .git = pu_strdup(pu_str_or(c, "git", "git")),
                              .webhook_secret = pu_strdup(pu_str(c, "webhook_secret")),
                              .timeout_ms = pu_int(c, "timeout", 120000),
                              .max_repository = pu_int(c, "max_repository", 512LL << 20),
                              .parallel = pu_int(c, "parallel", 4)};
  *why = read_protocols(out, pu_arr(c, "protocols"));
  if (!*why)
    *why = read_roots(out, pu_arr(c, "file_roots"));
  if (!*why)
    *why = read_hosts(out, json_object_get(c, "hosts"));
  if (!*why && out->cache && out->cache[0] != '/')
    *why = pu_strdup("cache has to be an absolute path");
  if (!*why && out->webhook_secret && strlen(out->webhook_secret) < 16)
    *why = pu_strdup("webhook_secret has to have at least 16 characters: it is all that keeps strangers out");
  if (*why)
    sg_settings_free(out);
  return !*why;
}

void sg_settings_free(struct sg_settings *s) {
  for (size_t i = 0; i < s->nhosts; i++) {
    struct sg_host *h = &s->hosts[i];
    free(h->name);
    free(h->api);
    free(h->username);
    pu_wipe_free(h->password);
    pu_wipe_free(h->token);
    pu_wipe_free(h->ssh_key);
    free(h->known_hosts);
    free(h->ca_file);
  }
  for (size_t i = 0; i < s->nroots; i++)
    free(s->roots[i]);
  free(s->hosts);
  free(s->roots);
  free(s->cache);
  free(s->git);
  pu_wipe_free(s->webhook_secret);
  *s = (struct sg_settings){0};
}

/* How well "host:port/team" fits an address: 0 not at all; more of the path counts first, then the port. */
static size_t fit(const char *name, const struct sg_url *url) {
  size_t host = strcspn(name, "/"), path = name[host] ? strlen(name + host) : 0;
  while (path && name[host + path - 1] == '/')
    path--;
  bool exact = strlen(url->authority) == host && strncmp(name, url->authority, host) == 0;
  if (!exact && !(strlen(url->host) == host && strncmp(name, url->host, host) == 0))
    return 0;
  const char *rest = url->path + path;
  bool below = strncmp(url->path, name + host, path) == 0 && (!path || !*rest || *rest == '/' || pu_eq(rest, ".git"));
  return below ? 2 * path + 1 + exact : 0;
}

const struct sg_host *sg_settings_host(const struct sg_settings *s, const struct sg_url *url) {
  const struct sg_host *best = NULL;
  size_t most = 0;
  for (size_t i = 0; i < s->nhosts; i++) {
    size_t n = fit(s->hosts[i].name, url);
    if (n > most) {
      most = n;
      best = &s->hosts[i];
    }
  }
  return best;
}

/* Whose real path lies under one of the roots. */
static bool under_root(const struct sg_settings *s, const char *path) {
  char real[PATH_MAX], root[PATH_MAX];
  if (!realpath(path, real))
    return false;
  for (size_t i = 0; i < s->nroots; i++) {
    size_t n = realpath(s->roots[i], root) ? strlen(root) : 0;
    if (n && strncmp(real, root, n) == 0 && (real[n] == '/' || !real[n] || n == 1))
      return true;
  }
  return false;
}

char *sg_settings_refuse(const struct sg_settings *s, const struct sg_url *url) {
  const char *name = sg_scheme_name(url->scheme);
  if (!s->allowed[url->scheme])
    return pu_asprintf("%s:// is not among the protocols of the plug-in's configuration", name);
  if ((url->scheme == SG_HTTP || url->scheme == SG_GIT) && !sg_url_is_loopback(url) && sg_settings_host(s, url) == NULL)
    return pu_asprintf("%s:// proves nothing about who answers: name %s under hosts: of the plug-in's configuration to allow it", name,
                       url->authority);
  if (url->scheme == SG_FILE && !under_root(s, url->path))
    return pu_asprintf("%s is not there, or under none of file_roots of the plug-in's configuration", url->path);
  return NULL;
}
