#include "config.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/yaml.h"
#include "tap.h"

struct parsed {
  struct bt_yaml **docs;
  size_t n;
  struct bt_diags diags;
  int rc;
};

static void parsed_free(struct parsed *p) {
  for (size_t i = 0; i < p->n; i++)
    bt_yaml_free(&p->docs[i]);
  free(p->docs);
  bt_diags_free(&p->diags);
}
#define AUTO_PARSED __attribute__((cleanup(parsed_free))) struct parsed

static struct parsed parse_n(const char *text, size_t len) {
  struct parsed p = {0};
  p.rc = bt_yaml_parse(text, len, "f.yaml", NULL, &p.docs, &p.n, &p.diags);
  return p;
}
static struct parsed parse(const char *text) { return parse_n(text, strlen(text)); }

/* The first document as canonical JSON, or the diagnostics. */
static void yields(const char *text, const char *want, const char *name) {
  AUTO_PARSED p = parse(text);
  BT_AUTO_FREE char *got = NULL;
  if (p.rc == 0) {
    BT_AUTO_JSON json = bt_yaml_json(p.docs[0]);
    got = bt_json_canonical(json);
  } else {
    got = bt_diags_text(&p.diags);
  }
  is_str(got, want, name);
}

static void test_scalars(void) {
  yields("{a: 1, b: '1', c: yes, d: true, e: ~, f: , g: 1.5, h: 0x1F, i: 0440, j: 0o17, k: 1_000}",
         "{\"a\":1,\"b\":\"1\",\"c\":\"yes\",\"d\":true,\"e\":null,\"f\":null,\"g\":1.5,\"h\":31,\"i\":288,\"j\":15,\"k\":1000}",
         "plain scalars resolve, quoted ones are strings");
  yields("[1e3, .inf, -5, +5, 08, 1.2.3, 10:20, 99999999999999999999, 2024-01-01, -x, '']",
         "[1000.0,\".inf\",-5,5,8.0,\"1.2.3\",\"10:20\",1e20,\"2024-01-01\",\"-x\",\"\"]", "odd numbers");
  yields("[!!str 1, ! 2, !!int '3', !!float 4, !!null '', !!bool 'true']", "[\"1\",\"2\",3,4.0,null,true]", "YAML's own tags");
  yields("a: |\n  x\n  y\nb: >-\n  x\n  y\nc: \"\\u00e4\\n\"", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\",\"c\":\"ä\\n\"}", "block scalars, escapes");
}

static void test_structure(void) {
  yields("x: &a {p: 1, q: 2}\ny: {<<: *a, q: 3}\nz: {<<: [{r: 1}, {r: 2, s: 3}]}",
         "{\"x\":{\"p\":1,\"q\":2},\"y\":{\"p\":1,\"q\":3},\"z\":{\"r\":1,\"s\":3}}", "anchors and merges");
  yields("a: 'it''s ''a'' ''b'' ''c'' ''d'''", "{\"a\":\"it's 'a' 'b' 'c' 'd'\"}", "many quotes in quotes");
  yields("command: [\n  a,\n  b\n]\n", "{\"command\":[\"a\",\"b\"]}", "a closing bracket in the first column");
  AUTO_PARSED p = parse("---\na: 1\n---\nb: !reset []\nc: !override [x]\nd: !reset\n...\n---\n");
  is_int(p.n, 3, "three documents");
  is_int(bt_yaml_get(p.docs[1], "b")->tag, BT_YAML_RESET, "!reset is kept");
  is_int(bt_yaml_get(p.docs[1], "c")->tag, BT_YAML_OVERRIDE, "!override is kept");
  is_int(bt_yaml_get(p.docs[1], "d")->kind, BT_YAML_NULL, "!reset of nothing");
  is_int(p.docs[2]->kind, BT_YAML_NULL, "an empty document is null");
  struct bt_yaml_pair *c = bt_yaml_pair(p.docs[1], "c");
  is_int(c->loc.line, 5, "a key's line");
  is_int(c->loc.col, 1, "a key's column");
  is_int(c->value->seq.items[0]->loc.col, 15, "an item's column");
  AUTO_PARSED empty = parse("");
  is_int(empty.n, 1, "an empty text is one document");
}

static void test_errors(void) {
  yields("a: 1\nb:\n  c: 1\n  c: 2\n", "f.yaml:4:3: error: the key \"c\" is set twice; it was set first at line 3\n", "duplicate key");
  yields("a: *x", "f.yaml:1:4: error: the alias *x names no anchor that was set before it\n", "unknown alias");
  yields("a: &x [*x]", "f.yaml:1:8: error: the alias *x stands inside the value it names; that would never end\n", "cycle");
  yields("[a]: 1", "f.yaml:1:1: error: a key must be a string, this is a sequence\n", "a key that is no scalar");
  yields("a: {80: 1}", "f.yaml:1:5: error: a key must be a string, 80 is a integer; put it in quotes\n", "a number as key");
  yields("a: !foo 1", "f.yaml:1:9: error: the tag !foo is not known here; known are !reset, !override and YAML's own\n", "unknown tag");
  yields("a: \"\xff\"", "f.yaml:1:5: error: byte 0xff is no valid UTF-8 here; save the file as UTF-8\n", "invalid UTF-8");
  AUTO_PARSED nul = parse_n("a: b\nc\0d: 1", 10);
  is_int(nul.diags.items[0].line, 2, "NUL's line");
  is_int(nul.diags.items[0].col, 2, "NUL's column");
  AUTO_PARSED bad = parse("a: [1, 2\nb: 3\n");
  ok(bad.rc < 0 && bad.diags.items[0].line > 0, "a syntax error has a place");
}

static void deep(const char *open, const char *what) {
  BT_AUTO_BUF b = {0};
  for (int i = 0; i < 100000; i++)
    bt_buf_adds(&b, open);
  AUTO_PARSED p = parse_n(b.data, b.len);
  ok(p.rc < 0 && strstr(p.diags.items[0].message, "nested deeper than 64 levels"), "100,000 times %s is refused", what);
}

static void test_limits(void) {
  deep("[", "[");
  deep("{a: ", "{a: ");
  deep("- ", "- ");
  deep("[\n", "[ on lines of their own");
  deep("? ", "?");
  BT_AUTO_BUF b = {0};
  bt_buf_adds(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
  for (int i = 1; i < 10; i++) {
    bt_buf_addf(&b, "a%d: &a%d [", i, i);
    for (int j = 0; j < 10; j++)
      bt_buf_addf(&b, "%s*a%d", j ? ", " : "", i - 1);
    bt_buf_adds(&b, "]\n");
  }
  AUTO_PARSED bomb = parse_n(b.data, b.len);
  ok(bomb.rc < 0 && strstr(bomb.diags.items[0].message, "aliases counted"), "a billion laughs are refused");
  bt_buf_truncate(&b, 0);
  bt_buf_adds(&b, "a: b");
  for (int i = 0; i < 1000000; i++)
    bt_buf_addc(&b, '\n');
  bt_buf_adds(&b, "  c\n");
  AUTO_PARSED blank = parse_n(b.data, b.len);
  ok(blank.rc < 0 && strstr(blank.diags.items[0].message, "empty lines"), "a million empty lines inside a scalar are refused");
  bt_buf_truncate(&b, 0);
  bt_buf_addc(&b, '[');
  for (int i = 0; i < 1000000; i++)
    bt_buf_adds(&b, "a,");
  AUTO_PARSED line = parse_n(b.data, b.len);
  ok(line.rc < 0 && strstr(line.diags.items[0].message, "line holds too much"), "so is a million items on one line");
  size_t n = 4u << 20;
  BT_AUTO_FREE char *big = malloc(n);
  memset(big, 'a', n);
  AUTO_PARSED large = parse_n(big, n);
  ok(large.rc < 0 && strstr(large.diags.items[0].message, "bytes are more"), "4 MiB are refused");
  bt_buf_truncate(&b, 0);
  for (int i = 0; i < 60000; i++)
    bt_buf_addf(&b, "k%d: 1\n", i);
  AUTO_PARSED wide = parse_n(b.data, b.len);
  ok(wide.rc == 0 && wide.docs[0]->map.len == 60000, "60,000 keys are taken");
}

static void test_tree(void) {
  AUTO_PARSED p = parse("{a: {b: [1, {c: x}]}, d: 2}");
  struct bt_yaml *copy = bt_yaml_copy(p.docs[0]);
  struct bt_yaml *d = bt_yaml_take(copy, "d");
  is_int(d->integer, 2, "take gives the value");
  bt_yaml_set(copy, "a", d->loc, d);
  BT_AUTO_JSON json = bt_yaml_json(copy);
  BT_AUTO_FREE char *text = bt_json_canonical(json);
  is_str(text, "{\"a\":2}", "set replaces");
  BT_AUTO_JSON whole = bt_yaml_json(p.docs[0]);
  BT_AUTO_YAML again = bt_yaml_from_json(whole, (struct bt_loc){0});
  BT_AUTO_JSON back = bt_yaml_json(again);
  ok(bt_json_equal(whole, back), "to JSON and back");
  bt_yaml_free(&copy);
}

int main(void) {
  test_scalars();
  test_structure();
  test_errors();
  test_limits();
  test_tree();
  return done_testing();
}
