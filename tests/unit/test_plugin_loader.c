/* Plug-ins that cannot be loaded: each fails with its own sentence, and the rest runs. */
#include "config.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "plugins/host.h"

static char *dir;

static void fails(const char *plugin, const char *sentence) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"good\",\"plugin\":\"%s/bad_finish.so\"},{\"name\":\"bad\",\"plugin\":\"%s\"}]",
                                        dir, plugin);
  test_load(json);
  struct bt_plugin *bad = bt_plugins_named(T.plugins, "bad"), *good = bt_plugins_named(T.plugins, "good");
  ok(bad && bt_plugin_status(bad) == BT_PLUGIN_FAILED, "%s fails", bt_path_base(plugin));
  if (!strstr(bt_plugin_error(bad), sentence))
    printf("# got: %s\n", bt_plugin_error(bad));
  ok(strstr(bt_plugin_error(bad), sentence) != NULL, "it says: … %s …", sentence);
  ok(good && bt_plugin_status(good) == BT_PLUGIN_OK, "the good one runs");
  ok(!bt_plugin_methods(bad, BERTH_CHAT), "the bad one has no methods");
}

static void module_fails(const char *module, const char *sentence) {
  BT_AUTO_FREE char *path = bt_asprintf("%s/%s.so", dir, module);
  fails(path, sentence);
}

static void copy(const char *from, const char *to, mode_t mode) {
  char *data = NULL;
  size_t len = 0;
  BT_AUTO_ERR err = NULL;
  int rc = bt_file_read(from, 64 << 20, &data, &len, &err);
  BT_ASSERT(rc == 0);
  rc = bt_file_write(to, data, len, mode, &err);
  BT_ASSERT(rc == 0);
  rc = chmod(to, mode);
  BT_ASSERT(rc == 0);
  free(data);
}

static void test_files(void) {
  char tmp[] = "/tmp/berth-test-XXXXXX";
  ok(mkdtemp(tmp) != NULL, "a folder");
  BT_AUTO_FREE char *good = bt_asprintf("%s/bad_finish.so", dir);
  BT_AUTO_FREE char *so = bt_asprintf("%s/x.so", tmp);
  BT_AUTO_ERR err = NULL;
  fails("/nowhere/x.so", "No such file");
  fails("no-such-plugin", "no plug-in no-such-plugin is installed");
  fails("../x", "neither a plug-in's name");
  copy(good, so, 0666);
  fails(so, "is writable by others: chmod go-w it");
  int rc = bt_file_write(so, "no elf", 6, 0644, &err);
  ok(rc == 0, "a text");
  fails(so, "cannot be loaded");
  unlink(so);
  copy(good, so, 0644);
  ok(chmod(tmp, 0777) == 0, "a folder for all");
  fails(so, "is writable by others");
  if (geteuid() == 0) {
    ok(chmod(tmp, 0755) == 0 && chown(so, 65534, 65534) == 0, "a file of another user");
    fails(so, "belongs to user 65534");
  }
  fails(tmp, "is not a regular file");
  unlink(so);
  rmdir(tmp);
}

static void test_list(void) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"good\",\"plugin\":\"%s/bad_finish.so\"},{\"name\":\"bad\",\"plugin\":"
                                        "\"%s/bad_abi.so\"}]",
                                        dir, dir);
  test_load(json);
  BT_AUTO_JSON list = bt_plugins_json(T.plugins);
  is_int(json_array_size(list), 2, "both are listed");
  json_t *o = json_array_get(list, 0);
  is_str(bt_json_str(o, "name"), "good", "name");
  is_str(bt_json_str(o, "plugin"), "chat-simple", "plugin");
  is_str(bt_json_str(o, "version"), "1.0.0", "version");
  is_str(bt_json_str(o, "status"), "ok", "status");
  is_str(json_string_value(json_array_get(bt_json_arr(o, "interfaces"), 0)), "berth.chat/1", "interfaces");
  is_str(bt_json_str(json_array_get(list, 1), "status"), "failed", "the other's status");
  ok(strlen(bt_json_str(json_array_get(list, 1), "error")) > 20, "and error");
}

static void test_inspect(void) {
  const char *dirs[] = {dir, NULL};
  BT_AUTO_ERR err = NULL;
  BT_AUTO_FREE char *path = bt_asprintf("%s/chat_services.so", dir);
  BT_AUTO_JSON o = bt_plugin_inspect(path, dirs, &err);
  is_str(bt_json_str(o, "plugin"), "chat-services", "a manifest without a start");
  is_str(bt_json_str(bt_json_obj(o, "config"), "title"), "chat-services", "with its schema");
}

static void test_check(void) {
  const char *dirs[] = {dir, NULL};
  BT_AUTO_FREE char *services = bt_asprintf("%s/chat_services.so", dir);
  BT_AUTO_FREE char *abi = bt_asprintf("%s/bad_abi.so", dir);
  BT_AUTO_JSON forbidden = json_pack("{s:s,s:s}", "room", "r", "greeting", "forbidden");
  struct bt_plugin_entry entries[] = {{.name = "a", .plugin = services, .config = forbidden},
                                      {.name = "b", .plugin = abi, .loc = {"berthd.yaml", 7, 5}},
                                      {.name = "c", .plugin = services}};
  BT_AUTO_DIAGS diags = {0};
  bt_plugins_check(entries, 3, dirs, &diags);
  BT_AUTO_FREE char *text = bt_diags_text(&diags);
  ok(strstr(text, "plug-in entry a: greeting: \"forbidden\" is not to be said") != NULL, "validate speaks");
  ok(strstr(text, "berthd.yaml:7:5: error: plug-in entry b: ") && strstr(text, "was built for ABI 2"),
     "the ABI is checked, with the entry's place");
  ok(strstr(text, "room is required") != NULL, "and the fields");
  is_int(diags.errors, 3, "three errors");
}

int main(void) {
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  test_open_server(NULL);
  module_fails("bad_symbol", "undefined symbol: berth_function_that_nobody_has");
  module_fails("bad_none", "exports no berth_plugin_v1");
  module_fails("bad_abi", "was built for ABI 2; this Berth speaks 1: rebuild it with the headers of berth " PACKAGE_VERSION);
  module_fails("bad_abi_number", "was built for ABI 7; this Berth speaks 1");
  module_fails("bad_needs", "needs the service berth.host.telepathy/1, which this Berth " PACKAGE_VERSION " does not offer");
  module_fails("bad_table", "the default of interval, \"ten\", is not a duration");
  module_fails("bad_start", "start: the product behind it has a version from the future (unsupported)");
  run_for(20); /* the timer that it left behind would abort */
  test_files();
  test_list();
  test_inspect();
  test_check();
  test_free_server();
  free(dir);
  return done_testing();
}
