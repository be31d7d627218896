#include "url.h"

#include <ctype.h>

#include "../common/util.h"

enum { max_url = 2048, max_ref = 300, max_path = 1024 };

static const char *const names[SG_SCHEMES] = {"https", "http", "ssh", "git", "file"};

const char *sg_scheme_name(enum sg_scheme scheme) { return names[scheme]; }

enum sg_scheme sg_scheme_of(const char *name) {
  for (int i = 0; i < SG_SCHEMES; i++)
    if (pu_eq(names[i], name))
      return (enum sg_scheme)i;
  return SG_SCHEMES;
}

static bool all_of(const char *s, size_t n, const char *more) {
  for (size_t i = 0; i < n; i++)
    if (!isalnum((unsigned char)s[i]) && !strchr(more, s[i]))
      return false;
  return n > 0;
}

static bool is_host(const char *s, size_t n) {
  if (n > 2 && s[0] == '[' && s[n - 1] == ']')
    return all_of(s + 1, n - 2, ":.");
  return n < 254 && s[0] != '-' && s[0] != '.' && all_of(s, n, "-.");
}

static bool is_port(const char *s, size_t n) {
  long port = 0;
  for (size_t i = 0; i < n; i++)
    port = isdigit((unsigned char)s[i]) && port < 100000 ? port * 10 + (s[i] - '0') : 100000;
  return n > 0 && port > 0 && port < 65536;
}

/* What may stand in a path: printable, no space, nothing that starts a query, no part that looks like an option or a way up. */
static bool is_clean_path(const char *path) {
  for (const char *p = path; *p; p++)
    if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("?#\\\"'`$|<>", *p))
      return false;
  for (const char *part = path; *part;) {
    size_t n = strcspn(part, "/");
    if (n && (part[0] == '-' || (n == 2 && strncmp(part, "..", 2) == 0)))
      return false;
    part += n + (part[n] == '/');
  }
  return strlen(path) > 1;
}

static char *lower(const char *s, size_t n) {
  char *out = pu_strndup(s, n);
  for (char *p = out; *p; p++)
    *p = (char)tolower((unsigned char)*p);
  return out;
}

/* user@host:port; all of it within [s, s + n). */
static const char *read_authority(struct sg_url *u, const char *s, size_t n) {
  const char *at = memchr(s, '@', n);
  if (at) {
    size_t len = (size_t)(at - s);
    if (memchr(s, ':', len))
      return "it holds a password: name user and password under hosts: of the plug-in's configuration";
    if (!all_of(s, len, "-._") || s[0] == '-')
      return "its user is no plain name";
    u->user = pu_strndup(s, len);
    s = at + 1;
    n -= len + 1;
  }
  const char *end = n && s[0] == '[' ? memchr(s, ']', n) : s;
  const char *colon = end ? memchr(end, ':', n - (size_t)(end - s)) : NULL;
  size_t host = colon ? (size_t)(colon - s) : n;
  if (!is_host(s, host) || (colon && !is_port(colon + 1, n - host - 1)))
    return "its host is no name of a host";
  u->host = lower(s, host);
  u->authority = lower(s, n);
  return NULL;
}

static const char *read_url(struct sg_url *u, const char *rest) {
  const char *slash = strchr(rest, '/');
  if (!slash)
    return "it has no path";
  if (u->scheme == SG_FILE) {
    if (slash != rest)
      return "a file:// address has no host: file:///srv/shop.git";
    u->host = pu_strdup("");
    u->authority = pu_strdup("");
  } else {
    const char *why = read_authority(u, rest, (size_t)(slash - rest));
    if (why)
      return why;
    if (u->user && u->scheme != SG_SSH)
      return "a user stands in the address of ssh only: name it under hosts: of the plug-in's configuration";
  }
  u->path = pu_strdup(slash);
  if (!is_clean_path(u->path))
    return "its path is none that git should get";
  u->text = pu_asprintf("%s://%s%s%s%s", names[u->scheme], u->user ? u->user : "", u->user ? "@" : "", u->authority, u->path);
  return NULL;
}

/* git@host:team/shop.git: ssh as it is often written. */
static const char *read_scp(struct sg_url *u, const char *text) {
  const char *colon = strchr(text, ':'), *slash = strchr(text, '/');
  if (!colon || (slash && slash < colon) || colon[1] == ':')
    return "it has to begin with https://, ssh://, git:// or file://, or to be user@host:path";
  u->scheme = SG_SSH;
  const char *why = read_authority(u, text, (size_t)(colon - text));
  if (why)
    return why;
  u->path = pu_asprintf("%s%s", colon[1] == '/' ? "" : "/", colon + 1);
  if (!is_clean_path(u->path))
    return "its path is none that git should get";
  const char *user = u->user ? u->user : "", *at = u->user ? "@" : "";
  /* A path without a slash begins at the login's home, which only this form can say. */
  u->text = colon[1] == '/' ? pu_asprintf("ssh://%s%s%s%s", user, at, u->authority, u->path)
                            : pu_asprintf("%s%s%s:%s", user, at, u->authority, u->path + 1);
  return NULL;
}

static const char *read_any(struct sg_url *u, const char *text) {
  if (strlen(text) > max_url)
    return "it is too long";
  const char *sep = strstr(text, "://");
  if (!sep)
    return read_scp(u, text);
  PU_AUTO_FREE name = pu_strndup(text, (size_t)(sep - text));
  u->scheme = sg_scheme_of(name);
  return u->scheme == SG_SCHEMES ? "its scheme is none of https, http, ssh, git and file" : read_url(u, sep + 3);
}

bool sg_url_parse(const char *text, struct sg_url *out, const char **why) {
  *out = (struct sg_url){0};
  *why = text && *text ? read_any(out, text) : "it is empty";
  if (*why)
    sg_url_free(out);
  return !*why;
}

void sg_url_free(struct sg_url *u) {
  free(u->user);
  free(u->host);
  free(u->authority);
  free(u->path);
  free(u->text);
  *u = (struct sg_url){0};
}

char *sg_url_project(const struct sg_url *u) {
  const char *p = u->path;
  while (*p == '/')
    p++;
  size_t n = strlen(p);
  while (n && p[n - 1] == '/')
    n--;
  if (n > 4 && strncmp(p + n - 4, ".git", 4) == 0)
    n -= 4;
  return pu_strndup(p, n);
}

bool sg_url_is_loopback(const struct sg_url *u) {
  return pu_eq(u->host, "localhost") || pu_eq(u->host, "[::1]") || (pu_starts(u->host, "127.") && strspn(u->host, "0123456789.") == strlen(u->host));
}

/* ---------------------------------------------------------------- names within a repository */

bool sg_is_commit(const char *text) {
  size_t n = text ? strlen(text) : 0;
  return (n == 40 || n == 64) && strspn(text, "0123456789abcdef") == n;
}

bool sg_is_ref(const char *text) {
  bool branch = pu_starts(text, "refs/heads/"), tag = pu_starts(text, "refs/tags/");
  if (!branch && !tag)
    return false;
  const char *name = text + (branch ? 11 : 10);
  size_t n = strlen(name);
  if (n == 0 || n > max_ref || name[0] == '-' || name[0] == '/' || name[0] == '.' || name[n - 1] == '/' || name[n - 1] == '.' ||
      strstr(name, "..") || strstr(name, "//") || strstr(name, "@{") || strstr(name, "/."))
    return false;
  for (const char *p = name; *p; p++)
    if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:?*[\\", *p))
      return false;
  return true;
}

bool sg_is_path(const char *text) {
  if (!text || !*text || *text == '/' || strlen(text) > max_path || strpbrk(text, "\r\n"))
    return false;
  for (const char *part = text;;) {
    size_t n = strcspn(part, "/");
    if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
      return false;
    if (!part[n])
      return true;
    part += n + 1;
  }
}
