/* What strangers send to scm-git and registry-oci: bodies and headers of webhooks, addresses of repositories, what git prints of
 * refs, commits, files and signatures; settings; notifications; ranges of versions. */
#include "config.h"

#include "../../plugins/common/util.h"
#include "../../plugins/registry-oci/notify.h"
#include "../../plugins/scm-git/fetch.h"
#include "../../plugins/scm-git/push.h"
#include "../../plugins/scm-git/refs.h"
#include "../../plugins/scm-git/url.h"
#include "../../plugins/scm-git/verify.h"
#include "model/semver.h"
#include "model/source.h"
#include "tests/fuzz/parts.h"

static void addresses(char *text, size_t len) {
  (void)len;
  struct sg_url u;
  const char *why;
  free(bt_source_repository_key(text));
  if (!sg_url_parse(text, &u, &why))
    return;
  size_t word = strspn(u.text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
  if (u.text[0] == '-' || strncmp(u.text + word, "::", 2) == 0 || strchr(u.text, ' ') || strchr(u.text, '\n'))
    abort(); /* git must not get that */
  free(sg_url_project(&u));
  sg_url_free(&u);
}

/* Lines "name: value" up to an empty one, then the body. */
static void hooks(char *text, size_t len) {
  (void)len;
  struct berth_pair headers[16];
  struct sg_hook hook;
  size_t n = 0;
  char *line = text;
  while (n < 16 && *line && *line != '\n') {
    char *end = strchr(line, '\n'), *colon = strchr(line, ':');
    if (!end || !colon || colon > end)
      break;
    *end = *colon = 0;
    headers[n++] = (struct berth_pair){line, colon + 1};
    line = end + 1;
  }
  sg_hook_read(headers, n, line, strlen(line), "a-secret-of-some-length", 1700000000, &hook);
}

static void refs(char *text, size_t len) {
  char *commit, *ref;
  sg_refs_pick(text, len, NULL, "v*", &commit, &ref);
  if (commit && (!sg_is_commit(commit) || !sg_is_ref(ref)))
    abort();
  free(commit);
  free(ref);
  if (sg_refs_pick(text, len, "main", NULL, &commit, &ref) && (!sg_is_commit(commit) || strcmp(ref, "refs/heads/main") != 0))
    abort();
  free(commit);
  free(ref);
}

static void commit(char *text, size_t len) {
  const char *signature;
  json_decref(sg_commit_read(text, len, &signature));
}

/* What is named lies within what git printed. */
static void batch(char *text, size_t len) {
  for (int contents = 0; contents < 2; contents++) {
    const char *at = text;
    struct sg_blob blob;
    while (sg_batch_next(&at, text + len, contents, &blob))
      if (at > text + len || (blob.data && (blob.data < text || blob.size < 0 || blob.data + blob.size > text + len)))
        abort();
  }
}

static void verdict(char *text, size_t len) {
  for (int status = 0; status < 2; status++) {
    json_decref(sg_verdict(true, status, text, len));
    json_decref(sg_verdict(false, status, text, len));
  }
}

static void pushes(char *text, size_t len) { json_decref(sg_push_read(text, len)); }
static void notify(char *text, size_t len) { json_decref(ro_notify_read(text, len)); }

static void settings(char *text, size_t len) {
  (void)len;
  struct sg_settings s;
  char *why = NULL;
  if (sg_settings_read(text, &s, &why) == (why != NULL))
    abort();
  struct sg_url url;
  const char *bad;
  if (!why && sg_url_parse("https://git.example:3000/team/shop.git", &url, &bad)) {
    sg_settings_host(&s, &url);
    free(sg_settings_refuse(&s, &url));
    sg_url_free(&url);
  }
  sg_settings_free(&s);
  free(why);
}

static void versions(char *text, size_t len) {
  (void)len;
  char *other = strchr(text, '\n');
  if (other)
    *other++ = 0;
  bool fits = bt_semver_in(text, other ? other : "1.2.3");
  if (fits && bt_semver_check(text, NULL) < 0)
    abort();
  if (other && bt_semver_compare(text, other) != -bt_semver_compare(other, text))
    abort();
}

static const struct fuzz_part parts[] = {{'p', "push", pushes},     {'h', "hooks", hooks},       {'a', "addresses", addresses},
                                         {'r', "refs", refs},       {'c', "commit", commit},     {'b', "batch", batch},
                                         {'v', "verdict", verdict}, {'s', "settings", settings}, {'n', "notify", notify},
                                         {'w', "versions", versions}};
FUZZ_PARTS(parts)
