/* @NAME@: repositories in a folder of this machine. It tells where a branch stands, by asking git.
 *
 * What it does not do yet, and says so with BERTH_UNSUPPORTED: tags, the files of a commit, and statuses, which a folder has no
 * place for. Repositories elsewhere are UNSUPPORTED too: the host then asks the next entry that implements berth.scm/1. */
#define _POSIX_C_SOURCE 200809L
#include <berth/host.h>
#include <berth/scm.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One configured entry. The host never looks inside. */
struct berth_instance {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_child *child;
  char *root;
  struct lookup *lookups; /* the ones that are on their way */
};

/* A resolve() whose git runs. */
struct lookup {
  struct berth_instance *self;
  struct lookup *next;
  berth_op op;
  berth_handle child;
  bool cancelled;
  char ref[256];
};

/* ---------------------------------------------------------------- berth.scm/1 */

static void unsupported(struct berth_instance *self, berth_op op, const char *why) {
  self->ops->finish(self->host, op, BERTH_UNSUPPORTED, why, NULL);
}

static void unlink_lookup(struct lookup *l) {
  struct lookup **at = &l->self->lookups;
  while (*at != l)
    at = &(*at)->next;
  *at = l->next;
}

/* git ls-remote ended: "<id>\trefs/heads/main\n", or nothing where there is no such branch. */
static void on_refs(void *arg, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct lookup *l = arg;
  struct berth_instance *self = l->self;
  char text[512];
  size_t id = strspn(out_len ? out : "", "0123456789abcdef");
  if (l->cancelled) {
    self->ops->finish(self->host, l->op, BERTH_CANCELLED, "cancelled", NULL);
  } else if (status != 0) {
    snprintf(text, sizeof text, "git cannot read the repository: %.*s", (int)(err_len < 300 ? err_len : 300), err_len ? err : "");
    self->ops->finish(self->host, l->op, BERTH_NOT_FOUND, text, NULL);
  } else if (id != 40 && id != 64) {
    snprintf(text, sizeof text, "the repository has no %s", l->ref);
    self->ops->finish(self->host, l->op, BERTH_NOT_FOUND, text, NULL);
  } else {
    json_t *result = json_pack("{s:s%, s:s}", "commit", out, id, "ref", l->ref);
    char *json = result ? json_dumps(result, JSON_COMPACT) : NULL;
    self->ops->finish(self->host, l->op, json ? BERTH_OK : BERTH_INTERNAL, "the result is no JSON", json);
    free(json);
    json_decref(result);
  }
  unlink_lookup(l);
  free(l);
}

/* The repository's folder, where it is one below root; it needs no cleaning, since ".." is refused. */
static const char *folder_of(const struct berth_instance *self, const char *repository) {
  size_t n = strlen(self->root);
  if (!repository || strncmp(repository, "file://", 7) != 0)
    return NULL;
  const char *path = repository + 7;
  return strncmp(path, self->root, n) == 0 && path[n] == '/' && !strstr(path, "/..") ? path : NULL;
}

/* A name that git takes for a branch and never for an option or a pattern. */
static bool branch_ok(const char *branch) {
  return *branch && strlen(branch) < 200 && *branch != '-' && !strpbrk(branch, " *?[\\^~:") && !strstr(branch, "..");
}

static void resolve(struct berth_instance *self, berth_op op, const struct berth_scm_resolve *request) {
  const char *folder = folder_of(self, request->repository);
  if (!folder) {
    unsupported(self, op, "@NAME@ only knows repositories below its \"root\", as file://…");
    return;
  }
  if (!request->branch) {
    unsupported(self, op, "@NAME@ follows branches, no tags");
    return;
  }
  if (!branch_ok(request->branch)) {
    self->ops->finish(self->host, op, BERTH_INVALID, "that is no name of a branch", NULL);
    return;
  }
  struct lookup *l = calloc(1, sizeof *l);
  if (!l) {
    self->ops->finish(self->host, op, BERTH_EXHAUSTED, "out of memory", NULL);
    return;
  }
  *l = (struct lookup){.self = self, .next = self->lookups, .op = op};
  snprintf(l->ref, sizeof l->ref, "refs/heads/%s", request->branch);
  const char *const argv[] = {"git", "ls-remote", "--", folder, l->ref, NULL};
  struct berth_child_request child = {.size = sizeof child, .argv = argv, .timeout_ms = 30000, .done = on_refs, .arg = l};
  self->lookups = l;
  l->child = self->child->spawn(self->host, &child);
  if (!l->child) {
    unlink_lookup(l);
    free(l);
    self->ops->finish(self->host, op, BERTH_UNAVAILABLE, "git cannot be started: is it installed?", NULL);
  }
}

static void fetch(struct berth_instance *self, berth_op op, const struct berth_scm_fetch *request) {
  (void)request;
  unsupported(self, op, "@NAME@ does not read files of a commit");
}

static void status(struct berth_instance *self, berth_op op, const struct berth_scm_status *request) {
  (void)request;
  unsupported(self, op, "a folder has no place for what became of a commit");
}

static void probe(struct berth_instance *self, berth_op op) {
  self->ops->finish(self->host, op, BERTH_OK, NULL, "{\"status\":\"ok\",\"detail\":\"\"}");
}

/* ---------------------------------------------------------------- configuration and life */

static enum berth_code validate(const char *config, const char **why) {
  json_t *o = json_loads(config, 0, NULL);
  const char *root = json_string_value(json_object_get(o, "root"));
  size_t n = root ? strlen(root) : 0;
  bool good = n > 1 && root[0] == '/' && root[n - 1] != '/';
  json_decref(o);
  if (!good)
    *why = "\"root\" is no folder: it is an absolute path without a slash at its end, such as /srv/git";
  return good ? BERTH_OK : BERTH_INVALID;
}

/* The host has ended the children before: no lookup is left. */
static void stop(struct berth_instance *self) {
  free(self->root);
  free(self);
}

static enum berth_code start(const struct berth_host *host, const char *config, struct berth_instance **out, const char **why) {
  struct berth_instance *self = calloc(1, sizeof *self);
  json_t *o = json_loads(config, 0, NULL);
  const char *root = json_string_value(json_object_get(o, "root"));
  if (self && root)
    self->root = strdup(root);
  json_decref(o);
  if (!self || !self->root) {
    free(self);
    *why = "out of memory";
    return BERTH_EXHAUSTED;
  }
  self->host = host;
  self->ops = host->service(host, BERTH_HOST_OPS);
  self->child = host->service(host, BERTH_HOST_CHILD);
  *out = self;
  return BERTH_OK;
}

/* The caller gave up: git is killed, and its on_refs() finishes op. An op that has ended is not among them any more. */
static void cancel(struct berth_instance *self, berth_op op) {
  for (struct lookup *l = self->lookups; l; l = l->next)
    if (l->op == op) {
      l->cancelled = true;
      self->child->kill(self->host, l->child);
      return;
    }
}

static const struct berth_field fields[] = {
    {.name = "root", .type = BERTH_STRING, .required = true, .doc = "Folder whose repositories are this plug-in's."}, {0}};

static const struct berth_scm scm = {
    .size = sizeof scm, .resolve = resolve, .fetch = fetch, .status = status, .probe = probe};
static const struct berth_interface interfaces[] = {{BERTH_SCM, &scm}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_CHILD, NULL};
static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,
                                               .id = "@NAME@",
                                               .version = "0.1.0",
                                               .summary = "Repositories in a folder of this machine.",
                                               .license = "@LICENSE@",
                                               .interfaces = interfaces,
                                               .needs = needs,
                                               .config = fields};

/* The one symbol that the host looks for. */
extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;
const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin),
                                                 .manifest = &manifest,
                                                 .validate = validate,
                                                 .start = start,
                                                 .stop = stop,
                                                 .cancel = cancel};
