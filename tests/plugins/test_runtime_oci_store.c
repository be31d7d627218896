/* berth-image and archives: hostile ones are refused in words and leave nothing, honest ones come in from each form; images go when they
 * may; a crash at any time and a full disk leave a store that the next run puts in order. Takes root. */
#include "config.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include <time.h>

#include "oci_image.h"
#include "../unit/tap.h"

/* ---------------------------------------------------------------- archives on disk */

static void file_put(const char *path, const char *data, size_t len) {
  FILE *f = fopen(path, "w");
  if (!f || fwrite(data, 1, len, f) != len || fclose(f))
    abort();
}

/* The image as an OCI layout, with a name; the caller frees its path. */
static char *layout_put(const char *name, const struct blob *manifest, const char *reference) {
  char *dir = kit_path(name);
  PU_AUTO_FREE make = pu_asprintf("mkdir -p %s/blobs/sha256", dir);
  if (system(make) != 0)
    abort();
  for (size_t i = 0; i < nblobs; i++) {
    PU_AUTO_FREE path = pu_asprintf("%s/blobs/sha256/%s", dir, blobs[i].digest + 7);
    file_put(path, blobs[i].data, blobs[i].len);
  }
  PU_AUTO_FREE path = pu_asprintf("%s/index.json", dir);
  PU_AUTO_FREE notes = reference ? pu_asprintf(",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}", reference) : pu_strdup("");
  PU_AUTO_FREE text = pu_asprintf("{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"%s\",\"size\":%zu%s}]}",
                                  manifest->digest, manifest->len, notes);
  file_put(path, text, strlen(text));
  return dir;
}

static json_t *import_spec(const char *store, const char *path) {
  json_t *o = spec_for(store);
  json_object_set_new(o, "path", json_string(path));
  return o;
}

/* A layer of one ball as an image, imported; limits: NULL for the usual. */
static json_t *import_layer(const char *store, struct ball *ball, enum pack how, json_t *limits) {
  static int n;
  struct layer l = layer_of(ball, how);
  PU_AUTO_FREE name = pu_asprintf("layout-%d", ++n);
  PU_AUTO_FREE dir = layout_put(name, image_of(&l, 1, name), NULL);
  json_t *spec = import_spec(store, dir);
  if (limits)
    json_object_set_new(spec, "limits", limits);
  return image_run("import", spec);
}

static struct stat first_stat(const json_t *answer, const char *path, bool *there) {
  struct stat st = {0};
  const char *dir = json_string_value(json_array_get(pu_arr(json_array_get(pu_arr(pu_obj(answer, "result"), "images"), 0), "layers"), 0));
  PU_AUTO_FREE whole = pu_asprintf("%s/%s", dir ? dir : "/nowhere", path);
  *there = lstat(whole, &st) == 0;
  return st;
}

/* ---------------------------------------------------------------- hostile ones */

static void hostile(struct item evil, const char *words, json_t *limits) {
  struct ball *b = ball_new();
  ball_add(b, (struct item){.path = "dir/", .type = AE_IFDIR});
  ball_add(b, (struct item){.path = "dir/link", .type = AE_IFLNK, .link = "/tmp"});
  ball_add(b, (struct item){.path = "dir/up", .type = AE_IFLNK, .link = "../../../../../.."});
  ball_add(b, evil);
  json_t *got = import_layer("hostile", b, PLAIN, limits);
  ok(strstr(error_of(got), words), "%s: %s", evil.path, error_of(got));
  is_int(count_in("hostile", "layers/sha256") + count_in("hostile", "tmp"), 0, "and nothing of it stays");
  json_decref(got);
}

static void hostile_all(void) {
  char deep[1400] = "";
  for (int i = 0; i < 300; i++)
    strcat(deep, "d/");
  strcat(deep, "x");
  hostile((struct item){.path = "../../evil", .text = "x"}, "leads out", NULL);
  hostile((struct item){.path = "dir/../../evil", .text = "x"}, "leads out", NULL);
  hostile((struct item){.path = "hard", .hard = "../../etc/passwd"}, "leads out", NULL);
  hostile((struct item){.path = "hard", .hard = "/etc/passwd"}, "does not have", NULL);
  hostile((struct item){.path = deep, .text = "x"}, "nested deeper", NULL);
  hostile((struct item){.path = ".wh...", .text = ""}, "whiteout of nothing", NULL);
  hostile((struct item){.path = "dev/sda", .type = AE_IFBLK, .major = 8}, "devices: refuse", json_pack("{s:s}", "devices", "refuse"));
  hostile((struct item){.path = "large", .hole = 9 << 20}, "max_layer_size", json_pack("{s:i}", "max_layer_size", 8 << 20));
}

/* What goes through a link of its own stays below the layer's root, as it would in the container. */
static void inside(void) {
  struct ball *b = ball_new();
  bool there;
  ball_add(b, (struct item){.path = "a", .type = AE_IFLNK, .link = "/b"});
  ball_add(b, (struct item){.path = "b/", .type = AE_IFDIR});
  ball_add(b, (struct item){.path = "c", .type = AE_IFLNK, .link = "../../../../../b"});
  ball_add(b, (struct item){.path = "a/one", .text = "1"});
  ball_add(b, (struct item){.path = "c/two", .text = "2"});
  ball_add(b, (struct item){.path = "/three", .text = "3"});
  ball_add(b, (struct item){.path = "zero", .type = AE_IFCHR});
  ball_add(b, (struct item){.path = "b/one", .type = AE_IFLNK, .link = "/etc/passwd"});
  ball_add(b, (struct item){.path = "b/one", .text = "replaced"});
  json_t *got = import_layer("inside", b, GZIP, json_pack("{s:s}", "devices", "keep"));
  is_str(error_of(got), "", "links that point out of the archive");
  struct stat st = first_stat(got, "b/one", &there);
  ok(there && S_ISREG(st.st_mode) && st.st_size == 8, "what comes twice is what came last, and never goes through the link");
  first_stat(got, "b/two", &there);
  ok(there, "a path through a link ends below the layer's root");
  first_stat(got, "three", &there);
  ok(there, "so does an absolute one");
  first_stat(got, "zero", &there);
  ok(!there, "a device 0/0 would be a whiteout in disguise");
  json_decref(got);
}

static void bombs(void) {
  struct ball *b = ball_new();
  for (int i = 0; i < 2000; i++) {
    char name[32];
    snprintf(name, sizeof name, "f%d", i);
    ball_add(b, (struct item){.path = name});
  }
  json_t *got = import_layer("bomb", b, GZIP, json_pack("{s:i}", "max_layer_entries", 1500));
  ok(strstr(error_of(got), "max_layer_entries"), "too many entries: %s", error_of(got));
  json_decref(got);
  /* 10 TB that are a hole: GNU tar writes it in a few hundred bytes. */
  PU_AUTO_FREE tar = kit_path("huge.tar");
  PU_AUTO_FREE command = pu_asprintf("cd %s && truncate -s 10T huge && tar -S --format=gnu -cf huge.tar huge && rm huge", kit_dir);
  if (system(command) == 0) {
    FILE *f = fopen(tar, "r");
    char data[65536];
    size_t n = fread(data, 1, sizeof data, f);
    fclose(f);
    struct layer l = {.how = PLAIN, .blob = blob_add(data, n)};
    memcpy(l.diff_id, l.blob->digest, sizeof l.diff_id);
    PU_AUTO_FREE dir = layout_put("huge", image_of(&l, 1, "huge"), NULL);
    got = image_run("import", import_spec("bomb", dir));
    ok(strstr(error_of(got), "max_layer_size"), "10 TB of nothing: %s", error_of(got));
    json_decref(got);
  }
  /* 2 GiB of zeros in 2 MB. */
  b = ball_new();
  ball_add(b, (struct item){.path = "zeros", .text = "x"});
  struct layer l = layer_of(b, PLAIN);
  struct pu_buf zeros = {0};
  static const char piece[1 << 20];
  pu_buf_add(&zeros, l.blob->data, 1024);
  for (int i = 0; i < 64; i++)
    pu_buf_add(&zeros, piece, sizeof piece);
  size_t n;
  char *small = packed(zeros.data, zeros.len, GZIP, &n);
  struct pu_buf many = {0};
  for (int i = 0; i < 20; i++)
    pu_buf_add(&many, small, n); /* gzip's members may follow each other */
  l.blob = blob_add(many.data, many.len);
  l.how = GZIP;
  PU_AUTO_FREE dir = layout_put("ratio", image_of(&l, 1, "ratio"), NULL);
  got = image_run("import", import_spec("bomb", dir));
  ok(strstr(error_of(got), "max_layer_ratio"), "a gigabyte in a megabyte: %s", error_of(got));
  json_decref(got);
  free(small);
  pu_buf_free(&zeros);
  pu_buf_free(&many);
  is_int(count_in("bomb", "layers/sha256") + count_in("bomb", "tmp"), 0, "nothing of them stays");
}

/* Bytes that are not what the documents say. */
static void false_ones(void) {
  struct layer l = layer_with("x", "x", GZIP), other = layer_with("y", "y", GZIP);
  struct layer mixed = l;
  mixed.blob = other.blob;
  PU_AUTO_FREE dir = layout_put("mixed", image_of(&mixed, 1, "mixed"), NULL);
  json_t *got = image_run("import", import_spec("false", dir));
  ok(strstr(error_of(got), "what it unpacks to"), "a layer that is another: %s", error_of(got));
  json_decref(got);
  PU_AUTO_FREE good = layout_put("damaged", image_of(&l, 1, "damaged"), NULL);
  PU_AUTO_FREE path = pu_asprintf("%s/blobs/sha256/%s", good, l.blob->digest + 7);
  char *bad = malloc(l.blob->len);
  memcpy(bad, l.blob->data, l.blob->len);
  bad[l.blob->len - 1] ^= 1;
  file_put(path, bad, l.blob->len);
  free(bad);
  got = image_run("import", import_spec("false", good));
  ok(strstr(error_of(got), "its blob has the digest"), "a blob that was damaged: %s", error_of(got));
  json_decref(got);
  PU_AUTO_FREE none = kit_path("none");
  mkdir(none, 0700);
  got = image_run("import", import_spec("false", none));
  ok(strstr(error_of(got), "no image archive"), "a folder that is no image: %s", error_of(got));
  json_decref(got);
}

/* ---------------------------------------------------------------- forms */

static void form(const char *what, const char *command, const char *file) {
  PU_AUTO_FREE shell = pu_asprintf("cd %s && %s", kit_dir, command);
  PU_AUTO_FREE path = kit_path(file);
  if (!ok(system(shell) == 0, "%s can be made", what))
    return;
  PU_AUTO_FREE store = pu_asprintf("form-%s", file);
  json_t *got = image_run("import", import_spec(store, path));
  is_str(error_of(got), "", what);
  const json_t *image = json_array_get(pu_arr(pu_obj(got, "result"), "images"), 0);
  is_str(json_string_value(json_array_get(pu_arr(image, "tags"), 0)), "shop/web:7", "under the name that it brings");
  bool there;
  first_stat(got, "file", &there);
  ok(there, "with its files");
  json_decref(got);
}

static const char docker_save[] =
    "mkdir -p saved/l1 && printf x >file && tar -cf saved/l1/layer.tar file && rm file && ID=$(sha256sum saved/l1/layer.tar | cut -c1-64) && mkdir saved/l2 && "
    "printf '{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}}' $ID >saved/c.json && "
    "printf '[{\"Config\":\"c.json\",\"RepoTags\":[\"shop/web:7\"],\"Layers\":[\"l1/layer.tar\"]}]' >saved/manifest.json && tar -C saved -cf saved.tar .";

static void forms(void) {
  struct layer l = layer_with("file", "x", ZSTD);
  PU_AUTO_FREE dir = layout_put("oci", image_of(&l, 1, "oci"), "shop/web:7");
  form("a folder", "true", "oci");
  form("an OCI archive", "tar -C oci -cf oci.tar .", "oci.tar");
  form("a compressed OCI archive", "tar -C oci -czf oci.tgz .", "oci.tgz");
  form("an archive of docker save", docker_save, "saved.tar");
  json_t *spec = import_spec("named", dir);
  json_object_set_new(spec, "name", json_string("other:1"));
  json_t *got = image_run("import", spec);
  is_str(json_string_value(json_array_get(pu_arr(json_array_get(pu_arr(pu_obj(got, "result"), "images"), 0), "tags"), 0)), "other:1", "a name that is given counts");
  json_decref(got);
}

/* ---------------------------------------------------------------- removing */

static const char *import_named(const char *store, const char *name, const char *text, char id[72]) {
  struct layer l = layer_with("file", text, GZIP);
  PU_AUTO_FREE folder = pu_asprintf("n-%s", text);
  PU_AUTO_FREE dir = layout_put(folder, image_of(&l, 1, text), name);
  json_t *got = image_run("import", import_spec(store, dir));
  snprintf(id, 72, "%s", pu_str_or(json_array_get(pu_arr(pu_obj(got, "result"), "images"), 0), "id", "?"));
  json_decref(got);
  return id;
}

static json_t *with(json_t *spec, const char *key, json_t *value) {
  json_object_set_new(spec, key, value);
  return spec;
}

static void removing(void) {
  char a[72], b[72], again[72];
  import_named("rm", "app:1", "aaa", a);
  import_named("rm", "app:2", "bbb", b);
  import_named("rm", "app:3", "aaa", again);
  is_str(again, a, "the same content is the same image");
  json_t *got = image_run("remove", with(spec_for("rm"), "image", json_string("app:1")));
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "removed")), 1, "one of two names goes alone");
  json_decref(got);
  got = image_run("remove", with(with(spec_for("rm"), "image", json_string("app:3")), "users", json_pack("{s:[s,s]}", a, "shop-web-1", "shop-web-2")));
  is_str(code_of(got), "conflict", "not the last name of what a container uses");
  ok(strstr(error_of(got), "containers shop-web-1, shop-web-2 run from"), "which are named: %s", error_of(got));
  json_decref(got);
  got = image_run("remove", with(spec_for("rm"), "image", json_string("app:9")));
  is_str(code_of(got), "not_found", "nor what is not there");
  json_decref(got);
  got = image_run("prune", with(spec_for("rm"), "keep", json_pack("[s]", a)));
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "removed")), 2, "what nobody uses goes, name and image");
  ok(pu_int(pu_obj(got, "result"), "freed", 0) > 0, "and what that freed is told");
  json_decref(got);
  is_int(count_in("rm", "layers/sha256"), 1, "one layer stays");
  is_int(count_in("rm", "l"), 1, "and its link");
  is_int(count_in("rm", "blobs/sha256"), 2, "and two documents");
  got = image_run("prune", with(spec_for("rm"), "unused_since_ms", json_integer(1000)));
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "removed")), 0, "what was used after that time stays");
  json_decref(got);
  got = image_run("prune", with(spec_for("rm"), "max_bytes", json_integer(1 << 20)));
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "removed")), 0, "what has room stays");
  json_decref(got);
  got = image_run("prune", with(spec_for("rm"), "max_bytes", json_integer(0)));
  is_int(json_array_size(pu_arr(pu_obj(got, "result"), "removed")), 2, "what has none goes");
  json_decref(got);
  is_int(count_in("rm", "layers/sha256") + count_in("rm", "l") + count_in("rm", "blobs/sha256") + count_in("rm", "locks") + count_in("rm", "tmp"), 0, "the store is empty");
}

/* ---------------------------------------------------------------- crashes */

static void crashes(void) {
  struct layer layers[6];
  for (int i = 0; i < 6; i++) {
    struct ball *b = ball_new();
    for (int k = 0; k < 200; k++) {
      char name[64];
      snprintf(name, sizeof name, "d%d/f%d", i, k);
      ball_add(b, (struct item){.path = name, .text = "some text"});
    }
    layers[i] = layer_of(b, GZIP);
  }
  PU_AUTO_FREE dir = layout_put("crash", image_of(layers, 6, "crash"), "crash:1");
  int whole = 0;
  for (int i = 0; i < 40; i++) {
    struct run run = image_start("import", import_spec("crash", dir));
    struct timespec t = {0, 1000000L * (i * 7 % 280)};
    nanosleep(&t, NULL);
    kill(run.pid, SIGKILL);
    json_t *got = image_end(run, NULL);
    whole += pu_obj(got, "result") != NULL;
    json_decref(got);
    /* What the index names has to be there at any time. */
    got = image_run("inspect", with(spec_for("crash"), "image", json_string("crash:1")));
    struct stat st;
    if (pu_obj(got, "result") && !(layer_stat(got, 0, "d5/f199", &st) && layer_stat(got, 5, "d0/f0", &st)))
      ok(false, "crash %d left an image without its layers", i);
    json_decref(got);
    if (i % 8 == 7)
      json_decref(image_run("remove", with(spec_for("crash"), "image", json_string("crash:1"))));
  }
  ok(true, "40 crashes, %d of them after the answer", whole);
  json_t *got = image_run("import", import_spec("crash", dir));
  is_str(error_of(got), "", "the next run does it");
  json_decref(got);
  is_int(count_in("crash", "tmp"), 0, "and clears away what lay there");
  is_int(count_in("crash", "layers/sha256"), 6, "six layers");
  json_decref(image_run("prune", spec_for("crash")));
  is_int(count_in("crash", "layers/sha256") + count_in("crash", "l") + count_in("crash", "locks"), 0, "which go when they may");
}

/* What another boot left unsynced may be torn: it goes, with the images that have it. */
static void power_cut(void) {
  char id[72];
  import_named("power", "app:1", "power", id);
  PU_AUTO_FREE command = pu_asprintf("for d in %s/power/images/layers/sha256/*; do printf other-boot >$d/unsynced; done", kit_dir);
  ok(system(command) == 0, "a mark of another boot");
  json_decref(image_run("gc", spec_for("power")));
  is_int(count_in("power", "layers/sha256"), 0, "its layers go");
  json_t *got = image_run("inspect", with(spec_for("power"), "image", json_string("app:1")));
  is_str(code_of(got), "not_found", "and the image with them");
  json_decref(got);
}

/* ---------------------------------------------------------------- a full disk */

static void full_disk(void) {
  PU_AUTO_FREE small = kit_path("small");
  struct ball *b = ball_new();
  char *text = pu_calloc(1, (6 << 20) + 1);
  memset(text, 'x', 6 << 20);
  ball_add(b, (struct item){.path = "large", .text = text});
  free(text);
  struct layer l = layer_of(b, GZIP);
  PU_AUTO_FREE dir = layout_put("disk", image_of(&l, 1, "disk"), "disk:1");
  mkdir(small, 0700);
  if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("small", small, "tmpfs", 0, "size=4m")) {
    ok(true, "# SKIP no mount namespace can be made here");
    return;
  }
  json_t *got = image_run("import", import_spec("small", dir));
  ok(strstr(error_of(got), "no room is left"), "a full disk: %s", error_of(got));
  is_str(code_of(got), "exhausted", "as exhausted");
  json_decref(got);
  is_int(count_in("small", "layers/sha256") + count_in("small", "tmp"), 0, "nothing half is left");
  ok(mount(NULL, small, NULL, MS_REMOUNT, "size=16m") == 0, "room is made");
  got = image_run("import", import_spec("small", dir));
  is_str(error_of(got), "", "and it goes");
  json_decref(got);
  umount(small);
}

int main(void) {
  if (geteuid() != 0)
    return skip_all("only root can set apart the process that unpacks");
  kit_start();
  hostile_all();
  inside();
  bombs();
  false_ones();
  forms();
  removing();
  crashes();
  power_cut();
  full_disk();
  kit_end();
  return done_testing();
}
