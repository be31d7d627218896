#include "fetch.h"

#include <sodium.h>
#include <stdio.h>

#include "mirror.h"
#include "refs.h"
#include "verify.h"

enum { room_for_heads = 1 << 20 };

struct fetch {
  char *commit;
  json_t *paths;
  json_t *result;
};

static void fetch_free(void *data) {
  struct fetch *f = data;
  free(f->commit);
  json_decref(f->paths);
  json_decref(f->result);
  free(f);
}

/* ---------------------------------------------------------------- what cat-file prints */

static bool ends_with(const char *s, size_t n, const char *tail) {
  size_t k = strlen(tail);
  return n >= k && memcmp(s + n - k, tail, k) == 0;
}

/* "symlink 12\n../../passwd\n" and the like: the line, then so many bytes and a line break. */
static bool skip_body(const char **at, const char *end, long long size) {
  if (size < 0 || end - *at <= size || (*at)[size] != '\n')
    return false;
  *at += size + 1;
  return true;
}

bool sg_batch_next(const char **at, const char *end, bool contents, struct sg_blob *out) {
  static const struct {
    const char *word;
    int kind;
  } links[] = {{"symlink ", SG_LINK_OUT}, {"loop ", SG_LINK_LOOP}, {"dangling ", SG_MISSING}, {"notdir ", SG_MISSING}};
  const char *line = *at, *eol = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
  *out = (struct sg_blob){.kind = SG_MISSING};
  if (!eol)
    return false;
  size_t n = (size_t)(eol - line);
  *at = eol + 1;
  if (ends_with(line, n, " missing") || ends_with(line, n, " ambiguous"))
    return true;
  for (size_t i = 0; i < PU_COUNT(links); i++) {
    size_t k = strlen(links[i].word);
    if (n > k && strncmp(line, links[i].word, k) == 0) {
      out->kind = links[i].kind;
      return skip_body(at, end, strtoll(line + k, NULL, 10));
    }
  }
  PU_AUTO_FREE text = pu_strndup(line, n);
  char id[72], type[16];
  if (sscanf(text, "%71s %15s %lld", id, type, &out->size) != 3 || !sg_is_commit(id) || out->size < 0)
    return false;
  out->kind = pu_eq(type, "blob") ? SG_FILE_BLOB : SG_OTHER;
  if (!contents)
    return true;
  out->data = *at;
  return skip_body(at, end, out->size);
}

/* ---------------------------------------------------------------- reading */

static json_t *content_json(const char *data, size_t len) {
  json_t *text = memchr(data, '\0', len) ? NULL : json_stringn(data, len);
  if (text)
    return text;
  size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
  PU_AUTO_FREE base64 = pu_calloc(room, 1);
  sodium_bin2base64(base64, room, (const unsigned char *)data, len, sodium_base64_VARIANT_ORIGINAL);
  return json_pack("{s:s}", "base64", base64);
}

/* The commit, then each file: what cat-file is asked. */
static char *questions(const struct fetch *f) {
  struct pu_buf b = {0};
  size_t i;
  json_t *path;
  pu_buf_addf(&b, "%s\n", f->commit);
  json_array_foreach(f->paths, i, path) pu_buf_addf(&b, "%s:%s\n", f->commit, json_string_value(path));
  return pu_buf_steal(&b);
}

static void verified(struct sg_job *job, json_t *verdict_steal) {
  struct fetch *f = job->data;
  json_object_set_new(f->result, "signature", verdict_steal);
  sg_job_done(job, f->result);
}

static void read_done(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct fetch *f = job->data;
  const char *at = out, *end = out + out_len, *signature = NULL;
  struct sg_blob blob;
  size_t i;
  json_t *path, *files = json_object();
  if (status != 0 || !sg_batch_next(&at, end, true, &blob) || blob.kind != SG_OTHER) {
    json_decref(files);
    sg_job_fail_git(job, status ? status : 1, err, err_len);
    return;
  }
  f->result = sg_commit_read(blob.data, (size_t)blob.size, &signature);
  json_object_set_new(f->result, "commit", json_string(f->commit));
  json_object_set_new(f->result, "files", files);
  json_array_foreach(f->paths, i, path)
    if (sg_batch_next(&at, end, true, &blob) && blob.kind == SG_FILE_BLOB)
      json_object_set_new(files, json_string_value(path), content_json(blob.data, (size_t)blob.size));
  if (job->signers)
    sg_verify(job, f->commit, signature, verified);
  else
    sg_job_done(job, f->result);
}

/* ---------------------------------------------------------------- sizes first */

/* False after the job was refused. */
static bool check_one(struct sg_job *job, const struct sg_blob *blob, const char *path, long long *sum) {
  *sum += blob->kind == SG_FILE_BLOB ? blob->size : 0;
  if (blob->kind == SG_LINK_OUT)
    sg_job_fail(job, BERTH_INVALID, "%s is a link that leads out of the repository", path);
  else if (blob->kind == SG_LINK_LOOP)
    sg_job_fail(job, BERTH_INVALID, "%s is a link that leads to itself", path);
  else if (blob->kind == SG_FILE_BLOB && blob->size > SG_MAX_FILE)
    sg_job_fail(job, BERTH_TOO_LARGE, "%s has %lld bytes: a file of the app may have 1 MiB", path, blob->size);
  else if (*sum > SG_MAX_ALL)
    sg_job_fail(job, BERTH_TOO_LARGE, "with %s the app's files are larger than 2 MiB together", path);
  else
    return true;
  return false;
}

static void sized(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  struct fetch *f = job->data;
  const char *at = out, *end = out + out_len;
  struct sg_blob blob;
  long long sum = 0;
  size_t i;
  json_t *path;
  if (status != 0 || !sg_batch_next(&at, end, false, &blob)) {
    sg_job_fail_git(job, status ? status : 1, err, err_len);
    return;
  }
  if (blob.kind == SG_MISSING) {
    sg_mirror_bring(job);
    return;
  }
  if (blob.size > SG_MAX_FILE) {
    sg_job_fail(job, BERTH_TOO_LARGE, "commit %.12s has a message of %lld bytes", f->commit, blob.size);
    return;
  }
  json_array_foreach(f->paths, i, path)
    if (sg_batch_next(&at, end, false, &blob) && !check_one(job, &blob, json_string_value(path), &sum))
      return;
  PU_AUTO_FREE input = questions(f);
  const char *const args[] = {"cat-file", "--batch", "--follow-symlinks", NULL};
  sg_job_git(job, true, args, input, SG_MAX_ALL + 2 * SG_MAX_FILE + room_for_heads, read_done);
}

static void ask_sizes(struct sg_job *job) {
  PU_AUTO_FREE input = questions(job->data);
  const char *const args[] = {"cat-file", "--batch-check", "--follow-symlinks", NULL};
  sg_job_git(job, true, args, input, room_for_heads, sized);
}

/* ---------------------------------------------------------------- what is asked */

static char *check_paths(const json_t *paths) {
  size_t i;
  json_t *path;
  if (!json_is_array(paths) || json_array_size(paths) > SG_MAX_FILES)
    return pu_asprintf("at most %d files can be asked for at once", SG_MAX_FILES);
  json_array_foreach(paths, i, path)
    if (!sg_is_path(json_string_value(path)))
      return pu_asprintf("\"%.200s\" is no path of a file in a repository", json_string_value(path) ? json_string_value(path) : "?");
  return NULL;
}

void sg_fetch(struct sg_jobs *jobs, berth_op op, const struct berth_scm_fetch *request) {
  struct fetch *f = pu_new(struct fetch);
  f->commit = pu_strdup(request->commit);
  f->paths = request->paths_json ? pu_json_parse(request->paths_json, strlen(request->paths_json)) : json_array();
  PU_AUTO_FREE why = sg_is_commit(request->commit) ? check_paths(f->paths) : pu_strdup("a commit is named by its full id");
  if (!why) {
    struct sg_wanted wanted = sg_wanted_of(request->commit, request->ref, ask_sizes);
    sg_job_begin(jobs, op, request->repository, request->signers, &wanted, sg_mirror_start, f, fetch_free);
    return;
  }
  sg_jobs_refuse(jobs, op, BERTH_INVALID, why);
  fetch_free(f);
}
