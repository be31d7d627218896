#include "config.h"

#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/yaml.h"
#include "plugin/fields.h"
#include "tap.h"

static const struct berth_field fields[] = {
    {.name = "name", .type = BERTH_STRING, .required = true, .doc = "A name."},
    {.name = "interval", .type = BERTH_DURATION, .fallback = "10s", .min = 100, .max = 60000, .doc = "How often."},
    {.name = "buffer", .type = BERTH_SIZE, .fallback = "64KiB", .doc = "How much."},
    {.name = "rooms", .type = BERTH_LIST, .min = 0, .max = 2, .doc = "Rooms."},
    {.name = "colors", .type = BERTH_MAP, .doc = "Colors."},
    {.name = "retries", .type = BERTH_INT, .min = 1, .max = 9, .fallback = "3", .doc = "How many times."},
    {.name = "loud", .type = BERTH_BOOL, .fallback = "false", .doc = "In capitals."},
    {.name = "password", .type = BERTH_STRING, .secret = true, .doc = "The password."},
    {.name = "accounts", .type = BERTH_JSON, .secret = true, .doc = "Accounts."},
    {0}};

/* The checked configuration as text, or the first error's. */
static char *check(const char *text) {
  BT_AUTO_JSON config = json_loads(text, JSON_DECODE_ANY, NULL);
  BT_AUTO_JSON out = NULL;
  BT_AUTO_DIAGS diags = {0};
  if (bt_plugin_config_check(fields, config, NULL, &diags, &out) != 0)
    return bt_diags_text(&diags);
  return bt_json_text(out);
}

static void gives(const char *config, const char *want, const char *name) {
  BT_AUTO_FREE char *got = check(config);
  is_str(got, want, name);
}

#define DEFAULTS "\"buffer\":65536,\"retries\":3,\"loud\":false"

static void test_values(void) {
  gives("{\"name\":\"a\"}", "{\"name\":\"a\",\"interval\":10000," DEFAULTS "}", "defaults are filled, in their units");
  gives("{\"name\":\"a\",\"interval\":\"1m\",\"buffer\":\"1.5MiB\",\"retries\":9,\"loud\":true,\"rooms\":[\"x\"],"
        "\"colors\":{\"info\":\"green\"}}",
        "{\"name\":\"a\",\"interval\":60000,\"buffer\":1572864,\"rooms\":[\"x\"],\"colors\":{\"info\":\"green\"},"
        "\"retries\":9,\"loud\":true}",
        "every type is read");
  gives("{}", "error: name is required: A name.\n", "a required field is missed");
  gives("{\"name\":7}", "error: name must be a string\n", "a number is no string");
  gives("{\"name\":\"a\",\"interval\":10}", "error: interval needs a unit: a duration as \"10s\"\n", "a duration has a unit");
  gives("{\"name\":\"a\",\"interval\":\"2m\"}", "error: interval is 120000 ms; allowed are 100 to 60000 ms\n",
        "a duration over its maximum");
  gives("{\"name\":\"a\",\"retries\":0}", "error: retries is 0; allowed are 1 to 9\n", "an integer under its minimum");
  gives("{\"name\":\"a\",\"retries\":1.5}", "error: retries must be an integer\n", "a real is no integer");
  gives("{\"name\":\"a\",\"rooms\":[\"a\",\"b\",\"c\"]}", "error: rooms is 3 items; allowed are 0 to 2 items\n",
        "a list that is too long");
  gives("{\"name\":\"a\",\"rooms\":[1]}", "error: rooms must be a list of strings\n", "a list of numbers");
  gives("{\"name\":\"a\",\"colors\":{\"a\":{}}}", "error: colors must be a map of strings\n", "a map of objects");
  gives("{\"name\":\"a\",\"buffer\":-1}", "error: buffer must be a size (as \"64MiB\")\n", "a negative size");
  gives("{\"name\":\"a\",\"nmae\":1,\"zzzzzz\":2}", "error: unknown key \"nmae\"; did you mean \"name\"?\n"
                                                     "error: unknown key \"zzzzzz\"\n",
        "unknown keys are all named, with the nearest known");
  gives("{\"name\":null}", "error: name is required: A name.\n", "null is no value");
  gives("[1]", "error: config must be a mapping of names to values\n", "a list is no config");
  gives("{\"name\":{\"secret\":\"x\"}}", "error: name is no secret field: give its value as it is\n",
        "a secret where none is due");
}

static void test_places(void) {
  static const char text[] = "name: a\nretries: 12\nintervall: 3s\n";
  BT_AUTO_DIAGS diags = {0};
  struct bt_yaml **docs = NULL;
  size_t n = 0;
  is_int(bt_yaml_parse(text, sizeof text - 1, "berthd.yaml", NULL, &docs, &n, &diags), 0, "the YAML parses");
  BT_AUTO_JSON config = bt_yaml_json(docs[0]);
  BT_AUTO_JSON out = NULL;
  is_int(bt_plugin_config_check(fields, config, docs[0], &diags, &out), -1, "the check fails");
  BT_AUTO_FREE char *got = bt_diags_text(&diags);
  is_str(got,
         "berthd.yaml:3:1: error: unknown key \"intervall\"; did you mean \"interval\"?\n"
         "berthd.yaml:2:10: error: retries is 12; allowed are 1 to 9\n",
         "errors name their places");
  for (size_t i = 0; i < n; i++)
    bt_yaml_free(&docs[i]);
  free(docs);
}

static void test_secrets(void) {
  char dir[] = "/tmp/berth-test-XXXXXX";
  ok(mkdtemp(dir) != NULL, "a folder");
  BT_AUTO_FREE char *path = bt_path_join(dir, "pw");
  BT_AUTO_ERR err = NULL;
  is_int(bt_file_write(path, "from file\n", 10, 0600, &err), 0, "a secret's file");
  BT_AUTO_FREE char *text = bt_asprintf("{\"name\":\"a\",\"password\":{\"file\":\"%s\"},\"accounts\":{\"r1\":{\"user\":\"u\","
                                        "\"password\":{\"secret\":\"s1\"}},\"r2\":[{\"secret\":\"s2\"},{\"secret\":\"s1\"}]}}",
                                        path);
  BT_AUTO_JSON config = json_loads(text, 0, NULL);
  BT_AUTO_JSON out = NULL;
  BT_AUTO_DIAGS diags = {0};
  is_int(bt_plugin_config_check(fields, config, NULL, &diags, &out), 0, "references stand for text");
  BT_AUTO_STRS names = {0};
  bt_plugin_config_secrets(fields, out, &names);
  ok(names.len == 2 && !strcmp(names.items[0], "s1") && !strcmp(names.items[1], "s2"), "the names, each once");
  BT_AUTO_JSON again = json_deep_copy(out);
  is_int(bt_plugin_config_resolve(fields, again, NULL, &err), -1, "without values");
  is_str(bt_err_message(err), "accounts: r1: password: no secret \"s1\" in namespace default: make it with \"berth secret put s1 FILE\"",
         "the missing secret is named");
  BT_AUTO_MAP values = bt_map_new(NULL);
  char one[] = "one", two[] = "two";
  bt_map_set(values, "s1", one);
  bt_map_set(values, "s2", two);
  bt_err_free(&err);
  is_int(bt_plugin_config_resolve(fields, out, values, &err), 0, "with values");
  is_str(bt_json_str(out, "password"), "from file", "a file's text without its last newline");
  BT_AUTO_FREE char *accounts = bt_json_text(json_object_get(out, "accounts"));
  is_str(accounts, "{\"r1\":{\"user\":\"u\",\"password\":\"one\"},\"r2\":[\"two\",\"one\"]}", "at any depth");
  unlink(path);
  rmdir(dir);
}

static void bad_table(const struct berth_field *table, const char *want, const char *name) {
  BT_AUTO_ERR err = NULL;
  int rc = bt_plugin_fields_check(table, &err);
  ok(rc == -1, "%s: refused", name);
  is_str(bt_err_message(err), want, name);
}

static void test_tables(void) {
  BT_AUTO_ERR err = NULL;
  is_int(bt_plugin_fields_check(fields, &err), 0, "a sound table");
  is_int(bt_plugin_fields_check(NULL, &err), 0, "no table");
  struct berth_field twice[] = {{.name = "a", .doc = "A."}, {.name = "a", .doc = "A."}, {0}};
  bad_table(twice, "its config field a stands twice", "a field twice");
  struct berth_field name[] = {{.name = "A-b", .doc = "A."}, {0}};
  bad_table(name, "its config field \"A-b\" is no name of a-z 0-9 _", "a bad name");
  struct berth_field type[] = {{.name = "a", .type = (enum berth_type)12, .doc = "A."}, {0}};
  bad_table(type, "its config field a has the type 12, which ABI 1 does not know", "a type of the future");
  struct berth_field doc[] = {{.name = "a"}, {0}};
  bad_table(doc, "its config field a has no doc", "no doc");
  struct berth_field fallback[] = {{.name = "a", .type = BERTH_INT, .fallback = "x", .doc = "A."}, {0}};
  bad_table(fallback, "the default of a, \"x\", is not an integer", "a default of another type");
  struct berth_field range[] = {{.name = "a", .type = BERTH_INT, .fallback = "7", .min = 1, .max = 5, .doc = "A."}, {0}};
  bad_table(range, "the default of a: a is 7; allowed are 1 to 5", "a default out of its range");
}

static void test_schema(void) {
  BT_AUTO_JSON schema = bt_plugin_fields_schema(fields, "x");
  json_t *properties = bt_json_obj(schema, "properties");
  is_int(json_object_size(properties), 9, "a property per field");
  BT_AUTO_FREE char *required = bt_json_text(json_object_get(schema, "required"));
  is_str(required, "[\"name\"]", "required fields");
  BT_AUTO_FREE char *retries = bt_json_text(json_object_get(properties, "retries"));
  is_str(retries, "{\"type\":\"integer\",\"description\":\"How many times.\",\"minimum\":1,\"maximum\":9,\"default\":3}", "a field");
  ok(bt_json_arr(json_object_get(properties, "password"), "anyOf") != NULL, "a secret takes text or a reference");
  ok(json_is_false(json_object_get(schema, "additionalProperties")), "no other keys");
}

int main(void) {
  test_values();
  test_places();
  test_secrets();
  test_tables();
  test_schema();
  return done_testing();
}
