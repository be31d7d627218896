#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch.h"
#include "mirror.h"

enum { piece = 256 << 10, full = 1 << 20, turns = 4, wait_ms = 5, max_heads = 64 << 10 };

struct tree {
  const struct berth_host *host;
  const struct berth_host_ops *ops;
  const struct berth_host_timer *timer;
  char *path;   /* "" is the root */
  char id[72];
  bool send, folder, executable;
  long long size;
  char *room;
  char *archive; /* a file in the mirror; NULL: not yet, or gone */
  int fd;
  berth_handle next;
};

static void drop_archive(struct tree *t) {
  if (t->archive)
    unlink(t->archive);
  free(t->archive);
  t->archive = NULL;
}

static void tree_free(void *data) {
  struct tree *t = data;
  t->timer->cancel(t->host, t->next);
  drop_archive(t);
  if (t->fd >= 0)
    close(t->fd);
  free(t->path);
  free(t->room);
  free(t);
}

static void done(struct sg_job *job) {
  const struct tree *t = job->data;
  PU_AUTO_JSON result = json_pack("{s:s,s:s,s:b}", "id", t->id, "kind", t->folder ? "folder" : "file", "executable", t->executable);
  sg_job_done(job, result);
}

/* ---------------------------------------------------------------- sending */

static void removed(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct tree *t = job->data;
  (void)out, (void)out_len, (void)err, (void)err_len;
  if (status == 0)
    pu_set(&t->archive, NULL);
  done(job);
}

/* To free a large file takes a disk its time, which the loop does not have. */
static void remove_archive(struct sg_job *job) {
  struct tree *t = job->data;
  const char *const args[] = {"rm", "-f", "--", t->archive, NULL};
  close(t->fd);
  t->fd = -1;
  sg_job_run(job, args, removed);
}

/* A few pieces a turn, and none while the other side has enough. */
static void send_some(void *arg) {
  struct sg_job *job = arg;
  struct tree *t = job->data;
  if (!t->room)
    t->room = pu_calloc(1, piece);
  t->next = 0;
  for (int i = 0; i < turns && !job->cancelled && t->ops->emit(t->host, job->op, BERTH_SCM_TREE, NULL, 0) < full; i++) {
    ssize_t n = read(t->fd, t->room, piece);
    if (n == 0) {
      remove_archive(job);
      return;
    }
    if (n < 0) {
      sg_job_fail(job, BERTH_IO, "the archive in the cache cannot be read: %s", strerror(errno));
      return;
    }
    t->ops->emit(t->host, job->op, BERTH_SCM_TREE, t->room, (size_t)n);
  }
  if (job->cancelled || t->timer->mono_ms(t->host) > job->deadline)
    sg_job_fail(job, BERTH_DEADLINE, "%s: the tree was not taken within timeout of the plug-in's configuration", job->url.text);
  else if (!(t->next = t->timer->after(t->host, t->ops->emit(t->host, job->op, BERTH_SCM_TREE, NULL, 0) < full ? 0 : wait_ms, send_some, job)))
    sg_job_fail(job, BERTH_CANCELLED, "the plug-in is stopping");
}

static void archived(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct tree *t = job->data;
  (void)out, (void)out_len;
  if (status != 0) {
    sg_job_fail_git(job, status, err, err_len);
    return;
  }
  t->fd = open(t->archive, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (t->fd < 0)
    sg_job_fail(job, BERTH_IO, "the archive in the cache cannot be read: %s", strerror(errno));
  else
    send_some(job);
}

/* What the tree itself says of its files (.gitattributes) is overruled: what was committed is what is built. */
static bool overrule_attributes(const struct sg_job *job) {
  static const char text[] = "* -export-ignore -export-subst -text -eol -crlf -ident -working-tree-encoding -filter\n";
  PU_AUTO_FREE dir = pu_asprintf("%s/info", job->mirror);
  PU_AUTO_FREE path = pu_asprintf("%s/attributes", dir);
  if (mkdir(dir, 0700) < 0 && errno != EEXIST)
    return false;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool fine = fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1;
  return fd >= 0 && close(fd) == 0 && fine;
}

static void archive(struct sg_job *job) {
  struct tree *t = job->data;
  t->archive = pu_asprintf("%s/berth-tree.tar", job->mirror); /* one job at a time for a mirror */
  unlink(t->archive);
  if (!overrule_attributes(job)) {
    sg_job_fail(job, BERTH_IO, "the mirror %s cannot be written: %s", job->mirror, strerror(errno));
    return;
  }
  PU_AUTO_FREE out = pu_asprintf("--output=%s", t->archive);
  const char *const args[] = {"archive", "--format=tar", out, t->id, NULL};
  sg_job_git(job, true, args, NULL, 64 << 10, archived);
}

static void blob_read(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct tree *t = job->data;
  if (status != 0) {
    sg_job_fail_git(job, status, err, err_len);
    return;
  }
  for (size_t at = 0; at < out_len; at += piece)
    t->ops->emit(t->host, job->op, BERTH_SCM_TREE, out + at, out_len - at < piece ? out_len - at : piece);
  done(job);
}

/* ---------------------------------------------------------------- what it is */

/* "ID TYPE SIZE" of cat-file --batch-check. False where it is another line. */
static bool tree_line(const char *line, char id[72], bool *folder, long long *size) {
  char type[16];
  if (sscanf(line, "%71s %15s %lld", id, type, size) != 3 || !sg_is_commit(id) || *size < 0)
    return false;
  *folder = pu_eq(type, "tree");
  return *folder || pu_eq(type, "blob");
}

static void moded(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct tree *t = job->data;
  const char *const args[] = {"cat-file", "blob", t->id, NULL};
  (void)err, (void)err_len;
  t->executable = status == 0 && out_len > 6 && strncmp(out, "100755", 6) == 0; /* of a link: no */
  if (!t->send)
    done(job);
  else
    sg_job_git(job, true, args, NULL, SG_TREE_MAX_FILE + 65536, blob_read);
}

static void ask_mode(struct sg_job *job) {
  const struct tree *t = job->data;
  const char *const args[] = {"ls-tree", "--full-tree", job->wanted.commit, "--", t->path, NULL};
  sg_job_git(job, true, args, NULL, max_heads, moded);
}

static void identified(struct sg_job *job, const char *line) {
  struct tree *t = job->data;
  if (!tree_line(line, t->id, &t->folder, &t->size))
    sg_job_fail(job, BERTH_INVALID, "%s is neither a folder nor a file of the repository", *t->path ? t->path : "the root");
  else if (!t->folder && t->size > SG_TREE_MAX_FILE)
    sg_job_fail(job, BERTH_TOO_LARGE, "%s has %lld bytes: a single file of the repository may have %d MiB", t->path, t->size, SG_TREE_MAX_FILE >> 20);
  else if (!t->folder)
    ask_mode(job);
  else if (!t->send)
    done(job);
  else
    archive(job);
}

static void looked(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct tree *t = job->data;
  const char *at = out, *end = out + out_len;
  struct sg_blob blob;
  if (status != 0 || !sg_batch_next(&at, end, false, &blob)) {
    sg_job_fail_git(job, status ? status : 1, err, err_len);
    return;
  }
  if (blob.kind == SG_MISSING) {
    sg_mirror_bring(job);
    return;
  }
  PU_AUTO_FREE line = pu_strndup(at, at < end ? (size_t)(end - at) : 0);
  const char *name = *t->path ? t->path : "the root";
  line[strcspn(line, "\n")] = '\0';
  bool there = sg_batch_next(&at, end, false, &blob);
  if (there && blob.kind == SG_LINK_OUT)
    sg_job_fail(job, BERTH_INVALID, "%s is a link that leads out of the repository", name);
  else if (there && blob.kind == SG_LINK_LOOP)
    sg_job_fail(job, BERTH_INVALID, "%s is a link that leads to itself", name);
  else if (!there || blob.kind == SG_MISSING)
    sg_job_fail(job, BERTH_NOT_FOUND, "there is no %s in commit %.12s", name, job->wanted.commit);
  else
    identified(job, line);
}

static void look(struct sg_job *job) {
  const struct tree *t = job->data;
  const char *commit = job->wanted.commit;
  PU_AUTO_FREE input = *t->path ? pu_asprintf("%s\n%s:%s\n", commit, commit, t->path) : pu_asprintf("%s\n%s^{tree}\n", commit, commit);
  const char *const args[] = {"cat-file", "--batch-check", "--follow-symlinks", NULL};
  sg_job_git(job, true, args, input, max_heads, looked);
}

void sg_tree(struct sg_jobs *jobs, berth_op op, const struct berth_scm_tree *request) {
  const char *path = request->path ? request->path : "";
  if (!sg_is_commit(request->commit) || (*path && !sg_is_path(path))) {
    sg_jobs_refuse(jobs, op, BERTH_INVALID, "a tree is named by a commit's full id and a path within the repository");
    return;
  }
  struct tree *t = pu_new(struct tree);
  const struct berth_host *host = sg_jobs_host(jobs);
  *t = (struct tree){.host = host,
                     .ops = host->service(host, BERTH_HOST_OPS),
                     .timer = host->service(host, BERTH_HOST_TIMER),
                     .path = pu_strdup(path),
                     .send = request->send,
                     .fd = -1};
  struct sg_wanted wanted = sg_wanted_of(request->commit, request->ref, look);
  sg_job_begin(jobs, op, request->repository, NULL, &wanted, sg_mirror_start, t, tree_free);
}
