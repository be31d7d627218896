/* include and extends: files that bring in others. */
#include "config.h"

#include "base/buf.h"
#include "compose_mem.h"

static void loads(const struct mem_file *files, const char *path, const char *want, const char *name) {
  AUTO_MEM m = {.files = files};
  mem_load(&m);
  if (path)
    mem_is(&m, path, want, name);
  else
    mem_fails(&m, want, name);
}

static void test_include(void) {
  static const struct mem_file files[] = {
      {"/app/compose.yaml", "include:\n  - lib/db.yaml\n  - path: [lib/web.yaml, lib/over.yaml]\n    env_file: web.env\n"
                            "services: {main: {image: \"m$TAG\", depends_on: [db]}}\n"},
      {"/app/lib/db.yaml", "services: {db: {image: \"db$TAG\", volumes: ['./d:/d', 'v:/v']}}\nvolumes: {v: }\n"},
      {"/app/lib/.env", "TAG=-lib"},
      {"/app/lib/web.yaml", "services: {web: {image: \"web$TAG\", env_file: e.env, environment: [W]}}"},
      {"/app/lib/over.yaml", "services: {web: {hostname: h}}"},
      {"/app/lib/e.env", "E=1"},
      {"/app/web.env", "TAG=-web\nW=w"},
      {NULL, NULL}};
  loads(files, "services.main.image", "\"m\"", "the file itself does not see the env file of what it includes");
  loads(files, "services.db.image", "\"db-lib\"", "an included file has the .env of its folder");
  loads(files, "services.db.volumes.0.source", "\"/app/lib/d\"", "and its paths");
  loads(files, "services.web.image", "\"web-web\"", "or the env_file of its entry");
  loads(files, "services.web.hostname", "\"h\"", "several paths are merged");
  loads(files, "services.web.environment", "{\"E\":\"1\",\"W\":\"w\"}", "its environment comes from there too");
  loads(files, "volumes.v.name", "\"app_v\"", "resources come along");
}

static void test_include_twice(void) {
  static const struct mem_file files[] = {{"/app/compose.yaml", "include: [a.yaml, b.yaml]\n"},
                                          {"/app/a.yaml", "include: [common.yaml]\nservices: {a: {image: a}}"},
                                          {"/app/b.yaml", "include: [common.yaml]\nservices: {b: {image: b}}"},
                                          {"/app/common.yaml", "services: {c: {image: c, security_opt: [x]}}"},
                                          {NULL, NULL}};
  loads(files, "services.c.security_opt", "[\"x\"]", "a file that comes by two ways counts once");
}

static void test_include_over(void) {
  static const struct mem_file files[] = {
      {"/app/compose.yaml", "include: [{path: sub/a.yaml, project_directory: .}]\nservices: {a: {hostname: mine, tty: !reset }}\n"},
      {"/app/sub/a.yaml", "services: {a: {image: x, hostname: theirs, tty: true}}\n"},
      {NULL, NULL}};
  loads(files, "services.a", "{\"command\":null,\"entrypoint\":null,\"hostname\":\"mine\",\"image\":\"x\",\"networks\":{\"default\":null}}",
        "what the file says of an included service wins");
}

static void test_include_errors(void) {
  static const struct mem_file circle[] = {{"/app/compose.yaml", "include: [b.yaml]"}, {"/app/b.yaml", "include:\n  - compose.yaml"}, {NULL, NULL}};
  loads(circle, NULL, "/app/b.yaml:2:5: error: /app/compose.yaml includes itself by way of /app/b.yaml", "a circle");
  static const struct mem_file missing[] = {{"/app/compose.yaml", "include:\n  - no.yaml\n  - {path: x.yaml, env_file: no.env}"}, {NULL, NULL}};
  loads(missing, NULL, "/app/compose.yaml:2:5: error: cannot open /app/no.yaml", "a missing file");
  loads(missing, NULL, "/app/compose.yaml:3:5: error: cannot read the env file: cannot open /app/no.env", "and what is missing after it");
  static const struct mem_file shape[] = {{"/app/compose.yaml", "include: [{path: a, pth: b}, 5, 'https://x/y']"}, {NULL, NULL}};
  loads(shape, NULL, "1:21: error: include: \"pth\" is not known", "an unknown key");
  loads(shape, NULL, "1:30: error: include: an entry wants a path", "no path");
  loads(shape, NULL, "\"https://x/y\" is remote", "a remote file");
  static const struct mem_file many[] = {{"/app/compose.yaml", "include: [a.yaml, a.yaml, a.yaml, a.yaml]"},
                                         {"/app/a.yaml", "include: [b.yaml, b.yaml, b.yaml, b.yaml]"},
                                         {"/app/b.yaml", "include: [c.yaml, c.yaml, c.yaml, c.yaml]"},
                                         {"/app/c.yaml", "include: [d.yaml, d.yaml, d.yaml, d.yaml]"},
                                         {"/app/d.yaml", "include: [e.yaml, e.yaml, e.yaml, e.yaml]"},
                                         {"/app/e.yaml", "services: {e: {image: e}}"},
                                         {NULL, NULL}};
  loads(many, NULL, "too many files are read", "a tree that doubles");
}

static void test_extends(void) {
  static const struct mem_file files[] = {
      {"/app/compose.yaml", "services:\n  a: {extends: b, environment: [A=1], hostname: !reset }\n  b: {extends: {service: c}, tty: true}\n"
                            "  c: {image: x, hostname: h, environment: {C: 3}}\n  d: {extends: {file: lib/base.yaml, service: base}, build: {target: t}}\n"},
      {"/app/lib/base.yaml", "services:\n  base: {extends: {file: deep/more.yaml, service: more}, build: ., volumes: ['./v:/v']}\n"},
      {"/app/lib/deep/more.yaml", "services: {more: {env_file: m.env, restart: always}}"},
      {"/app/lib/deep/m.env", "M=1"},
      {NULL, NULL}};
  loads(files, "services.a", "{\"command\":null,\"entrypoint\":null,\"environment\":{\"A\":\"1\",\"C\":\"3\"},\"image\":\"x\",\"networks\":{\"default\":null},\"tty\":true}",
        "a chain in one file, with a reset");
  loads(files, "services.d",
        "{\"build\":{\"context\":\"/app/lib\",\"dockerfile\":\"Dockerfile\",\"target\":\"t\"},\"command\":null,\"entrypoint\":null,"
        "\"environment\":{\"M\":\"1\"},\"networks\":{\"default\":null},\"restart\":\"always\",\"volumes\":[{\"bind\":{},"
        "\"source\":\"/app/lib/v\",\"target\":\"/v\",\"type\":\"bind\"}]}",
        "a chain over files, each with its own folder");
}

static void test_extends_errors(void) {
  static const struct mem_file circle[] = {{"/app/compose.yaml", "services:\n  a: {image: x, extends: b}\n  b: {extends: {service: c, file: c.yaml}}\n"},
                                           {"/app/c.yaml", "services:\n  c: {extends: {service: a, file: compose.yaml}}\n"},
                                           {NULL, NULL}};
  loads(circle, NULL, "/app/compose.yaml:2:26: error: service \"a\" extends itself by way of \"c\" (/app/c.yaml:2)", "a circle over files");
  static const struct mem_file self[] = {{"/app/compose.yaml", "services:\n  a: {extends: a}\n"}, {NULL, NULL}};
  loads(self, NULL, "2:16: error: service \"a\" extends itself", "a service that extends itself");
  static const struct mem_file missing[] = {{"/app/compose.yaml", "services:\n  a: {extends: z}\n  b: {extends: {file: no.yaml, service: x}}\n  c: {extends: {file: e.yaml, service: x}}\n  d: {extends: [1]}\n"},
                                            {"/app/e.yaml", "x-nothing: 1"},
                                            {NULL, NULL}};
  loads(missing, NULL, "2:16: error: cannot extend service \"a\": there is no service \"z\" in /app/compose.yaml", "no such service");
  loads(missing, NULL, "3:41: error: cannot open /app/no.yaml", "no such file");
  loads(missing, NULL, "4:40: error: /app/e.yaml has no services to extend", "a file without services");
  loads(missing, NULL, "5:16: error: services.d.extends wants a service's name", "no reference at all");
  BT_AUTO_BUF b = {0};
  bt_buf_adds(&b, "services:\n  s0: {image: x}\n");
  for (int i = 1; i < 20000; i++)
    bt_buf_addf(&b, "  s%d: {extends: s%d}\n", 20000 - i, 19999 - i);
  const struct mem_file chain[] = {{"/app/compose.yaml", b.data}, {NULL, NULL}};
  loads(chain, NULL, "through more than 64 services", "a chain without end");
}

static void test_growth(void) {
  BT_AUTO_BUF b = {0};
  bt_buf_adds(&b, "services:\n  base:\n    image: x\n    environment:\n");
  for (int i = 0; i < 2000; i++)
    bt_buf_addf(&b, "      K%d: v\n", i);
  for (int i = 0; i < 2000; i++)
    bt_buf_addf(&b, "  s%d: {extends: base}\n", i);
  const struct mem_file files[] = {{"/app/compose.yaml", b.data}, {NULL, NULL}};
  loads(files, NULL, "too many values", "2,000 services that each copy 2,000 variables");
}

int main(void) {
  test_include();
  test_include_over();
  test_include_twice();
  test_include_errors();
  test_extends();
  test_extends_errors();
  test_growth();
  return done_testing();
}
