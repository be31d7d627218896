/* Plug-ins beside each other: needs, exclusive roles, conflicts, versions; as pure judgements, and as the registry acts on them. */
#include "config.h"

#include <berth/chat.h>

#include "plugin/compat.h"
#include "plugins/host.h"

static const struct berth_chat chat = {.size = sizeof chat};
static const struct berth_interface chats[] = {{BERTH_CHAT, &chat}, {0}};
static const char *const ingress[] = {"route.ingress", NULL};
static const char *const no_strangers[] = {"lb-stranger", NULL};
static const char *const services[] = {BERTH_HOST_OPS, "berth.host.telepathy/1", NULL};
static const struct berth_depend on_chat[] = {{BERTH_CHAT, NULL, false, "to tell somebody"}, {0}};
static const struct berth_depend on_lb[] = {{"lb-a", ">=2", true, "for weights"}, {0}};
static const struct berth_product docker[] = {{"docker", ">=1.41 <2", "Docker Engine API"}, {"podman", ">=1.41", NULL}, {0}};
static const struct berth_product haproxy[] = {{"haproxy", ">=2.4", "HAProxy"}, {0}};

static const struct berth_manifest lb_a = {BERTH_MANIFEST_SIZES, .id = "lb-a", .version = "1.4.0", .exclusive = ingress, .products = haproxy};
static const struct berth_manifest lb_b = {BERTH_MANIFEST_SIZES, .id = "lb-b", .version = "1.0.0", .exclusive = ingress};
static const struct berth_manifest stranger = {BERTH_MANIFEST_SIZES, .id = "lb-stranger", .version = "1.0.0"};
static const struct berth_manifest shy = {BERTH_MANIFEST_SIZES, .id = "lb-shy", .version = "1.0.0", .conflicts = no_strangers};
static const struct berth_manifest talker = {BERTH_MANIFEST_SIZES, .id = "ci-talker", .version = "1.0.0", .depends = on_chat};
static const struct berth_manifest speaker = {BERTH_MANIFEST_SIZES, .id = "chat-s", .version = "1.0.0", .interfaces = chats};
static const struct berth_manifest weigher = {BERTH_MANIFEST_SIZES, .id = "ci-weigher", .version = "1.0.0", .depends = on_lb, .needs = services};
static const struct berth_manifest engine = {BERTH_MANIFEST_SIZES, .id = "runtime-x", .version = "1.0.0", .products = docker};

static void judged(const struct bt_member *members, size_t n, size_t i, enum bt_compat want, const char *sentence, const char *name) {
  BT_AUTO_FREE char *why = NULL;
  is_int(bt_compat_judge(members, n, i, &why), want, name);
  if (!ok(sentence ? why && strstr(why, sentence) : !why, "%s: the sentence", name))
    printf("# got: %s\n", why ? why : "none");
}

static void test_judgements(void) {
  struct bt_member roles[] = {{"edge", &lb_a, BT_MEMBER_COMING, NULL}, {"spare", &lb_b, BT_MEMBER_COMING, NULL}};
  judged(roles, 2, 0, BT_COMPAT_FINE, NULL, "the first of two has the role");
  judged(roles, 2, 1, BT_COMPAT_NO, "spare and edge (lb-a) both claim the role route.ingress", "the second not");
  roles[1].state = BT_MEMBER_RUNS;
  judged(roles, 2, 0, BT_COMPAT_NO, "edge and spare (lb-b)", "who runs keeps it");
  judged(roles, 2, 1, BT_COMPAT_FINE, NULL, "and goes on");
  roles[1].state = BT_MEMBER_OUT;
  judged(roles, 2, 0, BT_COMPAT_FINE, NULL, "who is out claims nothing");
  struct bt_member pair[] = {{"s", &stranger, BT_MEMBER_RUNS, NULL}, {"shy", &shy, BT_MEMBER_COMING, NULL}};
  judged(pair, 2, 1, BT_COMPAT_NO, "lb-shy cannot run beside s (lb-stranger 1.0.0)", "a conflict");
  struct bt_member other[] = {{"shy", &shy, BT_MEMBER_RUNS, NULL}, {"s", &stranger, BT_MEMBER_COMING, NULL}};
  judged(other, 2, 1, BT_COMPAT_NO, "lb-stranger cannot run beside shy", "also where the other says so");
}

static void test_needs(void) {
  struct bt_member m[] = {{"t", &talker, BT_MEMBER_COMING, NULL}, {"c", NULL, BT_MEMBER_COMING, NULL}};
  judged(m, 1, 0, BT_COMPAT_NO, "ci-talker needs berth.chat/1, to tell somebody, and no entry offers it: add one", "a need");
  judged(m, 2, 0, BT_COMPAT_WAITS, "waits for berth.chat/1", "somebody is not known yet");
  m[1].m = &speaker;
  judged(m, 2, 0, BT_COMPAT_FINE, NULL, "it is there");
  m[1].state = BT_MEMBER_OUT;
  m[1].error = "its url is none";
  judged(m, 2, 0, BT_COMPAT_NO, "c has it, and does not run: its url is none", "it failed");
  struct bt_member v[] = {{"w", &weigher, BT_MEMBER_COMING, NULL}, {"lb", &lb_a, BT_MEMBER_RUNS, NULL}};
  judged(v, 1, 0, BT_COMPAT_FINE, NULL, "an optional one may be absent");
  judged(v, 2, 0, BT_COMPAT_NO, "ci-weigher needs lb-a in a version >=2, for weights; lb has 1.4.0", "but not of another version");
}

static bool only_ops(void *arg, const char *service) { return (void)arg, strcmp(service, BERTH_HOST_OPS) == 0; }

static const char *cell(const json_t *table, const char *element, const char *key) {
  size_t i;
  json_t *o;
  json_array_foreach(table, i, o) {
    if (bt_streq(bt_json_str(o, "element"), element))
      return bt_json_str_or(o, key, "");
  }
  return "no such row";
}

static void test_table(void) {
  struct bt_member m[] = {{"w", &weigher, BT_MEMBER_RUNS, NULL}, {"edge", &lb_a, BT_MEMBER_RUNS, NULL},
                          {"box", &engine, BT_MEMBER_RUNS, NULL}, {"b", &lb_b, BT_MEMBER_OUT, NULL}};
  BT_AUTO_JSON w = bt_compat_table(m, 4, 0, NULL, only_ops, NULL);
  is_str(cell(w, "w host services", "found"), "lacks berth.host.telepathy/1", "a service that is missing");
  is_str(cell(w, "w host services", "verdict"), "error", "is an error");
  is_str(cell(w, "w needs", "found"), "edge (lb-a 1.4.0)", "who was found");
  is_str(cell(w, "w needs", "verdict"), "error", "in a wrong version");
  BT_AUTO_JSON old = json_pack("{s:s}", "", "2.2.9");
  BT_AUTO_JSON edge = bt_compat_table(m, 4, 1, old, only_ops, NULL);
  is_str(cell(edge, "edge product", "declared"), "haproxy >=2.4", "a product");
  is_str(cell(edge, "edge product", "found"), "2.2.9", "its version");
  is_str(cell(edge, "edge product", "mend"), "run haproxy in a version >=2.4: HAProxy", "the mend");
  is_str(cell(edge, "edge role", "verdict"), "error", "a role that two claim");
  BT_AUTO_JSON podman = json_pack("{s:s}", "podman", "1.41");
  BT_AUTO_JSON box = bt_compat_table(m, 4, 2, podman, only_ops, NULL);
  is_str(cell(box, "box product", "declared"), "podman >=1.41", "of several products the one that is there");
  is_str(cell(box, "box product", "verdict"), "ok", "in a good version");
  BT_AUTO_JSON none = bt_compat_table(m, 4, 2, NULL, only_ops, NULL);
  is_int(json_array_size(none), 1, "nothing found: one line");
  is_str(cell(none, "box product", "verdict"), "warning", "a warning");
  BT_AUTO_JSON unseen = json_pack("{s:s}", "", "");
  BT_AUTO_JSON later = bt_compat_table(m, 4, 1, unseen, only_ops, NULL);
  is_str(cell(later, "edge product", "verdict"), "unknown", "one that comes to us was not seen yet");
}

/* ---------------------------------------------------------------- the registry */

static char *dir;

static void load(const char *list) { /* "lead=team_lead member=team_member" */
  BT_AUTO_JSON entries = json_array();
  BT_AUTO_FREE char *copy = bt_strdup(list);
  for (char *save = NULL, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    char *module = strchr(word, '=');
    *module++ = '\0';
    bool broken = bt_ends(module, "!"); /* its configuration has a key that is none */
    BT_AUTO_FREE char *path = bt_asprintf("%s/%.*s.so", dir, (int)strcspn(module, "!"), module);
    json_t *entry = json_pack("{s:s,s:s}", "name", word, "plugin", path);
    if (broken)
      bt_json_set(entry, "config", json_pack("{s:b}", "nonsense", 1));
    json_array_append_new(entries, entry);
  }
  BT_AUTO_FREE char *text = bt_json_text(entries);
  test_load(text);
  run_for(30);
}

static void stands(const char *name, enum bt_plugin_status status, const char *error, const char *what) {
  struct bt_plugin *p = bt_plugins_named(T.plugins, name);
  ok(p && bt_plugin_status(p) == status && strstr(bt_plugin_error(p), error), "%s", what);
  if (p && bt_plugin_status(p) != status)
    printf("# status %d: %s\n", (int)bt_plugin_status(p), bt_plugin_error(p));
}

static void test_registry(void) {
  load("member=team_member");
  stands("member", BT_PLUGIN_FAILED, "team-member needs team-lead, to know what to do, and no entry offers it", "alone it does not start");
  load("member=team_member lead=team_lead");
  stands("lead", BT_PLUGIN_OK, "", "the leader came");
  stands("member", BT_PLUGIN_OK, "", "then it starts, wherever it stands");
  load("member=team_member lead=team_lead second=team_lead");
  stands("second", BT_PLUGIN_FAILED, "second and lead (team-lead) both claim the role team.lead", "a second leader is refused");
  stands("member", BT_PLUGIN_OK, "", "which is no business of others");
  load("member=team_member second=team_lead");
  stands("second", BT_PLUGIN_OK, "", "the first went, the second is it");
  stands("member", BT_PLUGIN_OK, "", "and the need is met");
  load("member=team_member");
  stands("member", BT_PLUGIN_FAILED, "no entry offers it", "without one it is stopped");
  BT_AUTO_JSON table = bt_plugins_table(T.plugins, NULL);
  is_str(cell(table, "member needs", "verdict"), "error", "the table says so");
  is_str(cell(table, "member interface", "found"), "2 of its 2 methods", "and what it offers");
  BT_AUTO_DIAGS diags = {0};
  BT_AUTO_FREE char *path = bt_asprintf("%s/team_member.so", dir);
  struct bt_plugin_entry entry = {.name = "m", .plugin = path, .loc = {"berthd.yaml", 9, 3}};
  bt_plugins_check(&entry, 1, NULL, &diags);
  BT_AUTO_FREE char *text = bt_diags_text(&diags);
  ok(strstr(text, "berthd.yaml:9:3: error: plug-in entry m: team-member needs team-lead"), "--check says it with the place");
}

/* Two that need each other, and one of them a third that fails: held as long as it does, and not a moment longer. */
static void test_mutual(const char *both) {
  BT_AUTO_FREE char *broken = bt_asprintf("%s lead=team_lead!", both), *mended = bt_asprintf("%s lead=team_lead", both);
  load("");
  load(both);
  stands("a", BT_PLUGIN_FAILED, "needs team-lead, to be led, and no entry offers it", "the third is absent");
  stands("b", BT_PLUGIN_FAILED, "a has it, and does not run: ", "who needs who is held is held, too");
  load(mended);
  stands("a", BT_PLUGIN_OK, "", "it came: both run");
  stands("b", BT_PLUGIN_OK, "", "each with the other");
  load("");
  load(broken);
  stands("lead", BT_PLUGIN_FAILED, "nonsense", "the third fails");
  stands("a", BT_PLUGIN_FAILED, "lead has it, and does not run", "its sentence names it");
  stands("b", BT_PLUGIN_FAILED, "", "and the other waits for it, too");
  load(mended);
  stands("a", BT_PLUGIN_OK, "", "it is mended: both run");
  stands("b", BT_PLUGIN_OK, "", "each with the other");
  load(both);
  stands("a", BT_PLUGIN_FAILED, "no entry offers it", "it went: they are stopped");
  stands("b", BT_PLUGIN_FAILED, "", "both");
  load("");
  load("lead=team_lead second=team_lead member=team_member");
  load("lead=team_lead");
  load("second=team_lead member=team_member lead=team_lead");
  stands("lead", BT_PLUGIN_OK, "", "who runs keeps its role");
  stands("second", BT_PLUGIN_FAILED, "second and lead (team-lead) both claim", "one that comes back before it is judged as itself");
  stands("member", BT_PLUGIN_OK, "", "as is the next");
  load("");
  load("a=team_pair_a second=team_lead lead=team_lead");
  stands("a", BT_PLUGIN_FAILED, "needs team-pair-b", "one of the two alone does not run");
  stands("second", BT_PLUGIN_OK, "", "of two rivals the first does");
  stands("lead", BT_PLUGIN_FAILED, "both claim the role", "and the other not, however often they are judged");
}

int main(void) {
  test_judgements();
  test_needs();
  test_table();
  dir = test_modules("tests/plugins/.libs");
  BT_ASSERT(dir);
  test_open_server(NULL);
  test_registry();
  test_mutual("a=team_pair_a b=team_pair_b");
  test_mutual("b=team_pair_b a=team_pair_a");
  test_free_server();
  free(dir);
  return done_testing();
}
