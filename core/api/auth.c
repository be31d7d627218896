#include "config.h"
#include "api/auth.h"

#include <sodium.h>
#include <stdio.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { TOKEN_BYTES = 32, MIN_TOKEN = 16, MAX_TOKEN = 4096 };

/* Only hashes are compared: of equal length whatever was sent. */
struct bt_auth {
  bool has_token;
  unsigned char hash[crypto_generichash_BYTES];
};

static void hash_token(const char *token, size_t len, unsigned char out[crypto_generichash_BYTES]) {
  crypto_generichash(out, crypto_generichash_BYTES, (const unsigned char *)token, len, NULL, 0);
}

static int make_token(const char *path, struct bt_err **err) {
  unsigned char raw[TOKEN_BYTES];
  char text[64];
  randombytes_buf(raw, sizeof raw);
  sodium_bin2base64(text, sizeof text - 1, raw, sizeof raw, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  strcat(text, "\n");
  BT_AUTO_FREE char *folder = bt_path_dir(path);
  int rc = bt_mkdirs(folder, 0700, err) < 0 ? -1 : bt_file_write(path, text, strlen(text), 0600, err);
  bt_wipe(raw, sizeof raw);
  bt_wipe(text, sizeof text);
  return rc;
}

static int read_token(struct bt_auth *auth, const char *path, struct bt_err **err) {
  struct stat st;
  if (stat(path, &st) == 0 && (st.st_mode & 077))
    return bt_err_set(err, BT_DENIED, "others can read the token file %s: chmod 600 it", path);
  if (stat(path, &st) == 0 && st.st_uid != geteuid() && st.st_uid != 0)
    return bt_err_set(err, BT_DENIED, "the token file %s belongs to another user (uid %u): chown it", path, (unsigned)st.st_uid);
  BT_AUTO_FREE char *text = NULL;
  size_t len;
  if (bt_file_read(path, MAX_TOKEN, &text, &len, err) < 0)
    return bt_err_wrap(err, "the token file");
  while (len && strchr(" \t\r\n", text[len - 1]))
    len--;
  if (len < MIN_TOKEN)
    return bt_err_set(err, BT_INVALID, "the token in %s is shorter than %d characters: remove the file to get a new one", path,
                      MIN_TOKEN);
  hash_token(text, len, auth->hash);
  auth->has_token = true;
  bt_wipe(text, len);
  return 0;
}

int bt_auth_new(const char *token_file, struct bt_auth **out, struct bt_err **err) {
  *out = NULL;
  struct bt_auth *auth = bt_new(struct bt_auth);
  if (token_file &&
      ((!bt_file_exists(token_file) && make_token(token_file, err) < 0) || read_token(auth, token_file, err) < 0)) {
    free(auth);
    return -1;
  }
  *out = auth;
  return 0;
}

void bt_auth_free(struct bt_auth **auth) {
  free(*auth);
  *auth = NULL;
}

int bt_auth_check(const struct bt_auth *auth, struct bt_exchange *x, struct bt_err **err) {
  const struct bt_peer *peer = x->peer;
  if (peer->unix_socket && peer->in_group) {
    if (peer->uid == 0)
      strcpy(x->actor, "root@unix");
    else
      snprintf(x->actor, sizeof x->actor, "uid-%u@unix", (unsigned)peer->uid);
    return 0;
  }
  const char *given = bt_req_header(x->req, "authorization");
  unsigned char hash[crypto_generichash_BYTES];
  bool bearer = given && strncasecmp(given, "Bearer ", 7) == 0;
  hash_token(bearer ? given + 7 : "", bearer ? strlen(given + 7) : 0, hash);
  bool same = sodium_memcmp(hash, auth->hash, sizeof hash) == 0;
  if (!auth->has_token || !bearer || !same) {
    bt_reply_header(x, "WWW-Authenticate", "Bearer realm=\"berth\"");
    return bt_err_set(err, BT_UNAUTHENTICATED, bearer ? "the token is not the server's"
                                                      : "a token is needed: send \"Authorization: Bearer <token>\" with the token "
                                                        "of the server's token file");
  }
  strcpy(x->actor, "token");
  return 0;
}
