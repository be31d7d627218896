#include "config.h"

#include "compose_mem.h"

#define SERVICE "services: {a: {image: x, "

static void test_plain(void) {
  mem_two("services: {a: {image: x, hostname: h, tty: true}}", "services: {a: {image: y}, b: {image: z}}", "services.a.image",
          "\"y\"", "the later scalar wins");
  mem_two("services: {a: {image: x, hostname: h}}", "services: {a: {image: ~}}", "services.a.image", "\"x\"", "null changes nothing");
  mem_two(SERVICE "security_opt: [a]}}", SERVICE "security_opt: [b]}}", "services.a.security_opt", "[\"a\",\"b\"]", "sequences append");
  mem_two(SERVICE "security_opt: [a]}}", SERVICE "security_opt: {b: c}}}", NULL,
          "/app/over.yaml:1:40: error: services.a.security_opt: this mapping cannot override a sequence (/app/compose.yaml:1)",
          "kinds that do not match");
  mem_two(SERVICE "command: [a, b]}}", SERVICE "command: c d}}", "services.a.command", "[\"c\",\"d\"]", "command is replaced");
  mem_two(SERVICE "healthcheck: {test: [CMD, a], retries: 2}}}", SERVICE "healthcheck: {test: b}}}", "services.a.healthcheck",
          "{\"retries\":2,\"test\":[\"CMD-SHELL\",\"b\"]}", "so is the healthcheck's test, and nothing else of it");
  mem_two("x-a: {b: [1], c: 1}\nservices: {a: {image: x}}", "x-a: {b: [2], d: 2}", "x-a", "{\"b\":[1,2],\"c\":1,\"d\":2}",
          "extensions merge like anything");
}

static void test_keys(void) {
  mem_two(SERVICE "environment: {A: 1, B: 2}}}", SERVICE "environment: [B=3, C=4]}}", "services.a.environment",
          "{\"A\":\"1\",\"B\":\"3\",\"C\":\"4\"}", "environment: mapping and list");
  mem_two(SERVICE "labels: [a=1, b]}}", SERVICE "labels: {b: x}}}", "services.a.labels", "{\"a\":\"1\",\"b\":\"x\"}", "labels");
  mem_two(SERVICE "ports: ['8080:80', '9000-9001:90-91']}}", SERVICE "ports: [{target: 91, published: '9001', mode: host}, '53:53/udp']}}",
          "services.a.ports",
          "[{\"mode\":\"ingress\",\"protocol\":\"tcp\",\"published\":\"8080\",\"target\":80},"
          "{\"mode\":\"ingress\",\"protocol\":\"tcp\",\"published\":\"9000\",\"target\":90},"
          "{\"mode\":\"host\",\"protocol\":\"tcp\",\"published\":\"9001\",\"target\":91},"
          "{\"mode\":\"ingress\",\"protocol\":\"udp\",\"published\":\"53\",\"target\":53}]",
          "ports by address, target, published and protocol, ranges too");
  mem_two(SERVICE "volumes: ['/x:/data', '/y:/etc/y']}}", SERVICE "volumes: [{type: tmpfs, target: /data}]}}", "services.a.volumes.0",
          "{\"target\":\"/data\",\"type\":\"tmpfs\"}", "volumes by target, the later one at the first one's place");
  mem_two(SERVICE "secrets: [s, {source: t, target: /t}]}}\nsecrets: {s: {file: a}, t: {file: b}}",
          SERVICE "secrets: [{source: s, mode: 0400}]}}", "services.a.secrets.0.mode", "\"0400\"", "secrets by target");
  mem_two(SERVICE "cap_add: [A, B]}}", SERVICE "cap_add: [B, C]}}", "services.a.cap_add", "[\"A\",\"B\",\"C\"]", "capabilities");
  mem_two(SERVICE "expose: [80, '81']}}", SERVICE "expose: ['80', 82]}}", "services.a.expose", "[\"80\",\"81\",\"82\"]", "expose");
}

static void test_forms(void) {
  mem_two(SERVICE "depends_on: [b]}, b: {image: y}, c: {image: z}}",
          "services: {a: {depends_on: {c: {condition: service_healthy}}}}", "services.a.depends_on",
          "{\"b\":{\"condition\":\"service_started\",\"required\":true},\"c\":{\"condition\":\"service_healthy\",\"required\":true}}",
          "depends_on: list and mapping");
  mem_two(SERVICE "networks: [n]}}\nnetworks: {n: , m: }", "services: {a: {networks: {m: {aliases: [z]}}}}", "services.a.networks",
          "{\"m\":{\"aliases\":[\"z\"]},\"n\":null}", "networks: list and mapping");
  mem_two("services: {a: {build: ./d}}", "services: {a: {build: {target: t}}}", "services.a.build",
          "{\"context\":\"/app/d\",\"dockerfile\":\"Dockerfile\",\"target\":\"t\"}", "build: string and mapping");
  mem_two(SERVICE "dns: 1.1.1.1}}", SERVICE "dns: [8.8.8.8]}}", "services.a.dns", "[\"1.1.1.1\",\"8.8.8.8\"]", "dns: string and list");
  mem_two(SERVICE "logging: {driver: json-file, options: {a: '1'}}}}", SERVICE "logging: {driver: syslog}}}", "services.a.logging",
          "{\"driver\":\"syslog\"}", "another logging driver starts anew");
  mem_two(SERVICE "logging: {driver: json-file, options: {a: '1'}}}}", SERVICE "logging: {options: {b: '2'}}}}", "services.a.logging",
          "{\"driver\":\"json-file\",\"options\":{\"a\":\"1\",\"b\":\"2\"}}", "the same one goes on");
  mem_two(SERVICE "extra_hosts: {h: 1.1.1.1}}}", SERVICE "extra_hosts: ['h=1.1.1.1', 'i=2.2.2.2']}}", "services.a.extra_hosts",
          "[\"h=1.1.1.1\",\"i=2.2.2.2\"]", "extra_hosts without repetition");
}

static void test_tags(void) {
  mem_two(SERVICE "ports: ['80:80'], environment: {A: 1, B: 2}}}", SERVICE "ports: !reset [], environment: {B: !reset null}}}",
          "services.a", "{\"command\":null,\"entrypoint\":null,\"environment\":{\"A\":\"1\"},\"image\":\"x\",\"networks\":{\"default\":null}}",
          "!reset takes away");
  mem_two(SERVICE "ports: ['80:80']}}", SERVICE "ports: !override ['81:81']}}", "services.a.ports",
          "[{\"mode\":\"ingress\",\"protocol\":\"tcp\",\"published\":\"81\",\"target\":81}]", "!override replaces");
  mem_two("services: {a: {image: x}, b: {image: y}}", "services: {b: !reset }", "services.b", NULL, "a whole service");
  mem_one(SERVICE "command: [a, !reset b, c]}}", NULL, "services.a.command", "[\"a\",\"c\"]", "an item of a sequence");
  mem_one("services: {a: {image: x, tty: true}}\n---\nservices: {a: {tty: !reset , hostname: h}}", NULL, "services.a",
          "{\"command\":null,\"entrypoint\":null,\"hostname\":\"h\",\"image\":\"x\",\"networks\":{\"default\":null}}", "documents of one file");
}

static void test_wide(void) {
  BT_AUTO_FREE char *a = bt_calloc(1, 2000000), *b = bt_calloc(1, 2000000);
  char *p = a + sprintf(a, "services: {a: {image: x, environment: {"), *q = b + sprintf(b, "services: {a: {environment: {");
  for (int i = 0; i < 20000; i++) {
    p += sprintf(p, "K%d: 1, ", i);
    q += sprintf(q, "K%d: 2, ", i);
  }
  strcpy(p, "}}}");
  strcpy(q, "}}}");
  mem_two(a, b, "services.a.environment.K19999", "\"2\"", "20,000 variables over 20,000");
}

int main(void) {
  test_plain();
  test_keys();
  test_forms();
  test_tags();
  test_wide();
  return done_testing();
}
