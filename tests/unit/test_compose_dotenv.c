#include "config.h"

#include "compose/internal.h"
#include "compose_mem.h"

static const char *get(void *arg, const char *name) {
  (void)arg;
  return strcmp(name, "HOME") == 0 ? "/root" : NULL;
}

static struct bt_load new_load(struct bt_compose_result *result) {
  return (struct bt_load){.result = result, .diags = &result->diags, .names = bt_map_new(free), .warned = bt_map_new(NULL), .budget = 10000};
}

/* The variables as "NAME=value;…" in order of insertion, or the errors. */
static void reads(const char *text, const char *want, const char *name) {
  struct bt_compose_result result = {0};
  struct bt_load load = new_load(&result);
  struct bt_env_lookup lookup = {get, NULL};
  BT_AUTO_MAP vars = bt_map_new(free);
  BT_AUTO_FREE char *got = bt_strdup("");
  if (bt_compose_env_text(&load, text, strlen(text), "/app/.env", &lookup, vars) == 0) {
    for (struct bt_map_iter it = bt_map_iter(vars); bt_map_next(&it);) {
      char *more = bt_asprintf("%s%s=%s;", got, it.key, (char *)it.value);
      free(got);
      got = more;
    }
  } else {
    free(got);
    got = bt_diags_text(&result.diags);
  }
  is_str(got, want, name);
  bt_map_free(&load.names);
  bt_map_free(&load.warned);
  bt_diags_free(&result.diags);
}

int main(void) {
  reads("A=1\nB = two words \nexport C=3\nD: 4\n", "A=1;B=two words;C=3;D=4;", "plain values");
  reads("# c\n\nA=1 # c\nB=1#2\nC= #x\n", "A=1;B=1#2;C=#x;", "comments");
  reads("A='$HOME it''s'\n", "/app/.env:1:1: error: unexpected character \"'\" in variable name \"'s'\"\n", "text after quotes");
  reads("A='$HOME \\' x'\nB=\"$HOME\\t\\$x\\\"\" # c\nC=\"1\n2\"\n", "A=$HOME ' x;B=/root\t$x\";C=1\n2;", "quotes");
  reads("A=1\nB=$A${A}-${C:-d}\nC=$$A", "A=1;B=11-d;C=$A;", "variables");
  reads("HOME\nNONE\nA=1", "HOME=/root;A=1;", "names alone take the environment's value");
  reads("\xef\xbb\xbf" "A=1\r\nB=2\r\n", "A=1;B=2;", "a mark at the start, carriage returns");
  reads("A=1\nB C=2\n", "/app/.env:2:1: error: the variable name \"B C\" cannot contain a space\n", "a space in a name");
  reads("A=1\n\nB=\"x\n", "/app/.env:3:1: error: unterminated quoted value \"x\n", "no closing quote");
  reads("A=${B:?no B}\n", "/app/.env:1:1: error: required variable B is missing a value: no B\n", "a required variable");
  reads("A=\"\\0101 \\x\"\n", "A=A \\x;", "escapes");
  reads("A=0123456789\nB=$A$A$A$A$A$A$A$A$A$A\nC=$B$B$B$B$B$B$B$B$B$B\nD=$C$C$C$C$C$C$C$C$C$C\n",
        "/app/.env:4:1: error: the variables expand to too much text\n", "doubling");
  reads("A=caf\xe9\n", "/app/.env:1:1: error: this env file is no valid UTF-8; save it as UTF-8\n", "Latin-1");
  return done_testing();
}
