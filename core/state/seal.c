#include "config.h"
#include "state/seal.h"

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum {
  key_bytes = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
  nonce_bytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
  tag_bytes = crypto_aead_xchacha20poly1305_ietf_ABYTES,
  print_bytes = 16,
  max_key_file = 4096,
};
static const char version[] = "v1:";

/* Lives in memory of libsodium's own: locked, guarded, never in a core dump. */
struct bt_seal {
  unsigned char seal[key_bytes];
  unsigned char print[key_bytes]; /* a key of its own for fingerprints */
};

static int check_mode(const char *key_file, struct bt_err **err) {
  struct stat st;
  if (stat(key_file, &st) < 0)
    return bt_err_set(err, BT_IO, "cannot look at %s", key_file);
  if (st.st_mode & 077)
    return bt_err_set(err, BT_DENIED, "the key file %s can be read by others (mode %04o): chmod 600 %s", key_file,
                      st.st_mode & 07777, key_file);
  if (st.st_uid != geteuid() && st.st_uid != 0)
    return bt_err_set(err, BT_DENIED, "the key file %s belongs to another user (uid %u): chown it", key_file, st.st_uid);
  return 0;
}

static int read_key(const char *key_file, unsigned char key[key_bytes], struct bt_err **err) {
  BT_AUTO_FREE char *text = NULL;
  size_t len = 0, got = 0;
  if (bt_file_read(key_file, max_key_file, &text, &len, err) < 0)
    return -1;
  int rc = check_mode(key_file, err);
  if (rc == 0 && (sodium_base642bin(key, key_bytes, text, len, "\r\n ", &got, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
                  got != key_bytes))
    rc = bt_err_set(err, BT_INVALID, "the key file %s does not hold %d bytes in base64: restore it from a backup", key_file,
                    key_bytes);
  bt_wipe(text, len);
  return rc;
}

static int make_key(const char *key_file, struct bt_err **err) {
  unsigned char key[key_bytes];
  randombytes_buf(key, sizeof key);
  char text[sodium_base64_ENCODED_LEN(key_bytes, sodium_base64_VARIANT_ORIGINAL) + 1];
  sodium_bin2base64(text, sizeof text, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
  strcat(text, "\n");
  int rc = bt_file_write(key_file, text, strlen(text), 0600, err);
  bt_wipe(key, sizeof key);
  bt_wipe(text, sizeof text);
  return rc;
}

int bt_seal_open(const char *key_file, struct bt_seal **out, struct bt_err **err) {
  struct bt_seal *seal = sodium_init() < 0 ? NULL : sodium_malloc(sizeof *seal);
  if (!seal)
    return bt_err_set(err, BT_INTERNAL, "no locked memory for the key (see ulimit -l)");
  BT_AUTO_ERR problem = NULL;
  int rc = read_key(key_file, seal->seal, &problem);
  if (rc < 0 && bt_err_code(problem) == BT_NOT_FOUND) {
    bt_err_free(&problem);
    rc = make_key(key_file, &problem);
    if (rc == 0)
      rc = read_key(key_file, seal->seal, &problem);
  }
  if (rc < 0) {
    sodium_free(seal);
    return bt_err_move(err, bt_steal(problem));
  }
  static const unsigned char purpose[] = "berth secret fingerprint 1";
  crypto_generichash(seal->print, sizeof seal->print, purpose, sizeof purpose, seal->seal, sizeof seal->seal);
  sodium_mprotect_readonly(seal);
  *out = seal;
  return 0;
}

void bt_seal_free(struct bt_seal **seal) {
  sodium_free(*seal); /* wipes */
  *seal = NULL;
}

char *bt_seal_encrypt(const struct bt_seal *seal, const char *name, const void *data, size_t len) {
  size_t raw_len = nonce_bytes + len + tag_bytes;
  BT_AUTO_FREE unsigned char *raw = bt_calloc(1, raw_len);
  randombytes_buf(raw, nonce_bytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(raw + nonce_bytes, NULL, data, len, (const unsigned char *)name, strlen(name), NULL,
                                             raw, seal->seal);
  size_t text_len = sodium_base64_encoded_len(raw_len, sodium_base64_VARIANT_ORIGINAL);
  char *text = bt_calloc(1, sizeof version - 1 + text_len);
  memcpy(text, version, sizeof version - 1);
  sodium_bin2base64(text + sizeof version - 1, text_len, raw, raw_len, sodium_base64_VARIANT_ORIGINAL);
  return text;
}

int bt_seal_decrypt(const struct bt_seal *seal, const char *name, const char *blob, void **out, size_t *len,
                    struct bt_err **err) {
  if (!bt_starts(blob, version))
    return bt_err_set(err, BT_INTERNAL, "secret %s: sealed in a way that this version does not know", name);
  const char *text = blob + sizeof version - 1;
  size_t text_len = strlen(text), raw_len = 0;
  BT_AUTO_FREE unsigned char *raw = bt_calloc(1, text_len + 1);
  if (sodium_base642bin(raw, text_len, text, text_len, NULL, &raw_len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      raw_len < nonce_bytes + tag_bytes)
    return bt_err_set(err, BT_INTERNAL, "secret %s: its sealed form is damaged", name);
  size_t plain_len = raw_len - nonce_bytes - tag_bytes;
  BT_AUTO_FREE unsigned char *plain = bt_calloc(1, plain_len + 1); /* NUL-terminated for those who want text */
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, raw + nonce_bytes, raw_len - nonce_bytes,
                                                 (const unsigned char *)name, strlen(name), raw, seal->seal) != 0)
    return bt_err_set(err, BT_INTERNAL, "secret %s: it was not sealed with this key under this name: restore the key file", name);
  *out = bt_steal(plain);
  *len = plain_len;
  return 0;
}

char *bt_seal_fingerprint(const struct bt_seal *seal, const char *name, const void *data, size_t len) {
  unsigned char print[print_bytes];
  uint64_t name_len = strlen(name); /* in front, so that name and content cannot trade bytes */
  crypto_generichash_state state;
  crypto_generichash_init(&state, seal->print, sizeof seal->print, sizeof print);
  crypto_generichash_update(&state, (const unsigned char *)&name_len, sizeof name_len);
  crypto_generichash_update(&state, (const unsigned char *)name, name_len);
  crypto_generichash_update(&state, data, len);
  crypto_generichash_final(&state, print, sizeof print);
  char *hex = bt_calloc(1, 2 * sizeof print + 1);
  return sodium_bin2hex(hex, 2 * sizeof print + 1, print, sizeof print);
}
