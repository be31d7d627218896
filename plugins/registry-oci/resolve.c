#include "resolve.h"

#include <sodium.h>

#include "../common/util.h"
#include "../common/reference.h"

static const char accepted[] = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
                               "application/vnd.docker.distribution.manifest.list.v2+json, "
                               "application/vnd.docker.distribution.manifest.v2+json";

struct ro_resolve {
  struct ro_resolve **list, *prev, *next;
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  struct ro_client *client;
  berth_op op;
  struct pu_reference ref;
  char *platform;
  char **hosts; /* mirrors, then the registry itself */
  size_t nhosts, at;
  bool whole; /* the manifest is fetched, not only its head */
  struct ro_call *call;
};

static void resolve_end(struct ro_resolve *r, enum berth_code code, const char *message, const json_t *result) {
  PU_AUTO_FREE text = result ? pu_json_text(result) : NULL;
  r->ops->finish(r->host, r->op, code, message, text);
  if (r->prev)
    r->prev->next = r->next;
  else
    *r->list = r->next;
  if (r->next)
    r->next->prev = r->prev;
  for (size_t i = 0; i < r->nhosts; i++)
    free(r->hosts[i]);
  free(r->hosts);
  pu_reference_free(&r->ref);
  free(r->platform);
  free(r);
}

static void __attribute__((format(printf, 3, 4))) resolve_fail(struct ro_resolve *r, enum berth_code code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  PU_AUTO_FREE text = pu_vasprintf(fmt, ap);
  va_end(ap);
  resolve_end(r, code, text, NULL);
}

static void ask(struct ro_resolve *r);

/* A mirror that cannot help is passed over; the registry's own word counts. */
static void next_host(struct ro_resolve *r, const struct ro_answer *a) {
  if (a->code == BERTH_CANCELLED || r->at + 1 == r->nhosts) {
    resolve_fail(r, a->code, "%s", a->message);
    return;
  }
  r->at++;
  r->whole = false;
  ask(r);
}

static void found(struct ro_resolve *r, const char *digest, const char *media_type, int64_t size) {
  PU_AUTO_JSON o = json_pack("{s:s,s:s}", "digest", digest, "media_type", media_type);
  if (!o) {
    resolve_fail(r, BERTH_INVALID, "the registry %s gave a digest or media type that is no text", r->hosts[r->at]);
    return;
  }
  if (size >= 0)
    json_object_set_new(o, "size", json_integer(size));
  resolve_end(r, BERTH_OK, NULL, o);
}

static bool is_index(const char *media_type) {
  return pu_eq(media_type, "application/vnd.oci.image.index.v1+json") ||
         pu_eq(media_type, "application/vnd.docker.distribution.manifest.list.v2+json");
}

static void sha256_digest(const char *body, size_t len, char out[72]) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  char hex[sizeof hash * 2 + 1];
  crypto_hash_sha256(hash, (const unsigned char *)body, len);
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  snprintf(out, 72, "sha256:%s", hex);
}

/* ---------------------------------------------------------------- platforms */

static bool platform_is(const json_t *p, const char *os, const char *arch, const char *variant) {
  return pu_eq(pu_str(p, "os"), os) && pu_eq(pu_str(p, "architecture"), arch) &&
         (!variant || pu_eq(pu_str_or(p, "variant", ""), variant));
}

static void name_platform(struct pu_buf *b, const json_t *p) {
  const char *os = pu_str_or(p, "os", "unknown"), *variant = pu_str(p, "variant");
  if (pu_eq(os, "unknown") || b->len > 300)
    return; /* attestations stand in an index, too */
  pu_buf_addf(b, "%s%s/%s%s%s", b->len ? ", " : "", os, pu_str_or(p, "architecture", "?"), variant ? "/" : "",
              variant ? variant : "");
}

const char *ro_pick_platform(const json_t *index, const char *platform, const json_t **entry, char **there) {
  PU_AUTO_FREE os = pu_strdup(platform);
  char *arch = strchr(os, '/'), *variant = NULL;
  if (arch)
    *arch++ = '\0';
  if (arch && (variant = strchr(arch, '/')))
    *variant++ = '\0';
  struct pu_buf names = {0};
  size_t i;
  json_t *m;
  *there = NULL;
  json_array_foreach(pu_arr(index, "manifests"), i, m) {
    const json_t *p = pu_obj(m, "platform");
    if (arch && platform_is(p, os, arch, variant) && pu_str(m, "digest")) {
      pu_buf_free(&names);
      *entry = m;
      return pu_str(m, "digest");
    }
    name_platform(&names, p);
  }
  *there = pu_buf_steal(&names);
  return NULL;
}

static void pick(struct ro_resolve *r, const struct ro_answer *a) {
  PU_AUTO_JSON index = pu_json_parse(a->body, a->len);
  PU_AUTO_FREE there = NULL;
  const json_t *entry = NULL;
  const char *digest = ro_pick_platform(index, r->platform, &entry, &there);
  if (digest)
    found(r, digest, pu_str_or(entry, "mediaType", ""), pu_int(entry, "size", -1));
  else
    resolve_fail(r, BERTH_NOT_FOUND, "%s/%s%s%s has no image for %s; it has: %s", r->ref.registry, r->ref.name,
                 r->ref.tag ? ":" : "", r->ref.tag ? r->ref.tag : "", r->platform, *there ? there : "none");
}

/* ---------------------------------------------------------------- answers */

static void on_manifest(struct ro_resolve *r, const struct ro_answer *a) {
  char digest[72];
  sha256_digest(a->body, a->len, digest);
  const char *want = r->ref.digest ? r->ref.digest : a->digest;
  /* Only sha256 can be checked here; another algorithm's digest is the registry's word. */
  if (want && pu_starts(want, "sha256:") && !pu_eq(want, digest)) {
    resolve_fail(r, BERTH_INVALID, "the registry %s gave a manifest with digest %s where %s was due: it was changed on its way",
                 r->hosts[r->at], digest, want);
    return;
  }
  if (r->platform && is_index(a->media_type))
    pick(r, a);
  else
    found(r, want ? want : digest, a->media_type, (int64_t)a->len);
}

/* Some registries and proxies have no HEAD for manifests. */
static bool head_refused(const struct ro_resolve *r, const struct ro_answer *a) {
  return !r->whole && (a->status == 405 || a->status == 501);
}

static void on_answer(void *arg, const struct ro_answer *a) {
  struct ro_resolve *r = arg;
  if (a->code != BERTH_OK && head_refused(r, a)) {
    r->whole = true;
    ask(r);
  } else if (a->code != BERTH_OK) {
    next_host(r, a);
  } else if (r->whole) {
    on_manifest(r, a);
  } else if (!a->digest || (r->platform && is_index(a->media_type)) || (r->ref.digest && !pu_eq(a->digest, r->ref.digest))) {
    r->whole = true;
    ask(r);
  } else {
    found(r, a->digest, a->media_type, a->length);
  }
}

static void ask(struct ro_resolve *r) {
  const struct pu_reference *ref = &r->ref;
  const char *version = ref->digest ? ref->digest : ref->tag;
  PU_AUTO_FREE path = pu_asprintf("/v2/%s/manifests/%s", ref->name, version);
  PU_AUTO_FREE scope = pu_asprintf("repository:%s:pull", ref->name);
  PU_AUTO_FREE what = pu_asprintf("%s/%s%c%s", ref->registry, ref->name, ref->digest ? '@' : ':', version);
  struct ro_request request = {.registry = r->hosts[r->at],
                               .method = r->whole ? "GET" : "HEAD",
                               .path = path,
                               .accept = accepted,
                               .scope = scope,
                               .what = what,
                               .done = on_answer,
                               .arg = r};
  ro_client_send(r->client, &request, &r->call);
}

static void list_hosts(struct ro_resolve *r, const struct ro_settings *settings) {
  const struct ro_registry *known = ro_settings_of(settings, r->ref.registry);
  size_t mirrors = known ? known->nmirrors : 0;
  r->hosts = pu_calloc(mirrors + 1, sizeof *r->hosts);
  for (size_t i = 0; i < mirrors; i++)
    r->hosts[r->nhosts++] = pu_strdup(known->mirrors[i]);
  r->hosts[r->nhosts++] = pu_strdup(r->ref.registry);
}

void ro_resolve_start(struct ro_resolve **list, const struct berth_host *host, struct ro_client *client,
                      const struct ro_settings *settings, berth_op op, const char *image, const char *platform) {
  struct ro_resolve *r = pu_new(struct ro_resolve);
  r->list = list;
  r->next = *list;
  if (r->next)
    r->next->prev = r;
  *list = r;
  r->host = host;
  r->ops = host->service(host, BERTH_HOST_OPS);
  r->client = client;
  r->op = op;
  r->platform = pu_strdup(platform);
  if (!image || !pu_reference_parse(image, &r->ref)) {
    resolve_fail(r, BERTH_INVALID, "\"%.200s\" is no image reference as registry/name:tag", image ? image : "");
    return;
  }
  list_hosts(r, settings);
  ask(r);
}

bool ro_resolve_cancel(struct ro_resolve *list, berth_op op) {
  for (struct ro_resolve *r = list; r; r = r->next) {
    if (r->op != op)
      continue;
    ro_call_cancel(r->call);
    return true;
  }
  return false;
}
