/* The parts of scm-git that need neither git nor a network. */
#include "../../plugins/common/util.h"
#include "../../plugins/scm-git/fetch.h"
#include "../../plugins/scm-git/push.h"
#include "../../plugins/scm-git/refs.h"
#include "../../plugins/scm-git/report.h"
#include "../../plugins/scm-git/scratch.h"
#include "../../plugins/scm-git/settings.h"
#include "../../plugins/scm-git/verify.h"
#include "tap.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccc"

/* ---------------------------------------------------------------- addresses */

static void address(const char *text, const char *authority, const char *project, const char *for_git) {
  struct sg_url u;
  const char *why;
  if (!ok(sg_url_parse(text, &u, &why), "%s is an address", text))
    return;
  PU_AUTO_FREE is = sg_url_project(&u);
  is_str(u.authority, authority, "its host");
  is_str(is, project, "its project");
  is_str(u.text, for_git, "what git gets");
  sg_url_free(&u);
}

static void test_addresses(void) {
  address("https://Git.Example/team/shop.git", "git.example", "team/shop", "https://git.example/team/shop.git");
  address("ssh://git@host:2222/team/shop.git", "host:2222", "team/shop", "ssh://git@host:2222/team/shop.git");
  address("git@host:team/shop.git", "host", "team/shop", "git@host:team/shop.git");
  address("git@host:/srv/shop.git", "host", "srv/shop", "ssh://git@host/srv/shop.git");
  address("file:///srv/shop.git", "", "srv/shop", "file:///srv/shop.git");
  address("git://[::1]:9418/shop", "[::1]:9418", "shop", "git://[::1]:9418/shop");
  static const char *const bad[] = {"",
                                    "x",
                                    "ext::sh -c touch% /tmp/x",
                                    "fd::17/foo",
                                    "--upload-pack=touch x",
                                    "-x:y",
                                    "ssh://-oProxyCommand=x/y",
                                    "ssh://host/-x",
                                    "ssh://-u@host/x",
                                    "https://u:p@host/x",
                                    "https://u@host/x",
                                    "https:///x",
                                    "https://host",
                                    "https://host/",
                                    "https://host:99999/x",
                                    "https://host:x/y",
                                    "https://ho st/x",
                                    "https://host/a b",
                                    "https://host/a\nb",
                                    "https://host/../x",
                                    "https://host/x?y",
                                    "https://host/x#y",
                                    "https://host/$(id)",
                                    "https://host/`id`",
                                    "file://host/x",
                                    "file:///../etc",
                                    "ftp://host/x",
                                    "HTTPS://host/x",
                                    "git@host::x",
                                    "git@host:",
                                    "git@-host:x",
                                    "/srv/shop.git",
                                    "./shop.git",
                                    "://x/y"};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    struct sg_url u;
    const char *why = NULL;
    ok(!sg_url_parse(bad[i], &u, &why) && why, "\"%s\" is refused: %s", bad[i], why ? why : "?");
  }
  ok(sg_is_ref("refs/heads/main") && sg_is_ref("refs/tags/v1.2/x"), "refs");
  ok(!sg_is_ref("main") && !sg_is_ref("refs/heads/-x") && !sg_is_ref("refs/heads/a..b") && !sg_is_ref("refs/heads/a:b") &&
         !sg_is_ref("refs/heads/") && !sg_is_ref("refs/heads/a b") && !sg_is_ref("refs/remotes/x") && !sg_is_ref("refs/heads/a*"),
     "what is none");
  ok(sg_is_path("a/b.yaml") && sg_is_path("-x") && !sg_is_path("/a") && !sg_is_path("a/../b") && !sg_is_path("a//b") && !sg_is_path("./a") &&
         !sg_is_path("a\nb") && !sg_is_path("") && !sg_is_path("a/"),
     "paths");
}

/* ---------------------------------------------------------------- refs and commits */

static const char listing[] = A "\trefs/heads/main\n" B "\trefs/heads/maintenance\n" A "\trefs/tags/v1.2\n" B "\trefs/tags/v1.10\n" C
                                "\trefs/tags/v1.10^{}\n" A "\trefs/tags/v1.11-rc1\n" A "\trefs/tags/-v9\nrubbish\n" A "\trefs/tags/v2";

static void picks(const char *branch, const char *tag, const char *commit, const char *ref) {
  PU_AUTO_FREE is = NULL;
  PU_AUTO_FREE at = NULL;
  bool found = sg_refs_pick(listing, sizeof listing - 1, branch, tag, &is, &at);
  ok(found == (commit != NULL), "%s is %sfound", branch ? branch : tag, commit ? "" : "not ");
  is_str(is, commit, "its commit");
  is_str(at, ref, "its ref");
}

static void test_refs(void) {
  picks("main", NULL, A, "refs/heads/main");
  picks("mai", NULL, NULL, NULL);
  picks(NULL, "v1.*", A, "refs/tags/v1.11-rc1");
  picks(NULL, "v1.1?", C, "refs/tags/v1.10");
  picks(NULL, "*", A, "refs/tags/v2");
  picks(NULL, "-v*", NULL, NULL);
  static const char *const rising[] = {"v1.2-rc1", "v1.2", "1.2.1", "v1.10", "v2-beta", "v2", "v10"};
  for (size_t i = 0; i + 1 < PU_COUNT(rising); i++)
    ok(sg_version_compare(rising[i], rising[i + 1]) < 0 && sg_version_compare(rising[i + 1], rising[i]) > 0, "%s comes before %s", rising[i],
       rising[i + 1]);
  ok(sg_version_compare("v1.02", "1.2") == 0, "zeros and a v are nothing");
}

static void test_commits(void) {
  static const char text[] = "tree " A "\nauthor Ada \xC3\x84 <ada@example> 1700000000 +0100\ncommitter Grace <g@x> 1700000001 +0000\n"
                             "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lH\n -----END SSH SIGNATURE-----\n\nthe subject\n\nmore\n";
  const char *signature;
  PU_AUTO_JSON o = sg_commit_read(text, sizeof text - 1, &signature);
  is_str(signature, "ssh", "its signature");
  is_str(pu_str(o, "subject"), "the subject", "its subject");
  is_str(pu_str(pu_obj(o, "author"), "name"), "Ada \xC3\x84", "its author");
  is_int(pu_int(pu_obj(o, "author"), "time", 0), 1700000000, "when");
  static const char *const odd[] = {"", "\n", "author", "author x\n\n", "author <\n", "author >a<b\n\nx", "gpgsig \n", "author \xff <\xfe> 1\n\n\xff"};
  for (size_t i = 0; i < PU_COUNT(odd); i++) {
    PU_AUTO_JSON any = sg_commit_read(odd[i], strlen(odd[i]), &signature);
    ok(json_is_string(json_object_get(any, "subject")), "an odd commit is read without harm");
  }
}

static void test_batch(void) {
  static const char text[] = A " blob 3\nabc\n" A ":x missing\nsymlink 9\n../passwd\nloop 3\na:b\ndangling 3\na:c\nnotdir 3\na:d\n" A " tree 0\n\n" A
                               " blob 99\nshort";
  static const int kinds[] = {SG_FILE_BLOB, SG_MISSING, SG_LINK_OUT, SG_LINK_LOOP, SG_MISSING, SG_MISSING, SG_OTHER};
  const char *at = text, *end = text + sizeof text - 1;
  struct sg_blob blob;
  for (size_t i = 0; i < PU_COUNT(kinds); i++)
    ok(sg_batch_next(&at, end, true, &blob) && (int)blob.kind == kinds[i], "answer %zu", i);
  ok(!sg_batch_next(&at, end, true, &blob), "what is cut short is no answer");
  at = text;
  ok(sg_batch_next(&at, end, true, &blob) && blob.size == 3 && memcmp(blob.data, "abc", 3) == 0, "a file's bytes");
}

static void test_verdicts(void) {
  static const struct {
    bool openpgp;
    int status;
    const char *text, *verdict;
  } cases[] = {{false, 0, "Good \"git\" signature for ada@x with ED25519 key SHA256:abc\n", "good"},
               {false, 1, "Good \"git\" signature with ED25519 key SHA256:abc\nNo principal matched.\n", "unknown"},
               {false, 1, "Could not verify signature.\n", "bad"},
               {false, 0, "", "bad"},
               {true, 0, "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG ABC Grace <g@x>\n[GNUPG:] VALIDSIG X\n", "good"},
               {true, 1, "[GNUPG:] NO_PUBKEY ABC\n", "unknown"},
               {true, 1, "[GNUPG:] BADSIG ABC Grace\n", "bad"},
               {true, 0, "Good \"git\" signature for ada@x with x", "bad"}};
  for (size_t i = 0; i < PU_COUNT(cases); i++) {
    PU_AUTO_JSON v = sg_verdict(cases[i].openpgp, cases[i].status, cases[i].text, strlen(cases[i].text));
    is_str(pu_str(v, "verdict"), cases[i].verdict, cases[i].text);
  }
}

static void test_errors(void) {
  static const struct {
    const char *says;
    enum berth_code code;
  } cases[] = {{"fatal: Authentication failed for 'https://x'", BERTH_UNAUTHENTICATED},
               {"fatal: repository 'https://x/' not found", BERTH_NOT_FOUND},
               {"git@x: Permission denied (publickey).", BERTH_UNAUTHENTICATED},
               {"Host key verification failed.", BERTH_DENIED},
               {"fatal: unable to access 'http://x/': Failed to connect", BERTH_UNAVAILABLE},
               {"", BERTH_UNAVAILABLE}};
  for (size_t i = 0; i < PU_COUNT(cases); i++) {
    PU_AUTO_FREE sentence = NULL;
    is_int(sg_git_error("r", cases[i].says, strlen(cases[i].says), &sentence), cases[i].code, cases[i].says);
    ok(sentence && *sentence, "with a sentence");
  }
}

/* ---------------------------------------------------------------- webhooks */

static struct sg_hook hook(const struct berth_pair *headers, size_t n, const char *body) {
  struct sg_hook h;
  sg_hook_read(headers, n, body, strlen(body), "a-secret-of-some-length", 1700000000, &h);
  return h;
}

static void test_proofs(void) {
  static const char good[] = "c6c3e7eb7a7d2ca94bd5fda9e9c1b6a07ec9d6a5e6a5bf1d64ae9f5b9f8d7c1a"; /* not the HMAC of anything here */
  const struct berth_pair forged[] = {{"x-github-event", "push"}, {"x-hub-signature-256", "sha256=00"}};
  const struct berth_pair odd[] = {{"x-github-event", "push"}, {"x-hub-signature-256", good}};
  const struct berth_pair none[] = {{"x-gitea-event", "push"}};
  const struct berth_pair token[] = {{"x-gitlab-event", "Push Hook"}, {"x-gitlab-token", "a-secret-of-some-length"}, {"x-gitlab-event-uuid", "7"}};
  const struct berth_pair wrong[] = {{"x-gitlab-event", "Push Hook"}, {"x-gitlab-token", "a-secret-of-some-lengtH"}};
  const struct berth_pair old[] = {{"x-gitlab-event", "Push Hook"}, {"webhook-id", "1"}, {"webhook-timestamp", "1600000000"}, {"webhook-signature", "v1,AAAA"}};
  ok(!hook(forged, 2, "{}").proved && !hook(odd, 2, "{}").proved && !hook(none, 1, "{}").proved && !hook(NULL, 0, "{}").proved, "no proof");
  struct sg_hook h = hook(token, 3, "{}");
  ok(h.proved && h.push && h.kind == SG_GITLAB, "GitLab's token");
  is_str(h.delivery, "7", "its id");
  ok(!hook(wrong, 2, "{}").proved && !hook(old, 4, "{}").proved, "a wrong token, an old signature");
}

static void test_pushes(void) {
  static const char github[] = "{\"ref\":\"refs/heads/main\",\"after\":\"" A "\",\"repository\":{\"clone_url\":\"https://h/x.git\",\"ssh_url\":\"git@h:x.git\"}}";
  PU_AUTO_JSON push = sg_push_read(github, sizeof github - 1);
  is_int(json_array_size(pu_arr(push, "repositories")), 2, "its addresses");
  is_str(pu_str(push, "commit"), A, "its commit");
  static const char gitlab[] = "{\"ref\":\"v1\",\"ref_type\":\"tag\",\"checkout_sha\":null,\"project\":{\"git_http_url\":\"https://h/x.git\"}}";
  PU_AUTO_JSON tag = sg_push_read(gitlab, sizeof gitlab - 1);
  is_str(pu_str(tag, "ref"), "refs/tags/v1", "a tag");
  static const char *const bad[] = {"", "[]", "{}", "{\"ref\":7}", "{\"ref\":\"x\"}", "{\"ref\":\"x\",\"repository\":[]}", "{\"ref\":\"x\",\"repository\":{\"clone_url\":7}}"};
  for (size_t i = 0; i < PU_COUNT(bad); i++)
    ok(!sg_push_read(bad[i], strlen(bad[i])), "%s is no push", bad[i]);
}

/* ---------------------------------------------------------------- settings and statuses */

static void test_settings(void) {
  static const char *const bad[] = {"{\"protocols\":[\"ext\"]}",
                                    "{\"file_roots\":[\"x\"]}",
                                    "{\"hosts\":[]}",
                                    "{\"hosts\":{\"h\":7}}",
                                    "{\"hosts\":{\"h\":{\"passwort\":\"x\"}}}",
                                    "{\"hosts\":{\"h\":{\"kind\":\"svn\"}}}",
                                    "{\"hosts\":{\"h\":{\"ssh_key\":\"x\"}}}",
                                    "{\"hosts\":{\"h\":{\"ca_file\":\"x\"}}}",
                                    "{\"hosts\":{\"https://h\":{}}}",
                                    "{\"cache\":\"x\"}",
                                    "{\"webhook_secret\":\"short\"}"};
  for (size_t i = 0; i < PU_COUNT(bad); i++) {
    struct sg_settings s;
    PU_AUTO_FREE why = NULL;
    ok(!sg_settings_read(bad[i], &s, &why) && why, "%s: %s", bad[i], why ? why : "taken");
  }
}

/* Whose login the repository gets. */
static void login_of(const char *repository, const char *want) {
  static const char config[] = "{\"hosts\":{\"h\":{\"username\":\"all\"},\"h/team\":{\"username\":\"team\"},\"h/team/shop\":{\"username\":\"shop\"},"
                               "\"h:444\":{\"username\":\"port\"},\"github.com/team/\":{\"username\":\"hub\"}}}";
  struct sg_settings s;
  struct sg_url u;
  PU_AUTO_FREE why = NULL;
  const char *bad;
  if (!ok(sg_settings_read(config, &s, &why) && sg_url_parse(repository, &u, &bad), "%s", repository))
    return;
  const struct sg_host *h = sg_settings_host(&s, &u);
  is_str(h ? h->username : "none", want, "whose login it gets");
  if (pu_eq(want, "hub"))
    is_int(h->kind, SG_GITHUB, "what is known of the host is known of its paths");
  sg_url_free(&u);
  sg_settings_free(&s);
}

static void test_logins(void) {
  login_of("https://h/other/shop.git", "all");
  login_of("https://h/team/x.git", "team");
  login_of("git@h:team/x.git", "team");
  login_of("https://h/team/shop.git", "shop");
  login_of("https://h/team/shop", "shop");
  login_of("https://h/team/shop/sub.git", "shop");
  login_of("https://h/team/shopping.git", "team");
  login_of("https://h/teams/shop.git", "all");
  login_of("https://h:444/other.git", "port");
  login_of("https://h:444/team/x.git", "team");
  login_of("https://github.com/team/x", "hub");
  login_of("https://github.com/other/x", "none");
  login_of("https://hh/team/x", "none");
}

static void test_signers(void) {
  static const char block[] = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabc\n-----END PGP PUBLIC KEY BLOCK-----\n";
  PU_AUTO_FREE both = pu_asprintf("# who may\r\nada@x ssh-ed25519 AAAA\r\n\n%seve@x ssh-rsa BBBB\n%s", block, block);
  PU_AUTO_FREE ssh = sg_signers_of(both, false);
  PU_AUTO_FREE openpgp = sg_signers_of(both, true);
  PU_AUTO_FREE want = pu_asprintf("%s%s", block, block);
  PU_AUTO_FREE none = sg_signers_of("ada@x ssh-ed25519 AAAA", true);
  is_str(ssh, "ada@x ssh-ed25519 AAAA\neve@x ssh-rsa BBBB\n", "lines of ssh among others");
  is_str(openpgp, want, "blocks of OpenPGP among others");
  is_str(none, "", "none is none");
}

/* What a buffer for secrets leaves behind: its old places are blank when they are given up, as far as this process can see. */
static void test_secret_buffer(void) {
  PU_AUTO_BUF b = {.secret = true};
  pu_buf_adds(&b, "Authorization: Basic c2VjcmV0");
  ok(b.secret && b.cap >= b.len, "it begins small");
  for (int i = 0; i < 100; i++)
    pu_buf_adds(&b, "0123456789");
  is_int(b.len, 29 + 1000, "it grows");
  ok(strncmp(b.data, "Authorization: Basic c2VjcmV00123", 33) == 0, "with all that was in it");
}

static void status_goes(const char *hosts, const char *repository, const char *to) {
  struct sg_settings s;
  struct sg_url u;
  PU_AUTO_FREE why = NULL;
  const char *bad;
  PU_AUTO_FREE config = pu_asprintf("{\"hosts\":{%s}}", hosts);
  if (!ok(sg_settings_read(config, &s, &why) && sg_url_parse(repository, &u, &bad), "%s", repository))
    return;
  PU_AUTO_FREE url = sg_report_url(sg_settings_host(&s, &u), &u, A);
  is_str(url, to, "where its statuses go");
  sg_url_free(&u);
  sg_settings_free(&s);
}

static void test_statuses(void) {
  status_goes("\"github.com\":{}", "git@github.com:o/r.git", "https://api.github.com/repos/o/r/statuses/" A);
  status_goes("\"ghe.example\":{\"kind\":\"github\"}", "https://ghe.example/o/r", "https://ghe.example/api/v3/repos/o/r/statuses/" A);
  status_goes("\"g.example:3000\":{\"kind\":\"gitea\"}", "https://g.example:3000/o/r.git", "https://g.example:3000/api/v1/repos/o/r/statuses/" A);
  status_goes("\"gitlab.com\":{}", "https://gitlab.com/a/b/c.git", "https://gitlab.com/api/v4/projects/a%2Fb%2Fc/statuses/" A);
  struct berth_scm_status request = {.size = sizeof request, .state = "failure", .context = "berth/default/shop", .description = "no"};
  PU_AUTO_JSON github = sg_report_body(SG_GITHUB, &request);
  PU_AUTO_JSON gitlab = sg_report_body(SG_GITLAB, &request);
  is_str(pu_str(github, "context"), "berth/default/shop", "GitHub's body");
  ok(pu_eq(pu_str(gitlab, "state"), "failed") && pu_eq(pu_str(gitlab, "name"), "berth/default/shop"), "GitLab's words");
}

int main(void) {
  test_addresses();
  test_refs();
  test_commits();
  test_batch();
  test_verdicts();
  test_errors();
  test_proofs();
  test_pushes();
  test_settings();
  test_logins();
  test_signers();
  test_secret_buffer();
  test_statuses();
  return done_testing();
}
