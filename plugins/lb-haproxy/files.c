#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "engine.h"

/* What HAProxy reads: its configuration, certificates, pages. Folders are made at the start; files are written in a worker, since a disk may
 * take its time and the loop has none. One job at a time: who comes while one is under way waits for lbh_written. */

/* ---------------------------------------------------------------- folders and files */

static bool fail(char **why, const char *what, const char *path) {
  pu_set(why, pu_asprintf("cannot %s %s: %s", what, path, strerror(errno)));
  return false;
}

static bool make_folder(const char *path, char **why) {
  PU_AUTO_FREE parent = pu_strdup(path);
  for (char *p = parent + 1; (p = strchr(p, '/')); p++) {
    *p = 0;
    if (mkdir(parent, 0755) < 0 && errno != EEXIST)
      return fail(why, "make the folder", parent);
    *p = '/';
  }
  if ((mkdir(path, 0700) < 0 && errno != EEXIST) || chmod(path, 0700) < 0)
    return fail(why, "make the folder", path);
  return true;
}

/* Keys lie in memory only: on a tmpfs that is there, or on one of our own. */
static bool make_vault(const char *path, char **why) {
  struct statfs st;
  if (!make_folder(path, why))
    return false;
  if (statfs(path, &st) == 0 && (st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC))
    return true;
  if (mount("berth", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") == 0)
    return true;
  fail(why, "mount a tmpfs for keys on", path);
  PU_AUTO_FREE first = *why;
  *why = pu_asprintf("%s; run berthd as root, or let dir be on a tmpfs such as /run", first);
  return false;
}

/* Where the socket lies that a worker teaches its successor through: the worker's own, whoever it runs as. */
static bool make_peers(struct berth_instance *self, char **why) {
  PU_AUTO_FREE peers = pu_asprintf("%s/peers", self->settings.dir);
  const struct passwd *worker = self->user ? getpwnam(self->user) : NULL;
  if (!make_folder(peers, why))
    return false;
  return !worker || chown(peers, worker->pw_uid, (gid_t)-1) == 0 || fail(why, "give the worker", peers);
}

bool lbh_prepare(struct berth_instance *self, char **why) {
  PU_AUTO_FREE certs = pu_asprintf("%s/certs", self->settings.dir);
  PU_AUTO_FREE pages = pu_asprintf("%s/pages", self->settings.dir);
  if (!make_folder(self->settings.dir, why) || !make_vault(certs, why) || !make_folder(pages, why))
    return false;
  if (geteuid() != 0)
    return make_peers(self, why);
  const char *user = self->settings.user ? self->settings.user : "haproxy";
  if (getpwnam(user))
    pu_set(&self->user, pu_strdup(user));
  else if (self->settings.user)
    pu_set(why, pu_asprintf("there is no user %s on this machine", user));
  return (self->user || !self->settings.user) && make_peers(self, why);
}

/* To a temporary sibling first: HAProxy never reads half a file. */
static bool write_file(const char *path, const char *text, char **why) {
  PU_AUTO_FREE temporary = pu_asprintf("%s.new", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail(why, "write", temporary);
  size_t len = strlen(text), off = 0;
  while (off < len) {
    ssize_t n = write(fd, text + off, len - off);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    off += (size_t)n;
  }
  bool good = off == len && fchmod(fd, 0600) == 0;
  if (!good)
    fail(why, "write", temporary);
  close(fd);
  if (good && rename(temporary, path) < 0)
    good = fail(why, "rename into place", path);
  if (!good)
    unlink(temporary);
  return good;
}

/* ---------------------------------------------------------------- jobs */

/* A file as the worker sees it: its own copy, since the state goes on meanwhile. */
struct file {
  char *path, *text;
  bool once; /* named after its content, so what is there is right */
};

struct lbh_job {
  struct berth_instance *self; /* NULL: it is gone */
  enum lbh_written kind;
  struct file *files;
  size_t nfiles;
  char *folders[2]; /* LBH_SWEPT: what else lies there goes */
  bool good;
  char *why;
};

static void job_free(struct lbh_job *job) {
  for (size_t i = 0; i < job->nfiles; i++) {
    free(job->files[i].path);
    pu_wipe_free(job->files[i].text);
  }
  for (size_t i = 0; i < PU_COUNT(job->folders); i++)
    free(job->folders[i]);
  free(job->files);
  free(job->why);
  free(job);
}

static struct lbh_job *job_new(struct berth_instance *self, enum lbh_written kind) {
  struct lbh_job *job = pu_new(struct lbh_job);
  *job = (struct lbh_job){.self = self, .kind = kind, .files = pu_calloc(2 * self->state.nroutes + 2, sizeof *job->files), .good = true};
  return job;
}

static void add(struct lbh_job *job, char *path_steal, const char *text, bool once) {
  job->files[job->nfiles++] = (struct file){path_steal, pu_strdup(text), once};
}

static int by_path(const void *a, const void *b) { return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path); }

static void sweep(const struct lbh_job *job, const char *folder) {
  DIR *dir = opendir(folder);
  for (struct dirent *e; dir && (e = readdir(dir));) {
    PU_AUTO_FREE path = pu_asprintf("%s/%s", folder, e->d_name);
    struct file key = {.path = path};
    if (e->d_name[0] != '.' && (!job->nfiles || !bsearch(&key, job->files, job->nfiles, sizeof key, by_path)))
      unlink(path);
  }
  if (dir)
    closedir(dir);
}

static void work(void *arg) {
  struct lbh_job *job = arg;
  if (job->kind == LBH_SWEPT) {
    if (job->nfiles > 1)
      qsort(job->files, job->nfiles, sizeof *job->files, by_path);
    for (size_t i = 0; i < PU_COUNT(job->folders); i++)
      sweep(job, job->folders[i]);
    return;
  }
  for (size_t i = 0; i < job->nfiles && job->good; i++)
    if (!job->files[i].once || access(job->files[i].path, F_OK) != 0)
      job->good = write_file(job->files[i].path, job->files[i].text, &job->why);
}

static void on_done(void *arg) {
  struct lbh_job *job = arg;
  struct berth_instance *self = job->self;
  if (self) {
    self->job = NULL;
    lbh_written(self, job->kind, job->good, job->why);
  }
  job_free(job);
}

static void run(struct lbh_job *job) {
  job->self->job = job;
  job->self->workers->run(job->self->host, work, on_done, job);
}

char *lbh_aside_path(const struct lbh_settings *settings) { return pu_asprintf("%s.check", settings->config_file); }

void lbh_write_aside(struct berth_instance *self) {
  struct lbh_job *job = job_new(self, LBH_WRITTEN_ASIDE);
  for (size_t i = 0; i < self->state.nroutes; i++) {
    const struct lbh_route *r = &self->state.routes[i];
    const struct lbh_certificate *c = r->certificate && !r->refused ? lbh_state_certificate(&self->state, r->certificate) : NULL;
    const json_t *page = pu_obj(r->json, "maintenance");
    if (c && c->pem)
      add(job, lbh_certificate_path(&self->settings, c->name), c->pem, true);
    if (page)
      add(job, lbh_page_path(&self->settings, r), pu_str_or(page, "body", ""), true);
  }
  add(job, lbh_list_path(&self->settings), self->text.list, false);
  add(job, lbh_aside_path(&self->settings), self->text.text, false);
  run(job);
}

void lbh_write_config(struct berth_instance *self, const char *text) {
  struct lbh_job *job = job_new(self, LBH_WRITTEN_CONFIG);
  add(job, pu_strdup(self->settings.config_file), text, false);
  run(job);
}

void lbh_sweep_files(struct berth_instance *self) {
  struct lbh_job *job = job_new(self, LBH_SWEPT);
  for (size_t i = 0; i < self->state.nroutes; i++) {
    const struct lbh_route *r = &self->state.routes[i];
    if (r->certificate)
      add(job, lbh_certificate_path(&self->settings, r->certificate), NULL, false);
    if (pu_obj(r->json, "maintenance"))
      add(job, lbh_page_path(&self->settings, r), NULL, false);
  }
  add(job, lbh_list_path(&self->settings), NULL, false);
  job->folders[0] = pu_asprintf("%s/certs", self->settings.dir);
  job->folders[1] = pu_asprintf("%s/pages", self->settings.dir);
  run(job);
}

void lbh_files_stop(struct berth_instance *self) {
  if (self->job)
    self->job->self = NULL; /* it ends by itself */
  self->job = NULL;
}
