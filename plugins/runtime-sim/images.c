/* Images: a reference has a digest that is made of its text, so that it is the same today, tomorrow and on another machine. Also the
 * registry that knows all of them. */
#include "config.h"

#include "sim.h"

enum { image_bytes = 64 << 20 };

struct reference {
  char *repo;   /* "docker.io/library/web" */
  char *tag;    /* NULL: none */
  char *digest; /* "sha256:…"; NULL: none */
};

static void reference_free(struct reference *r) {
  free(r->repo);
  free(r->tag);
  free(r->digest);
}
#define AUTO_REFERENCE __attribute__((cleanup(reference_free))) struct reference

/* The full name of a repository, as users leave parts of it out. */
static char *full_repo(const char *repo) {
  size_t first = strcspn(repo, "/");
  if (!repo[first])
    return pu_asprintf("docker.io/library/%s", repo);
  PU_AUTO_FREE host = pu_strndup(repo, first);
  return strpbrk(host, ".:") || strcmp(host, "localhost") == 0 ? pu_strdup(repo) : pu_asprintf("docker.io/%s", repo);
}

static struct reference parse(const char *text) {
  struct reference r = {0};
  const char *at = strchr(text, '@'), *end = at ? at : text + strlen(text);
  const char *colon = NULL;
  for (const char *p = text; p < end; p++)
    colon = *p == ':' ? p : *p == '/' ? NULL : colon;
  PU_AUTO_FREE repo = pu_strndup(text, (size_t)((colon ? colon : end) - text));
  r.repo = full_repo(repo);
  r.digest = at ? pu_strdup(at + 1) : NULL;
  r.tag = colon ? pu_strndup(colon + 1, (size_t)(end - colon - 1)) : at ? NULL : pu_strdup("latest");
  return r;
}

/* What a reference leads to in the registry that has all. */
static char *digest_of(const struct reference *r) {
  char hex[65];
  PU_AUTO_FREE text = pu_asprintf("%s:%s", r->repo, r->tag);
  sim_hex("digest", text, hex);
  return r->digest ? pu_strdup(r->digest) : pu_asprintf("sha256:%s", hex);
}

static char *id_of(const char *digest) {
  char hex[65];
  sim_hex("image", digest, hex);
  return pu_asprintf("sha256:%s", hex);
}

static bool has(const json_t *list, const char *text) {
  size_t i;
  json_t *v;
  json_array_foreach(list, i, v) if (pu_eq(json_string_value(v), text)) return true;
  return false;
}

/* ---------------------------------------------------------------- what is here */

struct sim_image *sim_image_find(struct berth_instance *self, const char *reference) {
  struct sim_image *image = NULL;
  if (!reference)
    return NULL;
  HASH_FIND_STR(self->images, reference, image);
  if (image || pu_starts(reference, "sha256:"))
    return image;
  AUTO_REFERENCE r = parse(reference);
  PU_AUTO_FREE tagged = pu_asprintf("%s:%s", r.repo, r.tag ? r.tag : "");
  for (image = self->images; image; image = image->hh.next)
    if (r.digest ? strcmp(image->digest, r.digest) == 0 && has(image->repos, r.repo) : has(image->tags, tagged))
      return image;
  return NULL;
}

struct sim_image *sim_image_add(struct berth_instance *self, const char *id, const char *digest) {
  struct sim_image *image = pu_new(struct sim_image);
  image->id = pu_strdup(id);
  image->digest = pu_strdup(digest);
  image->tags = json_array();
  image->repos = json_array();
  HASH_ADD_KEYPTR(hh, self->images, image->id, strlen(image->id), image);
  return image;
}

void sim_image_free(struct berth_instance *self, struct sim_image *image) {
  HASH_DEL(self->images, image);
  free(image->id);
  free(image->digest);
  json_decref(image->tags);
  json_decref(image->repos);
  free(image);
}

/* A tag is on one image. */
static void untag(struct berth_instance *self, const char *tagged, const struct sim_image *but) {
  for (struct sim_image *image = self->images; image; image = image->hh.next)
    for (size_t i = json_array_size(image->tags); image != but && i-- > 0;)
      if (pu_eq(json_string_value(json_array_get(image->tags, i)), tagged)) {
        json_array_remove(image->tags, i);
        sim_journal_image(self, image);
      }
}

static struct sim_image *keep(struct berth_instance *self, const struct reference *r, const char *digest, bool from_registry) {
  PU_AUTO_FREE id = id_of(digest);
  struct sim_image *image = NULL;
  HASH_FIND_STR(self->images, id, image);
  if (!image) {
    image = sim_image_add(self, id, digest);
    image->created_ms = sim_now(self);
  }
  if (from_registry && !has(image->repos, r->repo))
    json_array_append_new(image->repos, json_string(r->repo));
  PU_AUTO_FREE tagged = pu_asprintf("%s:%s", r->repo, r->tag ? r->tag : "");
  if (r->tag)
    untag(self, tagged, image);
  if (r->tag && !has(image->tags, tagged))
    json_array_append_new(image->tags, json_string(tagged));
  sim_journal_image(self, image);
  return image;
}

static json_t *image_json(const struct berth_instance *self, const struct sim_image *image) {
  char created[32];
  json_t *digests = json_array(), *repo;
  size_t i;
  json_array_foreach(image->repos, i, repo) {
    PU_AUTO_FREE text = pu_asprintf("%s@%s", json_string_value(repo), image->digest);
    json_array_append_new(digests, json_string(text));
  }
  json_int_t size = image_bytes + (json_int_t)(sim_dice(0, "size", image->id, 0) % image_bytes);
  return json_pack("{s:s, s:o, s:O, s:I, s:s, s:s}", "id", image->id, "digests", digests, "tags", image->tags, "size", size, "platform",
                   self->settings.platform, "created", sim_time_text(image->created_ms, created));
}

/* ---------------------------------------------------------------- methods */

static void inspect(struct sim_op *op) {
  const struct sim_image *image = sim_image_find(op->self, op->subject);
  if (image)
    sim_op_done(op, image_json(op->self, image));
  else
    sim_op_fail(op, BERTH_NOT_FOUND, "image %s is not on this node", op->subject);
}

void sim_image_inspect(struct berth_instance *self, berth_op id, const struct berth_runtime_image *request) {
  sim_op_begin(self, id, SIM_IMAGE_INSPECT, request->image, NULL, NULL, inspect);
}

static bool missing(struct sim_op *op, const struct reference *r) {
  PU_AUTO_FREE full = pu_asprintf("%s:%s", r->repo, r->tag ? r->tag : "");
  if (!sim_listed(op->self->settings.missing_images, full))
    return false;
  sim_op_fail(op, BERTH_NOT_FOUND, "image %s: no registry has it, as missing_images of runtime-sim has it: this is a rehearsal", op->subject);
  return true;
}

static void pull(struct sim_op *op) {
  struct berth_instance *self = op->self;
  AUTO_REFERENCE r = parse(op->subject);
  if (missing(op, &r))
    return;
  if (pu_starts(op->subject, "sha256:") || HASH_COUNT(self->images) >= sim_max_images) {
    sim_op_fail(op, pu_starts(op->subject, "sha256:") ? BERTH_INVALID : BERTH_EXHAUSTED, "image %s: %s", op->subject,
                *op->subject == 's' ? "an id cannot be pulled" : "there are too many pretended images");
    return;
  }
  PU_AUTO_FREE digest = digest_of(&r);
  const struct sim_image *image = keep(self, &r, digest, true);
  PU_AUTO_JSON progress = json_pack("{s:s, s:s, s:i, s:i}", "text", "pretended: nothing was downloaded", "layer", "", "current", image_bytes,
                                    "total", image_bytes);
  sim_op_emit_json(op, BERTH_RUNTIME_PROGRESS, progress);
  sim_op_done(op, image_json(self, image));
}

void sim_image_pull(struct berth_instance *self, berth_op id, const struct berth_runtime_image *request) {
  sim_op_begin(self, id, SIM_IMAGE_PULL, request->image, NULL, NULL, pull);
}

/* What is built has a tag, and no registry knows it. */
static void build(struct sim_op *op) {
  struct berth_instance *self = op->self;
  const json_t *tags = json_object_get(op->args, "tags");
  PU_AUTO_FREE whole = pu_json_text(op->args);
  char hex[65];
  sim_hex("build", whole, hex);
  PU_AUTO_FREE digest = pu_asprintf("sha256:%s", hex);
  PU_AUTO_FREE id = id_of(digest);
  size_t i;
  json_t *tag;
  if (HASH_COUNT(self->images) >= sim_max_images) {
    sim_op_fail(op, BERTH_EXHAUSTED, "build: there are too many pretended images");
    return;
  }
  json_array_foreach(tags, i, tag) {
    AUTO_REFERENCE r = parse(json_string_value(tag) ? json_string_value(tag) : "untagged");
    keep(self, &r, digest, false);
  }
  PU_AUTO_FREE nameless = pu_strdup("untagged");
  if (!json_array_size(tags))
    keep(self, &(struct reference){.repo = nameless}, digest, false);
  PU_AUTO_JSON progress = json_pack("{s:s}", "text", "pretended: nothing was built");
  sim_op_emit_json(op, BERTH_RUNTIME_PROGRESS, progress);
  sim_op_done(op, json_pack("{s:s}", "id", id));
}

static json_t *array_of(const char *text) {
  json_t *v = text ? pu_json_parse(text, strlen(text)) : NULL;
  if (json_is_array(v))
    return v;
  json_decref(v);
  return json_array();
}

void sim_image_build(struct berth_instance *self, berth_op id, const struct berth_runtime_build *request) {
  PU_AUTO_JSON tags = array_of(request->tags_json);
  json_t *spec = request->build_json ? pu_json_string(request->build_json) : json_null();
  json_t *context = pu_json_string(request->context ? request->context : "");
  json_t *args = json_pack("{s:o, s:o, s:O}", "context", context, "build", spec, "tags", tags);
  const char *first = json_string_value(json_array_get(tags, 0));
  sim_op_begin(self, id, SIM_IMAGE_BUILD, first, first ? NULL : "build", args, build);
}

static bool in_use(struct berth_instance *self, const struct sim_image *image) {
  for (const struct sim_container *c = self->by_id; c; c = c->by_id.next)
    if (strstr(c->text, image->id))
      return true;
  return false;
}

static void prune(struct sim_op *op) {
  struct berth_instance *self = op->self;
  struct sim_image *image, *next;
  json_t *removed = json_array();
  HASH_ITER(hh, self->images, image, next) {
    if (in_use(self, image))
      continue;
    json_array_append_new(removed, json_string(image->id));
    sim_journal_gone(self, "image", image->id);
    sim_image_free(self, image);
  }
  json_int_t freed = (json_int_t)json_array_size(removed) * image_bytes;
  sim_op_done(op, json_pack("{s:o, s:I}", "removed", removed, "freed", freed));
}

void sim_image_prune(struct berth_instance *self, berth_op id, const struct berth_runtime_list *request) {
  (void)request;
  sim_op_begin(self, id, SIM_IMAGE_PRUNE, NULL, NULL, NULL, prune);
}

/* ---------------------------------------------------------------- berth.registry/1 */

static bool serves(struct berth_instance *self, const char *image) {
  (void)image;
  return self->settings.registry;
}

static void resolve(struct sim_op *op) {
  AUTO_REFERENCE r = parse(op->subject);
  if (missing(op, &r))
    return;
  PU_AUTO_FREE digest = digest_of(&r);
  sim_op_done(op, json_pack("{s:s, s:s, s:i}", "digest", digest, "media_type", "application/vnd.oci.image.index.v1+json", "size", 1024));
}

static void registry_resolve(struct berth_instance *self, berth_op id, const struct berth_registry_resolve *request) {
  sim_op_begin(self, id, SIM_RESOLVE, request->image, NULL, NULL, resolve);
}

static void registry_credentials(struct berth_instance *self, berth_op id, const struct berth_registry_credentials *request) {
  (void)request;
  self->ops->finish(self->host, id, BERTH_OK, NULL, "{}");
}

static void registry_probe(struct berth_instance *self, berth_op id) {
  self->ops->finish(self->host, id, BERTH_OK, NULL, "{\"registries\":[{\"name\":\"all\",\"status\":\"ok\",\"detail\":\"pretended: no registry is asked\"}]}");
}

static void tags(struct sim_op *op) {
  AUTO_REFERENCE r = parse(op->subject);
  sim_op_done(op, json_pack("{s:[s]}", "tags", r.tag ? r.tag : "latest"));
}

static void registry_tags(struct berth_instance *self, berth_op id, const struct berth_registry_tags *request) {
  sim_op_begin(self, id, SIM_TAGS, request->image, NULL, NULL, tags);
}

const struct berth_registry sim_registry = {.size = sizeof sim_registry,
                                            .serves = serves,
                                            .resolve = registry_resolve,
                                            .credentials = registry_credentials,
                                            .probe = registry_probe,
                                            .tags = registry_tags};
