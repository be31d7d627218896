#define _GNU_SOURCE /* memmem */
#include "verify.h"

#include <stdio.h>

#include "scratch.h"

struct sg_verify {
  char *commit;
  bool openpgp;
  void (*done)(struct sg_job *job, json_t *verdict_steal);
};

/* Of the job at hand: one at a time, between its steps. */
static void verdict_is(struct sg_job *job, json_t *verdict) {
  struct sg_verify *v = job->verify;
  void (*done)(struct sg_job *, json_t *) = v->done;
  free(v->commit);
  free(v);
  job->verify = NULL;
  done(job, verdict);
}

static json_t *verdict(const char *word, const char *signer, const char *detail) {
  return json_pack("{s:s,s:o,s:o}", "verdict", word, "signer", signer ? pu_json_string(signer) : json_null(), "detail", pu_json_string(detail));
}

/* What stands behind a mark, up to another. */
static char *between(const char *text, size_t len, const char *mark, const char *end) {
  const char *at = memmem(text, len, mark, strlen(mark));
  if (!at)
    return NULL;
  at += strlen(mark);
  PU_AUTO_FREE rest = pu_strndup(at, len - (size_t)(at - text));
  char *stop = strstr(rest, end);
  char *eol = strchr(rest, '\n');
  size_t n = stop ? (size_t)(stop - rest) : strlen(rest);
  return pu_strndup(rest, eol && (size_t)(eol - rest) < n ? (size_t)(eol - rest) : n);
}

json_t *sg_verdict(bool openpgp, int status, const char *text, size_t len) {
  PU_AUTO_FREE signer = openpgp ? between(text, len, "[GNUPG:] GOODSIG ", "\n") : between(text, len, "Good \"git\" signature for ", " with ");
  if (status == 0 && signer) {
    PU_AUTO_FREE detail = pu_asprintf("signed by %s", signer);
    return verdict("good", signer, detail);
  }
  bool stranger = openpgp ? memmem(text, len, "NO_PUBKEY", 9) != NULL
                          : memmem(text, len, "No principal matched", 20) || memmem(text, len, "Good \"git\" signature", 20);
  return stranger ? verdict("unknown", NULL, "it is signed by a key that is not among them")
                  : verdict("bad", NULL, "its signature does not hold");
}

static void verified(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  if (status < 0 || status > 1) {
    sg_job_fail_git(job, status, err, err_len);
    return;
  }
  PU_AUTO_BUF all = {0};
  pu_buf_add(&all, out, out_len);
  pu_buf_add(&all, err, err_len);
  verdict_is(job, sg_verdict(job->verify->openpgp, status, all.data, all.len));
}

static void check(struct sg_job *job) {
  const char *const args[] = {"verify-commit", "--raw", job->verify->commit, NULL};
  sg_job_git(job, true, args, NULL, 65536, verified);
}

static void imported(struct sg_job *job, int status, const char *out, size_t out_len, const char *err, size_t err_len) {
  (void)out, (void)out_len;
  if (status == 127)
    sg_job_fail(job, BERTH_UNAVAILABLE, "gpg is not on the server's machine, and the keys are OpenPGP's: install it (apt-get install gnupg)");
  else if (status != 0)
    sg_job_fail(job, BERTH_INVALID, "the OpenPGP keys of the source cannot be read: %.*s", (int)(err_len > 300 ? 300 : err_len), err);
  else
    check(job);
}

void sg_verify(struct sg_job *job, const char *commit, const char *kind, void (*done)(struct sg_job *, json_t *)) {
  if (!kind) {
    done(job, verdict("none", NULL, "it has no signature"));
    return;
  }
  bool openpgp = pu_eq(kind, "openpgp");
  PU_AUTO_FREE own = sg_signers_of(job->signers, openpgp);
  if ((!openpgp && !pu_eq(kind, "ssh")) || !*own) {
    done(job, verdict("unknown", NULL, openpgp ? "it is signed with OpenPGP, and none of the keys is OpenPGP's"
                                       : pu_eq(kind, "ssh") ? "it is signed with ssh, and none of the keys is ssh's"
                                                            : "its signature is none of ssh and none of OpenPGP"));
    return;
  }
  job->verify = pu_new(struct sg_verify);
  *job->verify = (struct sg_verify){pu_strdup(commit), openpgp, done};
  PU_AUTO_FREE keys = pu_asprintf("%s/signers.asc", job->scratch);
  const char *const args[] = {"gpg", "--batch", "--quiet", "--no-autostart", "--import", keys, NULL};
  if (openpgp)
    sg_job_run(job, args, imported);
  else
    check(job);
}

void sg_verify_free(struct sg_verify *v) {
  if (v)
    free(v->commit);
  free(v);
}
