/* registry-oci against docker-registry: open, with htpasswd, with a token server, over TLS with a CA of its own; and against
 * registries that lie. */
#include "config.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "plugins/host.h"
#include "plugins/web.h"

static char tmp[] = "/tmp/berth-test-XXXXXX";

static char *in_tmp(const char *name) { return bt_asprintf("%s/%s", tmp, name); }

static void put(const char *name, const char *text) {
  BT_AUTO_FREE char *path = in_tmp(name);
  BT_AUTO_ERR err = NULL;
  int rc = bt_file_write(path, text, strlen(text), 0600, &err);
  BT_ASSERT(rc == 0);
}

static bool run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool run(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  BT_AUTO_FREE char *command = bt_vasprintf(fmt, ap);
  va_end(ap);
  return system(command) == 0;
}

/* ---------------------------------------------------------------- a registry */

struct peer {
  pid_t pid;
  int port;
  const char *scheme, *user; /* user: "name:password" for curl; NULL none */
};

static int free_port(void) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int rc = bind(fd, (struct sockaddr *)&a, len) | getsockname(fd, (struct sockaddr *)&a, &len);
  BT_ASSERT(rc == 0);
  close(fd);
  return ntohs(a.sin_port);
}

static size_t drop_data(char *data, size_t size, size_t n, void *arg) {
  (void)data, (void)arg;
  return size * n;
}

struct location {
  char url[2048];
};
static size_t take_location(char *data, size_t size, size_t n, void *arg) {
  struct location *l = arg;
  if (n * size > 10 && strncasecmp(data, "location:", 9) == 0)
    snprintf(l->url, sizeof l->url, "%.*s", (int)strcspn(data + 10, "\r\n"), data + 10);
  return size * n;
}

/* A plain request of the test's own; the status, 0 where nobody answers. */
static long request(const struct peer *p, const char *method, const char *url, const char *type, const char *body,
                    struct location *location) {
  CURL *c = curl_easy_init();
  long status = 0;
  BT_AUTO_FREE char *header = bt_asprintf("Content-Type: %s", type ? type : "application/octet-stream");
  BT_AUTO_FREE char *ca = in_tmp("ca.pem");
  struct curl_slist *headers = curl_slist_append(NULL, header);
  curl_easy_setopt(c, CURLOPT_URL, url);
  curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_data);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_location);
  struct location none;
  curl_easy_setopt(c, CURLOPT_HEADERDATA, location ? location : &none);
  if (body)
    curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, body);
  else if (!strcmp(method, "POST"))
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, 0L), curl_easy_setopt(c, CURLOPT_POST, 1L);
  if (p->user)
    curl_easy_setopt(c, CURLOPT_USERPWD, p->user);
  if (!strcmp(p->scheme, "https"))
    curl_easy_setopt(c, CURLOPT_CAINFO, ca);
  if (curl_easy_perform(c) == CURLE_OK)
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_slist_free_all(headers);
  curl_easy_cleanup(c);
  return status;
}

static void sha256(const char *text, char out[72]) {
  unsigned char hash[32];
  char hex[65];
  crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  snprintf(out, 72, "sha256:%s", hex);
}

static void push_blob(const struct peer *p, const char *name, const char *text) {
  char digest[72];
  struct location l = {0};
  sha256(text, digest);
  BT_AUTO_FREE char *start = bt_asprintf("%s://127.0.0.1:%d/v2/%s/blobs/uploads/", p->scheme, p->port, name);
  request(p, "POST", start, NULL, NULL, &l);
  BT_AUTO_FREE char *put_url = bt_asprintf("%s%cdigest=%s", l.url, strchr(l.url, '?') ? '&' : '?', digest);
  long status = request(p, "PUT", put_url, NULL, text, NULL);
  BT_ASSERT(status == 201);
}

/* Pushes an image and an index of it; digests of both. */
static void push(const struct peer *p, const char *name, char image[72], char index[72]) {
  static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
  char digest[72];
  sha256(config, digest);
  push_blob(p, name, config);
  BT_AUTO_FREE char *manifest = bt_asprintf(
      "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"config\":{\"mediaType\":"
      "\"application/vnd.docker.container.image.v1+json\",\"size\":%zu,\"digest\":\"%s\"},\"layers\":[]}",
      strlen(config), digest);
  BT_AUTO_FREE char *url = bt_asprintf("%s://127.0.0.1:%d/v2/%s/manifests/1", p->scheme, p->port, name);
  long status = request(p, "PUT", url, "application/vnd.docker.distribution.manifest.v2+json", manifest, NULL);
  BT_ASSERT(status == 201);
  sha256(manifest, image);
  BT_AUTO_FREE char *list = bt_asprintf(
      "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[{\"mediaType\":"
      "\"application/vnd.docker.distribution.manifest.v2+json\",\"size\":%zu,\"digest\":\"%s\",\"platform\":{\"os\":\"linux\","
      "\"architecture\":\"amd64\"}}]}",
      strlen(manifest), image);
  BT_AUTO_FREE char *list_url = bt_asprintf("%s://127.0.0.1:%d/v2/%s/manifests/multi", p->scheme, p->port, name);
  status = request(p, "PUT", list_url, "application/vnd.oci.image.index.v1+json", list, NULL);
  BT_ASSERT(status == 201);
  sha256(list, index);
}

/* Starts docker-registry with more YAML below http: and at the top, and waits until it answers. */
static bool peer_start(struct peer *p, const char *name, const char *more_http, const char *more) {
  p->port = free_port();
  BT_AUTO_FREE char *file = bt_asprintf("%s.yml", name);
  BT_AUTO_FREE char *path = in_tmp(file);
  BT_AUTO_FREE char *yaml = bt_asprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s/%s}\n"
                                        "http:\n  addr: 127.0.0.1:%d\n  secret: x\n%s%s",
                                        tmp, name, p->port, more_http, more);
  put(file, yaml);
  p->pid = fork();
  if (p->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    execlp("docker-registry", "docker-registry", "serve", path, (char *)NULL);
    _exit(127);
  }
  BT_AUTO_FREE char *url = bt_asprintf("%s://127.0.0.1:%d/v2/", p->scheme, p->port);
  int64_t end = bt_clock_mono_ms() + 15000;
  while (bt_clock_mono_ms() < end && waitpid(p->pid, NULL, WNOHANG) == 0) {
    if (request(p, "GET", url, NULL, NULL, NULL) > 0)
      return true;
    usleep(20000); /* a foreign process: there is no event to wait for */
  }
  return false;
}

static void peer_stop(struct peer *p) {
  kill(p->pid, SIGKILL);
  waitpid(p->pid, NULL, 0);
}

/* ---------------------------------------------------------------- calls */

static char *folder;

static void load(const char *registries) {
  BT_AUTO_FREE char *json = bt_asprintf("[{\"name\":\"r\",\"plugin\":\"%s/registry-oci.so\",\"config\":{\"timeout\":\"5s\","
                                        "\"registries\":%s}}]",
                                        folder, registries);
  test_load(json);
  BT_ASSERT(bt_plugin_status(bt_plugins_named(T.plugins, "r")) == BT_PLUGIN_OK);
}

static void resolve(const char *image, const char *platform, struct test_call *c) {
  struct bt_plugin *entry = bt_plugins_named(T.plugins, "r");
  const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
  struct bt_plugin_call call = {.method = "registry.resolve", .done = test_done, .arg = c};
  struct berth_registry_resolve request_ = {.size = sizeof request_, .image = image, .platform = platform};
  bt_plugin_invoke(entry, table, resolve, &call, &request_);
  run_until(&c->done, 20000);
}

static void gives(const char *image, const char *platform, const char *digest, const char *name) {
  TEST_CALL c = {0};
  resolve(image, platform, &c);
  if (c.code != BT_OK)
    printf("# %s: %s\n", bt_code_name(c.code), c.message);
  is_str(bt_json_str(c.result, "digest"), digest, name);
}

static void fails(const char *image, const char *platform, enum bt_code code, const char *sentence) {
  TEST_CALL c = {0};
  resolve(image, platform, &c);
  is_str(bt_code_name(c.code), bt_code_name(code), image);
  ok(strstr(c.message, sentence) != NULL, "it says … %s …", sentence);
  if (!strstr(c.message, sentence))
    printf("# got: %s\n", c.message);
}

/* ---------------------------------------------------------------- tests */

static void test_open(void) {
  struct peer p = {.scheme = "http"};
  char image[72], index[72];
  if (!ok(peer_start(&p, "open", "", ""), "an open registry"))
    return;
  push(&p, "team/web", image, index);
  load("{}");
  BT_AUTO_FREE char *tag = bt_asprintf("127.0.0.1:%d/team/web:1", p.port);
  BT_AUTO_FREE char *multi = bt_asprintf("127.0.0.1:%d/team/web:multi", p.port);
  BT_AUTO_FREE char *none = bt_asprintf("127.0.0.1:%d/team/web:2", p.port);
  BT_AUTO_FREE char *pinned = bt_asprintf("127.0.0.1:%d/team/web@%s", p.port, image);
  gives(tag, NULL, image, "a tag is resolved to its digest");
  gives(tag, "linux/amd64", image, "for a platform, too, where there is but one");
  gives(multi, NULL, index, "an index to its own digest");
  gives(multi, "linux/amd64", image, "or to that of the platform's image");
  gives(pinned, NULL, image, "a digest to itself");
  fails(multi, "linux/s390x", BT_NOT_FOUND, "has no image for linux/s390x; it has: linux/amd64");
  fails(none, NULL, BT_NOT_FOUND, "does not have it");
  fails("no reference", NULL, BT_INVALID, "is no image reference");
  BT_AUTO_FREE char *mirrored = bt_asprintf("{\"registry.invalid\":{\"mirrors\":[\"127.0.0.1:1\",\"127.0.0.1:%d\"]}}", p.port);
  load(mirrored);
  gives("registry.invalid/team/web:1", NULL, image, "mirrors are tried in order, a dead one is passed over");
  fails("registry.invalid/team/web:2", NULL, BT_UNAVAILABLE, "the registry registry.invalid does not answer");
  peer_stop(&p);
  fails(tag, NULL, BT_UNAVAILABLE, "does not answer");
}

static void test_htpasswd(void) {
  struct peer p = {.scheme = "http", .user = "ann:pw1"};
  char image[72], index[72];
  if (!run("htpasswd -Bbn ann pw1 >%s/htpasswd", tmp)) {
    printf("# no htpasswd here: apt-get install apache2-utils\n");
    return;
  }
  BT_AUTO_FREE char *auth = bt_asprintf("auth:\n  htpasswd: {realm: x, path: %s/htpasswd}\n", tmp);
  if (!ok(peer_start(&p, "basic", "", auth), "a registry with htpasswd"))
    return;
  push(&p, "web", image, index);
  BT_AUTO_FREE char *tag = bt_asprintf("127.0.0.1:%d/web:1", p.port);
  BT_AUTO_FREE char *good = bt_asprintf("{\"127.0.0.1:%d\":{\"username\":\"ann\",\"password\":{\"secret\":\"pw\"}}}", p.port);
  BT_AUTO_FREE char *bad = bt_asprintf("{\"127.0.0.1:%d\":{\"username\":\"ann\",\"password\":\"no\"}}", p.port);
  load("{}");
  fails(tag, NULL, BT_UNAUTHENTICATED, "give username and password under registries");
  load(good);
  gives(tag, NULL, image, "with a password from a secret");
  gives(tag, NULL, image, "and again, without asking twice");
  load(bad);
  fails(tag, NULL, BT_UNAUTHENTICATED, "wants another username or password");
  peer_stop(&p);
}

static void test_tls(void) {
  struct peer p = {.scheme = "https"};
  char image[72], index[72];
  bool made =
      run("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca 2>/dev/null && "
          "openssl req -newkey rsa:2048 -nodes -keyout srv.key -out srv.csr -subj /CN=srv 2>/dev/null && "
          "printf 'subjectAltName=IP:127.0.0.1' >san && "
          "openssl x509 -req -in srv.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -days 2 -out srv.pem 2>/dev/null",
          tmp);
  BT_AUTO_FREE char *tls = bt_asprintf("  tls: {certificate: %s/srv.pem, key: %s/srv.key}\n", tmp, tmp);
  if (!ok(made && peer_start(&p, "tls", tls, ""), "a registry with TLS"))
    return;
  push(&p, "web", image, index);
  BT_AUTO_FREE char *tag = bt_asprintf("127.0.0.1:%d/web:1", p.port);
  BT_AUTO_FREE char *good = bt_asprintf("{\"127.0.0.1:%d\":{\"ca_file\":\"%s/ca.pem\"}}", p.port, tmp);
  BT_AUTO_FREE char *strict = bt_asprintf("{\"127.0.0.1:%d\":{\"insecure\":false}}", p.port);
  load(good);
  gives(tag, NULL, image, "with the CA's file");
  load(strict);
  fails(tag, NULL, BT_UNAVAILABLE, "does not answer");
  peer_stop(&p);
}

/* ---------------------------------------------------------------- a token server */

static char *base64url(const void *data, size_t len) {
  size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  char *text = bt_calloc(1, room);
  sodium_bin2base64(text, room, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return text;
}

static EVP_PKEY *token_key;
static char *token_cert; /* base64 of the DER, for x5c */
static int token_seconds = 300;

/* A JWT as docker-registry wants it. actions: "pull" or "" (none). */
static char *jwt(const char *name, const char *actions) {
  int64_t now = bt_clock_wall_ms() / 1000;
  BT_AUTO_FREE char *head = bt_asprintf("{\"typ\":\"JWT\",\"alg\":\"RS256\",\"x5c\":[\"%s\"]}", token_cert);
  BT_AUTO_FREE char *claims = bt_asprintf(
      "{\"iss\":\"issuer\",\"sub\":\"ann\",\"aud\":\"test\",\"exp\":%lld,\"nbf\":%lld,\"iat\":%lld,\"jti\":\"1\",\"access\":[%s%s%s%s%s]}",
      (long long)now + token_seconds, (long long)now - 10, (long long)now, *actions ? "{\"type\":\"repository\",\"name\":\"" : "",
      *actions ? name : "", *actions ? "\",\"actions\":[\"" : "", actions, *actions ? "\"]}" : "");
  BT_AUTO_FREE char *h = base64url(head, strlen(head));
  BT_AUTO_FREE char *c = base64url(claims, strlen(claims));
  BT_AUTO_FREE char *input = bt_asprintf("%s.%s", h, c);
  unsigned char sig[1024];
  size_t len = sizeof sig;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int rc = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, token_key);
  BT_ASSERT(rc == 1);
  rc = EVP_DigestSign(ctx, sig, &len, (const unsigned char *)input, strlen(input));
  BT_ASSERT(rc == 1);
  EVP_MD_CTX_free(ctx);
  BT_AUTO_FREE char *s = base64url(sig, len);
  return bt_asprintf("%s.%s", input, s);
}

/* ann with pw1 may push and pull "web", and pull nothing of "secret"; others get 401. */
static void token_server(void *arg, const struct web_request *r, struct web_answer *a) {
  (void)arg;
  bool post = !strcmp(r->method, "POST") && strstr(r->body, "grant_type=refresh_token") && strstr(r->body, "refresh_token=idtok");
  if (!post && strcmp(r->authorization, "Basic YW5uOnB3MQ==") != 0) {
    a->status = 401;
    snprintf(a->body, sizeof a->body, "{\"details\":\"who are you?\"}");
    return;
  }
  const char *scope = post ? r->body : r->path;
  bool web = strstr(scope, "repository%3Aweb%3Apull") || strstr(scope, "repository:web:pull");
  BT_AUTO_FREE char *token = jwt("web", web ? strstr(scope, "push") ? "pull\",\"push" : "pull" : "");
  snprintf(a->body, sizeof a->body, "{\"%s\":\"%s\",\"expires_in\":%d}", post ? "access_token" : "token", token, token_seconds);
}

static void make_token_key(void) {
  bool made = run("cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout t.key -out t.pem -days 2 -subj /CN=t 2>/dev/null "
                  "&& openssl x509 -in t.pem -outform der | base64 -w0 >t.b64",
                  tmp);
  BT_ASSERT(made);
  BT_AUTO_FREE char *key = in_tmp("t.key");
  BT_AUTO_FREE char *b64 = in_tmp("t.b64");
  FILE *f = fopen(key, "r");
  token_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
  fclose(f);
  BT_AUTO_ERR err = NULL;
  int rc = bt_file_read(b64, 65536, &token_cert, NULL, &err);
  BT_ASSERT(rc == 0 && token_key);
}

/* curl knows no token login: the test fetches its own token. */
static char push_header[8192];
static size_t push_with_token(const struct peer *p, char image[72]);

static void test_token(void) {
  struct web server = {.handle = token_server};
  struct peer p = {.scheme = "http"};
  char image[72];
  make_token_key();
  ok(web_start(&server), "a token server");
  BT_AUTO_FREE char *auth = bt_asprintf("auth:\n  token: {realm: \"http://127.0.0.1:%d/token\", service: test, issuer: issuer, "
                                        "rootcertbundle: %s/t.pem}\n",
                                        server.port, tmp);
  if (ok(peer_start(&p, "token", "", auth), "a registry that believes it")) {
    push_with_token(&p, image);
    BT_AUTO_FREE char *tag = bt_asprintf("127.0.0.1:%d/web:1", p.port);
    BT_AUTO_FREE char *denied = bt_asprintf("127.0.0.1:%d/secret:1", p.port);
    BT_AUTO_FREE char *good = bt_asprintf("{\"127.0.0.1:%d\":{\"username\":\"ann\",\"password\":\"pw1\"}}", p.port);
    BT_AUTO_FREE char *bad = bt_asprintf("{\"127.0.0.1:%d\":{\"username\":\"ann\",\"password\":\"no\"}}", p.port);
    BT_AUTO_FREE char *identity = bt_asprintf("{\"127.0.0.1:%d\":{\"identity_token\":\"idtok\"}}", p.port);
    load(good);
    int before = server.requests;
    gives(tag, NULL, image, "a token is fetched");
    gives(tag, NULL, image, "and used again");
    is_int(server.requests - before, 1, "the token server was asked once");
    fails(denied, NULL, BT_UNAUTHENTICATED, "wants another username or password");
    token_seconds = 5; /* too short to be kept */
    load("{}");
    load(good);
    before = server.requests;
    gives(tag, NULL, image, "a short-lived token");
    gives(tag, NULL, image, "is not kept");
    is_int(server.requests - before, 2, "so the token server was asked twice");
    token_seconds = 300;
    load(bad);
    fails(tag, NULL, BT_UNAUTHENTICATED, "refuses the login to 127.0.0.1");
    load(identity);
    gives(tag, NULL, image, "an identity token is exchanged");
    peer_stop(&p);
  }
  web_stop(&server);
  EVP_PKEY_free(token_key);
  free(token_cert);
}

static long authorised(const char *method, const char *url, const char *type, const char *body, struct location *l) {
  CURL *c = curl_easy_init();
  long status = 0;
  struct location none;
  BT_AUTO_FREE char *content = bt_asprintf("Content-Type: %s", type ? type : "application/octet-stream");
  struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, push_header), content);
  curl_easy_setopt(c, CURLOPT_URL, url);
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop_data);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_location);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, l ? l : &none);
  curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, body);
  curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
  if (curl_easy_perform(c) == CURLE_OK)
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  curl_slist_free_all(headers);
  curl_easy_cleanup(c);
  return status;
}

static size_t push_with_token(const struct peer *p, char image[72]) {
  static const char config[] = "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
  char digest[72];
  struct location l = {0};
  BT_AUTO_FREE char *token = jwt("web", "pull\",\"push");
  snprintf(push_header, sizeof push_header, "Authorization: Bearer %s", token);
  sha256(config, digest);
  BT_AUTO_FREE char *start = bt_asprintf("http://127.0.0.1:%d/v2/web/blobs/uploads/", p->port);
  authorised("POST", start, NULL, "", &l);
  BT_AUTO_FREE char *put_url = bt_asprintf("%s%cdigest=%s", l.url, strchr(l.url, '?') ? '&' : '?', digest);
  long status = authorised("PUT", put_url, NULL, config, NULL);
  BT_ASSERT(status == 201);
  BT_AUTO_FREE char *manifest = bt_asprintf(
      "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"config\":{\"mediaType\":"
      "\"application/vnd.docker.container.image.v1+json\",\"size\":%zu,\"digest\":\"%s\"},\"layers\":[]}",
      strlen(config), digest);
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d/v2/web/manifests/1", p->port);
  status = authorised("PUT", url, "application/vnd.docker.distribution.manifest.v2+json", manifest, NULL);
  BT_ASSERT(status == 201);
  sha256(manifest, image);
  return strlen(manifest);
}

/* ---------------------------------------------------------------- registries that lie */

static void liar(void *arg, const struct web_request *r, struct web_answer *a) {
  (void)arg;
  static const char manifest[] = "{\"schemaVersion\":2}";
  snprintf(a->body, sizeof a->body, "%s", manifest);
  strcpy(a->headers, "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8\r\n");
  if (strstr(r->path, "/headless/") && !strcmp(r->method, "HEAD"))
    a->status = 405;
  if (strstr(r->path, "/quiet/") || strstr(r->path, "/headless/"))
    return; /* no digest: it must be computed */
  if (strstr(r->path, "/forged/")) {
    strcat(a->headers, "Docker-Content-Digest: "
                       "sha256:0000000000000000000000000000000000000000000000000000000000000000\r\n");
    if (!strcmp(r->method, "HEAD"))
      strcpy(a->headers, "X: y\r\n");
  } else if (strstr(r->path, "/far/")) {
    a->status = 401;
    strcpy(a->headers, "WWW-Authenticate: Bearer realm=\"http://registry.invalid/token\",service=\"x\"\r\n");
  } else if (strstr(r->path, "/loop/")) {
    a->status = 401;
    strcpy(a->headers, "WWW-Authenticate: Basic realm=\"x\"\r\n");
  } else if (strstr(r->path, "/denied/")) {
    a->status = 403;
    strcpy(a->body, "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"not for you\"}]}");
  } else if (strstr(r->path, "/busy/")) {
    a->status = 429;
  } else if (strstr(r->path, "/broken/")) {
    a->drop = true;
  } else {
    a->status = 500;
  }
}

static void test_liars(void) {
  struct web w = {.handle = liar};
  ok(web_start(&w), "a registry that lies");
  BT_AUTO_FREE char *config = bt_asprintf("{\"127.0.0.1:%d\":{\"username\":\"ann\",\"password\":\"pw1\"}}", w.port);
  load(config);
  char digest[72];
  sha256("{\"schemaVersion\":2}", digest);
#define IMAGE(name) bt_asprintf("127.0.0.1:%d/%s/x:1", w.port, name)
  BT_AUTO_FREE char *quiet = IMAGE("quiet");
  BT_AUTO_FREE char *headless = IMAGE("headless");
  BT_AUTO_FREE char *forged = IMAGE("forged");
  BT_AUTO_FREE char *loop = IMAGE("loop");
  BT_AUTO_FREE char *denied = IMAGE("denied");
  BT_AUTO_FREE char *busy = IMAGE("busy");
  BT_AUTO_FREE char *broken = IMAGE("broken");
  BT_AUTO_FREE char *error = IMAGE("error");
  BT_AUTO_FREE char *far = IMAGE("far");
  gives(quiet, NULL, digest, "without a digest in the head it is computed");
  gives(headless, NULL, digest, "where HEAD is no method the manifest is fetched");
  fails(forged, NULL, BT_INVALID, "it was changed on its way");
  BT_AUTO_FREE char *pinned = bt_asprintf("127.0.0.1:%d/quiet/x@sha256:1111111111111111111111111111111111111111111111111111111111111111", w.port);
  fails(pinned, NULL, BT_INVALID, "it was changed on its way");
  fails(far, NULL, BT_UNAUTHENTICATED, "which is no https URL: nothing was sent there");
  fails(loop, NULL, BT_UNAUTHENTICATED, "wants another username or password");
  fails(denied, NULL, BT_DENIED, "denies access");
  fails(busy, NULL, BT_UNAVAILABLE, "limits the rate");
  fails(broken, NULL, BT_UNAVAILABLE, "does not answer");
  fails(error, NULL, BT_UNAVAILABLE, "answered with status 500");
  web_stop(&w);
}

static void test_hanging(void) {
  struct web w = {.hole = true};
  ok(web_start(&w), "a registry that never answers");
  load("{}");
  struct bt_plugin *entry = bt_plugins_named(T.plugins, "r");
  const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
  BT_AUTO_FREE char *image = bt_asprintf("127.0.0.1:%d/x:1", w.port);
  TEST_CALL late = {0}, open = {0};
  struct bt_plugin_call call = {.method = "registry.resolve", .deadline_ms = 100, .done = test_done, .arg = &late};
  struct berth_registry_resolve r = {.size = sizeof r, .image = image};
  bt_plugin_invoke(entry, table, resolve, &call, &r);
  ok(run_until(&late.done, 2000) && late.code == BT_DEADLINE, "the deadline holds");
  call.arg = &open;
  call.deadline_ms = 0;
  bt_plugin_invoke(entry, table, resolve, &call, &r);
  run_for(20);
  test_load("[]");
  ok(open.code == BT_CANCELLED, "a stop ends what hangs");
  run_for(20);
  web_stop(&w);
}

static void test_tables(void) {
  load("{\"docker.io\":{\"username\":\"u\",\"password\":\"p\",\"mirrors\":[\"m.example\"]},\"127.0.0.1:1\":{}}");
  struct bt_plugin *entry = bt_plugins_named(T.plugins, "r");
  const struct berth_registry *table = bt_plugin_methods(entry, BERTH_REGISTRY);
  TEST_CALL creds = {0}, probe = {0};
  struct bt_plugin_call call = {.method = "registry.credentials", .done = test_done, .arg = &creds};
  struct berth_registry_credentials r = {.size = sizeof r, .image = "docker.io/library/web:1"};
  bt_plugin_invoke(entry, table, credentials, &call, &r);
  run_until(&creds.done, 1000);
  BT_AUTO_FREE char *text = bt_json_text(creds.result);
  is_str(text, "{\"username\":\"u\",\"password\":\"p\",\"server\":\"docker.io\",\"mirrors\":[\"m.example\"]}", "credentials");
  struct berth_instance *self = bt_plugin_enter(entry);
  ok(table->serves(self, "x.example/y:1"), "it speaks for all");
  bt_plugin_leave(entry);
  load("{\"127.0.0.1:1\":{}}");
  call.method = "registry.probe";
  call.arg = &probe;
  bt_plugin_invoke(entry, table, probe, &call);
  run_until(&probe.done, 10000);
  json_t *one = json_array_get(bt_json_arr(probe.result, "registries"), 0);
  is_str(bt_json_str(one, "name"), "127.0.0.1:1", "a probe");
  is_str(bt_json_str(one, "status"), "unavailable", "of a registry that is away");
}

int main(void) {
  if (system("command -v docker-registry >/dev/null && command -v openssl >/dev/null") != 0)
    return skip_all("docker-registry or openssl is missing: apt-get install docker-registry openssl");
  signal(SIGPIPE, SIG_IGN);
  char *made = mkdtemp(tmp);
  BT_ASSERT(made);
  folder = test_modules("plugins/registry-oci/.libs");
  BT_ASSERT(folder);
  test_open_server(NULL);
  bt_map_set(T.secrets, "pw", bt_strdup("pw1"));
  test_open();
  test_htpasswd();
  test_tls();
  test_token();
  test_liars();
  test_hanging();
  test_tables();
  test_free_server();
  free(folder);
  bool removed = run("rm -rf %s", tmp);
  BT_ASSERT(removed);
  return done_testing();
}
