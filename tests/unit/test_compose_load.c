/* The load as a whole: names, folders, env files, what is read from a real disk, what is refused. */
#include "config.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "compose_mem.h"

static void names(const char *text, const char *want) {
  BT_AUTO_FREE char *name = bt_compose_project_name(text);
  is_str(name, want, text);
}

static void test_names(void) {
  names("My App!", "myapp");
  names("--_a_b-C9", "a_b-c9");
  names("Ünï", "n");
  names("!?", NULL);
  mem_one("name: '!?'\nservices: {a: {image: x}}", NULL, NULL, "1:7: error: \"!?\" has no letter or digit", "a name of nothing");
  static const struct mem_var vars[] = {{"COMPOSE_PROJECT_NAME", "Wrong"}, {NULL, NULL}};
  mem_one("services: {a: {image: x}}", vars, NULL, "error: the project's name \"Wrong\" is invalid", "an explicit name is not mended");
  static const struct mem_var right[] = {{"COMPOSE_PROJECT_NAME", "right"}, {NULL, NULL}};
  mem_one("name: other\nservices: {a: {image: x}}", right, "name", "\"right\"", "a name of the environment wins over the file's");
}

static void test_refusals(void) {
  mem_one("", NULL, NULL, "there is nothing in the Compose file", "an empty file");
  mem_one("# c\n---\n---\n", NULL, NULL, "there is nothing in the Compose file", "empty documents");
  mem_one("- a", NULL, NULL, "1:1: error: a Compose file is a mapping", "a sequence");
  mem_one("services: {a: {image: x}}\n---\n5", NULL, NULL, "3:1: error: a Compose file is a mapping", "a number as second document");
  mem_one("services: {a: {image: x, env_file: no.env}}", NULL, NULL, "/app/no.env", "a missing env_file");
  struct bt_compose_options options = {0};
  struct bt_compose_result result;
  struct bt_compose_source nothing = {0};
  ok(bt_compose_load(&nothing, &options, &result) < 0 && result.diags.errors == 1, "no file at all");
  bt_compose_result_free(&result);
}

/* More unknown keys than are ever shown: no search for what each of them may have meant. */
static void test_many_unknown(void) {
  BT_AUTO_BUF text = {0};
  bt_buf_adds(&text, "services:\n  a:\n    image: x\n");
  for (int i = 0; i < 60000; i++)
    bt_buf_addf(&text, "    unknownkey%d: 1\n", i);
  int64_t start = bt_clock_mono_us();
  mem_one(text.data, NULL, NULL, "(59900 more are not shown)", "60,000 unknown keys");
  int64_t ms = (bt_clock_mono_us() - start) / 1000;
  ok(ms < 10000, "in %lld ms", (long long)ms);
}

/* An image that no registry could have is found in the file, also where the file is only printed. */
static void test_images(void) {
  mem_one("services:\n  a:\n    image: a b", NULL, NULL,
          "/app/compose.yaml:3:12: error: services.a.image: \"a b\" is no image reference: a repository is lower-case", "a blank");
  mem_one("services: {a: {image: 'Nginx:Latest:x'}}", NULL, NULL, "1:23: error: services.a.image: \"Nginx:Latest:x\" is no image",
          "two colons");
  mem_one("services: {a: {image: 'x@sha256:12'}}", NULL, NULL, "a digest is sha256: and 64", "half a digest");
  static const struct mem_var vars[] = {{"TAG", "-1"}, {NULL, NULL}};
  mem_one("services: {a: {image: 'x:$TAG'}}", vars, NULL, "\"x:-1\" is no image reference: a tag is", "what a variable made of it");
  mem_one("services: {a: {image: x}, b: {image: X Y, profiles: [p]}}", NULL, "services.b", NULL, "an inactive service is not looked at");
  mem_one("services: {a: {image: 'localhost:5000/a/b:1'}}", NULL, "services.a.image", "\"localhost:5000/a/b:1\"", "a good one passes");
}

/* One file with a profile asked for by name or by the variable: what the diagnostics say, and which services stay. */
static void profile(const char *asked, const char *variable, const char *dotenv, const char *says, size_t services, const char *name) {
  const struct mem_file files[] = {
      {"/app/compose.yaml", "services: {a: {image: x}, b: {image: x, profiles: [debug]}, c: {image: x, profiles: [ops, debug]}}"},
      {dotenv ? "/app/.env" : NULL, dotenv},
      {NULL, NULL}};
  const struct mem_var vars[] = {{variable ? "COMPOSE_PROFILES" : NULL, variable}, {NULL, NULL}};
  AUTO_MEM m = {.files = files, .vars = vars};
  struct bt_compose_source source = {mem_read, mem_env, &m};
  struct bt_compose_options options = {.skip_berth_checks = true};
  bt_strs_add(&options.files, files[0].path);
  if (asked)
    bt_strs_add(&options.profiles, asked);
  is_int(bt_compose_load(&source, &options, &m.result), 0, name);
  BT_AUTO_FREE char *text = bt_diags_text(&m.result.diags);
  is_str(text, says, name);
  is_int(json_object_size(mem_at(&m, "services")), services, name);
  bt_compose_options_free(&options);
}

static void test_profiles(void) {
  profile("debug", NULL, NULL, "", 3, "a profile");
  profile("*", NULL, NULL, "", 3, "all of them");
  profile("debgu", NULL, NULL,
          "warning: no service has the profile \"debgu\", so it turns nothing on; did you mean \"debug\"?\n", 1, "a slip");
  profile("zzz", NULL, NULL, "warning: no service has the profile \"zzz\", so it turns nothing on\n", 1, "nothing near");
  profile(NULL, "ops, pos", NULL,
          "warning: no service has the profile \"pos\", so it turns nothing on; did you mean \"ops\"?\n", 2, "COMPOSE_PROFILES");
  profile("debug", "ops,zzz", NULL, "", 3, "a named profile wins over the variable");
  profile(NULL, NULL, "COMPOSE_PROFILES=debug", "", 3, "the variable in .env");
}

static void test_env_files(void) {
  static const struct mem_file files[] = {{"/app/compose.yaml", "services: {a: {image: \"x$A$B\"}}"},
                                          {"/app/.env", "A=dot"},
                                          {"/etc/one.env", "A=1\nB=1"},
                                          {"/etc/two.env", "B=2$A"},
                                          {NULL, NULL}};
  struct mem m = {.files = files};
  struct bt_compose_source source = {mem_read, mem_env, &m};
  struct bt_compose_options options = {.skip_berth_checks = true, .project_dir = "/srv/../other/Dir", .project_name = "p"};
  bt_strs_add(&options.files, "/app/compose.yaml");
  bt_strs_add(&options.env_files, "/etc/one.env");
  bt_strs_add(&options.env_files, "/etc/two.env");
  m.rc = bt_compose_load(&source, &options, &m.result);
  mem_is(&m, "services.a.image", "\"x121\"", "later env files win and see earlier ones; .env is not read");
  is_str(m.result.project_dir, "/other/Dir", "the project's folder is clean");
  mem_free(&m);
  bt_strs_add(&options.env_files, "/etc/no.env");
  m.rc = bt_compose_load(&source, &options, &m.result);
  mem_fails(&m, "/etc/no.env: error: cannot read the env file", "a named env file must be there");
  mem_free(&m);
  bt_compose_options_free(&options);
}

static void write_file(const char *dir, const char *name, const char *text) {
  BT_AUTO_FREE char *path = bt_path_join(dir, name);
  ok(bt_file_write(path, text, strlen(text), 0600, NULL) == 0, "wrote %s", name);
}

static void test_disk(void) {
  char dir[] = "/tmp/berth-compose-XXXXXX";
  if (!ok(mkdtemp(dir) != NULL, "a folder for real files"))
    return;
  write_file(dir, "compose.yaml", "name: disk\nservices: {a: {image: \"x:$BT_TEST_TAG\", volumes: ['./v:/v']}}");
  write_file(dir, ".env", "BT_TEST_TAG=dot");
  struct mem m = {0};
  struct bt_compose_options options = {.skip_berth_checks = true};
  bt_vec_push(&options.files, bt_path_join(dir, "compose.yaml"));
  setenv("BT_TEST_TAG", "env", 1);
  m.rc = bt_compose_load(&bt_compose_real_source, &options, &m.result);
  mem_is(&m, "services.a.image", "\"x:env\"", "real files and the real environment");
  BT_AUTO_FREE char *source = bt_asprintf("\"%s/v\"", dir);
  mem_is(&m, "services.a.volumes.0.source", source, "relative paths mean the file's folder");
  mem_free(&m);
  int fd = open(options.files.items[0], O_WRONLY | O_CLOEXEC);
  ok(ftruncate(fd, 100 << 20) == 0, "a file of 100 MB");
  close(fd);
  m.rc = bt_compose_load(&bt_compose_real_source, &options, &m.result);
  mem_fails(&m, "is larger than the limit of 3145728 bytes", "is refused by its size");
  mem_free(&m);
  bt_compose_options_free(&options);
  static const char *const all[] = {"compose.yaml", ".env"};
  for (size_t i = 0; i < BT_COUNT(all); i++) {
    BT_AUTO_FREE char *path = bt_path_join(dir, all[i]);
    unlink(path);
  }
  rmdir(dir);
}

int main(void) {
  test_names();
  test_refusals();
  test_many_unknown();
  test_images();
  test_profiles();
  test_env_files();
  test_disk();
  return done_testing();
}
