#include "push.h"

#include <sodium.h>
#include <stdlib.h>

#include "../common/util.h"

enum { max_urls = 8, window_s = 300 };

static const char *header(const struct berth_pair *headers, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(headers[i].name, name) == 0)
      return headers[i].value;
  return NULL;
}

/* ---------------------------------------------------------------- proofs */

static void hmac(const char *key, size_t key_len, const void *data, size_t len, unsigned char out[32]) {
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, (const unsigned char *)key, key_len);
  crypto_auth_hmacsha256_update(&state, data, len);
  crypto_auth_hmacsha256_final(&state, out);
}

static bool hex_proof(const char *hex, const void *body, size_t len, const char *secret) {
  unsigned char is[32], want[32];
  size_t n = 0;
  if (strlen(hex) != 64 || sodium_hex2bin(is, sizeof is, hex, 64, NULL, &n, NULL) != 0 || n != sizeof is)
    return false;
  hmac(secret, strlen(secret), body, len, want);
  return sodium_memcmp(is, want, sizeof is) == 0;
}

/* Of equal length whatever was sent, so that its length tells nothing. */
static bool token_proof(const char *token, const char *secret) {
  unsigned char is[32], want[32];
  crypto_hash_sha256(is, (const unsigned char *)token, strlen(token));
  crypto_hash_sha256(want, (const unsigned char *)secret, strlen(secret));
  return sodium_memcmp(is, want, sizeof is) == 0;
}

/* Standard Webhooks: "v1,BASE64 v1,BASE64" over "id.time.body"; a secret may be "whsec_BASE64". */
static bool standard_proof(const char *id, const char *time, const char *signatures, const void *body, size_t len, const char *secret,
                           int64_t now_s) {
  unsigned char key[256], want[32], is[48];
  size_t key_len = 0, n;
  long long at = strtoll(time, NULL, 10);
  if (at < now_s - window_s || at > now_s + window_s)
    return false;
  bool coded = pu_starts(secret, "whsec_") && sodium_base642bin(key, sizeof key, secret + 6, strlen(secret) - 6, NULL, &key_len, NULL,
                                                               sodium_base64_VARIANT_ORIGINAL) == 0;
  PU_AUTO_BUF signed_text = {0};
  pu_buf_addf(&signed_text, "%s.%s.", id, time);
  pu_buf_add(&signed_text, body, len);
  hmac(coded ? (const char *)key : secret, coded ? key_len : strlen(secret), signed_text.data, signed_text.len, want);
  sodium_memzero(key, sizeof key);
  bool good = false;
  for (const char *p = signatures; p && *p;) {
    size_t span = strcspn(p, " ");
    if (span > 3 && strncmp(p, "v1,", 3) == 0 &&
        sodium_base642bin(is, sizeof is, p + 3, span - 3, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 && n == sizeof want)
      good = sodium_memcmp(is, want, sizeof want) == 0 || good;
    p += span + (p[span] == ' ');
  }
  return good;
}

/* ---------------------------------------------------------------- headers */

static const char *first_of(const struct berth_pair *headers, size_t n, const char *const *names) {
  for (; *names; names++)
    if (header(headers, n, *names))
      return header(headers, n, *names);
  return NULL;
}

static bool is_push(const char *event) {
  static const char *const events[] = {"push", "create", "Push Hook", "Tag Push Hook"};
  for (size_t i = 0; i < PU_COUNT(events); i++)
    if (pu_eq(events[i], event))
      return true;
  return false;
}

void sg_hook_read(const struct berth_pair *headers, size_t n, const void *body, size_t len, const char *secret, int64_t now_s,
                  struct sg_hook *out) {
  static const char *const gitea_events[] = {"x-gitea-event", "x-forgejo-event", NULL};
  static const char *const gitea_ids[] = {"x-gitea-delivery", "x-forgejo-delivery", NULL};
  static const char *const gitea_proofs[] = {"x-gitea-signature", "x-forgejo-signature", NULL};
  static const char *const gitlab_ids[] = {"webhook-id", "idempotency-key", "x-gitlab-event-uuid", NULL};
  *out = (struct sg_hook){.event = "", .delivery = ""};
  const char *gitea = first_of(headers, n, gitea_events), *github = header(headers, n, "x-github-event");
  const char *gitlab = header(headers, n, "x-gitlab-event"), *id = NULL, *proof = NULL;
  if (gitea) { /* before GitHub's, which it sends as well */
    out->kind = SG_GITEA;
    out->event = gitea;
    id = first_of(headers, n, gitea_ids);
    proof = first_of(headers, n, gitea_proofs);
    out->proved = proof && hex_proof(proof, body, len, secret);
  } else if (github) {
    out->kind = SG_GITHUB;
    out->event = github;
    id = header(headers, n, "x-github-delivery");
    proof = header(headers, n, "x-hub-signature-256");
    out->proved = pu_starts(proof, "sha256=") && hex_proof(proof + 7, body, len, secret);
  } else if (gitlab) {
    const char *token = header(headers, n, "x-gitlab-token"), *when = header(headers, n, "webhook-timestamp");
    out->kind = SG_GITLAB;
    out->event = gitlab;
    id = first_of(headers, n, gitlab_ids);
    proof = header(headers, n, "webhook-signature");
    out->proved = proof && when && id ? standard_proof(id, when, proof, body, len, secret, now_s) : token && token_proof(token, secret);
  }
  out->delivery = id ? id : "";
  out->push = is_push(out->event);
}

/* ---------------------------------------------------------------- what was pushed */

static void add_urls(json_t *list, const json_t *project) {
  static const char *const keys[] = {"clone_url", "ssh_url", "git_url", "html_url", "git_http_url", "git_ssh_url", "web_url", "http_url"};
  for (size_t i = 0; i < PU_COUNT(keys) && json_array_size(list) < max_urls; i++) {
    const char *url = pu_str(project, keys[i]);
    if (url && *url && strlen(url) <= 2048)
      json_array_append_new(list, json_string(url));
  }
}

/* A tag's name alone, as GitHub's and Gitea's "create" has it, becomes a ref. */
static char *ref_of(const json_t *o) {
  const char *ref = pu_str(o, "ref"), *type = pu_str(o, "ref_type");
  if (!ref || strlen(ref) > 1024)
    return NULL;
  if (pu_starts(ref, "refs/"))
    return pu_strdup(ref);
  return pu_asprintf("refs/%s/%s", pu_eq(type, "tag") ? "tags" : "heads", ref);
}

json_t *sg_push_read(const char *body, size_t len) {
  PU_AUTO_JSON o = pu_json_parse(body, len);
  PU_AUTO_FREE ref = ref_of(o);
  json_t *urls = json_array();
  add_urls(urls, pu_obj(o, "repository"));
  add_urls(urls, pu_obj(o, "project"));
  if (!ref || !json_array_size(urls)) {
    json_decref(urls);
    return NULL;
  }
  json_t *push = json_pack("{s:o,s:o}", "repositories", urls, "ref", pu_json_string(ref));
  const char *commit = pu_str(o, "checkout_sha") ? pu_str(o, "checkout_sha") : pu_str(o, "after");
  json_object_set_new(push, "commit", sg_is_commit(commit) ? json_string(commit) : json_null());
  return push;
}
