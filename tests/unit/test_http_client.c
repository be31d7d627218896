/* The HTTP client against a server of the test's own: libevent's evhttp over TCP, a unix socket and TLS, and a raw
 * listener for upgrades. All in one thread on one loop. */
#include "config.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cert_kit.h"
#include "loop/http_client.h"
#include "loop_kit.h"
#include "tap.h"

static struct bt_http *http;
static int port, tls_port;
static char dir[] = "/tmp/berth-http-XXXXXX";
static char *sock_path, *cert_path, *key_path;
static SSL_CTX *server_tls;

/* ---------------------------------------------------------------- the server */

static void reply(struct evhttp_request *rq, int status, const char *body, size_t len) {
  struct evbuffer *b = evbuffer_new();
  evbuffer_add(b, body, len);
  evhttp_send_reply(rq, status, NULL, b);
  evbuffer_free(b);
}

static void redirect(struct evhttp_request *rq, int status, const char *to) {
  evhttp_add_header(evhttp_request_get_output_headers(rq), "Location", to);
  reply(rq, status, "elsewhere", 9);
}

static void echo(struct evhttp_request *rq) {
  static const struct {
    enum evhttp_cmd_type cmd;
    const char *name;
  } names[] = {{EVHTTP_REQ_GET, "GET"}, {EVHTTP_REQ_POST, "POST"}, {EVHTTP_REQ_PUT, "PUT"}, {EVHTTP_REQ_DELETE, "DELETE"}};
  struct evkeyvalq *in = evhttp_request_get_input_headers(rq);
  const char *auth = evhttp_find_header(in, "Authorization"), *type = evhttp_find_header(in, "Content-Type");
  struct evbuffer *body = evhttp_request_get_input_buffer(rq), *out = evbuffer_new();
  const char *name = "?";
  for (size_t i = 0; i < BT_COUNT(names); i++)
    if (names[i].cmd == evhttp_request_get_command(rq))
      name = names[i].name;
  evbuffer_add_printf(out, "%s auth=%s type=%s body=", name, auth ? auth : "-", type ? type : "-");
  evbuffer_add_buffer(out, body);
  evhttp_add_header(evhttp_request_get_output_headers(rq), "X-Mixed-Case", "Yes");
  evhttp_send_reply(rq, 200, NULL, out);
  evbuffer_free(out);
}

static void on_request(struct evhttp_request *rq, void *arg) {
  (void)arg;
  const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(rq));
  char text[64];
  if (bt_streq(path, "/echo")) {
    echo(rq);
  } else if (bt_streq(path, "/big")) {
    BT_AUTO_FREE char *data = bt_calloc(1, 1000000);
    memset(data, 'x', 1000000);
    reply(rq, 200, data, 1000000);
  } else if (bt_streq(path, "/r302")) {
    redirect(rq, 302, "/echo");
  } else if (bt_streq(path, "/r307")) {
    redirect(rq, 307, "/echo");
  } else if (bt_streq(path, "/loop")) {
    redirect(rq, 302, "/loop");
  } else if (bt_streq(path, "/other")) {
    snprintf(text, sizeof text, "http://localhost:%d/echo", port);
    redirect(rq, 302, text);
  } else if (bt_streq(path, "/down")) {
    snprintf(text, sizeof text, "http://127.0.0.1:%d/echo", port);
    redirect(rq, 302, text);
  } else if (!bt_streq(path, "/hang")) {
    reply(rq, 404, "nothing", 7);
  }
}

static struct evhttp *servers[3];

static int listen_on(struct evhttp *h) {
  struct evhttp_bound_socket *s = evhttp_bind_socket_with_handle(h, "127.0.0.1", 0);
  struct sockaddr_in in;
  socklen_t len = sizeof in;
  getsockname(evhttp_bound_socket_get_fd(s), (struct sockaddr *)&in, &len);
  return ntohs(in.sin_port);
}

static struct evhttp *server(void) {
  struct evhttp *h = evhttp_new(bt_loop_base(loop));
  evhttp_set_gencb(h, on_request, NULL);
  evhttp_set_allowed_methods(h, 0xffff);
  return h;
}

static struct bufferevent *tls_bev(struct event_base *base, void *arg) {
  return bufferevent_openssl_socket_new(base, -1, SSL_new(arg), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static int unix_listen(void) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "%s", sock_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, 16) < 0)
    abort();
  return fd;
}

/* ---------------------------------------------------------------- requests */

struct result {
  int done, heads, status;
  enum bt_code code;
  char message[256];
  char body[512];
  size_t body_len;
  struct bt_http_call *call;
  bool saw_mixed, pause_each;
  int pieces, sends;
  size_t streamed;
};

static void on_done(void *arg, enum bt_code code, const char *message, int status, const char *body, size_t len) {
  struct result *r = arg;
  r->done++;
  r->code = code;
  r->status = status;
  r->body_len = len;
  snprintf(r->message, sizeof r->message, "%s", message);
  snprintf(r->body, sizeof r->body, "%.*s", (int)BT_MIN(len, 500), body);
  bt_loop_stop(loop);
}

static void on_head(void *arg, int status, const struct bt_http_pair *h, size_t n) {
  struct result *r = arg;
  r->heads++;
  r->status = status;
  for (size_t i = 0; i < n; i++)
    r->saw_mixed |= bt_streq(h[i].name, "x-mixed-case") && bt_streq(h[i].value, "Yes");
}

static struct bt_http_call *begin(struct result *r, const char *path, struct bt_http_request rq) {
  BT_AUTO_FREE char *url = bt_asprintf("http://127.0.0.1:%d%s", port, path);
  if (!rq.url)
    rq.url = url;
  rq.done = on_done;
  rq.arg = r;
  r->call = bt_http_request(http, &rq);
  return r->call;
}

static struct result fetch(const char *path, struct bt_http_request rq) {
  struct result r = {0};
  begin(&r, path, rq);
  run();
  return r;
}

static void test_plain(void) {
  struct result r = {0};
  begin(&r, "/echo", (struct bt_http_request){.on_head = on_head});
  run();
  is_int(r.code, BT_OK, "GET");
  is_str(r.body, "GET auth=- type=- body=", "reached the server");
  ok(r.heads == 1 && r.saw_mixed, "header names come in lower case");
  r = fetch("/echo", (struct bt_http_request){.method = "POST", .body = "hello", .body_len = 5});
  is_str(r.body, "POST auth=- type=- body=hello", "POST with a body, no content type of curl's own");
  r = fetch("/echo", (struct bt_http_request){.method = "POST"});
  is_str(r.body, "POST auth=- type=- body=", "POST without a body");
  r = fetch("/none", (struct bt_http_request){0});
  ok(r.code == BT_OK && r.status == 404, "a 404 is an answer");
  r = fetch("/echo", (struct bt_http_request){.method = "HEAD"});
  ok(r.code == BT_OK && r.status == 200 && r.body_len == 0, "HEAD");
  r = fetch("/echo", (struct bt_http_request){.unix_socket = sock_path, .method = "DELETE"});
  is_str(r.body, "DELETE auth=- type=- body=", "over a unix socket");
}

static void test_failures(void) {
  struct result r = fetch("/big", (struct bt_http_request){.max_body = 1000});
  is_int(r.code, BT_TOO_LARGE, "an answer over max_body");
  r = fetch("/hang?token=x", (struct bt_http_request){.timeout_ms = 100});
  is_int(r.code, BT_DEADLINE, "a deadline");
  ok(strstr(r.message, "/hang") && !strstr(r.message, "token"), "the sentence names the address without its query");
  r = fetch("", (struct bt_http_request){.url = "http://127.0.0.1:1/"});
  is_int(r.code, BT_UNAVAILABLE, "nobody listens");
  r = fetch("", (struct bt_http_request){.url = "file:///etc/passwd"});
  is_int(r.code, BT_INVALID, "only http and https");
  r = fetch("", (struct bt_http_request){.url = ""});
  is_int(r.code, BT_INVALID, "no URL at all");
  const struct bt_http_pair bad = {"X", "a\r\nY: b"};
  r = fetch("/echo", (struct bt_http_request){.headers = &bad, .nheaders = 1});
  is_int(r.code, BT_INVALID, "no line break in a header");
  static const struct bt_http_pair worse[] = {{"X", "a\x01"}, {"X", "\x7f"}, {"", "a"}, {"X:", "a"}, {"X Y", "a"}, {"X\t", "a"}, {"X\nY", "a"}};
  for (size_t i = 0; i < BT_COUNT(worse); i++) {
    r = fetch("/echo", (struct bt_http_request){.headers = &worse[i], .nheaders = 1});
    ok(r.code == BT_INVALID, "nor what else is no header: %zu", i);
  }
  const struct bt_http_pair tabbed = {"X", "a\tb"};
  r = fetch("/echo", (struct bt_http_request){.headers = &tabbed, .nheaders = 1});
  is_int(r.code, BT_OK, "a tab is fine");
  r = fetch("/echo", (struct bt_http_request){.method = "GET /other HTTP/1.1\r\nX: y\r\n\r\nGET"});
  is_int(r.code, BT_INVALID, "a method is one word");
  struct result c = {0};
  bt_http_cancel(begin(&c, "/hang", (struct bt_http_request){0}));
  is_int(c.done, 0, "done does not come from inside cancel");
  run();
  ok(c.done == 1 && c.code == BT_CANCELLED, "but after it");
}

static void test_redirects(void) {
  const struct bt_http_pair auth = {"Authorization", "Bearer x"};
  struct result r = fetch("/r302", (struct bt_http_request){.headers = &auth, .nheaders = 1});
  is_int(r.status, 302, "not followed unless asked");
  struct bt_http_request rq = {.headers = &auth, .nheaders = 1, .follow_redirects = true, .on_head = on_head};
  r = (struct result){0};
  begin(&r, "/r302", rq);
  run();
  is_str(r.body, "GET auth=Bearer x type=- body=", "same host: credentials go along");
  is_int(r.heads, 1, "one head for the caller");
  rq.method = "POST";
  rq.body = "b";
  rq.body_len = 1;
  r = fetch("/r302", rq);
  is_str(r.body, "GET auth=Bearer x type=- body=", "302 makes POST a GET");
  r = fetch("/r307", rq);
  is_str(r.body, "POST auth=Bearer x type=- body=b", "307 does not");
  rq.method = "GET";
  rq.body = NULL;
  r = fetch("/other", rq);
  is_str(r.body, "GET auth=- type=- body=", "another host gets no credentials");
  r = fetch("/loop", rq);
  is_int(r.code, BT_UNAVAILABLE, "a loop ends");
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/down", tls_port);
  rq.url = url;
  rq.tls_ca_file = cert_path;
  r = fetch("", rq);
  ok(r.code == BT_UNAVAILABLE && strstr(r.message, "unprotected"), "never from https to http");
}

/* Who may be spoken to: by name at each hop, by address at each connection. */
static bool only_number(const void *arg, const char *host, int to_port, const struct sockaddr *addr) {
  (void)arg, (void)to_port, (void)addr;
  return strcmp(host, "127.0.0.1") == 0;
}
static bool no_address(const void *arg, const char *host, int to_port, const struct sockaddr *addr) {
  (void)arg, (void)host, (void)to_port;
  return addr == NULL;
}

static void test_allow(void) {
  struct bt_http *others = http;
  http = bt_http_new(loop); /* no connection of the other tests */
  struct bt_http_request rq = {.follow_redirects = true, .allow = only_number};
  struct result r = fetch("/r302", rq);
  is_int(r.code, BT_OK, "a host that is allowed, also after a redirect");
  r = fetch("/other", rq);
  is_int(r.code, BT_DENIED, "a redirect to one that is not");
  ok(strstr(r.message, "egress does not allow localhost:") != NULL, "it is named");
  bt_http_free(&http);
  http = bt_http_new(loop);
  rq.allow = no_address;
  r = fetch("/echo", rq);
  is_int(r.code, BT_DENIED, "an allowed name with an address that is not");
  bt_http_free(&http);
  http = others;
}

static double cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* All of the system's authorities take some 50 ms to parse: the loop must not do that for the one or two that are needed. */
static void test_authorities(void) {
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/echo", tls_port);
  double before = cpu_ms();
  struct result r = fetch("", (struct bt_http_request){.url = url});
  double took = cpu_ms() - before;
  ok(r.code == BT_UNAVAILABLE && took < 25, "the first request with the system's authorities takes %.1f ms of the loop's thread", took);
}

static void test_tls(void) {
  BT_AUTO_FREE char *url = bt_asprintf("https://127.0.0.1:%d/echo", tls_port);
  struct result r = fetch("", (struct bt_http_request){.url = url, .tls_ca_file = cert_path});
  is_int(r.code, BT_OK, "TLS with its CA");
  r = fetch("", (struct bt_http_request){.url = url});
  is_int(r.code, BT_UNAVAILABLE, "without it the server is refused");
  r = fetch("", (struct bt_http_request){.url = url, .tls_insecure = true});
  is_int(r.code, BT_OK, "unless verification is off");
  BT_AUTO_FREE char *name = bt_asprintf("https://localhost:%d/echo", tls_port);
  r = fetch("", (struct bt_http_request){.url = name, .tls_ca_file = cert_path});
  is_int(r.code, BT_UNAVAILABLE, "the name must match");
}

/* ---------------------------------------------------------------- streams */

static void resume(void *arg) {
  struct result *r = arg;
  if (!r->done)
    bt_http_resume(r->call);
}

static struct bt_timer *resume_timer;

static bool on_data(void *arg, const void *data, size_t len) {
  (void)data;
  struct result *r = arg;
  r->pieces++;
  r->streamed += len;
  if (r->pieces % 10)
    return true;
  bt_timer_set(resume_timer, 5);
  return false;
}

static ssize_t send_body(void *arg, void *buf, size_t room) {
  struct result *r = arg;
  (void)room;
  int n = r->sends++;
  if (n == 1) {
    bt_timer_set(resume_timer, 5);
    return -1;
  }
  if (n > 3)
    return 0;
  memcpy(buf, "part ", 5);
  return 5;
}

static ssize_t abort_body(void *arg, void *buf, size_t room) {
  (void)arg;
  (void)buf;
  (void)room;
  return -2;
}

static void test_streams(void) {
  struct result r = {0};
  resume_timer = bt_timer_new(loop, "resume", resume, &r);
  begin(&r, "/big", (struct bt_http_request){.on_data = on_data});
  run();
  is_int(r.code, BT_OK, "a streamed body with pauses");
  is_int(r.streamed, 1000000, "comes whole");
  ok(r.pieces > 10, "in pieces");
  r = (struct result){0};
  begin(&r, "/echo", (struct bt_http_request){.method = "PUT", .read_body = send_body});
  run();
  is_str(r.body, "PUT auth=- type=- body=part part part ", "a body of unknown length, with a pause");
  r = fetch("/echo", (struct bt_http_request){.method = "POST", .read_body = abort_body});
  is_int(r.code, BT_CANCELLED, "the sender may give up");
  bt_timer_free(&resume_timer);
}

static bool nested_data(void *arg, const void *data, size_t len) {
  (void)data;
  (void)len;
  struct result *r = arg;
  if (r->pieces++ == 0) /* a request from inside curl's callback */
    begin(r + 1, "/echo", (struct bt_http_request){0});
  return true;
}

static void test_nested(void) {
  struct result r[2] = {{0}, {0}};
  begin(&r[0], "/big", (struct bt_http_request){.on_data = nested_data});
  while (!(r[0].done && r[1].done)) {
    int before = r[0].done + r[1].done;
    run();
    if (r[0].done + r[1].done == before)
      break;
  }
  ok(r[0].code == BT_OK && r[1].code == BT_OK && r[1].body_len > 0, "a callback may start another request");
}

/* ---------------------------------------------------------------- a resolver that takes its time */

/* In place of the C library's, for libcurl: names that begin with "slow" take a second. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                                                       struct addrinfo **res) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (bt_starts(node, "slow")) {
    sleep(1);
    return EAI_AGAIN;
  }
  if (!real)
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  return real(node, service, hints, res);
}

static void test_slow_resolver(void) {
  struct bt_loop_stats st;
  bt_loop_stats_reset(loop);
  struct result r = fetch("", (struct bt_http_request){.url = "http://slow.test/", .timeout_ms = 200});
  is_int(r.code, BT_DEADLINE, "a name that takes too long to resolve");
  struct result c = {0};
  bt_http_cancel(begin(&c, "", (struct bt_http_request){.url = "http://slow.test/"}));
  run();
  is_int(c.code, BT_CANCELLED, "or that is given up");
  bt_loop_stats(loop, &st);
  ok(st.worst_us < 700000, "does not hold the loop until the resolver is through (%lld ms)", (long long)st.worst_us / 1000);
  sleep(1); /* its threads end by themselves: let them, before leaks are looked for */
}

static void test_shutdown(void) {
  struct result r = {0};
  begin(&r, "/hang", (struct bt_http_request){0});
  bt_http_free(&http);
  ok(r.done == 1 && r.code == BT_CANCELLED, "closing the client cancels requests");
}

int main(void) {
  ok(mkdtemp(dir) != NULL, "a folder");
  sock_path = bt_asprintf("%s/s", dir);
  cert_path = bt_asprintf("%s/cert.pem", dir);
  key_path = bt_asprintf("%s/key.pem", dir);
  loop = bt_loop_new();
  http = bt_http_new(loop);
  make_cert(cert_path, key_path);
  server_tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_certificate_file(server_tls, cert_path, SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(server_tls, key_path, SSL_FILETYPE_PEM);
  for (int i = 0; i < 3; i++)
    servers[i] = server();
  port = listen_on(servers[0]);
  evhttp_accept_socket(servers[1], unix_listen());
  evhttp_set_bevcb(servers[2], tls_bev, server_tls);
  tls_port = listen_on(servers[2]);
  test_plain();
  test_failures();
  test_redirects();
  test_allow();
  test_authorities();
  test_tls();
  test_streams();
  test_nested();
  test_slow_resolver();
  test_shutdown();
  for (int i = 0; i < 3; i++)
    evhttp_free(servers[i]);
  run_at_most(50); /* let the server's side see the ends, so that nothing is left allocated */
  bt_loop_free(&loop);
  SSL_CTX_free(server_tls);
  unlink(sock_path);
  unlink(cert_path);
  unlink(key_path);
  rmdir(dir);
  free(sock_path);
  free(cert_path);
  free(key_path);
  return done_testing();
}
