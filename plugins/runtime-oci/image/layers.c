#define _GNU_SOURCE
#include "layers.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../../common/util.h"
#include "files.h"
#include "progress.h"

/* One image in the making, shared by the workers. */
struct making {
  struct ri_change *c;
  const struct ri_manifest *manifest;
  const struct ri_config *config;
  const struct ri_source *source;
  const struct ri_tar_limits *limits;
  struct ri_held *held;
  pthread_mutex_t lock; /* of what follows */
  size_t next;          /* the layer that the next free worker takes */
  size_t placed;        /* so many, from the bottom, are in their place */
  json_t *reports[ri_max_layers]; /* of what is unpacked and waits for those below */
  bool there[ri_max_layers];      /* was in the store already */
  struct ri_why why;
  atomic_bool stop;
};

struct worker {
  struct making *m;
  int number;
  pthread_t thread;
};

void ri_held_free(struct ri_held *held) {
  for (size_t i = 0; i < held->n; i++)
    ri_fd_close(&held->fds[i]);
  held->n = 0;
}

static void layer_dir(char out[32], size_t i) { snprintf(out, 32, "layer-%zu", i); }

/* ---------------------------------------------------------------- putting in place */

/* Owner and rights of a folder that only a layer below speaks of. A whiteout in between is a gap: the defaults stay. */
static void implied_dress(struct making *m, size_t i, int diff, const char *path) {
  RI_AUTO_FD mine = ri_open_inside(diff, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (mine < 0)
    return;
  for (size_t below = i; below-- > 0;) {
    PU_AUTO_FREE name = pu_asprintf("%s/diff", m->config->chain[below]);
    RI_AUTO_FD root = openat(m->c->layers, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    RI_AUTO_FD there = root < 0 ? -1 : ri_open_inside(root, path, O_PATH | O_NOFOLLOW);
    struct stat st;
    if (there < 0 || fstat(there, &st) < 0)
      continue;
    if (S_ISDIR(st.st_mode) && fchown(mine, st.st_uid, st.st_gid) == 0 && fchmod(mine, st.st_mode & 07777) == 0) {
      struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};
      (void)!futimens(mine, times);
    }
    return;
  }
}

static int opaque_mark(int diff, const char *path, struct ri_why *why) {
  RI_AUTO_FD fd = ri_open_inside(diff, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (fd < 0)
    return 0; /* became something else later in the same layer */
  if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) == 0)
    return 0;
  RI_AUTO_FD beside = errno == EPERM || errno == EOPNOTSUPP ? openat(fd, ".wh..wh..opq", O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600) : -1; /* see tar.c */
  return beside < 0 ? ri_why_errno(why, errno, "%s cannot be marked as hiding what is below", path) : 0;
}

static int place(struct making *m, size_t i) {
  char name[32];
  layer_dir(name, i);
  PU_AUTO_FREE path = pu_asprintf("%s/diff", name);
  RI_AUTO_FD diff = openat(m->c->tmp, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  const char *key;
  json_t *yes;
  if (diff < 0)
    return ri_why_errno(&m->why, errno, "layer %zu", i + 1);
  json_object_foreach(pu_obj(m->reports[i], "opaque"), key, yes) if (opaque_mark(diff, key, &m->why) < 0) return -1;
  json_object_foreach(pu_obj(m->reports[i], "implied"), key, yes) implied_dress(m, i, diff, key);
  if (ri_change_layer(m->c, name, m->config->chain[i], pu_int(m->reports[i], "size", 0), &m->why) < 0)
    return -1;
  int error = ri_lock_turn(m->held->fds[i], RI_SHARED);
  return error ? ri_why_errno(&m->why, error, "the lock of layer %zu", i + 1) : 0;
}

/* All that can be put in place now. Under the lock. */
static void place_ready(struct making *m) {
  while (m->placed < m->manifest->nlayers && !m->why.text && (m->there[m->placed] || m->reports[m->placed])) {
    if (!m->there[m->placed] && place(m, m->placed) < 0)
      atomic_store(&m->stop, true);
    m->placed++;
  }
}

/* ---------------------------------------------------------------- one layer */

static int compare(const struct making *m, size_t i, const json_t *report, struct ri_why *why) {
  if (pu_eq(pu_str(report, "diff_id"), m->config->diff_ids[i]))
    return 0;
  return ri_why_set(why, BERTH_INVALID, "what it unpacks to has the digest %s; the image's configuration says %s", pu_str_or(report, "diff_id", "?"), m->config->diff_ids[i]);
}

static int unpack(struct making *m, size_t i, struct ri_job *job, json_t **report, struct ri_why *why) {
  char name[32];
  layer_dir(name, i);
  PU_AUTO_FREE path = pu_asprintf("%s/diff", name);
  struct ri_unpacker u;
  struct ri_tar_limits limits = *m->limits;
  limits.bottom = i == 0;
  if (mkdirat(m->c->tmp, name, 0700) < 0 || mkdirat(m->c->tmp, path, 0755) < 0)
    return ri_why_errno(why, errno, "a folder for it");
  RI_AUTO_FD dir = openat(m->c->tmp, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0 || fchmod(dir, 0755) < 0)
    return ri_why_errno(why, errno, "a folder for it");
  if (ri_unpacker_start(&u, job->fd, dir, &limits, why) < 0)
    return -1;
  job->unpacker = &u;
  int r = m->source->feed(m->source->arg, job, why);
  if (r < 0 && !u.gone) {
    ri_unpacker_kill(&u);
    return -1;
  }
  if (r < 0)
    ri_why_free(why); /* that it ended is no reason; why it did is */
  ri_progress(job->name, "Extracting", job->blob->size, job->blob->size);
  *report = ri_unpacker_end(&u, why);
  return *report && r == 0 ? compare(m, i, *report, why) : -1;
}

static int fetch_once(struct making *m, size_t i, struct ri_job *job, json_t **report, struct ri_why *why) {
  char name[32];
  RI_AUTO_FD fd = m->source->open(m->source->arg, job, why);
  job->fd = fd;
  if (fd < 0)
    return -1;
  int r = unpack(m, i, job, report, why);
  struct stat st;
  bool network = r < 0 && fstat(fd, &st) == 0 && st.st_size && (why->code == BERTH_UNAVAILABLE || why->code == BERTH_CANCELLED || why->code == BERTH_DEADLINE);
  if (m->source->drop && !network)
    m->source->drop(m->source->arg, job);
  if (r == 0)
    return 0;
  layer_dir(name, i);
  (void)!ri_tree_remove(m->c->tmp, name, NULL); /* what stays goes with the folder of this process */
  json_decref(*report);
  *report = NULL;
  return r;
}

/* The blob's own lock, too: two layers may be of one blob, and another image's pull may be at it. */
static int fetch(struct making *m, size_t i, struct ri_job *job, json_t **report, struct ri_why *why) {
  bool anew = false;
  RI_AUTO_FD blob = ri_change_lock(m->c, "blob-", job->blob->digest + 7, true, why);
  if (blob < 0)
    return -1;
  job->anew = &anew;
  int r = fetch_once(m, i, job, report, why);
  if (r == 0 || !anew)
    return r;
  ri_why_free(why);
  return fetch_once(m, i, job, report, why);
}

/* Present, or made by another: with others. Absent: alone, and looked at once more, as it may have come while this one waited. */
static int layer_make(struct making *m, size_t i, int worker, struct ri_why *why) {
  const char *chain = m->config->chain[i];
  struct ri_job job = {.blob = &m->manifest->layers[i], .worker = worker, .fd = -1, .stop = &m->stop};
  snprintf(job.name, sizeof job.name, "%.12s", job.blob->digest + 7);
  int lock = m->held->fds[i] = ri_change_lock(m->c, "", chain, false, why);
  if (lock < 0)
    return -1;
  bool there = ri_change_has_layer(m->c, chain);
  if (!there) {
    int error = ri_lock_turn(lock, RI_ALONE);
    if (error)
      return ri_why_errno(why, error, "the lock of layer %.12s", chain);
    there = ri_change_has_layer(m->c, chain);
    if (there)
      ri_lock_turn(lock, RI_SHARED);
  }
  json_t *report = NULL;
  int r = 0;
  if (there)
    ri_progress(job.name, "Already exists", 0, 0);
  else if ((r = fetch(m, i, &job, &report, why)) == 0)
    ri_progress(job.name, "Pull complete", job.blob->size, job.blob->size);
  pthread_mutex_lock(&m->lock);
  m->there[i] = there;
  m->reports[i] = r == 0 ? report : NULL;
  if (r == 0)
    place_ready(m);
  pthread_mutex_unlock(&m->lock);
  if (r < 0) {
    json_decref(report);
    ri_why_wrap(why, "layer %s", job.name);
  }
  return r;
}

/* ---------------------------------------------------------------- all of them */

static void *work(void *arg) {
  struct worker *w = arg;
  struct making *m = w->m;
  for (;;) {
    pthread_mutex_lock(&m->lock);
    size_t i = m->next < m->manifest->nlayers && !atomic_load(&m->stop) ? m->next++ : SIZE_MAX;
    pthread_mutex_unlock(&m->lock);
    struct ri_why why = {0};
    if (i == SIZE_MAX || layer_make(m, i, w->number, &why) == 0) {
      if (i == SIZE_MAX)
        return NULL;
      continue;
    }
    pthread_mutex_lock(&m->lock);
    if (!m->why.text) {
      m->why = why;
      why = (struct ri_why){0};
    }
    atomic_store(&m->stop, true);
    pthread_mutex_unlock(&m->lock);
    ri_why_free(&why);
  }
}

int ri_layers_make(struct ri_change *c, const struct ri_manifest *manifest, const struct ri_config *config, const struct ri_source *source,
                   const struct ri_tar_limits *limits, struct ri_held *held, struct ri_why *why) {
  if (manifest->nlayers != config->n)
    return ri_why_set(why, BERTH_INVALID, "the manifest has %zu layers, the configuration %zu", manifest->nlayers, config->n);
  struct making m = {.c = c, .manifest = manifest, .config = config, .source = source, .limits = limits, .held = held, .lock = PTHREAD_MUTEX_INITIALIZER};
  struct worker workers[ri_workers];
  int started = 0;
  held->n = manifest->nlayers;
  for (size_t i = 0; i < held->n; i++)
    held->fds[i] = -1;
  for (int n = 0; n < ri_workers && (size_t)n < manifest->nlayers; n++) {
    workers[n] = (struct worker){.m = &m, .number = n};
    if (pthread_create(&workers[n].thread, NULL, work, &workers[n]))
      break;
    started++;
  }
  if (!started && manifest->nlayers)
    ri_why_set(&m.why, BERTH_EXHAUSTED, "no thread can be started");
  for (int n = 0; n < started; n++)
    pthread_join(workers[n].thread, NULL);
  for (size_t i = 0; i < manifest->nlayers; i++)
    json_decref(m.reports[i]);
  if (!m.why.text)
    return 0;
  *why = m.why;
  return -1;
}

int ri_feed_file(const struct ri_job *job, struct ri_why *why) {
  enum { piece = 1 << 20 };
  PU_AUTO_FREE bytes = pu_calloc(1, piece);
  struct stat st;
  if (fstat(job->fd, &st) < 0 || !S_ISREG(st.st_mode))
    return ri_why_set(why, BERTH_INVALID, "its blob is no file");
  if (st.st_size != job->blob->size)
    return ri_why_set(why, BERTH_INVALID, "its blob has %lld bytes; the manifest says %lld", (long long)st.st_size, (long long)job->blob->size);
  EVP_MD_CTX *sum = EVP_MD_CTX_new();
  EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
  ri_unpacker_tell(job->unpacker, st.st_size, true);
  ssize_t n = 0;
  for (off_t at = 0; at < st.st_size && !atomic_load(job->stop) && (n = pread(job->fd, bytes, piece, at)) > 0; at += n)
    EVP_DigestUpdate(sum, bytes, (size_t)n);
  unsigned char digest[EVP_MAX_MD_SIZE];
  char hex[65];
  EVP_DigestFinal_ex(sum, digest, NULL);
  EVP_MD_CTX_free(sum);
  ri_digest_hex(digest, hex);
  if (atomic_load(job->stop))
    return ri_why_set(why, BERTH_CANCELLED, "given up");
  return pu_eq(hex, job->blob->digest + 7) ? 0 : ri_why_set(why, BERTH_INVALID, "its blob has the digest sha256:%s; the manifest says %s", hex, job->blob->digest);
}
