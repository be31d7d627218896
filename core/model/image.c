#include "config.h"
#include "model/image.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

enum { max_reference = 512, max_tag = 128, max_repository = 255 };

bool bt_image_is_digest(const char *text) {
  if (!bt_starts(text, "sha256:"))
    return false;
  const char *hex = text + 7;
  return strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64;
}

static bool lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/* path-component := [a-z0-9]+ ((. | _ | __ | -*) [a-z0-9]+)* */
static bool valid_component(const char *s, size_t n) {
  if (!n || !lower_alnum(s[0]) || !lower_alnum(s[n - 1]))
    return false;
  for (size_t i = 0; i < n; i++) {
    if (lower_alnum(s[i]) || s[i] == '-')
      continue;
    if (s[i] == '_' && (i < 2 || s[i - 1] != '_' || s[i - 2] != '_') && s[i - 1] != '.' && s[i - 1] != '-')
      continue;
    if (s[i] == '.' && lower_alnum(s[i - 1]))
      continue;
    return false;
  }
  return true;
}

static bool valid_path(const char *path) {
  if (strlen(path) > max_repository)
    return false;
  for (const char *p = path;; p++) {
    size_t n = strcspn(p, "/");
    if (!valid_component(p, n))
      return false;
    p += n;
    if (!*p)
      return true;
  }
}

static bool valid_tag(const char *tag) {
  size_t n = strlen(tag);
  if (!n || n > max_tag || !(isalnum((unsigned char)tag[0]) || tag[0] == '_'))
    return false;
  for (const char *p = tag; *p; p++)
    if (!isalnum((unsigned char)*p) && !strchr("_.-", *p))
      return false;
  return true;
}

static bool valid_port(const char *port) {
  long long v;
  return bt_parse_i64(port, 1, 65535, &v);
}

static bool valid_domain(const char *domain) {
  if (domain[0] == '[') {
    const char *end = strchr(domain, ']');
    if (!end || end == domain + 1 || strspn(domain + 1, "0123456789abcdefABCDEF:.") != (size_t)(end - domain - 1))
      return false;
    return !end[1] || (end[1] == ':' && valid_port(end + 2));
  }
  size_t host = strcspn(domain, ":");
  if (!host || (domain[host] && !valid_port(domain + host + 1)))
    return false;
  for (size_t i = 0; i < host; i++) {
    bool edge = i == 0 || i == host - 1 || domain[i - 1] == '.' || domain[i + 1] == '.';
    if (!isalnum((unsigned char)domain[i]) && (edge || !strchr("-.", domain[i])))
      return false;
  }
  return true;
}

static bool looks_like_domain(const char *s, size_t n) {
  if (n == 9 && memcmp(s, "localhost", 9) == 0)
    return true;
  for (size_t i = 0; i < n; i++)
    if (s[i] == '.' || s[i] == ':' || isupper((unsigned char)s[i]))
      return true;
  return s[0] == '[';
}

/* Splits name (without tag and digest) into domain and repository. */
static void split_name(const char *name, struct bt_image_ref *out) {
  const char *slash = strchr(name, '/');
  if (slash && looks_like_domain(name, (size_t)(slash - name))) {
    out->domain = bt_strndup(name, (size_t)(slash - name));
    name = slash + 1;
    if (bt_streq(out->domain, "index.docker.io"))
      bt_str_set(&out->domain, "docker.io");
  } else {
    out->domain = bt_strdup("docker.io");
  }
  bool library = bt_streq(out->domain, "docker.io") && !strchr(name, '/');
  out->repository = bt_asprintf("%s%s", library ? "library/" : "", name);
}

static int refuse(struct bt_image_ref *out, struct bt_err **err, const char *text, const char *what) {
  bt_image_ref_free(out);
  return bt_err_set(err, BT_INVALID, "\"%s\" is no image reference: %s", text, what);
}

int bt_image_parse(const char *text, struct bt_image_ref *out, struct bt_err **err) {
  *out = (struct bt_image_ref){0};
  if (!text || !*text)
    return bt_err_set(err, BT_INVALID, "an image reference is empty: write name:tag");
  if (strlen(text) > max_reference)
    return bt_err_set(err, BT_INVALID, "an image reference is longer than %d bytes", max_reference);
  BT_AUTO_FREE char *name = bt_strdup(text);
  char *at = strchr(name, '@');
  if (at) {
    *at = 0;
    if (!bt_image_is_digest(at + 1))
      return refuse(out, err, text, "a digest is sha256: and 64 lower-case hex digits");
    out->digest = bt_strdup(at + 1);
  }
  char *slash = strrchr(name, '/');
  char *colon = strrchr(slash ? slash : name, ':');
  if (colon) {
    *colon = 0;
    if (!valid_tag(colon + 1))
      return refuse(out, err, text, "a tag is up to 128 of [A-Za-z0-9_.-]");
    out->tag = bt_strdup(colon + 1);
  }
  split_name(name, out);
  if (!valid_domain(out->domain))
    return refuse(out, err, text, "its registry is no host[:port]");
  if (!valid_path(out->repository))
    return refuse(out, err, text, "a repository is lower-case letters, digits and single . _ - between them, parted by /");
  return 0;
}

void bt_image_ref_free(struct bt_image_ref *ref) {
  free(ref->domain);
  free(ref->repository);
  free(ref->tag);
  free(ref->digest);
  *ref = (struct bt_image_ref){0};
}

char *bt_image_canonical(const struct bt_image_ref *ref) {
  const char *tag = ref->tag ? ref->tag : ref->digest ? NULL : "latest";
  return bt_asprintf("%s/%s%s%s%s%s", ref->domain, ref->repository, tag ? ":" : "", tag ? tag : "", ref->digest ? "@" : "",
                     ref->digest ? ref->digest : "");
}

char *bt_image_with_digest(const struct bt_image_ref *ref, const char *digest) {
  return bt_asprintf("%s/%s@%s", ref->domain, ref->repository, digest);
}
