/* berth-image against a registry that serves, breaks and lies: what is pulled lies in the store as overlayfs wants it, or nothing does and
 * a sentence says why. Takes root, since only root can set apart the process that unpacks. */
#include "config.h"

#include <sys/xattr.h>

#include "oci_image.h"
#include "../unit/tap.h"

/* cap_net_raw, as setcap writes it. */
static const char net_raw[] = "\1\0\0\2\0\40\0\0\0\0\0\0\0\0\0\0\0\0\0";
static struct layer base, upper;
static const struct blob *image;

static void layers_make(void) {
  struct ball *b = ball_new();
  ball_add(b, (struct item){.path = "./", .type = AE_IFDIR, .mode = 0755});
  ball_add(b, (struct item){.path = "etc/", .type = AE_IFDIR, .mode = 0750, .uid = 7, .gid = 8});
  ball_add(b, (struct item){.path = "etc/a", .text = "one\n", .mode = 0640, .uid = 1000, .gid = 1001});
  ball_add(b, (struct item){.path = "etc/b", .hard = "etc/a"});
  ball_add(b, (struct item){.path = "bin/su", .text = "#!", .mode = 04755});
  ball_add(b, (struct item){.path = "bin/ping", .text = "#!", .mode = 0755, .xattr = "user.note", .value = "kept"});
  ball_add(b, (struct item){.path = "bin/raw", .text = "#!", .mode = 0755, .uid = 5, .xattr = "security.capability", .value = net_raw, .value_len = sizeof net_raw});
  ball_add(b, (struct item){.path = "bin/evil", .text = "#!", .mode = 0755, .xattr = "trusted.overlay.opaque", .value = "y"});
  ball_add(b, (struct item){.path = "lib", .type = AE_IFLNK, .link = "usr/lib"});
  ball_add(b, (struct item){.path = "run/pipe", .type = AE_IFIFO});
  ball_add(b, (struct item){.path = "dev/null", .type = AE_IFCHR, .major = 1, .minor = 3});
  ball_add(b, (struct item){.path = "tmp/", .type = AE_IFDIR, .mode = 01777});
  ball_add(b, (struct item){.path = "old/x", .text = "x"});
  ball_add(b, (struct item){.path = "sparse", .hole = 64 << 20});
  char name[300];
  memset(name, 'n', 200);
  snprintf(name + 200, 100, "/%s", "\xc3\xa4");
  ball_add(b, (struct item){.path = name, .text = "long"});
  base = layer_of(b, GZIP);
  b = ball_new();
  ball_add(b, (struct item){.path = "etc/.wh.a", .text = ""});
  ball_add(b, (struct item){.path = "old/", .type = AE_IFDIR});
  ball_add(b, (struct item){.path = "old/.wh..wh..opq", .text = ""});
  ball_add(b, (struct item){.path = "old/y", .text = "y"});
  ball_add(b, (struct item){.path = "tmp/here", .text = "t"});
  upper = layer_of(b, ZSTD);
  image = image_of((struct layer[]){base, upper}, 2, "first");
  reg.tag = image;
}

static void laid(void) {
  struct stat st, other;
  char value[32] = "";
  json_t *got = pull("good", ":1");
  is_str(error_of(got), "", "an image of two layers is pulled");
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "layers")), 2, "two layers");
  ok(layer_stat(got, 1, "etc/a", &st) && st.st_uid == 1000 && st.st_gid == 1001 && (st.st_mode & 07777) == 0640, "owner and rights of a file");
  is_int(st.st_mtim.tv_sec, 1000000000, "and its time");
  ok(layer_stat(got, 1, "etc/b", &other) && other.st_ino == st.st_ino && st.st_nlink == 2, "a hard link is one");
  ok(layer_stat(got, 1, "bin/su", &st) && (st.st_mode & 07777) == 04755, "setuid stays");
  ok(layer_stat(got, 1, "lib", &st) && S_ISLNK(st.st_mode), "a link stays a link");
  ok(layer_stat(got, 1, "run/pipe", &st) && S_ISFIFO(st.st_mode), "a pipe");
  ok(!layer_stat(got, 1, "dev/null", &st), "a device is left out");
  ok(layer_stat(got, 1, "sparse", &st) && st.st_size == 64 << 20 && st.st_blocks < 2048, "holes stay holes");
  PU_AUTO_FREE note = layer_path(got, 1, "bin/ping");
  ok(getxattr(note, "user.note", value, sizeof value) == 4 && !memcmp(value, "kept", 4), "a user's attribute is kept");
  PU_AUTO_FREE raw = layer_path(got, 1, "bin/raw");
  ok(getxattr(raw, "security.capability", value, sizeof value) == (ssize_t)sizeof net_raw && !memcmp(value, net_raw, sizeof net_raw), "a program's capability is kept");
  PU_AUTO_FREE evil = layer_path(got, 1, "bin/evil");
  ok(getxattr(evil, "trusted.overlay.opaque", value, sizeof value) < 0, "one of overlayfs' is not");
  ok(layer_stat(got, 0, "etc/a", &st) && S_ISCHR(st.st_mode) && st.st_rdev == 0, "a whiteout is overlayfs' own");
  ok(layer_stat(got, 0, "etc", &st) && st.st_uid == 7 && (st.st_mode & 07777) == 0750, "a folder that only the layer below speaks of looks as there");
  ok(layer_stat(got, 0, "tmp", &st) && (st.st_mode & 07777) == 01777, "and this one too");
  PU_AUTO_FREE opaque = layer_path(got, 0, "old");
  ok(getxattr(opaque, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y', "an opaque folder is marked");
  ok(!layer_stat(got, 0, "old/.wh..wh..opq", &st), "without the mark of the archive");
  is_int(count_in("good", "tmp"), 0, "nothing is left in tmp");
  is_int(count_in("good", "partial"), 0, "nor of the downloads");
  json_decref(got);
}

static void again(void) {
  int before = reg.blob_requests;
  json_t *got = pull("good", ":1");
  is_str(error_of(got), "", "pulled once more");
  is_int(reg.blob_requests, before, "without asking for a blob");
  json_decref(got);
  PU_AUTO_FREE pinned = pu_asprintf("@%s", image->digest);
  int asked = reg.manifest_requests;
  got = pull("good", pinned);
  is_str(error_of(got), "", "by its digest");
  is_int(reg.manifest_requests, asked, "nobody is asked at all");
  json_decref(got);
  /* Another image on the same base. */
  struct layer more = layer_with("more", "more", PLAIN);
  reg.tag = image_of((struct layer[]){base, more}, 2, "second");
  before = reg.blob_requests;
  got = pull("good", ":1");
  is_str(error_of(got), "", "another image with the same base");
  is_int(reg.blob_requests - before, 2, "costs its configuration and its own layer");
  is_str(json_string_value(json_array_get(pu_arr(pu_obj(got, "result"), "tags"), 0)) ? "named" : "", "named", "it has the name now");
  json_decref(got);
  json_t *list = image_run("list", spec_for("good"));
  is_int(json_array_size(pu_arr(pu_obj(list, "result"), "images")), 2, "both are in the list");
  json_decref(list);
  is_int(count_in("good", "layers/sha256"), 3, "three layers for both");
  reg.tag = image;
}

/* What a lie costs: the sentence has to hold the words, and the store has to be as empty as it was. */
static void refused(enum lie lie, const char *words, const char *code) {
  reg.lie = lie;
  reg.sent = 0;
  json_t *got = pull("lied", ":1");
  ok(strstr(error_of(got), words), "lie %d is refused: %s", (int)lie, error_of(got));
  is_str(code_of(got), code, "with its code");
  is_int(count_in("lied", "layers/sha256") + count_in("lied", "tmp") + count_in("lied", "l") + count_in("lied", "index.json"), 0, "and nothing is in the store");
  json_decref(got);
  reg.lie = HONEST;
}

static void lies(void) {
  refused(WRONG_BLOB, "the registry lies", "invalid");
  refused(ENDLESS, "more than the", "invalid");
  ok(reg.sent < 64 << 20, "an endless body ends early");
  refused(TOO_LONG, "more than the", "invalid");
  refused(TO_METADATA, "169.254.169.254", "denied");
  refused(TO_FILE, "file:///etc/passwd", "denied");
  refused(IN_CIRCLES, "in circles", "unavailable");
  refused(WRONG_MANIFEST, "the registry lies", "invalid");
  refused(HUGE_MANIFEST, "more than the 4194304 bytes", "too_large");
  refused(NO_MANIFEST, "manifest unknown", "not_found");
  refused(PASSWORD, "wants a login", "unauthenticated");
  refused(TOKEN, "no token", "unauthenticated");
  json_t *got = pull("lied", ":1");
  is_str(error_of(got), "", "an honest answer is taken after all that");
  is_int(count_in("lied", "partial"), 0, "no download stays");
  json_decref(got);
}

static void logins(void) {
  for (int lie = PASSWORD; lie <= TOKEN; lie++) {
    json_t *spec = pull_spec("login", ":1");
    json_object_set_new(spec, "auth", json_pack("{s:s, s:s}", "username", "ann", "password", "secret"));
    reg.lie = lie;
    json_t *got = image_run("pull", spec);
    is_str(error_of(got), "", lie == TOKEN ? "with a token" : "with a password");
    json_decref(got);
  }
  ok(reg.logins < 8, "one token serves for many requests");
  reg.lie = HONEST;
}

static void broken(void) {
  reg.lie = CUT;
  reg.ranges = 0;
  json_t *got = pull("cut", ":1");
  is_str(error_of(got), "", "a connection that breaks again and again");
  ok(reg.ranges > 2, "the rest is asked for each time");
  json_decref(got);
  reg.lie = CUT_WHOLE;
  reg.blob_requests = 0;
  got = pull("cut2", ":1");
  is_str(error_of(got), "", "of a registry that knows no ranges");
  json_decref(got);
  reg.lie = HONEST;
}

/* A partial file of an earlier attempt: its good bytes are used; bad ones are found out, and fetched anew. */
static void partial(void) {
  json_t *none = image_run("gc", spec_for("part"));
  json_decref(none);
  for (int bad = 0; bad < 2; bad++) {
    char *path = pu_asprintf("%s/part/images/partial/%s", kit_dir, base.blob->digest + 7);
    FILE *f = fopen(path, "w");
    char *half = pu_calloc(1, base.blob->len);
    memcpy(half, base.blob->data, base.blob->len / 2);
    half[base.blob->len / 4] = (char)(half[base.blob->len / 4] ^ bad);
    fwrite(half, 1, base.blob->len / 2, f);
    fclose(f);
    free(half);
    free(path);
    reg.ranges = 0;
    json_t *got = pull("part", ":1");
    is_str(error_of(got), "", bad ? "a damaged part is no harm" : "an earlier part is taken up");
    is_int(reg.ranges, 1, "the rest is asked for");
    json_decref(got);
    json_t *spec = spec_for("part");
    json_object_set_new(spec, "image", json_string(image->digest));
    json_decref(image_run("prune", spec));
  }
}

static void mirrors(void) {
  json_t *spec = spec_for("mirror");
  char *host = pu_asprintf("127.0.0.1:%d", reg.port);
  json_object_set_new(spec, "image", json_string("registry.invalid/r:1"));
  json_object_set_new(spec, "registries", json_pack("{s:{s:[s,s]}}", "registry.invalid", "mirrors", "127.0.0.1:1", host));
  json_object_set_new(spec, "timeout_ms", json_integer(3000));
  json_t *got = image_run("pull", spec);
  is_str(error_of(got), "", "from the second mirror of a registry that is away");
  is_str(json_string_value(json_array_get(pu_arr(pu_obj(got, "result"), "tags"), 0)), "registry.invalid/r:1", "under its own name");
  json_decref(got);
  free(host);
}

static void at_once(void) {
  struct run runs[4];
  reg.blob_requests = 0;
  for (int i = 0; i < 4; i++)
    runs[i] = image_start("pull", pull_spec("crowd", ":1"));
  for (int i = 0; i < 4; i++) {
    json_t *got = image_end(runs[i], NULL);
    is_str(error_of(got), "", "one of four pulls at once");
    json_decref(got);
  }
  ok(reg.blob_requests <= 2 + 4, "each layer was fetched once (%d requests)", (int)reg.blob_requests);
}

int main(void) {
  if (geteuid() != 0)
    return skip_all("only root can set apart the process that unpacks");
  kit_start();
  layers_make();
  laid();
  again();
  lies();
  logins();
  broken();
  partial();
  mirrors();
  at_once();
  kit_end();
  return done_testing();
}
