/* scm-git: berth.scm/1 for repositories of git, on any host or none. */
#include <berth/host.h>
#include <berth/scm.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/plugin.h"
#include "../common/util.h"
#include "fetch.h"
#include "hooks.h"
#include "job.h"
#include "report.h"
#include "resolve.h"
#include "settings.h"
#include "tree.h"

struct berth_instance {
  const struct berth_host *host;
  struct sg_settings settings;
  struct sg_jobs *jobs;
  struct sg_hooks *hooks; /* NULL: none */
};

/* ---------------------------------------------------------------- methods */

static void resolve(struct berth_instance *self, berth_op op, const struct berth_scm_resolve *request) {
  sg_resolve(self->jobs, op, request);
}

static void fetch(struct berth_instance *self, berth_op op, const struct berth_scm_fetch *request) { sg_fetch(self->jobs, op, request); }

static void status(struct berth_instance *self, berth_op op, const struct berth_scm_status *request) {
  sg_report(self->host, &self->settings, op, request);
}

static void tree(struct berth_instance *self, berth_op op, const struct berth_scm_tree *request) { sg_tree(self->jobs, op, request); }

static void probe(struct berth_instance *self, berth_op op) { sg_jobs_probe(self->jobs, op); }

static void cancel(struct berth_instance *self, berth_op op) { sg_jobs_cancel(self->jobs, op); }

/* ---------------------------------------------------------------- life */

PU_SETTINGS(struct sg_settings, sg_settings_read, sg_settings_free)

/* The folder and its parents. */
static bool make_dirs(const char *path) {
  PU_AUTO_FREE copy = pu_strdup(path);
  for (char *p = copy + 1; *p; p++)
    if (*p == '/') {
      *p = '\0';
      if (mkdir(copy, 0755) < 0 && errno != EEXIST)
        return false;
      *p = '/';
    }
  struct stat st;
  if ((mkdir(copy, 0700) < 0 && errno != EEXIST) || lstat(copy, &st) < 0)
    return false;
  errno = !S_ISDIR(st.st_mode) ? ENOTDIR : st.st_uid != geteuid() ? EACCES : 0; /* in a folder for all, another may have been faster */
  return errno == 0;
}

/* Where a server keeps such things; where the entry runs as a user of its own, in what all may write. */
static char *usual_cache(const char *entry) {
  char *usual = pu_asprintf("/var/cache/berth/%s", entry);
  if (make_dirs(usual))
    return usual;
  free(usual);
  return pu_asprintf("/var/tmp/berth-%s-%u", entry, (unsigned)geteuid());
}

static enum berth_code start(const struct berth_host *host, const char *config_json, struct berth_instance **out,
                             const char **why) {
  static char sentence[512];
  struct sg_settings settings;
  enum berth_code code = read_settings(config_json, &settings, why);
  if (code != BERTH_OK)
    return code;
  if (!settings.cache)
    settings.cache = usual_cache(host->name);
  if (!make_dirs(settings.cache)) {
    snprintf(sentence, sizeof sentence, "cache: the folder %.300s cannot be made: %s", settings.cache, strerror(errno));
    sg_settings_free(&settings);
    *why = sentence;
    return BERTH_IO;
  }
  struct berth_instance *self = pu_new(struct berth_instance);
  self->host = host;
  self->settings = settings;
  self->jobs = sg_jobs_new(host, &self->settings);
  self->hooks = sg_hooks_new(host, &self->settings);
  *out = self;
  return BERTH_OK;
}

/* The host has ended all operations by now. */
static void stop(struct berth_instance *self) {
  sg_jobs_free(&self->jobs);
  sg_hooks_free(&self->hooks);
  sg_settings_free(&self->settings);
  free(self);
}

static const struct berth_field fields[] = {
    {.name = "protocols",
     .type = BERTH_LIST,
     .fallback = "[\"https\",\"ssh\"]",
     .doc = "What git may speak: https, ssh, git, file, and http (to this machine only, unless the host is listed)."},
    {.name = "hosts",
     .type = BERTH_JSON,
     .fallback = "{}",
     .secret = true,
     .doc = "What is known of each host: kind (github, gitea, gitlab, plain), api, token, username, password, ssh_key, known_hosts, "
            "ca_file."},
    {.name = "file_roots", .type = BERTH_LIST, .fallback = "[]", .doc = "Folders of this machine that file:// may read.", .max = 100},
    {.name = "webhook_secret",
     .type = BERTH_STRING,
     .secret = true,
     .doc = "What hosts prove their webhooks with, at least 16 characters; without it the entry takes none."},
    {.name = "cache",
     .type = BERTH_STRING,
     .immutable = true,
     .doc = "Folder for mirrors of repositories; left out: /var/cache/berth/ENTRY, or one in /var/tmp where that cannot be written."},
    {.name = "git", .type = BERTH_STRING, .fallback = "git", .doc = "The git command."},
    {.name = "timeout",
     .type = BERTH_DURATION,
     .fallback = "2m",
     .min = 1000,
     .max = 3600000,
     .doc = "How long one look at a repository may take."},
    {.name = "max_repository",
     .type = BERTH_SIZE,
     .fallback = "512MiB",
     .min = 1 << 20,
     .max = 64LL << 30,
     .doc = "How large a mirror, or a file that git writes, may become."},
    {.name = "parallel", .type = BERTH_INT, .fallback = "4", .min = 1, .max = 64, .doc = "How many repositories are looked at at once."},
    {0}};

static const struct berth_scm methods = {.size = sizeof methods, .resolve = resolve, .fetch = fetch, .status = status, .probe = probe, .tree = tree};
static const struct berth_interface interfaces[] = {{BERTH_SCM, &methods}, {0}};
static const char *const needs[] = {BERTH_HOST_OPS, BERTH_HOST_LOG, BERTH_HOST_TIMER, BERTH_HOST_CHILD, BERTH_HOST_HTTP, NULL};
static const struct berth_product products[] = {{"git", ">=2.34", "the git command: https://git-scm.com"}, {0}};
PU_PLUGIN("scm-git", "Apps follow repositories of git.", interfaces, needs, fields, (.products = products), .validate = validate,
          .start = start, .stop = stop, .cancel = cancel);
