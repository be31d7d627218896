/* runtime-docker where the engine has several networks of one name: what a server leaves that was killed while it made one. */
#include "config.h"

#include "plugins/runtime.h"

#define CURL "curl -s --unix-socket %s "

/* A network that nobody checks for duplicates; its id. The caller frees. */
static char *raw(const char *name, const char *label) {
  return sh_line(CURL "-X POST -H 'Content-Type: application/json' -d '{\"Name\":\"%s-%s\",\"Labels\":{\"%s\":\"%s\"}}' http://d/v1.41/networks/create | "
                      "sed -E 's/.*\"Id\":\"([0-9a-f]+)\".*/\\1/'",
                 R.socket, R.label, name, label, R.label);
}

static void count_is(const char *name, const char *want, const char *what) {
  BT_AUTO_FREE char *n = sh_line(DOCKER "network ls -q -f name='^%s-%s$' | wc -l", R.socket, R.label, name);
  is_str(n, want, what);
}

static void there(const char *id, bool want, const char *what) {
  ok(sh(DOCKER "network inspect %s >/dev/null 2>&1", R.socket, id) == want, "%s", what);
}

static void ensure(struct rt *c, const char *name) {
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  BT_AUTO_FREE char *labels = bt_asprintf("{\"berth.test\":\"%s\"}", R.label);
  struct berth_runtime_network request = {.size = sizeof request, .name = full, .spec_json = "{}", .labels_json = labels};
  rt(c, network_ensure, &request);
}

static void removal(const char *name, enum bt_code code, const char *words, const char *what) {
  BT_AUTO_FREE char *full = bt_asprintf("%s-%s", R.label, name);
  RT c = {0};
  rt(&c, network_remove, full);
  if (rt_is(&c, code, what) && words)
    ok(strstr(c.message, words), "it says: %s", words);
}

static void test_oldest_stays(void) {
  BT_AUTO_FREE char *a = raw("two", "berth.test"), *b = raw("two", "berth.test"), *c = raw("two", "berth.test");
  (void)b, (void)c; /* there, and freed */
  count_is("two", "3", "three of one name");
  RT one = {0}, again = {0};
  ensure(&one, "two");
  rt_is(&one, BT_OK, "network_ensure");
  is_str(rt_str(&one, "id"), a, "the oldest is used");
  ok(!bt_json_bool(one.result, "created", true), "none is made");
  count_is("two", "1", "the others are removed");
  ensure(&again, "two");
  is_str(rt_str(&again, "id"), a, "and so it stays");
  removal("two", BT_OK, NULL, "network_remove");
}

static void test_used_stays(void) {
  BT_AUTO_FREE char *a = raw("used", "berth.test"), *b = raw("used", "berth.test");
  ok(sh(DOCKER "run -d --name %s-user --label %s %s sleep 600 >/dev/null && " DOCKER "network connect %s %s-user", R.socket, R.label, R.full, R.image,
        R.socket, b, R.label), "a container on the younger one");
  RT c = {0};
  ensure(&c, "used");
  rt_is(&c, BT_OK, "network_ensure");
  is_str(rt_str(&c, "id"), b, "what a container uses is used");
  there(a, false, "the other one is removed");
  removal("used", BT_CONFLICT, "-user", "while a container runs on it");
  BT_AUTO_FREE char *n = sh_line(DOCKER "network inspect -f '{{len .Containers}}' %s", R.socket, b);
  is_str(n, "1", "which is not cut off");
  ok(sh(DOCKER "rm -f %s-user >/dev/null", R.socket, R.label), "without it");
  removal("used", BT_OK, NULL, "it goes");
  there(b, false, "it is gone");
}

static void test_remove_all(void) {
  BT_AUTO_FREE char *a = raw("all", "berth.test"), *b = raw("all", "berth.test"), *longer = raw("all-more", "berth.test");
  (void)a, (void)b;
  removal("all", BT_OK, NULL, "network_remove of two");
  count_is("all", "0", "all of that name are gone");
  there(longer, true, "another that begins so is not");
  removal("all-more", BT_OK, NULL, "until it is asked for");
}

static void test_remove_by_id(void) {
  BT_AUTO_FREE char *a = raw("id", "berth.test"), *b = raw("id", "berth.test"), *other = raw("id", "other.test");
  RT c = {0}, again = {0}, stranger = {0};
  rt(&c, network_remove, a);
  rt_is(&c, BT_OK, "network_remove of an id");
  there(a, false, "that one is gone");
  there(b, true, "another of its name is not");
  rt(&again, network_remove, a);
  rt_is(&again, BT_OK, "what is gone is removed");
  rt(&stranger, network_remove, other);
  there(other, true, "a stranger's is not removed by its id either");
  removal("id", BT_OK, NULL, "the rest");
}

static void test_strangers(void) {
  BT_AUTO_FREE char *ours = raw("theirs", "berth.test"), *theirs = raw("theirs", "other.test");
  RT c = {0};
  ensure(&c, "theirs");
  is_str(rt_str(&c, "id"), theirs, "a stranger's is used rather than removed");
  there(ours, false, "ours goes");
  removal("theirs", BT_OK, NULL, "network_remove");
  there(theirs, true, "a stranger's is never removed");
  BT_AUTO_FREE char *more = raw("theirs", "other.test");
  RT d = {0};
  ensure(&d, "theirs");
  if (rt_is(&d, BT_CONFLICT, "two strangers' of one name"))
    ok(strstr(d.message, "remove all but one"), "it says what to do");
  there(theirs, true, "none is removed");
  there(more, true, "neither");
  ok(sh(DOCKER "network rm %s %s >/dev/null", R.socket, theirs, more), "clean");
}

/* One that comes up only after the look behind our create, as a slow engine does it. */
static void test_comes_late(void) {
  RT c = {0};
  ensure(&c, "late");
  ok(bt_json_bool(c.result, "created", false), "it is made");
  BT_AUTO_FREE char *other = raw("late", "berth.test");
  for (int i = 0; i < 50 && sh(DOCKER "network inspect %s >/dev/null 2>&1", R.socket, other); i++)
    run_for(100);
  there(other, false, "one that comes late is removed");
  there(rt_str(&c, "id"), true, "ours stays");
  removal("late", BT_OK, NULL, "network_remove");
}

int main(void) {
  if (!sh("command -v curl >/dev/null") || !rt_setup())
    return skip_all("no container engine answers at /var/run/docker.sock, or docker, curl or busybox-static is missing");
  bool has = !R.oci && !R.podman;
  const char *why = R.oci ? "a network of runtime-oci is a file with its name: there are no two of one name" : "Podman has no two networks of one name";
  RUN_WHERE(has, why, test_oldest_stays);
  RUN_WHERE(has, why, test_used_stays);
  RUN_WHERE(has, why, test_remove_all);
  RUN_WHERE(has, why, test_remove_by_id);
  RUN_WHERE(has, why, test_strangers);
  RUN_WHERE(has, why, test_comes_late);
  if (has)
    sh("for n in $(" DOCKER "network ls -q -f label=other.test=%s); do " DOCKER "network rm $n; done >/dev/null 2>&1", R.socket, R.label, R.socket);
  return rt_finish();
}
