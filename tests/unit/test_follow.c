/* What an app builds and mounts of its repository: what a model needs, how it looks with it, and tars that mean harm. */
#define _GNU_SOURCE
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/follow_model.h"
#include "api/trees.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

static char dir[] = "/tmp/berth-test-follow-XXXXXX";

/* ---------------------------------------------------------------- tars */

struct member {
  const char *name;
  mode_t type;
  const char *data; /* of a file, a link's target, or of a hard link with type 0 */
};

static void make_tar(const char *path, const struct member *members, size_t n) {
  struct archive *a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  archive_write_open_filename(a, path);
  for (size_t i = 0; i < n; i++) {
    const struct member *m = &members[i];
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, m->name);
    archive_entry_set_filetype(e, m->type ? m->type : AE_IFREG);
    archive_entry_set_perm(e, 04777);
    archive_entry_set_size(e, m->type == AE_IFREG ? (la_int64_t)strlen(m->data) : 0);
    if (m->type == AE_IFLNK)
      archive_entry_set_symlink(e, m->data);
    if (!m->type)
      archive_entry_set_hardlink(e, m->data);
    archive_write_header(a, e);
    if (m->type == AE_IFREG)
      archive_write_data(a, m->data, strlen(m->data));
    archive_entry_free(e);
  }
  archive_write_free(a);
}

/* 0 with the tree "id", or -1 with *why. */
static int take(const struct member *members, size_t n, const char *id, struct bt_strs *notes, char **why) {
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *tar = bt_asprintf("%s/x.tar", dir);
  BT_AUTO_FREE char *path = bt_trees_path(dir, "default", "shop", id);
  make_tar(tar, members, n);
  int rc = bt_trees_take(tar, path, true, false, notes, &err);
  *why = err ? bt_strdup(bt_err_message(err)) : NULL;
  ok(bt_trees_has(path) == (rc == 0), "%s", rc == 0 ? "the tree is there" : "nothing is left of it");
  return rc;
}

static void harm(const char *what, const struct member *members, size_t n, const char *sentence) {
  BT_AUTO_STRS notes = {0};
  BT_AUTO_FREE char *why = NULL;
  ok(take(members, n, "bad", &notes, &why) == -1, "%s is refused", what);
  ok(why && strstr(why, sentence), "with a sentence: %s", why ? why : "?");
}
#define HARM(what, sentence, ...) \
  harm(what, (const struct member[]){__VA_ARGS__}, sizeof((struct member[]){__VA_ARGS__}) / sizeof(struct member), sentence)

static void test_harm(void) {
  HARM("a way up", "no name", {"../x", AE_IFREG, "x"});
  HARM("a way up within", "no name", {"a", AE_IFDIR, ""}, {"a/../../x", AE_IFREG, "x"});
  HARM("a file through a link", "no folder of its own", {"a", AE_IFLNK, "/tmp"}, {"a/berth-harm", AE_IFREG, "x"});
  HARM("a file through a link to a folder beside", "no folder of its own", {"d", AE_IFDIR, ""}, {"a", AE_IFLNK, "d"}, {"a/x", AE_IFREG, "x"});
  HARM("a file over a link", "twice", {"a", AE_IFLNK, "/tmp/berth-harm"}, {"a", AE_IFREG, "x"});
  HARM("a folder over a link", "twice", {"a", AE_IFLNK, "/tmp"}, {"a", AE_IFDIR, ""}, {"a/berth-harm", AE_IFREG, "x"});
  HARM("a hard link", "neither", {"a", AE_IFREG, "x"}, {"b", 0, "a"});
  HARM("a fifo", "neither", {"a", AE_IFIFO, ""});
  HARM("a device", "neither", {"a", AE_IFCHR, ""});
  HARM("a file without its folder", "no folder of its own", {"a/b", AE_IFREG, "x"});
  is_int(access("/tmp/berth-harm", F_OK), -1, "nothing came to be elsewhere");
  BT_AUTO_ERR err = NULL;
  BT_AUTO_STRS notes = {0};
  BT_AUTO_FREE char *path = bt_trees_path(dir, "default", "shop", "bad");
  is_int(bt_trees_take("/proc/self/exe", path, true, false, &notes, &err), -1, "what is no tar is refused");
}

static mode_t mode_of(const char *tree, const char *name) {
  struct stat st;
  BT_AUTO_FREE char *path = bt_asprintf("%s/default/shop/%s/%s", dir, tree, name);
  return lstat(path, &st) == 0 ? st.st_mode : 0;
}

static void test_good(void) {
  BT_AUTO_STRS notes = {0};
  BT_AUTO_FREE char *why = NULL;
  umask(077);
  is_int(take((const struct member[]){{"sub/", AE_IFDIR, ""},
                                      {"d", AE_IFDIR, ""},
                                      {"d/e", AE_IFDIR, ""},
                                      {"d/e/\xc3\xbc", AE_IFREG, "x"},
                                      {"d/f", AE_IFLNK, "/etc/passwd"},
                                      {"l", AE_IFREG, "version https://git-lfs.github.com/spec/v1\noid x\n"},
                                      {"m", AE_IFDIR, ""}},
              7, "good", &notes, &why),
         0, "a tree as repositories have them");
  is_int((long)notes.len, 3, "with what a person should know");
  is_str(notes.len ? notes.items[0] : "", "sub is a submodule: its content is in another repository and is not here", "submodules");
  ok(mode_of("good", "d") == (S_IFDIR | 0755), "whatever the umask is, all may read it");
  ok(mode_of("good", "d/e/\xc3\xbc") == (S_IFREG | 0755), "and nothing is set-uid");
  ok(S_ISLNK(mode_of("good", "d/f")), "links are links");
  umask(022);
}

static void test_collect(void) {
  BT_AUTO_STRS notes = {0};
  BT_AUTO_FREE char *why = NULL;
  take((const struct member[]){{"a", AE_IFREG, "x"}}, 1, "old", &notes, &why);
  take((const struct member[]){{"a", AE_IFREG, "x"}}, 1, "kept", &notes, &why);
  BT_AUTO_JSON apps = bt_trees_apps(dir);
  BT_AUTO_JSON keep = json_pack("{s:b}", "default/shop/kept", 1);
  is_str(bt_json_str(json_array_get(apps, 0), "app"), "shop", "apps with trees are listed");
  bt_trees_collect(dir, keep, 3600);
  ok(mode_of("old", "a"), "what was just used stays");
  bt_trees_collect(dir, keep, -1);
  ok(!mode_of("old", ""), "what nobody needs goes");
  ok(mode_of("kept", "a"), "what a revision names stays");
  BT_AUTO_JSON none = json_object();
  bt_trees_collect(dir, none, -1);
  BT_AUTO_FREE char *left = bt_asprintf("%s/default", dir);
  ok(access(left, F_OK) < 0, "and in the end all goes");
}

/* ---------------------------------------------------------------- models */

static json_t *model(const char *services) {
  BT_AUTO_FREE char *text = bt_asprintf("{\"services\": %s}", services);
  json_t *o = json_loads(text, 0, NULL);
  BT_ASSERT(o);
  return o;
}

static const char places_text[] = "{\"web\": {\"file\": \"/repository/deploy/compose.yaml\", \"line\": 3}}";

static void needs(const char *services, const char *want, const char *name) {
  BT_AUTO_JSON m = model(services);
  BT_AUTO_JSON places = json_loads(places_text, 0, NULL);
  BT_AUTO_ERR err = NULL;
  BT_AUTO_JSON found = bt_follow_needs(m, places, &err);
  BT_AUTO_BUF text = {0};
  const char *path;
  json_t *need;
  json_object_foreach(found, path, need) bt_buf_addf(&text, "%s%s=%s", text.len ? " " : "", path, bt_json_str(need, "kind"));
  is_str(found ? (text.data ? text.data : "") : bt_err_message(err), want, name);
}

static void test_needs(void) {
  needs("{\"web\": {\"build\": {\"context\": \"/repository\"}}}", "=folder", "the root");
  needs("{\"web\": {\"build\": {\"context\": \"/repository/a\", \"dockerfile\": \"../b/Dockerfile\"}}}", "a=folder b/Dockerfile=file", "a Dockerfile elsewhere");
  needs("{\"web\": {\"build\": {\"context\": \"/repository/a\", \"dockerfile\": \"x/../Dockerfile\"}}}", "a=folder", "a Dockerfile within");
  needs("{\"web\": {\"build\": {\"context\": \"/repository/a\", \"dockerfile\": \"../../etc/passwd\"}}}",
        "deploy/compose.yaml:3: service web: its Dockerfile /etc/passwd is outside of the repository: commit it", "a Dockerfile outside");
  needs("{\"web\": {\"build\": {\"context\": \"/repository/a\", \"dockerfile_inline\": \"FROM x\"}}}", "a=folder", "a Dockerfile in the file");
  needs("{\"web\": {\"build\": {\"context\": \"https://host/x.git\"}}}", "", "another repository");
  needs("{\"web\": {\"volumes\": [{\"type\": \"bind\", \"source\": \"/repositoryx\"}, {\"type\": \"volume\", \"source\": \"/repository/x\"}, "
        "{\"type\": \"bind\", \"source\": \"/repository/x\"}]}}", "x=any", "what is mounted");
}

static const char *tag_of(json_t *m, const char *service) {
  return bt_json_str_or(bt_json_obj(bt_json_obj(m, "services"), service), "image", "?");
}

/* The model with the tree "a" of that id; what its image is called. */
static char *placed(const char *service, const char *id, json_t **out) {
  BT_AUTO_FREE char *text = bt_asprintf("{\"web\": %s, \"job\": {\"image\": \"team/web:1\"}}", service);
  BT_AUTO_JSON trees = json_pack("{s:{s:s,s:s,s:s}}", "a", "id", id, "kind", "folder", "at", dir);
  BT_AUTO_JSON places = json_loads(places_text, 0, NULL);
  BT_AUTO_JSON origin = json_pack("{s:s,s:s}", "repository", "https://h/x.git", "commit", "c");
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_ERR err = NULL;
  json_t *m = model(text);
  is_int(bt_follow_place(m, "shop", places, trees, origin, &diags, &err), 0, "placed");
  char *image = bt_strdup(tag_of(m, "web"));
  if (out)
    *out = m;
  else
    json_decref(m);
  return image;
}

static void test_place(void) {
  const char *plain = "{\"build\": {\"context\": \"/repository/a\"}}";
  BT_AUTO_FREE char *one = placed(plain, "id-one", NULL);
  BT_AUTO_FREE char *again = placed(plain, "id-one", NULL);
  BT_AUTO_FREE char *other = placed(plain, "id-two", NULL);
  BT_AUTO_FREE char *target = placed("{\"build\": {\"context\": \"/repository/a\", \"target\": \"x\"}}", "id-one", NULL);
  BT_AUTO_FREE char *tagged = placed("{\"build\": {\"context\": \"/repository/a\", \"tags\": [\"x:1\"]}}", "id-one", NULL);
  ok(bt_starts(one, "shop-web:git-") && strlen(one) == strlen("shop-web:git-") + 12, "an image is called after what it is made of: %s", one);
  is_str(again, one, "the same is called the same");
  ok(strcmp(other, one) != 0, "other files are another image");
  ok(strcmp(target, one) != 0, "another target as well");
  is_str(tagged, one, "more names change nothing");
  BT_AUTO_JSON m = NULL;
  BT_AUTO_FREE char *named = placed("{\"image\": \"team/web:1\", \"build\": {\"context\": \"/repository/a\"}}", "id-one", &m);
  ok(bt_starts(named, "team/web:git-"), "a name is kept: %s", named);
  is_str(tag_of(m, "job"), named, "who names it gets the same");
  const json_t *build = bt_json_obj(bt_json_obj(bt_json_obj(m, "services"), "web"), "build");
  is_str(json_string_value(json_array_get(bt_json_arr(build, "tags"), 0)), "team/web:1", "the name as written is a tag");
  is_str(bt_json_str(build, "context"), dir, "the context is a folder of this machine");
}

static void words(const char *text, const char *want) {
  BT_AUTO_FREE char *got = bt_follow_words(text);
  is_str(got, want, want);
}

/* Nobody has a folder /repository: places are told as they are in the repository. */
static void test_words(void) {
  words("/repository/deploy/compose.yaml:5:5: error: x", "deploy/compose.yaml:5:5: error: x");
  words("x: cannot open /repository/a: \"/repository/b\"", "x: cannot open a: \"b\"");
  words("https://host/repository/a and /repositoryx", "https://host/repository/a and /repositoryx");
  words("", "");
}

int main(void) {
  if (!mkdtemp(dir))
    return 1;
  test_harm();
  test_good();
  test_words();
  test_collect();
  test_needs();
  test_place();
  BT_AUTO_FREE char *tar = bt_asprintf("%s/x.tar", dir);
  unlink(tar);
  ok(rmdir(dir) == 0, "nothing is left");
  return done_testing();
}
