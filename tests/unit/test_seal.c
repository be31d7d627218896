/* Sealing: round trips, wrong name, wrong key, damage, the key file's mode. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "state/seal.h"
#include "tap.h"

static char dir[] = "/tmp/bt_seal_XXXXXX";

static char *path_of(const char *name) { return bt_asprintf("%s/%s", dir, name); }

static bool opens(const struct bt_seal *seal, const char *name, const char *blob) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE void *plain = NULL;
  size_t len = 0;
  return bt_seal_decrypt(seal, name, blob, &plain, &len, &err) == 0;
}

static void test_round_trip(const struct bt_seal *seal, const struct bt_seal *other) {
  static const char secret[] = "pass\0word";
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *blob = bt_seal_encrypt(seal, "default/shop/db", secret, sizeof secret);
  BT_AUTO_FREE char *again = bt_seal_encrypt(seal, "default/shop/db", secret, sizeof secret);
  ok(bt_starts(blob, "v1:"), "a sealed secret names its version");
  ok(!bt_streq(blob, again), "equal contents look different at rest");
  BT_AUTO_FREE void *plain = NULL;
  size_t len = 0;
  is_int(bt_seal_decrypt(seal, "default/shop/db", blob, &plain, &len, &err), 0, "it opens");
  ok(len == sizeof secret && memcmp(plain, secret, len) == 0, "to the same bytes, NUL included");
  ok(!opens(seal, "default/shop/other", blob), "not under another name");
  ok(!opens(other, "default/shop/db", blob), "not with another key");
  blob[strlen(blob) / 2] ^= 1;
  ok(!opens(seal, "default/shop/db", blob), "not when one bit changed");
  ok(!opens(seal, "a", "v1:AAAA") && !opens(seal, "a", "v2:x") && !opens(seal, "a", "") && !opens(seal, "a", "v1:%%"),
     "nonsense is refused");
  BT_AUTO_FREE char *empty = bt_seal_encrypt(seal, "e", "", 0);
  ok(opens(seal, "e", empty), "an empty secret is a secret");
}

static void test_fingerprint(const struct bt_seal *seal, const struct bt_seal *other) {
  BT_AUTO_FREE char *a = bt_seal_fingerprint(seal, "n", "x", 1);
  BT_AUTO_FREE char *b = bt_seal_fingerprint(seal, "n", "x", 1);
  BT_AUTO_FREE char *c = bt_seal_fingerprint(seal, "nx", "", 0);
  BT_AUTO_FREE char *d = bt_seal_fingerprint(other, "n", "x", 1);
  is_str(a, b, "equal contents have equal fingerprints");
  ok(strlen(a) == 32, "of 32 digits");
  ok(!bt_streq(a, c) && !bt_streq(a, d), "other names and keys have others");
}

static void refused(const char *file, const char *words, const char *name) {
  BT_AUTO_ERR err = NULL;
  struct bt_seal *seal = NULL;
  int rc = bt_seal_open(file, &seal, &err);
  if (!ok(rc < 0 && strstr(bt_err_message(err), words), "%s", name))
    printf("# %s\n", bt_err_message(err));
  if (seal)
    bt_seal_free(&seal);
}

static void test_key_file(void) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *file = path_of("key"), *bad = path_of("bad"), *away = path_of("none/key");
  struct stat st;
  ok(stat(file, &st) == 0 && (st.st_mode & 07777) == 0600, "the key file is made with mode 0600");
  struct bt_seal *again = NULL;
  is_int(bt_seal_open(file, &again, &err), 0, "and read again");
  bt_seal_free(&again);
  ok(chmod(file, 0640) == 0, "chmod");
  refused(file, "can be read by others", "a key that the group can read is refused");
  ok(bt_file_write(bad, "c2hvcnQ=\n", 9, 0600, &err) == 0, "a short key");
  refused(bad, "does not hold 32 bytes", "is refused");
  refused(away, "No such file", "a folder that is not there is named");
  unlink(file);
  unlink(bad);
}

int main(void) {
  BT_AUTO_ERR err = NULL;
  if (!mkdtemp(dir))
    return 1;
  BT_AUTO_FREE char *file = path_of("key"), *second = path_of("key2");
  struct bt_seal *seal = NULL, *other = NULL;
  if (bt_seal_open(file, &seal, &err) < 0 || bt_seal_open(second, &other, &err) < 0)
    return printf("Bail out! %s\n", bt_err_message(err)), 1;
  test_round_trip(seal, other);
  test_fingerprint(seal, other);
  BT_AUTO_FREE char *sealed = bt_seal_encrypt(seal, "n", "kept", 4);
  bt_seal_free(&seal);
  if (bt_seal_open(file, &seal, &err) == 0)
    ok(opens(seal, "n", sealed), "what was sealed opens with the key that was read from the file");
  bt_seal_free(&seal);
  bt_seal_free(&other);
  test_key_file();
  unlink(second);
  rmdir(dir);
  return done_testing();
}
