#include "reference.h"

#include "util.h"

enum { max_image = 512 };

static bool digest_ok(const char *d) {
  const char *colon = strchr(d, ':');
  size_t hex = colon ? strlen(colon + 1) : 0;
  return colon && colon > d && hex >= 32 && hex <= 128 && strspn(colon + 1, "0123456789abcdef") == hex;
}

static bool tag_ok(const char *t) {
  size_t n = strlen(t);
  return n >= 1 && n <= 128 && t[0] != '.' && t[0] != '-' &&
         strspn(t, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

static bool name_ok(const char *n) {
  size_t len = strlen(n);
  return len >= 1 && len <= 255 && n[0] != '/' && n[len - 1] != '/' && !strstr(n, "//") && !strstr(n, "..") &&
         strspn(n, "abcdefghijklmnopqrstuvwxyz0123456789_.-/") == len;
}

bool pu_is_host(const char *host) {
  const char *port = NULL;
  size_t n = 0;
  if (host[0] == '[') {
    n = strspn(host + 1, "0123456789abcdefABCDEF:.") + 1;
    if (host[n] != ']')
      return false;
    port = host + n + 1;
  } else {
    n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
    port = host + n;
  }
  if (!n || strlen(host) > 255)
    return false;
  if (!*port)
    return true;
  return port[0] == ':' && port[1] && strlen(port + 1) <= 5 && strspn(port + 1, "0123456789") == strlen(port + 1);
}

/* The first part is a registry where it looks like a host. */
static bool looks_like_host(const char *part, size_t n) {
  return memchr(part, '.', n) || memchr(part, ':', n) || (n == 9 && strncmp(part, "localhost", 9) == 0) || part[0] == '[';
}

bool pu_reference_parse(const char *image, struct pu_reference *out) {
  *out = (struct pu_reference){0};
  if (strlen(image) > max_image)
    return false;
  const char *slash = strchr(image, '/');
  bool host = slash && looks_like_host(image, (size_t)(slash - image));
  const char *path = host ? slash + 1 : image;
  out->registry = host ? pu_strndup(image, (size_t)(slash - image)) : pu_strdup("docker.io");
  const char *at = strchr(path, '@');
  const char *end = at ? at : path + strlen(path);
  const char *colon = memchr(path, ':', (size_t)(end - path));
  bool bare = pu_eq(pu_registry_canonical(out->registry), "docker.io") && !memchr(path, '/', (size_t)((colon ? colon : end) - path));
  out->name = pu_asprintf("%s%.*s", bare ? "library/" : "", (int)((colon ? colon : end) - path), path);
  if (at)
    out->digest = pu_strdup(at + 1);
  if (colon)
    out->tag = pu_strndup(colon + 1, (size_t)(end - colon - 1));
  else if (!at)
    out->tag = pu_strdup("latest");
  bool good = pu_is_host(out->registry) && name_ok(out->name) && (!out->tag || tag_ok(out->tag)) &&
              (!out->digest || digest_ok(out->digest));
  if (!good)
    pu_reference_free(out);
  return good;
}

void pu_reference_free(struct pu_reference *r) {
  free(r->registry);
  free(r->name);
  free(r->tag);
  free(r->digest);
  *r = (struct pu_reference){0};
}

const char *pu_registry_canonical(const char *registry) {
  if (pu_eq(registry, "index.docker.io") || pu_eq(registry, "registry-1.docker.io"))
    return "docker.io";
  return registry;
}

const char *pu_registry_endpoint(const char *registry) {
  return pu_eq(pu_registry_canonical(registry), "docker.io") ? "registry-1.docker.io" : registry;
}

bool pu_is_loopback(const char *host) {
  if (pu_starts(host, "[::1]"))
    return !host[5] || host[5] == ':';
  size_t n = strcspn(host, ":");
  if (n == 9 && strncmp(host, "localhost", 9) == 0)
    return true;
  int dots = 0;
  for (size_t i = 0; i < n; i++)
    dots += host[i] == '.';
  /* An address only: 127.example.org is a name. */
  return pu_starts(host, "127.") && dots == 3 && strspn(host, "0123456789.") >= n;
}
